//! Checks a specification without connecting to anything: notation, names, and the arithmetic of every expectation.

use std::collections::HashSet;

use crate::finding::Finding;
use crate::plan::{Plan, plan};
use crate::spec::{Case, Chapter, Clause, Level, Spec};

/// Everything that is wrong with a specification, by file and position.
pub fn lint(spec: &Spec) -> Vec<Finding> {
    let mut findings = spec.findings.clone();
    duplicates(spec, &mut findings);
    for (chapter, clause) in spec.clauses() {
        if clause.level != Level::Retired
            && clause.cases.is_empty()
            && !has_broken_case(chapter, spec)
        {
            findings.push(Finding::new(
                &chapter.path,
                &chapter.source,
                clause.span.clone(),
                "no transcript shows this clause".to_owned(),
                format!(
                    "a block that begins with ```transcript {}/NAME",
                    clause.slug
                ),
            ));
        }
        for case in &clause.cases {
            let errors = match plan(&case.transcript, case.dialect, &spec.data) {
                Ok(plan) => {
                    findings.extend(freedom(spec, chapter, clause, case, &plan));
                    continue;
                }
                Err(errors) => errors,
            };
            findings.extend(errors.into_iter().map(|error| {
                let span = case.span.start + error.span.start..case.span.start + error.span.end;
                Finding::new(
                    &chapter.path,
                    &chapter.source,
                    span,
                    error.message,
                    error.allowed,
                )
            }));
        }
    }
    findings.sort_by(|a, b| (&a.path, a.span.start).cmp(&(&b.path, b.span.start)));
    findings
}

/// A MUST case that fails servers for what only a SHOULD or a MAY clause asks of them.
fn freedom(
    spec: &Spec,
    chapter: &Chapter,
    clause: &Clause,
    case: &Case,
    plan: &Plan,
) -> Option<Finding> {
    let level = |slug: &str| {
        let mut clauses = spec.clauses();
        clauses.find_map(|(_, clause)| (clause.slug == slug).then_some(clause.level))
    };
    let free = |slug: &&&str| !matches!(level(slug), None | Some(Level::Must));
    let other = plan.free_clauses.iter().find(free)?;
    (clause.level == Level::Must).then(|| {
        Finding::new(
            &chapter.path,
            &chapter.source,
            case.id_span.clone(),
            format!("a case of a MUST clause depends on `{other}`, which servers may break"),
            format!("a case of `{other}`, or one that does without"),
        )
    })
}

/// A case that could not be read is reported as such; that its clause lacks one would be said twice.
fn has_broken_case(chapter: &Chapter, spec: &Spec) -> bool {
    spec.findings
        .iter()
        .any(|finding| finding.path == chapter.path)
}

fn duplicates(spec: &Spec, findings: &mut Vec<Finding>) {
    let mut seen = HashSet::new();
    let clauses = spec
        .clauses()
        .map(|(chapter, clause)| (chapter, &clause.slug, &clause.span));
    let cases = spec
        .cases()
        .map(|case| (case.chapter, &case.case.id, &case.case.id_span));
    for (chapter, name, span) in clauses.chain(cases) {
        if !seen.insert(name) {
            findings.push(Finding::new(
                &chapter.path,
                &chapter.source,
                span.clone(),
                format!("`{name}` is used twice"),
                "a name that no other clause or case has, or ever had".to_owned(),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_specification_is_sound() {
        let spec = Spec::bundled();
        let findings: Vec<_> = lint(&spec)
            .iter()
            .map(|f| {
                format!(
                    "{}:{}:{} {} (allowed: {})",
                    f.path, f.line, f.column, f.message, f.allowed
                )
            })
            .collect();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }
}

//! Checks a specification without connecting to anything: notation, names, and the arithmetic of every expectation.

use std::collections::HashSet;

use crate::finding::Finding;
use crate::plan::plan;
use crate::spec::{Chapter, Level, Spec};

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
            let Err(errors) = plan(&case.transcript, case.dialect, &spec.data) else {
                continue;
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

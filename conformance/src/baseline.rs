//! Known failures: a file that lets a run pass while they fail as they did, and fails it as soon as one of them does anything else.
//!
//! One entry a line: the case, the kind of failure, the reason. `#` begins a comment line.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write};

use crate::finding::Finding;
use crate::runner::{CaseResult, Outcome};
use crate::spec::Spec;

/// A baseline file.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    /// Entries by case.
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    outcome: Outcome,
    reason: String,
}

/// How a result and the baseline disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stale {
    /// A case that is listed passes.
    Passes {
        /// The case.
        id: String,
    },
    /// A case that is listed fails in another way.
    FailsOtherwise {
        /// The case.
        id: String,
        /// The kind of failure that is listed.
        listed: Outcome,
        /// The kind of failure that was seen.
        seen: Outcome,
    },
    /// An entry names no case of the specification.
    NoSuchCase {
        /// What it names.
        id: String,
    },
}

impl Display for Stale {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Stale::Passes { id } => write!(f, "{id} passes now; take it out of the baseline"),
            Stale::FailsOtherwise { id, listed, seen } => {
                write!(
                    f,
                    "{id} is listed as {} but ended as {}",
                    listed.name(),
                    seen.name()
                )
            }
            Stale::NoSuchCase { id } => write!(f, "{id} is no case of the specification"),
        }
    }
}

/// What stands for a reason that nobody has written yet.
const NO_REASON: &str = "no reason given";

impl Baseline {
    /// Reads a baseline file.
    ///
    /// # Errors
    /// Every line that is no entry, with its position.
    pub fn read(path: &str, text: &str) -> Result<Baseline, Vec<Finding>> {
        let mut baseline = Baseline::default();
        let mut findings = Vec::new();
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            let entry = line.trim();
            let start = offset + line.len() - line.trim_start().len();
            offset += line.len();
            if entry.is_empty() || entry.starts_with('#') {
                continue;
            }
            let mut words = entry.splitn(3, char::is_whitespace).map(str::trim);
            let (id, kind) = (
                words.next().unwrap_or_default(),
                words.next().unwrap_or_default(),
            );
            let reason = words.next().unwrap_or(NO_REASON);
            let outcome = Outcome::ALL
                .into_iter()
                .find(|outcome| outcome.is_failure() && outcome.name() == kind);
            let problem = match outcome {
                None => "this is no kind of failure",
                Some(_) if baseline.entries.contains_key(id) => "this case is listed twice",
                Some(outcome) => {
                    let reason = reason.to_owned();
                    baseline
                        .entries
                        .insert(id.to_owned(), Entry { outcome, reason });
                    continue;
                }
            };
            let kinds = Outcome::ALL
                .iter()
                .filter(|outcome| outcome.is_failure())
                .map(|outcome| outcome.name());
            let allowed = format!(
                "CASE KIND REASON, each case once, KIND one of {}",
                kinds.collect::<Vec<_>>().join(", ")
            );
            findings.push(Finding::new(
                path,
                text,
                start..start + entry.len(),
                problem.to_owned(),
                allowed,
            ));
        }
        if findings.is_empty() {
            Ok(baseline)
        } else {
            Err(findings)
        }
    }

    /// Marks the results that are as the baseline says, and tells where they are not.
    pub fn apply(&self, results: &mut [CaseResult<'_>], spec: &Spec) -> Vec<Stale> {
        let mut stale = Vec::new();
        for result in results {
            let id = &result.case.case.id;
            let Some(entry) = self.entries.get(id) else {
                continue;
            };
            if result.outcome == Outcome::Pass {
                result.outcome = Outcome::Xpass;
                stale.push(Stale::Passes { id: id.clone() });
            } else if result.outcome == entry.outcome {
                result.outcome = Outcome::Xfail;
                result.reason = Some(entry.reason.clone());
            } else if result.outcome.is_failure() {
                stale.push(Stale::FailsOtherwise {
                    id: id.clone(),
                    listed: entry.outcome,
                    seen: result.outcome,
                });
            }
        }
        let unknown = self
            .entries
            .keys()
            .filter(|id| !spec.cases().any(|case| case.case.id == **id));
        stale.extend(unknown.map(|id| Stale::NoSuchCase { id: id.clone() }));
        stale
    }

    /// The baseline that these results ask for, with the reasons that were known.
    pub fn updated(&self, results: &[CaseResult<'_>]) -> String {
        let mut text =
            String::from("# Known failures. One a line: case, kind of failure, reason.\n");
        for result in results.iter().filter(|result| result.outcome.is_failure()) {
            let id = &result.case.case.id;
            let reason = self
                .entries
                .get(id)
                .map_or(NO_REASON, |entry| &entry.reason);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{id} {} {reason}", result.outcome.name());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(spec: &Spec, outcome: Outcome) -> Vec<CaseResult<'_>> {
        let case = spec.cases().next().expect("there are cases");
        vec![CaseResult::new(case, outcome, None)]
    }

    fn listed(kind: &str) -> (Spec, String, Baseline) {
        let spec = Spec::bundled();
        let id = spec
            .cases()
            .next()
            .expect("there are cases")
            .case
            .id
            .clone();
        let text = format!("# known\n{id} {kind} because\n");
        let baseline = Baseline::read("known", &text).expect("a right baseline");
        (spec, id, baseline)
    }

    #[test]
    fn a_failure_as_listed_is_expected() {
        let (spec, _, baseline) = listed("timeout");
        let mut results = results(&spec, Outcome::Timeout);
        assert_eq!(baseline.apply(&mut results, &spec), []);
        assert_eq!(
            (results[0].outcome, results[0].reason.as_deref()),
            (Outcome::Xfail, Some("because"))
        );
    }

    #[test]
    fn a_pass_and_another_failure_are_stale() {
        let (spec, id, baseline) = listed("timeout");
        let passes = Stale::Passes { id: id.clone() };
        assert_eq!(
            baseline.apply(&mut results(&spec, Outcome::Pass), &spec),
            [passes]
        );
        let (listed, seen) = (Outcome::Timeout, Outcome::Fail);
        let mut failed = results(&spec, seen);
        assert_eq!(
            baseline.apply(&mut failed, &spec),
            [Stale::FailsOtherwise { id, listed, seen }]
        );
        assert!(failed[0].outcome.is_failure());
    }

    #[test]
    fn an_update_keeps_reasons_and_reads_back() {
        let (spec, id, baseline) = listed("timeout");
        let text = baseline.updated(&results(&spec, Outcome::Fail));
        assert!(text.ends_with(&format!("{id} fail because\n")), "{text}");
        assert!(Baseline::read("known", &text).is_ok());
    }

    #[test]
    fn what_is_no_entry_is_found_where_it_stands() {
        let text = "# known\n\n  value.zero/zero broken\na/b fail x\na/b fail y\n";
        let findings = Baseline::read("known", text).expect_err("two mistakes");
        let places: Vec<_> = findings
            .iter()
            .map(|finding| (finding.line, finding.column))
            .collect();
        assert_eq!(places, [(3, 3), (5, 1)]);
        let unknown = Baseline::read("known", "no.such/case fail x\n").expect("a right baseline");
        let stale = unknown.apply(&mut [], &Spec::bundled());
        assert_eq!(
            stale,
            [Stale::NoSuchCase {
                id: "no.such/case".to_owned()
            }]
        );
    }
}

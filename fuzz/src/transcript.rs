//! Any text as a transcript: the parser answers, its mistakes can be shown, and what is printed parses back to the
//! same steps.

use meta_stats_conformance::finding::Finding;
use meta_stats_conformance::transcript::{Step, StepKind, parse};

/// Runs the target. Octets that are no UTF-8 stand for U+FFFD.
///
/// # Panics
/// If a mistake is said to be outside of the text, or printing and parsing are not inverse.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match parse(&text) {
        Err(mistake) => {
            let span = mistake.span.clone();
            assert!(span.start <= span.end, "{mistake:?}");
            assert!(
                text.get(span.start.min(text.len())..span.end.min(text.len()))
                    .is_some()
            );
            assert!(!mistake.message.is_empty() && !mistake.allowed.is_empty());
            let finding = Finding::new("f.md", &text, span, mistake.message, mistake.allowed);
            assert!(!finding.render(&text).is_empty());
        }
        Ok(transcript) => {
            assert!(steps_are_inside(&transcript.steps, &text), "{transcript:?}");
            let printed = transcript.to_string();
            let again =
                parse(&printed).unwrap_or_else(|mistake| panic!("{printed:?}: {mistake:?}"));
            assert_eq!(again.title, transcript.title);
            assert!(
                same(&again.steps, &transcript.steps),
                "{printed:?} of {text:?}"
            );
            assert_eq!(again.to_string(), printed);
        }
    }
}

fn steps_are_inside(steps: &[Step], text: &str) -> bool {
    steps.iter().all(|step| {
        text.get(step.span.clone())
            .is_some_and(|step| !step.is_empty())
            && match &step.kind {
                StepKind::Act { .. } => true,
                StepKind::Repeat { steps, .. } | StepKind::Together { steps } => {
                    steps_are_inside(steps, text)
                }
                StepKind::Either { branches } => {
                    branches.iter().all(|branch| steps_are_inside(branch, text))
                }
            }
    })
}

/// Whether the steps do the same, wherever they stand.
fn same(left: &[Step], right: &[Step]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(left, right)| same_step(left, right))
}

fn same_step(left: &Step, right: &Step) -> bool {
    use StepKind::{Act, Either, Repeat, Together};
    match (&left.kind, &right.kind) {
        (
            Act { connection, action },
            Act {
                connection: other,
                action: other_action,
            },
        ) => connection == other && action == other_action,
        (
            Repeat { times, steps },
            Repeat {
                times: others,
                steps: other_steps,
            },
        ) => times == others && same(steps, other_steps),
        (Together { steps }, Together { steps: others }) => same(steps, others),
        (Either { branches }, Either { branches: others }) => {
            branches.len() == others.len()
                && branches
                    .iter()
                    .zip(others)
                    .all(|(branch, other)| same(branch, other))
        }
        _ => false,
    }
}

//! The report in the Test Anything Protocol, version 14.
//!
//! A case whose failure the verdict does not count (a SHOULD, a MAY, an entry of the baseline) is `not ok` with the directive TODO, which no harness counts
//! either. What is stale in the baseline is a point of its own; what seems to be wrong stands in comments.

use std::fmt::Write;

use serde_json::json;

use super::{Report, Standing, again, in_short};
use crate::runner::CaseResult;

/// The report as TAP.
pub fn render(report: &Report<'_>) -> String {
    let mut text = String::from("TAP version 14\n");
    // Writing to a String cannot fail.
    let points = report.results.len() + report.stale.len();
    let _ = writeln!(text, "1..{points}");
    for (number, result) in (1..).zip(&report.results) {
        write_point(report, number, result, &mut text);
    }
    for (number, stale) in (report.results.len() + 1..).zip(&report.stale) {
        let _ = writeln!(
            text,
            "not ok {number} - stale baseline: {}",
            escape(&stale.to_string())
        );
    }
    for diagnosis in &report.diagnoses {
        let _ = writeln!(
            text,
            "# {}: {}",
            diagnosis.certainty.name(),
            escape(&diagnosis.sentence)
        );
    }
    text
}

fn write_point(report: &Report<'_>, number: usize, result: &CaseResult<'_>, text: &mut String) {
    let standing = report.standing(result);
    let verdict = match standing {
        Standing::Good | Standing::Skipped => "ok",
        _ => "not ok",
    };
    let case = result.case;
    let _ = write!(
        text,
        "{verdict} {number} - {}: {}",
        escape(&case.case.id),
        escape(&case.case.transcript.title)
    );
    let reason = result.reason.as_deref().unwrap_or_default();
    match standing {
        Standing::Skipped => drop(write!(text, " # SKIP {}", escape(reason))),
        Standing::Expected => drop(write!(text, " # TODO {}", escape(reason))),
        Standing::Observed => {
            let _ = write!(text, " # TODO {} does not bind", case.clause.level);
        }
        Standing::Good | Standing::Bad => {}
    }
    text.push('\n');
    if matches!(standing, Standing::Good | Standing::Skipped) {
        return;
    }
    // A JSON string is a YAML scalar, whatever the server put into it.
    let mut diagnostic = vec![
        ("message", json!(in_short(result))),
        ("severity", json!(result.outcome.name())),
        ("clause", json!(case.clause.slug)),
        ("level", json!(case.clause.level)),
        ("again", json!(again(&report.reach, &case.case.id))),
    ];
    if let Some(failure) = &result.failure
        && !failure.step.is_empty()
    {
        let at = json!({ "file": case.chapter.path, "line": case.line_of(failure.step.start) });
        diagnostic.push(("at", at));
    }
    text.push_str("  ---\n");
    for (key, value) in diagnostic {
        let _ = writeln!(text, "  {key}: {value}");
    }
    text.push_str("  ...\n");
}

/// A description or a reason: one line, in which `#` and `\` stand for themselves.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '#' | '\\' => escaped.extend(['\\', character]),
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_holds_no_directive_and_no_line_end() {
        assert_eq!(
            escape("a # TODO b\\c\nnot ok 1"),
            "a \\# TODO b\\\\c not ok 1"
        );
    }
}

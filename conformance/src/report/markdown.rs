//! The report as Markdown, for the summary of a CI job: the verdict, a table, and the failures folded.

use std::fmt::Write;

use anstream::adapter::strip_str;

use super::{Report, Standing, human, passed_of};
use crate::runner::CaseResult;
use crate::spec::Level;

/// Failures beyond these are only counted: what shows a job's summary cuts it at a megabyte.
const MOST_FAILURES: usize = 100;

/// The report as Markdown.
pub fn render(report: &Report<'_>) -> String {
    let mut text = String::new();
    write_verdict(report, &mut text);
    write_remarks(report, &mut text);
    write_table(report, &mut text);
    for (title, standing) in [
        ("Failures", Standing::Bad),
        ("Not as recommended", Standing::Observed),
    ] {
        let results: Vec<_> = report
            .results
            .iter()
            .filter(|result| report.standing(result) == standing)
            .collect();
        if !results.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\n### {title}\n");
        }
        for result in results.iter().take(MOST_FAILURES) {
            write_failure(report, result, &mut text);
        }
        if results.len() > MOST_FAILURES {
            let _ = writeln!(text, "and {} more", results.len() - MOST_FAILURES);
        }
    }
    text
}

fn write_verdict(report: &Report<'_>, text: &mut String) {
    let verdict = report.verdict();
    let mark = if verdict.conformant { "✅" } else { "❌" };
    let (_, ran) = passed_of(&report.results);
    let _ = writeln!(
        text,
        "## {mark} {}{}\n\n{} · {ran} cases · {} dialect · {:.1} s\n",
        verdict.word(),
        verdict.remarks,
        code(&report.target),
        report.dialect,
        report.duration.as_secs_f64(),
    );
}

/// What belongs to the verdict, a line each.
fn write_remarks(report: &Report<'_>, text: &mut String) {
    let diagnoses = report
        .diagnoses
        .iter()
        .map(|diagnosis| format!("- {}: {}", diagnosis.certainty.name(), diagnosis.sentence));
    let stale = report
        .stale
        .iter()
        .map(|stale| format!("- stale baseline: {stale}"));
    let part = (!report.selection.is_empty())
        .then(|| format!("- only a part was run: {}", code(&report.selection)));
    for line in diagnoses.chain(stale).chain(part) {
        let _ = writeln!(text, "{line}");
    }
    text.push('\n');
}

fn write_table(report: &Report<'_>, text: &mut String) {
    text.push_str("| chapter | MUST | SHOULD | MAY |\n|---|---:|---:|---:|\n");
    for results in report.chapters() {
        let title = results[0].case.chapter.title.replace('|', "\\|");
        let _ = write!(text, "| {title} |");
        for level in [Level::Must, Level::Should, Level::May] {
            let of_level = results
                .iter()
                .filter(|result| result.case.clause.level == level);
            let _ = match passed_of(of_level) {
                (_, 0) => write!(text, " |"),
                (passed, ran) if passed == ran => write!(text, " {passed} of {ran} |"),
                (passed, ran) => write!(text, " **{passed} of {ran}** |"),
            };
        }
        text.push('\n');
    }
}

fn write_failure(report: &Report<'_>, result: &CaseResult<'_>, text: &mut String) {
    let mut shown = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = human::write_failure(result, &report.reach, &mut shown);
    let shown = strip_str(&String::from_utf8_lossy(&shown)).to_string();
    let fence = fence(&shown);
    let _ = writeln!(
        text,
        "<details><summary>{} {} <code>{}</code></summary>\n\n{fence}text\n{}\n{fence}\n\n</details>",
        result.outcome.name(),
        result.case.clause.level,
        result.case.case.id,
        shown.trim_end(),
    );
}

/// A fence that nothing in the text closes.
fn fence(text: &str) -> String {
    let longest = text
        .split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    "`".repeat(longest.max(2) + 1)
}

/// Text as a code span on one line.
fn code(text: &str) -> String {
    let fence = fence(text);
    format!("{fence} {} {fence}", text.replace(char::is_control, " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_fence() {
        assert_eq!(fence("plain"), "```");
        assert_eq!(fence("a ```` b"), "`````");
        assert_eq!(code("x\ny"), "``` x y ```");
    }
}

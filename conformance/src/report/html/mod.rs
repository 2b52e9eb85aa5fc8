//! The report as one self-contained page: no network, readable without scripts, on a phone and in the dark.
//!
//! What a server sent is text everywhere: maud escapes it, raw HTML in a chapter is shown as it is written, and the policy of the page runs no script but the
//! one here, by its digest.

mod prose;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Report, Standing, again, marked_lines, passed_of, printable, words};
use crate::runner::{CaseResult, Outcome};
use crate::spec::{Clause, Level};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The digest by which the policy of the page knows [`SCRIPT`].
const SCRIPT_DIGEST: &str = "sha256-OWgTwZS/X5c8yA1WdhXgOKprWJ4wlH4DKzUx5nGFHd0=";

/// While there are no more, what fails is shown without a click.
const MOST_OPEN: usize = 20;

/// Lines of the wire trace that are shown of one case; the end of a conversation is where it went wrong.
const TRACE_LINES: usize = 400;

/// The report as a page.
pub fn render(report: &Report<'_>) -> String {
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src '{SCRIPT_DIGEST}'; base-uri 'none'; form-action 'none'"
    );
    let verdict = report.verdict();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (verdict.word()) " · " (report.target) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    (overview(report))
                    (remarks(report))
                    (table(report))
                    (failures(report))
                }
                (filter(report))
                main {
                    @for results in report.chapters() { (chapter(report, results)) }
                    p #none hidden { "No case matches." }
                }
                footer {
                    "meta-stats-conformance " (env!("CARGO_PKG_VERSION"))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

/// What was tested, and what came of it.
fn overview(report: &Report<'_>) -> Markup {
    let verdict = report.verdict();
    let (_, ran) = passed_of(&report.results);
    html! {
        p.kind { "Conformance report" }
        h1 class=(if verdict.conformant { "good" } else { "bad" }) {
            (verdict.word()) span { (verdict.remarks) }
        }
        dl {
            div { dt { "server" } dd { code { (report.target) } } }
            div { dt { "dialect" } dd { (report.dialect) } }
            div { dt { "cases" } dd { (ran) } }
            div { dt { "time" } dd { (format!("{:.1} s", report.duration.as_secs_f64())) } }
        }
    }
}

/// What belongs to the verdict, a line each.
fn remarks(report: &Report<'_>) -> Markup {
    html! {
        @if !report.diagnoses.is_empty() || !report.stale.is_empty() || !report.selection.is_empty() {
            ul.remarks {
                @for diagnosis in &report.diagnoses {
                    li { b.note { (diagnosis.certainty.name()) } " " (prose::inline(&diagnosis.sentence)) }
                }
                @for stale in &report.stale { li { b.bad { "stale baseline" } " " (stale) } }
                @if !report.selection.is_empty() {
                    li { b { "only a part was run" } " " code { (report.selection) } }
                }
            }
        }
    }
}

fn table(report: &Report<'_>) -> Markup {
    const LEVELS: [Level; 3] = [Level::Must, Level::Should, Level::May];
    let of_level = |results: &[CaseResult<'_>], level| {
        passed_of(
            results
                .iter()
                .filter(|result| result.case.clause.level == level),
        )
    };
    html! {
        table {
            thead { tr { th { "chapter" } @for level in LEVELS { th { (level) } } } }
            tbody {
                @for results in report.chapters() {
                    tr {
                        td { a href={ "#" (results[0].case.chapter.name) } { (results[0].case.chapter.title) } }
                        @for level in LEVELS { (tally(report, level, of_level(results, level))) }
                    }
                }
            }
            tfoot {
                tr {
                    td { "all" }
                    @for level in LEVELS { (tally(report, level, of_level(&report.results, level))) }
                }
            }
        }
    }
}

fn tally(report: &Report<'_>, level: Level, (passed, ran): (usize, usize)) -> Markup {
    let class = match passed == ran {
        true => "good",
        false if report.binds(level) => "bad",
        false => "note",
    };
    html! {
        @if ran == 0 { td.dim { "–" } } @else { td class=(class) { (passed) span { " of " (ran) } } }
    }
}

/// Links to what decides against the server.
fn failures(report: &Report<'_>) -> Markup {
    let bad: Vec<_> = report.bad().collect();
    html! {
        @if !bad.is_empty() {
            details.failures open[bad.len() <= MOST_OPEN] {
                summary { (bad.len()) @if bad.len() == 1 { " case fails" } @else { " cases fail" } }
                ul {
                    @for result in bad {
                        li {
                            (badge(result))
                            a href={ "#" (result.case.case.id) } { (result.case.case.id) }
                            span.dim { (prose::inline(&result.case.case.transcript.title)) }
                        }
                    }
                }
            }
        }
    }
}

/// Without scripts there is nothing to filter with, so the script is what shows it.
fn filter(report: &Report<'_>) -> Markup {
    let outcomes = Outcome::ALL
        .into_iter()
        .map(|outcome| (outcome.name(), report.count(outcome)))
        .filter(|(_, count)| *count > 0);
    let levels = [Level::Must, Level::Should, Level::May].map(|level| {
        let of_level = |result: &&CaseResult<'_>| result.case.clause.level == level;
        let count = report.results.iter().filter(of_level).count();
        (level.to_string(), count)
    });
    html! {
        section #filter aria-label="Filter" hidden {
            @for (name, count) in outcomes {
                button type="button" class=(name) aria-pressed="false" data-kind="outcome" data-value=(name) {
                    (name) " " span { (count) }
                }
            }
            @for (name, count) in levels {
                @if count > 0 {
                    button type="button" aria-pressed="false" data-kind="level" data-value=(name) {
                        (name) " " span { (count) }
                    }
                }
            }
            input #text type="search" placeholder="clause, case or title" aria-label="Text to look for";
            output #shown {}
        }
    }
}

fn chapter(report: &Report<'_>, results: &[CaseResult<'_>]) -> Markup {
    let chapter = results[0].case.chapter;
    html! {
        section.chapter id=(chapter.name) {
            h2 { (chapter.title) }
            @for of_clause in results.chunk_by(|a, b| std::ptr::eq(a.case.clause, b.case.clause)) {
                (clause(report, of_clause[0].case.clause, of_clause))
            }
        }
    }
}

fn clause(report: &Report<'_>, clause: &Clause, results: &[CaseResult<'_>]) -> Markup {
    let level = clause.level.to_string();
    html! {
        section.clause id=(clause.slug) {
            h3 {
                (prose::inline(&clause.title)) " "
                a.slug href={ "#" (clause.slug) } { (clause.slug) }
            }
            div.demand {
                p.level { (level) " " span { (clause.source.name()) } }
                (prose::blocks(&clause.demand))
            }
            @if !clause.notes.is_empty() {
                details.notes {
                    summary { "why, and common mistakes" }
                    (prose::blocks(&clause.notes.join("\n\n")))
                }
            }
            @for result in results { (case(report, result)) }
        }
    }
}

fn badge(result: &CaseResult<'_>) -> Markup {
    let name = result.outcome.name();
    html! { span.badge.(name) { (name) } }
}

fn case(report: &Report<'_>, result: &CaseResult<'_>) -> Markup {
    let case = result.case.case;
    let open = report.standing(result) == Standing::Bad && report.bad().nth(MOST_OPEN).is_none();
    html! {
        details.case id=(case.id) data-outcome=(result.outcome.name()) data-level=(result.case.clause.level.to_string()) open[open] {
            summary {
                (badge(result))
                span.title { (prose::inline(&case.transcript.title)) }
                span.id { (case.id) }
            }
            @if let Some(reason) = &result.reason { p { (reason) } }
            (transcript(result))
            (failure(result))
            (trace(result))
            @if result.failure.is_some() {
                @if !result.output.trim().is_empty() {
                    details { summary { "what the server wrote" } pre { (printable(&result.output)) } }
                }
                p.again { "again: " code { (again(&report.reach, &case.id)) } }
            }
        }
    }
}

fn transcript(result: &CaseResult<'_>) -> Markup {
    html! {
        pre.transcript {
            @for line in marked_lines(result) {
                @if line.failing {
                    mark { span.number { (line.number) } (line.text) "\n" }
                } @else {
                    span.number { (line.number) } (line.text) "\n"
                }
            }
        }
    }
}

fn failure(result: &CaseResult<'_>) -> Markup {
    html! {
        @if let Some(failure) = &result.failure {
            dl.failure {
                dt { "expected" } dd { code { (words::expected(failure)) } }
                dt { "received" } dd { code { (words::received(failure)) } @if let why = words::why(failure) && !why.is_empty() { p { (why) } } }
            }
        }
    }
}

fn trace(result: &CaseResult<'_>) -> Markup {
    let left_out = result.trace.len().saturating_sub(TRACE_LINES);
    html! {
        @if !result.trace.is_empty() {
            details {
                summary { "on the wire" }
                pre {
                    @if left_out > 0 { (left_out) " events before\n" }
                    @for event in &result.trace[left_out..] { (event) "\n" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_policy_allows_the_script_that_is_there() {
        let digest = BASE64_STANDARD.encode(Sha256::digest(SCRIPT));
        assert_eq!(SCRIPT_DIGEST, format!("sha256-{digest}"));
    }

    #[test]
    fn style_and_script_cannot_end_early() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</"));
        }
    }
}

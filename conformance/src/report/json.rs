//! The report for programs.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Report, words};
use crate::dialect::Dialect;
use crate::runner::{CaseResult, Outcome};
use crate::spec::{Level, Source};

/// The version of the form; it changes when a field changes its meaning or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Case<'a> {
    id: &'a str,
    clause: &'a str,
    chapter: &'a str,
    title: &'a str,
    level: Level,
    source: Source,
    outcome: Outcome,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure<'a>>,
}

#[derive(Serialize)]
struct Failure<'a> {
    /// The failing step, as the transcript writes it.
    step: &'a str,
    /// Its line in the chapter.
    line: usize,
    expected: String,
    received: String,
    why: String,
    trace: Vec<String>,
    server_output: &'a str,
}

/// The report as one JSON object.
pub fn render(report: &Report<'_>) -> Value {
    let dialect: Dialect = report.dialect;
    json!({
        "version": VERSION,
        "target": report.target,
        "dialect": dialect,
        "duration_ms": report.duration.as_secs_f64() * 1e3,
        "selection": report.selection,
        "strict": report.strict,
        "conformant": report.is_conformant(),
        "diagnoses": report.diagnoses,
        "stale": report.stale.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "summary": report.summary(),
        "cases": report.results.iter().map(case).collect::<Vec<_>>(),
    })
}

fn case<'a>(result: &'a CaseResult<'a>) -> Case<'a> {
    let case = result.case;
    Case {
        id: &case.case.id,
        clause: &case.clause.slug,
        chapter: &case.chapter.name,
        title: &case.case.transcript.title,
        level: case.clause.level,
        source: case.clause.source,
        outcome: result.outcome,
        duration_ms: result.duration.as_secs_f64() * 1e3,
        reason: result.reason.as_deref(),
        failure: result.failure.as_ref().map(|failure| Failure {
            step: &case.case.text[failure.step.clone()],
            line: case.line_of(failure.step.start),
            expected: words::expected(failure),
            received: words::received(failure),
            why: words::why(failure),
            trace: result.trace.iter().map(ToString::to_string).collect(),
            server_output: &result.output,
        }),
    }
}

//! The report for people. Styled; write it through `anstream`.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::{MarkedLine, Report, again, marked_lines, passed_of, printable, words};
use crate::runner::{CaseResult, Outcome};
use crate::spec::{Level, Spec};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const NOTE: Style = AnsiColor::Yellow.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Lines of the wire trace that are shown of one case; the end of a conversation is where it went wrong.
const TRACE_LINES: usize = 24;

/// Writes the whole report: failures in full, then a summary by chapter, then the verdict.
///
/// # Errors
/// Those of the writer.
pub fn write(report: &Report<'_>, spec: &Spec, out: &mut impl Write) -> io::Result<()> {
    for result in report
        .results
        .iter()
        .filter(|result| result.outcome.is_failure())
    {
        write_failure(result, &report.reach, out)?;
    }
    write_summary(report, spec, out)?;
    write_diagnoses(report, out)?;
    write_verdict(report, out)
}

/// Writes all about one failed case; `reach` are the arguments that reach its server again.
///
/// # Errors
/// Those of the writer.
pub fn write_failure(result: &CaseResult<'_>, reach: &str, out: &mut impl Write) -> io::Result<()> {
    let case = result.case;
    let level = case.clause.level;
    let style = if level == Level::Must { BAD } else { NOTE };
    let outcome = result.outcome.name().to_uppercase();
    writeln!(
        out,
        "{style}{outcome}{style:#} {BOLD}{}{BOLD:#}",
        case.case.id
    )?;
    writeln!(out, "  {}", case.case.transcript.title)?;
    writeln!(out)?;
    writeln!(
        out,
        "  clause {BOLD}{}{BOLD:#} {level}: {}",
        case.clause.slug, case.clause.title
    )?;
    for line in case.clause.demand.lines() {
        writeln!(out, "  {DIM}|{DIM:#} {line}")?;
    }
    writeln!(out)?;
    if let Some(failure) = &result.failure {
        write_transcript(result, out)?;
        writeln!(out)?;
        writeln!(out, "  expected  {}", words::expected(failure))?;
        let received = words::received(failure);
        writeln!(out, "  received  {style}{received}{style:#}")?;
        let why = words::why(failure);
        if !why.is_empty() {
            writeln!(out, "            {why}")?;
        }
    }
    write_trace(result, out)?;
    if !result.output.trim().is_empty() {
        writeln!(out)?;
        writeln!(out, "  the server wrote")?;
        for line in printable(&result.output).lines() {
            writeln!(out, "    {DIM}{line}{DIM:#}")?;
        }
    }
    writeln!(out)?;
    let again = again(reach, &case.case.id);
    writeln!(out, "  again: {BOLD}{again}{BOLD:#}")?;
    writeln!(out)
}

/// The transcript with the line numbers of its chapter and a mark at the step that failed.
fn write_transcript(result: &CaseResult<'_>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "  {DIM}{}{DIM:#}", result.case.chapter.path)?;
    for line in marked_lines(result) {
        let MarkedLine { number, text, .. } = line;
        if line.failing {
            writeln!(out, "  {BAD}>{BAD:#} {number:>4} {BAD}{text}{BAD:#}")?;
        } else {
            writeln!(out, "    {DIM}{number:>4}{DIM:#} {text}")?;
        }
    }
    Ok(())
}

fn write_trace(result: &CaseResult<'_>, out: &mut impl Write) -> io::Result<()> {
    if result.trace.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    writeln!(out, "  on the wire")?;
    let left_out = result.trace.len().saturating_sub(TRACE_LINES);
    if left_out > 0 {
        writeln!(out, "    {DIM}{left_out} events before{DIM:#}")?;
    }
    for event in &result.trace[left_out..] {
        writeln!(out, "    {event}")?;
    }
    Ok(())
}

fn write_summary(report: &Report<'_>, spec: &Spec, out: &mut impl Write) -> io::Result<()> {
    let width = spec
        .chapters
        .iter()
        .map(|chapter| chapter.title.len())
        .max()
        .unwrap_or_default();
    for chapter in &spec.chapters {
        let results: Vec<_> = report
            .results
            .iter()
            .filter(|result| std::ptr::eq(result.case.chapter, chapter))
            .collect();
        if results.is_empty() {
            continue;
        }
        let count = |outcome: Outcome| {
            results
                .iter()
                .filter(|result| result.outcome == outcome)
                .count()
        };
        let (passed, ran) = passed_of(results.iter().copied());
        let style = if passed == ran { GOOD } else { BAD };
        write!(
            out,
            "{:width$}  {style}{passed:>3} of {ran:>3} passed{style:#}",
            chapter.title
        )?;
        if count(Outcome::Skip) > 0 {
            write!(out, "  {DIM}{} skipped{DIM:#}", count(Outcome::Skip))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_diagnoses(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    if report.diagnoses.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    writeln!(out, "{BOLD}what seems to be wrong{BOLD:#}")?;
    for diagnosis in &report.diagnoses {
        writeln!(
            out,
            "  {NOTE}{}{NOTE:#}: {}",
            diagnosis.certainty.name(),
            diagnosis.sentence
        )?;
    }
    Ok(())
}

fn write_verdict(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    let verdict = report.verdict();
    let (_, ran) = passed_of(&report.results);
    let style = if verdict.conformant { GOOD } else { BAD };
    writeln!(out)?;
    writeln!(
        out,
        "{ran} cases, {} dialect, {:.1} s: {style}{}{style:#}{}",
        report.dialect,
        report.duration.as_secs_f64(),
        verdict.word(),
        verdict.remarks
    )?;
    if report.count(Outcome::Xfail) > 0 {
        writeln!(
            out,
            "{} cases fail as the baseline says",
            report.count(Outcome::Xfail)
        )?;
    }
    for stale in &report.stale {
        writeln!(out, "{BAD}stale baseline{BAD:#}: {stale}")?;
    }
    if !report.selection.is_empty() {
        writeln!(out, "only a part was run: {}", report.selection)?;
    }
    let mut clauses: Vec<(&str, Level)> = report
        .results
        .iter()
        .filter(|result| result.outcome.is_failure() && result.case.clause.level != Level::May)
        .map(|result| (result.case.clause.slug.as_str(), result.case.clause.level))
        .collect();
    clauses.dedup();
    if !clauses.is_empty() {
        writeln!(out, "clauses that fail:")?;
    }
    for (slug, level) in clauses {
        writeln!(out, "  {level:6} {slug}")?;
    }
    Ok(())
}

//! What exploring came to, for people and for programs.

use std::fmt::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::coverage::Coverage;
use super::examine::{Finding, Flaky};
use super::explore::Verdict;
use crate::dialect::Dialect;
use crate::runner::Outcome;
use crate::spec::Level;
use crate::trace::Event;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const NOTE: Style = AnsiColor::Yellow.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// The version of the form for programs; it changes when a field changes its meaning or goes.
const VERSION: u32 = 1;

/// The results of exploring.
#[derive(Debug)]
pub struct Exploration {
    /// The server, as the user named it.
    pub target: String,
    /// The dialect that it was taken to speak.
    pub dialect: Dialect,
    /// What the cases were drawn from.
    pub seed: u64,
    /// One for each property.
    pub verdicts: Vec<Verdict>,
}

impl Exploration {
    /// The properties of a level that do not hold, or not always.
    pub fn failures(&self, level: Level) -> impl Iterator<Item = &Verdict> {
        let of_level = move |verdict: &&Verdict| verdict.property.level == level;
        self.verdicts
            .iter()
            .filter(of_level)
            .filter(|verdict| verdict.fails())
    }

    /// Whether a failure was that the server process ended.
    pub fn has_crashed(&self) -> bool {
        let crashed = |finding: &Finding| finding.attempt.outcome == Outcome::Crash;
        self.verdicts
            .iter()
            .any(|verdict| verdict.finding.as_ref().is_some_and(crashed))
    }

    fn cases(&self) -> u64 {
        self.verdicts.iter().map(|verdict| verdict.cases).sum()
    }

    fn seconds(&self) -> f64 {
        self.verdicts
            .iter()
            .map(|verdict| verdict.duration.as_secs_f64())
            .sum()
    }

    fn rate(&self) -> f64 {
        self.cases() as f64 / self.seconds().max(1e-3)
    }

    fn coverage(&self) -> Coverage {
        let mut coverage = Coverage::default();
        for verdict in &self.verdicts {
            coverage.merge(&verdict.coverage);
        }
        coverage
    }
}

impl Verdict {
    /// Whether the property does not hold, or not always.
    pub fn fails(&self) -> bool {
        self.finding.is_some() || self.flaky.is_some()
    }

    fn outcome(&self) -> &'static str {
        match (&self.finding, &self.flaky) {
            (Some(finding), _) => finding.attempt.outcome.name(),
            (None, Some(_)) => "flaky",
            (None, None) => "pass",
        }
    }
}

/// The report for people. Styled.
pub fn human(exploration: &Exploration) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_human(exploration, &mut text);
    text
}

fn write_human(exploration: &Exploration, out: &mut String) -> fmt::Result {
    for verdict in &exploration.verdicts {
        match (&verdict.finding, &verdict.flaky) {
            (Some(finding), _) => write_finding(finding, out)?,
            (None, Some(flaky)) => write_flaky(verdict, flaky, out)?,
            (None, None) => {}
        }
    }
    for verdict in &exploration.verdicts {
        let style = match (verdict.fails(), verdict.property.level) {
            (false, _) => GOOD,
            (true, Level::Must) => BAD,
            (true, _) => NOTE,
        };
        write!(
            out,
            "{style}{:7}{style:#} {:6} {:13} {:>6} cases",
            verdict.outcome(),
            verdict.property.level,
            verdict.property.name,
            verdict.cases
        )?;
        if let Some(finding) = &verdict.finding {
            write!(out, "  most likely `{}`", finding.clause)?;
        }
        if verdict.inconclusive > 0 {
            write!(
                out,
                "  {DIM}{} say nothing: the server fails them in any form{DIM:#}",
                verdict.inconclusive
            )?;
        }
        writeln!(out)?;
    }
    write_coverage(&exploration.coverage(), out)?;
    write_verdict(exploration, out)
}

fn write_finding(finding: &Finding, out: &mut String) -> fmt::Result {
    write!(out, "{}", finding.attempt.told)?;
    match &finding.saved {
        Some(path) => writeln!(out, "  saved in {}", path.display())?,
        None => writeln!(
            out,
            "  {DIM}with --save DIR the transcript is kept in DIR{DIM:#}"
        )?,
    }
    writeln!(out)
}

fn write_flaky(verdict: &Verdict, flaky: &Flaky, out: &mut String) -> fmt::Result {
    let property = verdict.property;
    writeln!(
        out,
        "{NOTE}FLAKY{NOTE:#} {BOLD}property.{}{BOLD:#}",
        property.name
    )?;
    writeln!(
        out,
        "  {} of {} cases failed in a way that did not repeat; the first is case {}",
        flaky.cases, verdict.cases, flaky.number
    )?;
    for (what, attempt) in [
        ("it failed", &flaky.failed),
        ("the same again", &flaky.again),
    ] {
        writeln!(out)?;
        match &attempt.failure {
            None => writeln!(out, "  {BOLD}{what}{BOLD:#}: {}", attempt.outcome.name())?,
            Some(failure) => {
                let (expected, received) = (&failure.expected, &failure.received);
                writeln!(
                    out,
                    "  {BOLD}{what}{BOLD:#}: {expected} was due, {received} came"
                )?;
            }
        }
        for event in &attempt.trace {
            writeln!(out, "    {event}")?;
        }
    }
    writeln!(out)
}

fn write_coverage(coverage: &Coverage, out: &mut String) -> fmt::Result {
    writeln!(out)?;
    let counts = coverage
        .counts
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"));
    writeln!(out, "sent: {}", counts.collect::<Vec<_>>().join(", "))?;
    write!(
        out,
        "{} cases with several sessions, up to {} values in one",
        coverage.interleaved, coverage.longest
    )?;
    if let Some((least, most)) = coverage.magnitudes {
        write!(out, ", of magnitudes from {least:e} to {most:e}")?;
    }
    writeln!(out)
}

fn write_verdict(exploration: &Exploration, out: &mut String) -> fmt::Result {
    write!(
        out,
        "{} cases of seed {}, {} dialect, {:.1} s, {:.0} cases/s: ",
        exploration.cases(),
        exploration.seed,
        exploration.dialect,
        exploration.seconds(),
        exploration.rate()
    )?;
    let must = exploration.failures(Level::Must).count();
    let should = exploration.failures(Level::Should).count();
    match (must, should) {
        (0, 0) => writeln!(out, "{GOOD}every property holds{GOOD:#}"),
        (0, should) => writeln!(out, "{NOTE}{should} SHOULD properties do not hold{NOTE:#}"),
        (must, 0) => writeln!(
            out,
            "{BOLD}{BAD}{must} MUST properties do not hold{BAD:#}{BOLD:#}"
        ),
        (must, should) => {
            writeln!(
                out,
                "{BAD}{must} MUST and {should} SHOULD properties do not hold{BAD:#}"
            )
        }
    }
}

/// The report for programs.
pub fn json(exploration: &Exploration) -> Value {
    let coverage = exploration.coverage();
    json!({
        "version": VERSION,
        "target": exploration.target,
        "dialect": exploration.dialect,
        "seed": exploration.seed,
        "cases": exploration.cases(),
        "duration_ms": exploration.seconds() * 1e3,
        "cases_per_second": exploration.rate(),
        "coverage": {
            "sent": coverage.counts,
            "interleaved": coverage.interleaved,
            "longest_session": coverage.longest,
            "magnitudes": coverage.magnitudes,
        },
        "properties": exploration.verdicts.iter().map(verdict).collect::<Vec<_>>(),
    })
}

fn verdict(verdict: &Verdict) -> Value {
    json!({
        "name": verdict.property.name,
        "level": verdict.property.level,
        "outcome": verdict.outcome(),
        "cases": verdict.cases,
        "inconclusive": verdict.inconclusive,
        "duration_ms": verdict.duration.as_secs_f64() * 1e3,
        "finding": verdict.finding.as_ref().map(|finding| json!({
            "clause": finding.clause,
            "case": finding.number,
            "transcript": finding.transcript,
            "expected": finding.attempt.failure.as_ref().map(|failure| &failure.expected),
            "received": finding.attempt.failure.as_ref().map(|failure| &failure.received),
            "trace": events(&finding.attempt.trace),
            "saved": finding.saved,
        })),
        "flaky": verdict.flaky.as_ref().map(|flaky| json!({
            "case": flaky.number,
            "cases": flaky.cases,
            "failed": events(&flaky.failed.trace),
            "again": events(&flaky.again.trace),
        })),
    })
}

fn events(trace: &[Event]) -> Vec<String> {
    trace.iter().map(ToString::to_string).collect()
}

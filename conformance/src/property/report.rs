//! What exploring came to, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::catalogue::Property;
use super::coverage::Coverage;
use super::examine::{Finding, Flaky};
use super::executor::{Attempt, Subject, Trial};
use super::explore::Verdict;
use super::regressions;
use crate::compare::Agreement;
use crate::dialect::Dialect;
use crate::report::{human, words};
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

/// A server that was tried.
#[derive(Clone, Debug)]
pub struct Server {
    /// The server, as the user named it.
    pub target: String,
    /// The dialect that it was taken to speak.
    pub dialect: Dialect,
    /// The arguments that reach it again, for reproducing a failure.
    pub reach: String,
}

/// The results of exploring.
#[derive(Debug)]
pub struct Exploration {
    /// The servers, one or two.
    pub servers: Vec<Server>,
    /// What the cases were drawn from.
    pub seed: u64,
    /// One for each property.
    pub verdicts: Vec<Verdict>,
}

impl Exploration {
    /// The results of exploring these servers.
    pub fn new(subjects: &[Subject], seed: u64, verdicts: Vec<Verdict>) -> Exploration {
        let server = |subject: &Subject| Server {
            target: subject.target.to_string(),
            dialect: subject.settings.profile.dialect,
            reach: subject.reach.clone(),
        };
        Exploration {
            servers: subjects.iter().map(server).collect(),
            seed,
            verdicts,
        }
    }

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
        let crashed = |trial: &Trial| trial.outcome == Outcome::Crash;
        let findings = self.verdicts.iter().flat_map(|verdict| &verdict.findings);
        findings
            .flat_map(|finding| &finding.attempt.trials)
            .any(crashed)
    }

    /// Whether one server is right and the other is not, by any property, or one is so at times.
    pub fn differs(&self) -> bool {
        let decides = |finding: &Finding| {
            let agreement = finding.attempt.agreement();
            agreement.is_some_and(Agreement::is_difference)
        };
        let mut verdicts = self.verdicts.iter();
        verdicts.any(|verdict| verdict.flaky.is_some() || verdict.findings.iter().any(decides))
    }

    /// The dialects in words.
    fn dialects(&self) -> String {
        let of = |server: &Server| server.dialect.name();
        let dialects: BTreeSet<_> = self.servers.iter().map(of).collect();
        let names: Vec<_> = dialects.into_iter().collect();
        match names.as_slice() {
            [name] => format!("{name} dialect"),
            names => format!("{} dialects", names.join(" and ")),
        }
    }

    /// What the servers are called, in order.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        ["A", "B"].into_iter()
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
        !self.findings.is_empty() || self.flaky.is_some()
    }

    /// Whether a failure that comes and goes is not one that was found to stay.
    fn is_flaky_only(&self) -> bool {
        self.is_of_two() || self.findings.is_empty()
    }

    /// Whether there were two servers.
    fn is_of_two(&self) -> bool {
        self.servers > 1
    }

    fn outcome(&self) -> &'static str {
        let mut findings = self.findings.iter();
        let failed = findings.find_map(|finding| finding.attempt.failed());
        match (failed, &self.flaky, self.findings.is_empty()) {
            (Some(trial), ..) => trial.outcome.name(),
            (None, Some(_), _) => "flaky",
            (None, None, false) => "differ",
            (None, None, true) => "pass",
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
        for finding in &verdict.findings {
            write_finding(exploration, verdict.property, finding, out)?;
        }
        if let (true, Some(flaky)) = (verdict.is_flaky_only(), &verdict.flaky) {
            write_flaky(exploration, verdict, flaky, out)?;
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
        for finding in &verdict.findings {
            if let Some(agreement) = finding.attempt.agreement() {
                write!(out, "  {}", agreement.name())?;
            }
            if let Some(clause) = &finding.regression.clause {
                write!(out, "  most likely `{clause}`")?;
            }
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

fn write_finding(
    exploration: &Exploration,
    property: &Property,
    finding: &Finding,
    out: &mut String,
) -> fmt::Result {
    let attempt = &finding.attempt;
    if let Some(agreement) = attempt.agreement() {
        let style = if agreement.is_difference() { BAD } else { NOTE };
        writeln!(
            out,
            "{style}DIFFER{style:#} {BOLD}{}{BOLD:#}",
            agreement.name()
        )?;
        if attempt.failed().is_none() {
            for line in finding.regression.text.lines() {
                writeln!(out, "  {line}")?;
            }
        }
        for (name, trial) in exploration.names().zip(&attempt.trials) {
            write_trial(&format!("{name} by the model"), trial, out)?;
        }
    }
    let spec = regressions::spec(property, std::slice::from_ref(&finding.regression));
    let tried = exploration.servers.iter().zip(&attempt.trials);
    for (name, (server, trial)) in exploration.names().zip(tried) {
        let Some(case) = spec.cases().next().filter(|_| trial.failure.is_some()) else {
            continue;
        };
        if attempt.trials.len() > 1 {
            writeln!(out, "{BOLD}{name}{BOLD:#}")?;
        }
        let mut text = Vec::new();
        // Writing to a Vec cannot fail.
        let _ = human::write_failure(&trial.result(case), &server.reach, &mut text);
        write!(out, "{}", String::from_utf8_lossy(&text))?;
    }
    match &finding.saved {
        Some(path) => writeln!(out, "  saved in {}", path.display())?,
        None if attempt.failed().is_none() => {}
        None => writeln!(
            out,
            "  {DIM}with --save DIR the transcript is kept in DIR{DIM:#}"
        )?,
    }
    writeln!(out)
}

fn write_flaky(
    exploration: &Exploration,
    verdict: &Verdict,
    flaky: &Flaky,
    out: &mut String,
) -> fmt::Result {
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
        for (name, trial) in exploration.names().zip(&attempt.trials) {
            let what = match attempt.trials.len() {
                1 => what.to_owned(),
                _ => format!("{what}, {name}"),
            };
            write_trial(&what, trial, out)?;
        }
    }
    writeln!(out)
}

fn write_trial(what: &str, trial: &Trial, out: &mut String) -> fmt::Result {
    writeln!(out)?;
    match &trial.failure {
        None => writeln!(out, "  {BOLD}{what}{BOLD:#}: {}", trial.outcome.name())?,
        Some(failure) => {
            let (expected, received) = (words::expected(failure), words::received(failure));
            writeln!(
                out,
                "  {BOLD}{what}{BOLD:#}: expected {expected}, received {received}"
            )?;
        }
    }
    for event in &trial.trace {
        writeln!(out, "    {event}")?;
    }
    Ok(())
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
    if let Some((min, max)) = coverage.magnitudes {
        write!(out, ", of magnitudes from {min:e} to {max:e}")?;
    }
    writeln!(out)
}

fn write_verdict(exploration: &Exploration, out: &mut String) -> fmt::Result {
    write!(
        out,
        "{} cases of seed {}, {}, {:.1} s, {:.0} cases/s: ",
        exploration.cases(),
        exploration.seed,
        exploration.dialects(),
        exploration.seconds(),
        exploration.rate()
    )?;
    if exploration.servers.len() > 1 {
        return write_agreements(exploration, out);
    }
    let must = exploration.failures(Level::Must).count();
    let should = exploration.failures(Level::Should).count();
    let (style, text) = match (must, should) {
        (0, 0) => (GOOD, "every property holds".to_owned()),
        (0, _) => (NOTE, format!("{should} SHOULD properties do not hold")),
        (_, 0) => (BAD, format!("{must} MUST properties do not hold")),
        _ => (
            BAD,
            format!("{must} MUST and {should} SHOULD properties do not hold"),
        ),
    };
    writeln!(out, "{style}{text}{style:#}")
}

/// How many properties have shown which agreements.
fn write_agreements(exploration: &Exploration, out: &mut String) -> fmt::Result {
    let verdicts = &exploration.verdicts;
    let findings = verdicts.iter().flat_map(|verdict| &verdict.findings);
    let mut counts: BTreeMap<Agreement, usize> = BTreeMap::new();
    for agreement in findings.filter_map(|finding| finding.attempt.agreement()) {
        *counts.entry(agreement).or_default() += 1;
    }
    let name = |(agreement, count): (Agreement, usize)| {
        format!("{} ({count} properties)", agreement.name())
    };
    let flaky = verdicts.iter().find_map(|verdict| verdict.flaky.as_ref());
    let flaky = flaky.map(|_| "flaky".to_owned());
    let all: Vec<_> = counts.into_iter().map(name).chain(flaky).collect();
    let (style, text) = match (all.is_empty(), exploration.differs()) {
        (true, _) => (GOOD, "same".to_owned()),
        (false, true) => (BAD, all.join(", ")),
        (false, false) => (NOTE, all.join(", ")),
    };
    writeln!(out, "{style}{text}{style:#}")
}

/// The report for programs.
pub fn json(exploration: &Exploration) -> Value {
    let coverage = exploration.coverage();
    let mut report = json!({
        "version": VERSION,
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
    });
    match exploration.servers.as_slice() {
        [server] => {
            report["target"] = json!(server.target);
            report["dialect"] = json!(server.dialect);
        }
        servers => {
            for (server, name) in servers.iter().zip(["a", "b"]) {
                report[name] = json!({ "target": server.target, "dialect": server.dialect });
            }
        }
    }
    report
}

fn verdict(verdict: &Verdict) -> Value {
    let mut report = json!({
        "name": verdict.property.name,
        "level": verdict.property.level,
        "outcome": verdict.outcome(),
        "cases": verdict.cases,
        "inconclusive": verdict.inconclusive,
        "duration_ms": verdict.duration.as_secs_f64() * 1e3,
        "flaky": verdict.flaky.as_ref().map(|flaky| json!({
            "case": flaky.number,
            "cases": flaky.cases,
            "failed": traces(&flaky.failed),
            "again": traces(&flaky.again),
        })),
    });
    let findings = || verdict.findings.iter().map(finding);
    if verdict.is_of_two() {
        report["findings"] = findings().collect();
    } else {
        report["finding"] = findings().next().unwrap_or_default();
    }
    report
}

fn finding(finding: &Finding) -> Value {
    let mut report = json!({
        "clause": finding.regression.clause,
        "case": finding.number,
        "transcript": finding.regression.text,
        "saved": finding.saved,
    });
    let of = |trial: &Trial| {
        let failure = trial.failure.as_ref();
        json!({
            "outcome": trial.outcome,
            "expected": failure.map(words::expected),
            "received": failure.map(words::received),
            "trace": events(&trial.trace),
        })
    };
    let attempt = &finding.attempt;
    match (attempt.agreement(), attempt.trials.as_slice()) {
        (Some(agreement), [a, b]) => {
            report["agreement"] = json!(agreement.key());
            report["a"] = of(a);
            report["b"] = of(b);
        }
        (_, trials) => {
            if let (Some(Value::Object(trial)), Some(report)) =
                (trials.first().map(of), report.as_object_mut())
            {
                report.extend(trial);
            }
        }
    }
    report
}

/// What went over the wire: of one server, or of two by their names.
fn traces(attempt: &Attempt) -> Value {
    match attempt.trials.as_slice() {
        [a, b] => json!({ "a": events(&a.trace), "b": events(&b.trace) }),
        trials => json!(trials.first().map(|trial| events(&trial.trace))),
    }
}

fn events(trace: &[Event]) -> Vec<String> {
    trace.iter().map(ToString::to_string).collect()
}

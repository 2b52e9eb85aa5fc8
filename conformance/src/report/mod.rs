//! What a run came to, and how it is told.
//!
//! Every form is made from the same [`Report`] and tells the same verdict. What a form without levels (JUnit, TAP) makes of a case follows from its
//! [`Standing`]: it shows a failure exactly where the verdict counts one.

#[cfg(feature = "cli")]
mod form;
#[cfg(feature = "cli")]
pub mod html;
pub mod human;
pub mod json;
#[cfg(feature = "cli")]
pub mod junit;
#[cfg(feature = "cli")]
pub mod markdown;
pub mod tap;
pub mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::baseline::Stale;
use crate::diagnose::Diagnosis;
use crate::dialect::Dialect;
use crate::runner::{CaseResult, Outcome};
use crate::spec::Level;

#[cfg(feature = "cli")]
pub use form::{Form, render};

/// The results of a run.
#[derive(Debug)]
pub struct Report<'a> {
    /// The server, as the user named it.
    pub target: String,
    /// The arguments that reach it again, for reproducing a failure.
    pub reach: String,
    /// The dialect that it was taken to speak.
    pub dialect: Dialect,
    /// One result a case, in the order of the specification.
    pub results: Vec<CaseResult<'a>>,
    /// Where the results and the baseline disagree.
    pub stale: Vec<Stale>,
    /// What seems to be wrong with the server, in sentences.
    pub diagnoses: Vec<Diagnosis>,
    /// What was left out, in the words of the command line; empty if nothing was.
    pub selection: String,
    /// Whether SHOULD counts as MUST.
    pub strict: bool,
    /// How long all took.
    pub duration: Duration,
}

/// How a result counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The server did what the case demands.
    Good,
    /// It did not, or not as the baseline says, and that decides the verdict.
    Bad,
    /// It did not, but nobody has to: the case is of a level that does not bind.
    Observed,
    /// It did not, as the baseline says.
    Expected,
    /// The case was not run.
    Skipped,
}

/// What all results together say about the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it conforms.
    pub conformant: bool,
    /// The rest of the sentence that begins with `conformant` or `not conformant`: what fails all the same. May be empty.
    pub remarks: String,
}

impl<'a> Report<'a> {
    /// How many cases came to each outcome.
    pub fn summary(&self) -> BTreeMap<&'static str, usize> {
        let mut summary: BTreeMap<_, _> = Outcome::ALL.map(|outcome| (outcome.name(), 0)).into();
        for result in &self.results {
            *summary.entry(result.outcome.name()).or_default() += 1;
        }
        summary
    }

    /// How many cases came to an outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.results
            .iter()
            .filter(|result| result.outcome == outcome)
            .count()
    }

    /// Whether the server does what it has to.
    pub fn is_conformant(&self) -> bool {
        let failed = |result: &CaseResult<'_>| result.outcome.is_failure();
        !self
            .results
            .iter()
            .any(|result| failed(result) && self.binds(result.case.clause.level))
    }

    /// The failed cases of a level.
    pub fn failures(&self, level: Level) -> impl Iterator<Item = &CaseResult<'a>> {
        self.results
            .iter()
            .filter(move |result| result.case.clause.level == level && result.outcome.is_failure())
    }

    /// Whether the verdict depends on the cases of a level.
    pub fn binds(&self, level: Level) -> bool {
        level == Level::Must || self.strict && level == Level::Should
    }

    /// How a result counts.
    pub fn standing(&self, result: &CaseResult<'_>) -> Standing {
        match result.outcome {
            Outcome::Pass => Standing::Good,
            Outcome::Skip => Standing::Skipped,
            Outcome::Xfail => Standing::Expected,
            // Neither is excused by the level of its clause: the one makes the baseline stale, the other ends the server for everybody.
            Outcome::Xpass | Outcome::Crash => Standing::Bad,
            _ if self.binds(result.case.clause.level) => Standing::Bad,
            _ => Standing::Observed,
        }
    }

    /// The results that decide against the server, in order.
    pub fn bad(&self) -> impl Iterator<Item = &CaseResult<'a>> {
        self.results
            .iter()
            .filter(|result| self.standing(result) == Standing::Bad)
    }

    /// The results of each chapter, in order; chapters without any are left out.
    pub fn chapters(&self) -> impl Iterator<Item = &[CaseResult<'a>]> {
        self.results
            .chunk_by(|a, b| std::ptr::eq(a.case.chapter, b.case.chapter))
    }

    /// What all results together say about the server.
    pub fn verdict(&self) -> Verdict {
        let failed = |level| self.failures(level).count();
        let cases = |count, level: Level| match count {
            1 => format!("1 {level} case fails"),
            count => format!("{count} {level} cases fail"),
        };
        let conformant = self.is_conformant();
        let mut remarks = match (failed(Level::Must), failed(Level::Should)) {
            (0, 0) => String::new(),
            (0, should) if conformant => format!(", but {}", cases(should, Level::Should)),
            (0, should) => format!(", {}", cases(should, Level::Should)),
            (must, 0) => format!(", {}", cases(must, Level::Must)),
            (must, should) => format!(", {must} MUST and {should} SHOULD cases fail"),
        };
        let may = failed(Level::May);
        if may > 0 {
            remarks.push_str(&format!(
                " ({may} MAY cases seen otherwise, which is right too)"
            ));
        }
        if !self.stale.is_empty() {
            remarks.push_str("; the baseline is stale");
        }
        Verdict {
            conformant,
            remarks,
        }
    }
}

impl Verdict {
    /// The verdict in words.
    pub fn word(&self) -> &'static str {
        if self.conformant {
            "conformant"
        } else {
            "not conformant"
        }
    }
}

/// How many of some results passed, and how many were run.
pub fn passed_of<'a>(results: impl IntoIterator<Item = &'a CaseResult<'a>>) -> (usize, usize) {
    let mut counts = (0, 0);
    for result in results {
        counts.0 += usize::from(result.outcome == Outcome::Pass);
        counts.1 += usize::from(result.outcome != Outcome::Skip);
    }
    counts
}

/// A line of a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkedLine<'a> {
    /// Its number in the chapter, counted from 1.
    pub number: usize,
    /// Its text.
    pub text: &'a str,
    /// Whether the step on it failed.
    pub failing: bool,
}

/// The transcript of a case with the failing line marked.
pub fn marked_lines<'a>(result: &CaseResult<'a>) -> impl Iterator<Item = MarkedLine<'a>> {
    let case = result.case;
    let step = result.failure.as_ref().map(|failure| &failure.step);
    let failing = step
        .filter(|step| !step.is_empty())
        .map(|step| case.line_of(step.start));
    let first = case.line_of(0);
    case.case
        .text
        .lines()
        .zip(first..)
        .map(move |(text, number)| MarkedLine {
            number,
            text,
            failing: failing == Some(number),
        })
}

/// What was expected and what came, on one line.
fn in_short(result: &CaseResult<'_>) -> String {
    match (&result.failure, &result.reason) {
        (Some(failure), _) => {
            let mut text = format!(
                "expected {}, received {}",
                words::expected(failure),
                words::received(failure)
            );
            let why = words::why(failure);
            if !why.is_empty() {
                text.push_str(&format!(": {why}"));
            }
            text
        }
        (None, Some(reason)) => reason.clone(),
        (None, None) => String::new(),
    }
}

/// What a server wrote, so that it does not speak to the reader's terminal or browser.
fn printable(text: &str) -> String {
    let silent = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    text.replace(silent, "\u{fffd}")
}

/// The command that runs a case again.
pub fn again(reach: &str, id: &str) -> String {
    match reach {
        "" => format!("meta-stats-conformance run --select {id}"),
        reach => format!("meta-stats-conformance run {reach} --select {id}"),
    }
}

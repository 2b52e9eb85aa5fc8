//! What a run came to, and how it is told.

pub mod human;
pub mod json;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::baseline::Stale;
use crate::diagnose::Diagnosis;
use crate::dialect::Dialect;
use crate::runner::{CaseResult, Outcome};
use crate::spec::Level;

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

impl Report<'_> {
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
        let fails = |level| self.failures(level).next().is_some();
        !(fails(Level::Must) || self.strict && fails(Level::Should))
    }

    /// The failed cases of a level.
    pub fn failures(&self, level: Level) -> impl Iterator<Item = &CaseResult<'_>> {
        self.results
            .iter()
            .filter(move |result| result.case.clause.level == level && result.outcome.is_failure())
    }
}

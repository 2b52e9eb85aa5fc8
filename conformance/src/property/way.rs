//! In which way something failed: what makes two failures the same.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::judge::{Demand, Demanded, Mismatch, Part};
use crate::model::{Asked, Request};
use crate::plan::{Operation, PlannedStep, plan};
use crate::runner::{Failure, Outcome};
use crate::transcript::Transcript;

/// What an expectation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The reply to `count`.
    Count,
    /// The reply to `sum`.
    Sum,
    /// The reply to `mean`.
    Mean,
    /// The reply to `stddev`.
    Stddev,
    /// The exit line.
    Exit,
    /// An error line.
    Error,
    /// The line of the secondary port.
    Means,
    /// Of that line, only the deviation; no expectation waits for it alone.
    MeansStddev,
    /// The end of the stream.
    Eof,
}

/// In which way something failed, or two servers differ. Shrinking keeps to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    trials: Vec<Option<Fault>>,
    /// Whether two servers differ, although both are right.
    differ: bool,
}

/// In which way a trial failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    outcome: Outcome,
    due: Option<Due>,
    /// Which number of a line with several is wrong.
    number: Option<Part>,
}

impl Way {
    /// The way in which trials failed, or two differ; none where neither is so.
    pub(super) fn new(trials: Vec<Option<Fault>>, differ: bool) -> Option<Way> {
        let fails = trials.iter().any(Option::is_some);
        let differ = !fails && differ;
        (fails || differ).then_some(Way { trials, differ })
    }

    /// What the failing step waited for, on the first server that failed.
    pub fn due(&self) -> Option<Due> {
        self.fault()?.due
    }

    /// The same, or what asks for the one number of it that is wrong.
    pub fn wrong(&self) -> Option<Due> {
        let fault = self.fault()?;
        match (fault.due, fault.number) {
            (Some(Due::Exit), Some(Part::Count)) => Some(Due::Count),
            (Some(Due::Exit), Some(Part::Mean)) => Some(Due::Mean),
            (Some(Due::Exit), Some(Part::Stddev)) => Some(Due::Stddev),
            (Some(Due::Means), Some(Part::Stddev)) => Some(Due::MeansStddev),
            (due, _) => due,
        }
    }

    /// Whether a server is wrong; if not, there are two and they differ.
    pub fn fails(&self) -> bool {
        !self.differ
    }

    fn fault(&self) -> Option<&Fault> {
        self.trials.iter().flatten().next()
    }
}

impl Fault {
    pub(super) fn new(failure: &Failure, due: Option<Due>) -> Fault {
        let number = match failure.mismatch {
            Some(Mismatch::Number(part, _)) => Some(part),
            _ => None,
        };
        Fault {
            outcome: failure.outcome,
            // A server that has ended fails wherever the client happens to be.
            due: due.filter(|_| failure.outcome != Outcome::Crash),
            number,
        }
    }
}

/// What a step of a transcript waits for, if it waits.
pub(super) fn due(transcript: &Transcript, step: &Range<usize>) -> Option<Due> {
    let plan = plan(transcript, None, &BTreeMap::new()).ok()?;
    due_of(demand_of(&plan.steps, step)?)
}

fn demand_of<'a>(steps: &'a [PlannedStep], span: &Range<usize>) -> Option<&'a Demand> {
    steps.iter().find_map(|step| match &step.operation {
        Operation::Expect(demand) if step.span == *span => Some(demand),
        Operation::Together(lanes) => lanes.iter().find_map(|lane| demand_of(lane, span)),
        _ => None,
    })
}

fn due_of(demand: &Demand) -> Option<Due> {
    let request = match &demand.asked {
        Some(Asked::Session { request, .. }) => Some(request),
        _ => None,
    };
    Some(match (&demand.what, request) {
        (Demanded::Count(_), _) => Due::Count,
        (Demanded::Quantity(_), Some(Request::Sum)) => Due::Sum,
        (Demanded::Quantity(_), Some(Request::Mean)) => Due::Mean,
        (Demanded::Quantity(_), Some(Request::Stddev)) => Due::Stddev,
        (Demanded::Exit { .. }, _) => Due::Exit,
        (Demanded::Error, _) => Due::Error,
        (Demanded::Means(_), _) => Due::Means,
        (Demanded::Eof, _) => Due::Eof,
        _ => return None,
    })
}

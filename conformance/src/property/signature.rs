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
pub enum ReplyKind {
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

/// In which way each server failed. Where none did, two servers differ although both are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureSignature(pub(super) Vec<Option<TrialSignature>>);

/// In which way one server failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrialSignature {
    outcome: Outcome,
    reply: Option<ReplyKind>,
    /// Which number of the line is wrong.
    number: Option<Part>,
}

impl FailureSignature {
    /// Of the first server that failed.
    fn first(&self) -> Option<&TrialSignature> {
        self.0.iter().flatten().next()
    }

    /// What the failing step waited for.
    pub fn reply(&self) -> Option<ReplyKind> {
        self.first()?.reply
    }

    /// The same, or what asks for the one number of it that is wrong.
    pub fn wrong(&self) -> Option<ReplyKind> {
        let TrialSignature { reply, number, .. } = self.first()?;
        Some(match (reply.as_ref()?, number) {
            (ReplyKind::Exit, Some(Part::Count)) => ReplyKind::Count,
            (ReplyKind::Exit, Some(Part::Mean)) => ReplyKind::Mean,
            (ReplyKind::Exit, Some(Part::Stddev)) => ReplyKind::Stddev,
            (ReplyKind::Means, Some(Part::Stddev)) => ReplyKind::MeansStddev,
            (reply, _) => *reply,
        })
    }

    /// Whether a server is wrong; if not, there are two and they differ.
    pub fn fails(&self) -> bool {
        self.first().is_some()
    }
}

impl TrialSignature {
    pub(super) fn new(failure: &Failure, reply: Option<ReplyKind>) -> TrialSignature {
        TrialSignature {
            outcome: failure.outcome,
            // A server that has ended fails wherever the client happens to be.
            reply: reply.filter(|_| failure.outcome != Outcome::Crash),
            number: match failure.mismatch {
                Some(Mismatch::Number(part, _)) => Some(part),
                _ => None,
            },
        }
    }
}

/// What a step of a transcript waits for, if it waits.
pub(super) fn reply(transcript: &Transcript, step: &Range<usize>) -> Option<ReplyKind> {
    let plan = plan(transcript, None, &BTreeMap::new()).ok()?;
    kind(demand(&plan.steps, step)?)
}

fn demand<'a>(steps: &'a [PlannedStep], span: &Range<usize>) -> Option<&'a Demand> {
    steps.iter().find_map(|step| match &step.operation {
        Operation::Expect(demand) if step.span == *span => Some(demand),
        Operation::Together(lanes) => lanes.iter().find_map(|lane| demand(lane, span)),
        _ => None,
    })
}

fn kind(demand: &Demand) -> Option<ReplyKind> {
    let request = match &demand.asked {
        Some(Asked::Session { request, .. }) => Some(request),
        _ => None,
    };
    Some(match (&demand.what, request) {
        (Demanded::Count(_), _) => ReplyKind::Count,
        (Demanded::Quantity(_), Some(Request::Sum)) => ReplyKind::Sum,
        (Demanded::Quantity(_), Some(Request::Mean)) => ReplyKind::Mean,
        (Demanded::Quantity(_), Some(Request::Stddev)) => ReplyKind::Stddev,
        (Demanded::Exit { .. }, _) => ReplyKind::Exit,
        (Demanded::Error, _) => ReplyKind::Error,
        (Demanded::Means(_), _) => ReplyKind::Means,
        (Demanded::Eof, _) => ReplyKind::Eof,
        _ => return None,
    })
}

//! From a transcript to what the runner does: connections resolved, blocks unrolled, and every expectation turned into a demand that the
//! reference model has worked out. A transcript whose own numbers are wrong, or that waits for a reply to nothing, has no plan.

mod blocks;
mod expect;
mod planner;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::dialect::Dialect;
use crate::judge::Demand;
use crate::transcript::{Check, Port, SyntaxError, Transcript};

use planner::Planner;

/// What to do for one case.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<PlannedStep>,
    /// Whether a session ends with a mean that is undefined, or so large that a server which adds up
    /// squares in double precision has no digits left for the means of later sessions.
    pub leaves_extreme: bool,
    /// Clauses on which the expectations depend although they are no MUST.
    pub free_clauses: BTreeSet<&'static str>,
}

/// One thing to do.
#[derive(Clone, Debug)]
pub struct PlannedStep {
    /// The step of the transcript that it comes from.
    pub span: Range<usize>,
    /// The connection it is about: each opening gets a number of its own.
    pub connection: usize,
    /// What to do.
    pub operation: Operation,
}

/// What to do with a connection.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Connect; the name is for the trace.
    Open {
        /// The port.
        port: Port,
        /// What the transcript calls the connection.
        name: String,
    },
    /// Send octets.
    Send(Arc<[u8]>),
    /// Receive, and judge.
    Expect(Demand),
    /// Wait.
    Pause(Duration),
    /// End the sending direction.
    HalfClose,
    /// Close.
    Close,
    /// Abort.
    Reset,
    /// Look at the process, or do something to it.
    Process(Check),
    /// Run lists of steps at the same time; no connection is in two of them.
    Together(Vec<Vec<PlannedStep>>),
    /// Follow the first list whose first demand accepts the next line.
    Either(Vec<Vec<PlannedStep>>),
}

/// Steps of one plan after unrolling; more belong into a load generator.
const MOST_STEPS: usize = 1_000_000;

/// Octets that one plan sends, in MiB. They are all held at once, by each job, and the model holds many times as much for what they ask.
const MOST_MEBIOCTETS: usize = 32;

/// Makes the plan of a transcript.
///
/// # Errors
/// Everything that is wrong with it, in the order of the steps.
pub fn plan(
    transcript: &Transcript,
    dialect: Option<Dialect>,
    data: &BTreeMap<String, Vec<u8>>,
) -> Result<Plan, Vec<SyntaxError>> {
    Planner::new(dialect, data).plan(transcript)
}

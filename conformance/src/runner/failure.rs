//! Where and how a case failed, as data; [`crate::report`] has the words.

use std::net::SocketAddr;
use std::ops::Range;
use std::process::ExitStatus;
use std::time::Duration;

use super::Outcome;
use crate::client::End;
use crate::judge::{Demanded, Mismatch};
use crate::transcript::Check;

/// Where and how a case failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The kind of failure; never a pass.
    pub outcome: Outcome,
    /// The step that failed, as a range of the transcript's text; empty if it was none of them.
    pub step: Range<usize>,
    /// What the step demanded.
    pub expected: Expected,
    /// What was seen.
    pub observed: Observed,
    /// How a line that came differs from the expected one.
    pub mismatch: Option<Mismatch>,
    /// What came after the time-out: the server is slow, not silent.
    pub late: Option<Late>,
    /// Whether it was on the secondary port.
    pub secondary: bool,
    /// Whether our direction of the connection had ended.
    pub half_closed: bool,
    /// Whether the client had sent what the server need not read.
    pub unread: bool,
}

/// What carrying out a case, or a part of it, comes to.
pub(crate) type StepResult = Result<(), Box<Failure>>;

/// What a step demands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Expected {
    /// A reply, an end of the stream, or nothing.
    Reply(Demanded),
    /// No more lines at the end of the case.
    NothingMore,
    /// A connection to this address.
    Connection(SocketAddr),
    /// Something that is seen of the process of the server.
    Process(Check),
    /// That the server keeps running.
    Running,
    /// That a new session is answered after the case.
    Answer,
    /// That the runner can carry out the case.
    Case,
}

/// What was seen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Observed {
    /// A line, without its LF.
    Line(Vec<u8>),
    /// The end of the stream.
    End {
        /// How it ended.
        end: End,
        /// The bytes before it that make no line.
        rest: Vec<u8>,
    },
    /// Nothing for so long.
    Silence {
        /// The bytes that came and make no line.
        rest: Vec<u8>,
        /// How long the runner waited.
        waited: Duration,
    },
    /// The system's reason why there is no connection.
    NotConnected(String),
    /// A property of the process of the server.
    Process(ProcessState),
    /// The process of the server has ended, with this status.
    Exited(ExitStatus),
    /// No answer on a new connection.
    NoAnswer,
    /// The reason why the runner could not carry out the case; the server is not to blame.
    NotRun(String),
}

impl Observed {
    /// The bytes that came, a line or the beginning of one.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Observed::Line(bytes)
            | Observed::End { rest: bytes, .. }
            | Observed::Silence { rest: bytes, .. } => bytes,
            _ => &[],
        }
    }

    /// Whether bytes came that no LF follows.
    pub fn is_unterminated(&self) -> bool {
        !matches!(self, Observed::Line(_)) && !self.bytes().is_empty()
    }

    /// Whether the server ended the connection in order.
    pub fn is_eof(&self) -> bool {
        matches!(self, Observed::End { end: End::Eof, .. })
    }
}

/// What was seen of the process of a server, against what a check demands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ProcessState {
    /// So many children have ended and are not reaped.
    Zombies(usize),
    /// Children that run.
    Children {
        /// When the case began.
        before: usize,
        /// At the check.
        now: usize,
    },
    /// The most open descriptors that one process has.
    Descriptors {
        /// When the case began.
        before: usize,
        /// At the check.
        now: usize,
    },
    /// A process always runs.
    Busy,
    /// It still runs.
    Running,
    /// So many children still run.
    Orphans(usize),
    /// Why it did not start again.
    NotStarted(String),
}

/// What came after the time-out.
#[derive(Clone, Debug)]
pub struct Late {
    /// What came.
    pub what: Observed,
    /// How long after the step began.
    pub after: Duration,
}

impl Failure {
    /// A failure without a line to compare.
    pub(crate) fn new(
        outcome: Outcome,
        step: Range<usize>,
        expected: Expected,
        observed: Observed,
    ) -> Failure {
        Failure {
            outcome,
            step,
            expected,
            observed,
            mismatch: None,
            late: None,
            secondary: false,
            half_closed: false,
            unread: false,
        }
    }

    /// The case could not be carried out, for this reason.
    pub(crate) fn not_run(reason: String) -> Box<Failure> {
        let observed = Observed::NotRun(reason);
        Box::new(Failure::new(Outcome::Error, 0..0, Expected::Case, observed))
    }

    /// Whether an error line was expected.
    pub fn expects_error(&self) -> bool {
        matches!(self.expected, Expected::Reply(Demanded::Error))
    }

    /// Whether the end of the stream was expected.
    pub fn expects_eof(&self) -> bool {
        matches!(self.expected, Expected::Reply(Demanded::Eof))
    }
}

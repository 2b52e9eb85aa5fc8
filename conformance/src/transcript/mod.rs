//! Transcripts: what a client sends and what it must get back. `spec/transcripts.md` defines the notation.
//!
//! [`parse()`] reads the text between the fences, [`Display`](std::fmt::Display) writes it; reading what was written gives the same transcript,
//! positions aside.

mod parse;
mod print;
mod words;

use std::ops::Range;
use std::time::Duration;

pub use parse::{SyntaxError, parse};
pub(crate) use print::Quoted;

/// A titled sequence of steps.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// One sentence that says what the transcript shows.
    pub title: String,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl Transcript {
    /// Whether any step belongs to a connection to the secondary port.
    pub fn uses_secondary(&self) -> bool {
        self.any_action(|connection, action| {
            connection == "meta" || *action == Action::Open(Port::Secondary)
        })
    }

    /// Whether any step looks at the server as a process.
    pub fn uses_process(&self) -> bool {
        self.any_action(|_, action| matches!(action, Action::Process(_)))
    }

    /// Whether steps of several connections run at the same time.
    pub fn has_concurrent_steps(&self) -> bool {
        any_step(&self.steps, &|kind| {
            matches!(kind, StepKind::Together { .. })
        })
    }

    fn any_action(&self, found: impl Fn(&str, &Action) -> bool) -> bool {
        any_step(&self.steps, &|kind| match kind {
            StepKind::Act { connection, action } => found(connection, action),
            _ => false,
        })
    }
}

/// Whether a step, or one within its blocks, is of this kind.
fn any_step(steps: &[Step], found: &impl Fn(&StepKind) -> bool) -> bool {
    steps.iter().any(|step| {
        found(&step.kind)
            || match &step.kind {
                StepKind::Act { .. } => false,
                StepKind::Repeat { steps, .. } | StepKind::Together { steps } => {
                    any_step(steps, found)
                }
                StepKind::Either { branches } => {
                    branches.iter().any(|steps| any_step(steps, found))
                }
            }
    })
}

/// One step and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// Octet range of the step in the text that was parsed, without comment and line end; of a block, its opening line.
    pub span: Range<usize>,
    /// What to do.
    pub kind: StepKind,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// One action on one connection.
    Act {
        /// The connection; the empty name is the default one.
        connection: String,
        /// The action.
        action: Action,
    },
    /// The steps several times over.
    Repeat {
        /// How many times.
        times: u32,
        /// What to repeat.
        steps: Vec<Step>,
    },
    /// The steps of different connections at the same time.
    Together {
        /// The steps; those of one connection stay in order.
        steps: Vec<Step>,
    },
    /// Several legal continuations.
    Either {
        /// The branches; each begins with an expectation.
        branches: Vec<Vec<Step>>,
    },
}

/// An action on a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// `open`: connect now.
    Open(Port),
    /// `> TEXT`: send a line; the LF is added.
    SendLine(String),
    /// `>> PIECE...`: send octets as they are.
    SendPieces(Vec<Piece>),
    /// `< EXPECTATION`: wait for a line or an end, and judge it.
    Expect(Expectation),
    /// `pause DURATION`.
    Pause(Duration),
    /// `half-close`: end the sending direction.
    HalfClose,
    /// `close`: end both directions.
    Close,
    /// `reset`: abort.
    Reset,
    /// `process CHECK`: look at the server as a process; belongs to no connection.
    Process(Check),
}

/// What can be seen of, or done to, the process of a server that the runner has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// Every child that has ended is reaped, but for two at most while clients connect.
    Reaped,
    /// It has no more children than when the case began.
    Alone,
    /// No process of it has many more descriptors open than when the case began.
    Descriptors,
    /// It and its descendants are found waiting.
    Idle,
    /// It ends on SIGTERM.
    Terminate,
    /// It is killed, and its children end too.
    Kill,
    /// It starts again on the same ports.
    Restart,
}

impl Check {
    /// Every check.
    pub const ALL: [Check; 7] = [
        Check::Reaped,
        Check::Alone,
        Check::Descriptors,
        Check::Idle,
        Check::Terminate,
        Check::Kill,
        Check::Restart,
    ];

    /// The word in a transcript.
    pub fn name(self) -> &'static str {
        match self {
            Check::Reaped => "reaped",
            Check::Alone => "alone",
            Check::Descriptors => "descriptors",
            Check::Idle => "idle",
            Check::Terminate => "terminate",
            Check::Kill => "kill",
            Check::Restart => "restart",
        }
    }
}

/// The two ports of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// Takes values and commands.
    Primary,
    /// Tells about the means.
    Secondary,
}

/// A part of what `>>` sends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Octets, repeated.
    Octets {
        /// The octets between the quotes.
        octets: Vec<u8>,
        /// How many times they are sent.
        times: usize,
    },
    /// The octets of a data file of the specification.
    File(String),
}

/// What the next line, or the end, must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expectation {
    /// What is expected.
    pub what: Expected,
    /// Whether only the best possible reply will do; of an end, only an orderly one.
    pub precisely: bool,
    /// Whether the line has to look like lines of its kind looked before the first case.
    pub in_shape: bool,
}

/// The kinds of expectations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// A number, written out.
    Number(Literal),
    /// Whatever number or exit line the reference model computes.
    Model,
    /// An error line.
    Error,
    /// The exit line, its numbers written out or from the model.
    Exit(Option<[Literal; 3]>),
    /// The line of the secondary port.
    Means {
        /// How many means more than when the case began; from the model if absent.
        more: Option<u64>,
        /// Their mean and standard deviation; from the model if absent.
        numbers: Option<[Literal; 2]>,
    },
    /// The greeting of the classic dialect.
    Greeting,
    /// Exactly these octets, then LF.
    Exactly(Vec<u8>),
    /// Any lines, this many.
    Any(u32),
    /// Everything up to the end of the stream.
    Rest,
    /// An orderly end of the stream.
    Eof,
    /// Nothing at all for so long.
    Nothing(Duration),
}

/// A number as the transcript writes it: a finite decimal, `inf`, `-inf`, `nan` for an undefined quantity, or, among the numbers of a line, `any`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Literal(pub String);

impl Literal {
    /// Whether this stands for an undefined quantity.
    pub fn is_undefined(&self) -> bool {
        self.0 == "nan"
    }

    /// Whether any number will do.
    pub fn is_any(&self) -> bool {
        self.0 == "any"
    }

    /// The binary64 nearest to it; NaN for an undefined quantity.
    pub fn to_f64(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }
}

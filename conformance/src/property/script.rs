//! A generated case: what several clients do, in a form in which any part can be left out and the
//! rest still makes sense.
//!
//! `write` turns it into a transcript, which is what is run, shown and saved.

/// What the clients of one case do.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Script {
    /// What happens, in order.
    pub steps: Vec<ScriptStep>,
    /// Every value is sent with a minus sign. One sign for all keeps sums away from cancellation,
    /// so that plain double precision is right.
    pub negative: bool,
    /// Lines that follow each other go out in one segment.
    pub packed: bool,
    /// The sessions run at the same time, not in the order of the steps.
    pub together: bool,
    /// The bytes of the session are cut at these places, modulo their number; without, each line is
    /// sent by itself.
    pub cuts: Option<Vec<u16>>,
    /// The client gives the server time: after each line of a session that would be cut, and before
    /// each question to the secondary port.
    pub paced: bool,
    /// Only the best possible replies will do.
    pub precisely: bool,
    /// Only so many clients, the first ones, read their replies; all do where there is no number.
    pub readers: Option<u8>,
}

/// An operation, and the client that performs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScriptStep {
    /// Which client.
    pub client: u8,
    /// What stands around the line that is sent, if one is.
    pub formatting: Formatting,
    /// The operation.
    pub operation: Operation,
}

/// What stands around a line without changing what it means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Formatting {
    /// Nothing.
    #[default]
    Plain,
    /// Spaces before it.
    Leading(u8),
    /// Spaces behind it.
    Trailing(u8),
    /// A CR behind it.
    Cr,
}

/// What a client can do in one step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Send a value, several times over.
    Value {
        /// Its text.
        text: String,
        /// How many times.
        times: u32,
    },
    /// Send a command that is answered, and wait for the reply or leave it for later.
    Ask(Command, Wait),
    /// Send a bad line.
    Bad(Vec<u8>, Wait),
    /// Send a bad line of this byte, so many times.
    Long(u8, u32),
    /// Send bytes that are no line yet.
    Part(Vec<u8>),
    /// Send `exit`, wait for its line, and perhaps for the end.
    Exit {
        /// Whether the end is waited for.
        eof: bool,
    },
    /// End the sending direction, and read every reply and the end.
    HalfClose,
    /// Close the connection.
    Close,
    /// Abort the connection.
    Reset,
    /// Ask the secondary port.
    Query,
}

/// Whether a reply is waited for at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// At once.
    #[default]
    AtOnce,
    /// With the next reply that is waited for.
    Deferred,
}

/// The commands that ask for a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// `count`.
    Count,
    /// `sum`.
    Sum,
    /// `mean`.
    Mean,
    /// `stddev`.
    Stddev,
}

impl Command {
    /// What the client sends.
    pub fn name(self) -> &'static str {
        match self {
            Command::Count => "count",
            Command::Sum => "sum",
            Command::Mean => "mean",
            Command::Stddev => "stddev",
        }
    }
}

impl ScriptStep {
    /// An operation with nothing around its line.
    pub fn plain(client: u8, operation: Operation) -> ScriptStep {
        ScriptStep {
            client,
            formatting: Formatting::Plain,
            operation,
        }
    }

    /// The text of the value that is sent, and how many times it is.
    pub(super) fn value(&self) -> Option<(&str, u32)> {
        match &self.operation {
            Operation::Value { text, times } => Some((text, *times)),
            _ => None,
        }
    }

    /// Whether its reply is left for later.
    pub(super) fn is_deferred(&self) -> bool {
        matches!(
            self.operation,
            Operation::Ask(_, Wait::Deferred) | Operation::Bad(_, Wait::Deferred)
        )
    }

    /// Waits for its reply at once.
    pub(super) fn wait(&mut self) {
        if let Operation::Ask(_, wait) | Operation::Bad(_, wait) = &mut self.operation {
            *wait = Wait::AtOnce;
        }
    }

    /// Whether the client has to connect again for what it does next.
    pub(super) fn ends_session(&self) -> bool {
        use Operation::{Close, Exit, HalfClose, Part, Reset};
        matches!(
            self.operation,
            Exit { .. } | HalfClose | Close | Reset | Part(_)
        )
    }

    /// Whether it is about the secondary port.
    pub fn is_query(&self) -> bool {
        self.operation == Operation::Query
    }

    /// The bytes of a line, without its LF; none where no line is sent.
    pub(super) fn line(&self, negative: bool) -> Option<Vec<u8>> {
        let line = match &self.operation {
            Operation::Value { text, .. } if negative => {
                let unsigned = text.strip_prefix('+').unwrap_or(text);
                format!("-{unsigned}").into_bytes()
            }
            Operation::Value { text, .. } => text.clone().into_bytes(),
            Operation::Ask(command, _) => command.name().into(),
            Operation::Bad(line, _) => line.clone(),
            Operation::Exit { .. } => b"exit".to_vec(),
            _ => return None,
        };
        Some(match self.formatting {
            Formatting::Plain => line,
            Formatting::Leading(spaces) => [b" ".repeat(spaces.into()), line].concat(),
            Formatting::Trailing(spaces) => [line, b" ".repeat(spaces.into())].concat(),
            Formatting::Cr => [line, b"\r".to_vec()].concat(),
        })
    }
}

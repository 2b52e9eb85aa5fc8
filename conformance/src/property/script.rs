//! A generated case: what several clients do, in a form in which any part can be left out and the rest still makes
//! sense.
//!
//! `write` turns it into a transcript, which is what is run, shown and saved.

/// What the clients of one case do.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Script {
    /// What happens, in order.
    pub acts: Vec<Act>,
    /// Every value is sent with a minus sign. One sign for all keeps sums away from cancellation, so that plain double
    /// precision is right.
    pub negative: bool,
    /// Lines that follow each other go out in one segment.
    pub packed: bool,
    /// The sessions run at the same time, not in the order of the acts.
    pub together: bool,
    /// The octets of the session are cut at these places, modulo their number; without, each line is sent by itself.
    pub cuts: Option<Vec<u16>>,
    /// The client gives the server time: after each line of a session that would be cut, and before each question to
    /// the secondary port.
    pub patient: bool,
    /// Only the best possible replies will do.
    pub precisely: bool,
    /// The replies of the sessions from this number on are not read.
    pub heard: Option<u8>,
}

/// One thing that a client does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Act {
    /// Which client.
    pub session: u8,
    /// What stands around the line that is sent, if one is.
    pub dress: Dress,
    /// What it does.
    pub deed: Deed,
}

/// What stands around a line without changing what it means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dress {
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

/// What a client can do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// Send a value, several times over.
    Value {
        /// Its text.
        text: String,
        /// How many times.
        times: u32,
    },
    /// Send a command that is answered, and wait for the reply or leave it for later.
    Ask(Command, Later),
    /// Send a bad line.
    Bad(Vec<u8>, Later),
    /// Send a bad line of this octet, so many times.
    Long(u8, u32),
    /// Send octets that are no line yet.
    Part(Vec<u8>),
    /// Send `exit`, wait for its line, and perhaps for the end.
    Exit {
        /// Whether the end is waited for.
        eof: bool,
    },
    /// End the sending direction, and take everything that is due.
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
pub enum Later {
    /// At once.
    #[default]
    No,
    /// With the next reply that is waited for.
    Yes,
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

impl Act {
    /// An act with nothing around its line.
    pub fn plain(session: u8, deed: Deed) -> Act {
        Act {
            session,
            dress: Dress::Plain,
            deed,
        }
    }

    /// Whether its reply is left for later.
    pub(super) fn is_later(&self) -> bool {
        matches!(
            self.deed,
            Deed::Ask(_, Later::Yes) | Deed::Bad(_, Later::Yes)
        )
    }

    /// Waits for its reply at once.
    pub(super) fn wait(&mut self) {
        if let Deed::Ask(_, later) | Deed::Bad(_, later) = &mut self.deed {
            *later = Later::No;
        }
    }

    /// Whether it is about the secondary port.
    pub fn is_query(&self) -> bool {
        self.deed == Deed::Query
    }

    /// The octets of a line, without its LF; none where no line is sent.
    pub(super) fn line(&self, negative: bool) -> Option<Vec<u8>> {
        let line = match &self.deed {
            Deed::Value { text, .. } if negative => {
                let unsigned = text.strip_prefix('+').unwrap_or(text);
                format!("-{unsigned}").into_bytes()
            }
            Deed::Value { text, .. } => text.clone().into_bytes(),
            Deed::Ask(command, _) => command.name().into(),
            Deed::Bad(line, _) => line.clone(),
            Deed::Exit { .. } => b"exit".to_vec(),
            _ => return None,
        };
        Some(match self.dress {
            Dress::Plain => line,
            Dress::Leading(spaces) => [b" ".repeat(spaces.into()), line].concat(),
            Dress::Trailing(spaces) => [line, b" ".repeat(spaces.into())].concat(),
            Dress::Cr => [line, b"\r".to_vec()].concat(),
        })
    }
}

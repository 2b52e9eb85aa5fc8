//! What went over the wire in a case, with times.

use std::fmt::{self, Display, Formatter};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::transcript::Quoted;

/// A growing list of events, shared by the connections of a case.
#[derive(Clone, Debug)]
pub struct Trace {
    start: Instant,
    events: Arc<Mutex<Vec<Event>>>,
}

/// Something that happened on a connection.
#[derive(Clone, Debug)]
pub struct Event {
    /// When, counted from the beginning of the case.
    pub at: Duration,
    /// The connection, as the transcript calls it.
    pub connection: String,
    /// What happened.
    pub what: What,
}

/// What can happen on a connection.
#[derive(Clone, Debug)]
pub enum What {
    /// It was opened, to this address.
    Connected(String),
    /// It could not be opened.
    Refused(String),
    /// We sent these octets.
    Sent(Vec<u8>),
    /// Sending failed.
    SendFailed(String),
    /// We received these octets.
    Received(Vec<u8>),
    /// The server ended its direction.
    EndOfFile,
    /// The server aborted the connection.
    Reset,
    /// Receiving failed otherwise.
    ReceiveFailed(String),
    /// We ended our direction.
    HalfClosed,
    /// We closed.
    Closed,
    /// We aborted.
    Aborted,
}

impl Default for Trace {
    fn default() -> Self {
        Trace {
            start: Instant::now(),
            events: Arc::default(),
        }
    }
}

/// A case that floods must not flood the memory of the runner too.
const MOST_EVENTS: usize = 5_000;

/// Octets of one event that are kept.
const MOST_OCTETS: usize = 4_096;

impl Trace {
    /// Adds an event, as of now.
    pub fn record(&self, connection: &str, what: What) {
        let event = Event {
            at: self.start.elapsed(),
            connection: connection.to_owned(),
            what: match what {
                What::Sent(octets) => What::Sent(cut(octets)),
                What::Received(octets) => What::Received(cut(octets)),
                other => other,
            },
        };
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() < MOST_EVENTS {
            events.push(event);
        }
    }

    /// The events so far.
    pub fn events(&self) -> Vec<Event> {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn cut(mut octets: Vec<u8>) -> Vec<u8> {
    octets.truncate(MOST_OCTETS);
    octets
}

/// Octets of one event that are shown.
const SHOWN_OCTETS: usize = 120;

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} ms  ", self.at.as_secs_f64() * 1e3)?;
        if !self.connection.is_empty() {
            write!(f, "@{} ", self.connection)?;
        }
        match &self.what {
            What::Connected(address) => write!(f, "-- connected to {address}"),
            What::Refused(why) => write!(f, "-- not connected: {why}"),
            What::Sent(octets) => write!(f, "-> {}", Shown(octets)),
            What::SendFailed(why) => write!(f, "-> failed: {why}"),
            What::Received(octets) => write!(f, "<- {}", Shown(octets)),
            What::EndOfFile => write!(f, "<- end of file"),
            What::Reset => write!(f, "<- reset"),
            What::ReceiveFailed(why) => write!(f, "<- failed: {why}"),
            What::HalfClosed => write!(f, "-> end of file"),
            What::Closed => write!(f, "-- closed"),
            What::Aborted => write!(f, "-> reset"),
        }
    }
}

/// Octets, quoted, and cut where they are many.
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.get(..SHOWN_OCTETS) {
            Some(beginning) if self.0.len() > SHOWN_OCTETS => {
                write!(
                    f,
                    "{} and {} octets more",
                    Quoted(beginning),
                    self.0.len() - SHOWN_OCTETS
                )
            }
            _ => write!(f, "{}", Quoted(self.0)),
        }
    }
}

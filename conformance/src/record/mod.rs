//! A proxy that writes the sessions which pass through it as a chapter: what clients sent, and for every reply what the reference model says about it.
//!
//! Two halves: [`proxy`] carries octets and says what happened, in an order that keeps causes before effects; [`Scribe`] makes a transcript of that, with no
//! connection in sight.

pub mod proxy;
mod scribe;

pub use scribe::Scribe;

use crate::transcript::Port;

/// Something that happened on a connection which the proxy carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The connection: each gets a number of its own.
    pub connection: usize,
    /// What happened.
    pub what: What,
}

impl Event {
    /// Of a connection that never was: it wakes up whoever waits for events, and means nothing.
    pub fn nothing() -> Event {
        Event {
            connection: usize::MAX,
            what: What::Closed,
        }
    }
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A client has connected.
    Opened(Port),
    /// The client sent octets.
    Sent(Vec<u8>),
    /// The server sent octets.
    Received(Vec<u8>),
    /// The client ended its direction.
    ClientEnded,
    /// The client aborted.
    ClientReset,
    /// The server ended its direction.
    ServerEnded,
    /// The server aborted.
    ServerReset,
    /// Nothing more comes.
    Closed,
}

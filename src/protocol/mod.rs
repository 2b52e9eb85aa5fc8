//! The protocol: lines to requests, replies to bytes. No I/O of its own and no state.

mod reply;
mod request;

pub use reply::{Figures, Reply};
pub use request::{BadLine, Request};

/// How the server writes what it has to say. Both dialects read the same requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Dialect {
    /// No greeting, and numbers as the shortest decimal that reads back to the same `f64`.
    #[default]
    Plain,
    /// A greeting, and numbers with two decimals.
    Classic,
}

impl Dialect {
    /// The line that opens a session, if there is one.
    pub fn greeting(self) -> Option<&'static str> {
        match self {
            Dialect::Plain => None,
            Dialect::Classic => Some("Stats server ready\n"),
        }
    }

    /// The longest line in octets, its LF included, unless configured otherwise.
    pub fn default_max_line(self) -> usize {
        match self {
            Dialect::Plain => 65_536,
            Dialect::Classic => 80,
        }
    }
}

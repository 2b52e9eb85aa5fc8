//! The two dialects of the protocol, as `spec/dialects.md` defines them.

use std::fmt::{self, Display, Formatter};

/// How a server words what the protocol leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// No greeting; numbers in full.
    Plain,
    /// A greeting; two decimals; lines of at most 80 octets.
    Classic,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Dialect; 2] = [Dialect::Plain, Dialect::Classic];

    /// The name on the command line and in transcripts.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Plain => "plain",
            Dialect::Classic => "classic",
        }
    }

    /// The dialect of that name.
    pub fn from_name(name: &str) -> Option<Dialect> {
        Dialect::ALL
            .into_iter()
            .find(|dialect| dialect.name() == name)
    }
}

impl Display for Dialect {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a server of the classic dialect says when a session begins.
pub const GREETING: &[u8] = b"Stats server ready";

//! The log: standard error, one line an event, one write a line, so that the lines of several
//! processes do not mix.

use std::fmt::Display;
use std::io::{self, Write};

use nix::errno::Errno;

/// How much to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Level {
    /// Errors only.
    Quiet,
    /// Warnings, the addresses at the start and the figures at the end, too.
    #[default]
    Normal,
    /// The start and the end of each session, too.
    Verbose,
}

/// Writes what its level admits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    level: Level,
}

impl Log {
    pub(crate) fn new(level: Level) -> Self {
        Log { level }
    }

    /// The server cannot go on.
    pub(crate) fn error(&self, message: impl Display) {
        write_line(format!("meta-stats-server: error: {message}\n"));
    }

    /// Something is wrong, and the server goes on.
    pub(crate) fn warning(&self, message: impl Display) {
        if self.level >= Level::Normal {
            write_line(format!("meta-stats-server: warning: {message}\n"));
        }
    }

    /// What the operator asked for has happened.
    pub(crate) fn notice(&self, message: impl Display) {
        if self.level >= Level::Normal {
            write_line(format!("{message}\n"));
        }
    }

    /// The life of a session.
    pub(crate) fn detail(&self, message: impl Display) {
        if self.level >= Level::Verbose {
            write_line(format!("{message}\n"));
        }
    }
}

fn write_line(line: String) {
    // There is nowhere to report that the log itself cannot be written.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// What the system calls an error, in the middle of a sentence.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => {
            let description = errno.desc();
            description[..1].to_ascii_lowercase() + &description[1..]
        }
        None => error.to_string(),
    }
}

//! A line of the log, made in a fixed piece of memory.
//!
//! Lines name peers, so that none of them is ever made in memory that a child gets.

use std::fmt::{self, Display, Write as _};
use std::io;

use super::Field;

/// What a pipe takes in one piece; a longer line is cut.
pub(super) const MAX_LINE: usize = 4096;

/// Twice the longest line: a field is written behind its place first, to see whether it needs quotes.
pub(super) const LINE_BUFFER: usize = 2 * MAX_LINE;

/// How much a line matters.
#[derive(Clone, Copy)]
pub(super) enum Level {
    Error,
    Warning,
    Notice,
    Info,
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
            Level::Info => "info",
        }
    }

    /// The number that syslog gives it.
    pub(super) fn priority(self) -> u8 {
        match self {
            Level::Error => 3,
            Level::Warning => 4,
            Level::Notice => 5,
            Level::Info => 6,
        }
    }
}

/// A line that grows from the start of its memory.
pub(super) struct Line<'a> {
    memory: &'a mut [u8],
    len: usize,
}

impl<'a> Line<'a> {
    /// An empty line in memory of [`LINE_BUFFER`] bytes.
    pub(super) fn new(memory: &'a mut [u8]) -> Self {
        Line { memory, len: 0 }
    }

    /// Ends the line, and tells how long it is.
    pub(super) fn end(mut self) -> usize {
        self.len = self.len.min(MAX_LINE - 1);
        self.memory[self.len] = b'\n';
        self.len + 1
    }

    /// A value as it is where that is one word, else in JSON's quotes and escapes, which keep a field
    /// one field and a line one line.
    pub(super) fn word_or_string(&mut self, field: &Field<'_>) -> fmt::Result {
        match field {
            Field::Number(number) => write!(self, "{number}"),
            Field::Text(text) => self.text(text, is_one_word),
        }
    }

    /// A value as JSON has it.
    pub(super) fn json(&mut self, field: &Field<'_>) -> fmt::Result {
        match field {
            Field::Number(number) => write!(self, "{number}"),
            Field::Text(text) => self.text(text, |_| false),
        }
    }

    fn text(&mut self, text: &dyn Display, goes_as_it_is: fn(&[u8]) -> bool) -> fmt::Result {
        let start = self.len.min(MAX_LINE);
        let (kept, behind) = self.memory.split_at_mut(MAX_LINE);
        let mut draft = Line::new(behind);
        write!(draft, "{text}")?;
        let draft = &draft.memory[..draft.len];
        let mut line = Line {
            memory: kept,
            len: start,
        };
        if goes_as_it_is(draft) {
            line.push(draft);
        } else {
            let draft = String::from_utf8_lossy(draft);
            serde_json::to_writer(&mut line, &*draft).map_err(|_| fmt::Error)?;
        }
        self.len = line.len;
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = self.memory.len().min(MAX_LINE) - self.len;
        let taken = &bytes[..bytes.len().min(room)];
        self.memory[self.len..][..taken.len()].copy_from_slice(taken);
        self.len += taken.len();
    }
}

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_one_word(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|byte| byte.is_ascii_graphic() && *byte != b'"')
}

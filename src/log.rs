//! The log: standard error, one line an event, one write a line, so that the lines of several
//! processes do not mix.
//!
//! A line has a time, a level, a message that is the same for all events of a kind, and fields for
//! what differs. Only the parent writes to it: a child tells how it ended by its exit status. No
//! event is one of a value or a line of a client, and what clients can repeat at will passes
//! through a [`Throttle`].

use std::fmt::{self, Display, Write as _};
use std::io::{self, Write as _};
use std::mem;
use std::time::{Duration, Instant, SystemTime};

use humantime::format_rfc3339_millis;
use nix::errno::Errno;
use serde::Serializer as _;
use serde_json::Value;

/// How much to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    /// Warnings, the addresses at the start and the figures at the end, too.
    #[default]
    Normal,
    /// The start and the end of each session, too.
    Verbose,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// `TIME LEVEL MESSAGE KEY=VALUE...`, for people.
    #[default]
    Text,
    /// One object a line, for programs.
    Json,
}

/// Writes what its verbosity admits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Log {
    pub(crate) verbosity: Verbosity,
    pub(crate) format: Format,
}

/// What a field says.
#[derive(Clone, Copy)]
pub(crate) enum Field<'a> {
    Number(u64),
    Text(&'a dyn Display),
}

/// The fields of an event, each with its name.
pub(crate) type Fields<'a> = [(&'static str, Field<'a>)];

impl Log {
    /// The server cannot go on.
    pub(crate) fn error(&self, message: impl Display) {
        self.write("error", &message, &[]);
    }

    /// Something is wrong, and the server goes on.
    pub(crate) fn warning(&self, message: &str, fields: &Fields<'_>) {
        if self.verbosity >= Verbosity::Normal {
            self.write("warning", &message, fields);
        }
    }

    /// What the operator asked for has happened.
    pub(crate) fn notice(&self, message: &str, fields: &Fields<'_>) {
        if self.verbosity >= Verbosity::Normal {
            self.write("notice", &message, fields);
        }
    }

    /// The life of a session.
    pub(crate) fn detail(&self, message: &str, fields: &Fields<'_>) {
        if self.verbosity >= Verbosity::Verbose {
            self.write("info", &message, fields);
        }
    }

    fn write(&self, level: &str, message: &dyn Display, fields: &Fields<'_>) {
        let line = self.line(SystemTime::now(), level, message, fields);
        // There is nowhere to report that the log itself cannot be written.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    fn line(
        &self,
        time: SystemTime,
        level: &str,
        message: &dyn Display,
        fields: &Fields<'_>,
    ) -> String {
        let time = format_rfc3339_millis(time);
        let mut line = String::new();
        let written = match self.format {
            Format::Text => write_text(&mut line, &time, level, message, fields),
            Format::Json => {
                let head: [(_, Value); 3] = [
                    ("time", time.to_string().into()),
                    ("level", level.into()),
                    ("message", message.to_string().into()),
                ];
                let fields = fields.iter().map(|(name, field)| (*name, field.value()));
                write_object(&mut line, head.into_iter().chain(fields))
            }
        };
        debug_assert!(written.is_ok(), "a String takes everything");
        line
    }
}

fn write_text(
    line: &mut String,
    time: &dyn Display,
    level: &str,
    message: &dyn Display,
    fields: &Fields<'_>,
) -> fmt::Result {
    write!(line, "{time} {level} {message}")?;
    for (name, field) in fields {
        write!(line, " {name}=")?;
        match field.value() {
            Value::String(text) if is_one_word(&text) => line.push_str(&text),
            // JSON's quotes and escapes keep a field one field, and a line one line.
            value => write!(line, "{value}")?,
        }
    }
    writeln!(line)
}

fn is_one_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"')
}

fn write_object(
    line: &mut String,
    members: impl Iterator<Item = (&'static str, Value)>,
) -> fmt::Result {
    let mut object = Vec::new();
    serde_json::Serializer::new(&mut object)
        .collect_map(members)
        .map_err(|_| fmt::Error)?;
    line.push_str(str::from_utf8(&object).map_err(|_| fmt::Error)?);
    writeln!(line)
}

impl Field<'_> {
    fn value(&self) -> Value {
        match self {
            Field::Number(number) => (*number).into(),
            Field::Text(text) => text.to_string().into(),
        }
    }
}

/// Lets a few events of a kind through in each period. The first one of the next period tells how
/// many were held back.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    period_end: Option<Instant>,
    admitted: u32,
    held_back: u64,
}

impl Throttle {
    const PERIOD: Duration = Duration::from_secs(10);
    const EVENTS_PER_PERIOD: u32 = 10;

    /// How many events were held back before this one; `None` if this one is.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.period_end.is_none_or(|end| end <= now) {
            (self.period_end, self.admitted) = (Some(now + Throttle::PERIOD), 0);
        }
        if self.admitted == Throttle::EVENTS_PER_PERIOD {
            self.held_back += 1;
            return None;
        }
        self.admitted += 1;
        Some(mem::take(&mut self.held_back))
    }

    /// Logs a warning, or holds it back.
    pub(crate) fn warning(&mut self, log: Log, message: &str, fields: &Fields<'_>) {
        match self.admit(Instant::now()) {
            None => {}
            Some(0) => log.warning(message, fields),
            Some(held_back) => {
                let held_back = [("held_back", Field::Number(held_back))];
                log.warning(message, &[fields, &held_back].concat());
            }
        }
    }
}

/// What the system calls an error, in the middle of a sentence.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => describe(errno),
        None => error.to_string(),
    }
}

/// What an error number means, in the middle of a sentence.
pub(crate) fn describe(errno: Errno) -> String {
    let description = errno.desc();
    description[..1].to_ascii_lowercase() + &description[1..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: Format, fields: &Fields<'_>) -> String {
        let log = Log {
            verbosity: Verbosity::Quiet,
            format,
        };
        log.line(SystemTime::UNIX_EPOCH, "info", &"session ended", fields)
    }

    #[test]
    fn a_line_for_people_has_its_fields_behind_the_message() {
        let fields = [
            ("pid", Field::Number(7)),
            ("peer", Field::Text(&"127.0.0.1:9")),
            ("reason", Field::Text(&"end of \"input\"\n")),
            ("empty", Field::Text(&"")),
        ];
        let expected = "1970-01-01T00:00:00.000Z info session ended pid=7 peer=127.0.0.1:9 \
                        reason=\"end of \\\"input\\\"\\n\" empty=\"\"\n";
        assert_eq!(line(Format::Text, &fields), expected);
    }

    #[test]
    fn a_line_for_programs_is_one_object() {
        let fields = [
            ("pid", Field::Number(7)),
            ("reason", Field::Text(&"two\nlines")),
        ];
        let expected = r#"{"time":"1970-01-01T00:00:00.000Z","level":"info","message":"session ended","pid":7,"reason":"two\nlines"}"#;
        assert_eq!(line(Format::Json, &fields), format!("{expected}\n"));
    }

    #[test]
    fn a_throttle_holds_back_and_tells_how_many() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        for _ in 0..Throttle::EVENTS_PER_PERIOD {
            assert_eq!(throttle.admit(start), Some(0));
        }
        assert_eq!(throttle.admit(start), None);
        assert_eq!(throttle.admit(start + Throttle::PERIOD / 2), None);
        assert_eq!(throttle.admit(start + Throttle::PERIOD), Some(2));
        assert_eq!(throttle.admit(start + Throttle::PERIOD), Some(0));
    }
}

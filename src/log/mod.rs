//! The log: standard error, one line an event, one write a line, so that the lines of several
//! processes do not mix.
//!
//! A line has a time, a level, a message that is the same for all events of a kind, and fields for
//! what differs. Only the parent writes to it: a child tells how it ended by its exit status. No
//! event is one of a value or a line of a client; what clients can repeat at will is an [`Event`],
//! and held back. A reader that does not read stops nothing: what it has no room for is counted.

mod line;
mod sink;
mod throttle;

use std::cell::RefCell;
use std::fmt::{self, Display, Write as _};
use std::io;
use std::time::{Duration, Instant, SystemTime};

use humantime::format_rfc3339_millis;
use nix::errno::Errno;
use nix::poll::poll;
use nix::sys::stat::fstat;

use self::line::{Level, Line};
use self::sink::Sink;
use self::throttle::Throttle;

pub(crate) use self::throttle::Event;

/// How often it is tried to write what there was no room for.
const RETRY: Duration = Duration::from_millis(100);
/// How long the end of the server waits for a reader of the log.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long it does so at a time.
const PAUSE: u8 = 10;

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

/// How to log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogSettings {
    pub(crate) verbosity: Verbosity,
    pub(crate) format: Format,
    /// Whether lines start with the number of their level and have no time, as the journal wants it.
    pub(crate) to_journal: bool,
}

/// Writes what its verbosity admits.
pub(crate) struct Log {
    settings: LogSettings,
    state: RefCell<State>,
}

struct State {
    sink: Sink,
    retry_at: Option<Instant>,
    throttles: [Throttle; Event::ALL.len()],
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
    pub(crate) fn new(settings: LogSettings) -> Self {
        Log {
            settings,
            state: RefCell::new(State {
                sink: Sink::open(),
                retry_at: None,
                throttles: Default::default(),
            }),
        }
    }

    /// For tests of what logs.
    #[cfg(test)]
    pub(crate) fn quiet() -> Self {
        Log::new(LogSettings {
            verbosity: Verbosity::Quiet,
            ..LogSettings::default()
        })
    }

    /// The server cannot go on.
    pub(crate) fn error(&self, message: impl Display) {
        self.write(Level::Error, &message, &[]);
    }

    /// Something is wrong, and the server goes on.
    pub(crate) fn warning(&self, message: &str, fields: &Fields<'_>) {
        if self.settings.verbosity >= Verbosity::Normal {
            self.write(Level::Warning, &message, fields);
        }
    }

    /// A warning that clients can bring about at will: it is logged, or counted.
    pub(crate) fn event(&self, event: Event, fields: &Fields<'_>) {
        let held_back = self.state.borrow_mut().throttles[event as usize].admit(Instant::now());
        match held_back {
            None => {}
            Some(0) => self.warning(event.message(), fields),
            Some(held_back) => {
                let held_back = [("held_back", Field::Number(held_back))];
                self.warning(event.message(), &[fields, &held_back].concat());
            }
        }
    }

    /// What the operator asked for has happened.
    pub(crate) fn notice(&self, message: &str, fields: &Fields<'_>) {
        if self.settings.verbosity >= Verbosity::Normal {
            self.write(Level::Notice, &message, fields);
        }
    }

    /// What would be lost without being told, and so is told whatever the verbosity.
    pub(crate) fn last_notice(&self, message: &str, fields: &Fields<'_>) {
        self.write(Level::Notice, &message, fields);
    }

    /// The life of a session.
    pub(crate) fn detail(&self, message: &str, fields: &Fields<'_>) {
        if self.settings.verbosity >= Verbosity::Verbose {
            self.write(Level::Info, &message, fields);
        }
    }

    /// When [`tick`](Log::tick) has something to do next.
    pub(crate) fn due(&self) -> Option<Instant> {
        let state = self.state.borrow();
        let sums = state.throttles.iter().filter_map(Throttle::due);
        sums.chain(state.retry_at).min()
    }

    /// When it is time for it, tells what was held back and what there was no room for.
    pub(crate) fn tick(&self, now: Instant) {
        if self.due().is_none_or(|due| now < due) {
            return;
        }
        self.tell_sums(|throttle| throttle.due().is_some_and(|due| due <= now));
        self.retry(now);
    }

    /// Tells all that is left to tell, as far as there is room before long.
    pub(crate) fn close(&self) {
        self.tell_sums(|_| true);
        let deadline = Instant::now() + LAST_WORDS;
        loop {
            let now = Instant::now();
            self.retry(now);
            if self.state.borrow().retry_at.is_none() || deadline <= now {
                return;
            }
            let _ = poll(&mut [], PAUSE);
        }
    }

    /// How many lines were dropped and are not told of.
    pub(crate) fn dropped(&self) -> u64 {
        self.state.borrow().sink.dropped()
    }

    fn tell_sums(&self, is_due: impl Fn(&Throttle) -> bool) {
        for event in Event::ALL {
            let sum = {
                let throttle = &mut self.state.borrow_mut().throttles[event as usize];
                if is_due(throttle) {
                    throttle.take_sum()
                } else {
                    0
                }
            };
            if sum > 0 {
                self.warning(event.message(), &[("held_back", Field::Number(sum))]);
            }
        }
    }

    fn retry(&self, now: Instant) {
        let state = &mut *self.state.borrow_mut();
        state
            .sink
            .retry(|line, dropped| self.tell_dropped(line, dropped));
        state.retry_at = state.sink.is_behind().then(|| now + RETRY);
    }

    fn write(&self, level: Level, message: &dyn Display, fields: &Fields<'_>) {
        let state = &mut *self.state.borrow_mut();
        state.sink.write(
            |line, dropped| self.tell_dropped(line, dropped),
            |line| self.make(line, SystemTime::now(), level, message, fields),
        );
        if state.sink.is_behind() {
            state.retry_at.get_or_insert_with(|| Instant::now() + RETRY);
        }
    }

    fn tell_dropped(&self, line: &mut Line<'_>, dropped: u64) {
        let lines = [("lines", Field::Number(dropped))];
        let message = "the log was not read in time; lines were dropped";
        self.make(line, SystemTime::now(), Level::Warning, &message, &lines);
    }

    fn make(
        &self,
        line: &mut Line<'_>,
        time: SystemTime,
        level: Level,
        message: &dyn Display,
        fields: &Fields<'_>,
    ) {
        let mut made = Ok(());
        if self.settings.to_journal {
            made = made.and_then(|()| write!(line, "<{}>", level.priority()));
        }
        made = made.and_then(|()| match self.settings.format {
            Format::Text => self.make_text(line, time, level, message, fields),
            Format::Json => make_object(line, time, level, message, fields),
        });
        debug_assert!(made.is_ok(), "a line takes everything");
    }

    fn make_text(
        &self,
        line: &mut Line<'_>,
        time: SystemTime,
        level: Level,
        message: &dyn Display,
        fields: &Fields<'_>,
    ) -> fmt::Result {
        // The journal has both.
        if !self.settings.to_journal {
            write!(line, "{} {} ", format_rfc3339_millis(time), level.name())?;
        }
        write!(line, "{message}")?;
        for (name, field) in fields {
            write!(line, " {name}=")?;
            line.word_or_string(field)?;
        }
        Ok(())
    }
}

fn make_object(
    line: &mut Line<'_>,
    time: SystemTime,
    level: Level,
    message: &dyn Display,
    fields: &Fields<'_>,
) -> fmt::Result {
    let time = format_rfc3339_millis(time);
    write!(
        line,
        "{{\"time\":\"{time}\",\"level\":\"{}\",\"message\":",
        level.name()
    )?;
    line.json(&Field::Text(message))?;
    for (name, field) in fields {
        write!(line, ",\"{name}\":")?;
        line.json(field)?;
    }
    line.write_char('}')
}

/// Whether standard error is the stream to the journal that systemd opened and told of.
pub(crate) fn goes_to_journal() -> bool {
    let told = std::env::var("JOURNAL_STREAM").ok();
    let status = fstat(io::stderr()).ok();
    let stream = status.map(|status| format!("{}:{}", status.st_dev, status.st_ino));
    told.is_some() && told == stream
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

    fn line(settings: LogSettings, fields: &Fields<'_>) -> String {
        let log = Log::new(settings);
        let mut memory = vec![0; line::LINE_BUFFER];
        let mut line = Line::new(&mut memory);
        let time = SystemTime::UNIX_EPOCH;
        log.make(&mut line, time, Level::Info, &"session ended", fields);
        let length = line.end();
        String::from_utf8_lossy(&memory[..length]).into_owned()
    }

    fn of(format: Format) -> LogSettings {
        LogSettings {
            format,
            ..LogSettings::default()
        }
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
        assert_eq!(line(of(Format::Text), &fields), expected);
    }

    #[test]
    fn a_line_for_programs_is_one_object() {
        let fields = [
            ("pid", Field::Number(7)),
            ("reason", Field::Text(&"two\nlines")),
        ];
        let expected = r#"{"time":"1970-01-01T00:00:00.000Z","level":"info","message":"session ended","pid":7,"reason":"two\nlines"}"#;
        assert_eq!(line(of(Format::Json), &fields), format!("{expected}\n"));
    }

    #[test]
    fn a_line_for_the_journal_has_its_level_in_front_and_no_time() {
        let settings = LogSettings {
            to_journal: true,
            ..LogSettings::default()
        };
        let fields = [("pid", Field::Number(7))];
        assert_eq!(line(settings, &fields), "<6>session ended pid=7\n");
    }

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        let long = "x y".repeat(line::MAX_LINE);
        let fields = [("reason", Field::Text(&long)), ("pid", Field::Number(7))];
        for format in [Format::Text, Format::Json] {
            let line = line(of(format), &fields);
            assert_eq!(line.len(), line::MAX_LINE);
            assert!(line.ends_with('\n'));
        }
    }
}

//! One session on the primary port: bytes in, replies out. It knows no clock, no socket, no process.

use std::io::{self, Write};

use crate::ingest::Ingest;
use crate::line::{Framer, Line};
use crate::protocol::{BadLine, Dialect, Figures, Reply, Request};
use crate::stats::Statistics;

/// The state of one conversation.
///
/// ```
/// use meta_stats_server::protocol::Dialect;
/// use meta_stats_server::session::{Progress, Session};
///
/// let mut session = Session::new(Dialect::Plain, 80);
/// let mut replies = Vec::new();
/// let progress = session.receive(b"1\n2.5\nmean\nexit\n", &mut replies)?;
/// assert_eq!(replies, b"1.75\n");
/// assert!(matches!(progress, Progress::Exit(summary) if summary.count == 2));
/// session.farewell(&mut replies)?;
/// assert!(replies.starts_with(b"1.75\nEXIT STATS: count 2 mean 1.75 stddev 1.06"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    dialect: Dialect,
    framer: Framer,
    ingest: Ingest,
    statistics: Statistics,
    answers: Answers,
    errors: u64,
    exited: bool,
}

/// Answers that hold until the next value: to repeat a question costs no more than to read it.
#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    /// How many values they are about.
    count: u64,
    sum: Option<f64>,
    mean: Option<f64>,
    stddev: Option<f64>,
}

impl Answers {
    /// Those about these values.
    fn about(&mut self, statistics: &Statistics) -> &mut Answers {
        let count = statistics.count();
        if self.count != count {
            *self = Answers {
                count,
                ..Answers::default()
            };
        }
        self
    }
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// It takes more input.
    Continue,
    /// The exit command was received. Replies to all earlier lines are written; the final line is
    /// left to [`Session::farewell`], so that the mean can be recorded before the client is told.
    Exit(Summary),
}

/// What a session that was ended by the exit command leaves behind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many values the session received.
    pub count: u64,
    /// Their mean; NaN if there are none.
    pub mean: f64,
}

impl Session {
    /// A session that accepts lines of up to `max_line` octets, the LF included.
    pub fn new(dialect: Dialect, max_line: usize) -> Self {
        Session {
            dialect,
            framer: Framer::new(max_line),
            ingest: Ingest::new(),
            statistics: Statistics::new(),
            answers: Answers::default(),
            errors: 0,
            exited: false,
        }
    }

    /// What the server says first; nothing in the plain dialect.
    pub fn greeting(&self) -> &'static [u8] {
        self.dialect.greeting().unwrap_or_default().as_bytes()
    }

    /// How many bad lines were received.
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// Takes bytes as they arrive and writes the replies to the lines that they complete.
    ///
    /// The replies do not depend on how the bytes were cut. Whatever follows the exit command is
    /// ignored.
    ///
    /// # Errors
    ///
    /// Only those of `out`, after which the session is of no further use.
    pub fn receive(&mut self, mut input: &[u8], out: &mut impl Write) -> io::Result<Progress> {
        while !self.exited {
            if self.framer.is_between_lines() {
                let limit = self.framer.limit();
                self.ingest.add_to(&mut self.statistics, &mut input, limit);
            }
            let Some(line) = self.framer.next(&mut input) else {
                return Ok(Progress::Continue);
            };
            let request = match line {
                Line::Whole(text) => Request::parse(text),
                Line::TooLong => Err(BadLine::TooLong),
            };
            let known = self.answers.about(&self.statistics);
            let reply = match request {
                Ok(Request::Value(value)) => {
                    self.statistics.add(value);
                    continue;
                }
                Ok(Request::Exit) => {
                    self.exited = true;
                    continue;
                }
                Ok(Request::Count) => Reply::Count(self.statistics.count()),
                Ok(Request::Sum) => {
                    Reply::Number(*known.sum.get_or_insert_with(|| self.statistics.sum()))
                }
                Ok(Request::Mean) => {
                    Reply::Number(*known.mean.get_or_insert_with(|| self.statistics.mean()))
                }
                Ok(Request::Stddev) => {
                    Reply::Number(*known.stddev.get_or_insert_with(|| self.statistics.stddev()))
                }
                Err(bad) => {
                    self.errors += 1;
                    Reply::Error(bad)
                }
            };
            reply.write_to(self.dialect, out)?;
        }
        Ok(Progress::Exit(Summary {
            count: self.statistics.count(),
            mean: self.statistics.mean(),
        }))
    }

    /// Writes the final line.
    ///
    /// # Errors
    ///
    /// Only those of `out`.
    pub fn farewell(&self, out: &mut impl Write) -> io::Result<()> {
        Reply::Exit(Figures::of(&self.statistics)).write_to(self.dialect, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything a client would see, and how it ended.
    fn converse<'a>(
        dialect: Dialect,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (String, Progress) {
        let mut session = Session::new(dialect, 80);
        let mut out = session.greeting().to_vec();
        let mut progress = Progress::Continue;
        for piece in pieces {
            progress = session
                .receive(piece, &mut out)
                .expect("a Vec takes everything");
        }
        if progress != Progress::Continue {
            session.farewell(&mut out).expect("a Vec takes everything");
        }
        (String::from_utf8(out).expect("replies are ASCII"), progress)
    }

    fn plain(input: &str) -> String {
        converse(Dialect::Plain, [input.as_bytes()]).0
    }

    #[test]
    fn each_command_answers_for_the_values_before_it() {
        let replies = plain("count\n1\ncount\n2\nsum\nmean\nstddev\n3\nsum\n");
        assert_eq!(replies, "0\n1\n3\n1.5\n0.7071067811865476\n6\n");
    }

    #[test]
    fn an_answer_holds_until_the_next_value() {
        let questions = "sum\nmean\nstddev\n";
        let replies = plain(&format!(
            "1\n{questions}{questions}4\n{questions}bad\n{questions}"
        ));
        let [one, two] = ["1\n1\nnan\n", "5\n2.5\n2.1213203435596424\n"];
        let bad = "Error: unrecognized command\n";
        assert_eq!(replies, format!("{one}{one}{two}{bad}{two}"));
    }

    #[test]
    fn repeated_questions_are_not_worked_out_again() {
        let mut session = Session::new(Dialect::Plain, 80);
        let mut out = Vec::new();
        session
            .receive(b"1\n2\nsum\n", &mut out)
            .expect("a Vec takes everything");
        session.answers.sum = Some(42.0);
        session
            .receive(b"sum\n3\nsum\n", &mut out)
            .expect("a Vec takes everything");
        assert_eq!(out, b"3\n42\n6\n");
    }

    #[test]
    fn an_empty_session_knows_its_sum() {
        assert_eq!(plain("count\nsum\nmean\nstddev\n"), "0\n0\nnan\nnan\n");
    }

    #[test]
    fn zeros_count() {
        assert_eq!(plain("0\n-0\ncount\nsum\n"), "2\n0\n");
    }

    #[test]
    fn a_bad_line_changes_nothing() {
        let replies = plain("1\ncounter\n1.5abc\n\nnan\n1e999\ncount\nsum\n");
        let expected = "Error: unrecognized command\nError: malformed number\nError: empty line\n\
                        Error: not a finite number\nError: value out of range\n1\n1\n";
        assert_eq!(replies, expected);
    }

    #[test]
    fn a_long_line_is_one_error_and_the_session_goes_on() {
        let input = format!("5\n{}1\n{}\ncount\n", " ".repeat(78), "1".repeat(80));
        assert_eq!(plain(&input), "Error: long line\n2\n");
    }

    #[test]
    fn exit_ends_the_session_and_the_rest_is_ignored() {
        let (replies, progress) = converse(Dialect::Plain, [&b"1\n2\ncount\nexit\n3\ncount\n"[..]]);
        assert_eq!(
            replies,
            "2\nEXIT STATS: count 2 mean 1.5 stddev 0.7071067811865476\n"
        );
        let summary = Summary {
            count: 2,
            mean: 1.5,
        };
        assert_eq!(progress, Progress::Exit(summary));
    }

    #[test]
    fn exit_without_its_newline_does_not_end_the_session() {
        let (replies, progress) = converse(Dialect::Plain, [&b"1\nexit"[..]]);
        assert_eq!((replies.as_str(), progress), ("", Progress::Continue));
    }

    #[test]
    fn the_classic_dialect_greets_and_rounds() {
        let (replies, _) = converse(Dialect::Classic, [&b"1\n2\nmean\nx y\nexit\n"[..]]);
        let expected = "Stats server ready\n1.50\nError: unrecognized command\n\
                        EXIT STATS: count 2 mean 1.50 stddev 0.71\n";
        assert_eq!(replies, expected);
    }

    #[test]
    fn the_first_error_of_the_output_is_returned() {
        let mut full = &mut [0u8; 1][..];
        let result = Session::new(Dialect::Plain, 80).receive(b"count\n", &mut full);
        assert_eq!(
            result.map_err(|error| error.kind()),
            Err(io::ErrorKind::WriteZero)
        );
    }

    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::sample::select(vec![
                "count", "sum", "mean", "stddev", "", "bad", "nan", " count "
            ])
            .prop_map(str::to_owned),
            any::<f64>().prop_map(|value| format!("{value:e}")),
            (70usize..90).prop_map(|length| "1".repeat(length)),
            Just("exit\r".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn cuts_never_show(
            lines in prop::collection::vec(line(), 0..30),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let input = lines.join("\n").into_bytes();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
            cuts.extend([0, input.len()]);
            cuts.sort();
            let pieces = cuts.windows(2).map(|pair| &input[pair[0]..pair[1]]);
            let in_pieces = format!("{:?}", converse(Dialect::Plain, pieces));
            let at_once = format!("{:?}", converse(Dialect::Plain, [&input[..]]));
            prop_assert_eq!(in_pieces, at_once);
        }
    }
}

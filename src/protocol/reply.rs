//! Replies to bytes.

use std::fmt;
use std::io::{self, Write};

use super::{BadLine, Dialect};
use crate::stats::Statistics;

/// What the server answers, one line each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reply {
    /// The reply to [`Request::Count`](super::Request::Count).
    Count(u64),
    /// The reply to a request for a sum, mean or standard deviation.
    Number(f64),
    /// The final line of a session.
    Exit(Figures),
    /// The line of the secondary port; the figures are those of the means.
    Meta(Figures),
    /// The reply to a line that is no request.
    Error(BadLine),
}

/// A count, a mean and a sample standard deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// How many numbers.
    pub count: u64,
    /// Their mean; NaN if there are none.
    pub mean: f64,
    /// Their sample standard deviation; NaN if there are fewer than two.
    pub stddev: f64,
}

impl Figures {
    /// The figures of the values that `statistics` holds.
    pub fn of(statistics: &Statistics) -> Self {
        Figures {
            count: statistics.count(),
            mean: statistics.mean(),
            stddev: statistics.stddev(),
        }
    }
}

impl Reply {
    /// The reply as `dialect` writes it, without an LF.
    pub fn display(self, dialect: Dialect) -> impl fmt::Display {
        Text {
            reply: self,
            dialect,
        }
    }

    /// Writes the reply as one line, its LF included.
    ///
    /// # Errors
    ///
    /// Only those of `out`.
    pub fn write_to(self, dialect: Dialect, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.display(dialect))
    }
}

/// A reply as a dialect writes it.
struct Text {
    reply: Reply,
    dialect: Dialect,
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dialect = self.dialect;
        let number = |value| Number { value, dialect };
        match self.reply {
            Reply::Count(count) => write!(f, "{count}"),
            Reply::Number(value) => number(value).fmt(f),
            Reply::Exit(Figures {
                count,
                mean,
                stddev,
            }) => {
                let (mean, stddev) = (number(mean), number(stddev));
                write!(f, "EXIT STATS: count {count} mean {mean} stddev {stddev}")
            }
            Reply::Meta(Figures {
                count,
                mean,
                stddev,
            }) => {
                let (mean, stddev) = (number(mean), number(stddev));
                write!(
                    f,
                    "means_count {count} mean_of_means {mean} stddev_of_means {stddev}"
                )
            }
            Reply::Error(bad) => write!(f, "Error: {}", bad.message(dialect)),
        }
    }
}

impl BadLine {
    /// The text after `Error: `. No word of it is a number, so that a client cannot mistake it for
    /// one. The classic dialect knows two texts only.
    fn message(self, dialect: Dialect) -> &'static str {
        match (dialect, self) {
            (_, BadLine::TooLong) => "long line",
            (Dialect::Classic, _) | (_, BadLine::UnrecognizedCommand) => "unrecognized command",
            (_, BadLine::Empty) => "empty line",
            (_, BadLine::MalformedNumber) => "malformed number",
            (_, BadLine::OutOfRange) => "value out of range",
            (_, BadLine::NotFinite) => "not a finite number",
        }
    }
}

/// A number as a dialect writes it.
struct Number {
    value: f64,
    dialect: Dialect,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        if value.is_nan() {
            return f.write_str("nan");
        }
        if value.is_infinite() || self.dialect == Dialect::Classic {
            return write!(f, "{value:.2}");
        }
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        match text.split_once("e+") {
            Some((digits, exponent)) => write!(f, "{digits}e{exponent}"),
            None => f.write_str(text.strip_suffix(".0").unwrap_or(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Request;
    use proptest::prelude::*;

    fn written(reply: Reply, dialect: Dialect) -> String {
        format!("{}\n", reply.display(dialect))
    }

    #[test]
    fn plain_numbers_are_short() {
        let forms = [
            (2.0, "2\n"),
            (1.75, "1.75\n"),
            (-0.5, "-0.5\n"),
            (0.0, "0\n"),
            (-0.0, "-0\n"),
            (0.1, "0.1\n"),
            (1e15, "1000000000000000\n"),
            (1e300, "1e300\n"),
            (1.5e300, "1.5e300\n"),
            (5e-324, "5e-324\n"),
            (f64::NAN, "nan\n"),
            (-f64::NAN, "nan\n"),
            (f64::INFINITY, "inf\n"),
            (f64::NEG_INFINITY, "-inf\n"),
        ];
        for (number, expected) in forms {
            assert_eq!(written(Reply::Number(number), Dialect::Plain), expected);
        }
    }

    #[test]
    fn classic_numbers_have_two_decimals() {
        let forms = [
            (2.0, "2.00\n"),
            (0.125, "0.12\n"),
            (0.375, "0.38\n"),
            (-1.005, "-1.00\n"),
            (f64::NAN, "nan\n"),
            (f64::INFINITY, "inf\n"),
            (f64::NEG_INFINITY, "-inf\n"),
        ];
        for (number, expected) in forms {
            assert_eq!(written(Reply::Number(number), Dialect::Classic), expected);
        }
        assert_eq!(written(Reply::Count(3), Dialect::Classic), "3\n");
    }

    #[test]
    fn the_labels_are_the_same_in_both_dialects() {
        let figures = Figures {
            count: 1,
            mean: 2.5,
            stddev: f64::NAN,
        };
        let forms = [
            (
                Reply::Exit(figures),
                Dialect::Plain,
                "EXIT STATS: count 1 mean 2.5 stddev nan\n",
            ),
            (
                Reply::Exit(figures),
                Dialect::Classic,
                "EXIT STATS: count 1 mean 2.50 stddev nan\n",
            ),
            (
                Reply::Meta(figures),
                Dialect::Plain,
                "means_count 1 mean_of_means 2.5 stddev_of_means nan\n",
            ),
            (
                Reply::Meta(figures),
                Dialect::Classic,
                "means_count 1 mean_of_means 2.50 stddev_of_means nan\n",
            ),
        ];
        for (reply, dialect, expected) in forms {
            assert_eq!(written(reply, dialect), expected);
        }
    }

    #[test]
    fn no_word_of_an_error_is_a_number() {
        for bad in BAD_LINES {
            let line = written(Reply::Error(bad), Dialect::Plain);
            assert!(
                line.starts_with("Error: ") && line.ends_with('\n'),
                "{line:?}"
            );
            assert!(
                line.split_whitespace()
                    .all(|word| word.parse::<f64>().is_err()),
                "{line:?}"
            );
        }
    }

    #[test]
    fn the_classic_dialect_knows_two_errors() {
        for bad in BAD_LINES {
            let expected = match bad {
                BadLine::TooLong => "Error: long line\n",
                _ => "Error: unrecognized command\n",
            };
            assert_eq!(written(Reply::Error(bad), Dialect::Classic), expected);
        }
    }

    const BAD_LINES: [BadLine; 6] = [
        BadLine::Empty,
        BadLine::UnrecognizedCommand,
        BadLine::MalformedNumber,
        BadLine::OutOfRange,
        BadLine::NotFinite,
        BadLine::TooLong,
    ];

    proptest! {
        #[test]
        fn plain_numbers_read_back_to_the_same_value(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            let text = written(Reply::Number(number), Dialect::Plain);
            let request = Request::parse(text.trim_end().as_bytes());
            prop_assert!(matches!(request, Ok(Request::Value(value)) if value.to_bits() == bits));
        }
    }
}

//! The reference model of one session: octets in, replies out, by `spec/` alone and in exact arithmetic.
//!
//! It is written to be obviously right, not fast, and shares no code with the server.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::str;
use std::sync::{Arc, PoisonError, RwLock};

use crate::exact::{Real, Sample, rational};

/// What a session answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To `count`.
    Count(u64),
    /// To `sum`, `mean` or `stddev`.
    Quantity(Quantity),
    /// To `exit`.
    Exit {
        /// How many values there were.
        count: u64,
        /// Their mean.
        mean: Quantity,
        /// Their sample standard deviation.
        stddev: Quantity,
    },
    /// To a bad line.
    Error,
}

/// The exact result of a computation, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// A real number.
    Defined(Real),
    /// The mean of nothing, or the deviation of fewer than two values.
    Undefined,
}

impl Display for Quantity {
    /// The shortest decimal that reads back to the nearest binary64, or `nan`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let value = self.to_f64();
        if value.is_nan() {
            f.write_str("nan")
        } else if value != 0.0 && !(1e-5..1e16).contains(&value.abs()) {
            write!(f, "{value:e}")
        } else {
            value.fmt(f)
        }
    }
}

impl Quantity {
    /// The correctly rounded binary64; NaN where undefined.
    pub fn to_f64(&self) -> f64 {
        match self {
            Quantity::Defined(real) => real.to_f64(),
            Quantity::Undefined => f64::NAN,
        }
    }

    /// The mean of a sample.
    pub fn mean(sample: &Sample) -> Quantity {
        sample.mean().map_or(Quantity::Undefined, |mean| {
            Quantity::Defined(Real::Rational(mean))
        })
    }

    /// The sample standard deviation of a sample.
    pub fn stddev(sample: &Sample) -> Quantity {
        sample
            .stddev()
            .map_or(Quantity::Undefined, Quantity::Defined)
    }
}

/// A line as the protocol understands it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Request {
    /// A value.
    Value(f64),
    /// `count`.
    Count,
    /// `sum`.
    Sum,
    /// `mean`.
    Mean,
    /// `stddev`.
    Stddev,
    /// `exit`.
    Exit,
    /// Anything else.
    Bad,
}

/// Reads a line without its LF.
pub fn request(line: &[u8]) -> Request {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Ok(line) = str::from_utf8(line) else {
        return Request::Bad;
    };
    match line.trim_matches(' ') {
        "count" => Request::Count,
        "sum" => Request::Sum,
        "mean" => Request::Mean,
        "stddev" => Request::Stddev,
        "exit" => Request::Exit,
        word if is_number(word) => match word.parse::<f64>() {
            Ok(value) if value.is_finite() => Request::Value(value),
            _ => Request::Bad,
        },
        _ => Request::Bad,
    }
}

/// `[+-]? (digits [. digits*] | . digits+) ([eE] [+-]? digits+)?`
fn is_number(word: &str) -> bool {
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_is_right =
        digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_is_right = exponent.is_none_or(|exponent| {
        let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !power.is_empty() && digits(power)
    });
    mantissa_is_right && exponent_is_right
}

/// The clause that is no MUST and that decides how servers take a line, if there is one.
pub fn free_clause(line: &[u8]) -> Option<&'static str> {
    let text = line.strip_suffix(b"\r").unwrap_or(line);
    let spaces = text.trim_ascii_start().ends_with(b" ");
    let word = String::from_utf8_lossy(text.trim_ascii());
    let is_command =
        |word: &str| !matches!(request(word.as_bytes()), Request::Bad | Request::Value(_));
    if word.is_empty() {
        Some("line.empty")
    } else if text.len() < line.len() {
        Some("line.cr")
    } else if spaces && request(line) != Request::Bad {
        Some("line.trailing-spaces")
    } else if !is_command(&word) && is_command(&word.to_ascii_lowercase()) {
        Some("command.case")
    } else if is_number(&word) && request(line) == Request::Bad {
        Some("value.overflow")
    } else {
        None
    }
}

/// Octets, LF included, that every server accepts in one line.
const AGREED_LINE: usize = 80;

/// What a session took in, for those who ask why a number is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input {
    /// A value.
    Value(f64),
    /// A bad line.
    Bad,
}

/// What a session had taken in at some moment: a length into the log of the whole session, which many replies share.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    log: Arc<RwLock<Vec<Input>>>,
    length: usize,
}

impl Inputs {
    fn push(&mut self, input: Input) {
        self.log
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(input);
        self.length += 1;
    }

    /// The inputs.
    pub fn to_vec(&self) -> Vec<Input> {
        self.log.read().unwrap_or_else(PoisonError::into_inner)[..self.length].to_vec()
    }
}

impl PartialEq for Inputs {
    fn eq(&self, other: &Self) -> bool {
        self.to_vec() == other.to_vec()
    }
}

/// What a reply is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// A line of a session.
    Session {
        /// The line.
        request: Request,
        /// What the session had taken in before it.
        inputs: Inputs,
    },
    /// The secondary port.
    Means {
        /// What each session that had ended by `exit` had taken in, since the case began.
        sessions: Arc<[Inputs]>,
    },
}

/// What a session answers to some octets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The replies, in order.
    pub replies: Vec<Reply>,
    /// What each of them is about.
    pub asked: Vec<Asked>,
    /// How many values came between each of their lines and the one that was answered before it.
    pub values_before: Vec<usize>,
    /// Whether octets came behind `exit`, which nobody has to read.
    pub beyond_exit: bool,
    /// Clauses that decide how servers take one of the lines, although servers may do otherwise.
    pub free_clauses: BTreeSet<&'static str>,
    /// Whether there was a line that is right in itself but longer than every server accepts. It was taken for too long, other servers may
    /// accept it.
    pub depends_on_limit: bool,
}

/// A session with a server that keeps to the specification.
#[derive(Debug, Default)]
pub struct Session {
    sample: Sample,
    inputs: Inputs,
    partial: Vec<u8>,
    /// Values since the last line that was answered.
    unanswered: usize,
    ended: bool,
    /// Whether the agreed length is also the limit, as in the classic dialect.
    limited: bool,
}

impl Session {
    /// A session in which no line may be longer than every server accepts.
    pub fn limited() -> Session {
        Session {
            limited: true,
            ..Session::default()
        }
    }

    /// Takes octets as they arrive and answers the lines that they complete.
    pub fn receive(&mut self, octets: &[u8]) -> Answer {
        let mut answer = Answer::default();
        for piece in octets.split_inclusive(|&octet| octet == b'\n') {
            if self.ended {
                answer.beyond_exit = true;
                break;
            }
            self.partial.extend_from_slice(piece);
            if let Some(line) = self.partial.strip_suffix(b"\n") {
                let too_long = self.partial.len() > AGREED_LINE;
                let request = request(line);
                answer.free_clauses.extend(free_clause(line));
                self.partial.clear();
                let reply = if too_long && request != Request::Bad {
                    answer.depends_on_limit |= !self.limited;
                    Some(Reply::Error)
                } else {
                    self.answer(request)
                };
                if let Some(reply) = reply {
                    answer.replies.push(reply);
                    let values = std::mem::take(&mut self.unanswered);
                    answer.values_before.push(values);
                    answer.asked.push(Asked::Session {
                        request,
                        inputs: self.inputs.clone(),
                    });
                }
                match request {
                    Request::Value(value) if !too_long => {
                        self.unanswered += 1;
                        self.inputs.push(Input::Value(value));
                    }
                    Request::Value(_) | Request::Bad => self.inputs.push(Input::Bad),
                    _ => {}
                }
            }
        }
        answer
    }

    fn answer(&mut self, request: Request) -> Option<Reply> {
        let sample = &mut self.sample;
        match request {
            Request::Value(value) => {
                sample.add(&rational(value));
                None
            }
            Request::Count => Some(Reply::Count(sample.count())),
            Request::Sum => Some(Reply::Quantity(Quantity::Defined(sample.sum()))),
            Request::Mean => Some(Reply::Quantity(Quantity::mean(sample))),
            Request::Stddev => Some(Reply::Quantity(Quantity::stddev(sample))),
            Request::Exit => {
                self.ended = true;
                Some(Reply::Exit {
                    count: sample.count(),
                    mean: Quantity::mean(sample),
                    stddev: Quantity::stddev(sample),
                })
            }
            Request::Bad => Some(Reply::Error),
        }
    }

    /// What came of a line that is not complete.
    pub fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// Whether `exit` was answered.
    pub fn has_ended(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_from_bad_lines() {
        for good in [
            "1", "+1", "-1.", ".5", "1e5", "1.5E-3", " 7 ", "7\r", "0", "-0",
        ] {
            assert!(
                matches!(request(good.as_bytes()), Request::Value(_)),
                "{good}"
            );
        }
        for bad in [
            "", " ", ".", "1 2", "1.5abc", "nan", "inf", "0x10", "1e", "1e999", "\t1", "1,5",
            "--1", "7\r\r",
        ] {
            assert_eq!(request(bad.as_bytes()), Request::Bad, "{bad}");
        }
    }

    #[test]
    fn replies_follow_the_lines_whatever_the_pieces() {
        let mut session = Session::default();
        assert_eq!(session.receive(b"1\n2\nco").replies, []);
        assert_eq!(
            session.receive(b"unt\nx\n").replies,
            [Reply::Count(2), Reply::Error]
        );
        assert_eq!(session.receive(b"exit\ncount\n").replies.len(), 1);
        assert!(session.has_ended());
    }

    #[test]
    fn a_long_right_line_has_no_agreed_meaning() {
        let line = [b"0".repeat(80), b"\n".to_vec()].concat();
        assert!(Session::default().receive(&line).depends_on_limit);
        let limited = Session::limited().receive(&line);
        assert_eq!(
            (limited.replies, limited.depends_on_limit),
            (vec![Reply::Error], false)
        );
        assert_eq!(Session::default().receive(&line[1..]), Answer::default());
    }
}

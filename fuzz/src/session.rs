//! A conversation, cut anywhere: every reply is right, it is there as soon as its line is, and the cuts never show:
//! the oracle does not know them.
//!
//! The first octet of the input chooses dialect, line limit and repetition, the second one the cuts; the others are
//! what the client sends. Repetition makes long runs of values out of short input: code that takes many lines at once
//! has to be reached too.

use std::fmt::{self, Display, Formatter};

use meta_stats_conformance::model::{self, Request};
use meta_stats_server::ingest::Ingest;
use meta_stats_server::protocol::Dialect;
use meta_stats_server::session::{Progress, Session};

use crate::exact::Exact;
use crate::pieces;

/// Line limits in octets, LF included: what every server accepts, less, more, and the default.
const LIMITS: [usize; 4] = [80, 8, 200, 65_536];

/// How often the lines before the first command are sent.
const TIMES: [usize; 4] = [1, 1, 1, 32];

/// Runs the target.
///
/// # Panics
/// If a reply is wrong, missing, late, or depends on the cuts.
pub fn run(input: &[u8]) {
    let [shape, cut, stream @ ..] = input else {
        return;
    };
    let choice = |choices: [usize; 4], bit: u8| choices[usize::from(shape >> bit & 3)];
    let (limit, times) = (choice(LIMITS, 1), choice(TIMES, 3));
    let repeated;
    let stream = match times {
        1 => stream,
        _ => {
            let (front, rest) = stream.split_at(before_commands(stream));
            repeated = [front.repeat(times).as_slice(), rest].concat();
            &repeated
        }
    };
    check_paths(limit, stream);
    let plain = converse(Dialect::Plain, limit, pieces(stream, *cut));
    let replies = check(limit, stream, &plain);
    if shape & 1 != 0 {
        let classic = converse(Dialect::Classic, limit, pieces(stream, *cut));
        let due = replies.iter().map(|reply| format!("{reply}\n"));
        assert_eq!(
            classic.said,
            "Stats server ready\n".to_owned() + &due.collect::<String>()
        );
        assert_eq!(classic.summary, plain.summary);
    }
}

/// The length of the lines before the first one that may hold a command.
fn before_commands(stream: &[u8]) -> usize {
    let letter = stream.iter().position(|octet| b"csmx".contains(octet));
    let lines = &stream[..letter.unwrap_or(stream.len())];
    lines
        .iter()
        .rposition(|&octet| octet == b'\n')
        .map_or(0, |end| end + 1)
}

/// All paths that this processor has take the same values off the front of the stream.
fn check_paths(limit: usize, stream: &[u8]) {
    let read = |mut ingest: Ingest| {
        let (mut input, mut values) = (stream, Vec::new());
        loop {
            let taken = ingest.take(&mut input, limit).iter();
            let before = values.len();
            values.extend(taken.map(|value| value.to_bits()));
            if values.len() == before {
                return (values, input.len());
            }
        }
    };
    let portable = read(Ingest::portable());
    for ingest in Ingest::all() {
        assert_eq!(read(ingest), portable, "the path shows");
    }
}

/// What a client got to read.
struct Conversation {
    said: String,
    /// How long `said` was after so many octets of the client, for each piece.
    progress: Vec<(usize, usize)>,
    /// Count and mean of the summary, the latter as its bit pattern, if the session was ended by `exit`.
    summary: Option<(u64, u64)>,
}

fn converse<'a>(
    dialect: Dialect,
    limit: usize,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Conversation {
    let mut session = Session::new(dialect, limit);
    let mut said = session.greeting().to_vec();
    let mut progress = Vec::new();
    let mut summary = None;
    let mut sent = 0;
    for piece in pieces {
        sent += piece.len();
        let before = summary;
        let received = session.receive(piece, &mut said);
        summary = match received.expect("a Vec takes everything") {
            Progress::Continue => None,
            Progress::Exit(summary) => Some((summary.count, summary.mean.to_bits())),
        };
        assert!(
            before.is_none() || before == summary,
            "an ended session has changed"
        );
        progress.push((sent, said.len()));
    }
    if summary.is_some() {
        let said = session.farewell(&mut said);
        said.expect("a Vec takes everything");
    }
    Conversation {
        said: String::from_utf8(said).expect("replies are ASCII"),
        progress,
        summary,
    }
}

/// A right reply; displayed as the classic dialect words it.
enum Reply {
    Count(u64),
    Number(f64),
    Exit(u64, f64, f64),
    LongLine,
    BadLine,
}

impl Display for Reply {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Reply::Count(count) => write!(f, "{count}"),
            Reply::Number(value) if value.is_nan() => write!(f, "nan"),
            Reply::Number(value) => write!(f, "{value:.2}"),
            Reply::Exit(count, mean, stddev) => {
                let [mean, stddev] = [mean, stddev].map(Reply::Number);
                write!(f, "EXIT STATS: count {count} mean {mean} stddev {stddev}")
            }
            Reply::LongLine => write!(f, "Error: long line"),
            Reply::BadLine => write!(f, "Error: unrecognized command"),
        }
    }
}

/// Judges everything that was said in the plain dialect, line by line.
fn check(limit: usize, stream: &[u8], conversation: &Conversation) -> Vec<Reply> {
    let mut replies = Vec::new();
    let mut unread = conversation.said.as_str();
    let mut pieces = conversation.progress.iter().peekable();
    let mut exact = Exact::default();
    let mut received = 0;
    for line in stream.split_inclusive(|&octet| octet == b'\n') {
        received += line.len();
        let Some(text) = line.strip_suffix(b"\n") else {
            break;
        };
        // All that was asked before this line is answered, and this line is not.
        while let Some((_, length)) = pieces.next_if(|(sent, _)| *sent < received) {
            let replied = conversation.said.len() - unread.len();
            assert_eq!(*length, replied, "a reply is late or early");
        }
        let request = match line.len() <= limit {
            true => model::request(text),
            false => Request::Bad,
        };
        let reply = match request {
            Request::Value(value) => {
                exact.add(value, 1);
                continue;
            }
            Request::Exit => {
                assert!(conversation.summary.is_some(), "`exit` was ignored");
                replies.push(check_exit(
                    next_reply(&mut unread),
                    &exact,
                    conversation.summary,
                ));
                assert_eq!(unread, "", "something follows the last line");
                return replies;
            }
            _ => next_reply(&mut unread),
        };
        replies.push(match request {
            Request::Count => Reply::Count(check_count(reply, &exact)),
            Request::Sum => Reply::Number(check_number(reply, |sum| exact.is_sum(sum))),
            Request::Mean => Reply::Number(check_number(reply, |mean| exact.is_mean(mean))),
            Request::Stddev => Reply::Number(check_number(reply, |stddev| exact.is_stddev(stddev))),
            _ => {
                let text = reply
                    .strip_prefix("Error: ")
                    .expect("an error is called one");
                let too_long = line.len() > limit;
                assert_eq!(text == "long line", too_long, "{}", line.escape_ascii());
                if too_long {
                    Reply::LongLine
                } else {
                    Reply::BadLine
                }
            }
        });
    }
    assert_eq!(conversation.summary, None, "only `exit` ends a session");
    assert_eq!(unread, "", "more was said than asked for");
    replies
}

/// Takes the next line of what was said.
fn next_reply<'a>(said: &mut &'a str) -> &'a str {
    let (reply, rest) = said.split_once('\n').expect("a reply is missing");
    *said = rest;
    reply
}

fn check_exit(line: &str, exact: &Exact, summary: Option<(u64, u64)>) -> Reply {
    let fields = line.split(' ').collect::<Vec<_>>();
    let &[
        "EXIT",
        "STATS:",
        "count",
        count,
        "mean",
        mean,
        "stddev",
        stddev,
    ] = fields.as_slice()
    else {
        panic!("{line:?} is no exit line");
    };
    let count = check_count(count, exact);
    let mean = check_number(mean, |mean| exact.is_mean(mean));
    let stddev = check_number(stddev, |stddev| exact.is_stddev(stddev));
    let summary = summary.map(|(count, mean)| (count, f64::from_bits(mean).to_string()));
    assert_eq!(
        summary,
        Some((count, mean.to_string())),
        "the record says otherwise"
    );
    Reply::Exit(count, mean, stddev)
}

fn check_count(reply: &str, exact: &Exact) -> u64 {
    assert_eq!(reply, exact.count().to_string());
    exact.count()
}

/// Reads a number that is printed in the shortest form, and right.
fn check_number(reply: &str, is_right: impl Fn(f64) -> bool) -> f64 {
    let value = reply.parse::<f64>().expect("a number");
    assert!(is_right(value), "{reply} is wrong");
    if value.is_finite() {
        // The standard library's digits are the shortest that read back, too.
        let shortest = digits(&format!("{value:e}"));
        assert_eq!(
            digits(reply),
            shortest,
            "{reply} is not the shortest form of {value:e}"
        );
    } else {
        assert!(["nan", "inf", "-inf"].contains(&reply));
    }
    value
}

/// How many significant digits a number shows.
fn digits(text: &str) -> usize {
    let mantissa = text.split('e').next().unwrap_or_default();
    let digits = mantissa.chars().filter(char::is_ascii_digit);
    digits.collect::<String>().trim_matches('0').len()
}

//! Any octets, cut anywhere: the lines and the requests are those of a slow reading of the whole stream.
//!
//! The first octet of the input says how the others are cut, its highest bit how long a line may be.
//!
//! The reading here is meant to be seen through at a glance, and to be cheap all the same: it allocates nothing, so
//! that the engine spends its time in the server's code.

use meta_stats_server::line::{Framer, Line};
use meta_stats_server::protocol::{BadLine, Request};

use crate::pieces;

/// Line limits of the framer under test, in octets with LF: one that every server has, and one with both its sides
/// within reach of short input.
const LIMITS: [usize; 2] = [80, 24];

/// Runs the target.
///
/// # Panics
/// If a line is lost, invented or changed by the cuts, or read as another request than it is.
pub fn run(input: &[u8]) {
    let Some((&cut, stream)) = input.split_first() else {
        return;
    };
    let limit = LIMITS[usize::from(cut >> 7)];
    let mut framer = Framer::new(limit);
    let mut unread = stream;
    for mut piece in pieces(stream, cut) {
        while let Some(line) = framer.next(&mut piece) {
            let text = next_line(&mut unread).expect("there are no more lines than LFs");
            match line {
                Line::TooLong => assert!(text.len() >= limit, "{text:?} is not too long"),
                Line::Whole(found) => {
                    assert!(text.len() < limit, "{text:?} is too long");
                    assert_eq!(found, text);
                    compare(found);
                }
            }
        }
    }
    assert_eq!(next_line(&mut unread), None, "a line was lost");
}

/// Takes what stands before the next LF. What follows the last LF is no line.
fn next_line<'a>(stream: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = stream.iter().position(|&octet| octet == b'\n')?;
    let line = &stream[..end];
    *stream = &stream[end + 1..];
    Some(line)
}

/// The server reads a line as it is read here, values to the last bit.
fn compare(line: &[u8]) {
    match (Request::parse(line), read(line)) {
        (Ok(Request::Value(found)), Ok(Request::Value(expected))) => {
            assert_eq!(
                found.to_bits(),
                expected.to_bits(),
                "{}",
                line.escape_ascii()
            );
        }
        (found, expected) => assert_eq!(found, expected, "{}", line.escape_ascii()),
    }
}

/// A second reading of the line, by the specification.
fn read(line: &[u8]) -> Result<Request, BadLine> {
    let line = match line {
        [before @ .., b'\r'] => before,
        _ => line,
    };
    let first = line.iter().position(|&octet| octet != b' ');
    let last = line.iter().rposition(|&octet| octet != b' ');
    let (Some(first), Some(last)) = (first, last) else {
        return Err(BadLine::Empty);
    };
    let text = &line[first..=last];
    match text {
        b"count" => return Ok(Request::Count),
        b"sum" => return Ok(Request::Sum),
        b"mean" => return Ok(Request::Mean),
        b"stddev" => return Ok(Request::Stddev),
        b"exit" => return Ok(Request::Exit),
        _ => {}
    }
    if is_number(text) {
        let text = str::from_utf8(text).expect("a number is ASCII");
        let value: f64 = text.parse().expect("the grammar is a part of std's");
        return if value.is_finite() {
            Ok(Request::Value(value))
        } else {
            Err(BadLine::OutOfRange)
        };
    }
    let is = |name: &[u8]| unsigned(text).eq_ignore_ascii_case(name);
    Err(if is(b"nan") || is(b"inf") || is(b"infinity") {
        BadLine::NotFinite
    } else if b"+-.0123456789".contains(&text[0]) {
        BadLine::MalformedNumber
    } else {
        BadLine::UnrecognizedCommand
    })
}

/// `[+-]? (digits [. digits*] | . digits+) ([eE] [+-]? digits+)?`
fn is_number(text: &[u8]) -> bool {
    let text = unsigned(text);
    let (mantissa, exponent) = match text.iter().position(|octet| b"eE".contains(octet)) {
        Some(mark) => (&text[..mark], Some(unsigned(&text[mark + 1..]))),
        None => (text, None),
    };
    let digits = |text: &[u8]| text.iter().filter(|octet| octet.is_ascii_digit()).count();
    let dots = mantissa.iter().filter(|&&octet| octet == b'.').count();
    dots <= 1
        && digits(mantissa) > 0
        && digits(mantissa) + dots == mantissa.len()
        && exponent.is_none_or(|power| !power.is_empty() && digits(power) == power.len())
}

fn unsigned(text: &[u8]) -> &[u8] {
    match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    }
}

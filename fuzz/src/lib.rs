//! The bodies of the fuzz targets, as plain functions: a fuzzing build feeds them with invented input, `cargo test` replays the corpora.
//!
//! A body panics when it finds a bug. What is right is decided by the reference model of the conformance kit, which shares no code with the server.

use meta_stats_conformance::model;
use meta_stats_server::line::{Framer, Line};
use meta_stats_server::protocol::Request;

/// Line limit of the framer under test, in octets with LF: small, so that the fuzzer reaches both sides of it.
const LIMIT: usize = 80;

/// Any octets, cut anywhere: lines and requests are those of a slow reading of the whole.
///
/// The first octet says how the others are cut.
pub fn line(input: &[u8]) {
    let Some((&cut, stream)) = input.split_first() else {
        return;
    };
    let mut framer = Framer::new(LIMIT);
    let mut expected = stream.split(|&octet| octet == b'\n').collect::<Vec<_>>();
    // What follows the last LF is no line.
    expected.pop();
    let mut expected = expected.into_iter();
    for mut piece in pieces(stream, cut) {
        while let Some(line) = framer.next(&mut piece) {
            let text = expected.next().expect("no more lines than LFs");
            match line {
                Line::TooLong => assert!(text.len() >= LIMIT, "{text:?} is not too long"),
                Line::Whole(found) => {
                    assert!(text.len() < LIMIT, "{text:?} is too long");
                    assert_eq!(found, text);
                    compare(text);
                }
            }
        }
    }
    assert_eq!(expected.next(), None, "a line was lost");
}

/// Cuts a stream into pieces whose lengths follow from a seed.
fn pieces(stream: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream;
    let mut length = usize::from(seed);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        length = (length * 5 + 3) % 97;
        let (piece, behind) = rest.split_at((length + 1).min(rest.len()));
        rest = behind;
        Some(piece)
    })
}

/// The server and the model read a line alike, values to the last bit.
fn compare(line: &[u8]) {
    let expected = model::request(line);
    let found = match Request::parse(line) {
        Ok(Request::Value(value)) => {
            if let model::Request::Value(expected) = expected {
                assert_eq!(value.to_bits(), expected.to_bits(), "{line:?}");
            }
            model::Request::Value(value)
        }
        Ok(Request::Count) => model::Request::Count,
        Ok(Request::Sum) => model::Request::Sum,
        Ok(Request::Mean) => model::Request::Mean,
        Ok(Request::Stddev) => model::Request::Stddev,
        Ok(Request::Exit) => model::Request::Exit,
        Err(_) => model::Request::Bad,
    };
    assert_eq!(found, expected, "{line:?}");
}

//! The bodies of the fuzz targets, as plain functions: a fuzzing build feeds them with invented input, `cargo test`
//! replays the corpora.
//!
//! | target | what is invented | what decides |
//! |---|---|---|
//! | [`conversation`] | what a property of the conformance kit draws: several sessions, and the secondary port | the reference model |
//! | [`mod@line`] | a stream and its cuts, for framing and request parsing | a slow reading of the whole stream, `str::parse` |
//! | [`session`] | a conversation and its cuts | the reference model, in exact rationals |
//! | [`stats`] | values of any bit pattern, and how they are merged | the reference model, in exact rationals |
//! | [`record`] | 32 octets in the pipe | a second reading of the layout |
//! | [`transcript`] | the text of a transcript | what is printed parses back to the same |
//! | [`judge`] | what a hostile server says to the conformance runner | every call returns, and a right reply passes |
//!
//! A body panics when it finds a bug, and ignores input that is too short for it. No oracle shares code
//! with the server: the reference model is the one of the conformance kit, the integers are its own.

use std::iter;

pub mod conversation;
mod exact;
pub mod judge;
pub mod line;
pub mod record;
pub mod session;
pub mod stats;
pub mod transcript;

/// What a target does with one input.
pub type Body = fn(&[u8]);

/// Every target by name.
pub const TARGETS: [(&str, Body); 7] = [
    ("conversation", conversation::run),
    ("judge", judge::run),
    ("line", line::run),
    ("record", record::run),
    ("session", session::run),
    ("stats", stats::run),
    ("transcript", transcript::run),
];

/// The whole of a target's program: the engine's entry point in a fuzzing build, nothing in any other.
#[macro_export]
macro_rules! program {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::$target::run(input));

        #[cfg(not(fuzzing))]
        fn main() {}
    };
}

/// Cuts a stream into pieces whose lengths follow from a seed: between 1 and 97 octets, in an order that looks like
/// none. The seed 0 cuts between all octets, the seed 255 nowhere.
fn pieces(stream: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream;
    let mut length = usize::from(seed);
    iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if seed > 0 {
            length = (length * 5 + 3) % 97;
        }
        let wanted = if seed == u8::MAX {
            rest.len()
        } else {
            length + 1
        };
        let (piece, behind) = rest.split_at(wanted.min(rest.len()));
        rest = behind;
        Some(piece)
    })
}

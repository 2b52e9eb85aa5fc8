//! What clients send, drawn at random: numbers, lines, acts.
//!
//! Everything is drawn octet by octet, so that a seed means the same everywhere and the octets of a fuzzer do too; and
//! from few numbers, so that shrinking them makes short decimals.

use proptest::prelude::*;

use super::draw::{either, one_of, within};
use super::script::{Act, Command, Deed, Dress, Later};
use super::sequence::sequence;
use crate::model::{Request, request};

/// Numbers at most 1,000 in quarters: sums of thousands of them and of their squares are exact in binary64.
pub(super) fn plain_number() -> impl Strategy<Value = String> {
    one_of![
        6 => within(0u32..=20).prop_map(|n| n.to_string()),
        4 => within(0u32..=1000).prop_map(|n| n.to_string()),
        2 => within(0u64..=4000).prop_map(|n| decimal(n * 25, -2)),
        2 => (within(0u32..=99), within(0u8..=8)).prop_map(|(n, form)| spelled(n, form)),
    ]
}

/// A number in one of the other ways to write it.
fn spelled(n: u32, form: u8) -> String {
    match form {
        0 => n.to_string(),
        1 => format!("{n}."),
        2 => format!("{n}.0"),
        3 => format!("0{n}"),
        4 => format!("{n}e0"),
        5 => format!("{n}0E-1"),
        6 => format!("+{n}"),
        7 => format!("{n}.50"),
        _ => format!(".{}", 5 * (n % 2)),
    }
}

/// Numbers from the whole range of binary64, in decimals of up to 17 digits.
pub(super) fn any_number() -> impl Strategy<Value = String> {
    let mantissa = || {
        one_of![
            3 => within(0u64..=20),
            3 => within(0u64..=1_000_000),
            1 => (within(0u32..=54), within(-1i8..=1)).prop_map(|(power, beside)| {
                (1u64 << power).saturating_add_signed(beside.into())
            }),
            2 => within(0u64..=99_999_999_999_999_999),
        ]
    };
    let exponent = one_of![
        4 => Just(0i32),
        4 => within(-6i32..=0),
        2 => within(-20i32..=20),
        1 => within(-340i32..=290),
    ];
    (mantissa(), exponent, either()).prop_map(|(mantissa, exponent, negative)| {
        let sign = if negative { "-" } else { "" };
        format!("{sign}{}", decimal(mantissa, exponent))
    })
}

/// `mantissa * 10^exponent`, with a point where that is short and an exponent where it is not.
fn decimal(mantissa: u64, exponent: i32) -> String {
    let digits = mantissa.to_string();
    match exponent {
        _ if mantissa == 0 => "0".to_owned(),
        0 => digits,
        -20..0 => {
            let places = exponent.unsigned_abs() as usize;
            let padded = format!("{digits:0>width$}", width = places + 1);
            let (whole, fraction) = padded.split_at(padded.len() - places);
            match fraction.trim_end_matches('0') {
                "" => whole.to_owned(),
                fraction => format!("{whole}.{fraction}"),
            }
        }
        _ => format!("{digits}e{exponent}"),
    }
}

/// A command that asks for a number.
pub(super) fn command() -> impl Strategy<Value = Command> {
    one_of![
        1 => Just(Command::Count),
        1 => Just(Command::Sum),
        1 => Just(Command::Mean),
        1 => Just(Command::Stddev),
    ]
}

pub(super) fn later() -> impl Strategy<Value = Later> {
    one_of![3 => Just(Later::No), 1 => Just(Later::Yes)]
}

/// Lines that no server may take for anything but bad, at most 79 octets long.
pub(super) fn bad_line() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: [&[u8]; 24] = [
        b"",
        b"x",
        b"two",
        b"counter",
        b"summary",
        b"exits",
        b"COUNT",
        b"Exit",
        b"1.5abc",
        b"1 2",
        b"--1",
        b".",
        b"1e",
        b"+",
        b"1,5",
        b"mean stddev",
        b"count count",
        b"1..2",
        b"   ",
        b"\0",
        b"5\0",
        b"\xff\xfe",
        b"caf\xc3\xa9",
        b"#",
    ];
    let word = within(0u8..=23).prop_map(|index| WORDS[usize::from(index)].to_vec());
    let printable = sequence(within(b' '..=b'~'), 1, 79);
    let any = sequence(within(0..=u8::MAX), 1, 40);
    one_of![6 => word, 2 => printable, 1 => any].prop_map(|line| {
        if is_bad_everywhere(&line) {
            line
        } else {
            b"x".to_vec()
        }
    })
}

/// Whether every server must take these octets for a bad line, and may not take them for anything else.
fn is_bad_everywhere(line: &[u8]) -> bool {
    let word = String::from_utf8_lossy(line).trim().to_ascii_lowercase();
    let unsigned = word.trim_start_matches(['+', '-']);
    request(line) == Request::Bad
        && !line.contains(&b'\t')
        && !line.contains(&b'\r')
        && !line.contains(&b'\n')
        && !["nan", "inf", "0x"]
            .iter()
            .any(|special| unsigned.starts_with(special))
}

/// A value, once or more often.
pub(super) fn value(
    number: impl Strategy<Value = String> + 'static,
) -> impl Strategy<Value = Deed> {
    let times = one_of![8 => Just(1u32), 1 => within(1u32..=5)];
    (number, times).prop_map(|(text, times)| Deed::Value { text, times })
}

/// A command.
pub(super) fn ask() -> impl Strategy<Value = Deed> {
    (command(), later()).prop_map(|(command, later)| Deed::Ask(command, later))
}

/// A bad line.
pub(super) fn bad() -> impl Strategy<Value = Deed> {
    (bad_line(), later()).prop_map(|(line, later)| Deed::Bad(line, later))
}

/// The end of a session, in one of all ways.
pub(super) fn leave() -> impl Strategy<Value = Deed> {
    one_of![
        4 => exit(),
        2 => Just(Deed::HalfClose),
        1 => Just(Deed::Close),
        1 => Just(Deed::Reset),
        1 => part(),
    ]
}

pub(super) fn exit() -> impl Strategy<Value = Deed> {
    either().prop_map(|eof| Deed::Exit { eof })
}

/// A line without its end.
pub(super) fn part() -> impl Strategy<Value = Deed> {
    const PARTS: [&[u8]; 6] = [b"1", b"exit", b"count", b"x", b" ", b"2.5"];
    within(0u8..=5).prop_map(|index| Deed::Part(PARTS[usize::from(index)].to_vec()))
}

/// Spaces before the line, which every server ignores.
pub(super) fn leading() -> impl Strategy<Value = Dress> {
    one_of![6 => Just(Dress::Plain), 1 => within(1u8..=20).prop_map(Dress::Leading)]
}

/// Spaces or a CR behind the line, which a careful server ignores.
pub(super) fn trailing() -> impl Strategy<Value = Dress> {
    one_of![
        2 => Just(Dress::Plain),
        2 => Just(Dress::Cr),
        2 => within(1u8..=20).prop_map(Dress::Trailing),
    ]
}

/// Acts of some sessions.
pub(super) fn acts(
    sessions: u8,
    dress: impl Strategy<Value = Dress> + 'static,
    deed: impl Strategy<Value = Deed> + 'static,
    fewest: u32,
    most: u32,
) -> impl Strategy<Value = Vec<Act>> {
    let act = (within(0..=sessions - 1), dress, deed).prop_map(|(session, dress, deed)| Act {
        session,
        dress: if matches!(deed, Deed::Bad(..)) {
            Dress::Plain
        } else {
            dress
        },
        deed,
    });
    sequence(act, fewest, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_short() {
        for (mantissa, exponent, text) in [
            (0, 5, "0"),
            (7, 0, "7"),
            (150, -2, "1.5"),
            (5, -3, "0.005"),
            (300, -2, "3"),
            (12, 30, "12e30"),
            (1, -340, "1e-340"),
        ] {
            assert_eq!(decimal(mantissa, exponent), text);
        }
    }
}

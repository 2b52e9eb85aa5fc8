//! What clients send, from choices: numbers, lines, operations.

use std::ops::RangeInclusive;

use super::choice::{Choices, Kinds};
use super::script::{Command, Formatting, Operation, ScriptStep, Wait};
use crate::model::{Request, request};

/// Numbers at most 1,000 in quarters: sums of thousands of them and of their squares are exact in
/// binary64.
pub(super) fn plain_number(choices: &mut Choices<'_>) -> String {
    choices.kind(&[
        (6, |choices| choices.within(0u32..=20).to_string()),
        (4, |choices| choices.within(0u32..=1000).to_string()),
        (2, |choices| decimal(choices.within(0u64..=4000) * 25, -2)),
        (2, |choices| {
            spelled(choices.within(0..=99), choices.within(0..=8))
        }),
    ])
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
pub(super) fn any_number(choices: &mut Choices<'_>) -> String {
    let mantissa = choices.kind(&[
        (3, |choices| choices.within(0u64..=20)),
        (3, |choices| choices.within(0u64..=1_000_000)),
        (1, |choices| {
            let power = 1u64 << choices.within(0u32..=54);
            power.saturating_add_signed(choices.within(-1i64..=1))
        }),
        (2, |choices| choices.within(0u64..=99_999_999_999_999_999)),
    ]);
    let exponent = choices.kind(&[
        (4, |_| 0),
        (4, |choices| choices.within(-6i32..=0)),
        (2, |choices| choices.within(-20i32..=20)),
        (1, |choices| choices.within(-340i32..=290)),
    ]);
    let sign = if choices.either() { "-" } else { "" };
    format!("{sign}{}", decimal(mantissa, exponent))
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
pub(super) fn command(choices: &mut Choices<'_>) -> Command {
    choices.one_of(&[Command::Count, Command::Sum, Command::Mean, Command::Stddev])
}

pub(super) fn wait(choices: &mut Choices<'_>) -> Wait {
    if choices.rarely() {
        Wait::Deferred
    } else {
        Wait::AtOnce
    }
}

/// Lines that no server may take for anything but bad, at most 79 bytes long.
pub(super) fn bad_line(choices: &mut Choices<'_>) -> Vec<u8> {
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
    let line = choices.kind(&[
        (6, |choices| choices.one_of(&WORDS).to_vec()),
        (2, |choices| {
            choices.sequence(1..=79, |choices| choices.within(b' '..=b'~'))
        }),
        (1, |choices| {
            choices.sequence(1..=40, |choices| choices.within(0..=u8::MAX))
        }),
    ]);
    if is_bad_everywhere(&line) {
        line
    } else {
        b"x".to_vec()
    }
}

/// Whether every server must take these bytes for a bad line, and may not take them for anything
/// else.
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
pub(super) fn value(choices: &mut Choices<'_>, text: String) -> Operation {
    let times = choices.kind(&[(8, |_| 1), (1, |choices| choices.within(1..=5))]);
    Operation::Value { text, times }
}

/// A value in quarters.
pub(super) fn plain_value(choices: &mut Choices<'_>) -> Operation {
    let text = plain_number(choices);
    value(choices, text)
}

/// A command.
pub(super) fn ask(choices: &mut Choices<'_>) -> Operation {
    Operation::Ask(command(choices), wait(choices))
}

/// A bad line.
pub(super) fn bad(choices: &mut Choices<'_>) -> Operation {
    Operation::Bad(bad_line(choices), wait(choices))
}

/// The end of a session, in one of all ways.
pub(super) fn leave(choices: &mut Choices<'_>) -> Operation {
    choices.kind(&[
        (4, exit),
        (2, |_| Operation::HalfClose),
        (1, |_| Operation::Close),
        (1, |_| Operation::Reset),
        (1, part),
    ])
}

pub(super) fn exit(choices: &mut Choices<'_>) -> Operation {
    Operation::Exit {
        eof: choices.either(),
    }
}

/// A line without its end.
pub(super) fn part(choices: &mut Choices<'_>) -> Operation {
    const PARTS: [&[u8]; 6] = [b"1", b"exit", b"count", b"x", b" ", b"2.5"];
    Operation::Part(choices.one_of(&PARTS).to_vec())
}

/// Nothing around the line.
pub(super) fn plain(_: &mut Choices<'_>) -> Formatting {
    Formatting::Plain
}

/// Spaces before the line, which every server ignores.
pub(super) fn leading(choices: &mut Choices<'_>) -> Formatting {
    choices.kind(&[
        (6, plain),
        (1, |choices| Formatting::Leading(choices.within(1..=20))),
    ])
}

/// Spaces or a CR behind the line, which a server should ignore.
pub(super) fn trailing(choices: &mut Choices<'_>) -> Formatting {
    choices.kind(&[
        (2, plain),
        (2, |_| Formatting::Cr),
        (2, |choices| Formatting::Trailing(choices.within(1..=20))),
    ])
}

/// Steps of some clients.
pub(super) fn steps(
    choices: &mut Choices<'_>,
    clients: u8,
    formatting: fn(&mut Choices<'_>) -> Formatting,
    operations: Kinds<'_, Operation>,
    length: RangeInclusive<u32>,
) -> Vec<ScriptStep> {
    choices.sequence(length, |choices| {
        let client = choices.within(0..=clients - 1);
        let formatting = formatting(choices);
        let operation = choices.kind(operations);
        ScriptStep {
            client,
            formatting: match operation {
                Operation::Bad(..) => Formatting::Plain,
                _ => formatting,
            },
            operation,
        }
    })
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

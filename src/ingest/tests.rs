//! All paths against a slow reading: cut at each LF, and leave the numbers to the standard library.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const LIMIT: usize = 80;

/// What a stream says, line by line: the bits of a value, or that the line is something else.
type Lines = Vec<Option<u64>>;

fn slowly(input: &[u8]) -> Lines {
    let complete = input.split_inclusive(|&octet| octet == b'\n');
    let lines = complete.filter_map(|line| line.strip_suffix(b"\n"));
    lines.map(|line| value(line).map(f64::to_bits)).collect()
}

/// The value of a line according to the standard library, which reads more than the protocol has.
fn value(line: &[u8]) -> Option<f64> {
    if line.len() >= LIMIT {
        return None;
    }
    let text = str::from_utf8(line).ok()?;
    let text = text.strip_suffix('\r').unwrap_or(text).trim_matches(' ');
    let named = text.contains(['n', 'N']);
    let value: f64 = text.parse().ok().filter(|_| !named)?;
    value.is_finite().then_some(value)
}

fn quickly(mut ingest: Ingest, mut input: &[u8]) -> Lines {
    let mut lines = Vec::new();
    loop {
        let values = ingest.take(&mut input, LIMIT);
        lines.extend(values.iter().map(|value| Some(value.to_bits())));
        if !values.is_empty() {
            continue;
        }
        let Some(end) = memchr(b'\n', input) else {
            return lines;
        };
        lines.push(None);
        input = &input[end + 1..];
    }
}

/// Asserts that all paths read a stream as it should be.
fn check(input: &[u8]) {
    let expected = slowly(input);
    for (path, ingest) in Ingest::all().into_iter().enumerate() {
        assert_eq!(quickly(ingest, input), expected, "path {path}");
    }
}

/// Asserts it for a line at every place of a block.
fn check_everywhere(line: &str) {
    for before in 0..70 {
        let others = "1\n".repeat(before % 2) + &"5.25\n".repeat(40);
        let spaces = " ".repeat(before / 2);
        check(format!("{spaces}7\n{others}{line}\n{others}").as_bytes());
    }
}

#[test]
fn every_length_and_place_of_the_dot() {
    let digits = "9876543210123456789012345678901234567890";
    let mut stream = String::new();
    for length in 0..=digits.len() {
        for dot in 0..=length {
            let (whole, fraction) = digits[..length].split_at(dot);
            for sign in ["", "-", "+"] {
                stream += &format!("{sign}{whole}.{fraction}\n{sign}{whole}{fraction}\n");
            }
        }
    }
    check(stream.as_bytes());
    check(stream.replace('\n', "\r\n").as_bytes());
}

#[test]
fn some_lines_with_a_cr() {
    for distance in 1..10 {
        let line = |at: usize| {
            if at.is_multiple_of(distance) {
                "1.5\r\n"
            } else {
                "2.25\n"
            }
        };
        check((0..500).map(line).collect::<String>().as_bytes());
    }
    check("\r\n".repeat(1000).as_bytes());
    check("1\r\r\n2\r\n".repeat(500).as_bytes());
}

#[test]
fn every_octet_at_every_place_of_a_line() {
    for line in ["-12.50", "1234567890.12345", "-1234.5678901234567"] {
        for place in 0..line.len() {
            let mut stream = Vec::new();
            for octet in 0..=u8::MAX {
                let mut changed = line.as_bytes().to_vec();
                changed[place] = octet;
                stream.extend(changed);
                stream.push(b'\n');
            }
            check(&stream);
        }
    }
}

#[test]
fn every_place_in_a_block() {
    for line in [
        "1.5",
        "-0",
        "12345678.12345678",
        "",
        ".",
        "-",
        "-.",
        "count",
        "1e5",
        "3\r",
        "1..2",
    ] {
        check_everywhere(line);
    }
}

#[test]
fn a_stream_of_nothing_but_line_ends() {
    check(&[b'\n'; 3000]);
}

#[test]
fn the_shortest_lines_fill_a_batch() {
    check(&b"7\n".repeat(5000));
}

#[test]
fn what_is_not_complete_is_left() {
    let stream = "1.25\n".repeat(100) + "2.5";
    for mut ingest in Ingest::all() {
        let mut input = stream.as_bytes();
        assert_eq!(ingest.take(&mut input, LIMIT).len(), 100);
        assert_eq!(input, b"2.5");
        assert_eq!(ingest.take(&mut input, LIMIT), [0.0; 0]);
        assert_eq!(input, b"2.5");
    }
}

#[test]
fn lines_over_the_limit_are_left() {
    for limit in 2..40 {
        for mut ingest in Ingest::all() {
            let fits = "1".repeat(limit - 1);
            let stream = format!("{fits}\n").repeat(100) + &format!("{fits}0\n").repeat(100);
            let mut input = stream.as_bytes();
            let taken = ingest.take(&mut input, limit).len();
            assert_eq!(
                (taken, input.len()),
                (100, 100 * (limit + 1)),
                "limit {limit}"
            );
        }
    }
}

fn line() -> impl Strategy<Value = String> {
    let exponent = "[+-]?[0-9]{1,20}(\\.[0-9]{0,20})?[eE][+-]?[0-9]{1,3}";
    prop_oneof![
        8 => (-1_000_000i64..1_000_000).prop_map(|cents| format!("{}", cents as f64 / 100.0)),
        8 => "-?[0-9]{1,9}\\.[0-9]{2}",
        4 => "[+-]?[0-9]{0,18}\\.?[0-9]{0,18}",
        4 => "-?[0-9]{0,12}\\.?[0-9]{0,22}",
        4 => any::<f64>().prop_map(|value| format!("{value:e}")),
        4 => (0.0f64..1.0).prop_map(|value| value.to_string()),
        1 => exponent,
        1 => " {0,3}-?[0-9]{1,4} {0,3}\r?",
        1 => "[0-9]{60,90}",
        1 => select(vec!["count", "sum", "exit", "", "nan", "-inf", "1,5", "0x1", "é"]).prop_map(str::to_owned),
    ]
}

/// Decimals of at most 19 digits beside the middle of two `f64`, and sometimes there.
fn near_a_tie() -> impl Strategy<Value = String> {
    (1u128 << 52..1 << 53, 0..80u32, 0..20u32, -2i128..=2).prop_filter_map(
        "at most 19 digits",
        |(significand, bits, fraction, distance)| {
            let middle = ((2 * significand + 1) * 10u128.pow(fraction)) >> bits;
            let number = middle.checked_add_signed(distance)?;
            let digits = format!("{number:0>width$}", width = fraction as usize + 1);
            let (whole, fraction) = digits.split_at(digits.len() - fraction as usize);
            (number < 10u128.pow(19)).then(|| format!("{whole}.{fraction}"))
        },
    )
}

proptest! {
    #[test]
    fn decimals_beside_ties_are_read_right(lines in vec(near_a_tie(), 100..200)) {
        check((lines.join("\n") + "\n").as_bytes());
        check((lines.join("\r\n") + "\r\n").as_bytes());
    }

    #[test]
    fn all_paths_add_up_alike(cents in vec(-1_000_000i64..1_000_000, 0..3000)) {
        let values: Vec<f64> = cents.iter().map(|cents| *cents as f64 / 100.0).collect();
        let stream: String = values.iter().map(|value| format!("{value}\n")).collect();
        let mut expected = Statistics::new();
        expected.add_slice(&values);
        for mut ingest in Ingest::all() {
            let (mut found, mut input) = (Statistics::new(), stream.as_bytes());
            ingest.add_to(&mut found, &mut input, LIMIT);
            prop_assert_eq!((&found, input), (&expected, &b""[..]));
        }
    }

    #[test]
    fn all_paths_read_what_the_standard_library_reads(lines in vec(line(), 0..200)) {
        check((lines.join("\n") + "\n").as_bytes());
        check((lines.join("\r\n") + "\r\n").as_bytes());
    }

    #[test]
    fn all_paths_read_any_octets_alike(
        octets in vec(select(b"0123456789..-+e \n\n\n\r\xff".to_vec()), 0..2000),
    ) {
        check(&octets);
    }
}

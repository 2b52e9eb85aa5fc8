//! Lines to requests.

use crate::decimal;

/// What a client can ask for in one line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Request {
    /// A finite value to take into the statistics. It gets no reply.
    Value(f64),
    /// The number of values.
    Count,
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// Their sample standard deviation.
    Stddev,
    /// The final line, then the end of the session.
    Exit,
}

/// Why a line is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLine {
    /// Nothing but spaces.
    Empty,
    /// Neither a command nor the beginning of a number.
    UnrecognizedCommand,
    /// It begins like a number and does not end like one.
    MalformedNumber,
    /// A number whose nearest `f64` is infinite.
    OutOfRange,
    /// The name of an infinity or of NaN.
    NotFinite,
    /// Longer than the limit.
    TooLong,
}

impl Request {
    /// Reads one line, given without its LF.
    ///
    /// Leading spaces, one CR at the end and spaces before it do not matter.
    ///
    /// # Errors
    ///
    /// If what remains is neither a command nor a decimal number within the range of `f64`.
    ///
    /// ```
    /// use meta_stats_server::protocol::{BadLine, Request};
    ///
    /// assert_eq!(Request::parse(b"  2.5e3\r"), Ok(Request::Value(2500.0)));
    /// assert_eq!(Request::parse(b"counter"), Err(BadLine::UnrecognizedCommand));
    /// ```
    pub fn parse(line: &[u8]) -> Result<Request, BadLine> {
        let text = trim(line);
        match text {
            b"" => Err(BadLine::Empty),
            b"count" => Ok(Request::Count),
            b"sum" => Ok(Request::Sum),
            b"mean" => Ok(Request::Mean),
            b"stddev" => Ok(Request::Stddev),
            b"exit" => Ok(Request::Exit),
            _ => parse_value(text).map(Request::Value),
        }
    }
}

fn trim(line: &[u8]) -> &[u8] {
    let mut text = line.strip_suffix(b"\r").unwrap_or(line);
    while let [b' ', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

/// Reads a decimal number to the nearest `f64`, ties to even.
fn parse_value(text: &[u8]) -> Result<f64, BadLine> {
    if let Some((value, [])) = decimal::leading(text) {
        return Ok(value);
    }
    if !is_decimal(text) {
        return Err(describe(text));
    }
    // The grammar is a part of what the standard library reads, and its reading is exact.
    let value = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    value
        .filter(|value: &f64| value.is_finite())
        .ok_or(BadLine::OutOfRange)
}

/// `[+-]? (digits [. digits*] | . digits+) ([eE] [+-]? digits+)?`
fn is_decimal(text: &[u8]) -> bool {
    let (whole, rest) = split_digits(without_sign(text));
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => split_digits(rest),
        _ => (&[][..], rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return false;
    }
    match rest {
        [] => true,
        [b'e' | b'E', exponent @ ..] => {
            let (digits, rest) = split_digits(without_sign(exponent));
            !digits.is_empty() && rest.is_empty()
        }
        _ => false,
    }
}

fn without_sign(text: &[u8]) -> &[u8] {
    match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    }
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at(digits)
}

/// Says what is wrong with a text that is neither a command nor a number.
fn describe(text: &[u8]) -> BadLine {
    let names = ["nan", "inf", "infinity"];
    let unsigned = without_sign(text);
    if names
        .iter()
        .any(|name| unsigned.eq_ignore_ascii_case(name.as_bytes()))
    {
        BadLine::NotFinite
    } else if text[0].is_ascii_digit() || matches!(text[0], b'+' | b'-' | b'.') {
        BadLine::MalformedNumber
    } else {
        BadLine::UnrecognizedCommand
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(text: &str) -> Result<f64, BadLine> {
        match Request::parse(text.as_bytes()) {
            Ok(Request::Value(value)) => Ok(value),
            Ok(command) => panic!("{text:?} is a command: {command:?}"),
            Err(bad) => Err(bad),
        }
    }

    #[test]
    fn every_form_of_the_grammar_is_a_value() {
        let forms = [
            ("0", 0.0),
            ("-0", -0.0),
            ("+7", 7.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("-.5", -0.5),
            ("007", 7.0),
            ("1.50", 1.5),
            ("1e3", 1000.0),
            ("1E+3", 1000.0),
            ("1.e-3", 0.001),
            ("+.1e1", 1.0),
        ];
        for (text, expected) in forms {
            let found = value(text).map(f64::to_bits);
            assert_eq!(found, Ok(f64::to_bits(expected)), "{text}");
        }
    }

    #[test]
    fn what_only_begins_like_a_number_is_malformed() {
        let texts = [
            "1.5abc", "1 2", "1,5", "0x10", "1e", "1e+", "1e1.5", ".", "+", "-", "--1", "+-1",
            "1..2", ".e1", "1_000", "1\t", "5\0", "5\u{e9}", "-x", "1\r",
        ];
        for text in texts {
            // one CR at the end would be ignored
            let line = format!("{text}\r");
            assert_eq!(value(&line), Err(BadLine::MalformedNumber), "{text:?}");
        }
    }

    #[test]
    fn commands_are_exact() {
        assert_eq!(Request::parse(b"count"), Ok(Request::Count));
        assert_eq!(Request::parse(b"sum"), Ok(Request::Sum));
        assert_eq!(Request::parse(b"mean"), Ok(Request::Mean));
        assert_eq!(Request::parse(b"stddev"), Ok(Request::Stddev));
        assert_eq!(Request::parse(b"exit"), Ok(Request::Exit));
        let wrong = [
            "counter",
            "summary",
            "COUNT",
            "Sum",
            "coun",
            "count 1",
            "count count",
            "expected-exit",
            "exit\0",
            "\tcount",
            "e5",
            "\u{ff}",
            "\0",
        ];
        for text in wrong {
            let found = Request::parse(text.as_bytes());
            assert_eq!(found, Err(BadLine::UnrecognizedCommand), "{text:?}");
        }
    }

    #[test]
    fn spaces_around_and_one_carriage_return_are_ignored() {
        assert_eq!(Request::parse(b"   count"), Ok(Request::Count));
        assert_eq!(Request::parse(b"count  "), Ok(Request::Count));
        assert_eq!(Request::parse(b" 2.5  \r"), Ok(Request::Value(2.5)));
        assert_eq!(
            Request::parse(b"count\r\r"),
            Err(BadLine::UnrecognizedCommand)
        );
        assert_eq!(
            Request::parse(b"count\r "),
            Err(BadLine::UnrecognizedCommand)
        );
    }

    #[test]
    fn nothing_but_spaces_is_an_empty_line() {
        for line in ["", " ", "   ", "\r", "  \r"] {
            assert_eq!(
                Request::parse(line.as_bytes()),
                Err(BadLine::Empty),
                "{line:?}"
            );
        }
    }

    #[test]
    fn values_beyond_the_range_are_refused_and_tiny_ones_are_rounded() {
        assert_eq!(value("1e309"), Err(BadLine::OutOfRange));
        assert_eq!(value("-1e99999999999999999999"), Err(BadLine::OutOfRange));
        assert_eq!(value("1.7976931348623159e308"), Err(BadLine::OutOfRange));
        assert_eq!(value("1.7976931348623157e308"), Ok(f64::MAX));
        assert_eq!(value("5e-324"), Ok(f64::from_bits(1)));
        assert_eq!(value("1e-99999999999999999999"), Ok(0.0));
        assert_eq!(value(&format!("0.{}1e400", "0".repeat(400))), Ok(0.1));
    }

    #[test]
    fn infinities_and_nan_are_refused_by_name() {
        for text in ["nan", "NaN", "-nan", "inf", "+Inf", "-infinity", "INFINITY"] {
            assert_eq!(value(text), Err(BadLine::NotFinite), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(line: Vec<u8>) {
            let _ = Request::parse(&line);
        }

        #[test]
        fn numbers_with_an_exponent_are_values(
            text in "[+-]?([0-9]{1,20}(\\.[0-9]{0,20})?|\\.[0-9]{1,20})([eE][+-]?[0-9]{1,2})?",
        ) {
            prop_assert_eq!(value(&text), Ok(text.parse().expect("the grammar is std's")));
        }
    }
}

//! Decimals that are hard to read: what a session makes of them is the nearest `f64`, ties to even.
//!
//! The expectations follow from exact decimal expansions, not from another parser.

use meta_stats_server::ingest::Ingest;
use meta_stats_server::protocol::{BadLine, Request};

/// Long enough for every text here.
const LIMIT: usize = 65_536;

/// Asserts the value of a text, with either sign, alone and in the middle of a stream.
fn assert_value(text: &str, expected: f64) {
    for (sign, expected) in [("", expected), ("-", -expected), ("+", expected)] {
        let line = format!("{sign}{text}");
        let shown = &line[..line.len().min(80)];
        let found = match Request::parse(line.as_bytes()) {
            Ok(Request::Value(value)) => value.to_bits(),
            other => panic!("{shown}: {other:?}"),
        };
        assert_eq!(found, expected.to_bits(), "{shown}");
        let stream = format!("{}{line}\n{}", "1\n".repeat(50), "2.25\n".repeat(50));
        for mut ingest in Ingest::all() {
            let values = ingest.take(&mut stream.as_bytes(), LIMIT);
            assert_eq!(
                (values.len(), values[50].to_bits()),
                (101, expected.to_bits()),
                "{shown}"
            );
        }
    }
}

/// All the digits of the number halfway between a positive `f64` and the next one.
fn halfway(value: f64) -> String {
    // A significand more than any `f64` needs, so that a half is exact too.
    let [low, high] = [value, value.next_up()].map(|value| format!("{value:.1080}"));
    // The sum, digit by digit from the right, and then its half, from the left.
    let width = low.len().max(high.len());
    let digits = |text: &str| {
        let text = format!("{text:0>width$}");
        text.bytes()
            .filter(u8::is_ascii_digit)
            .map(|digit| digit - b'0')
            .collect::<Vec<_>>()
    };
    let mut sum = vec![0; width];
    let mut carry = 0;
    for ((digit, low), high) in sum
        .iter_mut()
        .rev()
        .zip(digits(&low).iter().rev())
        .zip(digits(&high).iter().rev())
    {
        let total = low + high + carry;
        (*digit, carry) = (total % 10, total / 10);
    }
    sum[0] = carry;
    let mut rest = 0;
    let mut half = String::new();
    for (place, digit) in sum.iter().enumerate() {
        let total = 10 * rest + digit;
        rest = total % 2;
        half.push(char::from(b'0' + total / 2));
        if place == width - 1 - 1080 {
            half.push('.');
        }
    }
    assert_eq!(rest, 0, "the half is exact");
    half
}

/// The largest text of as many digits that is less: the last digit that is not zero is one less, and nines follow.
fn just_below(text: &str) -> String {
    let place = text
        .rfind(|digit| matches!(digit, '1'..='9'))
        .expect("the text is not zero");
    let less = char::from(text.as_bytes()[place] - 1);
    let nines: String = text[place + 1..]
        .chars()
        .map(|c| if c == '0' { '9' } else { c })
        .collect();
    format!("{}{less}{nines}", &text[..place])
}

#[test]
fn halves_go_to_the_even_neighbour_and_what_is_beside_them_does_not() {
    let values = [
        0.0,
        1.0,
        0.1,
        1.5,
        123_456.789,
        9_007_199_254_740_992.0,
        9_007_199_254_740_994.0,
        1e-5,
        1e22,
        1e23,
        8.5e-200,
        f64::MIN_POSITIVE,
        f64::MIN_POSITIVE.next_down(),
        f64::from_bits(1),
        f64::from_bits(2),
        f64::MAX.next_down(),
    ];
    for value in values {
        let next = value.next_up();
        let even = if value.to_bits() % 2 == 0 {
            value
        } else {
            next
        };
        let half = halfway(value);
        assert_value(&half, even);
        assert_value(&format!("{half}{}1", "0".repeat(3000)), next);
        assert_value(&format!("{}{}", just_below(&half), "9".repeat(3000)), value);
    }
}

#[test]
fn the_longest_half_has_767_significant_digits_and_one_more() {
    let half = halfway(f64::MIN_POSITIVE.next_down());
    let significant = half.trim_matches(['0', '.']);
    assert_eq!(significant.len(), 768);
}

#[test]
fn thousands_of_zeros_change_nothing() {
    for zeros in [1, 20, 400, 5000] {
        let zeros = "0".repeat(zeros);
        assert_value(&format!("{zeros}1.5"), 1.5);
        assert_value(&format!("1.5{zeros}"), 1.5);
        assert_value(&format!("{zeros}.{zeros}"), 0.0);
        assert_value(&format!("-{zeros}")[1..], 0.0);
        assert_value(&format!("0.{zeros}25e{}", zeros.len() + 1), 2.5);
        assert_value(&format!("25{zeros}e-{}", zeros.len() + 1), 2.5);
    }
}

#[test]
fn exponents_near_the_limits_of_integers() {
    for limit in [
        i8::MAX.into(),
        i16::MAX.into(),
        i64::from(i32::MAX),
        i64::MAX,
    ] {
        for exponent in [limit - 1, limit].into_iter().chain(limit.checked_add(1)) {
            if limit > 400 {
                let found = Request::parse(format!("1e{exponent}").as_bytes());
                assert_eq!(found, Err(BadLine::OutOfRange), "1e{exponent}");
                assert_value(&format!("1e-{exponent}"), 0.0);
            }
            assert_value(&format!("0e{exponent}"), 0.0);
            assert_value(&format!("0.000e-{exponent}"), 0.0);
        }
    }
    for exponent in [
        "18446744073709551616",
        "170141183460469231731687303715884105728",
        &"9".repeat(4000),
    ] {
        assert_eq!(
            Request::parse(format!("7e{exponent}").as_bytes()),
            Err(BadLine::OutOfRange)
        );
        assert_value(&format!("7e-{exponent}"), 0.0);
        assert_value(&format!("0e{exponent}"), 0.0);
    }
}

#[test]
fn the_edges_of_the_range() {
    assert_value("1.7976931348623157e308", f64::MAX);
    assert_value("1.797693134862315807e308", f64::MAX);
    assert_value(&format!("{:.0}", f64::MAX), f64::MAX);
    assert_eq!(
        Request::parse(b"1.7976931348623159e308"),
        Err(BadLine::OutOfRange)
    );
    assert_value(
        "2.2250738585072011e-308",
        f64::from_bits(0x000f_ffff_ffff_ffff),
    );
    assert_value("2.2250738585072012e-308", f64::MIN_POSITIVE);
    assert_value("4.9406564584124654e-324", f64::from_bits(1));
}

#[test]
fn digits_at_the_limits_of_the_fast_ways() {
    assert_value("9007199254740991", 9_007_199_254_740_991.0);
    assert_value("9007199254740993", 9_007_199_254_740_992.0);
    assert_value("9007199254740995", 9_007_199_254_740_996.0);
    assert_value("900719925474099.3", 900_719_925_474_099.3);
    assert_value("9999999999999999999", 1e19);
    assert_value("99999999999999999999", 1e20);
    assert_value("18446744073709551616", 18_446_744_073_709_551_616.0);
    assert_value("0.30000000000000004", 0.1 + 0.2);
    assert_value("1234.5678901234567", f64::from_bits(0x4093_4a45_84fd_0fdf));
}

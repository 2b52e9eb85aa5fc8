//! Decimal digits to the nearest `f64`, for the numbers that programs and people mostly write.
//!
//! Two ways, both exact. Whatever neither of them decides is left to the standard library.

/// The largest integer up to which every integer is an `f64`.
const EXACT_INTEGERS: u64 = 1 << 53;

/// The powers of ten that are `f64` values themselves.
pub(crate) const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Any number of so many digits fits 64 bits.
const MOST_DIGITS: usize = 19;

/// `10^-k` for the powers of ten that fit 64 bits.
const RECIPROCALS: [Reciprocal; 20] = {
    let mut table = [Reciprocal::of(1); 20];
    let mut power = 1u64;
    let mut k = 1;
    while k < table.len() {
        power *= 10;
        table[k] = Reciprocal::of(power);
        k += 1;
    }
    table
};

/// `1 / n = (digits + t) * 2^exponent` with `0 <= t < 1`; the first of the 64 digits is set.
#[derive(Clone, Copy)]
struct Reciprocal {
    digits: u64,
    exponent: i32,
}

impl Reciprocal {
    const fn of(n: u64) -> Reciprocal {
        // The least power of two that is not below n.
        let bits = match n {
            1 => 0,
            n => 64 - (n - 1).leading_zeros(),
        };
        Reciprocal {
            digits: ((1u128 << (63 + bits)) / n as u128) as u64,
            exponent: -(63 + bits as i32),
        }
    }
}

/// Reads `[+-]? (digits [. digits*] | . digits+)` at the front of `text`, and returns what follows.
///
/// `None` says nothing about the text, only that it takes more than this to read it.
#[inline]
pub(crate) fn leading(text: &[u8]) -> Option<(f64, &[u8])> {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (integer, rest) = digits(unsigned, 0);
    let mut length = unsigned.len() - rest.len();
    let (integer, fraction, rest) = match rest {
        [b'.', behind @ ..] => {
            let (integer, rest) = digits(behind, integer);
            let fraction = behind.len() - rest.len();
            length += fraction;
            (integer, fraction, rest)
        }
        _ => (integer, 0, rest),
    };
    // With more digits the integer may have wrapped around.
    if !(1..=MOST_DIGITS).contains(&length) {
        return None;
    }
    let magnitude = nearest(integer, fraction)?;
    Some((if negative { -magnitude } else { magnitude }, rest))
}

/// Appends the digits at the front of `text` to an integer, modulo `2^64`.
#[inline]
fn digits(mut text: &[u8], mut integer: u64) -> (u64, &[u8]) {
    while let [byte, rest @ ..] = text
        && byte.is_ascii_digit()
    {
        integer = integer
            .wrapping_mul(10)
            .wrapping_add(u64::from(byte - b'0'));
        text = rest;
    }
    (integer, text)
}

/// The `f64` nearest to `integer / 10^fraction`, ties to even, if that is decided at a glance.
#[inline]
pub(crate) fn nearest(integer: u64, fraction: usize) -> Option<f64> {
    // Numerator and denominator are exact, and a division rounds once (Clinger).
    if integer <= EXACT_INTEGERS
        && let Some(power) = POWERS.get(fraction)
    {
        return Some(integer as f64 / power);
    }
    by_reciprocal(integer, fraction)
}

/// Multiplies by the first 64 bits of the reciprocal, and gives up where the others might decide.
///
/// With the integer shifted to `2^63 <= n < 2^64` and the reciprocal `(r + t) * 2^e`, the product is
/// `n * r + n * t`, which lies from `n * r` up to, and not including, `n * r + 2^64`. In units of
/// `2^64` it lies from `high` up to, and not including, `high + 2`, where `high = n * r / 2^64`
/// rounded down. So it is on the side of `half` that `high` is on, unless `high` is `half` or one
/// less.
fn by_reciprocal(integer: u64, fraction: usize) -> Option<f64> {
    let reciprocal = RECIPROCALS.get(fraction)?;
    if integer == 0 {
        return Some(0.0);
    }
    let shift = integer.leading_zeros();
    let product = u128::from(integer << shift) * u128::from(reciprocal.digits);
    let high = (product >> 64) as u64;

    // `high` has 63 or 64 bits, and a significand has 53.
    let dropped = 64 - high.leading_zeros() - 53;
    let half = 1u64 << (dropped - 1);
    let low = high & (2 * half - 1);
    if low == half || low == half - 1 {
        return None;
    }
    let significand = (high >> dropped) + u64::from(low > half);
    let exponent = reciprocal.exponent + 64 - shift as i32 + dropped as i32;
    // The hidden bit of the significand adds one to the exponent field; so may its carry, rightly.
    let field = (exponent + 1075 - 1) as u64;
    Some(f64::from_bits((field << 52) + significand))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(text: &str) -> Option<f64> {
        leading(text.as_bytes()).and_then(|(value, rest)| rest.is_empty().then_some(value))
    }

    #[test]
    fn what_follows_the_number_is_returned() {
        assert_eq!(leading(b"1.5\n2"), Some((1.5, &b"\n2"[..])));
        assert_eq!(leading(b"-7e3"), Some((-7.0, &b"e3"[..])));
        assert_eq!(leading(b".5."), Some((0.5, &b"."[..])));
        assert_eq!(leading(b"+5."), Some((5.0, &b""[..])));
    }

    #[test]
    fn what_has_no_digit_is_no_number() {
        for text in ["", "-", "+", ".", "-.", "x", "\n", ".e1", "--1"] {
            assert_eq!(leading(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn nineteen_digits_are_read_and_twenty_are_not() {
        assert_eq!(whole("9999999999999999999"), Some(1e19));
        assert_eq!(whole("0.000000000000000001"), Some(1e-18));
        assert_eq!(whole("12345678901234567890"), None);
        assert_eq!(whole("00000000000000000001"), None);
        // 2^64 + 1, which must not be read as 1
        assert_eq!(whole("18446744073709551617"), None);
    }

    #[test]
    fn zeros_keep_their_sign() {
        assert_eq!(whole("-0.00").map(f64::to_bits), Some((-0.0f64).to_bits()));
        assert_eq!(by_reciprocal(0, 7), Some(0.0));
    }

    #[test]
    fn ties_are_left_to_others() {
        // halfway between 2^53 and 2^53 + 2
        assert_eq!(nearest((1 << 53) + 1, 0), None);
        // halfway between 1 and its successor, which takes 53 digits, and its first 19 digits
        assert_eq!(by_reciprocal(1_000_000_000_000_000_111, 18), None);
    }

    #[test]
    fn reciprocals_are_truncated_and_normal() {
        let mut power = 1u128;
        for reciprocal in RECIPROCALS {
            assert!(reciprocal.digits >> 63 == 1);
            let one = 1u128 << -reciprocal.exponent;
            let product = u128::from(reciprocal.digits) * power;
            assert!(product <= one && one - product < power);
            power *= 10;
        }
    }

    proptest! {
        #[test]
        fn both_ways_agree_with_the_standard_library(
            integer: u64,
            shift in 0..64u32,
            fraction in 0..30usize,
        ) {
            let integer = integer >> shift;
            let expected: f64 = format!("{integer}e-{fraction}").parse().expect("a decimal");
            let found = [nearest(integer, fraction), by_reciprocal(integer, fraction)];
            for found in found.into_iter().flatten() {
                prop_assert_eq!(found.to_bits(), expected.to_bits());
            }
        }

        #[test]
        fn plain_decimals_are_read_as_the_standard_library_reads_them(
            text in "[+-]?([0-9]{1,12}(\\.[0-9]{0,12})?|\\.[0-9]{1,20})",
        ) {
            let expected: f64 = text.parse().expect("a decimal");
            if let Some(found) = whole(&text) {
                prop_assert_eq!(found.to_bits(), expected.to_bits());
            }
        }
    }
}

//! Numbers as a server printed them: the exact decimal, and how many digits of it were shown.

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

/// A printed number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Printed {
    /// A decimal number.
    Finite(Decimal),
    /// `inf`, `-inf` and their spellings.
    Infinite {
        /// Whether there was a minus sign.
        negative: bool,
    },
    /// `nan`, `-nan` and their spellings.
    Nan {
        /// Whether there was a minus sign.
        negative: bool,
    },
}

/// A decimal number with the form it was printed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// Its exact value.
    pub value: RBig,
    /// How many digits it shows after the point; none where it has an exponent, because those digits then bound nothing.
    pub decimals: Option<usize>,
    /// How many significant digits it shows.
    pub significant: usize,
}

/// A field longer than this is not taken for a number: the longest exact binary64 has fewer than 1,100 characters.
const LONGEST: usize = 4096;

/// Reads one field of a line: a decimal number, an infinity or NaN in any spelling of C's `printf`. Anything else is `None`.
pub fn parse(field: &[u8]) -> Option<Printed> {
    let field = std::str::from_utf8(field).ok()?;
    if field.len() > LONGEST {
        return None;
    }
    let (negative, rest) = match field.as_bytes().first()? {
        b'-' => (true, &field[1..]),
        b'+' => (false, &field[1..]),
        _ => (false, field),
    };
    match rest.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => Some(Printed::Infinite { negative }),
        "nan" | "nan(ind)" | "nan(snan)" => Some(Printed::Nan { negative }),
        _ => decimal(negative, rest).map(Printed::Finite),
    }
}

fn decimal(negative: bool, text: &str) -> Option<Decimal> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let power = match exponent {
        Some(exponent) => parse_exponent(exponent)?,
        None => 0,
    };
    let digits = format!("{whole}{fraction}");
    let magnitude = IBig::from(digits.parse::<UBig>().ok()?);
    let scale = power - fraction.len() as i64;
    let ten = UBig::from(10u8).pow(scale.unsigned_abs() as usize);
    let value = if scale < 0 {
        RBig::from_parts(magnitude, ten)
    } else {
        RBig::from(magnitude * IBig::from(ten))
    };
    Some(Decimal {
        value: if negative { -value } else { value },
        decimals: exponent.is_none().then_some(fraction.len()),
        significant: digits.trim_matches('0').len(),
    })
}

/// An exponent of ten; one that no server needs is refused, because its power would have as many digits.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse::<i64>()
        .ok()
        .filter(|power| power.unsigned_abs() <= LONGEST as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finite(text: &str) -> Decimal {
        match parse(text.as_bytes()) {
            Some(Printed::Finite(decimal)) => decimal,
            other => panic!("{text} was read as {other:?}"),
        }
    }

    #[test]
    fn the_form_is_kept() {
        let two = finite("-2.50");
        assert_eq!(two.value, RBig::from_parts((-5).into(), 2u8.into()));
        assert_eq!((two.decimals, two.significant), (Some(2), 2));
        assert_eq!(finite("1.5e3").decimals, None);
        assert_eq!(finite("1.5e3").value, RBig::from(1500));
        assert_eq!(finite("7").decimals, Some(0));
        assert_eq!(finite("1e-2").value, finite("0.01").value);
    }

    #[test]
    fn what_is_not_a_number_is_not_read_as_one() {
        for text in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e+",
            "1.2.3",
            "0x10",
            "12a",
            "1,5",
            "\u{661}",
            "1e99999999999",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_spellings_of_c_are_known() {
        assert_eq!(parse(b"-nan"), Some(Printed::Nan { negative: true }));
        assert_eq!(parse(b"-inf"), Some(Printed::Infinite { negative: true }));
        assert_eq!(
            parse(b"Infinity"),
            Some(Printed::Infinite { negative: false })
        );
    }
}

//! The only two places where exact results lose bits: a quotient is truncated, and a truncated
//! number is rounded to `f64`. Truncation keeps far more bits than `f64` has and remembers whether
//! anything was dropped, so the rounding at the end is the only one.

use super::wide::Wide;

/// A truncated natural number: `(digits + t) * 2^exponent`, where `0 <= t < 1`, and `t` is zero
/// exactly if `sticky` is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Truncated {
    pub(super) digits: u128,
    pub(super) sticky: bool,
    pub(super) exponent: i32,
}

/// `numerator * 2^exponent / denominator` with 125 to 127 significant bits and an even exponent,
/// so that the square root of the result is the root of its digits.
///
/// `denominator` must not be zero.
pub(super) fn quotient(numerator: &Wide, denominator: u128, exponent: i32) -> Truncated {
    if numerator.bits() == 0 {
        return Truncated {
            digits: 0,
            sticky: false,
            exponent,
        };
    }
    let leading = numerator.leading();
    let normal = denominator.leading_zeros();
    let divisor = denominator << normal;

    // The dividend has 254 bits, or 253 where the parity asks for it, and the divisor has 128.
    let exponent = exponent + numerator.bits() as i32 + normal as i32 - 256;
    let spare = if exponent % 2 == 0 { 2 } else { 3 };
    let mut remainder = leading.high >> spare;
    let mut upcoming = leading.high << (128 - spare) | leading.low >> spare;
    let dropped = leading.low << (128 - spare) != 0;

    let mut digits = 0;
    for _ in 0..128 {
        let overflow = remainder >> 127 != 0;
        remainder = remainder << 1 | upcoming >> 127;
        upcoming <<= 1;
        digits <<= 1;
        if overflow || remainder >= divisor {
            remainder = remainder.wrapping_sub(divisor);
            digits |= 1;
        }
    }
    Truncated {
        digits,
        sticky: leading.sticky || dropped || remainder != 0,
        exponent: exponent + spare,
    }
}

impl Truncated {
    /// The square root, with half the significant bits. The exponent must be even.
    pub(super) fn sqrt(self) -> Truncated {
        debug_assert!(self.exponent % 2 == 0, "the root of 2 is not a power of 2");
        let root = self.digits.isqrt();
        Truncated {
            digits: root,
            sticky: self.sticky || root * root != self.digits,
            exponent: self.exponent / 2,
        }
    }

    /// The nearest `f64`, ties to even, with the sign given; zero if there are no digits.
    ///
    /// There must be at least 54 significant bits (or none): with fewer, a sticky remainder could
    /// lie above the bit that decides.
    pub(super) fn round(self, negative: bool) -> f64 {
        /// Exponent of the least significant bit of the subnormal numbers.
        const LOWEST: i32 = -1074;
        const HIGHEST: i32 = 1023;

        let bits = 128 - self.digits.leading_zeros() as i32;
        if bits == 0 {
            return 0.0;
        }
        debug_assert!(bits >= 54, "too few digits to round");
        let magnitude = self.exponent + bits - 1;
        if magnitude > HIGHEST {
            return if negative {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            };
        }
        let unit = (magnitude - 52).max(LOWEST);
        let excess = (unit - self.exponent) as u32;
        let kept = self.digits.checked_shr(excess).unwrap_or(0) as u64;
        let (half, below) = match 1u128.checked_shl(excess - 1) {
            Some(half) => (self.digits & half != 0, self.digits & (half - 1) != 0),
            None => (false, true),
        };
        let up = half && (below || self.sticky || kept % 2 == 1);
        // A normal number's hidden bit adds one to the exponent field, a subnormal one has none,
        // and a carry out of the fraction goes to the exponent, up to infinity.
        let encoded = ((unit - LOWEST) as u64) << 52;
        let sign = u64::from(negative) << 63;
        f64::from_bits(sign | (encoded + kept + u64::from(up)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(digits: u128, sticky: bool, exponent: i32) -> f64 {
        Truncated {
            digits,
            sticky,
            exponent,
        }
        .round(false)
    }

    #[test]
    fn ties_go_to_the_even_neighbour_unless_something_lies_below() {
        let one = 1 << 100;
        let half_ulp = 1 << 47;
        assert_eq!(round(one + half_ulp, false, -100), 1.0);
        assert_eq!(round(one + half_ulp, true, -100), 1.0 + f64::EPSILON);
        assert_eq!(round(one + half_ulp + 1, false, -100), 1.0 + f64::EPSILON);
        assert_eq!(round(one + half_ulp - 1, true, -100), 1.0);
        assert_eq!(
            round(one + 3 * half_ulp, false, -100),
            1.0 + 2.0 * f64::EPSILON
        );
    }

    #[test]
    fn digits_just_longer_than_the_significand_round_correctly() {
        assert_eq!(round((1 << 53) + 1, false, 0), 9007199254740992.0);
        assert_eq!(round((1 << 53) + 1, true, 0), 9007199254740994.0);
        assert_eq!(round((1 << 53) + 3, false, 0), 9007199254740996.0);
        assert_eq!(round((1 << 54) + 2, false, 0), 18014398509481984.0);
        assert_eq!(round((1 << 54) + 3, false, 0), 18014398509481988.0);
    }

    #[test]
    fn a_carry_out_of_the_fraction_raises_the_exponent() {
        assert_eq!(round(u128::MAX, false, -128), 1.0);
        assert_eq!(round(u128::MAX, false, 1023 - 128), 2f64.powi(1023));
    }

    #[test]
    fn halfway_beyond_the_largest_number_is_infinity() {
        let largest = ((1u128 << 53) - 1) << 60;
        let half_ulp = 1 << 59;
        let exponent = 971 - 60;
        assert_eq!(round(largest, true, exponent), f64::MAX);
        assert_eq!(round(largest + half_ulp - 1, true, exponent), f64::MAX);
        assert_eq!(round(largest + half_ulp, false, exponent), f64::INFINITY);
        assert_eq!(round(1 << 60, false, 964), f64::INFINITY);
    }

    #[test]
    fn subnormal_numbers_round_once() {
        let least = f64::from_bits(1);
        assert_eq!(round(1 << 60, false, -1074 - 60), least);
        // half of the least number is a tie with zero
        assert_eq!(round(1 << 60, false, -1075 - 60), 0.0);
        assert_eq!(round(1 << 60, true, -1075 - 60), least);
        assert_eq!(round(3 << 60, false, -1075 - 60), 2.0 * least);
        assert_eq!(round(1 << 127, false, -1075 - 127), 0.0);
        assert_eq!(round(1 << 127, true, -1075 - 127), least);
        assert_eq!(round(u128::MAX, true, -1075 - 127), least);
        assert_eq!(round(u128::MAX, true, -1076 - 127), 0.0);
        assert_eq!(round(u128::MAX, true, -4000), 0.0);
    }

    #[test]
    fn the_largest_subnormal_rounds_up_to_the_smallest_normal() {
        let digits = ((1 << 53) - 1) << 20;
        assert_eq!(round(digits, false, -1075 - 20), f64::MIN_POSITIVE);
    }

    #[test]
    fn a_negative_number_that_vanishes_is_minus_zero() {
        let tiny = Truncated {
            digits: 1 << 60,
            sticky: true,
            exponent: -4000,
        };
        assert_eq!(tiny.round(true).to_bits(), (-0.0f64).to_bits());
    }

    #[test]
    fn quotients_have_their_promised_shape() {
        let denominators = [
            1,
            2,
            3,
            5,
            10,
            u64::MAX.into(),
            u128::MAX,
            1 << 127,
            7 << 100,
        ];
        for shift in 0..140 {
            for numerator in [1, 2, 3, 5, 10, 1 << 60 | 1] {
                let mut wide = Wide::ZERO;
                wide.add_shifted([numerator, 0, 0], shift);
                for denominator in denominators {
                    let quotient = quotient(&wide, denominator, -2150);
                    let bits = 128 - quotient.digits.leading_zeros();
                    assert!(
                        (125..=127).contains(&bits),
                        "{bits} bits: {numerator} << {shift}"
                    );
                    assert_eq!(quotient.exponent % 2, 0);
                }
            }
        }
    }

    #[test]
    fn quotients_are_exact_where_they_can_be() {
        let mut six = Wide::ZERO;
        six.add_shifted([6, 0, 0], 700);
        let two = quotient(&six, 3, -700);
        assert!(!two.sticky);
        assert_eq!(two.round(false), 2.0);
        let third = quotient(&six, 18, -700);
        assert!(third.sticky);
        assert_eq!(third.round(false), 1.0 / 3.0);
        assert_eq!(quotient(&six, 3, -702).sqrt().round(true), -(0.5f64.sqrt()));
    }
}

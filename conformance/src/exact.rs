//! The reference model's arithmetic: exact rationals, and the one place where they become binary64.
//!
//! Everything is decided by comparing rationals. A square root is never computed: a candidate is accepted when the squares of the
//! midpoints to its neighbours enclose the exact variance. No step is shared with the server, so an agreement between the two is evidence.

use std::cmp::Ordering;

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

/// An exact real number: a rational, or the square root of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Real {
    /// The rational itself.
    Rational(RBig),
    /// The non-negative square root of a non-negative rational.
    Root(RBig),
}

impl Real {
    /// Compares this number with a rational, exactly.
    pub fn compare(&self, other: &RBig) -> Ordering {
        match self {
            Real::Rational(value) => value.cmp(other),
            Real::Root(_) if *other < RBig::ZERO => Ordering::Greater,
            Real::Root(square) => square.cmp(&(other * other)),
        }
    }

    /// Whether the number is below zero.
    pub fn is_negative(&self) -> bool {
        self.compare(&RBig::ZERO) == Ordering::Less
    }

    /// The nearest binary64, ties to even; infinite beyond the range. Exact zero is +0, a negative number that rounds to zero is -0.
    pub fn to_f64(&self) -> f64 {
        if self.is_negative() {
            let Real::Rational(value) = self else {
                unreachable!("a square root is not negative")
            };
            return -Real::Rational(-value).to_f64();
        }
        let estimate = match self {
            Real::Rational(value) => value.to_f64_fast(),
            Real::Root(square) => square.to_f64_fast().sqrt(),
        };
        let estimate = estimate.to_bits();
        let near = estimate.saturating_sub(4)..=estimate.saturating_add(4).min(INFINITY_BITS);
        let nearest = near.into_iter().find(|&bits| self.rounds_to(bits));
        f64::from_bits(nearest.unwrap_or_else(|| self.search()))
    }

    /// Whether the non-negative binary64 with this pattern is the nearest one.
    fn rounds_to(&self, bits: u64) -> bool {
        let even = bits & 1 == 0;
        let above = bits == 0
            || match self.compare(&midpoint(bits - 1)) {
                Ordering::Greater => true,
                Ordering::Equal => even,
                Ordering::Less => false,
            };
        let below = bits == INFINITY_BITS
            || match self.compare(&midpoint(bits)) {
                Ordering::Less => true,
                Ordering::Equal => even,
                Ordering::Greater => false,
            };
        above && below
    }

    /// Finds the nearest binary64 by bisection over the patterns, which are ordered as the numbers are.
    fn search(&self) -> u64 {
        let (mut low, mut high) = (0, INFINITY_BITS);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.rounds_to(middle) {
                return middle;
            }
            if self.compare(&midpoint(middle)) == Ordering::Less {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// Whether |`printed` - self| <= `tolerance`.
    pub fn is_within(&self, tolerance: &RBig, printed: &RBig) -> bool {
        self.compare(&(printed - tolerance)) != Ordering::Less
            && self.compare(&(printed + tolerance)) != Ordering::Greater
    }

    /// Whether |`printed` - self| <= |self| / `parts`.
    pub fn is_within_one_in(&self, parts: u32, printed: &RBig) -> bool {
        let parts = RBig::from(parts);
        let bounds = [
            printed * &parts / (&parts + RBig::ONE),
            printed * &parts / (&parts - RBig::ONE),
        ];
        let (low, high) = if self.is_negative() {
            (&bounds[1], &bounds[0])
        } else {
            (&bounds[0], &bounds[1])
        };
        self.compare(low) != Ordering::Less && self.compare(high) != Ordering::Greater
    }
}

const INFINITY_BITS: u64 = 0x7ff0_0000_0000_0000;

/// The rational halfway between the non-negative binary64 with this pattern and the next one; behind the largest, the next is 2^1024.
fn midpoint(bits: u64) -> RBig {
    (pattern_value(bits) + pattern_value(bits + 1)) / RBig::from(2)
}

/// The rational that a non-negative pattern stands for; the pattern of infinity stands for 2^1024.
fn pattern_value(bits: u64) -> RBig {
    let biased = bits >> 52;
    let fraction = bits & ((1 << 52) - 1);
    let (mantissa, exponent) = match biased {
        0 => (fraction, -1074),
        biased => (fraction | 1 << 52, biased as i64 - 1075),
    };
    let scale = UBig::ONE << exponent.unsigned_abs() as usize;
    if exponent < 0 {
        RBig::from_parts(IBig::from(mantissa), scale)
    } else {
        RBig::from(IBig::from(mantissa) * IBig::from(scale))
    }
}

/// The rational equal to a finite binary64.
///
/// # Panics
/// On infinities and NaN, which no protocol value is.
pub fn rational(value: f64) -> RBig {
    assert!(value.is_finite(), "{value} is not a number of the protocol");
    let magnitude = pattern_value(value.to_bits() & !(1 << 63));
    if value.is_sign_negative() {
        -magnitude
    } else {
        magnitude
    }
}

/// Exact statistics of a growing set of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    count: u64,
    sum: RBig,
    squares: RBig,
}

impl Sample {
    /// Adds one number.
    pub fn add(&mut self, value: &RBig) {
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }

    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum; zero for none.
    pub fn sum(&self) -> Real {
        Real::Rational(self.sum.clone())
    }

    /// Their arithmetic mean; undefined for none.
    pub fn mean(&self) -> Option<RBig> {
        (self.count > 0).then(|| &self.sum / RBig::from(self.count))
    }

    /// Their sample standard deviation (divisor n-1); undefined for fewer than two.
    pub fn stddev(&self) -> Option<Real> {
        self.variance().map(Real::Root)
    }

    /// Their sample variance; undefined for fewer than two.
    pub fn variance(&self) -> Option<RBig> {
        (self.count > 1).then(|| {
            let count = RBig::from(self.count);
            (&self.squares - &self.sum * &self.sum / &count) / (count - RBig::ONE)
        })
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sample = Sample::default();
        for value in values {
            sample.add(&rational(value));
        }
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_of(value: f64) -> Real {
        let value = rational(value);
        Real::Root(&value * &value)
    }

    #[test]
    fn every_binary64_rounds_to_itself_as_a_rational_and_as_a_root() {
        for value in [
            0.0,
            5e-324,
            2.2250738585072014e-308,
            0.1,
            1.0,
            1.75,
            1e300,
            f64::MAX,
        ] {
            assert_eq!(Real::Rational(rational(value)).to_f64(), value);
            assert_eq!(root_of(value).to_f64(), value);
            assert_eq!(Real::Rational(rational(-value)).to_f64(), -value);
        }
    }

    #[test]
    fn a_tie_goes_to_the_even_neighbour() {
        let halfway = (rational(1.0) + rational(1.0 + f64::EPSILON)) / RBig::from(2);
        assert_eq!(Real::Rational(halfway).to_f64(), 1.0);
        let halfway = rational(5e-324) / RBig::from(2);
        assert_eq!(Real::Rational(halfway).to_f64(), 0.0);
        let above = rational(5e-324) * RBig::from(3) / RBig::from(2);
        assert_eq!(Real::Rational(above).to_f64(), 1e-323);
    }

    #[test]
    fn beyond_the_range_is_infinite() {
        let half_a_step = rational(f64::MAX) - rational(f64::MAX.next_down());
        let edge = rational(f64::MAX) + &half_a_step / RBig::from(2);
        assert_eq!(Real::Rational(edge.clone()).to_f64(), f64::INFINITY);
        assert_eq!(Real::Rational(edge - rational(5e-324)).to_f64(), f64::MAX);
    }

    #[test]
    fn bisection_and_estimate_agree() {
        for value in [5e-324, 1e-310, 0.3, 123_456.789, 1.7e308] {
            assert_eq!(f64::from_bits(root_of(value).search()), value);
        }
    }

    #[test]
    fn the_certified_deviation_of_one_two_three_is_one() {
        let sample: Sample = [10_000_001.0, 10_000_003.0, 10_000_002.0]
            .into_iter()
            .collect();
        assert_eq!(sample.stddev().map(|s| s.to_f64()), Some(1.0));
        assert_eq!(sample.mean(), Some(RBig::from(10_000_002)));
    }
}

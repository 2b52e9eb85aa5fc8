//! Is this binary64 the correctly rounded sum, mean or deviation? Decided in integers, without computing the answer.
//!
//! Every finite binary64 is a whole number of units of 2^-1074. So sum and sum of squares are whole numbers, and an
//! answer is right if the exact result lies between the midpoints to the answer's neighbours: all of it is multiplied
//! out, nothing is divided, no root is taken. That is what the reference model of the conformance kit does too;
//! without its fractions in lowest terms it costs a fraction of the time.

use std::cmp::Ordering;

use dashu_int::{IBig, Sign, UBig};

/// Exact statistics of a growing set of values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exact {
    count: u64,
    /// In units.
    sum: IBig,
    /// In squares of units.
    squares: UBig,
}

impl Exact {
    /// Adds a finite value so many times.
    pub(crate) fn add(&mut self, value: f64, times: usize) {
        let magnitude = units(value.abs().to_bits());
        self.count += times as u64;
        let times = UBig::from(times);
        self.squares += magnitude.sqr() * &times;
        if value.is_sign_negative() {
            self.sum -= magnitude * times;
        } else {
            self.sum += magnitude * times;
        }
    }

    /// How many values there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether this is the nearest binary64 to the sum.
    pub(crate) fn is_sum(&self, answer: f64) -> bool {
        self.is_part_of_the_sum(answer, 1)
    }

    /// Whether this is the nearest binary64 to the mean; NaN for the mean of nothing.
    pub(crate) fn is_mean(&self, answer: f64) -> bool {
        match self.count {
            0 => answer.is_nan(),
            count => self.is_part_of_the_sum(answer, count),
        }
    }

    /// Whether this is the nearest binary64 to the sample standard deviation; NaN for that of fewer than two values.
    pub(crate) fn is_stddev(&self, answer: f64) -> bool {
        if self.count < 2 {
            return answer.is_nan();
        }
        // The variance is spread / pairs.
        let count = UBig::from(self.count);
        let spread = &count * &self.squares - self.sum.sqr();
        let pairs = &count * (&count - UBig::ONE);
        let four_times_the_spread = spread << 2;
        is_nearest(answer, false, |twice| {
            four_times_the_spread.cmp(&(twice.sqr() * &pairs))
        })
    }

    fn is_part_of_the_sum(&self, answer: f64, parts: u64) -> bool {
        let (sign, magnitude) = self.sum.clone().into_parts();
        let twice_the_sum = magnitude << 1;
        is_nearest(answer, sign == Sign::Negative, |twice| {
            twice_the_sum.cmp(&(twice * UBig::from(parts)))
        })
    }
}

/// Whether an answer has the right sign, and no other binary64 is nearer to the exact result, ties to even.
///
/// `compare` compares twice the magnitude of the exact result with a number of units.
fn is_nearest(answer: f64, negative: bool, compare: impl Fn(UBig) -> Ordering) -> bool {
    if answer.is_nan() || answer.is_sign_negative() != negative {
        return false;
    }
    let bits = answer.abs().to_bits();
    let even = bits & 1 == 0;
    let inside =
        |ordering: Ordering, outside| ordering != outside && (even || ordering != Ordering::Equal);
    let above = bits == 0 || inside(compare(units(bits - 1) + units(bits)), Ordering::Less);
    let below =
        bits == INFINITY || inside(compare(units(bits) + units(bits + 1)), Ordering::Greater);
    above && below
}

/// The pattern of infinity, which stands for 2^1024 where results are rounded.
const INFINITY: u64 = 0x7ff << 52;

/// The number of units that a non-negative pattern stands for.
fn units(bits: u64) -> UBig {
    let fraction = bits & ((1 << 52) - 1);
    match bits >> 52 {
        0 => UBig::from(fraction),
        exponent => UBig::from(fraction | 1 << 52) << (exponent - 1) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meta_stats_conformance::exact::Sample;
    use meta_stats_conformance::model::Quantity;

    const LEAST: f64 = f64::from_bits(1);

    /// Sets that arithmetic in double precision gets wrong.
    const SETS: [&[f64]; 10] = [
        &[],
        &[-0.1],
        &[0.1, 0.2, 0.3],
        &[1e16, 1.0, -1e16],
        &[f64::MAX, f64::MAX, -1.0],
        &[f64::MAX, -f64::MAX],
        &[LEAST, 0.0, 0.0, 0.0],
        &[-LEAST, 0.0, 0.0],
        &[f64::MIN_POSITIVE, -LEAST, 1e300],
        &[1e9, 1e9 + 0.001, 1e9 - 0.001],
    ];

    #[test]
    fn the_reference_model_agrees() {
        for set in SETS {
            let mut exact = Exact::default();
            set.iter().for_each(|&value| exact.add(value, 1));
            let sample = set.iter().copied().collect::<Sample>();
            assert_eq!(exact.count(), sample.count());
            assert!(exact.is_sum(sample.sum().to_f64()), "{set:?}");
            assert!(exact.is_mean(Quantity::mean(&sample).to_f64()), "{set:?}");
            assert!(
                exact.is_stddev(Quantity::stddev(&sample).to_f64()),
                "{set:?}"
            );
        }
    }

    #[test]
    fn neighbours_are_wrong() {
        let others: [fn(f64) -> f64; 5] = [
            f64::next_up,
            f64::next_down,
            |_| f64::NAN,
            |value| -value,
            |_| 7.0,
        ];
        for set in SETS {
            let mut exact = Exact::default();
            set.iter().for_each(|&value| exact.add(value, 1));
            let sample = set.iter().copied().collect::<Sample>();
            let mean = Quantity::mean(&sample).to_f64();
            let stddev = Quantity::stddev(&sample).to_f64();
            for other in others {
                let differs = |answer: f64| other(answer).to_bits() != answer.to_bits();
                let sum = sample.sum().to_f64();
                assert!(!(differs(sum) && exact.is_sum(other(sum))), "{set:?}");
                assert!(
                    mean.is_nan() || !(differs(mean) && exact.is_mean(other(mean))),
                    "{set:?}"
                );
                assert!(stddev.is_nan() || !(differs(stddev) && exact.is_stddev(other(stddev))));
            }
        }
    }
}

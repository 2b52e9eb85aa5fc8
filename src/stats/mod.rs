//! Exact statistics: every answer is the correctly rounded `f64` of the exact real result.
//!
//! # Why it is exact
//!
//! A finite `f64` is an integer times a power of two. With `e` the exponent field (1 for subnormal
//! numbers) and `m` the significand with its hidden bit, it is `±m * 2^(e - 1075)`. [`Statistics`]
//! has 256 bins of eight exponents each. A value falls into bin `e / 8` as the integer
//! `M = m * 2^(e % 8)`, so that it equals `±M * 2^(8 * bin - 1075)` without any rounding. Each bin
//! holds the sum of the `±M` and the sum of the `M * M`; integers add exactly, in any order. What a
//! group of values comes to may be shared out among bins in another way, as long as it is the same.
//!
//! To answer, the bins are put together as two wide integers: the sum `S` and the sum of squares
//! `Q`. With `n` values, the sum is `S`, the mean is `S / n`, and the sample variance is
//! `(n * Q - S * S) / (n * (n - 1))`. Each answer is one exact fraction that is rounded once; the
//! mean never comes from the rounded sum, and so it is right where the sum overflows.
//!
//! # Why nothing overflows
//!
//! `m < 2^53`, hence `M < 2^60` and `M * M < 2^120`. The count is a `u64`, so that the magnitude of
//! a bin's sum stays below 2^124 and fits an `i128`, and a bin's squares stay below 2^184 and fit
//! 192 bits. A group adds no more to a bin than so many values of the bin would. All bins together, `|S| < 2^2165` and `Q < 2^4265` in the units of the lowest bin;
//! `n * Q` and `S * S` are below 2^4330, and `Wide` has 4,352 bits.

mod rounding;
mod simd;
mod wide;

use rounding::quotient;
pub(crate) use simd::MAX_BATCH;
use wide::Wide;

const BINS: usize = 256;
/// Exponents that share a bin.
const BIN_WIDTH: u64 = 8;
/// The power of two that the integers of bin 0 count.
const UNIT: i32 = -1075;

/// The count, exact sum and exact sum of squares of a multiset of finite `f64` values.
///
/// Constant memory (16 KiB), one pass, any order. Two are equal if count, exact sum and exact sum of
/// squares are, which those of equal multisets are, however they were added or merged.
///
/// ```
/// use meta_stats_server::stats::Statistics;
///
/// let mut statistics = Statistics::new();
/// statistics.add_slice(&[1e16, 1.0, -1e16]);
/// assert_eq!(statistics.sum(), 1.0);
/// ```
#[derive(Clone, Debug)]
pub struct Statistics {
    count: u64,
    bins: Box<[Bin; BINS]>,
}

/// What the values of eight exponents add up to. It fills a cache line: a value touches one.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bin {
    sum: i128,
    squares_low: u128,
    squares_high: u64,
}

impl Bin {
    const EMPTY: Bin = Bin {
        sum: 0,
        squares_low: 0,
        squares_high: 0,
    };

    #[inline]
    fn add(&mut self, sum: i128, squares_low: u128, squares_high: u64) {
        self.sum += sum;
        let (low, carry) = self.squares_low.overflowing_add(squares_low);
        self.squares_low = low;
        self.squares_high += squares_high + u64::from(carry);
    }

    /// Whether it holds nothing but zeros. Squares do not cancel, but those of a group may have gone
    /// into another bin.
    fn is_empty(&self) -> bool {
        self.sum == 0 && self.squares_low == 0 && self.squares_high == 0
    }
}

impl Statistics {
    /// The statistics of no values.
    pub fn new() -> Self {
        Statistics {
            count: 0,
            bins: Box::new([Bin::EMPTY; BINS]),
        }
    }

    /// Adds one value.
    ///
    /// # Panics
    ///
    /// If the value is not finite.
    #[inline]
    pub fn add(&mut self, value: f64) {
        const FRACTION: u64 = (1 << 52) - 1;

        assert!(
            value.is_finite(),
            "{value} has no place in exact statistics"
        );
        let bits = value.to_bits();
        let field = bits >> 52 & 0x7ff;
        let significand = bits & FRACTION | u64::from(field != 0) << 52;
        let exponent = field.max(1);
        let magnitude = significand << (exponent % BIN_WIDTH);
        // Below 2^60, so that it may have a sign. Branches on signs would be guesses.
        let term = magnitude.cast_signed();
        let term = if value.is_sign_negative() {
            -term
        } else {
            term
        };
        let square = u128::from(magnitude) * u128::from(magnitude);

        self.count += 1;
        self.bins[(exponent / BIN_WIDTH) as usize].add(term.into(), square, 0);
    }

    /// Adds every value of a slice.
    ///
    /// # Panics
    ///
    /// If a value is not finite.
    pub fn add_slice(&mut self, values: &[f64]) {
        for &value in values {
            self.add(value);
        }
    }

    /// Adds what so many values come to, in units of a bin: the sum of their integers and that of the
    /// squares, the latter in units of 1 and 2^128.
    fn add_total(&mut self, bin: u64, count: u64, sum: i128, squares: (u128, u64)) {
        self.count += count;
        self.bins[bin as usize].add(sum, squares.0, squares.1);
    }

    /// Adds all that `other` holds, as if its values had been added one by one.
    pub fn merge(&mut self, other: &Statistics) {
        self.count += other.count;
        for (bin, other) in self.bins.iter_mut().zip(other.bins.iter()) {
            bin.add(other.sum, other.squares_low, other.squares_high);
        }
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum; zero for no values, an infinity if it is beyond the range of `f64`.
    pub fn sum(&self) -> f64 {
        let (negative, magnitude) = self.exact_sum(self.lowest_bin());
        quotient(&magnitude, 1, self.unit()).round(negative)
    }

    /// The arithmetic mean; NaN for no values.
    pub fn mean(&self) -> f64 {
        if self.count == 0 {
            return f64::NAN;
        }
        let (negative, magnitude) = self.exact_sum(self.lowest_bin());
        quotient(&magnitude, self.count.into(), self.unit()).round(negative)
    }

    /// The sample standard deviation (divisor `n - 1`); NaN for fewer than two values, infinity if
    /// it is beyond the range of `f64`.
    pub fn stddev(&self) -> f64 {
        if self.count < 2 {
            return f64::NAN;
        }
        let count = u128::from(self.count);
        let lowest = self.lowest_bin();
        let mut numerator = self.exact_squares(lowest);
        numerator.scale(self.count);
        numerator.subtract(&self.exact_sum(lowest).1.square());
        quotient(&numerator, count * (count - 1), 2 * self.unit())
            .sqrt()
            .round(false)
    }

    /// The sign (set for a negative sum) and magnitude of the sum, in units of a bin that is not above
    /// the lowest used one.
    fn exact_sum(&self, lowest: usize) -> (bool, Wide) {
        let (mut positive, mut negative) = (Wide::ZERO, Wide::ZERO);
        for (bin, &Bin { sum, .. }) in self.used_bins() {
            let side = if sum < 0 {
                &mut negative
            } else {
                &mut positive
            };
            side.add_shifted(
                limbs(sum.unsigned_abs(), 0),
                BIN_WIDTH as usize * (bin - lowest),
            );
        }
        if positive >= negative {
            positive.subtract(&negative);
            (false, positive)
        } else {
            negative.subtract(&positive);
            (true, negative)
        }
    }

    /// The sum of squares, in squares of the same units.
    fn exact_squares(&self, lowest: usize) -> Wide {
        let mut total = Wide::ZERO;
        for (bin, squares) in self.used_bins() {
            let squares = limbs(squares.squares_low, squares.squares_high);
            total.add_shifted(squares, 2 * BIN_WIDTH as usize * (bin - lowest));
        }
        total
    }

    /// The exponent of the unit that answers are computed in. It is that of the lowest used bin, so
    /// that values of similar size need few limbs.
    fn unit(&self) -> i32 {
        UNIT + BIN_WIDTH as i32 * self.lowest_bin() as i32
    }

    fn lowest_bin(&self) -> usize {
        self.used_bins().next().map_or(0, |(bin, _)| bin)
    }

    /// The bins that hold a value other than zero, in ascending order.
    fn used_bins(&self) -> impl Iterator<Item = (usize, &Bin)> {
        let bins = self.bins.iter().enumerate();
        bins.filter(|(_, bin)| !bin.is_empty())
    }
}

impl PartialEq for Statistics {
    fn eq(&self, other: &Self) -> bool {
        let lowest = self.lowest_bin().min(other.lowest_bin());
        self.count == other.count
            && self.exact_sum(lowest) == other.exact_sum(lowest)
            && self.exact_squares(lowest) == other.exact_squares(lowest)
    }
}

impl Eq for Statistics {}

impl Default for Statistics {
    fn default() -> Self {
        Self::new()
    }
}

fn limbs(low: u128, high: u64) -> [u64; 3] {
    [low as u64, (low >> 64) as u64, high]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> Statistics {
        let mut statistics = Statistics::new();
        statistics.add_slice(values);
        statistics
    }

    const LEAST: f64 = f64::from_bits(1);

    #[test]
    fn no_values_have_a_sum_but_no_mean_and_no_deviation() {
        let none = Statistics::new();
        assert_eq!(none.count(), 0);
        assert_eq!(none.sum().to_bits(), 0.0f64.to_bits());
        assert!(none.mean().is_nan());
        assert!(none.stddev().is_nan());
    }

    #[test]
    fn one_value_is_its_own_sum_and_mean_and_has_no_deviation() {
        for value in [
            1.0,
            -0.1,
            f64::MAX,
            -f64::MAX,
            f64::MIN_POSITIVE,
            LEAST,
            -LEAST,
        ] {
            let one = of(&[value]);
            assert_eq!((one.sum(), one.mean()), (value, value));
            assert!(one.stddev().is_nan());
        }
    }

    #[test]
    fn the_sum_may_overflow_where_the_mean_does_not() {
        let statistics = of(&[f64::MAX, f64::MAX]);
        assert_eq!(statistics.sum(), f64::INFINITY);
        assert_eq!(statistics.mean(), f64::MAX);
        assert_eq!(statistics.stddev(), 0.0);
        assert_eq!(of(&[-f64::MAX, -f64::MAX]).sum(), f64::NEG_INFINITY);
    }

    #[test]
    fn the_deviation_of_the_two_extremes_overflows() {
        let statistics = of(&[f64::MAX, -f64::MAX]);
        assert_eq!(statistics.stddev(), f64::INFINITY);
        assert_eq!(statistics.mean().to_bits(), 0.0f64.to_bits());
    }

    #[test]
    fn the_deviation_of_the_least_number_among_zeros_rounds_once() {
        assert_eq!(of(&[LEAST, 0.0, 0.0]).stddev(), LEAST);
        assert_eq!(
            of(&[LEAST, 0.0, 0.0, 0.0]).stddev(),
            0.0,
            "a tie goes to even"
        );
        assert_eq!(of(&[LEAST, 0.0, 0.0, 0.0, 0.0]).stddev(), 0.0);
    }

    #[test]
    fn zeros_are_values_and_exact_zero_is_positive() {
        let statistics = of(&[-0.0, -0.0, -0.0]);
        assert_eq!(statistics.count(), 3);
        for answer in [statistics.sum(), statistics.mean(), statistics.stddev()] {
            assert_eq!(answer.to_bits(), 0.0f64.to_bits());
        }
    }

    #[test]
    fn a_negative_mean_that_vanishes_keeps_its_sign() {
        let mean = of(&[-LEAST, 0.0, 0.0]).mean();
        assert_eq!(mean.to_bits(), (-0.0f64).to_bits());
    }

    #[test]
    fn a_significand_of_ones_loses_nothing_to_a_small_neighbour() {
        let statistics = of(&[-f64::MAX, -1.0]);
        assert_eq!(statistics.sum(), -f64::MAX);
        assert_eq!(statistics.mean(), -f64::MAX / 2.0);
        assert_eq!(of(&[-f64::MAX, -1.0, f64::MAX]).sum(), -1.0);
    }

    #[test]
    fn sums_cancel_exactly() {
        assert_eq!(of(&[1e16, 1.0, -1e16]).sum(), 1.0);
        assert_eq!(of(&[f64::MAX, LEAST, -f64::MAX]).sum(), LEAST);
        assert_eq!(of(&[0.1, 0.2, -0.2, -0.1]).sum().to_bits(), 0);
        assert_eq!(of(&[f64::MAX, LEAST, -f64::MAX]).mean(), 0.0);
    }

    #[test]
    fn a_million_equal_values_do_not_deviate() {
        let statistics = of(&[0.1; 1_000_000]);
        assert_eq!(statistics.mean(), 0.1);
        assert_eq!(statistics.sum(), 100000.0);
        assert_eq!(statistics.stddev().to_bits(), 0.0f64.to_bits());
    }

    #[test]
    fn a_small_spread_survives_a_large_mean() {
        // The values are not the decimals, so their deviation is not 0.001 to the last bit.
        let statistics = of(&[1e9 - 1e-3, 1e9, 1e9 + 1e-3]);
        assert_eq!(statistics.mean(), 1e9);
        assert!((statistics.stddev() - 1e-3).abs() < 1e-7);
        let exact = of(&[1e9 - 0.0009765625, 1e9, 1e9 + 0.0009765625]);
        assert_eq!(exact.stddev(), 0.0009765625);
    }

    #[test]
    fn subnormal_values_are_exact() {
        let statistics = of(&[LEAST, 2.0 * LEAST, 3.0 * LEAST]);
        assert_eq!(statistics.sum(), 6.0 * LEAST);
        assert_eq!(statistics.mean(), 2.0 * LEAST);
        assert_eq!(statistics.stddev(), LEAST);
        let least_normal = of(&[f64::MIN_POSITIVE, -LEAST]);
        assert_eq!(least_normal.sum(), f64::MIN_POSITIVE - LEAST);
    }

    #[test]
    fn every_magnitude_at_once_is_exact() {
        let powers: Vec<f64> = (0..=2046u64)
            .map(|field| f64::from_bits(field << 52))
            .collect();
        let mut statistics = of(&powers);
        statistics.add_slice(&powers.iter().map(|value| -value).collect::<Vec<_>>());
        assert_eq!(statistics.sum().to_bits(), 0);
        assert!(statistics.stddev().is_finite());
    }

    #[test]
    fn the_largest_counts_of_the_largest_values_overflow_nothing() {
        let mut statistics = of(&[f64::MAX]);
        (0..63).for_each(|_| statistics.merge(&statistics.clone()));
        assert_eq!(statistics.count(), 1 << 63);
        assert_eq!(statistics.mean(), f64::MAX);
        assert_eq!(statistics.stddev(), 0.0);
        statistics.add(-f64::MAX);
        assert_eq!(statistics.mean(), f64::MAX);
    }

    #[test]
    fn known_answers() {
        let statistics = of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(statistics.sum(), 40.0);
        assert_eq!(statistics.mean(), 5.0);
        assert_eq!(statistics.stddev(), (32.0f64 / 7.0).sqrt());
        assert_eq!(of(&[0.1, 0.2, 0.3]).sum(), 0.6, "not 0.6000000000000001");
    }

    #[test]
    #[should_panic(expected = "no place in exact statistics")]
    fn values_that_are_not_finite_are_refused() {
        Statistics::new().add(f64::NAN);
    }

    fn finite() -> impl Strategy<Value = f64> {
        any::<u64>()
            .prop_map(f64::from_bits)
            .prop_filter("finite", |value| value.is_finite())
    }

    proptest! {
        #[test]
        fn merging_any_split_equals_the_whole(
            values in prop::collection::vec(finite(), 0..60),
            cut in any::<prop::sample::Index>(),
        ) {
            let (left, right) = values.split_at(cut.index(values.len() + 1));
            let mut merged = of(left);
            merged.merge(&of(right));
            prop_assert_eq!(&merged, &of(&values));
            let mut swapped = of(right);
            swapped.merge(&of(left));
            prop_assert_eq!(swapped, merged);
        }

        #[test]
        fn values_and_their_negatives_cancel(values in prop::collection::vec(finite(), 0..60)) {
            let mut statistics = of(&values);
            values.iter().rev().for_each(|value| statistics.add(-value));
            prop_assert_eq!(statistics.sum().to_bits(), 0);
        }

        #[test]
        fn two_values_agree_with_f64_arithmetic(a in finite(), b in finite()) {
            // One f64 addition is correctly rounded too; the sign of zero is our own.
            prop_assert_eq!(of(&[a, b]).sum(), a + b);
        }

        #[test]
        fn the_mean_lies_between_the_extremes(
            values in prop::collection::vec(finite(), 1..60),
        ) {
            let mean = of(&values).mean();
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(least <= mean && mean <= greatest);
        }

        #[test]
        fn scaling_by_a_power_of_two_scales_every_answer(
            values in prop::collection::vec(-1e100..1e100, 2..40),
            power in -300..300i32,
        ) {
            let scale = 2f64.powi(power);
            let plain = of(&values);
            let scaled = of(&values.iter().map(|value| value * scale).collect::<Vec<_>>());
            prop_assert_eq!(scaled.sum(), plain.sum() * scale);
            prop_assert_eq!(scaled.mean(), plain.mean() * scale);
            prop_assert_eq!(scaled.stddev(), plain.stddev() * scale);
        }
    }
}

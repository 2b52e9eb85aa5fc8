//! Adding up four values at a time with AVX2 and FMA, by error-free transformations.
//!
//! Most of a batch usually is alike in size. Such values, and their squares, are added up as `f64`
//! without any rounding error; what they come to goes into the bins as integers, once a group. The
//! ideas are those of Rump, Ogita and Oishi (AccSum) and of Demmel and Nguyen (reproducible sums).
//!
//! # Why it is exact
//!
//! Let `2^(E - 19) <= |x| < 2^E`, or `x = 0`. Then `x` is a multiple of `2^(E - 71)`. Its square is
//! `P + R`, where `P` is the rounded product: at most `2^2E`, and a multiple of `2^(2E - 90)`. FMA
//! gives the error `R` exactly: at most `2^(2E - 54)`, and a multiple of `2^(2E - 142)`.
//!
//! So there are three kinds of terms, each of which is at most `2^m`, and a multiple of `2^(m - 91)`.
//! [`Slices`] adds 64 of them: to `1.5 * 2^(m + 7)`, which stays between `2^(m + 7)` and
//! `2^(m + 8)`, where numbers are `2^(m - 45)` apart. That rounds the term to a slice of so many
//! units; sum, slice and what remains of the term are exact. What remains is at most `2^(m - 46)`,
//! and 64 of these, added to `1.5 * 2^(m - 39)`, stay where numbers are `2^(m - 91)` apart: nothing
//! is rounded. Between two powers of two, patterns count the units.

use std::arch::x86_64::*;
use std::ops::RangeInclusive;

use super::super::{BIN_WIDTH, Statistics};
use super::load_4;

/// Values side by side.
const LANES: usize = 4;
/// Each lane of a sum takes 64 terms.
const GROUP: usize = 64 * LANES;
/// Fewer values are added one by one.
const MIN_VALUES: usize = 32;
/// So often may less than half of the values be alike, before the rest is added one by one.
const MAX_FAILURES: usize = 2;

/// The exponent fields of values that are alike, up to the last one of the bin of the greatest.
const FIELDS: u64 = 19;
/// `2^E` in the text above is `2^TOP` in the units of that bin.
const TOP: i32 = 60;
/// The units of a sum, and of a sum of squares, in those of the bin: the last ones of [`Slices`].
const UNIT: i32 = TOP - 91;
const SQUARE_UNIT: i32 = 2 * TOP - 54 - 91;
/// The bin that takes what is less than a unit of the bin of the greatest.
const LOWER: u64 = 2;
/// The bins whose values have products that neither overflow nor lose bits below `2^-1074`.
const BINS: RangeInclusive<u64> = 69..=190;

/// Adds up values, which must be finite, and leaves anything in their place.
#[target_feature(enable = "avx2,fma")]
pub(super) fn add(values: &mut [f64], statistics: &mut Statistics) {
    let mut rest = values;
    let mut failures = 0;
    while rest.len() >= MIN_VALUES && failures < MAX_FAILURES {
        let before = rest.len();
        let strays = add_alike(rest, statistics);
        rest = &mut rest[..strays];
        failures += usize::from(strays > before / 2);
    }
    statistics.add_slice(rest);
}

/// Adds up the values that are alike in size to the greatest. Returns how many others there are,
/// which are at the front then.
#[target_feature(enable = "avx2,fma")]
fn add_alike(values: &mut [f64], statistics: &mut Statistics) -> usize {
    let flat = values.len() / LANES * LANES;
    let (values, tail) = values.split_at_mut(flat);
    statistics.add_slice(tail);
    let bin = (greatest(values).to_bits() >> 52) / BIN_WIDTH;
    if !BINS.contains(&bin) {
        statistics.add_slice(values);
        return 0;
    }
    let least = f64::from_bits((BIN_WIDTH * (bin + 1) - FIELDS) << 52);
    let mut strays = 0;
    for start in (0..flat).step_by(GROUP) {
        let group = start..flat.min(start + GROUP);
        let mut count = group.len();
        if add_group(&values[group.clone()], least, bin, statistics) {
            let before = strays;
            for place in group {
                let value = values[place];
                values[strays] = value;
                strays += usize::from(value != 0.0 && value.abs() < least);
            }
            count -= strays - before;
        }
        statistics.count += count as u64;
    }
    strays
}

/// The greatest magnitude.
#[inline]
#[target_feature(enable = "avx2")]
fn greatest(values: &[f64]) -> f64 {
    let (lanes, _) = values.as_chunks();
    let top = lanes.iter().fold(_mm256_setzero_pd(), |top, values| {
        _mm256_max_pd(top, magnitude(load_4(values)))
    });
    let top = _mm_max_pd(_mm256_castpd256_pd128(top), _mm256_extractf128_pd::<1>(top));
    _mm_cvtsd_f64(top).max(_mm_cvtsd_f64(_mm_unpackhi_pd(top, top)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn magnitude(values: __m256d) -> __m256d {
    _mm256_andnot_pd(_mm256_set1_pd(-0.0), values)
}

/// Adds up those values of a group that are zero or not less than `least`, but does not count them.
/// Returns whether there are others.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_group(values: &[f64], least: f64, bin: u64, statistics: &mut Statistics) -> bool {
    // E, and the power of two that the values are below.
    let top = (BIN_WIDTH * (bin + 1)) as i32 - 1023;
    let mut sum = Slices::new(top);
    let mut products = Slices::new(2 * top);
    let mut errors = Slices::new(2 * top - 54);
    let least = _mm256_set1_pd(least);
    let mut others = _mm256_setzero_pd();
    for values in values.as_chunks().0 {
        let values = load_4(values);
        let magnitude = magnitude(values);
        let alike = _mm256_cmp_pd::<_CMP_GE_OQ>(magnitude, least);
        others = _mm256_or_pd(others, _mm256_andnot_pd(alike, magnitude));
        let values = _mm256_and_pd(values, alike);
        let product = _mm256_mul_pd(values, values);
        sum.add(values);
        products.add(product);
        errors.add(_mm256_fmsub_pd(values, values, product));
    }

    // In units of the bin: the whole ones, and what is left of the last one.
    let (sum, sum_below) = split(sum.total(), -UNIT);
    let (errors, errors_below) = split(errors.total(), -SQUARE_UNIT);
    let products = products.total().cast_unsigned() << (UNIT + TOP);
    // A sum of products alone may be 2^128; all squares are less.
    let squares = products.wrapping_add(errors.cast_unsigned());
    statistics.add_total(bin, 0, sum, (squares, 0));
    let lower_bits = (BIN_WIDTH * LOWER) as i32;
    statistics.add_total(
        bin - LOWER,
        0,
        (sum_below >> (-UNIT - lower_bits)).cast_signed(),
        (errors_below << (2 * lower_bits + SQUARE_UNIT), 0),
    );
    let others = _mm256_castpd_si256(others);
    _mm256_testz_si256(others, others) == 0
}

/// A number of units, each of them so many bits below one: how many ones, and the units left.
fn split(units: i128, bits: i32) -> (i128, u128) {
    (units >> bits, units.cast_unsigned() & ((1 << bits) - 1))
}

/// A sum of terms, in two slices.
struct Slices {
    start: [__m256d; 2],
    upper: __m256d,
    lower: __m256d,
}

impl Slices {
    /// How many bits the units of the slices are apart.
    const APART: u32 = 46;

    /// For terms of at most `2^exponent`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(exponent: i32) -> Slices {
        let start = |exponent: i32| {
            let field = (exponent + 1023) as u64;
            _mm256_set1_pd(f64::from_bits(field << 52 | 1 << 51))
        };
        let start = [
            start(exponent + 7),
            start(exponent + 7 - Self::APART as i32),
        ];
        Slices {
            start,
            upper: start[0],
            lower: start[1],
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(&mut self, terms: __m256d) {
        let upper = _mm256_add_pd(self.upper, terms);
        let slice = _mm256_sub_pd(upper, self.upper);
        self.upper = upper;
        self.lower = _mm256_add_pd(self.lower, _mm256_sub_pd(terms, slice));
    }

    /// In units of the lower slice.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn total(&self) -> i128 {
        let units = |sum, start| {
            let lanes = _mm256_sub_epi64(_mm256_castpd_si256(sum), _mm256_castpd_si256(start));
            let pair = _mm_add_epi64(
                _mm256_castsi256_si128(lanes),
                _mm256_extracti128_si256::<1>(lanes),
            );
            i128::from(_mm_cvtsi128_si64(pair) + _mm_extract_epi64::<1>(pair))
        };
        (units(self.upper, self.start[0]) << Self::APART) + units(self.lower, self.start[1])
    }
}

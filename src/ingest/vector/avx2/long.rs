//! Four lines of at most 33 octets, of which 19 digits count.
//!
//! Each line has a register. The digits of all lines become numbers of eight digits, and from there
//! on there is a lane for each line.
//!
//! # Why it is exact
//!
//! A line is `n / p`, with an integer `n < 10^19` and a power of ten `p`, which is an `f64`. `n` is
//! the sum of two `f64`: the rounded one, and what is missing. The quotient of the first and `p` is
//! rounded too, but FMA gives the remainder exactly; what is missing is added to it, divided by `p`
//! again and added to the quotient. So the sum `q + c` is rounded once, if `c` were exact. It has a
//! relative error below `2^-51`, from one addition and one division. Where `c` with a relative error
//! of `2^-45` up or down would not have made the same sum, the line is left to others.

use std::arch::x86_64::*;

use super::short::LANES;
use super::{Lines, ZERO, equal, fours, load_32, store_4};
use crate::decimal;

/// Reads four lines, and returns how many there are in front of the first one that is not for this
/// path. The values from there on may be anything, as may lines that are not there.
#[inline]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn four(lines: &Lines<'_>, line: usize, values: &mut [f64; LANES]) -> usize {
    let read = |line| digits(lines, line).unwrap_or((_mm256_setzero_si256(), f64::NAN));
    let (a, b, c, d) = (read(line), read(line + 1), read(line + 2), read(line + 3));
    let [upper, lower] = eights([a.0, b.0], [c.0, d.0]);
    let (quotients, good) = divide(upper, lower, _mm256_set_pd(d.1, c.1, b.1, a.1));
    store_4(values, quotients);
    good.trailing_ones() as usize
}

/// The digits of a line, in numbers of four digits, and what to divide their number by.
#[inline]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
fn digits(lines: &Lines<'_>, line: usize) -> Option<(__m256i, f64)> {
    let (start, end) = (lines.near_start(line), lines.end(line));
    let text: &[u8; 33] = lines.text.get(..end)?.last_chunk()?;
    let negative = usize::from(*lines.text.get(start)? == b'-');
    let length = end.wrapping_sub(start + negative);
    let (before, text) = (text.first_chunk()?, load_32(text.last_chunk()?));

    // Octets behind the last dot, which may be in a line before; all 32 without one.
    let fraction = equal(text, b'.').leading_zeros() as usize;
    let has_dot = fraction < length.min(32);
    let count = length.wrapping_sub(usize::from(has_dot));
    let inside = load_32(LAST.get(count..)?.first_chunk()?);
    // Those before the dot move one place up, which is what stands one octet earlier.
    let behind = load_32(LAST[fraction..].first_chunk()?);
    let text = _mm256_blendv_epi8(load_32(before), text, behind);
    let digits = _mm256_and_si256(_mm256_sub_epi8(text, _mm256_set1_epi8(ZERO)), inside);
    // The highest bit is set for more than nine.
    let above = _mm256_adds_epu8(digits, _mm256_set1_epi8(i8::MAX - 9));
    if count == 0 || _mm256_movemask_epi8(above) != 0 {
        return None;
    }
    let fraction = if has_dot { fraction } else { 0 };
    Some((fours(digits), POWERS[32 * negative + fraction]))
}

/// From four numbers of four digits in each half, for two and two lines, to their upper and lower 16
/// digits: two numbers of eight digits for each line, the first of which is in the lower half.
#[inline]
#[target_feature(enable = "avx2")]
fn eights([a, b]: [__m256i; 2], [c, d]: [__m256i; 2]) -> [__m256i; 2] {
    let weights = _mm256_set1_epi32(0x0001_2710);
    let ab = _mm256_madd_epi16(_mm256_packus_epi32(a, b), weights);
    let cd = _mm256_madd_epi16(_mm256_packus_epi32(c, d), weights);
    [
        _mm256_permute2x128_si256::<0x20>(ab, cd),
        _mm256_permute2x128_si256::<0x31>(ab, cd),
    ]
}

/// Divides numbers of 32 digits, and returns for which lanes that is right to the last bit.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn divide(upper: __m256i, lower: __m256i, divisors: __m256d) -> (__m256d, u32) {
    let low_half = _mm256_set1_epi64x(0xffff_ffff);
    // Nothing is left of the 32 digits but the last 19.
    let top = _mm256_cmpeq_epi64(_mm256_and_si256(upper, low_half), _mm256_setzero_si256());
    let few = _mm256_cmpgt_epi64(_mm256_set1_epi64x(1000 << 32), upper);
    let fits = _mm256_castsi256_pd(_mm256_and_si256(top, few));

    let high = _mm256_add_epi64(
        _mm256_mul_epu32(
            _mm256_srli_epi64::<32>(upper),
            _mm256_set1_epi64x(100_000_000),
        ),
        _mm256_and_si256(lower, low_half),
    );
    let (high, low) = (to_f64(high), to_f64(_mm256_srli_epi64::<32>(lower)));
    let scale = _mm256_set1_pd(1e8);
    let number = _mm256_fmadd_pd(high, scale, low);
    let missing = _mm256_add_pd(_mm256_fmsub_pd(high, scale, number), low);

    let quotient = _mm256_div_pd(number, divisors);
    let remainder = _mm256_fnmadd_pd(quotient, divisors, number);
    let correction = _mm256_div_pd(_mm256_add_pd(remainder, missing), divisors);
    let sum = _mm256_add_pd(quotient, correction);
    let same = |factor: f64| {
        let other = _mm256_fmadd_pd(correction, _mm256_set1_pd(factor), quotient);
        _mm256_cmp_pd::<_CMP_EQ_OQ>(other, sum)
    };
    const ERROR: f64 = 1.0 / (1u64 << 45) as f64;
    let decided = _mm256_and_pd(same(1.0 + ERROR), same(1.0 - ERROR));
    let good = _mm256_movemask_pd(_mm256_and_pd(decided, fits));
    (sum, good.cast_unsigned())
}

/// Integers below 2^52.
#[inline]
#[target_feature(enable = "avx2")]
fn to_f64(integers: __m256i) -> __m256d {
    const TWO_TO_52: f64 = (1u64 << 52) as f64;
    let start = _mm256_set1_pd(TWO_TO_52);
    let sum = _mm256_or_si256(integers, _mm256_castpd_si256(start));
    _mm256_sub_pd(_mm256_castsi256_pd(sum), start)
}

/// At `n..n + 32` the last `n` octets are set.
pub(super) const LAST: [u8; 64] = {
    let mut table = [0; 64];
    let mut at = 32;
    while at < table.len() {
        table[at] = 0xff;
        at += 1;
    }
    table
};

/// The powers of ten that are `f64` values themselves, and as many with the other sign. Others are
/// not a number, which no quotient is right for.
const POWERS: [f64; 64] = {
    let mut table = [f64::NAN; 64];
    let mut at = 0;
    while at < decimal::POWERS.len() {
        table[at] = decimal::POWERS[at];
        table[32 + at] = -decimal::POWERS[at];
        at += 1;
    }
    table
};

//! One line of at most 32 octets, where there are not four such lines.

use std::arch::x86_64::*;

use super::long::LAST;
use super::{DOT, ZERO, eight_digits, equal, load_32, sign};
use crate::decimal;

/// Reads one line, of at most 32 octets without sign and line end, of which 19 are digits that count.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(in super::super) fn single(text: &[u8], start: usize, end: usize) -> Option<f64> {
    let (negative, length) = sign(text, start, end)?;
    let text: &[u8; 33] = text.get(..end)?.last_chunk()?;
    let (before, last) = (text.first_chunk()?, text.last_chunk()?);
    let keep = load_32(LAST.get(length..)?.first_chunk()?);
    let digits = _mm256_and_si256(_mm256_sub_epi8(load_32(last), _mm256_set1_epi8(ZERO)), keep);
    let (others, dots) = (beyond_nine(digits), equal(digits, DOT));
    if others != dots || others & others.wrapping_sub(1) != 0 || length <= usize::from(others != 0)
    {
        return None;
    }

    // Those before the dot move one place up, which is what stands one octet earlier.
    let fraction = others.leading_zeros() as usize;
    let behind = load_32(LAST[fraction..].first_chunk()?);
    let keep = load_32(LAST[length - 1..].first_chunk()?);
    let moved = _mm256_and_si256(
        _mm256_sub_epi8(load_32(before), _mm256_set1_epi8(ZERO)),
        keep,
    );
    let eights = eight_digits(_mm256_blendv_epi8(moved, digits, behind));
    let halves = |of_two: i64| (of_two & 0xffff_ffff, of_two >> 32);
    let (top, upper) = halves(_mm256_extract_epi64::<0>(eights));
    let (middle, lower) = halves(_mm256_extract_epi64::<2>(eights));
    // No more than 19 digits fit 64 bits.
    if top != 0 || upper >= 1000 {
        return None;
    }
    let integer =
        (upper * 100_000_000 + middle).cast_unsigned() * 100_000_000 + lower.cast_unsigned();
    let magnitude = decimal::nearest(integer, if others == 0 { 0 } else { fraction })?;
    Some(f64::from_bits(
        magnitude.to_bits() | u64::from(negative) << 63,
    ))
}

/// One bit for each octet, set where it is greater than nine.
#[inline]
#[target_feature(enable = "avx2")]
fn beyond_nine(octets: __m256i) -> u32 {
    let greater = _mm256_cmpeq_epi8(_mm256_max_epu8(octets, _mm256_set1_epi8(10)), octets);
    _mm256_movemask_epi8(greater).cast_unsigned()
}

//! Four lines of at most eight octets side by side.
//!
//! Each 64-bit lane of a register holds the octets that end where its line does. A shift moves octets
//! within a line then, and `x & -x` is a one in the octet of the first dot.

use std::arch::x86_64::*;

use super::{DOT, Lines, ZERO, eight_digits, load_4_of_8, load_4_places, load_32, store_4};

/// Lines that are read at once.
pub(super) const LANES: usize = 4;

/// Reads four lines of at most eight octets, and returns how many there are in front of the first
/// one that is not such a line. The values from there on may be anything.
/// None where there is not that much text in front of them.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn four(lines: &Lines<'_>, line: usize, values: &mut [f64; LANES]) -> Option<usize> {
    let zero = _mm256_setzero_si256();
    let ones = _mm256_set1_epi64x(-1);
    let places: &[u16; LANES + 1] = lines.ends[line..].first_chunk()?;
    let (before, ends) = (places.first_chunk()?, places.last_chunk()?);
    let text = load_4_of_8(lines.text, lines.base, lines.gap, ends)?;

    // The bits of a lane that are not the line's; all but one if it is too long or empty.
    let octets = _mm_sub_epi16(load_4_places(ends), load_4_places(before));
    let all_bits = _mm_set1_epi16(64 + 8 * (1 + lines.gap as i16));
    let unused = _mm_sub_epi16(all_bits, _mm_slli_epi16::<3>(octets));
    let unused = _mm256_cvtepu16_epi64(_mm_min_epu16(unused, _mm_set1_epi16(63)));
    let inside = _mm256_sllv_epi64(ones, unused);

    let digits = _mm256_and_si256(_mm256_sub_epi8(text, _mm256_set1_epi8(ZERO)), inside);
    let first = _mm256_andnot_si256(_mm256_slli_epi64::<8>(inside), inside);
    let minuses = _mm256_cmpeq_epi8(digits, _mm256_set1_epi8(MINUS.cast_signed()));
    let minus = _mm256_and_si256(minuses, first);
    let dots = _mm256_cmpeq_epi8(digits, _mm256_set1_epi8(DOT.cast_signed()));

    let lowest = _mm256_and_si256(dots, _mm256_sub_epi64(zero, dots));
    let dot = _mm256_sub_epi64(_mm256_slli_epi64::<8>(lowest), lowest);
    let no_dot = _mm256_cmpeq_epi64(dots, zero);
    let whole = _mm256_andnot_si256(no_dot, _mm256_add_epi64(lowest, ones));
    let not_behind = _mm256_or_si256(whole, dot);

    // Digits in front of the dot move one place up, to where it was. A second one stays, and is bad.
    let digits = _mm256_andnot_si256(minus, digits);
    let moved = _mm256_slli_epi64::<8>(_mm256_and_si256(digits, whole));
    let has_digits = _mm256_andnot_si256(_mm256_or_si256(minus, dot), inside);
    let has_digits = _mm256_and_si256(has_digits, _mm256_set1_epi8(1));
    let digits = _mm256_or_si256(_mm256_andnot_si256(not_behind, digits), moved);
    let bad = _mm256_subs_epu8(digits, _mm256_set1_epi8(9));
    let good = _mm256_andnot_si256(
        _mm256_cmpeq_epi64(has_digits, zero),
        _mm256_cmpeq_epi64(bad, zero),
    );
    let good = _mm256_movemask_pd(_mm256_castsi256_pd(good));

    let eights = eight_digits(digits);
    let eights = _mm_unpacklo_epi64(
        _mm256_castsi256_si128(eights),
        _mm256_extracti128_si256::<1>(eights),
    );
    // Digits behind the dot; eight without one, which selects as zero does.
    let fraction = _mm256_andnot_si256(not_behind, _mm256_set1_epi8(1));
    let fraction = _mm256_sad_epu8(fraction, zero);
    // The lower halves of these powers are zero.
    let powers = _mm256_permutevar8x32_epi32(load_32(&UPPER_HALVES), fraction);
    // Minus one octet has ones above it.
    let sign = _mm256_and_si256(_mm256_sub_epi64(zero, minus), _mm256_set1_epi64x(i64::MIN));
    let divisors = _mm256_or_si256(_mm256_slli_epi64::<32>(powers), sign);
    // Numerators and denominators are exact, so this is the one rounding.
    store_4(
        values,
        _mm256_div_pd(_mm256_cvtepi32_pd(eights), _mm256_castsi256_pd(divisors)),
    );
    Some(good.trailing_ones() as usize)
}

/// What a minus becomes when digits become numbers.
const MINUS: u8 = b'-'.wrapping_sub(b'0');

/// The upper halves of the patterns of 10^0 to 10^7, as octets.
const UPPER_HALVES: [u8; 32] = {
    let mut table = [0; 32];
    let mut power = 1.0f64;
    let mut at = 0;
    while at < table.len() {
        let octets = power.to_bits().to_le_bytes();
        assert!(power.to_bits() << 32 == 0);
        let mut half = 0;
        while half < 4 {
            table[at + half] = octets[4 + half];
            half += 1;
        }
        power *= 10.0;
        at += 4;
    }
    table
};

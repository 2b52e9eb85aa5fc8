//! Two lines of at most 16 octets, of which 15 are digits.
//!
//! Each line has half of a register. Numerators and denominators are exact, so that it takes one
//! division, where [`long`](super::long) takes two and a test.

use std::arch::x86_64::*;

use super::long::LAST;
use super::{DOT, Lines, ZERO, eight_digits, equal, load_2_of_16, sign};

/// Lines that are read at once.
pub(super) const LANES: usize = 2;

/// Reads two lines, of at most 16 octets without sign and line end. None if one is not for this
/// path; the values may be anything where there is no line.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn two(lines: &Lines<'_>, line: usize) -> Option<[f64; LANES]> {
    let (end, next) = (lines.end(line), lines.end(line + 1));
    let (negative, length) = sign(lines.text, lines.near_start(line), end)?;
    let (next_negative, next_length) = sign(lines.text, lines.near_start(line + 1), next)?;
    if length > 16 || next_length > 16 {
        return None;
    }
    let octets = load_2_of_16(
        lines.text.get(..end)?.last_chunk()?,
        lines.text.get(..next)?.last_chunk()?,
    );
    let inside = load_2_of_16(
        LAST[16 + length..].first_chunk()?,
        LAST[16 + next_length..].first_chunk()?,
    );
    let digits = _mm256_and_si256(_mm256_sub_epi8(octets, _mm256_set1_epi8(ZERO)), inside);
    let nine_or_less = _mm256_cmpeq_epi8(_mm256_min_epu8(digits, _mm256_set1_epi8(9)), digits);
    let others = !_mm256_movemask_epi8(nine_or_less).cast_unsigned();
    let dots = equal(digits, DOT);

    // The places of the dots; 16 without one.
    let dot = (others | 1 << 16).trailing_zeros() as usize;
    let next_dot = (others >> 16 | 1 << 16).trailing_zeros() as usize;
    let single = |others: u32| others & others.wrapping_sub(1) == 0;
    let counted = |length: usize, dot: usize| (1..=15).contains(&(length - usize::from(dot < 16)));
    if others != dots
        || !single(others & 0xffff)
        || !single(others >> 16)
        || !counted(length, dot)
        || !counted(next_length, next_dot)
    {
        return None;
    }
    let digits = _mm256_shuffle_epi8(digits, load_2_of_16(&WITHOUT[dot], &WITHOUT[next_dot]));
    let eights = eight_digits(digits);
    let eights = _mm_unpacklo_epi64(
        _mm256_castsi256_si128(eights),
        _mm256_extracti128_si256::<1>(eights),
    );
    let parts = _mm256_mul_pd(
        _mm256_cvtepi32_pd(eights),
        _mm256_set_pd(1.0, 1e8, 1.0, 1e8),
    );
    let numbers = _mm256_hadd_pd(parts, parts);
    let numbers = _mm_unpacklo_pd(
        _mm256_castpd256_pd128(numbers),
        _mm256_extractf128_pd::<1>(numbers),
    );
    let divisors = _mm_set_pd(
        DIVISORS[usize::from(next_negative)][next_dot],
        DIVISORS[usize::from(negative)][dot],
    );
    let quotients = _mm_div_pd(numbers, divisors);
    Some([
        _mm_cvtsd_f64(quotients),
        _mm_cvtsd_f64(_mm_unpackhi_pd(quotients, quotients)),
    ])
}

/// Shuffles that take out one octet of 16, and move up those before it; 16 takes out none.
const WITHOUT: [[u8; 16]; 17] = {
    /// Clears an octet.
    const CLEAR: u8 = 0x80;
    let mut table = [[0; 16]; 17];
    let mut out = 0;
    while out < table.len() {
        let mut at = 0;
        while at < 16 {
            table[out][at] = match at {
                _ if out == 16 || at > out => at as u8,
                0 => CLEAR,
                _ => at as u8 - 1,
            };
            at += 1;
        }
        out += 1;
    }
    table
};

/// The power of ten that a dot at this place stands for, with a sign; 16 stands for no dot.
const DIVISORS: [[f64; 17]; 2] = {
    const POSITIVE: [f64; 17] = [
        1e15, 1e14, 1e13, 1e12, 1e11, 1e10, 1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0, 1e0,
    ];
    let mut negative = POSITIVE;
    let mut place = 0;
    while place < negative.len() {
        negative[place] = -POSITIVE[place];
        place += 1;
    }
    [POSITIVE, negative]
};

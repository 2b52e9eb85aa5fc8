//! Two lines at a time, with AVX2.
//!
//! First stage: the ends of all lines in a stretch of input, from a mask of 64 octets at a time.
//! Second stage: per line, the octets that end at its LF, so that the last digit always has the same
//! place. The dot is taken out, the digits are checked all at once, and neighbours are put together
//! to numbers of two, four and eight digits. No branch depends on how long a line is.

use std::arch::x86_64::*;

use super::super::any_line;
use super::{Batch, load_2_of_16, load_32};
use crate::decimal;

/// Octets of the first stage at a time: its results stay in the nearest cache, and little is done in
/// vain if the second stage ends early.
const STRETCH: usize = 1024;
/// Lines of a stretch that are values: each has a digit and an LF.
const MOST_LINES: usize = STRETCH / 2;
/// The longest line that does not take a more general path: sign, digits and dot, LF.
pub(super) const LONGEST: usize = 34;
/// Octets of one mask.
const BLOCK: usize = 64;

/// Where in a stretch there is an LF; any number behind the last of them.
type Ends = [u16; STRETCH];
/// What the numbers of a stretch are divided by, at last and all at once.
type Divisors = [f64; MOST_LINES];

/// What passes from one stage to the next.
#[derive(Clone, Debug)]
pub(super) struct Stages {
    ends: Box<Ends>,
    divisors: Box<Divisors>,
}

impl Stages {
    pub(super) fn new() -> Stages {
        Stages {
            ends: Box::new([0; STRETCH]),
            divisors: Box::new([1.0; MOST_LINES]),
        }
    }
}

/// Takes lines; see [`Vector::take`](super::Vector::take).
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn take(input: &mut &[u8], batch: &mut Batch<'_>, stages: &mut Stages) -> bool {
    let text = *input;
    let mut scanned = 0;
    let mut start = 0;
    while let Some(values) = batch.values[batch.len..].first_chunk_mut() {
        let stretch = &text[scanned..text.len().min(scanned + STRETCH)];
        let (blocks, _) = stretch.as_chunks();
        let lines = find_ends(blocks, &mut stages.ends);
        let ends = &stages.ends[..lines];
        let divisors = &mut stages.divisors;
        let (read, next) = read(text, start, scanned, ends, values, divisors, batch.limit);
        start = next;
        batch.len += read;
        *input = &text[start..];
        if read < lines {
            return false;
        }
        if blocks.is_empty() {
            return true;
        }
        scanned += BLOCK * blocks.len();
    }
    false
}

/// Writes down where the LFs are, in order, and returns how many there are.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn find_ends(blocks: &[[u8; BLOCK]], ends: &mut Ends) -> usize {
    let mut found = 0;
    for (block, base) in blocks.iter().zip((0u16..).step_by(BLOCK)) {
        let mut mask = newlines(block);
        let count = mask.count_ones() as usize;
        for end in &mut ends[found..found + count] {
            *end = base + mask.trailing_zeros() as u16;
            mask &= mask.wrapping_sub(1);
        }
        found += count;
    }
    found
}

/// One bit for each octet, set where it is an LF.
#[inline]
#[target_feature(enable = "avx2")]
fn newlines(block: &[u8; BLOCK]) -> u64 {
    let (halves, _) = block.as_chunks();
    let mask = |half| u64::from(equal(load_32(half), b'\n'));
    mask(&halves[0]) | mask(&halves[1]) << 32
}

/// Reads lines until one is no value. Returns how many there were, and where the next one begins.
///
/// The first begins at `start`; `ends` count from `base`.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn read(
    text: &[u8],
    mut start: usize,
    base: usize,
    ends: &[u16],
    values: &mut [f64; MOST_LINES],
    divisors: &mut Divisors,
    limit: usize,
) -> (usize, usize) {
    let mut read = 0;
    while let [end, rest @ ..] = &ends[read..] {
        let end = base + usize::from(*end);
        if let [next, ..] = rest
            && let next = base + usize::from(*next)
            && let Some((numbers, scales)) = pair(text, start, end, next)
        {
            values[read..read + 2].copy_from_slice(&numbers);
            divisors[read..read + 2].copy_from_slice(&scales);
            read += 2;
            start = next + 1;
            continue;
        }
        let value = match single(text, start, end) {
            Some(value) => value,
            None => match any_line(&text[start..=end], limit) {
                Some(value) => value,
                None => break,
            },
        };
        (values[read], divisors[read]) = (value, 1.0);
        read += 1;
        start = end + 1;
    }
    // Numerators and denominators are exact, so this is the one rounding.
    for (value, divisor) in values[..read].iter_mut().zip(divisors) {
        *value /= *divisor;
    }
    (read, start)
}

/// Reads two lines, of at most 16 octets without sign and LF, of which 15 are digits. Each value is
/// a number of the first array divided by that of the second.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn pair(text: &[u8], start: usize, end: usize, next: usize) -> Option<([f64; 2], [f64; 2])> {
    let (negative, length) = sign(text, start, end);
    let (next_negative, next_length) = sign(text, end + 1, next);
    if length > 16 || next_length > 16 {
        return None;
    }
    let octets = load_2_of_16(
        text.get(..end)?.last_chunk()?,
        text.get(..next)?.last_chunk()?,
    );
    let keep = load_2_of_16(
        LAST[16 + length..].first_chunk()?,
        LAST[16 + next_length..].first_chunk()?,
    );
    let digits = _mm256_and_si256(_mm256_sub_epi8(octets, _mm256_set1_epi8(ZERO)), keep);
    let (others, dots) = (beyond_nine(digits), equal(digits, DOT));

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
    let numbers = [
        _mm256_cvtsd_f64(numbers),
        _mm_cvtsd_f64(_mm256_extractf128_pd::<1>(numbers)),
    ];
    let divisors = [
        DIVISORS[usize::from(negative)][dot],
        DIVISORS[usize::from(next_negative)][next_dot],
    ];
    Some((numbers, divisors))
}

/// Reads one line, of at most 32 octets without sign and LF, of which 19 are digits that count.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn single(text: &[u8], start: usize, end: usize) -> Option<f64> {
    let (negative, length) = sign(text, start, end);
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

/// Whether the line at `start..end`, where its LF is, begins with a minus, and how long the rest is.
#[inline]
fn sign(text: &[u8], start: usize, end: usize) -> (bool, usize) {
    let negative = text[start] == b'-';
    (negative, end - start - usize::from(negative))
}

/// One bit for each octet, set where it is greater than nine.
#[inline]
#[target_feature(enable = "avx2")]
fn beyond_nine(octets: __m256i) -> u32 {
    let greater = _mm256_cmpeq_epi8(_mm256_max_epu8(octets, _mm256_set1_epi8(10)), octets);
    _mm256_movemask_epi8(greater).cast_unsigned()
}

/// One bit for each octet, set where it is this one.
#[inline]
#[target_feature(enable = "avx2")]
fn equal(octets: __m256i, octet: u8) -> u32 {
    let found = _mm256_cmpeq_epi8(octets, _mm256_set1_epi8(octet.cast_signed()));
    _mm256_movemask_epi8(found).cast_unsigned()
}

/// Turns 16 digits, in each half, into two numbers of eight digits; both are there twice.
#[inline]
#[target_feature(enable = "avx2")]
fn eight_digits(digits: __m256i) -> __m256i {
    let twos = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x01_0a));
    let fours = _mm256_madd_epi16(twos, _mm256_set1_epi32(0x0001_0064));
    let fours = _mm256_packus_epi32(fours, fours);
    _mm256_madd_epi16(fours, _mm256_set1_epi32(0x0001_2710))
}

const ZERO: i8 = b'0'.cast_signed();

/// What a dot becomes when digits become numbers.
const DOT: u8 = b'.'.wrapping_sub(b'0');

/// At `n..n + 32` the last `n` octets are set, and at `n + 16..n + 32` the last `n` of 16.
const LAST: [u8; 64] = {
    let mut table = [0; 64];
    let mut at = 32;
    while at < table.len() {
        table[at] = 0xff;
        at += 1;
    }
    table
};

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

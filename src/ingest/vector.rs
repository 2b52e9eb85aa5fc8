//! The vector path, for processors with AVX2.
//!
//! First stage: the ends of all lines in a stretch of input, from a mask of 64 octets at a time.
//! Second stage: per line, the octets that end at its LF, so that the last digit always has the same
//! place. The dot is taken out, the digits are checked all at once, and neighbours are put together
//! to numbers of two, four and eight digits. No branch depends on how long a line is.

#![expect(
    unsafe_code,
    reason = "vector instructions need a processor that has them, and load from raw pointers"
)]

use std::arch::x86_64::*;

use super::Batch;
use crate::protocol::decimal;

/// Octets of the first stage at a time: its results stay in the nearest cache, and little is done in
/// vain if the second stage ends early.
const STRETCH: usize = 1024;
/// The longest line that does not take a more general path: sign, digits and dot, LF.
const LONGEST: usize = 34;
/// Octets of one mask.
const BLOCK: usize = 64;

/// Lines of a block that are common enough not to ask for each whether there is one.
const USUAL: usize = 12;
/// What a block may write, in steps of `USUAL`.
const ROOM: usize = BLOCK.next_multiple_of(USUAL);

type Ends = [u16; STRETCH + ROOM];

/// Proof that the processor has the instructions, and room for the results of the first stage.
#[derive(Clone, Debug)]
pub(super) struct Vector {
    /// Where in a stretch there is an LF; any number behind the last of them.
    ends: Box<Ends>,
}

impl Vector {
    pub(super) fn detect() -> Option<Vector> {
        let detected = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("popcnt");
        detected.then(|| Vector {
            ends: Box::new([0; STRETCH + ROOM]),
        })
    }

    /// Takes lines as [`Ingest::take`](super::Ingest::take) does, but leaves the last ones alone.
    pub(super) fn take(&mut self, input: &mut &[u8], batch: &mut Batch<'_>) {
        // Below this the length of each line would have to be looked at.
        if batch.limit < LONGEST {
            return;
        }
        // SAFETY: a `Vector` is made only where `detect` found the features that this asks for.
        unsafe { take(input, batch, &mut self.ends) }
    }
}

#[target_feature(enable = "avx2,bmi1,popcnt")]
fn take(input: &mut &[u8], batch: &mut Batch<'_>, ends: &mut Ends) {
    let text = *input;
    // The line that comes next, and the stretch that is searched for its end.
    let mut start = 0;
    let mut scanned = 0;
    // A line with a value has at least two octets, its LF included.
    while batch.len + STRETCH / 2 < batch.values.len() {
        let stretch = &text[scanned..text.len().min(scanned + STRETCH)];
        let (blocks, _) = stretch.as_chunks::<BLOCK>();
        if blocks.is_empty() {
            break;
        }
        let lines = find_ends(blocks, ends);
        for &end in &ends[..lines] {
            let end = scanned + usize::from(end);
            match value(text, start, end) {
                Some(value) => batch.push(value),
                None if batch.take_line(&mut &text[start..]) => {}
                None => {
                    *input = &text[start..];
                    return;
                }
            }
            start = end + 1;
        }
        scanned += BLOCK * blocks.len();
    }
    *input = &text[start..];
}

/// Writes down where the LFs are, in order, and returns how many there are.
#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn find_ends(blocks: &[[u8; BLOCK]], ends: &mut Ends) -> usize {
    let mut found = 0;
    for (block, base) in blocks.iter().zip((0u16..).step_by(BLOCK)) {
        let mut mask = newlines(block);
        let count = mask.count_ones() as usize;
        let mut room = &mut ends[found..found + ROOM];
        loop {
            let (usual, more) = room.split_at_mut(USUAL);
            for end in usual {
                *end = base + mask.trailing_zeros() as u16;
                mask &= mask.wrapping_sub(1);
            }
            if mask == 0 {
                break;
            }
            room = more;
        }
        found += count;
    }
    found
}

/// One bit for each octet, set where it is an LF.
#[inline]
#[target_feature(enable = "avx2")]
fn newlines(block: &[u8; BLOCK]) -> u64 {
    let (halves, _) = block.as_chunks::<32>();
    let mask = |half| {
        let found = _mm256_cmpeq_epi8(load_32(half), _mm256_set1_epi8(b'\n' as i8));
        u64::from(_mm256_movemask_epi8(found).cast_unsigned())
    };
    mask(&halves[0]) | mask(&halves[1]) << 32
}

/// The value of the line that stands at `start..end`, where the LF is.
#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn value(text: &[u8], start: usize, end: usize) -> Option<f64> {
    let negative = text[start] == b'-';
    let digits = end - start - usize::from(negative);
    let magnitude = if digits <= 16 {
        short(text.get(..end)?.last_chunk()?, digits)
    } else {
        long(text.get(..end)?.last_chunk()?, digits)
    }?;
    Some(f64::from_bits(
        magnitude.to_bits() | u64::from(negative) << 63,
    ))
}

/// Reads digits with at most one dot among them: the last `length` octets of `text`.
#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn short(text: &[u8; 16], length: usize) -> Option<f64> {
    let keep = load_16(LAST[16 + length..].first_chunk()?);
    let digits = _mm_and_si128(_mm_sub_epi8(load_16(text), _mm_set1_epi8(b'0' as i8)), keep);
    let others = _mm_cmpeq_epi8(_mm_max_epu8(digits, _mm_set1_epi8(10)), digits);
    let others = _mm_movemask_epi8(others).cast_unsigned();
    let dots = _mm_cmpeq_epi8(digits, _mm_set1_epi8(DOT));
    let dots = _mm_movemask_epi8(dots).cast_unsigned();

    // The place of the dot; 16 without one.
    let dot = (others | 1 << 16).trailing_zeros() as usize;
    let digits = _mm_shuffle_epi8(digits, load_16(&WITHOUT[dot]));
    let pairs = _mm_maddubs_epi16(digits, _mm_set1_epi16(0x010a));
    let fours = _mm_madd_epi16(pairs, _mm_set1_epi32(0x0001_0064));
    let fours = _mm_packus_epi32(fours, fours);
    let eights = _mm_madd_epi16(fours, _mm_set1_epi32(0x0001_2710));
    // Two numbers of eight digits, put together without rounding unless they have too many.
    let parts = _mm_mul_pd(_mm_cvtepi32_pd(eights), _mm_set_pd(1.0, 1e8));
    let integer = _mm_cvtsd_f64(parts) + _mm_cvtsd_f64(_mm_unpackhi_pd(parts, parts));

    let plain = others == dots
        && others & others.wrapping_sub(1) == 0
        && length > usize::from(others != 0)
        && integer < 9_007_199_254_740_992.0;
    plain.then(|| integer / SCALE[dot])
}

/// The same for longer lines.
#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn long(text: &[u8; 33], length: usize) -> Option<f64> {
    let (before, last) = (text.first_chunk()?, text.last_chunk()?);
    let zero = _mm256_set1_epi8(b'0' as i8);
    let keep = load_32(LAST.get(length..)?.first_chunk()?);
    let digits = _mm256_and_si256(_mm256_sub_epi8(load_32(last), zero), keep);
    let others = _mm256_cmpeq_epi8(_mm256_max_epu8(digits, _mm256_set1_epi8(10)), digits);
    let others = _mm256_movemask_epi8(others).cast_unsigned();
    let dots = _mm256_cmpeq_epi8(digits, _mm256_set1_epi8(DOT));
    let dots = _mm256_movemask_epi8(dots).cast_unsigned();
    if others != dots || others & others.wrapping_sub(1) != 0 {
        return None;
    }

    // Those before the dot move one place up, which is what stands one octet earlier.
    let fraction = others.leading_zeros() as usize;
    let behind = load_32(LAST[fraction..].first_chunk()?);
    let keep = load_32(LAST[length - 1..].first_chunk()?);
    let moved = _mm256_and_si256(_mm256_sub_epi8(load_32(before), zero), keep);
    let digits = _mm256_blendv_epi8(moved, digits, behind);
    let pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x010a));
    let fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x0001_0064));
    let fours = _mm256_packus_epi32(fours, fours);
    let eights = _mm256_madd_epi16(fours, _mm256_set1_epi32(0x0001_2710));
    let part =
        |of_two: i64, high: bool| (of_two.cast_unsigned() >> (32 * u32::from(high))) & 0xffff_ffff;
    let (first, second) = (
        _mm256_extract_epi64::<0>(eights),
        _mm256_extract_epi64::<2>(eights),
    );
    let (top, upper, middle, lower) = (
        part(first, false),
        part(first, true),
        part(second, false),
        part(second, true),
    );
    // No more than 19 digits fit 64 bits.
    if top != 0 || upper >= 1000 {
        return None;
    }
    let integer = (upper * 100_000_000 + middle) * 100_000_000 + lower;
    decimal::nearest(integer, if others == 0 { 0 } else { fraction })
}

/// What a dot becomes when digits become numbers.
const DOT: i8 = b'.'.wrapping_sub(b'0') as i8;

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

/// The power of ten behind a dot at this place; 16 stands for none.
const SCALE: [f64; 17] = [
    1e15, 1e14, 1e13, 1e12, 1e11, 1e10, 1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0, 1e0,
];

#[inline]
#[target_feature(enable = "avx2")]
fn load_16(octets: &[u8; 16]) -> __m128i {
    // SAFETY: the reference is to 16 readable octets, and the load asks for no alignment.
    unsafe { _mm_loadu_si128(octets.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_32(octets: &[u8; 32]) -> __m256i {
    // SAFETY: the reference is to 32 readable octets, and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(octets.as_ptr().cast()) }
}

//! Up to four lines at a time, with AVX2.
//!
//! First stage: the ends of all lines in a stretch of input, from a mask of 64 octets at a time.
//! Second stage: per line, the octets that end at its LF, so that the last digit always has the same
//! place. The dot is taken out, the digits are checked all at once, and neighbours are put together
//! to numbers of two, four and eight digits. [`short`] and [`long`] do it for four lines, [`medium`]
//! for two. No branch depends on how long a line is, among those for the same path.

mod long;
mod medium;
mod short;
mod single;

use std::arch::x86_64::*;

use self::short::LANES;
pub(super) use self::single::single;
use super::super::any_line;
use super::{Batch, load_2_of_16, load_4_of_8, load_4_places, load_32, store_4, store_4_places};

/// Octets of the first stage at a time: its results stay in the nearest cache, and little is done in
/// vain if the second stage ends early.
const STRETCH: usize = 1024;
/// Lines of a stretch that are values: each has a digit and an LF.
const MAX_LINES: usize = STRETCH / 2;
/// The longest line that does not take a more general path: sign, digits and dot, CR, LF.
pub(super) const MAX_LINE: usize = 36;
/// Octets of one mask.
const BLOCK: usize = 64;
/// So many lines are read in other ways once a line was not short, or not medium.
const PAUSE: usize = 16;

/// The place of the LF before a stretch, and of those in it, counted from its beginning. What is
/// behind the last of them may be anything.
type Ends = [u16; 1 + STRETCH + BLOCK];

/// What passes from one stage to the next.
#[derive(Clone, Debug)]
pub(super) struct Stages {
    ends: Box<Ends>,
}

impl Stages {
    pub(super) fn new() -> Stages {
        Stages {
            ends: Box::new([0; _]),
        }
    }
}

/// Takes lines; see [`Vector::take`](super::Vector::take).
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn take(input: &mut &[u8], batch: &mut Batch<'_>, stages: &mut Stages) -> bool {
    let text = *input;
    let ends = &mut *stages.ends;
    let mut scanned = 0;
    let mut start = 0;
    while let Some(values) = batch.values[batch.len..].first_chunk_mut() {
        let stretch = &text[scanned..text.len().min(scanned + STRETCH)];
        let (blocks, _) = stretch.as_chunks();
        let lines = find_ends(blocks, ends);
        let lines = Lines::new(text, start, scanned, ends, lines);
        let read = read(&lines, values, batch.limit);
        start = lines.start(read);
        batch.len += read;
        *input = &text[start..];
        if read < lines.count {
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
    for (block, base) in blocks.iter().zip((0..).step_by(BLOCK)) {
        let mut mask = newlines(block);
        let count = mask.count_ones() as usize;
        let Some(ends) = ends[1 + found..].first_chunk_mut::<BLOCK>() else {
            break;
        };
        let (fours, _) = ends.as_chunks_mut();
        let mut note = |ends: &mut [u16; 4]| {
            let mut packed = base * 0x0001_0001_0001_0001u64;
            for lane in 0..4 {
                packed += u64::from(mask.trailing_zeros()) << (16 * lane);
                mask &= mask.wrapping_sub(1);
            }
            store_4_places(ends, packed);
        };
        // In groups, whose number is seldom another: a loop for each count would be a guess.
        note(&mut fours[0]);
        if count > 4 {
            fours[1..3].iter_mut().for_each(&mut note);
        }
        if count > 12 {
            fours[3..count.div_ceil(4)].iter_mut().for_each(&mut note);
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

/// The lines that end in a stretch of a text.
struct Lines<'a> {
    text: &'a [u8],
    /// Where the first line begins.
    start: usize,
    /// Where the stretch begins.
    base: usize,
    ends: &'a Ends,
    count: usize,
    /// Octets between a line and its LF: one if each line ends in a CR, or else none.
    gap: usize,
}

impl<'a> Lines<'a> {
    #[inline]
    fn new(
        text: &'a [u8],
        start: usize,
        base: usize,
        ends: &'a mut Ends,
        count: usize,
    ) -> Lines<'a> {
        // A line that is too long to be short stays so.
        let before = (base + 1 - start).min(STRETCH);
        ends[0] = (before as u16).wrapping_neg();
        let mut lines = Lines {
            text,
            start,
            base,
            ends,
            count,
            gap: 0,
        };
        let has_cr = |line| lines.text[..lines.newline(line)].last() == Some(&b'\r');
        lines.gap = usize::from(count > 0 && (0..count).all(has_cr));
        lines
    }

    /// The place of the LF.
    #[inline]
    fn newline(&self, line: usize) -> usize {
        self.base + usize::from(self.ends[1 + line])
    }

    #[inline]
    fn start(&self, line: usize) -> usize {
        match line {
            0 => self.start,
            _ => self.newline(line - 1) + 1,
        }
    }

    /// The same, or a place closer to the end where the first line is longer than a stretch.
    #[inline]
    fn near_start(&self, line: usize) -> usize {
        let before = isize::from(self.ends[line].cast_signed());
        self.base.wrapping_add_signed(before + 1)
    }

    /// The place behind the last octet that counts; any number where there is no line.
    #[inline]
    fn end(&self, line: usize) -> usize {
        self.newline(line).wrapping_sub(self.gap)
    }
}

/// Reads lines until one is no value, and returns how many there were.
#[inline]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
fn read(lines: &Lines<'_>, values: &mut [f64; MAX_LINES + LANES], limit: usize) -> usize {
    let mut read = 0;
    let mut next_short = 0;
    let mut next_medium = 0;
    while read < lines.count {
        let Some(values) = values[read..].first_chunk_mut() else {
            break;
        };
        if read >= next_short
            && let Some(short) = short::four(lines, read, values)
        {
            read = lines.count.min(read + short);
            if short < LANES {
                next_short = read + PAUSE;
            }
            if short > 0 {
                continue;
            }
        }
        if read >= next_medium {
            if let Some(medium) = medium::two(lines, read) {
                values[..medium::LANES].copy_from_slice(&medium);
                read = lines.count.min(read + medium::LANES);
                continue;
            }
            next_medium = read + PAUSE;
        }
        let long = long::four(lines, read, values);
        read = lines.count.min(read + long);
        if long == 0 {
            let line = &lines.text[lines.start(read)..=lines.newline(read)];
            let Some(value) = any_line(line, limit) else {
                break;
            };
            values[0] = value;
            read += 1;
        }
    }
    read
}

/// Whether a line begins with a minus, and how long the rest is; any number where there is no line.
#[inline]
fn sign(text: &[u8], start: usize, end: usize) -> Option<(bool, usize)> {
    let negative = *text.get(start)? == b'-';
    Some((negative, end.wrapping_sub(start + usize::from(negative))))
}

/// One bit for each octet, set where it is this one.
#[inline]
#[target_feature(enable = "avx2")]
fn equal(octets: __m256i, octet: u8) -> u32 {
    let found = _mm256_cmpeq_epi8(octets, _mm256_set1_epi8(octet.cast_signed()));
    _mm256_movemask_epi8(found).cast_unsigned()
}

/// Turns 16 digits, in each half, into four numbers of four digits.
#[inline]
#[target_feature(enable = "avx2")]
fn fours(digits: __m256i) -> __m256i {
    let twos = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x01_0a));
    _mm256_madd_epi16(twos, _mm256_set1_epi32(0x0001_0064))
}

/// Turns 16 digits, in each half, into two numbers of eight digits; both are there twice.
#[inline]
#[target_feature(enable = "avx2")]
fn eight_digits(digits: __m256i) -> __m256i {
    let fours = fours(digits);
    let fours = _mm256_packus_epi32(fours, fours);
    _mm256_madd_epi16(fours, _mm256_set1_epi32(0x0001_2710))
}

const ZERO: i8 = b'0'.cast_signed();

/// What a dot becomes when digits become numbers.
const DOT: u8 = b'.'.wrapping_sub(b'0');

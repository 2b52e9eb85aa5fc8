//! Up to eight short lines at a time, with AVX-512.
//!
//! A window of 64 octets is one register. The places of its LFs tell, for each of eight lanes, where
//! its line begins and ends; one permutation then brings the last eight octets of each line into its
//! lane, and from there on all lines are read at once. Which octets the next window begins with
//! depends on nothing but the places of the LFs, so that the processor works on several windows at
//! the same time.

use std::arch::x86_64::*;

use super::super::any_line;
use super::{Batch, avx2, load_64, store_bits};

/// Octets of a window.
const WINDOW: usize = 64;
/// Lines that are read at once.
const LANES: usize = 8;
/// Where lines are too long for this path, the next one gets so many octets.
const STRETCH: usize = 4096;

/// Takes lines; see [`Vector::take`](super::Vector::take).
#[target_feature(
    enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512cd,avx512dq,avx512vbmi,avx512vbmi2"
)]
pub(super) fn take(input: &mut &[u8], batch: &mut Batch<'_>, stages: &mut avx2::Stages) -> bool {
    let text = *input;
    let mut start = 0;
    // Whether the window before began with a line that is not short.
    let mut was_odd = false;
    let more = loop {
        let rest = &text[start..];
        let Some(window) = rest.first_chunk() else {
            break true;
        };
        let Some(values) = batch.values[batch.len..].first_chunk_mut() else {
            break false;
        };
        let (ends, read) = eight(window, values);
        batch.len += read as usize;
        if read == ends.count_ones() && read > 0 {
            start += WINDOW - ends.leading_zeros() as usize;
            was_odd = false;
            continue;
        }
        if ends == 0 || read == 0 && was_odd {
            // Lines are alike, so that the next ones are not short either.
            let mut stretch = &rest[..STRETCH.min(rest.len())];
            let length = stretch.len();
            let more = avx2::take(&mut stretch, batch, stages);
            let taken = length - stretch.len();
            start += taken;
            was_odd = false;
            if more && taken > 0 {
                continue;
            }
            break more;
        }
        // One line is left to others.
        let end = start + _pdep_u64(1 << read, ends).trailing_zeros() as usize;
        let read_ends = _pdep_u64((1 << read) - 1, ends);
        start += WINDOW - read_ends.leading_zeros() as usize;
        was_odd = read == 0;
        let value = avx2::single(text, start, end);
        let Some(value) = value.or_else(|| any_line(&text[start..=end], batch.limit)) else {
            break false;
        };
        batch.push(value);
        start = end + 1;
    };
    *input = &text[start..];
    more
}

/// Reads the lines that end in a window, which must begin with one: at most eight, and of at most
/// eight octets without sign and line end.
///
/// Returns where these lines end, as bits, and how many of them were read: all in front of the first
/// one that this cannot read.
#[inline]
#[target_feature(
    enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512cd,avx512dq,avx512vbmi,avx512vbmi2"
)]
fn eight(window: &[u8; WINDOW], values: &mut [f64; LANES]) -> (u64, u32) {
    let text = load_64(window);
    let all = |octet: u8| _mm512_set1_epi8(octet.cast_signed());
    let ends = _mm512_cmpeq_epi8_mask(text, all(b'\n'));
    let ends = _pdep_u64((1 << LANES) - 1, ends);

    // In each octet of a lane: the number of the lane, and the place from the octet behind the lane on,
    // which is less than zero.
    let places = load_64(&PLACES);
    let lane = _mm512_and_si512(_mm512_srli_epi16::<3>(places), all(7));
    let from_end = _mm512_or_si512(places, all(0xf8));

    // The place of its LF, and of the one before, which is -1 for the first.
    let places = _mm512_maskz_compress_epi8(ends, places);
    let end = _mm512_permutexvar_epi8(lane, places);
    let lane_before = _mm512_sub_epi8(lane, all(1));
    let before = _mm512_mask_permutexvar_epi8(all(0xff), !0xff, lane_before, places);

    // A CR there belongs to the end of the line.
    let last = _mm512_permutexvar_epi8(_mm512_add_epi8(end, all(0xff)), text);
    let has_cr = _mm512_cmpeq_epi8_mask(last, all(b'\r'));
    let end = _mm512_mask_add_epi8(end, has_cr, end, all(0xff));
    let first = _mm512_permutexvar_epi8(_mm512_sub_epi8(before, all(0xff)), text);
    let negative = _mm512_cmpeq_epi8_mask(first, all(b'-'));
    let before = _mm512_mask_sub_epi8(before, negative, before, all(0xff));
    let place = _mm512_add_epi8(end, from_end);
    let inside = _mm512_cmpgt_epi8_mask(place, before);
    let too_long = _mm512_cmpgt_epi8_mask(_mm512_sub_epi8(end, before), all(LANES as u8 + 1));

    let octets = _mm512_permutexvar_epi8(place, text);
    let octets = _mm512_sub_epi8(octets, all(b'0'));
    let others = _mm512_mask_cmpgt_epu8_mask(inside, octets, all(9));
    let dots = _mm512_mask_cmpeq_epi8_mask(inside, octets, all(b'.'.wrapping_sub(b'0')));
    let is_digit = inside & !others;
    let digits = _mm512_maskz_mov_epi8(is_digit, octets);

    // A one where the dot is; all ones below it. Without a dot both say so with nothing and all.
    let dot = _mm512_maskz_mov_epi8(dots, all(1));
    let below = _mm512_sub_epi64(dot, _mm512_set1_epi64(1));
    let has_dot = _mm512_test_epi64_mask(dot, dot);
    let two_dots = _mm512_test_epi64_mask(dot, below);
    let bad = _mm512_movm_epi8(others ^ dots | too_long);
    let bad = _mm512_test_epi64_mask(bad, bad) | two_dots;
    let is_digit = _mm512_movm_epi8(is_digit);
    let good = _mm512_test_epi64_mask(is_digit, is_digit) & !bad;

    // Digits in front of the dot move one place up, to where it was.
    let whole = _mm512_maskz_and_epi64(has_dot, digits, below);
    let digits = _mm512_add_epi64(
        _mm512_xor_si512(digits, whole),
        _mm512_slli_epi64::<8>(whole),
    );
    let twos = _mm512_maddubs_epi16(digits, _mm512_set1_epi16(0x01_0a));
    let fours = _mm512_madd_epi16(twos, _mm512_set1_epi32(0x0001_0064));
    let integers = _mm512_add_epi64(
        _mm512_mul_epu32(fours, _mm512_set1_epi64(10_000)),
        _mm512_srli_epi64::<32>(fours),
    );

    // How many digits follow the dot; eight without one, which selects as zero does.
    let fraction = _mm512_srli_epi64::<3>(_mm512_lzcnt_epi64(dot));
    let powers = _mm512_set_pd(1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0);
    let divisors = _mm512_permutexvar_pd(fraction, powers);
    // Numerators and denominators are exact, so this is the one rounding.
    let quotients = _mm512_div_pd(_mm512_cvtepi64_pd(integers), divisors);
    let signs = _mm512_movm_epi8(negative);
    let sign = _mm512_and_si512(signs, _mm512_set1_epi64(i64::MIN));
    store_bits(
        values,
        _mm512_xor_si512(_mm512_castpd_si512(quotients), sign),
    );

    let bad_or_none = u32::from(!good) | 1 << ends.count_ones();
    (ends, bad_or_none.trailing_zeros())
}

/// 0, 1, 2 and so on.
const PLACES: [u8; WINDOW] = {
    let mut table = [0; WINDOW];
    let mut at = 0;
    while at < WINDOW {
        table[at] = at as u8;
        at += 1;
    }
    table
};

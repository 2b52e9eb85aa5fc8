//! The vector paths, for processors that have the instructions.
//!
//! [`avx2`] reads four lines at a time. [`avx512`] reads up to eight, if they are short, and leaves
//! the others to it.
//!
//! All `unsafe` code of reading is in this file: the calls of what needs more than every
//! processor of this kind has, and loads and stores, which take raw pointers.

#![expect(
    unsafe_code,
    reason = "vector instructions need a processor that has them, and load from raw pointers"
)]

mod avx2;
mod avx512;

use std::arch::x86_64::*;

use super::Batch;
use crate::processor::Level;

/// A path, and room for what passes between its stages.
#[derive(Clone, Debug)]
pub(super) struct Vector {
    level: Level,
    stages: avx2::Stages,
}

impl Vector {
    /// The path of a level, if there is one.
    pub(super) fn new(level: Level) -> Option<Vector> {
        let stages = avx2::Stages::new();
        match level {
            Level::Portable => None,
            Level::Avx2(_) | Level::Avx512(_) => Some(Vector { level, stages }),
        }
    }

    /// Takes lines as [`Ingest::take`](super::Ingest::take) does, but leaves the last ones alone.
    /// Returns whether it was for them that it stopped.
    pub(super) fn take(&mut self, input: &mut &[u8], batch: &mut Batch<'_>) -> bool {
        // Below this the length of each line would have to be looked at.
        if batch.limit < avx2::MAX_LINE {
            return true;
        }
        let stages = &mut self.stages;
        match self.level {
            Level::Portable => true,
            // SAFETY: there is such a level where all that is needed had been detected.
            Level::Avx2(_) => unsafe { avx2::take(input, batch, stages) },
            // SAFETY: as above.
            Level::Avx512(_) => unsafe { avx512::take(input, batch, stages) },
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_32(octets: &[u8; 32]) -> __m256i {
    // SAFETY: the reference is to 32 readable octets, and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(octets.as_ptr().cast()) }
}

/// Loads two halves.
#[inline]
#[target_feature(enable = "avx2")]
fn load_2_of_16(low: &[u8; 16], high: &[u8; 16]) -> __m256i {
    // SAFETY: the references are to 16 readable octets each, and the load asks for no alignment.
    unsafe { _mm256_loadu2_m128i(high.as_ptr().cast(), low.as_ptr().cast()) }
}

/// Stores four places, the first of which is in the lowest bits.
#[inline]
fn store_4_places(places: &mut [u16; 4], packed: u64) {
    // SAFETY: the reference is to room for eight octets, and the store asks for no alignment.
    unsafe { places.as_mut_ptr().cast::<u64>().write_unaligned(packed) }
}

/// Loads the eight octets that end so many octets in front of each place; places count from `base`.
/// None if not all of these are octets of the text.
#[inline]
#[target_feature(enable = "avx2")]
fn load_4_of_8(text: &[u8], base: usize, gap: usize, places: &[u16; 4]) -> Option<__m256i> {
    let before = 8 + gap;
    let least = before.saturating_sub(base) as u64;
    let most = text.len().checked_sub(base)?.min(u16::MAX.into());
    let lanes = load_4_places(places);
    let low = _mm_cvtsi64_si128((least * 0x0001_0001_0001_0001).cast_signed());
    let outside = _mm_or_si128(
        _mm_subs_epu16(lanes, _mm_set1_epi16((most as u16).cast_signed())),
        _mm_subs_epu16(low, lanes),
    );
    if _mm_testz_si128(outside, outside) == 0 {
        return None;
    }
    // SAFETY: the place is neither less than `before - base` nor greater than `len - base`, and so
    // the eight octets from `base + place - before` on are in the text.
    let load = |place: u16| unsafe {
        let octets = text.as_ptr().add(base + usize::from(place) - before);
        octets.cast::<i64>().read_unaligned()
    };
    let [a, b, c, d] = places.map(load);
    Some(_mm256_set_epi64x(d, c, b, a))
}

/// Loads four places in the lower half.
#[inline]
#[target_feature(enable = "avx2")]
fn load_4_places(places: &[u16; 4]) -> __m128i {
    // SAFETY: the reference is to eight readable octets, and the load asks for no alignment.
    unsafe { _mm_loadl_epi64(places.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_4(values: &mut [f64; 4], lanes: __m256d) {
    // SAFETY: the reference is to room for four values, and the store asks for no alignment.
    unsafe { _mm256_storeu_pd(values.as_mut_ptr(), lanes) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_64(octets: &[u8; 64]) -> __m512i {
    // SAFETY: the reference is to 64 readable octets, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(octets.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_bits(values: &mut [f64; 8], bits: __m512i) {
    // SAFETY: the reference is to room for eight values, and the store asks for no alignment.
    unsafe { _mm512_storeu_si512(values.as_mut_ptr().cast(), bits) }
}

//! The vector paths, for processors that have the instructions.
//!
//! [`avx2`] reads two lines at a time. [`avx512`] reads up to eight, if they are short, and leaves
//! the others to it. [`ifma`] adds up what was read, eight values at a time; where the processor has
//! no such instructions, the portable code is compiled once more, so that it may use AVX2.
//!
//! All `unsafe` code of reading and adding is in this file: the calls of what needs more than every
//! processor of this kind has, and loads and stores, which take raw pointers.

#![expect(
    unsafe_code,
    reason = "vector instructions need a processor that has them, and load from raw pointers"
)]

mod avx2;
mod avx512;
mod ifma;

use std::arch::x86_64::*;

use super::{BATCH, Batch};
use crate::stats::Statistics;

/// What of the instructions is there; a value is proof of it.
#[derive(Clone, Copy, Debug)]
enum Level {
    Avx2,
    /// With all that Ice Lake and Zen 4 brought, and AVX2.
    Avx512,
}

/// A path, and room for what passes between its stages.
#[derive(Clone, Debug)]
pub(super) struct Vector {
    level: Level,
    stages: avx2::Stages,
}

impl Vector {
    /// One for each kind of path that this processor can take, the fastest first.
    pub(super) fn all() -> impl Iterator<Item = Vector> {
        let avx2 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512ifma")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vbmi2");
        let levels = [avx512.then_some(Level::Avx512), avx2.then_some(Level::Avx2)];
        levels.into_iter().flatten().map(|level| Vector {
            level,
            stages: avx2::Stages::new(),
        })
    }

    /// Takes lines as [`Ingest::take`](super::Ingest::take) does, but leaves the last ones alone.
    /// Returns whether it was for them that it stopped.
    pub(super) fn take(&mut self, input: &mut &[u8], batch: &mut Batch<'_>) -> bool {
        // Below this the length of each line would have to be looked at.
        if batch.limit < avx2::LONGEST {
            return true;
        }
        let stages = &mut self.stages;
        // SAFETY: each level was made where all that its path asks for had been detected.
        unsafe {
            match self.level {
                Level::Avx2 => avx2::take(input, batch, stages),
                Level::Avx512 => avx512::take(input, batch, stages),
            }
        }
    }

    /// Adds up values, which must be finite, and leaves anything in their place.
    pub(super) fn add(&self, values: &mut [f64], statistics: &mut Statistics) {
        // SAFETY: as above.
        unsafe {
            match self.level {
                Level::Avx2 => add_alike(values, statistics),
                Level::Avx512 => ifma::add(values, statistics),
            }
        }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn add_alike(values: &[f64], statistics: &mut Statistics) {
    statistics.add_alike(values);
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

#[inline]
#[target_feature(enable = "avx512f")]
fn load_64(octets: &[u8; 64]) -> __m512i {
    // SAFETY: the reference is to 64 readable octets, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(octets.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bits(values: &[f64; 8]) -> __m512i {
    // SAFETY: the reference is to eight readable values, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_bits(values: &mut [f64; 8], bits: __m512i) {
    // SAFETY: the reference is to room for eight values, and the store asks for no alignment.
    unsafe { _mm512_storeu_si512(values.as_mut_ptr().cast(), bits) }
}

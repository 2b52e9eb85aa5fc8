//! Many values at once, by vector instructions.
//!
//! [`avx2`] adds up four values at a time, as floating-point numbers. [`ifma`] adds up eight, as
//! integers.
//!
//! All `unsafe` code of adding is in this file: the calls of what needs more than every processor of
//! this kind has, and loads and stores, which take raw pointers.

#![expect(
    unsafe_code,
    reason = "vector instructions need a processor that has them, and load from raw pointers"
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod ifma;
#[cfg(test)]
mod tests;

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::Statistics;
use crate::processor::Level;

/// The most values that are added up at once.
pub(crate) const MAX_BATCH: usize = 1024;

impl Statistics {
    /// Does what [`Statistics::add_slice`] does, for at most [`MAX_BATCH`] values that are finite,
    /// and leaves anything in their place.
    pub(crate) fn add_batch(&mut self, values: &mut [f64], level: Level) {
        match level {
            Level::Portable => self.add_slice(values),
            // SAFETY: there is such a level where all that is needed had been detected.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => unsafe { avx2::add(values, self) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => unsafe { ifma::add(values, self) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn load_4(values: &[f64; 4]) -> __m256d {
    // SAFETY: the reference is to four readable values, and the load asks for no alignment.
    unsafe { _mm256_loadu_pd(values.as_ptr()) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
fn load_bits(values: &[f64; 8]) -> __m512i {
    // SAFETY: the reference is to eight readable values, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
fn store_bits(values: &mut [f64; 8], bits: __m512i) {
    // SAFETY: the reference is to room for eight values, and the store asks for no alignment.
    unsafe { _mm512_storeu_si512(values.as_mut_ptr().cast(), bits) }
}

//! Many values at once, by vector instructions.
//!
//! [`ifma`] adds up eight values at a time with AVX-512. [`alike`] is portable code that is compiled
//! once more for AVX2.
//!
//! All `unsafe` code of adding is in this file: the calls of what needs more than every processor of
//! this kind has, and loads and stores, which take raw pointers.

#![expect(
    unsafe_code,
    reason = "vector instructions need a processor that has them, and load from raw pointers"
)]

mod alike;
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
            Level::Avx2(_) => unsafe { add_alike(values, self) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => unsafe { ifma::add(values, self) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn add_alike(values: &[f64], statistics: &mut Statistics) {
    statistics.add_alike(values);
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

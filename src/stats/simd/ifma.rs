//! Adding up eight values at a time, with the 52-bit multiplications of AVX-512.
//!
//! Most of a batch usually falls into one bin. Its integers are below 2^60, so that they are a limb
//! of 52 bits and one of eight; sums of limbs, and of the halves of their products, fit 64 bits for
//! as many values as a batch has. Values of other bins move to the front, and are next.

use std::arch::x86_64::*;

use super::super::{BIN_WIDTH, Statistics};
use super::{MAX_BATCH, load_bits, store_bits};

/// Fewer values are added one by one.
const FEW: usize = 32;
/// Values side by side.
const LANES: usize = 8;
const LIMB_BITS: u32 = 52;
/// Where the number of its bin begins in a pattern without sign.
const BIN_BITS: u32 = 53 + BIN_WIDTH.trailing_zeros();

// The limbs of a batch, of all lanes together, fit 64 bits with a sign.
const _: () = assert!(MAX_BATCH <= 1 << (63 - LIMB_BITS));

/// Adds up values, which must be finite, and leaves anything in their place.
#[target_feature(enable = "popcnt,avx512f,avx512dq,avx512ifma")]
pub(super) fn add(values: &mut [f64], statistics: &mut Statistics) {
    let mut rest = values;
    while rest.len() >= FEW {
        let before = rest.len();
        let strays = add_one_bin(rest, statistics);
        rest = &mut rest[..strays];
        // Values that share no bin are not worth the effort.
        if strays > before / 2 {
            break;
        }
    }
    statistics.add_slice(rest);
}

/// Adds up the values of one bin, which is that of the greatest. Returns how many others there are,
/// which are at the front then.
#[target_feature(enable = "popcnt,avx512f,avx512dq,avx512ifma")]
fn add_one_bin(values: &mut [f64], statistics: &mut Statistics) -> usize {
    let flat = values.len() / LANES * LANES;
    let (values, tail) = values.split_at_mut(flat);
    statistics.add_slice(tail);

    // Without its sign, a greater pattern is a greater value.
    let top = values.as_chunks().0.iter();
    let top = top.fold(_mm512_setzero_si512(), |top, values| {
        _mm512_max_epu64(top, unsigned(load_bits(values)))
    });
    let bin = bin_of(_mm512_reduce_max_epu64(top));
    // The lowest bin has subnormal numbers, which have no hidden bit.
    if bin == 0 {
        statistics.add_slice(values);
        return 0;
    }

    let all = |number: u64| _mm512_set1_epi64(number.cast_signed());
    let zero = _mm512_setzero_si512();
    let mut sums = [zero; 2];
    let mut squares = [zero; 5];
    let mut strays = 0;
    for at in (0..flat).step_by(LANES) {
        let Some(lanes) = values[at..].first_chunk() else {
            break;
        };
        let bits = load_bits(lanes);
        let unsigned = unsigned(bits);
        let inside = _mm512_cmpeq_epi64_mask(_mm512_srli_epi64::<BIN_BITS>(unsigned), all(bin));
        // Zero belongs to any bin.
        let stray = _mm512_test_epi64_mask(unsigned, unsigned) & !inside;

        let fraction = all((1 << 52) - 1);
        let significand = _mm512_or_si512(_mm512_and_si512(bits, fraction), all(1 << 52));
        let shift = _mm512_and_si512(_mm512_srli_epi64::<52>(bits), all(BIN_WIDTH - 1));
        let magnitude = _mm512_maskz_sllv_epi64(inside, significand, shift);
        let negative = _mm512_movepi64_mask(bits);
        let signed = _mm512_mask_sub_epi64(magnitude, negative, zero, magnitude);
        // The multiplications take the lower limb of what they are given.
        sums[0] = _mm512_madd52lo_epu64(sums[0], signed, all(1));
        sums[1] = _mm512_add_epi64(sums[1], _mm512_srai_epi64::<LIMB_BITS>(signed));
        let (low, high) = (magnitude, _mm512_srli_epi64::<LIMB_BITS>(magnitude));
        squares[0] = _mm512_madd52lo_epu64(squares[0], low, low);
        squares[1] = _mm512_madd52hi_epu64(squares[1], low, low);
        squares[2] = _mm512_madd52lo_epu64(squares[2], low, high);
        squares[3] = _mm512_madd52hi_epu64(squares[3], low, high);
        squares[4] = _mm512_madd52lo_epu64(squares[4], high, high);

        let moved = _mm512_maskz_compress_epi64(stray, bits);
        if let Some(front) = values[strays..].first_chunk_mut() {
            store_bits(front, moved);
        }
        strays += stray.count_ones() as usize;
    }
    let total = |lanes| _mm512_reduce_add_epi64(lanes);
    let sum = i128::from(total(sums[0])) + (i128::from(total(sums[1])) << LIMB_BITS);
    let [a, b, c, d, e] = squares.map(|lanes| u128::from(total(lanes).cast_unsigned()));
    let (lower, upper) = (a + ((b + 2 * c) << LIMB_BITS), 2 * d + e);
    let count = (flat - strays) as u64;
    statistics.add_total(bin, count, sum, (lower, 0));
    let upper = (
        upper << (2 * LIMB_BITS),
        (upper >> (128 - 2 * LIMB_BITS)) as u64,
    );
    statistics.add_total(bin, 0, 0, upper);
    strays
}

/// The bin of a pattern without sign.
fn bin_of(unsigned: u64) -> u64 {
    unsigned >> BIN_BITS
}

/// The patterns without their signs, which leaves the lowest bits empty.
#[inline]
#[target_feature(enable = "avx512f")]
fn unsigned(bits: __m512i) -> __m512i {
    _mm512_slli_epi64::<1>(bits)
}

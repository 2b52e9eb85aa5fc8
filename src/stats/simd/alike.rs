//! Values that are alike in size, added up side by side.
//!
//! Most of a batch usually falls into one bin. Its integers are below 2^60, and are cut into three
//! limbs of 20 bits: the limbs, and their products, then add up in 64 bits for as many values as a
//! group has, without a carry between them. That is what vector registers can do. The code is
//! portable, and pays where the compiler may use vector shifts and multiplications.

use super::super::{BIN_WIDTH, Bin, Statistics};

/// `M * M < 2^120`, so that the squares of a group fit 128 bits.
const GROUP: usize = 256;
/// A group with more values in other bins is not alike.
const MOST_STRAYS: usize = GROUP / 8;
/// Values side by side.
const LANES: usize = 4;

const LIMB_BITS: u32 = 20;
const LIMB: u64 = (1 << LIMB_BITS) - 1;
/// Added to what has a sign and is less, so that it has none.
const BIAS: u64 = 1 << 60;
const LOW_HALF: u64 = (1 << 32) - 1;

impl Statistics {
    /// Does what [`Statistics::add_slice`] does, for values that are finite.
    #[inline(always)]
    pub(crate) fn add_alike(&mut self, values: &[f64]) {
        for group in values.chunks(GROUP) {
            // Without its sign, a greater pattern is a greater value.
            let top = group.iter().fold(0, |top, value| unsigned(*value).max(top));
            let bin = bin_of(top);
            let (lanes, rest) = group.as_chunks::<LANES>();
            let flat = lanes.as_flattened();
            let strays = flat.iter().filter(|&&value| is_stray(value, bin)).count();
            // The lowest bin has subnormal numbers, which have no hidden bit.
            if bin == 0 || strays > MOST_STRAYS {
                self.add_slice(group);
                continue;
            }
            self.bins[bin as usize].add_lanes(lanes, bin);
            self.count += (flat.len() - strays) as u64;
            if strays > 0 {
                let strays = flat.iter().filter(|&&value| is_stray(value, bin));
                strays.for_each(|&value| self.add(value));
            }
            self.add_slice(rest);
        }
    }
}

impl Bin {
    /// Adds those values that belong to the bin with this number.
    #[inline(always)]
    fn add_lanes(&mut self, values: &[[f64; LANES]], bin: u64) {
        let mut sums = [[0u64; LANES]; 2];
        let mut squares = [[0u64; LANES]; 5];
        for values in values {
            let unsigned = values.map(unsigned);
            let signs = values.map(|value| (value.to_bits().cast_signed() >> 63).cast_unsigned());
            let significands = unsigned.map(|pattern| {
                let inside = if bin_of(pattern) == bin { u64::MAX } else { 0 };
                (pattern >> 1 & ((1 << 52) - 1) | 1 << 52) & inside
            });
            let magnitudes = zip(significands, unsigned, |significand, pattern| {
                significand << (pattern >> 53 & (BIN_WIDTH - 1))
            });
            let biased = zip(magnitudes, signs, |magnitude, sign| {
                (magnitude ^ sign).wrapping_sub(sign).wrapping_add(BIAS)
            });
            sums[0] = zip(sums[0], biased, |sum, biased| sum + (biased & LOW_HALF));
            sums[1] = zip(sums[1], biased, |sum, biased| sum + (biased >> 32));

            let low = magnitudes.map(|magnitude| magnitude & LIMB);
            let middle = magnitudes.map(|magnitude| magnitude >> LIMB_BITS & LIMB);
            let high = magnitudes.map(|magnitude| magnitude >> (2 * LIMB_BITS) & LIMB);
            let add = |sum: u64, term: u64| sum.wrapping_add(term);
            squares[0] = zip(squares[0], product(low, low), add);
            squares[1] = zip(squares[1], product(low, middle), add);
            squares[2] = zip(squares[2], product(low, high), add);
            squares[2] = zip(squares[2], product(low, high), add);
            squares[2] = zip(squares[2], product(middle, middle), add);
            squares[3] = zip(squares[3], product(middle, high), add);
            squares[4] = zip(squares[4], product(high, high), add);
        }
        let total = |lanes: [u64; LANES]| lanes.into_iter().map(u128::from).sum::<u128>();
        let [low, high] = sums.map(total);
        let bias = u128::from(BIAS) * (LANES * values.len()) as u128;
        let sum = (low + (high << 32)).cast_signed() - bias.cast_signed();
        let [a, b, c, d, e] = squares.map(total);
        let limb = LIMB_BITS;
        let squares =
            a + (b << (limb + 1)) + (c << (2 * limb)) + (d << (3 * limb + 1)) + (e << (4 * limb));
        self.add(sum, squares, 0);
    }
}

/// Lane by lane.
#[inline(always)]
fn zip(a: [u64; LANES], b: [u64; LANES], apply: impl Fn(u64, u64) -> u64) -> [u64; LANES] {
    std::array::from_fn(|lane| apply(a[lane], b[lane]))
}

/// The products of limbs: of 32 bits with 32 bits.
#[inline(always)]
fn product(a: [u64; LANES], b: [u64; LANES]) -> [u64; LANES] {
    zip(a, b, |a, b| u64::from(a as u32) * u64::from(b as u32))
}

/// The pattern of a value without its sign, which leaves the lowest bit empty.
#[inline(always)]
pub(crate) fn unsigned(value: f64) -> u64 {
    value.to_bits() << 1
}

/// The bin of such a pattern.
#[inline(always)]
pub(crate) fn bin_of(unsigned: u64) -> u64 {
    unsigned >> 53 >> BIN_WIDTH.trailing_zeros()
}

/// Whether a value belongs to another bin than this one. Zero belongs to any.
#[inline(always)]
fn is_stray(value: f64, bin: u64) -> bool {
    let unsigned = unsigned(value);
    unsigned != 0 && bin_of(unsigned) != bin
}

//! Unsigned integers of a fixed, large width, on the stack.
//!
//! They exist for the few operations that turn an accumulator into an answer. All of them touch
//! only the significant limbs, so that a small number in a wide type stays cheap.

use std::cmp::Ordering;

/// Enough for `n * Q` and `S * S` of [`Statistics`](super::Statistics): fewer than 4,352 bits.
const LIMBS: usize = 68;

/// A natural number of at most `LIMBS` 64-bit limbs, the least significant first.
///
/// `limbs[len..]` is zero and `limbs[len - 1]` is not, so equal numbers have equal fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wide {
    limbs: [u64; LIMBS],
    len: usize,
}

/// The 256 most significant bits of a number that is not zero; the first of them is set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leading {
    pub(super) high: u128,
    pub(super) low: u128,
    /// Whether a bit below these is set.
    pub(super) sticky: bool,
}

impl Wide {
    pub(super) const ZERO: Wide = Wide {
        limbs: [0; LIMBS],
        len: 0,
    };

    /// Adds `value * 2^shift`, where `value` has three limbs.
    pub(super) fn add_shifted(&mut self, value: [u64; 3], shift: usize) {
        let (first, bits) = (shift / 64, shift % 64);
        let [low, middle, high] = value;
        let spread = match bits {
            0 => [low, middle, high, 0],
            _ => [
                low << bits,
                middle << bits | low >> (64 - bits),
                high << bits | middle >> (64 - bits),
                high >> (64 - bits),
            ],
        };
        let mut carry = 0;
        for (limb, part) in self.limbs[first..].iter_mut().zip(spread) {
            (*limb, carry) = split(u128::from(*limb) + u128::from(part) + u128::from(carry));
        }
        let mut end = first + spread.len();
        while carry != 0 {
            (self.limbs[end], carry) = split(u128::from(self.limbs[end]) + u128::from(carry));
            end += 1;
        }
        self.len = self.len.max(end);
        self.trim();
    }

    /// Multiplies by `factor`.
    pub(super) fn scale(&mut self, factor: u64) {
        let mut carry = 0;
        for limb in &mut self.limbs[..self.len] {
            (*limb, carry) = split(u128::from(*limb) * u128::from(factor) + u128::from(carry));
        }
        if carry != 0 {
            self.limbs[self.len] = carry;
            self.len += 1;
        }
        self.trim();
    }

    /// The square of this number, which must have at most half of the limbs.
    pub(super) fn square(&self) -> Wide {
        let mut product = Wide::ZERO;
        let limbs = &self.limbs[..self.len];
        for (row, &factor) in limbs.iter().enumerate() {
            let mut carry = 0;
            for (limb, &other) in product.limbs[row..].iter_mut().zip(limbs) {
                let term = u128::from(factor) * u128::from(other);
                (*limb, carry) = split(term + u128::from(*limb) + u128::from(carry));
            }
            if carry != 0 {
                product.limbs[row + self.len] = carry;
            }
        }
        product.len = 2 * self.len;
        product.trim();
        product
    }

    /// Subtracts `other`, which must not be greater.
    pub(super) fn subtract(&mut self, other: &Wide) {
        debug_assert!(*self >= *other, "a natural number cannot become negative");
        let mut borrow = false;
        for (index, limb) in self.limbs[..self.len].iter_mut().enumerate() {
            let (difference, below) = limb.overflowing_sub(other.limbs[index]);
            let (difference, below_again) = difference.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (difference, below || below_again);
        }
        self.trim();
    }

    /// The number of significant bits; 0 for zero.
    pub(super) fn bits(&self) -> usize {
        match self.len {
            0 => 0,
            len => 64 * len - self.limbs[len - 1].leading_zeros() as usize,
        }
    }

    /// The most significant bits, aligned so that the first one is set. The number must not be zero.
    pub(super) fn leading(&self) -> Leading {
        debug_assert!(self.len > 0, "zero has no leading bit");
        let shift = (64 - self.bits() % 64) % 64;
        let from_top = |index: usize| match self.len.checked_sub(index + 1) {
            Some(position) => self.limbs[position],
            None => 0,
        };
        let aligned = |index| {
            let pair = u128::from(from_top(index)) << 64 | u128::from(from_top(index + 1));
            pair << shift >> 64
        };
        Leading {
            high: aligned(0) << 64 | aligned(1),
            low: aligned(2) << 64 | aligned(3),
            sticky: from_top(4) << shift != 0
                || self.limbs[..self.len.saturating_sub(5)]
                    .iter()
                    .any(|&limb| limb != 0),
        }
    }

    fn trim(&mut self) {
        while self.len > 0 && self.limbs[self.len - 1] == 0 {
            self.len -= 1;
        }
    }
}

impl Ord for Wide {
    fn cmp(&self, other: &Self) -> Ordering {
        let [own, others] = [self, other].map(|number| number.limbs[..number.len].iter().rev());
        self.len.cmp(&other.len).then_with(|| own.cmp(others))
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The low limb of a sum or product, and what carries over into the next one.
fn split(value: u128) -> (u64, u64) {
    (value as u64, (value >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(value: u128, shift: usize) -> Wide {
        let mut number = Wide::ZERO;
        number.add_shifted([value as u64, (value >> 64) as u64, 0], shift);
        number
    }

    #[test]
    fn bits_are_counted_from_the_most_significant_one() {
        assert_eq!(Wide::ZERO.bits(), 0);
        assert_eq!(wide(1, 0).bits(), 1);
        assert_eq!(wide(1, 64).bits(), 65);
        assert_eq!(wide(u128::MAX, 77).bits(), 205);
    }

    #[test]
    fn a_carry_runs_through_full_limbs() {
        let mut number = Wide::ZERO;
        number.add_shifted([u64::MAX, u64::MAX, u64::MAX], 0);
        number.add_shifted([u64::MAX, u64::MAX, u64::MAX], 192);
        number.add_shifted([1, 0, 0], 0);
        assert_eq!(number, wide(1, 384));
    }

    #[test]
    fn the_square_of_a_difference_follows_the_binomial_formula() {
        // (2^200 - 1)^2 = 2^400 - 2^201 + 1
        let mut number = wide(1, 200);
        number.subtract(&wide(1, 0));
        let mut expected = wide(1, 400);
        expected.subtract(&wide(1, 201));
        expected.add_shifted([1, 0, 0], 0);
        assert_eq!(number.square(), expected);
    }

    #[test]
    fn scaling_by_zero_gives_zero() {
        let mut number = wide(u128::MAX, 500);
        number.scale(0);
        assert_eq!(number, Wide::ZERO);
    }

    #[test]
    fn scaling_may_grow_by_a_limb() {
        let mut number = wide(u128::MAX, 0);
        number.scale(u64::MAX);
        assert_eq!(number.bits(), 192);
    }

    #[test]
    fn order_is_decided_by_the_most_significant_difference() {
        let mut number = wide(1, 300);
        assert!(number > wide(u128::MAX, 100));
        number.add_shifted([1, 0, 0], 0);
        assert!(number > wide(1, 300));
        assert!(wide(2, 300) > number);
    }

    #[test]
    fn leading_bits_are_aligned_and_report_what_lies_below() {
        for shift in [0, 1, 63, 64, 65, 127, 128, 1000] {
            let leading = wide(3, shift).leading();
            assert_eq!((leading.high, leading.low), (3 << 126, 0), "3 * 2^{shift}");
            assert!(!leading.sticky, "3 * 2^{shift}");
        }
        for (shift, sticky) in [(255, false), (256, true), (300, true), (1000, true)] {
            let mut number = wide(1, shift);
            number.add_shifted([1, 0, 0], 0);
            assert_eq!(number.leading().sticky, sticky, "2^{shift} + 1");
        }
    }
}

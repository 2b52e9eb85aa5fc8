//! Choosing numbers, kinds and lengths by the bytes of a source: those of a seed, or those that a
//! fuzzer invents.
//!
//! A number takes as many bytes as its range is wide and never more, so that every source has an
//! end for every generator. Behind the last byte all are zero, and zero stands for what is
//! simplest.

use std::ops::RangeInclusive;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// FNV-1a: the same everywhere, for names and seeds.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |digest, &byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Kinds to choose from, each with its weight and its generator.
pub(super) type Kinds<'k, T> = &'k [(u8, fn(&mut Choices<'_>) -> T)];

/// Where the choices of a generator come from.
pub(super) struct Choices<'a>(Source<'a>);

enum Source<'a> {
    Random(Box<ChaCha20Rng>),
    Bytes(&'a [u8]),
}

impl Choices<'static> {
    /// Choices that look random and are the same on every machine.
    pub(super) fn of_seed(seed: [u8; 32]) -> Self {
        Choices(Source::Random(Box::new(ChaCha20Rng::from_seed(seed))))
    }
}

impl<'a> Choices<'a> {
    /// The choices that these bytes stand for.
    pub(super) fn of_bytes(bytes: &'a [u8]) -> Self {
        Choices(Source::Bytes(bytes))
    }

    /// A number below this one. Up to a factor of two, all are as likely.
    fn below(&mut self, limit: u64) -> u64 {
        let length = (u64::BITS - (limit - 1).leading_zeros()).div_ceil(u8::BITS) as usize;
        let mut number = [0; size_of::<u64>()];
        let wanted = &mut number[..length];
        match &mut self.0 {
            Source::Random(random) => random.fill_bytes(wanted),
            Source::Bytes(bytes) => {
                let (taken, rest) = bytes.split_at(length.min(bytes.len()));
                wanted[..taken.len()].copy_from_slice(taken);
                *bytes = rest;
            }
        }
        u64::from_le_bytes(number) % limit
    }

    /// A number of a range. Zero bytes stand for the one that is nearest to zero.
    pub(super) fn within<T>(&mut self, range: RangeInclusive<T>) -> T
    where
        T: Copy + Into<i128> + TryFrom<i128>,
    {
        let (min, max): (i128, i128) = ((*range.start()).into(), (*range.end()).into());
        // The ranges here are far narrower than 64 bits.
        let count = u64::try_from(max - min + 1).unwrap_or(u64::MAX);
        let number = nth(min, max, self.below(count));
        T::try_from(number).unwrap_or(*range.start())
    }

    /// Either.
    pub(super) fn either(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Once in four times.
    pub(super) fn rarely(&mut self) -> bool {
        self.below(4) == 3
    }

    /// One of several kinds, each as likely as its weight says.
    pub(super) fn kind<T>(&mut self, kinds: Kinds<'_, T>) -> T {
        let mut number = self.below(kinds.iter().map(|(weight, _)| u64::from(*weight)).sum());
        let mut kinds = kinds.iter();
        loop {
            let (weight, generate) = kinds.next().expect("the number is below the sum");
            match number.checked_sub((*weight).into()) {
                None => return generate(self),
                Some(rest) => number = rest,
            }
        }
    }

    /// One of these, each as likely as the others.
    pub(super) fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    /// As many elements as a number of the range.
    pub(super) fn sequence<T>(
        &mut self,
        length: RangeInclusive<u32>,
        element: impl Fn(&mut Self) -> T,
    ) -> Vec<T> {
        let length = self.within(length);
        (0..length).map(|_| element(self)).collect()
    }
}

/// The numbers of a range by their distance from zero.
fn nth(min: i128, max: i128, index: u64) -> i128 {
    let index = i128::from(index);
    let middle = 0.clamp(min, max);
    let on_both_sides = (max - middle).min(middle - min);
    if index > 2 * on_both_sides {
        let distance = index - on_both_sides;
        if max - middle > on_both_sides {
            middle + distance
        } else {
            middle - distance
        }
    } else if index % 2 == 1 {
        middle + (index + 1) / 2
    } else {
        middle - index / 2
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_range_is_numbered_from_zero_outwards_and_without_gaps() {
        for (min, max, first) in [
            (0, 4, [0, 1, 2]),
            (3, 9, [3, 4, 5]),
            (-2, 2, [0, 1, -1]),
            (-6, 1, [0, 1, -1]),
        ] {
            let count = u64::try_from(max - min + 1).expect("a count");
            let numbers: Vec<i128> = (0..count).map(|index| nth(min, max, index)).collect();
            assert_eq!(numbers[..3], first);
            assert_eq!(
                numbers.into_iter().collect::<BTreeSet<_>>(),
                (min..=max).collect()
            );
        }
    }

    #[test]
    fn small_ranges_take_one_byte_and_a_choice_takes_none_away_from_others() {
        let mut choices = Choices::of_bytes(&[20, 3, 7, 1, 1]);
        assert_eq!(choices.within(0..=20u32), 20);
        assert!(choices.rarely());
        assert_eq!(choices.within(0..=9u8), 7);
        assert_eq!(choices.within(0..=1000u32), 257);
    }

    #[test]
    fn what_has_one_value_takes_no_byte_and_after_the_last_byte_all_is_zero() {
        let mut choices = Choices::of_bytes(&[9]);
        assert_eq!(choices.within(5..=5u8), 5);
        assert_eq!(choices.within(0..=9u8), 9);
        for _ in 0..1000 {
            assert_eq!(choices.within(2..=21u64), 2);
            assert!(!choices.either());
        }
    }

    #[test]
    fn a_sequence_is_as_long_as_it_should_be() {
        let mut choices = Choices::of_seed([7; 32]);
        for _ in 0..100 {
            let length = choices.sequence(3..=5, |choices| choices.either()).len();
            assert!((3..=5).contains(&length), "{length}");
        }
    }
}

//! Drawing numbers and choosing between kinds, from any source of octets.
//!
//! proptest's own ranges and unions will not do. A range rejects what would favour some of its numbers, so that it
//! draws for ever where the octets of a fuzzer have come to their end and only zeros follow; a union sets half of the
//! octets that are left aside for each option that was not taken. Here a number takes as many octets as its range is
//! wide, and never more.

use std::fmt::Debug;
use std::ops::RangeInclusive;

use proptest::num::u64::BinarySearch;
use proptest::prelude::Rng;
use proptest::strategy::{BoxedStrategy, NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// A number below this one. Up to a factor of two, all are as likely.
#[derive(Clone, Copy, Debug)]
struct Below(u64);

impl Below {
    fn draw(self, runner: &mut TestRunner) -> u64 {
        let octets = (u64::BITS - (self.0 - 1).leading_zeros()).div_ceil(u8::BITS) as usize;
        let mut drawn = [0; size_of::<u64>()];
        runner.rng().fill_bytes(&mut drawn[..octets]);
        u64::from_le_bytes(drawn) % self.0
    }
}

impl Strategy for Below {
    type Tree = BinarySearch;
    type Value = u64;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        Ok(BinarySearch::new(self.draw(runner)))
    }
}

/// A number of a range, which shrinks towards zero, or towards the end of the range that is next to zero.
pub(super) fn within<T>(range: RangeInclusive<T>) -> impl Strategy<Value = T>
where
    T: Copy + Debug + Into<i128> + TryFrom<i128> + 'static,
{
    let (least, most): (i128, i128) = ((*range.start()).into(), (*range.end()).into());
    // The ranges here are far narrower than 64 bits.
    let count = u64::try_from(most - least + 1).unwrap_or(u64::MAX);
    let start = *range.start();
    Below(count).prop_map(move |index| T::try_from(nth(least, most, index)).unwrap_or(start))
}

/// The numbers of a range by their distance from zero.
fn nth(least: i128, most: i128, index: u64) -> i128 {
    let index = i128::from(index);
    let middle = 0.clamp(least, most);
    let on_both_sides = (most - middle).min(middle - least);
    if index > 2 * on_both_sides {
        let distance = index - on_both_sides;
        if most - middle > on_both_sides {
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

/// Either.
pub(super) fn either() -> impl Strategy<Value = bool> {
    within(0..=1u8).prop_map(|drawn| drawn == 1)
}

/// One of several, each as likely as its weight says. It shrinks within its kind; what is simpler in another kind is
/// for `shrink` to know.
#[derive(Debug)]
pub(super) struct OneOf<T: Debug>(pub(super) Vec<(u8, BoxedStrategy<T>)>);

impl<T: Debug> Strategy for OneOf<T> {
    type Tree = Box<dyn ValueTree<Value = T>>;
    type Value = T;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let total = self.0.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut drawn = Below(total).draw(runner);
        for (weight, option) in &self.0 {
            match drawn.checked_sub((*weight).into()) {
                None => return option.new_tree(runner),
                Some(rest) => drawn = rest,
            }
        }
        Err("there is nothing to choose from".into())
    }
}

/// `one_of![3 => this, 1 => that]`: this in three cases of four.
macro_rules! one_of {
    ($($weight:expr => $option:expr),+ $(,)?) => {
        $crate::property::draw::OneOf(vec![$(($weight, proptest::strategy::Strategy::boxed($option))),+])
    };
}
pub(super) use one_of;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::strategy::Just;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng};

    use super::*;

    fn runner(octets: &[u8]) -> TestRunner {
        let random = TestRng::from_seed(RngAlgorithm::PassThrough, octets);
        TestRunner::new_with_rng(Config::default(), random)
    }

    fn drawn<T: Debug>(strategy: &impl Strategy<Value = T>, runner: &mut TestRunner) -> T {
        strategy
            .new_tree(runner)
            .expect("nothing is rejected")
            .current()
    }

    #[test]
    fn a_range_is_drawn_from_zero_outwards_and_without_gaps() {
        for (least, most, first) in [
            (0, 4, [0, 1, 2]),
            (3, 9, [3, 4, 5]),
            (-2, 2, [0, 1, -1]),
            (-6, 1, [0, 1, -1]),
        ] {
            let count = u64::try_from(most - least + 1).expect("a count");
            let numbers: Vec<i128> = (0..count).map(|index| nth(least, most, index)).collect();
            assert_eq!(numbers[..3], first);
            assert_eq!(
                numbers.into_iter().collect::<BTreeSet<_>>(),
                (least..=most).collect()
            );
        }
    }

    #[test]
    fn small_ranges_take_one_octet_and_a_choice_takes_none_away_from_others() {
        let mut runner = runner(&[20, 3, 7, 1, 1]);
        assert_eq!(drawn(&within(0..=20u32), &mut runner), 20);
        let choice = one_of![3 => Just(0u8), 1 => within(0..=9u8)];
        assert_eq!(drawn(&choice, &mut runner), 7);
        assert_eq!(drawn(&within(0..=1000u32), &mut runner), 257);
    }

    #[test]
    fn what_has_one_value_takes_no_octet_and_after_the_last_octet_all_is_zero() {
        let mut runner = runner(&[9]);
        assert_eq!(drawn(&within(5..=5u8), &mut runner), 5);
        assert_eq!(drawn(&within(0..=9u8), &mut runner), 9);
        for _ in 0..1000 {
            assert_eq!(drawn(&within(2..=21u64), &mut runner), 2);
            assert!(!drawn(&either(), &mut runner));
        }
    }
}

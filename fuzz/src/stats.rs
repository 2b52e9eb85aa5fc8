//! Values of any bit pattern, added one by one or many at once, on every path that the processor has, merged in any
//! way: every answer is the correctly rounded exact one.
//!
//! The input is a list of [`Step`]s of nine octets, so that a changed octet changes one step and no other.

use std::mem;

use arbitrary::{Arbitrary, Unstructured};
use meta_stats_server::ingest::Ingest;
use meta_stats_server::stats::Statistics;

use crate::exact::Exact;

/// Enough for a carry out of the low word of a bin's squares, which takes 256 large values.
const MOST_VALUES: usize = 2048;

/// What to do next: most steps make a value out of the last one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// The value with this bit pattern, made finite.
    Pattern(u64),
    /// So many patterns away from the last value.
    Near(i16),
    /// The last value times a power of two, or thereabouts.
    Scaled(i16),
    /// Minus the last value.
    Negated,
    /// The last value so many times more.
    Again(u8),
    /// A whole number.
    Integer(i16),
    /// The following values go to the other half of the merge.
    Other,
    /// What was added so far is merged into the whole.
    Merge,
}

impl Step {
    /// The input that stands for this step.
    pub fn encode(self) -> [u8; 9] {
        let (kind, operand) = match self {
            Step::Pattern(bits) => (0, bits),
            Step::Near(distance) => (1, distance as u64),
            Step::Scaled(exponents) => (2, exponents as u64),
            Step::Negated => (3, 0),
            Step::Again(times) => (4, times.into()),
            Step::Integer(value) => (5, value as u64),
            Step::Other => (6, 0),
            Step::Merge => (7, 0),
        };
        let mut octets = [kind; 9];
        octets[1..].copy_from_slice(&operand.to_le_bytes());
        octets
    }
}

impl Arbitrary<'_> for Step {
    fn arbitrary(input: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        let (kind, operand) = <(u8, u64)>::arbitrary(input)?;
        Ok(match kind % 8 {
            0 => Step::Pattern(operand),
            1 => Step::Near(operand as i16),
            2 => Step::Scaled(operand as i16),
            3 => Step::Negated,
            4 => Step::Again(operand as u8),
            5 => Step::Integer(operand as i16),
            6 => Step::Other,
            _ => Step::Merge,
        })
    }
}

/// Runs the target.
///
/// # Panics
/// If an answer is not the correctly rounded one, or depends on how the values were added.
pub fn run(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let mut whole = Statistics::new();
    let mut one_by_one = Statistics::new();
    let mut halves = [Statistics::new(), Statistics::new()];
    let mut runs = Vec::new();
    let mut values_left = MOST_VALUES;
    let mut other = false;
    let mut last = 1.0;
    while !input.is_empty() {
        let Ok(step) = Step::arbitrary(&mut input) else {
            break;
        };
        let mut times = 1;
        match step {
            Step::Pattern(bits) => last = finite(bits),
            Step::Near(distance) => {
                last = finite(f64::to_bits(last).wrapping_add_signed(distance.into()))
            }
            Step::Scaled(exponents) => {
                last = finite(f64::to_bits(last).wrapping_add_signed(i64::from(exponents) << 52));
            }
            Step::Negated => last = -last,
            Step::Again(more) => times = usize::from(more),
            Step::Integer(value) => last = value.into(),
            Step::Other => other = !other,
            Step::Merge => halves
                .iter_mut()
                .for_each(|half| whole.merge(&mem::take(half))),
        }
        if matches!(step, Step::Other | Step::Merge) {
            continue;
        }
        let times = times.min(values_left);
        values_left -= times;
        let run = vec![last; times];
        halves[usize::from(other)].add_slice(&run);
        run.iter().for_each(|&value| one_by_one.add(value));
        runs.push((last, times));
    }
    halves.iter().for_each(|half| whole.merge(half));
    assert_eq!(whole, one_by_one, "the way of adding shows: {runs:?}");
    check_paths(&one_by_one, &runs);
    check(&whole, &runs);
}

/// What a session reads goes the way of many values at once.
fn check_paths(one_by_one: &Statistics, runs: &[(f64, usize)]) {
    let lines = runs
        .iter()
        .map(|(value, times)| format!("{value:e}\n").repeat(*times));
    let text = lines.collect::<String>();
    for mut ingest in Ingest::all() {
        let mut statistics = Statistics::new();
        let mut input = text.as_bytes();
        ingest.add_to(&mut statistics, &mut input, 80);
        assert_eq!(input, b"", "a value was not read");
        assert_eq!(&statistics, one_by_one, "the path shows: {runs:?}");
    }
}

/// The value with this pattern; of an infinity or NaN, a finite one with the same sign and fraction.
fn finite(bits: u64) -> f64 {
    const TOP_OF_EXPONENT: u64 = 1 << 62;
    let value = f64::from_bits(bits);
    if value.is_finite() {
        value
    } else {
        f64::from_bits(bits & !TOP_OF_EXPONENT)
    }
}

/// Checks every answer.
fn check(statistics: &Statistics, runs: &[(f64, usize)]) {
    let mut exact = Exact::default();
    runs.iter()
        .for_each(|&(value, times)| exact.add(value, times));
    assert_eq!(statistics.count(), exact.count());
    let (sum, mean, stddev) = (statistics.sum(), statistics.mean(), statistics.stddev());
    assert!(exact.is_sum(sum), "{sum:e} is not the sum of {runs:?}");
    assert!(exact.is_mean(mean), "{mean:e} is not the mean of {runs:?}");
    assert!(
        exact.is_stddev(stddev),
        "{stddev:e} is not the deviation of {runs:?}"
    );
}

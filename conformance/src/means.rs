//! The line of the secondary port, and what it must become when a case adds its means to what was there.

use dashu_ratio::RBig;

use crate::decimal::Printed;
use crate::exact::{Real, Sample, rational};
use crate::judge::{self, Mismatch, Part, WrongNumber, half_unit};
use crate::model::Quantity;

/// What the secondary port said before a case.
#[derive(Clone, Debug, Default)]
pub struct Base {
    count: u64,
    mean: Measured,
    stddev: Measured,
    /// Whether mean and deviation are there and finite, so that later ones can be computed.
    unknown: bool,
}

/// A number that is known as well as it was printed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Measured {
    value: f64,
    /// Half the width of what may have been rounded to it.
    uncertainty: f64,
}

impl Measured {
    /// None of a number that is not finite.
    fn read(printed: &Printed) -> Option<Measured> {
        let Printed::Finite(decimal) = printed else {
            return None;
        };
        let value = decimal.value.to_f64_fast();
        let uncertainty = match decimal.decimals {
            Some(decimals @ 1..) => half_unit(decimals).to_f64_fast(),
            // `%g` prints an integer where more than six digits would follow.
            Some(0) if decimal.significant >= 6 => 0.5,
            Some(0) => 0.0,
            None => 5.0 * value.abs() * 10f64.powi(-(decimal.significant as i32)),
        };
        Some(Measured { value, uncertainty })
    }

    /// The number itself and the two ends of what it may have been.
    fn candidates(self) -> [f64; 3] {
        [
            self.value,
            self.value - self.uncertainty,
            (self.value + self.uncertainty),
        ]
    }
}

/// The relative error of a square, and of adding one, in double precision.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

impl Base {
    /// Reads the line; `None` if it does not begin with a count. What is undefined may be left out.
    pub fn read(line: &[u8]) -> Option<Base> {
        let numbers = judge::numbers(line);
        let (Printed::Finite(count), rest) = numbers.split_first()? else {
            return None;
        };
        let count = u64::try_from(count.value.to_int().value()).ok()?;
        // Of nothing there is no mean, of fewer than two no deviation.
        let defined = count.min(2) as usize;
        if rest.len() > 2 || rest.len() < defined {
            return None;
        }
        let measured: Vec<_> = rest.iter().take(defined).map(Measured::read).collect();
        let known = |index: usize| measured.get(index).copied().flatten().unwrap_or_default();
        Some(Base {
            count,
            mean: known(0),
            stddev: known(1),
            unknown: measured.contains(&None),
        })
    }

    /// Whether the server holds a mean or a deviation that is not finite, from which nothing can be
    /// computed.
    pub fn is_unknown(&self) -> bool {
        self.unknown
    }

    /// Whether there was no mean.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Judges a later line, after these means were added.
    ///
    /// # Errors
    /// Why it cannot be right.
    pub fn judge(&self, line: &[u8], added: &Sample, ignored: [bool; 3]) -> Result<(), Mismatch> {
        // The old count is the server's word, so the sum may be beyond a u64.
        let expected = u128::from(self.count) + u128::from(added.count());
        let (mean, stddev) = self.after(added);
        let numbers = judge::align(line, &quantities(expected, mean, stddev))?;
        for (index, part) in Part::OF_SUMMARY.into_iter().enumerate() {
            let Some(printed) = &numbers[index] else {
                continue;
            };
            let judgement = match part {
                _ if ignored[index] => Ok(()),
                Part::Mean => judge_near(printed, mean, expected >= 1),
                Part::Stddev => judge_near(printed, stddev, expected >= 2),
                Part::Count | Part::Only => match printed {
                    Printed::Finite(decimal) if decimal.value == RBig::from(expected) => Ok(()),
                    _ => Err(WrongNumber::Count {
                        expected,
                        added: added.count(),
                    }),
                },
            };
            judgement.map_err(|wrong| wrong.at(part))?;
        }
        Ok(())
    }

    /// Mean and deviation of the old means and the added ones, as well as the old line tells.
    fn after(&self, added: &Sample) -> (Measured, Measured) {
        let (n, k) = (self.count as f64, added.count() as f64);
        let added_mean = added.mean().map_or(0.0, |mean| mean.to_f64_fast());
        let added_squares = added
            .variance()
            .map_or(0.0, |variance| variance.to_f64_fast())
            * (k - 1.0).max(0.0);
        let mut means = Vec::new();
        let mut stddevs = Vec::new();
        for mean in self.mean.candidates() {
            means.push((n * mean + k * added_mean) / (n + k));
            for stddev in self.stddev.candidates() {
                let squares = stddev * stddev * (n - 1.0).max(0.0);
                let between = (mean - added_mean).powi(2) * n * k / (n + k);
                let variance = (squares + added_squares + between) / (n + k - 1.0);
                // A sum of squares in double precision loses what is small against the mean.
                let lost = ROUNDING * (mean * mean + variance) * (n + k);
                stddevs.extend([variance.sqrt(), (variance + lost).sqrt()]);
                stddevs.push((variance - lost).max(0.0).sqrt());
            }
        }
        (spread(&means), spread(&stddevs))
    }
}

/// The three numbers of the line, as far as they are defined.
fn quantities(count: u128, mean: Measured, stddev: Measured) -> [Quantity; 3] {
    let defined = |measured: Measured, at_least: u128| {
        let value = if measured.value.is_finite() {
            measured.value
        } else {
            0.0
        };
        match count >= at_least {
            true => Quantity::Defined(Real::Rational(rational(value))),
            false => Quantity::Undefined,
        }
    };
    let count = Quantity::Defined(Real::Rational(RBig::from(count)));
    [count, defined(mean, 1), defined(stddev, 2)]
}

/// The first candidate, and how far the others lie from it.
fn spread(candidates: &[f64]) -> Measured {
    let value = candidates[0];
    let distance = candidates.iter().map(|other| (other - value).abs());
    Measured {
        value,
        uncertainty: distance.fold(0.0, f64::max),
    }
}

fn judge_near(printed: &Printed, due: Measured, defined: bool) -> Result<(), WrongNumber> {
    if !defined {
        return judge::judge_quantity(printed, &Quantity::Undefined, false);
    }
    if !due.value.is_finite() || !due.uncertainty.is_finite() {
        return Ok(());
    }
    let real = Real::Rational(rational(due.value));
    if let Printed::Finite(decimal) = printed
        && let decimals = decimal.decimals.filter(|&shown| shown >= 2)
        && real.is_within(
            &(rational(due.uncertainty) + half_unit(decimals.unwrap_or(12))),
            &decimal.value,
        )
    {
        return Ok(());
    }
    judge::judge_quantity(printed, &Quantity::Defined(real), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(line: &str) -> Base {
        Base::read(line.as_bytes()).expect("a line of the secondary port")
    }

    #[test]
    fn what_was_there_is_taken_into_account() {
        // 1 and 3 were there (mean 2, deviation 1.41); 5 is added: mean 3, deviation 2.
        let before = base("means_count 2 mean_of_means 2.00 stddev_of_means 1.41");
        let judge = |line: &str, ignored| {
            before.judge(line.as_bytes(), &[5.0].into_iter().collect(), ignored)
        };
        assert_eq!(
            judge(
                "means_count 3 mean_of_means 3.00 stddev_of_means 2.00",
                [false; 3]
            ),
            Ok(())
        );
        for wrong in [
            "2 3.00 2.00",
            "3 2.00 2.00",
            "3 3 1.63",
            "3 3.00",
            "3 nan 2.00",
            "3 3 2.2",
        ] {
            assert!(judge(wrong, [false; 3]).is_err(), "{wrong}");
        }
        assert_eq!(judge("3 3.00 1.63", [false, false, true]), Ok(()));
    }

    #[test]
    fn nothing_and_nothing_is_undefined() {
        let judge = |line: &str, added: &[f64]| {
            let added = added.iter().copied().collect();
            base("0 nan nan").judge(line.as_bytes(), &added, [false; 3])
        };
        assert_eq!(judge("0 nan nan", &[]), Ok(()));
        assert_eq!(judge("1 2 nan", &[2.0]), Ok(()));
        assert!(judge("1 2 1", &[2.0]).is_err());
    }

    #[test]
    fn a_count_beyond_a_machine_word_is_judged_too() {
        let before = base("18446744073709551615 1.00 0.00");
        let judge =
            |line: &str| before.judge(line.as_bytes(), &[1.0].into_iter().collect(), [false; 3]);
        assert_eq!(judge("18446744073709551616 1.00 0.00"), Ok(()));
        assert!(judge("0 1.00 0.00").is_err());
    }
}

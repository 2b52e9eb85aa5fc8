//! Wrong numbers: which known wrong formula gives exactly the numbers that were seen?
//!
//! A hypothesis is a whole wrong server as far as numbers go. It is held against every reply of the run, right ones included.

use super::{Certainty, Diagnosis};
use crate::decimal::Printed;
use crate::judge;
use crate::model::{Asked, Input, Request};
use crate::runner::{CaseResult, Observation};
use crate::spec::Level;

/// A way to compute the replies that is known to be wrong.
struct Hypothesis {
    sentence: &'static str,
    /// What a session keeps of what it took in.
    kept: fn(&[Input]) -> Vec<f64>,
    /// The reply to `count`.
    count: fn(&[f64]) -> f64,
    /// The standard deviation of what was kept.
    stddev: fn(&[f64]) -> f64,
    /// The means that sessions leave behind.
    means: fn(&[Vec<f64>]) -> Vec<f64>,
    /// The mean of means.
    mean_of_means: fn(&[Vec<f64>], &[f64]) -> f64,
}

/// The right server; hypotheses differ from it in one respect.
const RIGHT: Hypothesis = Hypothesis {
    sentence: "",
    kept: values,
    count: |kept| kept.len() as f64,
    stddev: |kept| variance(kept).sqrt(),
    means: |sessions| recorded(sessions).map(|kept| mean(kept)).collect(),
    mean_of_means: |_, means| mean(means),
};

const HYPOTHESES: &[Hypothesis] = &[
    Hypothesis {
        sentence: "the standard deviation is divided by n; it is that of a sample, so divide by n - 1",
        stddev: |kept| population(kept).sqrt(),
        ..RIGHT
    },
    Hypothesis {
        sentence: "`stddev` replies the variance; take its square root",
        stddev: variance,
        ..RIGHT
    },
    Hypothesis {
        sentence: "the variance comes from the sum of squares minus the squared sum, which loses all digits where the mean is large against the \
                   spread; use Welford's algorithm or exact sums",
        stddev: |kept| naive_variance(kept).sqrt(),
        ..RIGHT
    },
    Hypothesis {
        sentence: "values are kept as 32-bit floats; use 64 bits",
        kept: |inputs| {
            values(inputs)
                .iter()
                .map(|value| f64::from(*value as f32))
                .collect()
        },
        ..RIGHT
    },
    Hypothesis {
        sentence: "the first value of a session is lost",
        kept: |inputs| values(inputs).split_off(1.min(values(inputs).len())),
        ..RIGHT
    },
    Hypothesis {
        sentence: "the last value of a session is lost",
        kept: |inputs| {
            let mut kept = values(inputs);
            kept.pop();
            kept
        },
        ..RIGHT
    },
    Hypothesis {
        sentence: "a bad line is counted as a value of zero; it must change nothing",
        kept: |inputs| {
            inputs
                .iter()
                .map(|input| value(input).unwrap_or(0.0))
                .collect()
        },
        ..RIGHT
    },
    Hypothesis {
        sentence: "a bad line clears the statistics; it must change nothing",
        kept: |inputs| {
            let behind = inputs.iter().rposition(|input| *input == Input::Bad);
            values(&inputs[behind.map_or(0, |bad| bad + 1)..])
        },
        ..RIGHT
    },
    Hypothesis {
        sentence: "zero is not taken as a value; `atof` and its like cannot tell it from an error, `strtod` can",
        kept: |inputs| {
            values(inputs)
                .into_iter()
                .filter(|value| *value != 0.0)
                .collect()
        },
        ..RIGHT
    },
    Hypothesis {
        sentence: "negative numbers are not taken as values",
        kept: |inputs| {
            values(inputs)
                .into_iter()
                .filter(|value| *value >= 0.0)
                .collect()
        },
        ..RIGHT
    },
    Hypothesis {
        sentence: "only the last 1,000 values of a session are kept",
        kept: |inputs| values(inputs).split_off(values(inputs).len().saturating_sub(1000)),
        ..RIGHT
    },
    Hypothesis {
        sentence: "only the first 1,000 values of a session are kept",
        kept: |inputs| values(inputs).into_iter().take(1000).collect(),
        ..RIGHT
    },
    Hypothesis {
        sentence: "the count has 8 bits and starts again after 255",
        count: |kept| (kept.len() % 256) as f64,
        ..RIGHT
    },
    Hypothesis {
        sentence: "the mean of means is the mean of all values; every session weighs the same",
        mean_of_means: |sessions, _| mean(&sessions.concat()),
        ..RIGHT
    },
    Hypothesis {
        sentence: "means are rounded to two decimals on their way to the parent; send the number, not its text",
        means: |sessions| {
            let rounded = |kept: &Vec<f64>| (mean(kept) * 100.0).round_ties_even() / 100.0;
            recorded(sessions).map(rounded).collect()
        },
        ..RIGHT
    },
    Hypothesis {
        sentence: "a session without values leaves a mean of zero behind; it has no mean",
        means: |sessions| {
            let all = sessions.iter();
            all.map(|kept| if kept.is_empty() { 0.0 } else { mean(kept) })
                .collect()
        },
        ..RIGHT
    },
    Hypothesis {
        sentence: "a session whose mean is zero leaves none behind",
        means: |sessions| {
            recorded(sessions)
                .map(|kept| mean(kept))
                .filter(|mean| *mean != 0.0)
                .collect()
        },
        ..RIGHT
    },
    Hypothesis {
        sentence: "a session whose mean is negative leaves none behind",
        means: |sessions| {
            recorded(sessions)
                .map(|kept| mean(kept))
                .filter(|mean| *mean >= 0.0)
                .collect()
        },
        ..RIGHT
    },
];

fn value(input: &Input) -> Option<f64> {
    match input {
        Input::Value(value) => Some(*value),
        Input::Bad => None,
    }
}

fn values(inputs: &[Input]) -> Vec<f64> {
    inputs.iter().filter_map(value).collect()
}

/// The sessions that have a mean.
fn recorded(sessions: &[Vec<f64>]) -> impl Iterator<Item = &Vec<f64>> {
    sessions.iter().filter(|kept| !kept.is_empty())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn squared_distances(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

fn variance(values: &[f64]) -> f64 {
    squared_distances(values) / (values.len() as f64 - 1.0)
}

fn population(values: &[f64]) -> f64 {
    squared_distances(values) / values.len() as f64
}

fn naive_variance(values: &[f64]) -> f64 {
    let (sum, squares) = values.iter().fold((0.0, 0.0), |(sum, squares), value| {
        (sum + value, squares + value * value)
    });
    let n = values.len() as f64;
    (squares - sum * sum / n) / (n - 1.0)
}

impl Hypothesis {
    /// The numbers that this server would reply.
    fn predict(&self, asked: &Asked) -> Vec<f64> {
        match asked {
            Asked::Session { request, inputs } => {
                let kept = (self.kept)(&inputs.to_vec());
                match request {
                    Request::Count => vec![(self.count)(&kept)],
                    Request::Sum => vec![kept.iter().sum()],
                    Request::Mean => vec![mean(&kept)],
                    Request::Stddev => vec![self.deviation(&kept)],
                    Request::Exit => vec![(self.count)(&kept), mean(&kept), self.deviation(&kept)],
                    Request::Value(_) | Request::Bad => Vec::new(),
                }
            }
            Asked::Means { sessions } => {
                let sessions: Vec<Vec<f64>> = sessions
                    .iter()
                    .map(|inputs| (self.kept)(&inputs.to_vec()))
                    .collect();
                let means = (self.means)(&sessions);
                let mean = (self.mean_of_means)(&sessions, &means);
                let stddev = if means.len() < 2 {
                    f64::NAN
                } else {
                    variance(&means).sqrt()
                };
                vec![means.len() as f64, mean, stddev]
            }
        }
    }

    /// The deviation of fewer than two values is undefined whatever the formula.
    fn deviation(&self, kept: &[f64]) -> f64 {
        if kept.len() < 2 {
            f64::NAN
        } else {
            (self.stddev)(kept)
        }
    }

    fn explains(&self, observation: &Observation) -> bool {
        let printed = judge::numbers(&observation.line);
        let predicted = self.predict(&observation.asked);
        let shown = printed
            .iter()
            .zip(&predicted)
            .map(|(printed, value)| shows(printed, *value));
        printed.len() == predicted.len()
            && shown.enumerate().all(|(index, shown)| {
                shown
                    || index == 0
                        && printed
                            .first()
                            .is_some_and(|printed| self.counts_all(printed, &observation.asked))
            })
    }

    /// Whether a count is that of all values, although not all are kept: the two are often different variables.
    fn counts_all(&self, printed: &Printed, asked: &Asked) -> bool {
        match asked {
            Asked::Session {
                request: Request::Count | Request::Exit,
                inputs,
            } => shows(printed, (self.count)(&values(&inputs.to_vec()))),
            _ => false,
        }
    }
}

/// Whether a printed number may be what a program in double precision prints of this value.
fn shows(printed: &Printed, value: f64) -> bool {
    /// Programs add in another order than we do.
    const ROUNDING: f64 = 1e-9;
    match printed {
        Printed::Nan { .. } => value.is_nan(),
        Printed::Infinite { negative } => {
            value.is_infinite() && value.is_sign_negative() == *negative
        }
        Printed::Finite(decimal) => {
            let shown = decimal.value.to_f64_fast();
            let half_unit = match decimal.decimals {
                Some(decimals @ 1..=12) => 0.51 * 10f64.powi(-(decimals as i32)),
                _ => 0.0,
            };
            value.is_nan() && shown == 0.0
                || (shown - value).abs() <= half_unit.max(ROUNDING * value.abs())
        }
    }
}

/// Replies that a reading can be held against: to be sure, more than this must be explained.
const ENOUGH: usize = 2;

/// One that explains less than one in so many wrong replies is not worth saying.
const WORTH_SAYING: usize = 4;

pub(super) fn diagnose(results: &[CaseResult<'_>]) -> Vec<Diagnosis> {
    let mut wrong = Vec::new();
    let mut right = Vec::new();
    for result in results {
        for observation in &result.observations {
            if judge::numbers(&observation.line).is_empty() {
                continue;
            }
            if observation.accepted || RIGHT.explains(observation) {
                right.push(observation);
            } else {
                wrong.push((result.case.clause.level, observation));
            }
        }
    }
    // Where a MUST is broken, what only a careful server does would confuse.
    if wrong.iter().any(|(level, _)| *level == Level::Must) {
        wrong.retain(|(level, _)| *level == Level::Must);
    }
    let mut wrong: Vec<&Observation> = wrong
        .into_iter()
        .map(|(_, observation)| observation)
        .collect();
    // Where more is wrong than the last digits, the last digits would only confuse.
    if wrong.iter().any(|wrong| !wrong.precisely) {
        wrong.retain(|wrong| !wrong.precisely);
    }
    if wrong.is_empty() {
        return Vec::new();
    }
    let explained = |hypothesis: &Hypothesis| {
        wrong
            .iter()
            .filter(|wrong| hypothesis.explains(wrong))
            .count()
    };
    let contradicted = |hypothesis: &Hypothesis| {
        // A right reply that this server would have given differently, in digits that were shown.
        right
            .iter()
            .filter(|right| RIGHT.explains(right) && !hypothesis.explains(right))
            .count()
    };
    let mut candidates: Vec<(&Hypothesis, usize)> = HYPOTHESES
        .iter()
        .map(|hypothesis| (hypothesis, explained(hypothesis)))
        .filter(|(hypothesis, explained)| *explained > 0 && contradicted(hypothesis) == 0)
        .collect();
    candidates.sort_by_key(|(_, explained)| std::cmp::Reverse(*explained));
    let best = candidates.first().map_or(0, |(_, explained)| *explained);
    candidates
        .into_iter()
        // One that explains everything leaves nothing for the others; otherwise there may be several faults.
        .filter(|(_, explained)| {
            if best == wrong.len() {
                *explained == best
            } else {
                *explained * WORTH_SAYING >= wrong.len()
            }
        })
        .map(|(hypothesis, explained)| {
            let certain = explained == wrong.len() && explained >= ENOUGH;
            let evidence = format!(
                "it explains {explained} of {} wrong replies and contradicts none of {} right ones",
                wrong.len(),
                right.len()
            );
            Diagnosis {
                certainty: if certain {
                    Certainty::Certain
                } else {
                    Certainty::Likely
                },
                sentence: format!("{} ({evidence})", hypothesis.sentence),
            }
        })
        .collect()
}

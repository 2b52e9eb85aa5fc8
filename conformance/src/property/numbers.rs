//! The numbers of a transcript, written out: a reader should not have to ask the model.

use std::collections::BTreeMap;

use crate::exact::Sample;
use crate::judge::{Demand, Demanded};
use crate::plan::{Operation, PlannedStep, plan};
use crate::transcript::{Action, Expected, Literal, Step, StepKind, Transcript};

/// Writes out the numbers that the model computes, and leaves out those that plain double precision cannot be expected
/// to give.
pub fn write_out(transcript: &mut Transcript) {
    // No line is both right and long, so the dialect does not matter.
    let Ok(plan) = plan(transcript, None, &BTreeMap::new()) else {
        return;
    };
    let mut demands = BTreeMap::new();
    gather(&plan.steps, &mut demands);
    fill(&mut transcript.steps, &demands);
}

fn gather<'a>(steps: &'a [PlannedStep], demands: &mut BTreeMap<usize, &'a Demand>) {
    for step in steps {
        match &step.operation {
            Operation::Expect(demand) => {
                demands.insert(step.span.start, demand);
            }
            Operation::Together(lanes) => lanes.iter().for_each(|lane| gather(lane, demands)),
            _ => {}
        }
    }
}

fn fill(steps: &mut [Step], demands: &BTreeMap<usize, &Demand>) {
    for step in steps {
        match &mut step.kind {
            StepKind::Together { steps } => fill(steps, demands),
            StepKind::Act {
                action: Action::Expect(expectation),
                ..
            } => {
                if let Some(demand) = demands.get(&step.span.start) {
                    write_number(&mut expectation.what, &demand.what);
                }
            }
            _ => {}
        }
    }
}

fn write_number(expected: &mut Expected, demanded: &Demanded) {
    let text = demanded.to_string();
    let words: Vec<Literal> = text
        .split(' ')
        .map(|word| Literal(word.to_owned()))
        .collect();
    match (demanded, words.as_slice()) {
        (Demanded::Count(_) | Demanded::Quantity(_), [number]) => {
            *expected = Expected::Number(number.clone());
        }
        (Demanded::Exit { .. }, [_, count, mean, stddev]) => {
            *expected = Expected::Exit(Some([count.clone(), mean.clone(), stddev.clone()]));
        }
        (Demanded::Means(means), [_, _, mean, stddev]) => {
            let stddev = if is_well_conditioned(means) {
                stddev.clone()
            } else {
                Literal("any".to_owned())
            };
            *expected = Expected::Means {
                more: Some(means.count()),
                numbers: Some([mean.clone(), stddev]),
            };
        }
        _ => {}
    }
}

/// Whether a naive sum of squares in double precision gives the deviation of these numbers to one part in a million.
fn is_well_conditioned(means: &Sample) -> bool {
    let (Some(mean), Some(variance)) = (means.mean(), means.variance()) else {
        return true;
    };
    let (mean, variance) = (mean.to_f64_fast(), variance.to_f64_fast());
    let is_short = (mean * 4.0).fract() == 0.0;
    if variance == 0.0 {
        is_short
    } else {
        mean * mean <= 1e6 * variance
    }
}

//! The numbers of a transcript, written out: a reader should not have to ask the model.

use std::collections::BTreeMap;

use crate::exact::Sample;
use crate::judge::{Demand, Demanded};
use crate::plan::{Operation, PlannedStep, plan};
use crate::transcript::{Action, Expected, Literal, Step, StepKind, Transcript};

/// Writes out the numbers that the model computes, and leaves out those that plain double precision
/// cannot be expected to give.
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
                if let Some(demand) = demands.get(&step.span.start)
                    && let Some(written) = written(&demand.what)
                {
                    expectation.what = written;
                }
            }
            _ => {}
        }
    }
}

/// A demand with its numbers.
fn written(demanded: &Demanded) -> Option<Expected> {
    let quantities = demanded.quantities();
    let mut literals = quantities
        .iter()
        .map(|quantity| Literal(quantity.to_string()));
    Some(match demanded {
        Demanded::Count(_) | Demanded::Quantity(_) => Expected::Number(literals.next()?),
        Demanded::Exit { .. } => {
            Expected::Exit(Some([literals.next()?, literals.next()?, literals.next()?]))
        }
        Demanded::Means(means) => {
            let mut numbers = [literals.nth(1)?, literals.next()?];
            if !is_well_conditioned(means) {
                numbers[1] = Literal("any".to_owned());
            }
            Expected::Means {
                more: Some(means.count()),
                numbers: Some(numbers),
            }
        }
        _ => return None,
    })
}

/// Whether a naive sum of squares in double precision gives the deviation of these numbers to one
/// part in a million.
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

//! Planning blocks: lanes that run together, and branches of which one is followed.

use std::collections::BTreeMap;
use std::ops::Range;

use super::planner::Planner;
use super::{Operation, PlannedStep};
use crate::exact::{Real, rational};
use crate::judge::{Demand, Demanded};
use crate::model::Quantity;
use crate::transcript::{Action, Expectation, Expected, Literal, Step, StepKind};

impl Planner<'_> {
    pub(super) fn together(&mut self, span: &Range<usize>, steps: &[Step]) -> Operation {
        let mut unrolled = Vec::new();
        self.unroll(steps, &mut unrolled);
        let mut lanes: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
        let mut asks_for_means = None;
        for step in unrolled {
            if is_means(step) {
                asks_for_means.get_or_insert(step.span.clone());
            }
            let connection = match &step.kind {
                StepKind::Act { connection, .. } => connection.as_str(),
                StepKind::Either { branches } => first_connection(branches).unwrap_or_default(),
                _ => {
                    self.error(
                        &step.span,
                        "a block that cannot stand in `together`",
                        "steps, `repeat` and `either`",
                    );
                    continue;
                }
            };
            lanes.entry(connection).or_default().push(step);
        }
        if lanes.len() < 2 {
            self.error(
                span,
                "nothing runs together here",
                "steps of two or more connections",
            );
        }
        let means_before = self.means.count();
        let lanes = lanes.values().map(|lane| self.sequence(lane)).collect();
        if let Some(span) = asks_for_means
            && self.means.count() > means_before
        {
            self.error(
                &span,
                "how many means there are is not determined while other sessions exit",
                "`means` after the block",
            );
        }
        Operation::Together(lanes)
    }

    pub(super) fn either(
        &mut self,
        span: &Range<usize>,
        branches: &[Vec<Step>],
        out: &mut Vec<PlannedStep>,
    ) {
        let Some(name) = first_connection(branches).map(str::to_owned) else {
            return self.error(
                span,
                "a branch does not begin with an expectation, or not on the connection of the first branch",
                "`either {`, `< EXPECTATION`, ..., `} or {`, `< EXPECTATION` on the same connection",
            );
        };
        if branches.len() < 2 {
            return self.error(
                span,
                "there is only one branch",
                "`} or {` and a second branch",
            );
        }
        let connection = self.connection(&name, span, out);
        connection.unsettled = None;
        let id = connection.id;
        let mut planned = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            let mut unrolled = Vec::new();
            self.unroll(branch, &mut unrolled);
            planned.push(if index == 0 {
                self.sequence(&unrolled)
            } else {
                self.unmodelled(&unrolled, id)
            });
        }
        if let Some(connection) = self.open.get_mut(&name) {
            connection.branched = true;
            connection.owed.clear();
        }
        out.push(PlannedStep {
            span: span.clone(),
            connection: id,
            operation: Operation::Either(planned),
        });
    }

    /// A branch that the model does not follow: its numbers stand for themselves.
    fn unmodelled(&mut self, steps: &[&Step], id: usize) -> Vec<PlannedStep> {
        let mut planned = Vec::new();
        for step in steps {
            let operation = match &step.kind {
                StepKind::Act {
                    action: Action::Expect(expectation),
                    ..
                } => match literal_demand(expectation) {
                    Some(demand) => Operation::Expect(demand),
                    None => {
                        self.error(
                            &step.span,
                            "the model does not follow this branch",
                            "numbers written out, `error`, `any`, `rest` or `eof`",
                        );
                        continue;
                    }
                },
                StepKind::Act {
                    action: action @ (Action::SendLine(_) | Action::SendPieces(_)),
                    ..
                } => match self.octets(&step.span, action) {
                    Some(octets) => Operation::Send(octets),
                    None => continue,
                },
                _ => {
                    self.error(
                        &step.span,
                        "this cannot stand in a second branch",
                        "expectations and sending",
                    );
                    continue;
                }
            };
            planned.push(PlannedStep {
                span: step.span.clone(),
                connection: id,
                operation,
            });
        }
        planned
    }
}

fn is_means(step: &Step) -> bool {
    matches!(
        &step.kind,
        StepKind::Act {
            action: Action::Expect(Expectation {
                what: Expected::Means { .. },
                ..
            }),
            ..
        }
    )
}
/// The connection on which all branches begin with an expectation.
fn first_connection(branches: &[Vec<Step>]) -> Option<&str> {
    let first = |branch: &'_ Vec<Step>| match branch.first().map(|step| &step.kind) {
        Some(StepKind::Act {
            connection,
            action: Action::Expect(_),
        }) => Some(connection.clone()),
        _ => None,
    };
    let name = first(branches.first()?)?;
    let same = branches
        .iter()
        .all(|branch| first(branch).as_ref() == Some(&name));
    match branches.first()?.first().map(|step| &step.kind) {
        Some(StepKind::Act { connection, .. }) if same => Some(connection),
        _ => None,
    }
}

/// The demand of an expectation whose numbers stand for themselves.
fn literal_demand(expectation: &Expectation) -> Option<Demand> {
    let quantity = |literal: &Literal| {
        if literal.is_undefined() {
            Quantity::Undefined
        } else {
            Quantity::Defined(Real::Rational(rational(literal.to_f64())))
        }
    };
    let what = match &expectation.what {
        Expected::Number(literal) => Demanded::Quantity(quantity(literal)),
        Expected::Exit(Some([count, mean, stddev])) => Demanded::Exit {
            count: count.0.parse().ok()?,
            mean: quantity(mean),
            stddev: quantity(stddev),
        },
        Expected::Error => Demanded::Error,
        Expected::Exactly(line) => Demanded::Exactly(line.clone()),
        Expected::Any(1) => Demanded::Any,
        Expected::Rest => Demanded::Rest,
        Expected::Eof => Demanded::Eof,
        Expected::Nothing(duration) => Demanded::Nothing(*duration),
        _ => return None,
    };
    Some(Demand {
        precisely: expectation.precisely,
        in_shape: expectation.in_shape,
        ..what.into()
    })
}

//! Which clause about TCP a case depends on, whatever it is about.

use std::collections::BTreeMap;

use crate::plan::{Operation, Plan, PlannedStep};

/// More lines than this are not sent one by one.
const MAX_LINES: usize = 2_000;

/// What a plan does to the lines that it sends.
#[derive(Default)]
struct Segments {
    lines: usize,
    cut: bool,
    several: bool,
    /// Lines on each connection since something was expected there.
    ahead: BTreeMap<usize, usize>,
}

/// The clause that a plan depends on because it cuts lines, or sends one before the one before it is
/// answered. None if it does neither, or sends too many lines to do otherwise.
pub(super) fn clause(plan: &Plan) -> Option<&'static str> {
    let mut segments = Segments::default();
    segments.look_at(&plan.steps);
    match segments {
        Segments { lines, .. } if lines > MAX_LINES => None,
        Segments { cut: true, .. } => Some("line.segments"),
        Segments { several: true, .. } => Some("line.pipelining"),
        _ => None,
    }
}

impl Segments {
    fn look_at(&mut self, steps: &[PlannedStep]) {
        for step in steps {
            let ahead = self.ahead.entry(step.connection).or_default();
            match &step.operation {
                Operation::Send(bytes) => {
                    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
                    *ahead += lines;
                    self.lines += lines;
                    self.several |= *ahead > 1;
                    self.cut |= bytes.last().is_some_and(|&byte| byte != b'\n');
                }
                Operation::Expect(_) => *ahead = 0,
                Operation::Together(lanes) | Operation::Either(lanes) => {
                    for lane in lanes {
                        self.look_at(lane);
                    }
                }
                _ => {}
            }
        }
    }
}

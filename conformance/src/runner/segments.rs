//! Which clause about TCP a case depends on, whatever it is about.

use std::collections::BTreeMap;

use crate::plan::{Operation, Plan, PlannedStep};

/// More lines than this are not sent one by one.
const MAX_LINES: usize = 2_000;

/// A longer line arrives in several segments whatever the client does.
const MAX_LINE: usize = 1_024;

/// What a plan does to the lines that it sends.
#[derive(Default)]
struct Segments {
    lines: usize,
    cut: bool,
    several: bool,
    /// Whether a line is cut by a step that waits, or by its length.
    always_cut: bool,
    /// On each connection, lines since something was expected there, and bytes since a line ended.
    ahead: BTreeMap<usize, (usize, usize)>,
}

/// The clause that a plan depends on because it cuts lines, or sends one before the one before it is
/// answered.
pub(super) struct Dependence {
    pub(super) clause: &'static str,
    /// Whether the case can be run without it, each line sent by itself.
    pub(super) avoidable: bool,
}

/// What a plan depends on, if it does.
pub(super) fn dependence(plan: &Plan) -> Option<Dependence> {
    let mut segments = Segments::default();
    segments.look_at(&plan.steps);
    let clause = match segments {
        Segments { cut: true, .. }
        | Segments {
            always_cut: true, ..
        } => "line.segments",
        Segments { several: true, .. } => "line.pipelining",
        _ => return None,
    };
    Some(Dependence {
        clause,
        avoidable: !segments.always_cut && segments.lines <= MAX_LINES,
    })
}

impl Segments {
    fn look_at(&mut self, steps: &[PlannedStep]) {
        for step in steps {
            let (lines, partial) = self.ahead.entry(step.connection).or_default();
            match &step.operation {
                Operation::Send(bytes) => {
                    for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
                        *partial += piece.len();
                        self.always_cut |= *partial > MAX_LINE;
                        if piece.ends_with(b"\n") {
                            *lines += 1;
                            self.lines += 1;
                            *partial = 0;
                        }
                    }
                    self.several |= *lines > 1;
                    self.cut |= *partial > 0;
                }
                Operation::Expect(_) => {
                    *lines = 0;
                    self.always_cut |= *partial > 0;
                }
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

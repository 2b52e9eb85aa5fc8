//! One attempt: a script against the server, as the chapter that would be saved of it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::catalogue::Property;
use super::memory;
use super::script::Script;
use super::write::{self, Due, Written};
use crate::report::human;
use crate::runner::{Failure, Outcome, Runner, Settings};
use crate::spec::Spec;
use crate::target::Target;
use crate::trace::Event;
use crate::transcript::{Action, Step, StepKind};

/// A runner with a server.
#[derive(Debug)]
pub struct Lab {
    target: Target,
    settings: Settings,
    /// Whether each attempt gets a server that has done nothing before, where we can start one.
    fresh: bool,
    /// The arguments that reach the server again, for reports.
    reach: String,
    runner: Runner,
}

/// What an attempt came to.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The kind of result.
    pub outcome: Outcome,
    /// Where and how it failed.
    pub failure: Option<Failure>,
    /// What the failing step waited for.
    pub due: Option<Due>,
    /// What went over the wire, if it failed.
    pub trace: Vec<Event>,
    /// All about the failure, for people; styled.
    pub told: String,
}

/// In which way something failed. Shrinking keeps to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    outcome: Outcome,
    due: Option<Due>,
    /// Which number of a line with several is wrong.
    number: Option<String>,
}

impl Way {
    /// What the failing step waited for.
    pub fn due(&self) -> Option<Due> {
        self.due
    }

    /// The same, or what asks for the one number of it that is wrong.
    pub fn wrong(&self) -> Option<Due> {
        match (self.due, self.number.as_deref()) {
            (Some(Due::Exit), Some("the count")) => Some(Due::Count),
            (Some(Due::Exit), Some("the mean")) => Some(Due::Mean),
            (Some(Due::Exit), Some("the standard deviation")) => Some(Due::Stddev),
            (Some(Due::Means), Some("the standard deviation")) => Some(Due::MeansStddev),
            (due, _) => due,
        }
    }
}

impl Attempt {
    /// In which way it failed, if it did.
    pub fn way(&self) -> Option<Way> {
        let failure = self.failure.as_ref()?;
        let which = failure.why.split_once(" is wrong");
        Some(Way {
            outcome: self.outcome,
            // A server that has ended fails wherever the client happens to be.
            due: self.due.filter(|_| self.outcome != Outcome::Crash),
            number: which.map(|(which, _)| which.to_owned()),
        })
    }
}

impl Lab {
    /// A lab whose attempts share a server.
    pub fn new(target: &Target, settings: &Settings, reach: &str) -> Lab {
        Lab {
            target: target.clone(),
            settings: settings.clone(),
            fresh: false,
            reach: reach.to_owned(),
            runner: Runner::new(target.clone(), settings.clone()),
        }
    }

    /// A lab whose attempts do not depend on each other, where we can start servers.
    pub fn fresh(target: &Target, settings: &Settings, reach: &str) -> Lab {
        Lab {
            fresh: matches!(target, Target::Launched(_)),
            ..Lab::new(target, settings, reach)
        }
    }

    /// Runs a script.
    pub fn attempt(&mut self, property: &Property, script: &Script) -> Attempt {
        let written = write::write(property.title, script);
        self.attempt_written(property, &written)
    }

    /// How the control of a script fails, if there is one and it does.
    pub fn control(&mut self, property: &Property, script: &Script) -> Option<Outcome> {
        let control = property.control?(script);
        let failure = self.attempt(property, &control).failure?;
        Some(failure.outcome)
    }

    /// Runs a transcript; without steps it passes.
    pub fn attempt_written(&mut self, property: &Property, written: &Written) -> Attempt {
        if written.transcript.steps.is_empty() {
            return Attempt {
                outcome: Outcome::Pass,
                failure: None,
                due: None,
                trace: Vec::new(),
                told: String::new(),
            };
        }
        if self.fresh {
            self.runner = Runner::new(self.target.clone(), self.settings.clone());
        }
        let text = memory::chapter(property, &[written.transcript.to_string()]);
        let name = memory::file_name(property);
        self.attempt_chapter(&name, &Spec::from_text(&name, &text), &written.dues)
    }

    /// Runs the first case of a chapter.
    fn attempt_chapter(&mut self, name: &str, spec: &Spec, dues: &[Due]) -> Attempt {
        let Some(case) = spec.cases().next() else {
            let why = spec.findings.first().map_or_else(
                || format!("{name} has no case"),
                |finding| format!("{name}: {}", finding.message),
            );
            return Attempt {
                outcome: Outcome::Error,
                failure: Some(Failure {
                    outcome: Outcome::Error,
                    step: 0..0,
                    expected: "a transcript that can be read".to_owned(),
                    received: why,
                    why: String::new(),
                    slow: false,
                }),
                due: None,
                trace: Vec::new(),
                told: String::new(),
            };
        };
        let result = self.runner.run(case, &BTreeMap::new());
        let mut told = Vec::new();
        let mut due = None;
        if let Some(failure) = &result.failure {
            // Writing to a Vec cannot fail.
            let _ = human::write_failure(&result, &self.reach, &mut told);
            let expectations = expectations(&case.case.transcript.steps);
            let index = expectations.iter().position(|span| *span == failure.step);
            due = index.and_then(|index| dues.get(index).copied());
        }
        Attempt {
            outcome: result.outcome,
            failure: result.failure,
            due,
            trace: result.trace,
            told: String::from_utf8_lossy(&told).into_owned(),
        }
    }
}

/// Where the expectations stand, in order.
fn expectations(steps: &[Step]) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    for step in steps {
        match &step.kind {
            StepKind::Act {
                action: Action::Expect(_),
                ..
            } => spans.push(step.span.clone()),
            StepKind::Together { steps } | StepKind::Repeat { steps, .. } => {
                spans.extend(expectations(steps));
            }
            _ => {}
        }
    }
    spans
}

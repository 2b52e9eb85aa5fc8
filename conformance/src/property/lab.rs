//! One attempt: a script against one server or two, as the chapter that would be saved of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::catalogue::Property;
use super::memory;
use super::script::Script;
use super::write::{self, Due, Written};
use crate::compare::{self, Agreement, Difference, Ignored};
use crate::judge::{Mismatch, Part};
use crate::report::human;
use crate::runner::{Failure, Outcome, Runner, Settings};
use crate::spec::{Level, Spec};
use crate::target::Target;
use crate::trace::Event;
use crate::transcript::{Action, Step, StepKind};

/// A server to try.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Where it is, or how it is started.
    pub target: Target,
    /// How it is spoken to.
    pub settings: Settings,
    /// The arguments that reach it again, for reports.
    pub reach: String,
}

/// Servers, and what it takes to run a script on each of them.
#[derive(Debug)]
pub struct Lab {
    benches: Vec<Bench>,
    /// Whether each attempt gets servers that have done nothing before, where we can start them.
    fresh: bool,
    /// What says nothing about a difference between two servers.
    ignored: Ignored,
    /// When nothing is worth waiting for any more.
    deadline: Option<Instant>,
}

#[derive(Debug)]
struct Bench {
    subject: Subject,
    runner: Runner,
}

/// What an attempt came to on each server.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// One for each server.
    pub trials: Vec<Trial>,
    /// How binding what was tried is.
    level: Level,
    /// Where two servers said different things.
    pub difference: Option<Difference>,
}

/// What an attempt came to on one server.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The kind of result.
    pub outcome: Outcome,
    /// Where and how it failed.
    pub failure: Option<Failure>,
    /// What the failing step waited for.
    pub due: Option<Due>,
    /// What went over the wire. Not kept of what one of many attempts on one server came to, if it passed.
    pub trace: Vec<Event>,
    /// All about the failure, for people; styled.
    pub told: String,
}

/// In which way something failed, or two servers differ. Shrinking keeps to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    trials: Vec<Option<Fault>>,
    /// Whether two servers differ, although both are right.
    differ: bool,
}

/// In which way a trial failed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    outcome: Outcome,
    due: Option<Due>,
    /// Which number of a line with several is wrong.
    number: Option<Part>,
}

impl Way {
    /// What the failing step waited for, on the first server that failed.
    pub fn due(&self) -> Option<Due> {
        self.fault()?.due
    }

    /// The same, or what asks for the one number of it that is wrong.
    pub fn wrong(&self) -> Option<Due> {
        let fault = self.fault()?;
        match (fault.due, fault.number) {
            (Some(Due::Exit), Some(Part::Count)) => Some(Due::Count),
            (Some(Due::Exit), Some(Part::Mean)) => Some(Due::Mean),
            (Some(Due::Exit), Some(Part::Stddev)) => Some(Due::Stddev),
            (Some(Due::Means), Some(Part::Stddev)) => Some(Due::MeansStddev),
            (due, _) => due,
        }
    }

    /// Whether a server is wrong; if not, there are two and they differ.
    pub fn fails(&self) -> bool {
        !self.differ
    }

    fn fault(&self) -> Option<&Fault> {
        self.trials.iter().flatten().next()
    }
}

impl Trial {
    fn fault(&self) -> Option<Fault> {
        let failure = self.failure.as_ref()?;
        let number = match failure.mismatch {
            Some(Mismatch::Number(part, _)) => Some(part),
            _ => None,
        };
        Some(Fault {
            outcome: self.outcome,
            // A server that has ended fails wherever the client happens to be.
            due: self.due.filter(|_| self.outcome != Outcome::Crash),
            number,
        })
    }
}

impl Attempt {
    /// In which way it failed, if it did.
    pub fn way(&self) -> Option<Way> {
        let trials: Vec<_> = self.trials.iter().map(Trial::fault).collect();
        let fails = trials.iter().any(Option::is_some);
        let differ = !fails && self.difference.is_some();
        (fails || differ).then_some(Way { trials, differ })
    }

    /// The first trial that failed.
    pub fn failed(&self) -> Option<&Trial> {
        self.trials.iter().find(|trial| trial.failure.is_some())
    }

    /// What two servers make of it together.
    pub fn agreement(&self) -> Option<Agreement> {
        match self.trials.as_slice() {
            [a, b] => {
                let outcomes = [a.outcome, b.outcome];
                Some(Agreement::new(
                    outcomes,
                    self.level,
                    self.difference.is_some(),
                ))
            }
            _ => None,
        }
    }
}

impl Lab {
    /// A lab whose attempts share servers.
    pub fn new(subjects: &[Subject], deadline: Option<Instant>) -> Lab {
        let mut ignored = Ignored::default();
        for subject in subjects {
            if let Target::Running(addresses) = &subject.target {
                ignored.ports.extend(addresses.secondary);
            }
            let greeting = &subject.settings.profile.greeting;
            ignored.greetings.push(greeting.clone());
        }
        let mut lab = Lab {
            benches: Vec::new(),
            fresh: false,
            ignored,
            deadline,
        };
        lab.benches = subjects.iter().map(|subject| lab.bench(subject)).collect();
        lab
    }

    /// A lab whose attempts do not depend on each other, as far as we can start servers.
    pub fn fresh(subjects: &[Subject], deadline: Option<Instant>) -> Lab {
        Lab {
            fresh: true,
            ..Lab::new(subjects, deadline)
        }
    }

    /// With time-outs that are changed like this.
    pub fn with_timeouts(mut self, change: impl Fn(Duration) -> Duration) -> Lab {
        let mut benches = std::mem::take(&mut self.benches);
        for bench in &mut benches {
            let settings = &mut bench.subject.settings;
            settings.timeout = change(settings.timeout);
            bench.runner = self.runner(&bench.subject);
        }
        self.benches = benches;
        self
    }

    fn bench(&self, subject: &Subject) -> Bench {
        Bench {
            subject: subject.clone(),
            runner: self.runner(subject),
        }
    }

    fn runner(&self, subject: &Subject) -> Runner {
        let mut runner = Runner::new(subject.target.clone(), subject.settings.clone());
        runner.set_deadline(self.deadline);
        runner
    }

    /// Runs a script.
    pub fn attempt(&mut self, property: &Property, script: &Script) -> Attempt {
        let written = write::write(property.title, script);
        self.attempt_written(property, &written)
    }

    /// How the control of a script fails, if there is one and it does.
    pub fn control(&mut self, property: &Property, script: &Script) -> Option<Outcome> {
        let control = property.control?(script);
        let attempt = self.attempt(property, &control);
        let outcome = attempt
            .failed()
            .map_or(Outcome::Fail, |trial| trial.outcome);
        attempt.way().map(|_| outcome)
    }

    /// Runs a transcript; without steps it passes.
    pub fn attempt_written(&mut self, property: &Property, written: &Written) -> Attempt {
        let text = memory::chapter(property, &[written.transcript.to_string()]);
        let name = memory::file_name(property);
        let spec = Spec::from_text(&name, &text);
        let two = self.benches.len() > 1;
        let mut trials = Vec::new();
        let mut benches = std::mem::take(&mut self.benches);
        for bench in &mut benches {
            if written.transcript.steps.is_empty() {
                trials.push(Trial::passed());
                continue;
            }
            if self.fresh && matches!(bench.subject.target, Target::Launched(_)) {
                bench.runner = self.runner(&bench.subject);
            }
            if self.fresh || two {
                bench.runner.trace_everything();
            }
            trials.push(bench.try_chapter(&name, &spec, &written.dues));
        }
        self.benches = benches;
        let difference = match trials.as_slice() {
            [a, b] => compare::difference_of([&a.trace, &b.trace], &self.ignored),
            _ => None,
        };
        Attempt {
            trials,
            level: property.level,
            difference,
        }
    }
}

impl Trial {
    fn passed() -> Trial {
        Trial {
            outcome: Outcome::Pass,
            failure: None,
            due: None,
            trace: Vec::new(),
            told: String::new(),
        }
    }
}

impl Bench {
    /// Runs the first case of a chapter.
    fn try_chapter(&mut self, name: &str, spec: &Spec, dues: &[Due]) -> Trial {
        let Some(case) = spec.cases().next() else {
            let why = spec.findings.first().map_or_else(
                || format!("{name} has no case"),
                |finding| format!("{name}: {}", finding.message),
            );
            return Trial {
                outcome: Outcome::Error,
                failure: Some(*Failure::not_run(why)),
                ..Trial::passed()
            };
        };
        let result = self.runner.run_as_written(case, &BTreeMap::new());
        let mut told = Vec::new();
        let mut due = None;
        if let Some(failure) = &result.failure {
            // Writing to a Vec cannot fail.
            let _ = human::write_failure(&result, &self.subject.reach, &mut told);
            let expectations = expectations(&case.case.transcript.steps);
            let index = expectations.iter().position(|span| *span == failure.step);
            due = index.and_then(|index| dues.get(index).copied());
        }
        Trial {
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

//! One attempt: the steps of a generated case against one server or two.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::catalogue::Property;
use super::regressions;
use super::script::Script;
use super::signature::{FailureSignature, ReplyKind, TrialSignature, reply};
use super::write::write;
use crate::compare::{self, Agreement, Difference, Ignored};
use crate::runner::{CaseResult, Failure, Outcome, Runner, Settings};
use crate::spec::{Case, CaseRef, Level};
use crate::target::Target;
use crate::trace::Event;
use crate::transcript::Transcript;

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

impl Subject {
    /// Whether the server is started by us, so that nobody else uses it.
    pub fn is_launched(&self) -> bool {
        matches!(self.target, Target::Launched(_))
    }
}

/// Servers, and what it takes to run a script on each of them.
#[derive(Debug)]
pub struct Executor {
    servers: Vec<Server>,
    /// Whether each attempt gets servers that have done nothing before, where we can start them.
    fresh: bool,
    /// What says nothing about a difference between two servers.
    ignored: Ignored,
    /// When nothing is worth waiting for any more.
    deadline: Option<Instant>,
}

#[derive(Debug)]
struct Server {
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
    /// Where and how it failed; the step is one of the transcript that was run.
    pub failure: Option<Failure>,
    /// What the failing step waited for.
    pub reply: Option<ReplyKind>,
    /// What went over the wire. Not kept of what one of many attempts on one server came to, if it
    /// passed.
    pub trace: Vec<Event>,
    /// What a server that we started has written, if it failed.
    pub output: String,
}

impl Trial {
    /// As the result of a case whose steps are those of the transcript that was run.
    pub(super) fn result<'a>(&self, case: CaseRef<'a>) -> CaseResult<'a> {
        CaseResult {
            failure: self.failure.clone(),
            trace: self.trace.clone(),
            output: self.output.clone(),
            ..CaseResult::new(case, self.outcome, None)
        }
    }
}

impl Attempt {
    /// In which way it failed, if it did.
    pub fn signature(&self) -> Option<FailureSignature> {
        let of = |trial: &Trial| Some(TrialSignature::new(trial.failure.as_ref()?, trial.reply));
        let trials: Vec<_> = self.trials.iter().map(of).collect();
        let fails = trials.iter().any(Option::is_some);
        (fails || self.difference.is_some()).then_some(FailureSignature(trials))
    }

    /// The first trial that failed.
    pub fn failed(&self) -> Option<&Trial> {
        self.trials.iter().find(|trial| trial.failure.is_some())
    }

    /// What two servers make of it together.
    pub fn agreement(&self) -> Option<Agreement> {
        let [a, b] = self.trials.as_slice() else {
            return None;
        };
        let outcomes = [a.outcome, b.outcome];
        let differ = self.difference.is_some();
        Some(Agreement::new(outcomes, self.level, differ))
    }
}

impl Executor {
    /// An executor whose attempts share servers, with time-outs that are changed like this.
    pub fn new(
        subjects: &[Subject],
        deadline: Option<Instant>,
        change: impl Fn(Duration) -> Duration,
    ) -> Executor {
        let mut ignored = Ignored::default();
        let mut servers = Vec::new();
        for subject in subjects {
            let mut subject = subject.clone();
            subject.settings.timeout = change(subject.settings.timeout);
            if let Target::Running(addresses) = &subject.target {
                ignored.ports.extend(addresses.secondary);
            }
            let greeting = &subject.settings.profile.greeting;
            ignored.greetings.push(greeting.clone());
            let runner = runner(&subject, deadline);
            servers.push(Server { subject, runner });
        }
        Executor {
            servers,
            fresh: false,
            ignored,
            deadline,
        }
    }

    /// Attempts do not depend on each other, as far as we can start servers.
    #[must_use]
    pub fn fresh(mut self) -> Executor {
        self.fresh = true;
        self
    }

    /// Runs a script.
    pub fn attempt(&mut self, property: &Property, script: &Script) -> Attempt {
        self.run(property, write(property.title, script))
    }

    /// How the control of a script fails, if there is one and it does.
    pub fn control(&mut self, property: &Property, script: &Script) -> Option<Outcome> {
        let control = property.control?(script);
        if control.steps.is_empty() {
            return None;
        }
        let attempt = self.attempt(property, &control);
        let outcome = attempt
            .failed()
            .map_or(Outcome::Fail, |trial| trial.outcome);
        attempt.signature().map(|_| outcome)
    }

    /// Runs a transcript.
    pub fn run(&mut self, property: &Property, transcript: Transcript) -> Attempt {
        let (chapter, clause) = regressions::chapter_and_clause(property);
        let case = &Case {
            id: clause.slug.clone(),
            dialect: None,
            transcript,
            text: String::new(),
            span: 0..0,
            id_span: 0..0,
        };
        let case = CaseRef {
            chapter,
            clause,
            case,
        };
        let traces_all = self.fresh || self.servers.len() > 1;
        let mut trials = Vec::new();
        for server in &mut self.servers {
            if self.fresh && server.subject.is_launched() {
                server.runner = runner(&server.subject, self.deadline);
            }
            if traces_all {
                server.runner.trace_everything();
            }
            trials.push(server.run(case));
        }
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

fn runner(subject: &Subject, deadline: Option<Instant>) -> Runner {
    let mut runner = Runner::new(subject.target.clone(), subject.settings.clone());
    runner.set_deadline(deadline);
    runner
}

impl Server {
    fn run(&mut self, case: CaseRef<'_>) -> Trial {
        let result = self.runner.run_as_written(case, &BTreeMap::new());
        let step = result.failure.as_ref().map(|failure| &failure.step);
        Trial {
            outcome: result.outcome,
            reply: step.and_then(|step| reply(&case.case.transcript, step)),
            failure: result.failure,
            trace: result.trace,
            output: result.output,
        }
    }
}

//! Running cases against a server.
//!
//! Invariants: every step ends within the time-out; a case never waits for another; cases that use the secondary port have a server of their own, or the
//! server for themselves.

mod case;
mod probe;

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::dialect::Dialect;
use crate::means::Base;
use crate::plan::plan;
use crate::spec::CaseRef;
use crate::target::{Addresses, Server, Target, Unreachable};
use crate::trace::{Event, Trace};

pub use probe::{Manners, detect};

/// What a case came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every expectation was met.
    Pass,
    /// A reply was wrong.
    Fail,
    /// A reply did not come in time.
    Timeout,
    /// The server aborted the connection.
    Reset,
    /// The server process ended.
    Crash,
    /// The case could not be carried out.
    Error,
    /// The case is not for this server.
    Skip,
    /// The case failed as the baseline said it would.
    Xfail,
    /// The case passed although the baseline said that it would fail.
    Xpass,
}

impl Outcome {
    /// Every outcome, in the order of a summary.
    pub const ALL: [Outcome; 9] = [
        Outcome::Pass,
        Outcome::Fail,
        Outcome::Timeout,
        Outcome::Reset,
        Outcome::Crash,
        Outcome::Error,
        Outcome::Skip,
        Outcome::Xfail,
        Outcome::Xpass,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Timeout => "timeout",
            Outcome::Reset => "reset",
            Outcome::Crash => "crash",
            Outcome::Error => "error",
            Outcome::Skip => "skip",
            Outcome::Xfail => "xfail",
            Outcome::Xpass => "xpass",
        }
    }

    /// Whether the server did not do what the case demands, and nobody expected that.
    pub fn is_failure(self) -> bool {
        !matches!(
            self,
            Outcome::Pass | Outcome::Skip | Outcome::Xfail | Outcome::Xpass
        )
    }
}

/// Where and how a case failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind of failure; never a pass.
    pub outcome: Outcome,
    /// The step that failed, as a range of the transcript's text.
    pub step: Range<usize>,
    /// What was due.
    pub expected: String,
    /// What came instead.
    pub received: String,
    /// Why that is not good enough; may be empty.
    pub why: String,
}

/// The result of a case.
#[derive(Clone, Debug)]
pub struct CaseResult<'a> {
    /// The case.
    pub case: CaseRef<'a>,
    /// What it came to.
    pub outcome: Outcome,
    /// Where and how it failed, if it did.
    pub failure: Option<Failure>,
    /// Why it was skipped, if it was.
    pub reason: Option<String>,
    /// What went over the wire.
    pub trace: Vec<Event>,
    /// What a server that we started has written, if the case failed.
    pub output: String,
    /// How long it took.
    pub duration: Duration,
}

/// What a case is run with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a step may take.
    pub timeout: Duration,
    /// How the server greets, and which dialect it speaks.
    pub manners: Manners,
}

/// Runs cases, one after the other, against one target.
#[derive(Debug)]
pub struct Runner {
    target: Target,
    settings: Settings,
    /// The server that cases share which do not need their own.
    shared: Option<Server>,
}

impl Runner {
    /// A runner for a server with these manners. Nothing is started or connected yet.
    pub fn new(target: Target, settings: Settings) -> Runner {
        Runner {
            target,
            settings,
            shared: None,
        }
    }

    /// Reaches the server, starting it if it is ours to start, and finds out its manners unless its dialect is given.
    ///
    /// # Errors
    /// If the server cannot be reached or started.
    pub fn reach(
        target: Target,
        dialect: Option<Dialect>,
        timeout: Duration,
    ) -> Result<Runner, Unreachable> {
        let settings = Settings {
            timeout,
            manners: Manners::of(dialect.unwrap_or(Dialect::Plain)),
        };
        let mut runner = Runner::new(target, settings);
        let addresses = runner.shared_addresses()?;
        let detected = detect(addresses, timeout)?;
        if dialect.is_none() {
            runner.settings.manners = detected;
        }
        Ok(runner)
    }

    /// The dialect that the server is taken to speak.
    pub fn dialect(&self) -> Dialect {
        self.settings.manners.dialect
    }

    /// The target as it was given.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The server for cases that need none of their own; a new one where the last one has ended.
    fn shared_addresses(&mut self) -> Result<Addresses, Unreachable> {
        let launcher = match &self.target {
            Target::Running(addresses) => return Ok(*addresses),
            Target::Launched(launcher) => launcher,
        };
        if self
            .shared
            .as_mut()
            .is_none_or(|server| server.exit_status().is_some())
        {
            self.shared = Some(launcher.launch()?);
        }
        self.shared
            .as_ref()
            .map(|server| server.addresses)
            .ok_or_else(|| Unreachable("the server was not started".to_owned()))
    }

    /// Runs one case.
    pub fn run<'a>(
        &mut self,
        case: CaseRef<'a>,
        data: &std::collections::BTreeMap<String, Vec<u8>>,
    ) -> CaseResult<'a> {
        let start = Instant::now();
        let mut result = CaseResult {
            case,
            outcome: Outcome::Skip,
            failure: None,
            reason: None,
            trace: Vec::new(),
            output: String::new(),
            duration: Duration::ZERO,
        };
        if let Some(dialect) = case
            .case
            .dialect
            .filter(|dialect| *dialect != self.dialect())
        {
            result.reason = Some(format!("only for the {dialect} dialect"));
            return result;
        }
        let trace = Trace::default();
        let attempt = match plan(&case.case.transcript, case.case.dialect, data) {
            Err(errors) => Err(internal(format!(
                "the transcript has no plan: {}",
                errors[0].message
            ))),
            Ok(plan) if case.uses_secondary() => self.run_alone(&plan, &trace, &mut result.output),
            Ok(plan) => self.run_shared(&plan, &trace, &mut result.output),
        };
        result.outcome = attempt
            .as_ref()
            .map_or_else(|failure| failure.outcome, |()| Outcome::Pass);
        result.failure = attempt.err();
        if result.outcome.is_failure() {
            result.trace = trace.events();
        }
        result.duration = start.elapsed();
        result
    }

    fn run_shared(
        &mut self,
        plan: &crate::plan::Plan,
        trace: &Trace,
        output: &mut String,
    ) -> Result<(), Failure> {
        let addresses = self
            .shared_addresses()
            .map_err(|error| internal(error.to_string()))?;
        let attempt = case::execute(plan, addresses, &self.settings, Base::default(), trace);
        match &mut self.shared {
            Some(server) => blame_crash(attempt, server, output),
            None => attempt,
        }
    }

    /// A case whose means matter: on a server of its own, or on differences.
    fn run_alone(
        &mut self,
        plan: &crate::plan::Plan,
        trace: &Trace,
        output: &mut String,
    ) -> Result<(), Failure> {
        let (addresses, base, mut server) = match &self.target {
            Target::Running(addresses) => {
                let base = probe::means(*addresses, self.settings.timeout).map_err(|why| {
                    internal(format!(
                        "the secondary port could not be asked before the case: {why}"
                    ))
                })?;
                (*addresses, base, None)
            }
            Target::Launched(launcher) => {
                let server = launcher
                    .launch()
                    .map_err(|error| internal(error.to_string()))?;
                (server.addresses, Base::default(), Some(server))
            }
        };
        let attempt = case::execute(plan, addresses, &self.settings, base, trace);
        match &mut server {
            Some(server) => blame_crash(attempt, server, output),
            None => attempt,
        }
    }

    /// The address to point at for running a case again by hand.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.target {
            Target::Running(addresses) => Some(addresses.primary),
            Target::Launched(_) => None,
        }
    }
}

/// The case did not fail on the server's account.
fn internal(why: String) -> Failure {
    Failure {
        outcome: Outcome::Error,
        step: 0..0,
        expected: "the case to run".to_owned(),
        received: why,
        why: String::new(),
    }
}

/// A server that has ended is what matters, whatever the case saw of it.
fn blame_crash(
    attempt: Result<(), Failure>,
    server: &mut Server,
    output: &mut String,
) -> Result<(), Failure> {
    let status = server.exit_status();
    if attempt.is_err() || status.is_some() {
        *output = server.output();
    }
    let Some(status) = status else {
        return attempt;
    };
    let step = attempt.err().map_or(0..0, |failure| failure.step);
    Err(Failure {
        outcome: Outcome::Crash,
        step,
        expected: "a server that keeps running".to_owned(),
        received: format!("the server process ended ({status})"),
        why: String::new(),
    })
}

//! Running cases against a server.
//!
//! Invariants: every step ends within the time-out; a case never waits for another; cases that use the secondary port have a server of their own, or the
//! server for themselves.

mod case;
mod checks;
mod failure;
mod own;
mod pool;
mod probe;
mod segments;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::dialect::Dialect;
use crate::judge::Demanded;
use crate::means::Base;
use crate::model::Asked;
use crate::plan::{Operation, Plan, PlannedStep, plan};
use crate::process;
use crate::profile::Profile;
use crate::spec::CaseRef;
use crate::target::{Addresses, Server, Target, Unreachable};
use crate::trace::{Event, Trace};

use own::OwnServer;

pub(crate) use failure::StepResult;
pub use failure::{Expected, Failure, Late, Observed, ProcessState};
pub use pool::{Order, run_all};
pub use probe::{Probed, probe};

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
    /// The replies that held numbers, right or wrong, for [`crate::diagnose`].
    pub observations: Vec<Observation>,
    /// The clause about TCP on which a failure may depend: the case passes where each line is sent by
    /// itself, or that cannot be tried.
    pub depends_on: Option<&'static str>,
    /// Whether the server was found to burn processor time after the case.
    pub spun: bool,
    /// How long it took.
    pub duration: Duration,
}

impl<'a> CaseResult<'a> {
    pub(crate) fn new(
        case: CaseRef<'a>,
        outcome: Outcome,
        reason: Option<String>,
    ) -> CaseResult<'a> {
        CaseResult {
            case,
            outcome,
            failure: None,
            reason,
            trace: Vec::new(),
            output: String::new(),
            observations: Vec::new(),
            depends_on: None,
            spun: false,
            duration: Duration::ZERO,
        }
    }
}

/// A reply that was judged.
#[derive(Clone, Debug)]
pub struct Observation {
    /// What it is about.
    pub asked: Asked,
    /// The line.
    pub line: Vec<u8>,
    /// Whether only the best possible reply was acceptable.
    pub precisely: bool,
    /// Whether it was accepted.
    pub accepted: bool,
}

/// What a case is run with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long the server may take over one step.
    pub timeout: Duration,
    /// How long a request and its reply take; pauses and silences are never shorter than a few of these.
    pub round_trip: Duration,
    /// How the server talks.
    pub profile: Profile,
    /// Whether sessions may leave means in a running server beside which others cannot be judged.
    pub allow_extremes: bool,
    /// Whether each line is sent by itself, when the one before it has been read.
    pub line_by_line: bool,
    /// How many steps have been found silent, not slow, in the whole run.
    pub silent: Arc<AtomicUsize>,
}

impl Settings {
    /// Settings for a server nearby.
    pub fn new(timeout: Duration, profile: Profile) -> Settings {
        Settings {
            timeout,
            round_trip: Duration::ZERO,
            allow_extremes: false,
            line_by_line: false,
            profile,
            silent: Arc::default(),
        }
    }

    /// A time that a transcript names, stretched for a server that is far away.
    fn stretched(&self, duration: Duration) -> Duration {
        duration.max(self.round_trip * 4)
    }
}

/// How many times the time-out a case gets whose reply came, but late.
const MORE_TIME: u32 = 10;

/// What keeps a server busy for longer than this after a case is not the case.
const SPIN_TIME: Duration = Duration::from_secs(3);

/// The shortest time-out that is chosen where none is given.
const LEAST_TIMEOUT: Duration = Duration::from_secs(2);

/// Even after its deadline a runner waits for so long.
const LEAST_PATIENCE: Duration = Duration::from_millis(100);

/// Runs cases, one after the other, against one target.
#[derive(Debug)]
pub struct Runner {
    target: Target,
    settings: Settings,
    /// Whether the server answered when it was probed, so that not answering later means something.
    responsive: bool,
    /// The server that cases share which do not need their own.
    shared: Option<Server>,
    /// Whether any job's server was found to burn processor time: then nobody's is kept for a second case.
    spins: Arc<AtomicBool>,
    /// Whether what went over the wire is kept of cases that pass, too.
    traces_all: bool,
    /// When nothing is worth waiting for any more.
    deadline: Option<Instant>,
}

impl Runner {
    /// A runner for a server with this profile. Nothing is started or connected yet.
    pub fn new(target: Target, settings: Settings) -> Runner {
        Runner {
            target,
            settings,
            responsive: false,
            shared: None,
            spins: Arc::default(),
            traces_all: false,
            deadline: None,
        }
    }

    /// Reaches the server, starting it if it is ours to start, and finds out how far away it is, and how it talks, but for the dialect where one is given.
    /// Without a time-out, one is chosen that fits the distance.
    ///
    /// # Errors
    /// If the server cannot be reached or started.
    pub fn reach(
        target: Target,
        dialect: Option<Dialect>,
        timeout: Option<Duration>,
    ) -> Result<Runner, Unreachable> {
        let profile = Profile::of(dialect.unwrap_or(Dialect::Plain));
        let mut runner = Runner::new(
            target,
            Settings::new(timeout.unwrap_or(LEAST_TIMEOUT), profile),
        );
        let addresses = runner.shared_addresses()?;
        let probed = probe(addresses, runner.settings.timeout)?;
        if let Some(round_trip) = probed.round_trip {
            runner.responsive = true;
            runner.settings.round_trip = round_trip;
            runner.settings.timeout = timeout.unwrap_or(LEAST_TIMEOUT.max(round_trip * 100));
        }
        runner.settings.profile = Profile {
            dialect: dialect.unwrap_or(probed.profile.dialect),
            ..probed.profile
        };
        Ok(runner)
    }

    /// Another runner for the same server, or for one of its own where servers are ours to start.
    fn another(&self) -> Runner {
        Runner {
            responsive: self.responsive,
            spins: self.spins.clone(),
            traces_all: self.traces_all,
            deadline: self.deadline,
            ..Runner::new(self.target.clone(), self.settings.clone())
        }
    }

    /// Keeps what went over the wire of every case, not only of those that fail.
    pub fn trace_everything(&mut self) {
        self.traces_all = true;
    }

    /// Waits for no step beyond this moment, or only for the shortest time in which a server that is alive answers.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// How long is waited where this would be the time-out.
    fn patience(&self, timeout: Duration) -> Duration {
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        left.map_or(timeout, |left| timeout.min(left.max(LEAST_PATIENCE)))
    }

    /// The dialect that the server is taken to speak.
    pub fn dialect(&self) -> Dialect {
        self.settings.profile.dialect
    }

    /// What cases are run with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the servers are started by the runner, so that nobody else uses them.
    pub fn launches(&self) -> bool {
        matches!(self.target, Target::Launched(_))
    }

    /// The server for cases that need none of their own; a new one where the last one has ended.
    fn shared_addresses(&mut self) -> Result<Addresses, Unreachable> {
        let launcher = match &self.target {
            Target::Running(addresses) => return Ok(*addresses),
            Target::Launched(launcher) => launcher,
        };
        if let Some(server) = &mut self.shared
            && server.exit_status().is_none()
        {
            return Ok(server.addresses);
        }
        let server = launcher.launch()?;
        let addresses = server.addresses;
        self.shared = Some(server);
        Ok(addresses)
    }

    /// Runs one case. What fails is tried again with each line sent by itself, on a fresh server
    /// where that can be had: a server that takes one read for one line has one fault, not one for
    /// each case.
    pub fn run<'a>(
        &mut self,
        case: CaseRef<'a>,
        data: &BTreeMap<String, Vec<u8>>,
    ) -> CaseResult<'a> {
        let mut result = self.run_as_written(case, data);
        let in_conversation = |failure: &Failure| {
            matches!(failure.expected, Expected::Reply(_) | Expected::NothingMore)
                && failure.outcome != Outcome::Crash
        };
        if result.failure.as_ref().is_some_and(in_conversation)
            && let Ok(plan) = plan(&case.case.transcript, case.case.dialect, data)
            && let Some(dependence) = segments::dependence(&plan)
            && dependence.clause != case.clause.slug
        {
            let passes = !dependence.avoidable || {
                self.shared = None;
                self.settings.line_by_line = true;
                let again = self.run_as_written(case, data);
                self.settings.line_by_line = false;
                again.outcome == Outcome::Pass
            };
            result.depends_on = passes.then_some(dependence.clause);
        }
        result
    }

    /// Runs one case once, and once more with more time where a reply came late.
    pub fn run_as_written<'a>(
        &mut self,
        case: CaseRef<'a>,
        data: &BTreeMap<String, Vec<u8>>,
    ) -> CaseResult<'a> {
        let timeout = self.settings.timeout;
        self.settings.timeout = self.patience(timeout);
        let result = self.attempt(case, data);
        let slow = result
            .failure
            .as_ref()
            .is_some_and(|failure| failure.late.is_some());
        // A machine that is busy with something else must not decide the verdict.
        let again = slow.then(|| {
            self.settings.timeout = self.patience(timeout * MORE_TIME);
            self.attempt(case, data)
        });
        self.settings.timeout = timeout;
        again
            .filter(|again| again.outcome == Outcome::Pass)
            .unwrap_or(result)
    }

    fn attempt<'a>(
        &mut self,
        case: CaseRef<'a>,
        data: &BTreeMap<String, Vec<u8>>,
    ) -> CaseResult<'a> {
        let start = Instant::now();
        let mut result = CaseResult::new(case, Outcome::Pass, None);
        let trace = Trace::default();
        let plan = plan(&case.case.transcript, case.case.dialect, data).map_err(|errors| {
            let message = &errors[0].message;
            Failure::not_run(format!("the transcript has no plan: {message}"))
        });
        if let Some(reason) = self.reason_to_skip(case, plan.as_ref().ok()) {
            return CaseResult::new(case, Outcome::Skip, Some(reason));
        }
        let attempt = match plan {
            Err(failure) => Err(failure),
            Ok(plan) if case.uses_secondary() || case.uses_process() => {
                self.run_alone(&plan, &trace, &mut result)
            }
            Ok(plan) => self.run_shared(&plan, &trace, &mut result),
        };
        if let Err(failure) = attempt {
            result.outcome = failure.outcome;
            result.failure = Some(*failure);
        }
        if result.outcome.is_failure() || self.traces_all {
            result.trace = trace.events();
        }
        result.duration = start.elapsed();
        result
    }

    fn reason_to_skip(&self, case: CaseRef<'_>, plan: Option<&Plan>) -> Option<String> {
        if let Some(dialect) = case
            .case
            .dialect
            .filter(|dialect| *dialect != self.dialect())
        {
            Some(format!("only for the {dialect} dialect"))
        } else if case.uses_secondary() && !self.target.has_secondary() {
            Some(
                "the server has no secondary port, by --no-meta or by --exec without {meta_port}"
                    .to_owned(),
            )
        } else if case.uses_process() && !self.launches() {
            Some("only for a server that the runner starts, with --exec".to_owned())
        } else if case.uses_process() && !process::is_visible() {
            Some("this system has no /proc to look at processes".to_owned())
        } else if !self.launches()
            && !self.settings.allow_extremes
            && plan.is_some_and(|plan| plan.leaves_extreme)
        {
            Some(
                "a session ends with a mean that is undefined or very large, which would stay in the \
                 server; only with --exec"
                    .to_owned(),
            )
        } else {
            None
        }
    }

    fn run_shared(
        &mut self,
        plan: &Plan,
        trace: &Trace,
        result: &mut CaseResult<'_>,
    ) -> StepResult {
        let addresses = self
            .shared_addresses()
            .map_err(|error| Failure::not_run(error.to_string()))?;
        let scene = case::Scene::new(addresses, &self.settings, Base::default(), trace, None);
        let attempt = scene.execute(plan, &mut result.observations);
        let attempt = match &mut self.shared {
            Some(server) => blame_crash(attempt, server, &mut result.output),
            None => attempt,
        };
        if self.spins.load(Ordering::Relaxed) {
            self.shared = None;
            return attempt;
        }
        let attempt = self.blame_deafness(attempt, addresses);
        result.spun = self.has_spun();
        attempt
    }

    /// A case whose means or processes matter: on a server of its own, or on differences.
    fn run_alone(&mut self, plan: &Plan, trace: &Trace, result: &mut CaseResult<'_>) -> StepResult {
        match &self.target {
            Target::Running(addresses) => {
                let base = probe::means(*addresses, self.settings.timeout).map_err(|why| {
                    Failure::not_run(format!(
                        "the secondary port could not be asked before the case: {why}"
                    ))
                })?;
                if base.is_unknown() && asks_for_numbers(&plan.steps) {
                    result.outcome = Outcome::Skip;
                    result.reason = Some(
                        "not judged: the secondary port shows a mean or a deviation from before that \
                         is no finite number"
                            .to_owned(),
                    );
                    return Ok(());
                }
                let scene = case::Scene::new(*addresses, &self.settings, base, trace, None);
                scene.execute(plan, &mut result.observations)
            }
            Target::Launched(launcher) => {
                let mut own = OwnServer::launch(launcher)
                    .map_err(|error| Failure::not_run(error.to_string()))?;
                if result.case.uses_process() {
                    own.settle(self.settings.timeout);
                }
                let scene = case::Scene::new(
                    own.addresses,
                    &self.settings,
                    Base::default(),
                    trace,
                    Some(&own),
                );
                let attempt = scene.execute(plan, &mut result.observations);
                own.finish(attempt, &mut result.output)
            }
        }
    }

    /// A server that answered before the case and answers nobody after it was broken by the case, whatever the case saw of it.
    fn blame_deafness(&mut self, attempt: StepResult, addresses: Addresses) -> StepResult {
        let crashed = attempt
            .as_ref()
            .is_err_and(|failure| failure.outcome == Outcome::Crash);
        if !self.responsive
            || crashed
            || probe::answers(addresses.primary, self.settings.timeout * MORE_TIME)
        {
            return attempt;
        }
        // Whatever hangs there must not be blamed on the next case.
        self.shared = None;
        let step = attempt.err().map_or(0..0, |failure| failure.step);
        Err(Box::new(Failure::new(
            Outcome::Crash,
            step,
            Expected::Answer,
            Observed::NoAnswer,
        )))
    }

    /// Whether the shared server burns processor time although no client is connected. Then it is replaced, so that the other cases have a machine
    /// to run on.
    fn has_spun(&mut self) -> bool {
        /// A server that waits is never found running; one that finishes something is so only for a moment.
        const BUSY_LOOKS: u32 = process::LOOKS - 2;

        let busy = self.shared.as_ref().is_some_and(|server| {
            let waits = || !process::is_busy(server.id(), BUSY_LOOKS);
            process::is_visible() && !process::eventually(SPIN_TIME, waits)
        });
        if busy {
            self.shared = None;
            self.spins.store(true, Ordering::Relaxed);
        }
        busy
    }
}

/// Whether a case demands more of the secondary port than the number of means.
fn asks_for_numbers(steps: &[PlannedStep]) -> bool {
    steps.iter().any(|step| match &step.operation {
        Operation::Expect(demand) => {
            matches!(demand.what, Demanded::Means(_)) && demand.ignored != [false, true, true]
        }
        Operation::Together(lanes) | Operation::Either(lanes) => {
            lanes.iter().any(|lane| asks_for_numbers(lane))
        }
        _ => false,
    })
}

/// A server that has ended is what matters, whatever the case saw of it.
fn blame_crash(attempt: StepResult, server: &mut Server, output: &mut String) -> StepResult {
    let status = server.exit_status();
    if attempt.is_err() || status.is_some() {
        *output = server.output();
    }
    let Some(status) = status else {
        return attempt;
    };
    let step = attempt.err().map_or(0..0, |failure| failure.step);
    Err(Box::new(Failure::new(
        Outcome::Crash,
        step,
        Expected::Running,
        Observed::Exited(status),
    )))
}

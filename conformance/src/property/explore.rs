//! Trying the properties with many generated cases, until one fails, the cases are through or time
//! is up.
//!
//! Cases run side by side, and are counted in the order of their numbers: what comes out of a seed
//! does not depend on how many run at the same time.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use super::catalogue::Property;
use super::coverage::Coverage;
use super::examine::{Examined, Examiner, Finding, Flaky, RetryPolicy, SHRINK_TIME};
use super::executor::{Attempt, Executor, Subject};
use super::options::Options;
use super::write::write;
use crate::compare::Agreement;
use crate::runner::Outcome;

/// What is known of a property in the end.
#[derive(Debug)]
pub struct Verdict {
    /// The property.
    pub property: &'static Property,
    /// How many cases were tried.
    pub cases: u64,
    /// How many of them failed without what the property is about, too, and so said nothing.
    pub inconclusive: u64,
    /// Failures that repeat: one at most of one server, and of two servers one for each agreement
    /// that is none.
    pub findings: Vec<Finding>,
    /// A failure that does not.
    pub flaky: Option<Flaky>,
    /// What was sent.
    pub coverage: Coverage,
    /// How many servers there were.
    pub servers: usize,
    /// How long it took, shrinking included.
    pub duration: Duration,
}

/// Called with a property and the number of its cases so far.
pub type Progress<'a> = &'a (dyn Fn(&Property, u64) + Sync);

/// After so many failures that do not repeat, the server is what is flaky.
const MAX_FLAKY: u64 = 8;

/// After so many cases that say nothing because no reply came, waiting for more is a waste of time.
const MAX_SILENT: u64 = 8;

/// A server that is alive may take this fraction of its time-out; what is too late is tried again
/// with patience.
const SHORT_TIMEOUT_DIVISOR: u32 = 20;

/// The least of these time-outs.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);

/// So many jobs do not slow each other down beyond that time-out.
const JOBS_IN_SHORT_TIME: usize = 4;

/// A server that has been found silent is waited for this part of its time-out.
const REDUCED_TIMEOUT_DIVISOR: u32 = 4;

/// Where most attempts fail, by a reply that does not come, and what comes out of them is tried
/// again with patience.
const SHARED_SERVER_TIMEOUT: Duration = Duration::from_millis(50);

/// Tries the properties, one after the other, on one server or on two beside each other.
///
/// # Errors
/// Those of reading and writing saved failures.
pub fn explore(
    properties: &[&'static Property],
    subjects: &[Subject],
    options: &Options,
    progress: Progress<'_>,
) -> io::Result<Vec<Verdict>> {
    let start = Instant::now();
    let end = options.max_time.map(|limit| start + limit);
    let shortened =
        |timeout: Duration| timeout.min((timeout / SHORT_TIMEOUT_DIVISOR).max(MIN_TIMEOUT));
    let reduced = |timeout| timeout / REDUCED_TIMEOUT_DIVISOR;
    let hasty = |timeout: Duration| timeout.min(SHARED_SERVER_TIMEOUT);
    // The more cases run at the same time, the longer each of them takes.
    let crowd = (options.jobs / JOBS_IN_SHORT_TIME).max(1) as u32;
    let crowded = |timeout: Duration| timeout.min(shortened(timeout) * crowd);
    let executor = |_| Executor::new(subjects, end, crowded);
    let mut explorer = Explorer {
        executors: (0..options.jobs.max(1)).map(executor).collect(),
        examiner: Examiner {
            full_timeout: Executor::new(subjects, end, |timeout| timeout).fresh(),
            reduced_timeout: Executor::new(subjects, end, reduced).fresh(),
            short_timeout: Executor::new(subjects, end, shortened).fresh(),
            shared_server: Executor::new(subjects, end, hasty),
            options,
            end,
            shrink_time: SHRINK_TIME,
            is_silent: false,
            policy: RetryPolicy::SharedServer,
        },
        options,
        progress,
        servers: subjects.len(),
        others: subjects.iter().any(|subject| !subject.is_launched()),
    };
    let mut verdicts = Vec::new();
    for (index, property) in properties.iter().enumerate() {
        // What one property leaves of its time is for those behind it.
        let deadline = end.map(|end| {
            let left = end.saturating_duration_since(Instant::now());
            Instant::now() + left / (properties.len() - index) as u32
        });
        verdicts.push(explorer.property(property, deadline)?);
    }
    Ok(verdicts)
}

struct Explorer<'a> {
    executors: Vec<Executor>,
    examiner: Examiner<'a>,
    options: &'a Options,
    progress: Progress<'a>,
    /// How many servers there are. Of one, one finding is enough.
    servers: usize,
    /// Whether a server serves all jobs, so that cases which ask the secondary port must not have
    /// others beside them.
    others: bool,
}

/// What the jobs of a search share.
struct Search {
    property: &'static Property,
    next: AtomicU64,
    stop: AtomicBool,
    deadline: Option<Instant>,
    found: Mutex<Tally>,
    /// What two servers were found to make of a case; once is enough.
    known: Vec<Agreement>,
    /// Taken for writing by a case that must not have others beside it.
    alone: RwLock<()>,
}

/// What came of a case.
struct CaseRun {
    coverage: Coverage,
    /// How it failed, and how without what the property is about.
    failed: Option<(Attempt, Option<Outcome>)>,
}

/// What is known of the cases.
#[derive(Default)]
struct Tally {
    /// Cases that have run, but not all before them have been counted.
    finished: BTreeMap<u64, CaseRun>,
    /// How many have been counted, all from the first one on.
    cases: u64,
    inconclusive: u64,
    /// Those of them in which no reply came.
    silent: u64,
    coverage: Coverage,
    /// The failure behind which nothing is counted before it has been examined.
    failure: Option<(u64, Attempt)>,
}

impl Search {
    fn is_over(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn knows(&self, attempt: &Attempt) -> bool {
        let agreement = attempt.agreement();
        agreement.is_some_and(|agreement| self.known.contains(&agreement))
    }

    /// Keeps a finding, unless there is one like it.
    fn keep(&mut self, findings: &mut Vec<Finding>, finding: Finding) {
        if !self.knows(&finding.attempt) {
            self.known.extend(finding.attempt.agreement());
            findings.push(finding);
        }
    }

    /// Counts the cases that have run, up to one that fails or has not run. Whether more are worth
    /// running.
    fn count(&self, found: &mut Tally, progress: Progress<'_>) -> bool {
        while found.failure.is_none()
            && found.silent < MAX_SILENT
            && let Some(finished) = found.finished.remove(&found.cases)
        {
            let number = found.cases;
            found.cases += 1;
            found.coverage.merge(&finished.coverage);
            progress(self.property, found.cases);
            match finished.failed {
                Some((attempt, _)) if self.knows(&attempt) => {}
                Some((_, Some(outcome))) => {
                    found.inconclusive += 1;
                    found.silent += u64::from(outcome == Outcome::Timeout);
                }
                Some((attempt, None)) => found.failure = Some((number, attempt)),
                None => {}
            }
        }
        found.failure.is_none() && found.silent < MAX_SILENT
    }

    /// Runs a case, and if it fails its control.
    fn run(&self, executor: &mut Executor, number: u64, seed: u64, others: bool) -> CaseRun {
        let script = self.property.script(seed, number);
        let transcript = write(self.property.title, &script);
        let wants_none_beside_it = others && transcript.uses_secondary();
        let _alone = wants_none_beside_it
            .then(|| self.alone.write().unwrap_or_else(PoisonError::into_inner));
        let _together = (!wants_none_beside_it)
            .then(|| self.alone.read().unwrap_or_else(PoisonError::into_inner));
        let mut coverage = Coverage::default();
        coverage.add(&script);
        let attempt = executor.run(self.property, transcript);
        let failed = attempt.signature().is_some() && !self.knows(&attempt);
        CaseRun {
            coverage,
            failed: failed.then(|| (attempt, executor.control(self.property, &script))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Explorer<'_> {
    fn property(
        &mut self,
        property: &'static Property,
        deadline: Option<Instant>,
    ) -> io::Result<Verdict> {
        let start = Instant::now();
        let mut search = Search {
            property,
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            deadline,
            found: Mutex::default(),
            known: Vec::new(),
            alone: RwLock::default(),
        };
        let mut flaky: Option<Flaky> = None;
        let mut findings: Vec<Finding> = Vec::new();
        for finding in self.examiner.saved_failures(property)? {
            search.keep(&mut findings, finding);
        }
        let alone = self.servers == 1;
        let is_enough = |findings: &[Finding]| alone && !findings.is_empty();
        while !is_enough(&findings) && !search.is_over() {
            // Once a failure did not repeat, nothing else shall disturb the server.
            let jobs = flaky.as_ref().map_or(usize::MAX, |_| 1);
            self.search(&search, jobs);
            let Some((number, failed)) = search.lock().failure.take() else {
                break;
            };
            match self.examiner.examine(property, number, failed)? {
                Examined::Slow => {}
                Examined::Inconclusive => search.lock().inconclusive += 1,
                Examined::Repeats(repeats) => search.keep(&mut findings, *repeats),
                Examined::Flaky(newest) => match &mut flaky {
                    Some(flaky) => flaky.cases += 1,
                    None => {
                        let newest = flaky.insert(*newest);
                        self.examiner.retry_until_pass(property, newest);
                        // What was disturbed is run again.
                        let mut found = search.lock();
                        found.finished.clear();
                        search.next.store(found.cases, Ordering::Relaxed);
                    }
                },
            }
            if flaky.as_ref().is_some_and(|flaky| flaky.cases >= MAX_FLAKY) {
                break;
            }
        }
        let found = search
            .found
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(Verdict {
            property,
            cases: found.cases,
            inconclusive: found.inconclusive,
            findings,
            flaky,
            coverage: found.coverage,
            servers: self.servers,
            duration: start.elapsed(),
        })
    }

    /// Tries cases until one fails that counts.
    fn search(&mut self, search: &Search, jobs: usize) {
        let (options, progress, others) = (self.options, self.progress, self.others);
        let goes_on = search.count(&mut search.lock(), progress);
        search.stop.store(!goes_on, Ordering::Relaxed);
        let work = |executor: &mut Executor| {
            while !search.stop.load(Ordering::Relaxed) && !search.is_over() {
                let number = search.next.fetch_add(1, Ordering::Relaxed);
                if number >= options.cases {
                    break;
                }
                let finished = search.run(executor, number, options.seed, others);
                let mut found = search.lock();
                found.finished.insert(number, finished);
                if !search.count(&mut found, progress) {
                    search.stop.store(true, Ordering::Relaxed);
                }
            }
        };
        let work = &work;
        thread::scope(|scope| {
            for executor in self.executors.iter_mut().take(jobs) {
                scope.spawn(move || work(executor));
            }
        });
    }
}

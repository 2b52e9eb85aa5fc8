//! Trying the properties with one generated case after the other, until one fails, the cases are through or time is up.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::catalogue::Property;
use super::coverage::Coverage;
use super::examine::{Examined, Examiner, Finding, Flaky};
use super::generate;
use super::lab::{Attempt, Lab};
use crate::runner::{Outcome, Settings};
use crate::target::Target;

/// How to explore.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the cases are drawn from.
    pub seed: u64,
    /// How many cases each property gets.
    pub cases: u64,
    /// When to stop, if not when the cases are through.
    pub max_time: Option<Duration>,
    /// How many cases run at the same time.
    pub workers: usize,
    /// How often a failure has to repeat, in the same way and without exception.
    pub confirmations: u32,
    /// Where failures are remembered.
    pub save: Option<PathBuf>,
    /// The arguments that reach the server again, for reports.
    pub reach: String,
}

/// What is known of a property in the end.
#[derive(Debug)]
pub struct Verdict {
    /// The property.
    pub property: &'static Property,
    /// How many cases were tried.
    pub cases: u64,
    /// How many of them failed without what the property is about, too, and so said nothing.
    pub inconclusive: u64,
    /// A failure that repeats.
    pub finding: Option<Finding>,
    /// A failure that does not.
    pub flaky: Option<Flaky>,
    /// What was sent.
    pub coverage: Coverage,
    /// How long it took, shrinking included.
    pub duration: Duration,
}

/// Called with a property and the number of its cases so far.
pub type Progress<'a> = &'a (dyn Fn(&Property, u64) + Sync);

/// After so many failures that do not repeat, the server is what is flaky.
const MOST_FLAKY: u64 = 8;

/// After so many cases that say nothing because no reply came, waiting for more is a waste of time.
const MOST_SILENT: u64 = 8;

/// A server that is alive may take this fraction of its time-out; what is too late is tried again with patience.
const IMPATIENCE: u32 = 20;

/// The least of these time-outs.
const LEAST_TIMEOUT: Duration = Duration::from_millis(100);

/// Tries the properties, one after the other.
///
/// # Errors
/// Those of reading and writing what is remembered.
pub fn explore(
    properties: &[&'static Property],
    target: &Target,
    settings: &Settings,
    options: &Options,
    progress: Progress<'_>,
) -> io::Result<Vec<Verdict>> {
    let start = Instant::now();
    let impatient = Settings {
        timeout: (settings.timeout / IMPATIENCE)
            .max(LEAST_TIMEOUT)
            .min(settings.timeout),
        ..settings.clone()
    };
    let lab = || Lab::new(target, &impatient, &options.reach);
    let mut explorer = Explorer {
        labs: (0..options.workers.max(1)).map(|_| lab()).collect(),
        examiner: Examiner {
            patient: Lab::fresh(target, settings, &options.reach),
            quick: Lab::fresh(target, &impatient, &options.reach),
            options,
        },
        options,
        progress,
    };
    let mut verdicts = Vec::new();
    for (index, property) in properties.iter().enumerate() {
        // What one property leaves of its time is for those behind it.
        let deadline = options.max_time.map(|most| {
            let left = most.saturating_sub(start.elapsed());
            Instant::now() + left / (properties.len() - index) as u32
        });
        verdicts.push(explorer.property(property, deadline)?);
    }
    Ok(verdicts)
}

struct Explorer<'a> {
    labs: Vec<Lab>,
    examiner: Examiner<'a>,
    options: &'a Options,
    progress: Progress<'a>,
}

/// What the workers share.
struct Search {
    property: &'static Property,
    next: AtomicU64,
    stop: AtomicBool,
    deadline: Option<Instant>,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    cases: u64,
    inconclusive: u64,
    /// Those of them in which no reply came.
    silent: u64,
    coverage: Coverage,
    failures: BTreeMap<u64, Attempt>,
}

impl Search {
    fn is_over(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Found> {
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
        let search = Search {
            property,
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            deadline,
            found: Mutex::default(),
        };
        let mut flaky: Option<Flaky> = None;
        let mut finding = self.examiner.remembered(property)?;
        while finding.is_none() && !search.is_over() {
            // Once something did not repeat, nothing else shall disturb the server.
            let workers = if flaky.is_some() { 1 } else { self.labs.len() };
            self.search(&search, workers);
            let failures = std::mem::take(&mut search.lock().failures);
            if failures.is_empty() {
                break;
            }
            for (number, failed) in failures {
                match self.examiner.examine(property, number, failed)? {
                    Examined::Slow => {}
                    Examined::Inconclusive => search.lock().inconclusive += 1,
                    Examined::Repeats(repeats) => {
                        finding = Some(*repeats);
                        break;
                    }
                    Examined::Flaky(newest) => match &mut flaky {
                        Some(flaky) => flaky.cases += 1,
                        None => flaky = Some(*newest),
                    },
                }
            }
            if flaky
                .as_ref()
                .is_some_and(|flaky| flaky.cases >= MOST_FLAKY)
            {
                break;
            }
            search.stop.store(false, Ordering::Relaxed);
        }
        let found = search
            .found
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(Verdict {
            property,
            cases: found.cases,
            inconclusive: found.inconclusive,
            finding,
            flaky,
            coverage: found.coverage,
            duration: start.elapsed(),
        })
    }

    /// Tries cases until one fails that counts.
    fn search(&mut self, search: &Search, workers: usize) {
        let (options, progress) = (self.options, self.progress);
        thread::scope(|scope| {
            for lab in self.labs.iter_mut().take(workers) {
                scope.spawn(move || {
                    while !search.stop.load(Ordering::Relaxed) && !search.is_over() {
                        let number = search.next.fetch_add(1, Ordering::Relaxed);
                        if number >= options.cases {
                            break;
                        }
                        let script = generate(search.property, options.seed, number);
                        let attempt = lab.attempt(search.property, &script);
                        let mut found = search.lock();
                        found.cases += 1;
                        found.coverage.add(&script);
                        progress(search.property, found.cases);
                        if attempt.failure.is_some() {
                            drop(found);
                            if let Some(outcome) = lab.control(search.property, &script) {
                                let mut found = search.lock();
                                found.inconclusive += 1;
                                found.silent += u64::from(outcome == Outcome::Timeout);
                                if found.silent >= MOST_SILENT {
                                    search.next.store(options.cases, Ordering::Relaxed);
                                }
                            } else {
                                search.lock().failures.insert(number, attempt);
                                search.stop.store(true, Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
        });
    }
}

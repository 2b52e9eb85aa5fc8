//! Many cases at once, with results that do not show it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use super::{CaseResult, Outcome, Runner};
use crate::spec::CaseRef;

/// How to go through the cases.
#[derive(Clone, Debug)]
pub struct Order {
    /// How many cases run at once.
    pub jobs: usize,
    /// Run them in an order that follows from this number, instead of the order of the specification.
    pub seed: Option<u64>,
    /// Begin no case after this time.
    pub total_timeout: Option<Duration>,
}

/// Runs cases. Each job has a server of its own where the runner starts them; against a running one, cases that ask the secondary port run while
/// nothing else does.
///
/// The results are in the order of the cases, whatever the order they ran in. `finished` is told each as it comes.
pub fn run_all<'a>(
    runner: Runner,
    cases: &[CaseRef<'a>],
    data: &BTreeMap<String, Vec<u8>>,
    order: &Order,
    finished: &(dyn Fn(&CaseResult<'a>) + Sync),
) -> Vec<CaseResult<'a>> {
    let deadline = order.total_timeout.map(|limit| Instant::now() + limit);
    let mut sequence: Vec<usize> = (0..cases.len()).collect();
    if let Some(seed) = order.seed {
        fastrand::Rng::with_seed(seed).shuffle(&mut sequence);
    }
    let next = AtomicUsize::new(0);
    let alone = RwLock::new(());
    let results = Mutex::new(BTreeMap::new());
    let work = |mut runner: Runner| {
        while let Some(&index) = sequence.get(next.fetch_add(1, Ordering::Relaxed)) {
            let case = cases[index];
            let result = if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                let reason = "the time for the whole run was over".to_owned();
                CaseResult::new(case, Outcome::Error, Some(reason))
            } else if case.uses_secondary() && !runner.launches() {
                let _alone = alone.write().unwrap_or_else(PoisonError::into_inner);
                runner.run(case, data)
            } else {
                let _together = alone.read().unwrap_or_else(PoisonError::into_inner);
                runner.run(case, data)
            };
            finished(&result);
            results
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(index, result);
        }
    };
    let work = &work;
    thread::scope(|scope| {
        for _ in 1..order.jobs.min(cases.len()) {
            let runner = runner.another();
            scope.spawn(move || work(runner));
        }
        work(runner);
    });
    results
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_values()
        .collect()
}

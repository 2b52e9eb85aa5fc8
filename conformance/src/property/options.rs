//! How to explore.

use std::path::PathBuf;
use std::time::Duration;

/// How to explore.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the cases are generated from.
    pub seed: u64,
    /// How many cases each property gets.
    pub cases: u64,
    /// When to stop, if not when the cases are through; making failures smaller counts, too.
    pub max_time: Option<Duration>,
    /// How many cases run at the same time.
    pub jobs: usize,
    /// How often a failure has to repeat, in the same way and without exception.
    pub confirmations: u32,
    /// The directory where failures are saved.
    pub save: Option<PathBuf>,
}

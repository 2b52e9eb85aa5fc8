//! How much of the machine sessions may take.

use std::fs;
use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::Config;

/// What a session may map beyond what the server has mapped when it starts, in bytes, and beyond its
/// lines. A right one needs less than a hundredth of it.
const SPARE_MEMORY: u64 = 64 << 20;
/// A line that grows is in memory up to three times, while it is copied to a larger place.
const LINES_IN_MEMORY: u64 = 4;

/// Limits the memory of this process, and so of each session, which inherits the limit.
pub(super) fn limit_memory(config: &Config) -> io::Result<()> {
    let mapped = kilobytes("/proc/self/status", "VmSize:")? * 1024;
    let limit = mapped + SPARE_MEMORY + LINES_IN_MEMORY * config.max_line as u64;
    let (soft, hard) = getrlimit(Resource::RLIMIT_AS)?;
    setrlimit(Resource::RLIMIT_AS, soft.min(limit), hard)?;
    Ok(())
}

/// A number of kilobytes from a file of `/proc`.
fn kilobytes(path: &str, field: &str) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let number = text
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|value| value.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse().ok());
    number.ok_or_else(|| io::Error::other(format!("{path} has no {field}")))
}

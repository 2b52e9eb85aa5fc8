//! How much of the machine sessions may take.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::unistd::Uid;

use crate::config::Config;

/// What a session may map beyond what the server has mapped when it starts, in bytes, and beyond its
/// lines. A right one needs less than a hundredth of it.
const SPARE_MEMORY: u64 = 64 << 20;
/// A line that grows is in memory up to three times, while it is copied to a larger place.
const LINES_IN_MEMORY: u64 = 4;

/// What a session is expected to take of the machine, in bytes: an idle one takes 150 KiB, more than
/// half of which is the kernel's, and one that is spoken to has input and replies on the way.
const MEMORY_OF_SESSION: u64 = 256 << 10;
/// What is left to the server itself.
const RESERVED_MEMORY: u64 = 16 << 20;
/// Processes that are left to the user of the server for other ends.
const RESERVED_PROCESSES: u64 = 8;

/// Where nothing else limits them: systems that number processes up to 32768 have room for this many
/// sessions and for other programs.
const MAX_SESSIONS: usize = 16_384;

/// How many sessions there may be, and why not more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) max_sessions: usize,
    /// How many of them one source may have.
    pub(super) per_source: usize,
    pub(super) because: Because,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Because {
    Default,
    MaxSessions,
    ProcessesOfUser,
    ProcessesOfGroup,
    MemoryOfGroup,
    MemoryOfMachine,
}

impl Bounds {
    /// Asks what the machine allows, as the user that the server is from now on.
    pub(super) fn find(config: &Config) -> Self {
        let wanted = match config.max_sessions {
            Some(wanted) => (wanted as u64, Because::MaxSessions),
            None => (MAX_SESSIONS as u64, Because::Default),
        };
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let for_memory =
            |bytes: u64| bytes.saturating_sub(RESERVED_MEMORY + bytes / 8) / MEMORY_OF_SESSION;
        let with_reserve = |processes: u64| processes.saturating_sub(RESERVED_PROCESSES);
        let allowed = [
            (
                processes_of_user().map(with_reserve),
                Because::ProcessesOfUser,
            ),
            (
                processes_of_group(&groups).map(with_reserve),
                Because::ProcessesOfGroup,
            ),
            (
                memory_of_group(&groups).map(for_memory),
                Because::MemoryOfGroup,
            ),
            (
                kilobytes("/proc/meminfo", "MemTotal:")
                    .ok()
                    .map(|size| for_memory(size * 1024)),
                Because::MemoryOfMachine,
            ),
        ];
        let allowed = allowed
            .into_iter()
            .filter_map(|(limit, because)| Some((limit?, because)));
        let (max_sessions, because) = allowed
            .chain([wanted])
            .min_by_key(|(limit, _)| *limit)
            .unwrap_or(wanted);
        let max_sessions = usize::try_from(max_sessions).unwrap_or(MAX_SESSIONS).max(1);
        Bounds {
            max_sessions,
            per_source: share_of(max_sessions, config.max_sessions_per_source),
            because,
        }
    }
}

/// What one source may have: never all, so that it cannot shut out all others, unless there are too
/// few to divide.
fn share_of(max_sessions: usize, wanted: Option<usize>) -> usize {
    let reserved = max_sessions / 4;
    let share = match reserved {
        0 => usize::MAX,
        _ => max_sessions - reserved,
    };
    share.min(wanted.unwrap_or(usize::MAX))
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Because::Default => "default",
            Because::MaxSessions => "--max-sessions",
            Because::ProcessesOfUser => "RLIMIT_NPROC",
            Because::ProcessesOfGroup => "pids.max",
            Because::MemoryOfGroup => "memory.max",
            Because::MemoryOfMachine => "MemTotal",
        })
    }
}

/// How many more processes the user of the server may have; `None` if there is no limit for it.
fn processes_of_user() -> Option<u64> {
    let user = Uid::current();
    let (limit, _) = getrlimit(Resource::RLIMIT_NPROC).ok()?;
    if user.is_root() || limit == RLIM_INFINITY {
        return None;
    }
    let mut used = 0;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let field = |name| {
            let value = status
                .lines()
                .find_map(|line: &str| line.strip_prefix(name));
            value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok())
        };
        if field("Uid:") == Some(user.as_raw().into()) {
            used += field("Threads:").unwrap_or(1);
        }
    }
    Some(limit.saturating_sub(used))
}

fn processes_of_group(groups: &str) -> Option<u64> {
    let limits = directories(groups, "pids").filter_map(|directory| {
        let limit = number_in(&directory.join("pids.max"))?;
        let used = number_in(&directory.join("pids.current")).unwrap_or_default();
        Some(limit.saturating_sub(used))
    });
    limits.min()
}

fn memory_of_group(groups: &str) -> Option<u64> {
    let names = ["memory.max", "memory.high", "memory.limit_in_bytes"];
    directories(groups, "memory")
        .flat_map(|directory| names.map(|name| number_in(&directory.join(name))))
        .flatten()
        .min()
}

/// The directories of the control groups that this process is in, with all that are above.
///
/// `groups` is what `/proc/self/cgroup` says. In a container it may speak of directories that are
/// not there; then those that are count.
fn directories(groups: &str, controller: &str) -> impl Iterator<Item = PathBuf> {
    groups.lines().flat_map(move |line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next(), fields.next());
        let mount = match controllers {
            // Version 2, alone or beside version 1.
            Some("") => Some(Path::new("/sys/fs/cgroup").to_owned()),
            Some(names) if names.split(',').any(|name| name == controller) => {
                Some(Path::new("/sys/fs/cgroup").join(controller))
            }
            _ => None,
        };
        let path = path.unwrap_or_default().trim_start_matches('/');
        let path = Path::new(path).to_owned();
        mount.into_iter().flat_map(move |mount| {
            path.ancestors()
                .map(|path| mount.join(path))
                .collect::<Vec<_>>()
        })
    })
}

/// A number, where a file has one; `max` is none.
fn number_in(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_three_quarters_at_most_where_there_are_enough_to_divide() {
        assert_eq!(share_of(16_384, None), 12_288);
        assert_eq!(share_of(100, None), 75);
        assert_eq!(share_of(100, Some(100)), 75);
        assert_eq!(share_of(100, Some(2)), 2);
        assert_eq!(share_of(4, None), 3);
        assert_eq!(share_of(3, None), usize::MAX);
    }

    #[test]
    fn control_groups_are_looked_for_in_both_versions_and_upwards() {
        let groups = "5:memory:/a/b\n4:cpu,pids:/c\n0::/d\n";
        let found: Vec<_> = directories(groups, "memory").collect();
        let expected = ["memory/a/b", "memory/a", "memory", "d", ""];
        let expected = expected.map(|path| Path::new("/sys/fs/cgroup").join(path));
        assert_eq!(found, expected);
        assert_eq!(directories(groups, "pids").count(), 2 + 2);
    }

    #[test]
    fn more_sessions_than_were_asked_for_are_never_allowed() {
        let config = Config {
            max_sessions: Some(7),
            ..Config::default()
        };
        let bounds = Bounds::find(&config);
        assert!((1..=7).contains(&bounds.max_sessions), "{bounds:?}");
    }
}

//! Processes, their descriptors and their listening sockets, as `/proc` shows them. On a system
//! without `/proc` nothing is seen.

mod listener;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use listener::{Listener, listener};

/// A process, as of one moment.
#[derive(Clone, Debug)]
struct Process {
    parent: u32,
    group: u32,
    session: u32,
    state: char,
}

impl Process {
    /// Whether it has not ended.
    fn runs(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

/// Whether this system shows processes.
pub(crate) fn is_visible() -> bool {
    fs::metadata("/proc/self/stat").is_ok()
}

/// Time between two looks at a condition that nothing announces.
const GLANCE: Duration = Duration::from_millis(2);

/// The longest time between two such looks, of which each reads every process of the system.
const MAX_GLANCE: Duration = Duration::from_millis(20);

fn all() -> BTreeMap<u32, Process> {
    let mut processes = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // A process that ends meanwhile has no file any more.
        if let Some(process) = fs::read_to_string(entry.path().join("stat"))
            .ok()
            .and_then(|stat| read(&stat))
        {
            processes.insert(id, process);
        }
    }
    processes
}

/// Reads a line of `/proc/PID/stat`; the name in it may hold spaces and parentheses.
fn read(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse().ok();
    Some(Process {
        state: fields.first()?.chars().next()?,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
    })
}

/// These processes, as far as they exist, and their descendants.
fn with_descendants(
    all: &BTreeMap<u32, Process>,
    mut found: BTreeSet<u32>,
) -> BTreeMap<u32, Process> {
    loop {
        let before = found.len();
        let children = all
            .iter()
            .filter(|(_, process)| found.contains(&process.parent));
        found.extend(children.map(|(id, _)| *id).collect::<Vec<_>>());
        if found.len() == before {
            break;
        }
    }
    all.iter()
        .filter(|(id, _)| found.contains(id))
        .map(|(id, process)| (*id, process.clone()))
        .collect()
}

fn descendants(root: u32) -> BTreeMap<u32, Process> {
    let mut descendants = with_descendants(&all(), BTreeSet::from([root]));
    descendants.remove(&root);
    descendants
}

/// What a command has started: its process, those in its process group or session, as a child has
/// whose parent has ended, and their descendants.
fn started_by(all: &BTreeMap<u32, Process>, command: u32) -> BTreeMap<u32, Process> {
    let members = all.iter().filter(|(id, process)| {
        **id == command || process.group == command || process.session == command
    });
    with_descendants(all, members.map(|(id, _)| *id).collect())
}

/// The processes that a command has started and that have not ended.
pub(crate) fn running_of(command: u32) -> BTreeSet<u32> {
    running(started_by(&all(), command))
}

/// Whether a process has not ended.
pub(crate) fn runs(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"));
    stat.is_ok_and(|stat| read(&stat).is_some_and(|process| process.runs()))
}

/// The descendants that have not ended.
pub(crate) fn running_descendants(root: u32) -> BTreeSet<u32> {
    running(descendants(root))
}

fn running(processes: BTreeMap<u32, Process>) -> BTreeSet<u32> {
    let running = processes.into_iter().filter(|(_, process)| process.runs());
    running.map(|(id, _)| id).collect()
}

/// How many descendants have ended and are not reaped.
pub(crate) fn zombies(root: u32) -> usize {
    descendants(root)
        .values()
        .filter(|process| process.state == 'Z')
        .count()
}

/// Which of these processes have not ended.
pub(crate) fn still_running(ids: &BTreeSet<u32>) -> usize {
    let all = all();
    ids.iter()
        .filter(|id| all.get(id).is_some_and(Process::runs))
        .count()
}

/// The most descriptors that one of a process and its descendants has open; none if the system
/// shows those of none of them.
pub(crate) fn descriptors(root: u32) -> Option<usize> {
    let ids = running_descendants(root).into_iter().chain([root]);
    ids.filter_map(|id| Some(fs::read_dir(format!("/proc/{id}/fd")).ok()?.count()))
        .max()
}

/// How often a process is looked at to find out whether it is busy.
pub(crate) const LOOKS: u32 = 20;

/// Whether, in at least so many of [`LOOKS`] looks, a process or a descendant of it was running, or
/// ready to run. Unlike processor time this does not depend on how much of the machine others leave
/// it. One look is enough for a server that waits, and no look is taken that decides nothing.
pub(crate) fn is_busy(root: u32, least: u32) -> bool {
    busy_looks(
        least,
        || is_running(root),
        || {
            // What is measured is how long it goes on; nothing could be awaited.
            thread::sleep(GLANCE);
        },
    )
}

fn busy_looks(least: u32, mut is_running: impl FnMut() -> bool, mut pause: impl FnMut()) -> bool {
    let mut running = 0;
    for look in 0..LOOKS {
        running += u32::from(is_running());
        if running >= least {
            return true;
        }
        if running == 0 || running + (LOOKS - look - 1) < least {
            return false;
        }
        pause();
    }
    false
}

/// Whether any thread of a process or a descendant of it is running.
fn is_running(root: u32) -> bool {
    threads(root).contains(&'R') || children(root).into_iter().any(is_running)
}

/// The children of a process, as each of its threads tells them: far cheaper than to look at every
/// process of the system, and good enough for a look that is repeated. Kernels without this file
/// have nothing to tell.
fn children(id: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{id}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The states of the threads of a process.
fn threads(id: u32) -> Vec<char> {
    let tasks = fs::read_dir(format!("/proc/{id}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    stats.filter_map(|stat| Some(read(&stat)?.state)).collect()
}

/// Waits for a condition that nothing announces.
pub(crate) fn eventually(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    let mut pause = GLANCE;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(pause);
        pause = MAX_GLANCE.min(pause * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_what_runs_in_enough_of_the_looks() {
        // What is seen, how often it takes to be busy, whether it is, and after how many looks.
        for (seen, least, busy, looks) in [
            ("S", 1, false, 1),
            ("SRRRRRRRRRRRRRRRRRRR", 2, false, 1),
            ("RR", 2, true, 2),
            ("RSSSSSSSSSSSSSSSSSSS", 2, false, 20),
            ("RSS", 19, false, 3),
            ("RSRRRRRRRRRRRRRRRRRR", 19, true, 20),
        ] {
            let mut states = seen.chars();
            let mut taken = 0;
            let look = || {
                taken += 1;
                states.next() == Some('R')
            };
            assert_eq!(busy_looks(least, look, || {}), busy, "{seen}");
            assert_eq!(taken, looks, "{seen}");
        }
    }

    #[test]
    fn a_name_with_parentheses_is_read() {
        let stat = "42 (a ) b) S 7 42 42 0 -1 4194560 100 0 0 0 30 12 0 0 20 0 1";
        let process = read(stat).expect("a line of /proc");
        assert_eq!((process.state, process.parent), ('S', 7));
        assert_eq!((process.group, process.session), (42, 42));
    }
}

//! The server as a process: what `/proc` tells about it and its children.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// A process, as of one moment.
#[derive(Clone, Debug)]
struct Process {
    parent: u32,
    state: char,
}

/// Whether this system tells anything about processes.
pub(super) fn is_visible() -> bool {
    fs::metadata("/proc/self/stat").is_ok()
}

/// How often a condition is looked at that nothing announces.
const GLANCE: Duration = Duration::from_millis(2);

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
    Some(Process {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
    })
}

/// The descendants of a process.
fn descendants(root: u32) -> BTreeMap<u32, Process> {
    let all = all();
    let mut found = BTreeSet::from([root]);
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
    found.remove(&root);
    all.into_iter()
        .filter(|(id, _)| found.contains(id))
        .collect()
}

/// The descendants that still run, for looking at them when their parent is gone.
pub(super) fn running_descendants(root: u32) -> BTreeSet<u32> {
    let running = descendants(root)
        .into_iter()
        .filter(|(_, process)| process.state != 'Z');
    running.map(|(id, _)| id).collect()
}

/// How many descendants have ended and are not reaped, and how many there are.
pub(super) fn zombies_and_descendants(root: u32) -> (usize, usize) {
    let descendants = descendants(root);
    let zombies = descendants
        .values()
        .filter(|process| process.state == 'Z')
        .count();
    (zombies, descendants.len())
}

/// Which of these processes still run.
pub(super) fn still_running(ids: &BTreeSet<u32>) -> usize {
    let all = all();
    ids.iter()
        .filter(|id| all.get(id).is_some_and(|process| process.state != 'Z'))
        .count()
}

/// How many descriptors a process has open.
pub(super) fn descriptors(id: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{id}/fd")).ok()?.count())
}

/// How often a process is looked at to find out whether it is busy.
pub(super) const LOOKS: u32 = 20;

/// Whether, in at least so many of [`LOOKS`] looks, a process or a descendant of it was running, or ready to run. Unlike processor time this does not
/// depend on how much of the machine others leave it. One look is enough for a server that waits, and no look is taken that decides nothing.
pub(super) fn is_busy(root: u32, least: u32) -> bool {
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

/// The children of a process, as each of its threads tells them: far cheaper than to look at every process of the system, and good enough for a look
/// that is repeated. Kernels without this file have nothing to tell.
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
pub(super) fn eventually(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(GLANCE);
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
    }
}

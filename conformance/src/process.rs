//! Processes, their descriptors and their listening sockets, as `/proc` shows them. On a system without `/proc` nothing is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

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

/// What a command has started: its process, those in its process group or session, as a child has whose parent has ended, and their descendants.
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

/// The most descriptors that one of a process and its descendants has open; none if the system shows those of none of them.
pub(crate) fn descriptors(root: u32) -> Option<usize> {
    let ids = running_descendants(root).into_iter().chain([root]);
    ids.filter_map(|id| Some(fs::read_dir(format!("/proc/{id}/fd")).ok()?.count()))
        .max()
}

/// Whose a listening port is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// It belongs to what a command has started; of several processes that hold it, this is the parent of the others.
    Started(u32),
    /// It belongs to another program, which is described.
    Other(String),
    /// The system does not show it.
    Unknown,
}

/// Finds out whose a port is where connections to 127.0.0.1 are accepted.
pub(crate) fn listener(command: u32, port: u16) -> Listener {
    let sockets = listening_sockets(port);
    let all = all();
    let started = started_by(&all, command);
    let mut held = BTreeSet::new();
    let mut holders = BTreeSet::new();
    let mut hidden = false;
    for (id, process) in &started {
        let own = sockets_of(*id);
        // That of another user may hold anything.
        hidden |= own.is_none() && process.runs();
        let own = own.unwrap_or_default();
        held.extend(own.iter().filter(|one| sockets.contains(one)));
        if own.iter().any(|one| sockets.contains(one)) {
            holders.insert(*id);
        }
    }
    if held != sockets {
        return match hidden {
            true => Listener::Unknown,
            false => Listener::Other(describe_holder(&all, &started, &sockets)),
        };
    }
    let first = holders
        .iter()
        .find(|id| !holders.contains(&started[id].parent));
    first.map_or(Listener::Unknown, |id| Listener::Started(*id))
}

/// Describes a process that holds one of these sockets and is none of those that were started.
fn describe_holder(
    all: &BTreeMap<u32, Process>,
    started: &BTreeMap<u32, Process>,
    sockets: &BTreeSet<u64>,
) -> String {
    let mut others = all.keys().filter(|id| !started.contains_key(id));
    let holder = others.find(|id| {
        let held = sockets_of(**id).unwrap_or_default();
        held.iter().any(|socket| sockets.contains(socket))
    });
    let Some(id) = holder else {
        return "another program".to_owned();
    };
    let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
    format!("another program, process {id} (`{}`)", name.trim_end())
}

/// The sockets that a process holds, by inode; none if the system does not show them.
fn sockets_of(id: u32) -> Option<Vec<u64>> {
    let entries = fs::read_dir(format!("/proc/{id}/fd")).ok()?;
    let targets = entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok());
    Some(
        targets
            .filter_map(|target: PathBuf| {
                let inode = target.to_str()?.strip_prefix("socket:[")?;
                inode.strip_suffix(']')?.parse().ok()
            })
            .collect(),
    )
}

/// The sockets that accept connections to a port of 127.0.0.1, by inode: those that listen at the most specific address.
fn listening_sockets(port: u16) -> BTreeSet<u64> {
    let here = u32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets());
    let mapped = format!(
        "0000000000000000{:08X}{here:08X}",
        u32::from_ne_bytes([0, 0, 0xFF, 0xFF])
    );
    let by_address = [
        ("/proc/net/tcp", format!("{here:08X}")),
        ("/proc/net/tcp6", mapped),
        ("/proc/net/tcp", "0".repeat(8)),
        ("/proc/net/tcp6", "0".repeat(32)),
    ];
    let mut sockets = by_address.into_iter().map(|(path, address)| {
        let table = fs::read_to_string(path).unwrap_or_default();
        let local = format!("{address}:{port:04X}");
        let rows = table
            .lines()
            .filter_map(|row| listening_socket(row, &local));
        rows.collect::<BTreeSet<_>>()
    });
    sockets.find(|found| !found.is_empty()).unwrap_or_default()
}

/// Reads a row of `/proc/net/tcp`: the inode, if the socket listens at this address and port.
fn listening_socket(row: &str, local: &str) -> Option<u64> {
    /// TCP_LISTEN of the kernel.
    const LISTENS: &str = "0A";

    let fields: Vec<&str> = row.split_whitespace().collect();
    let is_it = fields.get(1) == Some(&local) && fields.get(3) == Some(&LISTENS);
    is_it.then(|| fields.get(9)?.parse().ok()).flatten()
}

/// How often a process is looked at to find out whether it is busy.
pub(crate) const LOOKS: u32 = 20;

/// Whether, in at least so many of [`LOOKS`] looks, a process or a descendant of it was running, or ready to run. Unlike processor time this does not
/// depend on how much of the machine others leave it. One look is enough for a server that waits, and no look is taken that decides nothing.
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
    fn a_port_belongs_to_the_process_that_listens_and_to_no_other() {
        if !is_visible() {
            return eprintln!("skipped: this system has no /proc");
        }
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(bound) = std::net::TcpListener::bind(address) else {
                eprintln!("skipped: {address} cannot be listened on");
                continue;
            };
            let port = bound.local_addr().expect("its address").port();
            let here = std::process::id();
            assert_eq!(listener(here, port), Listener::Started(here), "{address}");
            let mut other = std::process::Command::new("sleep");
            let mut other = other.arg("60").spawn().expect("`sleep` starts");
            let found = listener(other.id(), port);
            other
                .kill()
                .and_then(|()| other.wait().map(drop))
                .expect("it is killed");
            let described = format!("process {here} ");
            assert!(
                matches!(&found, Listener::Other(who) if who.contains(&described)),
                "{address}: {found:?}"
            );
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

//! What the system knows about processes.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The processes whose parent is this one, zombies included, with their states.
pub(crate) fn children_of(parent: u32) -> Vec<(u32, char)> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").expect("there is /proc").flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that ends meanwhile has no file any more.
        let Some(fields) = stat_of(pid) else {
            continue;
        };
        if fields[1].parse() == Ok(parent) {
            children.push((pid, state(&fields)));
        }
    }
    children
}

/// The state of a process: R, S, D, T, Z and so on.
pub(crate) fn state_of(pid: u32) -> char {
    stat_of(pid).map_or('?', |fields| state(&fields))
}

/// The processor time that a process has used, in ticks of 10 ms.
pub(crate) fn cpu_ticks_of(pid: u32) -> u64 {
    let fields = stat_of(pid).expect("the process runs");
    let ticks = |field: &String| field.parse::<u64>().expect("a number");
    fields[11..13].iter().map(ticks).sum()
}

/// How little of the processor a process gets beside others.
pub(crate) fn niceness_of(pid: u32) -> i32 {
    let fields = stat_of(pid).expect("the process runs");
    fields[16].parse().expect("a number")
}

/// The fields of its line from the state on.
fn stat_of(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

fn state(fields: &[String]) -> char {
    fields[0].chars().next().unwrap_or('?')
}

/// A field of `/proc/PID/status`.
pub(crate) fn status_of(pid: u32, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    field_of(&status, field)
}

/// A field of a text that has one in each line, behind its name and a colon.
pub(crate) fn field_of(text: &str, field: &str) -> String {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.expect("there is such a field").trim().to_owned()
}

/// How many descriptors a process has open.
pub(crate) fn descriptors_of(pid: u32) -> usize {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs");
    entries.count()
}

/// The descriptors of a process, each with what it is open on.
pub(crate) fn links_of(pid: u32) -> Vec<(u32, String)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs");
    let mut links: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("the process runs");
            let number = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            let target = fs::read_link(entry.path()).expect("the descriptor stays open");
            (number.expect("a number"), target.display().to_string())
        })
        .collect();
    links.sort();
    links
}

/// Limits a process that runs, with `prlimit` from util-linux. Returns the limit from before.
pub(crate) fn limit(pid: u32, resource: &str, soft: &str) -> String {
    let prlimit = |argument: String| {
        let id = |field| {
            let ids = status_of(pid, field);
            let id = ids.split('\t').next().and_then(|id| id.parse().ok());
            id.expect("a number")
        };
        let output = Command::new("prlimit")
            .arg(format!("--pid={pid}"))
            .arg(argument)
            .args(["--output=SOFT", "--noheadings"])
            // The user of a process may limit it; root needs a capability, which it may not have.
            .uid(id("Uid"))
            .gid(id("Gid"))
            .output()
            .expect("there is prlimit");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "prlimit failed: {told}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let before = prlimit(format!("--{resource}"));
    prlimit(format!("--{resource}={soft}:"));
    before
}

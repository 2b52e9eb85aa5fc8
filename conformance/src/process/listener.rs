//! Whose a port is: its listening sockets, and the processes that hold them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::{Process, all, started_by};

/// Whose a listening port is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// It belongs to what a command has started; of several processes that hold it, this is the
    /// parent of the others.
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

/// The sockets that accept connections to a port of 127.0.0.1, by inode: those that listen at the
/// most specific address.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_belongs_to_the_process_that_listens_and_to_no_other() {
        if !crate::process::is_visible() {
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
}

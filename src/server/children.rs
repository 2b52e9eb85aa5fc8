//! The processes that serve the sessions: who they are, and how they ended.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::child::End;
use crate::log::{Field, Log, Throttle};

/// The maps are ordered to spare memory: what the parent writes to between two forks it copies, a page
/// at a time. Numbers of processes mostly ascend, so that entries of a tree are written side by side.
pub(super) struct Children {
    peers: BTreeMap<Pid, SocketAddr>,
    sessions: BTreeMap<Source, usize>,
    log: Log,
    failures: Throttle,
}

/// Whose sessions are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Host(Ipv4Addr),
    /// The upper half of an address; one host has the lower half to itself.
    Network(u64),
}

impl Source {
    fn of(peer: SocketAddr) -> Source {
        match peer.ip().to_canonical() {
            IpAddr::V4(address) => Source::Host(address),
            IpAddr::V6(address) => Source::network(address),
        }
    }

    fn network(address: Ipv6Addr) -> Source {
        Source::Network((address.to_bits() >> 64) as u64)
    }
}

impl Children {
    pub(super) fn new(log: Log) -> Self {
        Children {
            peers: BTreeMap::new(),
            sessions: BTreeMap::new(),
            log,
            failures: Throttle::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// How many sessions the source of `peer` has.
    pub(super) fn sessions_like(&self, peer: SocketAddr) -> usize {
        let sessions = self.sessions.get(&Source::of(peer));
        sessions.copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, pid: Pid, peer: SocketAddr) {
        self.log.detail("session started", &session(pid, &peer));
        self.peers.insert(pid, peer);
        *self.sessions.entry(Source::of(peer)).or_default() += 1;
    }

    fn remove(&mut self, pid: Pid) -> Option<SocketAddr> {
        let peer = self.peers.remove(&pid)?;
        let source = Source::of(peer);
        if let Some(sessions) = self.sessions.get_mut(&source) {
            *sessions -= 1;
            // What a source leaves behind must not grow with the number of sources.
            if *sessions == 0 {
                self.sessions.remove(&source);
            }
        }
        Some(peer)
    }

    /// Reaps every child that has ended. One signal may stand for several of them.
    pub(super) fn reap(&mut self) {
        self.reap_with(Some(WaitPidFlag::WNOHANG));
    }

    /// Kills and reaps all that are left.
    pub(super) fn kill_all(&mut self) {
        for &pid in self.peers.keys() {
            // It may have ended by itself; until it is reaped its number is not given away.
            let _ = kill(pid, Signal::SIGKILL);
        }
        self.reap_with(None);
    }

    fn reap_with(&mut self, flags: Option<WaitPidFlag>) {
        loop {
            match waitpid(None, flags) {
                Ok(WaitStatus::Exited(pid, status)) => self.ended(pid, status),
                Ok(WaitStatus::Signaled(pid, signal, _)) => self.killed(pid, signal),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                // A child that was stopped or continued is still there.
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn ended(&mut self, pid: Pid, status: i32) {
        let Some(peer) = self.remove(pid) else {
            return;
        };
        let end = End::from_status(status);
        let reason = end.map_or_else(|| format!("exit status {status}").into(), End::reason);
        let fields = with_reason(session(pid, &peer), &reason);
        if end.is_some_and(End::is_ordinary) {
            self.log.detail("session ended", &fields);
        } else {
            self.failures.warning(self.log, "session failed", &fields);
        }
    }

    fn killed(&mut self, pid: Pid, signal: Signal) {
        let Some(peer) = self.remove(pid) else {
            return;
        };
        let reason = match signal {
            Signal::SIGSYS => format!("{signal}: it made a system call that no session makes"),
            _ => signal.to_string(),
        };
        let fields = with_reason(session(pid, &peer), &reason);
        self.failures.warning(self.log, "session killed", &fields);
    }
}

type SessionFields<'a, const N: usize> = [(&'static str, Field<'a>); N];

fn session(pid: Pid, peer: &SocketAddr) -> SessionFields<'_, 2> {
    let pid = pid.as_raw().unsigned_abs().into();
    [("pid", Field::Number(pid)), ("peer", Field::Text(peer))]
}

fn with_reason<'a>(
    [pid, peer]: SessionFields<'a, 2>,
    reason: &'a dyn Display,
) -> SessionFields<'a, 3> {
    [pid, peer, ("reason", Field::Text(reason))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().expect("an address"), 9)
    }

    #[test]
    fn a_source_is_a_host_or_a_network() {
        let same = |one, other| Source::of(peer(one)) == Source::of(peer(other));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(same("2001:db8::1", "2001:db8::ffff:0:0:1"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
    }

    #[test]
    fn sessions_are_counted_by_source_and_forgotten() {
        let mut children = Children::new(Log::default());
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(peer);
        for pid in 1..=3 {
            children.add(Pid::from_raw(pid), one);
        }
        assert_eq!(children.sessions_like(one), 3);
        assert_eq!(children.sessions_like(other), 0);
        for pid in 1..=3 {
            assert_eq!(children.remove(Pid::from_raw(pid)), Some(one));
        }
        assert_eq!(children.remove(Pid::from_raw(1)), None);
        assert_eq!(children.len(), 0);
        assert!(children.sessions.is_empty());
    }
}

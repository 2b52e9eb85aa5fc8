//! The processes that serve the sessions: who they are, and how they ended.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::records::Records;
use super::table::{Source, Table};
use crate::child::End;
use crate::log::{Event, Field, Log};

pub(super) struct Children {
    children: Table<Pid, Child>,
    sessions: Table<Source, usize>,
    counters: Counters,
}

#[derive(Clone, Copy, Debug)]
struct Child {
    peer: SocketAddr,
    /// What it has to write into its record.
    secret: u64,
    has_record: bool,
}

/// How many sessions ended, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) started: u64,
    pub(super) exit: u64,
    pub(super) input_ended: u64,
    pub(super) connection_lost: u64,
    pub(super) timed_out: u64,
    pub(super) failed: u64,
    pub(super) killed: u64,
}

/// Why a record does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forgery {
    /// There is no session of that process.
    NoSession,
    /// It has not the secret of the session.
    NotItsOwn,
    /// The session at this address has counted its mean before.
    Again(SocketAddr),
}

impl Children {
    /// Room for this many of them.
    pub(super) fn new(max_sessions: usize) -> io::Result<Self> {
        Ok(Children {
            children: Table::new(max_sessions)?,
            sessions: Table::new(max_sessions)?,
            counters: Counters::default(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many sessions a source has.
    pub(super) fn sessions_of(&self, source: Source) -> usize {
        self.sessions.get(&source).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, pid: Pid, peer: SocketAddr, secret: u64, log: &Log) {
        log.detail("session started", &session(pid, &peer));
        let child = Child {
            peer,
            secret,
            has_record: false,
        };
        self.children.insert(pid, child);
        let source = Source::of(peer);
        self.sessions.insert(source, self.sessions_of(source) + 1);
        self.counters.started += 1;
    }

    fn remove(&mut self, pid: Pid) -> Option<SocketAddr> {
        let Child { peer, .. } = self.children.remove(&pid)?;
        let source = Source::of(peer);
        match self.sessions_of(source) {
            0 | 1 => drop(self.sessions.remove(&source)),
            sessions => self.sessions.insert(source, sessions - 1),
        }
        Some(peer)
    }

    /// Takes note that the session of this process has recorded its mean.
    ///
    /// # Errors
    ///
    /// If there is none, the secret is not that of the session, or it has done so before.
    pub(super) fn claim(&mut self, pid: u32, secret: u64) -> Result<(), Forgery> {
        let pid = Pid::from_raw(pid.cast_signed());
        let child = self.children.get_mut(&pid).ok_or(Forgery::NoSession)?;
        if child.secret != secret {
            return Err(Forgery::NotItsOwn);
        }
        if child.has_record {
            return Err(Forgery::Again(child.peer));
        }
        child.has_record = true;
        Ok(())
    }

    /// Reaps every child that has ended. One signal may stand for several of them.
    ///
    /// Children that the server was started with, or that it got from another process, are reaped as
    /// well, and never waited for.
    pub(super) fn reap(&mut self, records: &mut Records, log: &Log) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) => {
                    let end = End::from_status(status);
                    self.take_record_of(pid, end == Some(End::Exit), records, log);
                    self.ended(pid, status, end, log);
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    self.take_record_of(pid, true, records, log);
                    self.killed(pid, signal, log);
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                // A child that was stopped or continued is still there.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// A record that a child wrote before its end is in the pipe, and is worth nothing once the
    /// child is forgotten.
    fn take_record_of(&mut self, pid: Pid, may_have: bool, records: &mut Records, log: &Log) {
        let child = self.children.get(&pid);
        if may_have && child.is_some_and(|child| !child.has_record) {
            records.drain(self, log);
        }
    }

    /// Kills all that are left, without waiting for them.
    pub(super) fn kill_all(&self) {
        for pid in self.children.keys() {
            // It may have ended by itself; until it is reaped its number is not given away.
            let _ = kill(pid, Signal::SIGKILL);
        }
    }

    fn ended(&mut self, pid: Pid, status: i32, end: Option<End>, log: &Log) {
        let Some(peer) = self.remove(pid) else {
            return;
        };
        *self.counters.of(end) += 1;
        let reason = end.map_or_else(|| format!("exit status {status}").into(), End::reason);
        let fields = with_reason(session(pid, &peer), &reason);
        if end.is_some_and(End::is_ordinary) {
            log.detail("session ended", &fields);
        } else {
            log.event(Event::SessionFailed, &fields);
        }
    }

    fn killed(&mut self, pid: Pid, signal: Signal, log: &Log) {
        let Some(peer) = self.remove(pid) else {
            return;
        };
        self.counters.killed += 1;
        let reason = match signal {
            Signal::SIGSYS => format!("{signal}: it made a system call that no session makes"),
            _ => signal.to_string(),
        };
        let fields = with_reason(session(pid, &peer), &reason);
        log.event(Event::SessionKilled, &fields);
    }
}

impl Counters {
    fn of(&mut self, end: Option<End>) -> &mut u64 {
        match end {
            Some(End::Exit) => &mut self.exit,
            Some(End::InputEnded) => &mut self.input_ended,
            Some(End::ConnectionLost) => &mut self.connection_lost,
            Some(End::Idle | End::Unread) => &mut self.timed_out,
            _ => &mut self.failed,
        }
    }

    /// The counters as fields of a line of the log.
    pub(super) fn fields(&self) -> [(&'static str, Field<'static>); 7] {
        [
            ("started", self.started),
            ("exit", self.exit),
            ("input_ended", self.input_ended),
            ("connection_lost", self.connection_lost),
            ("timed_out", self.timed_out),
            ("failed", self.failed),
            ("killed", self.killed),
        ]
        .map(|(name, count)| (name, Field::Number(count)))
    }
}

type SessionFields<'a, const N: usize> = [(&'static str, Field<'a>); N];

pub(super) fn session(pid: Pid, peer: &SocketAddr) -> SessionFields<'_, 2> {
    let pid = pid.as_raw().unsigned_abs().into();
    [("pid", Field::Number(pid)), ("peer", Field::Text(peer))]
}

pub(super) fn with_reason<'a>(
    [pid, peer]: SessionFields<'a, 2>,
    reason: &'a dyn Display,
) -> SessionFields<'a, 3> {
    [pid, peer, ("reason", Field::Text(reason))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn children(peers: &[&str]) -> Children {
        let log = Log::quiet();
        let mut children = Children::new(10).expect("memory");
        for (pid, peer) in (1..).zip(peers) {
            let peer = SocketAddr::new(peer.parse().expect("an address"), 9);
            children.add(Pid::from_raw(pid), peer, 100 + pid as u64, &log);
        }
        children
    }

    #[test]
    fn sessions_are_counted_by_source_and_forgotten() {
        let mut children = children(&["192.0.2.1"; 3]);
        let [one, other] = [1, 2].map(|last| Source::Host([192, 0, 2, last].into()));
        assert_eq!(children.sessions_of(one), 3);
        assert_eq!(children.sessions_of(other), 0);
        for pid in 1..=3 {
            assert!(children.remove(Pid::from_raw(pid)).is_some());
        }
        assert_eq!(children.remove(Pid::from_raw(1)), None);
        assert_eq!((children.len(), children.sessions.len()), (0, 0));
    }

    #[test]
    fn a_session_counts_one_mean_and_its_own() {
        let mut children = children(&["192.0.2.1", "192.0.2.2"]);
        assert_eq!(children.claim(3, 103), Err(Forgery::NoSession));
        assert_eq!(children.claim(2, 101), Err(Forgery::NotItsOwn));
        assert_eq!(children.claim(1, 101), Ok(()));
        let peer = "192.0.2.1:9".parse().expect("an address");
        assert_eq!(children.claim(1, 101), Err(Forgery::Again(peer)));
        assert_eq!(children.claim(2, 102), Ok(()));
    }
}

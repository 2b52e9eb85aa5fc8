//! The processes that serve the sessions: who they are, and how they ended.

use std::collections::HashMap;
use std::net::SocketAddr;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::child::End;
use crate::log::Log;

pub(super) struct Children {
    peers: HashMap<Pid, SocketAddr>,
    log: Log,
}

impl Children {
    pub(super) fn new(log: Log) -> Self {
        Children {
            peers: HashMap::new(),
            log,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn add(&mut self, pid: Pid, peer: SocketAddr) {
        self.log
            .detail(format_args!("session {pid} from {peer} started"));
        self.peers.insert(pid, peer);
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
        let Some(peer) = self.peers.remove(&pid) else {
            return;
        };
        match End::ALL.into_iter().find(|&end| end as i32 == status) {
            Some(end) => {
                let reason = end.reason();
                self.log
                    .detail(format_args!("session {pid} from {peer} ended: {reason}"));
            }
            None => self.log.warning(format_args!(
                "session {pid} from {peer} ended with unknown status {status}"
            )),
        }
    }

    fn killed(&mut self, pid: Pid, signal: Signal) {
        if let Some(peer) = self.peers.remove(&pid) {
            self.log.warning(format_args!(
                "session {pid} from {peer} was killed by {signal}"
            ));
        }
    }
}

//! Who gets a session.

use std::net::{SocketAddr, TcpStream};

use super::table::Source;
use super::{Outcome, Server};
use crate::log::{Event, Field, reason};
use crate::sys::{self, Forked};

/// How many connections of one port are accepted before the other descriptors get their turn.
pub(super) const ACCEPTS_PER_TURN: usize = 64;

const OUT_OF_PROCESSES: &[u8] = b"Error: server is out of processes, try again later\n";
const TOO_MANY_SESSIONS: &[u8] = b"Error: too many sessions from this address, try again later\n";

impl Server {
    pub(super) fn is_full(&self) -> bool {
        self.children.len() >= self.config.max_sessions
    }

    /// Starts a session for each client that waits. Returns an outcome in the children only.
    pub(super) fn start_sessions(&mut self) -> Option<Outcome> {
        for _ in 0..ACCEPTS_PER_TURN {
            let (stream, peer) = self.listeners.as_mut()?.primary.accept(&self.log)?;
            let sessions = self.children.sessions_of(Source::of(peer));
            if sessions >= self.config.max_sessions_per_source {
                self.refuse(stream, peer, TOO_MANY_SESSIONS, "its source has too many");
                continue;
            }
            if let Some(forked) = self.start_session(stream, peer) {
                return Some(forked);
            }
            if self.is_full() {
                let limit = Field::Number(self.config.max_sessions as u64);
                self.log
                    .event(Event::ClientsWait, &[("max_sessions", limit)]);
                return None;
            }
        }
        None
    }

    fn start_session(&mut self, stream: TcpStream, peer: SocketAddr) -> Option<Outcome> {
        let forked = self
            .secrets
            .next()
            .and_then(|secret| Ok((secret, sys::fork()?)));
        match forked {
            Ok((secret, Forked::Child { actions_are_reset })) => {
                return Some(Outcome::Forked {
                    stream,
                    secret,
                    actions_are_reset,
                });
            }
            Ok((secret, Forked::Parent { child })) => {
                self.children.add(child, peer, secret, &self.log);
            }
            Err(error) => {
                let reason = format!("{}; raise the limit of processes", reason(&error));
                self.refuse(stream, peer, OUT_OF_PROCESSES, &reason);
            }
        }
        None
    }

    fn refuse(&mut self, stream: TcpStream, peer: SocketAddr, line: &[u8], reason: &str) {
        self.refused += 1;
        let fields = [
            ("peer", Field::Text(&peer)),
            ("reason", Field::Text(&reason)),
        ];
        self.log.event(Event::SessionRefused, &fields);
        self.lingering.dismiss(stream, line);
    }
}

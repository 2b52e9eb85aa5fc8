//! Who gets a session.

use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::table::Source;
use super::{Outcome, Server};
use crate::log::{Event, Field, reason};
use crate::socket::options_are_inherited;
use crate::sys::{self, Forked};

/// How many connections of one port are accepted before the other descriptors get their turn.
pub(super) const ACCEPTS_PER_TURN: usize = 64;

const OUT_OF_PROCESSES: &[u8] = b"Error: server is out of processes, try again later\n";
const TOO_MANY_SESSIONS: &[u8] = b"Error: too many sessions from this address, try again later\n";
const TOO_FAST: &[u8] = b"Error: too many connections from this address, try again later\n";
const FULL: &[u8] = b"Error: server is full, try again later\n";
const STOPPING: &[u8] = b"Error: server is stopping\n";

impl Server {
    fn is_full(&self) -> bool {
        self.children.len() >= self.bounds.max_sessions
    }

    /// Starts a session for each client that comes. Returns an outcome in the children only.
    pub(super) fn start_sessions(&mut self) -> Option<Outcome> {
        for _ in 0..ACCEPTS_PER_TURN {
            let make_room = || self.lingering.evict_oldest();
            let primary = &mut self.listeners.as_mut()?.primary;
            let (stream, peer) = primary.accept(make_room, &self.log)?;
            let now = Instant::now();
            let source = Source::of(peer);
            let sessions = self.children.sessions_of(source) + self.waiting.of(source);
            if !self.rates.admit(peer, now) {
                self.refuse(stream, peer, TOO_FAST, "its source is too fast");
            } else if sessions >= self.bounds.per_source {
                self.refuse(stream, peer, TOO_MANY_SESSIONS, "its source has too many");
            } else if self.is_full() {
                self.let_wait(stream, peer, now);
            } else if let Some(forked) = self.start_session(stream, peer) {
                return Some(forked);
            }
        }
        None
    }

    fn let_wait(&mut self, stream: TcpStream, peer: SocketAddr, now: Instant) {
        let limit = Field::Number(self.bounds.max_sessions as u64);
        self.log
            .event(Event::ClientsWait, &[("max_sessions", limit)]);
        if let Err(stream) = self.waiting.push(stream, peer, now) {
            self.refuse(stream, peer, FULL, "too many wait already");
        }
    }

    /// Starts a session for each client that has waited for it, and refuses those that have waited
    /// for too long. Returns an outcome in the children only.
    pub(super) fn start_waiting(&mut self) -> Option<Outcome> {
        while !self.is_full() {
            let (stream, peer) = self
                .waiting
                .next(|source| self.children.sessions_of(source))?;
            if let Some(forked) = self.start_session(stream, peer) {
                return Some(forked);
            }
        }
        let now = Instant::now();
        while let Some((stream, peer)) = self.waiting.next_expired(now) {
            self.refuse(stream, peer, FULL, "it has waited for too long");
        }
        None
    }

    /// Refuses those that wait.
    pub(super) fn send_away_waiting(&mut self) {
        while let Some((stream, peer)) = self.waiting.next_of_all() {
            self.refuse(stream, peer, STOPPING, "the server stops");
        }
    }

    fn start_session(&mut self, stream: TcpStream, peer: SocketAddr) -> Option<Outcome> {
        if !self.options_are_checked {
            self.options_are_checked = true;
            self.precautions.options_are_inherited =
                options_are_inherited(&stream, self.config.idle_timeout);
        }
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

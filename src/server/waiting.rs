//! Clients that wait for a session while there is none.
//!
//! There are few places: a client that finds none is told at once, and one that waits too long then.
//! So nobody is left in silence, and the one that comes first, or whose source has fewest sessions,
//! gets the next session.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::table::Source;
use crate::sys::Slots;

/// Enough for as many sessions as end while a client gives up, few enough not to use up descriptors.
pub(super) const PLACES: usize = 64;
/// How many of them one source may take.
const PLACES_PER_SOURCE: usize = PLACES - PLACES / 4;

pub(super) struct Waiting {
    streams: [Option<TcpStream>; PLACES],
    clients: Slots<Client>,
    len: usize,
    timeout: Duration,
}

#[derive(Clone, Copy)]
struct Client {
    peer: SocketAddr,
    since: Instant,
}

impl Waiting {
    /// Nobody yet; each may wait for this long.
    pub(super) fn new(timeout: Duration) -> io::Result<Self> {
        Ok(Waiting {
            streams: [const { None }; PLACES],
            clients: Slots::new(PLACES)?,
            len: 0,
            timeout,
        })
    }

    fn clients(&self) -> impl Iterator<Item = (usize, &Client)> {
        let places = if self.len == 0 { 0 } else { PLACES };
        (0..places).filter_map(|place| Some((place, self.clients.get(place)?)))
    }

    /// How many clients of a source wait.
    pub(super) fn of(&self, source: Source) -> usize {
        let same = |(_, client): &(usize, &Client)| Source::of(client.peer) == source;
        self.clients().filter(same).count()
    }

    /// Lets a client wait.
    ///
    /// # Errors
    ///
    /// The client itself, if there is no place for it.
    pub(super) fn push(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        now: Instant,
    ) -> Result<(), TcpStream> {
        let free = self.streams.iter().position(Option::is_none);
        match free.filter(|_| self.of(Source::of(peer)) < PLACES_PER_SOURCE) {
            None => Err(stream),
            Some(place) => {
                self.streams[place] = Some(stream);
                self.clients.set(place, Some(Client { peer, since: now }));
                self.len += 1;
                Ok(())
            }
        }
    }

    /// The one whose source has the fewest sessions; among these, the one that has waited longest.
    pub(super) fn next(
        &mut self,
        sessions_of: impl Fn(Source) -> usize,
    ) -> Option<(TcpStream, SocketAddr)> {
        let rank =
            |(_, client): &(usize, &Client)| (sessions_of(Source::of(client.peer)), client.since);
        let (place, _) = self.clients().min_by_key(rank)?;
        self.take(place)
    }

    /// One that has waited for too long.
    pub(super) fn next_expired(&mut self, now: Instant) -> Option<(TcpStream, SocketAddr)> {
        let is_expired = |since: Instant| now.saturating_duration_since(since) >= self.timeout;
        let (place, _) = self
            .clients()
            .find(|(_, client)| is_expired(client.since))?;
        self.take(place)
    }

    /// One of them, whichever.
    pub(super) fn next_of_all(&mut self) -> Option<(TcpStream, SocketAddr)> {
        let (place, _) = self.clients().next()?;
        self.take(place)
    }

    fn take(&mut self, place: usize) -> Option<(TcpStream, SocketAddr)> {
        let peer = self.clients.get(place)?.peer;
        self.clients.set(place, None);
        self.len -= 1;
        Some((self.streams[place].take()?, peer))
    }

    /// When somebody has waited for too long.
    pub(super) fn due(&self) -> Option<Instant> {
        let oldest = self.clients().map(|(_, client)| client.since).min();
        oldest.and_then(|since| since.checked_add(self.timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn stream() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens")
    }

    fn peer(last: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], port))
    }

    #[test]
    fn the_source_with_fewest_sessions_comes_first_and_then_who_waited_longest() {
        let mut waiting = Waiting::new(Duration::from_secs(10)).expect("memory");
        let start = Instant::now();
        for (second, last) in (0..).zip([1, 1, 2, 2]) {
            let now = start + Duration::from_secs(second);
            assert!(
                waiting
                    .push(stream(), peer(last, second as u16), now)
                    .is_ok()
            );
        }
        let sessions = |source| usize::from(source == Source::of(peer(1, 0)));
        let ports: Vec<_> = std::iter::from_fn(|| waiting.next(sessions))
            .map(|(_, peer)| peer.port())
            .collect();
        assert_eq!(ports, [2, 3, 0, 1]);
        assert_eq!(waiting.due(), None);
    }

    #[test]
    fn one_source_cannot_take_all_places_and_nobody_waits_for_ever() {
        let mut waiting = Waiting::new(Duration::from_secs(10)).expect("memory");
        let now = Instant::now();
        let taken =
            (0..PLACES as u16).filter(|&port| waiting.push(stream(), peer(1, port), now).is_ok());
        assert_eq!(taken.count(), PLACES_PER_SOURCE);
        assert!(waiting.push(stream(), peer(2, 0), now).is_ok());
        assert_eq!(waiting.due(), Some(now + Duration::from_secs(10)));
        assert!(waiting.next_expired(now).is_none());
        let later = now + Duration::from_secs(10);
        let expired = std::iter::from_fn(|| waiting.next_expired(later)).count();
        assert_eq!(expired, PLACES_PER_SOURCE + 1);
    }
}

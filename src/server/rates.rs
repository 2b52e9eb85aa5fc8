//! How fast a source may connect.
//!
//! A token bucket for each source, as the time at which it would be full again. Only as many sources
//! are remembered as there is room for: of those that share a place, the one that is nearest to a
//! full bucket is forgotten.

use std::hash::RandomState;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::table::{Key, Source};
use crate::sys::Slots;

const PLACES: usize = 4096;
/// Places that a source may be at.
const CHOICES: usize = 4;
/// What a bucket holds, in seconds of connections.
const BURST: u32 = 4;

/// How many connections a second a source may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimit {
    pub(crate) per_second: u32,
    /// Whether that goes for this machine as well. A proxy on it connects for everybody, and whoever
    /// may run programs on it has shorter ways to use it up.
    pub(crate) includes_loopback: bool,
}

pub(super) struct Rates {
    limit: RateLimit,
    start: Instant,
    /// Sources, and when the bucket of each is full.
    full_at: Slots<(Source, Duration)>,
    random: RandomState,
}

impl Rates {
    pub(super) fn new(limit: RateLimit, start: Instant) -> io::Result<Self> {
        Ok(Rates {
            limit,
            start,
            full_at: Slots::new(PLACES)?,
            random: RandomState::new(),
        })
    }

    /// Takes a token from the bucket of a peer; `false` if there is none.
    pub(super) fn admit(&mut self, peer: SocketAddr, now: Instant) -> bool {
        if peer.ip().to_canonical().is_loopback() && !self.limit.includes_loopback {
            return true;
        }
        let source = Source::of(peer);
        let now = now.saturating_duration_since(self.start);
        let place = self.place_of(source);
        let full_at = match self.full_at.get(place) {
            Some(&(other, full_at)) if other == source => full_at.max(now),
            _ => now,
        };
        if full_at - now > Duration::from_secs(BURST.into()) {
            return false;
        }
        let token = Duration::from_secs(1) / self.limit.per_second;
        self.full_at.set(place, Some((source, full_at + token)));
        true
    }

    fn place_of(&self, source: Source) -> usize {
        let first = source.home(&self.random);
        let places = (0..CHOICES).map(|choice| (first.wrapping_add(choice)) % PLACES);
        let is_it = |place: &usize| {
            self.full_at
                .get(*place)
                .is_some_and(|(other, _)| *other == source)
        };
        let known = places.clone().find(is_it);
        let nearest =
            || places.min_by_key(|&place| self.full_at.get(place).map(|(_, full_at)| *full_at));
        known.or_else(nearest).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_and_others_have_their_own() {
        let limit = RateLimit {
            per_second: 10,
            includes_loopback: false,
        };
        let start = Instant::now();
        let mut rates = Rates::new(limit, start).expect("memory");
        let peer = |last| SocketAddr::from(([192, 0, 2, last], 9));
        let burst = (0..100).filter(|_| rates.admit(peer(1), start)).count();
        assert_eq!(burst, 41);
        assert!(rates.admit(peer(2), start));
        let later = start + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| rates.admit(peer(1), later)).count(), 10);
        let local = SocketAddr::from(([127, 0, 0, 1], 9));
        assert!((0..100).all(|_| rates.admit(local, start)));
    }

    #[test]
    fn more_sources_than_places_are_no_failure() {
        let limit = RateLimit {
            per_second: 1,
            includes_loopback: true,
        };
        let start = Instant::now();
        let mut rates = Rates::new(limit, start).expect("memory");
        for number in 0..3 * PLACES as u32 {
            let peer = SocketAddr::from((number.to_be_bytes(), 9));
            assert!(rates.admit(peer, start));
        }
    }
}

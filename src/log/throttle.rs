//! What clients can repeat at will is logged a few times in a period, and then summed up.

use std::mem;
use std::time::{Duration, Instant};

/// What clients can bring about at will: a few of a kind are logged, and then their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    SessionRefused,
    ClientsWait,
    SessionFailed,
    SessionKilled,
    RecordDropped,
    CannotAccept,
    ManagerNotTold,
}

impl Event {
    pub(super) const ALL: [Event; 7] = [
        Event::SessionRefused,
        Event::ClientsWait,
        Event::SessionFailed,
        Event::SessionKilled,
        Event::RecordDropped,
        Event::CannotAccept,
        Event::ManagerNotTold,
    ];

    pub(super) fn message(self) -> &'static str {
        match self {
            Event::SessionRefused => "session refused",
            Event::ClientsWait => "no session is left; clients wait",
            Event::SessionFailed => "session failed",
            Event::SessionKilled => "session killed",
            Event::RecordDropped => "record dropped",
            Event::ManagerNotTold => "cannot tell the service manager",
            Event::CannotAccept => "cannot accept; clients wait until it works again",
        }
    }
}

/// Lets a few events of a kind through in each period. At its end, or with the first one of the
/// next, it tells how many were held back.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    period_end: Option<Instant>,
    admitted: u32,
    held_back: u64,
}

impl Throttle {
    pub(super) const PERIOD: Duration = Duration::from_secs(10);
    pub(super) const EVENTS_PER_PERIOD: u32 = 10;

    /// How many events were held back before this one; `None` if this one is.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.period_end.is_none_or(|end| end <= now) {
            (self.period_end, self.admitted) = (Some(now + Throttle::PERIOD), 0);
        }
        if self.admitted == Throttle::EVENTS_PER_PERIOD {
            self.held_back += 1;
            return None;
        }
        self.admitted += 1;
        Some(mem::take(&mut self.held_back))
    }

    /// When a sum is due, if events are held back.
    pub(super) fn due(&self) -> Option<Instant> {
        self.period_end.filter(|_| self.held_back > 0)
    }

    /// How many events were held back; they are told now.
    pub(super) fn take_sum(&mut self) -> u64 {
        mem::take(&mut self.held_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_holds_back_and_tells_how_many() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        for _ in 0..Throttle::EVENTS_PER_PERIOD {
            assert_eq!(throttle.admit(start), Some(0));
        }
        assert_eq!(throttle.due(), None);
        assert_eq!(throttle.admit(start), None);
        assert_eq!(throttle.admit(start + Throttle::PERIOD / 2), None);
        assert_eq!(throttle.due(), Some(start + Throttle::PERIOD));
        assert_eq!(throttle.admit(start + Throttle::PERIOD), Some(2));
        assert_eq!(throttle.admit(start + Throttle::PERIOD), Some(0));
        assert_eq!((throttle.due(), throttle.take_sum()), (None, 0));
    }
}

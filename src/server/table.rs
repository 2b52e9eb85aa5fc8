//! Tables of the parent, in memory that no child gets.
//!
//! They have a fixed number of places, so that nothing that clients do makes them grow.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::unistd::Pid;

use crate::sys::Slots;

/// What values are found by.
pub(super) trait Key: Copy + Eq {
    /// Where to look first.
    fn home(&self, random: &RandomState) -> usize;
}

impl Key for Pid {
    /// Numbers of processes mostly ascend, so that those that live are side by side.
    fn home(&self, _random: &RandomState) -> usize {
        self.as_raw().unsigned_abs() as usize
    }
}

/// Whose sessions are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    Host(Ipv4Addr),
    /// The upper half of an address; one host has the lower half to itself.
    Network(u64),
}

impl Source {
    pub(super) fn of(peer: SocketAddr) -> Source {
        match peer.ip().to_canonical() {
            IpAddr::V4(address) => Source::Host(address),
            IpAddr::V6(address) => Source::Network((address.to_bits() >> 64) as u64),
        }
    }
}

impl Key for Source {
    /// Clients choose it, so that they must not know where it leads.
    fn home(&self, random: &RandomState) -> usize {
        random.hash_one(self) as usize
    }
}

/// A hash table with linear probing.
pub(super) struct Table<K: Key, V: Copy> {
    slots: Slots<(K, V)>,
    len: usize,
    capacity: usize,
    random: RandomState,
}

impl<K: Key, V: Copy> Table<K, V> {
    /// A table for this many values.
    pub(super) fn new(capacity: usize) -> io::Result<Self> {
        // Half of the places stay empty, so that searches are short.
        let places = capacity
            .max(4)
            .checked_mul(2)
            .and_then(usize::checked_next_power_of_two);
        Ok(Table {
            slots: Slots::new(places.ok_or(io::ErrorKind::OutOfMemory)?)?,
            len: 0,
            capacity,
            random: RandomState::new(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn wrap(&self, place: usize) -> usize {
        place & (self.slots.len() - 1)
    }

    /// The place of a key, or the empty one where it would be.
    fn place_of(&self, key: &K) -> usize {
        let mut place = self.wrap(key.home(&self.random));
        while self.slots.get(place).is_some_and(|(other, _)| other != key) {
            place = self.wrap(place + 1);
        }
        place
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.slots.get(self.place_of(key)).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.place_of(key);
        self.slots.get_mut(place).map(|(_, value)| value)
    }

    /// Puts a value in; one with the same key is replaced. Nothing happens if the table is full.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let place = self.place_of(&key);
        let is_new = self.slots.get(place).is_none();
        if is_new && self.len == self.capacity {
            return;
        }
        self.slots.set(place, Some((key, value)));
        self.len += usize::from(is_new);
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let mut gap = self.place_of(key);
        let (_, removed) = *self.slots.get(gap)?;
        // What was put behind for want of the place moves up, so that no search ends at the gap.
        let mut next = gap;
        loop {
            next = self.wrap(next + 1);
            let Some(&entry) = self.slots.get(next) else {
                break;
            };
            let home = self.wrap(entry.0.home(&self.random));
            let is_between = self.wrap(next.wrapping_sub(home)) < self.wrap(next.wrapping_sub(gap));
            if !is_between {
                self.slots.set(gap, Some(entry));
                gap = next;
            }
        }
        self.slots.set(gap, None);
        self.len -= 1;
        Some(removed)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = K> {
        let places = (0..self.slots.len()).filter_map(|place| self.slots.get(place));
        places.map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_source_is_a_host_or_a_network() {
        let peer = |address: &str| SocketAddr::new(address.parse().expect("an address"), 9);
        let same = |one, other| Source::of(peer(one)) == Source::of(peer(other));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(same("2001:db8::1", "2001:db8::ffff:0:0:1"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
    }

    proptest! {
        #[test]
        fn a_table_is_a_map(steps in prop::collection::vec((0..40i32, any::<Option<u8>>()), 0..200)) {
            let mut table = Table::new(40).expect("memory");
            let mut map = BTreeMap::new();
            for (key, value) in steps {
                // Keys that share a place, in a table of 128 of them.
                let key = Pid::from_raw(1 + key % 8 + key / 8 * 128);
                match value {
                    Some(value) => {
                        table.insert(key, value);
                        map.insert(key, value);
                    }
                    None => prop_assert_eq!(table.remove(&key), map.remove(&key)),
                }
                prop_assert_eq!(table.len(), map.len());
                for (key, value) in &map {
                    prop_assert_eq!(table.get(key), Some(value));
                }
            }
            let mut keys: Vec<_> = table.keys().collect();
            keys.sort();
            prop_assert!(keys.iter().eq(map.keys()));
        }
    }

    #[test]
    fn a_full_table_takes_no_more() {
        let mut table = Table::new(1).expect("memory");
        for pid in [1, 2] {
            table.insert(Pid::from_raw(pid), pid);
        }
        assert_eq!((table.len(), table.get(&Pid::from_raw(2))), (1, None));
    }
}

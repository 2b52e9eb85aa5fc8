//! Reads that grow with what arrives.
//!
//! A stream of values is read in large pieces, so that system calls are rare next to parsing. A
//! session that is idle or chatty never needs more than the first page or two, and owns no more.

use std::io::{self, Read};

/// Where a session begins.
const LEAST: usize = 8 * 1024;
/// Beyond it, a read costs little next to the work on what it brings, and the octets would be out of
/// the second-level cache before they are parsed.
const MOST: usize = 256 * 1024;

/// The place that a connection is read into.
#[derive(Debug)]
pub(crate) struct Input {
    octets: Vec<u8>,
    /// Whether the last read filled it, so that there probably is more.
    filled: bool,
}

impl Input {
    pub(crate) fn new() -> Self {
        Input {
            octets: vec![0; LEAST],
            filled: false,
        }
    }

    /// Reads once; nothing is the end of the stream.
    ///
    /// # Errors
    ///
    /// Those of `stream`.
    pub(crate) fn read_from(&mut self, stream: &mut impl Read) -> io::Result<&[u8]> {
        if self.filled && self.octets.len() < MOST {
            // Nothing of what it holds is needed any more.
            self.octets = vec![0; 2 * self.octets.len()];
        }
        let length = stream.read(&mut self.octets)?;
        self.filled = length == self.octets.len();
        Ok(&self.octets[..length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_grow_while_they_come_back_full() {
        let mut input = Input::new();
        let mut stream = io::repeat(b'1');
        let mut lengths = (0..8).map(|_| input.read_from(&mut stream).map_or(0, <[u8]>::len));
        assert!(
            lengths
                .by_ref()
                .take(6)
                .is_sorted_by(|a, b| 2 * a == *b || *b == MOST)
        );
        assert_eq!(lengths.collect::<Vec<_>>(), [MOST, MOST]);
    }

    #[test]
    fn a_chatty_peer_stays_in_the_first_pages() {
        let mut input = Input::new();
        for _ in 0..1000 {
            let read = input.read_from(&mut &b"count\n"[..]);
            assert_eq!(read.map_or(0, <[u8]>::len), 6);
        }
        assert_eq!(input.octets.len(), LEAST);
    }

    #[test]
    fn the_end_of_the_stream_is_nothing() {
        let mut input = Input::new();
        assert!(matches!(input.read_from(&mut io::empty()), Ok([])));
    }
}

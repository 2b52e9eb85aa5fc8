//! Bounded framing: bytes to lines.
//!
//! A line is what stands before an LF. Its length, the LF included, is bounded, and so is the memory
//! that a peer can make [`Framer`] use. How the bytes were cut into reads never shows in the result.

/// Cuts a stream of bytes, handed over in pieces, into lines.
#[derive(Clone, Debug)]
pub struct Framer {
    /// Longest line in octets, its LF included.
    limit: usize,
    /// The beginning of a line whose LF has not arrived; always shorter than `limit`.
    partial: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// `partial` is the beginning of the next line.
    Collecting,
    /// `partial` is the line that was returned last.
    Returned,
    /// The line is too long; everything up to its LF is dropped.
    Dropping,
}

/// A line without its LF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// All the octets before the LF.
    Whole(&'a [u8]),
    /// The line was longer than the limit. There is one of these for each such line, at its LF.
    TooLong,
}

impl Framer {
    /// Accepts lines of up to `limit` octets, the LF included.
    pub fn new(limit: usize) -> Self {
        Framer {
            limit,
            partial: Vec::new(),
            state: State::Collecting,
        }
    }

    /// Whether the next octet begins a line.
    pub fn is_between_lines(&self) -> bool {
        match self.state {
            State::Collecting => self.partial.is_empty(),
            State::Returned => true,
            State::Dropping => false,
        }
    }

    /// The longest line in octets, its LF included.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes the next complete line from the front of `input`, or all of `input` if there is none.
    ///
    /// Only a line that arrives in several pieces is copied.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<Line<'a>> {
        if self.state == State::Returned {
            self.partial.clear();
            self.state = State::Collecting;
        }
        let end = memchr::memchr(b'\n', input);
        let (piece, rest) = match end {
            Some(end) => (&input[..end], &input[end + 1..]),
            None => (*input, &[][..]),
        };
        *input = rest;

        // Whether or not its LF is there already, the line is at least this long.
        if self.partial.len() + piece.len() + 1 > self.limit {
            self.partial.clear();
            self.state = State::Dropping;
        }
        match (end, self.state) {
            (Some(_), State::Dropping) => {
                self.state = State::Collecting;
                Some(Line::TooLong)
            }
            (None, State::Dropping) => None,
            (Some(_), _) if self.partial.is_empty() => Some(Line::Whole(piece)),
            (Some(_), _) => {
                self.partial.extend_from_slice(piece);
                self.state = State::Returned;
                Some(Line::Whole(&self.partial))
            }
            (None, _) => {
                self.partial.extend_from_slice(piece);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines of a stream cut into `pieces`; `None` stands for one that is too long.
    fn lines<'a>(limit: usize, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Option<Vec<u8>>> {
        let mut framer = Framer::new(limit);
        let mut lines = Vec::new();
        for mut piece in pieces {
            while let Some(line) = framer.next(&mut piece) {
                lines.push(match line {
                    Line::Whole(text) => Some(text.to_vec()),
                    Line::TooLong => None,
                });
            }
            assert!(framer.partial.len() < limit, "memory is bounded");
        }
        lines
    }

    fn whole(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn two_lines_in_one_piece_are_two_lines() {
        let found = lines(80, [&b"1\n2\n"[..]].into_iter());
        assert_eq!(found, [whole("1"), whole("2")]);
    }

    #[test]
    fn one_line_in_many_pieces_is_one_line() {
        let found = lines(80, b"count\nsum\n".chunks(1));
        assert_eq!(found, [whole("count"), whole("sum")]);
    }

    #[test]
    fn a_line_without_its_end_is_no_line() {
        assert_eq!(lines(80, [&b"count"[..]].into_iter()), []);
    }

    #[test]
    fn empty_lines_are_lines() {
        assert_eq!(
            lines(80, [&b"\n\n"[..]].into_iter()),
            [whole(""), whole("")]
        );
    }

    #[test]
    fn the_limit_includes_the_newline() {
        for size in 1..10 {
            let found = lines(5, b"1234\n12345\n123456\n1\n".chunks(size));
            assert_eq!(
                found,
                [whole("1234"), None, None, whole("1")],
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_the_limit() {
        let flood = vec![b'x'; 1 << 20];
        let mut framer = Framer::new(100);
        for mut piece in flood.chunks(1000) {
            assert_eq!(framer.next(&mut piece), None);
        }
        assert!(framer.partial.capacity() <= 200);
        assert_eq!(framer.next(&mut &b"\n"[..]), Some(Line::TooLong));
        assert_eq!(framer.next(&mut &b"1\n"[..]), Some(Line::Whole(b"1")));
    }

    proptest! {
        #[test]
        fn cuts_never_show(
            bytes in prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 0..200),
            limit in 1usize..12,
            cuts in prop::collection::vec(0usize..200, 0..20),
        ) {
            let expected: Vec<_> = bytes
                .split_inclusive(|&byte| byte == b'\n')
                .filter_map(|line| line.strip_suffix(b"\n"))
                .map(|line| (line.len() < limit).then(|| line.to_vec()))
                .collect();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort();
            let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(lines(limit, pieces), expected);
        }
    }
}

//! Blocks of bytes to values: what a session does most of its time.
//!
//! A line that holds a value gets no reply, so a run of such lines can be read at once. [`Ingest`]
//! takes them off the front of a block and leaves a batch of `f64` in the cache of the processor;
//! adding up the batch afterwards is faster than adding up in the loop that parses. It stops in front
//! of a line that is anything else. Nothing is allocated, copied or asked of the system per value.
//!
//! There are three paths. The portable one reads octet after octet, and knows where a line ends once
//! it has read it. The vector paths first find the ends of many lines, and then have the digits of
//! four or eight lines side by side: neither stage waits for the other, or for a guess of a length. A
//! line that is too long or too odd for a path takes the next more general one, which
//! ends at [`Request::parse`]; all give the same values, to the last bit.

#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vector;

use memchr::memchr;

use crate::decimal;
use crate::processor::Level;
use crate::protocol::Request;
use crate::stats::{MAX_BATCH, Statistics};

/// Reads lines that are values, a batch at a time.
///
/// ```
/// use meta_stats_server::ingest::Ingest;
///
/// let mut input = &b"1\n2.5\ncount\n3\n"[..];
/// assert_eq!(Ingest::new().take(&mut input, 80), [1.0, 2.5]);
/// assert_eq!(input, b"count\n3\n");
/// ```
#[derive(Clone, Debug)]
pub struct Ingest {
    values: Box<[f64; MAX_BATCH]>,
    level: Level,
    #[cfg(target_arch = "x86_64")]
    vector: Option<vector::Vector>,
}

impl Ingest {
    /// The fastest that this processor can do.
    pub fn new() -> Self {
        Ingest::with(Level::highest())
    }

    /// One for each path that this processor can take, the fastest first: what tests compare.
    pub fn all() -> Vec<Self> {
        Level::all().map(Ingest::with).collect()
    }

    /// The path that every processor can take.
    pub fn portable() -> Self {
        Ingest::with(Level::Portable)
    }

    fn with(level: Level) -> Self {
        Ingest {
            values: Box::new([0.0; MAX_BATCH]),
            level,
            #[cfg(target_arch = "x86_64")]
            vector: vector::Vector::new(level),
        }
    }

    /// Takes lines off the front of `input`, which must begin with a line, and returns their values.
    ///
    /// It stops when the batch is full, and in front of the first line that is no value, is longer
    /// than `limit` octets with its LF, or is not complete. Without any value to return it takes
    /// nothing.
    pub fn take(&mut self, input: &mut &[u8], limit: usize) -> &[f64] {
        let mut batch = Batch {
            values: &mut self.values,
            len: 0,
            limit,
        };
        #[cfg(target_arch = "x86_64")]
        let more = match &mut self.vector {
            Some(vector) => vector.take(input, &mut batch),
            None => true,
        };
        #[cfg(not(target_arch = "x86_64"))]
        let more = true;
        while more && batch.len < MAX_BATCH && batch.take_line(input) {}
        let len = batch.len;
        &self.values[..len]
    }

    /// Takes lines as [`Ingest::take`] does, until it takes nothing, and adds up their values.
    pub fn add_to(&mut self, statistics: &mut Statistics, input: &mut &[u8], limit: usize) {
        loop {
            let len = self.take(input, limit).len();
            if len == 0 {
                return;
            }
            statistics.add_batch(&mut self.values[..len], self.level);
        }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Self::new()
    }
}

/// The values of a batch so far.
struct Batch<'a> {
    values: &'a mut [f64; MAX_BATCH],
    len: usize,
    limit: usize,
}

impl Batch<'_> {
    /// Takes one line, if it is complete and a value.
    #[inline]
    fn take_line(&mut self, input: &mut &[u8]) -> bool {
        if let Some((value, [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..])) =
            decimal::leading(input)
            && input.len() - rest.len() <= self.limit
        {
            self.push(value);
            *input = rest;
            return true;
        }
        let Some(end) = memchr(b'\n', input) else {
            return false;
        };
        let (line, rest) = input.split_at(end + 1);
        let Some(value) = any_line(line, self.limit) else {
            return false;
        };
        self.push(value);
        *input = rest;
        true
    }

    fn push(&mut self, value: f64) {
        self.values[self.len] = value;
        self.len += 1;
    }
}

/// The value of a line, given with its LF, if it is not too long and a value in any form.
#[cold]
fn any_line(line: &[u8], limit: usize) -> Option<f64> {
    let text = line.strip_suffix(b"\n").filter(|_| line.len() <= limit)?;
    match Request::parse(text) {
        Ok(Request::Value(value)) => Some(value),
        _ => None,
    }
}

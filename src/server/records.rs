//! The pipe: children put records in, the parent adds up the means.

use std::fmt::Display;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::log::{Field, Log, Throttle};
use crate::record::{RECORD_LEN, Record};
use crate::stats::Statistics;

/// Few, because after each fork the parent has to copy every page of its stack that it writes to.
const RECORDS_PER_READ: usize = 16;

pub(super) struct Records {
    reader: PipeReader,
    /// What children inherit. The parent keeps it, too: with no writer left, the read end would
    /// be ready for ever.
    writer: PipeWriter,
    means: Statistics,
    log: Log,
    dropped: Throttle,
}

impl Records {
    pub(super) fn open(log: Log) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        // The ends are two descriptions: children still block while the pipe is full.
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Records {
            reader,
            writer,
            means: Statistics::new(),
            log,
            dropped: Throttle::default(),
        })
    }

    /// The statistics of the means that have been drained.
    pub(super) fn means(&self) -> &Statistics {
        &self.means
    }

    /// Adds up what is in the pipe. A child writes one record and no child is started meanwhile, so
    /// there are no more of them than children.
    pub(super) fn drain(&mut self) {
        let mut buffer = [0; RECORDS_PER_READ * RECORD_LEN];
        loop {
            match self.reader.read(&mut buffer) {
                Ok(0) => return,
                Ok(received) => self.absorb(&buffer[..received]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Takes whole records; the pipe holds nothing else, because each is written atomically.
    fn absorb(&mut self, bytes: &[u8]) {
        let (records, rest) = bytes.as_chunks::<RECORD_LEN>();
        for record in records {
            match Record::decode(record) {
                Ok(record) => self.means.add(record.mean),
                Err(error) => self.dropped(&error),
            }
        }
        if !rest.is_empty() {
            let length = rest.len();
            self.dropped(&format_args!("{length} octets are no record"));
        }
    }

    fn dropped(&mut self, reason: &dyn Display) {
        let fields = [("reason", Field::Text(reason))];
        self.dropped.warning(self.log, "record dropped", &fields);
    }

    /// In a child: keeps the write end and closes the other.
    pub(super) fn into_writer(self) -> PipeWriter {
        // To free its memory would be to copy it first.
        mem::forget(self.means);
        self.writer
    }
}

impl AsFd for Records {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl AsRawFd for Records {
    fn as_raw_fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn drained(writes: &[&[u8]]) -> Statistics {
        let mut records = Records::open(Log::default()).expect("a pipe");
        for bytes in writes {
            records.writer.write_all(bytes).expect("room in the pipe");
        }
        records.drain();
        records.means
    }

    fn record(mean: f64) -> [u8; RECORD_LEN] {
        let (pid, count) = (1, 1);
        Record { pid, count, mean }.encode()
    }

    #[test]
    fn an_empty_pipe_does_not_block() {
        assert_eq!(drained(&[]).count(), 0);
    }

    #[test]
    fn every_record_counts_however_many_share_a_read() {
        let all: Vec<_> = (0..1000).map(|mean| record(mean.into())).collect();
        let means = drained(&all.iter().map(|record| &record[..]).collect::<Vec<_>>());
        assert_eq!((means.count(), means.mean()), (1000, 499.5));
    }

    #[test]
    fn zero_and_negative_means_count() {
        let means = drained(&[&record(0.0), &record(-3.0)]);
        assert_eq!((means.count(), means.mean()), (2, -1.5));
    }

    #[test]
    fn a_bad_record_is_dropped_and_the_next_one_counts() {
        let means = drained(&[&[0; RECORD_LEN], &record(2.0), b"rubbish"]);
        assert_eq!((means.count(), means.mean()), (1, 2.0));
    }
}

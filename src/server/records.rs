//! The pipe: children put records in, the parent adds up the means.
//!
//! A record is written in one piece, but what is between two of them is up to whoever holds a write
//! end. So each position is looked at, and where a record of a session is found that has the secret
//! of that session, it counts, whatever is around it. That needs no packets, of which a pipe would
//! hold one a page: one of 64 KiB holds 2048 records and not 16.

use std::fmt::Display;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::Pid;

use super::children::{Children, Forgery, session, with_reason};
use crate::log::{Event, Field, Log};
use crate::record::{RECORD_LEN, Record};
use crate::stats::Statistics;
use crate::sys::{self, Bytes};

/// How much a pipe holds where it cannot be asked.
const USUAL_CAPACITY: usize = 64 * 1024;

/// What is read at a time.
const BLOCK: usize = 4096;

pub(super) struct Records {
    reader: PipeReader,
    /// What children inherit. The parent keeps it, too: with no writer left, the read end would
    /// be ready for ever.
    writer: PipeWriter,
    /// How much the pipe holds.
    capacity: usize,
    /// Octets that may begin a record whose rest was not read yet, then room for the next read.
    buffer: Bytes,
    kept: usize,
    /// Where the last record in the buffer ends.
    taken: usize,
    means: Statistics,
    dropped: u64,
}

impl Records {
    pub(super) fn open() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        // Above all others that the server opens at its start.
        let reader = sys::move_to(reader, 32);
        // It has the lowest number now that the other one is gone.
        let writer = sys::move_down(writer);
        // The ends are two descriptions: children still block while the pipe is full.
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Records {
            capacity: capacity_of(&reader),
            reader,
            writer,
            buffer: Bytes::new(RECORD_LEN + BLOCK)?,
            kept: 0,
            taken: 0,
            means: Statistics::new(),
            dropped: 0,
        })
    }

    /// The statistics of the means that have been drained.
    pub(super) fn means(&self) -> &Statistics {
        &self.means
    }

    /// How often something was dropped that is not the record of a session.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Adds up all that is in the pipe now. What is written meanwhile may be left to the next time,
    /// so that no writer keeps the server here.
    pub(super) fn drain(&mut self, children: &mut Children, log: &Log) {
        let mut drained = 0;
        while drained < self.capacity {
            match self.reader.read(&mut self.buffer[self.kept..]) {
                Ok(0) => return,
                Ok(received) => {
                    drained += received;
                    self.absorb(self.kept + received, children, log);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Takes the records among the first `length` octets of the buffer, and keeps what may be the
    /// start of one.
    ///
    /// The inside of a record is looked at as well: one that a session began and left to the next
    /// writer to complete takes nothing from that one.
    fn absorb(&mut self, length: usize, children: &mut Children, log: &Log) {
        let mut at = Record::next_start(&self.buffer[..length]);
        let mut stray = at.saturating_sub(self.taken);
        while let Some(octets) = self.buffer[at..length].first_chunk::<RECORD_LEN>() {
            if let Ok((record, secret)) = Record::decode_sealed(octets) {
                self.taken = at + RECORD_LEN;
                match children.claim(record.pid, secret) {
                    Ok(()) => self.means.add(record.mean),
                    Err(forgery) => self.refuse(record.pid, forgery, log),
                }
            }
            let next = at + 1 + Record::next_start(&self.buffer[at + 1..length]);
            stray += next.saturating_sub(self.taken.max(at));
            at = next;
        }
        if stray > 0 {
            let reason = format_args!("{stray} octets are no record");
            self.drop_for(&[], &reason, log);
        }
        self.buffer.copy_within(at..length, 0);
        self.kept = length - at;
        self.taken = self.taken.saturating_sub(at);
    }

    fn refuse(&mut self, pid: u32, forgery: Forgery, log: &Log) {
        let number = [("pid", Field::Number(pid.into()))];
        match forgery {
            Forgery::NoSession => self.drop_for(&number, &"no session has this number", log),
            Forgery::NotItsOwn => self.drop_for(&number, &"it is not of that session", log),
            Forgery::Again(peer) => {
                self.dropped += 1;
                let pid = Pid::from_raw(pid.cast_signed());
                let fields = with_reason(session(pid, &peer), &"this session has counted its mean");
                log.event(Event::RecordDropped, &fields);
            }
        }
    }

    fn drop_for(&mut self, fields: &[(&'static str, Field<'_>)], reason: &dyn Display, log: &Log) {
        self.dropped += 1;
        let reason = [("reason", Field::Text(reason))];
        log.event(Event::RecordDropped, &[fields, &reason].concat());
    }

    /// In a child: keeps the write end alone.
    pub(super) fn into_writer(self) -> PipeWriter {
        // To free its memory would be to copy it first.
        mem::forget(self.means);
        // The set-up of the session closes it, with all others at once.
        #[cfg(target_os = "linux")]
        mem::forget(self.reader);
        self.writer
    }
}

#[cfg(target_os = "linux")]
fn capacity_of(pipe: &PipeReader) -> usize {
    let capacity = fcntl(pipe, FcntlArg::F_GETPIPE_SZ).ok();
    let capacity = capacity.and_then(|capacity| usize::try_from(capacity).ok());
    capacity.unwrap_or(USUAL_CAPACITY)
}

#[cfg(not(target_os = "linux"))]
fn capacity_of(_pipe: &PipeReader) -> usize {
    USUAL_CAPACITY
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

    const SESSIONS: u32 = 1000;
    const SECRET: u64 = 0x0102_0304_0506_0708;

    /// What counts of these octets, written in pieces, if each session has the same secret; and how
    /// often something was dropped.
    fn drained(pieces: &[&[u8]]) -> (u64, f64, u64) {
        let log = Log::quiet();
        let mut children = Children::new(SESSIONS as usize).expect("memory");
        let peer = "192.0.2.1:9".parse().expect("an address");
        for pid in 1..=SESSIONS {
            children.add(Pid::from_raw(pid.cast_signed()), peer, SECRET, &log);
        }
        let mut records = Records::open().expect("a pipe");
        for piece in pieces {
            records.writer.write_all(piece).expect("room in the pipe");
            if records.kept > 0 {
                records.drain(&mut children, &log);
            }
        }
        records.drain(&mut children, &log);
        let means = records.means();
        (means.count(), means.mean(), records.dropped())
    }

    fn record(pid: u32, mean: f64) -> [u8; RECORD_LEN] {
        Record {
            pid,
            count: 1,
            mean,
        }
        .encode_sealed(SECRET)
    }

    #[test]
    fn an_empty_pipe_does_not_block() {
        assert_eq!(drained(&[]).0, 0);
    }

    #[test]
    fn every_record_counts_however_many_share_a_read() {
        let all: Vec<_> = (1..=SESSIONS).map(|pid| record(pid, pid.into())).collect();
        let pieces: Vec<_> = all.iter().map(|record| &record[..]).collect();
        assert_eq!(drained(&pieces), (1000, 500.5, 0));
    }

    #[test]
    fn zero_and_negative_means_count() {
        assert_eq!(drained(&[&record(1, 0.0), &record(2, -3.0)]), (2, -1.5, 0));
    }

    #[test]
    fn what_is_no_record_costs_none_of_those_around_it() {
        let [one, two, three] = [1, 2, 3].map(|pid| record(pid, 2.0));
        let forged = Record {
            pid: 2,
            count: 1,
            mean: 9.0,
        }
        .encode_sealed(SECRET + 1);
        for stray in [
            &b"x"[..],
            b"M",
            b"MSR1",
            b"MSR",
            &[0; 100],
            &one[..31],
            &forged[..31],
        ] {
            let (count, mean, dropped) = drained(&[&one, stray, &two, stray, stray, &three]);
            assert_eq!((count, mean), (3, 2.0), "{stray:?}");
            assert!(dropped > 0, "{stray:?}");
        }
        let (count, mean, dropped) = drained(&[&forged, &one, &forged, &two]);
        assert_eq!((count, mean, dropped), (2, 2.0, 2));
    }

    #[test]
    fn a_second_record_of_a_session_does_not_count() {
        let one = record(1, 5.0);
        assert_eq!(drained(&[&one, &one, &record(2, 5.0), &one]), (2, 5.0, 2));
    }
}

//! Standard error, written to without ever waiting for its reader.
//!
//! A line that there is no room for is dropped and counted. The count is told in front of the next
//! line that there is room for, or as soon as [`Sink::retry`] finds some.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::mem;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{FileStat, SFlag, fstat};

use super::line::{LINE_BUFFER, Line};
use crate::sys::{self, Bytes};

/// How to write such that nothing blocks.
enum Way {
    /// What never makes its writer wait, such as a file.
    Plain,
    /// The same pipe or terminal again. To change how the original one is open would change it for
    /// all who share it.
    Reopened(File),
    /// A socket, such as that of the journal.
    Socket,
    /// What can be neither: it is asked before each line whether it has room.
    Asked,
}

pub(super) struct Sink {
    way: Way,
    memory: Option<Bytes>,
    /// The rest of a line that was written in part.
    unsent: Range<usize>,
    dropped: u64,
}

impl Sink {
    pub(super) fn open() -> Self {
        Sink {
            way: Way::find(),
            // Without memory there is no log, and that is no reason not to serve.
            memory: Bytes::new(LINE_BUFFER).ok(),
            unsent: 0..0,
            dropped: 0,
        }
    }

    /// Whether something is to be told that there was no room for.
    pub(super) fn is_behind(&self) -> bool {
        self.dropped > 0 || !self.unsent.is_empty()
    }

    /// How many lines were dropped and are not told of.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Writes a line, or drops it.
    pub(super) fn write(
        &mut self,
        told_dropped: impl FnOnce(&mut Line<'_>, u64),
        make: impl FnOnce(&mut Line<'_>),
    ) {
        if !(self.retry(told_dropped) && self.put(make)) {
            self.dropped += 1;
        }
    }

    /// Writes what is behind. Returns whether nothing is any more.
    pub(super) fn retry(&mut self, told_dropped: impl FnOnce(&mut Line<'_>, u64)) -> bool {
        if !self.flush() {
            return false;
        }
        let dropped = mem::take(&mut self.dropped);
        if dropped > 0 && !self.put(|line| told_dropped(line, dropped)) {
            self.dropped = dropped;
            return false;
        }
        self.unsent.is_empty()
    }

    /// Makes a line and writes it. Returns whether it is on its way, be it in part.
    fn put(&mut self, make: impl FnOnce(&mut Line<'_>)) -> bool {
        let Some(memory) = &mut self.memory else {
            return false;
        };
        let mut line = Line::new(memory);
        make(&mut line);
        self.unsent = 0..line.end();
        self.flush();
        if self.unsent.start == 0 && !self.unsent.is_empty() {
            self.unsent = 0..0;
            return false;
        }
        true
    }

    /// Returns whether all is written.
    fn flush(&mut self) -> bool {
        let Some(memory) = &self.memory else {
            return false;
        };
        while !self.unsent.is_empty() {
            match self.way.write(&memory[self.unsent.clone()]) {
                Ok(0) => return false,
                Ok(length) => self.unsent.start += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

impl Way {
    fn find() -> Way {
        let Ok(status) = fstat(io::stderr()) else {
            return Way::Asked;
        };
        match SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT {
            // A file has a position that all who write to it share.
            SFlag::S_IFREG => Way::Plain,
            SFlag::S_IFCHR if !io::stderr().is_terminal() => Way::Plain,
            SFlag::S_IFSOCK => Way::Socket,
            _ => Way::reopened(&status).unwrap_or(Way::Asked),
        }
    }

    fn reopened(original: &FileStat) -> Option<Way> {
        let file = OpenOptions::new()
            .write(true)
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
            .open("/dev/fd/2")
            .ok()?;
        let status = fstat(&file).ok()?;
        let is_same = (status.st_dev, status.st_ino) == (original.st_dev, original.st_ino);
        is_same.then(|| Way::Reopened(sys::move_up(file)))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Way::Plain => io::stderr().write(bytes),
            Way::Reopened(file) => (&mut &*file).write(bytes),
            Way::Socket => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                Ok(send(2, bytes, flags)?)
            }
            Way::Asked => {
                let stderr = io::stderr();
                let mut asked = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
                poll(&mut asked, PollTimeout::ZERO)?;
                let has_room = asked[0]
                    .revents()
                    .is_some_and(|found| found.contains(PollFlags::POLLOUT));
                if !has_room {
                    return Err(ErrorKind::WouldBlock.into());
                }
                (&stderr).write(bytes)
            }
        }
    }
}

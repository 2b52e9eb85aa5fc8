//! The socket of a session: replies that are sent together, input that arrives in time, and a close
//! that delivers everything.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::End;
use crate::input::Input;

/// Replies that wait to be sent together, in octets.
pub(super) const REPLIES_LEN: usize = 16 * 1024;

/// How long a peer may stay silent once it was told that the session is over.
pub(super) const LINGER_IDLE: Duration = Duration::from_secs(5);
/// The same for one that was silent before.
pub(super) const LINGER_IDLE_AGAIN: Duration = Duration::from_secs(1);
/// How long a peer may go on sending once it was told that the session is over.
pub(super) const LINGER_TOTAL: Duration = Duration::from_secs(30);

/// Collects replies, in memory that was there before the fork.
pub(super) struct Replies<'a> {
    pub(super) unsent: &'a mut Vec<u8>,
    pub(super) stream: &'a TcpStream,
}

impl Replies<'_> {
    /// Sends what is left and this line, and ends the session like that.
    pub(super) fn end_with(&mut self, line: &[u8], end: End) -> io::Result<End> {
        self.write_all(line)?;
        self.flush()?;
        Ok(end)
    }
}

impl Write for Replies<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.unsent.len() + octets.len() > REPLIES_LEN {
            self.flush()?;
        }
        self.unsent.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(self.unsent)?;
        self.unsent.clear();
        Ok(())
    }
}

/// Receives input as long as it completes a line in time.
///
/// The time-out of the socket is the idle time-out, and counts from the call. That is right as long
/// as each read completes a line. Only where one did not, which no number of values in a row brings
/// about, is there a deadline to poll for.
pub(super) struct Receiver<'a> {
    stream: &'a TcpStream,
    idle_timeout: Duration,
    /// When the session is over, whatever the client does.
    expires_at: Option<Instant>,
    /// Since when no line was completed.
    idle_since: Instant,
    within_line: bool,
}

impl<'a> Receiver<'a> {
    pub(super) fn new(
        stream: &'a TcpStream,
        idle_timeout: Duration,
        expires_at: Option<Instant>,
    ) -> Self {
        Receiver {
            stream,
            idle_timeout,
            expires_at,
            idle_since: Instant::now(),
            within_line: false,
        }
    }

    /// The next input, nothing at its end; [`ErrorKind::WouldBlock`] if it completes no line in time,
    /// [`ErrorKind::TimedOut`] if the session has lasted too long, [`ErrorKind::Interrupted`] if the
    /// process was stopped meanwhile.
    pub(super) fn receive<'i>(&mut self, input: &'i mut Input) -> io::Result<&'i [u8]> {
        if !self.within_line {
            self.idle_since = Instant::now();
        }
        if self.within_line || self.expires_at.is_some() {
            self.await_input_in_time()?;
        }
        let mut stream = self.stream;
        let received = input.read_from(&mut stream)?;
        self.within_line = !received.contains(&b'\n');
        Ok(received)
    }

    fn await_input_in_time(&self) -> io::Result<()> {
        let idle_until = self.idle_since.checked_add(self.idle_timeout);
        let deadline = idle_until.into_iter().chain(self.expires_at).min();
        let is_over = || self.expires_at.is_some_and(|end| end <= Instant::now());
        // What a client sends without pause does not make its session last longer.
        if is_over() {
            return Err(ErrorKind::TimedOut.into());
        }
        match await_input(self.stream, deadline)? {
            true => Ok(()),
            false if is_over() => Err(ErrorKind::TimedOut.into()),
            false => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

/// Waits until there is input or its end. Tells whether that came before the deadline.
fn await_input(stream: &TcpStream, deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(false);
                }
                // Rounded up, so as not to spin through the last millisecond.
                i32::try_from(left.as_millis() + 1)
                    .ok()
                    .and_then(|milliseconds| milliseconds.try_into().ok())
                    .unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(
            &mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)],
            timeout,
        ) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Closes in a way that delivers everything: while input is unread, closing would reset the
/// connection and destroy the replies in flight.
pub(super) fn linger(mut stream: &TcpStream, input: &mut Input, idle: Duration) {
    if stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let end = Instant::now() + LINGER_TOTAL;
    loop {
        let deadline = end.min(Instant::now() + idle);
        let Ok(true) = await_input(stream, Some(deadline)) else {
            return;
        };
        match input.read_from(&mut stream) {
            Ok([]) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

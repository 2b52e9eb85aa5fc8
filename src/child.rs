//! After the fork: one session on one socket.
//!
//! A child holds its socket, the write end of the pipe and the standard streams. It ends through
//! [`sys::exit_now`], with the status of an [`End`], and never returns into the code of its parent.
//! It writes nothing to the log: what is worth telling is in its status.

use std::borrow::Cow;
use std::io::{self, ErrorKind, PipeWriter, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{Pid, getppid, setpgid};

use crate::config::Config;
use crate::input::Input;
use crate::log::describe;
use crate::oom::Victims;
use crate::record::Record;
use crate::sandbox::Sandbox;
use crate::session::{Progress, Session};
use crate::sys::{self, Closing, Signals};

/// Replies that wait to be sent together, in octets.
const REPLIES_LEN: usize = 16 * 1024;

/// How long a peer may stay silent once it was told that the session is over.
const LINGER_IDLE: Duration = Duration::from_secs(5);
/// The same for one that was silent before.
const LINGER_IDLE_AGAIN: Duration = Duration::from_secs(1);
/// How long a peer may go on sending once it was told that the session is over.
const LINGER_TOTAL: Duration = Duration::from_secs(30);

const IDLE: &[u8] = b"Error: idle for too long, this session is over\n";

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client sent `exit`.
    Exit,
    /// The client closed its side without `exit`.
    InputEnded,
    /// The connection failed.
    ConnectionLost,
    /// The client completed no line in time, and was told.
    Idle,
    /// The client left replies unread for too long.
    Unread,
    /// The parent was gone.
    Orphaned,
    /// The record could not be written, so the client was told nothing.
    NotRecorded,
    /// The kernel refused to confine the process.
    NotConfined,
    /// A bug.
    Panicked,
    /// The process could not be set up.
    NotStarted(Errno),
}

impl End {
    const WITHOUT_ERRNO: [End; 9] = [
        End::Exit,
        End::InputEnded,
        End::ConnectionLost,
        End::Idle,
        End::Unread,
        End::Orphaned,
        End::NotRecorded,
        End::NotConfined,
        End::Panicked,
    ];

    /// The exit status of the process; 0 for no other than [`End::Exit`].
    pub(crate) fn status(self) -> i32 {
        match self {
            End::Exit => 0,
            End::InputEnded => 10,
            End::ConnectionLost => 11,
            End::Idle => 12,
            End::Unread => 13,
            End::Orphaned => 14,
            End::NotRecorded => 20,
            End::NotConfined => 21,
            End::Panicked => 22,
            // Error numbers end below 140, exit statuses below 256.
            End::NotStarted(errno) => 100 + errno as i32,
        }
    }

    /// What a process with this exit status told.
    pub(crate) fn from_status(status: i32) -> Option<End> {
        let known = |end: &End| end.status() == status;
        let errno = || Some(End::NotStarted(Errno::from_raw(status - 100)));
        let found = End::WITHOUT_ERRNO.into_iter().find(known);
        found.or_else(errno).filter(known)
    }

    /// Whether this is the fault of neither the server nor its system.
    pub(crate) fn is_ordinary(self) -> bool {
        self.status() < End::NotRecorded.status()
    }

    /// What to call it in the log.
    pub(crate) fn reason(self) -> Cow<'static, str> {
        let reason = match self {
            End::Exit => "exit",
            End::InputEnded => "end of input",
            End::ConnectionLost => "connection lost",
            End::Idle => "no complete line in time",
            End::Unread => "replies left unread",
            End::Orphaned => "the server was gone",
            End::NotRecorded => "its mean could not be recorded",
            End::NotConfined => "it could not be confined",
            End::Panicked => "it panicked",
            End::NotStarted(errno) => {
                return format!("cannot set it up: {}", describe(errno)).into();
            }
        };
        reason.into()
    }
}

/// What a child keeps of its parent, until it ends: nothing is closed in the sandbox.
pub(crate) struct Inheritance {
    pub(crate) config: Config,
    pub(crate) signals: Signals,
    /// Whether the fork put signals back to their default actions.
    pub(crate) actions_are_reset: bool,
    pub(crate) records: PipeWriter,
    /// What the parent knows the record of this session by.
    pub(crate) secret: u64,
    pub(crate) precautions: Precautions,
    pub(crate) buffers: SessionBuffers,
}

/// How a session is kept from harming others.
pub(crate) struct Precautions {
    pub(crate) closing: Closing,
    /// How it yields the processor: the parent comes first.
    pub(crate) niceness: i32,
    pub(crate) victims: Option<Victims>,
    pub(crate) sandbox: Option<Sandbox>,
}

/// All the memory that a session needs at first. It is made before the first fork and never touched
/// by the parent, so that a child has pages of its own only of what it used.
pub(crate) struct SessionBuffers {
    session: Session,
    input: Input,
    replies: Vec<u8>,
}

impl SessionBuffers {
    pub(crate) fn new(config: &Config) -> Self {
        SessionBuffers {
            session: Session::new(config.dialect, config.max_line),
            input: Input::new(),
            replies: Vec::with_capacity(REPLIES_LEN),
        }
    }
}

/// Serves the session and ends the process.
pub(crate) fn run(stream: TcpStream, parent: Pid, mut inheritance: Inheritance) -> ! {
    let end = match set_up(&stream, &inheritance) {
        Err(errno) => End::NotStarted(errno),
        Ok(()) if getppid() != parent => End::Orphaned,
        Ok(()) => match inheritance
            .precautions
            .sandbox
            .as_ref()
            .map(Sandbox::confine_session)
        {
            Some(Err(_)) => End::NotConfined,
            None | Some(Ok(())) => serve(&stream, &mut inheritance),
        },
    };
    sys::exit_now(end.status())
}

fn set_up(stream: &TcpStream, inheritance: &Inheritance) -> Result<(), Errno> {
    // Ctrl-C in a terminal goes to the group of the server, which then drains; a session in the same
    // group would die of it.
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    die_with_parent()?;
    inheritance.signals.reset(inheritance.actions_are_reset)?;
    let precautions = &inheritance.precautions;
    if let Some(victims) = &precautions.victims {
        victims.volunteer();
    }
    // At the highest niceness there is none beyond it, and that is no reason not to serve.
    let _ = sys::set_niceness(precautions.niceness);
    let kept = [stream.as_fd(), inheritance.records.as_fd()];
    precautions.closing.close_all_but(kept)?;
    set_options(stream, inheritance.config.idle_timeout)
        .map_err(|error| Errno::try_from(error).unwrap_or(Errno::UnknownErrno))
}

fn set_options(stream: &TcpStream, idle_timeout: Duration) -> io::Result<()> {
    // Some systems let an accepted socket inherit this from its listener.
    stream.set_nonblocking(false)?;
    // A reply must not wait for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    // A peer that vanished must not keep the process for ever.
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    stream.set_read_timeout(Some(idle_timeout))?;
    stream.set_write_timeout(Some(idle_timeout))
}

/// Asks the kernel to end this process when its parent ends. The caller then has to look whether the
/// parent ended before that.
#[cfg(target_os = "linux")]
fn die_with_parent() -> Result<(), Errno> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent() -> Result<(), Errno> {
    Ok(())
}

fn serve(stream: &TcpStream, inheritance: &mut Inheritance) -> End {
    let end = match converse(stream, inheritance) {
        Ok(end) => end,
        Err(error) if error.kind() == ErrorKind::WouldBlock => End::Unread,
        Err(_) => End::ConnectionLost,
    };
    let input = &mut inheritance.buffers.input;
    match end {
        End::Exit => linger(stream, input, LINGER_IDLE),
        End::Idle => linger(stream, input, LINGER_IDLE_AGAIN),
        _ => {}
    }
    end
}

/// The conversation; an error is one of the socket.
fn converse(stream: &TcpStream, inheritance: &mut Inheritance) -> io::Result<End> {
    let SessionBuffers {
        session,
        input,
        replies,
    } = &mut inheritance.buffers;
    let mut replies = Replies {
        unsent: replies,
        stream,
    };
    let mut receiver = Receiver::new(stream, inheritance.config.idle_timeout);

    replies.write_all(session.greeting())?;
    replies.flush()?;
    loop {
        let received = match receiver.receive(input) {
            Ok([]) => return Ok(End::InputEnded),
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                replies.write_all(IDLE)?;
                replies.flush()?;
                return Ok(End::Idle);
            }
            Err(error) => return Err(error),
        };
        let progress = session.receive(received, &mut replies)?;
        replies.flush()?;
        let Progress::Exit(summary) = progress else {
            continue;
        };
        // The record goes first: a client that has its final line finds its mean counted.
        if summary.count > 0 {
            let record = Record {
                pid: std::process::id(),
                count: summary.count,
                mean: summary.mean,
            };
            if inheritance
                .records
                .write_all(&record.encode_sealed(inheritance.secret))
                .is_err()
            {
                return Ok(End::NotRecorded);
            }
        }
        session.farewell(&mut replies)?;
        replies.flush()?;
        return Ok(End::Exit);
    }
}

/// Collects replies, in memory that was there before the fork.
struct Replies<'a> {
    unsent: &'a mut Vec<u8>,
    stream: &'a TcpStream,
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
struct Receiver<'a> {
    stream: &'a TcpStream,
    idle_timeout: Duration,
    /// Since when no line was completed.
    idle_since: Instant,
    within_line: bool,
}

impl<'a> Receiver<'a> {
    fn new(stream: &'a TcpStream, idle_timeout: Duration) -> Self {
        Receiver {
            stream,
            idle_timeout,
            idle_since: Instant::now(),
            within_line: false,
        }
    }

    /// The next input, nothing at its end; [`ErrorKind::WouldBlock`] if it completes no line in time,
    /// [`ErrorKind::Interrupted`] if the process was stopped meanwhile.
    fn receive<'i>(&mut self, input: &'i mut Input) -> io::Result<&'i [u8]> {
        if !self.within_line {
            self.idle_since = Instant::now();
        } else if !await_input(self.stream, self.idle_since.checked_add(self.idle_timeout))? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut stream = self.stream;
        let received = input.read_from(&mut stream)?;
        self.within_line = !received.contains(&b'\n');
        Ok(received)
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
fn linger(mut stream: &TcpStream, input: &mut Input, idle: Duration) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_tells_how_a_session_ended() {
        let errno = [Errno::EPERM, Errno::EAGAIN, Errno::ENOMEM].map(End::NotStarted);
        for end in End::WITHOUT_ERRNO.into_iter().chain(errno) {
            assert_eq!(End::from_status(end.status()), Some(end));
            assert!(end.status() < 256);
        }
        for status in [1, 2, 19, 99, 255] {
            assert_eq!(End::from_status(status), None);
        }
    }
}

//! After the fork: one session on one socket.
//!
//! A child holds its socket, the write end of the pipe and the standard streams. It ends through
//! [`sys::exit_now`], with the status of an [`End`], and never returns into the code of its parent.
//! It writes nothing to the log: what is worth telling is in its status.

mod connection;
mod end;

use std::io::{self, ErrorKind, PipeWriter, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::{Pid, getppid, setpgid};

use self::connection::{LINGER_IDLE, LINGER_IDLE_AGAIN, REPLIES_LEN, Receiver, Replies, linger};
pub(crate) use self::end::End;
use crate::config::Config;
use crate::input::Input;
use crate::oom::Victims;
use crate::record::Record;
use crate::sandbox::Sandbox;
use crate::session::{Progress, Session};
use crate::socket::set_options;
use crate::sys::{self, Closing, Signals};

const IDLE: &[u8] = b"Error: idle for too long, this session is over\n";
const EXPIRED: &[u8] = b"Error: this session has lasted too long, it is over\n";
const ERRORS: &[u8] = b"Error: too many bad lines, this session is over\n";

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
    /// Whether the socket has the options of its listener.
    pub(crate) options_are_inherited: bool,
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
    if !precautions.options_are_inherited {
        // Some systems let an accepted socket inherit this from its listener.
        let blocking = stream.set_nonblocking(false);
        blocking.map_err(|error| Errno::try_from(error).unwrap_or(Errno::UnknownErrno))?;
        set_options(stream, inheritance.config.idle_timeout)?;
    }
    Ok(())
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
        End::Expired | End::Errors => linger(stream, input, LINGER_IDLE),
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
    let config = &inheritance.config;
    let expires_at = config
        .max_lifetime
        .and_then(|time| Instant::now().checked_add(time));
    let mut receiver = Receiver::new(stream, config.idle_timeout, expires_at);

    replies.write_all(session.greeting())?;
    replies.flush()?;
    loop {
        let received = match receiver.receive(input) {
            Ok([]) => return Ok(End::InputEnded),
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return replies.end_with(IDLE, End::Idle);
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                return replies.end_with(EXPIRED, End::Expired);
            }
            Err(error) => return Err(error),
        };
        let progress = session.receive(received, &mut replies)?;
        replies.flush()?;
        let Progress::Exit(summary) = progress else {
            if config
                .max_errors
                .is_some_and(|limit| session.errors() > limit)
            {
                return replies.end_with(ERRORS, End::Errors);
            }
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

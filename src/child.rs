//! After the fork: one session on one socket.
//!
//! A child holds its socket, the write end of the pipe and the standard streams. It ends through
//! [`sys::exit_now`], with an [`End`] as its status, and never returns into the code of its parent.

use std::io::{self, BufWriter, ErrorKind, PipeWriter, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{Pid, getppid, setpgid};

use crate::config::Config;
use crate::input::Input;
use crate::log::{Log, reason};
use crate::record::Record;
use crate::session::{Progress, Session};
use crate::sys::{self, Signals};

const OUTPUT_LEN: usize = 16 * 1024;

/// How long a peer may stay silent once it was told that the session is over.
const LINGER_IDLE: Duration = Duration::from_secs(5);
/// How long a peer may go on sending once it was told that the session is over.
const LINGER_TOTAL: Duration = Duration::from_secs(30);

/// How a session ended; the exit status of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client sent `exit`.
    Exit = 0,
    /// The client closed its side without `exit`.
    InputEnded = 10,
    /// The connection failed.
    ConnectionLost = 11,
    /// The record could not be written, so the client was told nothing.
    NotRecorded = 12,
    /// The parent was gone.
    Orphaned = 13,
    /// The process could not be set up.
    NotStarted = 14,
}

impl End {
    pub(crate) const ALL: [End; 6] = [
        End::Exit,
        End::InputEnded,
        End::ConnectionLost,
        End::NotRecorded,
        End::Orphaned,
        End::NotStarted,
    ];

    /// What to call it in the log.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            End::Exit => "exit",
            End::InputEnded => "end of input",
            End::ConnectionLost => "connection lost",
            End::NotRecorded => "its mean could not be recorded",
            End::Orphaned => "the server was gone",
            End::NotStarted => "it could not be set up",
        }
    }
}

/// Serves the session and ends the process.
pub(crate) fn run(
    stream: TcpStream,
    records: PipeWriter,
    parent: Pid,
    signals: &Signals,
    config: &Config,
) -> ! {
    let log = Log::new(config.log_level);
    let end = match set_up(&stream, signals) {
        Ok(()) if getppid() != parent => End::Orphaned,
        Ok(()) => serve(&stream, records, config, log),
        Err(error) => {
            log.warning(format_args!("cannot set up a session: {}", reason(&error)));
            End::NotStarted
        }
    };
    sys::exit_now(end as i32)
}

fn set_up(stream: &TcpStream, signals: &Signals) -> io::Result<()> {
    // Ctrl-C in a terminal goes to the group of the server, which then drains; a session in the same
    // group would die of it.
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    die_with_parent()?;
    signals.restore()?;
    // Some systems let an accepted socket inherit this from its listener.
    stream.set_nonblocking(false)?;
    // A reply must not wait for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    // A peer that vanished must not keep the process for ever.
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    Ok(())
}

/// Asks the kernel to end this process when its parent ends. The caller then has to look whether the
/// parent ended before that.
#[cfg(target_os = "linux")]
fn die_with_parent() -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent() -> io::Result<()> {
    Ok(())
}

fn serve(stream: &TcpStream, records: PipeWriter, config: &Config, log: Log) -> End {
    let mut input = Input::new();
    match converse(stream, &mut input, records, config, log) {
        Ok(End::Exit) => {
            linger(stream, &mut input);
            End::Exit
        }
        Ok(end) => end,
        Err(_) => End::ConnectionLost,
    }
}

/// The conversation; an error is one of the socket.
fn converse(
    mut stream: &TcpStream,
    input: &mut Input,
    mut records: PipeWriter,
    config: &Config,
    log: Log,
) -> io::Result<End> {
    let mut session = Session::new(config.dialect, config.max_line);
    let mut replies = BufWriter::with_capacity(OUTPUT_LEN, stream);

    replies.write_all(session.greeting())?;
    replies.flush()?;
    loop {
        let received = match input.read_from(&mut stream) {
            Ok([]) => return Ok(End::InputEnded),
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
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
            if let Err(error) = records.write_all(&record.encode()) {
                log.warning(format_args!("cannot record a mean: {}", reason(&error)));
                return Ok(End::NotRecorded);
            }
        }
        session.farewell(&mut replies)?;
        replies.flush()?;
        return Ok(End::Exit);
    }
}

/// Closes in a way that delivers everything: while input is unread, closing would reset the
/// connection and destroy the replies in flight.
fn linger(mut stream: &TcpStream, input: &mut Input) {
    if stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let deadline = Instant::now() + LINGER_TOTAL;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // No time left is no valid timeout, and so an error.
        if stream
            .set_read_timeout(Some(left.min(LINGER_IDLE)))
            .is_err()
        {
            return;
        }
        match input.read_from(&mut stream) {
            Ok([]) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

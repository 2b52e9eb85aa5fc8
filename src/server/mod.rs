//! The parent: one thread, blocked in pselect on the primary listener, the secondary listener and the
//! read end of the pipe.
//!
//! It accepts, forks, reaps, adds up what the records say, and tells it. It waits for no client, and
//! no byte that a client sent changes what it does.

mod children;
mod listeners;
mod privileges;
mod records;
mod secondary;
mod systemd;

use std::fmt;
use std::io;
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::select::{FD_SETSIZE, FdSet, pselect};
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;
use nix::unistd::{ForkResult, Uid, getpid};

use self::children::Children;
use self::listeners::{Listener, Listeners};
use self::records::Records;
use self::secondary::Lingering;
use self::systemd::State;
use crate::child::{self, End, Inheritance, Workplace};
use crate::config::Config;
use crate::log::{Field, Log, Throttle, reason};
use crate::protocol::{Figures, Reply};
use crate::sandbox::Sandbox;
use crate::sys::{self, Signals};

/// How many connections of one port are accepted before the other descriptors get their turn.
const ACCEPTS_PER_TURN: usize = 64;

const OUT_OF_PROCESSES: &[u8] = b"Error: server is out of processes, try again later\n";
const TOO_MANY_SESSIONS: &[u8] = b"Error: too many sessions from this address, try again later\n";

/// Why the server stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A signal asked for it, and the sessions ended or had their time.
    Drained,
    /// A second signal, this one, did not want to wait for the sessions.
    AtOnce(Signal),
}

/// Why the server cannot start or cannot go on.
#[derive(Debug)]
pub(crate) struct Error {
    what: String,
    cause: io::Error,
    advice: &'static str,
}

/// Runs the server until a signal stops it.
pub(crate) fn run(config: Config) -> Result<Stop, Error> {
    let parent = getpid();
    let mut server = Server::open(config)?;
    match server.serve()? {
        Outcome::Stopped(stop) => Ok(stop),
        Outcome::Forked(stream) => child::run(stream, parent, server.disinherit()),
    }
}

/// How the loop was left.
enum Outcome {
    Stopped(Stop),
    /// This process is a new child, with a session to serve.
    Forked(TcpStream),
}

struct Server {
    config: Config,
    log: Log,
    signals: Signals,
    /// `None` once the server was asked to stop.
    listeners: Option<Listeners>,
    /// When the sessions must be over, once the server was asked to stop.
    deadline: Option<Instant>,
    records: Records,
    children: Children,
    lingering: Lingering,
    sandbox: Option<Sandbox>,
    /// For the children.
    workplace: Workplace,
    refusals: Throttle,
    waits: Throttle,
}

/// The descriptors that pselect found ready.
#[derive(Clone, Copy, Default)]
struct Ready {
    primary: bool,
    secondary: bool,
    records: bool,
}

impl Server {
    fn open(config: Config) -> Result<Self, Error> {
        let log = config.log;
        sys::require_single_thread().map_err(|cause| Error {
            what: "cannot fork sessions".to_owned(),
            cause,
            advice: "run the server in a process of its own",
        })?;
        sys::contain_panics(End::Panicked.status());
        let listeners = Listeners::open(&config)?;
        let records = Records::open(log).map_err(|cause| Error {
            what: "cannot open the pipe for records".to_owned(),
            cause,
            advice: "raise the limit of open files",
        })?;
        let [primary, secondary] = listeners.each().map(AsRawFd::as_raw_fd);
        for descriptor in [primary, secondary, records.as_raw_fd()] {
            require_selectable(descriptor)?;
        }
        let signals = Signals::install().map_err(|cause| Error {
            what: "cannot install signal actions".to_owned(),
            cause,
            advice: "run the server in a process of its own",
        })?;
        if let Some(path) = &config.port_file {
            listeners.write_to(path)?;
        }
        if let Some(user) = &config.user {
            privileges::become_user(user).map_err(|cause| Error {
                what: format!("cannot become user {user}"),
                cause,
                advice: "start as root, and name a user that exists and is not root",
            })?;
        }
        let sandbox = confine(&config)?;
        listeners.announce(log)?;
        warn_of_risks(&config, sandbox.is_some());
        systemd::tell(State::Ready, log);
        Ok(Server {
            log,
            signals,
            listeners: Some(listeners),
            deadline: None,
            records,
            children: Children::new(log),
            lingering: Lingering::default(),
            sandbox,
            workplace: Workplace::new(&config),
            refusals: Throttle::default(),
            waits: Throttle::default(),
            config,
        })
    }

    fn serve(&mut self) -> Result<Outcome, Error> {
        loop {
            if self.signals.take_child_ended() {
                self.children.reap();
            }
            if let Some(stop) = self.stop_if_asked() {
                return Ok(Outcome::Stopped(stop));
            }
            let ready = self.wait()?;
            if ready.records {
                self.records.drain();
            }
            if ready.secondary {
                self.tell_meta();
            }
            if ready.primary
                && let Some(stream) = self.start_sessions()
            {
                return Ok(Outcome::Forked(stream));
            }
            self.lingering.sweep(Instant::now());
        }
    }

    /// In a child: keeps what a session needs. All else goes out of scope here, and with it every
    /// descriptor that a child must not hold; close-on-exec does not help without an exec.
    fn disinherit(self) -> Inheritance {
        // There is nothing to close in it, and to free its memory would be to copy it first.
        mem::forget(self.children);
        Inheritance {
            config: self.config,
            signals: self.signals,
            records: self.records.into_writer(),
            sandbox: self.sandbox,
            workplace: self.workplace,
        }
    }

    /// Blocks until a descriptor is ready, a signal arrives, or something is due.
    fn wait(&self) -> Result<Ready, Error> {
        let failure = |cause| Error {
            what: "cannot wait for clients".to_owned(),
            cause,
            advice: "start the server again",
        };
        let now = Instant::now();
        let open = self.listeners.as_ref().map(Listeners::each);
        let listeners = || open.into_iter().flatten();

        let mut set = FdSet::new();
        set.insert(self.records.as_fd());
        for listener in listeners().filter(|listener| listener.resting_until(now).is_none()) {
            set.insert(listener.as_fd());
        }
        if let Some(open) = &self.listeners
            && self.is_full()
        {
            set.remove(open.primary.as_fd());
        }
        let due = listeners()
            .filter_map(|listener| listener.resting_until(now))
            .chain(self.lingering.due())
            .chain(self.deadline)
            .min()
            .map(|due| TimeSpec::from(due.saturating_duration_since(now)));

        let mask = self.signals.mask_while_waiting();
        let found = pselect(None, &mut set, None, None, due.as_ref(), mask);
        self.signals.admit_pending().map_err(failure)?;
        match found {
            Ok(_) => {}
            // The set says nothing then.
            Err(Errno::EINTR) => return Ok(Ready::default()),
            Err(errno) => return Err(failure(errno.into())),
        }
        let is_ready = |listener: &Listener| set.contains(listener.as_fd());
        let [primary, secondary] = open.map_or([false; 2], |open| open.map(is_ready));
        Ok(Ready {
            primary,
            secondary,
            records: set.contains(self.records.as_fd()),
        })
    }

    fn is_full(&self) -> bool {
        self.children.len() >= self.config.max_sessions
    }

    /// Starts a session for each client that waits. Returns a stream in the children only.
    fn start_sessions(&mut self) -> Option<TcpStream> {
        for _ in 0..ACCEPTS_PER_TURN {
            let (stream, peer) = self.listeners.as_mut()?.primary.accept(self.log)?;
            if self.children.sessions_like(peer) >= self.config.max_sessions_per_source {
                self.refuse(stream, peer, TOO_MANY_SESSIONS, "its source has too many");
                continue;
            }
            match sys::fork() {
                Ok(ForkResult::Child) => return Some(stream),
                Ok(ForkResult::Parent { child }) => self.children.add(child, peer),
                Err(error) => {
                    let reason = format!("{}; raise the limit of processes", reason(&error));
                    self.refuse(stream, peer, OUT_OF_PROCESSES, &reason);
                }
            }
            if self.is_full() {
                let limit = [(
                    "max_sessions",
                    Field::Number(self.config.max_sessions as u64),
                )];
                self.waits
                    .warning(self.log, "no session is left; clients wait", &limit);
                return None;
            }
        }
        None
    }

    fn refuse(&mut self, stream: TcpStream, peer: SocketAddr, line: &[u8], reason: &str) {
        let fields = [
            ("peer", Field::Text(&peer)),
            ("reason", Field::Text(&reason)),
        ];
        self.refusals.warning(self.log, "session refused", &fields);
        self.lingering.dismiss(stream, line);
    }

    /// Tells each client of the secondary port that waits what is known about past sessions.
    fn tell_meta(&mut self) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listeners) = &mut self.listeners else {
                return;
            };
            let Some((stream, _)) = listeners.secondary.accept(self.log) else {
                return;
            };
            // Draining after accepting is what makes clients read their own writes: whoever got a
            // final line before connecting here had a record in the pipe before that line.
            self.records.drain();
            let line = format!("{}\n", self.meta());
            self.lingering.dismiss(stream, line.as_bytes());
        }
    }

    fn meta(&self) -> impl fmt::Display {
        Reply::Meta(Figures::of(self.records.means())).display(self.config.dialect)
    }

    /// Once the server was asked to stop: closes the listeners, and tells whether all is over.
    fn stop_if_asked(&mut self) -> Option<Stop> {
        let (requests, signal) = self.signals.stop_requests();
        let signal = signal?;
        let now = Instant::now();
        if self.listeners.take().is_some() {
            self.deadline = now.checked_add(self.config.drain_timeout);
            systemd::tell(State::Stopping, self.log);
            self.log.notice("stopping", &[self.open_sessions()]);
        }
        let mut stop = Stop::Drained;
        if self.children.len() > 0 {
            if requests > 1 {
                stop = Stop::AtOnce(signal);
            } else if self.deadline.is_none_or(|deadline| now < deadline) {
                return None;
            }
            self.log.warning(
                "killing the sessions that are left",
                &[self.open_sessions()],
            );
            self.children.kill_all();
        }
        // The last records were written before their children ended.
        self.records.drain();
        let meta = self.meta().to_string();
        self.log.notice("stopped", &[("meta", Field::Text(&meta))]);
        Some(stop)
    }

    fn open_sessions(&self) -> (&'static str, Field<'static>) {
        ("sessions", Field::Number(self.children.len() as u64))
    }
}

fn confine(config: &Config) -> Result<Option<Sandbox>, Error> {
    if !config.sandbox || !Sandbox::AVAILABLE {
        return Ok(None);
    }
    let confined = Sandbox::compile().and_then(|sandbox| {
        sandbox.confine_server()?;
        Ok(sandbox)
    });
    confined.map(Some).map_err(|error| Error {
        what: "cannot confine sessions".to_owned(),
        cause: io::Error::other(error),
        advice: "use a Linux kernel with seccomp, or start with --no-sandbox",
    })
}

fn warn_of_risks(config: &Config, confined: bool) {
    if !confined {
        let why = match config.sandbox {
            true => "this system has no sandbox",
            false => "--no-sandbox was given",
        };
        let fields = [("reason", Field::Text(&why))];
        config.log.warning("sessions are not confined", &fields);
    }
    if Uid::effective().is_root() {
        let advice = "start with --user, or as another user";
        let fields = [("advice", Field::Text(&advice))];
        config.log.warning("sessions run as root", &fields);
    }
}

/// pselect knows small descriptors only.
fn require_selectable(descriptor: RawFd) -> Result<(), Error> {
    match usize::try_from(descriptor) {
        Ok(number) if number < FD_SETSIZE => Ok(()),
        _ => Err(Error {
            what: format!("cannot wait for descriptor {descriptor}"),
            cause: Errno::EMFILE.into(),
            advice: "start the server with fewer open descriptors",
        }),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.what, reason(&self.cause), self.advice)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

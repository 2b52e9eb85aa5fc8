//! The parent: one thread, blocked in pselect on the primary listener, the secondary listener and the
//! read end of the pipe.
//!
//! It accepts, forks, reaps, adds up what the records say, and tells it. It waits for no client, and
//! no byte that a client sent changes what it does.

mod admission;
mod bounds;
mod children;
mod listeners;
mod port_file;
mod privileges;
mod rates;
mod records;
mod secondary;
mod secrets;
mod start;
mod systemd;
mod table;
mod waiting;

use std::fmt;
use std::mem;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::select::{FdSet, pselect};
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;
use nix::unistd::getpid;

use self::admission::ACCEPTS_PER_TURN;
use self::bounds::Bounds;
use self::children::Children;
use self::listeners::{Listener, Listeners};
use self::port_file::PortFile;
pub(crate) use self::rates::RateLimit;
use self::rates::Rates;
use self::records::Records;
use self::secondary::Lingering;
use self::secrets::Secrets;
use self::start::Error;
use self::systemd::Manager;
use self::waiting::Waiting;
use crate::child::{self, Inheritance, Precautions, SessionBuffers};
use crate::config::Config;
use crate::log::{Field, Log};
use crate::protocol::{Figures, Reply};
use crate::sys::Signals;

/// How long killed sessions may take to end. The kernel is slow at it only where a process is stuck
/// in a device or frozen.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the server stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A signal asked for it, and the sessions ended or had their time.
    Drained,
    /// A second signal, this one, did not want to wait for the sessions.
    AtOnce(Signal),
}

/// Runs the server until a signal stops it.
///
/// # Errors
///
/// If it cannot start or cannot go on.
pub(crate) fn run(config: Config) -> Result<Stop, Error> {
    let parent = getpid();
    let mut server = Server::open(config)?;
    match server.serve()? {
        Outcome::Stopped(stop) => Ok(stop),
        Outcome::Forked {
            stream,
            secret,
            actions_are_reset,
        } => child::run(stream, parent, server.disinherit(secret, actions_are_reset)),
    }
}

/// How the loop was left.
enum Outcome {
    Stopped(Stop),
    /// This process is a new child, with a session to serve.
    Forked {
        stream: TcpStream,
        secret: u64,
        actions_are_reset: bool,
    },
}

struct Server {
    config: Config,
    log: Log,
    manager: Manager,
    signals: Signals,
    /// `None` once the server was asked to stop.
    listeners: Option<Listeners>,
    /// As long as the server listens.
    port_file: Option<PortFile>,
    bounds: Bounds,
    rates: Rates,
    waiting: Waiting,
    /// Whether it is known if sessions inherit the options of their sockets.
    options_are_checked: bool,
    started_at: Instant,
    refused: u64,
    stopping: Stopping,
    secrets: Secrets,
    records: Records,
    children: Children,
    lingering: Lingering,
    /// For the children.
    precautions: Precautions,
    buffers: SessionBuffers,
}

/// How far the end has come.
#[derive(Clone, Copy)]
enum Stopping {
    NotAsked,
    /// Sessions may go on until then, if that is ever.
    Draining {
        until: Option<Instant>,
    },
    /// They are killed and should be gone before then.
    Killing {
        until: Instant,
        stop: Stop,
    },
}

/// The descriptors that pselect found ready.
#[derive(Clone, Copy, Default)]
struct Ready {
    primary: bool,
    secondary: bool,
    records: bool,
}

impl Server {
    fn serve(&mut self) -> Result<Outcome, Error> {
        loop {
            if self.signals.take_child_ended() {
                self.children.reap(&mut self.records, &self.log);
            }
            if self.signals.take_report_wanted() {
                self.report("counters");
            }
            if let Some(stop) = self.stop_if_asked() {
                return Ok(Outcome::Stopped(stop));
            }
            if let Some(forked) = self.start_waiting() {
                return Ok(forked);
            }
            let ready = self.wait()?;
            if ready.records {
                self.records.drain(&mut self.children, &self.log);
            }
            if ready.secondary {
                self.tell_meta();
            }
            if ready.primary
                && let Some(forked) = self.start_sessions()
            {
                return Ok(forked);
            }
            let now = Instant::now();
            self.lingering.sweep(now);
            self.log.tick(now);
            self.manager.tick(now, &self.log);
        }
    }

    /// In a child: keeps what a session needs. All else is forgotten: there is nothing to close in it
    /// that the set-up of the session does not close, and to free its memory would be to copy it
    /// first.
    fn disinherit(self, secret: u64, actions_are_reset: bool) -> Inheritance {
        let inheritance = Inheritance {
            config: self.config,
            signals: self.signals,
            actions_are_reset,
            records: self.records.into_writer(),
            secret,
            precautions: self.precautions,
            buffers: self.buffers,
        };
        #[cfg(not(target_os = "linux"))]
        drop((self.listeners, self.lingering, self.waiting));
        #[cfg(target_os = "linux")]
        mem::forget((self.listeners, self.lingering, self.waiting));
        mem::forget((self.log, self.manager, self.secrets, self.children));
        mem::forget((self.port_file, self.rates));
        inheritance
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
        let due = listeners()
            .filter_map(|listener| listener.resting_until(now))
            .chain(self.lingering.due())
            .chain(self.waiting.due())
            .chain(self.log.due())
            .chain(self.manager.due())
            .chain(self.stopping.due())
            .min()
            .map(|due| TimeSpec::from(due.saturating_duration_since(now)));

        let mask = self.signals.mask_while_waiting();
        let found = pselect(None, &mut set, None, None, due.as_ref(), mask);
        match found {
            Ok(_) => self.signals.note_pending(),
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

    /// Tells each client of the secondary port that waits what is known about past sessions.
    fn tell_meta(&mut self) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listeners) = &mut self.listeners else {
                return;
            };
            let make_room = || self.lingering.evict_oldest();
            let Some((stream, _)) = listeners.secondary.accept(make_room, &self.log) else {
                return;
            };
            // Draining after accepting is what makes clients read their own writes: whoever got a
            // final line before connecting here had a record in the pipe before that line.
            self.records.drain(&mut self.children, &self.log);
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
            // Before another server may listen at the same ports, and name them in the same file.
            self.port_file = None;
            self.send_away_waiting();
            let until = now.checked_add(self.config.drain_timeout);
            self.stopping = Stopping::Draining { until };
            self.manager.tell("STOPPING=1\n", &self.log);
            let status = format!("STATUS=waiting for {} sessions\n", self.children.len());
            self.manager.tell(&status, &self.log);
            self.log.notice("stopping", &[self.open_sessions()]);
        }
        if let Stopping::Draining { until } = self.stopping
            && self.children.len() > 0
        {
            if requests == 1 && until.is_none_or(|until| now < until) {
                return None;
            }
            self.log.warning(
                "killing the sessions that are left",
                &[self.open_sessions()],
            );
            self.children.kill_all();
            let stop = match requests {
                1 => Stop::Drained,
                _ => Stop::AtOnce(signal),
            };
            self.stopping = Stopping::Killing {
                until: now + KILL_TIMEOUT,
                stop,
            };
        }
        let stop = match self.stopping {
            Stopping::Killing { until, .. } if self.children.len() > 0 && now < until => {
                return None;
            }
            Stopping::Killing { stop, .. } => stop,
            _ => Stop::Drained,
        };
        self.say_last_words();
        Some(stop)
    }

    fn say_last_words(&mut self) {
        // The last records were written before their children ended.
        self.records.drain(&mut self.children, &self.log);
        let meta = self.meta().to_string();
        let fields = [("meta", Field::Text(&meta))];
        if self.records.means().count() > 0 {
            self.log.last_notice("stopped", &fields);
        } else {
            self.log.notice("stopped", &fields);
        }
        self.log.close();
    }

    /// Logs what has happened so far, and tells the service manager.
    fn report(&mut self, message: &'static str) {
        self.records.drain(&mut self.children, &self.log);
        let meta = self.meta().to_string();
        let number = |name, number| (name, Field::Number(number));
        let mut fields = vec![
            number("uptime_s", self.started_at.elapsed().as_secs()),
            self.open_sessions(),
            number("refused", self.refused),
            number("records_dropped", self.records.dropped()),
            number("log_lines_dropped", self.log.dropped()),
        ];
        fields.extend(self.children.counters().fields());
        fields.push(("meta", Field::Text(&meta)));
        self.log.last_notice(message, &fields);
        let open = self.children.len();
        let status = format!("STATUS={open} sessions open; {meta}\n");
        self.manager.tell(&status, &self.log);
    }

    fn open_sessions(&self) -> (&'static str, Field<'static>) {
        ("sessions", Field::Number(self.children.len() as u64))
    }
}

impl Stopping {
    fn due(self) -> Option<Instant> {
        match self {
            Stopping::NotAsked => None,
            Stopping::Draining { until } => until,
            Stopping::Killing { until, .. } => Some(until),
        }
    }
}

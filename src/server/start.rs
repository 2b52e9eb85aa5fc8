//! From settings to a server that is ready.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::select::FD_SETSIZE;
use nix::unistd::Uid;

use super::bounds::Bounds;
use super::children::Children;
use super::listeners::Listeners;
use super::port_file::PortFile;
use super::rates::Rates;
use super::records::Records;
use super::secondary::Lingering;
use super::secrets::Secrets;
use super::systemd::Manager;
use super::waiting::Waiting;
use super::{Server, Stopping, bounds, privileges};
use crate::child::{End, Precautions, SessionBuffers};
use crate::config::Config;
use crate::log::{Field, Log, reason};
use crate::oom::Victims;
use crate::sandbox::{Exception, Sandbox};
use crate::sys::{self, Closing, Signals};

/// Why the server cannot start or cannot go on.
#[derive(Debug)]
pub(crate) struct Error {
    pub(super) what: String,
    pub(super) cause: io::Error,
    pub(super) advice: &'static str,
}

impl Server {
    pub(super) fn open(config: Config) -> Result<Self, Error> {
        sys::require_single_thread().map_err(|cause| Error {
            what: "cannot fork sessions".to_owned(),
            cause,
            advice: "run the server in a process of its own",
        })?;
        sys::contain_panics(End::Panicked.status());
        // Its write end gets the lowest number, so that little is to be closed in a session.
        let records = Records::open().map_err(|cause| Error {
            what: "cannot open the pipe for records".to_owned(),
            cause,
            advice: "raise the limit of open files",
        })?;
        let log = Log::new(config.log);
        let manager = Manager::find(&log);
        let listeners = Listeners::open(&config)?;
        listeners.set_session_options(config.idle_timeout);
        let [primary, secondary] = listeners.each().map(AsRawFd::as_raw_fd);
        for descriptor in [primary, secondary, records.as_raw_fd()] {
            require_selectable(descriptor)?;
        }
        let signals = Signals::install().map_err(|cause| Error {
            what: "cannot install signal actions".to_owned(),
            cause,
            advice: "run the server in a process of its own",
        })?;
        let secrets = Secrets::open().map_err(|cause| Error {
            what: "cannot get random numbers".to_owned(),
            cause,
            advice: "make /dev/urandom available",
        })?;
        let port_file = write_port_file(&config, &listeners)?;
        if let Some(user) = &config.user {
            privileges::become_user(user).map_err(|cause| Error {
                what: format!("cannot become user {user}"),
                cause,
                advice: "start as root, and name a user that exists and is not root",
            })?;
        }
        let bounds = Bounds::find(&config);
        let started_at = Instant::now();
        let tables = || {
            let children = Children::new(bounds.max_sessions)?;
            let waiting = Waiting::new(config.wait_timeout)?;
            let rates = Rates::new(config.rate_limit, started_at)?;
            Ok((children, waiting, rates))
        };
        let (children, waiting, rates) = tables().map_err(|cause| Error {
            what: format!("cannot keep count of {} sessions", bounds.max_sessions),
            cause,
            advice: "give the server more memory, or allow fewer sessions",
        })?;
        // What is to be asked of the system is asked before the server is confined.
        let is_root = Uid::effective().is_root();
        let precautions = precautions(&config, port_file.as_ref(), &log)?;
        listeners.announce(&bounds, &log)?;
        warn_of_risks(&config, precautions.sandbox.is_some(), is_root, &log);
        manager.tell("READY=1\n", &log);
        Ok(Server {
            log,
            manager,
            signals,
            listeners: Some(listeners),
            port_file,
            bounds,
            rates,
            waiting,
            options_are_checked: false,
            started_at,
            refused: 0,
            stopping: Stopping::NotAsked,
            secrets,
            records,
            children,
            lingering: Lingering::default(),
            precautions,
            buffers: SessionBuffers::new(&config),
            config,
        })
    }
}

fn write_port_file(config: &Config, listeners: &Listeners) -> Result<Option<PortFile>, Error> {
    let Some(path) = &config.port_file else {
        return Ok(None);
    };
    let file = PortFile::write(path, &listeners.text()?).map_err(|cause| Error {
        what: format!("cannot write the port file {}", path.display()),
        cause,
        advice: "choose a new name in a directory that exists and is writable",
    })?;
    Ok(Some(file))
}

/// Prepares what a session is set up with, and confines the server.
fn precautions(
    config: &Config,
    port_file: Option<&PortFile>,
    log: &Log,
) -> Result<Precautions, Error> {
    let closing = Closing::find(FD_SETSIZE as RawFd).map_err(|cause| Error {
        what: "cannot keep the descriptors of the server from sessions".to_owned(),
        cause,
        advice: "use a Linux kernel with close_range, or make /proc available",
    })?;
    let victims = Victims::open()
        .inspect_err(|error| {
            let reason = reason(error);
            let fields = [("reason", Field::Text(&reason))];
            let message = "the kernel may end the server when memory is out, instead of a session";
            log.warning(message, &fields);
        })
        .ok();
    let niceness = sys::niceness() + 1;
    if let Err(error) = bounds::limit_memory(config) {
        let reason = reason(&error);
        let fields = [("reason", Field::Text(&reason))];
        log.warning("the memory of a session is not limited", &fields);
    }
    let exceptions = victims.as_ref().map(Victims::exception);
    let exceptions = exceptions
        .into_iter()
        .chain(port_file.and_then(PortFile::exception));
    let sandbox = confine(config, &exceptions.collect::<Vec<_>>())?;
    Ok(Precautions {
        closing,
        options_are_inherited: false,
        niceness,
        victims,
        sandbox,
    })
}

fn confine(config: &Config, exceptions: &[Exception]) -> Result<Option<Sandbox>, Error> {
    if !config.sandbox || !Sandbox::AVAILABLE {
        return Ok(None);
    }
    let confined = Sandbox::compile(exceptions).and_then(|sandbox| {
        sandbox.confine_server()?;
        Ok(sandbox)
    });
    confined.map(Some).map_err(|error| Error {
        what: "cannot confine sessions".to_owned(),
        cause: io::Error::other(error),
        advice: "use a Linux kernel with seccomp, or start with --no-sandbox",
    })
}

fn warn_of_risks(config: &Config, confined: bool, is_root: bool, log: &Log) {
    if !confined {
        let why = match config.sandbox {
            true => "this system has no sandbox",
            false => "--no-sandbox was given",
        };
        log.warning(
            "sessions are not confined",
            &[("reason", Field::Text(&why))],
        );
    }
    if !config.unknown_variables.is_empty() {
        let names = config.unknown_variables.join(" ");
        let fields = [("names", Field::Text(&names))];
        log.warning(
            "variables of the environment are unknown and ignored",
            &fields,
        );
    }
    if is_root {
        let left = match confined {
            true => "use the descriptors they hold; a fault of the kernel is one of root",
            false => "whatever root can",
        };
        let advice = "start with --user, or as another user";
        let fields = [
            ("they_can", Field::Text(&left)),
            ("advice", Field::Text(&advice)),
        ];
        log.warning("sessions run as root", &fields);
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

//! What systemd does for the server: it opens the listening sockets, waits until it is ready, and
//! watches that it goes on.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::{Duration, Instant};

use crate::log::{Event, Field, Log, reason};
use crate::sys;

/// The listening sockets that were passed, the primary and the secondary one; `None` if there are none.
///
/// They come in the order of the unit that declares them, unless they are named `primary` and
/// `secondary`.
#[cfg(target_os = "linux")]
pub(super) fn listeners() -> io::Result<Option<[TcpListener; 2]>> {
    use nix::sys::socket::{SockType, getsockopt, sockopt};

    let passed = sd_notify::listen_fds_with_names()?;
    if passed.len() == 0 {
        return Ok(None);
    }
    let mut passed: Vec<_> = passed
        .map(|(descriptor, name)| (crate::sys::adopt(descriptor), name))
        .collect();
    let named = |wanted: &str| passed.iter().filter(|(_, name)| name == wanted).count() == 1;
    if named("primary") && named("secondary") {
        passed.retain(|(_, name)| name == "primary" || name == "secondary");
        passed.sort_by(|(_, one), (_, other)| one.cmp(other));
    }
    let count = passed.len();
    let sockets: Vec<_> = passed.into_iter().map(|(socket, _)| socket).collect();
    let Ok(sockets) = <[_; 2]>::try_from(sockets) else {
        let problem = format!("{count} sockets were passed, and not 2");
        return Err(io::Error::other(problem));
    };
    for socket in &sockets {
        if getsockopt(socket, sockopt::SockType)? != SockType::Stream
            || !getsockopt(socket, sockopt::AcceptConn)?
        {
            return Err(io::Error::other("a socket that does not listen was passed"));
        }
    }
    Ok(Some(sockets.map(TcpListener::from)))
}

/// Only Linux has it.
#[cfg(not(target_os = "linux"))]
pub(super) fn listeners() -> io::Result<Option<[TcpListener; 2]>> {
    Ok(None)
}

/// No manager is told more often that the server goes on.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);

/// Who started the server and wants to know how it is. Nothing is ever waited for.
#[derive(Default)]
pub(super) struct Manager {
    socket: Option<UnixDatagram>,
    /// How often it wants to hear that the server goes on, and when next.
    watchdog: Option<(Duration, Instant)>,
}

impl Manager {
    /// Connects to the manager, if there is one, while its socket can still be reached.
    pub(super) fn find(log: &Log) -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Manager::default();
        };
        let socket = connect(&name);
        if let Err(error) = &socket {
            warn(error, log);
        }
        let of_this_process = |pid: String| pid.parse() == Ok(process::id());
        let microseconds = env::var("WATCHDOG_USEC")
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|&microseconds| microseconds > 0)
            .filter(|_| env::var("WATCHDOG_PID").map_or(true, of_this_process));
        let half = |microseconds| (Duration::from_micros(microseconds) / 2).max(SHORTEST_PERIOD);
        Manager {
            socket: socket.ok(),
            watchdog: microseconds.map(|time| (half(time), Instant::now())),
        }
    }

    /// Says something, in the words of `sd_notify(3)`.
    pub(super) fn tell(&self, state: &str, log: &Log) {
        let sent = self
            .socket
            .as_ref()
            .map(|socket| socket.send(state.as_bytes()));
        if let Some(Err(error)) = sent {
            warn(&error, log);
        }
    }

    /// When [`tick`](Manager::tick) has something to do next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.watchdog.map(|(_, due)| due)
    }

    /// Says that the server goes on, when it is time for it.
    pub(super) fn tick(&mut self, now: Instant, log: &Log) {
        if let Some((period, due)) = &mut self.watchdog
            && *due <= now
        {
            *due = now + *period;
            self.tell("WATCHDOG=1\n", log);
        }
    }
}

fn warn(error: &io::Error, log: &Log) {
    let reason = reason(error);
    log.event(Event::ManagerNotTold, &[("reason", Field::Text(&reason))]);
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address(name)?)?;
    socket.set_nonblocking(true)?;
    Ok(sys::move_up(socket))
}

/// A path, or behind an `@` a name that is in no directory.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::other(
            "NOTIFY_SOCKET is neither a path nor an abstract name",
        )),
    }
}

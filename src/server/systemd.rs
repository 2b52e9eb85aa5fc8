//! What systemd does for the server: it opens the listening sockets, and waits until it is ready.

use std::io;
use std::net::TcpListener;

use crate::log::{Field, Log, reason};

/// What to tell.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Ready,
    Stopping,
}

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

/// Tells systemd, if it started the server and wants to know.
pub(super) fn tell(state: State, log: Log) {
    if let Err(error) = notify(state) {
        let reason = reason(&error);
        let fields = [("reason", Field::Text(&reason))];
        log.warning("cannot tell the service manager", &fields);
    }
}

#[cfg(target_os = "linux")]
fn notify(state: State) -> io::Result<()> {
    let state = match state {
        State::Ready => sd_notify::NotifyState::Ready,
        State::Stopping => sd_notify::NotifyState::Stopping,
    };
    sd_notify::notify(&[state])
}

#[cfg(not(target_os = "linux"))]
fn notify(_state: State) -> io::Result<()> {
    Ok(())
}

//! Options of the socket of a session.

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::sys;

/// How many bytes of replies may wait in the system to be sent. A writer goes on when half of them
/// are gone: a client that takes this much within the idle time-out is not one that leaves its
/// replies unread, and what one that takes nothing costs the system is bounded.
const UNSENT_LIMIT: u32 = 16 * 1024;

/// Sets what each session needs: on its socket, or on the listener, whose sockets get the same on
/// most systems.
pub(crate) fn set_options(socket: &impl AsFd, idle_timeout: Duration) -> Result<(), Errno> {
    // A reply must not wait for the acknowledgement of the one before.
    setsockopt(socket, sockopt::TcpNoDelay, &true)?;
    // A peer that vanished must not keep the process for ever.
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    let timeout = time_value(idle_timeout);
    setsockopt(socket, sockopt::ReceiveTimeout, &timeout)?;
    setsockopt(socket, sockopt::SendTimeout, &timeout)?;
    sys::limit_unsent(socket.as_fd(), UNSENT_LIMIT)
}

/// Whether a socket that was accepted has the options of its listener.
pub(crate) fn options_are_inherited(stream: &TcpStream, idle_timeout: Duration) -> bool {
    let expected = time_value(idle_timeout);
    let timeouts = [
        getsockopt(stream, sockopt::ReceiveTimeout),
        getsockopt(stream, sockopt::SendTimeout),
    ];
    // The system rounds to its ticks.
    let is_as_expected = |time: TimeVal| (time - expected).num_milliseconds().abs() <= 20;
    cfg!(target_os = "linux")
        && stream.nodelay().unwrap_or(false)
        && getsockopt(stream, sockopt::KeepAlive).unwrap_or(false)
        && timeouts
            .into_iter()
            .all(|time| time.is_ok_and(is_as_expected))
}

/// The longest time that the system takes is for ever; nothing would be as well.
fn time_value(time: Duration) -> TimeVal {
    const FOR_EVER: u64 = 100 * 365 * 24 * 3600;
    let time = time.clamp(Duration::from_micros(1), Duration::from_secs(FOR_EVER));
    TimeVal::seconds(time.as_secs().cast_signed())
        + TimeVal::microseconds(time.subsec_micros().into())
}

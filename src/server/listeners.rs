//! The two listening sockets: opening, announcing and accepting.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{Backlog, listen};

use super::bounds::Bounds;
use super::start::Error;
use super::systemd;
use crate::config::Config;
use crate::log::{Event, Field, Log, reason};
use crate::socket::set_options;
use crate::sys;

/// How long a listener rests when the system cannot accept, most likely for want of descriptors. The
/// connection waits in the backlog, and pselect would report it at once, again and again.
const REST: Duration = Duration::from_millis(100);

pub(super) struct Listeners {
    pub(super) primary: Listener,
    pub(super) secondary: Listener,
}

pub(super) struct Listener {
    socket: TcpListener,
    name: &'static str,
    resting_until: Option<Instant>,
}

impl Listeners {
    /// Takes the sockets that the service manager opened, or opens them.
    pub(super) fn open(config: &Config) -> Result<Self, Error> {
        let inherited = systemd::listeners().map_err(|cause| Error {
            what: "cannot take the sockets of the service manager".to_owned(),
            cause,
            advice: "pass two TCP sockets that listen, the primary one first",
        })?;
        let [primary, secondary] = match inherited {
            Some([primary, secondary]) => [
                Listener::inherit("primary", primary)?,
                Listener::inherit("secondary", secondary)?,
            ],
            None => [
                Listener::open("primary", config.primary_address())?,
                Listener::open("secondary", config.secondary_address())?,
            ],
        };
        Ok(Listeners { primary, secondary })
    }

    pub(super) fn each(&self) -> [&Listener; 2] {
        [&self.primary, &self.secondary]
    }

    /// The addresses, as the port file has them.
    pub(super) fn text(&self) -> Result<String, Error> {
        let primary = self.primary.address()?;
        let secondary = self.secondary.address()?;
        Ok(format!("primary {primary}\nsecondary {secondary}\n"))
    }

    /// Makes the sockets of sessions what they should be, as far as they inherit it.
    pub(super) fn set_session_options(&self, idle_timeout: Duration) {
        // Where that does not work, sessions do it themselves.
        let _ = set_options(&self.primary.socket, idle_timeout);
    }

    /// Logs the addresses, and how many sessions there may be.
    pub(super) fn announce(&self, bounds: &Bounds, log: &Log) -> Result<(), Error> {
        let primary = self.primary.address()?;
        let secondary = self.secondary.address()?;
        let max_sessions = bounds.max_sessions;
        let per_source = bounds.per_source.min(max_sessions);
        let fields = [
            ("primary", Field::Text(&primary)),
            ("secondary", Field::Text(&secondary)),
            ("max_sessions", Field::Number(max_sessions as u64)),
            ("per_source", Field::Number(per_source as u64)),
            ("limited_by", Field::Text(&bounds.because)),
        ];
        log.notice("listening", &fields);
        Ok(())
    }
}

impl Listener {
    fn open(name: &'static str, address: SocketAddr) -> Result<Self, Error> {
        let socket = bind(address).map_err(|cause| Error {
            what: format!("cannot listen on {address} ({name} port)"),
            advice: match cause.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EADDRINUSE) => "choose another port or stop the other server",
                Some(Errno::EACCES | Errno::EPERM) => "choose a port above 1023",
                Some(Errno::EADDRNOTAVAIL) => "choose an address of this machine for --bind",
                _ => "choose another address or port",
            },
            cause,
        })?;
        Ok(Listener::new(name, socket))
    }

    fn inherit(name: &'static str, socket: TcpListener) -> Result<Self, Error> {
        socket.set_nonblocking(true).map_err(|cause| Error {
            what: format!("cannot use the socket of the {name} port"),
            cause,
            advice: "pass a TCP socket that listens",
        })?;
        Ok(Listener::new(name, socket))
    }

    fn new(name: &'static str, socket: TcpListener) -> Self {
        Listener {
            socket: sys::move_up(socket),
            name,
            resting_until: None,
        }
    }

    fn address(&self) -> Result<SocketAddr, Error> {
        self.socket.local_addr().map_err(|cause| Error {
            what: format!("cannot tell the address of the {} port", self.name),
            cause,
            advice: "try again",
        })
    }

    /// Until when this listener rests; `None` if it does not.
    pub(super) fn resting_until(&self, now: Instant) -> Option<Instant> {
        self.resting_until.filter(|&until| now < until)
    }

    /// The next connection; `None` if nobody waits, or if the system cannot accept one more, even
    /// after `make_room` has given back all descriptors that it can.
    pub(super) fn accept(
        &mut self,
        mut make_room: impl FnMut() -> bool,
        log: &Log,
    ) -> Option<(TcpStream, SocketAddr)> {
        loop {
            let error = match self.socket.accept() {
                Ok(connection) => {
                    self.resting_until = None;
                    return Some(connection);
                }
                Err(error) => error,
            };
            match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EAGAIN) => return None,
                // These concern one connection, which is gone, or nothing at all.
                Some(Errno::ECONNABORTED | Errno::EINTR) => {}
                Some(Errno::EMFILE | Errno::ENFILE) if make_room() => {}
                _ => {
                    self.rest_from(&error, log);
                    return None;
                }
            }
        }
    }

    fn rest_from(&mut self, error: &io::Error, log: &Log) {
        let reason = reason(error);
        let fields = [
            ("port", Field::Text(&self.name)),
            ("reason", Field::Text(&reason)),
        ];
        log.event(Event::CannotAccept, &fields);
        self.resting_until = Some(Instant::now() + REST);
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    // The standard library sets SO_REUSEADDR and close-on-exec, but asks for a short backlog;
    // listening again changes it.
    let socket = TcpListener::bind(address)?;
    listen(&socket, Backlog::MAXCONN)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn a_taken_port_is_reported_with_its_address_and_a_remedy() {
        let taken = Listener::open("primary", ANY).expect("a free port");
        let address = taken.address().expect("an address");
        let error = Listener::open("secondary", address)
            .err()
            .map(|error| error.to_string());
        let expected = format!(
            "cannot listen on {address} (secondary port): address already in use; \
             choose another port or stop the other server"
        );
        assert_eq!(error, Some(expected));
    }

    #[test]
    fn an_idle_listener_neither_blocks_nor_rests() {
        let mut listener = Listener::open("primary", ANY).expect("a free port");
        assert!(listener.accept(|| false, &Log::quiet()).is_none());
        assert_eq!(listener.resting_until(Instant::now()), None);
    }
}

//! The secondary port's side of a connection: one line, then a close that loses none of it.
//!
//! The parent waits for no client. Closing a socket with unread input makes the kernel send a reset,
//! which can destroy the line in flight, so that a socket lingers: at each [`TICK`] its input is
//! thrown away, until the client closes or a deadline passes. Lingering sockets are not in the set
//! that pselect waits for, there are few of them, and however busy the loop is, they are looked at
//! once a tick.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// How often lingering sockets are looked at, while there are any.
const TICK: Duration = Duration::from_millis(10);

/// How long a client may take to close its side.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many sockets may linger; then the oldest is closed.
const CAPACITY: usize = 256;
/// How much input of one socket is thrown away at a time.
const APPETITE: usize = 16 * 4096;

#[derive(Default)]
pub(super) struct Lingering {
    /// The oldest first, hence the earliest deadline first.
    sockets: VecDeque<(Instant, TcpStream)>,
    /// When to look at them next, if there are any.
    next_sweep: Option<Instant>,
}

impl Lingering {
    /// Sends `line`, ends the server's side, and lets the socket linger if the client's is open.
    pub(super) fn dismiss(&mut self, mut socket: TcpStream, line: &[u8]) {
        // A new socket has room for a line. Where one has not, its client gets none: it is gone.
        let sent = socket
            .set_nonblocking(true)
            .and_then(|()| socket.write_all(line))
            .and_then(|()| socket.shutdown(Shutdown::Write));
        if sent.is_err() || !is_open(&mut socket) {
            return;
        }
        if self.sockets.len() == CAPACITY {
            self.sockets.pop_front();
        }
        let now = Instant::now();
        self.next_sweep.get_or_insert(now + TICK);
        self.sockets.push_back((now + PATIENCE, socket));
    }

    /// Closes the socket that has lingered longest; `false` if there is none. Its client has had its
    /// line sent, and another one wants its descriptor.
    pub(super) fn evict_oldest(&mut self) -> bool {
        self.sockets.pop_front().is_some()
    }

    /// When it is time for it, throws input away, and closes what has lingered long enough.
    pub(super) fn sweep(&mut self, now: Instant) {
        if self.next_sweep.is_none_or(|due| now < due) {
            return;
        }
        self.sockets
            .retain_mut(|(deadline, socket)| now < *deadline && is_open(socket));
        self.next_sweep = (!self.sockets.is_empty()).then_some(now + TICK);
    }

    /// When [`sweep`](Lingering::sweep) has something to do next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next_sweep
    }
}

/// Throws input away, and tells whether the client may send more.
fn is_open(socket: &mut TcpStream) -> bool {
    let mut discarded = [0; 4096];
    for _ in 0..APPETITE / discarded.len() {
        match socket.read(&mut discarded) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).expect("a listener");
        let (server, _) = listener.accept().expect("a client");
        (client, server)
    }

    #[test]
    fn a_client_gets_its_line_and_the_end() {
        let (mut client, server) = connection();
        let mut lingering = Lingering::default();
        lingering.dismiss(server, b"line\n");
        let mut received = String::new();
        client.read_to_string(&mut received).expect("no reset");
        assert_eq!(received, "line\n");
        drop(client);
        lingering.sweep(lingering.due().expect("a socket lingers"));
        assert_eq!(lingering.due(), None);
    }

    #[test]
    fn input_does_not_destroy_the_line() {
        let (mut client, server) = connection();
        client.write_all(&[b'x'; 100_000]).expect("buffers take it");
        let mut lingering = Lingering::default();
        lingering.dismiss(server, b"line\n");
        let mut received = String::new();
        client.read_to_string(&mut received).expect("no reset");
        assert_eq!(received, "line\n");
    }

    #[test]
    fn nobody_lingers_past_the_deadline() {
        let (_client, server) = connection();
        let mut lingering = Lingering::default();
        lingering.dismiss(server, b"line\n");
        lingering.sweep(lingering.due().expect("a socket lingers"));
        assert!(lingering.due().is_some());
        lingering.sweep(Instant::now() + PATIENCE);
        assert_eq!(lingering.due(), None);
    }

    #[test]
    fn between_two_ticks_nobody_is_looked_at() {
        let (client, server) = connection();
        let mut lingering = Lingering::default();
        lingering.dismiss(server, b"line\n");
        let due = lingering.due().expect("a socket lingers");
        drop(client);
        lingering.sweep(due - Duration::from_nanos(1));
        assert_eq!((lingering.due(), lingering.sockets.len()), (Some(due), 1));
    }

    #[test]
    fn the_oldest_makes_room() {
        let connections: Vec<_> = (0..=CAPACITY).map(|_| connection()).collect();
        let mut lingering = Lingering::default();
        let mut clients = Vec::new();
        for (client, server) in connections {
            lingering.dismiss(server, b"line\n");
            clients.push(client);
        }
        assert_eq!(lingering.sockets.len(), CAPACITY);
    }
}

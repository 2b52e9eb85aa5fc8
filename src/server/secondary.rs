//! The secondary port's side of a connection: one line, then a close that loses none of it.
//!
//! The parent waits for no client. Closing a socket with unread input makes the kernel send a reset,
//! which can destroy the line in flight, so that a socket lingers: at each [`TICK`] its input is
//! thrown away, until the client closes or a deadline passes. Lingering sockets are not in the set
//! that pselect waits for, and there are few of them.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// How often lingering sockets are looked at, while there are any.
pub(super) const TICK: Duration = Duration::from_millis(10);

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
        self.sockets.push_back((Instant::now() + PATIENCE, socket));
    }

    /// Throws input away, and closes what has lingered long enough.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.sockets
            .retain_mut(|(deadline, socket)| now < *deadline && is_open(socket));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
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
        assert!(!lingering.is_empty());
        drop(client);
        lingering.sweep(Instant::now());
        assert!(lingering.is_empty());
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
        lingering.sweep(Instant::now());
        assert!(!lingering.is_empty());
        lingering.sweep(Instant::now() + PATIENCE);
        assert!(lingering.is_empty());
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

//! One connection to the server under test: raw octets, deadlines, and the difference between an end of file and a reset.
//!
//! A thread of its own receives, so that a server which answers while we still send never blocks both sides.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::sockets;
use crate::trace::{Trace, What};

/// A connection.
#[derive(Debug)]
pub struct Connection {
    name: String,
    stream: Arc<TcpStream>,
    inbox: Arc<Inbox>,
    trace: Trace,
    broken: bool,
}

#[derive(Debug, Default)]
struct Inbox {
    state: Mutex<Received>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Received {
    octets: Vec<u8>,
    /// How many of them have been taken.
    taken: usize,
    end: Option<End>,
    abandoned: bool,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// In order, by FIN.
    Eof,
    /// By RST.
    Reset,
    /// Otherwise.
    Failed(String),
}

/// What came next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A line, without its LF.
    Line(Vec<u8>),
    /// The end, behind so many octets that make no line.
    End(End, Vec<u8>),
    /// Nothing in time, but for these octets without LF.
    Silence(Vec<u8>),
}

/// More than this is not held for a server that never stops talking.
const MOST_HELD: usize = 16 << 20;

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Those of `connect`; also when it takes longer than the time-out.
    pub fn open(
        name: &str,
        address: SocketAddr,
        timeout: Duration,
        trace: &Trace,
    ) -> std::io::Result<Connection> {
        let stream = match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => stream,
            Err(error) => {
                trace.record(name, What::Refused(error.to_string()));
                return Err(error);
            }
        };
        // Every send step is a segment of its own.
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(timeout))?;
        trace.record(name, What::Connected(address.to_string()));
        let connection = Connection {
            name: name.to_owned(),
            stream: Arc::new(stream),
            inbox: Arc::default(),
            trace: trace.clone(),
            broken: false,
        };
        let receiver = Receiver {
            name: name.to_owned(),
            stream: connection.stream.clone(),
            inbox: connection.inbox.clone(),
            trace: trace.clone(),
        };
        thread::Builder::new()
            .name("receiver".to_owned())
            .stack_size(256 << 10)
            .spawn(move || receiver.run())?;
        Ok(connection)
    }

    /// The name that the transcript gives it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends octets. That the server does not take them shows in the trace, and in what is received next.
    pub fn send(&mut self, octets: &[u8]) {
        if self.broken {
            return;
        }
        self.trace.record(&self.name, What::Sent(octets.to_vec()));
        if let Err(error) = (&*self.stream).write_all(octets) {
            self.broken = true;
            self.trace
                .record(&self.name, What::SendFailed(error.to_string()));
        }
    }

    /// Waits until the server has read what was sent, as far as this system can tell; elsewhere for
    /// a moment.
    pub fn wait_until_read(&self) {
        /// What a server does not read by then it does not want to read.
        const PATIENCE: Duration = Duration::from_millis(200);
        /// Without a look at the server's queue.
        const MOMENT: Duration = Duration::from_millis(10);
        const GLANCE: Duration = Duration::from_millis(1);

        let ends = self
            .stream
            .peer_addr()
            .and_then(|peer| Ok((peer, self.stream.local_addr()?)));
        let unread = || {
            ends.as_ref()
                .ok()
                .and_then(|(peer, us)| sockets::unread(*peer, *us))
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match unread() {
                Some(0) => return,
                // The queue of the other end tells nothing, and nothing else announces it.
                None => return thread::sleep(MOMENT),
                Some(_) if Instant::now() > deadline => return,
                Some(_) => thread::sleep(GLANCE),
            }
        }
    }

    /// Ends the sending direction.
    pub fn half_close(&mut self) {
        self.trace.record(&self.name, What::HalfClosed);
        // It fails only where the server has ended the connection, which the next expectation sees.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes both directions.
    pub fn close(self) {
        self.trace.record(&self.name, What::Closed);
    }

    /// Aborts: the server receives a reset.
    pub fn reset(self) {
        self.trace.record(&self.name, What::Aborted);
        // Without linger time the last close of the socket sends RST. The receiver holds it too: ending the receiving direction wakes it up.
        let _ = SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO));
        self.lock().abandoned = true;
        let _ = self.stream.shutdown(Shutdown::Read);
        self.inbox.changed.notify_all();
        // Awaited, so that the reset is under way before the next step.
        let stream = Arc::downgrade(&self.stream);
        let inbox = self.inbox.clone();
        drop(self);
        let mut state = inbox.state.lock().unwrap_or_else(PoisonError::into_inner);
        while stream.strong_count() > 0 && state.end.is_none() {
            state = inbox
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Received> {
        self.inbox
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next line, or the end.
    pub fn next_line(&mut self, timeout: Duration) -> Next {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        let mut searched = 0;
        loop {
            let held = &state.octets[state.taken..];
            if let Some(length) = held[searched..].iter().position(|&octet| octet == b'\n') {
                let line = held[..searched + length].to_vec();
                let taken = state.taken + line.len() + 1;
                state.take_up_to(taken);
                self.inbox.changed.notify_all();
                return Next::Line(line);
            }
            searched = held.len();
            if let Some(end) = state.end.clone() {
                let rest = state.take_all();
                return Next::End(end, rest);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || searched >= MOST_HELD {
                return Next::Silence(held.to_vec());
            }
            state = self
                .inbox
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits for the end, dropping what comes before it. `None` if it does not come in time.
    pub fn skip_to_end(&mut self, timeout: Duration) -> Option<End> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.next_line(left) {
                // A server may send lines faster than they can be dropped.
                Next::Line(_) if !left.is_zero() => {}
                Next::End(end, _) => return Some(end),
                Next::Line(_) | Next::Silence(_) => return None,
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.lock();
        if !state.abandoned {
            state.abandoned = true;
            drop(state);
            let _ = self.stream.shutdown(Shutdown::Both);
            self.inbox.changed.notify_all();
        }
    }
}

impl Received {
    fn take_up_to(&mut self, taken: usize) {
        self.taken = taken;
        // Moving the rest down now and then keeps the cost of a line constant.
        if self.taken > MOST_HELD / 256 {
            self.octets.drain(..self.taken);
            self.taken = 0;
        }
    }

    fn take_all(&mut self) -> Vec<u8> {
        let rest = self.octets.split_off(self.taken);
        self.octets.clear();
        self.taken = 0;
        rest
    }
}

/// What the receiving thread holds; the socket closes when both sides have let go of it.
struct Receiver {
    name: String,
    stream: Arc<TcpStream>,
    inbox: Arc<Inbox>,
    trace: Trace,
}

impl Receiver {
    fn run(self) {
        let mut block = vec![0; 64 << 10];
        let end = loop {
            match (&*self.stream).read(&mut block) {
                Ok(0) => break End::Eof,
                Ok(length) => {
                    if !self.keep(&block[..length]) {
                        break End::Eof;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break End::Reset,
                Err(error) => break End::Failed(error.to_string()),
            }
        };
        let Receiver {
            name,
            stream,
            inbox,
            trace,
        } = self;
        drop(stream);
        let mut state = inbox.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.abandoned {
            trace.record(
                &name,
                match &end {
                    End::Eof => What::EndOfFile,
                    End::Reset => What::Reset,
                    End::Failed(why) => What::ReceiveFailed(why.clone()),
                },
            );
        }
        state.end = Some(end);
        inbox.changed.notify_all();
    }

    /// Puts octets into the inbox, and waits while it is full. False when nobody wants them any more.
    fn keep(&self, octets: &[u8]) -> bool {
        let mut state = self
            .inbox
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while state.octets.len() - state.taken >= MOST_HELD && !state.abandoned {
            state = self
                .inbox
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.abandoned {
            return false;
        }
        self.trace
            .record(&self.name, What::Received(octets.to_vec()));
        state.octets.extend_from_slice(octets);
        self.inbox.changed.notify_all();
        true
    }
}

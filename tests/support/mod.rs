//! A server for a test, and clients for it.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses a part of this"
)]

mod control_group;
mod process;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub(crate) use control_group::ControlGroup;
pub(crate) use process::{
    children_of, cpu_ticks_of, descriptors_of, field_of, limit, links_of, niceness_of, state_of,
    status_of,
};

/// What nobody waits for in vain: a limit for conditions that hold at once on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A command that starts the server binary.
pub(crate) fn server_command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_meta-stats-server"))
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) primary: SocketAddr,
    pub(crate) secondary: SocketAddr,
    /// Standard error behind the line that tells the addresses.
    pub(crate) log: BufReader<Box<dyn Read + Send + Sync>>,
}

impl Server {
    /// Starts a server on free ports of the loopback interface.
    pub(crate) fn start(arguments: &[&str]) -> Server {
        let mut command = server_command();
        command
            .args(["0", "0", "--bind", "127.0.0.1"])
            .args(arguments);
        Server::spawn(command)
    }

    /// Starts a server with a command that leaves standard error alone.
    pub(crate) fn spawn(mut command: Command) -> Server {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Server::spawn_as_is(command)
    }

    /// Starts a server that writes its addresses to this file, whatever it logs.
    pub(crate) fn spawn_silent(mut command: Command, port_file: &std::path::Path) -> Server {
        command.stderr(Stdio::piped());
        Server::spawn_told_by(command, port_file)
    }

    fn spawn_told_by(mut command: Command, port_file: &std::path::Path) -> Server {
        let mut child = command.spawn().expect("the server starts");
        eventually("the port file is there", || port_file.exists());
        let text = std::fs::read_to_string(port_file).expect("it can be read");
        let address = |label| {
            let address = text
                .lines()
                .find_map(|line| line.strip_prefix(label)?.strip_prefix(' '));
            address
                .and_then(|address| address.parse().ok())
                .expect("an address")
        };
        let log = child
            .stderr
            .take()
            .map_or(Box::new(std::io::empty()) as _, |log| {
                Box::new(log) as Box<dyn Read + Send + Sync>
            });
        Server {
            primary: address("primary"),
            secondary: address("secondary"),
            log: BufReader::new(log),
            child,
        }
    }

    /// The same for one that logs to something of the test.
    pub(crate) fn spawn_with_log(
        mut command: Command,
        log: Stdio,
        port_file: &std::path::Path,
    ) -> Server {
        command.stderr(log);
        Server::spawn_told_by(command, port_file)
    }

    /// The same for a command that also has its standard input and output.
    pub(crate) fn spawn_as_is(mut command: Command) -> Server {
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let log = child.stderr.take().expect("standard error is piped");
        let mut log = BufReader::new(Box::new(log) as Box<dyn Read + Send + Sync>);
        let mut line = String::new();
        log.read_line(&mut line)
            .expect("the server says where it listens");
        let address = |label: &str| {
            let word = line
                .split_whitespace()
                .find_map(|word| word.strip_prefix(label));
            word.and_then(|word| word.parse().ok())
                .unwrap_or_else(|| panic!("no {label} in {line:?}"))
        };
        Server {
            primary: address("primary="),
            secondary: address("secondary="),
            child,
            log,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Opens a session.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.primary)
    }

    /// Sends all, ends the input, and reads all.
    pub(crate) fn ask(&self, input: &str) -> String {
        let mut client = self.connect();
        client.send(input);
        client
            .stream
            .shutdown(Shutdown::Write)
            .expect("the connection is open");
        client.rest()
    }

    /// The line of the secondary port.
    pub(crate) fn means(&self) -> String {
        Client::connect(self.secondary).rest()
    }

    /// The number of means that the secondary port tells.
    pub(crate) fn means_count(&self) -> u64 {
        let line = self.means();
        let count = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        count.unwrap_or_else(|| panic!("no count in {line:?}"))
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(pid(self.pid()), signal).expect("the server runs");
    }

    /// Waits until the server has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the server ends", || {
            status = self.child.try_wait().expect("the server is our child");
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// The only child.
    pub(crate) fn only_child(&self) -> u32 {
        match children_of(self.pid())[..] {
            [(child, _)] => child,
            ref others => panic!("one child is expected, there are {others:?}"),
        }
    }

    /// Stops the process of the server, and returns when it stands still.
    pub(crate) fn freeze(&self) {
        self.signal(nix::sys::signal::Signal::SIGSTOP);
        eventually("the server stands still", || state_of(self.pid()) == 'T');
    }

    pub(crate) fn unfreeze(&self) {
        self.signal(nix::sys::signal::Signal::SIGCONT);
    }

    pub(crate) fn no_child_is_left(&self) {
        eventually("no child is left, not even a zombie", || {
            children_of(self.pid()).is_empty()
        });
    }

    /// The next line of the log that has this in it.
    pub(crate) fn log_line_with(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            let length = self.log.read_line(&mut line).expect("the log is text");
            assert!(length > 0, "the log ends without {part:?}");
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Everything that the server logs until it ends.
    pub(crate) fn rest_of_log(&mut self) -> String {
        let mut text = String::new();
        self.log.read_to_string(&mut text).expect("the log is text");
        text
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn pid(pid: u32) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(pid.cast_signed())
}

/// A connection with a reader that never waits for ever.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        Client::of(TcpStream::connect(address).expect("the server listens"))
    }

    /// Connects from this address, with a receive buffer of this size if there is one.
    pub(crate) fn connect_from(
        source: [u8; 4],
        receive_buffer: Option<usize>,
        address: SocketAddr,
    ) -> Client {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
            .expect("there is a free descriptor");
        if let Some(size) = receive_buffer {
            socket.set_recv_buffer_size(size).expect("a size is valid");
        }
        socket
            .bind(&SocketAddr::from((source, 0)).into())
            .expect("the address is local");
        socket.connect(&address.into()).expect("the server listens");
        Client::of(socket.into())
    }

    fn of(stream: TcpStream) -> Client {
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a time-out is valid");
        stream.set_nodelay(true).expect("the connection is open");
        let reader = BufReader::new(stream.try_clone().expect("there is a free descriptor"));
        Client { stream, reader }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream
            .write_all(text.as_bytes())
            .expect("the server takes input");
    }

    /// Sends to a server that may have closed the connection.
    pub(crate) fn try_send(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.write_all(text.as_bytes())
    }

    /// Everything up to an orderly end, if there is one.
    pub(crate) fn try_rest(mut self) -> Option<String> {
        let mut text = String::new();
        self.reader.read_to_string(&mut text).ok().map(|_| text)
    }

    /// The next line without its newline; empty at the end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader
            .read_line(&mut line)
            .expect("a line, and no reset");
        line.trim_end_matches('\n').to_owned()
    }

    /// Everything up to an orderly end.
    pub(crate) fn rest(mut self) -> String {
        let mut text = String::new();
        self.reader
            .read_to_string(&mut text)
            .expect("an end of file, and no reset");
        text
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket
            .set_linger(Some(Duration::ZERO))
            .expect("the connection is open");
    }

    /// Whether nothing arrives for this long.
    pub(crate) fn hears_nothing_for(&self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).expect("valid");
        let heard = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).expect("valid");
        heard.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Sends a line and reads one.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.send(&format!("{line}\n"));
        self.line()
    }
}

/// Waits for a condition that nothing announces.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

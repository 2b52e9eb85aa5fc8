//! A server for a test, and clients for it.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

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
    pub(crate) log: BufReader<std::process::ChildStderr>,
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
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut log = BufReader::new(child.stderr.take().expect("standard error is piped"));
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
        let stream = TcpStream::connect(address).expect("the server listens");
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

/// The processes whose parent is this one, zombies included.
pub(crate) fn children_of(parent: u32) -> Vec<(u32, char)> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")
        .expect("there is /proc")
        .flatten()
    {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // A process that ends meanwhile has no file any more.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let state = fields.next().and_then(|state| state.chars().next());
        let its_parent = fields.next().and_then(|pid| pid.parse().ok());
        if its_parent == Some(parent) {
            children.push((pid, state.unwrap_or('?')));
        }
    }
    children
}

/// How many descriptors a process has open.
pub(crate) fn descriptors_of(pid: u32) -> usize {
    let directory = PathBuf::from(format!("/proc/{pid}/fd"));
    std::fs::read_dir(directory)
        .expect("the process runs")
        .count()
}

//! The server under test: at an address, or started by us.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Its primary port.
    pub primary: SocketAddr,
    /// Its secondary port.
    pub secondary: SocketAddr,
}

/// What to test.
#[derive(Clone, Debug)]
pub enum Target {
    /// A server that runs already, and that others may use too.
    Running(Addresses),
    /// A server that we start, as often as we like.
    Launched(Launcher),
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Target::Running(addresses) => write!(f, "{}", addresses.primary),
            Target::Launched(Launcher::Template(command)) => write!(f, "{command}"),
            Target::Launched(Launcher::Announcing { name, .. }) => write!(f, "{name}"),
        }
    }
}

/// How to start a server.
#[derive(Clone, Debug)]
pub enum Launcher {
    /// A shell command in which `{port}` and `{meta_port}` stand for the ports.
    Template(String),
    /// A program that says on standard error `listening primary=ADDRESS secondary=ADDRESS` and can take free ports itself, as the bundled server does.
    Announcing {
        /// What reports call it.
        name: String,
        /// The program.
        program: PathBuf,
        /// Its arguments; `{port}` and `{meta_port}` are 0, for any free port, at the first start.
        arguments: Vec<OsString>,
    },
}

/// A server cannot be reached, or cannot be started.
#[derive(Debug)]
pub struct Unreachable(pub String);

impl Display for Unreachable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// A server that we started. It is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub addresses: Addresses,
    child: Child,
    output: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

/// What a case can send to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// The servers that run now, by process: a program that is interrupted ends them.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Kills every server that was started and still runs, with all its children in the same process group. For the end of the program only.
pub fn kill_all() {
    for id in RUNNING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
    {
        kill_group(*id);
    }
}

/// Kills a process and those that it has started, as far as they stayed in its group.
fn kill_group(id: u32) {
    #[cfg(unix)]
    {
        use nix::sys::signal::{Signal, killpg};
        // The group may be gone already.
        let _ = killpg(
            nix::unistd::Pid::from_raw(id.cast_signed()),
            Signal::SIGKILL,
        );
    }
    #[cfg(not(unix))]
    let _ = id;
}

/// What is kept of a server's output.
const MOST_OUTPUT: usize = 64 << 10;

/// A server that takes longer to start is taken for broken.
const START_TIME: Duration = Duration::from_secs(10);

impl Launcher {
    /// Starts a server and waits until both its ports accept.
    ///
    /// # Errors
    /// If it does not start, ends, or does not listen in time.
    pub fn launch(&self) -> Result<Server, Unreachable> {
        self.launch_at(None)
    }

    /// Starts a server on the ports where it was before.
    ///
    /// # Errors
    /// As [`Launcher::launch`].
    pub fn launch_again(&self, addresses: Addresses) -> Result<Server, Unreachable> {
        self.launch_at(Some(addresses))
    }

    fn launch_at(&self, addresses: Option<Addresses>) -> Result<Server, Unreachable> {
        match self {
            Launcher::Template(template) => match addresses {
                Some(addresses) => launch_template(template, addresses),
                None => launch_on_free_ports(template),
            },
            Launcher::Announcing {
                program, arguments, ..
            } => {
                let port = |address: fn(&Addresses) -> SocketAddr| {
                    addresses
                        .as_ref()
                        .map_or(0, |addresses| address(addresses).port())
                        .to_string()
                };
                let mut command = Command::new(program);
                command.args(arguments.iter().map(|argument| match argument.to_str() {
                    Some("{port}") => port(|addresses| addresses.primary).into(),
                    Some("{meta_port}") => port(|addresses| addresses.secondary).into(),
                    _ => argument.clone(),
                }));
                launch_announcing(command)
            }
        }
    }
}

/// Nothing reserves a free port between our finding it and the server's taking it, so somebody else may be faster.
fn launch_on_free_ports(template: &str) -> Result<Server, Unreachable> {
    const TRIES: usize = 4;
    let mut last = Err(Unreachable("there are no free ports".to_owned()));
    for _ in 0..TRIES {
        let addresses = free_ports()
            .map_err(|error| Unreachable(format!("there are no free ports: {error}")))?;
        last = launch_template(template, addresses);
        if last.is_ok() {
            break;
        }
    }
    last
}

fn launch_template(template: &str, addresses: Addresses) -> Result<Server, Unreachable> {
    let line = template
        .replace("{port}", &addresses.primary.port().to_string())
        .replace("{meta_port}", &addresses.secondary.port().to_string());
    // `exec`, so that the process we watch is the server and not the shell.
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("exec {line}"));
    command.stdout(Stdio::piped());
    let mut server = spawn(command, addresses)?;
    for stream in [
        server.child.stdout.take().map(boxed),
        server.child.stderr.take().map(boxed),
    ] {
        server
            .readers
            .extend(stream.map(|stream| keep_output(stream, server.output.clone())));
    }
    let deadline = Instant::now() + START_TIME;
    for address in [addresses.primary, addresses.secondary] {
        while !listens(address) {
            if let Some(status) = server.exit_status() {
                return Err(server.failed(&format!("`{line}` ended before it listened ({status})")));
            }
            if Instant::now() > deadline {
                return Err(server.failed(&format!(
                    "`{line}` does not listen on {address} after {START_TIME:?}"
                )));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
    Ok(server)
}

/// Whether a server accepts at an address.
fn listens(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, START_TIME).is_ok_and(|stream| !is_to_itself(&stream))
}

/// Whether a connection has one end only. To connect to a free port, the system may choose the same one to connect from, and TCP lets a socket
/// open a connection to itself.
fn is_to_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(near), Ok(far)) if near == far)
}

fn boxed(stream: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(stream)
}

fn launch_announcing(mut command: Command) -> Result<Server, Unreachable> {
    command.stdout(Stdio::null());
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut server = spawn(
        command,
        Addresses {
            primary: nowhere,
            secondary: nowhere,
        },
    )?;
    let Some(stderr) = server.child.stderr.take() else {
        return Err(server.failed("the server has no standard error"));
    };
    let mut stderr = BufReader::new(stderr);
    let mut said = String::new();
    loop {
        let before = said.len();
        match stderr.read_line(&mut said) {
            Ok(1..) => {}
            _ => {
                return Err(Unreachable(format!(
                    "the server ended before it listened; it said: {said}"
                )));
            }
        }
        if let Some(addresses) = announced(&said[before..]) {
            server.addresses = addresses;
            server
                .readers
                .push(keep_output(Box::new(stderr), server.output.clone()));
            return Ok(server);
        }
    }
}

/// Reads `listening primary=ADDRESS secondary=ADDRESS`, wherever in the line it stands.
fn announced(line: &str) -> Option<Addresses> {
    let field = |label: &str| {
        line.split_whitespace()
            .find_map(|word| word.strip_prefix(label))
            .and_then(|address| address.parse().ok())
    };
    Some(Addresses {
        primary: field("primary=")?,
        secondary: field("secondary=")?,
    })
}

fn spawn(mut command: Command, addresses: Addresses) -> Result<Server, Unreachable> {
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    // A group of its own, so that children which outlive the server are killed with it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn().map_err(|error| {
        Unreachable(format!(
            "{} cannot be started: {error}",
            command.get_program().display()
        ))
    })?;
    RUNNING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(child.id());
    Ok(Server {
        addresses,
        child,
        output: Arc::default(),
        readers: Vec::new(),
    })
}

/// Ports that were found free for servers which still run, or are about to: what is free once is found again.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Ports to try: below those that systems give to clients, so that no connection of ours takes one before its server does.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// Two ports that are free now. Each process walks through the ports from a place of its own, so that two that start servers at the same time
/// hardly ever find the same.
fn free_ports() -> std::io::Result<Addresses> {
    static PLACE: LazyLock<AtomicUsize> = LazyLock::new(|| {
        // The standard library keys its hash maps at random, and this is all the randomness that is needed here.
        AtomicUsize::new(RandomState::new().hash_one(()) as usize % PORTS.len())
    });
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut free = (0..PORTS.len()).filter_map(|_| {
        let place = PLACE.fetch_add(1, Ordering::Relaxed) % PORTS.len();
        let port = PORTS.start + place as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        (!taken.contains(&port) && TcpListener::bind(address).is_ok()).then_some(address)
    });
    let (Some(primary), Some(secondary)) = (free.next(), free.next()) else {
        return Err(ErrorKind::AddrInUse.into());
    };
    taken.extend([primary.port(), secondary.port()]);
    Ok(Addresses { primary, secondary })
}

fn keep_output(mut stream: Box<dyn Read + Send>, output: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut block = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut block) {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MOST_OUTPUT.saturating_sub(output.len());
            output.extend_from_slice(&block[..length.min(room)]);
        }
    })
}

impl Server {
    /// The process that was started.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal; `false` if there is no such process, or no such thing as a signal.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        #[cfg(unix)]
        {
            let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
            let signal = match signal {
                Signal::Terminate => nix::sys::signal::Signal::SIGTERM,
                Signal::Kill => nix::sys::signal::Signal::SIGKILL,
            };
            nix::sys::signal::kill(pid, signal).is_ok()
        }
        #[cfg(not(unix))]
        {
            let _ = signal;
            false
        }
    }

    /// How the server ended, if it did.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// What the server has written so far to standard output and standard error.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap_or_else(PoisonError::into_inner))
            .into_owned()
    }

    fn failed(mut self, what: &str) -> Unreachable {
        self.kill();
        let said = self.output();
        Unreachable(match said.trim() {
            "" => what.to_owned(),
            said => format!("{what}; it said: {said}"),
        })
    }

    fn kill(&mut self) {
        kill_group(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.child.id());
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.addresses.primary.port());
        taken.remove(&self.addresses.secondary.port());
    }
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn a_connection_to_itself_is_no_server() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        socket.bind(&any.into()).expect("a free port");
        let address = socket.local_addr().expect("an address");
        socket.connect(&address).expect("to itself");
        assert!(is_to_itself(&socket.into()));
        let listener = TcpListener::bind(any).expect("a free port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address"));
        assert!(!is_to_itself(&stream.expect("a connection")));
    }
}

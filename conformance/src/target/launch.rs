//! Starting a server, and making sure that it is the one that answers.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::ports::{are_free, free_ports, listens};
use super::{Addresses, Launcher, RUNNING, Server, Unreachable, takes_secondary};
use crate::process::{self, Listener};

/// What is kept of a server's output.
const MOST_OUTPUT: usize = 64 << 10;

/// A server that takes longer to start is taken for broken.
const START_TIME: Duration = Duration::from_secs(10);

impl Launcher {
    /// Starts a server and waits until its ports accept.
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
                Some(addresses) => launch_template(template, addresses).map_err(|error| error.why),
                None => launch_on_free_ports(template),
            },
            Launcher::Announcing {
                program, arguments, ..
            } => {
                let port = |address: fn(Addresses) -> Option<SocketAddr>| {
                    let address = addresses.and_then(address);
                    address.map_or(0, |address| address.port()).to_string()
                };
                let mut command = Command::new(program);
                command.args(arguments.iter().map(|argument| match argument.to_str() {
                    Some("{port}") => port(|addresses| Some(addresses.primary)).into(),
                    Some("{meta_port}") => port(|addresses| addresses.secondary).into(),
                    _ => argument.clone(),
                }));
                launch_announcing(command)
            }
        }
    }
}

/// Why a server did not start.
struct NotStarted {
    why: Unreachable,
    /// Whether another program has one of its ports, so that other ports may do.
    port_is_taken: bool,
}

impl NotStarted {
    fn broken(why: Unreachable) -> NotStarted {
        NotStarted {
            why,
            port_is_taken: false,
        }
    }
}

/// Starts a server on ports that are free. Nothing reserves a port between our finding it and the
/// server's taking it, so another program may be faster; then other ports are tried.
fn launch_on_free_ports(template: &str) -> Result<Server, Unreachable> {
    /// Pairs of ports; that a port is lost so often in a row is no accident.
    const TRIES: usize = 4;
    let mut tries = 1;
    loop {
        let addresses = free_ports(takes_secondary(template))
            .map_err(|error| Unreachable(format!("there are no free ports: {error}")))?;
        match launch_template(template, addresses) {
            Ok(server) => return Ok(server),
            Err(NotStarted {
                port_is_taken: true,
                ..
            }) if tries < TRIES => tries += 1,
            Err(NotStarted { why, port_is_taken }) => {
                return Err(match port_is_taken {
                    true => Unreachable(format!("{why} ({TRIES} pairs of ports were tried)")),
                    false => why,
                });
            }
        }
    }
}

fn launch_template(template: &str, addresses: Addresses) -> Result<Server, NotStarted> {
    let mut line = template.replace("{port}", &addresses.primary.port().to_string());
    if let Some(secondary) = addresses.secondary {
        line = line.replace("{meta_port}", &secondary.port().to_string());
    }
    // `exec`, so that the process we watch is the server and not the shell.
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("exec {line}"));
    command.stdout(Stdio::piped());
    let mut server = spawn(command, addresses).map_err(NotStarted::broken)?;
    for stream in [
        server.child.stdout.take().map(boxed),
        server.child.stderr.take().map(boxed),
    ] {
        server
            .readers
            .extend(stream.map(|stream| keep_output(stream, server.output.clone())));
    }
    let deadline = Instant::now() + START_TIME;
    for (name, address) in ports(addresses) {
        while !listens(address) {
            if has_ended(&mut server) {
                return Err(ended(server, &line));
            }
            if Instant::now() > deadline {
                let hint = match name {
                    "secondary" => "; without {meta_port} in its command it is tested without one",
                    _ => "",
                };
                let what = format!(
                    "`{line}` does not listen on {address} ({name} port) after {START_TIME:?}{hint}"
                );
                return Err(NotStarted::broken(server.failed(&what)));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
    claim(server, &line)
}

/// The ports by name.
fn ports(addresses: Addresses) -> impl DoubleEndedIterator<Item = (&'static str, SocketAddr)> {
    let primary = Some(("primary", addresses.primary));
    let secondary = addresses.secondary.map(|address| ("secondary", address));
    [primary, secondary].into_iter().flatten()
}

/// Whether nothing runs any more that could listen later.
fn has_ended(server: &mut Server) -> bool {
    let status = server.child.try_wait().ok().flatten();
    status.is_some() && process::running_of(server.child.id()).is_empty()
}

/// Makes sure that the ports are the server's, and finds its process.
fn claim(mut server: Server, line: &str) -> Result<Server, NotStarted> {
    for (name, address) in ports(server.addresses).rev() {
        match process::listener(server.child.id(), address.port()) {
            Listener::Started(id) => server.id = id,
            Listener::Unknown => {}
            Listener::Other(_) if has_ended(&mut server) => return Err(ended(server, line)),
            Listener::Other(who) => {
                let what = format!(
                    "{address} ({name} port) belongs to {who}, which `{line}` has not started; \
                     a server of which that is so can be tested at its address"
                );
                return Err(NotStarted {
                    why: server.failed(&what),
                    port_is_taken: true,
                });
            }
        }
    }
    Ok(server)
}

/// A server that ended at once. It is not to blame if another program has one of its ports.
fn ended(mut server: Server, line: &str) -> NotStarted {
    let status = server.child.try_wait().ok().flatten();
    let addresses = server.addresses;
    let how = status.map_or_else(String::new, |status| format!(" ({status})"));
    // One that ended well has gone into the background, where it may have the ports itself.
    let ended_well = status.is_some_and(|status| status.success());
    let hint = match ended_well {
        true => "; a server that leaves its session has to be started in the foreground",
        false => "",
    };
    let why = server.failed(&format!("`{line}` ended before it listened{how}{hint}"));
    NotStarted {
        port_is_taken: says_that_a_port_is_taken(&why.0) || !ended_well && !are_free(addresses),
        why,
    }
}

/// Whether a server complains of EADDRINUSE, in the words of the C library, Windows, Node.js or
/// Rust.
fn says_that_a_port_is_taken(output: &str) -> bool {
    let output = output.to_lowercase();
    let words = [
        "address already in use",
        "address in use",
        "eaddrinuse",
        "addrinuse",
    ];
    words.iter().any(|words| output.contains(words))
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
            secondary: None,
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

/// Reads `listening primary=ADDRESS secondary=ADDRESS`, or without a secondary port, wherever in
/// the line it stands.
fn announced(line: &str) -> Option<Addresses> {
    let field = |label: &str| {
        line.split_whitespace()
            .find_map(|word| word.strip_prefix(label))
            .and_then(|address| address.parse().ok())
    };
    Some(Addresses {
        primary: field("primary=")?,
        secondary: field("secondary="),
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
        id: child.id(),
        child,
        output: Arc::default(),
        readers: Vec::new(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_of_a_taken_port_are_known_in_many_languages() {
        for output in [
            "bind: Address already in use",
            "OSError: [Errno 98] Address already in use",
            "Error: listen EADDRINUSE: address already in use 127.0.0.1:10000",
            "java.net.BindException: Address already in use (Bind failed)",
            "called `Result::unwrap()` on an `Err` value: Os { code: 98, kind: AddrInUse, ..",
        ] {
            assert!(says_that_a_port_is_taken(output), "{output}");
        }
        assert!(!says_that_a_port_is_taken("bind: Permission denied"));
    }
}

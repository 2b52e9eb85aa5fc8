//! The server under test: at an address, or started by us.

mod launch;
mod ports;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::process;

#[cfg(feature = "cli")]
pub(crate) use ports::connects;

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Its primary port.
    pub primary: SocketAddr,
    /// Its secondary port; none if the server has none, or it is not to be tested.
    pub secondary: Option<SocketAddr>,
}

/// What to test.
#[derive(Clone, Debug)]
pub enum Target {
    /// A server that runs already, and that others may use too.
    Running(Addresses),
    /// A server that we start, as often as we like.
    Launched(Launcher),
}

impl Target {
    /// Whether the server has a secondary port, as far as we know.
    pub fn has_secondary(&self) -> bool {
        match self {
            Target::Running(addresses) => addresses.secondary.is_some(),
            Target::Launched(Launcher::Template(command)) => takes_secondary(command),
            Target::Launched(Launcher::Announcing { .. }) => true,
        }
    }
}

/// Whether a command says where the server takes its secondary port.
fn takes_secondary(command: &str) -> bool {
    command.contains("{meta_port}")
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
    /// A shell command in which `{port}` and `{meta_port}` stand for the ports; without
    /// `{meta_port}` the server has no secondary port.
    Template(String),
    /// A program that says on standard error `listening primary=ADDRESS secondary=ADDRESS` and can
    /// take free ports itself, as the bundled server does.
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
    /// The command that was started, the server itself or a shell around it.
    child: Child,
    /// The process of the server: the one that listens, as far as the system shows it.
    id: u32,
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

/// Kills every server that was started and still runs, with all its children in the same process
/// group. For the end of the program only.
pub fn kill_all() {
    for id in RUNNING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
    {
        kill_started(*id);
    }
}

/// Kills a command and what it has started, as far as that stayed in its process group or session,
/// or has a living parent there.
fn kill_started(command: u32) {
    #[cfg(unix)]
    {
        use nix::sys::signal::{Signal, kill, killpg};
        use nix::unistd::Pid;
        let others = process::running_of(command);
        // They may be gone already.
        let _ = killpg(Pid::from_raw(command.cast_signed()), Signal::SIGKILL);
        for id in others {
            let _ = kill(Pid::from_raw(id.cast_signed()), Signal::SIGKILL);
        }
    }
    #[cfg(not(unix))]
    let _ = command;
}

/// How long what was killed may keep its output open.
const OUTPUT_TIME: Duration = Duration::from_secs(1);

impl Server {
    /// The process of the server: where a shell or another program has started it, the process that
    /// listens, as far as the system shows it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Sends it a signal; `false` if there is no such process, or no such thing as a signal.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        #[cfg(unix)]
        {
            let pid = nix::unistd::Pid::from_raw(self.id.cast_signed());
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

    /// How the server ended, if it did; where it has gone into the background, how the command
    /// ended that did so.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten()?;
        let in_background = self.id != self.child.id() && process::runs(self.id);
        (!in_background).then_some(status)
    }

    /// Whether the process of the server has ended, even if a shell around it has not.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.exit_status().is_some() || self.id != self.child.id() && !process::runs(self.id)
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
        kill_started(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.child.id());
        for reader in self.readers.drain(..) {
            // A process that has left the group and the session may hold it open for ever.
            if process::eventually(OUTPUT_TIME, || reader.is_finished()) {
                let _ = reader.join();
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        ports::release(self.addresses);
    }
}

//! The sandbox itself: in a process of its own for each attempt, since there is no way out of it.

use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::num::NonZero;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Instant;

use libtest_mimic::{Arguments, Trial};
use meta_stats_server::sandbox::Sandbox;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::{getpid, getppid, setuid};

/// Names the attempt that a process is started for.
const VARIABLE: &str = "META_STATS_TEST_ATTEMPT";

/// What a process that lives after its attempt ends with.
const ALIVE: i32 = 77;

struct Attempt {
    name: &'static str,
    run: fn(),
}

/// What no session does. Each of these is killed for it.
const FORBIDDEN: &[Attempt] = &[
    Attempt {
        name: "opens_a_file",
        run: || drop(File::open("/etc/passwd")),
    },
    Attempt {
        name: "makes_a_file",
        run: || drop(File::create("/tmp/never")),
    },
    Attempt {
        name: "lists_a_directory",
        run: || drop(std::fs::read_dir("/")),
    },
    Attempt {
        name: "listens",
        run: || drop(TcpListener::bind("127.0.0.1:0")),
    },
    Attempt {
        name: "connects",
        run: || drop(TcpStream::connect("127.0.0.1:9")),
    },
    Attempt {
        name: "starts_a_process",
        run: || drop(Command::new("true").status()),
    },
    Attempt {
        name: "becomes_another_program",
        run: || drop(Command::new("true").exec()),
    },
    Attempt {
        name: "starts_a_thread",
        run: || drop(std::thread::Builder::new().spawn(|| ())),
    },
    Attempt {
        name: "signals_its_parent",
        run: || ignore(kill(getppid(), None)),
    },
    Attempt {
        name: "signals_itself",
        run: || ignore(raise(Signal::SIGUSR1)),
    },
    Attempt {
        name: "changes_its_user",
        run: || ignore(setuid(nix::unistd::getuid())),
    },
    Attempt {
        name: "duplicates_a_descriptor",
        run: || drop(nix::unistd::dup(std::io::stderr())),
    },
    Attempt {
        name: "makes_a_pipe",
        run: || drop(std::io::pipe()),
    },
    Attempt {
        name: "maps_executable_memory",
        run: || map(ProtFlags::PROT_READ | ProtFlags::PROT_EXEC),
    },
];

/// What sessions do.
const ALLOWED: &[Attempt] = &[
    Attempt {
        name: "does_nothing",
        run: || (),
    },
    Attempt {
        name: "allocates",
        run: allocate,
    },
    Attempt {
        name: "maps_memory",
        run: || map(ProtFlags::PROT_READ | ProtFlags::PROT_WRITE),
    },
    Attempt {
        name: "writes",
        run: write,
    },
    Attempt {
        name: "tells_its_number",
        run: || ignore(getpid()),
    },
    Attempt {
        name: "looks_at_the_clock",
        run: || ignore(Instant::now()),
    },
];

fn ignore<T>(_outcome: T) {}

#[expect(unsafe_code, reason = "memory can be mapped in no other way")]
fn map(protection: ProtFlags) {
    let length = NonZero::new(4096).expect("not zero");
    // SAFETY: new memory is nobody else's, and this is not used.
    let mapped = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) };
    mapped.expect("there is memory");
}

fn allocate() {
    let mut blocks: Vec<Vec<u8>> = (0..24).map(|power| vec![1; 1 << power]).collect();
    for block in &mut blocks {
        block.resize(block.len() * 2, 2);
    }
    drop(blocks);
}

fn write() {
    let text = "this is what a panic does";
    writeln!(std::io::stderr(), "{text}").expect("standard error is open");
}

fn main() -> ExitCode {
    let sandbox = Sandbox::compile(&[]).expect("there is a sandbox for this system");
    if let Ok(name) = std::env::var(VARIABLE) {
        let attempt = FORBIDDEN
            .iter()
            .chain(ALLOWED)
            .find(|attempt| attempt.name == name);
        let attempt = attempt.expect("the attempt is known");
        sandbox.confine_server().expect("the kernel has seccomp");
        sandbox.confine_session().expect("the kernel has seccomp");
        (attempt.run)();
        exit_now(ALIVE);
    }
    let forbidden = FORBIDDEN.iter().map(|attempt| {
        Trial::test(format!("who_{}_is_killed", attempt.name), || {
            let status = status_of(attempt);
            match status.signal() {
                Some(signal) if signal == Signal::SIGSYS as i32 => Ok(()),
                _ => Err(format!("it was not killed for that: {status}").into()),
            }
        })
    });
    let allowed = ALLOWED.iter().map(|attempt| {
        Trial::test(format!("who_{}_lives", attempt.name), || {
            let status = status_of(attempt);
            match status.code() {
                Some(ALIVE) => Ok(()),
                _ => Err(format!("it did not live: {status}").into()),
            }
        })
    });
    let trials = forbidden.chain(allowed).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Ends the process as a session does, without the cleanup of the standard library.
#[expect(
    unsafe_code,
    reason = "the library has no other way to end without cleanup"
)]
fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes any status and touches no memory of the process.
    unsafe { nix::libc::_exit(status) }
}

fn status_of(attempt: &Attempt) -> ExitStatus {
    Command::new(std::env::current_exe().expect("this program has a path"))
        .env(VARIABLE, attempt.name)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("this program starts again")
}

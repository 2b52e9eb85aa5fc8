//! What a session costs as a process, beside a bare one: `cargo bench --bench process`.
//!
//! The bare server accepts, forks, reads, answers and ends, and knows nothing else. Each of its
//! children is a floor for a child of the real server, with the sandbox and without it. The memory of
//! a session is its own pages and its page tables; what the kernel needs for a process and a
//! connection comes on top for each of them, and so does the filter in the sandbox.

#![expect(clippy::print_stdout, reason = "what is measured is the result")]
#![expect(
    unsafe_code,
    reason = "the bare server forks, and its children end without returning"
)]

#[path = "../support/mod.rs"]
mod support;

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::process::Command;
use std::thread;
use std::time::Instant;

use nix::libc;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{ForkResult, fork};

use support::{Client, Server, children_of, eventually, field_of, status_of};

const BARE: &str = "bare";
const ROUNDS: usize = 25;
/// Sessions that are timed together.
const SESSIONS: usize = 2000;
/// Clients at once meanwhile.
const CLIENTS: usize = 8;
/// Sessions that are open together while memory is measured.
const OPEN: usize = 200;

fn main() {
    if env::args().nth(1).as_deref() == Some(BARE) {
        serve_bare().expect("the bare server runs");
    }
    let servers = [
        ("bare", start_bare()),
        ("without sandbox", Server::start(&["--no-sandbox"])),
        ("with sandbox", Server::start(&[])),
    ];
    report("sessions/s", &servers, sessions_per_second);
    report(
        "kB of own memory per open session",
        &servers,
        memory_per_session,
    );
}

/// Measures all servers in turn, and prints medians, and medians of the ratios within a round.
fn report(what: &str, servers: &[(&str, Server); 3], measure: fn(&Server) -> f64) {
    let round = |_| servers.each_ref().map(|(_, server)| measure(server));
    // The first round warms up.
    let rounds: Vec<[f64; 3]> = (0..=ROUNDS).map(round).skip(1).collect();
    let middle = |value: &dyn Fn(&[f64; 3]) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    println!("{what}, medians of {ROUNDS} rounds");
    for (server, (name, _)) in servers.iter().enumerate() {
        let value = middle(&|round| round[server]);
        let to_bare = middle(&|round| round[server] / round[0]);
        let to_open = middle(&|round| round[server] / round[1]);
        println!("  {name:16}{value:8.0}   {to_bare:.3} of bare   {to_open:.3} of without sandbox");
    }
}

fn sessions_per_second(server: &Server) -> f64 {
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                for _ in 0..SESSIONS / CLIENTS {
                    let mut client = server.connect();
                    client.send("1\nexit\n");
                    assert!(!client.rest().is_empty());
                }
            });
        }
    });
    let rate = SESSIONS as f64 / start.elapsed().as_secs_f64();
    server.no_child_is_left();
    rate
}

fn memory_per_session(server: &Server) -> f64 {
    let clients: Vec<Client> = (0..OPEN).map(|_| server.connect()).collect();
    let mut children = Vec::new();
    eventually("all sessions wait for input", || {
        children = children_of(server.pid());
        children.len() == OPEN && children.iter().all(|&(_, state)| state == 'S')
    });
    let own = |&(child, _): &(u32, char)| {
        let rollup = fs::read_to_string(format!("/proc/{child}/smaps_rollup"));
        let rollup = rollup.expect("the session is open");
        kilobytes(&field_of(&rollup, "Private_Dirty")) + kilobytes(&status_of(child, "VmPTE"))
    };
    let total: f64 = children.iter().map(own).sum();
    drop(clients);
    server.no_child_is_left();
    total / OPEN as f64
}

fn kilobytes(text: &str) -> f64 {
    let number = text.trim().strip_suffix(" kB").map(str::parse);
    number.and_then(Result::ok).expect("a number of kB")
}

fn start_bare() -> Server {
    let mut command = Command::new(env::current_exe().expect("this program has a path"));
    command.arg(BARE);
    Server::spawn(command)
}

fn serve_bare() -> io::Result<()> {
    // SAFETY: to ignore a signal installs no code.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    eprintln!("listening primary={address} secondary={address}");
    loop {
        let (mut stream, _) = listener.accept()?;
        // SAFETY: this process has a single thread.
        if let ForkResult::Child = unsafe { fork() }? {
            let mut block = [0; 4096];
            if stream.read(&mut block).is_ok_and(|length| length > 0) {
                let _ = stream.write_all(b"EXIT STATS: count 1 mean 1 stddev nan\n");
                let _ = stream.shutdown(Shutdown::Write);
                while stream.read(&mut block).is_ok_and(|length| length > 0) {}
            }
            // SAFETY: _exit takes any status and touches no memory of the process.
            unsafe { libc::_exit(0) }
        }
    }
}

//! A server with faults and wordings that can be switched on, to see what the conformance runner
//! makes of them:
//!
//! ```text
//! cargo run -p meta-stats-conformance --example faulty-server -- 3100 3101 --fault population
//! meta-stats-conformance 127.0.0.1:3100
//! ```
//!
//! Without a fault it conforms, in any wording that is allowed: one thread a session and plain
//! double-precision arithmetic, as many a first implementation has.

mod fault;
mod session;
mod wording;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clap::Parser;

use fault::Fault;
use session::Session;
use wording::Wording;

/// The delay of a late greeting.
const LATE: Duration = Duration::from_millis(100);

/// The wording of the classic dialect, where it differs from the default.
const CLASSIC: [&str; 3] = ["greeting-classic", "two-decimals", "lines-of-79-bytes"];

#[derive(Parser)]
#[command(
    about = "A server with faults and wordings that can be switched on",
    version
)]
struct Arguments {
    /// The primary port; 0 is any free one.
    #[arg(required_unless_present = "list_wordings")]
    port: Option<u16>,
    /// The secondary port; 0 is any free one.
    #[arg(required_unless_present = "list_wordings")]
    meta_port: Option<u16>,
    /// What to do wrong; may be given several times.
    #[arg(long, value_enum)]
    fault: Vec<Fault>,
    /// Greet, print two decimals and limit lines to 80 bytes.
    #[arg(long)]
    classic: bool,
    /// How to word what the protocol leaves open; may be given several times.
    #[arg(long, value_name = "NAME")]
    wording: Vec<String>,
    /// Draw an allowed wording where none is given, and print it to standard error.
    #[arg(long, value_name = "SEED")]
    random_wording: Option<u64>,
    /// Print the wordings, which of them are allowed, and which clauses the others break.
    #[arg(long)]
    list_wordings: bool,
}

impl Arguments {
    /// The wording that these arguments ask for.
    fn wording(&self) -> Result<Wording, String> {
        let mut names = self.wording.clone();
        if self.classic {
            names.extend(CLASSIC.map(str::to_owned));
        }
        if let Some(seed) = self.random_wording {
            let drawn = wording::draw(seed, &names);
            eprintln!("wording: {}", drawn.join(" "));
            names.extend(drawn);
        }
        Wording::from_names(&names)
    }
}

/// What all sessions share.
struct Server {
    faults: HashSet<Fault>,
    wording: Wording,
    means: Mutex<Vec<(f64, u64)>>,
    /// What was replied last, and in which session.
    last_reply: Mutex<Option<(u64, Vec<u8>)>>,
    /// Sessions so far, and sessions now.
    sessions: Mutex<(u64, u64)>,
}

impl Server {
    fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list_wordings {
        anstream::print!("{}", wording::list());
        return ExitCode::SUCCESS;
    }
    let wording = match arguments.wording() {
        Ok(wording) => wording,
        Err(why) => {
            eprintln!("faulty-server: {why}");
            return ExitCode::from(2);
        }
    };
    let listen = |port: Option<u16>| TcpListener::bind(("127.0.0.1", port.unwrap_or(0)));
    let (primary, secondary) = match (listen(arguments.port), listen(arguments.meta_port)) {
        (Ok(primary), Ok(secondary)) => (primary, secondary),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("faulty-server: cannot listen: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let (Ok(primary), Ok(secondary)) = (primary.local_addr(), secondary.local_addr()) {
        eprintln!("listening primary={primary} secondary={secondary}");
    }
    let server = Arc::new(Server {
        faults: arguments.fault.into_iter().collect(),
        wording,
        means: Mutex::default(),
        last_reply: Mutex::default(),
        sessions: Mutex::default(),
    });
    let for_secondary = server.clone();
    thread::spawn(move || {
        for stream in secondary.incoming().flatten() {
            let server = for_secondary.clone();
            thread::spawn(move || tell_means(&server, stream));
        }
    });
    for stream in primary.incoming().flatten() {
        // Counted here: a later client finds it counted, whichever thread is faster.
        let presence = Presence::new(&server);
        thread::spawn(move || serve(presence, stream));
    }
    ExitCode::SUCCESS
}

/// A session that counts as one of those now.
struct Presence {
    server: Arc<Server>,
    number: u64,
}

impl Presence {
    fn new(server: &Arc<Server>) -> Presence {
        let mut sessions = lock(&server.sessions);
        sessions.0 += 1;
        sessions.1 += 1;
        Presence {
            server: server.clone(),
            number: sessions.0,
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        lock(&self.server.sessions).1 -= 1;
    }
}

fn tell_means(server: &Server, mut stream: TcpStream) {
    if server.has(Fault::MetaNeedsInput) {
        // The line waits for the client to say something.
        let _ = stream.read(&mut [0; 64]);
    }
    let means = lock(&server.means).clone();
    let line = session::means_line(server, &means);
    let _ = stream.write_all(line.as_bytes());
    close_in_order(&mut stream);
}

fn serve(presence: Presence, mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let server = presence.server.clone();
    converse(&server, presence, &mut stream);
    if !server.has(Fault::AbruptClose) {
        close_in_order(&mut stream);
    }
}

fn converse(server: &Arc<Server>, presence: Presence, stream: &mut TcpStream) {
    if greet(&server.wording, stream).is_err() {
        return;
    }
    let mut session = Session::new(server, presence.number);
    let mut block = vec![0; 64 << 10];
    loop {
        match stream.read(&mut block) {
            Ok(0) if server.has(Fault::SpinAfterEof) => std::hint::spin_loop(),
            Ok(0) => {
                let replies = session.end();
                if stream.write_all(&replies).is_err() {
                    return;
                }
                if session.has_exited() {
                    break;
                }
                if server.has(Fault::EofCounted) {
                    lock(&server.means).extend(session.mean_to_record());
                }
                return;
            }
            Ok(length) => {
                let replies = session.receive(&block[..length]);
                let replies = swap(server, presence.number, replies);
                if stream.write_all(&replies).is_err() {
                    return;
                }
                if session.has_exited() {
                    break;
                }
                if session.is_dropped() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
    if let Some(mean) = session.mean_to_record() {
        if server.has(Fault::LateMeans) {
            // The exit line is out before the mean is recorded.
            let server = server.clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(50));
                lock(&server.means).push(mean);
            });
        } else {
            lock(&server.means).push(mean);
        }
    }
    // A client that has its exit line finds the session gone.
    drop(presence);
    let _ = stream.write_all(session.exit_line().as_bytes());
    if server.has(Fault::StaysOpen) {
        thread::park();
    }
}

/// Sends what comes unasked.
fn greet(wording: &Wording, stream: &mut TcpStream) -> std::io::Result<()> {
    let connect = wording.connect;
    if connect.late {
        thread::sleep(LATE);
    }
    let lines = connect
        .greeting
        .iter()
        .map(|line| format!("{line}{}", wording.end()));
    stream.write_all(lines.collect::<String>().as_bytes())
}

/// With the fault: while others are connected too, a client gets what another got last.
fn swap(server: &Server, number: u64, replies: Vec<u8>) -> Vec<u8> {
    if !server.has(Fault::SwappedReplies) || replies.is_empty() {
        return replies;
    }
    let last = lock(&server.last_reply).replace((number, replies.clone()));
    let alone = lock(&server.sessions).1 < 2;
    match last {
        Some((other, theirs)) if !alone && other != number => theirs,
        _ => replies,
    }
}

/// Ends the sending direction, then takes what the client still sends, so that no reset overtakes
/// the last line.
fn close_in_order(stream: &mut TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut rest = [0; 4096];
    while let Ok(1..) = stream.read(&mut rest) {}
}

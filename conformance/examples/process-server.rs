//! A server of many processes, for tests of the clauses about processes: the child that serves a
//! session is this program again, with the connection as its standard input. What it does is what
//! people build, right or wrong:
//!
//! ```text
//! cargo run -p meta-stats-conformance --example process-server -- PORT [META_PORT] [HABIT...]
//! ```
//!
//! It knows values, `count` and `exit`, and its secondary port always says that there are no means.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread;

/// Reaps when it accepts, so that the last child stays unreaped until somebody connects.
const REAPS_AT_ACCEPT: &str = "reaps-at-accept";
/// Reaps at most one child when it accepts.
const REAPS_ONE_AT_ACCEPT: &str = "reaps-one-at-accept";
/// Never reaps.
const NEVER_REAPS: &str = "never-reaps";
/// Starts children in advance.
const WORKERS: &str = "workers";
/// Opens a few descriptors once, at its tenth session, as a run-time system does.
const OPENS_LAZILY: &str = "opens-lazily";
/// Leaves a descriptor open for each session.
const LEAKS: &str = "leaks";
/// The child of a session stays when the client has gone.
const CHILD_STAYS: &str = "child-stays";
/// Starts the server as another process, and ends.
const BACKGROUND: &str = "background";
/// Listens on nothing.
const NEVER_LISTENS: &str = "never-listens";
/// Before it listens, sends its arguments to this address and waits for the end of the stream.
const ASKS: &str = "asks=";

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |habit: &str| arguments.iter().any(|argument| argument == habit);
    match arguments.first().map(String::as_str) {
        Some("session") => return serve(has(CHILD_STAYS)),
        Some("worker") => return io::stdin().read_to_end(&mut Vec::new()).map(drop),
        _ => {}
    }
    if has(BACKGROUND) {
        let others = arguments.iter().filter(|argument| *argument != BACKGROUND);
        return this_program().args(others).spawn().map(drop);
    }
    if let Some(address) = arguments.iter().find_map(|word| word.strip_prefix(ASKS)) {
        let mut asked = TcpStream::connect(address)?;
        asked.write_all(arguments.join(" ").as_bytes())?;
        asked.shutdown(Shutdown::Write)?;
        asked.read_to_end(&mut Vec::new())?;
    }
    if has(NEVER_LISTENS) {
        park();
    }
    let mut ports = arguments.iter().map_while(|word| word.parse::<u16>().ok());
    let primary = TcpListener::bind(("127.0.0.1", ports.next().unwrap_or_default()))?;
    if let Some(port) = ports.next() {
        let secondary = TcpListener::bind(("127.0.0.1", port))?;
        thread::spawn(move || tell_means(&secondary));
    }
    let mut workers = Vec::new();
    while has(WORKERS) && workers.len() < 3 {
        workers.push(this_program().arg("worker").stdin(Stdio::piped()).spawn()?);
    }
    accept(&primary, &has)
}

/// Waits until the process is killed.
fn park() -> ! {
    loop {
        thread::park();
    }
}

fn this_program() -> Command {
    Command::new(std::env::current_exe().expect("a program has a path"))
}

fn tell_means(secondary: &TcpListener) {
    for mut stream in secondary.incoming().flatten() {
        let _ = stream.write_all(b"means_count 0 mean_of_means nan stddev_of_means nan\n");
    }
}

fn accept(primary: &TcpListener, has: &dyn Fn(&str) -> bool) -> io::Result<()> {
    let mut children: Vec<Child> = Vec::new();
    let mut kept = Vec::new();
    for number in 1.. {
        let (stream, _) = primary.accept()?;
        let mut reaped = 0;
        children.retain_mut(|child| {
            let reaps = has(REAPS_AT_ACCEPT) || has(REAPS_ONE_AT_ACCEPT) && reaped == 0;
            let has_ended = reaps && !matches!(child.try_wait(), Ok(None));
            reaped += u32::from(has_ended);
            !has_ended
        });
        if has(LEAKS) || has(OPENS_LAZILY) && (10..14).contains(&number) {
            kept.push(File::open("/dev/null")?);
        }
        let mut session = this_program();
        session.arg("session").stdin(OwnedFd::from(stream));
        if has(CHILD_STAYS) {
            session.arg(CHILD_STAYS);
        }
        let mut child = session.spawn()?;
        if has(REAPS_AT_ACCEPT) || has(REAPS_ONE_AT_ACCEPT) || has(NEVER_REAPS) {
            children.push(child);
        } else {
            thread::spawn(move || child.wait());
        }
    }
    Ok(())
}

/// Is the child that serves a session.
fn serve(stays: bool) -> io::Result<()> {
    let stream = TcpStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (mut count, mut sum) = (0, 0.0);
    for line in BufReader::new(&stream).lines().map_while(Result::ok) {
        let reply = match line.trim() {
            "count" => format!("{count}\n"),
            "exit" => {
                let mean = sum / f64::from(count);
                let reply = format!("EXIT STATS: count {count} mean {mean} stddev nan\n");
                return (&stream).write_all(reply.as_bytes());
            }
            word => match word.parse::<f64>() {
                Ok(value) => {
                    count += 1;
                    sum += value;
                    continue;
                }
                Err(_) => "Error: unrecognized command\n".to_owned(),
            },
        };
        (&stream).write_all(reply.as_bytes())?;
    }
    if stays {
        park();
    }
    Ok(())
}

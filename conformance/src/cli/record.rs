//! `record`: a session that passes through, as a chapter.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use clap::Args;

use super::address::{resolve, secondary_of};
use super::{Status, Stop, parse_address, print, say};
use crate::record::{Event, Scribe, proxy};
use crate::transcript::Port;

const AFTER_HELP: &str = "\
Examples:
  meta-stats-conformance record --listen 4100 --to 3100 -o my-cases/session.md
          then, elsewhere: nc 127.0.0.1 4100
  meta-stats-conformance record --listen 4100 --to 3100 --meta-listen 4101 --connections 2
          a session and then a look at the secondary port
  meta-stats-conformance 127.0.0.1:3100 --spec my-cases/
          replay it

An interrupt (Ctrl-C) or SIGTERM ends the recording: what there is of it is written, also of sessions that are not over.

Exit status:
  0  the recording was written
  2  the command line has a mistake, or the recording cannot be written
  3  the server has no address
  130  interrupted before any client came";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct RecordArguments {
    /// Where clients connect.
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_listen)]
    listen: String,

    /// The primary port of the server.
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    to: String,

    /// Where clients of the secondary port connect.
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_listen)]
    meta_listen: Option<String>,

    /// The secondary port of the server [default: its primary port + 1].
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address, requires = "meta_listen")]
    meta_to: Option<String>,

    /// How many connections to record.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,

    /// Where the chapter goes, instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Port 0, for any free one, is no address of a server, but one to listen on.
fn parse_listen(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    match port {
        "0" if host.is_empty() => Ok("127.0.0.1:0".to_owned()),
        "0" => Ok(text.to_owned()),
        _ => parse_address(text),
    }
}

/// What is still on its way to a client when the recording is complete gets so long to arrive.
const GRACE: Duration = Duration::from_secs(1);

/// Records until enough connections have ended or a signal comes, and writes the chapter.
pub(super) fn record(arguments: &RecordArguments) -> Result<Status, Stop> {
    let cannot = |what: String, error: std::io::Error| {
        Stop::new(Status::Usage, format!("error: cannot {what}: {error}"))
    };
    let server = resolve(&arguments.to)?;
    let listen = |address: &str| {
        TcpListener::bind(address).map_err(|error| cannot(format!("listen on {address}"), error))
    };
    let mut ports = vec![(Port::Primary, listen(&arguments.listen)?, server)];
    if let Some(address) = &arguments.meta_listen {
        let to = resolve(&secondary_of(&arguments.to, arguments.meta_to.as_deref())?)?;
        ports.push((Port::Secondary, listen(address)?, to));
    }
    let (sender, events) = mpsc::channel();
    let interrupted = Arc::new(AtomicBool::new(false));
    let (flag, waker) = (interrupted.clone(), sender.clone());
    ctrlc::set_handler(move || {
        // A second signal finds a recorder that is still writing: then it is to end at once.
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(Status::Interrupted as i32);
        }
        // Nobody hears it only when the recording is over.
        drop(waker.send(Event::nothing()));
    })
    .map_err(|error| {
        let message = format!("error: cannot wait for signals: {error}");
        Stop::new(Status::Usage, message)
    })?;
    // Whoever reads this may send a signal at once.
    say(&announcement(&ports));
    let numbers = proxy::Numbers::default();
    for (port, listener, to) in ports {
        proxy::serve(listener, port, to, numbers.clone(), sender.clone())
            .map_err(|error| cannot("start a thread".to_owned(), error))?;
    }
    let mut scribe = Scribe::default();
    while scribe.ended() < arguments.connections as usize && !interrupted.load(Ordering::Relaxed) {
        // The senders live as long as the process.
        if let Ok(event) = events.recv() {
            scribe.note(event);
        }
    }
    if scribe.is_empty() {
        let message = "interrupted before any client came; nothing was recorded";
        return Err(Stop::new(Status::Interrupted, message));
    }
    let chapter = scribe.chapter(&arguments.to);
    match &arguments.output {
        Some(path) => std::fs::write(path, &chapter)
            .map_err(|error| cannot(format!("write {}", path.display()), error))?,
        None => drop(print(&chapter)?),
    }
    if scribe.is_full() {
        say("warning: the session is longer than a transcript can be; its end is left out\n");
    }
    if scribe.odd_replies() > 0 {
        let odd = scribe.odd_replies();
        say(&format!(
            "note: {odd} replies are not what the specification computes; the comments beside them tell\n"
        ));
    }
    let deadline = Instant::now() + GRACE;
    while events
        .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        .is_ok()
    {}
    Ok(Status::Conformant)
}

/// Where clients can connect, in the words of the bundled server.
fn announcement(ports: &[(Port, TcpListener, SocketAddr)]) -> String {
    let mut text = "listening".to_owned();
    for (port, listener, _) in ports {
        let label = match port {
            Port::Primary => "primary",
            Port::Secondary => "secondary",
        };
        if let Ok(address) = listener.local_addr() {
            text.push_str(&format!(" {label}={address}"));
        }
    }
    text + "\n"
}

//! Questions to the server outside of any case: how it talks, and whether it lives.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::{Connection, End, Next};
use crate::dialect::{Dialect, GREETING};
use crate::judge;
use crate::means::Base;
use crate::profile::{ErrorForm, LineKind, Profile, shape};
use crate::target::{Addresses, Unreachable};
use crate::trace::Trace;

/// What was found out about a server before the cases.
#[derive(Clone, Debug)]
pub struct Probed {
    /// How it talks.
    pub profile: Profile,
    /// How long a request and its reply take; none if it did not answer.
    pub round_trip: Option<Duration>,
}

/// Requests whose round trips are measured; the median counts.
const ROUND_TRIPS: usize = 5;

/// Lines of a greeting; a server that talks without end has none.
const MAX_GREETING: usize = 20;

/// Lines that follow a reply although nothing asked for them.
const MAX_NOISE: usize = 4;

/// What follows a reply without having been asked for follows within this time.
const SETTLE: Duration = Duration::from_millis(25);

/// Lines that no server takes for a value or a command; their texts have nothing in common.
const BAD_LINES: [&[u8]; 3] = [b"probe\n", b"hello there\n", b"xyz!\n"];

/// Finds out how a server talks, by talking with it: in one session that ends by `exit` with the
/// mean 3.25, and once with the secondary port. A question that is not answered in time is the last
/// one of its kind.
///
/// # Errors
/// If nobody listens on one of its ports.
pub fn probe(addresses: Addresses, timeout: Duration) -> Result<Probed, Unreachable> {
    if let Some(secondary) = addresses.secondary {
        connect(secondary, "secondary", timeout)?;
    }
    let connection = connect(addresses.primary, "primary", timeout)?;
    let mut probe = Probe {
        connection,
        timeout,
        profile: Profile::of(Dialect::Plain),
    };
    let round_trip = probe.greeting().and_then(|()| probe.round_trip());
    let mut profile = match round_trip {
        Some(_) => probe.session(),
        None => probe.profile,
    };
    if round_trip.is_some()
        && let Ok(line) = means_line(addresses, timeout)
        // The word for what is undefined is not there when it is defined.
        && judge::numbers(&line).len() == 3
    {
        profile.shapes.insert(LineKind::Means, shape(&line));
    }
    Ok(Probed {
        profile,
        round_trip,
    })
}

/// One session that is asked how it talks.
struct Probe {
    connection: Connection,
    timeout: Duration,
    profile: Profile,
}

impl Probe {
    /// Asks, and gives the first line that comes; none if none does.
    fn ask(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        self.connection.send(line);
        self.line(self.timeout)
    }

    fn line(&mut self, timeout: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.connection.next_line(left) {
                // A server may send such lines without end.
                Next::Line(line)
                    if !left.is_zero() && self.profile.noise.contains(&shape(&line)) => {}
                Next::Line(line) => return Some(line),
                _ => return None,
            }
        }
    }

    /// Whatever comes now was not asked for.
    fn noise(&mut self) {
        for _ in 0..MAX_NOISE {
            match self.line(SETTLE) {
                Some(line) if !self.profile.looks_like_reply(&line) => {
                    self.profile.noise.insert(shape(&line));
                }
                _ => break,
            }
        }
    }

    /// Learns which lines come before the first reply. The reply is the last of them, and holds one
    /// number; a greeting may come late, but not behind it. None if the server says nothing.
    fn greeting(&mut self) -> Option<()> {
        let mut lines = vec![self.ask(b"count\n")?];
        while lines.len() < MAX_GREETING {
            let last = lines.last().map_or(&[][..], Vec::as_slice);
            let patience = match judge::numbers(last).len() {
                1 => SETTLE,
                _ => self.timeout,
            };
            match self.line(patience) {
                Some(line) => lines.push(line),
                None => break,
            }
        }
        // Where no line holds a number, the first one is the reply, and a wrong one.
        let is_reply = |line: &Vec<u8>| judge::numbers(line).len() == 1;
        let reply = lines.iter().rposition(is_reply)?;
        let (greeting, behind) = (&lines[..reply], &lines[reply + 1..]);
        let unasked = behind.iter().take(MAX_NOISE).map(|line| shape(line));
        self.profile.noise = unasked.collect();
        if greeting == [GREETING] {
            self.profile.dialect = Dialect::Classic;
        }
        self.profile.greeting = greeting.iter().map(|line| shape(line)).collect();
        self.profile
            .shapes
            .insert(LineKind::Count, shape(&lines[reply]));
        Some(())
    }

    fn round_trip(&mut self) -> Option<Duration> {
        let mut round_trips = Vec::new();
        for _ in 0..ROUND_TRIPS {
            let start = Instant::now();
            self.ask(b"count\n")?;
            round_trips.push(start.elapsed());
        }
        round_trips.sort();
        round_trips.get(ROUND_TRIPS / 2).copied()
    }

    /// Learns the rest, as far as the server answers.
    fn session(mut self) -> Profile {
        // What is said here is missing from the profile where the server stops answering.
        let _ = self.learn();
        self.profile
    }

    fn learn(&mut self) -> Option<()> {
        let undefined = self.ask(b"mean\n")?;
        self.profile.undefined = Some(shape(&undefined));
        let mut errors = Vec::new();
        for line in BAD_LINES {
            errors.push(self.ask(line)?);
            self.noise();
        }
        self.profile.error = ErrorForm::learn(&errors);
        self.connection.send(b"2\n");
        // A line that comes now acknowledges the value: nothing else was asked for.
        self.profile.acknowledgement = self.line(SETTLE).map(|line| shape(&line));
        self.connection.send(b"4.5\n");
        if self.profile.acknowledgement.is_some() {
            self.line(self.timeout)?;
        }
        for (question, kind) in [(&b"sum\n"[..], LineKind::Sum), (b"mean\n", LineKind::Mean)] {
            let line = self.ask(question)?;
            self.profile.shapes.insert(kind, shape(&line));
        }
        let line = self.ask(b"exit\n")?;
        self.profile.shapes.insert(LineKind::Exit, shape(&line));
        Some(())
    }
}

/// Whether a new session is answered.
pub(super) fn answers(primary: SocketAddr, timeout: Duration) -> bool {
    let Ok(mut session) = connect(primary, "primary", timeout) else {
        return false;
    };
    session.send(b"count\n");
    matches!(session.next_line(timeout), Next::Line(_))
}

fn connect(address: SocketAddr, port: &str, timeout: Duration) -> Result<Connection, Unreachable> {
    Connection::open(port, address, timeout, &Trace::default())
        .map_err(|error| Unreachable(format!("no server at {address} ({port} port): {error}")))
}

/// Asks the secondary port what it holds.
///
/// # Errors
/// Why there is no line that begins with a count.
pub(super) fn means(addresses: Addresses, timeout: Duration) -> Result<Base, String> {
    let line = means_line(addresses, timeout)?;
    Base::read(&line).ok_or_else(|| {
        let line = crate::trace::Shown(&line);
        format!("{line} does not begin with a count")
    })
}

fn means_line(addresses: Addresses, timeout: Duration) -> Result<Vec<u8>, String> {
    let secondary = addresses.secondary.ok_or("there is none")?;
    let mut connection =
        connect(secondary, "secondary", timeout).map_err(|error| error.to_string())?;
    match connection.next_line(timeout) {
        Next::Line(line) => Ok(line),
        Next::End(End::Eof, _) => Err("the server closed it without a line".to_owned()),
        Next::End(..) => Err("the server reset it".to_owned()),
        Next::Silence(_) => Err("no line in time".to_owned()),
    }
}

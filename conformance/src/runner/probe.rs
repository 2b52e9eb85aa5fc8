//! Questions to the server outside of any case.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::{Connection, End, Next};
use crate::decimal::{self, Printed};
use crate::dialect::{Dialect, GREETING};
use crate::means::Base;
use crate::target::{Addresses, Unreachable};
use crate::trace::Trace;

/// How a server behaves where the dialects differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manners {
    /// The dialect it speaks.
    pub dialect: Dialect,
    /// The line it sends when a session begins, if it sends one.
    pub greeting: Option<Vec<u8>>,
}

impl Manners {
    /// What the dialect prescribes.
    pub fn of(dialect: Dialect) -> Manners {
        Manners {
            dialect,
            greeting: (dialect == Dialect::Classic).then(|| GREETING.to_vec()),
        }
    }
}

/// What was found out about a server before the cases.
#[derive(Clone, Debug)]
pub struct Probed {
    /// How it behaves.
    pub manners: Manners,
    /// How long a request and its reply take; none if it did not answer.
    pub round_trip: Option<Duration>,
}

/// Requests whose round trips are measured; the median counts.
const ROUND_TRIPS: usize = 5;

/// Finds out the dialect, without a clock: asks for the count, and looks whether a line precedes the number. Then measures round trips.
///
/// # Errors
/// If nobody listens on one of its ports.
pub fn probe(addresses: Addresses, timeout: Duration) -> Result<Probed, Unreachable> {
    if let Some(secondary) = addresses.secondary {
        connect(secondary, "secondary", timeout)?;
    }
    let mut session = connect(addresses.primary, "primary", timeout)?;
    let mut manners = Manners::of(Dialect::Plain);
    session.send(b"count\n");
    let Next::Line(first) = session.next_line(timeout) else {
        return Ok(Probed {
            manners,
            round_trip: None,
        });
    };
    if !is_number(&first)
        && let Next::Line(second) = session.next_line(timeout)
        && is_number(&second)
    {
        manners = Manners {
            dialect: Dialect::Classic,
            greeting: Some(first),
        };
    }
    let mut round_trips = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let start = Instant::now();
        session.send(b"count\n");
        if let Next::Line(_) = session.next_line(timeout) {
            round_trips.push(start.elapsed());
        }
    }
    round_trips.sort();
    Ok(Probed {
        manners,
        round_trip: round_trips.get(round_trips.len() / 2).copied(),
    })
}

fn is_number(line: &[u8]) -> bool {
    matches!(decimal::parse(line.trim_ascii()), Some(Printed::Finite(_)))
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

/// Asks the secondary port.
///
/// # Errors
/// Why there is no line of three numbers.
pub(super) fn means(addresses: Addresses, timeout: Duration) -> Result<Base, String> {
    let secondary = addresses.secondary.ok_or("there is none")?;
    let mut connection =
        connect(secondary, "secondary", timeout).map_err(|error| error.to_string())?;
    match connection.next_line(timeout) {
        Next::Line(line) => Base::read(&line)
            .ok_or_else(|| format!("{} holds no three numbers", crate::trace::Shown(&line))),
        Next::End(End::Eof, _) => Err("the server closed it without a line".to_owned()),
        Next::End(..) => Err("the server reset it".to_owned()),
        Next::Silence(_) => Err("no line in time".to_owned()),
    }
}

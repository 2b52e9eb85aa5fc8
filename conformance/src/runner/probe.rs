//! Questions to the server outside of any case.

use std::net::SocketAddr;
use std::time::Duration;

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

/// Finds out the dialect without a clock: asks for the count, and looks whether a line precedes the number.
///
/// # Errors
/// If nobody listens on one of the two ports.
pub fn detect(addresses: Addresses, timeout: Duration) -> Result<Manners, Unreachable> {
    connect(addresses.secondary, "secondary", timeout)?;
    let mut session = connect(addresses.primary, "primary", timeout)?;
    session.send(b"count\n");
    let is_number =
        |line: &[u8]| matches!(decimal::parse(line.trim_ascii()), Some(Printed::Finite(_)));
    let first = session.next_line(timeout);
    if let Next::Line(first) = first
        && !is_number(&first)
        && let Next::Line(second) = session.next_line(timeout)
        && is_number(&second)
    {
        return Ok(Manners {
            dialect: Dialect::Classic,
            greeting: Some(first),
        });
    }
    Ok(Manners::of(Dialect::Plain))
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
    let mut connection =
        connect(addresses.secondary, "secondary", timeout).map_err(|error| error.to_string())?;
    match connection.next_line(timeout) {
        Next::Line(line) => Base::read(&line)
            .ok_or_else(|| format!("{} holds no three numbers", crate::trace::Shown(&line))),
        Next::End(End::Eof, _) => Err("the server closed it without a line".to_owned()),
        Next::End(..) => Err("the server reset it".to_owned()),
        Next::Silence(_) => Err("no line in time".to_owned()),
    }
}

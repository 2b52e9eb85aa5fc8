//! Addresses of running servers, as they are typed.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::{Status, Stop};
use crate::target::{Addresses, Target, connects};

/// A server within reach accepts a connection in less than this.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// A server that runs. Its ports are connected to, so that each that is missing is named as it was
/// typed.
pub(super) fn running(
    primary: &str,
    secondary: Option<&str>,
    timeout: Option<Duration>,
) -> Result<Target, Stop> {
    let timeout = timeout.unwrap_or(CONNECT_TIME);
    let reach = |port: &str, address: &str| {
        accepting(address, timeout)
            .map_err(|why| format!("error: nobody accepts at {address}, the {port} port: {why}"))
    };
    let missing = match (
        reach("primary", primary),
        secondary
            .map(|address| reach("secondary", address))
            .transpose(),
    ) {
        (Ok(primary), Ok(secondary)) => {
            return Ok(Target::Running(Addresses { primary, secondary }));
        }
        (Err(primary), Ok(_)) => primary,
        (Err(primary), Err(secondary)) => format!("{primary}\n{secondary}"),
        (Ok(_), Err(secondary)) => format!(
            "{secondary}\n  --meta HOST:PORT names another one, --no-meta tests what needs none"
        ),
    };
    Err(Stop::new(Status::Unreachable, missing))
}

/// The first of the addresses of a name that accepts a connection; otherwise why the last one does
/// not.
fn accepting(address: &str, timeout: Duration) -> Result<SocketAddr, io::Error> {
    let mut why = ErrorKind::NotFound.into();
    for address in address.to_socket_addrs()? {
        match connects(address, timeout) {
            Ok(()) => return Ok(address),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// The secondary port as it was typed, or the one behind the primary port.
pub(super) fn secondary_of(primary: &str, meta: Option<&str>) -> Result<String, Stop> {
    if let Some(meta) = meta {
        return Ok(meta.to_owned());
    }
    let (host, port) = primary.rsplit_once(':').unwrap_or_default();
    let next = port.parse().ok().and_then(|port: u16| port.checked_add(1));
    next.map(|next| format!("{host}:{next}")).ok_or_else(|| {
        let message = "error: there is no port after 65535; name the secondary port";
        Stop::new(Status::Usage, message)
    })
}

pub(super) fn resolve(address: &str) -> Result<SocketAddr, Stop> {
    let mut addresses = address.to_socket_addrs().map_err(|error| {
        Stop::new(
            Status::Unreachable,
            format!("error: {address} has no address: {error}"),
        )
    })?;
    addresses.next().ok_or_else(|| {
        Stop::new(
            Status::Unreachable,
            format!("error: {address} has no address"),
        )
    })
}

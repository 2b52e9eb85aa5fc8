//! Ports for servers that are started.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use super::Addresses;

/// Ports that were found free for servers which still run, or are about to: what is free once is
/// found again.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Ports to try: below those that systems give to clients, so that no connection of ours takes one
/// before its server does.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A port that is free now, or two. Each process walks through the ports from a place of its own,
/// so that two that start servers at the same time hardly ever find the same.
pub(super) fn free_ports(with_secondary: bool) -> std::io::Result<Addresses> {
    static PLACE: LazyLock<AtomicUsize> = LazyLock::new(|| {
        // The standard library keys its hash maps at random, and this is all the randomness that is
        // needed here.
        AtomicUsize::new(RandomState::new().hash_one(()) as usize % PORTS.len())
    });
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut free = (0..PORTS.len()).filter_map(|_| {
        let place = PLACE.fetch_add(1, Ordering::Relaxed) % PORTS.len();
        let port = PORTS.start + place as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        (!taken.contains(&port) && TcpListener::bind(address).is_ok()).then_some(address)
    });
    let mut next = || free.next().ok_or(ErrorKind::AddrInUse);
    let addresses = Addresses {
        primary: next()?,
        secondary: with_secondary.then(next).transpose()?,
    };
    taken.extend(all(addresses).map(|address| address.port()));
    Ok(addresses)
}

/// Gives ports back.
pub(super) fn release(addresses: Addresses) {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    for address in all(addresses) {
        taken.remove(&address.port());
    }
}

/// The ports that there are.
fn all(addresses: Addresses) -> impl Iterator<Item = SocketAddr> {
    [Some(addresses.primary), addresses.secondary]
        .into_iter()
        .flatten()
}

/// Whether a server could listen on its ports now.
pub(super) fn are_free(addresses: Addresses) -> bool {
    all(addresses).all(|address| TcpListener::bind(address).is_ok())
}

/// A connection within this machine is made in less than this.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Whether a server accepts at an address.
pub(super) fn listens(address: SocketAddr) -> bool {
    connects(address, CONNECT_TIME).is_ok()
}

/// Connects to a server and closes the connection.
///
/// # Errors
/// If no server accepts there in time.
pub(crate) fn connects(address: SocketAddr, timeout: Duration) -> std::io::Result<()> {
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    match is_to_itself(&stream) {
        true => Err(ErrorKind::ConnectionRefused.into()),
        false => Ok(()),
    }
}

/// Whether a connection has one end only. To connect to a free port, the system may choose the same
/// one to connect from, and TCP lets a socket open a connection to itself.
fn is_to_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(near), Ok(far)) if near == far)
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn a_connection_to_itself_is_no_server() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        socket.bind(&any.into()).expect("a free port");
        let address = socket.local_addr().expect("an address");
        socket.connect(&address).expect("to itself");
        assert!(is_to_itself(&socket.into()));
        let listener = TcpListener::bind(any).expect("a free port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address"));
        assert!(!is_to_itself(&stream.expect("a connection")));
    }
}

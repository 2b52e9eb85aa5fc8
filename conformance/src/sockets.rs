//! The TCP sockets of this system, as `/proc/net` tells them.

use std::fs;
use std::net::{IpAddr, SocketAddr};

/// How many bytes the process at `local` has not read of its connection to `remote`; none where the
/// system does not tell.
pub(crate) fn unread(local: SocketAddr, remote: SocketAddr) -> Option<usize> {
    let (local, remote) = (address(local), address(remote));
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|path| {
        let table = fs::read_to_string(path).ok()?;
        let mut rows = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| {
            let ends =
                |column: usize, with: &str| row.get(column).is_some_and(|at| at.ends_with(with));
            ends(1, &local) && ends(2, &remote)
        })?;
        let (_, unread) = row.get(4)?.split_once(':')?;
        usize::from_str_radix(unread, 16).ok()
    })
}

/// An address as the table writes it; that of an IPv4 peer of an IPv6 socket ends like this.
fn address(address: SocketAddr) -> String {
    let word = |bytes: &[u8]| {
        let bytes = bytes.try_into().unwrap_or_default();
        format!("{:08X}", u32::from_ne_bytes(bytes))
    };
    let ip = match address.ip() {
        IpAddr::V4(ip) => word(&ip.octets()),
        IpAddr::V6(ip) => ip.octets().chunks(4).map(word).collect(),
    };
    format!("{ip}:{:04X}", address.port())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_is_not_read_yet_is_known() {
        for bind in ["127.0.0.1:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(bind) else {
                eprintln!("skipped: {bind} cannot be bound here");
                continue;
            };
            let port = listener.local_addr().expect("an address").port();
            let mut client = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
            let (mut server, _) = listener.accept().expect("a connection");
            let (peer, us) = (client.peer_addr(), client.local_addr());
            let (peer, us) = (peer.expect("an address"), us.expect("an address"));
            assert_eq!(unread(peer, us), Some(0), "{bind}");
            client.write_all(b"12345").expect("room");
            assert_eq!(unread(peer, us), Some(5), "{bind}");
            server.read_exact(&mut [0; 5]).expect("what was sent");
            assert_eq!(unread(peer, us), Some(0), "{bind}");
        }
    }
}

//! Carrying octets between clients and a server.
//!
//! Every event is told before its effect: octets before they are passed on, so that no reply is told before what asked for it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::{Event, What};
use crate::transcript::Port;

/// A server that takes longer to accept is not there.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Where the proxy gets the numbers of its connections.
#[derive(Clone, Debug, Default)]
pub struct Numbers(Arc<AtomicUsize>);

/// Accepts clients for ever and carries each to the server, in threads of their own.
///
/// # Errors
/// If no thread can be started.
pub fn serve(
    listener: TcpListener,
    port: Port,
    server: SocketAddr,
    numbers: Numbers,
    events: Sender<Event>,
) -> io::Result<()> {
    thread::Builder::new()
        .name("accept".to_owned())
        .spawn(move || {
            for client in listener.incoming().filter_map(Result::ok) {
                let number = numbers.0.fetch_add(1, Ordering::Relaxed);
                let events = events.clone();
                thread::spawn(move || carry(number, port, client, server, &events));
            }
        })?;
    Ok(())
}

/// Carries one connection until both directions have ended.
fn carry(
    connection: usize,
    port: Port,
    client: TcpStream,
    server: SocketAddr,
    events: &Sender<Event>,
) {
    // Nobody hears it only when the recording is over.
    let tell = |what| drop(events.send(Event { connection, what }));
    tell(What::Opened(port));
    match TcpStream::connect_timeout(&server, CONNECT_TIME) {
        Err(_) => {
            abort(&client);
            tell(What::ServerReset);
        }
        Ok(server) => thread::scope(|scope| {
            scope.spawn(|| {
                pass(
                    &client,
                    &server,
                    What::Sent,
                    [What::ClientEnded, What::ClientReset],
                    &tell,
                );
            });
            pass(
                &server,
                &client,
                What::Received,
                [What::ServerEnded, What::ServerReset],
                &tell,
            );
        }),
    }
    tell(What::Closed);
}

/// Passes one direction on, with its end.
fn pass(
    mut from: &TcpStream,
    mut to: &TcpStream,
    octets: fn(Vec<u8>) -> What,
    [ended, reset]: [What; 2],
    tell: &impl Fn(What),
) {
    let mut block = vec![0; 64 << 10];
    loop {
        match from.read(&mut block) {
            Ok(0) => {
                tell(ended);
                // It fails only where that side is gone, which its own direction tells.
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(length) => {
                tell(octets(block[..length].to_vec()));
                if to.write_all(&block[..length]).is_err() {
                    // The other side takes nothing more; what it still has to say goes on in the other direction.
                    let _ = from.shutdown(Shutdown::Read);
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => {
                tell(reset);
                abort(to);
                return;
            }
        }
    }
}

/// Makes the close of this socket a reset, and wakes up who reads from it.
fn abort(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    let _ = stream.shutdown(Shutdown::Read);
}

//! Started by systemd: with open sockets, and waited for.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::support::{Client, PATIENCE, Server, eventually};

/// A shell that passes its standard input and output on as descriptors 3 and 4, as systemd does it
/// with sockets, and then is the server.
fn activation(first: OwnedFd, second: OwnedFd, names: Option<&str>) -> Command {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(r#"exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_FDS=2 LISTEN_PID=$$ exec "$@""#)
        .args(["sh", env!("CARGO_BIN_EXE_meta-stats-server")])
        .envs(names.map(|names| ("LISTEN_FDNAMES", names)))
        .stdin(Stdio::from(first))
        .stdout(Stdio::from(second));
    shell
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

#[test]
fn sockets_that_were_passed_are_served_in_their_order() {
    let [primary, secondary] = [listener(), listener()];
    let addresses = [&primary, &secondary].map(|socket| socket.local_addr().expect("bound"));
    let server = Server::spawn_as_is(activation(primary.into(), secondary.into(), None));
    assert_eq!([server.primary, server.secondary], addresses);
    assert_eq!(
        server.ask("1\nexit\n"),
        "EXIT STATS: count 1 mean 1 stddev nan\n"
    );
    assert_eq!(server.means_count(), 1);
}

#[test]
fn names_come_before_the_order() {
    let [primary, secondary] = [listener(), listener()];
    let addresses = [&primary, &secondary].map(|socket| socket.local_addr().expect("bound"));
    let names = Some("secondary:primary");
    let server = Server::spawn_as_is(activation(secondary.into(), primary.into(), names));
    assert_eq!([server.primary, server.secondary], addresses);
}

#[test]
fn what_is_no_listening_socket_is_refused() {
    let null = std::fs::File::open("/dev/null").expect("there is /dev/null");
    let output = activation(listener().into(), null.into(), None)
        .output()
        .expect("the shell starts");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("cannot take the sockets of the service manager"),
        "{told}"
    );
}

#[test]
fn systemd_is_told_when_the_server_is_ready_and_when_it_stops() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("valid");
    let told = || {
        let mut state = [0; 100];
        let length = manager
            .recv(&mut state)
            .expect("the server tells something");
        String::from_utf8_lossy(&state[..length]).into_owned()
    };
    let mut command = crate::support::server_command();
    command
        .args(["0", "0", "--bind", "127.0.0.1"])
        .env("NOTIFY_SOCKET", &path);
    let mut server = Server::spawn(command);
    assert_eq!(told(), "READY=1\n");
    let mut client = Client::connect(server.primary);
    assert_eq!(client.ask("count"), "0");
    server.signal(Signal::SIGTERM);
    assert_eq!(told(), "STOPPING=1\n");
    eventually("new clients are refused", || {
        std::net::TcpStream::connect(server.primary).is_err()
    });
    assert_eq!(
        client.ask("exit"),
        "EXIT STATS: count 0 mean nan stddev nan"
    );
    assert!(server.wait().success());
}

#[test]
fn a_manager_with_an_abstract_name_is_told_and_its_watchdog_fed() {
    use std::os::linux::net::SocketAddrExt;

    let name = format!("meta-stats-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
    let manager = UnixDatagram::bind_addr(&address).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("valid");
    let told = || {
        let mut state = [0; 100];
        let length = manager
            .recv(&mut state)
            .expect("the server tells something");
        String::from_utf8_lossy(&state[..length]).into_owned()
    };
    let mut command = crate::support::server_command();
    command
        .args(["0", "0", "--bind", "127.0.0.1"])
        .env("NOTIFY_SOCKET", format!("@{name}"))
        .env("WATCHDOG_USEC", "20000");
    let mut server = Server::spawn(command);
    assert_eq!(told(), "READY=1\n");
    for _ in 0..3 {
        assert_eq!(told(), "WATCHDOG=1\n");
    }
    server.signal(Signal::SIGUSR1);
    while !told().starts_with("STATUS=0 sessions open; means_count 0 ") {}
    server.signal(Signal::SIGTERM);
    while told() != "STOPPING=1\n" {}
    assert!(server.wait().success());
}

#[test]
fn a_manager_that_does_not_read_stops_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let _manager = UnixDatagram::bind(&path).expect("a socket");
    let mut command = crate::support::server_command();
    command
        .args(["0", "0", "--bind", "127.0.0.1"])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "2");
    let mut server = Server::spawn(command);
    for _ in 0..100 {
        assert_eq!(server.ask("1\nsum\n"), "1\n");
    }
    server.log_line_with("cannot tell the service manager");
    assert_eq!(server.means_count(), 0);
}

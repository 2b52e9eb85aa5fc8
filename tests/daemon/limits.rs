//! How many sessions there may be, and how long one may say nothing.

use std::io::ErrorKind;
use std::io::Read;
use std::time::Duration;

use crate::support::{Client, PATIENCE, Server};

#[test]
fn one_client_too_many_waits_for_its_turn_and_the_secondary_port_answers() {
    let server = Server::start(&["--max-sessions", "3"]);
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("1\n");
        assert_eq!(client.ask("count"), "1");
    }
    let mut extra = server.connect();
    extra.send("count\n");
    for _ in 0..10 {
        assert_eq!(server.means_count(), 0);
    }
    assert!(extra.hears_nothing_for(Duration::from_millis(50)));
    assert!(clients[0].ask("exit").starts_with("EXIT STATS: count 1 "));
    clients.remove(0);
    assert_eq!(extra.line(), "0");
    assert_eq!(server.means_count(), 1);
}

#[test]
fn a_source_with_all_its_sessions_is_refused_and_others_are_served() {
    let mut server = Server::start(&["--max-sessions-per-source", "2"]);
    let mut clients = [server.connect(), server.connect()];
    for client in &mut clients {
        assert_eq!(client.ask("count"), "0");
    }
    assert_eq!(
        server.connect().rest(),
        "Error: too many sessions from this address, try again later\n"
    );
    assert!(
        server
            .log_line_with("session refused")
            .contains("peer=127.0.0.1:")
    );
    let mut other = Client::connect_from([127, 0, 0, 2], None, server.primary);
    assert_eq!(other.ask("count"), "0");
    let [first, _second] = clients;
    drop(first);
    crate::support::eventually("a place is free again", || server.ask("count\n") == "0\n");
}

#[test]
fn a_silent_client_is_told_and_makes_room() {
    let server = Server::start(&["--max-sessions", "1", "--idle-timeout", "200ms"]);
    let silent = server.connect();
    let mut next = server.connect();
    assert_eq!(
        silent.rest(),
        "Error: idle for too long, this session is over\n"
    );
    next.send("1\nexit\n");
    assert_eq!(next.line(), "EXIT STATS: count 1 mean 1 stddev nan");
    assert_eq!(server.means_count(), 1);
}

#[test]
fn octets_without_a_newline_do_not_keep_a_session_alive() {
    let server = Server::start(&["--idle-timeout", "300ms"]);
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    let pause = Duration::from_millis(20);
    client.stream.set_read_timeout(Some(pause)).expect("valid");
    let mut received = Vec::new();
    let mut sent = 0;
    loop {
        let mut block = [0; 256];
        match client.stream.read(&mut block) {
            Ok(0) => break,
            Ok(length) => received.extend_from_slice(&block[..length]),
            // Nothing yet: another octet, as long as the server takes any.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                sent += 1;
                assert!(pause * sent < PATIENCE, "the session goes on for ever");
                let _ = std::io::Write::write_all(&mut client.stream, b"1");
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(
        String::from_utf8_lossy(&received),
        "Error: idle for too long, this session is over\n"
    );
}

#[test]
fn lines_keep_a_session_alive_beyond_the_idle_time() {
    let server = Server::start(&["--idle-timeout", "1s"]);
    let mut client = server.connect();
    for count in 1..=30 {
        client.send("1");
        assert!(client.hears_nothing_for(Duration::from_millis(50)));
        client.send("\n");
        assert_eq!(client.ask("count"), count.to_string());
    }
}

//! How many sessions there may be, and how long one may say nothing.

use std::io::ErrorKind;
use std::io::Read;
use std::time::Duration;

use std::process::Command;
use std::thread;

use nix::unistd::Uid;

use crate::support::{
    Client, ControlGroup, PATIENCE, Server, children_of, eventually, limit, server_command,
};

const FULL: &str = "Error: server is full, try again later\n";
const TOO_MANY: &str = "Error: too many sessions from this address, try again later\n";

fn from(last: u8, server: &Server) -> Client {
    Client::connect_from([127, 0, 0, last], None, server.primary)
}

/// A number from the line that tells where the server listens.
fn announced(server: Command, field: &str) -> (u64, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let ports = directory.path().join("ports");
    let mut command = server;
    command.arg("--port-file").arg(&ports);
    let mut server = Server::spawn_silent(command, &ports);
    let line = server.log_line_with("listening");
    let value = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix(field));
    let value = value.and_then(|value| value.strip_prefix('=')?.parse().ok());
    (
        value.unwrap_or_else(|| panic!("no {field} in {line}")),
        line,
    )
}

#[test]
fn a_full_server_says_so_to_those_that_have_waited() {
    let server = Server::start(&["--max-sessions", "1", "--wait-timeout", "200ms"]);
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    for _ in 0..3 {
        assert_eq!(server.connect().rest(), FULL);
        assert_eq!(server.means_count(), 0);
    }
    assert_eq!(client.ask("sum"), "0");
}

#[test]
fn those_who_find_no_place_to_wait_are_told_at_once_and_those_who_wait_get_in() {
    let server = Server::start(&["--max-sessions", "1", "--wait-timeout", "1h"]);
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    let mut waiting: Vec<_> = (0..48).map(|_| server.connect()).collect();
    assert_eq!(server.connect().rest(), FULL);
    let mut other = from(2, &server);
    client.ask("exit");
    drop(client);
    // Its source has no other session, as those that wait have none; they came before.
    assert_eq!(waiting[0].ask("count"), "0");
    assert!(other.hears_nothing_for(Duration::from_millis(20)));
    drop(waiting);
    assert_eq!(other.ask("count"), "0");
}

#[test]
fn a_client_of_a_source_with_fewer_sessions_gets_in_first() {
    let server = Server::start(&["--max-sessions", "4", "--wait-timeout", "1h"]);
    let mut clients: Vec<_> = [1, 1, 2, 2]
        .iter()
        .map(|&last| from(last, &server))
        .collect();
    for client in &mut clients {
        assert_eq!(client.ask("count"), "0");
    }
    let mut greedy = from(1, &server);
    let mut wanted = from(3, &server);
    let mut last = from(4, &server);
    // All three wait once the server has come back to the secondary port after these connected.
    for _ in 0..2 {
        assert_eq!(server.means_count(), 0);
    }
    clients.truncate(3);
    assert_eq!(wanted.ask("count"), "0");
    assert!(greedy.hears_nothing_for(Duration::from_millis(20)));
    clients.truncate(2);
    assert_eq!(last.ask("count"), "0");
    drop(clients);
    assert_eq!(greedy.ask("count"), "0");
}

#[test]
fn one_source_never_gets_all_sessions_whatever_the_flags() {
    let arguments = ["--max-sessions", "20", "--max-sessions-per-source", "20"];
    let server = Server::start(&arguments);
    let mut clients: Vec<_> = (0..15).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("count"), "0");
    }
    assert_eq!(server.connect().rest(), TOO_MANY);
    assert_eq!(from(2, &server).ask("count"), "0");
}

#[test]
fn a_source_that_connects_too_fast_is_told_and_others_are_served() {
    let server = Server::start(&["--max-rate", "1"]);
    let told = (0..1000)
        .map(|_| server.ask("count\n"))
        .find(|answer| answer != "0\n");
    let expected = "Error: too many connections from this address, try again later\n";
    assert_eq!(told.as_deref(), Some(expected));
    assert_eq!(from(2, &server).ask("count"), "0");
}

#[test]
fn the_bound_follows_from_the_processes_of_the_user() {
    let mut limited = Command::new("prlimit");
    limited
        .args(["--nproc=300", env!("CARGO_BIN_EXE_meta-stats-server")])
        .args(["0", "0", "--bind", "127.0.0.1"]);
    if Uid::effective().is_root() {
        limited.args(["--user", "nobody"]);
    }
    let (bound, line) = announced(limited, "max_sessions");
    assert!(bound < 300, "{line}");
    assert!(line.contains("limited_by=RLIMIT_NPROC"), "{line}");
    let mut command = server_command();
    command.args(["0", "0", "--bind", "127.0.0.1", "--max-sessions", "8"]);
    let (share, line) = announced(command, "per_source");
    assert_eq!(share, 6, "{line}");
    assert!(line.contains("limited_by=--max-sessions"), "{line}");
}

#[test]
fn idle_connections_of_one_address_leave_room_for_another_in_a_small_control_group() {
    let Some(group) = ControlGroup::of_memory() else {
        return;
    };
    let number = |name, otherwise| {
        std::env::var(name).map_or(otherwise, |count| count.parse().expect("a number"))
    };
    group.limit(number("META_STATS_GROUP_MIB", 64) << 20);
    let connections = number("META_STATS_IDLE_CONNECTIONS", 500);
    let mut server = Server::spawn(group.server(&[]));
    let mut idle = Vec::new();
    for _ in 0..connections {
        // The stream alone, which is one descriptor.
        idle.push(server.connect().stream);
    }
    for exits in 1..=20 {
        let mut other = from(2, &server);
        other.send("1\nexit\n");
        assert_eq!(other.line(), "EXIT STATS: count 1 mean 1 stddev nan");
        assert_eq!(server.means_count(), exits);
    }
    assert_eq!(group.kills(), 0);
    assert!(
        server
            .log_line_with("session refused")
            .contains("peer=127.0.0.1:")
    );
    assert!(children_of(server.pid()).len() < connections as usize);
}

#[test]
fn a_session_ends_when_its_lifetime_is_over_whatever_it_sends() {
    let server = Server::start(&["--max-lifetime", "300ms"]);
    let mut chatty = server.connect();
    let silent = server.connect();
    let expired = "Error: this session has lasted too long, it is over";
    eventually("it is over", || {
        chatty.send("count\n");
        chatty.line() == expired
    });
    assert_eq!(silent.rest(), format!("{expired}\n"));
}

#[test]
fn a_session_with_too_many_bad_lines_is_over() {
    let server = Server::start(&["--max-errors", "3"]);
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(client.ask(""), "Error: empty line");
        assert_eq!(client.ask("count"), "0");
    }
    client.send("\n");
    assert_eq!(
        client.rest(),
        "Error: empty line\nError: too many bad lines, this session is over\n"
    );
}

#[test]
fn a_client_that_reads_slowly_but_steadily_gets_all_replies() {
    const COMMANDS: usize = 400_000;
    let server = Server::start(&["--idle-timeout", "5s"]);
    let mut client = Client::connect_from([127, 0, 0, 1], Some(64 << 10), server.primary);
    let mut writer = client.stream.try_clone().expect("a descriptor");
    let input = format!("1\n2\n{}exit\n", "stddev\n".repeat(COMMANDS));
    let sender = thread::spawn(move || std::io::Write::write_all(&mut writer, input.as_bytes()));
    let mut replies = Vec::new();
    // Longer than it may leave replies unread, at a pace that empties no buffer of the system.
    for _ in 0..40 {
        let mut block = [0; 16 << 10];
        let length = client.stream.read(&mut block).expect("replies");
        assert!(
            length > 0,
            "the session ended after {} bytes",
            replies.len()
        );
        replies.extend_from_slice(&block[..length]);
        thread::sleep(Duration::from_millis(200));
    }
    client
        .stream
        .read_to_end(&mut replies)
        .expect("an end, and no reset");
    sender
        .join()
        .expect("no panic")
        .expect("the server took all");
    let lines = replies.split(|&byte| byte == b'\n').count() - 1;
    assert_eq!(lines, COMMANDS + 1);
}

#[test]
fn silent_clients_of_the_secondary_port_leave_their_descriptors_to_the_next() {
    let mut server = Server::start(&[]);
    let links = crate::support::links_of(server.pid());
    let is_free = |number: &u32| links.iter().all(|(used, _)| used != number);
    let next = (0..)
        .filter(is_free)
        .nth(2)
        .expect("there is a free number");
    limit(server.pid(), "nofile", &next.to_string());
    let mut silent: Vec<Client> = Vec::new();
    for _ in 0..60 {
        let mut client = Client::connect(server.secondary);
        assert!(client.line().starts_with("means_count 0 "));
        silent.push(client);
    }
    assert_eq!(server.ask("1\nsum\n"), "1\n");
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait().success());
    let log = server.rest_of_log();
    assert!(!log.contains("cannot accept"), "{log}");
}

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
    eventually("a place is free again", || server.ask("count\n") == "0\n");
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

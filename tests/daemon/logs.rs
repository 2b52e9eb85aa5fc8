//! What the operator reads.

use nix::sys::signal::Signal;

use crate::support::{self, Server};

#[test]
fn each_line_for_programs_is_an_object_with_the_same_fields_as_for_people() {
    let mut command = support::server_command();
    command.args([
        "0",
        "0",
        "--bind",
        "127.0.0.1",
        "-v",
        "--log-format",
        "json",
    ]);
    let directory = tempfile::tempdir().expect("a directory");
    let ports = directory.path().join("ports");
    command.arg("--port-file").arg(&ports);
    let mut server = Server::spawn_silent(command, &ports);
    server.ask("1\nexit\n");
    server.no_child_is_left();
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    let log = server.rest_of_log();
    let events: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    let event = |message: &str| {
        let found = events.iter().find(|event| event["message"] == message);
        found.unwrap_or_else(|| panic!("no {message:?} in {log}"))
    };
    assert_eq!(event("listening")["primary"], server.primary.to_string());
    let ended = event("session ended");
    assert_eq!(ended["level"], "info");
    assert_eq!(ended["reason"], "exit");
    assert_eq!(ended["pid"], event("session started")["pid"]);
    assert!(
        ended["peer"]
            .as_str()
            .is_some_and(|peer| peer.starts_with("127.0.0.1:"))
    );
    assert!(
        event("stopped")["meta"]
            .as_str()
            .is_some_and(|meta| meta.contains("means_count 1"))
    );
    assert!(events.iter().all(|event| event["time"].is_string()));
}

#[test]
fn what_a_client_repeats_does_not_fill_the_log() {
    let mut server = Server::start(&["--max-sessions-per-source", "1"]);
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    for _ in 0..200 {
        assert!(server.connect().rest().starts_with("Error: "));
    }
    drop(client);
    server.no_child_is_left();
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    let log = server.rest_of_log();
    let lines = log.lines().filter(|line| line.contains("session refused"));
    // Ten in ten seconds.
    assert!((1..=100).contains(&lines.count()), "{log}");
}

#[test]
fn values_and_lines_are_never_logged() {
    let mut server = Server::start(&["-v"]);
    server.ask("271828.5\nsupercalifragilistic\nexit\n");
    server.no_child_is_left();
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    let log = server.rest_of_log();
    let of_the_session: Vec<_> = log
        .lines()
        .filter(|line| line.contains("session "))
        .collect();
    assert!(!of_the_session.join("").contains("271828"), "{log}");
    assert!(!log.contains("supercali"), "{log}");
}

//! What the operator reads.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;

use crate::support::{self, Server};

/// A server at `-v` that logs to this, and has nobody else to log to.
fn start_with_log(log: OwnedFd, arguments: &[&str]) -> Server {
    let directory = tempfile::tempdir().expect("a directory");
    let ports = directory.path().join("ports");
    let mut command = support::server_command();
    command
        .args(["0", "0", "--bind", "127.0.0.1", "--port-file"])
        .arg(&ports)
        .args(arguments);
    Server::spawn_with_log(command, Stdio::from(log), &ports)
}

/// A pipe of one page.
fn small_pipe() -> (File, OwnedFd) {
    let (reader, writer) = std::io::pipe().expect("there are free descriptors");
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).expect("the pipe is empty");
    (OwnedFd::from(reader).into(), writer.into())
}

/// A stream as the journal has it.
fn stream() -> (File, OwnedFd) {
    let (reader, writer) = UnixStream::pair().expect("there are free descriptors");
    (OwnedFd::from(reader).into(), writer.into())
}

#[test]
fn a_log_that_nobody_reads_stops_nothing_and_tells_what_is_missing() {
    let sessions = std::env::var("META_STATS_LOG_SESSIONS")
        .map_or(4000, |count| count.parse().expect("a number of sessions"));
    for (reader, writer) in [small_pipe(), stream()] {
        let mut server = start_with_log(writer, &["-v"]);
        for _ in 0..sessions {
            assert_eq!(server.ask("1\nsum\n"), "1\n");
        }
        let mut log = BufReader::new(reader).lines().map_while(Result::ok);
        let line = log.find(|line| line.contains("lines were dropped"));
        let dropped = line.as_deref().and_then(|line| line.split("lines=").nth(1));
        let dropped: u64 = dropped
            .and_then(|number| number.parse().ok())
            .expect("a number");
        assert!(dropped > 0);
        server.signal(Signal::SIGTERM);
        assert!(server.wait().success());
        assert!(log.any(|line| line.contains("stopped")));
    }
}

#[test]
fn a_log_that_nobody_reads_does_not_keep_the_server_from_its_end() {
    let (mut reader, writer) = small_pipe();
    let mut server = start_with_log(writer, &["-v"]);
    for _ in 0..100 {
        assert_eq!(
            server.ask("1\nexit\n"),
            "EXIT STATS: count 1 mean 1 stddev nan\n"
        );
    }
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    let mut log = String::new();
    reader.read_to_string(&mut log).expect("the log is text");
    assert!(log.contains("listening"), "{log}");
}

#[test]
fn events_that_were_held_back_are_summed_up_at_the_end() {
    let mut server = Server::start(&["--max-sessions-per-source", "1"]);
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    for _ in 0..200 {
        assert!(server.connect().rest().starts_with("Error: "));
    }
    server.signal(Signal::SIGTERM);
    drop(client);
    assert!(server.wait().success());
    let log = server.rest_of_log();
    let events = |line: &str| {
        let held_back = line.split("held_back=").nth(1);
        let held_back = held_back.map_or(0, |number| number.parse().expect("a number"));
        held_back + u64::from(line.contains("peer="))
    };
    let refused = log.lines().filter(|line| line.contains("session refused"));
    assert_eq!(refused.map(events).sum::<u64>(), 200, "{log}");
}

#[test]
fn a_quiet_server_tells_its_last_figures_if_there_are_any() {
    let directory = tempfile::tempdir().expect("a directory");
    let ports = directory.path().join("ports");
    let mut command = support::server_command();
    command.args(["0", "0", "--bind", "127.0.0.1", "-q", "--port-file"]);
    command.arg(&ports);
    let mut server = Server::spawn_silent(command, &ports);
    server.ask("3\nexit\n");
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    let log = server.rest_of_log();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("means_count 1 mean_of_means 3 "), "{log}");
}

#[test]
fn in_the_journal_a_line_has_its_level_and_no_time_of_its_own() {
    let (reader, writer) = stream();
    let status = File::from(writer.try_clone().expect("a descriptor")).metadata();
    let status = status.expect("it is open");
    let directory = tempfile::tempdir().expect("a directory");
    let ports = directory.path().join("ports");
    let mut command = support::server_command();
    command
        .args(["0", "0", "--bind", "127.0.0.1", "--port-file"])
        .arg(&ports)
        .env(
            "JOURNAL_STREAM",
            format!("{}:{}", status.dev(), status.ino()),
        );
    let mut server = Server::spawn_with_log(command, Stdio::from(writer), &ports);
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    for line in BufReader::new(reader).lines() {
        let line = line.expect("the log is text");
        let starts = ["<5>listening ", "<4>sessions run as root", "<5>stop"];
        assert!(starts.iter().any(|start| line.starts_with(start)), "{line}");
    }
}

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

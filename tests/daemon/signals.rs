//! How the server ends, and what signals do to a session.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::{Signal, kill};

use crate::support::{self, Client, Server, children_of, eventually, links_of, pid, status_of};

#[test]
fn sigterm_lets_sessions_end_and_counts_them() {
    let mut server = Server::start(&[]);
    let mut clients: Vec<Client> = (0..5).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("count"), "0");
    }
    server.signal(Signal::SIGTERM);
    eventually("new clients are refused", || {
        std::net::TcpStream::connect(server.primary).is_err()
    });
    for client in &mut clients {
        client.send("4\n");
        assert_eq!(client.ask("exit"), "EXIT STATS: count 1 mean 4 stddev nan");
    }
    drop(clients);
    assert!(server.wait().success());
    let log = server.rest_of_log();
    assert!(
        log.contains("means_count 5 mean_of_means 4 stddev_of_means 0"),
        "{log}"
    );
}

#[test]
fn sessions_that_outlast_the_drain_time_are_ended() {
    let mut server = Server::start(&["--drain-timeout", "50ms"]);
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    assert_eq!(client.rest(), "");
}

#[test]
fn a_second_signal_does_not_wait() {
    let mut server = Server::start(&["--drain-timeout", "1h"]);
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    server.signal(Signal::SIGTERM);
    eventually("the first signal has been taken", || {
        std::net::TcpStream::connect(server.primary).is_err()
    });
    server.signal(Signal::SIGINT);
    assert_eq!(server.wait().code(), Some(128 + Signal::SIGINT as i32));
}

#[test]
fn hang_ups_and_user_signals_log_the_counters_and_end_nothing() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.send("1\n");
    assert_eq!(client.ask("count"), "1");
    server.ask("2\nexit\n");
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        server.signal(signal);
        let line = server.log_line_with("counters");
        for field in [
            "uptime_s=",
            "sessions=",
            "refused=0",
            "records_dropped=0",
            "started=2",
        ] {
            assert!(line.contains(field), "no {field} in {line}");
        }
        assert!(line.contains("meta=\"means_count 1 "), "{line}");
    }
    assert_eq!(client.ask("sum"), "1");
    assert_eq!(client.ask("exit"), "EXIT STATS: count 1 mean 1 stddev nan");
    assert_eq!(server.means_count(), 2);
}

#[test]
fn sigquit_lets_sessions_end_as_sigterm_does() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    server.signal(Signal::SIGQUIT);
    eventually("new clients are refused", || {
        std::net::TcpStream::connect(server.primary).is_err()
    });
    client.send("4\n");
    assert_eq!(client.ask("exit"), "EXIT STATS: count 1 mean 4 stddev nan");
    assert!(server.wait().success());
    assert!(
        server
            .rest_of_log()
            .contains("means_count 1 mean_of_means 4 ")
    );
}

#[test]
fn children_end_with_a_killed_server_and_its_ports_are_free_at_once() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    server.signal(Signal::SIGKILL);
    server.wait();
    assert_eq!(client.rest(), "");
    let [primary, secondary] =
        [server.primary, server.secondary].map(|address| address.port().to_string());
    let mut again = support::server_command();
    again.args([&primary, &secondary, "--bind", "127.0.0.1"]);
    assert_eq!(Server::spawn(again).ask("7\nsum\n"), "7\n");
}

#[test]
fn a_session_has_an_empty_signal_mask_and_ignores_sigpipe_alone() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    let child = server.only_child();
    // Beyond the standard signals are two that the C library keeps to itself.
    const STANDARD: u64 = (1 << 31) - 1;
    let mask = |pid, field| {
        let mask = u64::from_str_radix(&status_of(pid, field), 16).expect("a mask");
        mask & STANDARD
    };
    let bit = |signal: Signal| 1 << (signal as u64 - 1);
    assert_eq!(mask(child, "SigBlk"), 0);
    // What was ignored when the tests were started still is.
    let inherited = mask(std::process::id(), "SigIgn");
    assert_eq!(mask(child, "SigIgn"), inherited | bit(Signal::SIGPIPE));
    let caught = mask(child, "SigCgt");
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT] {
        assert_eq!(caught & bit(signal), 0, "{signal}");
    }
}

#[test]
fn a_session_holds_its_socket_the_pipe_and_the_standard_streams() {
    let server = Server::start(&[]);
    let mut bystanders = [server.connect(), Client::connect(server.secondary)];
    assert_eq!(bystanders[0].ask("count"), "0");
    assert!(bystanders[1].line().starts_with("means_count 0 "));
    let before = children_of(server.pid());
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    let mut children = children_of(server.pid());
    children.retain(|(child, _)| before.iter().all(|(other, _)| other != child));
    let links = links_of(children[0].0);
    let kinds: Vec<_> = links
        .iter()
        .filter(|(number, _)| *number > 2)
        .map(|(_, target)| target.split(':').next().unwrap_or_default())
        .collect();
    assert_eq!(links.len(), 5, "{links:?}");
    assert!(
        kinds == ["pipe", "socket"] || kinds == ["socket", "pipe"],
        "{links:?}"
    );
}

#[test]
fn descriptors_that_are_closed_at_the_start_are_never_a_client() {
    let directory = tempfile::tempdir().expect("a directory");
    let ports = directory.path().join("ports");
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(r#"exec "$0" 0 0 --bind 127.0.0.1 --port-file "$1" <&- >&- 2>&-"#)
        .arg(env!("CARGO_BIN_EXE_meta-stats-server"))
        .arg(&ports);
    let server = Server::spawn_silent(shell, &ports);
    let mut client = server.connect();
    client.send("1\n");
    assert_eq!(client.ask("count"), "1");
    let links = links_of(server.only_child());
    assert_eq!(links.len(), 5, "{links:?}");
    for (number, target) in &links[..3] {
        assert_eq!(target, "/dev/null", "descriptor {number}");
    }
    assert_eq!(client.ask("exit"), "EXIT STATS: count 1 mean 1 stddev nan");
    assert_eq!(server.means_count(), 1);
}

#[test]
fn a_storm_of_signals_loses_nothing() {
    let server = Server::start(&[]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                server.signal(Signal::SIGCHLD);
                for (child, _) in children_of(server.pid()) {
                    // A session that ends meanwhile is no failure.
                    let _ = kill(pid(child), Signal::SIGCHLD);
                    let _ = kill(pid(child), Signal::SIGCONT);
                }
            }
        });
        for exits in 1..=300 {
            let mut client = server.connect();
            client.send("1\n2\nmean\n");
            assert_eq!(client.line(), "1.5");
            assert!(
                client
                    .ask("exit")
                    .starts_with("EXIT STATS: count 2 mean 1.5 ")
            );
            assert_eq!(server.means_count(), exits);
        }
        over.store(true, Ordering::Relaxed);
    });
    server.no_child_is_left();
}

//! The server as a process: forking, counting, reaping, ending.

#[path = "../support/mod.rs"]
mod support;

use std::thread;

use nix::sys::signal::Signal;

use support::{Client, Server, children_of, descriptors_of, eventually};

#[test]
fn a_line_client_gets_its_replies_and_the_secondary_port_counts_it() {
    let server = Server::start(&[]);
    assert_eq!(
        server.ask("1\n2\n3\nmean\nexit\n"),
        "2\nEXIT STATS: count 3 mean 2 stddev 1\n"
    );
    assert_eq!(
        server.means(),
        "means_count 1 mean_of_means 2 stddev_of_means nan\n"
    );
}

#[test]
fn the_michelson_values_have_their_deviation_in_both_dialects() {
    let values = include_str!("../../spec/data/michelso.txt");
    let input = format!("{values}stddev\n");
    assert_eq!(Server::start(&[]).ask(&input), "0.07901054781905066\n");
    assert_eq!(
        Server::start(&["--dialect", "classic"]).ask(&input),
        "Stats server ready\n0.08\n"
    );
}

#[test]
fn who_has_the_exit_line_finds_the_mean_counted_a_thousand_times() {
    let server = Server::start(&[]);
    for exits in 1..=1000 {
        let mut client = server.connect();
        client.send("1\nexit\n");
        assert!(client.line().starts_with("EXIT STATS: count 1 "));
        assert_eq!(server.means_count(), exits);
    }
}

#[test]
fn three_hundred_clients_at_once_get_their_own_replies_and_leave_nothing_behind() {
    const CLIENTS: u32 = 300;
    let server = Server::start(&[]);
    let descriptors = descriptors_of(server.pid());
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    for (number, client) in (1..).zip(&mut clients) {
        client.send(&format!("{number}\n{}\ncount\nsum\nmean\n", 3 * number));
    }
    for (number, client) in (1..).zip(&mut clients) {
        assert_eq!(client.line(), "2");
        assert_eq!(client.line(), (4 * number).to_string());
        assert_eq!(client.line(), (2 * number).to_string());
    }
    thread::scope(|scope| {
        for (number, client) in (1..).zip(&mut clients) {
            scope.spawn(move || {
                let line = client.ask("exit");
                assert!(
                    line.starts_with(&format!("EXIT STATS: count 2 mean {} stddev ", 2 * number)),
                    "{line}"
                );
            });
        }
    });
    assert_eq!(server.means_count(), u64::from(CLIENTS));
    drop(clients);
    eventually("no child is left, not even a zombie", || {
        children_of(server.pid()).is_empty()
    });
    eventually("the descriptors are those from before", || {
        descriptors_of(server.pid()) == descriptors
    });
}

#[test]
fn a_client_that_vanishes_leaves_no_mean_and_no_zombie() {
    let server = Server::start(&[]);
    for _ in 0..50 {
        let mut client = server.connect();
        client.send("1\n2\n");
        assert_eq!(client.ask("count"), "2");
    }
    eventually("all children are reaped", || {
        children_of(server.pid()).is_empty()
    });
    assert_eq!(server.means_count(), 0);
}

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
fn a_line_is_limited_to_the_octet() {
    let server = Server::start(&[]);
    let longest = format!("{}1", "0".repeat(65_534));
    assert_eq!(server.ask(&format!("{longest}\nsum\n")), "1\n");
    assert_eq!(
        server.ask(&format!("0{longest}\nsum\n")),
        "Error: long line\n0\n"
    );
    let server = Server::start(&["--max-line", "100"]);
    assert_eq!(server.ask(&format!("{}1\nsum\n", "0".repeat(98))), "1\n");
    assert_eq!(
        server.ask(&format!("{}1\nsum\n", "0".repeat(99))),
        "Error: long line\n0\n"
    );
}

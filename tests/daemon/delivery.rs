//! What was replied arrives, whatever the client does meanwhile.

use std::io::Write;
use std::net::Shutdown;
use std::thread;

use crate::support::{Client, Server, status_of};

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

#[test]
fn ten_thousand_replies_arrive_though_the_client_reads_last_and_sends_more() {
    const COMMANDS: usize = 10_000;
    let server = Server::start(&[]);
    let mut client = Client::connect_from([127, 0, 0, 1], Some(4096), server.primary);
    let input = format!(
        "0.1\n0.2\n{}exit\n{}",
        "mean\n".repeat(COMMANDS),
        "and more\n".repeat(1000)
    );
    client.send(&input);
    let replies = client.rest();
    let mut lines = replies.lines();
    let mean = "0.15000000000000002";
    assert_eq!(
        lines.by_ref().take_while(|&line| line == mean).count(),
        COMMANDS
    );
    assert_eq!(replies.lines().count(), COMMANDS + 1);
    assert!(replies.contains("\nEXIT STATS: count 2 mean 0.15000000000000002 stddev "));
}

#[test]
fn commands_before_the_end_of_input_are_answered_and_leave_no_mean() {
    let server = Server::start(&[]);
    assert_eq!(server.ask("1\n2\ncount\nsum\nmean\n"), "2\n3\n1.5\n");
    server.no_child_is_left();
    assert_eq!(server.means_count(), 0);
}

#[test]
fn exit_without_its_newline_is_no_exit() {
    let server = Server::start(&[]);
    assert_eq!(server.ask("1\ncount\nexit"), "1\n");
    server.no_child_is_left();
    assert_eq!(server.means_count(), 0);
}

#[test]
fn ten_megabytes_without_a_newline_take_no_memory_and_are_one_error() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    let child = server.only_child();
    let peak = || -> u64 {
        let text = status_of(child, "VmHWM");
        let digits = text
            .split(' ')
            .next()
            .and_then(|digits| digits.parse().ok());
        digits.expect("a number of kB")
    };
    let before = peak();
    let block = [b'7'; 1 << 16];
    for _ in 0..160 {
        client.stream.write_all(&block).expect("the server reads");
    }
    assert_eq!(client.ask(""), "Error: long line");
    let growth = peak() - before;
    assert!(growth < 2048, "{growth} kB more");
    assert_eq!(client.ask("count"), "0");
    assert_eq!(client.ask("4\nsum"), "4");
}

#[test]
fn clients_of_the_secondary_port_that_never_read_hold_nobody_up() {
    let server = Server::start(&[]);
    let _silent: Vec<_> = (0..300)
        .map(|_| Client::connect_from([127, 0, 0, 1], Some(1), server.secondary))
        .collect();
    let mut client = server.connect();
    for value in 1..=500 {
        client.send("1\n");
        assert_eq!(client.ask("sum"), value.to_string());
    }
    assert_eq!(client.ask("exit"), "EXIT STATS: count 500 mean 1 stddev 0");
    assert_eq!(server.means_count(), 1);
}

#[test]
fn a_megabyte_sent_to_the_secondary_port_does_not_cost_the_line() {
    let server = Server::start(&[]);
    server.ask("1\nexit\n");
    for _ in 0..10 {
        let client = Client::connect(server.secondary);
        let mut sender = client.stream.try_clone().expect("a descriptor");
        let flood = thread::spawn(move || {
            // The server waits a second for the end of this; if it takes longer, it fails.
            let _ = sender.write_all(&[b'x'; 1 << 20]);
            let _ = sender.shutdown(Shutdown::Write);
        });
        assert_eq!(
            client.rest(),
            "means_count 1 mean_of_means 1 stddev_of_means nan\n"
        );
        flood.join().expect("it does not panic");
    }
}

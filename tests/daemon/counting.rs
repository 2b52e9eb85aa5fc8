//! Every exit is counted, once, before its client knows.

use std::fs::OpenOptions;
use std::io::Write;
use std::thread;

use nix::fcntl::{FcntlArg, fcntl};

use crate::support::{Client, Server, descriptors_of, eventually, links_of};

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
    server.no_child_is_left();
    eventually("the descriptors are those from before", || {
        descriptors_of(server.pid()) == descriptors
    });
}

#[test]
fn two_hundred_simultaneous_exits_are_two_hundred_means() {
    let server = Server::start(&[]);
    let mut clients: Vec<Client> = (0..200).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("2\n");
        assert_eq!(client.ask("count"), "1");
    }
    // With the server standing still, the exits of all happen before it sees one of them.
    server.freeze();
    for client in &mut clients {
        client.send("exit\n");
    }
    for client in &mut clients {
        assert_eq!(client.line(), "EXIT STATS: count 1 mean 2 stddev nan");
    }
    drop(clients);
    server.unfreeze();
    assert_eq!(server.means_count(), 200);
    server.no_child_is_left();
}

#[test]
fn exits_into_a_full_pipe_are_counted_when_the_server_goes_on() {
    const SESSIONS: usize = 200;
    let server = Server::start(&[]);
    let mut clients: Vec<Client> = (0..SESSIONS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("1\n");
        assert_eq!(client.ask("count"), "1");
    }
    let pipe = OpenOptions::new()
        .write(true)
        .open(record_pipe(&server))
        .expect("the pipe can be opened");
    fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(4096)).expect("the pipe is empty");
    drop(pipe);
    server.freeze();
    for client in &mut clients {
        client.send("exit\n");
    }
    // The pipe holds 128 records of 32 octets; those who write them are told.
    let told = || {
        clients
            .iter()
            .filter(|client| !client.hears_nothing_for(std::time::Duration::from_millis(1)))
            .count()
    };
    eventually("the pipe is full", || told() >= 128);
    server.unfreeze();
    for client in &mut clients {
        assert_eq!(client.line(), "EXIT STATS: count 1 mean 1 stddev nan");
    }
    assert_eq!(server.means_count(), SESSIONS as u64);
}

#[test]
fn arbitrary_bytes_in_the_pipe_are_dropped_and_logged() {
    let mut server = Server::start(&[]);
    let mut pipe = OpenOptions::new()
        .write(true)
        .open(record_pipe(&server))
        .expect("the pipe can be opened");
    for garbage in [
        &[0; 32][..],
        &[0xff; 7],
        b"MSR1 and then something of no use",
    ] {
        pipe.write_all(garbage).expect("the pipe has room");
        server.log_line_with("record dropped");
    }
    assert_eq!(server.means_count(), 0);
    server.ask("3\nexit\n");
    assert_eq!(
        server.means(),
        "means_count 1 mean_of_means 3 stddev_of_means nan\n"
    );
}

/// The write end of the pipe for records: the pipe that the server has both ends of.
pub(crate) fn record_pipe(server: &Server) -> String {
    let links = links_of(server.pid());
    let is_pair = |name: &str| links.iter().filter(|(_, other)| other == name).count() == 2;
    let (number, _) = links
        .iter()
        .rev()
        .find(|(_, name)| name.starts_with("pipe:") && is_pair(name))
        .expect("the server has both ends of a pipe");
    format!("/proc/{}/fd/{number}", server.pid())
}

#[test]
fn descriptors_are_as_many_after_a_thousand_sessions_as_before() {
    let server = Server::start(&[]);
    server.ask("1\n");
    server.no_child_is_left();
    let before = descriptors_of(server.pid());
    for session in 0..1000 {
        let mut client = server.connect();
        client.send(if session % 2 == 0 { "1\nexit\n" } else { "1\n" });
        if session % 100 == 0 {
            assert!(server.means().starts_with("means_count "));
        }
    }
    eventually("every exit is counted", || server.means_count() == 500);
    server.no_child_is_left();
    eventually("the descriptors are those from before", || {
        descriptors_of(server.pid()) == before
    });
}

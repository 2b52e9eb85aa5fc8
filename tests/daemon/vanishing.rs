//! Clients and children that go without a word.

use nix::sys::signal::{Signal, kill};

use crate::support::{Client, Server, children_of, eventually, pid, state_of};

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
fn a_connection_that_is_reset_before_it_is_accepted_is_forgotten() {
    let server = Server::start(&[]);
    server.freeze();
    for _ in 0..20 {
        server.connect().reset();
        Client::connect(server.secondary).reset();
    }
    let mut patient = server.connect();
    server.unfreeze();
    assert_eq!(patient.ask("count"), "0");
    drop(patient);
    assert_eq!(server.means_count(), 0);
    server.no_child_is_left();
}

#[test]
fn a_connection_that_is_reset_in_mid_session_leaves_no_mean_and_no_zombie() {
    let server = Server::start(&[]);
    for _ in 0..20 {
        let mut client = server.connect();
        client.send("1\n");
        assert_eq!(client.ask("count"), "1");
        client.send("sum\nexi");
        client.reset();
    }
    server.no_child_is_left();
    assert_eq!(server.means_count(), 0);
}

#[test]
fn a_killed_session_is_not_counted_but_logged_and_its_place_is_free() {
    let mut server = Server::start(&["--max-sessions", "1"]);
    let mut client = server.connect();
    client.send("1\n");
    assert_eq!(client.ask("count"), "1");
    let child = server.only_child();
    let mut next = server.connect();
    kill(pid(child), Signal::SIGKILL).expect("the child runs");
    assert_eq!(next.ask("count"), "0");
    let line = server.log_line_with("session killed");
    assert!(
        line.contains(&format!("pid={child} peer=127.0.0.1:")),
        "{line}"
    );
    assert!(line.contains("reason=SIGKILL"), "{line}");
    assert_eq!(server.means_count(), 0);
}

#[test]
fn a_stopped_session_stops_nobody_else_and_goes_on_where_it_was() {
    let server = Server::start(&[]);
    let mut stopped = server.connect();
    assert_eq!(stopped.ask("count"), "0");
    let child = server.only_child();
    kill(pid(child), Signal::SIGSTOP).expect("the child runs");
    eventually("it stands still", || state_of(child) == 'T');
    stopped.send("5\nsum\n");
    for _ in 0..20 {
        assert_eq!(
            server.ask("1\nexit\n"),
            "EXIT STATS: count 1 mean 1 stddev nan\n"
        );
    }
    assert_eq!(server.means_count(), 20);
    kill(pid(child), Signal::SIGCONT).expect("the child is there");
    assert_eq!(stopped.line(), "5");
    assert_eq!(stopped.ask("exit"), "EXIT STATS: count 1 mean 5 stddev nan");
    assert_eq!(server.means_count(), 21);
}

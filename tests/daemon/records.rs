//! What a session that was taken over may write into the pipe.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use meta_stats_server::record::{RECORD_LEN, Record};

use crate::counting::record_pipe;
use crate::support::{Client, Server};

fn pipe_of(server: &Server) -> File {
    let pipe = OpenOptions::new().write(true).open(record_pipe(server));
    pipe.expect("the pipe can be opened")
}

#[test]
fn octets_between_records_cost_no_mean_of_others() {
    const SESSIONS: usize = 200;
    let server = Server::start(&[]);
    let mut pipe = pipe_of(&server);
    let mut clients: Vec<Client> = (0..SESSIONS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("1\n");
        assert_eq!(client.ask("count"), "1");
    }
    server.freeze();
    for (client, octet) in clients.iter_mut().zip(b"MSR1x".iter().cycle()) {
        pipe.write_all(&[*octet]).expect("the pipe has room");
        client.send("exit\n");
        assert_eq!(client.line(), "EXIT STATS: count 1 mean 1 stddev nan");
    }
    server.unfreeze();
    assert_eq!(server.means_count(), SESSIONS as u64);
}

#[test]
fn a_record_without_the_secret_of_its_session_does_not_count() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.send("1\n");
    assert_eq!(client.ask("count"), "1");
    let pid = server.only_child();
    for secret in [0, 1, u64::MAX] {
        let forged = Record {
            pid,
            count: 1,
            mean: 1e300,
        };
        let mut pipe = pipe_of(&server);
        pipe.write_all(&forged.encode_sealed(secret)).expect("room");
        let line = server.log_line_with("record dropped");
        assert!(line.contains(&format!("pid={pid} ")), "{line}");
    }
    assert_eq!(server.means_count(), 0);
    assert_eq!(client.ask("exit"), "EXIT STATS: count 1 mean 1 stddev nan");
    let means = "means_count 1 mean_of_means 1 stddev_of_means nan\n";
    assert_eq!(server.means(), means);
}

#[test]
fn a_session_counts_one_mean_and_is_named_when_it_tries_more() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.send("5\n");
    assert_eq!(client.ask("count"), "1");
    let pid = server.only_child();
    server.freeze();
    assert_eq!(client.ask("exit"), "EXIT STATS: count 1 mean 5 stddev nan");
    // The record that the session wrote, as the session could write it again.
    let mut record = [0; RECORD_LEN];
    let mut pipe = File::open(record_pipe_for_reading(&server)).expect("it can be opened");
    pipe.read_exact(&mut record).expect("a record is in it");
    for _ in 0..3 {
        pipe_of(&server)
            .write_all(&record)
            .expect("the pipe has room");
    }
    server.unfreeze();
    assert_eq!(server.means_count(), 1);
    let line = server.log_line_with("record dropped");
    let named = format!(
        "pid={pid} peer={}",
        client.stream.local_addr().expect("bound")
    );
    assert!(line.contains(&named), "{line}");
}

/// Both ends of a pipe are found by the same name; how it is opened makes the difference.
fn record_pipe_for_reading(server: &Server) -> String {
    record_pipe(server)
}

#[test]
fn a_flood_of_octets_keeps_the_server_from_nobody() {
    let server = Server::start(&[]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            let mut pipe = pipe_of(&server);
            let over = &over;
            scope.spawn(move || {
                let block = b"MSR1".repeat(1024);
                while !over.load(Ordering::Relaxed) {
                    pipe.write_all(&block).expect("the server reads");
                }
            });
        }
        for exits in 1..=20 {
            let line = server.ask("1\nexit\n");
            assert_eq!(line, "EXIT STATS: count 1 mean 1 stddev nan\n");
            assert_eq!(server.means_count(), exits);
        }
        over.store(true, Ordering::Relaxed);
    });
}

//! A system that has no descriptors and no processes left.

use std::thread;
use std::time::Duration;

use nix::unistd::Uid;

use crate::support::{Server, cpu_ticks_of, limit, links_of};

#[test]
fn without_descriptors_clients_wait_and_the_server_rests() {
    let mut server = Server::start(&[]);
    let links = links_of(server.pid());
    let is_free = |number: &u32| links.iter().all(|(used, _)| used != number);
    let next = (0..).find(is_free).expect("there is a free number");
    let before = limit(server.pid(), "nofile", &next.to_string());
    let mut clients = [server.connect(), server.connect()];
    server.log_line_with("cannot accept");
    // This is no waiting for something, but the time over which work is measured.
    let start = cpu_ticks_of(server.pid());
    thread::sleep(Duration::from_secs(2));
    let ticks = cpu_ticks_of(server.pid()) - start;
    assert!(ticks < 10, "{ticks} ticks of 10 ms in 2 s");
    limit(server.pid(), "nofile", &before);
    for client in &mut clients {
        assert_eq!(client.ask("count"), "0");
    }
    assert_eq!(server.means_count(), 0);
}

#[test]
fn without_processes_clients_are_told_and_the_secondary_port_answers() {
    // The limit of processes does not hold for root.
    let arguments: &[&str] = match Uid::effective().is_root() {
        true => &["--user", "nobody"],
        false => &[],
    };
    let mut server = Server::start(arguments);
    let before = limit(server.pid(), "nproc", "1");
    for _ in 0..3 {
        assert_eq!(
            server.connect().rest(),
            "Error: server is out of processes, try again later\n"
        );
        assert_eq!(server.means_count(), 0);
    }
    let line = server.log_line_with("session refused");
    assert!(line.contains("raise the limit of processes"), "{line}");
    limit(server.pid(), "nproc", &before);
    assert_eq!(
        server.ask("1\nexit\n"),
        "EXIT STATS: count 1 mean 1 stddev nan\n"
    );
    assert_eq!(server.means_count(), 1);
}

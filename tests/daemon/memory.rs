//! When memory is out, and what is in that of a session.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;

use nix::unistd::Uid;

use crate::support::{
    Client, ControlGroup, Server, children_of, eventually, niceness_of, status_of,
};

fn score_of(pid: u32) -> i32 {
    let score = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("it runs");
    score.trim().parse().expect("a number")
}

#[test]
fn a_session_is_a_better_victim_than_the_server_and_yields_the_processor() {
    let as_nobody: &[&str] = &["--user", "nobody"];
    let cases: &[&[&str]] = match Uid::effective().is_root() {
        true => &[&[], as_nobody],
        false => &[&[]],
    };
    for arguments in cases {
        let server = Server::start(arguments);
        let mut client = server.connect();
        assert_eq!(client.ask("count"), "0");
        let (parent, child) = (server.pid(), server.only_child());
        assert!(score_of(child) > score_of(parent), "{arguments:?}");
        assert!(niceness_of(child) > niceness_of(parent), "{arguments:?}");
    }
}

#[test]
fn a_session_can_take_only_so_much_memory() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.only_child()));
    let limits = limits.expect("it runs");
    let limit = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"));
    let limit = limit.expect("there is such a limit");
    let bytes: u64 = limit
        .split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no number in {limit:?}"));
    assert!(bytes < 1 << 30, "{bytes}");
}

#[test]
fn replies_that_are_left_unread_take_little_memory_of_the_system() {
    let server = Server::start(&[]);
    let client = Client::connect_from([127, 0, 0, 1], Some(4096), server.primary);
    let mut writer = client.stream.try_clone().expect("a descriptor");
    std::thread::spawn(move || {
        // It ends with the connection.
        let _ = writer.write_all("1\n2\nstddev\n".repeat(400_000).as_bytes());
    });
    let port = client.stream.local_addr().expect("connected").port();
    let mut unsent = 0;
    eventually("the session waits for its client", || {
        let before = unsent;
        unsent = unsent_to(port);
        let waits = children_of(server.pid())
            .iter()
            .all(|&(_, state)| state == 'S');
        waits && before == unsent && unsent > 8192
    });
    assert!(unsent < 512 << 10, "{unsent} bytes");
    drop(client);
    drop(server);
}

/// How many bytes wait in the system to be sent to a local port.
fn unsent_to(port: u16) -> u64 {
    let table = fs::read_to_string("/proc/net/tcp").expect("there is such a table");
    let to = format!(":{port:04X}");
    let line = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut line = line.filter(|fields| fields.get(2).is_some_and(|peer| peer.ends_with(&to)));
    let queues = line.find_map(|fields| fields[4].split(':').next().map(str::to_owned));
    let unsent = queues.and_then(|queue| u64::from_str_radix(&queue, 16).ok());
    unsent.unwrap_or_default()
}

#[test]
fn out_of_memory_takes_sessions_and_not_the_server() {
    let Some(group) = ControlGroup::of_memory() else {
        return;
    };
    let mut server = Server::start(&[]);
    group.add(server.pid());
    group.limit(24 << 20);
    let mut idle = Vec::new();
    let mut confirmed = 0;
    while group.kills() < 3 {
        assert!(idle.len() < 10_000, "memory is not used up");
        idle.push(server.connect());
        if idle.len() % 20 == 0 {
            let mut client = Client::connect_from([127, 0, 0, 2], None, server.primary);
            // This one may be the victim.
            let sent = client.try_send("1\nexit\n").is_ok();
            let rest = client.try_rest().unwrap_or_default();
            confirmed += u64::from(sent && rest.contains("EXIT STATS"));
        }
    }
    drop(idle);
    server.no_child_is_left();
    let mut other = Client::connect_from([127, 0, 0, 3], None, server.primary);
    other.send("1\n");
    assert_eq!(other.ask("count"), "1");
    assert!(server.means_count() >= confirmed);
    let line = server.log_line_with("session killed");
    assert!(line.contains("reason=SIGKILL"), "{line}");
}

#[test]
fn a_session_knows_no_other_peer() {
    let server = Server::start(&["-v"]);
    let mut others: Vec<_> = (1..=40)
        .map(|last| Client::connect_from([127, 83, 41, last], None, server.primary))
        .collect();
    for other in &mut others {
        assert_eq!(other.ask("count"), "0");
    }
    let before: Vec<_> = children_of(server.pid());
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    let mut children = children_of(server.pid());
    children.retain(|child| before.iter().all(|(other, _)| *other != child.0));
    let memory = writable_memory_of(children[0].0);
    assert!(memory.len() > 50_000, "{} bytes", memory.len());
    for other in &others {
        let std::net::SocketAddr::V4(peer) = other.stream.local_addr().expect("connected") else {
            panic!("the address is one of IPv4");
        };
        let [host, port] = [&peer.ip().octets()[..], &peer.port().to_ne_bytes()];
        let of_kernel = [&peer.port().to_be_bytes()[..], host].concat();
        for pattern in [
            [host, port].concat(),
            of_kernel,
            peer.to_string().into_bytes(),
        ] {
            let found = memory.windows(pattern.len()).any(|part| part == pattern);
            assert!(!found, "{peer} is there as {pattern:?}");
        }
    }
}

fn writable_memory_of(pid: u32) -> Vec<u8> {
    // Its own user may read it if it may be traced; the tests then are its parent's parent.
    assert_eq!(status_of(pid, "Seccomp"), "2");
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs");
    let file = File::open(format!("/proc/{pid}/mem")).expect("it can be read");
    let mut memory = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (start, end) = line
            .split_once(' ')
            .and_then(|(range, _)| range.split_once('-'))
            .expect("a range");
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).expect("hex"));
        let mut part = vec![0; (end - start) as usize];
        file.read_exact_at(&mut part, start).expect("mapped memory");
        memory.extend_from_slice(&part);
    }
    memory
}

//! Many sessions of every kind, some of them killed, and what is left of them.
//!
//! `META_STATS_SOAK_SESSIONS` says how many; an hour's worth is 200000.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::support::{Server, children_of, descriptors_of, eventually, pid, status_of};

const CLIENTS: u64 = 8;

#[derive(Default)]
struct Exits {
    sent: AtomicU64,
    confirmed: AtomicU64,
}

#[test]
fn random_sessions_and_random_kills_leave_the_server_as_it_was() {
    let sessions = std::env::var("META_STATS_SOAK_SESSIONS")
        .map_or(2000, |count| count.parse().expect("a number of sessions"));
    let server = Server::start(&["--idle-timeout", "2s"]);
    let descriptors = descriptors_of(server.pid());
    let exits = Exits::default();
    // What a long run needs once, such as room for many children, is not a leak.
    run(&server, sessions / 10, &exits);
    let memory = memory_of(&server);
    run(&server, sessions, &exits);

    eventually("the descriptors are those from before", || {
        descriptors_of(server.pid()) == descriptors
    });
    let growth = memory_of(&server).saturating_sub(memory);
    assert!(growth <= 256, "{growth} kB more memory");
    let [sent, confirmed] =
        [&exits.sent, &exits.confirmed].map(|count| count.load(Ordering::SeqCst));
    let counted = server.means_count();
    assert!(
        (confirmed..=sent).contains(&counted),
        "{counted} means; exits sent: {sent}, confirmed: {confirmed}"
    );
}

fn run(server: &Server, sessions: u64, exits: &Exits) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    let mut random = random(client);
                    for _ in 0..sessions / CLIENTS {
                        behave(server, random.next_u32(), exits);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut random = random(CLIENTS);
            while !over.load(Ordering::Relaxed) {
                let children = children_of(server.pid());
                if !children.is_empty() {
                    let (child, _) = children[random.next_u32() as usize % children.len()];
                    // It may have ended by now.
                    let _ = kill(pid(child), Signal::SIGKILL);
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
        for client in clients {
            client.join().expect("no client panics");
        }
        over.store(true, Ordering::Relaxed);
    });
    // Who is answered now came behind all others in the backlog.
    assert_eq!(server.ask("count\n"), "0\n");
    server.no_child_is_left();
}

fn random(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// One session; it may be killed at any time, so that nothing but its final line is relied on.
fn behave(server: &Server, choice: u32, exits: &Exits) {
    let mut client = server.connect();
    match choice % 8 {
        0..3 => {
            exits.sent.fetch_add(1, Ordering::SeqCst);
            if client.try_send("1\n2.5\nmean\nexit\n").is_ok()
                && client
                    .try_rest()
                    .is_some_and(|text| text.contains("EXIT STATS"))
            {
                exits.confirmed.fetch_add(1, Ordering::SeqCst);
            }
        }
        3 => drop(client.try_send("1\n2\n")),
        4 => {
            let _ = client.try_send("1\ncount\nexit");
            let _ = client.stream.shutdown(std::net::Shutdown::Write);
            client.try_rest();
        }
        5 => {
            let _ = client.try_send("7\nsum\nexi");
            client.reset();
        }
        6 => {
            let _ = client.try_send(&"\u{0}garbage\u{ff} ".repeat(choice as usize % 2000));
        }
        _ => {
            let _ = client.try_send("3");
            client.hears_nothing_for(Duration::from_millis(u64::from(choice) % 40 + 1));
        }
    }
}

/// Resident memory in kB.
fn memory_of(server: &Server) -> u64 {
    let text = status_of(server.pid(), "RssAnon");
    let digits = text
        .split(' ')
        .next()
        .and_then(|digits| digits.parse().ok());
    digits.expect("a number of kB")
}

//! Only the server that was started is judged, whatever else listens on its ports.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use assert_cmd::assert::OutputAssertExt;
use predicates::str::contains;

use crate::support::{process_server as server, run, shows_processes};

/// Listens on ports of servers that ask for it, as another program would that was faster; `which`
/// tells on which of the ports at which try.
fn other_program(which: fn(usize) -> &'static [usize]) -> (String, thread::JoinHandle<usize>) {
    let control = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = control.local_addr().expect("its address").to_string();
    let other = thread::spawn(move || {
        let mut held = Vec::new();
        let mut seen = BTreeSet::new();
        for stream in control.incoming() {
            let mut stream = stream.expect("a server that asks");
            let mut words = String::new();
            stream.read_to_string(&mut words).expect("its arguments");
            if words.is_empty() {
                break;
            }
            let ports: Vec<u16> = words
                .split(' ')
                .map_while(|word| word.parse().ok())
                .collect();
            for index in which(seen.len()) {
                let bound = TcpListener::bind(("127.0.0.1", ports[*index]));
                held.push(bound.expect("the port was free"));
            }
            seen.insert(ports);
            drop(stream);
        }
        seen.len()
    });
    (address, other)
}

/// Ends the other program; how many pairs of ports it was asked about.
fn finish((address, other): (String, thread::JoinHandle<usize>)) -> usize {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.shutdown(Shutdown::Both).expect("it is connected");
    other.join().expect("it ends")
}

#[test]
fn a_port_that_another_program_takes_first_is_left_to_it() {
    for which in [
        (|index| if index == 0 { &[0, 1] } else { &[] }) as fn(usize) -> &'static [usize],
        |index| if index == 0 { &[0] } else { &[] },
        |index| if index < 3 { &[1] } else { &[] },
    ] {
        let other = other_program(which);
        run(
            &server(&format!("asks={}", other.0)),
            &["process.gone/after-exit"],
        )
        .assert()
        .code(0);
        assert!(finish(other) >= 2);
    }
}

#[test]
fn a_server_whose_ports_are_always_taken_is_not_judged() {
    let other = other_program(|_| &[0, 1]);
    let mut run = run(&server(&format!("asks={}", other.0)), &["process.gone"]);
    run.assert()
        .code(3)
        .stdout("")
        .stderr(contains("(4 pairs of ports were tried)"));
    assert_eq!(finish(other), 4);
}

#[test]
fn another_program_that_answers_in_place_of_the_server_is_named() {
    if !shows_processes() {
        return;
    }
    let other = other_program(|_| &[0, 1]);
    let habits = format!("asks={} never-listens", other.0);
    let process = format!(
        "belongs to another program, process {} ",
        std::process::id()
    );
    run(&server(&habits), &["process.gone"])
        .assert()
        .code(3)
        .stdout("")
        .stderr(contains(process));
    assert_eq!(finish(other), 4);
}

#[test]
fn a_server_that_does_not_start_is_started_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let starts = directory.path().join("starts");
    let command = format!(
        "sh -c 'echo {{port}} {{meta_port}} >> {}; exit 7'",
        starts.display()
    );
    run(&command, &["process.gone"])
        .assert()
        .code(3)
        .stderr(contains("ended before it listened (exit status: 7)"));
    let starts = std::fs::read_to_string(starts).expect("it was started");
    assert_eq!(starts.lines().count(), 1, "{starts}");
}

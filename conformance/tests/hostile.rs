//! Servers that do their worst: the runner ends in time, in bounded memory, with a verdict.
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Cases that await replies, errors, nothing, the end, and the line of the secondary port.
const CASES: [&str; 4] = [
    "line.pipelining",
    "line.empty",
    "session.half-close",
    "meta.line",
];

/// Generous: the time-outs of all cases together are a few seconds.
const ENDLESS: Duration = Duration::from_secs(120);

/// Runs the runner against a server that does the same with every connection.
fn run(serve: fn(TcpStream)) -> Output {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let [primary, secondary] = listeners.each_ref().map(|listener| {
        let address = listener.local_addr().expect("its address");
        address.to_string()
    });
    for listener in listeners {
        // They end with the test.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(stream));
            }
        });
    }
    let mut command = Command::new("sh");
    // 4 GiB of addresses; most of them are never used.
    command.args([
        "-c",
        "ulimit -v 4194304; exec \"$@\"",
        "sh",
        env!("CARGO_BIN_EXE_meta-stats-conformance"),
    ]);
    command.args([
        &primary,
        "--meta",
        &secondary,
        "--timeout",
        "200ms",
        "--quiet",
    ]);
    command.args(CASES.iter().flat_map(|case| ["--select", case]));
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(command.output().expect("there is a shell")));
    receiver.recv_timeout(ENDLESS).expect("the runner ends")
}

/// The run ends as it does for a server that is merely wrong, or for none.
fn assert_verdict(output: &Output) {
    assert!(matches!(output.status.code(), Some(1 | 3)), "{output:?}");
}

#[test]
fn lines_without_end() {
    assert_verdict(&run(|mut stream| {
        while stream.write_all(&b"1\n".repeat(4096)).is_ok() {}
    }));
}

#[test]
fn a_line_without_end() {
    assert_verdict(&run(
        |mut stream| while stream.write_all(&[b'1'; 8192]).is_ok() {},
    ));
}

#[test]
fn numbers_that_take_long_to_read() {
    assert_verdict(&run(|mut stream| {
        let line = [&b"1e-4096 ".repeat(100_000)[..], b"\n"].concat();
        while stream.write_all(&line).is_ok() {}
    }));
}

#[test]
fn octets_of_every_value() {
    assert_verdict(&run(|mut stream| {
        let _ = stream.write_all(&(0..=255).collect::<Vec<u8>>());
    }));
}

#[test]
fn silence() {
    assert_verdict(&run(
        |mut stream| while matches!(stream.read(&mut [0; 512]), Ok(1..)) {},
    ));
}

#[test]
fn a_reset_at_once() {
    // A close with unread input is a reset.
    assert_verdict(&run(|stream| drop(stream.peek(&mut [0]))));
}

//! `record`, and the replay of what it wrote.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use assert_cmd::assert::OutputAssertExt;
use predicates::str::contains;

use crate::support::{faulty_command, program};

/// A process that says where it listens; ended with the test.
struct Listening {
    child: Child,
    primary: SocketAddr,
    secondary: SocketAddr,
}

impl Listening {
    fn start(command: &mut Command) -> Listening {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("a pipe");
        let mut line = String::new();
        BufReader::new(stderr)
            .read_line(&mut line)
            .expect("what it says");
        let address = |label: &str| {
            let word = line
                .split_whitespace()
                .find_map(|word| word.strip_prefix(label));
            word.and_then(|address| address.parse().ok())
                .expect("an address")
        };
        Listening {
            primary: address("primary="),
            secondary: address("secondary="),
            child,
        }
    }

    fn bundled() -> Listening {
        Listening::start(program().args(["bundled-server", "0", "0", "--bind", "127.0.0.1"]))
    }

    fn recorder(server: &Listening, connections: usize, file: &Path) -> Listening {
        Listening::start(
            program()
                .args(["record", "--listen", "0", "--meta-listen", "0"])
                .args(["--to", &server.primary.to_string()])
                .args(["--meta-to", &server.secondary.to_string()])
                .args(["--connections", &connections.to_string()])
                .arg("-o")
                .arg(file),
        )
    }

    fn has_ended_well(mut self) {
        let status = self.child.wait().expect("our child");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends all of it, ends, and reads to the end.
fn talk(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(text.as_bytes()).expect("it receives");
    stream.shutdown(Shutdown::Write).expect("it is open");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("an end of file");
    reply
}

fn replay(cases: &Path) -> assert_cmd::assert::Assert {
    program().arg("--spec").arg(cases).assert()
}

#[test]
fn a_session_and_a_look_at_the_means_replay_green() {
    let cases = tempfile::tempdir().expect("a directory");
    let file = cases.path().join("session.md");
    let server = Listening::bundled();
    let recorder = Listening::recorder(&server, 2, &file);
    let reply = talk(
        recorder.primary,
        "1\n 2.5\nfoo # bar\ncount\nmean\nstddev\nexit\n",
    );
    assert!(
        reply.ends_with("EXIT STATS: count 2 mean 1.75 stddev 1.0606601717798212\n"),
        "{reply}"
    );
    assert!(talk(recorder.secondary, "").starts_with("means_count 1 "));
    recorder.has_ended_well();
    let chapter = std::fs::read_to_string(&file).expect("the chapter");
    for step in [
        "> 1\n",
        ">> \"foo # bar\\n\"\n",
        "< model # \"1.75\"\n",
        "< exit #",
        "@meta < means\n",
    ] {
        assert!(chapter.contains(step), "{step:?} in {chapter}");
    }
    replay(cases.path())
        .code(0)
        .stdout(contains("1 of   1 passed"));
}

#[test]
fn a_session_through_nc_replays_green() {
    if Command::new("nc").arg("-h").output().is_err() {
        return eprintln!("skipped: nc is not installed");
    }
    let cases = tempfile::tempdir().expect("a directory");
    let file = cases.path().join("session.md");
    let server = Listening::bundled();
    let recorder = Listening::recorder(&server, 1, &file);
    let mut nc = Command::new("nc")
        .args(["127.0.0.1", &recorder.primary.port().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("nc starts");
    let mut typed = nc.stdin.take().expect("a pipe");
    let mut read = BufReader::new(nc.stdout.take().expect("a pipe"));
    for (line, due) in [
        ("3\n4\ncount\n", "2\n"),
        ("hello\n", "Error: unrecognized command\n"),
        ("sum\n", "7\n"),
        (
            "exit\n",
            "EXIT STATS: count 2 mean 3.5 stddev 0.7071067811865476\n",
        ),
    ] {
        typed.write_all(line.as_bytes()).expect("nc reads");
        let mut reply = String::new();
        read.read_line(&mut reply).expect("nc passes it on");
        assert_eq!(reply, due);
    }
    drop(typed);
    recorder.has_ended_well();
    nc.wait().expect("our child");
    replay(cases.path()).code(0);
}

#[test]
fn a_recorded_fault_is_remarked_and_does_not_break_the_notation() {
    let cases = tempfile::tempdir().expect("a directory");
    let file = cases.path().join("session.md");
    let server = Listening::start(faulty_command().args(["0", "0", "--fault", "population"]));
    let recorder = Listening::recorder(&server, 1, &file);
    talk(recorder.primary, "1\n2\nstddev\nexit\n");
    recorder.has_ended_well();
    let chapter = std::fs::read_to_string(&file).expect("the chapter");
    assert!(
        chapter.contains("< any # \"0.5\", but 0.7071067811865476 is due\n"),
        "{chapter}"
    );
    replay(cases.path()).code(0);
}

#[test]
fn concurrent_sessions_keep_their_order() {
    let cases = tempfile::tempdir().expect("a directory");
    let file = cases.path().join("session.md");
    let server = Listening::bundled();
    let recorder = Listening::recorder(&server, 2, &file);
    let mut sessions = [1, 2].map(|_| {
        let stream = TcpStream::connect(recorder.primary).expect("it listens");
        (
            BufReader::new(stream.try_clone().expect("a second handle")),
            stream,
        )
    });
    for round in 1..=3 {
        for (reader, writer) in &mut sessions {
            writer.write_all(b"7\ncount\n").expect("it receives");
            let mut reply = String::new();
            reader.read_line(&mut reply).expect("a reply");
            assert_eq!(reply, format!("{round}\n"));
        }
    }
    drop(sessions);
    recorder.has_ended_well();
    let chapter = std::fs::read_to_string(&file).expect("the chapter");
    assert_eq!(
        chapter.matches("@session-2 < model # \"3\"\n").count(),
        1,
        "{chapter}"
    );
    replay(cases.path()).code(0);
}

#[test]
fn an_interrupted_recording_is_written() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let cases = tempfile::tempdir().expect("a directory");
    let file = cases.path().join("session.md");
    let server = Listening::bundled();
    for (client, status) in [(false, Some(130)), (true, Some(0))] {
        let mut recorder = Listening::recorder(&server, 1, &file);
        // The session is open when the signal comes; its reply was told before it was passed on.
        let stream = client.then(|| {
            let mut stream = TcpStream::connect(recorder.primary).expect("it listens");
            stream.write_all(b"1\n2\nmean\n").expect("it receives");
            let mut reply = String::new();
            let read = BufReader::new(&stream).read_line(&mut reply);
            assert_eq!((read.expect("a reply"), reply.as_str()), (4, "1.5\n"));
            stream
        });
        let recorder_id = Pid::from_raw(recorder.child.id().cast_signed());
        kill(recorder_id, Signal::SIGINT).expect("it runs");
        let ended = recorder.child.wait().expect("our child");
        assert_eq!(ended.code(), status);
        assert_eq!(file.exists(), client);
        drop(stream);
    }
    let chapter = std::fs::read_to_string(&file).expect("the chapter");
    assert!(chapter.contains("> mean\n< model # \"1.5\"\n"), "{chapter}");
    replay(cases.path()).code(0);
}

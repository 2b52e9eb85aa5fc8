//! What a session may not do, as seen from outside.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Uid;

use crate::support::{Server, pid, status_of};

#[test]
fn a_session_is_confined() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    let child = server.only_child();
    for process in [server.pid(), child] {
        assert_eq!(status_of(process, "NoNewPrivs"), "1");
        assert_eq!(status_of(process, "Seccomp"), "2");
    }
    let limits = fs::read_to_string(format!("/proc/{child}/limits")).expect("it runs");
    for (limit, value) in [
        ("Max open files", "1"),
        ("Max file size", "0"),
        ("Max processes", "0"),
        ("Max core file size", "0"),
    ] {
        let line = limits.lines().find(|line| line.starts_with(limit));
        let values = line
            .and_then(|line| line.strip_prefix(limit))
            .map(str::split_whitespace);
        let values: Vec<_> = values.expect("there is such a limit").take(2).collect();
        assert_eq!(values, [value, value], "{limit}");
    }
}

#[test]
fn without_the_sandbox_there_is_a_warning() {
    let mut server = Server::start(&["--no-sandbox"]);
    assert!(server.log_line_with("not confined").contains("warning"));
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    assert_eq!(status_of(server.only_child(), "Seccomp"), "0");
    assert_eq!(
        client.ask("exit"),
        "EXIT STATS: count 0 mean nan stddev nan"
    );
}

#[test]
fn a_session_that_the_sandbox_kills_is_logged_and_the_server_goes_on() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.send("1\n");
    assert_eq!(client.ask("count"), "1");
    let child = server.only_child();
    kill(pid(child), Signal::SIGSYS).expect("it runs");
    let line = server.log_line_with("session killed");
    assert!(line.contains(&format!("pid={child} ")), "{line}");
    assert!(
        line.contains("SIGSYS: it made a system call that no session makes"),
        "{line}"
    );
    assert_eq!(client.rest(), "");
    assert_eq!(
        server.ask("1\nexit\n"),
        "EXIT STATS: count 1 mean 1 stddev nan\n"
    );
    assert_eq!(server.means_count(), 1);
}

#[test]
fn the_server_becomes_another_user_for_good() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let nobody = nix::unistd::User::from_name("nobody");
    let nobody = nobody.expect("users are known").expect("there is nobody");
    let server = Server::start(&["--user", "nobody"]);
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    for process in [server.pid(), server.only_child()] {
        let ids = |field| status_of(process, field);
        assert_eq!(ids("Uid"), [nobody.uid.to_string().as_str(); 4].join("\t"));
        assert_eq!(ids("Gid"), [nobody.gid.to_string().as_str(); 4].join("\t"));
        assert_eq!(ids("Groups"), nobody.gid.to_string());
        assert_eq!(ids("CapEff"), "0".repeat(16));
    }
}

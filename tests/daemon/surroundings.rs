//! What the server finds when it is started: other children, signal actions, kernels.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Uid;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use crate::support::{self, Client, Server, children_of, eventually, links_of, pid, status_of};

/// A shell that runs this and then is the server.
fn after(script: &str, arguments: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!(r#"{script} exec "$0" 0 0 --bind 127.0.0.1 "$@""#))
        .arg(env!("CARGO_BIN_EXE_meta-stats-server"))
        .args(arguments);
    shell
}

#[test]
fn a_child_that_is_not_its_own_does_not_delay_the_end() {
    let script = "sleep 100 >/dev/null 2>&1 &";
    let mut server = Server::spawn(after(script, &["--drain-timeout", "50ms"]));
    let (foreign, _) = children_of(server.pid())[0];
    let mut client = server.connect();
    assert_eq!(client.ask("count"), "0");
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    assert_ne!(
        support::state_of(foreign),
        '?',
        "it lives, as it did before"
    );
    kill(pid(foreign), Signal::SIGKILL).expect("it runs");
}

#[test]
fn a_child_that_is_not_its_own_is_reaped() {
    let server = Server::spawn(after("sleep 100 >/dev/null 2>&1 &", &[]));
    let (foreign, _) = children_of(server.pid())[0];
    kill(pid(foreign), Signal::SIGKILL).expect("it runs");
    server.no_child_is_left();
    assert_eq!(server.ask("1\nsum\n"), "1\n");
}

#[test]
fn signals_that_were_ignored_or_blocked_at_the_start_are_taken_all_the_same() {
    let ignoring = after("trap '' HUP CHLD TERM QUIT USR1;", &[]);
    let mut blocking = support::server_command();
    blocking.args(["0", "0", "--bind", "127.0.0.1"]);
    #[expect(unsafe_code, reason = "there is no other way to start it like that")]
    // SAFETY: to set the mask is allowed between a fork and an exec.
    unsafe {
        blocking.pre_exec(|| Ok(SigSet::all().thread_set_mask()?));
    }
    for command in [ignoring, blocking] {
        let mut server = Server::spawn(command);
        let mut client = server.connect();
        client.send("1\n");
        assert_eq!(client.ask("count"), "1");
        assert_eq!(status_of(server.only_child(), "SigBlk"), "0".repeat(16));
        assert_eq!(client.ask("exit"), "EXIT STATS: count 1 mean 1 stddev nan");
        drop(client);
        server.no_child_is_left();
        server.signal(Signal::SIGHUP);
        assert!(server.log_line_with("counters").contains("exit=1 "));
        server.signal(Signal::SIGTERM);
        assert!(server.wait().success());
    }
}

#[test]
fn where_new_system_calls_are_refused_sessions_are_served_and_hold_no_more() {
    for errno in [libc::ENOSYS, libc::EPERM] {
        let calls = [libc::SYS_close_range, libc::SYS_clone3].map(|call| (call, vec![]));
        let refuse = SeccompAction::Errno(errno.cast_unsigned());
        let architecture = TargetArch::try_from(std::env::consts::ARCH).expect("it is known");
        let calls = calls.into_iter().collect();
        let filter = SeccompFilter::new(calls, SeccompAction::Allow, refuse, architecture);
        let filter: BpfProgram = filter.and_then(TryInto::try_into).expect("a filter");
        // A descriptor that the shell leaves to the server, and that nobody else may get.
        let mut command = after("exec 9</dev/null;", &[]);
        #[expect(unsafe_code, reason = "there is no other way to start it like that")]
        // SAFETY: to install a filter is allowed between a fork and an exec.
        unsafe {
            command.pre_exec(move || {
                seccompiler::apply_filter(&filter).map_err(std::io::Error::other)
            });
        }
        let server = Server::spawn(command);
        let _linger = Client::connect(server.secondary);
        let mut client = server.connect();
        assert_eq!(client.ask("count"), "0");
        let child = server.only_child();
        let links = links_of(child);
        assert_eq!(links.len(), 5, "{links:?}");
        let caught = u64::from_str_radix(&status_of(child, "SigCgt"), 16).expect("a mask");
        assert_eq!(caught & (1 << (Signal::SIGTERM as u64 - 1)), 0);
    }
}

#[test]
fn sessions_of_root_are_warned_of_in_the_sandbox_too() {
    let is_root = Uid::effective().is_root();
    let warned = |arguments: &[&str]| {
        let mut server = Server::start(arguments);
        server.signal(Signal::SIGTERM);
        assert!(server.wait().success());
        let log = server.rest_of_log();
        let line = log
            .lines()
            .find(|line| line.contains("sessions run as root"));
        line.map(str::to_owned)
    };
    let line = warned(&[]);
    assert_eq!(line.is_some(), is_root, "{line:?}");
    assert!(line.is_none_or(|line| line.contains("they_can=")));
    if is_root {
        assert_eq!(warned(&["--user", "nobody"]), None);
    } else {
        eprintln!("skipped in part: only root can become another user");
    }
}

#[test]
fn a_log_file_at_its_size_limit_ends_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let [ports, log] = ["ports", "log"].map(|name| directory.path().join(name));
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(r#"ulimit -f 1; exec "$0" 0 0 --bind 127.0.0.1 -v --port-file "$1" 2>"$2""#)
        .arg(env!("CARGO_BIN_EXE_meta-stats-server"))
        .args([&ports, &log]);
    let mut server = Server::spawn_silent(shell, &ports);
    for _ in 0..50 {
        assert_eq!(server.ask("1\nsum\n"), "1\n");
    }
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    eventually("the file is full", || {
        std::fs::metadata(&log).is_ok_and(|log| log.len() <= 1024)
    });
}

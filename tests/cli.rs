//! The command line of the server: what it takes, what it refuses, and in which words.

mod support;

use std::net::TcpListener;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, is_empty, is_match, starts_with};

fn server() -> Command {
    Command::new(env!("CARGO_BIN_EXE_meta-stats-server"))
}

#[test]
fn help_shows_examples_and_exit_statuses() {
    server()
        .arg("--help")
        .assert()
        .success()
        .stdout(
            contains("Examples:")
                .and(contains("Exit status"))
                .and(contains("--max-line")),
        )
        .stderr(is_empty());
}

#[test]
fn version_is_one_line() {
    let version = concat!("meta-stats-server ", env!("CARGO_PKG_VERSION"), "\n");
    server().arg("--version").assert().success().stdout(version);
}

#[test]
fn mistakes_on_the_command_line_are_refused_with_status_2() {
    for (arguments, named) in [
        (vec!["--colour"], "--colour"),
        (vec!["70000"], "70000"),
        (vec!["primary"], "primary"),
        (vec!["1", "2", "3"], "'3'"),
        (vec!["--dialect", "baroque"], "baroque"),
        (vec!["--max-line", "79"], "79"),
        (vec!["--bind", "nowhere"], "nowhere"),
        (vec!["--drain-timeout", "soon"], "soon"),
        (vec!["-v", "-q"], "-q"),
    ] {
        server()
            .args(&arguments)
            .assert()
            .code(2)
            .stdout(is_empty())
            .stderr(contains(named).and(starts_with("error: ")));
    }
}

#[test]
fn settings_come_from_the_environment_unless_an_argument_says_otherwise() {
    let settings = [
        ("META_STATS_PORT", "0"),
        ("META_STATS_META_PORT", "0"),
        ("META_STATS_BIND", "127.0.0.2"),
        ("META_STATS_DIALECT", "classic"),
        ("META_STATS_MAX_SESSIONS_PER_SOURCE", "1"),
    ];
    let mut command = support::server_command();
    command.envs(settings).args(["--bind", "127.0.0.1"]);
    let server = support::Server::spawn(command);
    assert_eq!(server.primary.ip().to_string(), "127.0.0.1");
    let mut client = server.connect();
    assert_eq!(client.line(), "Stats server ready");
    let refused = server.connect().rest();
    assert!(
        refused.contains("too many sessions from this address"),
        "{refused}"
    );
}

#[test]
fn a_mistake_in_the_environment_is_refused_as_one_in_an_argument() {
    server()
        .env("META_STATS_IDLE_TIMEOUT", "soon")
        .assert()
        .code(2)
        .stdout(is_empty())
        .stderr(contains("soon").and(contains("--idle-timeout")));
}

#[test]
fn what_a_platform_or_a_shell_puts_into_the_environment_stops_nothing() {
    // An address of no machine: the server gets as far as opening its ports, which are the usual.
    server()
        .args(["--bind", "192.0.2.1"])
        .env("META_STATS_PORT", "tcp://10.0.0.1:3100")
        .env("META_STATS_META_PORT", "")
        .env("META_STATS_IDLE_TIMEOUT", "")
        .env("META_STATS_SERVICE_HOST", "10.0.0.1")
        .assert()
        .code(1)
        .stderr(contains("192.0.2.1:3100"));
    let mut command = support::server_command();
    command
        .args(["0", "0", "--bind", "127.0.0.1"])
        .env("META_STATS_PORT_3100_TCP", "tcp://10.0.0.1:3100")
        .env("META_STATS_MAX_SESSION", "7");
    let mut server = support::Server::spawn(command);
    let line = server.log_line_with("unknown and ignored");
    assert!(line.contains("META_STATS_MAX_SESSION"), "{line}");
    assert!(!line.contains("3100_TCP"), "{line}");
}

#[test]
fn a_wrong_port_is_named_in_plain_words() {
    server()
        .arg("abc")
        .assert()
        .code(2)
        .stderr(contains("\"abc\" is not a port"));
    server()
        .arg("65535")
        .assert()
        .code(2)
        .stderr(contains("name the secondary port"));
}

#[test]
fn addresses_can_be_names_or_in_brackets() {
    for bind in ["localhost", "[127.0.0.1]"] {
        let mut command = support::server_command();
        command.args(["0", "0", "--bind", bind]);
        let server = support::Server::spawn(command);
        assert!(server.primary.ip().is_loopback());
    }
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it is bound");
    server()
        .args([&address.port().to_string(), "0", "--bind", "127.0.0.1"])
        .assert()
        .code(1)
        .stdout(is_empty())
        .stderr(
            contains(address.to_string())
                .and(contains("in use"))
                .and(is_match("^[^\n]+\n$").expect("a pattern")),
        );
}

#[test]
fn an_address_of_another_machine_is_refused() {
    server()
        .args(["0", "0", "--bind", "192.0.2.1"])
        .assert()
        .code(1)
        .stderr(contains("192.0.2.1").and(is_match("^[^\n]+\n$").expect("a pattern")));
}

#[test]
fn the_port_file_tells_the_addresses() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ports");
    let path = path.to_str().expect("a path in UTF-8");
    let server = support::Server::start(&["--port-file", path]);
    let expected = format!(
        "primary {}\nsecondary {}\n",
        server.primary, server.secondary
    );
    let written = std::fs::read_to_string(path)
        .expect("the file is there when the server has said where it listens");
    assert_eq!(written, expected);
    let files = std::fs::read_dir(directory.path()).expect("the directory is there");
    assert_eq!(files.count(), 1, "no temporary file is left");
}

#[test]
fn a_port_file_that_cannot_be_written_is_an_error() {
    server()
        .args([
            "0",
            "0",
            "--bind",
            "127.0.0.1",
            "--port-file",
            "/nonexistent/ports",
        ])
        .assert()
        .code(1)
        .stderr(contains("/nonexistent/ports"));
}

#[test]
fn the_port_file_lasts_as_long_as_the_server_listens() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ports");
    let mut server = support::Server::start(&["--port-file", path.to_str().expect("UTF-8")]);
    assert!(path.exists());
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait().success());
    assert!(!path.exists());
    // A start that fails after the file was written.
    server_with_port_file(&path)
        .args(["--user", "no such user"])
        .assert()
        .code(1);
    assert!(!path.exists());
}

#[test]
fn what_is_no_file_is_never_made_the_port_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let [target, link, fifo] = ["target", "link", "fifo"].map(|name| directory.path().join(name));
    std::fs::write(&target, "precious").expect("writable");
    std::os::unix::fs::symlink(&target, &link).expect("writable");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("writable");
    for path in [&link, &fifo] {
        server_with_port_file(path)
            .assert()
            .code(1)
            .stderr(contains("port file"));
    }
    assert!(fifo.exists(), "what is there stays there");
    assert_eq!(
        std::fs::read_to_string(&target).expect("readable"),
        "precious"
    );
    let kept = std::fs::symlink_metadata(&link).expect("it is there");
    assert!(kept.is_symlink());
}

fn server_with_port_file(path: &std::path::Path) -> Command {
    let mut command = server();
    command
        .args(["0", "0", "--bind", "127.0.0.1", "--port-file"])
        .arg(path);
    command
}

#[test]
fn quiet_says_nothing_and_verbose_names_each_session() {
    let mut quiet = support::server_command();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ports");
    quiet
        .args(["0", "0", "--bind", "127.0.0.1", "-q", "--port-file"])
        .arg(&path);
    let mut quiet = quiet
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the server starts");
    support::eventually("the port file is written", || path.exists());
    nix::sys::signal::kill(support::pid(quiet.id()), nix::sys::signal::Signal::SIGTERM)
        .expect("the server runs");
    let output = {
        support::eventually("the server ends", || {
            quiet.try_wait().expect("our child").is_some()
        });
        quiet.wait_with_output().expect("it has ended")
    };
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");

    let mut server = support::Server::start(&["-v"]);
    assert_eq!(
        server.ask("1\nexit\n"),
        "EXIT STATS: count 1 mean 1 stddev nan\n"
    );
    support::eventually("the child is reaped", || {
        support::children_of(server.pid()).is_empty()
    });
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait().success());
    let log = server.rest_of_log();
    assert!(log.contains("127.0.0.1:") && log.contains("exit"), "{log}");
}

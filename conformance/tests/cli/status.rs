//! Each exit status, by the way that leads to it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;

use crate::support::{faulty, program, server_without_secondary};

#[test]
fn zero_the_server_conforms() {
    program()
        .args(["--select", "number.sample"])
        .assert()
        .code(0)
        .stdout(contains("conformant"));
}

#[test]
fn zero_a_should_alone_does_not_decide() {
    program()
        .args([
            "--select",
            "number.exact-*",
            "--exec",
            &faulty(&["naive-squares"]),
        ])
        .assert()
        .code(0)
        .stdout(contains("conformant, but").and(contains("not conformant").not()));
}

#[test]
fn one_a_must_fails_and_its_clause_is_named() {
    program()
        .args([
            "--select",
            "number.sample",
            "--exec",
            &faulty(&["population"]),
        ])
        .assert()
        .code(1)
        .stdout(contains("not conformant"))
        .stdout(contains("MUST   number.sample"))
        .stdout(contains("--select number.sample/two-values"));
}

#[test]
fn two_the_command_line_has_a_mistake() {
    for words in [
        &["--report", "xml"][..],
        &["--report", "json="],
        &["--report", "json", "--report", "tap"],
        &["--report", "tap", "--format", "json"],
        &["--timeout", "0s"],
        &["--exec", "./server"],
        &["localhost:0"],
    ] {
        program().args(words).assert().code(2).stdout("");
    }
}

#[test]
fn two_two_reports_into_one_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report").display().to_string();
    program()
        .args([
            "--report",
            &format!("json={path}"),
            "--report",
            &format!("tap={path}"),
        ])
        .assert()
        .code(2)
        .stderr(contains("two reports would go to"));
}

#[test]
fn two_a_report_that_cannot_be_written_costs_no_run() {
    program()
        .args(["--report", "junit=/nonexistent/report.xml", "127.0.0.1:1"])
        .assert()
        .code(2)
        .stderr(contains("/nonexistent/report.xml"));
}

#[test]
fn two_a_specification_with_a_mistake() {
    let directory = tempfile::tempdir().expect("a directory");
    let chapter = "# Mine\n\n## `my.clause` Mine\n\n**MUST** (practice). So.\n\n```transcript my.clause/sum\n# Wrong.\n> 1\n> sum\n< 2\n```\n";
    std::fs::write(directory.path().join("mine.md"), chapter).expect("the chapter is written");
    program()
        .arg("--spec")
        .arg(directory.path())
        .assert()
        .code(2)
        .stdout("")
        .stderr(contains("the reference model computes other numbers"))
        .stderr(contains("mine.md:11:"));
}

#[test]
fn three_nobody_listens() {
    // The port is free once its listener is gone; the system hands out others first.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    drop(listener);
    program()
        .args([&address, "--meta", &address])
        .assert()
        .code(3)
        .stdout("")
        .stderr(contains(&address));
}

/// An address at which nobody listens: one of its ports was free a moment ago, and the system hands
/// out others first.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    format!("localhost:{port}")
}

#[test]
fn three_each_missing_port_is_named_as_it_was_typed() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    let somebody = format!("localhost:{port}");
    let (primary, secondary) = (nobody(), nobody());
    let named = |address: &str, port: &str| contains(format!("{address}, the {port} port: "));
    for (words, of_primary, of_secondary) in [
        (vec![&primary, "--meta", &secondary], true, true),
        (vec![&primary, "--meta", &somebody], true, false),
        (vec![&somebody, "--meta", &secondary], false, true),
        (vec![&primary, "--no-meta"], true, false),
    ] {
        let assert = program().args(words).assert().code(3).stdout("");
        let output = String::from_utf8_lossy(&assert.get_output().stderr);
        let says = |address: &str, port: &str| named(address, port).eval(&output);
        assert_eq!(says(&primary, "primary"), of_primary, "{output}");
        assert_eq!(says(&secondary, "secondary"), of_secondary, "{output}");
        let offers_none = contains("--no-meta").eval(&output);
        assert_eq!(offers_none, of_secondary && !of_primary, "{output}");
    }
}

#[test]
fn a_server_without_a_secondary_port_is_tested_without_it() {
    let server = server_without_secondary();
    let skipped = contains("the server has no secondary port, by --no-meta");
    let clauses = ["--select", "process.gone", "--select", "meta.line"];
    program()
        .args(["--format", "tap", "--exec", &server])
        .args(clauses)
        .assert()
        .code(0)
        .stdout(skipped.and(contains("process.gone/after-exit")));
    program()
        .args(["property", "--select", "means", "--exec", &server])
        .assert()
        .code(5)
        .stderr(contains("takes a secondary port"));
}

#[test]
fn a_running_server_without_a_secondary_port_is_tested_without_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    // It ends with the test.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let lines = BufReader::new(stream.try_clone().expect("a socket"));
                for _ in lines.lines().map_while(Result::ok) {
                    let _ = stream.write_all(b"0\n");
                }
            });
        }
    });
    program()
        .args([&address, "--no-meta", "--format", "tap", "--timeout", "1s"])
        .args(["--select", "command.alone/*", "--select", "meta.line"])
        .assert()
        .stdout(contains(
            "# SKIP the server has no secondary port, by --no-meta",
        ))
        .stdout(contains("command.alone/"));
}

#[test]
fn three_the_server_does_not_start() {
    program()
        .args(["--exec", "false {port} {meta_port}"])
        .assert()
        .code(3)
        .stderr(contains("ended before it listened").and(contains("foreground").not()));
    program()
        .args(["--exec", "true {port} {meta_port}"])
        .assert()
        .code(3)
        .stderr(contains("has to be started in the foreground"));
}

#[test]
fn four_the_baseline_is_stale_and_every_report_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let baseline = directory.path().join("known");
    std::fs::write(
        &baseline,
        "line.lf/no-reply-before-the-newline fail once it did\n",
    )
    .expect("it is written");
    for (form, says) in [
        (
            "human",
            "stale baseline: line.lf/no-reply-before-the-newline passes now",
        ),
        (
            "junit",
            "<testcase name=\"line.lf/no-reply-before-the-newline passes now",
        ),
        (
            "tap",
            "not ok 4 - stale baseline: line.lf/no-reply-before-the-newline passes now",
        ),
        (
            "markdown",
            "- stale baseline: line.lf/no-reply-before-the-newline passes now",
        ),
        (
            "html",
            "stale baseline</b> line.lf/no-reply-before-the-newline passes now",
        ),
        ("json", "\"line.lf/no-reply-before-the-newline passes now"),
    ] {
        program()
            .args(["--select", "line.lf", "--format", form, "--baseline"])
            .arg(&baseline)
            .assert()
            .code(4)
            .stdout(contains(says));
    }
}

#[test]
fn five_the_selection_matches_nothing() {
    program()
        .args(["--select", "number.sampel"])
        .assert()
        .code(5)
        .stdout("")
        .stderr(contains("matches no case"));
}

#[test]
fn six_the_server_crashes_and_the_case_is_named() {
    program()
        .args([
            "--select",
            "command.stddev",
            "--exec",
            &faulty(&["crash-on-stddev"]),
        ])
        .assert()
        .code(6)
        .stdout(contains("CRASH command.stddev/"));
}

#[test]
fn two_a_case_that_would_fill_the_memory_is_refused_where_it_does() {
    let cases = tempfile::tempdir().expect("a directory");
    let case =
        "```transcript a.b/c\n# Much.\n> 1\nrepeat 1000 {\n>> \"x\" * 10000000\n}\nclose\n```\n";
    let chapter = format!("# A\n\n## `a.b` B\n\n**MUST** (practice). C.\n\n{case}");
    std::fs::write(cases.path().join("a.md"), chapter).expect("a writable directory");
    let mut lint = program();
    lint.args(["lint", "--spec"]).arg(cases.path());
    let refused = contains("sends too many octets").and(contains("at most 32 MiB in all"));
    lint.assert()
        .code(2)
        .stderr(refused.and(contains("a.md:11")));
}

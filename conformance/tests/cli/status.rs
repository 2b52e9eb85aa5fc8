//! Each exit status, by the way that leads to it.

use std::net::TcpListener;

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;

use crate::support::{faulty, program};

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

#[test]
fn three_the_server_does_not_start() {
    program()
        .args(["--exec", "false {port} {meta_port}"])
        .assert()
        .code(3)
        .stderr(contains("ended before it listened"));
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

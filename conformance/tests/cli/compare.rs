//! `compare`, and each of its verdicts.

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;

use crate::support::{faulty, program};

#[test]
fn a_server_agrees_with_itself() {
    program()
        .args([
            "compare",
            "--select",
            "command.*",
            "--exec-a",
            &faulty(&[]),
            "--exec-b",
            &faulty(&[]),
        ])
        .assert()
        .code(0)
        .stdout(
            contains("same")
                .and(contains("differ").not())
                .and(contains("passes").not()),
        );
}

#[test]
fn replies_that_differ_within_the_specification_are_both_legal() {
    let classic = format!("{} --classic", faulty(&[]));
    program()
        .args([
            "compare",
            "--select",
            "command.sum",
            "--exec-a",
            &faulty(&[]),
            "--exec-b",
            &classic,
        ])
        .assert()
        .code(0)
        .stdout(contains("differ, both legal  MUST    command.sum/grows"))
        .stdout(contains("\"3.00\\n\"").and(contains("only").not()));
}

#[test]
fn a_case_that_only_one_passes_decides() {
    program()
        .args([
            "compare",
            "--select",
            "number.sample",
            "--exec-a",
            &faulty(&["population"]),
        ])
        .assert()
        .code(1)
        .stdout(contains(
            "only B passes       MUST    number.sample/two-values",
        ))
        .stdout(contains(
            "A fail     expected 0.7071067811865476, received \"0.5\"",
        ))
        .stdout(contains("the bundled server"));
}

#[test]
fn what_neither_passes_is_an_agreement() {
    program()
        .args(["compare", "--select", "number.sample"])
        .args([
            "--exec-a",
            &faulty(&["population"]),
            "--exec-b",
            &faulty(&["variance"]),
        ])
        .assert()
        .code(0)
        .stdout(contains("neither passes"));
}

#[test]
fn cases_of_one_dialect_are_not_comparable() {
    let classic = format!("{} --classic", faulty(&[]));
    program()
        .args([
            "compare",
            "--select",
            "dialect.*",
            "--exec-a",
            &faulty(&[]),
            "--exec-b",
            &classic,
        ])
        .assert()
        .code(0)
        .stdout(contains("not comparable"));
}

#[test]
fn it_takes_two_servers() {
    program()
        .arg("compare")
        .assert()
        .code(2)
        .stderr(contains("no server is named"));
    program()
        .args([
            "compare",
            "127.0.0.1:3100",
            "127.0.0.1:4100",
            "--exec-a",
            &faulty(&[]),
        ])
        .assert()
        .code(2)
        .stderr(contains("three servers"));
    let nobody = ["compare", "127.0.0.1:1", "--meta-a", "127.0.0.1:1"];
    program().args(nobody).assert().code(3);
    let nothing = ["compare", "--select", "no.such", "--exec-a", &faulty(&[])];
    program().args(nothing).assert().code(5);
}

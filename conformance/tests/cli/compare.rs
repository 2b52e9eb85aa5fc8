//! `compare`, and each of its verdicts.

use std::process::Command;

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;

use crate::support::{bundled, faulty, program};

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

/// Compares by properties, with few cases of a seed.
fn by_property(select: &str, a: &str, b: &str) -> Command {
    let mut command = program();
    command.args(["compare", "--property", "--cases", "60", "--seed", "3"]);
    command.args(["--select", select, "--exec-a", a, "--exec-b", b]);
    command
}

#[test]
fn the_bundled_server_agrees_with_itself_by_every_property() {
    let bundled = bundled();
    by_property("*", &bundled, &bundled)
        .assert()
        .code(0)
        .stdout(contains("plain dialect").and(contains(": same")))
        .stdout(contains("DIFFER").not());
}

#[test]
fn generated_sessions_tell_which_server_is_wrong() {
    let directory = tempfile::tempdir().expect("a directory");
    by_property("replies", &bundled(), &faulty(&["population"]))
        .arg("--save")
        .arg(directory.path())
        .assert()
        .code(1)
        .stdout(contains("DIFFER only A passes"))
        .stdout(contains("A by the model: pass").and(contains("B by the model: ")))
        .stdout(contains("most likely `number.sample`"));
    let saved = std::fs::read_to_string(directory.path().join("property-replies.md"));
    let saved = saved.expect("the transcript was saved");
    let steps = saved.lines().filter(|line| line.starts_with(['>', '<']));
    assert!(steps.count() <= 6, "{saved}");
    // What is kept is a specification, and only the wrong server breaks it.
    for (server, status) in [(bundled(), 0), (faulty(&["population"]), 1)] {
        let mut replay = program();
        replay.args(["run", "--exec", &server, "--spec"]);
        replay.arg(directory.path()).assert().code(status);
    }
}

#[test]
fn generated_sessions_tell_that_both_servers_are_wrong_or_that_both_are_right() {
    let (population, variance) = (faulty(&["population"]), faulty(&["variance"]));
    by_property("replies", &population, &variance)
        .assert()
        .stdout(contains("DIFFER neither passes"));
    let classic = format!("{} --classic", faulty(&[]));
    by_property("replies", &faulty(&[]), &classic)
        .assert()
        .code(0)
        .stdout(contains("DIFFER differ, both legal"))
        .stdout(contains("Servers differ, and may.").and(contains("saved").not()));
}

#[test]
fn a_server_that_is_wrong_at_times_is_flaky_beside_another() {
    by_property("replies", &bundled(), &faulty(&["flaky"]))
        .assert()
        .code(1)
        .stdout(contains("FLAKY").and(contains("the same again, B: pass")));
}

#[test]
fn options_of_properties_need_properties() {
    let mut command = program();
    command.args(["compare", "--seed", "3", "--exec-a", &bundled()]);
    command.assert().code(2).stderr(contains("--property"));
}

#[test]
fn programs_can_read_both_comparisons() {
    let schema = include_str!("../../schema/compare-1.json");
    let schema = serde_json::from_str(schema).expect("a schema in JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let classic = format!("{} --classic", faulty(&["population"]));
    let mut cases = program();
    cases.args(["compare", "--select", "number.*", "--exec-a", &classic]);
    let population = faulty(&["population"]);
    let properties = by_property("replies", &population, &bundled());
    let flaky = by_property("replies", &bundled(), &faulty(&["flaky"]));
    for (mut command, agreement) in [(cases, "only-b"), (properties, "only-b"), (flaky, "flaky")] {
        let output = command.args(["--format", "json"]).output();
        let report = output.expect("the program starts").stdout;
        let text = String::from_utf8_lossy(&report);
        let report = serde_json::from_slice(&report).expect(&text);
        if let Err(error) = schema.validate(&report) {
            panic!("{error}: {report:#}");
        }
        assert!(text.contains(agreement), "{text}");
    }
}

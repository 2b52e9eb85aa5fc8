//! The program as a person, a script or a CI system meets it.

mod compare;
mod hostile;
mod page;
mod ports;
mod process;
mod record;
mod reports;
mod status;
mod support;

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;

use support::{program, stdout_of};

#[test]
fn help_has_examples_and_every_exit_status() {
    let help = stdout_of(program().arg("--help"));
    assert!(help.contains("Examples:"), "{help}");
    for status in [
        "  0  ", "  1  ", "  2  ", "  3  ", "  4  ", "  5  ", "  6  ",
    ] {
        assert!(help.contains(status), "{status:?} in {help}");
    }
    assert!(!help.contains("bundled-server"), "{help}");
}

#[test]
fn the_version_is_told() {
    let version = concat!("meta-stats-conformance ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(stdout_of(program().arg("--version")), version);
}

#[test]
fn an_unknown_option_is_named_and_nothing_is_run() {
    program()
        .arg("--selcet")
        .assert()
        .code(2)
        .stdout("")
        .stderr(contains("--selcet").and(contains("--select")));
}

#[test]
fn output_that_is_no_terminal_has_no_escapes() {
    for words in [
        &["--select", "line.lf"][..],
        &["explain", "line.lf"],
        &["list", "--select", "line.*"],
    ] {
        let assert = program().args(words).assert().success();
        let output = assert.get_output();
        for stream in [&output.stdout, &output.stderr] {
            assert!(
                !stream.contains(&0x1b),
                "{}",
                String::from_utf8_lossy(stream)
            );
        }
    }
}

#[test]
fn no_color_holds_against_whoever_demands_colour() {
    let explain = |variables: &[(&str, &str)]| {
        let mut command = program();
        command.args(["explain", "line.lf"]).env_remove("NO_COLOR");
        stdout_of(command.envs(variables.iter().copied()))
    };
    assert!(explain(&[("CLICOLOR_FORCE", "1")]).contains('\u{1b}'));
    assert!(!explain(&[("NO_COLOR", "1")]).contains('\u{1b}'));
}

#[test]
fn explain_tells_the_clause_its_reason_and_its_transcripts() {
    for name in ["number.sample", "number.sample/two-values"] {
        program()
            .args(["explain", name])
            .assert()
            .success()
            .stdout(contains("MUST, source: practice, in spec/numbers.md"))
            .stdout(contains("Why:").and(contains("Common mistakes: dividing by n")))
            .stdout(contains(
                "number.sample/two-values\n    # The standard deviation of 1 and 2",
            ));
    }
}

#[test]
fn explain_suggests_what_may_have_been_meant() {
    program()
        .args(["explain", "number.sampel"])
        .assert()
        .code(2)
        .stdout("")
        .stderr(contains("no clause `number.sampel`").and(contains("number.sample")));
}

#[test]
fn every_shell_gets_completions_without_hidden_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = stdout_of(program().args(["completions", shell]));
        assert!(script.contains("explain"), "{shell}: {script}");
        assert!(!script.contains("bundled-server"), "{shell}");
    }
    program().args(["completions", "cmd"]).assert().code(2);
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let main = stdout_of(program().arg("man"));
    assert!(main.contains(".TH meta-stats-conformance 1"), "{main}");
    assert!(main.contains("Exit status:"), "{main}");
    let directory = tempfile::tempdir().expect("a directory");
    program()
        .args(["man", "--output"])
        .arg(directory.path())
        .assert()
        .success();
    for command in [
        "run",
        "list",
        "lint",
        "explain",
        "compare",
        "record",
        "completions",
        "man",
    ] {
        let page = directory
            .path()
            .join(format!("meta-stats-conformance-{command}.1"));
        assert!(page.is_file(), "{}", page.display());
    }
    assert!(
        !directory
            .path()
            .join("meta-stats-conformance-bundled-server.1")
            .exists()
    );
}

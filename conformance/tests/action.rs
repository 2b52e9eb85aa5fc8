//! The script of the GitHub action, run in a shell as the action runs it.
#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Output};

const RUNNER: &str = env!("CARGO_BIN_EXE_meta-stats-conformance");

/// Runs the script with these inputs, in a directory of its own.
fn action(directory: &Path, inputs: &[(&str, &str)]) -> Output {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/actions/conformance/run.sh");
    Command::new("bash")
        .arg(script)
        .env("RUNNER_PROGRAM", RUNNER)
        .env("GITHUB_STEP_SUMMARY", directory.join("summary"))
        .envs(inputs.iter().copied())
        .current_dir(directory)
        .output()
        .expect("there is a shell")
}

/// A command that starts the reference server.
fn reference_server() -> String {
    format!("'{RUNNER}' bundled-server {{port}} {{meta_port}} --bind 127.0.0.1")
}

#[test]
fn a_server_that_conforms_passes_and_is_reported_in_the_summary() {
    let directory = tempfile::tempdir().expect("a directory");
    let inputs = [
        ("SERVER_EXEC", reference_server()),
        ("MORE_OPTIONS", "--select number.sample --quiet".to_owned()),
        ("REPORT_JUNIT", "report.xml".to_owned()),
    ];
    let inputs = inputs
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let output = action(directory.path(), &inputs);
    assert!(output.status.success(), "{output:?}");
    let summary = std::fs::read(directory.path().join("summary")).expect("a summary");
    assert_eq!(output.stdout, summary);
    let report = std::fs::read_to_string(directory.path().join("report.xml")).expect("a report");
    assert!(report.contains("<testsuites"), "{report}");
    assert!(
        String::from_utf8_lossy(&summary).contains(": conformant"),
        "{output:?}"
    );
}

#[test]
fn a_server_with_a_fault_fails_with_the_status_of_the_runner() {
    let directory = tempfile::tempdir().expect("a directory");
    // `cargo test` builds the examples beside the programs.
    let faulty = Path::new(RUNNER)
        .with_file_name("examples")
        .join("faulty-server");
    let exec = format!(
        "'{}' {{port}} {{meta_port}} --fault population",
        faulty.display()
    );
    let inputs = [
        ("SERVER_EXEC", exec.as_str()),
        ("MORE_OPTIONS", "--select number.sample"),
    ];
    let output = action(directory.path(), &inputs);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        report.contains("FAIL number.sample/two-values"),
        "{output:?}"
    );
}

#[test]
fn a_server_must_be_named_once() {
    let directory = tempfile::tempdir().expect("a directory");
    for inputs in [
        &[][..],
        &[("SERVER_EXEC", "true"), ("SERVER_ADDRESS", ":1")],
    ] {
        let output = action(directory.path(), inputs);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("exec and address"));
    }
}

#[test]
fn nobody_at_the_address_is_the_runners_status_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    drop(listener);
    let output = action(directory.path(), &[("SERVER_ADDRESS", &address)]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

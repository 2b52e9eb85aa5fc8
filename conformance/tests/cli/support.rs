//! What the tests share.

use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::assert::OutputAssertExt;

/// The program under test.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_meta-stats-conformance"))
}

/// What a command that must succeed writes to standard output.
pub(crate) fn stdout_of(command: &mut Command) -> String {
    let assert = command.assert().success();
    String::from_utf8(assert.get_output().stdout.clone()).expect("output in UTF-8")
}

/// An example server, which `cargo test` builds beside this test.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let server = test
        .parent()
        .and_then(|deps| deps.parent())
        .map(|profile| profile.join("examples").join(name))
        .expect("a test lies in target/PROFILE/deps");
    assert!(
        server.is_file(),
        "{} is missing; `cargo build -p meta-stats-conformance --examples` makes it",
        server.display()
    );
    server
}

/// The command for `--exec` that starts the example server with these faults.
pub(crate) fn faulty(faults: &[&str]) -> String {
    let mut command = format!(
        "'{}' {{port}} {{meta_port}}",
        example("faulty-server").display()
    );
    for fault in faults {
        command.push_str(&format!(" --fault {fault}"));
    }
    command
}

/// The command for `--exec` that starts the server of many processes without a secondary port.
pub(crate) fn server_without_secondary() -> String {
    format!("'{}' {{port}}", example("process-server").display())
}

/// The command for `--exec` that starts the bundled server.
pub(crate) fn bundled() -> String {
    let program = env!("CARGO_BIN_EXE_meta-stats-conformance");
    format!("'{program}' bundled-server {{port}} {{meta_port}} --bind 127.0.0.1")
}

/// The example server itself.
pub(crate) fn faulty_command() -> Command {
    Command::new(example("faulty-server"))
}

/// The command for `--exec` that starts the server of many processes with these habits.
pub(crate) fn process_server(habits: &str) -> String {
    let program = example("process-server");
    format!("'{}' {{port}} {{meta_port}} {habits}", program.display())
}

/// The program about to run the cases of some clauses, or some cases.
pub(crate) fn run(command: &str, select: &[&str]) -> Command {
    let mut run = program();
    run.args(["--strict", "--exec", command]);
    run.args(select.iter().flat_map(|select| ["--select", select]));
    run
}

/// Whether the system shows processes; where it does not, the cases are skipped and nothing can be
/// found.
pub(crate) fn shows_processes() -> bool {
    let shows = Path::new("/proc/self/stat").exists();
    if !shows {
        eprintln!("skipped: this system has no /proc");
    }
    shows
}

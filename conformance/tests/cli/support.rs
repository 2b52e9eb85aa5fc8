//! What the tests share.

use std::path::PathBuf;
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

/// The example server, which `cargo test` builds beside this test.
fn faulty_server() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let server = test
        .parent()
        .and_then(|deps| deps.parent())
        .map(|profile| profile.join("examples/faulty-server"))
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
    let mut command = format!("'{}' {{port}} {{meta_port}}", faulty_server().display());
    for fault in faults {
        command.push_str(&format!(" --fault {fault}"));
    }
    command
}

/// The command for `--exec` that starts the bundled server.
pub(crate) fn bundled() -> String {
    let program = env!("CARGO_BIN_EXE_meta-stats-conformance");
    format!("'{program}' bundled-server {{port}} {{meta_port}} --bind 127.0.0.1")
}

/// The example server itself.
pub(crate) fn faulty_command() -> Command {
    Command::new(faulty_server())
}

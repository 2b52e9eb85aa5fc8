//! Servers as processes: what keeps the clauses passes, however it is built, and what breaks them
//! fails.

use std::thread;

use assert_cmd::assert::OutputAssertExt;
use predicates::str::contains;

use crate::support::{faulty, process_server as server, run, shows_processes};

/// All clauses about processes but that children do not outlive a server that is killed, which
/// takes more than standard Rust has.
const CLAUSES: [&str; 6] = [
    "process.reaped",
    "process.gone",
    "process.descriptors",
    "process.idle",
    "process.terminate",
    "process.restart/after-terminate",
];

#[test]
fn whatever_keeps_the_clauses_passes() {
    thread::scope(|scope| {
        for habits in ["", "reaps-at-accept", "workers opens-lazily", "background"] {
            scope.spawn(move || run(&server(habits), &CLAUSES).assert().code(0));
        }
    });
}

#[test]
fn a_shell_around_a_server_is_not_the_server() {
    let script = format!("{}; true", server("").replace('\'', "\""));
    run(&format!("sh -c '{script}'"), &CLAUSES).assert().code(0);
}

#[test]
fn a_child_that_is_not_of_a_session_is_no_child_left() {
    // `true` becomes a child of the server, which does not know of it.
    let command = format!("true & exec {}", faulty(&[]));
    let command = format!("sh -c \"{command}\"");
    run(&command, &["process.reaped", "process.gone"])
        .assert()
        .code(0);
}

#[test]
fn whatever_breaks_a_clause_fails_it() {
    if !shows_processes() {
        return;
    }
    let faults = [
        ("never-reaps", "process.reaped/after-exit", "zombies"),
        (
            "reaps-one-at-accept",
            "process.reaped/ends-at-the-same-time",
            "zombies",
        ),
        ("child-stays", "process.gone/after-end-of-file", "children"),
        ("leaks", "process.descriptors/sessions", "before"),
    ];
    thread::scope(|scope| {
        for (habit, case, why) in faults {
            scope.spawn(move || {
                let mut run = run(&server(habit), &[case]);
                run.assert().code(1).stdout(contains(why));
            });
        }
    });
}

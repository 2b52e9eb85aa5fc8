//! Every transcript of the specification against the real binary, in every dialect that it is for: one named test each.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use meta_stats_conformance::dialect::Dialect;
use meta_stats_conformance::profile::Profile;
use meta_stats_conformance::report::human;
use meta_stats_conformance::runner::{Outcome, Runner, Settings};
use meta_stats_conformance::spec::{CaseRef, Spec};
use meta_stats_conformance::target::{Launcher, Server, Target};

/// A right server replies at once; the machine that it is tested on may not.
const TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // Trials are run by threads that may outlive any scope, so what they share lives as long as the process.
    let spec: &'static Spec = Box::leak(Box::new(Spec::bundled()));
    let mut trials = Vec::new();
    let mut servers = Vec::new();
    for dialect in Dialect::ALL {
        let launcher = launcher(dialect);
        let shared = Arc::new(launcher.launch().expect("the server starts"));
        for case in spec
            .cases()
            .filter(|case| case.case.dialect.is_none_or(|only| only == dialect))
        {
            let launcher = launcher.clone();
            let shared = shared.clone();
            let name = format!("{dialect}::{}", case.case.id);
            trials.push(Trial::test(name, move || {
                verify(case, spec, dialect, &shared, launcher)
            }));
        }
        servers.push(shared);
    }
    assert!(trials.len() > 240, "the specification has lost its cases");
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(servers);
    conclusion.exit_code()
}

fn launcher(dialect: Dialect) -> Launcher {
    let words = [
        "{port}",
        "{meta_port}",
        "--bind",
        "127.0.0.1",
        "--dialect",
        dialect.name(),
    ];
    Launcher::Announcing {
        name: "meta-stats-server".to_owned(),
        program: env!("CARGO_BIN_EXE_meta-stats-server").into(),
        arguments: words.map(Into::into).into(),
    }
}

/// Runs a case against the server that all share, or one of its own where its means or processes matter.
fn verify(
    case: CaseRef<'_>,
    spec: &Spec,
    dialect: Dialect,
    shared: &Server,
    launcher: Launcher,
) -> Result<(), Failed> {
    let target = if case.uses_secondary() || case.uses_process() {
        Target::Launched(launcher)
    } else {
        Target::Running(shared.addresses)
    };
    let mut settings = Settings::new(TIMEOUT, Profile::of(dialect));
    // The shared server is our own.
    settings.allow_extremes = true;
    let result = Runner::new(target, settings).run(case, &spec.data);
    if result.outcome == Outcome::Pass {
        return Ok(());
    }
    let mut text = Vec::new();
    human::write_failure(&result, "", &mut text)?;
    Err(
        anstream::adapter::strip_str(&String::from_utf8_lossy(&text))
            .to_string()
            .into(),
    )
}

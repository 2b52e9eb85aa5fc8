//! `run`: cases against a server.

use std::io::{IsTerminal, stderr};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Instant;

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::{Format, RunArguments, Selection, Status, Stop, load, print, say};
use crate::report::{Report, human, json};
use crate::runner::{Outcome, Runner};
use crate::spec::{CaseRef, Level, Spec};
use crate::target::{Addresses, Launcher, Target};

/// Runs the selected cases and writes the report.
pub(super) fn run(arguments: &RunArguments) -> Result<Status, Stop> {
    let spec = load(&arguments.spec)?;
    let cases = select(&spec, &arguments.selection)?;
    let start = Instant::now();
    let target = target(arguments)?;
    let name = target.to_string();
    let mut runner = Runner::reach(target, arguments.dialect.claimed(), arguments.timeout)
        .map_err(|error| Stop::new(Status::Unreachable, format!("error: {error}")))?;
    let mut progress = Progress::new(cases.len(), arguments.quiet);
    let mut results = Vec::with_capacity(cases.len());
    for case in cases {
        progress.begin(&case.case.id);
        results.push(runner.run(case, &spec.data));
    }
    progress.end();
    let report = Report {
        target: name,
        reach: reach(arguments),
        dialect: runner.dialect(),
        results,
        duration: start.elapsed(),
    };
    match arguments.format {
        Format::Human => {
            let mut text = Vec::new();
            // Writing to a Vec cannot fail.
            let _ = human::write(&report, &spec, &mut text);
            print(&String::from_utf8_lossy(&text))?;
        }
        Format::Json => {
            print(&format!("{:#}\n", json::render(&report)))?;
        }
    }
    Ok(status(&report))
}

fn status(report: &Report<'_>) -> Status {
    if report.count(Outcome::Crash) > 0 {
        Status::Crashed
    } else if report.failures(Level::Must).next().is_some() {
        Status::NotConformant
    } else {
        Status::Conformant
    }
}

/// The cases that match, in the order of the specification.
pub(super) fn select<'a>(spec: &'a Spec, selection: &Selection) -> Result<Vec<CaseRef<'a>>, Stop> {
    let wanted = globs(&selection.select)?;
    let unwanted = globs(&selection.exclude)?;
    let matches = |globs: &GlobSet, case: &CaseRef<'_>| {
        globs.is_match(&case.case.id)
            || globs.is_match(&case.clause.slug)
            || globs.is_match(&case.chapter.name)
    };
    let cases: Vec<_> = spec
        .cases()
        .filter(|case| wanted.is_empty() || matches(&wanted, case))
        .filter(|case| !matches(&unwanted, case))
        .filter(|case| case.clause.level != Level::Retired)
        .collect();
    if cases.is_empty() {
        let message =
            "error: the selection matches no case; `meta-stats-conformance list` shows their names";
        return Err(Stop::new(Status::NothingSelected, message));
    }
    Ok(cases)
}

fn globs(patterns: &[String]) -> Result<GlobSet, Stop> {
    let wrong = |error: globset::Error| Stop::new(Status::Usage, format!("error: {error}"));
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(wrong)?);
    }
    set.build().map_err(wrong)
}

fn target(arguments: &RunArguments) -> Result<Target, Stop> {
    if let Some(command) = &arguments.exec {
        return Ok(Target::Launched(Launcher::Template(command.clone())));
    }
    let Some(address) = &arguments.address else {
        return bundled(arguments);
    };
    let primary = resolve(address)?;
    let secondary = match &arguments.meta {
        Some(meta) => resolve(meta)?,
        None => match primary.port().checked_add(1) {
            Some(port) => SocketAddr::new(primary.ip(), port),
            None => {
                return Err(Stop::new(
                    Status::Usage,
                    "error: there is no port after 65535; name the secondary port with --meta",
                ));
            }
        },
    };
    Ok(Target::Running(Addresses { primary, secondary }))
}

fn resolve(address: &str) -> Result<SocketAddr, Stop> {
    let mut addresses = address.to_socket_addrs().map_err(|error| {
        Stop::new(
            Status::Unreachable,
            format!("error: {address} has no address: {error}"),
        )
    })?;
    addresses.next().ok_or_else(|| {
        Stop::new(
            Status::Unreachable,
            format!("error: {address} has no address"),
        )
    })
}

#[cfg(feature = "bundled")]
fn bundled(arguments: &RunArguments) -> Result<Target, Stop> {
    use crate::dialect::Dialect;
    let program = std::env::current_exe().map_err(|error| {
        Stop::new(
            Status::Unreachable,
            format!("error: this program does not find itself: {error}"),
        )
    })?;
    let dialect = arguments.dialect.claimed().unwrap_or(Dialect::Plain);
    let words = [
        "bundled-server",
        "0",
        "0",
        "--bind",
        "127.0.0.1",
        "--dialect",
        dialect.name(),
    ];
    Ok(Target::Launched(Launcher::Announcing {
        name: "the bundled server".to_owned(),
        program,
        arguments: words.map(Into::into).into(),
    }))
}

#[cfg(not(feature = "bundled"))]
fn bundled(_arguments: &RunArguments) -> Result<Target, Stop> {
    let message = "error: this build has no server of its own; name one with HOST:PORT or --exec";
    Err(Stop::new(Status::Usage, message))
}

/// The arguments that reach the same server again.
fn reach(arguments: &RunArguments) -> String {
    let mut words = Vec::new();
    words.extend(arguments.address.clone());
    words.extend(arguments.meta.iter().map(|meta| format!("--meta {meta}")));
    words.extend(
        arguments
            .exec
            .iter()
            .map(|command| format!("--exec '{}'", command.replace('\'', "'\\''"))),
    );
    words.extend(
        arguments
            .dialect
            .claimed()
            .map(|dialect| format!("--dialect {dialect}")),
    );
    words.extend(
        arguments
            .spec
            .spec
            .iter()
            .map(|spec| format!("--spec {}", spec.display())),
    );
    words.join(" ")
}

/// One line on a terminal that says how far the run is.
struct Progress {
    total: usize,
    begun: usize,
    shown: bool,
}

impl Progress {
    fn new(total: usize, quiet: bool) -> Progress {
        Progress {
            total,
            begun: 0,
            shown: !quiet && stderr().is_terminal(),
        }
    }

    fn begin(&mut self, id: &str) {
        self.begun += 1;
        if self.shown {
            say(&format!("\r\x1b[K{} of {}  {id}", self.begun, self.total));
        }
    }

    fn end(&self) {
        if self.shown {
            say("\r\x1b[K");
        }
    }
}

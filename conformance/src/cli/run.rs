//! `run`: cases against a server.

use std::io::{ErrorKind, IsTerminal, stderr};
use std::time::Instant;

use globset::{Glob, GlobSet, GlobSetBuilder};
use indicatif::{ProgressBar, ProgressStyle};

use super::address::{running, secondary_of};
use super::report::Outlets;
use super::{RunArguments, Selection, Status, Stop, TargetArguments, load, say};
use crate::attribution::attribute;
use crate::baseline::{Baseline, Stale};
use crate::diagnose::diagnose;
use crate::dialect::Dialect;
use crate::report::Report;
use crate::runner::{CaseResult, Order, Outcome, Runner, run_all};
use crate::spec::{CaseRef, Level, Spec};
use crate::target::{Launcher, Target, kill_all};

/// Jobs where every job has a server of its own: mostly they wait.
pub(super) const JOBS: usize = 16;

/// Runs the selected cases and writes the report.
pub(super) fn run(arguments: &RunArguments) -> Result<Status, Stop> {
    let spec = load(&arguments.spec)?;
    let mut cases = select(&spec, &arguments.selection)?;
    if let Some(shard) = arguments.shard {
        let mut index = 0..;
        cases.retain(|_| {
            index
                .next()
                .is_some_and(|index: usize| index % shard.count == shard.index)
        });
        if cases.is_empty() {
            return Err(Stop::new(
                Status::NothingSelected,
                "error: this part of the cases is empty",
            ));
        }
    }
    let baseline = read_baseline(arguments)?;
    let outlets = Outlets::open(&arguments.reports)?;
    end_servers_when_interrupted()?;
    let start = Instant::now();
    let target = target(&arguments.target)?;
    let name = target.to_string();
    let runner = Runner::reach(
        target,
        arguments.target.dialect.claimed(),
        arguments.target.timeout,
    )
    .map_err(|error| Stop::new(Status::Unreachable, format!("error: {error}")))?;
    let dialect = runner.dialect();
    let order = Order {
        jobs: arguments
            .jobs
            .map_or(if runner.launches() { JOBS } else { 1 }, usize::from),
        seed: arguments.seed,
        total_timeout: arguments.total_timeout,
    };
    let progress = progress(cases.len(), arguments.quiet);
    let finished = |result: &CaseResult<'_>| {
        progress.set_message(result.case.case.id.clone());
        progress.inc(1);
    };
    let mut results = run_all(runner, &cases, &spec.data, &order, &finished);
    progress.finish_and_clear();
    let diagnoses = diagnose(&results);
    attribute(&mut results);
    let stale = settle_baseline(arguments, baseline, &mut results, &spec)?;
    let report = Report {
        target: name,
        reach: reach(arguments),
        dialect,
        results,
        stale,
        diagnoses,
        selection: selection_text(arguments),
        strict: arguments.strict,
        duration: start.elapsed(),
    };
    outlets.write(&report, &spec)?;
    Ok(status(&report))
}

/// Servers that we started are in process groups of their own, so that a Ctrl-C at the terminal does not reach them.
pub(super) fn end_servers_when_interrupted() -> Result<(), Stop> {
    ctrlc::set_handler(|| {
        kill_all();
        std::process::exit(Status::Interrupted as i32);
    })
    .map_err(|error| {
        Stop::new(
            Status::Usage,
            format!("error: cannot wait for signals: {error}"),
        )
    })
}

fn status(report: &Report<'_>) -> Status {
    if report.count(Outcome::Crash) > 0 {
        Status::Crashed
    } else if !report.is_conformant() {
        Status::NotConformant
    } else if !report.stale.is_empty() {
        Status::StaleBaseline
    } else {
        Status::Conformant
    }
}

/// The baseline; an empty one where none is asked for, or where it is about to be written for the first time.
fn read_baseline(arguments: &RunArguments) -> Result<Baseline, Stop> {
    let Some(path) = &arguments.baseline else {
        return Ok(Baseline::default());
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if arguments.update_baseline && error.kind() == ErrorKind::NotFound => {
            String::new()
        }
        Err(error) => {
            return Err(Stop::new(
                Status::Usage,
                format!(
                    "error: cannot read the baseline {}: {error}",
                    path.display()
                ),
            ));
        }
    };
    Baseline::read(&path.display().to_string(), &text).map_err(|findings| {
        for finding in &findings {
            say(&format!("{}\n\n", finding.render(&text)));
        }
        Stop::new(
            Status::Usage,
            "error: the baseline has mistakes; nothing was run",
        )
    })
}

/// Writes the baseline anew if that was asked for, then holds the results against it.
fn settle_baseline(
    arguments: &RunArguments,
    mut baseline: Baseline,
    results: &mut [CaseResult<'_>],
    spec: &Spec,
) -> Result<Vec<Stale>, Stop> {
    if let Some(path) = arguments
        .baseline
        .as_ref()
        .filter(|_| arguments.update_baseline)
    {
        let text = baseline.updated(results);
        std::fs::write(path, &text).map_err(|error| {
            Stop::new(
                Status::Usage,
                format!(
                    "error: cannot write the baseline {}: {error}",
                    path.display()
                ),
            )
        })?;
        baseline = Baseline::read(&path.display().to_string(), &text).unwrap_or_default();
    }
    Ok(baseline.apply(results, spec))
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
    let of_level = |case: &CaseRef<'_>| {
        let mut levels = selection.level.iter().map(|choice| choice.level());
        selection.level.is_empty() || levels.any(|level| level == case.clause.level)
    };
    let cases: Vec<_> = spec
        .cases()
        .filter(|case| wanted.is_empty() || matches(&wanted, case))
        .filter(|case| !matches(&unwanted, case))
        .filter(of_level)
        .filter(|case| case.clause.level != Level::Retired)
        .collect();
    if cases.is_empty() {
        let message =
            "error: the selection matches no case; `meta-stats-conformance list` shows their names";
        return Err(Stop::new(Status::NothingSelected, message));
    }
    Ok(cases)
}

/// What was selected, as the command line says it; empty if everything.
fn selection_text(arguments: &RunArguments) -> String {
    let selection = &arguments.selection;
    let mut words = Vec::new();
    words.extend(
        selection
            .select
            .iter()
            .map(|glob| format!("--select {}", quoted(glob))),
    );
    words.extend(
        selection
            .exclude
            .iter()
            .map(|glob| format!("--exclude {}", quoted(glob))),
    );
    words.extend(
        selection
            .level
            .iter()
            .map(|choice| format!("--level {}", choice.level().to_string().to_lowercase())),
    );
    words.extend(
        arguments
            .shard
            .map(|shard| format!("--shard {}/{}", shard.index + 1, shard.count)),
    );
    words.join(" ")
}

/// A word of a shell command.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

pub(super) fn globs(patterns: &[String]) -> Result<GlobSet, Stop> {
    let wrong = |error: globset::Error| Stop::new(Status::Usage, format!("error: {error}"));
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(wrong)?);
    }
    set.build().map_err(wrong)
}

pub(super) fn target(arguments: &TargetArguments) -> Result<Target, Stop> {
    if let Some(command) = &arguments.exec {
        return Ok(Target::Launched(Launcher::Template(command.clone())));
    }
    let Some(address) = &arguments.address else {
        let dialect = arguments.dialect.claimed().unwrap_or(Dialect::Plain);
        return bundled(dialect).map(Target::Launched);
    };
    let secondary = match arguments.no_meta {
        true => None,
        false => Some(secondary_of(address, arguments.meta.as_deref())?),
    };
    running(address, secondary.as_deref(), arguments.timeout)
}

/// The server that this program carries, if it does.
pub(super) fn bundled(dialect: Dialect) -> Result<Launcher, Stop> {
    if !cfg!(feature = "bundled") {
        let message =
            "error: this build has no server of its own; name one with HOST:PORT or --exec";
        return Err(Stop::new(Status::Usage, message));
    }
    let words = [
        "bundled-server",
        "{port}",
        "{meta_port}",
        "--bind",
        "127.0.0.1",
        "--dialect",
        dialect.name(),
    ];
    this_program("the bundled server", &words)
}

/// This program with other arguments, as a server.
pub(super) fn this_program(name: &str, words: &[&str]) -> Result<Launcher, Stop> {
    let program = std::env::current_exe().map_err(|error| {
        let message = format!("error: this program does not find itself: {error}");
        Stop::new(Status::Unreachable, message)
    })?;
    Ok(Launcher::Announcing {
        name: name.to_owned(),
        program,
        arguments: words.iter().map(Into::into).collect(),
    })
}

/// The arguments that run the same specification on the same server again.
fn reach(arguments: &RunArguments) -> String {
    let spec = arguments.spec.spec.iter();
    let spec = spec.map(|spec| format!("--spec {}", spec.display()));
    let words = reach_server(&arguments.target).into_iter().chain(spec);
    words.collect::<Vec<_>>().join(" ")
}

/// The arguments that reach the same server again.
pub(super) fn reach_server(arguments: &TargetArguments) -> Vec<String> {
    let mut words = Vec::new();
    words.extend(arguments.address.clone());
    words.extend(arguments.meta.iter().map(|meta| format!("--meta {meta}")));
    words.extend(arguments.no_meta.then(|| "--no-meta".to_owned()));
    words.extend(
        arguments
            .exec
            .iter()
            .map(|command| format!("--exec {}", quoted(command))),
    );
    words.extend(
        arguments
            .dialect
            .claimed()
            .map(|dialect| format!("--dialect {dialect}")),
    );
    words
}

/// How far the run is, on a terminal only.
fn progress(cases: usize, quiet: bool) -> ProgressBar {
    if quiet || !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(cases as u64);
    if let Ok(style) = ProgressStyle::with_template("{pos} of {len}  {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

//! `property`: generated sessions against a server.

use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::run::{JOBS, end_servers_when_interrupted, globs, reach_server, target};
use super::{Format, Status, Stop, TargetArguments, parse_timeout, print};
use crate::dialect::Dialect;
use crate::property::executor::Subject;
use crate::property::explore::explore;
use crate::property::options::Options;
use crate::property::report::{self, Exploration};
use crate::property::{PROPERTIES, Property, numbers, write};
use crate::runner::Runner;
use crate::spec::Level;
use crate::target::Target;

pub(super) const AFTER_HELP: &str = "\
Examples:
  meta-stats-conformance property
          try all properties on the bundled server
  meta-stats-conformance property 127.0.0.1:3100 --cases 100000 --max-time 5m
          longer, on a running server
  meta-stats-conformance property --exec './server {port} {meta_port}' --save found/
          keep what fails, and try that first next time
  meta-stats-conformance run --exec './server {port} {meta_port}' --spec found/
          replay what was kept
  meta-stats-conformance property --select means --seed 7 --cases 3 --dry-run
          see what would be tried

Exit status:
  0  every MUST property holds (with --strict: every property)
  1  a property does not hold, or not always
  2  the command line has a mistake, or the directory of --save cannot be used
  3  no server could be reached or started
  5  the selection matched no property
  6  the server under test crashed
  130  interrupted by a signal; the servers that were started are ended";

/// Cases where no other number is given.
pub(super) const DEFAULT_CASES: u64 = 2_800;

/// So often a failure has to repeat where no other number is given.
pub(super) const DEFAULT_CONFIRMATIONS: u32 = 3;

#[derive(Debug, Args)]
pub(super) struct PropertyArguments {
    #[command(flatten)]
    target: TargetArguments,

    /// How many cases, shared out among the properties.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CASES)]
    cases: u64,

    /// What the cases are drawn from; the same seed gives the same cases [default: a new one, which
    /// is shown].
    #[arg(long, value_name = "S")]
    seed: Option<u64>,

    /// Stop after this time, whatever is left, making failures smaller included.
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    max_time: Option<Duration>,

    /// Only properties whose name matches; may be given several times.
    #[arg(long, value_name = "GLOB")]
    select: Vec<String>,

    /// Keep failing transcripts in this directory, and try those first that are there.
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,

    /// How often a failure has to repeat before it is more than flaky.
    #[arg(
        long,
        value_name = "K",
        default_value_t = DEFAULT_CONFIRMATIONS,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    confirm: u32,

    /// How many cases run at the same time [default: 16 where servers are started, each job with
    /// its own; otherwise 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// A SHOULD property that does not hold makes the exit status 1, too.
    #[arg(long)]
    strict: bool,

    /// Print the transcripts that would be run, and connect to nothing.
    #[arg(long)]
    dry_run: bool,

    /// The form of the report on standard output.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,

    /// Write no progress to standard error.
    #[arg(short, long)]
    quiet: bool,
}

/// Tries the selected properties and writes the report.
pub(super) fn property(arguments: &PropertyArguments) -> Result<Status, Stop> {
    let properties = select(&arguments.select)?;
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    let cases = arguments.cases.div_ceil(properties.len() as u64);
    if arguments.dry_run {
        return dry_run(&properties, seed, cases);
    }
    let target = target(&arguments.target)?;
    let properties = possible(properties, &target)?;
    end_servers_when_interrupted()?;
    let words = reach_server(&arguments.target);
    let subject = subject(
        target,
        arguments.target.dialect.claimed(),
        arguments.target.timeout,
        words,
        arguments.save.as_deref(),
    )?;
    let options = Options {
        seed,
        cases,
        max_time: arguments.max_time,
        jobs: arguments
            .jobs
            .map_or_else(|| jobs(std::slice::from_ref(&subject)), usize::from),
        confirmations: arguments.confirm,
        save: arguments.save.clone(),
    };
    let exploration = explored(&properties, &[subject], &options, arguments.quiet)?;
    match arguments.format {
        Format::Human => print(&report::human(&exploration))?,
        Format::Json => print(&format!("{:#}\n", report::json(&exploration)))?,
    };
    Ok(status(&exploration, arguments.strict))
}

fn status(exploration: &Exploration, strict: bool) -> Status {
    let fails = |level| exploration.failures(level).next().is_some();
    if exploration.has_crashed() {
        Status::Crashed
    } else if fails(Level::Must) || strict && fails(Level::Should) {
        Status::NotConformant
    } else {
        Status::Conformant
    }
}

pub(super) fn select(patterns: &[String]) -> Result<Vec<&'static Property>, Stop> {
    let wanted = globs(patterns)?;
    let is_wanted = |property: &&Property| wanted.is_empty() || wanted.is_match(property.name);
    let properties: Vec<_> = PROPERTIES.iter().filter(is_wanted).collect();
    if properties.is_empty() {
        let names: Vec<_> = PROPERTIES.iter().map(|property| property.name).collect();
        let message = format!(
            "error: the selection matches no property; there are {}",
            names.join(", ")
        );
        return Err(Stop::new(Status::NothingSelected, message));
    }
    Ok(properties)
}

/// Those that a server can be tried with; one without a secondary port cannot be asked there.
pub(super) fn possible(
    mut properties: Vec<&'static Property>,
    target: &Target,
) -> Result<Vec<&'static Property>, Stop> {
    properties.retain(|property| target.has_secondary() || !property.uses_secondary());
    if properties.is_empty() {
        let message =
            "error: what is selected takes a secondary port, which this server does not have";
        return Err(Stop::new(Status::NothingSelected, message));
    }
    Ok(properties)
}

/// Different each time; the report tells it.
pub(super) fn fresh_seed() -> u64 {
    fastrand::u32(..).into()
}

/// How many cases run at the same time where no number is given.
pub(super) fn jobs(subjects: &[Subject]) -> usize {
    if subjects.iter().all(Subject::is_launched) {
        JOBS
    } else {
        1
    }
}

/// Makes sure that there is a server, and finds out how it speaks and how far away it is.
pub(super) fn subject(
    target: Target,
    dialect: Option<Dialect>,
    timeout: Option<Duration>,
    mut reach: Vec<String>,
    save: Option<&Path>,
) -> Result<Subject, Stop> {
    let runner = Runner::reach(target.clone(), dialect, timeout)
        .map_err(|error| Stop::new(Status::Unreachable, format!("error: {error}")))?;
    reach.push(save.map_or("--spec DIR".to_owned(), |save| {
        format!("--spec {}", save.display())
    }));
    Ok(Subject {
        target,
        settings: runner.settings().clone(),
        reach: reach.join(" "),
    })
}

/// Tries the properties, and shows how far that is.
pub(super) fn explored(
    properties: &[&'static Property],
    subjects: &[Subject],
    options: &Options,
    quiet: bool,
) -> Result<Exploration, Stop> {
    let bar = progress(options.cases, quiet);
    let shown = |property: &Property, done| {
        bar.set_message(property.name);
        bar.set_position(done);
    };
    let verdicts = explore(properties, subjects, options, &shown);
    bar.finish_and_clear();
    let verdicts = verdicts.map_err(|error| {
        let directory = options.save.clone().unwrap_or_default();
        let message = format!(
            "error: cannot keep failures in {}: {error}",
            directory.display()
        );
        Stop::new(Status::Usage, message)
    })?;
    Ok(Exploration::new(subjects, options.seed, verdicts))
}

fn dry_run(properties: &[&Property], seed: u64, cases: u64) -> Result<Status, Stop> {
    for property in properties {
        for number in 0..cases {
            let title = format!("{}, seed {seed}, case {number}", property.name);
            let mut written = write::write(&title, &property.script(seed, number));
            numbers::write_out(&mut written);
            print(&format!("{written}\n"))?;
        }
    }
    Ok(Status::Conformant)
}

/// How far the cases of a property are, on a terminal only.
fn progress(cases: u64, quiet: bool) -> ProgressBar {
    if quiet || !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(cases);
    if let Ok(style) = ProgressStyle::with_template("{msg:13} {wide_bar} {pos} of {len}  {per_sec}")
    {
        bar.set_style(style);
    }
    bar
}

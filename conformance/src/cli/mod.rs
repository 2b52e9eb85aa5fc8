//! The command line of `meta-stats-conformance`.

mod address;
mod bench;
mod compare;
mod explain;
mod list;
mod paper;
mod property;
mod record;
mod report;
mod run;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::dialect::Dialect;
use crate::finding::Finding;
use crate::lint::lint;
use crate::spec::{Level, Spec};

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// The server is conformant, or the command did what it should.
    Conformant = 0,
    /// A MUST case failed; with `--strict`, or a SHOULD case.
    NotConformant = 1,
    /// The command line, or the specification, has a mistake.
    Usage = 2,
    /// No server could be reached or started.
    Unreachable = 3,
    /// The baseline is stale: a listed case passes, or fails in another way, or does not exist.
    StaleBaseline = 4,
    /// The selection matched no case.
    NothingSelected = 5,
    /// The server under test ended by itself.
    Crashed = 6,
    /// A signal ended the run.
    Interrupted = 130,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        ExitCode::from(status as u8)
    }
}

/// A run that could not be carried out: what to say, and what to end with.
#[derive(Debug)]
struct Stop {
    status: Status,
    message: String,
}

impl Stop {
    fn new(status: Status, message: impl Into<String>) -> Stop {
        Stop {
            status,
            message: message.into(),
        }
    }
}

const AFTER_HELP: &str = "\
Examples:
  meta-stats-conformance
          verify the bundled server
  meta-stats-conformance 127.0.0.1:3100
          verify a running server; its secondary port is 3101
  meta-stats-conformance --exec './server {port} {meta_port}'
          start a server, again for each case that needs a fresh one
  meta-stats-conformance --exec './server {port} {meta_port}' --select 'line.*'
          only the clauses about lines
  meta-stats-conformance --exec './server {port} {meta_port}' --baseline known-failures.txt --update-baseline
          accept what fails now; without --update-baseline, fail as soon as that changes
  meta-stats-conformance bench --ingest short
          how fast the bundled server takes values
  meta-stats-conformance 127.0.0.1:3100 --report junit=report.xml --report html=report.html
          write files for a CI system and for people, besides the report on standard output
  meta-stats-conformance property --exec './server {port} {meta_port}'
          generated sessions instead of the written ones
  meta-stats-conformance list --select 'number.*'
          the names of cases
  meta-stats-conformance lint --spec my-cases/
          check one's own transcripts without connecting

Exit status:
  0  conformant: no MUST case failed
  1  a MUST case failed, with --strict a SHOULD case too
  2  the command line or the specification has a mistake
  3  no server could be reached or started
  4  the baseline is stale: a listed case passes, or fails in another way, or does not exist
  5  the selection matched no case
  6  the server under test crashed
  130  interrupted by a signal; the servers that were started are ended";

/// Replays the specification of the statistics protocol against a server, and says which clause it breaks.
#[derive(Debug, Parser)]
#[command(
    name = "meta-stats-conformance",
    version,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the cases against a server; what happens without a subcommand too.
    #[command(after_help = AFTER_HELP)]
    Run(RunArguments),
    /// Measure how fast a server takes values, beside one that reads and drops them.
    #[command(after_help = bench::AFTER_HELP)]
    Bench(bench::BenchArguments),
    /// Try properties with generated sessions, and shrink what fails to a transcript.
    #[command(after_help = property::AFTER_HELP)]
    Property(property::PropertyArguments),
    /// List the cases: name, level, title.
    List(ListArguments),
    /// Check every transcript without connecting.
    Lint(SpecArguments),
    /// Be the server that reads and drops.
    #[command(hide = true)]
    DiscardServer,
    /// Tell all about a clause: its demand, its reason, common mistakes, its transcripts.
    Explain(explain::ExplainArguments),
    /// Run the same cases against two servers, and show where they differ.
    Compare(compare::CompareArguments),
    /// Stand between a client and a server, and write their session as a chapter that `run --spec` replays.
    Record(record::RecordArguments),
    /// Print the completion script of a shell.
    Completions(paper::CompletionArguments),
    /// Print the manual.
    Man(paper::ManArguments),
    /// Be the bundled server.
    #[cfg(feature = "bundled")]
    #[command(hide = true, disable_help_flag = true)]
    BundledServer {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    target: TargetArguments,

    /// Begin no case after this time.
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    total_timeout: Option<Duration>,

    /// Cases that run at once [default: 16 where the runner starts the servers, 1 against a running one].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: Option<u16>,

    /// Run the cases in an order that follows from this number.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Run only the I-th of N parts of the cases.
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    shard: Option<Shard>,

    /// Let SHOULD decide as MUST does.
    #[arg(long)]
    strict: bool,

    /// A file of known failures: they pass as long as they fail as listed.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Write the failures of this run into the baseline, and keep the reasons that are there.
    #[arg(long, requires = "baseline", conflicts_with_all = ["select", "exclude", "level", "shard"])]
    update_baseline: bool,

    #[command(flatten)]
    reports: report::ReportArguments,

    /// Write no progress to standard error.
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    spec: SpecArguments,
}

/// Which server, and how it is spoken to.
#[derive(Debug, Args)]
struct TargetArguments {
    /// The primary port of a running server [without it and --exec: the bundled server].
    #[arg(value_name = "HOST:PORT", value_parser = parse_address)]
    address: Option<String>,

    /// The secondary port of the running server [default: the primary port + 1].
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address, requires = "address")]
    meta: Option<String>,

    /// The running server has no secondary port; what is about it is skipped.
    #[arg(long, requires = "address", conflicts_with = "meta")]
    no_meta: bool,

    /// Start the server with this shell command; {port} and {meta_port} stand for the ports. Without {meta_port} the
    /// server has no secondary port, and what is about it is skipped.
    #[arg(long, value_name = "COMMAND", conflicts_with = "address", value_parser = parse_template)]
    exec: Option<String>,

    /// The dialect that the server claims to speak.
    #[arg(long, value_enum, default_value_t = DialectChoice::Auto)]
    dialect: DialectChoice,

    /// How long the server may take over one step [default: 2s, or a hundred round trips].
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    timeout: Option<Duration>,
}

#[derive(Debug, Args)]
struct ListArguments {
    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    spec: SpecArguments,
}

#[derive(Debug, Args)]
struct Selection {
    /// Only cases whose name or clause matches; may be given several times.
    #[arg(long, value_name = "GLOB")]
    select: Vec<String>,

    /// Only clauses of this level; may be given several times.
    #[arg(long, value_enum, value_name = "LEVEL")]
    level: Vec<LevelChoice>,

    /// Leave out cases whose name or clause matches; may be given several times.
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
}

#[derive(Debug, Args)]
struct SpecArguments {
    /// Read the specification from here instead of the one built in.
    #[arg(long, value_name = "DIR")]
    spec: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DialectChoice {
    /// Find out.
    Auto,
    /// No greeting, numbers in full.
    Plain,
    /// A greeting, two decimals.
    Classic,
}

impl DialectChoice {
    fn claimed(self) -> Option<Dialect> {
        match self {
            DialectChoice::Auto => None,
            DialectChoice::Plain => Some(Dialect::Plain),
            DialectChoice::Classic => Some(Dialect::Classic),
        }
    }
}

/// The forms of a result that is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Human,
    /// One JSON object.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LevelChoice {
    /// What every server has to do.
    Must,
    /// What a careful server does.
    Should,
    /// What is only observed.
    May,
}

impl LevelChoice {
    fn level(self) -> Level {
        match self {
            LevelChoice::Must => Level::Must,
            LevelChoice::Should => Level::Should,
            LevelChoice::May => Level::May,
        }
    }
}

/// One of several parts of the cases.
#[derive(Clone, Copy, Debug)]
struct Shard {
    /// Counted from 0.
    index: usize,
    count: usize,
}

fn parse_address(text: &str) -> Result<String, String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port),
        None => ("", text),
    };
    match port.parse::<u16>() {
        Ok(1..) => {}
        _ => return Err("an address is HOST:PORT, as in 127.0.0.1:3100 or [::1]:3100; without HOST it is this machine".to_owned()),
    }
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    Ok(format!("{host}:{port}"))
}

fn parse_template(text: &str) -> Result<String, String> {
    match text.contains("{port}") {
        true => Ok(text.to_owned()),
        false => Err("the command does not say where the server takes {port}".to_owned()),
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration >= Duration::from_millis(1) => Ok(duration),
        Ok(_) => Err("at least 1ms".to_owned()),
        Err(_) => Err("a number and a unit, as in 500ms or 2s".to_owned()),
    }
}

fn parse_shard(text: &str) -> Result<Shard, String> {
    let parts = text
        .split_once('/')
        .map(|(index, count)| (index.parse(), count.parse()));
    match parts {
        Some((Ok(index), Ok(count))) if (1..=count).contains(&index) => Ok(Shard {
            index: index - 1,
            count,
        }),
        _ => Err("I/N with I from 1 to N, as in 2/4".to_owned()),
    }
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        None => run::run(&arguments.run),
        Some(Command::Run(run)) => run::run(&run),
        Some(Command::Bench(arguments)) => bench::bench(&arguments),
        Some(Command::DiscardServer) => bench::discard(),
        Some(Command::Property(property)) => property::property(&property),
        Some(Command::List(list)) => list::list(&list),
        Some(Command::Lint(spec)) => check(&spec),
        Some(Command::Explain(explain)) => explain::explain(&explain),
        Some(Command::Compare(compare)) => compare::compare(&compare),
        Some(Command::Record(record)) => record::record(&record),
        Some(Command::Completions(completions)) => paper::completions(&completions),
        Some(Command::Man(man)) => paper::man(&man),
        #[cfg(feature = "bundled")]
        Some(Command::BundledServer { arguments }) => {
            let name = std::ffi::OsString::from("meta-stats-server");
            return meta_stats_server::cli::run(std::iter::once(name).chain(arguments));
        }
    };
    match done {
        Ok(status) => status.into(),
        Err(stop) => {
            say(&format!("{}\n", stop.message));
            stop.status.into()
        }
    }
}

/// Says something on standard error. That nobody hears it is no reason to fail.
fn say(text: &str) {
    let _ = anstream::stderr().write_all(text.as_bytes());
}

/// The specification, if it has no mistake.
fn load(arguments: &SpecArguments) -> Result<Spec, Stop> {
    let spec = read_spec(arguments)?;
    match complain(&spec) {
        0 => Ok(spec),
        mistakes => Err(Stop::new(
            Status::Usage,
            format!(
                "{mistakes} in the specification; nothing was run",
                mistakes = mistakes_text(mistakes)
            ),
        )),
    }
}

fn read_spec(arguments: &SpecArguments) -> Result<Spec, Stop> {
    let Some(directory) = &arguments.spec else {
        return Ok(Spec::bundled());
    };
    let spec = Spec::from_directory(directory).map_err(|(path, error)| {
        Stop::new(
            Status::Usage,
            format!("error: cannot read {}: {error}", path.display()),
        )
    })?;
    if spec.chapters.is_empty() && spec.findings.is_empty() {
        let message = format!(
            "error: no clause in {}: it takes at least one .md file with a heading like \"## `topic.name` Title\"",
            directory.display()
        );
        return Err(Stop::new(Status::Usage, message));
    }
    Ok(spec)
}

/// Shows every mistake on standard error, and counts them.
fn complain(spec: &Spec) -> usize {
    let findings = lint(spec);
    for finding in &findings {
        say(&format!("{}\n\n", finding.render(source_of(spec, finding))));
    }
    findings.len()
}

fn source_of<'a>(spec: &'a Spec, finding: &Finding) -> &'a str {
    spec.sources.get(&finding.path).map_or("", String::as_str)
}

fn mistakes_text(count: usize) -> String {
    match count {
        1 => "1 mistake".to_owned(),
        count => format!("{count} mistakes"),
    }
}

fn check(arguments: &SpecArguments) -> Result<Status, Stop> {
    let spec = read_spec(arguments)?;
    let mistakes = complain(&spec);
    if mistakes > 0 {
        return Err(Stop::new(Status::Usage, mistakes_text(mistakes)));
    }
    print(&format!(
        "{} clauses, {} cases, no mistake\n",
        spec.clauses().count(),
        spec.cases().count()
    ))
}

/// Writes a result to standard output. A reader who has gone away has seen enough.
fn print(text: &str) -> Result<Status, Stop> {
    match anstream::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Stop::new(
            Status::Usage,
            format!("error: cannot write to standard output: {error}"),
        )),
        _ => Ok(Status::Conformant),
    }
}

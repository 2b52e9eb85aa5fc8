//! `bench`: how fast a server takes values.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::address::resolve;
use super::run::{bundled, this_program};
use super::{Format, Status, Stop, parse_address, parse_template, parse_timeout, print};
use crate::dialect::Dialect;
use crate::load::{Failure, Load, discard as discard_all, median, time_discard, time_session};
use crate::target::{Launcher, Server, Unreachable};

pub(super) const AFTER_HELP: &str = "\
Each run sends the values and `count` on one session, and ends with the reply. A second server, which reads and
drops, takes the same values in turn: the floor that the network and this program set.

Examples:
  meta-stats-conformance bench --ingest short
          ten million values with two decimals to the bundled server
  meta-stats-conformance bench 127.0.0.1:3100 --ingest long --values 1000000
          a million values with 17 digits to a running server
  meta-stats-conformance bench --exec './server {port} {meta_port}' --ingest measured.txt --format json
          the lines of a file, and numbers for programs";

/// The version of the JSON form; it changes when a field changes its meaning or goes.
const VERSION: u32 = 1;

/// What is sent without `--values`, unless it is a file.
const USUAL_VALUES: u64 = 10_000_000;

#[derive(Debug, Args)]
pub(super) struct BenchArguments {
    /// The primary port of a running server [without it and --exec: the bundled server].
    #[arg(value_name = "HOST:PORT", value_parser = parse_address)]
    address: Option<String>,

    /// Start the server with this shell command; {port} and {meta_port} stand for the ports.
    #[arg(long, value_name = "COMMAND", conflicts_with = "address", value_parser = parse_template)]
    exec: Option<String>,

    /// How long the server may take nothing and say nothing.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_timeout)]
    timeout: Duration,

    /// What to send: `short` (two decimals), `long` (17 digits), or a file with a value in each line.
    #[arg(long, value_name = "short|long|FILE")]
    ingest: Ingest,

    /// How many values to send in a run [default: 10000000, or as many as the file has].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    values: Option<u64>,

    /// How often; medians are reported.
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// The form of the report on standard output.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Debug)]
enum Ingest {
    Short,
    Long,
    File(PathBuf),
}

impl FromStr for Ingest {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Ingest, Self::Err> {
        Ok(match text {
            "short" => Ingest::Short,
            "long" => Ingest::Long,
            path => Ingest::File(path.into()),
        })
    }
}

impl Ingest {
    fn name(&self) -> String {
        match self {
            Ingest::Short => "short".to_owned(),
            Ingest::Long => "long".to_owned(),
            Ingest::File(path) => path.display().to_string(),
        }
    }

    fn load(&self, values: Option<u64>) -> Result<Load, Stop> {
        let path = match self {
            Ingest::Short => return Ok(Load::short(values.unwrap_or(USUAL_VALUES))),
            Ingest::Long => return Ok(Load::long(values.unwrap_or(USUAL_VALUES))),
            Ingest::File(path) => path,
        };
        let wrong = |what: &dyn std::fmt::Display| {
            Stop::new(
                Status::Usage,
                format!("error: cannot send {}: {what}", path.display()),
            )
        };
        let text = std::fs::read(path).map_err(|error| wrong(&error))?;
        Load::from_text(text, values).map_err(|error| wrong(&error))
    }
}

/// Measures and reports.
pub(super) fn bench(arguments: &BenchArguments) -> Result<Status, Stop> {
    let load = arguments.ingest.load(arguments.values)?;
    let mut launched = None;
    let (name, server) = match &arguments.address {
        Some(address) => (address.clone(), resolve(address)?),
        None => {
            let (name, launcher) = launcher(arguments)?;
            let server = launched.insert(launcher.launch().map_err(unreachable)?);
            (name, server.addresses.primary)
        }
    };
    let floor = discarding_server()?;
    let patience = arguments.timeout;
    let mut times = Times::default();
    for _ in 0..arguments.runs {
        let discard = time_discard(floor.addresses.primary, &load, patience);
        times
            .discard
            .push(discard.map_err(|failure| failed("the discarding server", &failure))?);
        let session = time_session(server, &load, patience);
        times
            .server
            .push(session.map_err(|failure| failed(&name, &failure))?);
    }
    let report = Report {
        target: name,
        ingest: arguments.ingest.name(),
        values: load.values(),
        octets: load.octets(),
        times,
    };
    match arguments.format {
        Format::Human => print(&report.human()),
        Format::Json => print(&format!("{:#}\n", report.json())),
    }
}

/// The server to start, and what to call it.
fn launcher(arguments: &BenchArguments) -> Result<(String, Launcher), Stop> {
    if let Some(command) = &arguments.exec {
        return Ok((command.clone(), Launcher::Template(command.clone())));
    }
    let name = "the bundled server";
    Ok((name.to_owned(), bundled(Dialect::Plain)?))
}

/// Starts the server that reads and drops, in a process of its own as any other.
fn discarding_server() -> Result<Server, Stop> {
    let launcher = this_program("the discarding server", &["discard-server"])?;
    launcher.launch().map_err(unreachable)
}

/// Is that server.
pub(super) fn discard() -> Result<Status, Stop> {
    discard_all().map(|()| Status::Conformant).map_err(|error| {
        Stop::new(
            Status::Unreachable,
            format!("error: cannot listen: {error}"),
        )
    })
}

fn unreachable(error: Unreachable) -> Stop {
    Stop::new(Status::Unreachable, format!("error: {error}"))
}

fn failed(server: &str, failure: &Failure) -> Stop {
    let status = match failure {
        Failure::Answer(_) => Status::NotConformant,
        Failure::Connection(_) | Failure::TimedOut(_) => Status::Unreachable,
    };
    Stop::new(status, format!("error: {server}: {failure}"))
}

#[derive(Debug, Default)]
struct Times {
    server: Vec<Duration>,
    discard: Vec<Duration>,
}

struct Report {
    target: String,
    ingest: String,
    values: u64,
    octets: u64,
    times: Times,
}

impl Report {
    /// Per second, in millions, for a time that all of it took.
    fn millions(amount: u64, time: Duration) -> f64 {
        amount as f64 / time.as_secs_f64() / 1e6
    }

    /// The share of the floor's speed that the server has.
    fn ratio(&self) -> f64 {
        median(&self.times.discard).as_secs_f64() / median(&self.times.server).as_secs_f64()
    }

    fn human(&self) -> String {
        let row = |name: &str, times: &[Duration]| {
            let time = median(times);
            format!(
                "  {name:<8} {:8.1} million values/s {:8.1} MB/s {:8.3} s\n",
                Report::millions(self.values, time),
                Report::millions(self.octets, time),
                time.as_secs_f64()
            )
        };
        format!(
            "{}: {} values ({}), {:.1} MB on one session; medians of {} runs\n{}{}  ratio    {:8.3}\n",
            self.target,
            self.values,
            self.ingest,
            self.octets as f64 / 1e6,
            self.times.server.len(),
            row("server", &self.times.server),
            row("discard", &self.times.discard),
            self.ratio(),
        )
    }

    fn json(&self) -> Value {
        let side = |times: &[Duration]| {
            let time = median(times);
            json!({
                "seconds": time.as_secs_f64(),
                "values_per_second": 1e6 * Report::millions(self.values, time),
                "octets_per_second": 1e6 * Report::millions(self.octets, time),
                "runs": times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>(),
            })
        };
        json!({
            "version": VERSION,
            "target": self.target,
            "ingest": self.ingest,
            "values": self.values,
            "octets": self.octets,
            "server": side(&self.times.server),
            "discard": side(&self.times.discard),
            "ratio": self.ratio(),
        })
    }
}

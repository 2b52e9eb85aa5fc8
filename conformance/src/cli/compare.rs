//! `compare`: the same cases against two servers.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::address::{running, secondary_of};
use super::property::{self, DEFAULT_CASES, DEFAULT_CONFIRMATIONS};
use super::run::{JOBS, bundled, end_servers_when_interrupted, quoted, select};
use super::{
    Format, Selection, SpecArguments, Status, Stop, load, parse_address, parse_template,
    parse_timeout, print,
};
use crate::compare::{Ignored, Pair, json, write};
use crate::dialect::Dialect;
use crate::property::options::Options;
use crate::property::report;
use crate::runner::{Order, Runner, run_all};
use crate::target::{Launcher, Target};

const AFTER_HELP: &str = "\
Examples:
  meta-stats-conformance compare 127.0.0.1:3100 127.0.0.1:4100
          two running servers
  meta-stats-conformance compare 127.0.0.1:3100
          a running server and the bundled one
  meta-stats-conformance compare --exec-a './old {port} {meta_port}' --exec-b './new {port} {meta_port}'
          two that are started for it
  meta-stats-conformance compare 127.0.0.1:3100 --property --save found/
          generated sessions instead of the written cases; what a server fails is kept

With --property, both servers and the reference model are held against each other, and of each kind of disagreement a
property shows the smallest transcript. What both servers do right, differently, is shown and not kept.

Verdicts:
  same                both pass, with the same octets
  differ, both legal  the replies differ, and the specification takes both
  only A passes, only B passes, neither passes
  not comparable      one of them does not speak the dialect, or does not have the port, that the case is about

Exit status:
  0  every case that both can be asked has the same verdict on both
  1  a case passes on one of them only; with --property, or not always
  2  the command line or the specification has a mistake
  3  a server could not be reached or started
  5  the selection matched no case, or no property
  130  interrupted by a signal; the servers that were started are ended";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct CompareArguments {
    /// The primary ports of running servers: A, then B, as far as --exec-a and --exec-b leave them open. Without B it
    /// is the bundled server.
    #[arg(value_name = "HOST:PORT", value_parser = parse_address, num_args = 0..=2)]
    addresses: Vec<String>,

    /// Start server A with this shell command; {port} and {meta_port} stand for the ports.
    #[arg(long, value_name = "COMMAND", value_parser = parse_template)]
    exec_a: Option<String>,

    /// Start server B with this shell command.
    #[arg(long, value_name = "COMMAND", value_parser = parse_template)]
    exec_b: Option<String>,

    /// The secondary port of server A [default: its primary port + 1].
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address, conflicts_with = "exec_a")]
    meta_a: Option<String>,

    /// The secondary port of server B [default: its primary port + 1].
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address, conflicts_with = "exec_b")]
    meta_b: Option<String>,

    /// How long a server may take over one step [default: 1s, or a hundred round trips].
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    timeout: Option<Duration>,

    /// The form of the result on standard output.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,

    /// Compare by generated sessions instead of the written cases, as `property` does; --select then takes names of
    /// properties.
    #[arg(long, conflicts_with_all = ["level", "exclude", "spec"])]
    property: bool,

    /// How many cases, shared out among the properties.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CASES, requires = "property")]
    cases: u64,

    /// What the cases are drawn from; the same seed gives the same cases [default: a new one, which is shown].
    #[arg(long, value_name = "S", requires = "property")]
    seed: Option<u64>,

    /// Stop after this time, whatever is left, making failures smaller included.
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout, requires = "property")]
    max_time: Option<Duration>,

    /// Keep transcripts that a server fails in this directory, and try those first that are there.
    #[arg(long, value_name = "DIR", requires = "property")]
    save: Option<PathBuf>,

    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    spec: SpecArguments,
}

/// Runs the cases against both servers and prints what differs.
pub(super) fn compare(arguments: &CompareArguments) -> Result<Status, Stop> {
    if arguments.property {
        return by_property(arguments);
    }
    let spec = load(&arguments.spec)?;
    let cases = select(&spec, &arguments.selection)?;
    end_servers_when_interrupted()?;
    let mut ignored = Ignored::default();
    let mut run = |target: Target| {
        if let Target::Running(addresses) = &target {
            ignored.ports.extend(addresses.secondary);
        }
        let name = target.to_string();
        let mut runner = Runner::reach(target, None, arguments.timeout)
            .map_err(|error| Stop::new(Status::Unreachable, format!("error: {error}")))?;
        runner.trace_everything();
        ignored
            .greetings
            .push(runner.settings().profile.greeting.clone());
        let named = (name, runner.dialect());
        let order = Order {
            jobs: if runner.launches() { JOBS } else { 1 },
            seed: None,
            total_timeout: None,
        };
        Ok((named, run_all(runner, &cases, &spec.data, &order, &|_| {})))
    };
    let [a, b] = targets(arguments)?;
    let (name_a, of_a) = run(a)?;
    let (name_b, of_b) = run(b)?;
    let pairs: Vec<_> = of_a
        .into_iter()
        .zip(of_b)
        .map(|(a, b)| Pair::new(a, b, &ignored))
        .collect();
    let servers = [name_a, name_b];
    match arguments.format {
        Format::Human => {
            let mut text = Vec::new();
            let names = servers
                .each_ref()
                .map(|(name, dialect)| format!("{name}, {dialect} dialect"));
            // Writing to a Vec cannot fail.
            let _ = write(names.each_ref().map(String::as_str), &pairs, &mut text);
            print(&String::from_utf8_lossy(&text))?
        }
        Format::Json => print(&format!("{:#}\n", json(&servers, &pairs)))?,
    };
    let decides = pairs.iter().any(|pair| pair.agreement.is_difference());
    Ok(status(decides))
}

fn status(differs: bool) -> Status {
    if differs {
        Status::NotConformant
    } else {
        Status::Conformant
    }
}

/// Tries the properties on both servers beside each other, and prints how they disagree.
fn by_property(arguments: &CompareArguments) -> Result<Status, Stop> {
    let properties = property::select(&arguments.selection.select)?;
    let [a, b] = targets(arguments)?;
    let properties = property::possible(property::possible(properties, &a)?, &b)?;
    end_servers_when_interrupted()?;
    let subject = |target: Target, name: &str, of: Reach<'_>| {
        let subject = property::subject(
            target,
            None,
            arguments.timeout,
            of.words(),
            arguments.save.as_deref(),
        );
        subject.map_err(|stop| Stop::new(stop.status, format!("{name}: {}", stop.message)))
    };
    let [of_a, of_b] = Reach::of(arguments);
    let subjects = [subject(a, "A", of_a)?, subject(b, "B", of_b)?];
    let options = Options {
        seed: arguments.seed.unwrap_or_else(property::fresh_seed),
        cases: arguments.cases.div_ceil(properties.len() as u64),
        max_time: arguments.max_time,
        jobs: property::jobs(&subjects),
        confirmations: DEFAULT_CONFIRMATIONS,
        save: arguments.save.clone(),
    };
    let exploration = property::explored(&properties, &subjects, &options, false)?;
    match arguments.format {
        Format::Human => print(&report::human(&exploration))?,
        Format::Json => print(&format!("{:#}\n", report::json(&exploration)))?,
    };
    Ok(status(exploration.differs()))
}

/// The arguments with which `run` reaches one of the servers.
#[derive(Clone, Copy)]
struct Reach<'a> {
    exec: Option<&'a str>,
    address: Option<&'a str>,
    meta: Option<&'a str>,
}

impl<'a> Reach<'a> {
    /// Those of both servers. Addresses go to those that are not started, A first.
    fn of(arguments: &'a CompareArguments) -> [Reach<'a>; 2] {
        let mut addresses = arguments.addresses.iter();
        [
            (&arguments.exec_a, &arguments.meta_a),
            (&arguments.exec_b, &arguments.meta_b),
        ]
        .map(|(exec, meta)| Reach {
            exec: exec.as_deref(),
            address: match exec {
                Some(_) => None,
                None => addresses.next().map(String::as_str),
            },
            meta: meta.as_deref(),
        })
    }

    fn words(self) -> Vec<String> {
        let exec = self.exec.map(|exec| format!("--exec {}", quoted(exec)));
        let meta = self.meta.map(|meta| format!("--meta {meta}"));
        let address = self.address.map(str::to_owned);
        exec.into_iter().chain(address).chain(meta).collect()
    }

    fn target(self, timeout: Option<Duration>) -> Result<Option<Target>, Stop> {
        if let Some(command) = self.exec {
            let launcher = Launcher::Template(command.to_owned());
            return Ok(Some(Target::Launched(launcher)));
        }
        let Some(address) = self.address else {
            return Ok(None);
        };
        let secondary = secondary_of(address, self.meta)?;
        running(address, Some(&secondary), timeout).map(Some)
    }
}

/// Both servers.
fn targets(arguments: &CompareArguments) -> Result<[Target; 2], Stop> {
    let usage = |message| Err(Stop::new(Status::Usage, message));
    let started = [&arguments.exec_a, &arguments.exec_b];
    let started = started.into_iter().flatten().count();
    if started + arguments.addresses.len() > 2 {
        return usage("error: three servers are named; it takes two to compare");
    }
    let [a, b] = Reach::of(arguments);
    let timeout = arguments.timeout;
    match (a.target(timeout)?, b.target(timeout)?) {
        (None, _) => usage("error: no server is named; name A with HOST:PORT or --exec-a"),
        (Some(a), Some(b)) => Ok([a, b]),
        (Some(a), None) => Ok([a, Target::Launched(bundled(Dialect::Plain)?)]),
    }
}

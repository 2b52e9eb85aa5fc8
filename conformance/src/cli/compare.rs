//! `compare`: the same cases against two servers.

use std::time::Duration;

use clap::Args;

use super::run::{JOBS, bundled, resolve, secondary, select};
use super::{
    Selection, SpecArguments, Status, Stop, load, parse_address, parse_template, parse_timeout,
    print,
};
use crate::compare::{Ignored, Pair, write};
use crate::dialect::Dialect;
use crate::runner::{Order, Runner, run_all};
use crate::target::{Addresses, Launcher, Target};

const AFTER_HELP: &str = "\
Examples:
  meta-stats-conformance compare 127.0.0.1:3100 127.0.0.1:4100
          two running servers
  meta-stats-conformance compare 127.0.0.1:3100
          a running server and the bundled one
  meta-stats-conformance compare --exec-a './old {port} {meta_port}' --exec-b './new {port} {meta_port}'
          two that are started for it

Verdicts:
  same                both pass, with the same octets
  differ, both legal  the replies differ, and the specification takes both
  only A passes, only B passes, neither passes
  not comparable      the case is for a dialect that one of them does not speak

Exit status:
  0  every case that both can be asked has the same verdict on both
  1  a case passes on one of them only
  2  the command line or the specification has a mistake
  3  a server could not be reached or started
  5  the selection matched no case";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct CompareArguments {
    /// The primary ports of running servers: A, then B, as far as --exec-a and --exec-b leave them open. Without B it is the bundled server.
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

    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    spec: SpecArguments,
}

/// Runs the cases against both servers and prints what differs.
pub(super) fn compare(arguments: &CompareArguments) -> Result<Status, Stop> {
    let spec = load(&arguments.spec)?;
    let cases = select(&spec, &arguments.selection)?;
    let mut ignored = Ignored::default();
    let mut run = |target: Target| {
        if let Target::Running(addresses) = &target {
            ignored.ports.push(addresses.secondary);
        }
        let name = target.to_string();
        let mut runner = Runner::reach(target, None, arguments.timeout)
            .map_err(|error| Stop::new(Status::Unreachable, format!("error: {error}")))?;
        runner.trace_everything();
        ignored
            .greetings
            .extend(runner.greeting().map(<[u8]>::to_vec));
        let name = format!("{name}, {} dialect", runner.dialect());
        let order = Order {
            jobs: if runner.launches() { JOBS } else { 1 },
            seed: None,
            total_timeout: None,
        };
        Ok((name, run_all(runner, &cases, &spec.data, &order, &|_| {})))
    };
    let [a, b] = targets(arguments)?;
    let (name_a, of_a) = run(a)?;
    let (name_b, of_b) = run(b)?;
    let pairs: Vec<_> = of_a
        .into_iter()
        .zip(of_b)
        .map(|(a, b)| Pair::new(a, b, &ignored))
        .collect();
    let mut text = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = write([&name_a, &name_b], &pairs, &mut text);
    print(&String::from_utf8_lossy(&text))?;
    if pairs.iter().any(|pair| pair.agreement.is_difference()) {
        Ok(Status::NotConformant)
    } else {
        Ok(Status::Conformant)
    }
}

/// Both servers. Addresses go to those that are not started, A first.
fn targets(arguments: &CompareArguments) -> Result<[Target; 2], Stop> {
    let mut addresses = arguments.addresses.iter();
    let mut target = |exec: Option<&str>, meta: Option<&str>| {
        if let Some(command) = exec {
            return Ok(Some(Target::Launched(Launcher::Template(
                command.to_owned(),
            ))));
        }
        let Some(address) = addresses.next() else {
            return Ok(None);
        };
        let primary = resolve(address)?;
        let secondary = secondary(primary, meta)?;
        Ok(Some(Target::Running(Addresses { primary, secondary })))
    };
    let a = target(arguments.exec_a.as_deref(), arguments.meta_a.as_deref())?;
    let b = target(arguments.exec_b.as_deref(), arguments.meta_b.as_deref())?;
    let usage = |message| Err(Stop::new(Status::Usage, message));
    match (a, b, addresses.next()) {
        (_, _, Some(_)) => usage("error: three servers are named; it takes two to compare"),
        (None, ..) => usage("error: no server is named; name A with HOST:PORT or --exec-a"),
        (Some(a), Some(b), None) => Ok([a, b]),
        (Some(a), None, None) => Ok([a, bundled(Dialect::Plain)?]),
    }
}

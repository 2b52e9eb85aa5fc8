//! The command line.

mod values;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::RangedU64ValueParser;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};

use crate::config::{Config, LEAST_MAX_LINE};
use crate::log::{self, Format, Log, LogSettings, Verbosity};
use crate::protocol::Dialect;
use crate::server::{self, RateLimit};

const AFTER_HELP: &str = "\
Examples:
  meta-stats-server                             serve on ports 3100 and 3101
  meta-stats-server 4000 4001                   serve on other ports
  meta-stats-server 0 0 --port-file ports.txt   let the system choose, and write down what it chose
  meta-stats-server --bind ::1 -v               local IPv6 clients only, and log every session
  meta-stats-server --user nobody               started by root, serve without its privileges
  META_STATS_IDLE_TIMEOUT=30s meta-stats-server settings from the environment
  printf '1\\n2.5\\nmean\\nexit\\n' | nc localhost 3100

Signals:
  SIGTERM, SIGINT and SIGQUIT stop the server: it accepts nobody new, waits for the sessions that
  are open, at most for --drain-timeout, and logs the last meta statistics. A second signal ends it
  at once. SIGUSR1, SIGUSR2 and SIGHUP log the counters: sessions open, started, refused and ended,
  by reason, what was dropped, the uptime. They end nothing, and there is no file to read again.

Service managers:
  Listening sockets that systemd passes, the primary one first, take the place of the two ports and
  of --bind; the server tells systemd when it is ready and when it stops, and that it goes on if it
  is watched. In the journal, lines have their level.

Environment:
  A variable that is empty, or an address that a platform set, such as tcp://10.0.0.1:3100, is as
  good as none.

Exit status:
  0        stopped by a signal
  1        cannot start or cannot go on; standard error says why
  2        wrong usage
  128+N    ended at once by a second signal, of number N";

/// A TCP server that keeps exact statistics of the numbers sent to it.
///
/// Clients of the primary port send one value or command a line: count, sum, mean, stddev, exit. A
/// connection to the secondary port gets one line about the sessions that ended by exit: their
/// number, the mean of their means, and the standard deviation of their means.
#[derive(Debug, Parser)]
#[command(name = "meta-stats-server", version, after_help = AFTER_HELP, max_term_width = 100)]
struct Arguments {
    /// Primary port, where clients send values; 0 is any free port
    #[arg(env = "META_STATS_PORT", value_parser = values::port)]
    #[arg(default_value_t = Config::default().primary_port)]
    port: u16,

    /// Secondary port, which tells the statistics of the means; 0 is any free port [default: the
    /// primary port + 1]
    #[arg(env = "META_STATS_META_PORT", value_parser = values::port)]
    meta_port: Option<u16>,

    /// Local address of both ports, or its name; `::` is every IPv6 (and usually IPv4) address
    #[arg(long, value_name = "ADDR", env = "META_STATS_BIND", value_parser = values::address)]
    #[arg(default_value_t = Config::default().bind)]
    bind: IpAddr,

    /// How to greet, and how to write numbers
    #[arg(long, value_name = "DIALECT", env = "META_STATS_DIALECT")]
    #[arg(value_enum, default_value_t)]
    dialect: DialectName,

    /// Longest line in octets, its newline included [default: 65536, classic: 80]
    #[arg(long, value_name = "BYTES", env = "META_STATS_MAX_LINE")]
    #[arg(value_parser = line_limit())]
    max_line: Option<usize>,

    /// Sessions at once; further clients wait until one ends [default: 16384, or what processes and
    /// memory allow]
    #[arg(long, value_name = "N", env = "META_STATS_MAX_SESSIONS")]
    #[arg(value_parser = values::positive::<usize>)]
    max_sessions: Option<usize>,

    /// Sessions at once of one IPv4 address or IPv6 network of 64 bits; further ones are refused
    /// [default and maximum: three quarters of all]
    #[arg(long, value_name = "N", env = "META_STATS_MAX_SESSIONS_PER_SOURCE")]
    #[arg(value_parser = values::positive::<usize>)]
    max_sessions_per_source: Option<usize>,

    /// Connections a second of one such source, after a burst of four times as many; further ones are
    /// refused [default: 1000, but for those of this machine]
    #[arg(long, value_name = "N", env = "META_STATS_MAX_RATE")]
    #[arg(value_parser = values::positive::<u32>)]
    max_rate: Option<u32>,

    /// How long a client may wait for a session before it is told that there is none
    #[arg(long, value_name = "DUR", env = "META_STATS_WAIT_TIMEOUT")]
    #[arg(default_value_t = Config::default().wait_timeout.into())]
    wait_timeout: humantime::Duration,

    /// How long a session may go without a complete line, such as 5m or 500ms
    #[arg(long, value_name = "DUR", env = "META_STATS_IDLE_TIMEOUT")]
    #[arg(default_value_t = Config::default().idle_timeout.into())]
    idle_timeout: humantime::Duration,

    /// How long a session may last, whatever its client does [default: for ever]
    #[arg(long, value_name = "DUR", env = "META_STATS_MAX_LIFETIME")]
    max_lifetime: Option<humantime::Duration>,

    /// Bad lines that a session may send before it is over [default: any number]
    #[arg(long, value_name = "N", env = "META_STATS_MAX_ERRORS")]
    max_errors: Option<u64>,

    /// How long open sessions may go on once the server was asked to stop
    #[arg(long, value_name = "DUR", env = "META_STATS_DRAIN_TIMEOUT")]
    #[arg(default_value_t = Config::default().drain_timeout.into())]
    drain_timeout: humantime::Duration,

    /// User whose privileges to take before the first client is accepted; needs root
    #[arg(long, value_name = "NAME", env = "META_STATS_USER")]
    user: Option<String>,

    /// Do not confine sessions to the few system calls that they need
    #[arg(long)]
    no_sandbox: bool,

    /// Write the addresses of both ports to this file once they are open
    #[arg(long, value_name = "PATH", env = "META_STATS_PORT_FILE")]
    port_file: Option<PathBuf>,

    /// How to write the log, which goes to standard error
    #[arg(long, value_name = "FORMAT", env = "META_STATS_LOG_FORMAT")]
    #[arg(value_enum, default_value_t)]
    log_format: LogFormat,

    /// Log the start and the end of every session
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,

    /// Log errors only
    #[arg(short, long)]
    quiet: bool,
}

/// [`Format`], as it is called on the command line.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum LogFormat {
    /// A line of words and fields, for people
    #[default]
    Text,
    /// An object a line, for programs
    Json,
}

/// [`Dialect`], as it is called on the command line.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum DialectName {
    /// No greeting, shortest decimals that read back to the same number
    #[default]
    Plain,
    /// A greeting, two decimals
    Classic,
}

/// An upper bound keeps the memory of a session bounded by intent, not by the machine.
fn line_limit() -> RangedU64ValueParser<usize> {
    const GREATEST_MAX_LINE: u64 = 1 << 30;
    RangedU64ValueParser::new().range(LEAST_MAX_LINE as u64..=GREATEST_MAX_LINE)
}

/// Runs the server with `args`, the first of which is the name of the program, until it is stopped.
///
/// The process must have a single thread, since the server forks. Children that it has already are
/// reaped when they end.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let config = match Arguments::parse_from_words(args) {
        Ok(config) => config,
        Err(error) => {
            // If the terminal is gone, the exit status still tells.
            let _ = error.print();
            return exit_code(error.exit_code());
        }
    };
    let log = config.log;
    match server::run(config) {
        Ok(server::Stop::Drained) => ExitCode::SUCCESS,
        Ok(server::Stop::AtOnce(signal)) => exit_code(128 + signal as i32),
        Err(error) => {
            Log::new(log).error(error);
            ExitCode::FAILURE
        }
    }
}

fn exit_code(status: i32) -> ExitCode {
    u8::try_from(status).map_or(ExitCode::FAILURE, ExitCode::from)
}

impl Arguments {
    fn parse_from_words(args: impl Iterator<Item = OsString>) -> Result<Config, clap::Error> {
        let unknown_variables = values::unknown_variables(&Arguments::command());
        let mut command = values::without_foreign_variables(Arguments::command());
        let matches = command.try_get_matches_from_mut(args)?;
        let arguments = Arguments::from_arg_matches(&matches);
        let config = arguments
            .map_err(|error| error.format(&mut command))?
            .into_config()?;
        Ok(Config {
            unknown_variables,
            ..config
        })
    }

    /// With one port given, the other is the next one; any free port has no next one.
    fn secondary_port(&self) -> Result<u16, clap::Error> {
        match (self.meta_port, self.port) {
            (Some(port), _) => Ok(port),
            (None, 0) => Ok(0),
            (None, port) => port.checked_add(1).ok_or_else(|| {
                let problem = "there is no port behind 65535; name the secondary port as well";
                Arguments::command().error(ErrorKind::ValueValidation, problem)
            }),
        }
    }

    fn into_config(self) -> Result<Config, clap::Error> {
        let dialect = match self.dialect {
            DialectName::Plain => Dialect::Plain,
            DialectName::Classic => Dialect::Classic,
        };
        let config = Config {
            bind: self.bind,
            primary_port: self.port,
            secondary_port: self.secondary_port()?,
            dialect,
            max_line: self.max_line.unwrap_or(dialect.default_max_line()),
            max_sessions: self.max_sessions,
            max_sessions_per_source: self.max_sessions_per_source,
            rate_limit: match self.max_rate {
                Some(per_second) => RateLimit {
                    per_second,
                    includes_loopback: true,
                },
                None => Config::default().rate_limit,
            },
            wait_timeout: self.wait_timeout.into(),
            idle_timeout: self.idle_timeout.into(),
            max_lifetime: self.max_lifetime.map(Into::into),
            max_errors: self.max_errors,
            drain_timeout: self.drain_timeout.into(),
            sandbox: !self.no_sandbox,
            user: self.user,
            port_file: self.port_file,
            unknown_variables: Vec::new(),
            log: LogSettings {
                verbosity: match (self.quiet, self.verbose) {
                    (true, _) => Verbosity::Quiet,
                    (false, false) => Verbosity::Normal,
                    (false, true) => Verbosity::Verbose,
                },
                format: match self.log_format {
                    LogFormat::Text => Format::Text,
                    LogFormat::Json => Format::Json,
                },
                to_journal: log::goes_to_journal(),
            },
        };
        config
            .validate()
            .map_err(|error| Arguments::command().error(ErrorKind::ValueValidation, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn config(args: &[&str]) -> Result<Config, ErrorKind> {
        let args = [&["meta-stats-server"], args].concat();
        Arguments::try_parse_from(args)
            .and_then(Arguments::into_config)
            .map_err(|error| error.kind())
    }

    fn refused(args: &[&str]) -> Option<ErrorKind> {
        config(args).err()
    }

    #[test]
    fn the_command_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_arguments_mean_the_defaults() {
        let found = config(&[]).map(|config| format!("{config:?}"));
        assert_eq!(found, Ok(format!("{:?}", Config::default())));
    }

    #[test]
    fn ports_are_positional() {
        let ports = |args| config(args).map(|config| (config.primary_port, config.secondary_port));
        assert_eq!(ports(&[]), Ok((3100, 3101)));
        assert_eq!(ports(&["4000"]), Ok((4000, 4001)));
        assert_eq!(ports(&["0"]), Ok((0, 0)));
        assert_eq!(ports(&["4000", "4001"]), Ok((4000, 4001)));
        assert_eq!(ports(&["0", "0"]), Ok((0, 0)));
        assert_eq!(ports(&["65536"]), Err(ErrorKind::ValueValidation));
        assert_eq!(ports(&["3101"]), Ok((3101, 3102)));
        assert_eq!(ports(&["65535"]), Err(ErrorKind::ValueValidation));
        assert_eq!(ports(&["7", "7"]), Err(ErrorKind::ValueValidation));
        assert_eq!(ports(&["1", "2", "3"]), Err(ErrorKind::UnknownArgument));
    }

    #[test]
    fn the_dialect_decides_the_line_limit_unless_it_is_given() {
        let limit = |args| config(args).map(|config| config.max_line);
        assert_eq!(limit(&[]), Ok(65_536));
        assert_eq!(limit(&["--dialect", "classic"]), Ok(80));
        assert_eq!(
            limit(&["--dialect", "classic", "--max-line", "100"]),
            Ok(100)
        );
        assert_eq!(
            limit(&["--max-line", "79"]),
            Err(ErrorKind::ValueValidation)
        );
    }

    #[test]
    fn durations_have_units() {
        let timeout = |text| config(&["--drain-timeout", text]).map(|config| config.drain_timeout);
        assert_eq!(timeout("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(timeout("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(timeout("soon"), Err(ErrorKind::ValueValidation));
    }

    #[test]
    fn limits_are_positive() {
        for limit in ["--max-sessions", "--max-sessions-per-source", "--max-rate"] {
            assert_eq!(refused(&[limit, "0"]), Some(ErrorKind::ValueValidation));
            assert_eq!(refused(&[limit, "1"]), None);
        }
        let refused = refused(&["--idle-timeout", "0s"]);
        assert_eq!(refused, Some(ErrorKind::ValueValidation));
    }

    #[test]
    fn wrong_usage_is_refused() {
        assert_eq!(refused(&["--frobnicate"]), Some(ErrorKind::UnknownArgument));
        assert_eq!(
            refused(&["--bind", "nowhere"]),
            Some(ErrorKind::ValueValidation)
        );
        assert_eq!(refused(&["-q", "-v"]), Some(ErrorKind::ArgumentConflict));
        assert_eq!(refused(&["--help"]), Some(ErrorKind::DisplayHelp));
        assert_eq!(refused(&["--version"]), Some(ErrorKind::DisplayVersion));
    }
}

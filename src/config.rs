//! Validated settings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::log::LogSettings;
use crate::protocol::Dialect;
use crate::server::RateLimit;

/// What every server must accept: 79 octets and the LF.
pub(crate) const LEAST_MAX_LINE: usize = 80;

/// How to run the server. [`Config::validate`] holds for every one that reaches it.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The local address of both ports.
    pub(crate) bind: IpAddr,
    /// 0 stands for any free port, here and below.
    pub(crate) primary_port: u16,
    pub(crate) secondary_port: u16,
    pub(crate) dialect: Dialect,
    /// Longest line in octets, its LF included.
    pub(crate) max_line: usize,
    /// How many sessions there may be at once, if the machine has room for as many; further clients
    /// wait.
    pub(crate) max_sessions: Option<usize>,
    /// How many of them one source may have, if that leaves some to others; it is told when it wants
    /// more.
    pub(crate) max_sessions_per_source: Option<usize>,
    /// How fast one source may connect; it is told when it is faster.
    pub(crate) rate_limit: RateLimit,
    /// How long a client may wait for a session.
    pub(crate) wait_timeout: Duration,
    /// How long a session may go without a complete line, and how long its client may leave replies
    /// unread.
    pub(crate) idle_timeout: Duration,
    /// How long a session may last; `None` is for ever.
    pub(crate) max_lifetime: Option<Duration>,
    /// How many bad lines a session may send; `None` is any number.
    pub(crate) max_errors: Option<u64>,
    /// How long sessions may go on once the server was asked to stop.
    pub(crate) drain_timeout: Duration,
    /// Whether processes are confined.
    pub(crate) sandbox: bool,
    /// Whose privileges to take before the first client is accepted.
    pub(crate) user: Option<String>,
    /// Where to write the addresses of both ports once they are open.
    pub(crate) port_file: Option<PathBuf>,
    /// Variables of the environment that look like settings and are none.
    pub(crate) unknown_variables: Vec<String>,
    pub(crate) log: LogSettings,
}

/// Why settings do not go together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConfigError {
    SamePort(u16),
    ShortLines(usize),
    NoSessions,
    NoIdleTime,
}

impl Config {
    pub(crate) fn validate(self) -> Result<Config, ConfigError> {
        if self.primary_port == self.secondary_port && self.primary_port != 0 {
            return Err(ConfigError::SamePort(self.primary_port));
        }
        if self.max_line < LEAST_MAX_LINE {
            return Err(ConfigError::ShortLines(self.max_line));
        }
        let limits = [self.max_sessions, self.max_sessions_per_source];
        if limits.contains(&Some(0)) || self.rate_limit.per_second == 0 {
            return Err(ConfigError::NoSessions);
        }
        if self.idle_timeout.is_zero() {
            return Err(ConfigError::NoIdleTime);
        }
        Ok(self)
    }

    pub(crate) fn primary_address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.primary_port)
    }

    pub(crate) fn secondary_address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.secondary_port)
    }
}

impl Default for Config {
    fn default() -> Self {
        let dialect = Dialect::default();
        Config {
            bind: Ipv4Addr::UNSPECIFIED.into(),
            primary_port: 3100,
            secondary_port: 3101,
            dialect,
            max_line: dialect.default_max_line(),
            max_sessions: None,
            max_sessions_per_source: None,
            rate_limit: RateLimit {
                per_second: 1000,
                includes_loopback: false,
            },
            wait_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            max_lifetime: None,
            max_errors: None,
            drain_timeout: Duration::from_secs(10),
            sandbox: true,
            user: None,
            port_file: None,
            unknown_variables: Vec::new(),
            log: LogSettings::default(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::SamePort(port) => write!(
                f,
                "the primary and the secondary port are both {port}; choose two different ones"
            ),
            ConfigError::ShortLines(limit) => write!(
                f,
                "lines of at most {limit} octets are too short; allow at least {LEAST_MAX_LINE}"
            ),
            ConfigError::NoSessions => {
                f.write_str("a server without sessions serves nobody; allow at least 1")
            }
            ConfigError::NoIdleTime => {
                f.write_str("an idle time-out of nothing ends every session; allow at least 1ms")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert!(Config::default().validate().is_ok());
    }

    #[test]
    fn two_ports_differ_unless_both_are_left_to_the_system() {
        let with_ports = |primary_port, secondary_port| Config {
            primary_port,
            secondary_port,
            ..Config::default()
        };
        assert_eq!(
            with_ports(7, 7).validate().err(),
            Some(ConfigError::SamePort(7))
        );
        assert!(with_ports(0, 0).validate().is_ok());
    }

    #[test]
    fn lines_of_eighty_octets_must_be_allowed() {
        let with_max_line = |max_line| Config {
            max_line,
            ..Config::default()
        };
        assert_eq!(
            with_max_line(79).validate().err(),
            Some(ConfigError::ShortLines(79))
        );
        assert!(with_max_line(80).validate().is_ok());
    }

    #[test]
    fn somebody_must_be_served_for_some_time() {
        let refused = |config: Config| config.validate().err();
        for config in [
            Config {
                max_sessions: Some(0),
                ..Config::default()
            },
            Config {
                max_sessions_per_source: Some(0),
                ..Config::default()
            },
        ] {
            assert_eq!(refused(config), Some(ConfigError::NoSessions));
        }
        let config = Config {
            idle_timeout: Duration::ZERO,
            ..Config::default()
        };
        assert_eq!(refused(config), Some(ConfigError::NoIdleTime));
    }
}

//! Validated settings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::log::Level;
use crate::protocol::Dialect;

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
    /// How long sessions may go on once the server was asked to stop.
    pub(crate) drain_timeout: Duration,
    /// Where to write the addresses of both ports once they are open.
    pub(crate) port_file: Option<PathBuf>,
    pub(crate) log_level: Level,
}

/// Why settings do not go together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConfigError {
    SamePort(u16),
    ShortLines(usize),
}

impl Config {
    pub(crate) fn validate(self) -> Result<Config, ConfigError> {
        if self.primary_port == self.secondary_port && self.primary_port != 0 {
            return Err(ConfigError::SamePort(self.primary_port));
        }
        if self.max_line < LEAST_MAX_LINE {
            return Err(ConfigError::ShortLines(self.max_line));
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
            drain_timeout: Duration::from_secs(10),
            port_file: None,
            log_level: Level::default(),
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
}

//! What people, shells and platforms write for a value, and what is said when it is none.

use std::env;
use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, ToSocketAddrs};

use clap::Command;

/// Reads a port.
pub(super) fn port(text: &str) -> Result<u16, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) => Ok(port),
        Err(_) if is_number => Err(format!("{text} is not a port: ports end at 65535")),
        Err(_) => Err(format!(
            "\"{text}\" is not a port: a port is a number up to 65535"
        )),
    }
}

/// Reads a positive number.
pub(super) fn positive<T: std::str::FromStr + Default + PartialEq>(
    text: &str,
) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number != T::default());
    number.ok_or_else(|| format!("\"{text}\" is not a number of at least 1"))
}

/// Reads an address as people write it, or looks up a name.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(address) = bare.parse() {
        return Ok(address);
    }
    let found = (text, 0)
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next());
    let found = found.map(|address| address.ip());
    found.ok_or_else(|| format!("\"{text}\" is neither an address nor the name of one"))
}

/// Makes the command overlook variables that are empty, or that a platform set by itself: a container
/// beside a service of the name `meta-stats` gets `META_STATS_PORT=tcp://10.0.0.1:3100`.
pub(super) fn without_foreign_variables(command: Command) -> Command {
    command.mut_args(|argument| {
        let value = argument.get_env().and_then(env::var_os);
        match value.is_some_and(|value| means_unset(&value)) {
            true => argument.env(None::<&'static str>),
            false => argument,
        }
    })
}

fn means_unset(value: &OsStr) -> bool {
    let text = value.to_string_lossy();
    text.trim().is_empty() || text.starts_with("tcp://") || text.starts_with("udp://")
}

/// The variables that look like settings and are none.
pub(super) fn unknown_variables(command: &Command) -> Vec<String> {
    let known: Vec<OsString> = command
        .get_arguments()
        .filter_map(|argument| argument.get_env().map(OsStr::to_owned))
        .collect();
    let mut unknown: Vec<_> = env::vars_os()
        .filter(|(name, value)| !known.contains(name) && !means_unset(value))
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("META_STATS_") && !is_of_platform(name))
        .collect();
    unknown.sort();
    unknown
}

/// Names that follow from that of a service.
fn is_of_platform(name: &str) -> bool {
    let port = name.split("_PORT_").nth(1);
    let begins_with_digit = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || port.is_some_and(begins_with_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_port_is_named_in_plain_words() {
        assert_eq!(port("3100"), Ok(3100));
        let told = |text| port(text).expect_err("it is none");
        assert_eq!(
            told("abc"),
            "\"abc\" is not a port: a port is a number up to 65535"
        );
        assert_eq!(told("70000"), "70000 is not a port: ports end at 65535");
        assert_eq!(
            told(""),
            "\"\" is not a port: a port is a number up to 65535"
        );
    }

    #[test]
    fn addresses_are_written_in_several_ways() {
        for (text, expected) in [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1")] {
            assert_eq!(address(text), Ok(expected.parse().expect("an address")));
        }
        let local = address("localhost").expect("each machine knows this name");
        assert!(local.is_loopback(), "{local}");
        assert!(address("[nowhere").is_err());
    }

    #[test]
    fn what_a_platform_sets_is_no_setting() {
        for name in [
            "META_STATS_SERVICE_HOST",
            "META_STATS_SERVICE_PORT_META",
            "META_STATS_PORT_3100_TCP_ADDR",
        ] {
            assert!(is_of_platform(name), "{name}");
        }
        for name in ["META_STATS_PORT_FILE", "META_STATS_PROT"] {
            assert!(!is_of_platform(name), "{name}");
        }
        for value in ["", " ", "tcp://10.0.0.1:3100"] {
            assert!(means_unset(value.as_ref()), "{value:?}");
        }
        assert!(!means_unset("3100".as_ref()));
    }
}

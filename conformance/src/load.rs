//! How fast a server takes values: many of them on one session, beside a server that reads and drops.
//!
//! The discarding server is the floor: what is left of its time is the network's and the client's, and no server can be faster.

use std::fmt::{self, Display, Formatter};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::model::{Request, request};

/// More lines than that are sent by sending these again.
const MOST_LINES: u64 = 10_000_000;

/// What is handed to the system at a time. Reads of a server that keeps up are not larger.
const BLOCK: usize = 1 << 20;

/// Lines that are all values, and how many values to send.
#[derive(Clone, Debug)]
pub struct Load {
    text: Vec<u8>,
    lines: u64,
    values: u64,
}

/// A text that cannot be sent: a line of it would get a reply.
#[derive(Debug, PartialEq, Eq)]
pub struct NoValue {
    /// The line, counted from one; 0 if there is none at all.
    pub line: usize,
}

impl Display for NoValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "there is no line in it"),
            line => write!(f, "line {line} is no value"),
        }
    }
}

impl std::error::Error for NoValue {}

impl Load {
    /// Two decimals, from -9999.99 to 9999.99.
    pub fn short(values: u64) -> Load {
        Load::generated(values, |pattern, text| {
            let cents = pattern % 1_000_000;
            let sign = if pattern >> 63 == 0 { "" } else { "-" };
            writeln!(text, "{sign}{}.{:02}", cents / 100, cents % 100)
        })
    }

    /// 17 digits, four of them before the dot.
    pub fn long(values: u64) -> Load {
        const WHOLE: u64 = 10u64.pow(13);
        Load::generated(values, |pattern, text| {
            let digits = 1000 * WHOLE + pattern % (9000 * WHOLE);
            writeln!(text, "{}.{:013}", digits / WHOLE, digits % WHOLE)
        })
    }

    fn generated(values: u64, write: impl Fn(u64, &mut Vec<u8>) -> io::Result<()>) -> Load {
        let lines = values.min(MOST_LINES);
        let mut text = Vec::new();
        for step in 1..=lines {
            // Writing to a Vec cannot fail.
            let _ = write(pattern(step), &mut text);
        }
        Load {
            text,
            lines,
            values,
        }
    }

    /// The lines of a text, once, or again and again until there are `values` of them.
    ///
    /// # Errors
    /// If a line is no value: nobody would read the reply to it. An empty text is none either.
    pub fn from_text(mut text: Vec<u8>, values: Option<u64>) -> Result<Load, NoValue> {
        if text.last().is_some_and(|&octet| octet != b'\n') {
            text.push(b'\n');
        }
        let mut lines = 0;
        for line in text.split_inclusive(|&octet| octet == b'\n') {
            lines += 1;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if !matches!(request(line), Request::Value(_)) {
                return Err(NoValue { line: lines });
            }
        }
        if lines == 0 {
            return Err(NoValue { line: 0 });
        }
        let lines = lines as u64;
        let values = values.unwrap_or(lines);
        Ok(Load {
            text,
            lines,
            values,
        })
    }

    /// How many values are sent.
    pub fn values(&self) -> u64 {
        self.values
    }

    /// How many octets that takes.
    pub fn octets(&self) -> u64 {
        self.pieces().map(|piece| piece.len() as u64).sum()
    }

    /// What is sent, in as many pieces as it takes.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let whole = match self.lines {
            0 => 0,
            lines => self.values / lines,
        };
        let rest = (self.values - whole * self.lines) as usize;
        let rest = self
            .text
            .split_inclusive(|&octet| octet == b'\n')
            .take(rest)
            .map(<[u8]>::len)
            .sum();
        (0..whole)
            .map(|_| &self.text[..])
            .chain([&self.text[..rest]])
    }
}

/// Evenly spread 64-bit patterns (splitmix64), the same in each run.
fn pattern(step: u64) -> u64 {
    let mut state = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}

/// Why a load did not get through.
#[derive(Debug)]
pub enum Failure {
    /// The connection cannot be made, or broke.
    Connection(io::Error),
    /// The server took nothing, or said nothing, for that long.
    TimedOut(Duration),
    /// What the server said instead of the number of values.
    Answer(String),
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Connection(error) => write!(f, "the connection failed: {error}"),
            Failure::TimedOut(patience) => {
                write!(
                    f,
                    "nothing happened for {patience:?}; a longer --timeout waits longer"
                )
            }
            Failure::Answer(said) => write!(
                f,
                "the number of values was expected, and the server said {said:?}"
            ),
        }
    }
}

impl std::error::Error for Failure {}

/// Sends a load and `count` on one session, and returns the time until the reply is there.
///
/// # Errors
/// If the connection breaks, if nothing happens for `patience`, or if the reply is not the number of values.
pub fn time_session(
    server: SocketAddr,
    load: &Load,
    patience: Duration,
) -> Result<Duration, Failure> {
    let expected = load.values.to_string();
    send(server, load, patience, |reply| {
        let mut line = String::new();
        reply.read_line(&mut line)?;
        // One line without a number may be a greeting.
        if !line.contains(|any: char| any.is_ascii_digit()) {
            line.clear();
            reply.read_line(&mut line)?;
        }
        let said = line.trim_end().to_owned();
        Ok((said == expected).then_some(()).ok_or(said))
    })
}

/// Sends the same to a server that [`discard`]s it, and returns the time until all was read.
///
/// # Errors
/// As for a session.
pub fn time_discard(
    server: SocketAddr,
    load: &Load,
    patience: Duration,
) -> Result<Duration, Failure> {
    send(server, load, patience, |reply| {
        reply.get_ref().shutdown(Shutdown::Write)?;
        let mut said = String::new();
        reply.read_to_string(&mut said)?;
        Ok(said.is_empty().then_some(()).ok_or(said))
    })
}

fn send(
    server: SocketAddr,
    load: &Load,
    patience: Duration,
    wait: impl FnOnce(&mut BufReader<TcpStream>) -> io::Result<Result<(), String>>,
) -> Result<Duration, Failure> {
    let exchange = || -> io::Result<_> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_read_timeout(Some(patience))?;
        let start = Instant::now();
        for block in load.pieces().flat_map(|piece| piece.chunks(BLOCK)) {
            stream.write_all(block)?;
        }
        stream.write_all(b"count\n")?;
        let answer = wait(&mut BufReader::new(stream))?;
        Ok((start.elapsed(), answer))
    };
    match exchange() {
        Ok((elapsed, Ok(()))) => Ok(elapsed),
        Ok((_, Err(said))) => Err(Failure::Answer(said)),
        Err(error) => Err(match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Failure::TimedOut(patience),
            _ => Failure::Connection(error),
        }),
    }
}

/// Listens on a free port of the loopback interface, says which on standard error as servers do, and reads and drops whatever comes, one client
/// at a time. It ends only with its process.
///
/// # Errors
/// If it cannot listen.
pub fn discard() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    writeln!(
        io::stderr(),
        "listening primary={address} secondary={address}"
    )?;
    let mut block = vec![0; BLOCK / 4];
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        while let Ok(1..) = stream.read(&mut block) {}
    }
    Ok(())
}

/// The middle one of some durations; zero without any.
pub fn median(durations: &[Duration]) -> Duration {
    let mut sorted = durations.to_vec();
    sorted.sort();
    let middle = |position: usize| sorted.get(position).copied().unwrap_or_default();
    match sorted.len() {
        0 => Duration::ZERO,
        length => (middle((length - 1) / 2) + middle(length / 2)) / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(load: &Load) -> String {
        let pieces: Vec<u8> = load.pieces().flatten().copied().collect();
        assert_eq!(pieces.len() as u64, load.octets());
        String::from_utf8(pieces).expect("numbers are ASCII")
    }

    #[test]
    fn short_values_have_two_decimals_and_long_ones_17_digits() {
        for line in sent(&Load::short(1000)).lines() {
            assert!(
                matches!(line.split_once('.'), Some((_, decimals)) if decimals.len() == 2),
                "{line}"
            );
        }
        for line in sent(&Load::long(1000)).lines() {
            assert_eq!((line.len(), line.find('.')), (18, Some(4)), "{line}");
        }
    }

    #[test]
    fn the_lines_of_a_text_are_sent_until_there_are_enough() {
        let load = |values| Load::from_text(b"1\n-2.5\n3e1".to_vec(), values);
        assert_eq!(
            load(None).map(|load| sent(&load)),
            Ok("1\n-2.5\n3e1\n".to_owned())
        );
        assert_eq!(
            load(Some(5)).map(|load| sent(&load)),
            Ok("1\n-2.5\n3e1\n1\n-2.5\n".to_owned())
        );
        assert_eq!(load(Some(1)).map(|load| sent(&load)), Ok("1\n".to_owned()));
    }

    #[test]
    fn a_line_that_gets_a_reply_is_refused() {
        let refused = |text: &str| Load::from_text(text.into(), None).err();
        assert_eq!(refused("1\ncount\n"), Some(NoValue { line: 2 }));
        assert_eq!(refused("1\n\n"), Some(NoValue { line: 2 }));
        assert_eq!(refused(""), Some(NoValue { line: 0 }));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_two() {
        let seconds = |numbers: &[u64]| {
            numbers
                .iter()
                .copied()
                .map(Duration::from_secs)
                .collect::<Vec<_>>()
        };
        assert_eq!(median(&seconds(&[9, 1, 5])), Duration::from_secs(5));
        assert_eq!(median(&seconds(&[4, 1, 9, 2])), Duration::from_secs(3));
        assert_eq!(median(&[]), Duration::ZERO);
    }
}

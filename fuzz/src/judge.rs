//! What a hostile server says to the conformance runner: whatever it is, the judge returns a verdict, and a
//! connection returns in time.
//!
//! The input is a [`Hearing`]: what is due, and then the octets that the server says instead. A part of the inputs is
//! said over a connection.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use meta_stats_conformance::client::{Connection, End, Next};
use meta_stats_conformance::dialect::Dialect;
use meta_stats_conformance::exact::Sample;
use meta_stats_conformance::judge::{Demand, Demanded, judge_line};
use meta_stats_conformance::means::Base;
use meta_stats_conformance::model::Quantity;
use meta_stats_conformance::profile::Profile;
use meta_stats_conformance::trace::Trace;

use crate::pieces;

/// What is due, and what comes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hearing<'a> {
    /// Which kind of reply is due.
    pub kind: u8,
    /// Bit 0: precisely; bits 1 to 3: which numbers do not matter; bit 4: the classic dialect; bits 5 to 7 all set:
    /// over a connection.
    pub flags: u8,
    /// How the octets are cut on their way, how the connection ends, and how often they are said (see
    /// `Hearing::times`).
    pub delivery: u8,
    /// The values of the session, or the means.
    pub values: Vec<f64>,
    /// What the server says.
    pub said: &'a [u8],
}

/// More values do not make a reply harder to judge.
const MOST_VALUES: u8 = 8;

impl<'a> Arbitrary<'a> for Hearing<'a> {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let [kind, flags, delivery, count] = <[u8; 4]>::arbitrary(input)?;
        let values = (0..count % (MOST_VALUES + 1)).map(|_| f64::arbitrary(input));
        let values = values.collect::<arbitrary::Result<Vec<_>>>()?;
        Ok(Hearing {
            kind,
            flags,
            delivery,
            values: values
                .into_iter()
                .filter(|value| value.is_finite())
                .collect(),
            said: input.bytes(input.len())?,
        })
    }
}

impl Hearing<'_> {
    /// The input that stands for this hearing.
    pub fn encode(&self) -> Vec<u8> {
        let values = &self.values[..self.values.len().min(MOST_VALUES.into())];
        let mut octets = vec![self.kind, self.flags, self.delivery, values.len() as u8];
        octets.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        octets.extend(self.said);
        octets
    }

    fn demand(&self) -> Demand {
        let sample = self.values.iter().copied().collect::<Sample>();
        let what = match self.kind % 9 {
            0 => Demanded::Count(sample.count()),
            1 => Demanded::Quantity(Quantity::Defined(sample.sum())),
            2 => Demanded::Quantity(Quantity::mean(&sample)),
            3 => Demanded::Quantity(Quantity::stddev(&sample)),
            4 => Demanded::Exit {
                count: sample.count(),
                mean: Quantity::mean(&sample),
                stddev: Quantity::stddev(&sample),
            },
            5 => Demanded::Means(sample),
            6 => Demanded::Error,
            7 => Demanded::Greeting,
            _ => Demanded::Any,
        };
        Demand {
            precisely: self.flags & 1 != 0,
            ignored: self.ignored(),
            ..Demand::from(what)
        }
    }

    fn ignored(&self) -> [bool; 3] {
        [1, 2, 3].map(|bit| self.flags >> bit & 1 != 0)
    }

    fn profile(&self) -> Profile {
        Profile::of(Dialect::ALL[usize::from(self.flags >> 4 & 1)])
    }

    fn is_over_a_connection(&self) -> bool {
        self.flags >> 5 == 0b111
    }

    /// How often everything is said; nothing stands for ever.
    fn times(&self) -> Option<usize> {
        match self.delivery >> 4 {
            15 => None,
            power @ 12..15 => Some(1 << (power - 5)),
            _ => Some(1),
        }
    }
}

/// Runs the target.
///
/// # Panics
/// If the runner does, if a wait is not bounded, or if the judge contradicts itself or refuses what is right.
pub fn run(input: &[u8]) {
    let Ok(hearing) = Hearing::arbitrary(&mut Unstructured::new(input)) else {
        return;
    };
    accepts_what_is_right(&hearing);
    match hearing.times() {
        Some(1) => hear(&hearing, hearing.said),
        Some(times) => hear(&hearing, &hearing.said.repeat(times)),
        None => {}
    }
    if hearing.is_over_a_connection() {
        over_a_connection(&hearing);
    }
}

/// Judges every line of what is said.
fn hear(hearing: &Hearing<'_>, said: &[u8]) {
    let demand = hearing.demand();
    let means = hearing.values.iter().copied().collect::<Sample>();
    let mut base = None;
    for line in said.split(|&octet| octet == b'\n') {
        let verdict = judge_line(line, &demand, &hearing.profile());
        let lenient = Demand {
            precisely: false,
            ..demand.clone()
        };
        if verdict.is_ok() {
            let verdict = judge_line(line, &lenient, &hearing.profile());
            assert_eq!(
                verdict,
                Ok(()),
                "{}: precise, but not right",
                line.escape_ascii()
            );
        }
        let read = Base::read(line);
        let base = base.get_or_insert_with(|| read.unwrap_or_default());
        let verdict = base.judge(line, &means, hearing.ignored());
        if verdict.is_ok() && base.judge(line, &means, [true; 3]).is_err() {
            panic!("{}: wrong where less matters", line.escape_ascii());
        }
    }
}

/// The correctly rounded numbers pass, in full and with two decimals, and their neighbours do not pass for precise.
fn accepts_what_is_right(hearing: &Hearing<'_>) {
    let demand = Demand {
        precisely: true,
        ignored: [false; 3],
        ..hearing.demand()
    };
    assert!(!demand.what.to_string().is_empty());
    let numbers = demand.what.quantities();
    let numbers = numbers.iter().map(Quantity::to_f64).collect::<Vec<_>>();
    let Some((&last, before)) = numbers.split_last() else {
        return;
    };
    let counts = usize::from(!matches!(demand.what, Demanded::Quantity(_)));
    let judge = |number: &dyn Fn(f64) -> String, last: f64| {
        let mut fields = before.iter().copied().chain([last]);
        let counted = fields.by_ref().take(counts).map(|count| count.to_string());
        let line = counted.collect::<Vec<_>>().join(" ");
        let line = fields.fold(line, |line, value| format!("{line} {}", number(value)));
        judge_line(line.as_bytes(), &demand, &hearing.profile())
            .map_err(|why| format!("{line}: {why:?}"))
    };
    let in_full = |value: f64| match value.is_nan() {
        true => "nan".to_owned(),
        false => format!("{value:e}"),
    };
    let two_decimals = |value: f64| match value.is_nan() {
        true => "nan".to_owned(),
        false => format!("{value:.2}"),
    };
    assert_eq!(judge(&in_full, last), Ok(()));
    assert_eq!(judge(&two_decimals, last), Ok(()));
    if numbers.len() > counts && last.is_finite() && last.next_up().is_finite() {
        assert!(
            judge(&in_full, last.next_up()).is_err(),
            "{last:e} and its neighbour are both right"
        );
    }
}

/// How long the runner waits for what is on its way.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it waits for what cannot come.
const IMPATIENCE: Duration = Duration::from_millis(2);

/// A wait that takes so much longer than it should is endless.
const ENDLESS: Duration = Duration::from_secs(30);

/// The server says it all over a connection, and then ends it one way or the other.
fn over_a_connection(hearing: &Hearing<'_>) {
    static LISTENER: OnceLock<Option<(TcpListener, SocketAddr)>> = OnceLock::new();
    let listener = LISTENER.get_or_init(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let address = listener.local_addr().ok()?;
        Some((listener, address))
    });
    // A machine that is out of ports or descriptors says nothing about the runner.
    let Some((listener, address)) = listener else {
        return;
    };
    let Ok(mut client) = Connection::open("", *address, PATIENCE, &Trace::default()) else {
        return;
    };
    let Ok((server, _)) = listener.accept() else {
        return;
    };
    let started = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| say(hearing, server));
        match hearing.times() {
            Some(times) => listen(&mut client, &hearing.said.repeat(times), hearing.delivery),
            None => {
                client.next_line(IMPATIENCE);
                client.skip_to_end(IMPATIENCE);
            }
        }
        client.close();
    });
    assert!(started.elapsed() < ENDLESS, "{:?}", started.elapsed());
}

/// The server's side. It fails when the client has had enough.
fn say(hearing: &Hearing<'_>, mut stream: TcpStream) {
    let Some(times) = hearing.times() else {
        // Where the client has gone while its window was closed, the system would wait for a minute.
        let _ = stream.set_write_timeout(Some(IMPATIENCE));
        let block = hearing.said.repeat(4096 / hearing.said.len().max(1) + 1);
        while !block.is_empty() && stream.write_all(&block).is_ok() {}
        return;
    };
    for _ in 0..times {
        for piece in pieces(hearing.said, hearing.delivery) {
            if stream.write_all(piece).is_err() {
                return;
            }
        }
    }
}

/// The runner's side: it gets exactly the lines that were said, and an orderly end.
fn listen(client: &mut Connection, said: &[u8], delivery: u8) {
    // Octets that the server does not read make its end a reset.
    let resets = delivery & 1 != 0;
    if resets {
        client.send(b"count\n");
    }
    let mut unread = said;
    loop {
        match client.next_line(PATIENCE) {
            Next::Line(line) => {
                let rest = unread.strip_prefix(line.as_slice());
                let rest = rest.and_then(|rest| rest.strip_prefix(b"\n"));
                unread = rest.expect("the line was said");
            }
            Next::End(End::Eof, rest) => return assert_eq!(rest, unread),
            Next::End(_, rest) => {
                assert!(resets, "a server that closes in order is no reset");
                assert!(unread.starts_with(&rest), "what was received was said");
                return;
            }
            Next::Silence(_) => panic!("the end of the connection was not seen"),
        }
    }
}

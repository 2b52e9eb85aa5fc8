//! Conversations as the property tests of the conformance kit generate them, with sessions that are
//! kept in memory: every reply is what the transcript of the conversation demands, and so is every
//! line of the secondary port.
//!
//! The first byte of the input chooses the property, and its highest bit the dialect; the second
//! one says how the bytes of a client are cut. By the others the generator of that property
//! chooses. So there is one generator of conversations: what a property makes of a seed, the engine
//! can invent.

use std::collections::BTreeMap;

use meta_stats_conformance::dialect;
use meta_stats_conformance::judge::{Demand, Demanded, judge_line};
use meta_stats_conformance::plan::{Operation, PlannedStep, plan};
use meta_stats_conformance::profile::Profile;
use meta_stats_conformance::property::PROPERTIES;
use meta_stats_conformance::property::script::Script;
use meta_stats_conformance::property::write;
use meta_stats_conformance::transcript::Port;
use meta_stats_server::protocol::{Dialect, Figures, Reply};
use meta_stats_server::session::{Progress, Session};
use meta_stats_server::stats::Statistics;

use crate::pieces;

/// Runs the target.
///
/// # Panics
/// If a reply is wrong or missing, or something was said that nothing asked for.
pub fn run(input: &[u8]) {
    let [shape, cut, bytes @ ..] = input else {
        return;
    };
    let property = &PROPERTIES[usize::from(shape & 0x7f) % PROPERTIES.len()];
    let script = property.script_of(bytes);
    let claims = match shape & 0x80 {
        0 => dialect::Dialect::Plain,
        _ => dialect::Dialect::Classic,
    };
    converse(&script, claims, *cut);
}

fn converse(script: &Script, claims: dialect::Dialect, cut: u8) {
    // The best possible replies do not fit into two decimals.
    let claims = if script.precisely {
        dialect::Dialect::Plain
    } else {
        claims
    };
    let written = write::write("A conversation.", script);
    let planned = plan(&written, None, &BTreeMap::new());
    let planned = planned.unwrap_or_else(|errors| panic!("{errors:?}\n{written}"));
    let mut server = Server::new(claims, cut);
    server.follow(&planned.steps);
    server.expect_silence();
}

/// The sessions of one server, without its processes and sockets.
struct Server {
    claims: dialect::Dialect,
    dialect: Dialect,
    cut: u8,
    means: Statistics,
    connections: BTreeMap<usize, Connection>,
}

/// One connection, seen from both sides.
struct Connection {
    /// None on the secondary port, and where the session has ended.
    session: Option<Session>,
    /// What the client has not read yet.
    unread: Vec<u8>,
}

impl Server {
    fn new(claims: dialect::Dialect, cut: u8) -> Server {
        Server {
            claims,
            dialect: match claims {
                dialect::Dialect::Plain => Dialect::Plain,
                dialect::Dialect::Classic => Dialect::Classic,
            },
            cut,
            means: Statistics::new(),
            connections: BTreeMap::new(),
        }
    }

    fn follow(&mut self, steps: &[PlannedStep]) {
        for step in steps {
            match &step.operation {
                Operation::Open { port, .. } => self.open(step.connection, *port),
                Operation::Send(bytes) => self.send(step.connection, bytes),
                Operation::Expect(demand) => self.expect(step.connection, demand),
                Operation::Close | Operation::Reset => {
                    self.connections.remove(&step.connection);
                }
                // What ran at the same time has to come out as if it had run in turn.
                Operation::Together(lanes) => lanes.iter().for_each(|lane| self.follow(lane)),
                _ => {}
            }
        }
    }

    fn open(&mut self, id: usize, port: Port) {
        let mut unread = Vec::new();
        let session = match port {
            Port::Primary => {
                let session = Session::new(self.dialect, self.dialect.default_max_line());
                let greeting = session.greeting();
                // The transcripts need not mention it.
                assert!(greeting.is_empty() || greeting.ends_with(b"\n"));
                Some(session)
            }
            Port::Secondary => {
                let line = Reply::Meta(Figures::of(&self.means));
                let written = line.write_to(self.dialect, &mut unread);
                written.expect("a Vec takes everything");
                None
            }
        };
        self.connections.insert(id, Connection { session, unread });
    }

    fn send(&mut self, id: usize, bytes: &[u8]) {
        let Some(Connection { session, unread }) = self.connections.get_mut(&id) else {
            return;
        };
        for piece in pieces(bytes, self.cut) {
            let Some(open) = session else {
                return;
            };
            let progress = open.receive(piece, unread).expect("a Vec takes everything");
            if let Progress::Exit(summary) = progress {
                open.farewell(unread).expect("a Vec takes everything");
                if summary.count > 0 {
                    self.means.add(summary.mean);
                }
                *session = None;
            }
        }
    }

    fn expect(&mut self, id: usize, demand: &Demand) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if matches!(demand.what, Demanded::Eof) {
            let unread = connection.unread.escape_ascii();
            assert!(connection.unread.is_empty(), "{unread} before the end");
            self.connections.remove(&id);
            return;
        }
        let end = connection.unread.iter().position(|&byte| byte == b'\n');
        let end = end.unwrap_or_else(|| panic!("nothing came where {:?} is due", demand.what));
        let line: Vec<u8> = connection.unread.drain(..=end).collect();
        let line = &line[..end];
        if let Err(why) = judge_line(line, demand, &Profile::of(self.claims)) {
            panic!(
                "{} came where {:?} is due: {why:?}",
                line.escape_ascii(),
                demand.what
            );
        }
    }

    fn expect_silence(&self) {
        for connection in self.connections.values() {
            let unread = connection.unread.escape_ascii();
            assert!(
                connection.unread.is_empty(),
                "{unread} is more than was asked for"
            );
        }
    }
}

//! From what happened on connections to a transcript that replays it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::str;

use super::{Event, What};
use crate::dialect::{Dialect, GREETING};
use crate::judge::{self, Demanded};
use crate::means::Base;
use crate::model::{Reply, Session};
use crate::profile::Profile;
use crate::trace::Shown;
use crate::transcript::{self, Action, Port, Quoted, StepKind};

/// More than this is no example any more.
const MOST_OCTETS: usize = 4 << 20;

/// Writes events down as steps.
#[derive(Debug, Default)]
pub struct Scribe {
    connections: BTreeMap<usize, Connection>,
    steps: Vec<String>,
    octets: usize,
    /// Replies that are not what the model computes.
    odd: usize,
    /// Exit lines so far.
    exits: usize,
    /// An `exit` that was never answered: whether its mean was recorded is not known.
    doubtful: bool,
}

/// One connection, and what the model thinks of it.
#[derive(Debug)]
struct Connection {
    /// How its steps begin: nothing, or `@NAME `.
    prefix: String,
    port: Port,
    session: Session,
    owed: VecDeque<Reply>,
    /// The line of the secondary port is still due.
    owes_means: bool,
    /// Octets of the client that are not written down yet: they wait for more of their line.
    sent: Vec<u8>,
    /// Octets of the server that make no line yet.
    received: Vec<u8>,
    /// Whether a line has come; the first one may be a greeting.
    heard: bool,
    /// The exit lines of other connections when this one began.
    exits_before: usize,
    half_closed: bool,
    /// Nothing more is written down.
    over: bool,
}

impl Scribe {
    /// Writes down one event.
    pub fn note(&mut self, event: Event) {
        let number = event.connection;
        if let What::Opened(port) = event.what {
            return self.open(number, port);
        }
        if self
            .connections
            .get(&number)
            .is_none_or(|connection| connection.over)
        {
            return;
        }
        let half_closed = self
            .connections
            .get(&number)
            .is_some_and(|connection| connection.half_closed);
        match event.what {
            What::Opened(_) => {}
            What::Sent(_) | What::ClientEnded if half_closed => {}
            What::Sent(octets) => self.sent(number, &octets),
            What::Received(octets) => self.received(number, &octets),
            What::ClientEnded => {
                self.flush(number);
                self.with(number, |connection| connection.half_closed = true);
                self.step(number, "half-close");
            }
            What::ClientReset => {
                self.flush(number);
                self.end(number, "reset");
            }
            What::ServerEnded => self.server_ended(number),
            What::ServerReset => self.cut_off(number, "here the server reset the connection"),
            What::Closed => self.cut_off(number, "here the connection was over"),
        }
    }

    /// Replies so far that are not what the model computes.
    pub fn odd_replies(&self) -> usize {
        self.odd
    }

    /// Whether no client has come.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Connections that are written down to their end.
    pub fn ended(&self) -> usize {
        let over = |connection: &&Connection| connection.over;
        self.connections.values().filter(over).count()
    }

    /// Whether there was more than a transcript is for; the rest is left out.
    pub fn is_full(&self) -> bool {
        self.octets > MOST_OCTETS
    }

    /// The chapter so far: one clause with one case. `server` is the address that was recorded.
    pub fn chapter(&mut self, server: &str) -> String {
        let open: Vec<usize> = self.connections.keys().copied().collect();
        for number in open {
            self.cut_off(number, "here the recording ended");
        }
        let steps = self.steps.join("\n");
        format!(
            "# Recorded sessions\n\n\
             ## `recorded.session` The recorded session\n\n\
             **MUST** (practice). The server answers as in the session that was recorded.\n\n\
             *Why:* `meta-stats-conformance record` wrote this chapter; give the case a title, a clause and a name that tell what it shows.\n\n\
             ```transcript recorded.session/replay\n\
             # Recorded from {server}.\n{steps}\n```\n"
        )
    }

    fn with(&mut self, number: usize, change: impl FnOnce(&mut Connection)) {
        if let Some(connection) = self.connections.get_mut(&number) {
            change(connection);
        }
    }

    /// Writes a step of a connection, behind what all clients have sent before.
    fn step(&mut self, number: usize, step: &str) {
        if let Some(connection) = self.connections.get(&number) {
            self.steps.push(format!("{}{step}", connection.prefix));
        }
    }

    fn open(&mut self, number: usize, port: Port) {
        let same = |connection: &&Connection| connection.port == port;
        let before = self.connections.values().filter(same).count();
        let name = match (port, before) {
            (Port::Primary, 0) => String::new(),
            (Port::Primary, before) => format!("session-{}", before + 1),
            (Port::Secondary, 0) => "meta".to_owned(),
            (Port::Secondary, before) => format!("meta-{}", before + 1),
        };
        let prefix = match name.as_str() {
            "" => String::new(),
            name => format!("@{name} "),
        };
        self.connections.insert(
            number,
            Connection {
                prefix,
                port,
                session: Session::default(),
                owed: VecDeque::new(),
                owes_means: port == Port::Secondary,
                sent: Vec::new(),
                received: Vec::new(),
                heard: false,
                exits_before: self.exits,
                half_closed: false,
                over: false,
            },
        );
        self.step(
            number,
            match port {
                Port::Primary => "open",
                Port::Secondary => "open meta",
            },
        );
    }

    /// Whole lines become steps at once; the segments they came in are TCP's affair.
    fn sent(&mut self, number: usize, octets: &[u8]) {
        self.octets += octets.len();
        if self.is_full() {
            return self.cut_off(number, "here the session became too long for a transcript");
        }
        let mut sent = match self.connections.get_mut(&number) {
            Some(connection) => std::mem::take(&mut connection.sent),
            None => return,
        };
        sent.extend_from_slice(octets);
        for line in sent.split_inclusive(|&octet| octet == b'\n') {
            if line.ends_with(b"\n") {
                self.send(number, line);
            } else {
                self.with(number, |connection| connection.sent = line.to_vec());
            }
        }
    }

    /// Writes down what a client has sent of a line, although the line is not complete.
    fn flush(&mut self, number: usize) {
        let mut sent = Vec::new();
        self.with(number, |connection| {
            sent = std::mem::take(&mut connection.sent)
        });
        if !sent.is_empty() {
            self.send(number, &sent);
        }
    }

    fn send(&mut self, number: usize, octets: &[u8]) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        if connection.over {
            return;
        }
        if connection.port == Port::Primary {
            let answer = connection.session.receive(octets);
            if answer.depends_on_limit {
                let why = format!(
                    "here came a line of {} octets, which servers may refuse or accept",
                    octets.len()
                );
                return self.cut_off(number, &why);
            }
            connection.owed.extend(answer.replies);
        }
        let step = as_line(octets).unwrap_or_else(|| format!(">> {}", Quoted(octets)));
        self.step(number, &step);
    }

    fn received(&mut self, number: usize, octets: &[u8]) {
        self.octets += octets.len();
        if self.is_full() {
            return self.cut_off(number, "here the session became too long for a transcript");
        }
        self.flush(number);
        let mut received = match self.connections.get_mut(&number) {
            Some(connection) => std::mem::take(&mut connection.received),
            None => return,
        };
        received.extend_from_slice(octets);
        for line in received.split_inclusive(|&octet| octet == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(line) => self.reply(number, line),
                None => self.with(number, |connection| connection.received = line.to_vec()),
            }
        }
    }

    fn reply(&mut self, number: usize, line: &[u8]) {
        let exits_under_way = self.doubtful || self.connections.values().any(Connection::owes_exit);
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        if connection.over {
            return;
        }
        if !std::mem::replace(&mut connection.heard, true) && line == GREETING {
            // Whoever replays this takes the greeting away where it comes.
            return;
        }
        if connection.port == Port::Secondary {
            let exits_meanwhile = connection.exits_before != self.exits;
            if !std::mem::take(&mut connection.owes_means) {
                return self.unasked(number, line);
            }
            if Base::read(line).is_none() {
                return self.odd(number, line, "means");
            }
            if exits_under_way || exits_meanwhile {
                let step = "< any # a session was ending, which may be counted here or not";
                return self.step(number, step);
            }
            // How many means there were before is not known; a replay asks by itself.
            return self.step(number, "< means");
        }
        let Some(owed) = connection.owed.pop_front() else {
            return self.unasked(number, line);
        };
        let (expectation, demanded) = match owed {
            Reply::Error => ("error", Demanded::from(owed)),
            Reply::Exit { .. } => ("exit", Demanded::from(owed)),
            owed => ("model", Demanded::from(owed)),
        };
        self.exits += usize::from(expectation == "exit");
        let due = demanded.to_string();
        match judge::judge_line(line, &demanded.into(), &Profile::of(Dialect::Plain)) {
            Ok(()) => self.step(number, &format!("< {expectation} # {}", Shown(line))),
            Err(_) => self.odd(number, line, &due),
        }
    }

    /// A reply that the specification would not take: the transcript takes any, and says so.
    fn odd(&mut self, number: usize, line: &[u8], due: &str) {
        self.odd += 1;
        self.step(
            number,
            &format!("< any # {}, but {due} is due", Shown(line)),
        );
    }

    /// A line that no step can expect.
    fn unasked(&mut self, number: usize, line: &[u8]) {
        self.odd += 1;
        let prefix = self
            .connections
            .get(&number)
            .map_or("", |connection| &connection.prefix);
        let comment = format!(
            "# {prefix}received {}, which nothing asked for",
            Shown(line)
        );
        self.steps.push(comment);
    }

    fn server_ended(&mut self, number: usize) {
        self.flush(number);
        let Some(connection) = self.connections.get(&number) else {
            return;
        };
        let has_reason = connection.half_closed
            || connection.session.has_ended()
            || connection.port == Port::Secondary;
        if !connection.received.is_empty() {
            self.cut_off(number, "here the server ended in the middle of a line");
        } else if !connection.owed.is_empty() || connection.owes_means {
            self.cut_off(number, "here the server ended without a reply that was due");
        } else if has_reason {
            self.end(number, "< eof");
        } else {
            self.cut_off(
                number,
                "here the server ended, for no reason that the specification knows",
            );
        }
    }

    /// Ends a connection at a point from which the notation cannot follow it.
    fn cut_off(&mut self, number: usize, why: &str) {
        if self
            .connections
            .get(&number)
            .is_some_and(|connection| !connection.over)
        {
            self.end(number, &format!("close # {why}"));
        }
    }

    fn end(&mut self, number: usize, step: &str) {
        self.step(number, step);
        if let Some(connection) = self.connections.get_mut(&number) {
            self.doubtful |= connection.owes_exit();
            connection.over = true;
        }
    }
}

impl Connection {
    fn owes_exit(&self) -> bool {
        let counts = |reply: &Reply| matches!(reply, Reply::Exit { count: 1.., .. });
        !self.over && self.owed.iter().any(counts)
    }
}

/// A whole line in the notation of `>`, if that reads back to the same octets.
fn as_line(octets: &[u8]) -> Option<String> {
    let text = str::from_utf8(octets.strip_suffix(b"\n")?).ok()?;
    if text.contains(char::is_control) {
        return None;
    }
    let mut step = String::new();
    // Writing to a String cannot fail.
    let _ = write!(step, "{}", Action::SendLine(text.to_owned()));
    let read = transcript::parse(&format!("# Title.\n{step}\n")).ok()?;
    match &read.steps.as_slice() {
        [only] => match &only.kind {
            StepKind::Act {
                action: Action::SendLine(same),
                ..
            } if same == text => Some(step),
            _ => None,
        },
        _ => None,
    }
}

//! From a script to the transcript in which every reply that is expected is waited for.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::script::{Command, Operation, Script, ScriptStep};
use crate::transcript::{Action, Expectation, Expected, Piece, Step, StepKind, Transcript};

/// Between pieces of a line: enough for a server to read the first.
const BETWEEN_PIECES: Duration = Duration::from_millis(2);

/// Between lines that shall not share a segment.
const BETWEEN_LINES: Duration = Duration::from_millis(10);

/// Before a question to the secondary port that shall not come too early.
const BEFORE_QUESTION: Duration = Duration::from_millis(300);

/// Writes a script as a transcript. Numbers are left to the model.
pub fn write(title: &str, script: &Script) -> Transcript {
    let mut writer = Writer {
        script,
        steps: Vec::new(),
        open: BTreeMap::new(),
        names: 0,
        asked: false,
    };
    match &script.cuts {
        Some(cuts) => writer.segments(cuts),
        None => script.steps.iter().for_each(|step| writer.perform(step)),
    }
    writer.end();
    let mut steps = writer.steps;
    if writer.names == 1 {
        rename(&mut steps, "a", "");
    }
    if script.together && writer.names > 1 {
        steps = together(steps);
    }
    // The plan reports by position, and compares positions.
    number(&mut steps, &mut 0);
    Transcript {
        title: title.to_owned(),
        steps,
    }
}

struct Writer<'a> {
    script: &'a Script,
    steps: Vec<Step>,
    open: BTreeMap<u8, Open>,
    /// How many names have been given away.
    names: usize,
    /// Whether `@meta` is open.
    asked: bool,
}

struct Open {
    name: String,
    owed: VecDeque<Expectation>,
    values: u64,
}

fn on(connection: &str, action: Action) -> Step {
    Step {
        span: 0..0,
        kind: StepKind::Act {
            connection: connection.to_owned(),
            action,
        },
    }
}

/// The name of the connection that is opened as this one.
fn name(index: usize) -> String {
    match u8::try_from(index) {
        Ok(index @ 0..26) => char::from(b'a' + index).to_string(),
        _ => format!("s{index}"),
    }
}

impl Writer<'_> {
    fn client(&mut self, client: u8) -> &mut Open {
        self.open.entry(client).or_insert_with(|| {
            self.names += 1;
            Open {
                name: name(self.names - 1),
                owed: VecDeque::new(),
                values: 0,
            }
        })
    }

    fn reads(&self, client: u8) -> bool {
        self.script.readers.is_none_or(|readers| client < readers)
    }

    fn expect(&mut self, name: &str, expectation: Expectation) {
        self.steps.push(on(name, Action::Expect(expectation)));
    }

    /// The expectation of a reply that holds a quantity.
    fn quantity(&self, what: Expected) -> Expectation {
        Expectation {
            what,
            precisely: self.script.precisely,
            in_shape: false,
        }
    }

    /// The reply to an operation, if it has one.
    fn reply(&self, operation: &Operation) -> Option<Expectation> {
        Some(match operation {
            Operation::Ask(Command::Count, _) => simply(Expected::Model),
            Operation::Ask(..) => self.quantity(Expected::Model),
            Operation::Bad(..) | Operation::Long(..) => simply(Expected::Error),
            Operation::Exit { .. } => self.quantity(Expected::Exit(None)),
            _ => return None,
        })
    }

    /// Waits for all replies that a client is owed.
    fn collect(&mut self, client: u8) {
        if let Some(open) = self.open.get_mut(&client) {
            let (name, owed) = (open.name.clone(), std::mem::take(&mut open.owed));
            if self.reads(client) {
                owed.into_iter().for_each(|reply| self.expect(&name, reply));
            }
        }
    }

    fn perform(&mut self, step: &ScriptStep) {
        if self.says_nothing(step) {
            return;
        }
        let client = step.client;
        if step.is_query() {
            return self.query();
        }
        let name = self.client(client).name.clone();
        if let Some(line) = step.line(self.script.negative) {
            self.line(&name, &line, step.value().map_or(1, |(_, times)| times));
            if self.script.paced && self.script.readers.is_none() {
                self.steps.push(on(&name, Action::Pause(BETWEEN_LINES)));
            }
        }
        let reply = self.reply(&step.operation);
        self.client(client).owed.extend(reply);
        match &step.operation {
            Operation::Value { times, .. } => self.client(client).values += u64::from(*times),
            Operation::Ask(..) | Operation::Bad(..) if step.is_deferred() => {}
            Operation::Ask(..) | Operation::Bad(..) => self.collect(client),
            Operation::Long(byte, times) => {
                let pieces = vec![bytes(vec![*byte], *times), bytes(b"\n".to_vec(), 1)];
                self.steps.push(on(&name, Action::SendPieces(pieces)));
                self.collect(client);
            }
            Operation::Part(part) => {
                self.send(&name, vec![bytes(part.clone(), 1)]);
                // What follows would be the rest of that line.
                self.half_close(client);
            }
            Operation::Exit { eof } => {
                self.collect(client);
                if self.reads(client) {
                    if *eof {
                        self.expect(&name, simply(Expected::Eof));
                    }
                    self.open.remove(&client);
                } else {
                    self.leave(client, Action::Close);
                }
            }
            Operation::HalfClose => self.half_close(client),
            Operation::Close => self.leave(client, Action::Close),
            Operation::Reset => self.leave(client, Action::Reset),
            Operation::Query => {}
        }
    }

    /// Whether a step is left out of the transcript.
    fn says_nothing(&mut self, step: &ScriptStep) -> bool {
        let precisely = self.script.precisely;
        let values = match step.operation {
            Operation::Ask(..) | Operation::Exit { .. } => self.client(step.client).values,
            _ => 0,
        };
        match &step.operation {
            // A quantity that is undefined has a choice of forms, none of them the best.
            Operation::Ask(command, _) if precisely => values < [0, 0, 1, 2][*command as usize],
            Operation::Exit { .. } if precisely => values < 2,
            // Whether a session without values counts is a question of another clause.
            Operation::Exit { .. } => {
                values == 0 && self.script.steps.iter().any(ScriptStep::is_query)
            }
            // Only a session that has begun can end.
            Operation::HalfClose | Operation::Close | Operation::Reset => {
                !self.open.contains_key(&step.client)
            }
            _ => false,
        }
    }

    fn half_close(&mut self, client: u8) {
        let name = self.client(client).name.clone();
        self.steps.push(on(&name, Action::HalfClose));
        self.collect(client);
        if self.reads(client) {
            self.expect(&name, simply(Expected::Eof));
            self.open.remove(&client);
        } else {
            self.leave(client, Action::Close);
        }
    }

    fn leave(&mut self, client: u8, how: Action) {
        if let Some(open) = self.open.remove(&client) {
            self.steps.push(on(&open.name, how));
        }
    }

    fn query(&mut self) {
        if self.asked {
            self.expect("meta", simply(Expected::Eof));
        }
        if self.script.paced {
            self.steps.push(on("meta", Action::Pause(BEFORE_QUESTION)));
        }
        let line = self.quantity(Expected::Means {
            more: None,
            numbers: None,
        });
        self.expect("meta", line);
        self.asked = true;
    }

    fn line(&mut self, name: &str, line: &[u8], times: u32) {
        if times == 1 && !self.script.packed && is_typeable(line) {
            let text = String::from_utf8_lossy(line).into_owned();
            self.steps.push(on(name, Action::SendLine(text)));
        } else {
            self.send(name, vec![bytes([line, b"\n"].concat(), times)]);
        }
    }

    /// Sends bytes; in a packed script together with what was sent just before.
    fn send(&mut self, name: &str, mut pieces: Vec<Piece>) {
        if self.script.packed
            && let Some(Step {
                kind:
                    StepKind::Act {
                        connection,
                        action: Action::SendPieces(before),
                    },
                ..
            }) = self.steps.last_mut()
            && connection == name
        {
            if let (
                Some(Piece::Octets {
                    octets: end,
                    times: 1,
                }),
                Some(Piece::Octets {
                    octets: bytes,
                    times: 1,
                }),
            ) = (before.last_mut(), pieces.first())
            {
                end.extend(bytes);
                pieces.remove(0);
            }
            before.append(&mut pieces);
            return;
        }
        self.steps.push(on(name, Action::SendPieces(pieces)));
    }

    /// One session, its bytes cut without regard to lines, its replies read at the end.
    fn segments(&mut self, cuts: &[u16]) {
        let mut all = Vec::new();
        let mut owed = Vec::new();
        for step in &self.script.steps {
            let Some(line) = step.line(self.script.negative) else {
                continue;
            };
            all.extend([line, b"\n".to_vec()].concat());
            owed.extend(self.reply(&step.operation));
        }
        if all.is_empty() {
            return;
        }
        let name = self.client(0).name.clone();
        let mut places: Vec<usize> = cuts
            .iter()
            .map(|&cut| usize::from(cut) % all.len())
            .collect();
        places.extend([0, all.len()]);
        places.sort_unstable();
        places.dedup();
        for (index, pair) in places.windows(2).enumerate() {
            if index > 0 {
                self.steps.push(on(&name, Action::Pause(BETWEEN_PIECES)));
            }
            let piece = bytes(all[pair[0]..pair[1]].to_vec(), 1);
            self.steps.push(on(&name, Action::SendPieces(vec![piece])));
        }
        owed.into_iter().for_each(|reply| self.expect(&name, reply));
    }

    /// Nothing may be left unread.
    fn end(&mut self) {
        for client in self.open.keys().copied().collect::<Vec<_>>() {
            if self.reads(client) {
                self.collect(client);
            } else {
                self.leave(client, Action::Close);
            }
        }
    }
}

/// An expectation of which there is only one degree.
fn simply(what: Expected) -> Expectation {
    Expectation {
        what,
        precisely: false,
        in_shape: false,
    }
}

fn bytes(bytes: Vec<u8>, times: u32) -> Piece {
    Piece::Octets {
        octets: bytes,
        times: times as usize,
    }
}

/// Whether `> TEXT` can stand for a line: comments and spaces at the end are not sent.
fn is_typeable(line: &[u8]) -> bool {
    let visible = |byte: &u8| matches!(byte, b' '..=b'~') && !b"#\"".contains(byte);
    line.iter().all(visible) && line.last() != Some(&b' ')
}

fn rename(steps: &mut [Step], from: &str, to: &str) {
    for step in steps {
        if let StepKind::Act { connection, .. } = &mut step.kind
            && connection == from
        {
            *connection = to.to_owned();
        }
    }
}

/// Puts everything before the first question to the secondary port into one block.
fn together(mut steps: Vec<Step>) -> Vec<Step> {
    let is_question = |step: &Step| match &step.kind {
        StepKind::Act { connection, .. } => connection == "meta",
        _ => false,
    };
    let asked = steps.iter().position(is_question).unwrap_or(steps.len());
    let rest = steps.split_off(asked);
    let block = Step {
        span: 0..0,
        kind: StepKind::Together { steps },
    };
    std::iter::once(block).chain(rest).collect()
}

fn number(steps: &mut [Step], next: &mut usize) {
    for step in steps {
        step.span = *next..*next + 1;
        *next += 1;
        if let StepKind::Together { steps } = &mut step.kind {
            number(steps, next);
        }
    }
}

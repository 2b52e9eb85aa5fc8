//! The state of planning: which connections are open, and what the model owes on them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use super::{MOST_MEBIOCTETS, MOST_STEPS, Operation, Plan, PlannedStep};
use crate::dialect::Dialect;
use crate::exact::{Sample, rational};
use crate::model::{self, Asked, Inputs, Reply, Request, Session};
use crate::transcript::{Action, Piece, Port, Step, StepKind, SyntaxError, Transcript};

pub(super) struct Planner<'a> {
    pub(super) data: &'a BTreeMap<String, Vec<u8>>,
    pub(super) dialect: Option<Dialect>,
    pub(super) open: BTreeMap<String, Connection>,
    pub(super) opened: usize,
    /// The means that the server has recorded since the case began.
    pub(super) means: Sample,
    /// What each session had taken in that has ended by `exit`.
    pub(super) exited: Vec<Inputs>,
    /// An `exit` whose line was not waited for, so that nobody knows whether its mean is recorded.
    pub(super) doubtful: Option<Range<usize>>,
    pub(super) errors: Vec<SyntaxError>,
    /// How many octets are sent.
    octets: usize,
    /// Whether a mean is left behind that other cases cannot be judged beside.
    leaves_extreme: bool,
    /// Clauses on which the expectations depend although they are no MUST.
    free_clauses: BTreeSet<&'static str>,
    /// Whether a session without values has ended by `exit`.
    empty_exit: bool,
}

/// A connection as the model sees it.
pub(super) struct Connection {
    pub(super) id: usize,
    pub(super) port: Port,
    pub(super) session: Session,
    /// Replies that the server owes, and the step that asked for them.
    pub(super) owed: VecDeque<(Owed, Range<usize>)>,
    /// Whether we have ended our direction.
    pub(super) half_closed: bool,
    /// Whether an `either` block has made the state unknown.
    pub(super) branched: bool,
    /// Whether the client has sent what the server need not read.
    pub(super) surplus: bool,
    /// A line whose meaning depends on the limit of the server; only `either` can follow.
    pub(super) unsettled: Option<Range<usize>>,
}

/// What a server sends of itself or in reply.
#[derive(Clone, Debug)]
pub(super) enum Owed {
    Reply {
        reply: Reply,
        asked: Asked,
        /// How many values were sent since the line before that is answered.
        values_before: usize,
    },
    Means,
}

impl Owed {
    /// How many values were sent since the line before that is answered.
    pub(super) fn values_before(&self) -> usize {
        match self {
            Owed::Reply { values_before, .. } => *values_before,
            Owed::Means => 0,
        }
    }
}

/// A mean beyond this costs a server that adds up squares in double precision the digits of the
/// means that come later.
const MAX_LEFT_MEAN: f64 = 1e6;

impl<'a> Planner<'a> {
    pub(super) fn new(dialect: Option<Dialect>, data: &'a BTreeMap<String, Vec<u8>>) -> Self {
        Planner {
            data,
            dialect,
            open: BTreeMap::new(),
            opened: 0,
            means: Sample::default(),
            exited: Vec::new(),
            doubtful: None,
            errors: Vec::new(),
            octets: 0,
            leaves_extreme: false,
            free_clauses: BTreeSet::new(),
            empty_exit: false,
        }
    }

    pub(super) fn plan(mut self, transcript: &Transcript) -> Result<Plan, Vec<SyntaxError>> {
        let mut unrolled = Vec::new();
        self.unroll(&transcript.steps, &mut unrolled);
        let steps = self.sequence(&unrolled);
        self.leave_nothing_unread();
        if self.errors.is_empty() {
            return Ok(Plan {
                steps,
                leaves_extreme: self.leaves_extreme,
                free_clauses: self.free_clauses,
            });
        }
        self.errors.sort_by_key(|error| error.span.start);
        self.errors.dedup();
        Err(self.errors)
    }

    pub(super) fn error(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        self.errors.push(SyntaxError {
            span: span.clone(),
            message: message.into(),
            allowed: allowed.into(),
        });
    }

    /// Writes `repeat` blocks out.
    pub(super) fn unroll<'s>(&mut self, steps: &'s [Step], out: &mut Vec<&'s Step>) {
        for step in steps {
            match &step.kind {
                StepKind::Repeat { times, steps } => {
                    for _ in 0..*times {
                        self.unroll(steps, out);
                        if out.len() > MOST_STEPS {
                            let most = format!("at most {MOST_STEPS} steps in all");
                            return self.error(&step.span, "this unrolls to too many steps", most);
                        }
                    }
                }
                _ => out.push(step),
            }
        }
    }

    pub(super) fn sequence(&mut self, steps: &[&Step]) -> Vec<PlannedStep> {
        let mut planned = Vec::with_capacity(steps.len());
        for step in steps {
            match &step.kind {
                StepKind::Act { connection, action } => {
                    self.act(&step.span, connection, action, &mut planned);
                }
                StepKind::Together { steps } => {
                    let operation = self.together(&step.span, steps);
                    planned.push(PlannedStep {
                        span: step.span.clone(),
                        connection: 0,
                        operation,
                    });
                }
                StepKind::Either { branches } => self.either(&step.span, branches, &mut planned),
                StepKind::Repeat { .. } => unreachable!("repeat blocks are unrolled first"),
            }
        }
        planned
    }

    /// The open connection of that name, opened if it is not.
    pub(super) fn connection(
        &mut self,
        name: &str,
        span: &Range<usize>,
        out: &mut Vec<PlannedStep>,
    ) -> &mut Connection {
        if !self.open.contains_key(name) {
            let port = if name == "meta" {
                Port::Secondary
            } else {
                Port::Primary
            };
            self.open_connection(name, port, span, out);
        }
        self.open.get_mut(name).expect("it was opened just now")
    }

    fn open_connection(
        &mut self,
        name: &str,
        port: Port,
        span: &Range<usize>,
        out: &mut Vec<PlannedStep>,
    ) {
        if self.open.contains_key(name) {
            return self.error(
                span,
                "this connection is open",
                "`close`, `reset` or `< eof` first, or another name",
            );
        }
        let id = self.opened;
        self.opened += 1;
        let mut owed = VecDeque::new();
        if port == Port::Secondary {
            owed.push_back((Owed::Means, span.clone()));
        }
        let connection = Connection {
            id,
            port,
            session: match self.dialect {
                Some(Dialect::Classic) => Session::limited(),
                _ => Session::default(),
            },
            owed,
            half_closed: false,
            branched: false,
            unsettled: None,
            surplus: false,
        };
        self.open.insert(name.to_owned(), connection);
        out.push(PlannedStep {
            span: span.clone(),
            connection: id,
            operation: Operation::Open {
                port,
                name: name.to_owned(),
            },
        });
    }

    /// Counts what an action sends, before any of it is held.
    fn has_room(&mut self, span: &Range<usize>, action: &Action) -> bool {
        const MOST: usize = MOST_MEBIOCTETS << 20;

        let length = |piece: &Piece| match piece {
            Piece::Octets { octets, times } => octets.len().saturating_mul(*times),
            Piece::File(path) => self.data.get(path).map_or(0, Vec::len),
        };
        let length = match action {
            Action::SendLine(text) => text.len() + 1,
            Action::SendPieces(pieces) => pieces.iter().map(length).fold(0, usize::saturating_add),
            _ => 0,
        };
        let before = self.octets;
        self.octets = before.saturating_add(length);
        if before <= MOST && self.octets > MOST {
            let most = format!("at most {MOST_MEBIOCTETS} MiB in all");
            self.error(span, "with this the case sends too many octets", most);
        }
        self.octets <= MOST
    }

    pub(super) fn octets(&mut self, span: &Range<usize>, action: &Action) -> Option<Arc<[u8]>> {
        if !self.has_room(span, action) {
            return None;
        }
        let mut octets = Vec::new();
        match action {
            Action::SendLine(text) => {
                octets.extend_from_slice(text.as_bytes());
                octets.push(b'\n');
            }
            Action::SendPieces(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Octets {
                            octets: piece,
                            times,
                        } => octets.extend(piece.repeat(*times)),
                        Piece::File(path) => match self.data.get(path) {
                            Some(file) => octets.extend_from_slice(file),
                            None => {
                                let known = self.data.keys().map(|name| format!("`{name}`"));
                                let known = known.collect::<Vec<_>>().join(", ");
                                self.error(
                                    span,
                                    format!("there is no file `{path}` in the specification"),
                                    known,
                                );
                                return None;
                            }
                        },
                    }
                }
            }
            _ => return None,
        }
        Some(octets.into())
    }

    fn act(
        &mut self,
        span: &Range<usize>,
        name: &str,
        action: &Action,
        out: &mut Vec<PlannedStep>,
    ) {
        let operation = match action {
            Action::Open(port) => return self.open_connection(name, *port, span, out),
            // These open nothing: they may stand before the first connection.
            Action::Pause(duration) => {
                return self.unconnected(span, name, Operation::Pause(*duration), out);
            }
            Action::Process(check) => {
                return self.unconnected(span, name, Operation::Process(*check), out);
            }
            Action::SendLine(_) | Action::SendPieces(_) => {
                let Some(octets) = self.octets(span, action) else {
                    return;
                };
                self.send(span, name, &octets, out);
                Operation::Send(octets)
            }
            Action::Expect(expectation) => return self.expect(span, name, expectation, out),
            Action::HalfClose => {
                let connection = self.connection(name, span, out);
                connection.half_closed = true;
                if !connection.session.partial().is_empty() {
                    self.free_clauses.insert("session.unterminated");
                }
                Operation::HalfClose
            }
            Action::Close => Operation::Close,
            Action::Reset => Operation::Reset,
        };
        let id = self.connection(name, span, out).id;
        if matches!(operation, Operation::Close | Operation::Reset) {
            self.forget(name);
        }
        out.push(PlannedStep {
            span: span.clone(),
            connection: id,
            operation,
        });
    }

    fn unconnected(
        &mut self,
        span: &Range<usize>,
        name: &str,
        operation: Operation,
        out: &mut Vec<PlannedStep>,
    ) {
        let connection = self.open.get(name).map_or(0, |connection| connection.id);
        out.push(PlannedStep {
            span: span.clone(),
            connection,
            operation,
        });
    }

    fn send(&mut self, span: &Range<usize>, name: &str, octets: &[u8], out: &mut Vec<PlannedStep>) {
        let connection = self.connection(name, span, out);
        if connection.half_closed {
            return self.error(
                span,
                "our direction of this connection is closed",
                "sending before `half-close`",
            );
        }
        if connection.port == Port::Secondary {
            connection.surplus = true;
            return;
        }
        let answer = connection.session.receive(octets);
        connection.surplus |= answer.beyond_exit;
        let owed = answer
            .replies
            .into_iter()
            .zip(answer.asked)
            .zip(answer.values_before)
            .map(|((reply, asked), values_before)| Owed::Reply {
                reply,
                asked,
                values_before,
            });
        connection
            .owed
            .extend(owed.map(|owed| (owed, span.clone())));
        if answer.depends_on_limit {
            connection.unsettled = Some(span.clone());
        }
        self.free_clauses.extend(answer.free_clauses);
    }

    /// A connection ends without our having waited for what it still owes.
    fn forget(&mut self, name: &str) {
        if let Some(connection) = self.open.remove(name) {
            if model::request(connection.session.partial()) == Request::Exit {
                self.free_clauses.insert("session.unterminated");
            }
            for (owed, span) in connection.owed {
                if matches!(
                    owed,
                    Owed::Reply {
                        reply: Reply::Exit { count: 1.., .. },
                        ..
                    }
                ) {
                    self.doubtful = Some(span);
                }
            }
        }
    }

    /// Takes the next owed reply as received.
    pub(super) fn receive(&mut self, name: &str) -> Option<Owed> {
        let connection = self.open.get_mut(name)?;
        let (owed, _) = connection.owed.pop_front()?;
        if let Owed::Reply {
            reply: Reply::Exit { mean, .. },
            asked: Asked::Session { inputs, .. },
            ..
        } = &owed
        {
            self.exited.push(inputs.clone());
            let mean = mean.to_f64();
            self.leaves_extreme |= mean.is_nan() || mean.abs() > MAX_LEFT_MEAN;
            self.empty_exit |= mean.is_nan();
            if !mean.is_nan() {
                self.means.add(&rational(mean));
            }
        }
        if self.empty_exit && matches!(owed, Owed::Means) {
            self.free_clauses.insert("meta.empty-session");
        }
        Some(owed)
    }

    /// At the end of the case every reply has been waited for, or its connection was closed on purpose.
    fn leave_nothing_unread(&mut self) {
        for (_, connection) in mem::take(&mut self.open) {
            if let Some((_, span)) = connection.owed.front() {
                self.error(
                    span,
                    "the reply to this is never read",
                    "an expectation, `< rest`, `close` or `reset`",
                );
            }
        }
    }
}

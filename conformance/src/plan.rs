//! From a transcript to what the runner does: connections resolved, blocks unrolled, and every expectation turned into a demand that the
//! reference model has worked out. A transcript whose own numbers are wrong, or that waits for a reply to nothing, has no plan.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::dialect::Dialect;
use crate::exact::{Real, Sample, rational};
use crate::judge::{self, Demand, Demanded};
use crate::model::{Quantity, Reply, Session};
use crate::transcript::{
    Action, Expectation, Expected, Literal, Piece, Port, Step, StepKind, SyntaxError, Transcript,
};

/// What to do for one case.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<PlannedStep>,
}

/// One thing to do.
#[derive(Clone, Debug)]
pub struct PlannedStep {
    /// The step of the transcript that it comes from.
    pub span: Range<usize>,
    /// The connection it is about: each opening gets a number of its own.
    pub connection: usize,
    /// What to do.
    pub operation: Operation,
}

/// What to do with a connection.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Connect; the name is for the trace.
    Open {
        /// The port.
        port: Port,
        /// What the transcript calls the connection.
        name: String,
    },
    /// Send octets.
    Send(Arc<[u8]>),
    /// Receive, and judge.
    Expect(Demand),
    /// Wait.
    Pause(Duration),
    /// End the sending direction.
    HalfClose,
    /// Close.
    Close,
    /// Abort.
    Reset,
    /// Run lists of steps at the same time; no connection is in two of them.
    Together(Vec<Vec<PlannedStep>>),
    /// Follow the first list whose first demand accepts the next line.
    Either(Vec<Vec<PlannedStep>>),
}

/// Steps of one plan after unrolling; more belong into a load generator.
const MOST_STEPS: usize = 1_000_000;

/// Makes the plan of a transcript.
///
/// # Errors
/// Everything that is wrong with it, in the order of the steps.
pub fn plan(
    transcript: &Transcript,
    dialect: Option<Dialect>,
    data: &BTreeMap<String, Vec<u8>>,
) -> Result<Plan, Vec<SyntaxError>> {
    let mut planner = Planner {
        data,
        dialect,
        open: BTreeMap::new(),
        opened: 0,
        means: Sample::default(),
        doubtful: None,
        errors: Vec::new(),
    };
    let mut unrolled = Vec::new();
    planner.unroll(&transcript.steps, &mut unrolled);
    let steps = planner.sequence(&unrolled);
    planner.leave_nothing_unread();
    if planner.errors.is_empty() {
        Ok(Plan { steps })
    } else {
        planner.errors.sort_by_key(|error| error.span.start);
        planner.errors.dedup();
        Err(planner.errors)
    }
}

struct Planner<'a> {
    data: &'a BTreeMap<String, Vec<u8>>,
    dialect: Option<Dialect>,
    open: BTreeMap<String, Connection>,
    opened: usize,
    /// The means that the server has recorded since the case began.
    means: Sample,
    /// An `exit` whose line was not waited for, so that nobody knows whether its mean is recorded.
    doubtful: Option<Range<usize>>,
    errors: Vec<SyntaxError>,
}

/// A connection as the model sees it.
struct Connection {
    id: usize,
    port: Port,
    session: Session,
    /// Replies that the server owes, and the step that asked for them.
    owed: VecDeque<(Owed, Range<usize>)>,
    /// Whether we have ended our direction.
    half_closed: bool,
    /// Whether an `either` block has made the state unknown.
    branched: bool,
    /// A line whose meaning depends on the limit of the server; only `either` can follow.
    unsettled: Option<Range<usize>>,
}

/// What a server sends of itself or in reply.
#[derive(Clone, Debug)]
enum Owed {
    Reply(Reply),
    Means,
}

impl Planner<'_> {
    fn error(
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
    fn unroll<'s>(&mut self, steps: &'s [Step], out: &mut Vec<&'s Step>) {
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

    fn sequence(&mut self, steps: &[&Step]) -> Vec<PlannedStep> {
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

    fn together(&mut self, span: &Range<usize>, steps: &[Step]) -> Operation {
        let mut unrolled = Vec::new();
        self.unroll(steps, &mut unrolled);
        let mut lanes: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
        let mut asks_for_means = None;
        for step in unrolled {
            if is_means(step) {
                asks_for_means.get_or_insert(step.span.clone());
            }
            let connection = match &step.kind {
                StepKind::Act { connection, .. } => connection.as_str(),
                StepKind::Either { branches } => first_connection(branches).unwrap_or_default(),
                _ => {
                    self.error(
                        &step.span,
                        "a block that cannot stand in `together`",
                        "steps, `repeat` and `either`",
                    );
                    continue;
                }
            };
            lanes.entry(connection).or_default().push(step);
        }
        if lanes.len() < 2 {
            self.error(
                span,
                "nothing runs together here",
                "steps of two or more connections",
            );
        }
        let means_before = self.means.count();
        let lanes = lanes.values().map(|lane| self.sequence(lane)).collect();
        if let Some(span) = asks_for_means
            && self.means.count() > means_before
        {
            self.error(
                &span,
                "how many means there are is not determined while other sessions exit",
                "`means` after the block",
            );
        }
        Operation::Together(lanes)
    }

    fn either(&mut self, span: &Range<usize>, branches: &[Vec<Step>], out: &mut Vec<PlannedStep>) {
        let Some(name) = first_connection(branches).map(str::to_owned) else {
            return self.error(
                span,
                "a branch does not begin with an expectation, or not on the connection of the first branch",
                "`either {`, `< EXPECTATION`, ..., `} or {`, `< EXPECTATION` on the same connection",
            );
        };
        if branches.len() < 2 {
            return self.error(
                span,
                "there is only one branch",
                "`} or {` and a second branch",
            );
        }
        let connection = self.connection(&name, span, out);
        connection.unsettled = None;
        let id = connection.id;
        let mut planned = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            let mut unrolled = Vec::new();
            self.unroll(branch, &mut unrolled);
            planned.push(if index == 0 {
                self.sequence(&unrolled)
            } else {
                self.unmodelled(&unrolled, id)
            });
        }
        if let Some(connection) = self.open.get_mut(&name) {
            connection.branched = true;
            connection.owed.clear();
        }
        out.push(PlannedStep {
            span: span.clone(),
            connection: id,
            operation: Operation::Either(planned),
        });
    }

    /// A branch that the model does not follow: its numbers stand for themselves.
    fn unmodelled(&mut self, steps: &[&Step], id: usize) -> Vec<PlannedStep> {
        let mut planned = Vec::new();
        for step in steps {
            let operation = match &step.kind {
                StepKind::Act {
                    action: Action::Expect(expectation),
                    ..
                } => match literal_demand(expectation) {
                    Some(demand) => Operation::Expect(demand),
                    None => {
                        self.error(
                            &step.span,
                            "the model does not follow this branch",
                            "numbers written out, `error`, `any`, `rest` or `eof`",
                        );
                        continue;
                    }
                },
                StepKind::Act {
                    action: action @ (Action::SendLine(_) | Action::SendPieces(_)),
                    ..
                } => match self.octets(&step.span, action) {
                    Some(octets) => Operation::Send(octets),
                    None => continue,
                },
                _ => {
                    self.error(
                        &step.span,
                        "this cannot stand in a second branch",
                        "expectations and sending",
                    );
                    continue;
                }
            };
            planned.push(PlannedStep {
                span: step.span.clone(),
                connection: id,
                operation,
            });
        }
        planned
    }

    /// The open connection of that name, opened if it is not.
    fn connection(
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

    fn octets(&mut self, span: &Range<usize>, action: &Action) -> Option<Arc<[u8]>> {
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
            Action::Pause(duration) => {
                // A pause opens nothing: it may stand before the first connection.
                let connection = self.open.get(name).map_or(0, |connection| connection.id);
                return out.push(PlannedStep {
                    span: span.clone(),
                    connection,
                    operation: Operation::Pause(*duration),
                });
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
                self.connection(name, span, out).half_closed = true;
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
            return;
        }
        let answer = connection.session.receive(octets);
        let owed = answer.replies.into_iter();
        connection
            .owed
            .extend(owed.map(|reply| (Owed::Reply(reply), span.clone())));
        if answer.depends_on_limit {
            connection.unsettled = Some(span.clone());
        }
    }

    /// A connection ends without our having waited for what it still owes.
    fn forget(&mut self, name: &str) {
        if let Some(connection) = self.open.remove(name) {
            for (owed, span) in connection.owed {
                if matches!(owed, Owed::Reply(Reply::Exit { count: 1.., .. })) {
                    self.doubtful = Some(span);
                }
            }
        }
    }

    /// Takes the next owed reply as received.
    fn receive(&mut self, name: &str) -> Option<Owed> {
        let connection = self.open.get_mut(name)?;
        let (owed, _) = connection.owed.pop_front()?;
        if let Owed::Reply(Reply::Exit {
            mean: mean @ Quantity::Defined(_),
            ..
        }) = &owed
        {
            self.means.add(&rational(mean.to_f64()));
        }
        Some(owed)
    }

    fn expect(
        &mut self,
        span: &Range<usize>,
        name: &str,
        expectation: &Expectation,
        out: &mut Vec<PlannedStep>,
    ) {
        let connection = self.connection(name, span, out);
        let (id, branched) = (connection.id, connection.branched);
        if let Some(line) = connection.unsettled.take() {
            self.error(
                &line,
                "a right line this long has no agreed meaning: servers may limit lines to 80 octets",
                "at most 79 octets and LF, a line that is bad whatever its length, or `either` behind it",
            );
        }
        let mut demands = Vec::new();
        let precisely = expectation.precisely;
        let mut demand = |what: Demanded| {
            demands.push(Demand {
                precisely,
                ..what.into()
            });
        };
        match &expectation.what {
            Expected::Eof => {
                self.end_is_due(span, name);
                self.open.remove(name);
                demand(Demanded::Eof);
            }
            Expected::Rest => {
                while self.receive(name).is_some() {}
                self.open.remove(name);
                demand(Demanded::Rest);
            }
            _ if branched => self.error(
                span,
                "what this session holds depends on the branch that was followed",
                "`< eof` or `< rest`; other expectations inside the branches",
            ),
            Expected::Nothing(duration) => {
                self.nothing_is_owed(span, name);
                demand(Demanded::Nothing(*duration));
            }
            Expected::Greeting => demand(Demanded::Greeting),
            Expected::Any(lines) => {
                for _ in 0..*lines {
                    if self.receive(name).is_none() {
                        self.error(
                            span,
                            "no reply is due here",
                            "an expectation after what asks for it",
                        );
                        break;
                    }
                    demand(Demanded::Any);
                }
            }
            one_line => {
                let Some(owed) = self.receive(name) else {
                    return self.error(
                        span,
                        "no reply is due here",
                        "an expectation after what asks for it",
                    );
                };
                match self.demanded(span, &owed, one_line) {
                    Ok(demand) => demands.push(Demand {
                        precisely,
                        ..demand
                    }),
                    Err((message, allowed)) => self.error(span, message, allowed),
                }
            }
        }
        out.extend(demands.into_iter().map(|demand| PlannedStep {
            span: span.clone(),
            connection: id,
            operation: Operation::Expect(demand),
        }));
    }

    fn end_is_due(&mut self, span: &Range<usize>, name: &str) {
        self.nothing_is_owed(span, name);
        let due = self.open.get(name).is_some_and(|connection| {
            connection.half_closed
                || connection.branched
                || connection.session.has_ended()
                || connection.port == Port::Secondary
        });
        if !due {
            self.error(
                span,
                "the server has no reason to close",
                "`< eof` after `exit` or `half-close`, or on the secondary port",
            );
        }
    }

    fn nothing_is_owed(&mut self, span: &Range<usize>, name: &str) {
        let owed = self
            .open
            .get(name)
            .is_some_and(|connection| !connection.owed.is_empty());
        if owed {
            self.error(
                span,
                "a reply is due before this",
                "an expectation for every reply, or `< any`",
            );
        }
    }

    /// What an expectation of one line demands, given what the model knows is owed.
    fn demanded(
        &self,
        span: &Range<usize>,
        owed: &Owed,
        expected: &Expected,
    ) -> Result<Demand, (String, String)> {
        let owed = match owed {
            Owed::Reply(reply) => Demanded::from(reply.clone()),
            Owed::Means => {
                if let Some(doubtful) = self
                    .doubtful
                    .clone()
                    .filter(|doubtful| doubtful.start < span.start)
                {
                    let message = "whether an `exit` whose line was not waited for has been counted is not determined";
                    let allowed = format!(
                        "`< exit` for the `exit` sent {} octets before",
                        span.start - doubtful.start
                    );
                    return Err((message.to_owned(), allowed));
                }
                Demanded::Means(self.means.clone())
            }
        };
        let model = format!("`{}`", judge::describe(&owed));
        let literals = match (&owed, expected) {
            (Demanded::Error, Expected::Error) => return Ok(owed.into()),
            (
                Demanded::Count(_) | Demanded::Quantity(_) | Demanded::Exit { .. },
                Expected::Model,
            ) => return Ok(owed.into()),
            (Demanded::Count(_) | Demanded::Quantity(_), Expected::Number(literal)) => {
                vec![literal.clone()]
            }
            (Demanded::Exit { .. }, Expected::Exit(literals)) => {
                literals.clone().map(Vec::from).unwrap_or_default()
            }
            (Demanded::Means(means), Expected::Means { more, numbers }) => {
                if more.is_some_and(|more| more != means.count()) {
                    return Err((
                        "the reference model counts another number of means".to_owned(),
                        model,
                    ));
                }
                let numbers = numbers.clone().map(Vec::from).unwrap_or_default();
                let count = (!numbers.is_empty()).then(|| Literal(means.count().to_string()));
                count.into_iter().chain(numbers).collect()
            }
            (_, Expected::Exactly(line)) => {
                return match judge::judge_line(line, &owed.into(), Dialect::Plain) {
                    Ok(()) => Ok(Demanded::Exactly(line.clone()).into()),
                    Err(_) => Err((
                        "the reference model computes another reply".to_owned(),
                        model,
                    )),
                };
            }
            _ => return Err(("another kind of reply is due here".to_owned(), model)),
        };
        let mut ignored = [false; 3];
        for (index, (quantity, literal)) in owed.quantities().iter().zip(&literals).enumerate() {
            if literal.is_any() {
                ignored[index] = true;
            } else if literal.to_f64().to_bits() != positive_zero(quantity.to_f64()).to_bits() {
                let message = "the reference model computes other numbers";
                return Err((message.to_owned(), model));
            }
        }
        Ok(Demand {
            ignored,
            ..owed.into()
        })
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

fn is_means(step: &Step) -> bool {
    matches!(
        &step.kind,
        StepKind::Act {
            action: Action::Expect(Expectation {
                what: Expected::Means { .. },
                ..
            }),
            ..
        }
    )
}

/// A literal `nan` reads as the one quiet NaN, and zero has no sign in a transcript.
fn positive_zero(value: f64) -> f64 {
    if value == 0.0 {
        0.0
    } else if value.is_nan() {
        f64::NAN
    } else {
        value
    }
}

/// The connection on which all branches begin with an expectation.
fn first_connection(branches: &[Vec<Step>]) -> Option<&str> {
    let first = |branch: &'_ Vec<Step>| match branch.first().map(|step| &step.kind) {
        Some(StepKind::Act {
            connection,
            action: Action::Expect(_),
        }) => Some(connection.clone()),
        _ => None,
    };
    let name = first(branches.first()?)?;
    let same = branches
        .iter()
        .all(|branch| first(branch).as_ref() == Some(&name));
    match branches.first()?.first().map(|step| &step.kind) {
        Some(StepKind::Act { connection, .. }) if same => Some(connection),
        _ => None,
    }
}

/// The demand of an expectation whose numbers stand for themselves.
fn literal_demand(expectation: &Expectation) -> Option<Demand> {
    let quantity = |literal: &Literal| {
        if literal.is_undefined() {
            Quantity::Undefined
        } else {
            Quantity::Defined(Real::Rational(rational(literal.to_f64())))
        }
    };
    let what = match &expectation.what {
        Expected::Number(literal) => Demanded::Quantity(quantity(literal)),
        Expected::Exit(Some([count, mean, stddev])) => Demanded::Exit {
            count: count.0.parse().ok()?,
            mean: quantity(mean),
            stddev: quantity(stddev),
        },
        Expected::Error => Demanded::Error,
        Expected::Exactly(line) => Demanded::Exactly(line.clone()),
        Expected::Any(1) => Demanded::Any,
        Expected::Rest => Demanded::Rest,
        Expected::Eof => Demanded::Eof,
        Expected::Nothing(duration) => Demanded::Nothing(*duration),
        _ => return None,
    };
    Some(Demand {
        precisely: expectation.precisely,
        ..what.into()
    })
}

//! Planning expectations: what the model owes, and whether the transcript says the same.

use std::ops::Range;

use super::planner::{Owed, Planner};
use super::{Operation, PlannedStep};
use crate::dialect::Dialect;
use crate::judge::{self, Demand, Demanded};
use crate::model::Asked;
use crate::profile::Profile;
use crate::transcript::{Expectation, Expected, Literal, Port};

impl Planner<'_> {
    pub(super) fn expect(
        &mut self,
        span: &Range<usize>,
        name: &str,
        expectation: &Expectation,
        out: &mut Vec<PlannedStep>,
    ) {
        let connection = self.connection(name, span, out);
        let (id, branched, may_reset) = (connection.id, connection.branched, connection.surplus);
        if let Some(line) = connection.unsettled.take() {
            self.error(
                &line,
                "a right line this long has no agreed meaning: servers may limit lines to 80 octets",
                "at most 79 octets and LF, a line that is bad whatever its length, or `either` behind it",
            );
        }
        let mut demands = Vec::new();
        let (precisely, in_shape) = (expectation.precisely, expectation.in_shape);
        let strict = |demand: Demand| Demand {
            precisely,
            in_shape,
            may_reset,
            ..demand
        };
        let mut demand = |what: Demanded| demands.push(strict(what.into()));
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
                    let Some(owed) = self.receive(name) else {
                        self.error(
                            span,
                            "no reply is due here",
                            "an expectation after what asks for it",
                        );
                        break;
                    };
                    demands.push(Demand {
                        values_before: owed.values_before(),
                        ..strict(Demanded::Any.into())
                    });
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
                        values_before: owed.values_before(),
                        ..strict(demand)
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
        let asked = match owed {
            Owed::Reply { asked, .. } => asked.clone(),
            Owed::Means => Asked::Means {
                sessions: self.exited.as_slice().into(),
            },
        };
        let owed = match owed {
            Owed::Reply { reply, .. } => Demanded::from(reply.clone()),
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
        let model = format!("`{owed}`");
        let literals = match (&owed, expected) {
            (Demanded::Error, Expected::Error) => return Ok(about(asked, owed)),
            (
                Demanded::Count(_) | Demanded::Quantity(_) | Demanded::Exit { .. },
                Expected::Model,
            ) => return Ok(about(asked, owed)),
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
                return match judge::judge_line(line, &owed.into(), &Profile::of(Dialect::Plain)) {
                    Ok(()) => Ok(about(asked, Demanded::Exactly(line.clone()))),
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
            ..about(asked, owed)
        })
    }
}

/// A demand with what it is about.
fn about(asked: Asked, what: Demanded) -> Demand {
    Demand {
        asked: Some(asked),
        ..what.into()
    }
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

//! One cause, one blame: what failed because of another clause is not judged.
//!
//! A server that floods its client at the end of the stream fails wherever a client happens to end
//! its direction, and one that takes a read for a line wherever lines come quickly. The clause that
//! is about that fails too, and is charged; the others would only hide it.

use std::collections::BTreeSet;

use crate::judge::{Demanded, Mismatch, WrongNumber};
use crate::model::Quantity;
use crate::runner::{CaseResult, Expected, Failure, Outcome};

/// Takes the blame from cases that fail because of another clause that fails in the same run. Each of
/// them is skipped, with the reason.
pub fn attribute(results: &mut [CaseResult<'_>]) {
    let failing: BTreeSet<String> = results
        .iter()
        .filter(|result| result.outcome.is_failure() && result.depends_on.is_none())
        .map(|result| result.case.clause.slug.clone())
        .collect();
    for result in results
        .iter_mut()
        .filter(|result| result.outcome.is_failure())
    {
        let cause = causes(result)
            .into_iter()
            .find(|(cause, _)| failing.contains(*cause))
            .filter(|(cause, _)| *cause != result.case.clause.slug);
        if let Some((cause, why)) = cause {
            result.outcome = Outcome::Skip;
            result.failure = None;
            result.reason = Some(format!("not judged: {why}, see {cause}"));
        }
    }
}

/// The clauses to which a failure may be charged, the likeliest first, and what speaks for it.
fn causes(result: &CaseResult<'_>) -> Vec<(&'static str, &'static str)> {
    const BY_ITSELF: &str = "its lines are cut, or come before replies";
    let mut causes = Vec::new();
    if let Some(clause) = result.depends_on {
        causes.push((clause, BY_ITSELF));
        causes.extend(["line.pipelining", "line.segments"].map(|clause| (clause, BY_ITSELF)));
    }
    if let Some(failure) = &result.failure {
        causes.extend(
            RULES
                .iter()
                .filter(|rule| (rule.holds)(failure))
                .map(|rule| (rule.clause, rule.why)),
        );
    }
    causes
}

/// What a failure looks like that another clause explains, if that fails too.
struct Rule {
    clause: &'static str,
    why: &'static str,
    holds: fn(&Failure) -> bool,
}

const RULES: &[Rule] = &[
    Rule {
        clause: "session.eof",
        why: "the server goes on talking behind the client's end",
        holds: |failure| failure.half_closed && says_too_much(failure),
    },
    Rule {
        clause: "session.delivery",
        why: "the server resets a connection with unread input",
        holds: |failure| is_reset_unread(failure) && !failure.secondary,
    },
    Rule {
        clause: "meta.input",
        why: "the server resets a connection with unread input",
        holds: |failure| is_reset_unread(failure) && failure.secondary,
    },
    Rule {
        clause: "number.form",
        why: "a number has too few digits",
        holds: |failure| {
            matches!(
                failure.mismatch,
                Some(Mismatch::Number(_, WrongNumber::Coarse(_)))
            )
        },
    },
    Rule {
        clause: "number.undefined",
        why: "what is undefined gets no reply",
        holds: |failure| {
            failure.outcome == Outcome::Timeout
                && matches!(
                    failure.expected,
                    Expected::Reply(Demanded::Quantity(Quantity::Undefined))
                )
        },
    },
    Rule {
        clause: "session.exit-line",
        why: "the exit line does not hold count, mean and deviation",
        holds: |failure| matches!(failure.expected, Expected::Reply(Demanded::Exit { .. })),
    },
    Rule {
        clause: "meta.line",
        why: "the secondary port does not send one line of three numbers",
        holds: |failure| {
            failure.secondary
                && !matches!(
                    failure.mismatch,
                    Some(Mismatch::Number(..) | Mismatch::Shape)
                )
        },
    },
];

/// Whether a connection was reset on which the client had sent what the server need not read.
fn is_reset_unread(failure: &Failure) -> bool {
    failure.unread && failure.outcome == Outcome::Reset
}

/// Whether a line came where the end was expected, or nothing.
fn says_too_much(failure: &Failure) -> bool {
    let end = matches!(failure.expected, Expected::NothingMore) || failure.expects_eof();
    end && matches!(failure.mismatch, Some(Mismatch::Unexpected))
}

//! One cause, one blame: what failed because of another clause is not judged.
//!
//! A server that floods its client at the end of the stream fails wherever a client happens to end
//! its direction, and one that takes a read for a line wherever lines come quickly. The clause that
//! is about that fails too, and is charged; the others would only hide it.

use std::collections::BTreeSet;

use crate::judge::Mismatch;
use crate::runner::{CaseResult, Expected, Failure, Outcome};

/// Takes the blame from cases that fail because of another clause that fails in the same run. Each of
/// them is skipped, with the reason.
pub fn attribute(results: &mut [CaseResult<'_>]) {
    let failing: BTreeSet<String> = results
        .iter()
        .filter(|result| result.outcome.is_failure() && result.passes_line_by_line.is_none())
        .map(|result| result.case.clause.slug.clone())
        .collect();
    for result in results
        .iter_mut()
        .filter(|result| result.outcome.is_failure())
    {
        let causes = causes(result);
        let slug = result.case.clause.slug.as_str();
        if causes.iter().any(|(cause, _)| *cause == slug) {
            continue;
        }
        let cause = causes
            .into_iter()
            .find(|(cause, _)| failing.contains(*cause));
        if let Some((cause, why)) = cause {
            result.outcome = Outcome::Skip;
            result.failure = None;
            result.reason = Some(format!("not judged: {why}, see {cause}"));
        }
    }
}

/// The clauses to which a failure may be charged, the likeliest first, and what speaks for it.
fn causes(result: &CaseResult<'_>) -> Vec<(&'static str, &'static str)> {
    const BY_ITSELF: &str = "it passes when each line is sent by itself";
    let mut causes = Vec::new();
    if let Some(clause) = result.passes_line_by_line {
        causes.push((clause, BY_ITSELF));
        causes.extend(["line.pipelining", "line.segments"].map(|clause| (clause, BY_ITSELF)));
    }
    if let Some(failure) = &result.failure {
        if failure.half_closed && says_too_much(failure) {
            causes.push((
                "session.eof",
                "the server goes on talking behind the client's end",
            ));
        }
        if failure.unread && failure.outcome == Outcome::Reset {
            const WHY: &str = "the server resets a connection with unread input";
            causes.extend([("session.delivery", WHY), ("meta.input", WHY)]);
        }
    }
    causes
}

/// Whether a line came where the end was expected, or nothing.
fn says_too_much(failure: &Failure) -> bool {
    let end = matches!(failure.expected, Expected::NothingMore) || failure.expects_eof();
    end && matches!(failure.mismatch, Some(Mismatch::Unexpected))
}

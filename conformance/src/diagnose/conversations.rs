//! Wrong conversations: faults in how lines, ends and processes are treated, recognised by which cases they break and how.

use super::{Certainty, Diagnosis};
use crate::judge;
use crate::runner::{CaseResult, Failure, Outcome};
use crate::spec::Level;
use crate::trace::What;

/// A fault and how it shows.
struct Pattern {
    sentence: &'static str,
    /// Whether a failed case looks like this fault.
    shows: fn(&CaseResult<'_>, &Failure) -> bool,
    /// Clauses of which one has to fail, lest something else is at work.
    clauses: &'static [&'static str],
}

const PATTERNS: &[Pattern] = &[
    Pattern {
        sentence: "whatever one `read` returns is taken for one line: of several lines in one segment only the first is answered; keep a buffer, and \
                   take lines from it until there is no newline left",
        shows: |result, failure| failure.outcome == Outcome::Timeout && sent_ahead(result),
        clauses: &["line.pipelining"],
    },
    Pattern {
        sentence: "a line that arrives in several segments is taken for several lines; keep what has no newline yet until the rest arrives",
        shows: |result, failure| failure.outcome == Outcome::Fail && sent_in_pieces(result),
        clauses: &["line.segments"],
    },
    Pattern {
        sentence: "a word that only begins like a command is taken for the command; compare the whole line",
        shows: |result, failure| {
            failure.expects_error() && result.case.clause.slug.starts_with("command.")
        },
        clauses: &["command.exact"],
    },
    Pattern {
        sentence: "a number followed by something else is taken for the number; check where `strtod` stopped",
        shows: |result, failure| {
            let at_the_end = [
                "value.nothing-after",
                "value.one-per-line",
                "line.octets",
                "command.alone",
            ];
            failure.expects_error() && at_the_end.contains(&result.case.clause.slug.as_str())
        },
        clauses: &["value.nothing-after"],
    },
    Pattern {
        sentence: "zero is taken for a bad line; `atof` and its like cannot tell zero from an error, `strtod` can",
        shows: |result, failure| refused(failure) && result.case.clause.slug == "value.zero",
        clauses: &["value.zero"],
    },
    Pattern {
        sentence: "negative numbers are taken for bad lines",
        shows: |_, failure| refused(failure),
        clauses: &["value.negative"],
    },
    Pattern {
        sentence: "commands are compared without regard to case",
        shows: |result, failure| {
            failure.expects_error()
                && holds_number(failure)
                && result.case.clause.slug == "command.case"
        },
        clauses: &["command.case"],
    },
    Pattern {
        sentence: "a bad line ends the session; it deserves an error line, and the session goes on",
        shows: |result, failure| closed(failure) && got_error(result),
        clauses: &["error.session-goes-on"],
    },
    Pattern {
        sentence: "a bad line gets no reply",
        shows: |_, failure| failure.expects_error() && failure.outcome != Outcome::Reset,
        clauses: &["error.reply"],
    },
    Pattern {
        sentence: "the connection is closed while input is unread, so that the kernel resets it and drops replies in flight; end your direction first \
                   (`shutdown`), read until the client has closed, then close",
        shows: |_, failure| failure.outcome == Outcome::Reset,
        clauses: &["session.delivery"],
    },
    Pattern {
        sentence: "the exit line goes out before the mean is recorded, so that a client which asks the secondary port next may miss its own session; \
                   write to the pipe first, and drain the pipe before you answer",
        shows: |result, failure| {
            result.case.clause.slug == "meta.own-writes" && failure.outcome == Outcome::Fail
        },
        clauses: &["meta.own-writes"],
    },
    Pattern {
        sentence: "a session that ended without `exit` leaves a mean behind",
        shows: |result, failure| {
            result.case.clause.slug == "meta.no-exit" && failure.outcome == Outcome::Fail
        },
        clauses: &["meta.no-exit"],
    },
    Pattern {
        sentence: "a last line without newline is processed when the client has gone",
        shows: |result, _| {
            ["session.unterminated", "meta.no-exit"].contains(&result.case.clause.slug.as_str())
        },
        clauses: &["session.unterminated"],
    },
    Pattern {
        sentence: "sessions see what belongs to others; every session needs its own buffers and its own statistics",
        shows: |result, _| {
            result.case.case.transcript.has_concurrent_steps()
                || result.case.clause.slug.starts_with("isolation.")
        },
        clauses: &["isolation.statistics", "session.concurrent"],
    },
    Pattern {
        sentence: "the secondary port waits for input; it has to send its line on connect",
        shows: |result, failure| {
            failure.outcome == Outcome::Timeout && result.case.uses_secondary()
        },
        clauses: &["meta.line"],
    },
    Pattern {
        sentence: "the connection stays open after the exit line",
        shows: |_, failure| failure.expects_eof() && failure.outcome == Outcome::Timeout,
        clauses: &["session.end"],
    },
    Pattern {
        sentence: "a reply has no newline at its end",
        shows: |_, failure| failure.observed.is_unterminated(),
        clauses: &["line.lf", "command.count"],
    },
];

/// Whether several lines were sent without waiting for what came back.
fn sent_ahead(result: &CaseResult<'_>) -> bool {
    let mut lines = 0;
    for event in &result.trace {
        match &event.what {
            What::Sent(octets) => lines += octets.iter().filter(|&&octet| octet == b'\n').count(),
            What::Received(_) => lines = 0,
            _ => {}
        }
        if lines > 1 {
            return true;
        }
    }
    false
}

/// Whether something was sent that did not end with a newline.
fn sent_in_pieces(result: &CaseResult<'_>) -> bool {
    result.trace.iter().any(|event| match &event.what {
        What::Sent(octets) => octets.last().is_some_and(|&octet| octet != b'\n'),
        _ => false,
    })
}

/// A number was due and an error line came.
fn refused(failure: &Failure) -> bool {
    failure.observed.bytes().starts_with(b"Error") && !failure.expects_error()
}

fn got_error(result: &CaseResult<'_>) -> bool {
    result.trace.iter().any(|event| match &event.what {
        What::Received(octets) => octets.starts_with(b"Error"),
        _ => false,
    })
}

fn holds_number(failure: &Failure) -> bool {
    failure.outcome == Outcome::Fail && !judge::numbers(failure.observed.bytes()).is_empty()
}

fn closed(failure: &Failure) -> bool {
    failure.outcome == Outcome::Reset || failure.observed.is_eof()
}

pub(super) fn diagnose(results: &[CaseResult<'_>]) -> Vec<Diagnosis> {
    let failed: Vec<(&CaseResult<'_>, &Failure)> = results
        .iter()
        .filter_map(|result| Some((result, result.failure.as_ref()?)))
        .collect();
    // Where a MUST is broken, what only a careful server does would confuse.
    let binding: Vec<_> = failed
        .iter()
        .copied()
        .filter(|(result, _)| result.case.clause.level == Level::Must)
        .collect();
    let failed = if binding.is_empty() { failed } else { binding };
    let mut found = Vec::new();
    for pattern in PATTERNS {
        let showing: Vec<_> = failed
            .iter()
            .filter(|(result, failure)| (pattern.shows)(result, failure))
            .collect();
        let of_clause =
            |result: &&CaseResult<'_>| pattern.clauses.contains(&result.case.clause.slug.as_str());
        if !showing.iter().any(|(result, _)| of_clause(result)) {
            continue;
        }
        let certain = showing.len() == failed.len() && showing.len() > 1;
        found.push(Diagnosis {
            certainty: if certain {
                Certainty::Certain
            } else {
                Certainty::Likely
            },
            sentence: format!(
                "{} ({} of {} failed cases look like it)",
                pattern.sentence,
                showing.len(),
                failed.len()
            ),
        });
    }
    let spinning = results.iter().filter(|result| result.spun).count();
    if spinning > 0 {
        found.push(Diagnosis {
            certainty: Certainty::Certain,
            sentence: format!(
                "a process of the server burns processor time although no client is connected, after {spinning} cases: `read` returning 0 is the end \
                 of the session, not an empty line"
            ),
        });
    }
    found
}

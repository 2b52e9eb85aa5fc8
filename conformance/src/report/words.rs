//! The words of a failure: the only place that makes sentences of what [`crate::runner`] found.

use crate::client::End;
use crate::judge::{Mismatch, Part, WrongNumber};
use crate::runner::{Expected, Failure, Late, Observed, ProcessState};
use crate::trace::Shown;
use crate::transcript::Check;

/// What was expected.
pub fn expected(failure: &Failure) -> String {
    match &failure.expected {
        Expected::Reply(demanded) => demanded.to_string(),
        Expected::NothingMore => "nothing more".to_owned(),
        Expected::Connection(address) => format!("a connection to {address}"),
        Expected::Process(check) => check_text(*check).to_owned(),
        Expected::Running => "a server that keeps running".to_owned(),
        Expected::Answer => "a server that answers a new session after the case".to_owned(),
        Expected::Case => "the case to run".to_owned(),
    }
}

fn check_text(check: Check) -> &'static str {
    match check {
        Check::Reaped => {
            "no child that has ended and is not reaped, or two at most while clients keep connecting"
        }
        Check::Alone => "no more children than when the case began",
        Check::Descriptors => "at most 8 more open descriptors than when the case began",
        Check::Idle => "processes that wait while nobody says anything",
        Check::Terminate => "an end on SIGTERM",
        Check::Kill => "children that end with the server",
        Check::Restart => "a server that starts again on the same ports",
    }
}

/// What was received, or seen.
pub fn received(failure: &Failure) -> String {
    observed(&failure.observed)
}

fn observed(observed: &Observed) -> String {
    match observed {
        Observed::Line(line) => Shown(line).to_string(),
        Observed::End { end, rest } => {
            let how = match end {
                End::Eof => "the server closed the connection",
                End::Reset => "the server reset the connection",
                End::Failed(why) => why,
            };
            format!("{}{how}", before(rest))
        }
        Observed::Silence { rest, waited } => {
            let waited = humantime::format_duration(*waited);
            format!("{}nothing for {waited}", before(rest))
        }
        Observed::NotConnected(why) | Observed::NotRun(why) => why.clone(),
        Observed::Process(state) => process(state),
        Observed::Exited(status) => format!("the server process ended ({status})"),
        Observed::NoAnswer => "no answer".to_owned(),
    }
}

fn before(rest: &[u8]) -> String {
    match rest {
        [] => String::new(),
        rest => format!("{} without a newline, then ", Shown(rest)),
    }
}

fn process(state: &ProcessState) -> String {
    match state {
        ProcessState::Zombies(count) => format!("{count} zombies"),
        ProcessState::Children { before, now } => format!("{now} children, {before} before"),
        ProcessState::Descriptors { before, now } => format!("{now}, {before} before"),
        ProcessState::Busy => "one that is always running".to_owned(),
        ProcessState::Running => "the server still runs".to_owned(),
        ProcessState::Orphans(count) => format!("{count} still run"),
        ProcessState::NotStarted(why) => why.clone(),
    }
}

/// Why that is not good enough, in addition; may be empty.
pub fn why(failure: &Failure) -> String {
    match (&failure.mismatch, &failure.late) {
        (Some(mismatch), _) => mismatch_text(mismatch),
        (None, Some(late)) => late_text(late),
        (None, None) => String::new(),
    }
}

fn late_text(late: &Late) -> String {
    let what = match &late.what {
        Observed::End { end: End::Eof, .. } => "the end of the stream".to_owned(),
        Observed::End { .. } => "a reset".to_owned(),
        other => observed(other),
    };
    format!(
        "{what} came after {:.1} s: the server is slow, not silent; --timeout gives it more time",
        late.after.as_secs_f64()
    )
}

fn mismatch_text(mismatch: &Mismatch) -> String {
    match mismatch {
        Mismatch::Text => "the line differs".to_owned(),
        Mismatch::Unexpected => "the server sent a line that nothing asked for".to_owned(),
        Mismatch::NoBranch => "no branch begins with this".to_owned(),
        Mismatch::Shape => {
            "lines of this kind looked otherwise when the runner learned how the server talks"
                .to_owned()
        }
        Mismatch::EmptyError => "an empty line tells nobody that there was an error".to_owned(),
        Mismatch::ReplyInError => {
            "the line looks like the reply to a good line, so it is no error line".to_owned()
        }
        Mismatch::NumberCount { actual: 0, .. } => "there is no number in the line".to_owned(),
        Mismatch::NumberCount { actual, expected } => {
            format!("the line holds {actual} numbers, {expected} are expected")
        }
        Mismatch::Number(part, wrong) => {
            let name = match part {
                Part::Only => "",
                Part::Count => "the count is wrong: ",
                Part::Mean => "the mean is wrong: ",
                Part::Stddev => "the standard deviation is wrong: ",
            };
            format!("{name}{}", wrong_number(wrong))
        }
    }
}

fn wrong_number(wrong: &WrongNumber) -> String {
    match wrong {
        WrongNumber::Other(exact) => format!("{exact} is expected"),
        WrongNumber::Imprecise(exact) => format!(
            "close, but {exact} is expected, or that rounded to the decimals shown, two at least"
        ),
        WrongNumber::Coarse(exact) => format!(
            "right as far as it goes, but {exact} is expected with two decimals or six digits at least"
        ),
        WrongNumber::Undefined => "the quantity is undefined, `nan` is expected".to_owned(),
        WrongNumber::Count { expected, added } => {
            format!("{expected} is expected, {added} more than before the case")
        }
    }
}

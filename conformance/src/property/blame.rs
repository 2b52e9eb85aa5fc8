//! Which clause a failure most likely breaks. The script is the smallest that fails, so what is in
//! it matters.

use super::script::{Formatting, Operation, Script, ScriptStep};
use super::signature::ReplyKind;

fn any(script: &Script, is: impl Fn(&ScriptStep) -> bool) -> bool {
    script.steps.iter().any(is)
}

fn values(script: &Script) -> impl Iterator<Item = (&str, u32)> {
    script
        .steps
        .iter()
        .filter_map(|step| match &step.operation {
            Operation::Value { text, times } => Some((text.as_str(), *times)),
            _ => None,
        })
}

fn has_bad_line(script: &Script) -> bool {
    any(script, |step| matches!(step.operation, Operation::Bad(..)))
}

/// In one session, sent line by line.
pub(super) fn by_reply(script: &Script, reply: Option<ReplyKind>) -> &'static str {
    let texts: Vec<&str> = values(script).map(|(text, _)| text).collect();
    let number: u32 = values(script).map(|(_, times)| times).sum();
    match reply {
        Some(ReplyKind::Error) => "error.reply",
        Some(ReplyKind::Eof)
            if any(script, |step| {
                matches!(step.operation, Operation::Exit { .. })
            }) =>
        {
            "session.end"
        }
        Some(ReplyKind::Eof) => "session.eof",
        _ if has_bad_line(script) => "error.no-effect",
        _ if number > 200 => "number.many",
        _ if any(script, |step| {
            matches!(step.formatting, Formatting::Leading(_))
        }) =>
        {
            "line.leading-spaces"
        }
        _ if any(script, |step| step.operation == Operation::HalfClose) => "session.half-close",
        Some(ReplyKind::Count) if script.negative => "value.negative",
        Some(ReplyKind::Count) if texts.iter().any(|text| text.contains(['e', 'E'])) => {
            "value.exponent"
        }
        Some(ReplyKind::Count) if texts.iter().any(|text| text.contains('+')) => "value.sign",
        Some(ReplyKind::Count) if texts.iter().any(|text| text.contains('.')) => "value.decimal",
        Some(ReplyKind::Count) if texts == ["0"] => "value.zero",
        Some(ReplyKind::Count) => "command.count",
        Some(ReplyKind::Sum) => "command.sum",
        Some(ReplyKind::Mean | ReplyKind::Stddev) if number == 0 => "number.undefined",
        Some(ReplyKind::Stddev) if number == 1 => "number.undefined",
        Some(ReplyKind::Mean) => "command.mean",
        Some(ReplyKind::Stddev) => "number.sample",
        Some(ReplyKind::Exit) => "session.exit-line",
        Some(ReplyKind::Means | ReplyKind::MeansStddev) => "meta.line",
        None => "command.one-reply",
    }
}

/// Only with bad lines between the others.
pub(super) fn error_no_effect(_: &Script, reply: Option<ReplyKind>) -> &'static str {
    match reply {
        Some(ReplyKind::Error) => "error.reply",
        _ => "error.no-effect",
    }
}

/// Only when the bytes are cut like this.
pub(super) fn by_cuts(script: &Script, _: Option<ReplyKind>) -> &'static str {
    match &script.cuts {
        Some(cuts) if !cuts.is_empty() => "line.segments",
        _ => "line.pipelining",
    }
}

/// Only without time between one step and the next.
pub(super) fn by_timing(_: &Script, reply: Option<ReplyKind>) -> &'static str {
    match reply {
        Some(ReplyKind::Means) => "meta.own-writes",
        _ => "line.pipelining",
    }
}

/// Only with this at the end of the lines.
pub(super) fn by_formatting(script: &Script, _: Option<ReplyKind>) -> &'static str {
    if any(script, |step| step.formatting == Formatting::Cr) {
        "line.cr"
    } else {
        "line.trailing-spaces"
    }
}

/// On the secondary port.
pub(super) fn by_means(script: &Script, reply: Option<ReplyKind>) -> &'static str {
    let exits = script
        .steps
        .iter()
        .filter(|step| matches!(step.operation, Operation::Exit { .. }))
        .count();
    let leaves = |step: &ScriptStep| {
        matches!(
            step.operation,
            Operation::HalfClose | Operation::Close | Operation::Reset | Operation::Part(_)
        )
    };
    match reply {
        Some(ReplyKind::Means) if any(script, leaves) => "meta.no-exit",
        Some(ReplyKind::MeansStddev) => "meta.stddev",
        Some(ReplyKind::Means) if exits < 2 => {
            if script.negative || values(script).all(|(text, _)| text == "0") {
                "meta.any-mean"
            } else {
                "meta.count"
            }
        }
        Some(ReplyKind::Means) => "meta.mean",
        reply => by_reply(script, reply),
    }
}

/// In numbers that are far from each other, or near to each other and far from zero.
pub(super) fn by_precision(script: &Script, reply: Option<ReplyKind>) -> &'static str {
    match reply {
        Some(ReplyKind::Sum) if values(script).count() == 1 => "value.nearest",
        Some(ReplyKind::Sum) => "number.exact-sum",
        Some(ReplyKind::Mean) => "number.exact-mean",
        Some(ReplyKind::Stddev) => "number.exact-deviation",
        reply => by_reply(script, reply),
    }
}

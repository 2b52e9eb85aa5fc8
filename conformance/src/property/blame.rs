//! Which clause a failure most likely breaks. The script is the smallest that fails, so what is in
//! it matters.

use super::script::{Formatting, Operation, Script, ScriptStep};
use super::signature::ReplyKind::{
    self, Count, Eof, Error, Exit, Mean, Means, MeansStddev, Stddev, Sum,
};

fn any(script: &Script, is: fn(&Operation) -> bool) -> bool {
    script.steps.iter().any(|step| is(&step.operation))
}

fn values(script: &Script) -> impl Iterator<Item = (&str, u32)> {
    script.steps.iter().filter_map(ScriptStep::value)
}

/// In one session, sent line by line.
pub(super) fn by_reply(script: &Script, reply: Option<ReplyKind>) -> &'static str {
    let number: u32 = values(script).map(|(_, times)| times).sum();
    let is_written_with = |mark: &[char]| values(script).any(|(text, _)| text.contains(mark));
    let is_indented = |step: &ScriptStep| matches!(step.formatting, Formatting::Leading(_));
    match reply {
        Some(Error) => "error.reply",
        Some(Eof) if any(script, |of| matches!(of, Operation::Exit { .. })) => "session.end",
        Some(Eof) => "session.eof",
        _ if any(script, |of| matches!(of, Operation::Bad(..))) => "error.no-effect",
        _ if number > 200 => "number.many",
        _ if script.steps.iter().any(is_indented) => "line.leading-spaces",
        _ if any(script, |of| *of == Operation::HalfClose) => "session.half-close",
        Some(Count) if script.negative => "value.negative",
        Some(Count) if is_written_with(&['e', 'E']) => "value.exponent",
        Some(Count) if is_written_with(&['+']) => "value.sign",
        Some(Count) if is_written_with(&['.']) => "value.decimal",
        Some(Count) if values(script).map(|(text, _)| text).eq(["0"]) => "value.zero",
        Some(Count) => "command.count",
        Some(Sum) => "command.sum",
        Some(Mean | Stddev) if number == 0 => "number.undefined",
        Some(Stddev) if number == 1 => "number.undefined",
        Some(Mean) => "command.mean",
        Some(Stddev) => "number.sample",
        Some(Exit) => "session.exit-line",
        Some(Means | MeansStddev) => "meta.line",
        None => "command.one-reply",
    }
}

/// Only with bad lines between the others.
pub(super) fn error_no_effect(_: &Script, reply: Option<ReplyKind>) -> &'static str {
    match reply {
        Some(Error) => "error.reply",
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
        Some(Means) => "meta.own-writes",
        _ => "line.pipelining",
    }
}

/// Only with this at the end of the lines.
pub(super) fn by_formatting(script: &Script, _: Option<ReplyKind>) -> &'static str {
    let has_cr = |step: &ScriptStep| step.formatting == Formatting::Cr;
    if script.steps.iter().any(has_cr) {
        "line.cr"
    } else {
        "line.trailing-spaces"
    }
}

/// On the secondary port.
pub(super) fn by_means(script: &Script, reply: Option<ReplyKind>) -> &'static str {
    let is_exit = |step: &&ScriptStep| matches!(step.operation, Operation::Exit { .. });
    let exits = script.steps.iter().filter(is_exit).count();
    let mut leaving = script.steps.iter().filter(|step| !is_exit(step));
    match reply {
        Some(Means) if leaving.any(ScriptStep::ends_session) => "meta.no-exit",
        Some(MeansStddev) => "meta.stddev",
        Some(Means) if exits >= 2 => "meta.mean",
        Some(Means) if script.negative => "meta.any-mean",
        Some(Means) if values(script).all(|(text, _)| text == "0") => "meta.any-mean",
        Some(Means) => "meta.count",
        reply => by_reply(script, reply),
    }
}

/// In numbers that are far from each other, or near to each other and far from zero.
pub(super) fn by_precision(script: &Script, reply: Option<ReplyKind>) -> &'static str {
    match reply {
        Some(Sum) if values(script).count() == 1 => "value.nearest",
        Some(Sum) => "number.exact-sum",
        Some(Mean) => "number.exact-mean",
        Some(Stddev) => "number.exact-deviation",
        reply => by_reply(script, reply),
    }
}

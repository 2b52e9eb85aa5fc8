//! Which clause a failure most likely breaks. The script is the smallest that fails, so what is in it matters.

use super::script::{Act, Deed, Dress, Script};
use super::way::Due;

fn any(script: &Script, is: impl Fn(&Act) -> bool) -> bool {
    script.acts.iter().any(is)
}

fn values(script: &Script) -> impl Iterator<Item = (&str, u32)> {
    script.acts.iter().filter_map(|act| match &act.deed {
        Deed::Value { text, times } => Some((text.as_str(), *times)),
        _ => None,
    })
}

fn has_bad_line(script: &Script) -> bool {
    any(script, |act| matches!(act.deed, Deed::Bad(..)))
}

/// In one session, sent line by line.
pub(super) fn by_reply(script: &Script, due: Option<Due>) -> &'static str {
    let texts: Vec<&str> = values(script).map(|(text, _)| text).collect();
    let number: u32 = values(script).map(|(_, times)| times).sum();
    match due {
        Some(Due::Error) => "error.reply",
        Some(Due::Eof) if any(script, |act| matches!(act.deed, Deed::Exit { .. })) => "session.end",
        Some(Due::Eof) => "session.eof",
        _ if has_bad_line(script) => "error.no-effect",
        _ if number > 200 => "number.many",
        _ if any(script, |act| matches!(act.dress, Dress::Leading(_))) => "line.leading-spaces",
        _ if any(script, |act| act.deed == Deed::HalfClose) => "session.half-close",
        Some(Due::Count) if script.negative => "value.negative",
        Some(Due::Count) if texts.iter().any(|text| text.contains(['e', 'E'])) => "value.exponent",
        Some(Due::Count) if texts.iter().any(|text| text.contains('+')) => "value.sign",
        Some(Due::Count) if texts.iter().any(|text| text.contains('.')) => "value.decimal",
        Some(Due::Count) if texts == ["0"] => "value.zero",
        Some(Due::Count) => "command.count",
        Some(Due::Sum) => "command.sum",
        Some(Due::Mean | Due::Stddev) if number == 0 => "number.undefined",
        Some(Due::Stddev) if number == 1 => "number.undefined",
        Some(Due::Mean) => "command.mean",
        Some(Due::Stddev) => "number.sample",
        Some(Due::Exit) => "session.exit-line",
        Some(Due::Means | Due::MeansStddev) => "meta.line",
        None => "command.one-reply",
    }
}

/// Only with bad lines between the others.
pub(super) fn error_no_effect(_: &Script, due: Option<Due>) -> &'static str {
    match due {
        Some(Due::Error) => "error.reply",
        _ => "error.no-effect",
    }
}

/// Only when the octets are cut like this.
pub(super) fn by_cuts(script: &Script, _: Option<Due>) -> &'static str {
    match &script.cuts {
        Some(cuts) if !cuts.is_empty() => "line.segments",
        _ => "line.pipelining",
    }
}

/// Only without time between one step and the next.
pub(super) fn by_haste(_: &Script, due: Option<Due>) -> &'static str {
    match due {
        Some(Due::Means) => "meta.own-writes",
        _ => "line.pipelining",
    }
}

/// Only with this at the end of the lines.
pub(super) fn by_dress(script: &Script, _: Option<Due>) -> &'static str {
    if any(script, |act| act.dress == Dress::Cr) {
        "line.cr"
    } else {
        "line.trailing-spaces"
    }
}

/// On the secondary port.
pub(super) fn by_means(script: &Script, due: Option<Due>) -> &'static str {
    let exits = script
        .acts
        .iter()
        .filter(|act| matches!(act.deed, Deed::Exit { .. }))
        .count();
    let leaves = |act: &Act| {
        matches!(
            act.deed,
            Deed::HalfClose | Deed::Close | Deed::Reset | Deed::Part(_)
        )
    };
    match due {
        Some(Due::Means) if any(script, leaves) => "meta.no-exit",
        Some(Due::MeansStddev) => "meta.stddev",
        Some(Due::Means) if exits < 2 => {
            if script.negative || values(script).all(|(text, _)| text == "0") {
                "meta.any-mean"
            } else {
                "meta.count"
            }
        }
        Some(Due::Means) => "meta.mean",
        due => by_reply(script, due),
    }
}

/// In numbers that are far from each other, or near to each other and far from zero.
pub(super) fn by_precision(script: &Script, due: Option<Due>) -> &'static str {
    match due {
        Some(Due::Sum) if values(script).count() == 1 => "value.nearest",
        Some(Due::Sum) => "number.exact-sum",
        Some(Due::Mean) => "number.exact-mean",
        Some(Due::Stddev) => "number.exact-deviation",
        due => by_reply(script, due),
    }
}

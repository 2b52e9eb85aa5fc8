//! A server profile: how a server words what the seed leaves open.
//!
//! [`crate::runner::probe`] learns it before the first case, and MUST cases are judged through it.
//! The exact words of the two dialects stay the matter of SHOULD clauses.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::dialect::{Dialect, GREETING};
use crate::judge;

/// The kinds of lines whose wording is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineKind {
    /// The reply to `count`.
    Count,
    /// The reply to `sum`.
    Sum,
    /// The reply to `mean`, where there is one.
    Mean,
    /// The reply to `stddev`, where there is one.
    Stddev,
    /// The exit line of a session with at least two values.
    Exit,
    /// The line of the secondary port.
    Means,
}

/// How a server talks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The dialect whose exact words the server is held to in SHOULD cases.
    pub dialect: Dialect,
    /// The lines that it sends when a session begins, each as its [`shape`].
    #[serde(default)]
    pub greeting: Vec<String>,
    /// The shape of the line with which it answers each value; absent where it answers none.
    #[serde(default)]
    pub acknowledgement: Option<String>,
    /// The shapes of the lines that follow its replies although nothing asked for them. Cases about
    /// something else read them away.
    #[serde(default)]
    pub noise: BTreeSet<String>,
    /// What its replies to bad lines have in common.
    #[serde(default)]
    pub error: ErrorForm,
    /// How it replies to `mean` without values; absent where it did not.
    #[serde(default)]
    pub undefined: Option<String>,
    /// The shapes of the lines that hold numbers.
    #[serde(default)]
    pub shapes: BTreeMap<LineKind, String>,
}

/// What the replies to bad lines have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorForm {
    /// How they begin.
    #[serde(default)]
    pub prefix: String,
    /// How they end.
    #[serde(default)]
    pub suffix: String,
}

impl Profile {
    /// What a dialect prescribes.
    pub fn of(dialect: Dialect) -> Profile {
        let greeting = match dialect {
            Dialect::Plain => Vec::new(),
            Dialect::Classic => vec![shape(GREETING)],
        };
        Profile {
            dialect,
            greeting,
            acknowledgement: None,
            noise: BTreeSet::new(),
            error: ErrorForm::default(),
            undefined: None,
            shapes: BTreeMap::new(),
        }
    }

    /// Whether a line may be taken for the reply to a good line, by the shapes that were learned.
    pub fn looks_like_reply(&self, line: &[u8]) -> bool {
        let shape = shape(line);
        let mut known = self.shapes.values();
        known.any(|known| *known == shape) || self.acknowledgement.as_ref() == Some(&shape)
    }

    /// Whether a line has the shape that lines of its kind had when the profile was learned. A kind
    /// of which no line was seen has any shape.
    pub fn has_shape(&self, kind: LineKind, line: &[u8]) -> bool {
        self.shapes
            .get(&kind)
            .is_none_or(|known| *known == shape(line))
    }
}

impl ErrorForm {
    /// What some replies to different bad lines have in common.
    pub fn learn(lines: &[Vec<u8>]) -> ErrorForm {
        let texts: Vec<String> = lines.iter().map(|line| text(line)).collect();
        let Some((first, others)) = texts.split_first() else {
            return ErrorForm::default();
        };
        let (mut prefix, mut suffix) = (first.clone(), first.clone());
        for other in others {
            let same = |(a, b): &(char, char)| a == b;
            let ahead = prefix.chars().zip(other.chars()).take_while(same).count();
            prefix = prefix.chars().take(ahead).collect();
            let behind = suffix.chars().rev().zip(other.chars().rev());
            let behind = behind.take_while(same).count();
            let skipped = suffix.chars().count() - behind;
            suffix = suffix.chars().skip(skipped).collect();
        }
        ErrorForm { prefix, suffix }
    }

    /// Whether a line begins or ends as all replies to bad lines did. What they have in common must
    /// hold a word, or replies of every kind would have it in common.
    pub fn matches(&self, line: &[u8]) -> bool {
        let line = text(line);
        has_word(&self.prefix) && line.starts_with(&self.prefix)
            || has_word(&self.suffix) && line.ends_with(&self.suffix)
    }
}

/// Whether a text holds more than numbers and punctuation.
pub(crate) fn has_word(text: &str) -> bool {
    /// Fewer letters than this may be an exponent.
    const MIN_LETTERS: usize = 2;

    text.chars().filter(|c| c.is_alphabetic()).count() >= MIN_LETTERS
}

/// A line as text, without what stands invisibly at its end.
fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.trim_ascii_end()).into_owned()
}

/// A line with `#` for each of its numbers, and without what stands invisibly at its end: two lines
/// of one kind differ in their numbers alone.
pub fn shape(line: &[u8]) -> String {
    let line = line.trim_ascii_end();
    let mut shape = String::new();
    let mut rest = line;
    for field in judge::fields(line) {
        let start = rest.windows(field.len()).position(|window| window == field);
        let (before, behind) = rest.split_at(start.unwrap_or_default());
        shape.push_str(&String::from_utf8_lossy(before));
        if judge::number(field).is_some() {
            shape.push('#');
            // A full stop behind a number belongs to the sentence.
            shape.push_str(if field.ends_with(b".") { "." } else { "" });
        } else {
            shape.push_str(&String::from_utf8_lossy(field));
        }
        rest = &behind[field.len()..];
    }
    shape.push_str(&String::from_utf8_lossy(rest));
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_forgets_the_numbers() {
        for (line, expected) in [
            ("3", "#"),
            ("sum: 6.5", "sum: #"),
            ("mean -> -1e5.\r", "mean -> #."),
            ("{\"count\":3,\"mean\":nan}", "{\"count\":#,\"mean\":#}"),
            ("n=2 | mean=N/A", "n=# | mean=N/A"),
            ("", ""),
        ] {
            assert_eq!(shape(line.as_bytes()), expected);
        }
    }

    #[test]
    fn errors_are_known_by_what_they_have_in_common() {
        let learn = |lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
            ErrorForm::learn(&lines)
        };
        let quoting = learn(&["bad line: probe", "bad line: hello you", "bad line: xyz!"]);
        assert!(quoting.matches(b"bad line: 1 2\r"));
        assert!(!quoting.matches(b"17"));
        let behind = learn(&["`a` is no number (7)", "`what` is no number (7)"]);
        assert!(behind.matches(b"`1 2` is no number (7)"));
        assert!(!learn(&["1", "12"]).matches(b"1"));
        assert!(!ErrorForm::default().matches(b""));
    }
}

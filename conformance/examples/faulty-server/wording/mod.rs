//! How the server words what the protocol leaves open, and habits that break a clause: a choice in
//! each of some dimensions.

mod form;
mod lines;
mod tables;

use std::collections::HashMap;
use std::fmt::Write;

/// One way to do what a dimension is about.
pub(crate) struct Choice<T> {
    /// The name on the command line.
    name: &'static str,
    /// The clause that it breaks, if it is not allowed.
    breaks: Option<&'static str>,
    /// What it does, in a sentence.
    sentence: &'static str,
    /// What makes the difference.
    value: T,
}

const fn allowed<T>(name: &'static str, value: T, sentence: &'static str) -> Choice<T> {
    Choice {
        name,
        breaks: None,
        sentence,
        value,
    }
}

const fn breaking<T>(
    name: &'static str,
    clause: &'static str,
    value: T,
    sentence: &'static str,
) -> Choice<T> {
    Choice {
        name,
        breaks: Some(clause),
        sentence,
        value,
    }
}

/// How a sum, a mean or a standard deviation is written.
pub(crate) type NumberForm = fn(f64) -> String;

/// How a session begins.
#[derive(Clone, Copy)]
pub(crate) struct Connect {
    /// The lines that come unasked.
    pub(crate) greeting: &'static [&'static str],
    /// Whether they come after 100 ms.
    pub(crate) late: bool,
}

/// Templates of error lines: `%q` is the bad line, `%n` its number in the session.
#[derive(Clone, Copy)]
pub(crate) struct ErrorWords {
    /// For a line that is neither a value nor a command.
    pub(crate) bad: &'static str,
    /// For a line above the limit.
    pub(crate) long: &'static str,
    /// For a quantity that is undefined.
    pub(crate) few: &'static str,
}

/// What is said of a quantity that is undefined.
#[derive(Clone, Copy)]
pub(crate) struct Undefined {
    /// In reply to its command.
    pub(crate) reply: UndefinedReply,
    /// In an exit line or a secondary line.
    summary: &'static str,
}

/// The reply to a command that asks for what is undefined.
#[derive(Clone, Copy)]
pub(crate) enum UndefinedReply {
    /// This, in place of the number.
    Word(&'static str),
    /// An error line.
    Error,
    /// None.
    Nothing,
}

/// A line with count (`%c`), mean (`%m`) and standard deviation (`%d`).
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    template: &'static str,
    /// What is undefined, where this shape has its own word for it.
    undefined: Option<&'static str>,
}

/// A wording without what it does.
struct Entry {
    dimension: &'static str,
    name: &'static str,
    breaks: Option<&'static str>,
    sentence: &'static str,
}

macro_rules! dimensions {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $table:ident),* $(,)?) => {
        /// The wording that was chosen in each dimension.
        #[derive(Clone, Copy)]
        pub(crate) struct Wording {
            $($(#[$doc])* pub(crate) $field: $type,)*
        }

        impl Default for Wording {
            fn default() -> Self {
                Wording { $($field: tables::$table[0].value,)* }
            }
        }

        impl Wording {
            /// Makes a choice by its name; false if there is none of that name.
            fn choose(&mut self, name: &str) -> bool {
                $(if let Some(choice) = tables::$table.iter().find(|choice| choice.name == name) {
                    self.$field = choice.value;
                    return true;
                })*
                false
            }
        }

        /// Every wording, dimension by dimension.
        fn entries() -> Vec<Entry> {
            let mut entries = Vec::new();
            $(entries.extend(tables::$table.iter().map(|choice| Entry {
                dimension: stringify!($field),
                name: choice.name,
                breaks: choice.breaks,
                sentence: choice.sentence,
            }));)*
            entries
        }
    };
}

dimensions! {
    /// How a session begins.
    connect: Connect = CONNECT,
    /// What ends a line.
    line_end: &'static str = LINE_END,
    /// What stands before the end of a line.
    trailing: &'static str = TRAILING,
    /// The form of sums, means and standard deviations.
    number: NumberForm = NUMBER,
    /// Whether a reply names the quantity.
    label: bool = LABEL,
    /// Error lines.
    error: ErrorWords = ERROR,
    /// Undefined quantities.
    undefined: Undefined = UNDEFINED,
    /// The exit line.
    exit_line: Shape = EXIT_LINE,
    /// The line of the secondary port.
    meta_line: Shape = META_LINE,
    /// How many bytes a line may have without its LF.
    line_limit: Option<usize> = LINE_LIMIT,
    /// Whether an unterminated last line is processed.
    last_line: bool = LAST_LINE,
    /// Whether commands may be written in capitals.
    any_case: bool = ANY_CASE,
    /// Whether an empty line is no bad line.
    empty_line: bool = EMPTY_LINE,
    /// Whether a session without values records a mean.
    empty_session: bool = EMPTY_SESSION,
    /// The reply to a value.
    value_reply: Option<&'static str> = VALUE_REPLY,
    /// A line behind the reply to a command.
    after_reply: Option<&'static str> = AFTER_REPLY,
    /// After how many sessions replies change their shape.
    relabel_after: Option<u64> = RELABEL_AFTER,
}

impl Wording {
    /// The wording with these names, defaults for the other dimensions.
    ///
    /// # Errors
    /// If a name is unknown, or two are of one dimension.
    pub(crate) fn from_names(names: &[String]) -> Result<Wording, String> {
        let mut wording = Wording::default();
        let mut chosen = HashMap::new();
        let entries = entries();
        for name in names {
            let Some(entry) = entries.iter().find(|entry| entry.name == name) else {
                return Err(format!(
                    "no wording is called `{name}`; see --list-wordings"
                ));
            };
            if let Some(other) = chosen.insert(entry.dimension, name) {
                return Err(format!("`{other}` and `{name}` exclude each other"));
            }
            wording.choose(name);
        }
        Ok(wording)
    }

    /// The number as this wording writes it; none if it is undefined.
    pub(crate) fn defined(&self, value: f64) -> Option<String> {
        // An empty sum of floating-point numbers is minus zero.
        (!value.is_nan()).then(|| (self.number)(value + 0.0))
    }

    /// A line about count, mean and standard deviation, without its end.
    pub(crate) fn summary(&self, shape: Shape, count: usize, mean: f64, stddev: f64) -> String {
        let undefined = shape.undefined.unwrap_or(self.undefined.summary);
        let shown = |value| self.defined(value).unwrap_or_else(|| undefined.to_owned());
        shape
            .template
            .replace("%c", &count.to_string())
            .replace("%m", &shown(mean))
            .replace("%d", &shown(stddev))
    }

    /// The end of a line.
    pub(crate) fn end(&self) -> String {
        format!("{}{}", self.trailing, self.line_end)
    }
}

/// Draws one allowed wording of each dimension in which none of `names` is, by this seed.
pub(crate) fn draw(seed: u64, names: &[String]) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let entries = entries();
    let mut drawn = Vec::new();
    for dimension in entries.chunk_by(|one, next| one.dimension == next.dimension) {
        let allowed: Vec<&Entry> = dimension.iter().filter(|e| e.breaks.is_none()).collect();
        // Drawn in any case, so that a name more changes nothing else.
        let choice = random.choice(&allowed);
        if !dimension
            .iter()
            .any(|entry| names.iter().any(|name| name == entry.name))
        {
            drawn.extend(choice.map(|entry| entry.name.to_owned()));
        }
    }
    drawn
}

/// The list of all wordings: name, `allowed` or the clause that it breaks, and what it does. An
/// empty line parts the dimensions; the first wording of each is the default.
pub(crate) fn list() -> String {
    let mut list = String::new();
    let entries = entries();
    for dimension in entries.chunk_by(|one, next| one.dimension == next.dimension) {
        if !list.is_empty() {
            list.push('\n');
        }
        for entry in dimension {
            let verdict = entry
                .breaks
                .map_or("allowed".to_owned(), |clause| format!("breaks {clause}"));
            let (name, sentence) = (entry.name, entry.sentence);
            // Writing to a String cannot fail.
            let _ = writeln!(list, "{name:<22}  {verdict:<25}  {sentence}");
        }
    }
    list
}

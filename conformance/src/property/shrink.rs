//! From a script that fails to the smallest one that fails in the same way: stretches of steps go,
//! and what remains is exchanged for something simpler, without regard to how the script was
//! generated. So a generator need not be made so that it shrinks well.

use std::collections::HashMap;
use std::time::Instant;

use super::script::{Formatting, Operation, Script, ScriptStep};
use super::write;
use crate::transcript::{Action, Piece, Step, StepKind};

/// A transcript of more lines is shown in its shortest form, with several lines in one segment.
pub(super) const MAX_LINES: usize = 6;

/// How often everything is tried again on a script that stays longer than that.
const MAX_ROUNDS: u32 = 4;

/// Looks for smaller scripts.
pub(super) struct Shrinker<'a> {
    /// Whether a script fails, in the same way and every time.
    fails: &'a mut dyn FnMut(&Script) -> bool,
    /// When it has been tried for long enough.
    deadline: Instant,
    /// What has been tried already, by its steps.
    tried: HashMap<Vec<Step>, bool>,
}

/// A script, and how small it is.
#[derive(Clone)]
struct Candidate {
    script: Script,
    written: Vec<Step>,
    lines: usize,
    /// Replies that are not waited for at once.
    deferred: usize,
    length: usize,
}

impl Candidate {
    fn new(script: Script) -> Candidate {
        let written = write::write("", &script).steps;
        Candidate {
            lines: lines(&written),
            deferred: script
                .steps
                .iter()
                .filter(|step| step.is_deferred())
                .count(),
            length: length(&written),
            written,
            script,
        }
    }

    /// Lines first, then replies that are not waited for at once, then length, then digits.
    ///
    /// A client that goes on before its reply has come may race with others; one that waits fails
    /// again in the next run.
    fn rank(&self) -> (usize, usize, usize, &Script) {
        (self.lines, self.deferred, self.length, &self.script)
    }
}

/// How many lines a transcript has with these steps, without its title.
fn lines(steps: &[Step]) -> usize {
    let of = |step: &Step| match &step.kind {
        StepKind::Together { steps } => 2 + lines(steps),
        _ => 1,
    };
    steps.iter().map(of).sum()
}

/// How long these steps are to a reader, as far as that depends on a script.
fn length(steps: &[Step]) -> usize {
    let of_piece = |piece: &Piece| match piece {
        Piece::Octets {
            octets: bytes,
            times,
        } => {
            bytes.escape_ascii().count()
                + times.checked_ilog10().map_or(0, |digits| digits as usize)
        }
        Piece::File(_) => 0,
    };
    let of = |step: &Step| match &step.kind {
        StepKind::Act { connection, action } => {
            connection.len()
                + match action {
                    Action::SendLine(text) => text.len(),
                    Action::SendPieces(pieces) => pieces.iter().map(of_piece).sum(),
                    _ => 0,
                }
        }
        StepKind::Together { steps } => length(steps),
        _ => 0,
    };
    steps.iter().map(of).sum()
}

impl<'a> Shrinker<'a> {
    pub(super) fn new(fails: &'a mut dyn FnMut(&Script) -> bool, deadline: Instant) -> Self {
        Shrinker {
            fails,
            deadline,
            tried: HashMap::new(),
        }
    }

    fn fails(&mut self, candidate: &Candidate) -> bool {
        if let Some(fails) = self.tried.get(&candidate.written) {
            return *fails;
        }
        // Nothing fails that does nothing.
        let fails = !candidate.written.is_empty()
            && Instant::now() < self.deadline
            && (self.fails)(&candidate.script);
        self.tried.insert(candidate.written.clone(), fails);
        fails
    }

    /// The smallest script that was found, starting from one that fails.
    pub(super) fn smallest(&mut self, script: Script) -> Script {
        let mut best = self.reduce(Candidate::new(script), reductions);
        if best.lines > MAX_LINES {
            best = self.listening(best);
        }
        if best.lines > MAX_LINES {
            best = self.reduce(best, compressions);
            best = self.reduce(best, reductions);
        }
        // Where threads of the server race, what did not fail once may fail the next time.
        for _ in 0..MAX_ROUNDS {
            if best.lines <= MAX_LINES {
                break;
            }
            self.tried.retain(|_, fails| *fails);
            best = self.reduce(best, reductions);
        }
        best.script
    }

    /// Lets every client read its replies. A client that waits for its replies decides what happens
    /// first, so that less is needed for it to happen.
    fn listening(&mut self, best: Candidate) -> Candidate {
        let listens = Candidate::new(Script {
            readers: None,
            ..best.script.clone()
        });
        if best.script.readers.is_none() || !self.fails(&listens) {
            return best;
        }
        let smaller = self.reduce(listens, reductions);
        if smaller.rank() < best.rank() {
            smaller
        } else {
            best
        }
    }

    /// Takes reductions that still fail, until there is none. After one that does, those go on that
    /// come next: the ones before it mostly fail no more than they did.
    fn reduce(&mut self, mut best: Candidate, reductions: fn(&Script) -> Vec<Script>) -> Candidate {
        let mut smaller = reductions(&best.script);
        let (mut next, mut in_vain) = (0, 0);
        while in_vain < smaller.len() {
            next %= smaller.len();
            let candidate = Candidate::new(smaller[next].clone());
            if candidate.rank() < best.rank() && self.fails(&candidate) {
                best = candidate;
                smaller = reductions(&best.script);
                in_vain = 0;
            } else {
                next += 1;
                in_vain += 1;
            }
        }
        best
    }
}

/// The script with something less or simpler.
fn reductions(script: &Script) -> Vec<Script> {
    let mut smaller = Vec::new();
    let mut with = |change: &dyn Fn(&mut Script)| {
        let mut changed = script.clone();
        change(&mut changed);
        if changed != *script {
            smaller.push(changed);
        }
    };
    with(&|script| script.steps.iter_mut().for_each(ScriptStep::wait));
    let steps = script.steps.len();
    let halvings = std::iter::successors(Some(steps), |length| Some(length / 2));
    for length in halvings.take_while(|&length| length > 0) {
        for from in (0..steps).step_by(length).rev() {
            with(&|script| drop(script.steps.drain(from..steps.min(from + length))));
        }
    }
    for index in 1..steps {
        with(&|script| merge(&mut script.steps, index));
    }
    let clients = script.steps.iter().map(|step| step.client).max();
    for (index, left) in script.steps.iter().enumerate() {
        for other in (0..=clients.unwrap_or_default()).filter(|_| left.ends_session()) {
            // A client that connects again may as well have stayed.
            with(&|script| {
                script.steps.remove(index);
                for step in &mut script.steps[index..] {
                    if step.client == left.client {
                        step.client = other;
                    }
                }
            });
        }
    }
    with(&|script| script.negative = false);
    with(&|script| script.together = false);
    with(&|script| script.packed = false);
    for index in 0..script.cuts.as_ref().map_or(0, Vec::len) {
        with(&|script| {
            if let Some(cuts) = &mut script.cuts {
                cuts.remove(index);
            }
        });
    }
    for (index, step) in script.steps.iter().enumerate() {
        let mut with = |change: &dyn Fn(&mut ScriptStep)| {
            with(&|script| change(&mut script.steps[index]));
        };
        with(&|step| step.formatting = Formatting::Plain);
        with(&|step| {
            if let Formatting::Leading(spaces) | Formatting::Trailing(spaces) = &mut step.formatting
            {
                *spaces = 1;
            }
        });
        (0..step.client).for_each(|client| with(&|step| step.client = client));
        with(&ScriptStep::wait);
        for simpler in simpler(&step.operation) {
            with(&|step| step.operation = simpler.clone());
        }
    }
    smaller
}

/// Sends the values of a step together with those of the step before it.
fn merge(steps: &mut Vec<ScriptStep>, index: usize) {
    if let [before, step] = &mut steps[index - 1..=index]
        && before.client == step.client
        && let (Operation::Value { times, .. }, Operation::Value { times: more, .. }) =
            (&mut before.operation, &step.operation)
    {
        *times += more;
        steps.remove(index);
    }
}

fn simpler(operation: &Operation) -> Vec<Operation> {
    match operation {
        Operation::Value { text, times } => {
            let of = |text: &str, times: u32| Operation::Value {
                text: text.to_owned(),
                times,
            };
            let texts = ["0", "1", "2", "5", "10"].map(|simple| of(simple, *times));
            let shorter = shorter(text).filter(|text| text.parse::<f64>().is_ok());
            texts
                .into_iter()
                .chain(fewer(*times, 1).map(|times| of(text, times)))
                .chain(shorter.map(|text| of(&text, *times)))
                .collect()
        }
        Operation::Bad(_, wait) => vec![Operation::Bad(b"x".to_vec(), *wait)],
        Operation::Long(byte, times) => std::iter::once(Operation::Long(b'x', *times))
            .chain(fewer(*times, 81).map(|times| Operation::Long(*byte, times)))
            .collect(),
        Operation::Part(_) => vec![Operation::HalfClose],
        Operation::Exit { .. } => vec![Operation::Exit { eof: false }],
        _ => Vec::new(),
    }
}

/// Smaller numbers, the smallest first and then ever nearer: so the least that fails is found by
/// bisection.
fn fewer(times: u32, min: u32) -> impl Iterator<Item = u32> {
    let above = times.saturating_sub(min);
    let steps = std::iter::successors(Some(above), |step| Some(step / 2));
    steps
        .take_while(|&step| step > 0)
        .map(move |step| times - step)
}

/// The text without its exponent, or with a digit less.
fn shorter(text: &str) -> impl Iterator<Item = String> {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let exponent = &text[mantissa.len()..];
    let whole = (!exponent.is_empty()).then(|| mantissa.to_owned());
    // The digits are ASCII, as the generator made them.
    let front = mantissa.get(..mantissa.len().saturating_sub(1));
    let back = mantissa.get(1..);
    let cut = [front, back].into_iter().flatten();
    let cut: Vec<_> = cut.map(|digits| format!("{digits}{exponent}")).collect();
    whole.into_iter().chain(cut)
}

/// The same with fewer lines: what follows each other on one connection goes out in one segment.
fn compressions(script: &Script) -> Vec<Script> {
    let packed = Script {
        packed: true,
        ..script.clone()
    };
    let mut in_turn = packed.clone();
    in_turn
        .steps
        .sort_by_key(|step| (step.is_query(), step.client));
    vec![packed, in_turn]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::property::script::{Command, Wait};
    use crate::property::{PROPERTIES, property};

    /// The smallest script of a property for which this holds, from the first of its cases for
    /// which it does.
    fn smallest(name: &str, holds: fn(&Script) -> bool) -> Script {
        let property = property(name).expect("a property");
        let script = (0..10_000)
            .map(|number| property.script(1, number))
            .find(holds)
            .expect("a case");
        let mut fails = holds;
        let deadline = Instant::now() + Duration::from_secs(60);
        Shrinker::new(&mut fails, deadline).smallest(script)
    }

    fn values(script: &Script) -> u32 {
        let times = |step: &ScriptStep| match step.operation {
            Operation::Value { times, .. } => times,
            _ => 0,
        };
        script.steps.iter().map(times).sum()
    }

    fn asks(script: &Script, command: Command) -> bool {
        let asked = |step: &ScriptStep| match step.operation {
            Operation::Ask(asked, _) => Some(asked),
            _ => None,
        };
        script
            .steps
            .iter()
            .filter_map(asked)
            .any(|asked| asked == command)
    }

    fn text(script: &Script) -> String {
        write::write("t", script).to_string()
    }

    #[test]
    fn the_least_number_of_values_is_found_and_is_one_line() {
        let many = smallest("many", |script| {
            values(script) > 256 && asks(script, Command::Count)
        });
        assert_eq!(text(&many), "# t\n>> \"0\\n\" * 257\n> count\n< model\n");
    }

    #[test]
    fn a_long_number_is_cut_to_the_digits_that_matter() {
        let long = smallest("precise", |script| {
            let is_long = |step: &ScriptStep| match &step.operation {
                Operation::Value { text, .. } => text.contains('7') && text.len() > 6,
                _ => false,
            };
            script.steps.iter().any(is_long) && asks(script, Command::Sum)
        });
        let text = text(&long);
        let value = text.lines().nth(1).expect("a value");
        assert!(value.len() <= "> 1234567".len(), "{text}");
    }

    #[test]
    fn a_long_line_becomes_as_short_as_it_may_be() {
        let is_long = |script: &Script| {
            let is = |step: &ScriptStep| matches!(step.operation, Operation::Long(_, 1_000..));
            script.steps.iter().any(is)
        };
        let line = smallest("long-lines", is_long);
        let operations: Vec<_> = line.steps.iter().map(|step| &step.operation).collect();
        assert!(
            matches!(operations[..], [Operation::Long(_, 1_000)]),
            "{operations:?}"
        );
    }

    #[test]
    fn a_client_that_comes_again_becomes_one_that_stayed() {
        let script = Script {
            steps: vec![
                ScriptStep::plain(0, Operation::Ask(Command::Count, Wait::AtOnce)),
                ScriptStep::plain(1, Operation::Exit { eof: false }),
                ScriptStep::plain(1, Operation::Ask(Command::Sum, Wait::AtOnce)),
            ],
            ..Script::default()
        };
        let stayed = [
            ScriptStep::plain(0, Operation::Ask(Command::Count, Wait::AtOnce)),
            ScriptStep::plain(0, Operation::Ask(Command::Sum, Wait::AtOnce)),
        ];
        assert!(
            reductions(&script)
                .iter()
                .any(|script| script.steps == stayed)
        );
    }

    #[test]
    fn a_client_that_need_not_go_on_waits_for_its_reply() {
        let is_bad = |step: &ScriptStep| match &step.operation {
            Operation::Bad(line, _) => line.is_empty(),
            _ => false,
        };
        let script = Script {
            steps: vec![
                ScriptStep::plain(0, Operation::Bad(Vec::new(), Wait::Deferred)),
                ScriptStep::plain(1, Operation::Ask(Command::Count, Wait::Deferred)),
            ],
            ..Script::default()
        };
        let mut fails =
            |script: &Script| script.steps.len() == 2 && script.steps.iter().any(is_bad);
        let deadline = Instant::now() + Duration::from_secs(60);
        let smallest = Shrinker::new(&mut fails, deadline).smallest(script);
        assert!(
            !smallest.steps.iter().any(ScriptStep::is_deferred),
            "{smallest:?}"
        );
    }

    #[test]
    fn every_property_shrinks_to_very_little_where_anything_fails() {
        for property in PROPERTIES {
            let script = smallest(property.name, |_| true);
            let lines = text(&script).lines().count() - 1;
            assert!(lines <= 3, "{}: {}", property.name, text(&script));
        }
    }
}

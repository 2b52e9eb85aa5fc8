//! From a script that fails to the smallest one that fails in the same way.
//!
//! proptest's tree comes first: it knows from what the script was drawn. What is left is then made smaller step by
//! step, without regard to how it was drawn: stretches of acts go, and what remains is exchanged for something simpler.
//! So a generator need not be made so that it shrinks well.

use std::collections::BTreeMap;
use std::time::Instant;

use proptest::strategy::ValueTree;

use super::script::{Act, Deed, Dress, Script};
use super::write;

/// A transcript of more lines is shown in its shortest form, with several lines in one segment.
pub(super) const MOST_LINES: usize = 6;

/// So often everything is tried again on a script that stays longer than that.
const ROUNDS: u32 = 4;

/// The tree gets this part of the time: it goes to small numbers in many small steps.
const TREE_SHARE: u32 = 4;

/// Looks for smaller scripts.
pub(super) struct Shrinker<'a> {
    /// Whether a script fails, in the same way and every time.
    pub(super) fails: &'a mut dyn FnMut(&Script) -> bool,
    /// When it has been tried for long enough.
    pub(super) deadline: Instant,
    /// What has been tried already, by its transcript.
    tried: BTreeMap<String, bool>,
}

impl<'a> Shrinker<'a> {
    pub(super) fn new(fails: &'a mut dyn FnMut(&Script) -> bool, deadline: Instant) -> Self {
        Shrinker {
            fails,
            deadline,
            tried: BTreeMap::new(),
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    fn fails(&mut self, script: &Script) -> bool {
        let transcript = write::write("", script).transcript.to_string();
        if let Some(fails) = self.tried.get(&transcript) {
            return *fails;
        }
        // Nothing fails that does nothing.
        let fails = !transcript.is_empty() && !self.is_over() && (self.fails)(script);
        self.tried.insert(transcript, fails);
        fails
    }

    /// The smallest script that was found, starting from one that fails.
    pub(super) fn smallest(&mut self, mut tree: Box<dyn ValueTree<Value = Script>>) -> Script {
        let mut best = tree.current();
        let mut goes_on = tree.simplify();
        let now = Instant::now();
        let enough = now + self.deadline.saturating_duration_since(now) / TREE_SHARE;
        while goes_on && Instant::now() < enough {
            let candidate = tree.current();
            goes_on = if self.fails(&candidate) {
                best = candidate;
                tree.simplify()
            } else {
                tree.complicate()
            };
        }
        best = self.reduce(best, reductions);
        if rank(&best).0 > MOST_LINES {
            best = self.listening(best);
        }
        if rank(&best).0 > MOST_LINES {
            best = self.reduce(best, compressions);
            best = self.reduce(best, reductions);
        }
        // Where threads of the server race, what did not fail once may fail the next time.
        for _ in 0..ROUNDS {
            if rank(&best).0 <= MOST_LINES {
                break;
            }
            self.tried.retain(|_, fails| *fails);
            best = self.reduce(best, reductions);
        }
        best
    }

    /// Listens to every session. A client that waits for its replies decides what happens first, so that less is needed
    /// for it to happen.
    fn listening(&mut self, best: Script) -> Script {
        let listens = Script {
            heard: None,
            ..best.clone()
        };
        if best.heard.is_none() || !self.fails(&listens) {
            return best;
        }
        let smaller = self.reduce(listens, reductions);
        std::cmp::min_by_key(smaller, best, rank)
    }

    /// Takes the first reduction that still fails, until there is none.
    fn reduce(&mut self, mut best: Script, reductions: fn(&Script) -> Vec<Script>) -> Script {
        while let Some(smaller) = reductions(&best)
            .into_iter()
            .find(|candidate| rank(candidate) < rank(&best) && self.fails(candidate))
        {
            best = smaller;
        }
        best
    }
}

/// Lines first, then replies that are not waited for at once, then length, then digits.
///
/// What goes on before its reply is there may race with what others do; who waits is obeyed, and fails again tomorrow.
fn rank(script: &Script) -> (usize, usize, usize, String) {
    let transcript = write::write("", script).transcript.to_string();
    (
        transcript.lines().count() - 1,
        script.acts.iter().filter(|act| act.is_later()).count(),
        transcript.len(),
        transcript,
    )
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
    with(&|script| script.acts.iter_mut().for_each(Act::wait));
    let acts = script.acts.len();
    let halvings = std::iter::successors(Some(acts), |length| Some(length / 2));
    for length in halvings.take_while(|&length| length > 0) {
        for from in (0..acts).step_by(length).rev() {
            with(&|script| drop(script.acts.drain(from..acts.min(from + length))));
        }
    }
    let sessions = script.acts.iter().map(|act| act.session).max();
    for (index, left) in script.acts.iter().enumerate() {
        for other in (0..=sessions.unwrap_or_default()).filter(|_| ends(&left.deed)) {
            // Who comes again is somebody who stayed.
            with(&|script| {
                script.acts.remove(index);
                let behind = script.acts[index..].iter_mut();
                let again = behind.filter(|act| act.session == left.session);
                again.for_each(|act| act.session = other);
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
    for (index, act) in script.acts.iter().enumerate() {
        for simpler in simpler(act) {
            with(&|script| script.acts[index] = simpler.clone());
        }
    }
    smaller
}

/// Whether what the session does next, it does as another client.
fn ends(deed: &Deed) -> bool {
    matches!(
        deed,
        Deed::Exit { .. } | Deed::HalfClose | Deed::Close | Deed::Reset | Deed::Part(_)
    )
}

fn simpler(act: &Act) -> Vec<Act> {
    let mut acts = Vec::new();
    let dresses = match act.dress {
        Dress::Plain => Vec::new(),
        Dress::Cr => vec![Dress::Plain],
        Dress::Leading(_) => vec![Dress::Plain, Dress::Leading(1)],
        Dress::Trailing(_) => vec![Dress::Plain, Dress::Trailing(1)],
    };
    acts.extend(dresses.into_iter().map(|dress| Act {
        dress,
        ..act.clone()
    }));
    acts.extend((0..act.session).map(|session| Act {
        session,
        ..act.clone()
    }));
    if act.is_later() {
        let mut waits = act.clone();
        waits.wait();
        acts.push(waits);
    }
    let deeds = match &act.deed {
        Deed::Value { text, times } => {
            let of = |text: &str, times: u32| Deed::Value {
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
        Deed::Bad(_, later) => vec![Deed::Bad(b"x".to_vec(), *later)],
        Deed::Long(octet, times) => std::iter::once(Deed::Long(b'x', *times))
            .chain(fewer(*times, 81).map(|times| Deed::Long(*octet, times)))
            .collect(),
        Deed::Part(_) => vec![Deed::HalfClose],
        Deed::Exit { eof: true } => vec![Deed::Exit { eof: false }],
        _ => Vec::new(),
    };
    acts.extend(deeds.into_iter().map(|deed| Act {
        deed,
        ..act.clone()
    }));
    acts
}

/// Smaller numbers, the smallest first and then ever nearer: so the least that fails is found by bisection.
fn fewer(times: u32, least: u32) -> impl Iterator<Item = u32> {
    let above = times.saturating_sub(least);
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
        .acts
        .sort_by_key(|act| (act.is_query(), act.session));
    vec![packed, in_turn]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::property::script::{Command, Later};
    use crate::property::{PROPERTIES, generate, property, tree};

    /// The smallest script of a property for which this holds, from the first of its cases for which it does.
    fn smallest(name: &str, holds: fn(&Script) -> bool) -> Script {
        let property = property(name).expect("a property");
        let number = (0..10_000)
            .find(|&number| holds(&generate(property, 1, number)))
            .expect("a case");
        let tree = tree(property, 1, number).expect("the case");
        let mut fails = holds;
        let deadline = Instant::now() + Duration::from_secs(60);
        Shrinker::new(&mut fails, deadline).smallest(tree)
    }

    fn values(script: &Script) -> u32 {
        let times = |act: &Act| match act.deed {
            Deed::Value { times, .. } => times,
            _ => 0,
        };
        script.acts.iter().map(times).sum()
    }

    fn asks(script: &Script, command: Command) -> bool {
        let is = |act: &Act| matches!(act.deed, Deed::Ask(asked, _) if asked == command);
        script.acts.iter().any(is)
    }

    fn text(script: &Script) -> String {
        write::write("t", script).transcript.to_string()
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
            let is = |act: &Act| matches!(&act.deed, Deed::Value { text, .. } if text.contains('7') && text.len() > 6);
            script.acts.iter().any(is) && asks(script, Command::Sum)
        });
        let text = text(&long);
        let value = text.lines().nth(1).expect("a value");
        assert!(value.len() <= "> 1234567".len(), "{text}");
    }

    #[test]
    fn a_long_line_becomes_as_short_as_it_may_be() {
        let is_long = |script: &Script| {
            let is = |act: &Act| matches!(act.deed, Deed::Long(_, 1_000..));
            script.acts.iter().any(is)
        };
        let line = smallest("long-lines", is_long);
        let deeds: Vec<_> = line.acts.iter().map(|act| &act.deed).collect();
        assert!(matches!(deeds[..], [Deed::Long(_, 1_000)]), "{deeds:?}");
    }

    #[test]
    fn a_client_that_comes_again_becomes_one_that_stayed() {
        let script = Script {
            acts: vec![
                Act::plain(0, Deed::Ask(Command::Count, Later::No)),
                Act::plain(1, Deed::Exit { eof: false }),
                Act::plain(1, Deed::Ask(Command::Sum, Later::No)),
            ],
            ..Script::default()
        };
        let stayed = [
            Act::plain(0, Deed::Ask(Command::Count, Later::No)),
            Act::plain(0, Deed::Ask(Command::Sum, Later::No)),
        ];
        assert!(
            reductions(&script)
                .iter()
                .any(|script| script.acts == stayed)
        );
    }

    #[test]
    fn a_client_that_need_not_go_on_waits_for_its_reply() {
        let is_bad = |act: &Act| matches!(&act.deed, Deed::Bad(line, _) if line.is_empty());
        let script = Script {
            acts: vec![
                Act::plain(0, Deed::Bad(Vec::new(), Later::Yes)),
                Act::plain(1, Deed::Ask(Command::Count, Later::Yes)),
            ],
            ..Script::default()
        };
        let mut fails = |script: &Script| script.acts.len() == 2 && script.acts.iter().any(is_bad);
        let deadline = Instant::now() + Duration::from_secs(60);
        let smallest = Shrinker::new(&mut fails, deadline).reduce(script, reductions);
        assert!(!smallest.acts.iter().any(Act::is_later), "{smallest:?}");
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

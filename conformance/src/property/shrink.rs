//! From a script that fails to the smallest one that fails in the same way, every attempt over the network.

use std::collections::BTreeMap;
use std::time::Instant;

use proptest::strategy::ValueTree;

use super::catalogue::Property;
use super::lab::{Lab, Way};
use super::script::{Act, Deed, Dress, Later, Script};
use super::write;

/// A transcript of more lines is shown in its shortest form, with several lines in one segment.
const MOST_LINES: usize = 6;

/// Looks for smaller scripts.
pub(super) struct Shrinker<'a> {
    pub(super) property: &'static Property,
    pub(super) lab: &'a mut Lab,
    /// How it has to fail.
    pub(super) way: Way,
    /// How many times out of as many.
    pub(super) confirmations: u32,
    /// When it has been tried for long enough.
    pub(super) deadline: Instant,
    /// What has been tried already, by its transcript.
    pub(super) tried: BTreeMap<String, bool>,
}

impl Shrinker<'_> {
    /// Whether a script fails in the same way, every time, and its control does not.
    pub(super) fn fails(&mut self, script: &Script) -> bool {
        let transcript = write::write("", script).transcript.to_string();
        if let Some(fails) = self.tried.get(&transcript) {
            return *fails;
        }
        let fails = Instant::now() < self.deadline && self.fails_now(script);
        self.tried.insert(transcript, fails);
        fails
    }

    fn fails_now(&mut self, script: &Script) -> bool {
        let every_time = (0..self.confirmations)
            .all(|_| self.lab.attempt(self.property, script).way().as_ref() == Some(&self.way));
        every_time && self.lab.control(self.property, script).is_none()
    }

    /// Follows proptest's tree down, then leaves out and simplifies what still can be.
    pub(super) fn smallest(&mut self, mut tree: Box<dyn ValueTree<Value = Script>>) -> Script {
        let mut best = tree.current();
        let mut goes_on = tree.simplify();
        while goes_on && Instant::now() < self.deadline {
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
            best = self.reduce(best, compressions);
            best = self.reduce(best, reductions);
        }
        best
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

/// Lines first, then length, then digits.
fn rank(script: &Script) -> (usize, usize, String) {
    let transcript = write::write("", script).transcript.to_string();
    (transcript.lines().count() - 1, transcript.len(), transcript)
}

/// The script with one thing less or simpler.
fn reductions(script: &Script) -> Vec<Script> {
    let mut smaller = Vec::new();
    let mut with = |change: &dyn Fn(&mut Script)| {
        let mut changed = script.clone();
        change(&mut changed);
        if changed != *script {
            smaller.push(changed);
        }
    };
    for index in (0..script.acts.len()).rev() {
        with(&|script| {
            script.acts.remove(index);
        });
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

fn simpler(act: &Act) -> Vec<Act> {
    let mut acts = Vec::new();
    if act.dress != Dress::Plain {
        acts.push(Act {
            dress: Dress::Plain,
            ..act.clone()
        });
    }
    acts.extend((0..act.session).map(|session| Act {
        session,
        ..act.clone()
    }));
    let deeds = match &act.deed {
        Deed::Value { text, times } => {
            let of = |text: &str, times: u32| Deed::Value {
                text: text.to_owned(),
                times,
            };
            let texts = ["0", "1", "2", "5", "10"].map(|simple| of(simple, *times));
            let numbers = [1, 2, times / 2, times.saturating_sub(1)];
            let numbers = numbers
                .into_iter()
                .filter(|&fewer| (1..*times).contains(&fewer));
            texts
                .into_iter()
                .chain(numbers.map(|times| of(text, times)))
                .collect()
        }
        Deed::Bad(_, later) => vec![
            Deed::Bad(b"x".to_vec(), Later::No),
            Deed::Bad(b"x".to_vec(), *later),
        ],
        Deed::Ask(command, Later::Yes) => vec![Deed::Ask(*command, Later::No)],
        Deed::Long(_, times) => vec![Deed::Long(b'x', *times), Deed::Long(b'x', 81)],
        Deed::Exit { eof: true } => vec![Deed::Exit { eof: false }],
        _ => Vec::new(),
    };
    acts.extend(deeds.into_iter().map(|deed| Act {
        deed,
        ..act.clone()
    }));
    acts
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

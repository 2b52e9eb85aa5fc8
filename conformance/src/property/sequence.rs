//! Sequences of generated things that come out the same on every machine, and shrink by whole stretches.
//!
//! proptest's own `collection::vec` draws its length as `usize`, so that it depends on the width of the machine's
//! words.

use std::fmt::Debug;

use proptest::strategy::{BoxedStrategy, NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::draw::within;

/// Between so many of these and so many; shrinking may leave out all of them.
#[derive(Debug)]
pub(super) struct Sequence<T: Debug> {
    element: BoxedStrategy<T>,
    fewest: u32,
    most: u32,
}

/// A sequence of things of one kind, with a length from a closed range.
pub(super) fn sequence<T: Debug>(
    element: impl Strategy<Value = T> + 'static,
    fewest: u32,
    most: u32,
) -> Sequence<T> {
    Sequence {
        element: element.boxed(),
        fewest,
        most,
    }
}

impl<T: Debug> Strategy for Sequence<T> {
    type Tree = Tree<T>;
    type Value = Vec<T>;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let length = within(self.fewest..=self.most).new_tree(runner)?.current();
        let elements = (0..length)
            .map(|_| self.element.new_tree(runner))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Tree {
            included: vec![true; elements.len()],
            elements,
            next: Reduction::Leave {
                from: 0,
                length: length as usize,
            },
            last: None,
        })
    }
}

/// A generated sequence that can be made simpler.
pub(super) struct Tree<T: Debug> {
    elements: Vec<Box<dyn ValueTree<Value = T>>>,
    included: Vec<bool>,
    next: Reduction,
    last: Option<Undo>,
}

/// What is tried next.
#[derive(Clone, Copy)]
enum Reduction {
    /// Leave out this stretch.
    Leave { from: usize, length: usize },
    /// Make this element simpler.
    Simplify(usize),
}

enum Undo {
    Include(Vec<bool>),
    Complicate(usize),
}

impl<T: Debug> Tree<T> {
    fn leave(&mut self, from: usize, length: usize) -> bool {
        let before = self.included.clone();
        let to = (from + length).min(self.included.len());
        self.included[from..to].fill(false);
        if self.included == before {
            return false;
        }
        self.last = Some(Undo::Include(before));
        true
    }
}

impl<T: Debug> ValueTree for Tree<T> {
    type Value = Vec<T>;

    fn current(&self) -> Vec<T> {
        let elements = self.elements.iter().zip(&self.included);
        elements
            .filter(|(_, included)| **included)
            .map(|(element, _)| element.current())
            .collect()
    }

    fn simplify(&mut self) -> bool {
        loop {
            match self.next {
                Reduction::Leave { length: 0, .. } => self.next = Reduction::Simplify(0),
                Reduction::Leave { from, length } if from >= self.elements.len() => {
                    self.next = Reduction::Leave {
                        from: 0,
                        length: length / 2,
                    };
                }
                Reduction::Leave { from, length } => {
                    self.next = Reduction::Leave {
                        from: from + length,
                        length,
                    };
                    if self.leave(from, length) {
                        return true;
                    }
                }
                Reduction::Simplify(index) => {
                    let Some(element) = self.elements.get_mut(index) else {
                        return false;
                    };
                    if self.included[index] && element.simplify() {
                        self.last = Some(Undo::Complicate(index));
                        return true;
                    }
                    self.next = Reduction::Simplify(index + 1);
                }
            }
        }
    }

    fn complicate(&mut self) -> bool {
        match self.last.take() {
            None => false,
            Some(Undo::Include(included)) => {
                self.included = included;
                true
            }
            Some(Undo::Complicate(index)) => {
                let complicated = self.elements[index].complicate();
                if complicated {
                    self.last = Some(Undo::Complicate(index));
                }
                complicated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows proptest's protocol: simplify while the predicate holds, complicate while it does not.
    fn smallest(mut tree: Tree<u32>, holds: impl Fn(&[u32]) -> bool) -> Vec<u32> {
        let mut best = tree.current();
        assert!(holds(&best));
        let mut alive = tree.simplify();
        while alive {
            let candidate = tree.current();
            alive = if holds(&candidate) {
                best = candidate;
                tree.simplify()
            } else {
                tree.complicate()
            };
        }
        best
    }

    #[test]
    fn a_sequence_shrinks_to_what_matters() {
        let mut runner = TestRunner::deterministic();
        for _ in 0..100 {
            let tree = sequence(0u32..1000, 20, 30)
                .new_tree(&mut runner)
                .expect("a sequence");
            let large = |elements: &[u32]| elements.iter().filter(|&&e| e >= 17).count() >= 2;
            assert_eq!(smallest(tree, large), [17, 17]);
        }
    }

    #[test]
    fn a_sequence_is_as_long_as_it_should() {
        let mut runner = TestRunner::deterministic();
        for _ in 0..100 {
            let tree = sequence(0u32..10, 3, 5).new_tree(&mut runner);
            let length = tree.expect("a sequence").current().len();
            assert!((3..=5).contains(&length), "{length}");
        }
    }
}

//! Properties over the wire: what must hold for every session, tried with sessions drawn at random, and shrunk to the
//! smallest transcript that shows where it does not hold.
//!
//! | module | job |
//! |---|---|
//! | [`script`] | what the clients of a generated case do |
//! | `draw`, `sequence`, `generate` | drawing scripts at random, and making them smaller |
//! | [`catalogue`], `suspect` | the properties by name, and the clauses that they stand for |
//! | [`mod@write`], [`numbers`] | a script as a transcript; its numbers written out |
//! | [`lab`] | one attempt against the server |
//! | [`explore`] | many attempts, in search of a failure |
//! | [`examine`], `shrink` | whether a failure repeats; the smallest one like it |
//! | [`coverage`] | what was tried, so that a pass means something |
//! | [`memory`], [`report`] | saved failures; telling people and programs |
//!
//! Invariants: the case of a property is a function of seed and number alone, on every machine; the replies that are
//! due come from the reference model; what is reported has failed in the same way every time it was tried, or is called
//! flaky.

pub mod catalogue;
pub mod coverage;
mod draw;
pub mod examine;
pub mod explore;
mod generate;
pub mod lab;
pub mod memory;
pub mod numbers;
pub mod report;
pub mod script;
mod sequence;
mod shrink;
mod suspect;
pub mod write;

use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

pub use catalogue::{PROPERTIES, Property, property};
use script::Script;

/// The script of a property by its number, in a form that can be made smaller.
pub(crate) fn tree(
    property: &Property,
    seed: u64,
    number: u64,
) -> Option<Box<dyn ValueTree<Value = Script>>> {
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(&seed.to_le_bytes());
    octets[8..16].copy_from_slice(&number.to_le_bytes());
    octets[16..24].copy_from_slice(&memory::digest(property.name.as_bytes()).to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &octets);
    grow(&(property.scripts)(), random)
}

fn grow(
    scripts: &BoxedStrategy<Script>,
    random: TestRng,
) -> Option<Box<dyn ValueTree<Value = Script>>> {
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    scripts.new_tree(&mut runner).ok()
}

/// The script of a property by its number.
pub fn generate(property: &Property, seed: u64, number: u64) -> Script {
    // No strategy here rejects anything.
    tree(property, seed, number).map_or_else(Script::default, |tree| tree.current())
}

/// The generators of all properties, for whoever has octets to draw from instead of a seed: a fuzzer.
#[derive(Debug)]
pub struct Generators(Vec<BoxedStrategy<Script>>);

impl Default for Generators {
    fn default() -> Self {
        let all = PROPERTIES.iter();
        Generators(all.map(|property| (property.scripts)()).collect())
    }
}

impl Generators {
    /// A script of the property with this index, modulo their number. Where the octets come to an end, the rest of the
    /// script is what is simplest: any octets stand for a script, and it takes no longer than the script is long.
    pub fn generate(&self, index: usize, octets: &[u8]) -> Script {
        let random = TestRng::from_seed(RngAlgorithm::PassThrough, octets);
        let tree = grow(&self.0[index % self.0.len()], random);
        tree.map_or_else(Script::default, |tree| tree.current())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::Rng;

    use super::*;
    use crate::plan::plan;
    use crate::spec::Spec;
    use write::{Due, write};

    const SEED: u64 = 1;

    fn scripts(cases: u64) -> impl Iterator<Item = (&'static Property, Script)> {
        let of = move |property| (0..cases).map(move |case| generate(property, SEED, case));
        PROPERTIES
            .iter()
            .flat_map(move |property| of(property).map(move |script| (property, script)))
    }

    #[test]
    fn every_script_is_a_sound_transcript_and_its_control_too() {
        for (property, script) in scripts(100) {
            let control = property.control.map(|control| control(&script));
            for script in std::iter::once(script).chain(control) {
                let mut written = write(property.title, &script);
                let asks = written.transcript.uses_secondary();
                assert!(!asks || property.uses_secondary(), "{}", property.name);
                for _ in 0..2 {
                    if let Err(errors) = plan(&written.transcript, None, &BTreeMap::new()) {
                        panic!("{}: {errors:?}\n{}", property.name, written.transcript);
                    }
                    let text = written.transcript.to_string();
                    let read = crate::transcript::parse(&text).expect("what was written");
                    assert_eq!(read.to_string(), text);
                    numbers::write_out(&mut written.transcript);
                }
            }
        }
    }

    #[test]
    fn any_octets_stand_for_a_sound_script() {
        let generators = Generators::default();
        // Drawn as the cases of a seed are, from octets that then come to an end.
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        for length in (0..40).chain([0, 100, 10_000]) {
            let mut octets = vec![0; length];
            random.fill_bytes(&mut octets);
            for octets in [&octets, &vec![0; length], &vec![0xff; length]] {
                for (index, property) in PROPERTIES.iter().enumerate() {
                    let script = generators.generate(index, octets);
                    let written = write(property.title, &script);
                    let planned = plan(&written.transcript, None, &BTreeMap::new());
                    assert!(planned.is_ok(), "{}", written.transcript);
                }
            }
        }
    }

    #[test]
    fn the_cases_of_a_seed_never_change() {
        let text: String = scripts(50)
            .map(|(property, script)| write(property.name, &script).transcript.to_string())
            .collect();
        assert_eq!(memory::digest(text.as_bytes()), 0x0d92_349b_05c6_faf7);
    }

    #[test]
    fn every_clause_that_is_blamed_exists() {
        let spec = Spec::bundled();
        let dues = [
            Due::Count,
            Due::Sum,
            Due::Mean,
            Due::Stddev,
            Due::Exit,
            Due::Error,
            Due::Means,
            Due::MeansStddev,
            Due::Eof,
        ];
        for (property, script) in scripts(50) {
            for due in dues.into_iter().map(Some).chain([None]) {
                let slug = (property.clause)(&script, due);
                assert!(
                    spec.clauses().any(|(_, clause)| clause.slug == slug),
                    "{slug}"
                );
            }
        }
    }

    #[test]
    fn names_are_unique_and_can_be_part_of_a_clause() {
        for (index, one) in PROPERTIES.iter().enumerate() {
            let legal = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(one.name.chars().all(legal), "{}", one.name);
            assert!(
                PROPERTIES[..index]
                    .iter()
                    .all(|other| other.name != one.name)
            );
        }
    }
}

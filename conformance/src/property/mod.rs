//! Properties over the wire: what must hold for every session, tried with generated sessions, and
//! shrunk to the smallest transcript that shows where it does not hold.
//!
//! | module | job |
//! |---|---|
//! | [`script`] | what the clients of a generated case do |
//! | `choice`, `generate` | scripts from bytes: those of a seed, or those of a fuzzer |
//! | [`catalogue`], `blame` | the properties by name, and the clauses that they stand for |
//! | [`mod@write`], [`numbers`] | a script as a transcript; its numbers written out |
//! | [`executor`] | one attempt against the servers |
//! | [`signature`] | what makes two failures the same |
//! | [`options`], [`explore`] | many attempts, in search of a failure |
//! | [`examine`], `shrink` | whether a failure repeats; the smallest one like it |
//! | [`coverage`] | what was tried, so that a pass means something |
//! | [`regressions`], [`report`] | saved failures; the reports |
//!
//! Invariants: the case of a property is a function of seed and number alone, on every machine; the
//! expected replies come from the reference model; what is reported has failed in the same way
//! every time it was tried, or is called flaky.

mod blame;
pub mod catalogue;
mod choice;
pub mod coverage;
pub mod examine;
pub mod executor;
pub mod explore;
mod generate;
pub mod numbers;
pub mod options;
pub mod regressions;
pub mod report;
pub mod script;
mod shrink;
pub mod signature;
pub mod write;

pub use catalogue::{PROPERTIES, Property, property};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::script::Script;
    use super::*;
    use crate::plan::plan;
    use crate::spec::Spec;
    use signature::ReplyKind;
    use write::write;

    const SEED: u64 = 1;

    fn scripts(cases: u64) -> impl Iterator<Item = (&'static Property, Script)> {
        let of = move |property: &'static Property| {
            (0..cases).map(move |case| property.script(SEED, case))
        };
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
                let asks = written.uses_secondary();
                assert!(!asks || property.uses_secondary(), "{}", property.name);
                for _ in 0..2 {
                    if let Err(errors) = plan(&written, None, &BTreeMap::new()) {
                        panic!("{}: {errors:?}\n{}", property.name, written);
                    }
                    let text = written.to_string();
                    let read = crate::transcript::parse(&text).expect("what was written");
                    assert_eq!(read.to_string(), text);
                    numbers::write_out(&mut written);
                }
            }
        }
    }

    #[test]
    fn any_bytes_stand_for_a_sound_script() {
        let mut random = fastrand::Rng::with_seed(7);
        for length in (0..40).chain([0, 100, 10_000]) {
            let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
                .take(length)
                .collect();
            for bytes in [&bytes, &vec![0; length], &vec![0xff; length]] {
                for property in PROPERTIES {
                    let written = write(property.title, &property.script_of(bytes));
                    let planned = plan(&written, None, &BTreeMap::new());
                    assert!(planned.is_ok(), "{}", written);
                }
            }
        }
    }

    #[test]
    fn the_cases_of_a_seed_never_change() {
        let text: String = scripts(50)
            .map(|(property, script)| write(property.name, &script).to_string())
            .collect();
        assert_eq!(choice::digest(text.as_bytes()), 0x0d92_349b_05c6_faf7);
    }

    #[test]
    fn every_clause_that_is_blamed_exists() {
        let spec = Spec::bundled();
        let replies = [
            ReplyKind::Count,
            ReplyKind::Sum,
            ReplyKind::Mean,
            ReplyKind::Stddev,
            ReplyKind::Exit,
            ReplyKind::Error,
            ReplyKind::Means,
            ReplyKind::MeansStddev,
            ReplyKind::Eof,
        ];
        for (property, script) in scripts(50) {
            for reply in replies.into_iter().map(Some).chain([None]) {
                let slug = (property.clause)(&script, reply);
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

//! What becomes of a failure: does it repeat, what is its smallest form, and which clause does it break?

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::catalogue::Property;
use super::explore::Options;
use super::lab::{Attempt, Lab, Way};
use super::script::Script;
use super::shrink::Shrinker;
use super::write::{self, Written};
use super::{generate, memory, numbers, suspect, tree};
use crate::runner::Outcome;
use crate::transcript;

/// The smallest failing case.
#[derive(Debug)]
pub struct Finding {
    /// The clause that it most likely breaks.
    pub clause: String,
    /// The number of the case that it was made from; none where it was remembered.
    pub number: Option<u64>,
    /// The transcript.
    pub transcript: String,
    /// How it failed the last time.
    pub attempt: Attempt,
    /// Where it is saved.
    pub saved: Option<PathBuf>,
}

/// A failure that did not repeat.
#[derive(Debug)]
pub struct Flaky {
    /// The number of the case.
    pub number: u64,
    /// How many cases were like that.
    pub cases: u64,
    /// The failure.
    pub failed: Attempt,
    /// What happened when the same was tried again.
    pub again: Attempt,
}

/// What became of a failure.
pub(super) enum Examined {
    /// The server was only slow.
    Slow,
    /// The server fails without what the property is about, too.
    Inconclusive,
    /// It comes and goes.
    Flaky(Box<Flaky>),
    /// It repeats.
    Repeats(Box<Finding>),
}

/// A failure is made smaller for so long.
const SHRINK_TIME: Duration = Duration::from_secs(25);

/// Repeats failures, undisturbed by other cases.
pub(super) struct Examiner<'a> {
    /// With the time-out that the server is granted.
    pub(super) patient: Lab,
    /// With a shorter one.
    pub(super) quick: Lab,
    pub(super) options: &'a Options,
}

impl Examiner<'_> {
    /// Tries what was saved by earlier runs.
    pub(super) fn remembered(
        &mut self,
        property: &'static Property,
    ) -> io::Result<Option<Finding>> {
        let Some(directory) = &self.options.save else {
            return Ok(None);
        };
        for text in memory::recall(directory, property)? {
            let Ok(transcript) = transcript::parse(&text) else {
                continue;
            };
            let clause = transcript.title.split('`').nth(1).unwrap_or_default();
            let clause = clause.to_owned();
            let written = Written {
                transcript,
                dues: Vec::new(),
            };
            if let Repeated::Always(_, attempt) = self.repeat(property, &written) {
                return Ok(Some(Finding {
                    clause,
                    number: None,
                    transcript: text,
                    attempt: *attempt,
                    saved: Some(directory.join(memory::file_name(property))),
                }));
            }
        }
        Ok(None)
    }

    /// Finds out whether a failure repeats, and if so its smallest form.
    pub(super) fn examine(
        &mut self,
        property: &'static Property,
        number: u64,
        failed: Attempt,
    ) -> io::Result<Examined> {
        let script = generate(property, self.options.seed, number);
        let way = match self.repeat(property, &write::write(property.title, &script)) {
            Repeated::Always(way, _) => way,
            Repeated::NotAlways(again) => {
                let slow = failed.outcome == Outcome::Timeout && again.failure.is_none();
                return Ok(if slow {
                    Examined::Slow
                } else {
                    flaky(number, failed, *again)
                });
            }
        };
        if self.quick.control(property, &script).is_some() {
            return Ok(Examined::Inconclusive);
        }
        let smallest = self.shrink(property, number, way.clone());
        let clause = self.clause(property, &smallest, &way);
        let title = format!(
            "Most likely breaks `{clause}`. Found with seed {}, case {number}.",
            self.options.seed
        );
        let mut written = write::write(&title, &smallest);
        numbers::write_out(&mut written.transcript);
        // What is reported is what failed last, as it is saved.
        let attempt = match self.repeat(property, &written) {
            Repeated::Always(same, attempt) if same == way => attempt,
            Repeated::Always(_, again) | Repeated::NotAlways(again) => {
                return Ok(flaky(number, failed, *again));
            }
        };
        let transcript = written.transcript.to_string();
        let saved = match &self.options.save {
            Some(directory) => Some(memory::save(directory, property, &transcript)?),
            None => None,
        };
        Ok(Examined::Repeats(Box::new(Finding {
            clause: clause.to_owned(),
            number: Some(number),
            transcript,
            attempt: *attempt,
            saved,
        })))
    }

    /// Runs the same several times; the first time with all the patience that the server is granted.
    fn repeat(&mut self, property: &Property, written: &Written) -> Repeated {
        let first = self.patient.attempt_written(property, written);
        let Some(way) = first.way() else {
            return Repeated::NotAlways(Box::new(first));
        };
        let mut last = first;
        for _ in 1..self.options.confirmations {
            last = self.quick.attempt_written(property, written);
            if last.way().as_ref() != Some(&way) {
                return Repeated::NotAlways(Box::new(last));
            }
        }
        Repeated::Always(way, Box::new(last))
    }

    fn shrink(&mut self, property: &'static Property, number: u64, way: Way) -> Script {
        let Some(tree) = tree(property, self.options.seed, number) else {
            return Script::default();
        };
        let mut shrinker = Shrinker {
            property,
            lab: &mut self.quick,
            way,
            confirmations: self.options.confirmations,
            deadline: Instant::now() + SHRINK_TIME,
            tried: BTreeMap::new(),
        };
        shrinker.smallest(tree)
    }

    /// The clause that a failure most likely breaks. What a server does right when it is given time, it does too late, or line by line only.
    fn clause(&mut self, property: &Property, script: &Script, way: &Way) -> &'static str {
        let patient = Script {
            patient: true,
            ..script.clone()
        };
        let needs_time =
            property.control.is_none() && self.quick.attempt(property, &patient).failure.is_none();
        if needs_time {
            suspect::by_haste(script, way.due())
        } else {
            (property.clause)(script, way.wrong())
        }
    }
}

/// What came of trying the same several times.
enum Repeated {
    /// It failed in this way every time, the last time like this.
    Always(Way, Box<Attempt>),
    /// This time it did not fail, or not in the same way.
    NotAlways(Box<Attempt>),
}

fn flaky(number: u64, failed: Attempt, again: Attempt) -> Examined {
    Examined::Flaky(Box::new(Flaky {
        number,
        cases: 1,
        failed,
        again,
    }))
}

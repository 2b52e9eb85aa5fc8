//! Writes the seeds of every target into its corpus: what clients and servers say in the transcripts of the
//! specification, and a conversation of each property.
//!
//! ```text
//! cargo run -p meta-stats-fuzz --example seeds              into fuzz/corpus/
//! cargo run -p meta-stats-fuzz --example seeds -- DIRECTORY
//! ```

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::iter;
use std::path::{Path, PathBuf};

use meta_stats_conformance::judge::{Demand, Demanded};
use meta_stats_conformance::model::{self, Quantity};
use meta_stats_conformance::plan::{Operation, PlannedStep, plan};
use meta_stats_conformance::property::PROPERTIES;
use meta_stats_conformance::spec::{CaseRef, Spec};
use meta_stats_fuzz::judge::Hearing;
use meta_stats_fuzz::stats::Step;
use meta_stats_server::record::Record;

/// Longer input teaches the fuzzer nothing that shorter input does not.
const LONGEST: usize = 2048;

/// Of the replies that one connection is owed, the first ones are enough.
const MOST_DEMANDS: usize = 4;

fn main() -> io::Result<()> {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let corpora = std::env::args_os().nth(1).map_or(bundled, PathBuf::from);
    let spec = Spec::bundled();
    for (name, input) in conversations() {
        let directory = corpora.join("conversation");
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join(name), input)?;
    }
    let mut written = HashSet::new();
    for case in spec.cases() {
        let name = case.case.id.replace(['/', '.'], "-");
        for (number, (target, input)) in seeds(case, &spec.data).into_iter().enumerate() {
            if input.len() > LONGEST || !written.insert((target, input.clone())) {
                continue;
            }
            let directory = corpora.join(target);
            std::fs::create_dir_all(&directory)?;
            std::fs::write(directory.join(format!("{name}-{number}")), input)?;
        }
    }
    Ok(())
}

/// A conversation of each property in each dialect, drawn from octets that look like chance and are the same each time.
fn conversations() -> impl Iterator<Item = (String, Vec<u8>)> {
    const DRAWN: usize = 120;
    let mut state = 1u32;
    let mut octets = iter::repeat_with(move || {
        // The constants of Numerical Recipes; the lowest bits of such a generator are not random at all.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let dialects = [("plain", 0), ("classic", 0x80)];
    let all = PROPERTIES
        .iter()
        .zip(0u8..)
        .flat_map(move |(property, index)| {
            dialects.map(|(dialect, bit)| (format!("{}-{dialect}", property.name), index | bit))
        });
    all.map(move |(name, shape)| {
        let drawn = octets.by_ref().take(DRAWN);
        (name, iter::once(shape).chain(drawn).collect())
    })
}

/// The seeds that a case is good for, with their targets.
fn seeds(case: CaseRef<'_>, data: &BTreeMap<String, Vec<u8>>) -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = vec![("transcript", case.case.text.clone().into_bytes())];
    let Ok(plan) = plan(&case.case.transcript, case.case.dialect, data) else {
        return seeds;
    };
    let mut talks = BTreeMap::new();
    listen(&plan.steps, &mut talks);
    for talk in talks.into_values() {
        if !talk.sent.is_empty() {
            // An octet that says how the stream is cut; for a session, the default dialect and the usual limit before
            // it.
            seeds.push(("line", [b"\x07", talk.sent.as_slice()].concat()));
            seeds.push(("session", [b"\0\x07", talk.sent.as_slice()].concat()));
        }
        let values = values(&talk.sent);
        if !values.is_empty() {
            let steps = values.iter().map(|value| Step::Pattern(value.to_bits()));
            seeds.push(("stats", steps.flat_map(Step::encode).collect()));
            let sample = values.iter().copied().collect();
            let record = Record {
                pid: 1,
                count: values.len() as u64,
                mean: Quantity::mean(&sample).to_f64(),
            };
            seeds.push(("record", record.encode().to_vec()));
        }
        for demand in talk.due.iter().take(MOST_DEMANDS) {
            let numbers = demand.what.quantities();
            let said = numbers.iter().map(|number| number.to_f64().to_string());
            let said = said.collect::<Vec<_>>().join(" ");
            let hearing = Hearing {
                kind: kind(&demand.what),
                values: values.clone(),
                said: said.as_bytes(),
                ..Hearing::default()
            };
            seeds.push(("judge", hearing.encode()));
        }
    }
    seeds
}

/// The number that stands for a kind of demand in a hearing.
fn kind(demanded: &Demanded) -> u8 {
    match demanded {
        Demanded::Count(_) => 0,
        Demanded::Quantity(_) => 2,
        Demanded::Exit { .. } => 4,
        Demanded::Means(_) => 5,
        Demanded::Error => 6,
        Demanded::Greeting => 7,
        _ => 8,
    }
}

/// One connection of a case.
#[derive(Default)]
struct Talk {
    sent: Vec<u8>,
    due: Vec<Demand>,
}

fn listen(steps: &[PlannedStep], talks: &mut BTreeMap<usize, Talk>) {
    for step in steps {
        match &step.operation {
            Operation::Send(octets) => {
                talks
                    .entry(step.connection)
                    .or_default()
                    .sent
                    .extend_from_slice(octets);
            }
            Operation::Expect(demand) => {
                talks
                    .entry(step.connection)
                    .or_default()
                    .due
                    .push(demand.clone());
            }
            Operation::Together(lanes) => lanes.iter().for_each(|lane| listen(lane, talks)),
            _ => {}
        }
    }
}

/// The values among the lines that were sent.
fn values(sent: &[u8]) -> Vec<f64> {
    let requests = sent.split(|&octet| octet == b'\n').map(model::request);
    let value = |request| match request {
        model::Request::Value(value) => Some(value),
        _ => None,
    };
    requests.filter_map(value).collect()
}

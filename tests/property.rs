//! Generated sessions against the real binary, in both dialects: always the same ones, and some that nobody has tried before.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use meta_stats_conformance::dialect::Dialect;
use meta_stats_conformance::profile::Profile;
use meta_stats_conformance::property::PROPERTIES;
use meta_stats_conformance::property::executor::Subject;
use meta_stats_conformance::property::explore::explore;
use meta_stats_conformance::property::options::Options;
use meta_stats_conformance::property::report::{self, Exploration};
use meta_stats_conformance::runner::Settings;
use meta_stats_conformance::target::{Launcher, Target};

/// A right server replies at once; the machine that it is tested on may not.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Cases of each property, seed and dialect.
const CASES: u64 = 25;

fn every_property_holds(dialect: Dialect, seed: u64) {
    let words = ["0", "0", "--bind", "127.0.0.1", "--dialect", dialect.name()];
    let target = Target::Launched(Launcher::Announcing {
        name: "meta-stats-server".to_owned(),
        program: env!("CARGO_BIN_EXE_meta-stats-server").into(),
        arguments: words.map(Into::into).into(),
    });
    let subject = Subject {
        target,
        settings: Settings::new(TIMEOUT, Profile::of(dialect)),
        reach: format!("--dialect {dialect} --spec DIR"),
    };
    let options = Options {
        seed,
        cases: CASES,
        max_time: None,
        jobs: 2,
        confirmations: 3,
        save: None,
    };
    let properties: Vec<_> = PROPERTIES.iter().collect();
    let subjects = [subject];
    let verdicts = explore(&properties, &subjects, &options, &|_, _| {})
        .expect("nothing is saved, so nothing can fail to be");
    let exploration = Exploration::new(&subjects, seed, verdicts);
    let text = anstream::adapter::strip_str(&report::human(&exploration)).to_string();
    eprintln!("{text}");
    for verdict in &exploration.verdicts {
        assert!(!verdict.fails(), "seed {seed}:\n{text}");
        assert_eq!((verdict.cases, verdict.inconclusive), (CASES, 0), "{text}");
    }
}

/// Printed with the report of a failure, so that it can be tried again.
fn fresh_seed() -> u64 {
    RandomState::new().hash_one(()) >> 32
}

#[test]
fn the_plain_dialect_holds_for_a_fixed_seed() {
    every_property_holds(Dialect::Plain, 1);
}

#[test]
fn the_classic_dialect_holds_for_a_fixed_seed() {
    every_property_holds(Dialect::Classic, 1);
}

#[test]
fn the_plain_dialect_holds_for_a_fresh_seed() {
    every_property_holds(Dialect::Plain, fresh_seed());
}

#[test]
fn the_classic_dialect_holds_for_a_fresh_seed() {
    every_property_holds(Dialect::Classic, fresh_seed());
}

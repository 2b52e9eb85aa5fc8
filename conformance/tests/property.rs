//! Properties against servers with faults to order: each fault is found, and shown in a few lines.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use meta_stats_conformance::dialect::Dialect;
use meta_stats_conformance::lint::lint;
use meta_stats_conformance::profile::Profile;
use meta_stats_conformance::property::examine::Finding;
use meta_stats_conformance::property::executor::Subject;
use meta_stats_conformance::property::explore::{Verdict, explore};
use meta_stats_conformance::property::options::Options;
use meta_stats_conformance::property::{PROPERTIES, property};
use meta_stats_conformance::runner::{Runner, Settings};
use meta_stats_conformance::spec::Spec;
use meta_stats_conformance::target::{Launcher, Target};

/// A reply that a fault swallows is waited for so long; one that a busy machine delays must not be
/// taken for swallowed.
const TIMEOUT: Duration = Duration::from_secs(5);

const CASES: u64 = 60;

/// `cargo test` builds the examples next to the binaries.
fn faulty_server() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_meta-stats-conformance"));
    let directory = binary.parent().expect("a binary lies in a directory");
    let server = directory.join("examples").join("faulty-server");
    assert!(
        server.exists(),
        "{} is missing: `cargo build -p meta-stats-conformance --examples`",
        server.display()
    );
    server
}

fn target(fault: Option<&str>) -> Target {
    let fault = fault.map(|fault| ["--fault".into(), fault.into()]);
    let ports = ["0".into(), "0".into()];
    Target::Launched(Launcher::Announcing {
        name: "faulty-server".to_owned(),
        program: faulty_server(),
        arguments: ports
            .into_iter()
            .chain(fault.into_iter().flatten())
            .collect(),
    })
}

fn settings() -> Settings {
    Settings::new(TIMEOUT, Profile::of(Dialect::Plain))
}

fn subject(fault: Option<&str>) -> Subject {
    Subject {
        target: target(fault),
        settings: settings(),
        reach: String::new(),
    }
}

fn options(save: Option<&Path>) -> Options {
    Options {
        seed: 3,
        cases: CASES,
        max_time: None,
        jobs: 2,
        confirmations: 3,
        save: save.map(Path::to_owned),
    }
}

fn explore_one(name: &str, fault: Option<&str>, save: Option<&Path>) -> Verdict {
    let options = options(save);
    let property = property(name).expect("the property exists");
    let verdicts = explore(&[property], &[subject(fault)], &options, &|_, _| {});
    let verdicts = verdicts.expect("the directory is writable");
    verdicts
        .into_iter()
        .next()
        .expect("one property, one verdict")
}

/// The one failure that was found of the one server that was tried.
fn finding(verdict: &Verdict) -> Option<&Finding> {
    verdict.findings.first()
}

fn steps(finding: &Finding) -> usize {
    finding
        .regression
        .text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .count()
}

/// The fault is found by the property, blamed on the clause, shown in six lines at most, and found
/// again by `run --spec`.
fn is_found(fault: &str, name: &str, clause: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let verdict = explore_one(name, Some(fault), Some(directory.path()));
    let finding = finding(&verdict).unwrap_or_else(|| {
        panic!(
            "{fault} was not found by {name}; flaky: {:?}",
            verdict.flaky
        );
    });
    assert_eq!(
        finding.regression.clause.as_deref(),
        Some(clause),
        "{}",
        finding.regression.text
    );
    assert!(steps(finding) <= 6, "{}", finding.regression.text);

    let spec = Spec::from_directory(directory.path()).expect("a directory");
    assert_eq!(lint(&spec), []);
    let case = spec.cases().next().expect("a case");
    let result = Runner::new(target(Some(fault)), settings()).run(case, &spec.data);
    assert!(result.outcome.is_failure(), "{}", finding.regression.text);
    let right = Runner::new(target(None), settings()).run(case, &spec.data);
    assert!(!right.outcome.is_failure(), "{:?}", right.failure);
}

#[test]
fn the_deviation_of_a_population_is_found() {
    is_found("population", "replies", "number.sample");
}

#[test]
fn a_naive_sum_of_squares_is_found() {
    is_found("naive-squares", "clusters", "number.exact-deviation");
}

#[test]
fn values_kept_as_binary32_are_found() {
    is_found("float32", "clusters", "number.exact-deviation");
}

#[test]
fn a_memory_of_a_thousand_values_is_found() {
    is_found("last-thousand", "many", "number.many");
}

#[test]
fn counting_bad_lines_is_found() {
    is_found("errors-counted", "bad-lines", "error.no-effect");
}

#[test]
fn weighing_the_means_is_found() {
    is_found("weighted-means", "means", "meta.mean");
}

#[test]
fn swapping_replies_is_found() {
    is_found("swapped-replies", "interleaving", "isolation.statistics");
}

#[test]
fn a_late_mean_is_found() {
    is_found("late-means", "own-writes", "meta.own-writes");
}

#[test]
fn a_count_of_eight_bits_is_found() {
    is_found("eight-bit-count", "many", "number.many");
}

#[test]
fn taking_a_segment_for_a_line_is_found() {
    let verdict = explore_one("segments", Some("read-is-line"), None);
    let finding = finding(&verdict).expect("a finding");
    let clauses = ["line.segments", "line.pipelining"];
    assert!(
        finding
            .regression
            .clause
            .as_deref()
            .is_some_and(|clause| clauses.contains(&clause)),
        "{}",
        finding.regression.text
    );
    assert!(steps(finding) <= 6, "{}", finding.regression.text);
}

#[test]
fn a_server_without_fault_passes_all_that_does_not_ask_for_more_than_double_precision() {
    for property in PROPERTIES
        .iter()
        .filter(|property| property.name != "precise")
    {
        let verdict = explore_one(property.name, None, None);
        assert!(!verdict.fails(), "{verdict:?}");
    }
}

#[test]
fn one_wrong_reply_in_ten_is_flaky() {
    let options = Options {
        // Three times the same reply may well be wrong by chance.
        confirmations: 10,
        ..options(None)
    };
    let property = property("replies").expect("the property exists");
    let subjects = [subject(Some("flaky"))];
    let verdicts = explore(&[property], &subjects, &options, &|_, _| {});
    let verdict = verdicts.expect("nothing is kept").remove(0);
    assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
    let flaky = verdict.flaky.expect("a failure that does not repeat");
    let (failed, again) = (&flaky.failed.trials[0], &flaky.again.trials[0]);
    assert!(failed.failure.is_some() && again.failure.is_none());
    // Side by side they show what differs, so that both have to be whole.
    assert!(!failed.trace.is_empty() && !again.trace.is_empty());
}

#[test]
fn however_many_cases_run_at_the_same_time_the_same_are_counted_and_the_first_failure_is_reported()
{
    let explored = |fault, jobs| {
        let options = Options {
            jobs,
            ..options(None)
        };
        let property = property("many").expect("the property exists");
        let mut subject = subject(fault);
        // Nothing is silent, so a machine that is slow with many jobs may take its time.
        subject.settings.timeout *= 12;
        let verdicts = explore(&[property], &[subject], &options, &|_, _| {});
        let verdict = verdicts.expect("nothing is kept").remove(0);
        let finding = finding(&verdict);
        let found = finding.map(|finding| (finding.number, finding.regression.clause.clone()));
        (verdict.cases, verdict.coverage, found)
    };
    for fault in [None, Some("last-thousand")] {
        let alone = explored(fault, 1);
        assert_eq!(alone.2.is_some(), fault.is_some());
        for jobs in [3, 8] {
            assert_eq!(explored(fault, jobs), alone, "{jobs} jobs");
        }
    }
}

#[test]
fn time_bounds_the_whole_run() {
    const MOST: Duration = Duration::from_secs(2);
    /// Each time that something silent is waited for takes longer than this.
    const GRACE: Duration = TIMEOUT;

    let options = Options {
        max_time: Some(MOST),
        ..options(None)
    };
    let properties: Vec<_> = PROPERTIES.iter().collect();
    let start = Instant::now();
    let subjects = [subject(Some("read-is-line"))];
    let verdicts = explore(&properties, &subjects, &options, &|_, _| {}).expect("nothing is kept");
    let took = start.elapsed();
    assert!(took < MOST + GRACE, "{took:?}");
    assert!(verdicts.iter().any(Verdict::fails), "{verdicts:?}");
}

#[test]
fn what_was_saved_is_tried_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = explore_one("replies", Some("population"), Some(directory.path()));
    assert!(finding(&first).is_some_and(|finding| finding.number.is_some()));
    let second = explore_one("replies", Some("population"), Some(directory.path()));
    let finding = finding(&second).expect("the same finding");
    assert_eq!((finding.number, second.cases), (None, 0));
    assert_eq!(finding.regression.clause.as_deref(), Some("number.sample"));
    let fixed = explore_one("replies", None, Some(directory.path()));
    assert!(!fixed.fails() && fixed.cases == CASES, "{fixed:?}");
}

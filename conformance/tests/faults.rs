//! The kit itself is right: a server with one fault fails the clauses that the fault breaks, and the report says what is wrong. One named test a fault.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use meta_stats_conformance::diagnose::{Certainty, diagnose};
use meta_stats_conformance::runner::{CaseResult, Order, Outcome, Runner, run_all};
use meta_stats_conformance::spec::{CaseRef, Level, Spec};
use meta_stats_conformance::target::{Launcher, Target};

/// Time for a reply that comes; the machine may be busy.
const PATIENT: Duration = Duration::from_secs(20);
/// Time for a reply that will not come.
const BRIEF: Duration = Duration::from_millis(300);

/// What the kit has to find in a server with a fault.
struct Expected {
    fault: &'static str,
    level: Level,
    timeout: Duration,
    /// The clauses of that level that fail: exactly these, or at least these.
    clauses: Clauses,
    /// A part of what the diagnosis says.
    sentence: &'static str,
}

enum Clauses {
    Exactly(&'static [&'static str]),
    AtLeast(&'static [&'static str]),
}

use Clauses::{AtLeast, Exactly};

const fn must(
    fault: &'static str,
    timeout: Duration,
    clauses: Clauses,
    sentence: &'static str,
) -> Expected {
    Expected {
        fault,
        level: Level::Must,
        timeout,
        clauses,
        sentence,
    }
}

const fn should(
    fault: &'static str,
    clauses: &'static [&'static str],
    sentence: &'static str,
) -> Expected {
    Expected {
        fault,
        level: Level::Should,
        timeout: PATIENT,
        clauses: AtLeast(clauses),
        sentence,
    }
}

const EXPECTED: &[Expected] = &[
    must(
        "prefix-commands",
        PATIENT,
        Exactly(&["command.alone", "command.exact"]),
        "only begins like a command",
    ),
    should("any-case", &["command.case"], "without regard to case"),
    must(
        "zero-rejected",
        PATIENT,
        Exactly(&["value.zero"]),
        "zero is taken for a bad line",
    ),
    must(
        "negative-rejected",
        PATIENT,
        Exactly(&["meta.any-mean", "value.negative"]),
        "negative numbers are taken for bad lines",
    ),
    must(
        "trailing-garbage",
        BRIEF,
        AtLeast(&["command.alone", "line.octets", "value.nothing-after"]),
        "check where `strtod` stopped",
    ),
    must(
        "population",
        PATIENT,
        Exactly(&["number.sample"]),
        "divided by n;",
    ),
    must(
        "variance",
        PATIENT,
        Exactly(&["number.sample"]),
        "replies the variance",
    ),
    should(
        "naive-squares",
        &["number.exact-deviation"],
        "sum of squares minus the squared sum",
    ),
    should("float32", &["value.nearest", "meta.exact"], "32-bit floats"),
    must(
        "last-thousand",
        PATIENT,
        Exactly(&["number.many"]),
        "only the last 1,000 values",
    ),
    must(
        "first-forgotten",
        PATIENT,
        AtLeast(&["command.sum"]),
        "the first value of a session is lost",
    ),
    must(
        "eight-bit-count",
        PATIENT,
        AtLeast(&["number.many"]),
        "the count has 8 bits",
    ),
    must(
        "errors-counted",
        PATIENT,
        AtLeast(&["error.no-effect"]),
        "counted as a value of zero",
    ),
    must(
        "error-clears",
        PATIENT,
        AtLeast(&["error.no-effect"]),
        "clears the statistics",
    ),
    must(
        "error-ends-session",
        PATIENT,
        AtLeast(&["error.session-goes-on"]),
        "a bad line ends the session",
    ),
    must(
        "error-silent",
        BRIEF,
        AtLeast(&["error.reply"]),
        "a bad line gets no reply",
    ),
    must(
        "read-is-line",
        BRIEF,
        AtLeast(&["line.segments", "line.pipelining"]),
        "whatever one `read` returns is taken for one line",
    ),
    must(
        "stays-open",
        BRIEF,
        AtLeast(&["session.end"]),
        "stays open after the exit line",
    ),
    should(
        "abrupt-close",
        &["session.delivery"],
        "closed while input is unread",
    ),
    must(
        "eof-counted",
        PATIENT,
        Exactly(&["meta.no-exit"]),
        "ended without `exit` leaves a mean",
    ),
    should(
        "unterminated-processed",
        &["session.unterminated"],
        "without newline is processed",
    ),
    should(
        "empty-counted",
        &["meta.empty-session"],
        "leaves a mean of zero",
    ),
    must(
        "zero-mean-dropped",
        PATIENT,
        Exactly(&["meta.any-mean"]),
        "whose mean is zero leaves none",
    ),
    must(
        "negative-mean-dropped",
        PATIENT,
        Exactly(&["meta.any-mean"]),
        "whose mean is negative leaves none",
    ),
    must(
        "mean-two-decimals",
        PATIENT,
        Exactly(&["meta.mean"]),
        "rounded to two decimals on their way",
    ),
    must(
        "late-means",
        PATIENT,
        AtLeast(&["meta.own-writes"]),
        "goes out before the mean is recorded",
    ),
    must(
        "weighted-means",
        PATIENT,
        Exactly(&["meta.mean", "meta.stddev"]),
        "the mean of all values",
    ),
    must(
        "meta-needs-input",
        BRIEF,
        AtLeast(&["meta.line"]),
        "waits for input",
    ),
    must(
        "swapped-replies",
        BRIEF,
        AtLeast(&["session.concurrent"]),
        "sessions see what belongs to others",
    ),
    #[cfg(target_os = "linux")]
    must(
        "spin-after-eof",
        BRIEF,
        AtLeast(&["process.idle", "session.eof"]),
        "burns processor time",
    ),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        Trial::test("no-fault", no_fault_conforms),
        Trial::test("three-faults", three_faults_are_named_together),
        Trial::test("crash-on-stddev", a_crash_is_blamed_on_its_case),
    ];
    trials.extend(
        EXPECTED
            .iter()
            .map(|expected| Trial::test(expected.fault, || verify(expected))),
    );
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The example server; `cargo test` builds examples first.
fn faulty_server() -> PathBuf {
    let mut path = std::env::current_exe().expect("a test has a path");
    path.pop();
    path.pop();
    path.join("examples")
        .join(format!("faulty-server{}", std::env::consts::EXE_SUFFIX))
}

/// Runs the wanted cases of a level against a server with faults.
fn run<'a>(
    spec: &'a Spec,
    level: Level,
    wanted: impl Fn(&CaseRef<'a>) -> bool,
    faults: &[&str],
    timeout: Duration,
) -> Vec<CaseResult<'a>> {
    let faults = faults.iter().flat_map(|fault| ["--fault", fault]);
    let target = Target::Launched(Launcher::Announcing {
        name: "faulty-server".to_owned(),
        program: faulty_server(),
        arguments: ["{port}", "{meta_port}"]
            .into_iter()
            .chain(faults)
            .map(Into::into)
            .collect(),
    });
    let runner = Runner::reach(target, None, Some(timeout)).expect("the example server starts");
    let cases: Vec<CaseRef<'a>> = spec
        .cases()
        .filter(|case| case.clause.level == level && wanted(case))
        .collect();
    let order = Order {
        jobs: 8,
        seed: None,
        total_timeout: None,
    };
    run_all(runner, &cases, &spec.data, &order, &|_| {})
}

fn failed<'r, 'a>(results: &'r [CaseResult<'a>]) -> impl Iterator<Item = &'r CaseResult<'a>> {
    results.iter().filter(|result| result.outcome.is_failure())
}

fn failed_clauses<'r>(results: &'r [CaseResult<'_>]) -> BTreeSet<&'r str> {
    failed(results)
        .map(|result| result.case.clause.slug.as_str())
        .collect()
}

fn details(results: &[CaseResult<'_>]) -> String {
    failed(results)
        .map(|result| format!("{} {:?}\n", result.case.case.id, result.failure))
        .collect()
}

fn verify(expected: &Expected) -> Result<(), Failed> {
    let spec = Spec::bundled();
    // That nothing else fails takes all cases; for the rest those of the clauses will do.
    let wanted = |case: &CaseRef<'_>| match expected.clauses {
        Exactly(_) => true,
        AtLeast(clauses) => clauses.contains(&case.clause.slug.as_str()),
    };
    let results = run(
        &spec,
        expected.level,
        wanted,
        &[expected.fault],
        expected.timeout,
    );
    let found = failed_clauses(&results);
    let (right, least) = match expected.clauses {
        Exactly(clauses) => (
            found == clauses.iter().copied().collect(),
            Certainty::Certain,
        ),
        AtLeast(clauses) => (
            clauses.iter().all(|clause| found.contains(clause)),
            Certainty::Likely,
        ),
    };
    if !right {
        return Err(format!("these clauses fail: {found:?}\n{}", details(&results)).into());
    }
    let diagnoses = diagnose(&results);
    let said = |certainty: Certainty| {
        let mut sure = diagnoses
            .iter()
            .filter(|diagnosis| diagnosis.certainty <= certainty);
        sure.any(|diagnosis| diagnosis.sentence.contains(expected.sentence))
    };
    // One wrong reply alone makes nobody certain.
    let least = if failed(&results).count() > 1 {
        least
    } else {
        Certainty::Likely
    };
    if said(least) {
        Ok(())
    } else {
        Err(format!("{diagnoses:#?}").into())
    }
}

fn no_fault_conforms() -> Result<(), Failed> {
    let spec = Spec::bundled();
    let results = run(&spec, Level::Must, |_| true, &[], PATIENT);
    assert_eq!(details(&results), "");
    assert_eq!(diagnose(&results), []);
    assert!(
        results
            .iter()
            .filter(|result| result.outcome == Outcome::Pass)
            .count()
            > 200
    );
    Ok(())
}

fn three_faults_are_named_together() -> Result<(), Failed> {
    let spec = Spec::bundled();
    let results = run(
        &spec,
        Level::Must,
        |_| true,
        &["prefix-commands", "zero-rejected", "population"],
        PATIENT,
    );
    let found: Vec<&str> = failed_clauses(&results).into_iter().collect();
    assert_eq!(
        found,
        [
            "command.alone",
            "command.exact",
            "number.sample",
            "value.zero"
        ],
        "{}",
        details(&results)
    );
    Ok(())
}

fn a_crash_is_blamed_on_its_case() -> Result<(), Failed> {
    let spec = Spec::bundled();
    let results = run(
        &spec,
        Level::Must,
        |case| case.chapter.name == "commands",
        &["crash-on-stddev"],
        PATIENT,
    );
    let crashed: Vec<_> = results
        .iter()
        .filter(|result| result.outcome == Outcome::Crash)
        .collect();
    assert!(
        crashed
            .iter()
            .all(|result| result.case.case.text.contains("stddev")),
        "{}",
        details(&results)
    );
    assert!(
        crashed
            .iter()
            .any(|result| result.case.clause.slug == "command.stddev"),
        "{}",
        details(&results)
    );
    let passed = results
        .iter()
        .filter(|result| result.outcome == Outcome::Pass)
        .count();
    assert!(passed > 20, "the run goes on after a crash");
    Ok(())
}

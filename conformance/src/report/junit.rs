//! The report as JUnit XML.
//!
//! A suite is a chapter, the class of a case its clause. A wrong reply is a `failure`; a case that could not be carried to its end (time-out, reset, crash) is an
//! `error`; what the verdict does not count (a SHOULD, a MAY, an entry of the baseline) is `skipped` with the reason, as JUnit knows no level. The property
//! `outcome` has the outcome itself. What is stale in the baseline is a failure in a suite of its own.

use quick_junit::{NonSuccessKind, Property, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::{Report, Standing, human, in_short};
use crate::baseline::Stale;
use crate::runner::{CaseResult, Outcome};

/// The report as JUnit XML.
///
/// # Errors
/// If the writer of XML refuses it.
pub fn render(report: &Report<'_>) -> Result<String, String> {
    let mut junit = Junit::new("meta-stats-conformance");
    junit.set_time(report.duration);
    for results in report.chapters() {
        let mut suite = TestSuite::new(xml(&results[0].case.chapter.title));
        suite.set_time(results.iter().map(|result| result.duration).sum());
        suite.add_property(Property::new("target", xml(&report.target)));
        suite.add_property(Property::new("dialect", report.dialect.name()));
        if !report.selection.is_empty() {
            suite.add_property(Property::new("selection", xml(&report.selection)));
        }
        suite.add_test_cases(results.iter().map(|result| case(report, result)));
        junit.add_test_suite(suite);
    }
    if !report.stale.is_empty() {
        let mut suite = TestSuite::new("Baseline");
        suite.add_test_cases(report.stale.iter().map(stale));
        junit.add_test_suite(suite);
    }
    junit.to_string().map_err(|error| error.to_string())
}

/// A disagreement with the baseline, which may be about no case at all.
fn stale(stale: &Stale) -> TestCase {
    let message = xml(&stale.to_string());
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(&message);
    status.set_type("stale");
    let mut case = TestCase::new(message, status);
    case.set_classname("baseline");
    case
}

fn case(report: &Report<'_>, result: &CaseResult<'_>) -> TestCase {
    let clause = result.case.clause;
    let mut case = TestCase::new(result.case.case.id.as_str(), status(report, result));
    case.set_classname(clause.slug.as_str());
    case.set_time(result.duration);
    case.extra
        .insert("file".into(), xml(&result.case.chapter.path).into());
    for (name, value) in [
        ("title", result.case.case.transcript.title.as_str()),
        ("clause", clause.slug.as_str()),
        ("level", &clause.level.to_string()),
        ("outcome", result.outcome.name()),
    ] {
        case.add_property(Property::new(name, xml(value)));
    }
    if !result.output.trim().is_empty() {
        case.set_system_err(xml(&result.output));
    }
    case
}

fn status(report: &Report<'_>, result: &CaseResult<'_>) -> TestCaseStatus {
    let standing = report.standing(result);
    let level = result.case.clause.level;
    let (mut status, message) = match standing {
        Standing::Good => return TestCaseStatus::success(),
        Standing::Skipped | Standing::Expected => (TestCaseStatus::skipped(), in_short(result)),
        Standing::Observed => (
            TestCaseStatus::skipped(),
            format!("{level} does not bind: {}", in_short(result)),
        ),
        Standing::Bad => {
            let kind = match result.outcome {
                Outcome::Timeout | Outcome::Reset | Outcome::Crash | Outcome::Error => {
                    NonSuccessKind::Error
                }
                _ => NonSuccessKind::Failure,
            };
            (TestCaseStatus::non_success(kind), in_short(result))
        }
    };
    status.set_message(xml(&message));
    status.set_type(result.outcome.name());
    if matches!(standing, Standing::Bad | Standing::Observed) {
        let mut text = Vec::new();
        // Writing to a Vec cannot fail.
        let _ = human::write_failure(result, &report.reach, &mut text);
        status.set_description(xml(&String::from_utf8_lossy(&text)));
    }
    status
}

/// Text without the two characters that XML cannot hold and the writer does not know of; a server may send them.
fn xml(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

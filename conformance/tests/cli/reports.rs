//! Every form of a report, read by somebody else's reader.

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use assert_cmd::assert::OutputAssertExt;
use predicates::str::{contains, starts_with};
use serde_json::{Value, json};

use crate::support::{faulty, program, stdout_of};

const SCHEMA: &str = include_str!("../../schema/report-1.json");

pub(crate) const FORMS: [&str; 6] = ["human", "json", "junit", "tap", "html", "markdown"];

/// One run with cases that pass, fail, time out and are skipped, in every form at once.
fn report(form: &str) -> &'static str {
    static REPORTS: LazyLock<BTreeMap<&str, String>> = LazyLock::new(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = program();
        for form in FORMS {
            command.arg("--report");
            command.arg(format!("{form}={}", directory.path().join(form).display()));
        }
        command
            .args(["--select", "number.*", "--select", "dialect.*"])
            .args(["--select", "error.reply", "--timeout", "2s"])
            .args(["--exec", &faulty(&["population", "error-silent"])])
            .assert()
            .code(1)
            .stdout(contains("not conformant"));
        let read = |form| fs::read_to_string(directory.path().join(form)).expect("a report");
        FORMS.map(|form| (form, read(form))).into()
    });
    &REPORTS[form]
}

/// The schema with every object closed, so that a field which nobody has described is found.
fn closed(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(object) => {
            for value in object.values_mut() {
                *value = closed(value.take());
            }
            let describes_fields =
                object.contains_key("properties") && object.contains_key("required");
            if describes_fields && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(array) => array
            .iter_mut()
            .for_each(|value| *value = closed(value.take())),
        _ => {}
    }
    schema
}

#[test]
fn the_json_report_is_valid_and_all_of_it_is_described() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("a schema in JSON");
    let reports = [
        report("json").to_owned(),
        stdout_of(program().args(["--format", "json", "--select", "line.*"])),
    ];
    for schema in [schema.clone(), closed(schema)] {
        let validator = jsonschema::validator_for(&schema).expect("a valid schema");
        for report in &reports {
            let report: Value = serde_json::from_str(report).expect("one JSON object");
            let errors: Vec<_> = validator
                .iter_errors(&report)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{errors:#?}");
        }
        for (field, wrong) in [
            ("version", json!(2)),
            ("cases", json!([{}])),
            ("summary", json!({})),
        ] {
            let mut report: Value = serde_json::from_str(&reports[0]).expect("one JSON object");
            report[field] = wrong;
            assert!(!validator.is_valid(&report), "{field}");
        }
    }
}

#[test]
fn the_json_report_counts_what_it_lists() {
    let report: Value = serde_json::from_str(report("json")).expect("one JSON object");
    let cases = report["cases"].as_array().expect("an array");
    for (outcome, count) in report["summary"].as_object().expect("an object") {
        let listed = cases
            .iter()
            .filter(|case| case["outcome"] == outcome.as_str());
        assert_eq!(Some(listed.count() as u64), count.as_u64(), "{outcome}");
    }
    for outcome in ["pass", "fail", "timeout", "skip"] {
        assert!(
            cases.iter().any(|case| case["outcome"] == outcome),
            "{outcome}"
        );
    }
}

#[test]
fn the_junit_report_is_xml_and_counts_as_ci_systems_do() {
    let text = report("junit");
    let document = roxmltree::Document::parse(text).expect("well-formed XML");
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    let elements = |name: &'static str| {
        document
            .descendants()
            .filter(move |node| node.has_tag_name(name))
    };
    for (attribute, element) in [
        ("tests", "testcase"),
        ("failures", "failure"),
        ("errors", "error"),
        ("skipped", "skipped"),
    ] {
        let count = elements(element).count();
        assert!(count > 0, "no {element} in {text}");
        assert_eq!(
            root.attribute(attribute),
            Some(count.to_string().as_str()),
            "{attribute}"
        );
    }
    for failure in elements("failure") {
        assert_eq!(failure.attribute("type"), Some("fail"));
        assert!(
            failure
                .attribute("message")
                .is_some_and(|message| message.starts_with("expected "))
        );
        assert!(
            failure
                .text()
                .is_some_and(|text| text.contains("on the wire"))
        );
    }
    for error in elements("error") {
        assert_eq!(error.attribute("type"), Some("timeout"));
    }
    for case in elements("testcase") {
        let property = |name: &str| {
            case.descendants()
                .find(|node| node.has_tag_name("property") && node.attribute("name") == Some(name))
                .and_then(|node| node.attribute("value"))
        };
        assert_eq!(property("clause"), case.attribute("classname"));
        let level = property("level");
        let fails = case
            .children()
            .any(|node| node.has_tag_name("failure") || node.has_tag_name("error"));
        assert!(
            !fails || level == Some("MUST"),
            "a {level:?} case does not decide"
        );
    }
}

/// A strict reader of TAP 14 as the program writes it: the version, the plan, one point a case, YAML blocks of JSON scalars, comments.
pub(crate) fn read_tap(text: &str) -> Vec<(bool, String)> {
    let mut lines = text.lines().peekable();
    assert_eq!(lines.next(), Some("TAP version 14"));
    let plan = lines.next().and_then(|plan| plan.strip_prefix("1.."));
    let plan: usize = plan.and_then(|plan| plan.parse().ok()).expect("a plan");
    let mut points = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with("# ") {
            continue;
        }
        let (ok, rest) = match line.strip_prefix("not ok ") {
            Some(rest) => (false, rest),
            None => (true, line.strip_prefix("ok ").expect("a test point")),
        };
        let (number, description) = rest.split_once(" - ").expect("a number and a description");
        assert_eq!(number, (points.len() + 1).to_string());
        points.push((ok, description.to_owned()));
        if lines.next_if_eq(&"  ---").is_some() {
            loop {
                match lines.next().expect("the end of the YAML block") {
                    "  ..." => break,
                    line => {
                        let (key, value) = line.split_once(": ").expect("a key and a value");
                        assert!(
                            key.starts_with("  ")
                                && key.trim().chars().all(|c| c.is_ascii_lowercase())
                        );
                        serde_json::from_str::<Value>(value).expect("a scalar");
                    }
                }
            }
        }
    }
    assert_eq!(points.len(), plan, "the plan is kept");
    points
}

#[test]
fn the_tap_report_is_read_by_a_strict_reader() {
    let points = read_tap(report("tap"));
    let bad = points
        .iter()
        .filter(|(ok, description)| !ok && !description.contains(" # TODO "));
    let names: Vec<_> = bad.map(|(_, description)| description.as_str()).collect();
    assert!(
        names
            .iter()
            .any(|name| name.starts_with("number.sample/two-values: ")),
        "{names:?}"
    );
    assert!(
        !names.iter().any(|name| name.starts_with("number.exact-")),
        "{names:?}"
    );
    assert!(
        points
            .iter()
            .any(|(ok, description)| *ok && description.contains(" # SKIP only for"))
    );
}

#[test]
fn the_markdown_report_has_the_verdict_the_table_and_folded_failures() {
    let text = report("markdown");
    assert!(text.starts_with("## ❌ not conformant, "), "{text}");
    assert!(
        text.contains("\n|---|---:|---:|---:|\n| Errors | "),
        "{text}"
    );
    let folded = text
        .matches("<details><summary>fail MUST <code>number.sample/")
        .count();
    assert_eq!(folded, 5, "{text}");
    assert_eq!(
        text.matches("<details>").count(),
        text.matches("</details>").count()
    );
}

#[test]
fn every_form_names_what_fails_and_has_no_escapes() {
    for form in FORMS {
        let report = report(form);
        assert!(report.contains("number.sample/two-values"), "{form}");
        assert!(!report.contains('\u{1b}'), "{form}");
    }
}

#[test]
fn format_and_report_without_path_write_to_standard_output() {
    for option in ["--format", "--report"] {
        program()
            .args([option, "tap", "--select", "line.lf"])
            .assert()
            .success()
            .stdout(starts_with("TAP version 14\n1..3\n"));
    }
}

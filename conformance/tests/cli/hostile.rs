//! What a server sends is only ever text, whatever it sends and whatever the form.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use assert_cmd::assert::OutputAssertExt;

use crate::reports::{FORMS, read_tap};
use crate::support::program;

const LINE: &str =
    "<script>alert(1)</script> ]]> & \" ' \u{1b}[31m\u{ffff}\u{0} ```` </details> # TODO \\ |\n";

/// Answers every line with [`LINE`]; ends with the test process.
fn hostile_server() -> [String; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| {
        let address = listener.local_addr().expect("its address").to_string();
        thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                thread::spawn(move || {
                    let lines = BufReader::new(&stream).split(b'\n');
                    for _ in lines.map_while(Result::ok) {
                        if (&stream).write_all(LINE.as_bytes()).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        address
    })
}

fn reports() -> BTreeMap<&'static str, String> {
    let [primary, secondary] = hostile_server();
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = program();
    command.args([&primary, "--meta", &secondary, "--select", "command.*"]);
    for form in FORMS {
        command.arg("--report");
        command.arg(format!("{form}={}", directory.path().join(form).display()));
    }
    command.assert().code(1);
    let read = |form| std::fs::read_to_string(directory.path().join(form)).expect("a report");
    FORMS.map(|form| (form, read(form))).into()
}

#[test]
fn no_form_lets_a_server_speak() {
    let reports = reports();
    for (form, report) in &reports {
        assert!(
            report.contains("alert(1)"),
            "{form} tells what was received"
        );
        assert!(!report.contains(['\u{1b}', '\u{0}']), "{form}");
    }

    let document = roxmltree::Document::parse(&reports["junit"]).expect("well-formed XML");
    assert!(
        !document
            .descendants()
            .any(|node| node.has_tag_name("script"))
    );

    let points = read_tap(&reports["tap"]);
    assert!(
        points
            .iter()
            .all(|(ok, description)| *ok || !description.contains("alert"))
    );

    // The page's own script, and no other.
    assert_eq!(reports["html"].matches("<script").count(), 1);
    assert!(reports["html"].contains("&lt;script&gt;alert(1)"));

    serde_json::from_str::<serde_json::Value>(&reports["json"]).expect("one JSON object");

    // Only fences that the report itself opens stand at the beginning of a line.
    let markdown = &reports["markdown"];
    let fences = markdown.lines().filter(|line| line.starts_with("`````"));
    assert_eq!(fences.count() % 2, 0);
    let folded = markdown
        .lines()
        .filter(|line| line.starts_with("<details>"));
    assert_eq!(
        folded.count(),
        markdown
            .lines()
            .filter(|line| *line == "</details>")
            .count()
    );
}

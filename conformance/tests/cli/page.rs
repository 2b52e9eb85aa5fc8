//! The HTML report in a real browser: no network, the script runs under the policy of the page, a click filters.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::assert::OutputAssertExt;

use crate::support::{faulty, program};

/// A browser, if there is one.
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|directory| names.map(|name| directory.join(name)))
        .find(|program| program.is_file())
}

fn page(directory: &Path) -> String {
    let path = directory.join("report.html");
    program()
        .args(["--select", "number.*", "--select", "error.reply"])
        .args(["--exec", &faulty(&["population"])])
        .arg(format!("--report=html={}", path.display()))
        .assert()
        .code(1);
    fs::read_to_string(path).expect("the report is there")
}

/// The document after its scripts have run.
fn dump(browser: &Path, directory: &Path, page: &str) -> String {
    let path = directory.join("page.html");
    fs::write(&path, page).expect("the page is written");
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args([
            "--disable-dev-shm-usage",
            "--virtual-time-budget=5000",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            directory.join("profile").display()
        ))
        .arg(format!("file://{}", path.display()))
        .output()
        .expect("the browser starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("a page in UTF-8")
}

/// The opening tags of cases in the dumped document that are shown.
fn shown_cases(dom: &str) -> Vec<&str> {
    let tags = dom.split("<details class=\"case\"").skip(1);
    tags.map(|tag| tag.split('>').next().unwrap_or_default())
        .filter(|tag| !tag.contains("hidden"))
        .collect()
}

#[test]
fn the_page_asks_nothing_of_the_network() {
    let directory = tempfile::tempdir().expect("a directory");
    let page = page(directory.path());
    assert!(page.contains("default-src 'none'"));
    for forbidden in ["http://", "https://", " src=", "@import", "url(", "<link"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn a_click_on_a_filter_leaves_what_it_says() {
    let Some(browser) = browser() else {
        return eprintln!("skipped: no Chromium is installed");
    };
    let directory = tempfile::tempdir().expect("a directory");
    let page = page(directory.path());

    let dom = dump(&browser, directory.path(), &page);
    let all = shown_cases(&dom).len();
    assert!(all > 10, "all cases are shown at first: {all}");
    assert!(
        !dom.contains("<section id=\"filter\" aria-label=\"Filter\" hidden"),
        "the page's own script has not run"
    );

    // The policy allows no second script, so the test's is let in beside the page's own.
    let clicks = "for (const [kind, value] of [[\"outcome\", \"fail\"], [\"level\", \"MUST\"]]) \
                  document.querySelector(`[data-kind=${kind}][data-value=${value}]`).click();";
    let clicked = page
        .replace("script-src 'sha256-", "script-src 'nonce-test' 'sha256-")
        .replace(
            "</body>",
            &format!("<script nonce=\"test\">{clicks}</script></body>"),
        );
    let dom = dump(&browser, directory.path(), &clicked);
    let shown = shown_cases(&dom);
    assert!(
        !shown.is_empty() && shown.len() < all,
        "{} of {all}",
        shown.len()
    );
    for case in shown {
        assert!(
            case.contains("data-outcome=\"fail\"") && case.contains("data-level=\"MUST\""),
            "{case}"
        );
    }

    let typed = "const text = document.getElementById(\"text\"); text.value = \"two-values\"; text.dispatchEvent(new Event(\"input\"));";
    let dom = dump(&browser, directory.path(), &clicked.replace(clicks, typed));
    let shown = shown_cases(&dom);
    assert!(
        shown.len() == 1 && shown[0].contains("number.sample/two-values"),
        "{shown:?}"
    );
}

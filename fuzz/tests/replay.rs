//! Replays corpora and regressions on a stable compiler, without the fuzzing engine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use meta_stats_fuzz::TARGETS;

/// A directory of the fuzzing package, or of one target in it.
fn directory(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(kind)
        .join(target)
}

/// Gives every input that is kept for a target to its body.
fn replay(target: &str) {
    let (_, body) = TARGETS
        .into_iter()
        .find(|(name, _)| *name == target)
        .expect("a target");
    for kind in ["corpus", "regressions"] {
        let directory = directory(kind, target);
        let files = names(&directory);
        assert!(!files.is_empty(), "{} is empty", directory.display());
        for file in files {
            let input = std::fs::read(directory.join(&file)).expect("the input is readable");
            // Captured unless the body panics: says which input it was.
            eprintln!("{kind}/{target}/{file}");
            body(&input);
        }
    }
}

/// The entries of a directory.
fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
    entries
        .map(|entry| name(entry).into_string().expect("a name in UTF-8"))
        .collect()
}

#[test]
fn conversation() {
    replay("conversation");
}

#[test]
fn judge() {
    replay("judge");
}

#[test]
fn line() {
    replay("line");
}

#[test]
fn record() {
    replay("record");
}

#[test]
fn session() {
    replay("session");
}

#[test]
fn stats() {
    replay("stats");
}

#[test]
fn transcript() {
    replay("transcript");
}

#[test]
fn every_target_has_a_program_a_corpus_a_dictionary_and_regressions() {
    let targets: BTreeSet<_> = TARGETS.map(|(name, _)| name.to_owned()).into();
    assert_eq!(names(&directory("corpus", "")), targets);
    assert_eq!(names(&directory("regressions", "")), targets);
    let files = |ending: &str| -> BTreeSet<_> {
        targets
            .iter()
            .map(|name| format!("{name}{ending}"))
            .collect()
    };
    assert_eq!(names(&directory("fuzz_targets", "")), files(".rs"));
    assert_eq!(names(&directory("dictionaries", "")), files(".dict"));
}

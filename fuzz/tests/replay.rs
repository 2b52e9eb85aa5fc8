//! Replays the corpora on a stable compiler, without the fuzzing engine.

use std::path::Path;

/// Gives every file of a corpus to a target's body.
fn replay(target: &str, body: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let files =
        std::fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display()));
    let mut replayed = 0;
    for file in files {
        let path = file.expect("the corpus is readable").path();
        let input = std::fs::read(&path).expect("the file is readable");
        body(&input);
        replayed += 1;
    }
    assert!(replayed > 0, "the corpus of {target} is empty");
}

#[test]
fn line() {
    replay("line", meta_stats_fuzz::line);
}

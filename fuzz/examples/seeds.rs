//! Writes the seed corpus of the `line` target: what the clients of the specification send.
//!
//! ```text
//! cargo run -p meta-stats-fuzz --example seeds
//! ```

use std::io;
use std::path::Path;

use meta_stats_conformance::plan::{Operation, plan};
use meta_stats_conformance::spec::Spec;

/// Longer input teaches the fuzzer nothing that shorter input does not.
const LONGEST: usize = 2048;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/line");
    std::fs::create_dir_all(&corpus)?;
    let spec = Spec::bundled();
    for case in spec.cases() {
        let Ok(plan) = plan(&case.case.transcript, case.case.dialect, &spec.data) else {
            continue;
        };
        let sent = plan.steps.iter().filter_map(|step| match &step.operation {
            Operation::Send(octets) => Some(&octets[..]),
            _ => None,
        });
        let input = [b"\x07", sent.collect::<Vec<_>>().concat().as_slice()].concat();
        if (2..=LONGEST).contains(&input.len()) {
            std::fs::write(corpus.join(case.case.id.replace(['/', '.'], "-")), input)?;
        }
    }
    Ok(())
}

//! The conformance runner.

use std::process::ExitCode;

fn main() -> ExitCode {
    meta_stats_conformance::cli::main()
}

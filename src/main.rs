//! The meta statistics server. Everything is in the library, so that it can be tested there.

use std::process::ExitCode;

fn main() -> ExitCode {
    meta_stats_server::cli::run(std::env::args_os())
}

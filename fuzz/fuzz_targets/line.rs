//! See [`meta_stats_fuzz::line`].
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| meta_stats_fuzz::line(input));

#[cfg(not(fuzzing))]
fn main() {}

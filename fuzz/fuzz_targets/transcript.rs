//! See [`meta_stats_fuzz::transcript`].
#![cfg_attr(fuzzing, no_main)]
meta_stats_fuzz::program!(transcript);

//! See [`meta_stats_fuzz::line`].
#![cfg_attr(fuzzing, no_main)]
meta_stats_fuzz::program!(line);

//! See [`meta_stats_fuzz::record`].
#![cfg_attr(fuzzing, no_main)]
meta_stats_fuzz::program!(record);

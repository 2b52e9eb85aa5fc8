//! See [`meta_stats_fuzz::stats`].
#![cfg_attr(fuzzing, no_main)]
meta_stats_fuzz::program!(stats);

//! See [`meta_stats_fuzz::conversation`].
#![cfg_attr(fuzzing, no_main)]
meta_stats_fuzz::program!(conversation);

//! See [`meta_stats_fuzz::session`].
#![cfg_attr(fuzzing, no_main)]
meta_stats_fuzz::program!(session);

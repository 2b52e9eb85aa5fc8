//! See [`meta_stats_fuzz::judge`].
#![cfg_attr(fuzzing, no_main)]
meta_stats_fuzz::program!(judge);

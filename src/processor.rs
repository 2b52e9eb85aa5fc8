//! Which vector instructions this processor has.

/// A set of instructions that code is written for.
///
/// Those beyond the portable set hold a proof that this processor has them, so that code which needs
/// them is safe to call for who has a level.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    /// What every processor of the architecture has.
    Portable,
    /// With all that Haswell and Zen brought.
    #[cfg(target_arch = "x86_64")]
    Avx2(Detected),
    /// With all that Ice Lake and Zen 4 brought, and the level before.
    #[cfg(target_arch = "x86_64")]
    Avx512(Detected),
}

/// Made here only, where the processor was asked.
#[derive(Clone, Copy, Debug)]
#[cfg(target_arch = "x86_64")]
pub(crate) struct Detected(());

impl Level {
    /// Those of this processor, the highest first. The portable one is the last.
    pub(crate) fn all() -> impl Iterator<Item = Level> {
        #[cfg(target_arch = "x86_64")]
        let vector = {
            let avx2 = has_avx2();
            let avx512 = avx2 && has_avx512();
            [
                avx512.then_some(Level::Avx512(Detected(()))),
                avx2.then_some(Level::Avx2(Detected(()))),
            ]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let vector = [];
        vector.into_iter().flatten().chain([Level::Portable])
    }

    /// The highest of this processor.
    pub(crate) fn highest() -> Level {
        Level::all().next().unwrap_or(Level::Portable)
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512ifma")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vbmi2")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};

    /// Tests run on every level that there is; the others are for another processor, or an emulator.
    #[test]
    fn levels_that_cannot_be_tested_here_are_named() {
        let found: Vec<_> = Level::all().map(|level| format!("{level:?}")).collect();
        for level in ["Avx512", "Avx2"] {
            if !found.iter().any(|found| found.starts_with(level)) {
                // Not by a macro: it has to be seen in a run that passes, too.
                let line = format!("not tested: {level} paths, for want of such a processor\n");
                let written = io::stderr().write_all(line.as_bytes());
                assert!(written.is_ok());
            }
        }
        assert_eq!(found.last().map(String::as_str), Some("Portable"));
    }
}

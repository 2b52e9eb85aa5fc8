//! What generated sessions consisted of.

use std::collections::BTreeMap;

use super::script::{Deed, Dress, Script};

/// How much of what was sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coverage {
    /// Lines and events, by kind.
    pub counts: BTreeMap<&'static str, u64>,
    /// Scripts that had several sessions.
    pub interleaved: u64,
    /// The most values of one session.
    pub longest: u64,
    /// The magnitudes of the values other than zero, smallest and largest.
    pub magnitudes: Option<(f64, f64)>,
}

impl Coverage {
    /// Adds a script.
    pub fn add(&mut self, script: &Script) {
        let mut values: BTreeMap<u8, u64> = BTreeMap::new();
        for act in &script.acts {
            let times = match &act.deed {
                Deed::Value { text, times } => {
                    self.magnitude(text);
                    u64::from(*times)
                }
                _ => 1,
            };
            let kind = match &act.deed {
                Deed::Value { .. } => "values",
                Deed::Ask(command, _) => command.name(),
                Deed::Bad(..) => "bad lines",
                Deed::Long(..) => "long lines",
                Deed::Part(_) => "unfinished lines",
                Deed::Exit { .. } => "exit",
                Deed::HalfClose => "half-closes",
                Deed::Close => "closes",
                Deed::Reset => "resets",
                Deed::Query => "questions to the secondary port",
            };
            *self.counts.entry(kind).or_default() += times;
            if act.dress != Dress::Plain {
                *self.counts.entry("lines with spaces or CR").or_default() += 1;
            }
            let session = values.entry(act.session).or_default();
            match &act.deed {
                Deed::Value { .. } => *session += times,
                Deed::Exit { .. } | Deed::HalfClose | Deed::Close | Deed::Reset | Deed::Part(_) => {
                    self.longest = self.longest.max(*session);
                    *session = 0;
                }
                _ => {}
            }
        }
        if let Some(cuts) = &script.cuts {
            *self.counts.entry("cuts").or_default() += cuts.len() as u64;
        }
        self.interleaved += u64::from(values.len() > 1);
        self.longest = values.into_values().fold(self.longest, u64::max);
    }

    fn magnitude(&mut self, text: &str) {
        let magnitude = text.parse::<f64>().unwrap_or_default().abs();
        if magnitude > 0.0 && magnitude.is_finite() {
            let (least, most) = self.magnitudes.unwrap_or((magnitude, magnitude));
            self.magnitudes = Some((least.min(magnitude), most.max(magnitude)));
        }
    }

    /// Adds what another has seen.
    pub fn merge(&mut self, other: &Coverage) {
        for (kind, count) in &other.counts {
            *self.counts.entry(kind).or_default() += count;
        }
        self.interleaved += other.interleaved;
        self.longest = self.longest.max(other.longest);
        if let Some((least, most)) = other.magnitudes {
            let (a, b) = self.magnitudes.unwrap_or((least, most));
            self.magnitudes = Some((a.min(least), b.max(most)));
        }
    }
}

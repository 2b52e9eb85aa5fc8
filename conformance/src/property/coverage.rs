//! What generated sessions consisted of.

use std::collections::BTreeMap;

use super::script::{Formatting, Operation, Script};

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
        for step in &script.steps {
            let value = step.value();
            value.inspect(|(text, _)| self.magnitude(text));
            let times = value.map_or(1, |(_, times)| times.into());
            let kind = match &step.operation {
                Operation::Value { .. } => "values",
                Operation::Ask(command, _) => command.name(),
                Operation::Bad(..) => "bad lines",
                Operation::Long(..) => "long lines",
                Operation::Part(_) => "unfinished lines",
                Operation::Exit { .. } => "exit",
                Operation::HalfClose => "half-closes",
                Operation::Close => "closes",
                Operation::Reset => "resets",
                Operation::Query => "questions to the secondary port",
            };
            *self.counts.entry(kind).or_default() += times;
            if step.formatting != Formatting::Plain {
                *self.counts.entry("lines with spaces or CR").or_default() += 1;
            }
            let client = values.entry(step.client).or_default();
            *client += value.map_or(0, |_| times);
            if step.ends_session() {
                self.longest = self.longest.max(std::mem::take(client));
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
            self.widen((magnitude, magnitude));
        }
    }

    fn widen(&mut self, (min, max): (f64, f64)) {
        let (least, most) = self.magnitudes.unwrap_or((min, max));
        self.magnitudes = Some((least.min(min), most.max(max)));
    }

    /// Adds what another has seen.
    pub fn merge(&mut self, other: &Coverage) {
        for (kind, count) in &other.counts {
            *self.counts.entry(kind).or_default() += count;
        }
        self.interleaved += other.interleaved;
        self.longest = self.longest.max(other.longest);
        if let Some(magnitudes) = other.magnitudes {
            self.widen(magnitudes);
        }
    }
}

//! A session in plain double-precision arithmetic, with its faults.

use std::hash::{BuildHasher, RandomState};

use crate::Server;
use crate::fault::Fault;

pub(crate) struct Session<'a> {
    server: &'a Server,
    partial: Vec<u8>,
    values: Vec<f64>,
    replies: u64,
    exited: bool,
    dropped: bool,
}

impl<'a> Session<'a> {
    pub(crate) fn new(server: &'a Server) -> Self {
        Session {
            server,
            partial: Vec::new(),
            values: Vec::new(),
            replies: 0,
            exited: false,
            dropped: false,
        }
    }

    pub(crate) fn has_exited(&self) -> bool {
        self.exited
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped
    }

    /// Takes octets, gives the replies.
    pub(crate) fn receive(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut replies = String::new();
        if self.server.has(Fault::ReadIsLine) {
            // As `read` into a buffer and `strcmp` do it: the line ends at the first newline, what follows is lost.
            let line = octets
                .split(|&octet| octet == b'\n')
                .next()
                .unwrap_or_default();
            self.line(line, &mut replies);
            return replies.into_bytes();
        }
        self.partial.extend_from_slice(octets);
        let held = std::mem::take(&mut self.partial);
        let mut rest = held.as_slice();
        while let Some(length) = rest.iter().position(|&octet| octet == b'\n')
            && !self.exited
            && !self.dropped
        {
            self.line(&rest[..length], &mut replies);
            rest = &rest[length + 1..];
        }
        self.partial = rest.to_vec();
        if self.server.has(Fault::UnterminatedProcessed) && !self.exited && self.partial == b"exit"
        {
            self.line(b"exit", &mut replies);
        }
        replies.into_bytes()
    }

    fn line(&mut self, line: &[u8], replies: &mut String) {
        let faults = self.server;
        if faults.classic && line.len() > 79 {
            return self.bad("Error: long line", replies);
        }
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        let mut word = line.trim_matches(' ').to_owned();
        if faults.has(Fault::AnyCase) {
            word = word.to_ascii_lowercase();
        }
        let is = |command: &str| {
            word == command || faults.has(Fault::PrefixCommands) && word.starts_with(command)
        };
        if is("count") {
            let count = self.values.len();
            let count = if faults.has(Fault::EightBitCount) {
                count % 256
            } else {
                count
            };
            self.reply(&count.to_string(), replies);
        } else if is("sum") {
            let sum = self.number(self.kept().iter().sum());
            self.reply(&sum, replies);
        } else if is("mean") {
            let mean = self.number(mean(&self.kept()));
            self.reply(&mean, replies);
        } else if is("stddev") {
            if faults.has(Fault::CrashOnStddev) {
                std::process::abort();
            }
            let stddev = self.number(self.stddev());
            self.reply(&stddev, replies);
        } else if is("exit") {
            self.exited = true;
        } else {
            match self.value(&word) {
                Some(value) => self.values.push(value),
                None => self.bad("Error: unrecognized command", replies),
            }
        }
    }

    fn value(&self, word: &str) -> Option<f64> {
        let faults = self.server;
        let longest = |text: &str| {
            (1..=text.len())
                .rev()
                .find_map(|end| text.get(..end)?.parse().ok())
        };
        let value = if faults.has(Fault::TrailingGarbage) {
            longest(word)?
        } else {
            word.parse::<f64>().ok()?
        };
        let bad = !value.is_finite() && !faults.has(Fault::NanAccepted)
            || value == 0.0 && faults.has(Fault::ZeroRejected)
            || value < 0.0 && faults.has(Fault::NegativeRejected);
        let value = if faults.has(Fault::Float32) {
            f64::from(value as f32)
        } else {
            value
        };
        (!bad).then_some(value)
    }

    fn bad(&mut self, message: &str, replies: &mut String) {
        let faults = self.server;
        if faults.has(Fault::ErrorsCounted) {
            self.values.push(0.0);
        }
        if faults.has(Fault::ErrorClears) {
            self.values.clear();
        }
        self.dropped = faults.has(Fault::ErrorEndsSession);
        if !faults.has(Fault::ErrorSilent) {
            self.reply(message, replies);
        }
    }

    fn reply(&mut self, text: &str, replies: &mut String) {
        self.replies += 1;
        // The keys of hash maps are what the standard library draws at random.
        let random = RandomState::new().hash_one(self.replies);
        let flaky = self.server.has(Fault::Flaky) && random.is_multiple_of(10);
        replies.push_str(if flaky { "4711" } else { text });
        if !self.server.has(Fault::NoNewline) {
            replies.push('\n');
        }
    }

    fn kept(&self) -> Vec<f64> {
        let values = &self.values;
        if self.server.has(Fault::LastThousand) {
            values[values.len().saturating_sub(1000)..].to_vec()
        } else if self.server.has(Fault::FirstForgotten) && !values.is_empty() {
            values[1..].to_vec()
        } else {
            values.clone()
        }
    }

    fn stddev(&self) -> f64 {
        let values = self.kept();
        let n = values.len() as f64;
        let variance = if self.server.has(Fault::NaiveSquares) {
            let (sum, squares) = values
                .iter()
                .fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
            (squares - sum * sum / n) / (n - 1.0)
        } else {
            variance(&values)
        };
        if self.server.has(Fault::Population) {
            (variance * (n - 1.0) / n).sqrt()
        } else if self.server.has(Fault::Variance) {
            variance
        } else {
            variance.sqrt()
        }
    }

    fn number(&self, value: f64) -> String {
        number(self.server, value)
    }

    /// The mean to record, and how many values it is of.
    pub(crate) fn mean_to_record(&self) -> Option<(f64, u64)> {
        let faults = self.server;
        let mean = mean(&self.kept());
        let mean = if faults.has(Fault::MeanTwoDecimals) {
            (mean * 100.0).round() / 100.0
        } else {
            mean
        };
        let dropped = mean == 0.0 && faults.has(Fault::ZeroMeanDropped)
            || mean < 0.0 && faults.has(Fault::NegativeMeanDropped);
        if self.values.is_empty() {
            return faults.has(Fault::EmptyCounted).then_some((0.0, 0));
        }
        (!dropped).then_some((mean, self.values.len() as u64))
    }

    pub(crate) fn farewell(&self) -> String {
        let (mean, stddev) = (self.number(mean(&self.kept())), self.number(self.stddev()));
        format!(
            "EXIT STATS: count {} mean {mean} stddev {stddev}\n",
            self.values.len()
        )
    }
}

pub(crate) fn means_line(server: &Server, means: &[(f64, u64)]) -> String {
    let values: Vec<f64> = means.iter().map(|(mean, _)| *mean).collect();
    let mean = if server.has(Fault::WeightedMeans) {
        let total: f64 = means.iter().map(|(mean, count)| mean * *count as f64).sum();
        total / means.iter().map(|(_, count)| *count as f64).sum::<f64>()
    } else {
        mean(&values)
    };
    let (mean, stddev) = (
        number(server, mean),
        number(server, variance(&values).sqrt()),
    );
    format!(
        "means_count {} mean_of_means {mean} stddev_of_means {stddev}\n",
        values.len()
    )
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return f64::NAN;
    }
    let mean = mean(values);
    values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / (values.len() as f64 - 1.0)
}

fn number(server: &Server, value: f64) -> String {
    if value.is_nan() {
        "nan".to_owned()
    } else if server.classic {
        format!("{value:.2}")
    } else {
        value.to_string()
    }
}

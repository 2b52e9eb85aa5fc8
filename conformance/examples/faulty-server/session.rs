//! A session in plain double-precision arithmetic, with its faults and its wording.

use std::hash::{BuildHasher, RandomState};

use crate::Server;
use crate::fault::Fault;
use crate::wording::UndefinedReply;

/// A quoted line has at most so many characters.
const MAX_QUOTED: usize = 40;

pub(crate) struct Session<'a> {
    server: &'a Server,
    /// Whether replies have a label.
    label: bool,
    partial: Vec<u8>,
    values: Vec<f64>,
    lines: u64,
    replies: u64,
    exited: bool,
    dropped: bool,
}

impl<'a> Session<'a> {
    /// The session of this number, from 1.
    pub(crate) fn new(server: &'a Server, number: u64) -> Self {
        let wording = &server.wording;
        let changed = wording.relabel_after.is_some_and(|after| number > after);
        Session {
            server,
            label: wording.label != changed,
            partial: Vec::new(),
            values: Vec::new(),
            lines: 0,
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

    /// Takes bytes, gives the replies.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut replies = String::new();
        if self.server.has(Fault::ReadIsLine) {
            // As `read` into a buffer and `strcmp` do it: the line ends at the first newline, what
            // follows is lost.
            let line = bytes
                .split(|&byte| byte == b'\n')
                .next()
                .unwrap_or_default();
            self.line(line, &mut replies);
            return replies.into_bytes();
        }
        self.partial.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.partial);
        let mut rest = held.as_slice();
        while let Some(length) = rest.iter().position(|&byte| byte == b'\n')
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

    /// Takes the end of the stream, gives the replies.
    pub(crate) fn end(&mut self) -> Vec<u8> {
        let mut replies = String::new();
        let line = std::mem::take(&mut self.partial);
        if self.server.wording.last_line && !line.is_empty() {
            self.line(&line, &mut replies);
        }
        replies.into_bytes()
    }

    fn line(&mut self, line: &[u8], replies: &mut String) {
        let server = self.server;
        let wording = &server.wording;
        self.lines += 1;
        let long = wording.line_limit.is_some_and(|limit| line.len() > limit);
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        if long {
            return self.bad(wording.error.long, &line, replies);
        }
        let mut word = line.trim_matches(' ').to_owned();
        if wording.empty_line && word.is_empty() {
            return;
        }
        if server.has(Fault::AnyCase) || wording.any_case {
            word = word.to_ascii_lowercase();
        }
        let is = |command: &str| {
            word == command || server.has(Fault::PrefixCommands) && word.starts_with(command)
        };
        if is("count") {
            let count = self.values.len();
            let count = if server.has(Fault::EightBitCount) {
                count % 256
            } else {
                count
            };
            self.answer("count", Some(count.to_string()), replies);
        } else if is("sum") {
            let sum = wording.defined(self.kept().iter().sum());
            self.answer("sum", sum, replies);
        } else if is("mean") {
            let mean = wording.defined(mean(&self.kept()));
            self.answer("mean", mean, replies);
        } else if is("stddev") {
            if server.has(Fault::CrashOnStddev) {
                std::process::abort();
            }
            let stddev = wording.defined(self.stddev());
            self.answer("stddev", stddev, replies);
        } else if is("exit") {
            self.exited = true;
        } else {
            match self.value(&word) {
                Some(value) => {
                    self.values.push(value);
                    if let Some(reply) = wording.value_reply {
                        self.reply(reply, replies);
                    }
                }
                None => self.bad(wording.error.bad, &line, replies),
            }
        }
    }

    /// Replies to the command that asks for this quantity.
    fn answer(&mut self, quantity: &str, number: Option<String>, replies: &mut String) {
        let wording = &self.server.wording;
        let text = match (number, wording.undefined.reply) {
            (Some(number), _) => number,
            (None, UndefinedReply::Word(word)) => word.to_owned(),
            (None, UndefinedReply::Error) => {
                let error = self.error(wording.error.few, quantity);
                return self.reply(&error, replies);
            }
            (None, UndefinedReply::Nothing) => return,
        };
        if self.label {
            self.reply(&format!("{quantity}: {text}"), replies);
        } else {
            self.reply(&text, replies);
        }
        if let Some(line) = wording.after_reply {
            self.reply(line, replies);
        }
    }

    /// The error line for a bad line, by its template.
    fn error(&self, template: &str, line: &str) -> String {
        let quoted: String = line
            .chars()
            .take(MAX_QUOTED)
            .flat_map(char::escape_debug)
            .collect();
        template
            .replace("%n", &self.lines.to_string())
            .replace("%q", &quoted)
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

    /// Treats a bad line; the template is that of its error line.
    fn bad(&mut self, template: &str, line: &str, replies: &mut String) {
        let faults = self.server;
        if faults.has(Fault::ErrorsCounted) {
            self.values.push(0.0);
        }
        if faults.has(Fault::ErrorClears) {
            self.values.clear();
        }
        self.dropped = faults.has(Fault::ErrorEndsSession);
        if !faults.has(Fault::ErrorSilent) {
            let error = self.error(template, line);
            self.reply(&error, replies);
        }
    }

    fn reply(&mut self, text: &str, replies: &mut String) {
        self.replies += 1;
        // The keys of hash maps are what the standard library draws at random.
        let random = RandomState::new().hash_one(self.replies);
        let flaky = self.server.has(Fault::Flaky) && random.is_multiple_of(10);
        replies.push_str(if flaky { "4711" } else { text });
        if !self.server.has(Fault::NoNewline) {
            replies.push_str(&self.server.wording.end());
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
            let recorded = faults.has(Fault::EmptyCounted) || faults.wording.empty_session;
            return recorded.then_some((0.0, 0));
        }
        (!dropped).then_some((mean, self.values.len() as u64))
    }

    /// The exit line, with its end.
    pub(crate) fn exit_line(&self) -> String {
        let wording = &self.server.wording;
        let mean = mean(&self.kept());
        let line = wording.summary(wording.exit_line, self.values.len(), mean, self.stddev());
        line + &wording.end()
    }
}

/// The line of the secondary port, with its end.
pub(crate) fn means_line(server: &Server, means: &[(f64, u64)]) -> String {
    let values: Vec<f64> = means.iter().map(|(mean, _)| *mean).collect();
    let mean = if server.has(Fault::WeightedMeans) {
        let total: f64 = means.iter().map(|(mean, count)| mean * *count as f64).sum();
        total / means.iter().map(|(_, count)| *count as f64).sum::<f64>()
    } else {
        mean(&values)
    };
    let wording = &server.wording;
    let stddev = variance(&values).sqrt();
    wording.summary(wording.meta_line, values.len(), mean, stddev) + &wording.end()
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

//! What becomes of a failure: does it repeat, what is its smallest form, and which clause does it
//! break?

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::catalogue::Property;
use super::executor::{Attempt, Executor, Trial};
use super::options::Options;
use super::regressions::{self, Regression};
use super::script::Script;
use super::shrink::{MAX_LINES, Shrinker};
use super::signature::FailureSignature;
use super::{blame, numbers, write};
use crate::runner::Outcome;
use crate::transcript::{self, Transcript};

/// The smallest failing case.
#[derive(Debug)]
pub struct Finding {
    /// The transcript, and the clause that it most likely breaks; none where two servers differ and
    /// both are right.
    pub regression: Regression,
    /// The number of the case that it was made from; none where it was saved by an earlier run.
    pub number: Option<u64>,
    /// How it failed the last time. The steps of its failures are those of the transcript.
    pub attempt: Attempt,
    /// Where it is saved.
    pub saved: Option<PathBuf>,
}

/// A failure that did not repeat.
#[derive(Debug)]
pub struct Flaky {
    /// The number of the case.
    pub number: u64,
    /// How many cases were like that.
    pub cases: u64,
    /// The failure.
    pub failed: Attempt,
    /// What happened when the same was tried again.
    pub again: Attempt,
}

/// What became of a failure.
pub(super) enum Examined {
    /// The server was only slow.
    Slow,
    /// The server fails without what the property is about, too.
    Inconclusive,
    /// It comes and goes.
    Flaky(Box<Flaky>),
    /// It repeats.
    Repeats(Box<Finding>),
}

/// How long failures are made smaller, in all.
pub(super) const SHRINK_TIME: Duration = Duration::from_secs(20);

/// One attempt to make a failure smaller gets this part of the time that is left.
const SHRINK_SHARE: u32 = 4;

/// What it gets even where none is left.
const MIN_SHRINK_TIME: Duration = Duration::from_millis(2500);

/// How the candidates are tried when a failure is made smaller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RetryPolicy {
    /// By one attempt for each candidate, on a server that others have used.
    SharedServer,
    /// By one attempt, on a server that has done nothing before.
    FreshServer,
    /// By as many attempts as confirm a failure, each on such a server.
    Confirmed,
}

impl RetryPolicy {
    const ALL: [RetryPolicy; 3] = [
        RetryPolicy::SharedServer,
        RetryPolicy::FreshServer,
        RetryPolicy::Confirmed,
    ];
}

/// Repeats failures, undisturbed by other cases.
pub(super) struct Examiner<'a> {
    /// With the time-out that the server is granted.
    pub(super) full_timeout: Executor,
    /// With a quarter of it: enough, once the server was found silent for all of it.
    pub(super) reduced_timeout: Executor,
    /// With a shorter one.
    pub(super) short_timeout: Executor,
    /// The same, with a server for many attempts.
    pub(super) shared_server: Executor,
    pub(super) options: &'a Options,
    /// When everything has to be over.
    pub(super) end: Option<Instant>,
    /// How much time there is left for making failures smaller.
    pub(super) shrink_time: Duration,
    /// Whether a failure was that the server says nothing, for the whole time-out.
    pub(super) is_silent: bool,
    /// What it took until now so that a smaller failure repeats.
    pub(super) policy: RetryPolicy,
}

impl Examiner<'_> {
    /// Tries what earlier runs have saved.
    pub(super) fn saved_failures(
        &mut self,
        property: &'static Property,
    ) -> io::Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let Some(directory) = &self.options.save else {
            return Ok(findings);
        };
        for regression in regressions::load(directory, property)? {
            let Ok(transcript) = transcript::parse(&regression.text) else {
                continue;
            };
            if self.is_over() {
                break;
            }
            if let Ok((_, attempt)) = self.repeat(property, &transcript) {
                let alone = attempt.agreement().is_none();
                findings.push(Finding {
                    regression,
                    number: None,
                    attempt: *attempt,
                    saved: Some(directory.join(regressions::file_name(property))),
                });
                if alone {
                    break;
                }
            }
        }
        Ok(findings)
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// Finds out whether a failure repeats, and if so its smallest form.
    pub(super) fn examine(
        &mut self,
        property: &'static Property,
        number: u64,
        failed: Attempt,
    ) -> io::Result<Examined> {
        let script = property.script(self.options.seed, number);
        let transcript = write::write(property.title, &script);
        let signature = match self.repeat(property, &transcript) {
            Ok((signature, _)) => signature,
            Err(mut again) => {
                let timed_out = |attempt: &Attempt| {
                    let is_timeout = |trial: &Trial| trial.outcome == Outcome::Timeout;
                    attempt.failed().is_some_and(is_timeout)
                };
                if timed_out(&failed) && timed_out(&again) {
                    *again = self.full_timeout.run(property, transcript);
                }
                return Ok(if timed_out(&failed) && again.failed().is_none() {
                    Examined::Slow
                } else {
                    flaky(number, failed, *again)
                });
            }
        };
        if self.short_timeout.control(property, &script).is_some() {
            return Ok(Examined::Inconclusive);
        }
        // Mostly one attempt tells. Where it does not, what it made of the script does not repeat,
        // or is long, and it is worth the time to be careful.
        let mut smallest: Option<Finding> = None;
        let mut last = Box::new(failed.clone());
        for policy in RetryPolicy::ALL {
            // A policy that has failed once is not tried for the next failure.
            if policy < self.policy {
                continue;
            }
            self.policy = policy;
            match self.smallest(property, number, &signature) {
                Ok(found) => {
                    let found = smallest.into_iter().chain([found]);
                    smallest = found.min_by_key(|found| found.regression.lines());
                }
                Err(again) => last = again,
            }
            let is_short = |found: &Finding| found.regression.lines() <= MAX_LINES;
            if smallest.as_ref().is_some_and(is_short) {
                break;
            }
        }
        let Some(mut finding) = smallest else {
            return Ok(flaky(number, failed, *last));
        };
        // What both servers do right has no place among what a server failed.
        if let Some(directory) = &self.options.save
            && finding.regression.clause.is_some()
        {
            let path = regressions::save(directory, property, &finding.regression)?;
            finding.saved = Some(path);
        }
        Ok(Examined::Repeats(Box::new(finding)))
    }

    /// Runs the same several times; the last time with the whole time-out, or much of it.
    fn repeat(&mut self, property: &Property, transcript: &Transcript) -> Repeated {
        let mut known = None;
        for _ in 1..self.options.confirmations {
            let attempt = self.short_timeout.run(property, transcript.clone());
            let signature = attempt.signature();
            if signature.is_none() || known.is_some() && signature != known {
                return Err(Box::new(attempt));
            }
            known = signature;
        }
        let executor = if self.is_silent {
            &mut self.reduced_timeout
        } else {
            &mut self.full_timeout
        };
        let last = Box::new(executor.run(property, transcript.clone()));
        match last.signature() {
            Some(signature) if known.is_none_or(|known| known == signature) => {
                let timed_out = |trial: &Trial| trial.outcome == Outcome::Timeout;
                self.is_silent |= last.trials.iter().any(timed_out);
                Ok((signature, last))
            }
            _ => Err(last),
        }
    }

    /// The smallest form of a failing case, as it is reported and saved; where it does not fail
    /// every time, the attempt that was different.
    fn smallest(
        &mut self,
        property: &Property,
        number: u64,
        signature: &FailureSignature,
    ) -> Result<Finding, Box<Attempt>> {
        let seed = self.options.seed;
        let script = self.shrink(property, property.script(seed, number), signature);
        let clause = self.clause(property, &script, signature);
        let what = clause.map_or("Servers differ, and may.".to_owned(), |clause| {
            format!("Most likely breaks `{clause}`.")
        });
        let title = format!("{what} Found with seed {seed}, case {number}.");
        let mut written = write::write(&title, &script);
        numbers::write_out(&mut written);
        let regression = Regression {
            clause: clause.map(str::to_owned),
            text: written.to_string(),
        };
        // What is reported is what failed last, with its steps where the saved text has them.
        let transcript = transcript::parse(&regression.text).unwrap_or(written);
        match self.repeat(property, &transcript) {
            Ok((same, attempt)) if same == *signature => Ok(Finding {
                regression,
                number: Some(number),
                attempt: *attempt,
                saved: None,
            }),
            Ok((_, again)) | Err(again) => Err(again),
        }
    }

    fn shrink(
        &mut self,
        property: &Property,
        script: Script,
        signature: &FailureSignature,
    ) -> Script {
        let fails_on = |executor: &mut Executor, script: &Script| {
            executor.attempt(property, script).signature().as_ref() == Some(signature)
        };
        // To start a server takes longer than all else, so one serves many attempts where that
        // makes no difference.
        let is_shared =
            self.policy == RetryPolicy::SharedServer && fails_on(&mut self.shared_server, &script);
        let executor = if is_shared {
            &mut self.shared_server
        } else {
            &mut self.short_timeout
        };
        let times = match self.policy {
            RetryPolicy::SharedServer | RetryPolicy::FreshServer => 1,
            RetryPolicy::Confirmed => self.options.confirmations,
        };
        let mut fails = |script: &Script| {
            (0..times).all(|_| fails_on(executor, script))
                && executor.control(property, script).is_none()
        };
        let start = Instant::now();
        let limit = start + (self.shrink_time / SHRINK_SHARE).max(MIN_SHRINK_TIME);
        let deadline = self.end.map_or(limit, |end| end.min(limit));
        let smallest = Shrinker::new(&mut fails, deadline).smallest(script);
        self.shrink_time = self.shrink_time.saturating_sub(start.elapsed());
        smallest
    }

    /// The clause that a failure most likely breaks. What a server does right when it is given
    /// time, it does too late, or line by line only.
    fn clause(
        &mut self,
        property: &Property,
        script: &Script,
        signature: &FailureSignature,
    ) -> Option<&'static str> {
        if !signature.fails() {
            return None;
        }
        let paced = Script {
            paced: true,
            ..script.clone()
        };
        let mut passes_paced = || {
            let attempt = self.short_timeout.attempt(property, &paced);
            attempt.signature().is_none()
        };
        Some(if property.control.is_none() && passes_paced() {
            blame::by_timing(script, signature.reply())
        } else {
            (property.clause)(script, signature.wrong())
        })
    }

    /// To find the reason of a failure that comes and goes, it helps to see it go, too: tries the
    /// same until it passes, if it does within a while.
    pub(super) fn retry_until_pass(&mut self, property: &'static Property, flaky: &mut Flaky) {
        let script = property.script(self.options.seed, flaky.number);
        let enough = Instant::now() + MAX_PASSING_TIME;
        for _ in 0..MAX_PASSING_TRIES {
            if flaky.again.failed().is_none() || self.is_over() || Instant::now() >= enough {
                break;
            }
            flaky.again = self.full_timeout.attempt(property, &script);
        }
    }
}

/// A failure that did not repeat.
fn flaky(number: u64, failed: Attempt, again: Attempt) -> Examined {
    Examined::Flaky(Box::new(Flaky {
        number,
        cases: 1,
        failed,
        again,
    }))
}

/// How often a failure that comes and goes is tried until it goes.
const MAX_PASSING_TRIES: u32 = 20;

/// For how long. A try that ends by its time-out takes a good part of this.
const MAX_PASSING_TIME: Duration = Duration::from_secs(3);

/// In which way it failed every time, and what came of it the last time; or what came of it once
/// that was different.
type Repeated = Result<(FailureSignature, Box<Attempt>), Box<Attempt>>;

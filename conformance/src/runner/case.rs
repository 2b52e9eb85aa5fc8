//! Carrying out the plan of one case.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{
    Expected, Failure, Late, Observation, Observed, Outcome, OwnServer, Settings, StepResult,
};
use crate::client::{Connection, End, Next};
use crate::judge::{self, Demand, Demanded, Mismatch};
use crate::means::Base;
use crate::plan::{Operation, Plan, PlannedStep};
use crate::profile::shape;
use crate::target::Addresses;
use crate::trace::Trace;
use crate::transcript::Port;

/// After the last step, a server has this long to close a connection whose other direction we ended; one that does not close is not at fault here.
const SETTLE: Duration = Duration::from_millis(50);

/// The same, as long as most connections are closed in time.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// So many silences in a run are worth waiting for.
const MAX_SILENCES: usize = 16;

/// Where a plan is carried out.
pub(super) struct Scene<'a> {
    addresses: Addresses,
    pub(super) settings: &'a Settings,
    base: Base,
    trace: &'a Trace,
    /// The process, if it is ours and only ours.
    pub(super) own: Option<&'a OwnServer<'a>>,
    /// Whether lines that acknowledge values are read away.
    acknowledged: bool,
    observations: Mutex<Vec<Observation>>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        addresses: Addresses,
        settings: &'a Settings,
        base: Base,
        trace: &'a Trace,
        own: Option<&'a OwnServer<'a>>,
    ) -> Scene<'a> {
        Scene {
            addresses,
            settings,
            base,
            trace,
            own,
            acknowledged: settings.profile.acknowledgement.is_some(),
            observations: Mutex::default(),
        }
    }

    /// Runs a plan, and adds the replies with numbers that were seen.
    ///
    /// # Errors
    /// The first failure.
    pub(super) fn execute(self, plan: &Plan, observations: &mut Vec<Observation>) -> StepResult {
        let mut actor = Actor {
            scene: &self,
            connections: BTreeMap::new(),
        };
        let attempt = actor.run(&plan.steps).and_then(|()| actor.finish(plan));
        drop(actor);
        observations.append(
            &mut self
                .observations
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
        );
        attempt
    }
}

/// Does the steps of some connections.
pub(super) struct Actor<'a> {
    pub(super) scene: &'a Scene<'a>,
    connections: BTreeMap<usize, Client>,
}

struct Client {
    connection: Connection,
    /// The shapes of the lines that may come first and are not worth mentioning.
    greeting: VecDeque<String>,
    /// What is not sent yet of a line, where lines are sent one by one.
    partial: Vec<u8>,
    secondary: bool,
    half_closed: bool,
    /// Lines that acknowledge values which the transcript has not come to.
    acknowledgements_read: usize,
}

impl Client {
    fn next_line(&mut self, timeout: Duration) -> Next {
        self.next_line_but(&BTreeSet::new(), timeout)
    }

    /// The next line that has none of these shapes.
    fn next_line_but(&mut self, noise: &BTreeSet<String>, timeout: Duration) -> Next {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let next = self.connection.next_line(left);
            match (&next, self.greeting.front()) {
                (Next::Line(line), None) if !noise.is_empty() && noise.contains(&shape(line)) => {
                    // A server may send such lines without end.
                    if left.is_zero() {
                        return Next::Silence(Vec::new());
                    }
                }
                (Next::Line(line), Some(known)) if *known == shape(line) => {
                    self.greeting.pop_front();
                }
                (Next::Line(_), _) => {
                    self.greeting.clear();
                    return next;
                }
                // A greeting may come late.
                _ => return next,
            }
        }
    }

    /// Sends each line by itself, when the server has read the one before it.
    fn send_line_by_line(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        if !self.partial.is_empty() {
            self.connection.send(&std::mem::take(&mut self.partial));
            self.connection.wait_until_read();
        }
    }

    /// Reads the lines away that acknowledge so many values, as far as that is not done.
    ///
    /// # Errors
    /// What came in place of one of them.
    fn skip_acknowledgements(
        &mut self,
        values: usize,
        noise: &BTreeSet<String>,
        timeout: Duration,
    ) -> Result<(), Next> {
        let read = values.min(self.acknowledgements_read);
        self.acknowledgements_read -= read;
        for _ in read..values {
            match self.next_line_but(noise, timeout) {
                Next::Line(_) => {}
                next => return Err(next),
            }
        }
        Ok(())
    }

    fn skip_to_end(&mut self, timeout: Duration) -> Next {
        let end = self.connection.skip_to_end(timeout);
        end.map_or(Next::Silence(Vec::new()), |end| Next::End(end, Vec::new()))
    }

    fn half_close(&mut self) {
        self.half_closed = true;
        self.connection.half_close();
    }
}

impl Actor<'_> {
    fn run(&mut self, steps: &[PlannedStep]) -> StepResult {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &PlannedStep) -> StepResult {
        match &step.operation {
            Operation::Open { port, name } => return self.open(step, *port, name),
            Operation::Pause(duration) => {
                // The transcript asks for time to pass, as a hint to TCP; nothing could be awaited.
                thread::sleep(self.scene.settings.stretched(*duration));
                return Ok(());
            }
            Operation::Together(lanes) => return self.together(lanes),
            Operation::Process(check) => return self.check(step, *check),
            _ => {}
        }
        let Some(client) = self.connections.get_mut(&step.connection) else {
            // It ended in another branch than the one that the plan assumed.
            return Ok(());
        };
        if !matches!(step.operation, Operation::Send(_)) {
            client.flush();
        }
        match &step.operation {
            Operation::Send(octets) if self.scene.settings.line_by_line => {
                client.send_line_by_line(octets);
            }
            Operation::Send(octets) => client.connection.send(octets),
            Operation::HalfClose => client.half_close(),
            Operation::Expect(demand) => self.expect(step, demand)?,
            Operation::Either(branches) => self.either(step, branches)?,
            Operation::Close => {
                if let Some(client) = self.connections.remove(&step.connection) {
                    client.connection.close();
                }
            }
            Operation::Reset => {
                if let Some(client) = self.connections.remove(&step.connection) {
                    client.connection.reset();
                }
            }
            Operation::Open { .. }
            | Operation::Pause(_)
            | Operation::Together(_)
            | Operation::Process(_) => {}
        }
        Ok(())
    }

    fn open(&mut self, step: &PlannedStep, port: Port, name: &str) -> StepResult {
        let settings = self.scene.settings;
        let (address, greeting) = match port {
            Port::Primary => (
                self.scene.addresses.primary,
                settings.profile.greeting.clone().into(),
            ),
            Port::Secondary => {
                let none = || Failure::not_run("there is no secondary port".to_owned());
                (
                    self.scene.addresses.secondary.ok_or_else(none)?,
                    VecDeque::new(),
                )
            }
        };
        let connection = Connection::open(name, address, settings.timeout, self.scene.trace)
            .map_err(|error| {
                Failure::new(
                    Outcome::Error,
                    step.span.clone(),
                    Expected::Connection(address),
                    Observed::NotConnected(error.to_string()),
                )
            })?;
        self.connections.insert(
            step.connection,
            Client {
                connection,
                greeting,
                partial: Vec::new(),
                secondary: port == Port::Secondary,
                half_closed: false,
                acknowledgements_read: 0,
            },
        );
        Ok(())
    }

    /// Runs each lane in a thread of its own, with the connections that it uses.
    fn together(&mut self, lanes: &[Vec<PlannedStep>]) -> StepResult {
        let mut actors: Vec<Actor<'_>> = Vec::new();
        for lane in lanes {
            let mut connections = BTreeMap::new();
            for step in lane {
                connections.extend(self.connections.remove_entry(&step.connection));
            }
            actors.push(Actor {
                scene: self.scene,
                connections,
            });
        }
        let results = thread::scope(|scope| {
            let threads: Vec<_> = actors
                .iter_mut()
                .zip(lanes)
                .map(|(actor, lane)| scope.spawn(move || actor.run(lane)))
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect::<Vec<_>>()
        });
        for actor in actors {
            self.connections.extend(actor.connections);
        }
        results.into_iter().collect()
    }

    fn expect(&mut self, step: &PlannedStep, demand: &Demand) -> StepResult {
        let timeout = self.scene.settings.timeout;
        let acknowledged = self.scene.acknowledged;
        let noise = &self.scene.settings.profile.noise;
        let Some(client) = self.connections.get_mut(&step.connection) else {
            return Ok(());
        };
        if acknowledged
            && let Err(next) = client.skip_acknowledgements(demand.values_before, noise, timeout)
        {
            return self.judge(step, demand, next);
        }
        let next = match &demand.what {
            Demanded::Greeting => {
                client.greeting.clear();
                client.connection.next_line(timeout)
            }
            Demanded::Nothing(duration) => {
                let duration = self.scene.settings.stretched(*duration);
                let next = match demand.precisely {
                    true => client.next_line(duration),
                    false => client.next_line_but(noise, duration),
                };
                match next {
                    Next::Silence(rest) if rest.is_empty() => return Ok(()),
                    Next::Line(_) if acknowledged && !demand.precisely => {
                        client.acknowledgements_read += 1;
                        return Ok(());
                    }
                    next => next,
                }
            }
            // Lines that acknowledge values may come before the end.
            Demanded::Eof if acknowledged => client.skip_to_end(timeout),
            Demanded::Rest => client.skip_to_end(timeout),
            _ => client.next_line_but(noise, timeout),
        };
        self.judge(step, demand, next)
    }

    fn judge(&mut self, step: &PlannedStep, demand: &Demand, next: Next) -> StepResult {
        let ends = matches!(demand.what, Demanded::Eof | Demanded::Rest);
        let (mut mismatch, mut late) = (None, None);
        let (outcome, observed) = match next {
            Next::Line(line) => match self.judge_line(&line, demand) {
                Ok(()) => return Ok(()),
                Err(found) => {
                    mismatch = Some(found);
                    (Outcome::Fail, Observed::Line(line))
                }
            },
            Next::End(end, rest) if ends && rest.is_empty() && is_right_end(&end, demand) => {
                self.connections.remove(&step.connection);
                return Ok(());
            }
            Next::End(end, rest) if end == End::Reset => {
                (Outcome::Reset, Observed::End { end, rest })
            }
            Next::End(end, rest) => (Outcome::Fail, Observed::End { end, rest }),
            Next::Silence(rest) => {
                late = self.wait_for_the_slow(step);
                let waited = self.scene.settings.timeout;
                (Outcome::Timeout, Observed::Silence { rest, waited })
            }
        };
        let expected = Expected::Reply(demand.what.clone());
        let client = self.connections.get(&step.connection);
        Err(Box::new(Failure {
            mismatch,
            late,
            secondary: client.is_some_and(|client| client.secondary),
            half_closed: client.is_some_and(|client| client.half_closed),
            unread: demand.may_reset,
            ..Failure::new(outcome, step.span.clone(), expected, observed)
        }))
    }

    fn judge_line(&self, line: &[u8], demand: &Demand) -> Result<(), Mismatch> {
        let judgement = match &demand.what {
            Demanded::Means(added) if !self.scene.base.is_empty() => {
                self.scene.base.judge(line, added, demand.ignored)
            }
            _ => judge::judge_line(line, demand, &self.scene.settings.profile),
        };
        // On top of what was there before the case, a line of the secondary port tells nothing about formulas.
        if let Some(asked) = &demand.asked
            && self.scene.base.is_empty()
        {
            let observation = Observation {
                asked: asked.clone(),
                line: line.to_vec(),
                precisely: demand.precisely,
                accepted: judgement.is_ok(),
            };
            let mut observations = self
                .scene
                .observations
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            observations.push(observation);
        }
        judgement
    }

    /// Tells a slow server from a silent one: waits once more, with the verdict standing. A server that was silent often is not slow.
    fn wait_for_the_slow(&mut self, step: &PlannedStep) -> Option<Late> {
        let silent = &self.scene.settings.silent;
        if silent.load(Ordering::Relaxed) >= MAX_SILENCES {
            return None;
        }
        let timeout = self.scene.settings.timeout;
        let start = Instant::now();
        let client = self.connections.get_mut(&step.connection)?;
        let what = match client.next_line(timeout) {
            Next::Line(line) => Observed::Line(line),
            Next::End(end, rest) => Observed::End { end, rest },
            Next::Silence(_) => {
                silent.fetch_add(1, Ordering::Relaxed);
                return None;
            }
        };
        let after = timeout + start.elapsed();
        Some(Late { what, after })
    }

    /// Reads a line and follows the first branch whose first demand accepts it.
    fn either(&mut self, step: &PlannedStep, branches: &[Vec<PlannedStep>]) -> StepResult {
        let Some(client) = self.connections.get_mut(&step.connection) else {
            return Ok(());
        };
        let timeout = self.scene.settings.timeout;
        let noise = &self.scene.settings.profile.noise;
        let values = branches.first().map_or(0, |branch| values_before(branch));
        let next = match self.scene.acknowledged {
            true => client.skip_acknowledgements(values, noise, timeout),
            false => Ok(()),
        };
        let next = next.map_or_else(|next| next, |()| client.next_line_but(noise, timeout));
        let mut first_failure = None;
        for branch in branches {
            let Some((first, rest)) = branch.split_first() else {
                continue;
            };
            let Operation::Expect(demand) = &first.operation else {
                continue;
            };
            match self.judge(first, demand, next.clone()) {
                Ok(()) => return self.run(rest),
                Err(failure) => {
                    first_failure.get_or_insert(failure);
                }
            }
        }
        first_failure.map_or(Ok(()), |failure| {
            Err(Box::new(Failure {
                mismatch: Some(Mismatch::NoBranch),
                ..*failure
            }))
        })
    }

    /// Nothing may be left unread. Ending our direction makes a right server close at once, so that
    /// no clock is needed to know that it has said everything.
    fn finish(&mut self, plan: &Plan) -> StepResult {
        let settings = self.scene.settings;
        for client in self.connections.values_mut() {
            client.flush();
            client.half_close();
        }
        for (id, client) in &mut self.connections {
            // A server that often does not close is not waited for any longer.
            let silent = settings.silent.load(Ordering::Relaxed) >= MAX_SILENCES;
            let settle = if silent {
                SETTLE
            } else {
                settings.stretched(LAST_WORDS)
            };
            let deadline = Instant::now() + settings.timeout;
            loop {
                match client.next_line_but(&settings.profile.noise, settle) {
                    Next::Line(_) if self.scene.acknowledged && Instant::now() < deadline => {}
                    Next::Line(line) => {
                        let last = last_step(&plan.steps, *id).unwrap_or(&plan.steps[0]);
                        return Err(Box::new(Failure {
                            mismatch: Some(Mismatch::Unexpected),
                            secondary: client.secondary,
                            half_closed: true,
                            ..Failure::new(
                                Outcome::Fail,
                                last.span.clone(),
                                Expected::NothingMore,
                                Observed::Line(line),
                            )
                        }));
                    }
                    Next::Silence(_) => {
                        settings.silent.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                    Next::End(..) => break,
                }
            }
        }
        Ok(())
    }
}

/// Whether a stream may end like this: by a reset only where the client has sent what the server
/// need not read, and where the case is not about that.
fn is_right_end(end: &End, demand: &Demand) -> bool {
    match end {
        End::Eof => true,
        End::Reset => demand.may_reset && !demand.precisely,
        End::Failed(_) => false,
    }
}

/// How many values were sent before the line that the first step of a branch is about.
fn values_before(branch: &[PlannedStep]) -> usize {
    match branch.first().map(|step| &step.operation) {
        Some(Operation::Expect(demand)) => demand.values_before,
        _ => 0,
    }
}

/// The last step about a connection.
fn last_step(steps: &[PlannedStep], connection: usize) -> Option<&PlannedStep> {
    steps.iter().rev().find_map(|step| match &step.operation {
        Operation::Together(lanes) => lanes.iter().find_map(|lane| last_step(lane, connection)),
        _ => (step.connection == connection).then_some(step),
    })
}

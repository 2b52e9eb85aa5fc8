//! Carrying out the plan of one case.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{
    Expected, Failure, Late, Observation, Observed, Outcome, OwnServer, Settings, StepResult,
};
use crate::client::{Connection, End, Next};
use crate::dialect::GREETING;
use crate::judge::{self, Demand, Demanded, Mismatch};
use crate::means::Base;
use crate::plan::{Operation, Plan, PlannedStep};
use crate::target::Addresses;
use crate::trace::Trace;
use crate::transcript::Port;

/// After the last step, a server has this long to close a connection whose other direction we ended; one that does not close is not at fault here.
const SETTLE: Duration = Duration::from_millis(50);

/// Where a plan is carried out.
pub(super) struct Scene<'a> {
    addresses: Addresses,
    pub(super) settings: &'a Settings,
    base: Base,
    trace: &'a Trace,
    /// The process, if it is ours and only ours.
    pub(super) own: Option<&'a OwnServer<'a>>,
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
    /// A line that may come first and is not worth mentioning.
    greeting: Option<Vec<u8>>,
}

impl Client {
    fn next_line(&mut self, timeout: Duration) -> Next {
        let next = self.connection.next_line(timeout);
        match (&next, self.greeting.take()) {
            (Next::Line(line), Some(greeting)) if *line == greeting => {
                self.connection.next_line(timeout)
            }
            _ => next,
        }
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
        match &step.operation {
            Operation::Send(octets) => client.connection.send(octets),
            Operation::HalfClose => client.connection.half_close(),
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
                settings.manners.greeting.clone(),
            ),
            Port::Secondary => {
                let none = || Failure::not_run("there is no secondary port".to_owned());
                (self.scene.addresses.secondary.ok_or_else(none)?, None)
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
        let Some(client) = self.connections.get_mut(&step.connection) else {
            return Ok(());
        };
        match &demand.what {
            Demanded::Greeting => {
                client.greeting = None;
                let next = client.connection.next_line(timeout);
                self.judge(step, demand, next)
            }
            Demanded::Nothing(duration) => {
                let duration = self.scene.settings.stretched(*duration);
                let next = client.next_line(duration);
                match next {
                    Next::Silence(rest) if rest.is_empty() => Ok(()),
                    next => self.judge(step, demand, next),
                }
            }
            Demanded::Rest => {
                let end = client.connection.skip_to_end(timeout);
                let next = end.map_or(Next::Silence(Vec::new()), |end| Next::End(end, Vec::new()));
                self.judge(step, demand, next)
            }
            _ => {
                let next = client.next_line(timeout);
                self.judge(step, demand, next)
            }
        }
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
            Next::End(End::Eof, rest) if ends && rest.is_empty() => {
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
        Err(Box::new(Failure {
            mismatch,
            late,
            ..Failure::new(outcome, step.span.clone(), expected, observed)
        }))
    }

    fn judge_line(&self, line: &[u8], demand: &Demand) -> Result<(), Mismatch> {
        let judgement = match &demand.what {
            Demanded::Means(added) if !self.scene.base.is_empty() => {
                self.scene.base.judge(line, added, demand.ignored)
            }
            _ => judge::judge_line(line, demand, self.scene.settings.manners.dialect),
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
        /// So often it is worth waiting for.
        const OFTEN: usize = 16;

        let silent = &self.scene.settings.silent;
        if silent.load(Ordering::Relaxed) >= OFTEN {
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
        let next = client.next_line(self.scene.settings.timeout);
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

    /// Nothing may be left unread. Ending our direction makes a right server close at once, so that no clock is needed to know that it has said everything.
    fn finish(&mut self, plan: &Plan) -> StepResult {
        for client in self.connections.values_mut() {
            client.connection.half_close();
        }
        for (id, client) in &mut self.connections {
            loop {
                match client.next_line(SETTLE) {
                    Next::Line(line) if line == GREETING && client.greeting.is_some() => {}
                    Next::Line(line) => {
                        let last = last_step(&plan.steps, *id).unwrap_or(&plan.steps[0]);
                        return Err(Box::new(Failure {
                            mismatch: Some(Mismatch::Unexpected),
                            ..Failure::new(
                                Outcome::Fail,
                                last.span.clone(),
                                Expected::NothingMore,
                                Observed::Line(line),
                            )
                        }));
                    }
                    _ => break,
                }
            }
        }
        Ok(())
    }
}

/// The last step about a connection.
fn last_step(steps: &[PlannedStep], connection: usize) -> Option<&PlannedStep> {
    steps.iter().rev().find_map(|step| match &step.operation {
        Operation::Together(lanes) => lanes.iter().find_map(|lane| last_step(lane, connection)),
        _ => (step.connection == connection).then_some(step),
    })
}

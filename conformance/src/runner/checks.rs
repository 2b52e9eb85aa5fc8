//! The `process` steps of a transcript.

use std::net::TcpStream;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::case::Actor;
use super::{Expected, Failure, Observed, Outcome, OwnServer, ProcessState, StepResult, process};
use crate::plan::PlannedStep;
use crate::target::Signal;
use crate::transcript::Check;

/// What a process does by itself takes less than this, however busy the machine; or than the
/// time-out, where that is longer.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Running in so many of the looks is not waiting.
const BUSY_LOOKS: u32 = process::LOOKS / 10;

/// Children that may be unreaped while clients keep connecting: a server that reaps when it accepts
/// has not reaped the last one, and the one before may have ended too late.
const MAX_UNREAPED: usize = 2;

/// The time between two connections to a server that may reap when it accepts.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(100);

/// A server may open so many descriptors once and keep them, as run-time systems do; one for each
/// of 50 sessions are more.
const MAX_KEPT_DESCRIPTORS: usize = 8;

impl OwnServer<'_> {
    pub(super) fn id(&self) -> u32 {
        self.server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .id()
    }

    fn has_ended(&self) -> bool {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.has_ended()
    }

    fn signal(&self, signal: Signal) {
        self.ended.store(true, Ordering::Relaxed);
        self.server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .signal(signal);
    }

    fn restart(&self) -> Result<(), String> {
        let server = self
            .launcher
            .launch_again(self.addresses)
            .map_err(|error| error.to_string())?;
        // The old one is dropped, and with it whatever it left behind.
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
        self.ended.store(false, Ordering::Relaxed);
        Ok(())
    }
}

impl Actor<'_> {
    /// Looks at the process of the server, or does something to it.
    pub(super) fn check(&mut self, step: &PlannedStep, check: Check) -> StepResult {
        let Some(own) = self.scene.own else {
            return Ok(());
        };
        match self.defect(own, check) {
            None => Ok(()),
            Some(state) => Err(Box::new(Failure::new(
                Outcome::Fail,
                step.span.clone(),
                Expected::Process(check),
                Observed::Process(state),
            ))),
        }
    }

    /// What is seen of the process that a check does not allow.
    fn defect(&self, own: &OwnServer<'_>, check: Check) -> Option<ProcessState> {
        let limit = self.scene.settings.timeout.max(TIME_LIMIT);
        let id = own.id();
        match check {
            Check::Reaped => unreaped(own, limit),
            Check::Alone => {
                let before = own.before.children;
                let mut now = before;
                let alone = process::eventually(limit, || {
                    now = process::running_descendants(id).len();
                    now <= before
                });
                (!alone).then_some(ProcessState::Children { before, now })
            }
            Check::Descriptors => {
                let before = own.before.descriptors;
                let mut now = before;
                let few = process::eventually(limit, || {
                    now = process::descriptors(id).unwrap_or_default();
                    now <= before + MAX_KEPT_DESCRIPTORS
                });
                (!few).then_some(ProcessState::Descriptors { before, now })
            }
            Check::Idle => {
                // What the last step asked for may take a moment; what never ends does not.
                let idle = process::eventually(limit, || !process::is_busy(id, BUSY_LOOKS));
                (!idle).then_some(ProcessState::Busy)
            }
            Check::Terminate => {
                own.signal(Signal::Terminate);
                let ended = process::eventually(limit, || own.has_ended());
                (!ended).then_some(ProcessState::Running)
            }
            Check::Kill => {
                let children = process::running_descendants(id);
                own.signal(Signal::Kill);
                let left = || process::still_running(&children);
                let ended = process::eventually(limit, || own.has_ended() && left() == 0);
                (!ended).then(|| ProcessState::Orphans(left()))
            }
            Check::Restart => own.restart().err().map(ProcessState::NotStarted),
        }
    }
}

/// Children that stay unreaped. As the server may reap no earlier than it accepts, clients keep
/// connecting meanwhile: one more than may be unreaped at the end, so that a server which never
/// reaps has too many because of them alone.
fn unreaped(own: &OwnServer<'_>, limit: Duration) -> Option<ProcessState> {
    let id = own.id();
    let deadline = Instant::now() + limit;
    let mut connections = 0;
    loop {
        // A child that still runs may end unreaped: it is waited for before anything is counted,
        // and before the next one is made.
        let alone = || process::running_descendants(id).len() <= own.before.children;
        let reaped =
            process::eventually(RECONNECT_INTERVAL, || process::zombies(id) == 0 && alone());
        process::eventually(deadline.saturating_duration_since(Instant::now()), alone);
        let zombies = process::zombies(id);
        if reaped || connections > MAX_UNREAPED && zombies <= MAX_UNREAPED {
            return None;
        }
        if Instant::now() > deadline {
            return (zombies > 0).then_some(ProcessState::Zombies(zombies));
        }
        // That it does not accept is the business of other clauses.
        drop(TcpStream::connect_timeout(
            &own.addresses.primary,
            RECONNECT_INTERVAL,
        ));
        connections += 1;
    }
}

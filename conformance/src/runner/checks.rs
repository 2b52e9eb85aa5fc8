//! The `process` steps of a transcript.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::case::Actor;
use super::{Expected, Failure, Observed, Outcome, OwnServer, ProcessState, StepResult, process};
use crate::plan::PlannedStep;
use crate::target::Signal;
use crate::transcript::Check;

/// What a process does of itself takes less than this, however busy the machine.
const BEFORE_LONG: Duration = Duration::from_secs(10);

/// Running in so many of the looks is not waiting.
const BUSY_LOOKS: u32 = process::LOOKS / 10;

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
        let limit = self.scene.settings.timeout.max(BEFORE_LONG);
        let id = own.id();
        match check {
            Check::Reaped => {
                let zombies = || process::zombies(id);
                let reaped = process::eventually(limit, || zombies() == 0);
                (!reaped).then(|| ProcessState::Zombies(zombies()))
            }
            Check::Alone => {
                let children = || process::running_descendants(id).len();
                let alone = process::eventually(limit, || children() == 0);
                (!alone).then(|| ProcessState::Children(children()))
            }
            Check::Descriptors => {
                let before = self.scene.descriptors;
                let same = process::eventually(limit, || process::descriptors(id) <= before);
                (!same).then(|| ProcessState::Descriptors {
                    before: before.unwrap_or_default(),
                    now: process::descriptors(id).unwrap_or_default(),
                })
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

//! The `process` steps of a transcript.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::case::{Actor, failure};
use super::{Failure, Outcome, OwnServer, process};
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
        server.exit_status().is_some()
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
    pub(super) fn check(&mut self, step: &PlannedStep, check: Check) -> Result<(), Failure> {
        let Some(own) = self.scene.own else {
            return Ok(());
        };
        let limit = self.scene.settings.timeout.max(BEFORE_LONG);
        let fail = |expected: &str, received: String| {
            Err(failure(
                Outcome::Fail,
                step,
                expected.to_owned(),
                received,
                "",
            ))
        };
        let id = own.id();
        match check {
            Check::Reaped => {
                let zombies = || process::zombies_and_descendants(id).0;
                if process::eventually(limit, || zombies() == 0) {
                    return Ok(());
                }
                fail(
                    "no child that has ended and is not reaped",
                    format!("{} zombies", zombies()),
                )
            }
            Check::Alone => {
                let children = || process::zombies_and_descendants(id).1;
                if process::eventually(limit, || children() == 0) {
                    return Ok(());
                }
                fail(
                    "no child left when no client is",
                    format!("{} children", children()),
                )
            }
            Check::Descriptors => {
                let before = self.scene.descriptors;
                if process::eventually(limit, || process::descriptors(id) <= before) {
                    return Ok(());
                }
                let (before, now) = (
                    before.unwrap_or_default(),
                    process::descriptors(id).unwrap_or_default(),
                );
                fail(
                    "as many open descriptors as when the case began",
                    format!("{now}, {before} before"),
                )
            }
            Check::Idle => {
                // What the last step asked for may take a moment; what never ends does not.
                if process::eventually(limit, || !process::is_busy(id, BUSY_LOOKS)) {
                    return Ok(());
                }
                fail(
                    "processes that wait while nobody says anything",
                    "one that is always running".to_owned(),
                )
            }
            Check::Terminate => {
                own.signal(Signal::Terminate);
                if process::eventually(limit, || own.has_ended()) {
                    return Ok(());
                }
                fail("an end on SIGTERM", "the server still runs".to_owned())
            }
            Check::Kill => {
                let children = process::running_descendants(id);
                own.signal(Signal::Kill);
                if process::eventually(limit, || {
                    own.has_ended() && process::still_running(&children) == 0
                }) {
                    return Ok(());
                }
                fail(
                    "children that end with the server",
                    format!("{} still run", process::still_running(&children)),
                )
            }
            Check::Restart => match own.restart() {
                Ok(()) => Ok(()),
                Err(why) => fail("a server that starts again on the same ports", why),
            },
        }
    }
}

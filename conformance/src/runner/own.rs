//! A server that one case has for itself.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{StepResult, blame_crash, probe, process};
use crate::target::{Addresses, Launcher, Server, Unreachable};

/// A server for one case, which may end it and start it again.
#[derive(Debug)]
pub(super) struct OwnServer<'a> {
    pub(super) launcher: &'a Launcher,
    pub(super) addresses: Addresses,
    pub(super) server: Mutex<Server>,
    /// Whether the case has ended it.
    pub(super) ended: AtomicBool,
    /// What it had when the case began.
    pub(super) before: Before,
}

/// What the process of a server has before any session, with which a case compares what it has
/// after its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    /// Descendants that run: workers that were started in advance.
    pub(super) children: usize,
    /// The most descriptors that one process has open.
    pub(super) descriptors: usize,
}

/// A server that still has more children so long after its first session has started them for good.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// The number of children has settled when it is the same in so many looks.
const SETTLED_LOOKS: u32 = 8;

impl<'a> OwnServer<'a> {
    pub(super) fn launch(launcher: &'a Launcher) -> Result<OwnServer<'a>, Unreachable> {
        let server = launcher.launch()?;
        Ok(OwnServer {
            launcher,
            addresses: server.addresses,
            server: Mutex::new(server),
            ended: AtomicBool::new(false),
            before: Before::default(),
        })
    }

    /// Has one session, for which many servers start and open what they keep, and takes down what
    /// the process has then.
    pub(super) fn settle(&mut self, timeout: Duration) {
        let id = self.id();
        let children = || process::running_descendants(id).len();
        let at_first = children();
        probe::answers(self.addresses.primary, timeout);
        let (mut last, mut same) = (children(), 0);
        process::eventually(SETTLE_TIME, || {
            let now = children();
            same = if now == last { same + 1 } else { 0 };
            last = now;
            now <= at_first && same >= SETTLED_LOOKS
        });
        self.before = Before {
            children: last,
            descriptors: process::descriptors(id).unwrap_or_default(),
        };
    }

    pub(super) fn finish(self, attempt: StepResult, output: &mut String) -> StepResult {
        let mut server = self
            .server
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if self.ended.into_inner() {
            if attempt.is_err() {
                *output = server.output();
            }
            return attempt;
        }
        blame_crash(attempt, &mut server, output)
    }
}

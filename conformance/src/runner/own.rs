//! A server that one case has for itself.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use super::{StepResult, blame_crash};
use crate::target::{Addresses, Launcher, Server, Unreachable};

/// A server for one case, which may end it and start it again.
#[derive(Debug)]
pub(super) struct OwnServer<'a> {
    pub(super) launcher: &'a Launcher,
    pub(super) addresses: Addresses,
    pub(super) server: Mutex<Server>,
    /// Whether the case has ended it.
    pub(super) ended: AtomicBool,
}

impl<'a> OwnServer<'a> {
    pub(super) fn launch(launcher: &'a Launcher) -> Result<OwnServer<'a>, Unreachable> {
        let server = launcher.launch()?;
        Ok(OwnServer {
            launcher,
            addresses: server.addresses,
            server: Mutex::new(server),
            ended: AtomicBool::new(false),
        })
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

//! What signals ask of the server, noted in flags.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static CHILD_ENDED: AtomicBool = AtomicBool::new(false);
static REPORT_WANTED: AtomicBool = AtomicBool::new(false);
static STOPS: AtomicU32 = AtomicU32::new(0);
static LAST_STOP: AtomicI32 = AtomicI32::new(0);

/// Let the sessions end, then stop; a second one does not wait.
const STOP: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT];
/// Log the counters. A hang-up of the terminal is one of these, so that it ends nothing: there is no
/// configuration file to read again.
const REPORT: [Signal; 3] = [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

/// Runs between any two instructions of the program, so it does no more than set flags.
extern "C" fn note(signal: c_int) {
    match Signal::try_from(signal) {
        Ok(Signal::SIGCHLD) => CHILD_ENDED.store(true, Ordering::Relaxed),
        Ok(report) if REPORT.contains(&report) => REPORT_WANTED.store(true, Ordering::Relaxed),
        Ok(stop) if STOP.contains(&stop) => {
            LAST_STOP.store(signal, Ordering::Relaxed);
            STOPS.fetch_add(1, Ordering::Relaxed);
        }
        // A log file at its size limit: the write fails, and that is all.
        _ => {}
    }
}

/// The signals of the server: blocked, except where [`Signals::mask_while_waiting`] is in force.
///
/// Which signals were blocked or ignored when the server was started changes nothing.
pub(crate) struct Signals {
    blocked: SigSet,
    none: SigSet,
}

impl Signals {
    /// Blocks the signals of the server, and then installs what notes them.
    pub(crate) fn install() -> io::Result<Self> {
        let mut blocked = SigSet::empty();
        noted().for_each(|signal| blocked.add(signal));
        blocked.thread_set_mask()?;
        for signal in noted().chain([Signal::SIGXFSZ]) {
            set_action(signal, SigHandler::Handler(note))?;
        }
        set_action(Signal::SIGPIPE, SigHandler::SigIgn)?;
        let none = SigSet::empty();
        Ok(Signals { blocked, none })
    }

    /// The mask to wait with: signals arrive during the wait, and at no other time.
    pub(crate) fn mask_while_waiting(&self) -> &SigSet {
        &self.none
    }

    /// Notes signals that arrived outside a wait.
    ///
    /// A wait that finds a descriptor ready returns without letting any in, so that under constant
    /// load none would ever arrive.
    pub(crate) fn note_pending(&self) {
        while let Some(signal) = self.take_pending() {
            note(signal);
        }
    }

    #[cfg(target_os = "linux")]
    fn take_pending(&self) -> Option<c_int> {
        let at_once = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the set and the time are valid, and nothing else is wanted to be written.
        let signal =
            unsafe { libc::sigtimedwait(self.blocked.as_ref(), std::ptr::null_mut(), &at_once) };
        (signal > 0).then_some(signal)
    }

    /// Elsewhere, lets them in for a moment.
    #[cfg(not(target_os = "linux"))]
    fn take_pending(&self) -> Option<c_int> {
        let _ = self.none.thread_set_mask();
        let _ = self.blocked.thread_set_mask();
        None
    }

    /// Whether a child may have ended since the last call.
    pub(crate) fn take_child_ended(&self) -> bool {
        CHILD_ENDED.swap(false, Ordering::Relaxed)
    }

    /// Whether the counters were asked for since the last call.
    pub(crate) fn take_report_wanted(&self) -> bool {
        REPORT_WANTED.swap(false, Ordering::Relaxed)
    }

    /// How often the server was asked to stop, and the signal that did it last.
    pub(crate) fn stop_requests(&self) -> (u32, Option<Signal>) {
        let signal = Signal::try_from(LAST_STOP.load(Ordering::Relaxed)).ok();
        (STOPS.load(Ordering::Relaxed), signal)
    }

    /// In a child that has left the process group of the server: to the default actions, unless the
    /// fork did that, then to an empty mask. SIGPIPE stays ignored; a lost peer is an error of the
    /// write.
    ///
    /// A stop signal that was sent to the group before this child left it was meant for the server.
    /// It is pending here, and discarded.
    pub(crate) fn reset(&self, actions_are_reset: bool) -> Result<(), Errno> {
        if !actions_are_reset {
            for signal in noted().chain([Signal::SIGXFSZ]) {
                // Being ignored for a moment is what discards it where it cannot be taken.
                set_action(signal, SigHandler::SigIgn)?;
                set_action(signal, SigHandler::SigDfl)?;
            }
        } else {
            while self.take_pending().is_some() {}
        }
        self.none.thread_set_mask()
    }
}

fn noted() -> impl Iterator<Item = Signal> {
    [Signal::SIGCHLD].into_iter().chain(STOP).chain(REPORT)
}

fn set_action(signal: Signal, handler: SigHandler) -> Result<(), Errno> {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: `note`, the only function that is ever installed, touches atomics and nothing else,
    // and the previous action is not used.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

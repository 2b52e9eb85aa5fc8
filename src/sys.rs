//! The system calls that need `unsafe`, behind functions that do not.

#![expect(
    unsafe_code,
    reason = "fork, sigaction and _exit have contracts that the compiler cannot check"
)]

use std::io::{self, Write};
use std::os::fd::BorrowedFd;
#[cfg(target_os = "linux")]
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use nix::unistd::{self, ForkResult};

static CHILD_ENDED: AtomicBool = AtomicBool::new(false);
static STOPS: AtomicU32 = AtomicU32::new(0);
static LAST_STOP: AtomicI32 = AtomicI32::new(0);
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Runs between any two instructions of the program, so it does no more than set flags.
extern "C" fn note(signal: c_int) {
    if signal == libc::SIGCHLD {
        CHILD_ENDED.store(true, Ordering::Relaxed);
    } else {
        LAST_STOP.store(signal, Ordering::Relaxed);
        STOPS.fetch_add(1, Ordering::Relaxed);
    }
}

const STOP_SIGNALS: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

/// The signals of the server: blocked, except where [`Signals::mask_while_waiting`] is in force.
pub(crate) struct Signals {
    original: SigSet,
    blocked: SigSet,
    while_waiting: SigSet,
}

impl Signals {
    /// Blocks the signals of the server, and then installs what notes them.
    pub(crate) fn install() -> io::Result<Self> {
        let mut ours = SigSet::empty();
        ours.add(Signal::SIGCHLD);
        STOP_SIGNALS.iter().for_each(|&signal| ours.add(signal));

        let original = ours.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let blocked = SigSet::thread_get_mask()?;
        let mut while_waiting = original;
        for signal in &ours {
            while_waiting.remove(signal);
            set_action(signal, SigHandler::Handler(note))?;
        }
        set_action(Signal::SIGPIPE, SigHandler::SigIgn)?;
        Ok(Signals {
            original,
            blocked,
            while_waiting,
        })
    }

    /// The mask to wait with: signals arrive during the wait, and at no other time.
    pub(crate) fn mask_while_waiting(&self) -> &SigSet {
        &self.while_waiting
    }

    /// Lets signals in that arrived outside a wait.
    ///
    /// A wait that finds a descriptor ready returns without letting any in, so that under constant
    /// load none would ever arrive.
    pub(crate) fn admit_pending(&self) -> io::Result<()> {
        self.while_waiting.thread_set_mask()?;
        self.blocked.thread_set_mask()?;
        Ok(())
    }

    /// Whether a child may have ended since the last call.
    pub(crate) fn take_child_ended(&self) -> bool {
        CHILD_ENDED.swap(false, Ordering::Relaxed)
    }

    /// How often the server was asked to stop, and the signal that did it last.
    pub(crate) fn stop_requests(&self) -> (u32, Option<Signal>) {
        let signal = Signal::try_from(LAST_STOP.load(Ordering::Relaxed)).ok();
        (STOPS.load(Ordering::Relaxed), signal)
    }

    /// In a child that has left the process group of the server: back to the default actions, then
    /// to the mask that the server was started with. SIGPIPE stays ignored; a lost peer is an error
    /// of the write.
    ///
    /// A stop signal that was sent to the group before this child left it was meant for the server.
    /// It is pending here, and being ignored for a moment is what discards it.
    pub(crate) fn restore(&self) -> Result<(), Errno> {
        set_action(Signal::SIGCHLD, SigHandler::SigDfl)?;
        for signal in STOP_SIGNALS {
            set_action(signal, SigHandler::SigIgn)?;
            set_action(signal, SigHandler::SigDfl)?;
        }
        self.original.thread_set_mask()
    }
}

fn set_action(signal: Signal, handler: SigHandler) -> Result<(), Errno> {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: `note`, the only function that is ever installed, touches atomics and nothing else,
    // and the previous action is not used.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

/// Refuses a process that [`fork`] would be unsound in.
pub(crate) fn require_single_thread() -> io::Result<()> {
    // Where there is no such directory, the contract of the caller has to do.
    match std::fs::read_dir("/proc/self/task").map(Iterator::count) {
        Ok(threads) if threads > 1 => Err(io::Error::other("the process has several threads")),
        _ => Ok(()),
    }
}

/// Forks.
pub(crate) fn fork() -> io::Result<ForkResult> {
    // SAFETY: the process has a single thread (`require_single_thread`, and this crate starts
    // none), so that no lock of the allocator or of anything else is held in the child.
    let result = unsafe { unistd::fork() }?;
    if result.is_child() {
        IS_CHILD.store(true, Ordering::Relaxed);
    }
    Ok(result)
}

/// Makes a panic in a child end it with this status, instead of unwinding into the code of the
/// parent. It is told on standard error without a backtrace, which takes files to make.
pub(crate) fn contain_panics(status: i32) {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if IS_CHILD.load(Ordering::Relaxed) {
            let _ = writeln!(io::stderr(), "{info}");
            exit_now(status);
        }
        report(info);
    }));
}

/// Takes a descriptor that another process left to this one, as the protocol of systemd has it.
#[cfg(target_os = "linux")]
pub(crate) fn adopt(descriptor: RawFd) -> OwnedFd {
    // SAFETY: that protocol makes this process the owner of the descriptor, and the caller, who has
    // it from there, hands each one over once.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// In a child: closes all descriptors but these and the standard streams, wherever they come from.
#[cfg(target_os = "linux")]
pub(crate) fn close_all_but(mut kept: [BorrowedFd<'_>; 2]) -> Result<(), Errno> {
    kept.sort_by_key(|descriptor| descriptor.as_raw_fd());
    let [low, high] = kept.map(|descriptor| descriptor.as_raw_fd().cast_unsigned());
    for (first, last) in [(3, low - 1), (low + 1, high - 1), (high + 1, u32::MAX)] {
        if first <= last {
            // SAFETY: a child keeps no object that owns one of these descriptors: those of the
            // parent went out of scope, and nothing knows of any others.
            Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
    }
    Ok(())
}

/// Elsewhere, a session may hold what the server was started with.
#[cfg(not(target_os = "linux"))]
pub(crate) fn close_all_but(_kept: [BorrowedFd<'_>; 2]) -> Result<(), Errno> {
    Ok(())
}

/// Ends the process without running anything that the parent registered for its own end.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes any status and touches no memory of the process.
    unsafe { libc::_exit(status) }
}

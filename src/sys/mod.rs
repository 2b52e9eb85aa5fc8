//! The system calls that need `unsafe`, behind functions that do not.

#![expect(
    unsafe_code,
    reason = "fork, sigaction, mmap and _exit have contracts that the compiler cannot check"
)]

mod signals;
mod unshared;

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::unistd::{self, ForkResult, Pid};

pub(crate) use self::signals::Signals;
pub(crate) use self::unshared::{Bytes, Slots};

/// Refuses a process that [`fork`] would be unsound in.
pub(crate) fn require_single_thread() -> io::Result<()> {
    // Where there is no such directory, the contract of the caller has to do.
    match std::fs::read_dir("/proc/self/task").map(Iterator::count) {
        Ok(threads) if threads > 1 => Err(io::Error::other("the process has several threads")),
        _ => Ok(()),
    }
}

/// Which of the two processes this is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Forked {
    Parent {
        child: Pid,
    },
    Child {
        /// Whether the kernel put all signals that were noted back to their default actions.
        actions_are_reset: bool,
    },
}

/// Whether the kernel knows how to fork and to reset signal actions in one call.
static FORK_RESETS: AtomicBool = AtomicBool::new(cfg!(target_os = "linux"));

/// Forks.
pub(crate) fn fork() -> io::Result<Forked> {
    #[cfg(target_os = "linux")]
    if FORK_RESETS.load(Ordering::Relaxed) {
        match clone_with_reset() {
            Ok(0) => {
                return Ok(Forked::Child {
                    actions_are_reset: true,
                });
            }
            Ok(child) => {
                let child = Pid::from_raw(child);
                return Ok(Forked::Parent { child });
            }
            // Older kernels, and filters of containers that were written for them.
            Err(Errno::ENOSYS | Errno::EINVAL | Errno::EPERM) => {
                FORK_RESETS.store(false, Ordering::Relaxed);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    // SAFETY: the process has a single thread (`require_single_thread`, and this crate starts
    // none), so that no lock of the allocator or of anything else is held in the child.
    let result = unsafe { unistd::fork() }?;
    Ok(match result {
        ForkResult::Parent { child } => Forked::Parent { child },
        ForkResult::Child => Forked::Child {
            actions_are_reset: false,
        },
    })
}

#[cfg(target_os = "linux")]
fn clone_with_reset() -> Result<libc::pid_t, Errno> {
    const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;
    // The first version of its arguments: flags, three addresses, the signal at the end of the child,
    // and three that are about a stack of its own.
    let arguments = [CLONE_CLEAR_SIGHAND, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
    // SAFETY: as for fork. What the C library does beyond is of no use to a process with a single
    // thread that starts no program, and whose child starts no thread.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            arguments.as_ptr(),
            size_of_val(&arguments),
        )
    };
    Errno::result(result).map(|pid| pid as libc::pid_t)
}

/// Makes a panic in a child of this process end it with this status, instead of unwinding into the
/// code of the parent. It is told on standard error without a backtrace, which takes files to make.
pub(crate) fn contain_panics(status: i32) {
    let parent = process::id();
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if process::id() != parent {
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

/// How to close what a session must not hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Closing {
    /// By ranges.
    #[cfg(target_os = "linux")]
    Ranges,
    /// Where the kernel or a filter refuses that: one by one, up to this one.
    #[cfg(target_os = "linux")]
    Each(RawFd),
    /// Not at all; a session may hold what the server was started with.
    #[cfg(not(target_os = "linux"))]
    Nothing,
}

impl Closing {
    /// Tries what the kernel has. The parent opens no descriptor at or above `limit` from now on.
    #[cfg(target_os = "linux")]
    pub(crate) fn find(limit: RawFd) -> io::Result<Self> {
        if close_range(u32::MAX, u32::MAX).is_ok() {
            return Ok(Closing::Ranges);
        }
        let mut highest = limit;
        for entry in std::fs::read_dir("/proc/self/fd")? {
            let number = entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            highest = highest.max(number.unwrap_or_default());
        }
        Ok(Closing::Each(highest))
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn find(_limit: RawFd) -> io::Result<Self> {
        Ok(Closing::Nothing)
    }

    /// In a child: closes all descriptors but these and the standard streams, wherever they come
    /// from.
    #[cfg(target_os = "linux")]
    pub(crate) fn close_all_but(self, mut kept: [BorrowedFd<'_>; 2]) -> Result<(), Errno> {
        kept.sort_by_key(|descriptor| descriptor.as_raw_fd());
        let [low, high] = kept.map(|descriptor| descriptor.as_raw_fd().cast_unsigned());
        for (first, last) in [(3, low - 1), (low + 1, high - 1), (high + 1, u32::MAX)] {
            match self {
                _ if first > last => {}
                Closing::Ranges => close_range(first, last)?,
                Closing::Each(highest) => {
                    for number in first..=last.min(highest.cast_unsigned()) {
                        // SAFETY: as in `close_range`; a number that is not open is no error here.
                        unsafe { libc::close(number.cast_signed()) };
                    }
                }
            }
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn close_all_but(self, _kept: [BorrowedFd<'_>; 2]) -> Result<(), Errno> {
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: a child keeps no object that owns one of these descriptors: those of the parent went
    // out of scope or are never used again, and nothing knows of any others.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Moves a descriptor of the parent out of the way, so that the socket of a session mostly has the
/// number next to that of the pipe, and one call closes all others.
pub(crate) fn move_up<T: From<OwnedFd> + AsFd>(owner: T) -> T {
    move_to(owner, 16)
}

/// Moves a descriptor of the parent to the first free number from this one on, if there is one.
pub(crate) fn move_to<T: From<OwnedFd> + AsFd>(owner: T, lowest: RawFd) -> T {
    let moved = fcntl(&owner, FcntlArg::F_DUPFD_CLOEXEC(lowest));
    match moved {
        // SAFETY: the descriptor is new, and has no other owner.
        Ok(moved) => T::from(unsafe { OwnedFd::from_raw_fd(moved) }),
        Err(_) => owner,
    }
}

/// Moves a descriptor of the parent to the lowest free number.
pub(crate) fn move_down<T: From<OwnedFd> + AsFd>(owner: T) -> T {
    match owner.as_fd().try_clone_to_owned() {
        Ok(moved) if moved.as_raw_fd() < owner.as_fd().as_raw_fd() => T::from(moved),
        _ => owner,
    }
}

/// Limits how many bytes wait in the system to be sent, on a socket or all that a listener accepts.
pub(crate) fn limit_unsent(socket: BorrowedFd<'_>, bytes: u32) -> Result<(), Errno> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        let length = size_of_val(&bytes) as libc::socklen_t;
        // SAFETY: the option is a number of this size, and it is only read.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_NOTSENT_LOWAT,
                (&raw const bytes).cast(),
                length,
            )
        };
        Errno::result(result).map(drop)
    }
    #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
    {
        let _ = (socket, bytes);
        Ok(())
    }
}

/// In a child: how little of the processor it gets beside others, as `nice` has it.
pub(crate) fn set_niceness(niceness: i32) -> Result<(), Errno> {
    // SAFETY: this is about this process, and touches no memory of it.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS as _, 0, niceness) }).map(drop)
}

/// The niceness of this process.
pub(crate) fn niceness() -> i32 {
    // SAFETY: as above. An error looks like a niceness of -1, and there is none for this process.
    unsafe { libc::getpriority(libc::PRIO_PROCESS as _, 0) }
}

/// Ends the process without running anything that the parent registered for its own end.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes any status and touches no memory of the process.
    unsafe { libc::_exit(status) }
}

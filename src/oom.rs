//! Which process the kernel ends when there is no memory left: a session, and not the server.
//!
//! The kernel ends the process whose memory and score are greatest. A session is smaller than the
//! server, so that it has to raise its score. Nobody needs a privilege for that. The file that it
//! writes to is found by a path that means another file in each process, below a directory that was
//! opened before the server was confined, and it is the only file that can be opened afterwards.

#[cfg(target_os = "linux")]
pub(crate) use self::linux::Victims;
#[cfg(not(target_os = "linux"))]
pub(crate) use self::none::Victims;

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::CStr;
    use std::fs::{self, File};
    use std::io;
    use std::mem;
    use std::os::fd::{AsRawFd, OwnedFd};

    use nix::fcntl::{OFlag, openat};
    use nix::libc;
    use nix::sys::prctl::{get_dumpable, set_dumpable};
    use nix::sys::stat::Mode;
    use nix::unistd::write;

    use crate::sandbox::Exception;
    use crate::sys;

    const SCORE: &CStr = c"self/oom_score_adj";

    /// How much of all memory that there is, in thousandths, a session is taken to use beyond what it
    /// does. In the smallest control group that has room for a server it exceeds the size of one.
    const ADDED: i32 = 500;
    const HIGHEST: i32 = 1000;

    /// What a session needs to raise its score.
    pub(crate) struct Victims {
        processes: File,
        score: String,
        /// Whether the files of a process below `/proc` belong to root, as they do after a change of
        /// user.
        are_hidden: bool,
    }

    impl Victims {
        /// Looks for the file, after the last change of user.
        ///
        /// # Errors
        ///
        /// If a session could not write to it.
        pub(crate) fn open() -> io::Result<Self> {
            let processes = sys::move_up(File::open("/proc")?);
            let score = fs::read_to_string("/proc/self/oom_score_adj")?;
            let score: i32 = score.trim().parse().map_err(io::Error::other)?;
            let victims = Victims {
                processes,
                score: HIGHEST.min(score + ADDED).to_string(),
                are_hidden: !get_dumpable()?,
            };
            victims.open_score().map(drop)?;
            Ok(victims)
        }

        /// What is to be allowed to the server, and with it to a session that is being set up.
        pub(crate) fn exception(&self) -> Exception {
            // The address of the path stands for the path: that memory cannot be written to.
            let path = SCORE.as_ptr() as u64;
            let directory = self.processes.as_raw_fd().cast_unsigned().into();
            Exception::new(libc::SYS_openat, &[(0, directory), (1, path)])
        }

        /// In a child: makes it a victim. If that fails, the kernel has to choose by size.
        pub(crate) fn volunteer(&self) {
            if let Ok(file) = self.open_score() {
                let _ = write(&file, self.score.as_bytes());
                // The set-up of the session closes all that it does not need, at once.
                mem::forget(file);
            }
        }

        fn open_score(&self) -> io::Result<OwnedFd> {
            if self.are_hidden {
                set_dumpable(true)?;
            }
            let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
            let opened = openat(&self.processes, SCORE, flags, Mode::empty());
            if self.are_hidden {
                set_dumpable(false)?;
            }
            Ok(opened?)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod none {
    use std::io;

    use crate::sandbox::Exception;

    /// Nothing, since only Linux lets a process choose.
    pub(crate) enum Victims {}

    impl Victims {
        pub(crate) fn open() -> io::Result<Self> {
            Err(io::Error::other("this system lets no process choose"))
        }

        pub(crate) fn exception(&self) -> Exception {
            match *self {}
        }

        pub(crate) fn volunteer(&self) {
            match *self {}
        }
    }
}

//! What the processes may ask of the system.
//!
//! A session may read, write, wait, get memory and end. It is confined after its set-up and before
//! the first byte of its client: from then on it can open no file and no socket, start no process,
//! run no program, make no memory executable, leave no core and gain no privilege. The descriptors
//! that it holds are all that it can use, and a system call that is not in its list kills it.
//!
//! The server is confined before it accepts anybody: it can open no file and run no program, and a
//! call that is not in its list, or among the [`Exception`]s, fails. Its filter also makes that of a session cheap. The kernel
//! works out for each system call whether a new filter always allows it, unless an older one does
//! not: without the filter of the server, installing that of a session takes twice the time.
//!
//! Both filters are compiled once, before the first fork.

use std::fmt;

#[cfg(target_os = "linux")]
pub use self::linux::{Exception, Sandbox};
#[cfg(not(target_os = "linux"))]
pub use self::none::{Exception, Sandbox};

/// Why processes cannot be confined.
#[derive(Debug)]
pub struct SandboxError {
    what: &'static str,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl SandboxError {
    fn new<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        what: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |cause| SandboxError {
            what,
            cause: cause.into(),
        }
    }
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.cause)
    }
}

impl std::error::Error for SandboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}

#[cfg(target_os = "linux")]
mod shorten;

#[cfg(target_os = "linux")]
mod linux {
    use std::env::consts::ARCH;

    use nix::libc::{self, c_long};
    use nix::sys::resource::{Resource, setrlimit};
    use seccompiler::{
        BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
        SeccompFilter, SeccompRule, TargetArch, apply_filter,
    };

    use super::SandboxError;
    use super::shorten::shorten;

    /// What a session calls; also mmap, but for no memory that is executable.
    ///
    /// The kernel compiles the filter anew for each session, so that every call costs a little.
    #[rustfmt::skip]
    const SESSION: &[c_long] = &[
        // its client, the pipe, standard error
        libc::SYS_recvfrom, libc::SYS_sendto, libc::SYS_write, libc::SYS_shutdown,
        // waiting; the kernel restarts that after a stop and a continuation
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll,
        #[cfg(not(target_arch = "x86_64"))]
        libc::SYS_ppoll,
        libc::SYS_restart_syscall,
        // the clock, where the kernel does not answer in user space
        libc::SYS_clock_gettime,
        // the allocator
        libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise,
        libc::SYS_getpid, libc::SYS_exit_group,
    ];

    /// What the server and a session that is being set up call beyond that.
    #[rustfmt::skip]
    const SERVER: &[c_long] = &[
        // the loop
        libc::SYS_rt_sigtimedwait,
        libc::SYS_pselect6, libc::SYS_accept4, libc::SYS_read, libc::SYS_close, libc::SYS_getsockname,
        libc::SYS_rt_sigprocmask, libc::SYS_rt_sigaction, libc::SYS_rt_sigreturn, libc::SYS_futex,
        // processes
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork,
        libc::SYS_clone, libc::SYS_clone3, libc::SYS_wait4, libc::SYS_waitid, libc::SYS_kill, libc::SYS_tgkill,
        libc::SYS_gettid, libc::SYS_exit, libc::SYS_sigaltstack,
        // hash seeds, guard pages
        libc::SYS_getrandom, libc::SYS_mprotect,
        // what the C library does in a new process
        libc::SYS_set_robust_list, libc::SYS_set_tid_address, libc::SYS_rseq,
        // the set-up of a session
        libc::SYS_close_range, libc::SYS_setpgid, libc::SYS_setpriority, libc::SYS_prctl, libc::SYS_getppid, libc::SYS_setsockopt, libc::SYS_getsockopt,
        libc::SYS_ioctl, libc::SYS_fcntl, libc::SYS_prlimit64, libc::SYS_seccomp,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_setrlimit,
    ];

    /// A call that the server, and a session that is being set up, may make beyond its list if some
    /// of its arguments are exactly these.
    #[derive(Clone, Debug)]
    pub struct Exception {
        call: c_long,
        arguments: Vec<(u8, u64)>,
    }

    impl Exception {
        /// Such a call, with the positions and the values of its arguments.
        pub fn new(call: c_long, arguments: &[(u8, u64)]) -> Self {
            let arguments = arguments.to_vec();
            Exception { call, arguments }
        }

        fn rule(&self) -> Result<SeccompRule, BackendError> {
            let exactly = |&(position, value)| {
                let (long, same) = (SeccompCmpArgLen::Qword, SeccompCmpOp::Eq);
                SeccompCondition::new(position, long, same, value)
            };
            let conditions: Result<_, _> = self.arguments.iter().map(exactly).collect();
            SeccompRule::new(conditions?)
        }
    }

    /// The filters, ready to be installed.
    #[derive(Clone, Debug)]
    pub struct Sandbox {
        server: BpfProgram,
        session: BpfProgram,
    }

    impl Sandbox {
        /// Whether this system has a sandbox.
        pub const AVAILABLE: bool = true;

        /// Compiles the filters.
        ///
        /// # Errors
        ///
        /// If this architecture has none.
        pub fn compile(exceptions: &[Exception]) -> Result<Sandbox, SandboxError> {
            let filters = || -> Result<Sandbox, BackendError> {
                let rules = exceptions
                    .iter()
                    .map(|one| Ok((one.call, vec![one.rule()?])));
                let rules = rules.collect::<Result<Vec<_>, BackendError>>()?;
                let server = SESSION.iter().chain(SERVER).map(|&call| (call, vec![]));
                let server = server.chain([(libc::SYS_mmap, vec![])]).chain(rules);
                let session = SESSION.iter().map(|&call| (call, vec![]));
                let session = session.chain([(libc::SYS_mmap, vec![not_executable()?])]);
                let refuse = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
                Ok(Sandbox {
                    server: compile(server, refuse)?,
                    session: compile(session, SeccompAction::KillProcess)?,
                })
            };
            filters().map_err(SandboxError::new("cannot compile a filter"))
        }

        /// Confines the server, and with it all processes that it starts from now on.
        ///
        /// # Errors
        ///
        /// If the kernel refuses.
        pub fn confine_server(&self) -> Result<(), SandboxError> {
            apply_filter(&self.server).map_err(SandboxError::new("cannot install a filter"))
        }

        /// Confines a session.
        ///
        /// # Errors
        ///
        /// If the kernel refuses.
        pub fn confine_session(&self) -> Result<(), SandboxError> {
            // Standard input is open, so that the one descriptor below the limit is taken. A limit
            // of none would make poll fail.
            let limits = [
                (Resource::RLIMIT_NOFILE, 1),
                (Resource::RLIMIT_FSIZE, 0),
                (Resource::RLIMIT_NPROC, 0),
                (Resource::RLIMIT_CORE, 0),
            ];
            for (resource, limit) in limits {
                setrlimit(resource, limit, limit)
                    .map_err(SandboxError::new("cannot set a limit"))?;
            }
            apply_filter(&self.session).map_err(SandboxError::new("cannot install a filter"))
        }
    }

    fn not_executable() -> Result<SeccompRule, BackendError> {
        const PROTECTION: u8 = 2;
        let executable = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
        let condition = SeccompCondition::new(PROTECTION, SeccompCmpArgLen::Dword, executable, 0)?;
        SeccompRule::new(vec![condition])
    }

    fn compile(
        calls: impl Iterator<Item = (c_long, Vec<SeccompRule>)>,
        otherwise: SeccompAction,
    ) -> Result<BpfProgram, BackendError> {
        let architecture = TargetArch::try_from(ARCH)?;
        let allow = SeccompAction::Allow;
        let filter = SeccompFilter::new(calls.collect(), otherwise, allow, architecture)?;
        Ok(shorten(filter.try_into()?))
    }
}

#[cfg(not(target_os = "linux"))]
mod none {
    use super::SandboxError;

    /// Nothing, since this system has no sandbox.
    #[derive(Clone, Debug)]
    pub enum Exception {}

    /// Nothing, since this system has no sandbox.
    #[derive(Clone, Debug)]
    pub enum Sandbox {}

    impl Sandbox {
        /// Whether this system has a sandbox.
        pub const AVAILABLE: bool = false;

        /// Compiles the filters of a system that has them.
        ///
        /// # Errors
        ///
        /// Always.
        pub fn compile(_exceptions: &[Exception]) -> Result<Sandbox, SandboxError> {
            Err(SandboxError::new("cannot compile a filter")(
                "there is no sandbox on this system",
            ))
        }

        /// Cannot be called.
        ///
        /// # Errors
        ///
        /// None.
        pub fn confine_server(&self) -> Result<(), SandboxError> {
            match *self {}
        }

        /// Cannot be called.
        ///
        /// # Errors
        ///
        /// None.
        pub fn confine_session(&self) -> Result<(), SandboxError> {
            match *self {}
        }
    }
}

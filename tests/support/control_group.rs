//! A control group with a limit, below the one of the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

/// Removed when dropped, which works once all processes in it have ended.
pub(crate) struct ControlGroup {
    path: PathBuf,
    limit: &'static str,
    usage: &'static str,
    events: &'static str,
}

impl ControlGroup {
    /// A group that can limit memory. If the system does not let the tests make one, that is
    /// printed.
    pub(crate) fn of_memory() -> Option<ControlGroup> {
        let found = ControlGroup::make();
        match &found {
            Ok(_) => {}
            Err(reason) => eprintln!("skipped: no control group for memory can be made: {reason}"),
        }
        found.ok()
    }

    fn make() -> Result<ControlGroup, String> {
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let path_of = |controller: &str| {
            groups.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let controllers = fields.next()?;
                let path = fields.next()?.trim_start_matches('/');
                controllers
                    .split(',')
                    .any(|name| name == controller)
                    .then_some(path)
            })
        };
        // Each test has its own.
        let name = format!(
            "meta-stats-{}-{:?}",
            process::id(),
            std::thread::current().id()
        );
        let name: String = name
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect();
        let (parent, [limit, usage, events]) = match (path_of("memory"), path_of("")) {
            (Some(path), _) => (
                Path::new("/sys/fs/cgroup/memory").join(path),
                [
                    "memory.limit_in_bytes",
                    "memory.usage_in_bytes",
                    "memory.oom_control",
                ],
            ),
            (None, Some(path)) => (
                Path::new("/sys/fs/cgroup").join(path),
                ["memory.max", "memory.current", "memory.events"],
            ),
            (None, None) => return Err("there is no such controller".to_owned()),
        };
        let path = parent.join(name);
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let group = ControlGroup {
            path,
            limit,
            usage,
            events,
        };
        // The group of version 2 has these files only where the controller is passed on.
        for file in [limit, usage, events] {
            let path = group.path.join(file);
            fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(group)
    }

    /// Puts a process in, with all that it starts from now on.
    pub(crate) fn add(&self, pid: u32) {
        fs::write(self.path.join("cgroup.procs"), pid.to_string()).expect("the process runs");
    }

    /// A shell that goes in and then is the server.
    pub(crate) fn server(&self, arguments: &[&str]) -> std::process::Command {
        let mut shell = std::process::Command::new("sh");
        shell
            .arg("-c")
            .arg(r#"echo $$ >"$1" && shift && exec "$0" 0 0 --bind 127.0.0.1 "$@""#)
            .arg(env!("CARGO_BIN_EXE_meta-stats-server"))
            .arg(self.path.join("cgroup.procs"))
            .args(arguments);
        shell
    }

    /// Allows this many bytes.
    pub(crate) fn limit(&self, bytes: u64) {
        fs::write(self.path.join(self.limit), bytes.to_string()).expect("the limit is valid");
    }

    /// How many bytes are used.
    pub(crate) fn usage(&self) -> u64 {
        let usage = fs::read_to_string(self.path.join(self.usage)).expect("the group is there");
        usage.trim().parse().expect("a number")
    }

    /// How many processes were killed for want of memory.
    pub(crate) fn kills(&self) -> u64 {
        let events = fs::read_to_string(self.path.join(self.events)).expect("the group is there");
        let kills = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        kills
            .and_then(|kills| kills.parse().ok())
            .expect("a number")
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let deadline = std::time::Instant::now() + super::PATIENCE;
        while fs::remove_dir(&self.path).is_err() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
    }
}

//! The file that says where the server listens, for as long as it does.

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::sandbox::Exception;
use crate::sys;

/// Removed when dropped.
pub(super) struct PortFile {
    directory: OwnedFd,
    name: CString,
}

impl PortFile {
    /// Writes a file such that a reader finds all of it or the one before. Where there is something
    /// that is no file, be it a link to one, nothing is written.
    pub(super) fn write(path: &Path, text: &str) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let directory = sys::move_up(OwnedFd::from(File::open(directory)?));
        let name = CString::new(name.as_bytes())?;
        match fstatat(&directory, &*name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno.into()),
            Ok(status) => {
                let kind = SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT;
                if kind != SFlag::S_IFREG {
                    return Err(io::Error::other("there is something that is no file"));
                }
            }
        }
        replace(&directory, &name, text)?;
        // From here on it is a file of this server, which may remove it.
        Ok(PortFile { directory, name })
    }

    /// What is to be allowed to the server, so that it can remove the file.
    #[cfg(target_os = "linux")]
    pub(super) fn exception(&self) -> Option<Exception> {
        let directory = self.directory.as_raw_fd().cast_unsigned().into();
        let name = self.name.as_ptr() as u64;
        let call = nix::libc::SYS_unlinkat;
        Some(Exception::new(call, &[(0, directory), (1, name)]))
    }

    /// Nothing is denied here.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn exception(&self) -> Option<Exception> {
        None
    }
}

fn replace(directory: &OwnedFd, name: &CStr, text: &str) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let temporary = name_that_nobody_guesses();
    let mode = Mode::from_bits_truncate(0o644);
    let mut file = File::from(openat(directory, &*temporary, flags, mode)?);
    let written = file.write_all(text.as_bytes()).and_then(|()| {
        renameat(directory, &*temporary, directory, name)?;
        Ok(())
    });
    written.inspect_err(|_| {
        // The first error is the one to report.
        let _ = unlinkat(directory, &*temporary, UnlinkatFlags::NoRemoveDir);
    })
}

fn name_that_nobody_guesses() -> OsString {
    let random = RandomState::new().build_hasher().finish();
    format!(".{random:016x}").into()
}

impl Drop for PortFile {
    fn drop(&mut self) {
        // Another user, which the server may have become, may not be allowed to.
        let _ = unlinkat(&self.directory, &*self.name, UnlinkatFlags::NoRemoveDir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_replaced_removed_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ports");
        fs::write(&path, "of another server").expect("writable");
        let file = PortFile::write(&path, "text").expect("writable");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "text");
        assert_eq!(fs::read_dir(&directory).expect("a directory").count(), 1);
        drop(file);
        assert_eq!(fs::read_dir(&directory).expect("a directory").count(), 0);
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let [target, link, fifo] =
            ["target", "link", "fifo"].map(|name| directory.path().join(name));
        fs::write(&target, "precious").expect("writable");
        symlink(&target, &link).expect("writable");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("writable");
        for path in [
            &link,
            &fifo,
            directory.path(),
            &directory.path().join("none/ports"),
        ] {
            assert!(PortFile::write(path, "text").is_err(), "{}", path.display());
        }
        assert_eq!(fs::read_to_string(&target).expect("readable"), "precious");
        assert!(link.is_symlink() && fifo.exists());
        assert_eq!(fs::read_dir(&directory).expect("a directory").count(), 3);
    }
}

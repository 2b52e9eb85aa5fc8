//! Becoming another user, for good.

use std::io;

use nix::errno::Errno;
use nix::unistd::{Uid, User, getegid, geteuid, getgid, getuid, setgid, setuid};
#[cfg(not(target_vendor = "apple"))]
use nix::unistd::{getgroups, setgroups};

/// Takes the user and group of `name`, no other group, and looks whether there is a way back.
pub(super) fn become_user(name: &str) -> io::Result<()> {
    let Some(user) = User::from_name(name)? else {
        return Err(io::Error::other("there is no such user"));
    };
    if user.uid.is_root() {
        return Err(io::Error::other("that user is root"));
    }
    set_groups(&user)?;
    setgid(user.gid)?;
    setuid(user.uid)?;

    let ids_are_set =
        [getuid(), geteuid()] == [user.uid; 2] && [getgid(), getegid()] == [user.gid; 2];
    if !ids_are_set || setuid(Uid::from_raw(0)) != Err(Errno::EPERM) {
        return Err(io::Error::other("the privileges of root are still there"));
    }
    Ok(())
}

/// A process that is not privileged may still name the user that it is.
#[cfg(not(target_vendor = "apple"))]
fn set_groups(user: &User) -> io::Result<()> {
    if geteuid().is_root() {
        setgroups(&[user.gid])?;
        if getgroups()?.iter().any(|&group| group != user.gid) {
            return Err(io::Error::other("other groups are still there"));
        }
    }
    Ok(())
}

/// Apple's groups do not end with those of the process.
#[cfg(target_vendor = "apple")]
fn set_groups(_user: &User) -> io::Result<()> {
    Err(io::Error::other("groups cannot be given up on this system"))
}

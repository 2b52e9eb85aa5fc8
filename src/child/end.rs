//! How a session ends, and how its process tells that.

use std::borrow::Cow;

use nix::errno::Errno;

use crate::log::describe;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client sent `exit`.
    Exit,
    /// The client closed its side without `exit`.
    InputEnded,
    /// The connection failed.
    ConnectionLost,
    /// The client completed no line in time, and was told.
    Idle,
    /// The client left replies unread for too long.
    Unread,
    /// The session lasted as long as one may, and the client was told.
    Expired,
    /// The client sent more bad lines than it may, and was told.
    Errors,
    /// The parent was gone.
    Orphaned,
    /// The record could not be written, so the client was told nothing.
    NotRecorded,
    /// The kernel refused to confine the process.
    NotConfined,
    /// A bug.
    Panicked,
    /// The process could not be set up.
    NotStarted(Errno),
}

impl End {
    const WITHOUT_ERRNO: [End; 11] = [
        End::Exit,
        End::InputEnded,
        End::ConnectionLost,
        End::Idle,
        End::Unread,
        End::Orphaned,
        End::Expired,
        End::Errors,
        End::NotRecorded,
        End::NotConfined,
        End::Panicked,
    ];

    /// The exit status of the process; 0 for no other than [`End::Exit`].
    pub(crate) fn status(self) -> i32 {
        match self {
            End::Exit => 0,
            End::InputEnded => 10,
            End::ConnectionLost => 11,
            End::Idle => 12,
            End::Unread => 13,
            End::Orphaned => 14,
            End::Expired => 15,
            End::Errors => 16,
            End::NotRecorded => 20,
            End::NotConfined => 21,
            End::Panicked => 22,
            // Error numbers end below 140, exit statuses below 256.
            End::NotStarted(errno) => 100 + errno as i32,
        }
    }

    /// What a process with this exit status told.
    pub(crate) fn from_status(status: i32) -> Option<End> {
        let known = |end: &End| end.status() == status;
        let errno = || Some(End::NotStarted(Errno::from_raw(status - 100)));
        let found = End::WITHOUT_ERRNO.into_iter().find(known);
        found.or_else(errno).filter(known)
    }

    /// Whether this is the fault of neither the server nor its system.
    pub(crate) fn is_ordinary(self) -> bool {
        self.status() < End::NotRecorded.status()
    }

    /// What to call it in the log.
    pub(crate) fn reason(self) -> Cow<'static, str> {
        let reason = match self {
            End::Exit => "exit",
            End::InputEnded => "end of input",
            End::ConnectionLost => "connection lost",
            End::Idle => "no complete line in time",
            End::Unread => "replies left unread",
            End::Orphaned => "the server was gone",
            End::Expired => "it lasted too long",
            End::Errors => "too many bad lines",
            End::NotRecorded => "its mean could not be recorded",
            End::NotConfined => "it could not be confined",
            End::Panicked => "it panicked",
            End::NotStarted(errno) => {
                return format!("cannot set it up: {}", describe(errno)).into();
            }
        };
        reason.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_tells_how_a_session_ended() {
        let errno = [Errno::EPERM, Errno::EAGAIN, Errno::ENOMEM].map(End::NotStarted);
        for end in End::WITHOUT_ERRNO.into_iter().chain(errno) {
            assert_eq!(End::from_status(end.status()), Some(end));
            assert!(end.status() < 256);
        }
        for status in [1, 2, 19, 99, 255] {
            assert_eq!(End::from_status(status), None);
        }
    }
}

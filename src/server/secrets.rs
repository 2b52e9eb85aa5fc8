//! Secrets for the sessions, made in memory that no session gets.

use std::fs::File;
use std::io::{self, Read};

use crate::sys::{self, Bytes};

const SECRET_LEN: usize = 8;
/// Secrets that are made at a time.
const SECRETS: usize = 512;

pub(super) struct Secrets {
    source: File,
    secrets: Bytes,
    used: usize,
}

impl Secrets {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Secrets {
            source: sys::move_up(File::open("/dev/urandom")?),
            secrets: Bytes::new(SECRET_LEN * SECRETS)?,
            used: SECRETS,
        })
    }

    /// The next one.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub(super) fn next(&mut self) -> io::Result<u64> {
        if self.used == SECRETS {
            self.source.read_exact(&mut self.secrets)?;
            self.used = 0;
        }
        let (secrets, _) = self.secrets.as_chunks_mut::<SECRET_LEN>();
        let secret = u64::from_ne_bytes(secrets[self.used]);
        secrets[self.used] = [0; SECRET_LEN];
        self.used += 1;
        Ok(secret)
    }
}

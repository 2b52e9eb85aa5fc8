//! What a session leaves behind: one record of 32 octets, sent from its child through the pipe.
//!
//! The size is a power of two below `PIPE_BUF`, so that a write is atomic and a full pipe holds a
//! whole number of records. The parent takes nothing on trust: what does not decode is dropped.

use std::error::Error;
use std::fmt;

/// Octets of an encoded record.
pub const RECORD_LEN: usize = 32;

/// Names the format and its version.
const MAGIC: [u8; 4] = *b"MSR1";

/// Where the reserved octets are.
const SECRET_AT: usize = 24;

/// One session that ended by `exit` and had at least one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    /// The process that served the session.
    pub pid: u32,
    /// How many values the session received; not zero.
    pub count: u64,
    /// Their mean; finite.
    pub mean: f64,
}

/// Why 32 octets are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The first four octets are not `MSR1`.
    Magic,
    /// The count is zero.
    Count,
    /// The mean is infinite or not a number.
    Mean,
    /// The reserved octets are not zero.
    Reserved,
}

impl Record {
    /// The octets: magic, pid, count, mean, then eight that are reserved, all little endian.
    pub fn encode(&self) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.pid.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.count.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.mean.to_le_bytes());
        bytes
    }

    /// The octets with a secret in place of the reserved ones: what a session writes, so that nobody
    /// else can write it for that session.
    pub fn encode_sealed(&self, secret: u64) -> [u8; RECORD_LEN] {
        let mut bytes = self.encode();
        bytes[SECRET_AT..].copy_from_slice(&secret.to_le_bytes());
        bytes
    }

    /// Reads a record and its secret back.
    ///
    /// # Errors
    ///
    /// If the octets are not what [`encode_sealed`](Record::encode_sealed) makes of a valid record
    /// and any secret.
    pub fn decode_sealed(bytes: &[u8; RECORD_LEN]) -> Result<(Record, u64), RecordError> {
        let (words, _) = bytes.as_chunks::<8>();
        let mut unsealed = *bytes;
        unsealed[SECRET_AT..].fill(0);
        let record = Record::decode(&unsealed)?;
        Ok((record, u64::from_le_bytes(words[SECRET_AT / 8])))
    }

    /// The first position at which a record may begin, as far as these octets tell; their number if
    /// there is none.
    pub fn next_start(bytes: &[u8]) -> usize {
        let may_begin = |&at: &usize| {
            let head = &bytes[at..bytes.len().min(at + MAGIC.len())];
            MAGIC.starts_with(head)
        };
        let candidates = memchr::memchr_iter(MAGIC[0], bytes);
        candidates
            .into_iter()
            .find(may_begin)
            .unwrap_or(bytes.len())
    }

    /// Reads a record back.
    ///
    /// # Errors
    ///
    /// If the octets are not exactly what [`encode`](Record::encode) makes of a valid record.
    pub fn decode(bytes: &[u8; RECORD_LEN]) -> Result<Record, RecordError> {
        let (words, _) = bytes.as_chunks::<8>();
        let [header, count, mean, reserved] = [words[0], words[1], words[2], words[3]];
        let [m0, m1, m2, m3, pid @ ..] = header;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(RecordError::Magic);
        }
        let record = Record {
            pid: u32::from_le_bytes(pid),
            count: u64::from_le_bytes(count),
            mean: f64::from_le_bytes(mean),
        };
        if record.count == 0 {
            return Err(RecordError::Count);
        }
        if !record.mean.is_finite() {
            return Err(RecordError::Mean);
        }
        if reserved != [0; 8] {
            return Err(RecordError::Reserved);
        }
        Ok(record)
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordError::Magic => "it does not start with MSR1",
            RecordError::Count => "its count is zero",
            RecordError::Mean => "its mean is not finite",
            RecordError::Reserved => "its reserved octets are not zero",
        })
    }
}

impl Error for RecordError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RECORD: Record = Record {
        pid: 0x0403_0201,
        count: 5,
        mean: -1.5,
    };

    #[test]
    fn the_layout_is_fixed() {
        let expected =
            b"MSR1\x01\x02\x03\x04\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\xf8\xbf\0\0\0\0\0\0\0\0";
        assert_eq!(&RECORD.encode(), expected);
    }

    #[test]
    fn each_field_is_checked() {
        let damaged = |position: usize, byte: u8| {
            let mut bytes = RECORD.encode();
            bytes[position] = byte;
            Record::decode(&bytes)
        };
        assert_eq!(damaged(0, b'X'), Err(RecordError::Magic));
        assert_eq!(damaged(3, b'2'), Err(RecordError::Magic));
        assert_eq!(damaged(8, 0), Err(RecordError::Count));
        assert_eq!(damaged(31, 1), Err(RecordError::Reserved));
        for mean in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let bytes = Record { mean, ..RECORD }.encode();
            assert_eq!(Record::decode(&bytes), Err(RecordError::Mean));
        }
    }

    #[test]
    fn a_secret_takes_the_place_of_the_reserved_octets() {
        let mut bytes = RECORD.encode_sealed(0x0807_0605_0403_0201);
        assert_eq!(bytes[SECRET_AT..], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(
            Record::decode_sealed(&bytes),
            Ok((RECORD, 0x0807_0605_0403_0201))
        );
        bytes[8] = 0;
        assert_eq!(Record::decode_sealed(&bytes), Err(RecordError::Count));
    }

    #[test]
    fn a_record_may_begin_where_its_first_octets_are() {
        for (bytes, start) in [
            (&b""[..], 0),
            (b"xx", 2),
            (b"xMS", 1),
            (b"MMSR1", 1),
            (b"MSR2M", 4),
        ] {
            assert_eq!(Record::next_start(bytes), start, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn valid_records_come_back(pid: u32, count in 1u64.., mean in -f64::MAX..f64::MAX) {
            let record = Record { pid, count, mean };
            prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same_octets(tail: [u8; 28], magic: bool) {
            let mut bytes = [0; RECORD_LEN];
            bytes[4..].copy_from_slice(&tail);
            if magic {
                bytes[..4].copy_from_slice(&MAGIC);
            }
            if let Ok(record) = Record::decode(&bytes) {
                prop_assert_eq!(record.encode(), bytes);
            }
        }
    }
}

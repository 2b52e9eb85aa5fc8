//! Any 32 octets in the pipe between a session and the parent: a record, or an error, never a panic.
//!
//! Shorter input is filled up with zeros, longer input is cut.

use meta_stats_server::record::{RECORD_LEN, Record, RecordError};

/// Runs the target.
///
/// # Panics
/// If octets are decoded other than the layout says, or a record does not encode to the octets that it was decoded
/// from.
pub fn run(input: &[u8]) {
    let mut octets = [0; RECORD_LEN];
    let length = input.len().min(RECORD_LEN);
    octets[..length].copy_from_slice(&input[..length]);
    let decoded = Record::decode(&octets);
    match decoded {
        Ok(record) => {
            assert_eq!(record.encode(), octets, "{record:?}");
            assert_eq!(u64::from(record.pid), number(&octets[4..8]));
            assert_eq!(record.count, number(&octets[8..16]));
            assert_eq!(record.mean.to_bits(), number(&octets[16..24]));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    assert_eq!(decoded.err(), fault(&octets), "{octets:?}");
}

/// The first rule of the layout that the octets break.
fn fault(octets: &[u8; RECORD_LEN]) -> Option<RecordError> {
    const EXPONENT: u64 = 0x7ff << 52;
    let mean_is_finite = number(&octets[16..24]) & EXPONENT != EXPONENT;
    let rules = [
        (octets.starts_with(b"MSR1"), RecordError::Magic),
        (number(&octets[8..16]) != 0, RecordError::Count),
        (mean_is_finite, RecordError::Mean),
        (number(&octets[24..]) == 0, RecordError::Reserved),
    ];
    let broken = rules.into_iter().find(|(kept, _)| !kept);
    broken.map(|(_, error)| error)
}

/// The number that octets spell, the least significant one first.
fn number(octets: &[u8]) -> u64 {
    octets
        .iter()
        .rev()
        .fold(0, |above, &octet| above << 8 | u64::from(octet))
}

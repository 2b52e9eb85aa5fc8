//! Every level against adding one by one.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::ops::Range;

/// More than a session adds up at once.
const MANY: usize = 1500;

/// Asserts that every way to add up values comes to the same.
fn check(values: &[f64]) -> Result<(), TestCaseError> {
    let mut expected = Statistics::new();
    expected.add_slice(values);
    for level in Level::all() {
        let mut found = Statistics::new();
        for batch in values.to_vec().chunks_mut(MAX_BATCH) {
            found.add_batch(batch, level);
        }
        prop_assert_eq!(&found, &expected, "{:?}", level);
        // What is equal also has to look like it.
        let answers = |of: &Statistics| [of.sum(), of.mean(), of.stddev()].map(f64::to_bits);
        prop_assert_eq!(answers(&found), answers(&expected), "{:?}", level);
    }
    Ok(())
}

/// Patterns from here on fill one bin, and end where the next begins.
fn in_a_bin(bin: u64) -> impl Strategy<Value = f64> {
    (bin << 55..(bin + 1) << 55, any::<bool>()).prop_map(|(pattern, negative)| {
        let value = f64::from_bits(pattern);
        if negative { -value } else { value }
    })
}

/// Finite values with these exponent fields; many have significands of ones or zeros.
fn with_fields(fields: Range<u64>) -> impl Strategy<Value = f64> {
    let fraction = prop_oneof![
        4 => any::<u64>(),
        2 => Just(u64::MAX),
        1 => Just(0),
        1 => (0..53u32).prop_map(|bits| u64::MAX << bits),
        1 => (0..53u32).prop_map(|bits| 1 << bits),
    ];
    (fields, fraction, any::<bool>()).prop_map(|(field, fraction, negative)| {
        let value = f64::from_bits(field.min(2046) << 52 | fraction & ((1 << 52) - 1));
        if negative { -value } else { value }
    })
}

#[test]
fn groups_of_the_greatest_value_of_a_bin_overflow_nothing() {
    let of_bin = |bin: u64| f64::from_bits(((bin + 1) << 55) - 1);
    for greatest in (0..255).map(of_bin).chain([f64::MAX, 1.0, 0.0]) {
        for value in [greatest, -greatest] {
            assert!(check(&[value; MAX_BATCH]).is_ok());
        }
    }
}

proptest! {
    #[test]
    fn values_of_a_bin_add_up_as_they_do_one_by_one(
        values in (0u64..255).prop_flat_map(|bin| vec(in_a_bin(bin), 0..MANY)),
    ) {
        check(&values)?;
    }

    #[test]
    fn strays_and_zeros_add_up_too(
        values in (1u64..255).prop_flat_map(|bin| vec(
            prop_oneof![
                20 => in_a_bin(bin),
                1 => in_a_bin(bin - 1),
                1 => Just(0.0),
                1 => Just(-0.0),
                1 => Just(f64::from_bits(1)),
            ],
            0..MANY,
        )),
    ) {
        check(&values)?;
    }

    /// Bins with their greatest value present, and values down to where they are no longer alike.
    #[test]
    fn values_of_neighbouring_bins_add_up_too(
        values in (3u64..256).prop_flat_map(|bin| vec(
            prop_oneof![
                4 => with_fields(8 * bin..8 * bin + 8),
                4 => with_fields(8 * bin - 12..8 * bin),
                1 => with_fields(8 * bin - 24..8 * bin - 10),
                1 => Just(0.0),
            ],
            0..MANY,
        )),
    ) {
        check(&values)?;
    }

    /// Where products of FMA begin to overflow, and to lose bits.
    #[test]
    fn values_at_the_limits_of_exact_products_add_up_too(
        values in prop_oneof![540u64..570, 1500u64..1545].prop_flat_map(|field| vec(
            prop_oneof![
                8 => with_fields(field..field + 1),
                1 => with_fields(field..field + 9),
                1 => with_fields(field - 20..field),
            ],
            0..MANY,
        )),
    ) {
        check(&values)?;
    }

    #[test]
    fn a_value_that_is_much_greater_changes_nothing_for_the_others(
        mut values in (1u64..250).prop_flat_map(|bin| vec(in_a_bin(bin), 1..MANY)),
        place: Index,
        field in 0u64..2047,
    ) {
        let place = place.index(values.len());
        values[place] = f64::from_bits(field << 52);
        check(&values)?;
    }

    #[test]
    fn values_that_are_not_alike_add_up_too(
        patterns in vec(any::<u64>(), 0..MANY),
    ) {
        let values = patterns.into_iter().map(f64::from_bits);
        check(&values.filter(|value| value.is_finite()).collect::<Vec<_>>())?;
    }
}

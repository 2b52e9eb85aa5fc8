//! Every level against adding one by one.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

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

#[test]
fn a_group_of_the_greatest_integers_overflows_nothing() {
    let greatest = f64::from_bits((1 << 63) - 1 - (8 << 52));
    for value in [greatest, -greatest, f64::MAX, -f64::MAX, 1.0, 0.0, -0.0] {
        assert!(check(&[value; 3 * MANY]).is_ok());
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

    #[test]
    fn values_that_are_not_alike_add_up_too(
        patterns in vec(any::<u64>(), 0..MANY),
    ) {
        let values = patterns.into_iter().map(f64::from_bits);
        check(&values.filter(|value| value.is_finite()).collect::<Vec<_>>())?;
    }
}

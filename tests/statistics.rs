//! The exact statistics of the server against the reference model: rational arithmetic that shares no code with it.

use meta_stats_conformance::exact::Sample;
use meta_stats_conformance::model::Quantity;
use meta_stats_server::stats::Statistics;
use proptest::collection::vec;
use proptest::prelude::*;

/// Finite numbers of any bit pattern.
fn any_bits() -> impl Strategy<Value = f64> {
    any::<u64>()
        .prop_map(f64::from_bits)
        .prop_filter("finite", |value| value.is_finite())
}

/// Sets that arithmetic in double precision gets wrong.
fn sets() -> impl Strategy<Value = Vec<f64>> {
    let clustered = (any_bits(), vec(0u64..1 << 12, 0..200)).prop_map(|(center, offsets)| {
        let near = offsets
            .into_iter()
            .map(|offset| f64::from_bits(center.to_bits() ^ offset));
        near.filter(|value| value.is_finite()).collect()
    });
    let cancelling = vec(any_bits(), 0..100).prop_map(|values| {
        let negated: Vec<f64> = values.iter().rev().map(|value| -value).collect();
        [values, vec![1.0], negated].concat()
    });
    let subnormal = vec(0u64..1 << 53, 0..200)
        .prop_map(|patterns| patterns.into_iter().map(f64::from_bits).collect());
    let huge = vec(
        (0u64..1 << 54).prop_map(|below| f64::MAX.to_bits() - below),
        0..200,
    )
    .prop_map(|patterns| patterns.into_iter().map(f64::from_bits).collect());
    let decimals = vec(
        (-1_000_000i64..1_000_000).prop_map(|cents| cents as f64 / 100.0),
        0..300,
    );
    prop_oneof![
        vec(any_bits(), 0..300),
        clustered,
        cancelling,
        subnormal,
        huge,
        decimals
    ]
}

/// Bit for bit, except that an undefined quantity may be any NaN.
fn assert_same(what: &str, server: f64, model: f64) -> Result<(), TestCaseError> {
    if server.is_nan() && model.is_nan() || server.to_bits() == model.to_bits() {
        return Ok(());
    }
    Err(TestCaseError::fail(format!(
        "{what}: server {server:e}, model {model:e}"
    )))
}

fn assert_model(statistics: &Statistics, values: &[f64]) -> Result<(), TestCaseError> {
    let sample: Sample = values.iter().copied().collect();
    prop_assert_eq!(statistics.count(), sample.count());
    assert_same("sum", statistics.sum(), sample.sum().to_f64())?;
    assert_same("mean", statistics.mean(), Quantity::mean(&sample).to_f64())?;
    assert_same(
        "stddev",
        statistics.stddev(),
        Quantity::stddev(&sample).to_f64(),
    )
}

proptest! {
    #[test]
    fn every_result_is_the_correctly_rounded_exact_one(values in sets()) {
        let mut statistics = Statistics::new();
        statistics.add_slice(&values);
        assert_model(&statistics, &values)?;
    }

    #[test]
    fn a_merge_of_any_split_is_the_whole(values in sets(), split in any::<prop::sample::Index>()) {
        let (left, right) = values.split_at(if values.is_empty() { 0 } else { split.index(values.len()) });
        let [mut left, right] = [left, right].map(|part| {
            let mut statistics = Statistics::new();
            statistics.add_slice(part);
            statistics
        });
        left.merge(&right);
        assert_model(&left, &values)?;
    }
}

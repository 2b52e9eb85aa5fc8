//! What a value costs, and what an answer costs: `cargo bench --bench session`.
//!
//! Short values have two decimals, long ones 17 digits. Throughput is in values.

use std::hint::black_box;
use std::io::sink;

use divan::Bencher;
use divan::counter::ItemsCount;
use meta_stats_server::ingest::Ingest;
use meta_stats_server::protocol::Dialect;
use meta_stats_server::session::Session;
use meta_stats_server::stats::Statistics;

/// So many that no branch predictor learns them by heart.
const VALUES: usize = 100_000;
/// No line is longer.
const LIMIT: usize = 80;

fn main() {
    divan::main();
}

/// Evenly spread 64-bit patterns (splitmix64), the same in each run.
fn patterns() -> impl Iterator<Item = u64> {
    (1..=VALUES as u64).map(|step| {
        let mut state = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ state >> 31
    })
}

/// -9999.99 to 9999.99
fn short() -> Vec<f64> {
    let cents = patterns().map(|pattern| (pattern % 2_000_000) as i64 - 1_000_000);
    cents.map(|cents| cents as f64 / 100.0).collect()
}

/// As [`short`], with two decimals.
fn short_text() -> Vec<u8> {
    let lines = short().into_iter().map(|value| format!("{value:.2}\n"));
    lines.collect::<String>().into_bytes()
}

/// 17 digits, four of them before the dot.
fn long_text() -> Vec<u8> {
    let lines = patterns().map(|pattern| {
        let digits = 10u64.pow(16) + pattern % (9 * 10u64.pow(16));
        format!(
            "{}.{:013}\n",
            digits / 10u64.pow(13),
            digits % 10u64.pow(13)
        )
    });
    lines.collect::<String>().into_bytes()
}

/// What careless programs do: one addition and one multiplication in double precision.
fn naive(sums: (f64, f64), values: &[f64]) -> (f64, f64) {
    values.iter().fold(sums, |(sum, squares), value| {
        (sum + value, squares + value * value)
    })
}

/// Hands all values of a text to `take`, as a session does.
fn parse(mut ingest: Ingest, text: &[u8], mut take: impl FnMut(&[f64])) {
    let mut input = text;
    while !input.is_empty() {
        take(ingest.take(&mut input, LIMIT));
    }
}

#[divan::bench]
fn accumulate(bencher: Bencher) {
    let values = short();
    bencher.counter(ItemsCount::new(VALUES)).bench_local(|| {
        let mut statistics = Statistics::new();
        statistics.add_slice(black_box(&values));
        statistics
    });
}

#[divan::bench]
fn accumulate_naively(bencher: Bencher) {
    let values = short();
    bencher
        .counter(ItemsCount::new(VALUES))
        .bench_local(|| naive((0.0, 0.0), black_box(&values)));
}

#[divan::bench]
fn finish(bencher: Bencher) {
    let mut statistics = Statistics::new();
    statistics.add_slice(&short());
    bencher.bench_local(|| {
        let statistics = black_box(&statistics);
        (statistics.sum(), statistics.mean(), statistics.stddev())
    });
}

/// With values of every magnitude, the integers are as wide as they get.
#[divan::bench]
fn finish_widest(bencher: Bencher) {
    let mut statistics = Statistics::new();
    let values = patterns()
        .map(f64::from_bits)
        .filter(|value| value.is_finite());
    statistics.add_slice(&values.collect::<Vec<_>>());
    bencher.bench_local(|| {
        let statistics = black_box(&statistics);
        (statistics.sum(), statistics.mean(), statistics.stddev())
    });
}

/// The kinds of text that the parsing benchmarks read.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Short,
    Long,
}

impl Kind {
    fn text(self) -> Vec<u8> {
        match self {
            Kind::Short => short_text(),
            Kind::Long => long_text(),
        }
    }
}

#[divan::bench(args = [Kind::Short, Kind::Long])]
fn parse_and_accumulate(bencher: Bencher, kind: Kind) {
    let text = kind.text();
    bencher.counter(ItemsCount::new(VALUES)).bench_local(|| {
        let mut statistics = Statistics::new();
        Ingest::new().add_to(&mut statistics, &mut black_box(&text[..]), LIMIT);
        statistics
    });
}

#[divan::bench(args = [Kind::Short, Kind::Long])]
fn parse_and_accumulate_naively(bencher: Bencher, kind: Kind) {
    let text = kind.text();
    bencher.counter(ItemsCount::new(VALUES)).bench_local(|| {
        let mut sums = (0.0, 0.0);
        parse(Ingest::new(), black_box(&text), |values| {
            sums = naive(sums, values)
        });
        sums
    });
}

#[divan::bench(args = [Kind::Short, Kind::Long])]
fn parse_portably_and_accumulate(bencher: Bencher, kind: Kind) {
    let text = kind.text();
    bencher.counter(ItemsCount::new(VALUES)).bench_local(|| {
        let mut statistics = Statistics::new();
        Ingest::portable().add_to(&mut statistics, &mut black_box(&text[..]), LIMIT);
        statistics
    });
}

/// The same through a session, as bytes arrive: whatever the reads were.
#[divan::bench(args = [Kind::Short, Kind::Long])]
fn session(bencher: Bencher, kind: Kind) {
    let text = kind.text();
    bencher.counter(ItemsCount::new(VALUES)).bench_local(|| {
        let mut session = Session::new(Dialect::Plain, LIMIT);
        for block in black_box(&text).chunks(256 * 1024) {
            let _ = session.receive(block, &mut sink());
        }
        session
    });
}

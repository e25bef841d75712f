//! Requests per second of the simulator on shortened workloads, beside those of the yardstick in `reference.rs`.
//!
//! ```text
//! cargo bench --bench simulate               all of them
//! cargo bench --bench simulate -- w2         one of them
//! ```
//!
//! Criterion's `elem/s` are requests per second of wall time: read ratios from one run, absolute figures mean nothing
//! elsewhere. `ratio.rs` has the workloads in full, by CPU time.

mod reference;
mod workload;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};

/// About as many as W1 has in 20 seconds.
const REQUESTS: u64 = 320_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    simulate(&mut criterion);
    criterion.final_summary();
}

fn simulate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simulate");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));

    group.throughput(Throughput::Elements(REQUESTS));
    group.bench_function("reference", |bencher| bencher.iter(|| reference::run(black_box(REQUESTS), 1)));

    let [fleet, rate] = workload::THOUSAND;
    for (label, file, overrides) in [
        ("w1", "w1", &["scenario.duration=20s"][..]),
        ("w1b", "w1b", &["scenario.duration=20s"]),
        ("w1c", "w1c", &["scenario.duration=20s"]),
        ("w1 of 1000 instances", "w1", &["scenario.duration=1s", fleet, rate]),
        ("w2", "w2", &["scenario.duration=60s"]),
    ] {
        let plan = workload::plan(file, overrides);
        group.throughput(Throughput::Elements(workload::run(&plan).simulated));
        group.bench_function(label, |bencher| bencher.iter(|| workload::run(black_box(&plan))));
    }
    group.finish();
}

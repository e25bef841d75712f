//! What README says about speed: the workloads in full against the yardstick in `reference.rs`, by CPU time.
//!
//! ```text
//! cargo bench --bench ratio
//! ```
//!
//! Every round runs the yardstick and each workload once, one after the other, in one process, so that what slows the
//! machine slows them all. A ratio is the median over rounds of the ratios within each round. CPU time is user and system
//! time of the process; reading a scenario and building its tables is excluded, making and dropping a world is included.
//!
//! Without `--bench`, as under `cargo test --benches`, it runs one round of a hundredth of the length, to see that it works.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]

mod reference;
mod workload;

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use rayon::{ThreadPool, ThreadPoolBuilder};
use wavetank::sim::replicate::replicate;
use wavetank::sim::{Monitor, Plan};

const ROUNDS: usize = 5;

/// As many as W1 has.
const REQUESTS: u64 = 5_000_000;

/// One workload in one round.
#[derive(Clone, Copy)]
struct Measured {
    requests: u64,
    /// Requests per CPU second.
    speed: f64,
    /// The mean latency of its requests [milliseconds]: shows that the same system was simulated.
    latency: f64,
}

fn main() {
    let in_full = std::env::args().any(|argument| argument == "--bench");
    let (rounds, share) = if in_full { (ROUNDS, 1.0) } else { (1, 0.01) };
    let length = |seconds: f64| format!("scenario.duration={}ms", (seconds * 1e3 * share).ceil());
    let [fleet, rate] = workload::THOUSAND;
    let plans = [
        ("W1: least connections", workload::plan("w1", &[&length(312.5)])),
        ("W1b: power of two choices", workload::plan("w1b", &[&length(312.5)])),
        ("W1c: round robin", workload::plan("w1c", &[&length(312.5)])),
        ("W1 with 1,000 instances", workload::plan("w1", &[&length(15.625), fleet, rate])),
        ("W2: the full engine", workload::plan("w2", &[&length(625.0)])),
    ];
    let one_thread = threads(1);
    let two_threads = threads(2);

    let mut measured = vec![Vec::new(); 1 + plans.len()];
    let mut gains = Vec::new();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        measured[0].push(measure_reference((REQUESTS as f64 * share) as u64, round as u64));
        for ((_, plan), measured) in plans.iter().zip(&mut measured[1..]) {
            measured.push(measure(plan));
        }
        let w1 = &plans[0].1;
        let alone = time_two_replications(&one_thread, w1);
        gains.push(alone.as_secs_f64() / time_two_replications(&two_threads, w1).as_secs_f64());
    }

    let labels = std::iter::once("Reference: W1 in an afternoon").chain(plans.iter().map(|(label, _)| *label));
    println!(
        "{:<30} {:>10} {:>14} {:>12} {:>16}",
        "", "requests", "per CPU second", "/ reference", "mean latency [ms]"
    );
    for (label, rows) in labels.zip(&measured) {
        let speed = median(rows.iter().map(|row| row.speed));
        let ratio = ratio(rows, &measured[0]);
        let Measured { requests, latency, .. } = rows[0];
        println!("{label:<30} {requests:>10} {:>12.2} M {ratio:>12.2} {latency:>16.2}", speed / 1e6);
    }
    println!();
    println!("Time a request with 1,000 instances / with 50: {:.2}", ratio(&measured[1], &measured[4]));
    println!("Two replications of W1 on 1 thread / on 2 threads, wall time: {:.2}", median(gains));
}

fn threads(count: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(count).build().expect("threads can be started")
}

fn measure_reference(requests: u64, seed: u64) -> Measured {
    let start = ProcessTime::now();
    let latencies = reference::run(requests, seed);
    let took = start.elapsed();
    Measured { requests, speed: requests as f64 / took.as_secs_f64(), latency: latencies.mean() / 1e6 }
}

fn measure(plan: &Plan) -> Measured {
    let start = ProcessTime::now();
    let run = workload::run(plan);
    let took = start.elapsed();
    let requests = run.simulated;
    let latency = run.latency.mean().map_or(f64::NAN, |mean| mean.as_secs_f64() * 1e3);
    Measured { requests, speed: requests as f64 / took.as_secs_f64(), latency }
}

fn time_two_replications(pool: &ThreadPool, plan: &Plan) -> Duration {
    let start = Instant::now();
    let runs = pool.install(|| replicate(plan, 2, &Monitor::default())).expect("synthetic traffic cannot fail");
    let took = start.elapsed();
    assert_eq!(runs.len(), 2, "both replications ran");
    took
}

/// The median over rounds of how much faster one workload was than another in the same round.
fn ratio(rows: &[Measured], others: &[Measured]) -> f64 {
    median(rows.iter().zip(others).map(|(row, other)| row.speed / other.speed))
}

/// The median of an odd number of values.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

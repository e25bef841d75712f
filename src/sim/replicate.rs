//! Replications: independent runs with their own seeds, over threads. The answer does not depend on how many threads.

use rayon::prelude::*;

use crate::record::Run;
use crate::rng::replication_seed;
use crate::sim::{Monitor, Plan};
use crate::traffic::replay;

/// Plays replications `range` of a plan, by their number, on the current thread pool, in order: what a larger number of them would be,
/// too. (A scenario with a single replication runs with its own seed, which is none of these.)
pub fn replicate_some(
    plan: &Plan,
    range: std::ops::Range<u32>,
    monitor: &Monitor,
) -> Result<Vec<Run>, replay::Error> {
    replicate_these(plan, &range.collect::<Vec<_>>(), monitor)
}

/// Plays the replications with these numbers, as [`replicate_some`] does.
pub fn replicate_these(plan: &Plan, numbers: &[u32], monitor: &Monitor) -> Result<Vec<Run>, replay::Error> {
    let seed = plan.scenario().seed;
    numbers.par_iter().map(|&r| plan.run(replication_seed(seed, r), monitor)).collect()
}

/// Plays `n` replications of `plan` on the current thread pool, in order. A single one runs with the scenario's own seed.
pub fn replicate(plan: &Plan, n: u32, monitor: &Monitor) -> Result<Vec<Run>, replay::Error> {
    let seed = plan.scenario().seed;
    if n == 1 {
        return Ok(vec![plan.run(seed, monitor)?]);
    }
    replicate_some(plan, 0..n, monitor)
}

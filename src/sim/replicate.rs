//! Replications: independent runs with their own seeds, over threads. The answer does not depend on how many threads.

use rayon::prelude::*;

use crate::record::Run;
use crate::rng::replication_seed;
use crate::sim::{Monitor, Plan};
use crate::traffic::replay;

/// Plays `n` replications of `plan` on the current thread pool, in order. A single one runs with the scenario's own seed.
pub fn replicate(plan: &Plan, n: u32, monitor: &Monitor) -> Result<Vec<Run>, replay::Error> {
    let seed = plan.scenario().seed;
    if n == 1 {
        return Ok(vec![plan.run(seed, monitor)?]);
    }
    (0..n).into_par_iter().map(|r| plan.run(replication_seed(seed, r), monitor)).collect()
}

//! The benchmark in virtual time.

use std::sync::Arc;

use super::{BenchOf, Measured, Played, Stack, repeated};
use crate::bench::moments;
use crate::cli::exit::{Failure, OrExit};
use crate::scenario::Scenario;
use crate::sim::{Monitor, Plan};

/// What the simulator measures.
pub fn world(
    stack: &Stack,
    args: &BenchOf,
    scenario: &Scenario,
    monitor: &Arc<Monitor>,
) -> Result<Option<Played>, Failure> {
    let definition = &stack.definition;
    repeated("sim", stack, args, scenario, monitor, |part, seed| {
        let plan = Plan::new(stack.scenario(part)?).or_bad_input()?;
        let run = plan.run(seed, monitor).or_run_failed()?;
        let readings = moments::readings(definition.kind, &run, part, definition.target);
        Ok(Measured { run, readings, notes: Vec::new(), is_disturbed: false })
    })
}

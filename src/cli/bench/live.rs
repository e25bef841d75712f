//! The benchmark on this machine: real instances behind the real gateway.

use std::sync::Arc;

use super::{BenchOf, Measured, Played, Stack, joined, repeated};
use crate::bench::moments;
use crate::cli::exit::Failure;
use crate::cli::live::{Runner, Witnessed, simulated_only};
use crate::gate::disturbance::{Tolerance, against};
use crate::scenario::Scenario;
use crate::sim::Monitor;

/// What real instances measure.
pub fn world(
    stack: &Stack,
    args: &BenchOf,
    scenario: &Scenario,
    monitor: &Arc<Monitor>,
) -> Result<Option<Played>, Failure> {
    let definition = &stack.definition;
    // Of what is played: a benchmark leaves faults out in every world.
    let played = stack.scenario(&stack.parts[0])?;
    for what in simulated_only(&played, &played.live.clone().unwrap_or_default()) {
        eprintln!("note: {what} is for the simulator only: nothing of it happens live");
    }
    let runner = Runner::new(Arc::clone(monitor))?;
    repeated("live", stack, args, scenario, monitor, |part, seed| {
        let file = (stack.path.clone(), joined(&stack.overrides, part));
        let Witnessed { run, generator, machine } = runner.run(stack.scenario(part)?, file, seed)?;
        let readings = moments::readings(definition.kind, &run, part, definition.target);
        let notes = against(&generator, &machine, &Tolerance::default());
        let is_disturbed = !notes.is_empty();
        Ok(Measured { run, readings, notes, is_disturbed })
    })
}

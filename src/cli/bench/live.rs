//! The benchmark on this machine: real instances behind the real gateway.

use std::sync::Arc;

use super::{BenchOf, Measured, Stack, joined, repeated};
use crate::bench::moments;
use crate::bench::result::World;
use crate::cli::exit::{Failure, OrExit};
use crate::cli::host;
use crate::cli::live::{Played, Tell, play, simulated_only};
use crate::cli::run::Stopwatch;
use crate::cli::serve::{own_program, runtime};
use crate::gate::disturbance::{Machine, Tolerance, against};
use crate::live::callers;
use crate::live::system::Settings;
use crate::scenario::Scenario;
use crate::scenario::live::{Live, Provider};
use crate::sim::Monitor;
use crate::units::Span;

/// What real instances measure.
pub fn world(
    stack: &Stack,
    args: &BenchOf,
    scenario: &Scenario,
    monitor: &Arc<Monitor>,
) -> Result<Option<(World, Vec<String>, bool)>, Failure> {
    let definition = &stack.definition;
    for section in simulated_only(scenario).filter(|section| *section != "[[fault]]") {
        eprintln!("note: {section} is for the simulator only: nothing of it happens live");
    }
    let (program, runtime) = (own_program()?, runtime()?);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    repeated("live", stack, args, scenario, monitor, |part, seed| {
        let scenario = stack.scenario(part)?;
        callers::traffic(&scenario).or_bad_input()?;
        let live = anywhere(scenario.live.clone().unwrap_or_default());
        let instances_are_others = !matches!(live.provider, Provider::Process { .. });
        let length = Span(part.end.0);
        let settings = Settings {
            live,
            file: (stack.path.clone(), joined(&stack.overrides, part)),
            seed,
            program: program.clone(),
            record: Some(length),
            scenario,
        };
        let before = host::reference();
        let (stopwatch, look) = (Stopwatch::start(), host::look());
        let Played { run, mut generator } = runtime.block_on(play(settings, None, length, monitor, Tell::Nothing))?;
        let machine = Machine { before, during: host::since(look), instances_are_others };
        let info = stopwatch.stop(cores);
        generator.cpu = info.cpu_seconds.map(|cpu| cpu / (info.wall_seconds * cores as f64).max(1e-9));
        let readings = moments::readings(definition.kind, &run, part, definition.target);
        let notes = against(&generator, &machine, &Tolerance::default());
        let is_disturbed = !notes.is_empty();
        Ok(Measured { run, readings, notes, is_disturbed })
    })
}

/// The live world on ports that are free: nobody from outside calls, and several may be measured at once.
pub fn anywhere(mut live: Live) -> Live {
    live.listen.set_port(0);
    live.control.set_port(0);
    live
}

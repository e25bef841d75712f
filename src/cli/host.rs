//! What this machine's processors do: `/proc`, where there is one.

use std::time::Duration;

use super::run::Stopwatch;
use crate::gate::disturbance::Machine;
use crate::record::host::{Look, Shares};
use crate::units::Span;

/// How long the idle reference looks: long enough for a hundred ticks on two processors.
const REFERENCE: Duration = Duration::from_millis(500);

/// Who looks at the machine before, during and after a run of ours.
pub struct Witness {
    before: Option<Shares>,
    look: Option<Look>,
    stopwatch: Stopwatch,
    cores: usize,
}

impl Witness {
    /// Looks for half a second what others take while nothing of ours works; then the run may begin.
    pub fn call() -> Witness {
        let before = reference();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Witness { before, look: look(), stopwatch: Stopwatch::start(), cores }
    }

    /// What the machine did, and the share of its processors that this process took \[0..1\]. `instances_are_others`: some that are not ours to
    /// account for run on this machine; `prepared`: for so long it did next to nothing.
    pub fn asked(self, instances_are_others: bool, prepared: Span) -> (Machine, Option<f64>) {
        let during = self.look.and_then(|before| look()?.since(&before));
        let info = self.stopwatch.stop(self.cores);
        let cpu = info
            .cpu_seconds
            .map(|cpu| cpu / ((info.wall_seconds - prepared.as_secs_f64()).max(1e-9) * self.cores as f64));
        (Machine { before: self.before, during, instances_are_others }, cpu)
    }
}

/// A look at the processors; `None` where they do not tell.
fn look() -> Option<Look> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    Look::read(&read("/proc/stat")?, &read("/proc/self/stat")?)
}

/// What others take while nothing of ours works.
fn reference() -> Option<Shares> {
    let before = look()?;
    std::thread::park_timeout(REFERENCE);
    look()?.since(&before)
}

//! Faults of a scenario, for real: an instance that crashes is killed, one that is slow or errs is told to be so, metrics that are lost are
//! not passed on. When, whom and for how long is the [`Course`]'s, the very one that the simulator follows.
//!
//! Nobody is told of a crash: the platform, which would see its process end, is taken to be as blind as the simulator's, so that health
//! checks and failed requests are how it is noticed.
//!
//! What is absent: zones, slow boots, and whatever happens to dependencies, of which instances here have none.

use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::request::InstanceId;
use crate::live::backend::Illness;
use crate::live::fleet::Fleet;
use crate::scenario::Scenario;
use crate::scenario::faults::course::Course;
use crate::scenario::faults::{Fault, FaultKind};
use crate::units::Time;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// A fault that struck is over: its number among those.
    Ends(u32),
    /// A fault strikes: its number in the scenario.
    Starts(u32),
}

/// The faults of a run.
#[derive(Debug)]
pub struct Faults {
    course: Mutex<Course>,
}

/// Whether faults of this kind can happen live. Those to instances take the built-in backend (`is_own`), or at least processes.
pub fn can_happen(kind: &FaultKind, is_own: bool, is_process: bool) -> bool {
    match kind {
        FaultKind::Crash { .. } => is_process,
        FaultKind::Slow { .. } | FaultKind::Errors { .. } => is_own,
        FaultKind::LostMetrics => true,
        FaultKind::ZoneOutage { .. }
        | FaultKind::SlowBoot { .. }
        | FaultKind::SlowDependency { .. }
        | FaultKind::CacheLoss { .. } => false,
    }
}

impl Faults {
    /// Those of `scenario` that can happen to instances that are our own or processes; nothing has struck yet.
    pub fn new(scenario: &Scenario, is_own: bool, is_process: bool, seed: u64) -> Faults {
        let happens = |fault: &&Fault| can_happen(&fault.kind, is_own, is_process);
        let faults: Vec<Fault> = scenario.faults.iter().filter(happens).cloned().collect();
        Faults { course: Mutex::new(Course::new(&faults, seed)) }
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How ill an instance is to be.
    pub fn illness(&self, id: InstanceId) -> Illness {
        let (slowness, errors) = self.course().on(id);
        Illness {
            slowness,
            error_rate: errors.map_or(0.0, |errors| errors.rate),
            error_seconds: errors.and_then(|errors| errors.latency).map(|latency| latency.as_secs_f64()),
        }
    }

    /// Lets them happen to `fleet`, each at its time, until it is dropped.
    pub async fn run(fleet: Arc<Fleet>) {
        let starts = fleet.faults().course().first_strikes().into_iter().zip(0..);
        // The earliest is the greatest of those turned round.
        let mut agenda: BinaryHeap<std::cmp::Reverse<(Time, Next)>> =
            starts.map(|(at, i)| std::cmp::Reverse((at, Next::Starts(i)))).collect();
        while let Some(std::cmp::Reverse((at, next))) = agenda.pop() {
            tokio::time::sleep_until(fleet.driver().clock().instant(at)).await;
            match next {
                Next::Starts(i) => {
                    let (ends, again) = fleet.faults().strike(&fleet, i).await;
                    agenda.extend(ends.map(|(until, struck)| std::cmp::Reverse((until, Next::Ends(struck)))));
                    agenda.extend(again.map(|at| std::cmp::Reverse((at, Next::Starts(i)))));
                }
                Next::Ends(struck) => {
                    let now = fleet.driver().clock().now();
                    let event = fleet.faults().course().ends(now, struck);
                    fleet.driver().happened(event);
                    fleet.faults().apply(&fleet).await;
                }
            }
        }
    }

    async fn strike(&self, fleet: &Fleet, i: u32) -> (Option<(Time, u32)>, Option<Time>) {
        let kind = self.course().kind(i).clone();
        let now = fleet.driver().clock().now();
        let victims = fleet.driver().with(|_, core| kind.victims(core.roster.serving()));
        let strike = self.course().strikes(now, i, &victims, &[]);
        fleet.driver().happened(strike.event);
        match strike.kind {
            FaultKind::Crash { .. } => {
                for id in victims {
                    fleet.crash(id).await;
                }
            }
            _ => self.apply(fleet).await,
        }
        (strike.ends, strike.again)
    }

    /// Makes everybody as ill as they are to be.
    async fn apply(&self, fleet: &Fleet) {
        let lost = self.course().metrics_lost();
        let serving: Vec<InstanceId> = fleet.driver().with(|_, core| {
            core.metrics_lost = lost;
            core.roster.serving().collect()
        });
        for id in serving {
            fleet.falls_ill(id, self.illness(id)).await;
        }
    }
}

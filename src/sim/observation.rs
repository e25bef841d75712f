//! What can be seen of the fleet: by the metrics pipeline at a scrape, by the recorder at the end of a step.

use crate::engine::observation::{FleetObservation, InstanceSample};
use crate::engine::request::InstanceId;
use crate::record::recorder::FleetSample;
use crate::scenario::service::Discipline;
use crate::sim::World;
use crate::sim::hold;
use crate::sim::instance::{Areas, Life};
use crate::units::Time;

/// Integrals as they were at the last look, by instance.
#[derive(Debug, Default)]
struct Look {
    at: Time,
    areas: Vec<Areas>,
    /// Those that were not gone for good then, in the order of launch; a fleet that comes and goes leaves thousands behind.
    present: Vec<usize>,
    /// How many there had ever been then.
    known: usize,
    /// Of requests that wait at the gateway.
    held: u128,
}

/// Two lookers: the metrics pipeline and the recorder.
#[derive(Debug, Default)]
pub struct Observer {
    scrape: Look,
    step: Look,
}

/// Means over the time since the last look of an instance.
struct Means {
    cpu: f64,
    active: f64,
    queued: f64,
}

impl World<'_> {
    /// A scrape: every instance that takes traffic, as it was on average since the last one.
    pub(super) fn observe(&mut self) -> FleetObservation {
        let since = std::mem::replace(&mut self.observer.scrape.at, self.now);
        let mut areas = std::mem::take(&mut self.observer.scrape.areas);
        let lost = self.faults.metrics_lost();
        let present = self.present(|world, i| world.instances[i].life != Life::Gone, |o| &mut o.scrape);
        let mut instances = Vec::with_capacity(present.len());
        for &i in &present {
            let means = self.means(i, since, &mut areas);
            if self.instances[i].life == Life::Serving
                && let Some(means) = means
            {
                let id = InstanceId(i as u32);
                instances.push(InstanceSample {
                    id,
                    cpu_percent: means.cpu * 100.0,
                    memory_percent: self.plan.memory_use(means.active).map(|used| used * 100.0),
                    active: means.active,
                    queued: means.queued,
                    event_loop_lag_ms: self.expected_wait(id) * 1e3,
                });
            }
        }
        self.observer.scrape.areas = areas;
        self.observer.scrape.present = present;
        let held = self.holding.area(self.now);
        let grown = held - std::mem::replace(&mut self.observer.scrape.held, held);
        FleetObservation { instances, lost, held: hold::mean(grown, self.now.since(since)) }
    }

    /// The end of a step: the fleet as a whole, on average since the last one.
    pub(super) fn sample_fleet(&mut self) -> FleetSample {
        let since = std::mem::replace(&mut self.observer.step.at, self.now);
        let mut areas = std::mem::take(&mut self.observer.step.areas);
        let length = self.now.since(since).0 as f64;
        let held = self.holding.area(self.now);
        let held = hold::mean(held - std::mem::replace(&mut self.observer.step.held, held), self.now.since(since));
        let forecast = self.engine.forecast();
        let mut sample = FleetSample {
            desired: self.engine.desired(),
            memory: f64::NAN,
            baseline_rps: self.engine.baseline_rps().unwrap_or(f64::NAN),
            forecast_rps: self.engine.forecast_rps().unwrap_or(f64::NAN),
            forecast_band: forecast.map(|prediction| (prediction.low, prediction.high)),
            breakers_open: self.engine.breakers_open(),
            queued: held,
            ..FleetSample::default()
        };
        let (mut cpu, mut memory) = (0.0, 0.0);
        let lately = |world: &World<'_>, i: usize| world.instances[i].gone_at.is_none_or(|at| at >= since);
        let present = self.present(lately, |o| &mut o.step);
        for &i in &present {
            let instance = &self.instances[i];
            let until = instance.gone_at.unwrap_or(self.now);
            let share = |from: Time, until: Time| {
                if length > 0.0 { until.since(from.max(since)).0 as f64 / length } else { 0.0 }
            };
            // Whoever stopped taking traffic within the step took it for a part of the step.
            let ready = instance.ready_at.map_or(0.0, |at| share(at, instance.left_at.unwrap_or(until)));
            sample.total += share(instance.launched_at, until);
            sample.ready += ready;
            if let Some(means) = self.means(i, since, &mut areas) {
                sample.queued += means.queued;
                sample.active += means.active;
                cpu += means.cpu * ready;
                memory += self.plan.memory_use(means.active).unwrap_or(f64::NAN) * ready;
            }
        }
        self.observer.step.areas = areas;
        self.observer.step.present = present;
        sample.cpu = cpu / sample.ready;
        sample.memory = memory / sample.ready;
        sample
    }

    /// The instances that `counts`, of those that were there at the last look and those launched since. The list is to be
    /// given back.
    fn present(
        &mut self,
        counts: impl Fn(&World<'_>, usize) -> bool,
        look: impl Fn(&mut Observer) -> &mut Look,
    ) -> Vec<usize> {
        let launched = self.instances.len();
        let look = look(&mut self.observer);
        let mut present = std::mem::take(&mut look.present);
        present.extend(look.known..launched);
        look.known = launched;
        present.retain(|&i| counts(self, i));
        present
    }

    /// Means of instance `i` since the last look at it; `None` if no time has passed.
    fn means(&mut self, i: usize, since: Time, areas: &mut Vec<Areas>) -> Option<Means> {
        if areas.len() < self.instances.len() {
            areas.resize(self.instances.len(), Areas::default());
        }
        let instance = &mut self.instances[i];
        if instance.life != Life::Gone {
            instance.touch(self.now);
        }
        let delta = instance.areas.since(&areas[i]);
        areas[i] = instance.areas;
        let from = since.max(instance.ready_at?);
        let length = self.now.since(from).0 as f64;
        if length == 0.0 {
            return None;
        }
        let service = &self.plan.scenario().service;
        let cores = match service.discipline {
            Discipline::Fcfs => delta.serving as f64 * service.cpu_share,
            Discipline::ProcessorSharing => delta.shared_cpu,
        };
        Some(Means {
            cpu: cores / (length * service.cores),
            active: delta.inside() as f64 / length,
            queued: delta.queued as f64 / length,
        })
    }
}

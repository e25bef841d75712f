//! Faults: what strikes when, and what it does to whom.

use crate::engine::events::{Event, EventKind};
use crate::engine::request::InstanceId;
use crate::rng::{Dice, Stream};
use crate::scenario::dependency::Dependency;
use crate::scenario::faults::{Fault, FaultKind, When};
use crate::sim::World;
use crate::sim::agenda::Entry;
use crate::sim::instance::{ErrorFault, Life};
use crate::units::{Span, Time};

/// A fault that is at work.
#[derive(Debug)]
struct Active {
    fault: u32,
    /// Whom it affects; empty: nobody, or everybody, as its kind has it.
    victims: Vec<InstanceId>,
    over: bool,
}

/// All faults of a scenario.
#[derive(Debug)]
pub struct Faults {
    faults: Vec<Fault>,
    struck: Vec<Active>,
    /// How often each has struck.
    occurrences: Vec<u64>,
    dice: Dice,
}

impl Faults {
    /// Nothing has struck yet.
    pub fn new(faults: &[Fault], seed: u64) -> Faults {
        Faults {
            faults: faults.to_vec(),
            struck: Vec::new(),
            occurrences: vec![0; faults.len()],
            dice: Dice::new(seed, Stream::Fault),
        }
    }

    fn active(&self) -> impl Iterator<Item = (&Active, &FaultKind)> {
        self.struck.iter().filter(|active| !active.over).map(|a| (a, &self.faults[a.fault as usize].kind))
    }

    /// Factor on provisioning delays.
    pub fn boot_factor(&self) -> f64 {
        self.active().map(|(_, kind)| if let FaultKind::SlowBoot { factor } = kind { *factor } else { 1.0 }).product()
    }

    /// Whether a zone is out.
    pub fn is_out(&self, zone: u32) -> bool {
        self.active().any(|(_, kind)| matches!(kind, FaultKind::ZoneOutage { zone: out } if *out == zone))
    }

    /// Whether metrics are lost.
    pub fn metrics_lost(&self) -> bool {
        self.active().any(|(_, kind)| matches!(kind, FaultKind::LostMetrics))
    }

    /// Factor on the time of calls to dependency `i`.
    fn on_dependency(&self, i: usize) -> f64 {
        let factor = |kind: &FaultKind| match *kind {
            FaultKind::SlowDependency { dependency, factor } if dependency == i => factor,
            _ => 1.0,
        };
        self.active().map(|(_, kind)| factor(kind)).product()
    }

    /// Slowness and errors of an instance.
    pub fn on(&self, id: InstanceId) -> (f64, Option<ErrorFault>) {
        let (mut slowness, mut errors) = (1.0, None);
        for (active, kind) in self.active() {
            match kind {
                FaultKind::Slow { factor, .. } if active.victims.contains(&id) => slowness *= factor,
                FaultKind::Errors { instances, rate, latency }
                    if instances.is_none() || active.victims.contains(&id) =>
                {
                    errors = Some(ErrorFault { rate: *rate, latency: *latency });
                }
                _ => {}
            }
        }
        (slowness, errors)
    }

    /// When fault `i` strikes next, counted from `from`.
    fn next_strike(&self, i: usize, from: Time) -> Time {
        match self.faults[i].when {
            When::At(at) => at,
            When::Every(mean) => {
                let u = self.dice.sub(i as u64, self.occurrences[i]).unit();
                from.saturating_add(Span::from_secs_f64(-libm::log(u) * mean.as_secs_f64()))
            }
        }
    }
}

impl World<'_> {
    /// Puts the first strike of every fault on the agenda.
    pub(super) fn schedule_faults(&mut self) {
        for i in 0..self.faults.faults.len() {
            self.agenda.push(self.faults.next_strike(i, Time::ZERO), Entry::FaultStarts(i as u32));
        }
    }

    pub(super) fn fault_starts(&mut self, i: u32) {
        let index = i as usize;
        self.faults.occurrences[index] += 1;
        let fault = self.faults.faults[index].clone();
        let victims = self.victims_of(&fault.kind);
        let until = fault.duration.map(|duration| self.now.saturating_add(duration));
        let kind = EventKind::FaultStarted { fault: fault.kind.name().to_string(), until };
        self.events.push(Event {
            at: self.now,
            kind,
            cause: in_words(&fault.kind, &victims, &self.plan.scenario().dependencies),
        });
        self.faults.struck.push(Active { fault: i, victims: victims.clone(), over: false });
        if let Some(until) = until {
            self.agenda.push(until, Entry::FaultEnds(self.faults.struck.len() as u32 - 1));
        }
        if let When::Every(_) = fault.when {
            let from = until.unwrap_or(self.now);
            self.agenda.push(self.faults.next_strike(index, from), Entry::FaultStarts(i));
        }
        match fault.kind {
            FaultKind::Crash { .. } | FaultKind::ZoneOutage { .. } => {
                victims.into_iter().for_each(|id| self.crash(id));
            }
            FaultKind::Slow { .. } | FaultKind::Errors { .. } => self.apply_faults(),
            FaultKind::SlowDependency { .. } => self.slow_dependencies(),
            FaultKind::CacheLoss { dependency, share } => self.pools[dependency].lose_cache(share),
            FaultKind::SlowBoot { .. } | FaultKind::LostMetrics => {}
        }
    }

    pub(super) fn fault_ends(&mut self, struck: u32) {
        let active = &mut self.faults.struck[struck as usize];
        active.over = true;
        let fault = self.faults.faults[active.fault as usize].kind.name().to_string();
        self.events.push(Event {
            at: self.now,
            kind: EventKind::FaultEnded { fault },
            cause: "its time was over".to_string(),
        });
        self.apply_faults();
        self.slow_dependencies();
    }

    fn slow_dependencies(&mut self) {
        for i in 0..self.pools.len() {
            self.pools[i].slowness = self.faults.on_dependency(i);
        }
    }

    fn apply_faults(&mut self) {
        for i in 0..self.instances.len() {
            let (slowness, fault) = self.faults.on(InstanceId(i as u32));
            self.instances[i].slowness = slowness;
            self.instances[i].fault = fault;
        }
    }

    /// Whom a fault strikes: the oldest that serve, or everybody in its zone.
    fn victims_of(&self, kind: &FaultKind) -> Vec<InstanceId> {
        let ids = || (0..self.instances.len() as u32).map(InstanceId);
        let serving = |id: &InstanceId| self.instances[id.0 as usize].life == Life::Serving;
        match *kind {
            FaultKind::Crash { instances } | FaultKind::Slow { instances, .. } => {
                ids().filter(serving).take(instances as usize).collect()
            }
            FaultKind::Errors { instances, .. } => {
                ids().filter(serving).take(instances.map_or(0, |n| n as usize)).collect()
            }
            FaultKind::ZoneOutage { zone } => ids().filter(|&id| self.plan.zone(id) == zone).collect(),
            FaultKind::SlowBoot { .. }
            | FaultKind::LostMetrics
            | FaultKind::SlowDependency { .. }
            | FaultKind::CacheLoss { .. } => Vec::new(),
        }
    }
}

fn in_words(kind: &FaultKind, victims: &[InstanceId], dependencies: &[Dependency]) -> String {
    let who = match victims {
        [] => "all instances".to_string(),
        [one] => format!("instance {}", one.0),
        many => format!("instances {}", many.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(", ")),
    };
    match kind {
        FaultKind::Crash { .. } if victims.is_empty() => "there was nobody to crash".to_string(),
        FaultKind::Crash { .. } => format!("{who} crashed"),
        FaultKind::Slow { factor, .. } => format!("{who} {factor} times slower"),
        FaultKind::Errors { rate, .. } => format!("{who} answer with errors, {:.0}% of requests", rate * 100.0),
        FaultKind::ZoneOutage { zone } => format!("zone {zone} is out: {who}"),
        FaultKind::SlowBoot { factor } => format!("instances take {factor} times longer to boot"),
        FaultKind::LostMetrics => "no metric reaches the autoscaler".to_string(),
        FaultKind::SlowDependency { dependency, factor } => {
            format!("calls to {} take {factor} times longer", dependencies[*dependency].name)
        }
        FaultKind::CacheLoss { dependency, share } => {
            format!("the cache of {} has lost {:.0}% of its entries", dependencies[*dependency].name, share * 100.0)
        }
    }
}

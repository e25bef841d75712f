//! Faults: what those of a [`Course`](crate::scenario::faults::course::Course) do in virtual time.

use crate::engine::request::InstanceId;
use crate::scenario::faults::FaultKind;
use crate::sim::World;
use crate::sim::agenda::Entry;
use crate::sim::instance::Life;

impl World<'_> {
    /// Puts the first strike of every fault on the agenda.
    pub(super) fn schedule_faults(&mut self) {
        for (i, at) in self.faults.first_strikes().into_iter().enumerate() {
            self.agenda.push(at, Entry::FaultStarts(i as u32));
        }
    }

    pub(super) fn fault_starts(&mut self, i: u32) {
        let victims = self.victims_of(self.faults.kind(i));
        let strike = self.faults.strikes(self.now, i, &victims, &self.plan.scenario().dependencies);
        self.events.push(strike.event);
        if let Some((until, struck)) = strike.ends {
            self.agenda.push(until, Entry::FaultEnds(struck));
        }
        if let Some(again) = strike.again {
            self.agenda.push(again, Entry::FaultStarts(i));
        }
        match strike.kind {
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
        let event = self.faults.ends(self.now, struck);
        self.events.push(event);
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
        match *kind {
            FaultKind::ZoneOutage { zone } => ids().filter(|&id| self.plan.zone(id) == zone).collect(),
            _ => kind.victims(ids().filter(|id| self.instances[id.0 as usize].life == Life::Serving)),
        }
    }
}

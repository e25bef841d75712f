//! Probes of the balancer: there, and back with what the instance knows of itself.
//!
//! A probe takes half the round trip there, is answered at once from the instance's own gauge, and takes the other half back. An
//! instance that is dead answers nothing. The work that an answer costs an instance is not modelled.
//!
//! Reports travel with answers, and say how the instance is when they arrive.

use std::collections::VecDeque;

use crate::engine::balancer::prequal::{self, Answer, Gauge};
use crate::engine::balancer::reports::Report;
use crate::engine::balancer::{Config, Strategy};
use crate::engine::request::InstanceId;
use crate::sim::World;
use crate::sim::calendar::Kind;
use crate::units::Span;

/// Everything about probes.
#[derive(Debug)]
pub(super) struct Probing {
    config: prequal::Config,
    one_way: Span,
    /// By instance id.
    gauges: Vec<Gauge>,
    /// Answers on their way, the oldest first: all take equally long.
    under_way: VecDeque<(InstanceId, Answer)>,
}

impl Probing {
    /// What is needed to answer probes; `None` if nobody probes.
    pub(super) fn new(config: &Config) -> Option<Probing> {
        let probes = config.strategy == Strategy::Prequal;
        let config = config.prequal;
        let one_way = config.round_trip / 2;
        probes.then(|| Probing { config, one_way, gauges: Vec::new(), under_way: VecDeque::new() })
    }

    fn gauge(&mut self, id: InstanceId) -> &mut Gauge {
        let place = id.0 as usize;
        if place >= self.gauges.len() {
            self.gauges.resize(place + 1, Gauge::new(&self.config));
        }
        &mut self.gauges[place]
    }
}

impl World<'_> {
    /// Sends out what the balancer wants to know.
    pub(super) fn send_probes(&mut self) {
        let Some(probing) = &self.probing else { return };
        let arrives = self.now + probing.one_way;
        while let Some(id) = self.engine.next_probe() {
            self.calendar.push(arrives, Kind::ProbeArrives, id.0);
        }
    }

    /// The request in `slot` ends at its instance.
    #[cold]
    #[inline(never)]
    pub(super) fn gauge(&mut self, slot: u32, failed: bool) {
        let Some(probing) = &mut self.probing else { return };
        let attempt = &self.slab[slot];
        let instance = &self.instances[attempt.instance.0 as usize];
        let arrived = attempt.sent_at + self.plan.one_way(attempt.region);
        let rif = instance.busy() + instance.queued;
        probing.gauge(attempt.instance).ended(self.now, rif, self.now.since(arrived), failed);
    }

    /// The answer in `slot` arrives, with what its instance tells of itself.
    pub(super) fn report_load(&mut self, slot: u32) {
        if !self.engine.takes_reports() {
            return;
        }
        let attempt = &self.slab[slot];
        let instance = &self.instances[attempt.instance.0 as usize];
        let workers = self.plan.scenario().service.workers.max(1);
        let report = Report {
            queue: instance.queued,
            service: attempt.service,
            utilization: f64::from(instance.busy()) / f64::from(workers),
        };
        self.engine.reported(self.now, attempt.instance, &report);
    }

    pub(super) fn probe_arrives(&mut self, id: InstanceId) {
        let Some(probing) = &mut self.probing else { return };
        let instance = &self.instances[id.0 as usize];
        if instance.is_alive() {
            let answer = probing.gauge(id).answer(self.now, instance.busy() + instance.queued);
            probing.under_way.push_back((id, answer));
            self.calendar.push(self.now + probing.one_way, Kind::ProbeAnswered, 0);
        }
    }

    pub(super) fn probe_answered(&mut self) {
        let Some(probing) = &mut self.probing else { return };
        if let Some((id, answer)) = probing.under_way.pop_front() {
            self.engine.probed(self.now, id, answer);
        }
    }
}

//! A service without requests: load is a smooth flow, and the real autoscaler follows it.
//!
//! Between two moments at which something can change (a scrape, an evaluation, the end of a boot) load, capacity and queue are
//! taken as they are: `served = min(load, capacity)`, the rest queues. Nothing is random, so an hour takes microseconds, and what
//! the autoscaler does is due to its settings alone. Warm-up slowness, faults and the waiting that randomness causes are absent.

use crate::engine::autoscaler::{Autoscaler, Config, Decision, Guards};
use crate::engine::metrics::{FleetCounts, InstanceSize, InstanceView, Observed, Stage};
use crate::engine::observation::{FleetObservation, InstanceSample, Scraper};
use crate::engine::request::InstanceId;
use crate::scenario::Scenario;
use crate::scenario::fleet::Memory;
use crate::scenario::service::Discipline;
use crate::units::{Span, Time};

/// What one instance can do, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// Requests per second that it serves at most \[1/s\].
    pub capacity_rps: f64,
    /// Its CPU utilization then \[%\].
    pub cpu_percent: f64,
    /// Requests it serves at once then.
    pub servers: f64,
    /// Requests that may wait in it; `None`: unbounded.
    pub queue: Option<u32>,
    /// Time of a request \[s\].
    pub demand: f64,
    /// From the launch command until it takes traffic.
    pub boot: Span,
    /// How long a client waits; `None`: for ever.
    pub patience: Option<Span>,
    /// Its memory, if that is modelled.
    pub memory: Option<Memory>,
    /// What it has.
    pub size: InstanceSize,
}

impl Facts {
    /// The means of what a scenario says.
    pub fn of(scenario: &Scenario) -> Facts {
        let service = &scenario.service;
        let calls = scenario.dependencies.iter().map(|d| d.calls_per_request * d.time.mean().as_secs_f64());
        let own = service.mean_demand();
        let demand = own + calls.sum::<f64>();
        // A worker is held through the calls of its request.
        let servers = match service.discipline {
            Discipline::Fcfs => f64::from(service.workers),
            Discipline::ProcessorSharing => f64::from(service.servers()) * demand / own,
        };
        let capacity_rps = (servers / demand).min(service.capacity_rps());
        let cpu = capacity_rps * own * service.cpu_share / service.cores;
        Facts {
            capacity_rps,
            cpu_percent: cpu * 100.0,
            servers,
            queue: service.queue,
            demand,
            boot: scenario.fleet.boot.mean(),
            patience: scenario.clients.timeout,
            size: scenario.instance_size(),
            memory: scenario.fleet.memory,
        }
    }
}

/// An instance.
#[derive(Clone, Copy, Debug)]
struct Instance {
    id: InstanceId,
    launched_at: Option<Time>,
    ready_at: Time,
}

/// The service, its load and its autoscaler.
#[derive(Clone, Debug)]
pub struct Fluid {
    facts: Facts,
    autoscaler: Autoscaler,
    scraper: Scraper,
    now: Time,
    instances: Vec<Instance>,
    next_id: u32,
    /// Requests that wait.
    queue: f64,
    /// Integrals since the last scrape: of utilization and queue over time, of requests offered and dropped.
    utilized: f64,
    queued: f64,
    offered: f64,
    dropped: f64,
    since: Time,
    overload: f64,
    poked_at: Option<Time>,
}

/// A change of the fleet's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Time,
    /// Instances before.
    pub from: u32,
    /// Instances after.
    pub to: u32,
}

impl Fluid {
    /// `instances` that are ready, and no load yet.
    pub fn new(config: &Config, facts: Facts, instances: u32) -> Fluid {
        let ready = |i| Instance { id: InstanceId(i), launched_at: None, ready_at: Time::ZERO };
        Fluid {
            facts,
            autoscaler: Autoscaler::new(config.clone()),
            scraper: Scraper::new(config),
            now: Time::ZERO,
            instances: (0..instances).map(ready).collect(),
            next_id: instances,
            queue: 0.0,
            utilized: 0.0,
            queued: 0.0,
            offered: 0.0,
            dropped: 0.0,
            since: Time::ZERO,
            overload: 0.0,
            poked_at: None,
        }
    }

    /// Load over capacity just before now.
    pub fn overload(&self) -> f64 {
        self.overload
    }

    /// Now.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Instances there are, ready or not.
    pub fn existing(&self) -> u32 {
        self.instances.len() as u32
    }

    /// Requests per second that those which are ready can serve.
    pub fn capacity_rps(&self) -> f64 {
        f64::from(self.ready()) * self.facts.capacity_rps
    }

    fn ready(&self) -> u32 {
        self.instances.iter().filter(|instance| instance.ready_at <= self.now).count() as u32
    }

    /// Lets time pass up to `until` under `load` \[1/s\], and shows every moment at which something could change, with the change
    /// if there was one, to `watch`; its `false` ends it.
    pub fn run(
        &mut self,
        until: Time,
        load: impl Fn(Time) -> f64,
        mut watch: impl FnMut(&Fluid, Option<Change>) -> bool,
    ) {
        while self.now < until {
            // The first request that waits where nobody is makes some autoscalers look at once; once is enough.
            if self.existing() == 0 && self.queue >= 1.0 && self.poked_at != Some(self.now) {
                self.poked_at = Some(self.now);
                self.autoscaler.poke(self.now);
            }
            let boots = self.instances.iter().map(|instance| instance.ready_at).filter(|at| *at > self.now);
            let due = self.scraper.next_wake().min(self.autoscaler.next_wake());
            let next = boots.fold(due.min(until), Time::min).max(self.now);
            self.flow(next, load(Time(self.now.0.midpoint(next.0))));
            // With those that were there, not with those that are ready just now.
            self.overload = load(next) / self.capacity_rps();
            let booted = self.instances.iter().any(|instance| instance.ready_at == next && next > self.now);
            self.now = next;
            if booted {
                self.autoscaler.ready(next);
            }
            if self.scraper.next_wake() <= next {
                self.scrape();
            }
            let change = if self.autoscaler.next_wake() <= next { self.evaluate() } else { None };
            if !watch(self, change) {
                return;
            }
        }
    }

    /// Load flows until `next`.
    fn flow(&mut self, next: Time, load: f64) {
        let seconds = next.since(self.now).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let capacity = self.capacity_rps();
        let served = (load + self.queue / seconds).min(capacity);
        let waiting = (self.queue + (load - served) * seconds).max(0.0);
        let room = self.facts.queue.map_or(f64::INFINITY, |queue| f64::from(queue) * f64::from(self.ready()));
        let patient = self.facts.patience.map_or(f64::INFINITY, |p| p.as_secs_f64() * load.max(capacity));
        // Without any instance the gateway holds what comes, as long as clients are patient.
        let room = if self.ready() == 0 { patient } else { room.min(patient) };
        self.dropped += (waiting - room).max(0.0);
        self.queue = waiting.min(room);
        self.offered += load * seconds;
        self.queued += self.queue * seconds;
        self.utilized += if capacity > 0.0 { served / capacity * seconds } else { 0.0 };
    }

    fn scrape(&mut self) {
        let seconds = self.now.since(self.since).as_secs_f64().max(1e-9);
        let (utilization, queue) = (self.utilized / seconds, self.queued / seconds);
        let ready = self.ready();
        let queued = if ready > 0 { queue / f64::from(ready) } else { 0.0 };
        let active = self.facts.servers * utilization + queued;
        let sample = |instance: &Instance| InstanceSample {
            id: instance.id,
            cpu_percent: utilization * self.facts.cpu_percent,
            memory_percent: self.facts.memory.map(|m| (m.base + m.per_request * active) / m.limit * 100.0),
            active,
            queued,
            event_loop_lag_ms: queued / self.facts.servers * self.facts.demand * 1e3,
        };
        let observation = FleetObservation {
            instances: self.instances.iter().filter(|i| i.ready_at <= self.now).map(sample).collect(),
            lost: false,
            held: if ready == 0 { queue } else { 0.0 },
        };
        self.answers(queue, ready);
        self.scraper.scraped(self.now, &observation);
        self.since = self.now;
        (self.utilized, self.queued, self.offered, self.dropped) = (0.0, 0.0, self.offered.fract(), 0.0);
    }

    /// Tells the scraper of requests: the rate is exact, of latencies and failures a hundred stand for all.
    fn answers(&mut self, queue: f64, ready: u32) {
        self.scraper.offered_many(self.offered as u64);
        let capacity = f64::from(ready) * self.facts.capacity_rps;
        if self.offered < 1.0 || capacity == 0.0 {
            return;
        }
        let latency = Span::from_secs_f64(self.facts.demand + queue / capacity);
        let failures = (self.dropped / self.offered * 100.0).round() as u32;
        for i in 0..100 {
            self.scraper.ended(latency, i < failures);
        }
    }

    fn evaluate(&mut self) -> Option<Change> {
        let (existing, ready) = (self.existing(), self.ready());
        let fleet = FleetCounts { existing, pending: existing - ready, ready };
        let mut observed = self.scraper.observed(self.now, fleet);
        observed.size = self.facts.size;
        if self.scraper.wants_instances() {
            observed.instances = self.views();
        }
        if ready == 0 {
            observed.held = self.queue.ceil() as u32;
        }
        let Decision { from, to, .. } = self.decide(&observed);
        for _ in from..to {
            let id = InstanceId(self.next_id);
            self.next_id += 1;
            let ready_at = self.now + self.facts.boot;
            self.instances.push(Instance { id, launched_at: Some(self.now), ready_at });
        }
        // The newest go first, and these are the ones that boot.
        self.instances.truncate(self.instances.len() - (from.saturating_sub(to)) as usize);
        (from != to).then_some(Change { at: self.now, from, to })
    }

    fn decide(&mut self, observed: &Observed) -> Decision {
        self.autoscaler.tick(self.now, observed, &Guards::default())
    }

    fn views(&self) -> Vec<InstanceView> {
        let mut measured = self.scraper.of_instances(self.now);
        let view = |instance: &Instance| {
            let is_ready = instance.ready_at <= self.now;
            let (values, sampled_at) = measured.remove(&instance.id).unwrap_or((Vec::new(), self.now));
            InstanceView {
                id: instance.id,
                stage: if is_ready { Stage::Ready } else { Stage::Provisioning },
                launched_at: instance.launched_at,
                changed_at: instance.launched_at.filter(|_| is_ready).map(|_| instance.ready_at),
                values,
                sampled_at,
                window: self.scraper.window_length(),
            }
        };
        self.instances.iter().map(view).collect()
    }
}

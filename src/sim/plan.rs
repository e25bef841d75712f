//! A plan: a scenario made ready to run, with its tables built and its dataset opened. Shared by all replications.

use std::sync::atomic::Ordering;

use crate::distribution::Sampler;
use crate::engine::balancer::Strategy;
use crate::engine::limiter::Key;
use crate::engine::request::InstanceId;
use crate::engine::{self, Engine};
use crate::record::recorder::Settings;
use crate::record::run::Ended;
use crate::record::{Recorder, Run};
use crate::rng::{Dice, Stream};
use crate::scenario::service::Endpoint;
use crate::scenario::{Scenario, Traffic};
use crate::sim::agenda::Agenda;
use crate::sim::attempt::Slab;
use crate::sim::calendar::Calendar;
use crate::sim::client::{Patience, RetryPolicy};
use crate::sim::dependency::{Pool, Waits};
use crate::sim::fault::Faults;
use crate::sim::hold::Holding;
use crate::sim::intake::Intake;
use crate::sim::observation::Observer;
use crate::sim::overload::Pressure;
use crate::sim::probe::Probing;
use crate::sim::{Monitor, World};
use crate::traffic::replay::{self, Dataset};
use crate::traffic::{Arrivals, EndpointMix, Population};
use crate::units::{Span, Time};

/// A scenario made ready to run.
#[derive(Debug)]
pub struct Plan {
    scenario: Scenario,
    duration: Span,
    dataset: Option<Dataset>,
    population: Population,
    endpoints: Vec<Endpoint>,
    /// Where the paths of a log are in `endpoints`.
    recorded: Vec<u16>,
    attack_endpoints: Vec<Option<u16>>,
    one_way: Vec<Span>,
    boot: Sampler,
    think: Option<Sampler>,
    spotlight: Vec<(Time, Time)>,
}

impl Plan {
    /// Makes a scenario ready. Reads the dataset once, if there is one.
    pub fn new(scenario: Scenario) -> Result<Plan, replay::Error> {
        let dataset = match &scenario.traffic {
            Traffic::Replay { recording, .. } => Some(Dataset::open_all(&recording.paths, &recording.options)?),
            Traffic::Open(_) | Traffic::Closed(_) => None,
        };
        Ok(Plan::with(scenario, dataset))
    }

    /// The same with the recording that the scenario replays, which is open already.
    pub fn with(scenario: Scenario, dataset: Option<Dataset>) -> Plan {
        let recorded_for = dataset.as_ref().map(Dataset::duration);
        let duration = scenario.duration.or(recorded_for).unwrap_or(Span::ZERO);
        let paths = dataset.as_ref().map_or(&[][..], |dataset| &dataset.summary().endpoints);
        let (endpoints, recorded) = scenario.service.with_paths(paths);
        let attack_endpoints = match &scenario.traffic {
            Traffic::Open(config) | Traffic::Replay { changes: config, .. } => {
                config.attacks().map(|attack| attack.endpoint).collect()
            }
            Traffic::Closed(_) => Vec::new(),
        };
        let regions = &scenario.clients.population.regions;
        Plan {
            duration,
            population: Population::new(&scenario.clients.population, scenario.seed),
            one_way: regions.iter().map(|region| region.rtt / 2).collect(),
            boot: scenario.fleet.boot.sampler(),
            think: match &scenario.traffic {
                Traffic::Closed(users) => Some(users.think.sampler()),
                _ => None,
            },
            dataset,
            endpoints,
            recorded,
            attack_endpoints,
            spotlight: Vec::new(),
            scenario,
        }
    }

    /// Has answers in these stretches, in order and apart, counted for themselves as well: [`Run::spotlight`].
    pub fn with_spotlight(self, spotlight: Vec<(Time, Time)>) -> Plan {
        Plan { spotlight, ..self }
    }

    /// The scenario.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Length of the run: the scenario's, or the dataset's.
    pub fn duration(&self) -> Span {
        self.duration
    }

    /// The dataset, if traffic is replayed.
    pub fn dataset(&self) -> Option<&Dataset> {
        self.dataset.as_ref()
    }

    /// Plays one replication with `seed`.
    pub fn run(&self, seed: u64, monitor: &Monitor) -> Result<Run, replay::Error> {
        let before = monitor.progress_ms.load(Ordering::Relaxed);
        let run = self.world(seed, monitor)?.run();
        debug_assert!(monitor.progress_ms.load(Ordering::Relaxed) >= before, "progress only grows");
        Ok(run)
    }

    fn world<'a>(&'a self, seed: u64, monitor: &'a Monitor) -> Result<World<'a>, replay::Error> {
        let scenario = &self.scenario;
        let end = Time(self.duration.0);
        let population = self.population.reseeded(seed);
        let (arrivals, attackers, users) = match &scenario.traffic {
            Traffic::Open(config) => {
                (Some(Arrivals::new(config, seed, end)), population.attackers(config.attacks()), 0)
            }
            Traffic::Replay { changes, .. } => {
                let dataset = self.dataset.as_ref().expect("a replayed plan has a dataset");
                (Some(Arrivals::replay(dataset, changes, seed, end)?), population.attackers(changes.attacks()), 0)
            }
            Traffic::Closed(users) => (None, Vec::new(), users.count),
        };
        let weights: Vec<f64> = scenario.service.endpoints.iter().map(|endpoint| endpoint.weight).collect();
        let settings =
            Settings { spotlight: self.spotlight.clone(), ..scenario.recording(self.duration, &self.endpoints) };
        let mix = EndpointMix::new(&weights, seed);
        Ok(World {
            plan: self,
            monitor,
            now: Time::ZERO,
            end,
            seed,
            failure_dice: Dice::new(seed, Stream::Failure),
            retry_dice: Dice::new(seed, Stream::RetryJitter),
            dependency_dice: Dice::new(seed, Stream::Dependency),
            think_dice: Dice::new(seed, Stream::Think),
            boot_dice: Dice::new(seed, Stream::Boot),
            intake: Intake::new(arrivals, population, attackers, mix, &self.endpoints, seed),
            turns: vec![0; users as usize],
            engine: Engine::new(&self.engine_config(seed)),
            instances: Vec::new(),
            pools: scenario.dependencies.iter().map(Pool::new).collect(),
            error_rates: self.endpoints.iter().map(|endpoint| endpoint.error_rate).collect(),
            waits: Waits::default(),
            faults: Faults::new(&scenario.faults, seed),
            slab: Slab::default(),
            calendar: Calendar::default(),
            patience: Patience::new(scenario.clients.timeout),
            holding: Holding::default(),
            agenda: Agenda::default(),
            retry: scenario.clients.retry.as_ref().map(RetryPolicy::new),
            probing: Probing::new(&scenario.balancer).map(Box::new),
            pressure: Pressure::new(&scenario.overload, seed).map(Box::new),
            has_extras: scenario.balancer.strategy == Strategy::Prequal
                || scenario.balancer.strategy.takes_reports()
                || scenario.overload.is_on(),
            commands: Vec::new(),
            recorder: Recorder::new(settings),
            observer: Observer::default(),
            fairness: shares_a_quota(scenario).then(Box::default),
            events: Vec::new(),
            ended: Ended::Completed,
        })
    }

    fn engine_config(&self, seed: u64) -> engine::Config {
        let scenario = &self.scenario;
        let clients = match (&scenario.traffic, &self.dataset) {
            (Traffic::Closed(users), _) => users.count as usize,
            (_, Some(dataset)) if dataset.summary().clients > 0 => dataset.summary().clients,
            _ => self.population.size() as usize,
        };
        scenario.engine_config(seed, &self.endpoints, clients)
    }

    /// Whether clients live in regions.
    #[inline]
    pub fn has_regions(&self) -> bool {
        self.one_way.len() > 1
    }

    /// Half the round trip of a region.
    #[inline]
    pub fn one_way(&self, region: u16) -> Span {
        self.one_way.get(usize::from(region)).copied().unwrap_or(Span::ZERO)
    }

    /// Where requests for a path of a log go.
    #[inline]
    pub fn recorded_endpoint(&self, path: u16) -> u16 {
        self.recorded.get(usize::from(path)).copied().unwrap_or(0)
    }

    /// The endpoint that attack `k` aims at; `None`: like everybody else.
    pub fn attack_endpoint(&self, k: usize) -> Option<u16> {
        self.attack_endpoints[k]
    }

    /// Think time of users in a closed loop.
    pub fn think(&self) -> Option<&Sampler> {
        self.think.as_ref()
    }

    /// Provisioning delay.
    pub fn boot(&self) -> &Sampler {
        &self.boot
    }

    /// The zone of an instance.
    pub fn zone(&self, id: InstanceId) -> u32 {
        id.0 % self.scenario.fleet.zones
    }

    /// Used memory over the limit with `active` requests inside [0..]; `None` if memory is not modelled.
    pub fn memory_use(&self, active: f64) -> Option<f64> {
        self.scenario.fleet.memory.map(|memory| (memory.base + memory.per_request * active) / memory.limit)
    }

    /// Factor on demand when warm-up has `left` to go: it falls linearly to 1.
    pub fn warmup_slowdown(&self, left: Span) -> f64 {
        self.scenario.fleet.warmup.map_or(1.0, |warmup| warmup.factor(left))
    }
}
/// Whether clients share a quota, and none has one of its own.
fn shares_a_quota(scenario: &Scenario) -> bool {
    let rules = || scenario.limiter.iter().chain(&scenario.limiter_extras.also);
    rules().next().is_some() && rules().all(|rule| rule.key != Key::Client)
}

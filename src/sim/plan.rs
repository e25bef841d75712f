//! A plan: a scenario made ready to run, with its tables built and its dataset opened. Shared by all replications.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::distribution::Sampler;
use crate::engine::balancer::Strategy;
use crate::engine::limiter::Key;
use crate::engine::request::InstanceId;
use crate::engine::{self, Engine};
use crate::record::fidelity::{Faithfulness, Fidelity, Spread};
use crate::record::recorder::Settings;
use crate::record::run::Ended;
use crate::record::{Recorder, Run};
use crate::rng::{Dice, Stream};
use crate::scenario::faults::course::Course;
use crate::scenario::service::Endpoint;
use crate::scenario::{Scenario, Traffic};
use crate::sim::agenda::Agenda;
use crate::sim::attempt::Slab;
use crate::sim::calendar::Calendar;
use crate::sim::client::{Patience, RetryPolicy};
use crate::sim::dependency::{Pool, Waits};
use crate::sim::forward::{self, FastForward, Take};
use crate::sim::hold::Holding;
use crate::sim::intake::Intake;
use crate::sim::observation::Observer;
use crate::sim::overload::Pressure;
use crate::sim::probe::Probing;
use crate::sim::survey::Survey;
use crate::sim::{Monitor, World};
use crate::traffic::replay::{self, Dataset};
use crate::traffic::{Arrivals, EndpointMix, Population};
use crate::units::{Span, Time};

/// Share of simulated requests above which two sets of samples cost more than all requests.
const MOST_IN_PART: f64 = 0.5;

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
    fidelity: Fidelity,
    survey: Option<Arc<Survey>>,
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
            one_way: one_ways(regions.iter().map(|region| region.rtt), scenario.service.overhead),
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
            fidelity: Fidelity::Full,
            survey: None,
            scenario,
        }
    }

    /// Has answers in these stretches, in order and apart, counted for themselves as well: [`Run::spotlight`].
    pub fn with_spotlight(self, spotlight: Vec<(Time, Time)>) -> Plan {
        Plan { spotlight, ..self }
    }

    /// Has no more of its runs simulated request by request than `fidelity` says; default [`Fidelity::Full`]. A scenario that this
    /// would distort is simulated in full all the same, and [`Run::fidelity`] tells why.
    pub fn with_fidelity(self, fidelity: Fidelity) -> Plan {
        Plan { fidelity, ..self }
    }

    /// Looks through its requests under `seed`, once for all plans with the same traffic and endpoints: the candidates of a search
    /// share it by [`Plan::with_survey`]. It takes about a fifth of the time of a full run.
    pub fn survey(&self, seed: u64) -> Result<Survey, replay::Error> {
        Ok(Survey::of(self, seed, self.intake(seed)?))
    }

    /// Spares runs that do not simulate all requests a survey of their own. One of other requests is of no use, and is not used.
    pub fn with_survey(self, survey: Arc<Survey>) -> Plan {
        Plan { survey: Some(survey), ..self }
    }

    /// A survey of the requests under `seed`: the one it was given, if it is that.
    pub(super) fn surveyed(&self, seed: u64) -> Result<Arc<Survey>, replay::Error> {
        match &self.survey {
            Some(survey) if survey.is_of(self, seed) => Ok(Arc::clone(survey)),
            _ => self.survey(seed).map(Arc::new),
        }
    }

    /// How much of its runs is simulated request by request.
    pub fn fidelity(&self) -> Fidelity {
        self.fidelity
    }

    /// The endpoints of the scenario, and those of the dataset.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
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

    /// Plays one replication with `seed`. Where less than all of it is to be simulated, that is done twice, with samples of other
    /// requests; if they agree, the first stands, and if not, all is simulated after all.
    pub fn run(&self, seed: u64, monitor: &Monitor) -> Result<Run, replay::Error> {
        let before = monitor.progress_ms.load(Ordering::Relaxed);
        let reason = match self.fidelity {
            Fidelity::Full => None,
            _ => self.unfit(seed)?,
        };
        let run = match (self.fidelity, reason) {
            (Fidelity::Full, _) => self.world(seed, monitor, None)?.run(),
            (_, Some(reason)) => self.in_full(seed, monitor, reason)?,
            (_, None) => self.in_part(seed, monitor)?,
        };
        debug_assert!(monitor.progress_ms.load(Ordering::Relaxed) >= before, "progress only grows");
        Ok(run)
    }

    /// Why no part of it would do, if none would.
    fn unfit(&self, seed: u64) -> Result<Option<String>, replay::Error> {
        if let Some(reason) = forward::unfit(self) {
            return Ok(Some(reason));
        }
        let requests = forward::ahead(self, seed)?.requests(Time(self.duration.0));
        Ok((requests < forward::WORTH_IT)
            .then(|| "there are too few requests for samples to spare anything".to_string()))
    }

    fn in_full(&self, seed: u64, monitor: &Monitor, reason: String) -> Result<Run, replay::Error> {
        let run = self.world(seed, monitor, None)?.run();
        Ok(self.told_full(run, reason))
    }

    /// A run of all requests, with why it is that.
    fn told_full(&self, run: Run, reason: String) -> Run {
        let (asked, reason) = (self.fidelity, Some(reason));
        let told = Faithfulness { asked, used: Fidelity::Full, reason, simulated_share: 1.0, spread: None };
        Run { fidelity: Some(told), ..run }
    }

    fn in_part(&self, seed: u64, monitor: &Monitor) -> Result<Run, replay::Error> {
        let survey = self.surveyed(seed)?;
        let part = |take| FastForward::new(self, seed, Arc::clone(&survey), take);
        let mut run = self.world(seed, monitor, Some(part(Take::First)?))?.run();
        let share = |run: &Run| run.fidelity.as_ref().map_or(1.0, |told| told.simulated_share);
        if run.ended != Ended::Completed {
            return Ok(run);
        }
        if share(&run) == 1.0 {
            return Ok(self.told_full(run, "it is never calm".to_string()));
        }
        if share(&run) > MOST_IN_PART {
            return self.in_full(seed, monitor, format!("{:.0} % of it is not calm", share(&run) * 100.0));
        }
        // The second take is no progress; it is short enough to be waited for.
        let again = self.world(seed, &Monitor::default(), Some(part(Take::Second)?))?.run();
        let spread = Spread::between(&run, &again);
        if !spread.is_small() {
            return self.in_full(seed, monitor, format!("two sets of samples disagree by {spread}"));
        }
        if let Some(told) = &mut run.fidelity {
            told.spread = Some(spread);
            told.simulated_share += share(&again);
        }
        Ok(run)
    }

    pub(super) fn world<'a>(
        &'a self,
        seed: u64,
        monitor: &'a Monitor,
        forward: Option<FastForward>,
    ) -> Result<World<'a>, replay::Error> {
        let scenario = &self.scenario;
        let end = Time(self.duration.0);
        let users = if let Traffic::Closed(users) = &scenario.traffic { users.count } else { 0 };
        let settings =
            Settings { spotlight: self.spotlight.clone(), ..scenario.recording(self.duration, &self.endpoints) };
        let intake = self.intake(seed)?;
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
            intake,
            turns: vec![0; users as usize],
            engine: Engine::new(&self.engine_config(seed)),
            instances: Vec::new(),
            pools: scenario.dependencies.iter().map(Pool::new).collect(),
            error_rates: self.endpoints.iter().map(|endpoint| endpoint.error_rate).collect(),
            waits: Waits::default(),
            faults: Course::new(&scenario.faults, seed),
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
            forward: forward.map(Box::new),
            commands: Vec::new(),
            recorder: Recorder::new(settings),
            observer: Observer::default(),
            fairness: shares_a_quota(scenario).then(Box::default),
            events: Vec::new(),
            ended: Ended::Completed,
        })
    }

    /// The requests under `seed`, none of them looked up.
    fn intake(&self, seed: u64) -> Result<Intake, replay::Error> {
        let scenario = &self.scenario;
        let end = Time(self.duration.0);
        let population = self.population.reseeded(seed);
        let (arrivals, attackers) = match &scenario.traffic {
            Traffic::Open(config) => (Some(Arrivals::new(config, seed, end)), population.attackers(config.attacks())),
            Traffic::Replay { changes, .. } => {
                let dataset = self.dataset.as_ref().expect("a replayed plan has a dataset");
                (Some(Arrivals::replay(dataset, changes, seed, end)?), population.attackers(changes.attacks()))
            }
            Traffic::Closed(_) => (None, Vec::new()),
        };
        let weights: Vec<f64> = scenario.service.endpoints.iter().map(|endpoint| endpoint.weight).collect();
        let mix = EndpointMix::new(&weights, seed);
        Ok(Intake::new(arrivals, population, attackers, mix, &self.endpoints, seed))
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

/// Half the round trip of each region, and half of what every attempt spends on its way beside it.
fn one_ways(round_trips: impl Iterator<Item = Span>, overhead: Span) -> Vec<Span> {
    let mut one_way: Vec<Span> = round_trips.map(|rtt| (rtt + overhead) / 2).collect();
    if one_way.is_empty() {
        one_way.push(overhead / 2);
    }
    one_way
}

/// Whether clients share a quota, and none has one of its own.
fn shares_a_quota(scenario: &Scenario) -> bool {
    let rules = || scenario.limiter.iter().chain(&scenario.limiter_extras.also);
    rules().next().is_some() && rules().all(|rule| rule.key != Key::Client)
}

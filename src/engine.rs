//! The engine: what lets requests in, chooses an instance, and decides how many instances there should be.
//!
//! ```text
//!            admit ─▶ limiter ─▶ overload ─▶ breaker ─▶ balancer ─▶ Forward(instance) | Reject(reason)
//! driver ─▶  completed ─▶ balancer, breaker, metrics
//!            instance_changed, health_checked ─▶ balancer
//!            tick ─▶ scrape ─▶ autoscaler, healer, analyzer ─▶ commands: launch, drain, check
//! ```
//!
//! It is sans-IO: time is an argument, commands are values, and nothing in it knows whether a simulator or a gateway
//! calls. It has no clock, no thread, no ambient randomness, and no `Result`: a refusal is an answer, a hold is an event.
//! The per-request calls, [`Engine::admit`] and [`Engine::completed`], allocate nothing.

pub mod analyzer;
pub mod autoscaler;
pub mod balancer;
pub mod breaker;
pub mod console;
pub mod events;
pub mod forecast;
pub mod gates;
pub mod hold;
pub mod input;
pub mod limiter;
pub mod metrics;
pub mod observation;
pub mod overload;
pub mod request;
pub mod window;

use std::collections::BTreeMap;

use crate::engine::analyzer::Analyzer;
use crate::engine::analyzer::audience::Visit;
use crate::engine::analyzer::outlook::Outlook;
use crate::engine::autoscaler::{Autoscaler, Decision, Direction, Guards, Manual, Nearest};
use crate::engine::balancer::ejection::Change;
use crate::engine::balancer::health::{Health, Opinion};
use crate::engine::balancer::reports::Report;
use crate::engine::balancer::routing::TierHealth;
use crate::engine::balancer::{Balancer, Joining, Notice, Refusal};
use crate::engine::events::{Event, EventKind};
use crate::engine::forecast::Prediction;
use crate::engine::gates::{Answer, Gates};
use crate::engine::hold::Hold;
use crate::engine::limiter::hierarchy::{Denial, Hierarchy};
use crate::engine::limiter::outside::{self, Tally};
use crate::engine::limiter::{Key, Limiter, Verdict};
use crate::engine::metrics::{FleetCounts, InstanceSize, InstanceView, Stage};
use crate::engine::observation::{FleetObservation, Scraper};
use crate::engine::overload::Guard;
use crate::engine::request::{Admission, Completion, InstanceId, Outcome, Permit, Rejection, Request};
use crate::rng::{Dice, Stream};
use crate::units::{Span, Time};

/// Settings of all parts; an absent part is switched off.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Seed of the balancer's dice and of jitters.
    pub seed: u64,
    /// Paths of the endpoints, for words and for breakers per endpoint.
    pub endpoints: Vec<String>,
    /// Expected number of different clients.
    pub clients: usize,
    /// Number of regions.
    pub regions: usize,
    /// Quotas.
    pub limiter: Option<limiter::Config>,
    /// Quotas beyond one plain rule.
    pub limiter_extras: limiter::hierarchy::Extras,
    /// What is refused under overload.
    pub overload: overload::Config,
    /// Circuit breakers.
    pub breaker: Option<breaker::Config>,
    /// Choice of an instance.
    pub balancer: balancer::Config,
    /// What an instance has.
    pub instance: InstanceSize,
    /// Number of instances; `None`: as many as were adopted.
    pub autoscaler: Option<autoscaler::Config>,
    /// Baseline and spikes.
    pub analyzer: Option<analyzer::Config>,
}

/// What a driver reports of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// It takes traffic, slowly at first.
    Warming,
    /// It takes traffic at full speed.
    Ready,
    /// It does not exist any more: it never started, or finished draining, or was found dead.
    Gone,
}

/// What a driver must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start an instance with this id.
    Launch(InstanceId),
    /// Send it nothing new (the engine already does not), let it finish, then stop it.
    Drain(InstanceId),
    /// Stop it at once; it serves nobody.
    Terminate(InstanceId),
    /// Check its health and report by [`Engine::health_checked`].
    CheckHealth(InstanceId),
}

/// Why the engine wants a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Metrics are to be scraped: bring a [`FleetObservation`].
    Scrape,
    /// The autoscaler evaluates its policies.
    Evaluate,
    /// A health check is due.
    HealthCheck,
    /// The balancer sweeps for outliers.
    Sweep,
    /// The balancer learns that an instance drains.
    Propagation,
    /// A breaker's open interval ends.
    BreakerProbe,
    /// A bin of the traffic analyzer closes.
    Analyze,
    /// Nothing is ever due.
    Never,
}

/// What the engine believes of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    Provisioning,
    Warming,
    Ready,
    Unhealthy,
    Draining,
}

/// Moments in an instance's life, for policies that look at single instances; `None` is before the engine began.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    launched_at: Option<Time>,
    /// When it began, or ceased, to take traffic.
    changed_at: Option<Time>,
}

/// How often the rule nearest to acting is looked for.
const NEAREST_EVERY: Span = Span::from_mins(1);

/// The engine.
#[derive(Debug)]
pub struct Engine {
    dice: Dice,
    limiter: Option<(Key, Limiter)>,
    /// Instead of `limiter`, where there is more than one plain rule.
    hierarchy: Option<Box<Hierarchy>>,
    /// Whether there is a hierarchy or a guard.
    is_guarded: bool,
    guard: Option<Box<Guard>>,
    gates: Option<Gates>,
    balancer: Balancer,
    health: Option<Health>,
    health_timeout: Span,
    autoscaler: Option<Autoscaler>,
    size: InstanceSize,
    hold: Option<Hold>,
    /// Requests that an instance may have at once while the gateway keeps back what is more; `None`: it keeps nothing back.
    buffer: Option<u32>,
    analyzer: Option<Analyzer>,
    scraper: Option<Scraper>,
    fleet: BTreeMap<InstanceId, Belief>,
    lives: BTreeMap<InstanceId, Life>,
    desired: u32,
    next_id: u32,
    /// From the decision to drain until the balancer knows.
    propagation: Span,
    /// Instances that drain and still get requests, and until when.
    leaving: Vec<(Time, InstanceId)>,
    /// When a broken instance is worth another try.
    retries: BTreeMap<InstanceId, Time>,
    /// The rule last told to be nearest and whether its condition held; and when to look again.
    nearest: (String, bool),
    look_again: Time,
    /// Replacements that the next tick launches, with the reason.
    replacements: Vec<String>,
    events: Vec<Event>,
    wake: (Time, Wake),
}

impl Engine {
    /// An engine without instances.
    pub fn new(config: &Config) -> Engine {
        let keys = |key: Key| match key {
            Key::Client => config.clients,
            Key::Endpoint => config.endpoints.len(),
            Key::Region => config.regions,
            Key::Global => 1,
        };
        let extras = &config.limiter_extras;
        let is_plain = |limiter: &limiter::Config| !extras.is_on() && limiter.delay.is_none();
        let plain = config.limiter.as_ref().filter(|limiter| is_plain(limiter));
        let limiter = plain.map(|limiter| (limiter.key, Limiter::new(limiter, keys(limiter.key))));
        let hierarchy = config.limiter.as_ref().filter(|limiter| !is_plain(limiter));
        let hierarchy = hierarchy.map(|first| Box::new(Hierarchy::new(first, extras, keys, config.seed)));
        let autoscaler = config.autoscaler.clone().map(Autoscaler::new);
        let scraper = config.autoscaler.as_ref().map(Scraper::new);
        let mut engine = Engine {
            dice: Dice::new(config.seed, Stream::Balancer),
            limiter,
            is_guarded: hierarchy.is_some() || config.overload.is_on(),
            hierarchy,
            guard: Guard::new(&config.overload, config.seed).map(Box::new),
            gates: config.breaker.as_ref().map(|breaker| Gates::new(breaker, &config.endpoints, config.seed)),
            balancer: Balancer::new(&config.balancer, config.seed, config.clients),
            health: config.balancer.health_check.map(|check| Health::new(check, config.seed)),
            health_timeout: config.balancer.health_check.map_or(Span::ZERO, |check| check.timeout),
            autoscaler,
            size: config.instance,
            hold: config.autoscaler.as_ref().and_then(|autoscaler| autoscaler.hold).map(Hold::new),
            buffer: None,
            analyzer: config.analyzer.as_ref().map(Analyzer::new),
            scraper,
            fleet: BTreeMap::new(),
            lives: BTreeMap::new(),
            desired: 0,
            next_id: 0,
            propagation: config.balancer.propagation_delay,
            leaving: Vec::new(),
            retries: BTreeMap::new(),
            nearest: (String::new(), false),
            look_again: Time::ZERO,
            replacements: Vec::new(),
            events: Vec::new(),
            wake: (Time::ZERO, Wake::Never),
        };
        engine.schedule();
        engine
    }

    /// Takes over an instance that is in service when the engine starts: it needs no check before its first request.
    pub fn adopt(&mut self, now: Time) -> InstanceId {
        let id = InstanceId(self.next_id);
        self.next_id += 1;
        self.desired += 1;
        self.fleet.insert(id, Belief::Ready);
        self.lives.insert(id, Life::default());
        if let Some(health) = &mut self.health {
            health.join(now, id, true);
        }
        self.balancer.join(now, id, Joining::Adopted);
        self.schedule();
        id
    }

    /// Decides what happens to an attempt that arrives at `now`.
    #[inline(always)]
    pub fn admit(&mut self, now: Time, request: &Request) -> Admission {
        self.arrived(now, request);
        let decided = self.decide(now, request);
        self.answer(now, decided)
    }

    /// Decides about an attempt of whose quota a store was asked that is not the engine's: [`Engine::asks_store`] said so, or not.
    #[cold]
    pub fn admit_told(&mut self, now: Time, request: &Request, answer: &outside::Answer) -> Admission {
        self.arrived(now, request);
        let decided = self.choose_told(now, request, answer);
        self.answer(now, decided)
    }

    /// Whether a store outside is worth asking about an attempt that arrives at `now`.
    pub fn asks_store(&self, now: Time) -> bool {
        self.hierarchy.as_ref().is_some_and(|hierarchy| hierarchy.asks_store(now))
    }

    /// What a store outside was asked so far; `None`: none was.
    pub fn store(&self) -> Option<&Tally> {
        self.hierarchy.as_ref().and_then(|hierarchy| hierarchy.tally())
    }

    /// An attempt is offered: it is demand, whatever becomes of it.
    #[inline(always)]
    fn arrived(&mut self, now: Time, request: &Request) {
        if let Some(analyzer) = &mut self.analyzer
            && request.attempt == 1
        {
            // A simulated client has no address: it is a network of its own.
            let client = u64::from(request.client);
            analyzer.visited(&Visit {
                at: now,
                client,
                prefix: client,
                agent: None,
                endpoint: u32::from(request.endpoint),
                region: u32::from(request.region),
                client_error: None,
            });
        }
        if let Some(scraper) = &mut self.scraper {
            scraper.offered();
        }
    }

    #[inline(always)]
    fn answer(&mut self, now: Time, decided: Result<(InstanceId, Permit), Stopped>) -> Admission {
        match decided {
            Ok((instance, permit)) => Admission::Forward { instance, permit },
            Err(Stopped::Refused(rejection)) => self.turn_away(now, rejection),
            Err(Stopped::Delayed(until)) => Admission::Delay { until },
        }
    }

    /// Asks again for an attempt whose delay is over: its quota is paid, and it is not counted a second time.
    #[cold]
    pub fn admit_delayed(&mut self, now: Time, request: &Request) -> Admission {
        match self.choose_behind_guard(now, request) {
            Ok((instance, permit)) => Admission::Forward { instance, permit },
            Err(rejection) => self.turn_away(now, rejection),
        }
    }

    /// What a client may be told of its quota: the number of the rule that is nearest to its end, 0 the first, and what it leaves; `None`
    /// without a limiter.
    pub fn quota(&mut self, now: Time, request: &Request) -> Option<(usize, Verdict)> {
        if let Some((key, limiter)) = &mut self.limiter {
            return Some((0, limiter.check(now, key.of(request), 0)));
        }
        self.hierarchy.as_mut().map(|hierarchy| hierarchy.tightest(now, request))
    }

    /// The same of this gateway's own part of the quotas, which counts while a store outside does not answer.
    pub fn own_quota(&mut self, now: Time, request: &Request) -> Option<(usize, Verdict)> {
        self.hierarchy.as_mut().and_then(|hierarchy| hierarchy.tightest_part(now, request))
    }

    /// Whether a client could as well never have asked, as far as quotas go: its number may be given to another.
    pub fn is_idle(&mut self, now: Time, client: u32) -> bool {
        match (&mut self.limiter, &mut self.hierarchy) {
            (Some((Key::Client, limiter)), _) => limiter.is_idle(now, client),
            (_, Some(hierarchy)) => hierarchy.is_idle(now, client),
            _ => true,
        }
    }

    /// Keeps an attempt that could not be sent on, where the gateway keeps such, or refuses it.
    #[cold]
    #[inline(never)]
    fn turn_away(&mut self, now: Time, rejection: Rejection) -> Admission {
        match rejection {
            Rejection::NoReadyInstance if self.hold.is_some() => return self.hold(now, true),
            Rejection::QueueFull if self.buffer.is_some() && self.hold.is_some() => return self.hold(now, false),
            _ => {}
        }
        if let Some(scraper) = &mut self.scraper {
            scraper.refused();
        }
        Admission::Reject(rejection)
    }

    /// Keeps an attempt that finds no instance, or none with room, if there is room for it here; `cold` is the former.
    fn hold(&mut self, now: Time, cold: bool) -> Admission {
        let until = self.hold.as_mut().and_then(|hold| hold.enter(now, cold, &mut self.events));
        let Some(until) = until else {
            if let Some(scraper) = &mut self.scraper {
                scraper.refused();
            }
            return Admission::Reject(if cold { Rejection::NoReadyInstance } else { Rejection::QueueFull });
        };
        if cold
            && self.counts().existing == 0
            && let Some(autoscaler) = &mut self.autoscaler
            && autoscaler.poke(now)
        {
            self.wake = self.wake.min_by_time((now, Wake::Evaluate));
        }
        Admission::Hold { until }
    }

    /// Asks again for an attempt that is held: no quota is asked, and nothing is counted, a second time.
    #[cold]
    pub fn admit_held(&mut self, now: Time, request: &Request) -> Admission {
        let admission = match self.choose(now, request) {
            Ok((instance, permit)) => Admission::Forward { instance, permit },
            Err(Rejection::NoReadyInstance) => return Admission::Hold { until: now },
            Err(Rejection::QueueFull) if self.buffer.is_some() => return Admission::Hold { until: now },
            Err(rejection) => Admission::Reject(rejection),
        };
        if let Some(hold) = &mut self.hold {
            match admission {
                Admission::Forward { .. } => hold.forward(now, &mut self.events),
                _ => hold.abandon(now, &mut self.events),
            }
        }
        admission
    }

    /// Learns that a held attempt is held no longer, unserved.
    pub fn abandon_held(&mut self, now: Time) {
        if let Some(hold) = &mut self.hold {
            hold.abandon(now, &mut self.events);
        }
    }

    #[inline(always)]
    fn decide(&mut self, now: Time, request: &Request) -> Result<(InstanceId, Permit), Stopped> {
        if let Some((key, limiter)) = &mut self.limiter {
            limiter.admit(now, key.of(request)).map_err(|retry_after| Rejection::RateLimited { retry_after })?;
        }
        if self.is_guarded { self.choose_guarded(now, request) } else { Ok(self.choose(now, request)?) }
    }

    /// The choice behind quotas of several rules and the guard against overload.
    #[cold]
    #[inline(never)]
    fn choose_guarded(&mut self, now: Time, request: &Request) -> Result<(InstanceId, Permit), Stopped> {
        if let Some(hierarchy) = &mut self.hierarchy {
            let delay = hierarchy.admit(now, request).map_err(Rejection::from)?;
            if !delay.is_zero() {
                return Err(Stopped::Delayed(now.saturating_add(delay)));
            }
        }
        Ok(self.choose_behind_guard(now, request)?)
    }

    /// The choice behind quotas that a store has decided about.
    fn choose_told(
        &mut self,
        now: Time,
        request: &Request,
        answer: &outside::Answer,
    ) -> Result<(InstanceId, Permit), Stopped> {
        if let Some(hierarchy) = &mut self.hierarchy {
            hierarchy.admit_told(now, request, answer, &mut self.events).map_err(Rejection::from)?;
        }
        Ok(self.choose_behind_guard(now, request)?)
    }

    /// The choice behind the guard against overload, which is told when nothing comes of it.
    fn choose_behind_guard(&mut self, now: Time, request: &Request) -> Result<(InstanceId, Permit), Rejection> {
        if let Some(guard) = &mut self.guard {
            guard.admit(now, request)?;
        }
        let chosen = self.choose(now, request);
        if chosen.is_err()
            && let Some(guard) = &mut self.guard
        {
            guard.withdraw(now, request.attempt > 1);
        }
        chosen
    }

    /// Past breakers to an instance.
    #[inline(always)]
    fn choose(&mut self, now: Time, request: &Request) -> Result<(InstanceId, Permit), Rejection> {
        let dice = self.dice;
        let draws = || match request.attempt {
            1 => dice.draws(request.index),
            n => dice.sub(request.index, u64::from(n)),
        };
        let Some(gates) = &mut self.gates else {
            let instance = self.balancer.pick(now, request, draws);
            return instance.map(|id| (id, Permit::default())).map_err(Rejection::from);
        };
        let permit = match gates.before_choice(now, request) {
            Answer::Pass(permit) => permit,
            Answer::Refuse(until) => return Err(Rejection::BreakerOpen { until }),
        };
        loop {
            let instance = match self.balancer.pick(now, request, draws) {
                Ok(instance) => instance,
                Err(refusal) => {
                    gates.cancel(now, request, permit);
                    let broken = refusal == Refusal::Nobody && gates.per_instance() && self.balancer.any_broken();
                    let until = self.retries.values().min().copied();
                    return Err(if broken { Rejection::BreakerOpen { until } } else { refusal.into() });
                }
            };
            match gates.before_instance(now, instance, request, permit) {
                Answer::Pass(permit) => return Ok((instance, permit)),
                Answer::Refuse(until) => {
                    self.balancer.withdraw(instance);
                    self.balancer.set_broken(now, instance, true);
                    let at = until.unwrap_or(now + gates.open_for());
                    self.retries.insert(instance, at);
                    self.wake = self.wake.min_by_time((at, Wake::BreakerProbe));
                }
            }
        }
    }

    /// Learns how a forwarded attempt ended.
    #[inline(always)]
    pub fn completed(&mut self, now: Time, completion: &Completion) {
        if self.balancer.finished(now, completion) {
            self.tell_notices();
        }
        if let Some(guard) = &mut self.guard {
            guard.ended(now, completion);
        }
        if let Some(scraper) = &mut self.scraper {
            scraper.ended(completion.latency, completion.outcome.is_failure());
            if matches!(completion.outcome, Outcome::QueueFull | Outcome::Shed) {
                scraper.refused();
            }
        }
        if let Some(gates) = &mut self.gates
            && gates.ended(now, completion)
            && gates.per_instance()
        {
            self.breaker_moved(now, completion.instance);
        }
    }

    /// Counts so many requests as offered, for drivers that do not follow each.
    pub fn offered_many(&mut self, requests: u64) {
        if let Some(scraper) = &mut self.scraper {
            scraper.offered_many(requests);
        }
    }

    /// Counts so many attempts as ended in the same way, for drivers that do not follow each. Only metrics hear of it.
    pub fn ended_many(&mut self, latency: Span, failed: bool, attempts: u64) {
        if let Some(scraper) = &mut self.scraper {
            scraper.ended_many(latency, failed, attempts);
        }
    }

    /// Learns, after the end of an attempt that an instance refused, how long it asked to be left alone (`Retry-After`).
    pub fn hinted(&mut self, now: Time, id: InstanceId, retry_after: Span) {
        self.balancer.hinted(now, id, retry_after);
    }

    /// An instance's breaker changed its mind, or has room for a probe.
    #[cold]
    fn breaker_moved(&mut self, now: Time, instance: InstanceId) {
        let Some(gates) = &mut self.gates else { return };
        match gates.reopens_at(instance) {
            Some(at) if at > now => {
                self.balancer.set_broken(now, instance, true);
                self.retries.insert(instance, at);
                self.wake = self.wake.min_by_time((at, Wake::BreakerProbe));
            }
            _ => {
                self.balancer.set_broken(now, instance, false);
                self.retries.remove(&instance);
            }
        }
    }

    /// Learns that an instance changed state.
    pub fn instance_changed(&mut self, now: Time, id: InstanceId, state: InstanceState) {
        let Some(&belief) = self.fleet.get(&id) else { return };
        match state {
            InstanceState::Warming | InstanceState::Ready => {
                let takes_traffic = matches!(belief, Belief::Warming | Belief::Ready);
                if belief == Belief::Draining || belief == Belief::Unhealthy {
                    return;
                }
                let warming = state == InstanceState::Warming;
                self.fleet.insert(id, if warming { Belief::Warming } else { Belief::Ready });
                if !takes_traffic {
                    self.joined(now, id, warming);
                } else if belief == Belief::Warming && !warming {
                    self.note(now, EventKind::InstanceReady { instance: id, warming: false }, "warm");
                }
                if !warming && let Some(autoscaler) = &mut self.autoscaler {
                    autoscaler.ready(now);
                }
            }
            InstanceState::Gone => {
                // A balancer that has not heard yet goes on sending, to nobody.
                if !self.leaving.iter().any(|&(_, leaving)| leaving == id) {
                    self.leave(now, id);
                }
                self.fleet.remove(&id);
                self.lives.remove(&id);
                let kind = EventKind::InstanceGone { instance: id };
                let cause = match belief {
                    Belief::Draining => "drained",
                    Belief::Provisioning => "did not start",
                    _ => "stopped by itself",
                };
                self.note(now, kind, cause);
                if belief != Belief::Draining {
                    self.replacements.push(format!("replaces instance {}, which {cause}", id.0));
                    self.wake = (now, Wake::Evaluate);
                }
            }
        }
        if self.wake.0 > now {
            self.schedule();
        }
    }

    fn joined(&mut self, now: Time, id: InstanceId, warming: bool) {
        self.lives.entry(id).or_default().changed_at = Some(now);
        if let Some(health) = &mut self.health {
            health.join(now, id, false);
        }
        let joining = if self.health.is_none() { Joining::Started } else { Joining::Unchecked };
        self.balancer.join(now, id, joining);
        let cause = if warming { "booted, warming up" } else { "booted" };
        self.note(now, EventKind::InstanceReady { instance: id, warming }, cause);
    }

    /// Learns the answer to a [`Command::CheckHealth`].
    pub fn health_checked(&mut self, now: Time, id: InstanceId, passed: bool) {
        let Some(health) = &mut self.health else { return };
        let Some(opinion) = health.answered(id, passed) else { return };
        let cause = health.in_words(opinion);
        match opinion {
            Opinion::Healthy => {
                self.balancer.set_healthy(now, id, true);
                self.note(now, EventKind::InstanceHealthy { instance: id }, &cause);
            }
            Opinion::Unhealthy => {
                self.balancer.set_healthy(now, id, false);
                self.note(now, EventKind::InstanceUnhealthy { instance: id }, &cause);
                if let Some(belief) = self.fleet.get_mut(&id)
                    && matches!(belief, Belief::Ready | Belief::Warming)
                {
                    *belief = Belief::Unhealthy;
                    self.lives.entry(id).or_default().changed_at = Some(now);
                    self.replacements.push(format!("replaces unhealthy instance {}", id.0));
                    self.wake = (now, Wake::Evaluate);
                }
            }
            Opinion::Unchecked => {}
        }
    }

    /// How long a check may take before it has failed.
    pub fn health_timeout(&self) -> Span {
        self.health_timeout
    }

    /// Whether the balancer asks instances how they are: then [`Engine::next_probe`] is to be asked after every admission.
    #[inline]
    pub fn probes(&self) -> bool {
        self.balancer.probes()
    }

    /// An instance that is to be probed now; each is told once.
    pub fn next_probe(&mut self) -> Option<InstanceId> {
        self.balancer.next_probe()
    }

    /// Learns an instance's answer to a probe.
    pub fn probed(&mut self, now: Time, id: InstanceId, answer: balancer::prequal::Answer) {
        self.balancer.probed(now, id, answer);
    }

    /// Whether the balancer looks at what instances report with their answers: then [`Engine::reported`] is to be told.
    #[inline]
    pub fn takes_reports(&self) -> bool {
        self.balancer.takes_reports()
    }

    /// Learns what an instance reported with an answer.
    pub fn reported(&mut self, now: Time, id: InstanceId, report: &Report) {
        self.balancer.reported(now, id, report);
    }

    /// Whether [`Engine::tick`] at `now` wants a [`FleetObservation`].
    pub fn scrape_due(&self, now: Time) -> bool {
        self.scraper.as_ref().is_some_and(|scraper| scraper.next_wake() <= now)
    }

    /// When metrics are scraped next; [`Time::MAX`] without an autoscaler.
    pub fn next_scrape(&self) -> Time {
        self.scraper.as_ref().map_or(Time::MAX, Scraper::next_wake)
    }

    /// Runs the control loop. Calling early is harmless: nothing that is not due happens.
    pub fn tick(&mut self, now: Time, fleet: Option<&FleetObservation>, commands: &mut Vec<Command>) {
        if self.scrape_due(now)
            && let (Some(scraper), Some(fleet)) = (&mut self.scraper, fleet)
        {
            scraper.scraped(now, fleet);
        }
        while let Some(first) = self.leaving.iter().position(|&(at, _)| at <= now) {
            let (_, id) = self.leaving.remove(first);
            self.leave(now, id);
        }
        self.balancer.tick(now);
        self.tell_notices();
        self.heal(now, commands);
        self.autoscale(now, commands);
        if let Some(health) = &mut self.health {
            while let Some(id) = health.next_due(now) {
                commands.push(Command::CheckHealth(id));
            }
        }
        while let Some((&id, &at)) = self.retries.iter().find(|(_, at)| **at <= now) {
            debug_assert!(at <= now);
            self.retries.remove(&id);
            self.balancer.set_broken(now, id, false);
        }
        let ready = self.balancer.candidates() as u32;
        if let Some(analyzer) = &mut self.analyzer {
            analyzer.fleet_is(ready);
            analyzer.tick(now, &mut self.events);
        }
        self.schedule();
    }

    /// Writes down what the balancer did by itself.
    #[cold]
    fn tell_notices(&mut self) {
        for notice in self.balancer.take_notices() {
            match notice {
                Notice::Ejection { at, change: Change::Ejected { id, length, row, cause } } => {
                    self.note(at, EventKind::InstanceEjected { instance: id, length, row }, &cause);
                }
                Notice::Ejection { at, change: Change::Readmitted { id, after } } => {
                    let cause = format!("its ejection is over after {after}");
                    self.note(at, EventKind::InstanceReadmitted { instance: id, after }, &cause);
                }
                Notice::Replace { at, id } => {
                    if let Some(belief) = self.fleet.get_mut(&id)
                        && matches!(belief, Belief::Ready | Belief::Warming)
                    {
                        *belief = Belief::Unhealthy;
                        self.replacements.push(format!("replaces instance {}, ejected again and again", id.0));
                        self.wake = (at, Wake::Evaluate);
                    }
                }
                Notice::PanicBegan { at, tier, health: TierHealth { healthy, initialised } } => {
                    let cause = format!("{healthy} of {initialised} instances{} are healthy", tier_words(tier));
                    self.note(at, EventKind::PanicBegan { healthy, initialised }, &cause);
                }
                Notice::PanicEnded { at, tier, health: TierHealth { healthy, initialised } } => {
                    let cause = format!("{healthy} of {initialised} instances{} are healthy", tier_words(tier));
                    self.note(at, EventKind::PanicEnded { healthy, initialised }, &cause);
                }
            }
        }
    }

    /// Replaces what was found dead: not a scaling action, and subject to no cooldown.
    fn heal(&mut self, now: Time, commands: &mut Vec<Command>) {
        let unhealthy: Vec<InstanceId> =
            self.fleet.iter().filter(|(_, belief)| **belief == Belief::Unhealthy).map(|(&id, _)| id).collect();
        for id in unhealthy {
            self.drain(now, id, "unhealthy", commands);
        }
        for cause in std::mem::take(&mut self.replacements) {
            if self.counts().existing < self.desired {
                self.launch(now, &cause, commands);
            }
        }
    }

    fn autoscale(&mut self, now: Time, commands: &mut Vec<Command>) {
        let fleet = self.counts();
        let (Some(autoscaler), Some(scraper)) = (&mut self.autoscaler, &self.scraper) else { return };
        if autoscaler.next_wake() > now {
            return;
        }
        // Decided is for the moment at which it was due; what is done for it is done now.
        let due = autoscaler.due(now);
        let mut observed = scraper.observed(due, fleet);
        observed.held = self.hold.as_ref().map_or(0, Hold::waiting);
        observed.size = self.size;
        if scraper.wants_instances() {
            observed.instances = views(scraper, due, &self.fleet, &self.lives);
        }
        let guards = Guards {
            breaker_tripped: self.gates.as_ref().is_some_and(|gates| gates.tripped() > 0),
            refused_share: scraper.refused_share(),
            expected_boot: None,
        };
        let decision = autoscaler.tick(due, &observed, &guards);
        if decision.direction().is_none() && now >= self.look_again {
            self.look_again = now + NEAREST_EVERY;
            let nearest = autoscaler.nearest(&observed);
            self.tell_nearest(now, nearest);
        }
        self.carry_out(now, decision, commands);
        self.set_buffer(now);
    }

    /// Takes over how much the gateway may send to an instance at once, of what the autoscaler has just said.
    fn set_buffer(&mut self, now: Time) {
        let Some(autoscaler) = &self.autoscaler else { return };
        let buffer = autoscaler.buffer();
        if buffer != self.buffer {
            let kind = buffer.map_or(EventKind::BufferLeft, |limit| EventKind::BufferJoined { limit });
            let cause = autoscaler.buffer_cause();
            self.note(now, kind, &cause);
            self.buffer = buffer;
            self.balancer.set_limit(buffer);
        }
    }

    /// Notes which rule is nearest to acting, when that has changed.
    fn tell_nearest(&mut self, now: Time, nearest: Option<Nearest>) {
        let Some(nearest) = nearest else { return };
        let holds = !nearest.held_for.is_zero() || nearest.margin == 0.0;
        if self.nearest.0 == nearest.rule && self.nearest.1 == holds {
            return;
        }
        self.nearest = (nearest.rule.clone(), holds);
        let Nearest { rule, value, threshold, held_for, .. } = nearest;
        let cause = if holds {
            format!("{rule} is nearest: its condition has held for {held_for} ({value:.1} against {threshold})")
        } else {
            format!("{rule} is nearest, and its condition does not hold ({value:.1} against {threshold})")
        };
        self.note(now, EventKind::Nearest { rule, value, threshold, held_for }, &cause);
    }

    /// Asks for a number of instances by hand: within bounds, regardless of cooldowns.
    pub fn scale(&mut self, now: Time, manual: Manual, commands: &mut Vec<Command>) {
        let fleet = self.counts();
        if let Some(autoscaler) = &mut self.autoscaler {
            let decision = autoscaler.manual(now, fleet, manual);
            self.carry_out(now, decision, commands);
            self.schedule();
        }
    }

    fn carry_out(&mut self, now: Time, decision: Decision, commands: &mut Vec<Command>) {
        for firing in &decision.opened_breaker {
            if let Some(gates) = &mut self.gates {
                gates.force_open(now, &firing.cause);
            }
        }
        self.desired = decision.to;
        // The decision comes before its consequences in the log.
        let place = self.events.len();
        let mut instances = Vec::new();
        let rule = decision.rule.as_deref().unwrap_or_default();
        match decision.direction() {
            Some(Direction::Up) => {
                for _ in decision.from..decision.to {
                    instances.push(self.launch(now, rule, commands));
                }
            }
            Some(Direction::Down) => {
                for id in self.victims((decision.from - decision.to) as usize) {
                    self.drain(now, id, rule, commands);
                    instances.push(id);
                }
            }
            None => {}
        }
        self.events.splice(place..place, decision.events(now, instances));
    }

    fn launch(&mut self, now: Time, cause: &str, commands: &mut Vec<Command>) -> InstanceId {
        let id = InstanceId(self.next_id);
        self.next_id += 1;
        self.fleet.insert(id, Belief::Provisioning);
        self.lives.insert(id, Life { launched_at: Some(now), changed_at: None });
        commands.push(Command::Launch(id));
        self.note(now, EventKind::InstanceLaunched { instance: id }, cause);
        id
    }

    fn drain(&mut self, now: Time, id: InstanceId, cause: &str, commands: &mut Vec<Command>) {
        let was = self.fleet.insert(id, Belief::Draining);
        if self.propagation.is_zero() || !matches!(was, Some(Belief::Ready | Belief::Warming)) {
            self.leave(now, id);
        } else {
            self.leaving.push((now + self.propagation, id));
            if let Some(health) = &mut self.health {
                health.leave(id);
            }
        }
        commands.push(if was == Some(Belief::Provisioning) { Command::Terminate(id) } else { Command::Drain(id) });
        self.note(now, EventKind::InstanceDraining { instance: id }, cause);
    }

    /// Nobody sends anything new to `id`.
    fn leave(&mut self, now: Time, id: InstanceId) {
        self.balancer.leave(now, id);
        self.retries.remove(&id);
        if let Some(health) = &mut self.health {
            health.leave(id);
        }
        if let Some(gates) = &mut self.gates {
            gates.forget(id);
        }
    }

    /// Who goes first: not ready, then warming, then the fewest in flight, then the newest.
    fn victims(&self, n: usize) -> Vec<InstanceId> {
        let mut existing: Vec<_> = self
            .fleet
            .iter()
            .filter(|(_, belief)| **belief != Belief::Draining)
            .map(|(&id, belief)| {
                let readiness = match belief {
                    Belief::Provisioning | Belief::Unhealthy | Belief::Draining => 0,
                    Belief::Warming => 1,
                    Belief::Ready => 2,
                };
                (readiness, self.balancer.in_flight(id), std::cmp::Reverse(id))
            })
            .collect();
        existing.sort_unstable();
        existing.into_iter().take(n).map(|(_, _, std::cmp::Reverse(id))| id).collect()
    }

    /// How many instances are in which state, as far as the engine knows.
    pub fn counts(&self) -> FleetCounts {
        let mut counts = FleetCounts::default();
        for belief in self.fleet.values() {
            match belief {
                Belief::Provisioning | Belief::Warming => {
                    counts.existing += 1;
                    counts.pending += 1;
                }
                Belief::Ready => {
                    counts.existing += 1;
                    counts.ready += 1;
                }
                Belief::Unhealthy => counts.existing += 1,
                Belief::Draining => {}
            }
        }
        counts
    }

    /// Instances wanted.
    pub fn desired(&self) -> u32 {
        self.desired
    }

    /// Instances that may get the next request.
    pub fn candidates(&self) -> usize {
        self.balancer.candidates()
    }

    /// Requests forwarded and not yet completed: to instances that still take traffic or, where a guard counts them, to any.
    pub fn in_flight(&self) -> u64 {
        let guarded = self.guard.as_ref().map_or(0, |guard| guard.in_flight());
        self.balancer.in_flight_total().max(u64::from(guarded))
    }

    /// The limit on requests in flight that follows latency; `None` if there is none.
    pub fn concurrency_limit(&self) -> Option<u32> {
        self.guard.as_ref().and_then(|guard| guard.limit())
    }

    /// Breakers open or half-open.
    pub fn breakers_open(&self) -> u32 {
        self.gates.as_ref().map_or(0, Gates::tripped)
    }

    /// Baseline of offered load \[1/s\]; `None` without an analyzer, or before it has seen enough.
    pub fn baseline_rps(&self) -> Option<f64> {
        self.analyzer.as_ref().and_then(Analyzer::baseline_rps)
    }

    /// What was forecast for now, a prediction window ago \[1/s\]; without an analyzer that looks ahead, what a policy expected
    /// the highest load of its lead to be. `None` if nothing was.
    pub fn forecast_rps(&self) -> Option<f64> {
        match self.outlook() {
            Some(outlook) => outlook.forecast().map(|forecast| forecast.mean),
            None => self.autoscaler.as_ref()?.foretold().map(|bound| bound.expected),
        }
    }

    /// What the analyzer forecast for now, with its 90 % interval.
    pub fn forecast(&self) -> Option<Prediction> {
        self.outlook().and_then(Outlook::forecast)
    }

    /// The load of the next while; `None` without an analyzer that looks ahead.
    pub fn outlook(&self) -> Option<&Outlook> {
        self.analyzer.as_ref().and_then(Analyzer::outlook)
    }

    /// When, and for what, the engine next wants a tick. May change after any call above.
    #[inline]
    #[must_use]
    pub fn next_wake(&self) -> (Time, Wake) {
        self.wake
    }

    /// Moves what happened since the last call to `events`.
    pub fn drain_events(&mut self, events: &mut Vec<Event>) {
        if let Some(gates) = &mut self.gates {
            gates.drain_events(&mut self.events);
        }
        if self.balancer.has_notices() {
            self.tell_notices();
        }
        events.append(&mut self.events);
    }

    fn note(&mut self, at: Time, kind: EventKind, cause: &str) {
        self.events.push(Event { at, kind, cause: cause.to_string() });
    }

    fn schedule(&mut self) {
        let mut wake = (Time::MAX, Wake::Never);
        if let Some(scraper) = &self.scraper {
            wake = wake.min_by_time((scraper.next_wake(), Wake::Scrape));
        }
        if let Some(autoscaler) = &self.autoscaler {
            wake = wake.min_by_time((autoscaler.next_wake(), Wake::Evaluate));
        }
        if let Some(health) = &self.health {
            wake = wake.min_by_time((health.next_wake(), Wake::HealthCheck));
        }
        if self.balancer.next_wake() < Time::MAX {
            wake = wake.min_by_time((self.balancer.next_wake(), Wake::Sweep));
        }
        if let Some(at) = self.leaving.iter().map(|&(at, _)| at).min() {
            wake = wake.min_by_time((at, Wake::Propagation));
        }
        if let Some(&at) = self.retries.values().min() {
            wake = wake.min_by_time((at, Wake::BreakerProbe));
        }
        if let Some(analyzer) = &self.analyzer {
            wake = wake.min_by_time((analyzer.next_wake(), Wake::Analyze));
        }
        self.wake = wake;
    }
}

/// The instances, one by one: what the engine believes of each, and what was measured of it.
fn views(
    scraper: &Scraper,
    now: Time,
    fleet: &BTreeMap<InstanceId, Belief>,
    lives: &BTreeMap<InstanceId, Life>,
) -> Vec<InstanceView> {
    let mut measured = scraper.of_instances(now);
    let view = |(&id, &belief): (&InstanceId, &Belief)| {
        let stage = match belief {
            Belief::Provisioning => Stage::Provisioning,
            Belief::Warming => Stage::Warming,
            Belief::Ready => Stage::Ready,
            Belief::Unhealthy => Stage::Unhealthy,
            Belief::Draining => return None,
        };
        let Life { launched_at, changed_at } = lives.get(&id).copied().unwrap_or_default();
        let (values, sampled_at) = measured.remove(&id).unwrap_or((Vec::new(), now));
        Some(InstanceView { id, stage, launched_at, changed_at, values, sampled_at, window: scraper.window_length() })
    };
    fleet.iter().filter_map(view).collect()
}

/// How a tier is named where there is more than one.
fn tier_words(tier: u32) -> String {
    if tier == 0 { String::new() } else { format!(" of tier {tier}") }
}

/// Why an attempt is not sent on now.
enum Stopped {
    Refused(Rejection),
    /// It waits until then, and then asks again.
    Delayed(Time),
}

impl From<Rejection> for Stopped {
    #[inline(always)]
    fn from(rejection: Rejection) -> Stopped {
        Stopped::Refused(rejection)
    }
}

impl From<Denial> for Rejection {
    fn from(denial: Denial) -> Rejection {
        match denial {
            Denial::Quota { retry_after } => Rejection::RateLimited { retry_after: retry_after.unwrap_or(Span::MAX) },
            Denial::StoreDown => Rejection::QuotaStoreDown,
        }
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Rejection {
        match refusal {
            Refusal::Nobody => Rejection::NoReadyInstance,
            Refusal::Full => Rejection::QueueFull,
            Refusal::Shed => Rejection::Shed,
        }
    }
}

/// The earlier of two wakes.
trait MinByTime {
    fn min_by_time(self, other: Self) -> Self;
}

impl MinByTime for (Time, Wake) {
    fn min_by_time(self, other: Self) -> Self {
        if other.0 < self.0 { other } else { self }
    }
}

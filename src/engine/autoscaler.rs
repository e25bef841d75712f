//! The autoscaler: how many instances should there be?
//!
//! Every `interval` it looks at metrics and fleet, and answers with a [`Decision`] that says why. Threshold
//! [`rules`] say "one more" or "one fewer" when a condition has held; [`Policy`]s say "so many". A change passes
//! fixed stages, each of which leaves its input, output and reason:
//!
//! ```text
//! rules, policies ──▶ stabilise ──▶ rate-limit ──▶ bounds ──▶ guards ──▶ decision
//!   highest wins       windows,      cooldowns     min..max   hold only
//!                    anti-flapping
//! ```
//!
//! Principles, each learned from an outage of somebody's:
//!
//! - At most one change a tick. Of rules that are ripe and free the one with the highest priority acts; of it and the
//!   policies, the highest number counts.
//! - No scale-down while any scale-up rule's condition holds, ripe or not, cooling or not, whatever the priorities.
//! - Missing data removes nothing by itself: no value, no scale-down; no ready instance is an outage, not idleness.
//!   (A rule that says `missing = "breach"` says otherwise.)
//! - A fleet outside `min..=max` is brought back at once, past every cooldown and guard.
//! - A person's order respects the bounds and nothing else, and starts the cooldowns.
//!
//! It does not launch, drain or choose instances, replaces no unhealthy ones (a replacement is no scaling action),
//! collects no metrics, and does not own the breaker that a rule may force open.

pub mod adjustment;
pub mod alarm;
pub mod aws_target_tracking;
pub mod azure;
pub mod gcp;
pub mod hpa;
pub mod keda;
pub mod kpa;
pub mod nomad;
pub mod policy;
pub mod predictive;
pub mod queueing;
pub mod rules;
pub mod schedule;
pub mod simple;
pub mod sizing;
pub mod slo;
pub mod step;
pub mod target_tracking;

mod cause;
mod cooldown;
mod decision;
mod evidence;
mod guards;
mod nearest;
mod projection;
mod proposal;
mod stabilize;
mod streak;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;

pub use cooldown::CooldownFrom;
pub use decision::{Decision, Firing, Held};
pub use evidence::Evidence;
pub use guards::Guards;
pub use nearest::Nearest;
pub use policy::Policy;

use crate::engine::events::{Block, Wish};
use crate::engine::forecast::foresight::Bound;
use crate::engine::hold;
use crate::engine::metrics::{Aggregate, FleetCounts, Metric, Observed, Reading};
use crate::units::{Span, Time};
use cooldown::Cooldowns;
use guards::Hold;
use policy::{Recommendation, Recommender};
use predictive::Pace;
use proposal::{Bounds, Proposal, Source, stage};
use rules::{Action, Rule};

/// Which way a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// More instances.
    Up,
    /// Fewer instances.
    Down,
}

impl Direction {
    /// The way from `from` to `to`; `None` if they are equal.
    pub fn of(from: u32, to: u32) -> Option<Direction> {
        match to.cmp(&from) {
            std::cmp::Ordering::Greater => Some(Direction::Up),
            std::cmp::Ordering::Less => Some(Direction::Down),
            std::cmp::Ordering::Equal => None,
        }
    }
}

/// Settings of the autoscaler.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Fewest instances; default 1. From 0 only what looks at the whole service can start again: requests per second,
    /// or a total that counts requests that wait at the gateway.
    pub min: u32,
    /// Most instances; default 10. A maximum below `min` counts as `min`.
    pub max: u32,
    /// Time between evaluations; default 15 s, less than 1 ms counts as 1 ms. Too short reacts to noise, too long
    /// adds its length to every delay.
    pub interval: Span,
    /// Least time from one scale-up to the next; default 0.
    pub scale_up_cooldown: Span,
    /// Least time from any change to a scale-down; default 0.
    pub scale_down_cooldown: Span,
    /// From when the two are counted after a scale-up.
    pub cooldown_from: CooldownFrom,
    /// How long a metric may be missing before it is forgotten, beyond the metrics' own delay; `None`, the default,
    /// is four intervals (or scrapes, if those are longer).
    pub max_staleness: Option<Span>,
    /// Whether scale-up rules count the instances that are coming; default true.
    pub piling_on_guard: bool,
    /// Whether the guards may hold a scale-down; default true. The systems that policies are taken from have none.
    pub scale_down_guards: bool,
    /// Share of refused requests above which nothing is removed, 0..1; default 0.01.
    pub shed_tolerance: f64,
    /// Threshold rules, in the order of declaration.
    pub rules: Vec<rules::Config>,
    /// Policies, in the order of declaration.
    pub policies: Vec<Policy>,
    /// How metrics reach the autoscaler.
    pub metrics: MetricsPipeline,
    /// Whether requests wait while there is no instance, or no room where a policy has it so; `None`, the default, refuses them.
    pub hold: Option<hold::Config>,
}

impl Config {
    /// The values of metrics that rules and policies act on: who, the metric, a sign ("=" for a target, a comparison for a
    /// threshold), the value in the metric's unit.
    pub fn thresholds(&self) -> Vec<(&str, Metric, &'static str, f64)> {
        let rules = self.rules.iter().filter(|rule| rule.enabled);
        let rules = rules.map(|rule| (rule.name.as_str(), rule.metric, rule.operator.symbol(), rule.threshold));
        let policies = self.policies.iter().flat_map(|policy| {
            policy.thresholds().into_iter().map(|(metric, sign, value)| (policy.name(), metric, sign, value))
        });
        rules.chain(policies).collect()
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            min: 1,
            max: 10,
            interval: Span::from_secs(15),
            scale_up_cooldown: Span::ZERO,
            scale_down_cooldown: Span::ZERO,
            cooldown_from: CooldownFrom::default(),
            max_staleness: None,
            piling_on_guard: true,
            scale_down_guards: true,
            shed_tolerance: 0.01,
            rules: Vec::new(),
            policies: Vec::new(),
            metrics: MetricsPipeline::default(),
            hold: None,
        }
    }
}

/// How metrics reach the autoscaler: sampled every `scrape` over the last `window`, and seen `delay` later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsPipeline {
    /// What a sample averages over; default 60 s.
    pub window: Span,
    /// How old the newest sample is when it arrives; default 0.
    pub delay: Span,
    /// Time between samples; `None`, the default, is the evaluation interval.
    pub scrape: Option<Span>,
}

impl Default for MetricsPipeline {
    fn default() -> MetricsPipeline {
        MetricsPipeline { window: Span::from_secs(60), delay: Span::ZERO, scrape: None }
    }
}

impl Config {
    fn pace(&self) -> Pace {
        let scrape = self.metrics.scrape.unwrap_or(self.interval);
        Pace { interval: self.interval, scrape, delay: self.metrics.delay }
    }

    /// The age at which a sample is no longer one: delay plus staleness limit.
    fn max_age(&self) -> Span {
        let longer = self.interval.max(self.metrics.scrape.unwrap_or(Span::ZERO));
        let staleness = self.max_staleness.unwrap_or(Span(longer.0.saturating_mul(4)));
        Span(staleness.0.saturating_add(self.metrics.delay.0))
    }
}

/// A person's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manual {
    /// So many more.
    Up(u32),
    /// So many fewer.
    Down(u32),
    /// This many.
    To(u32),
}

/// A sample that is not too old.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fresh {
    value: f64,
    sampled_at: Time,
}

impl Fresh {
    fn of(reading: Reading, now: Time, max_age: Span) -> Option<Fresh> {
        match reading {
            Reading::Present { value, sampled_at } if now.since(sampled_at) <= max_age => {
                Some(Fresh { value, sampled_at })
            }
            _ => None,
        }
    }
}

/// What a policy may look at in one tick.
#[derive(Clone, Copy, Debug)]
struct Sight<'a> {
    now: Time,
    observed: &'a Observed,
    /// The age at which a sample is no longer one.
    max_age: Span,
}

impl Sight<'_> {
    fn fleet(&self) -> FleetCounts {
        self.observed.fleet
    }

    fn fresh(&self, metric: Metric, aggregate: Aggregate) -> Option<Fresh> {
        Fresh::of(self.observed.get(metric, aggregate), self.now, self.max_age)
    }
}

/// The autoscaler of one service.
#[derive(Clone, Debug)]
pub struct Autoscaler {
    config: Config,
    rules: Vec<Rule>,
    policies: Vec<Recommender>,
    cooldowns: Cooldowns,
    next_tick: Time,
    evaluated_at: Time,
    /// When the pending instances were ordered, the last of them; `None` if none are.
    ordered_at: Option<Time>,
    /// What held each rule at the last tick, in their order.
    blocked: Vec<Vec<Block>>,
    /// The highest floor that was put under everybody at the last tick, and the policy that did.
    floor: Option<(u32, usize)>,
}

impl Autoscaler {
    /// An autoscaler that has seen nothing; it wants its first tick at time zero.
    pub fn new(mut config: Config) -> Autoscaler {
        config.max = config.max.max(config.min);
        config.interval = config.interval.max(Span::from_millis(1));
        let rules: Vec<Rule> = config.rules.iter().filter(|rule| rule.enabled).cloned().map(Rule::new).collect();
        Autoscaler {
            policies: config.policies.iter().map(|policy| Recommender::new(policy.clone(), config.pace())).collect(),
            cooldowns: Cooldowns::new(config.scale_up_cooldown, config.scale_down_cooldown, config.cooldown_from),
            next_tick: Time::ZERO,
            evaluated_at: Time::ZERO,
            ordered_at: None,
            blocked: vec![Vec::new(); rules.len()],
            floor: None,
            rules,
            config,
        }
    }

    /// Its settings, with the rules as they are.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Replaces the rules. One that is the same as before keeps what it remembers.
    pub fn set_rules(&mut self, rules: Vec<rules::Config>) {
        let mut known = std::mem::take(&mut self.rules);
        let kept = |config: &rules::Config| match known.iter().position(|rule| rule.config == *config) {
            Some(place) => known.swap_remove(place),
            None => Rule::new(config.clone()),
        };
        self.rules = rules.iter().filter(|rule| rule.enabled).map(kept).collect();
        self.blocked = vec![Vec::new(); self.rules.len()];
        self.config.rules = rules;
    }

    /// When it next wants a tick: 0, interval, 2 · interval, … Only [`Autoscaler::tick`] moves it.
    pub fn next_wake(&self) -> Time {
        self.next_tick
    }

    /// The moment that an evaluation at `now` is for: the multiple of the interval that it is late for, or the moment at which somebody wanted
    /// one sooner. What has to hold for a while has held for that long there, and not for a millisecond less.
    pub fn due(&self, now: Time) -> Time {
        let multiple = Time(now.0 - now.0 % self.config.interval.0);
        multiple.max(self.next_tick).min(now)
    }

    /// Wants a tick at `now` already: a request waits, and nobody is there. True if there is a policy that cares.
    pub fn poke(&mut self, now: Time) -> bool {
        let cares = self.config.policies.iter().any(Policy::wakes_for_a_request);
        if cares {
            self.next_tick = self.next_tick.min(now);
        }
        cares
    }

    /// Evaluates rules and policies if that is due; too early a call does nothing and changes nothing.
    ///
    /// A late call is one evaluation, not several; the next is due at the following multiple of the interval.
    pub fn tick(&mut self, now: Time, observed: &Observed, guards: &Guards) -> Decision {
        let fleet = observed.fleet;
        let mut decision = Decision::unchanged(fleet.existing);
        if now < self.next_tick {
            return decision;
        }
        self.begin(now, fleet);
        self.look(now, observed);
        decision.opened_breaker = self.fire_due(now, Action::CircuitBreak);
        decision.alerts = self.fire_due(now, Action::Alert);
        let policy = self.recommend(now, observed, guards, &mut decision.wishes);
        let mut proposals = Vec::new();
        if !self.repair(&mut decision) {
            proposals = self.propose(now, fleet, guards, policy.as_ref());
            proposals.extend(policy);
            self.decide(now, &proposals, &mut decision);
        }
        if decision.direction().is_some() {
            for policy in &mut self.policies {
                policy.changed(now, decision.from, decision.to);
            }
        }
        decision.held = self.remember_held(fleet, &proposals);
        self.note_order(now, decision.direction());
        decision
    }

    /// Carries out a person's order within the bounds, regardless of cooldowns and guards, and starts the cooldowns.
    pub fn manual(&mut self, now: Time, fleet: FleetCounts, want: Manual) -> Decision {
        let from = fleet.existing;
        let wanted = match want {
            Manual::Up(n) => from.saturating_add(n),
            Manual::Down(n) => from.saturating_sub(n),
            Manual::To(n) => n,
        };
        let to = self.bounds().apply(wanted);
        if let Some(direction) = Direction::of(from, to) {
            self.cooldowns.start(now, direction);
        }
        self.note_order(now, Direction::of(from, to));
        Decision {
            to,
            rule: (to != from).then(|| "manual".into()),
            cause: format!("{wanted} ordered by hand"),
            stages: vec![
                stage("policy", from, wanted, "ordered by hand".into()),
                stage("bounds", wanted, to, self.bounds().reason(wanted)),
            ],
            ..Decision::unchanged(from)
        }
    }

    /// Learns that everything ordered is ready, from where cooldowns may count ([`CooldownFrom::Ready`]).
    ///
    /// Without this call the first tick that sees nothing pending counts as that moment.
    pub fn ready(&mut self, now: Time) {
        self.cooldowns.ready(now);
    }

    /// The highest load that a policy foretold for now, a lead before \[1/s\]; `None` if none looks ahead, or trusts itself to.
    pub fn foretold(&self) -> Option<Bound> {
        self.policies.iter().filter_map(Recommender::foretold).max_by(|a, b| a.high.total_cmp(&b.high))
    }

    /// Requests that an instance may have at once, where a policy wants the gateway to keep back what is more; `None` if none does.
    pub fn buffer(&self) -> Option<u32> {
        self.policies.iter().filter_map(Recommender::buffer).min()
    }

    /// Why [`Autoscaler::buffer`] is as it is.
    pub fn buffer_cause(&self) -> String {
        let causes: Vec<String> = self.policies.iter().filter_map(Recommender::buffer_cause).collect();
        causes.join("; ")
    }

    fn bounds(&self) -> Bounds {
        Bounds { min: self.config.min, max: self.config.max }
    }

    fn begin(&mut self, now: Time, fleet: FleetCounts) {
        let done = now.0 - now.0 % self.config.interval.0;
        self.next_tick = Time(done).saturating_add(self.config.interval);
        self.evaluated_at = now;
        self.cooldowns.settle(now, fleet);
        // Orders of others, such as replacements, begin when they are seen.
        self.ordered_at = (fleet.pending > 0).then(|| self.ordered_at.unwrap_or(now));
    }

    fn note_order(&mut self, now: Time, direction: Option<Direction>) {
        if direction == Some(Direction::Up) {
            self.ordered_at = Some(now);
        }
    }

    fn look(&mut self, now: Time, observed: &Observed) {
        let max_age = self.config.max_age();
        for rule in &mut self.rules {
            let reading = observed.get(rule.config.metric, rule.config.aggregate);
            rule.observe(now, Fresh::of(reading, now, max_age), max_age);
        }
    }

    /// Fires every rule of `action`, which are not exclusive and know no cooldown but their own.
    fn fire_due(&mut self, now: Time, action: Action) -> Vec<Firing> {
        let due = |rule: &&mut Rule| rule.config.action == action && rule.is_due(now);
        let fire = |rule: &mut Rule| {
            let firing = Firing { rule: rule.config.name.clone(), cause: rule.cause(now) };
            rule.fire(now);
            firing
        };
        self.rules.iter_mut().filter(due).map(fire).collect()
    }

    /// Brings a fleet outside the bounds back at once; true if it was.
    fn repair(&self, decision: &mut Decision) -> bool {
        let from = decision.from;
        let to = self.bounds().apply(from);
        let bound = match Direction::of(from, to) {
            Some(Direction::Up) => "min",
            Some(Direction::Down) => "max",
            None => return false,
        };
        decision.to = to;
        decision.rule = Some(bound.into());
        decision.cause = format!("{from} existing, {}", self.bounds().reason(from));
        decision.stages = vec![stage("bounds", from, to, self.bounds().reason(from))];
        true
    }

    /// The highest recommendation of the policies, capped by those that cap; the first declared, of equals. What each
    /// of them wanted goes to `wishes`.
    fn recommend(
        &mut self,
        now: Time,
        observed: &Observed,
        guards: &Guards,
        wishes: &mut Vec<Wish>,
    ) -> Option<Proposal> {
        let (existing, bounds) = (observed.fleet.existing, self.bounds());
        let sight = Sight { now, observed, max_age: self.config.max_age() };
        let all: Vec<_> = self.policies.iter_mut().map(|policy| policy.recommend(&sight, bounds, guards)).collect();
        let wish = |(policy, (r, _)): (&Recommender, &(Recommendation, _))| Wish {
            policy: policy.name.clone(),
            raw: r.raw,
            wanted: (!r.abstains).then_some(r.limited).or(r.floor),
            cap: r.cap,
            cause: r.cause.clone(),
        };
        // Most ticks are quiet, and nobody reads what was proposed at them.
        let asks = |(r, _): &(Recommendation, _)| {
            r.raw != existing || r.limited != existing || r.cap.is_some() || !r.holds.is_empty()
        };
        let floors = all.iter().enumerate().filter_map(|(i, (r, _))| Some((r.floor?, i)));
        let floor = floors.max_by_key(|&(floor, i)| (floor, Reverse(i)));
        self.floor = floor;
        if all.iter().any(asks) {
            wishes.extend(self.policies.iter().zip(&all).map(wish));
        } else if self.rules.is_empty() {
            return None;
        }
        let cap = wishes.iter().filter_map(|wish| wish.cap).min().unwrap_or(u32::MAX);
        let by_height = |(_, (r, _)): &(usize, &(Recommendation, _))| (r.limited, r.raw);
        let with_opinion = all.iter().enumerate().rev().filter(|(_, (r, _))| !r.abstains);
        // Where nobody has an opinion there is still a cap to be kept to.
        let capping = || all.iter().enumerate().find(|(_, (r, _))| r.cap.is_some_and(|cap| cap < existing));
        let mut found = with_opinion.max_by_key(by_height).or_else(capping);
        // A floor is reached from above as well as from below, but by itself removes nothing.
        if let Some((floor, i)) = floor
            && floor > found.map_or(existing, |(_, (r, _))| r.limited)
        {
            found = Some((i, &all[i]));
        }
        let (highest, (chosen, timing)) = found?;
        let combined = chosen.limited.min(cap);
        let (mut cause, mut combining) = (chosen.cause.clone(), String::new());
        if !wishes.is_empty() && (all.len() > 1 || combined != chosen.limited) {
            let each = wishes.iter().filter_map(|wish| Some(format!("{} {}", wish.policy, wish.wanted?)));
            let each: Vec<String> = each.collect();
            if each.len() > 1 {
                combining = format!("highest of {}", each.join(", "));
            }
            if let Some(wish) = wishes.iter().find(|wish| combined < chosen.limited && wish.cap == Some(combined)) {
                let and = if combining.is_empty() { "" } else { "; " };
                combining += &format!("{and}capped at {combined} by {}", wish.policy);
            }
            if !combining.is_empty() {
                cause += &format!("; {combining}");
            }
        }
        let mut holds = chosen.holds.clone();
        if let Some(direction) = Direction::of(existing, combined) {
            holds.extend(self.limits(now, observed.fleet, guards, direction));
        }
        Some(Proposal {
            source: Source::Policy(highest),
            name: self.policies[highest].name.clone(),
            raw: chosen.raw,
            steady: chosen.steady,
            limited: chosen.limited,
            combined,
            cause,
            steadying: chosen.steadying.clone(),
            limiting: chosen.limiting.clone(),
            combining,
            observed: chosen.observed.map(|fresh| fresh.value),
            timing: timing.filter(|_| combined != existing),
            holds,
        })
    }

    /// What every ripe scaling rule wants, and what holds it.
    fn propose(&self, now: Time, fleet: FleetCounts, guards: &Guards, policy: Option<&Proposal>) -> Vec<Proposal> {
        let propose = |(index, rule): (usize, &Rule)| {
            let direction = rule.config.action.direction().filter(|_| rule.is_ripe())?;
            let raw = rule.config.step.apply(fleet.existing, direction)?;
            let mut holds: Vec<Hold> = rule.cooling(now).into_iter().collect();
            holds.extend(self.limits(now, fleet, guards, direction));
            let (mut steady, mut steadying) = (raw, "the condition has held long enough".to_string());
            match direction {
                Direction::Up => holds.extend(self.piling_on(now, rule, fleet, guards)),
                Direction::Down => {
                    holds.extend(policy.filter(|p| p.combined >= fleet.existing).map(Proposal::as_hold));
                    let lowest = raw.max(self.floor.map_or(0, |(floor, _)| floor));
                    if let Some((wants, i)) = self.floor.filter(|(floor, _)| *floor >= fleet.existing) {
                        holds.push(Hold::Policy { name: self.policies[i].name.clone(), wants });
                    } else {
                        match self.calm_size(rule, fleet, lowest) {
                            Ok(size) if size == raw => {}
                            Ok(size) if size == lowest => {
                                steady = size;
                                steadying = format!("{size} is the predictive floor");
                            }
                            Ok(size) => {
                                steady = size;
                                steadying = format!("anti-flapping: {size} is the smallest size that trips nothing");
                            }
                            Err(hold) => holds.push(hold),
                        }
                    }
                }
            }
            Some(Proposal {
                source: Source::Rule(index),
                name: rule.config.name.clone(),
                raw,
                steady,
                limited: steady,
                combined: steady,
                cause: rule.cause(now),
                steadying,
                limiting: String::new(),
                combining: String::new(),
                observed: rule.value,
                timing: rule.timing(now),
                holds,
            })
        };
        self.rules.iter().enumerate().filter_map(propose).collect()
    }

    /// What holds any change in `direction`, whoever wants it.
    fn limits(&self, now: Time, fleet: FleetCounts, guards: &Guards, direction: Direction) -> Vec<Hold> {
        let mut holds: Vec<Hold> = self.cooldowns.hold(now, direction).into_iter().collect();
        match direction {
            Direction::Up => holds.extend((fleet.existing >= self.config.max).then_some(Hold::Max(self.config.max))),
            Direction::Down => {
                holds.extend((fleet.existing <= self.config.min).then_some(Hold::Min(self.config.min)));
                let contradicts = |r: &&Rule| r.config.action == Action::ScaleUp && r.is_suspected();
                let contradiction = self.rules.iter().find(contradicts);
                holds.extend(contradiction.map(|r| Hold::Contradiction { rule: r.config.name.clone() }));
                if self.config.scale_down_guards {
                    holds.extend(guards.against_scale_down(fleet, self.config.shed_tolerance));
                }
            }
        }
        holds
    }

    fn piling_on(&self, now: Time, rule: &Rule, fleet: FleetCounts, guards: &Guards) -> Option<Hold> {
        if !self.config.piling_on_guard {
            return None;
        }
        let wait_until = self.ordered_at.zip(guards.expected_boot).map(|(at, boot)| at.saturating_add(boot));
        guards::piling_on(&rule.config, rule.value, now, fleet, wait_until)
    }

    /// The smallest size from `to` up at which `rule`'s metric would trip no scale-up rule.
    fn calm_size(&self, rule: &Rule, fleet: FleetCounts, to: u32) -> Result<u32, Hold> {
        let metric = rule.config.metric;
        if !metric.is_load_proportional() || rule.config.aggregate == Aggregate::Sum {
            return Ok(to);
        }
        let projected = |up: &Rule, after| up.value.map(|value| projection::project(value, fleet.ready, after));
        let trips = |after: u32| {
            let is_up = |r: &&Rule| r.config.metric == metric && r.config.aggregate != Aggregate::Sum;
            let ups = self.rules.iter().filter(is_up).filter(|r| r.config.action == Action::ScaleUp);
            ups.filter_map(|up| Some((up, projected(up, after)?)))
                .find(|(up, value)| up.config.operator.holds(*value, up.config.threshold))
        };
        let calm = projection::smallest_calm_size(fleet.existing, fleet.ready, to, |after| trips(after).is_some());
        // The largest size below the present one is the mildest change; if even that trips, it is the reason.
        calm.ok_or_else(|| {
            let size = fleet.existing.saturating_sub(1);
            let (rule, projected) =
                trips(fleet.ready.min(size)).map(|(up, value)| (up.config.name.clone(), value)).unwrap_or_default();
            Hold::Flapping { projected, unit: metric.unit(), size, rule }
        })
    }

    /// Lets the highest of the best rule and the policies act.
    fn decide(&mut self, now: Time, proposals: &[Proposal], decision: &mut Decision) {
        let from = decision.from;
        let mut best: Option<&Proposal> = None;
        let order = |p: &&Proposal| match p.source {
            Source::Rule(i) => (Reverse(self.rules[i].config.priority), Direction::of(from, p.combined), i),
            Source::Policy(i) => (Reverse(0), None, i),
        };
        let (by_rule, by_policy): (Vec<&Proposal>, Vec<&Proposal>) =
            proposals.iter().partition(|p| matches!(p.source, Source::Rule(_)));
        if let Some(rule) = by_rule.into_iter().filter(|p| p.is_free()).min_by_key(order) {
            best = Some(rule);
        }
        if let Some(&policy) = by_policy.first() {
            let higher = best.is_none_or(|rule| policy.combined > rule.combined);
            if higher && (policy.is_free() || best.is_none()) {
                best = Some(policy);
            }
        }
        let Some(winner) = best.filter(|winner| !winner.is_idle(from)) else { return };
        decision.stages = winner.stages(from, self.bounds());
        decision.to = decision.stages.last().map_or(from, |last| last.output);
        decision.cause.clone_from(&winner.cause);
        let Some(direction) = decision.direction() else { return };
        decision.rule = Some(winner.name.clone());
        decision.timing = winner.timing;
        decision.observed = winner.observed;
        self.acted(now, winner.source, direction);
    }

    /// Starts the clocks that an action starts.
    fn acted(&mut self, now: Time, source: Source, direction: Direction) {
        self.cooldowns.start(now, direction);
        match source {
            Source::Rule(index) => self.rules[index].fire(now),
            Source::Policy(index) => self.policies[index].acted(),
        }
        for rule in &mut self.rules {
            if rule.config.action.direction().is_some_and(|d| d != direction) {
                rule.restart(now);
            }
        }
    }

    /// Tells who was held, and notes it for the next tick and for [`Autoscaler::nearest`].
    fn remember_held(&mut self, fleet: FleetCounts, proposals: &[Proposal]) -> Vec<Held> {
        let of = |source: Source| proposals.iter().find(|p| p.source == source && !p.is_free());
        let mut held = Vec::new();
        let mut note = |remembered: &mut guards::Remembered, proposal: Option<&Proposal>| -> Vec<Block> {
            let holds = proposal.map_or(&[][..], |p| &p.holds);
            let changed = remembered.changed(holds);
            let blocked: Vec<Block> = holds.iter().map(Hold::block).collect();
            held.extend(proposal.map(|p| Held {
                rule: p.name.clone(),
                from: fleet.existing,
                to: if p.combined == fleet.existing { p.raw } else { p.combined },
                blocked: blocked.clone(),
                cause: p.cause.clone(),
                changed,
            }));
            blocked
        };
        for (index, rule) in self.rules.iter_mut().enumerate() {
            self.blocked[index] = note(&mut rule.held, of(Source::Rule(index)));
        }
        for (index, policy) in self.policies.iter_mut().enumerate() {
            note(&mut policy.held, of(Source::Policy(index)));
        }
        held
    }
}

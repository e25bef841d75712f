//! What an autoscaler's settings lead to, found out before any run: the checks of `wavetank validate`.
//!
//! Instead of formulas for each kind of policy, the autoscaler itself is put on a smooth load ([`fluid`]) and asked:
//!
//! - How long from the fewest instances to the most, when load explodes?
//! - What is the steepest rise of load that it survives?
//! - On a staircase of constant loads, up and down: where does it flap, and where does it stay overloaded although there could be
//!   more instances (a dead zone)?
//! - How much later is a rise answered that comes right after a change (cooldowns that block a rescue)?
//! - Does it order more because instances take long to boot than it would if they came at once?
//! - Which rules, alarms and targets can never make it act, because no value of the metric is past them?
//!
//! Schedules are left out: they follow the clock. The answers hold for a load without noise on instances at full speed, so they are bounds from the friendly side.

pub mod fluid;

#[cfg(test)]
mod tests;

use crate::engine::autoscaler::rules::{Action, Operator, Step};
use crate::engine::autoscaler::{Config, Direction, Policy, alarm, hpa, keda, nomad};
use crate::engine::metrics::{Aggregate, Metric};
use crate::units::{Span, Time};
use fluid::{Change, Facts, Fluid};

/// What the settings lead to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// From the fewest to the most instances; `None` if there is no room between them, or nothing that looks at load.
    pub climb: Option<Climb>,
    /// The steepest rise of load that it survives; `None` like `climb`.
    pub ramp: Option<Ramp>,
    /// Loads at which it does not come to rest.
    pub flapping: Vec<Flapping>,
    /// Loads that are too much for the instances it settles on, although there could be more.
    pub dead_zones: Vec<DeadZone>,
    /// What a change costs the next one.
    pub rescue: Option<Rescue>,
    /// What it orders too much while instances boot.
    pub overshoot: Option<Overshoot>,
    /// Rules, alarms and targets that can never make it act, with the reason.
    pub never: Vec<(String, String)>,
}

/// The way from the fewest instances to the most when load explodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Climb {
    /// Fewest.
    pub from: u32,
    /// Most that were reached.
    pub to: u32,
    /// Until the first order; `None`: there was none in a day.
    pub first: Option<Span>,
    /// Until the last instance was ready; `None`: the most were not reached in a day.
    pub all: Option<Span>,
}

/// How steeply load may rise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// Where the rise begins \[1/s\].
    pub from_rps: f64,
    /// Where it ends \[1/s\].
    pub to_rps: f64,
    /// The steepest at which capacity is never short \[1/s²\]; 0 if it always is, infinite if it never is.
    pub steepest: f64,
}

/// A constant load on which the size goes up and down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flapping {
    /// The load \[1/s\].
    pub rps: f64,
    /// The smallest and the largest size.
    pub sizes: (u32, u32),
    /// Changes of direction in an hour.
    pub reversals_per_hour: f64,
}

/// A range of constant loads that stay too much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeadZone {
    /// The lowest and the highest \[1/s\].
    pub rps: (f64, f64),
    /// Instances it stays on at the highest.
    pub instances: u32,
    /// Load over capacity there.
    pub load: f64,
}

/// Orders beyond what a jump of load takes, because those that boot do not count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overshoot {
    /// The load after the jump \[1/s\].
    pub rps: f64,
    /// The most instances there are.
    pub instances: u32,
    /// The most there would be if instances came at once.
    pub at_once: u32,
}

/// The time until a rise of load is answered by a first order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rescue {
    /// After a quiet time.
    pub calm: Span,
    /// When load rises again at the moment of a scale-up; `None`: nothing was ordered within an hour.
    pub after_scale_up: Option<Span>,
    /// When it comes at the moment of a scale-down; `None`: the same, or nothing was ever removed.
    pub after_scale_down: Option<Span>,
}

/// Every answer, for a fleet of instances like `facts` under the autoscaler `config`. `peak_rps` is the highest load that is known
/// to come.
pub fn outlook(config: &Config, facts: Facts, peak_rps: Option<f64>) -> Outlook {
    // Schedules follow the clock: what load does is asked of the others.
    let mut reactive = config.clone();
    reactive.policies.retain(|policy| !matches!(policy, Policy::Schedule(_)));
    let looks = !(reactive.rules.is_empty() && reactive.policies.is_empty());
    let has_room = looks && config.max > config.min && facts.capacity_rps > 0.0;
    let stage = Staging { config: &reactive, facts };
    let (flapping, dead_zones) = if has_room { stage.stairs() } else { (Vec::new(), Vec::new()) };
    Outlook {
        climb: has_room.then(|| stage.climb()),
        ramp: has_room.then(|| stage.ramp()),
        flapping,
        dead_zones,
        rescue: if has_room { stage.rescue() } else { None },
        overshoot: if has_room { stage.overshoot() } else { None },
        never: never(config, &facts, peak_rps),
    }
}

/// What the questions are asked of.
#[derive(Clone, Copy)]
struct Staging<'a> {
    config: &'a Config,
    facts: Facts,
}

const HOUR: Span = Span::from_mins(60);

impl Staging<'_> {
    fn fewest(&self) -> u32 {
        self.config.min.max(1)
    }

    /// The load that takes `share` of the capacity of so many instances.
    fn load(&self, instances: u32, share: f64) -> f64 {
        f64::from(instances) * self.facts.capacity_rps * share
    }

    /// The service after an hour at a load of `rps`, begun with the fewest instances.
    fn settled(&self, rps: f64) -> Fluid {
        let mut fluid = Fluid::new(self.config, self.facts, self.config.min);
        fluid.run(Time::ZERO + HOUR, |_| rps, |_, _| true);
        fluid
    }

    fn climb(&self) -> Climb {
        let mut fluid = self.settled(self.load(self.config.min, 0.3));
        let (start, max) = (fluid.now(), self.config.max);
        let (from, rps) = (fluid.existing(), self.load(max, 10.0));
        let (mut first, mut all) = (None, None);
        fluid.run(
            start + HOUR * 24,
            |_| rps,
            |fluid, change| {
                if change.is_some() {
                    first = first.or(Some(fluid.now().since(start)));
                }
                if fluid.capacity_rps() >= self.load(max, 1.0) * 0.999 {
                    all = Some(fluid.now().since(start));
                }
                all.is_none()
            },
        );
        Climb { from, to: fluid.existing(), first, all }
    }

    fn ramp(&self) -> Ramp {
        let (from_rps, to_rps) = (self.load(self.fewest(), 0.5), self.load(self.config.max, 0.95));
        let rise = to_rps - from_rps;
        let settled = self.settled(from_rps);
        let start = settled.now();
        let survives = |slope: f64| {
            let load = |at: Time| (from_rps + slope * at.since(start).as_secs_f64()).min(to_rps);
            let mut enough = true;
            let mut fluid = settled.clone();
            fluid.run(start + Span::from_secs_f64(rise / slope) + Span::from_secs(1), load, |fluid, _| {
                enough = fluid.overload() <= 1.0 + 1e-9;
                enough
            });
            enough
        };
        // Between two days for the whole rise and one second.
        let (mut low, mut high) = (rise / (2.0 * 86_400.0), rise);
        let steepest = if survives(high) {
            f64::INFINITY
        } else if !survives(low) {
            0.0
        } else {
            for _ in 0..24 {
                let middle = (low * high).sqrt();
                if survives(middle) { low = middle } else { high = middle }
            }
            low
        };
        Ramp { from_rps, to_rps, steepest }
    }

    /// A staircase of constant loads, up and then down.
    fn stairs(&self) -> (Vec<Flapping>, Vec<DeadZone>) {
        const STEPS: u32 = 40;
        let length = (self.config.interval * 360).clamp(Span::from_mins(20), Span::from_mins(90));
        let (low, high) = (self.load(self.fewest(), 0.1), self.load(self.config.max, 0.95));
        let level = |step: u32| low + (high - low) * f64::from(step) / f64::from(STEPS);
        let mut fluid = self.settled(low);
        let (mut flapping, mut stuck): (Vec<Flapping>, Vec<Option<DeadZone>>) = (Vec::new(), Vec::new());
        for (step, rising) in (0..=STEPS).map(|s| (s, true)).chain((0..STEPS).rev().map(|s| (s, false))) {
            let rps = level(step);
            let (start, third) = (fluid.now(), Span(length.0 / 3));
            let mut seen: Vec<Change> = Vec::new();
            fluid.run(
                start + length,
                |_| rps,
                |fluid, change| {
                    seen.extend(change.filter(|_| fluid.now().since(start) >= third));
                    true
                },
            );
            let watched = Span(length.0 - third.0).as_secs_f64() / 3600.0;
            flapping.extend(reversals(&seen).map(|(count, sizes)| Flapping {
                rps,
                sizes,
                reversals_per_hour: f64::from(count) / watched,
            }));
            let overload = rps / fluid.capacity_rps();
            let could_grow = fluid.existing() < self.config.max;
            if rising {
                let zone = DeadZone { rps: (rps, rps), instances: fluid.existing(), load: overload };
                stuck.push((overload > 1.0 && could_grow && seen.is_empty()).then_some(zone));
            }
        }
        (flapping, joined(stuck))
    }

    /// A jump to what the fewest instances can just carry, so that nothing piles up, with the boot that there is and with none.
    fn overshoot(&self) -> Option<Overshoot> {
        let rps = self.load(self.fewest(), 0.85);
        let most = |facts: Facts| {
            let mut fluid = Staging { config: self.config, facts }.settled(self.load(self.fewest(), 0.4));
            let until = fluid.now() + HOUR;
            let mut most = fluid.existing();
            fluid.run(
                until,
                |_| rps,
                |fluid, _| {
                    most = most.max(fluid.existing());
                    true
                },
            );
            most
        };
        let (instances, at_once) = (most(self.facts), most(Facts { boot: Span::ZERO, ..self.facts }));
        (instances > at_once).then_some(Overshoot { rps, instances, at_once })
    }

    fn rescue(&self) -> Option<Rescue> {
        // The size in the middle, and room above it.
        let middle = self.fewest() + (self.config.max - self.fewest()) / 4;
        let base = self.load(middle, 0.6);
        let settled = self.settled(base);
        let answered = |mut fluid: Fluid, rps: f64| {
            let start = fluid.now();
            let mut after = None;
            fluid.run(
                start + HOUR,
                |_| rps,
                |fluid, change| {
                    after = change.filter(|c| c.to > c.from).map(|_| fluid.now().since(start));
                    after.is_none()
                },
            );
            (after, fluid)
        };
        // A rise that is more than what there is can carry.
        let above = |fluid: &Fluid, factor: f64| self.load(fluid.existing().max(1), factor);
        let rise = above(&settled, 1.5);
        let (calm, grown) = answered(settled.clone(), rise);
        let next = above(&grown, 3.0);
        let after_scale_up = answered(grown, next).0;
        let mut shrinking = settled;
        let mut fell = false;
        let until = shrinking.now() + HOUR * 3;
        shrinking.run(
            until,
            |_| base * 0.1,
            |_, change| {
                fell |= change.is_some_and(|c| c.to < c.from);
                !fell
            },
        );
        let back = above(&shrinking, 1.5);
        let after_scale_down = if fell { answered(shrinking, back).0 } else { None };
        Some(Rescue { calm: calm?, after_scale_up, after_scale_down })
    }
}

/// How often `changes` change direction, and the sizes they move between; `None` for fewer than two.
fn reversals(changes: &[Change]) -> Option<(u32, (u32, u32))> {
    let ways: Vec<Direction> = changes.iter().filter_map(|c| Direction::of(c.from, c.to)).collect();
    let count = ways.windows(2).filter(|pair| pair[0] != pair[1]).count() as u32;
    let sizes = || changes.iter().flat_map(|c| [c.from, c.to]);
    (count >= 2).then(|| (count, (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0))))
}

/// Neighbouring stairs that are stuck, as ranges.
fn joined(stuck: Vec<Option<DeadZone>>) -> Vec<DeadZone> {
    let mut zones: Vec<DeadZone> = Vec::new();
    let mut open = false;
    for zone in stuck {
        match (zone, zones.last_mut()) {
            (Some(zone), Some(last)) if open => *last = DeadZone { rps: (last.rps.0, zone.rps.1), ..zone },
            (Some(zone), _) => zones.push(zone),
            (None, _) => {}
        }
        open = zone.is_some();
    }
    zones
}

/// Rules, alarms and targets whose condition no value can meet, or whose step leads nowhere.
fn never(config: &Config, facts: &Facts, peak_rps: Option<f64>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for rule in config.rules.iter().filter(|rule| rule.enabled) {
        let condition = (rule.metric, rule.aggregate, rule.operator, rule.threshold);
        let by_step = match (rule.action, rule.step) {
            (Action::ScaleUp, Step::To(n)) if n <= config.min => {
                Some(format!("to {n} is no more than min {}", config.min))
            }
            (Action::ScaleDown, Step::To(n)) if n >= config.max => {
                Some(format!("to {n} is no less than max {}", config.max))
            }
            (Action::ScaleUp | Action::ScaleDown, _) if config.min == config.max => {
                Some(format!("min and max are both {}", config.min))
            }
            _ => None,
        };
        let reason = by_step.or_else(|| out_of_reach(condition, facts, peak_rps));
        found.extend(reason.map(|reason| (rule.name.clone(), reason)));
    }
    for (name, condition) in config.policies.iter().flat_map(|policy| conditions(policy, facts)) {
        found.extend(out_of_reach(condition, facts, peak_rps).map(|reason| (name, reason)));
    }
    found
}

/// A metric, and the value that it has to be past.
type Condition = (Metric, Aggregate, Operator, f64);

/// What has to hold for a policy to act: each of its alarms and rules, or for a target that it is exceeded.
fn conditions(policy: &Policy, facts: &Facts) -> Vec<(String, Condition)> {
    let name = policy.name().to_string();
    let of_alarm = |alarm: &alarm::Config| (alarm.metric, alarm.aggregate, alarm.operator, alarm.threshold);
    let above = |metric: Metric, target: f64| (metric, Aggregate::Avg, Operator::Gt, target);
    // What the whole service has is shared among instances: its target alone says nothing of the load that exceeds it.
    let exceeded = |metric: Metric, target: f64| metric.is_per_instance().then(|| above(metric, target));
    let resource = |resource: hpa::Resource, target: hpa::ResourceTarget, tolerance: f64| {
        let (metric, has) = match resource {
            hpa::Resource::Cpu => (Metric::CpuUtilization, facts.size.cpu_cores),
            hpa::Resource::Memory => (Metric::MemoryUtilization, facts.size.memory_bytes),
        };
        let percent = match target {
            hpa::ResourceTarget::Utilization(percent) => f64::from(percent),
            hpa::ResourceTarget::AverageValue(amount) => amount / has * 100.0,
        };
        above(metric, percent * (1.0 + tolerance))
    };
    let several = |all: Vec<Condition>| all.into_iter().map(|condition| (name.clone(), condition)).collect();
    let numbered = |all: Vec<Condition>| {
        (1..).zip(all).map(|(i, condition)| (format!("rule {i} of {name}"), condition)).collect()
    };
    match policy {
        Policy::Step(policy) => several(vec![of_alarm(&policy.alarm)]),
        Policy::Simple(policy) => several(vec![of_alarm(&policy.alarm)]),
        Policy::Azure(policy) => numbered(
            policy.rules.iter().map(|rule| (rule.metric, rule.aggregate, rule.operator, rule.threshold)).collect(),
        ),
        Policy::TargetTracking(policy) => {
            several(exceeded(policy.metric, policy.target * (1.0 + policy.tolerance)).into_iter().collect())
        }
        Policy::AwsTargetTracking(policy) => several(exceeded(policy.metric, policy.target).into_iter().collect()),
        Policy::Gcp(policy) => {
            several(policy.signals.iter().filter_map(|signal| exceeded(signal.metric, signal.target)).collect())
        }
        Policy::Nomad(policy) => several(match policy.strategy {
            nomad::Strategy::TargetValue { target, threshold, .. } => {
                let exceeds = (policy.metric, policy.aggregate, Operator::Gt, target * (1.0 + threshold));
                policy.metric.is_per_instance().then_some(exceeds).into_iter().collect()
            }
            nomad::Strategy::Threshold { lower_bound, upper_bound, .. } => {
                let lower = lower_bound.map(|x| (policy.metric, policy.aggregate, Operator::Gte, x));
                let upper = upper_bound.map(|x| (policy.metric, policy.aggregate, Operator::Lt, x));
                lower.into_iter().chain(upper).collect()
            }
        }),
        Policy::Hpa(policy) => {
            let up = policy.behavior.as_ref().and_then(|behavior| behavior.scale_up.tolerance);
            let tolerance = up.unwrap_or(policy.tolerance);
            let condition = |spec: &hpa::MetricSpec| match spec {
                hpa::MetricSpec::Resource { resource: which, target, .. } => {
                    Some(resource(*which, *target, tolerance))
                }
                hpa::MetricSpec::Pods { metric, average_value } => {
                    exceeded(*metric, average_value * (1.0 + tolerance))
                }
                hpa::MetricSpec::External { .. } => None,
            };
            several(policy.metrics.iter().filter_map(condition).collect())
        }
        Policy::Keda(policy) => {
            let condition = |trigger: &keda::Trigger| {
                let which = match trigger.metric {
                    Metric::MemoryUtilization => hpa::Resource::Memory,
                    Metric::CpuUtilization => hpa::Resource::Cpu,
                    _ => return None,
                };
                let target = match trigger.metric_type {
                    keda::MetricType::Utilization => hpa::ResourceTarget::Utilization(trigger.threshold as u32),
                    _ => hpa::ResourceTarget::AverageValue(trigger.threshold),
                };
                Some(resource(which, target, 0.1))
            };
            several(policy.triggers.iter().filter_map(condition).collect())
        }
        // It counts what waits at the gateway as well, which has room for more than an instance.
        Policy::Kpa(_) => Vec::new(),
        // No threshold is theirs: any load, or the clock, makes them act.
        Policy::Schedule(_) | Policy::Queueing(_) | Policy::Predictive(_) | Policy::Slo(_) => Vec::new(),
    }
}

/// Why no value is past a threshold.
fn out_of_reach(
    (metric, aggregate, operator, threshold): Condition,
    facts: &Facts,
    peak_rps: Option<f64>,
) -> Option<String> {
    if metric.is_per_instance() && aggregate == Aggregate::Sum {
        return None;
    }
    let inside = facts.queue.map(|queue| facts.servers + f64::from(queue));
    let memory = |active: f64| facts.memory.map(|m| (m.base + m.per_request * active) / m.limit * 100.0);
    let (least, most) = match metric {
        Metric::CpuUtilization => (0.0, Some(facts.cpu_percent)),
        Metric::ActiveConnections => (0.0, inside),
        Metric::QueueLength => (0.0, facts.queue.map(f64::from)),
        Metric::MemoryUtilization => (memory(0.0)?, inside.and_then(memory)),
        Metric::RequestsPerSecond => (0.0, peak_rps),
        _ => return None,
    };
    let unit = metric.unit().suffix();
    let shown = |x: f64| format!("{}{unit}", (x * 10.0).round() / 10.0);
    // A hundredth of a percent is rounding.
    match operator {
        Operator::Gt | Operator::Gte => {
            let most = most.filter(|most| !operator.holds(most * (1.0 + 1e-4), threshold))?;
            Some(format!("{metric} is never more than {}, its threshold is {}", shown(most), shown(threshold)))
        }
        Operator::Lt | Operator::Lte => {
            let low = !operator.holds(least * (1.0 - 1e-4), threshold);
            low.then(|| {
                format!("{metric} is never less than {}, its threshold is {}", shown(least), shown(threshold))
            })
        }
    }
}

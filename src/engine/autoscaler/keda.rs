//! Event-driven scaling as KEDA does it: an HPA between one and many, and a switch between none and one.
//!
//! ```text
//!        any trigger active                       value / threshold
//!   0 ───────────────────────▶ max(1, min) ◀────── HPA ──────▶ max
//!   ▲                                │
//!   └── all inactive, for longer than the cooldown: from any number
//! ```
//!
//! A trigger is active while its value is above its activation threshold, strictly; that is looked at every polling interval. The
//! cooldown is only for the last step to zero: between one and many the windows of the HPA hold.
//!
//! The `cpu` and `memory` triggers are left to the HPA, by utilization or by an amount of what each instance has.
//!
//! It does not start jobs: how many jobs to start for a queue (`ScaledJob`) is not the size of a service's fleet.
//!
//! Source: KEDA `pkg/scaling/executor`, `pkg/fallback`, and its documentation of ScaledObjects.

use super::Sight;
use super::guards::Hold;
use super::hpa::{self, Behavior, Hpa, Measured, MetricSpec, MetricTarget, Resource, ResourceTarget};
use super::policy::Recommendation;
use super::proposal::Bounds;
use crate::engine::metrics::{Aggregate, Metric};
use crate::units::{Span, Time};

/// `spec` of a ScaledObject. `minReplicaCount` and `maxReplicaCount` are the autoscaler's `min` and `max`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// `pollingInterval`, at least 1 s; default 30 s.
    pub polling_interval: Span,
    /// `cooldownPeriod`: how long no trigger may have been active before the fleet goes to zero; default 300 s.
    pub cooldown_period: Span,
    /// `initialCooldownPeriod`: how long after the start it does not go to zero at all; default 0.
    pub initial_cooldown_period: Span,
    /// `fallback`: what to do when triggers fail.
    pub fallback: Option<Fallback>,
    /// `advanced.horizontalPodAutoscalerConfig.behavior`.
    pub behavior: Option<Behavior>,
    /// `triggers`, at least one.
    pub triggers: Vec<Trigger>,
}

impl Config {
    /// A ScaledObject with the defaults for everything that has one.
    pub fn new(triggers: Vec<Trigger>) -> Config {
        Config {
            name: "keda".into(),
            polling_interval: Span::from_secs(30),
            cooldown_period: Span::from_secs(300),
            initial_cooldown_period: Span::ZERO,
            fallback: None,
            behavior: None,
            triggers,
        }
    }
}

/// A trigger: a metric that is scaled on, and that says whether there is anything to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trigger {
    /// Where the value comes from. CPU and memory are of the `cpu` and `memory` triggers, which an HPA reads by itself.
    pub metric: Metric,
    /// How values of instances become one; the default is the total.
    pub aggregate: Aggregate,
    /// `threshold`, above 0: the value that one instance, or all, should have. An average value of CPU is in cores, of memory in bytes.
    pub threshold: f64,
    /// `activationThreshold`: above it, strictly, the trigger is active; default 0.
    pub activation_threshold: f64,
    /// `metricType`.
    pub metric_type: MetricType,
}

/// `metricType` of a trigger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricType {
    /// The value is divided among the instances (default).
    #[default]
    AverageValue,
    /// The value is held against the threshold as it is.
    Value,
    /// Percent of what instances request; for CPU and memory, which have this or an average value.
    Utilization,
}

impl MetricType {
    /// Every type, with the name used in scenario files.
    pub const ALL: [(&'static str, MetricType); 3] = [
        ("average_value", MetricType::AverageValue),
        ("value", MetricType::Value),
        ("utilization", MetricType::Utilization),
    ];
}

/// `fallback`: a number of instances for when a trigger cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// `failureThreshold`: it begins when more polls than this have failed in a row.
    pub failure_threshold: u32,
    /// `replicas`.
    pub replicas: u32,
    /// `behavior`.
    pub behavior: FallbackBehavior,
}

/// How a fallback's number and the present one become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FallbackBehavior {
    /// The fallback's (default).
    #[default]
    Static,
    /// The present one.
    CurrentReplicas,
    /// The higher.
    CurrentReplicasIfHigher,
    /// The lower.
    CurrentReplicasIfLower,
}

impl FallbackBehavior {
    /// Every behavior, with the name used in scenario files.
    pub const ALL: [(&'static str, FallbackBehavior); 4] = [
        ("static", FallbackBehavior::Static),
        ("current_replicas", FallbackBehavior::CurrentReplicas),
        ("current_replicas_if_higher", FallbackBehavior::CurrentReplicasIfHigher),
        ("current_replicas_if_lower", FallbackBehavior::CurrentReplicasIfLower),
    ];
}

impl Fallback {
    fn replicas(self, current: u32) -> u32 {
        match self.behavior {
            FallbackBehavior::Static => self.replicas,
            FallbackBehavior::CurrentReplicas => current,
            FallbackBehavior::CurrentReplicasIfHigher => current.max(self.replicas),
            FallbackBehavior::CurrentReplicasIfLower => current.min(self.replicas),
        }
    }
}

impl Trigger {
    /// A trigger on a total, one instance for each `threshold` of it.
    pub fn new(metric: Metric, threshold: f64) -> Trigger {
        let aggregate = if metric.is_per_instance() { Aggregate::Sum } else { Aggregate::Avg };
        Trigger { metric, aggregate, threshold, activation_threshold: 0.0, metric_type: MetricType::default() }
    }

    /// Whether it is a `cpu` or `memory` trigger.
    pub fn is_resource(&self) -> bool {
        matches!(self.metric, Metric::CpuUtilization | Metric::MemoryUtilization)
    }

    fn spec(&self) -> MetricSpec {
        let resource = if self.metric == Metric::MemoryUtilization { Resource::Memory } else { Resource::Cpu };
        match self.metric_type {
            MetricType::Utilization => {
                MetricSpec::resource(resource, ResourceTarget::Utilization(self.threshold as u32))
            }
            MetricType::AverageValue if self.is_resource() => {
                MetricSpec::resource(resource, ResourceTarget::AverageValue(self.threshold))
            }
            MetricType::AverageValue => self.external(MetricTarget::AverageValue(self.threshold)),
            MetricType::Value => self.external(MetricTarget::Value(self.threshold)),
        }
    }

    fn external(&self, target: MetricTarget) -> MetricSpec {
        MetricSpec::External { metric: self.metric, aggregate: self.aggregate, target }
    }
}

/// KEDA with its memory.
#[derive(Clone, Debug)]
pub(super) struct Keda {
    config: Config,
    hpa: Hpa,
    specs: Vec<MetricSpec>,
    /// Polls in a row that failed, by trigger.
    failures: Vec<u32>,
    next_poll: Time,
    /// Whether a trigger was active at the last poll, or failed, and when one last was active without.
    active: bool,
    failed: bool,
    last_active: Option<Time>,
}

impl Keda {
    pub(super) fn new(config: Config) -> Keda {
        let specs: Vec<MetricSpec> = config.triggers.iter().map(Trigger::spec).collect();
        let inner = hpa::Config {
            name: config.name.clone(),
            metrics: specs.clone(),
            behavior: config.behavior.clone(),
            ..hpa::Config::default()
        };
        Keda {
            hpa: Hpa::new(inner),
            specs,
            failures: vec![0; config.triggers.len()],
            next_poll: Time::ZERO,
            active: false,
            failed: false,
            last_active: None,
            config,
        }
    }

    /// Learns that the fleet was changed.
    pub(super) fn changed(&mut self, now: Time, from: u32, to: u32) {
        self.hpa.changed(now, from, to);
    }

    /// What it wants at this tick.
    pub(super) fn recommend(&mut self, sight: &Sight<'_>, bounds: Bounds) -> Recommendation {
        let existing = sight.fleet().existing;
        let polled = sight.now >= self.next_poll;
        if polled {
            let interval = self.config.polling_interval.max(Span(1));
            self.next_poll = Time(sight.now.0 - sight.now.0 % interval.0).saturating_add(interval);
            self.poll(sight);
        }
        if existing == 0 {
            return self.wake(bounds);
        }
        let inner = Bounds { min: bounds.min.max(1), max: bounds.max };
        let measured = self.measured(sight, existing);
        let mut wish = self.hpa.recommend_from(sight, inner, &measured);
        // What cannot be read is no reason to leave: an outage of metrics is not idleness.
        if bounds.min == 0 && !self.active && !self.failed {
            match self.zero_at(sight.now) {
                None if polled => return self.sleep(existing),
                until => {
                    if wish.limited <= 1 && existing == 1 {
                        wish.holds.push(Hold::Rate { limit: "cooldown_period before zero".into(), until });
                    }
                }
            }
        }
        wish
    }

    /// Looks at every trigger: is it active, did it fail?
    fn poll(&mut self, sight: &Sight<'_>) {
        let (mut active, mut failed) = (false, false);
        for (trigger, failures) in self.config.triggers.iter().zip(&mut self.failures) {
            match sight.fresh(trigger.metric, trigger.aggregate) {
                Some(fresh) => {
                    *failures = 0;
                    active |= fresh.value > trigger.activation_threshold;
                }
                None => {
                    *failures = failures.saturating_add(1);
                    failed = true;
                }
            }
        }
        (self.active, self.failed) = (active, failed);
        if active && !failed {
            self.last_active = Some(sight.now);
        }
    }

    /// When the fleet may go to zero; `None` if now.
    fn zero_at(&self, now: Time) -> Option<Time> {
        let since = self.last_active.unwrap_or(Time::ZERO);
        let until = since.saturating_add(self.config.cooldown_period);
        let initial = Time::ZERO.saturating_add(self.config.initial_cooldown_period);
        let over = until < now && initial <= now;
        (!over).then(|| until.max(initial))
    }

    fn wake(&self, bounds: Bounds) -> Recommendation {
        let name = &self.config.name;
        if self.active {
            let count = bounds.min.max(1);
            return Recommendation::outright(
                count,
                format!("a trigger is active: {count} to begin with (policy {name})"),
            );
        }
        Recommendation::outright(0, format!("no trigger is active (policy {name})"))
    }

    fn sleep(&self, existing: u32) -> Recommendation {
        let Config { cooldown_period, name, .. } = &self.config;
        let why = format!("no trigger has been active for more than {cooldown_period}: from {existing} to zero");
        Recommendation::outright(0, format!("{why} (policy {name})"))
    }

    /// What the inner HPA sees: a fallback's value where a trigger has failed too often.
    fn measured(&self, sight: &Sight<'_>, existing: u32) -> Vec<Measured> {
        let of = |(spec, &failures): (&MetricSpec, &u32)| {
            let measured = hpa::measure(spec, sight);
            match (measured, self.config.fallback) {
                (Measured::ValuePerPod { target, value: None }, Some(fallback))
                    if failures > fallback.failure_threshold =>
                {
                    Measured::ValuePerPod { target, value: Some(target * i64::from(fallback.replicas(existing))) }
                }
                (measured, _) => measured,
            }
        };
        self.specs.iter().zip(&self.failures).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::metrics::{FleetCounts, Observed};

    const S: fn(u64) -> Time = |s| Time::ZERO + Span::from_secs(s);
    const BOUNDS: Bounds = Bounds { min: 0, max: 100 };

    fn queue(threshold: f64, activation_threshold: f64) -> Config {
        let trigger = Trigger { activation_threshold, ..Trigger::new(Metric::QueueLength, threshold) };
        Config::new(vec![trigger])
    }

    fn tick(keda: &mut Keda, at: u64, existing: u32, value: Option<f64>) -> Recommendation {
        let mut observed = Observed::new(FleetCounts { existing, pending: 0, ready: existing });
        if let Some(value) = value {
            observed.set(Metric::QueueLength, Aggregate::Sum, value, S(at));
        }
        let sight = Sight { now: S(at), observed: &observed, max_age: Span::from_secs(15) };
        let wish = keda.recommend(&sight, BOUNDS);
        keda.changed(S(at), existing, wish.limited);
        wish
    }

    #[test]
    fn above_the_activation_threshold_and_not_at_it_a_trigger_is_active() {
        for (value, expected) in [(5.0, 0), (5.01, 1)] {
            assert_eq!(tick(&mut Keda::new(queue(5.0, 5.0)), 0, 0, Some(value)).limited, expected, "E-01");
        }
    }

    #[test]
    fn between_one_and_many_it_is_an_hpa() {
        assert_eq!(tick(&mut Keda::new(queue(5.0, 0.0)), 0, 4, Some(23.0)).raw, 5, "E-02");
    }

    #[test]
    fn to_zero_after_the_cooldown_from_any_number() {
        // The trigger was last active at a poll of then; polls are at multiples of 30 s.
        for (id, last_active, sizes) in [("E-03", 100, 1), ("E-04", 90, 1), ("E-05", 100, 7)] {
            let mut keda = Keda::new(queue(5.0, 0.0));
            (keda.last_active, keda.next_poll) = (Some(S(last_active)), S(last_active + 1));
            let zero =
                (last_active..=600).find(|&t| t > last_active && tick(&mut keda, t, sizes, Some(0.0)).limited == 0);
            assert_eq!(zero, Some(420), "{id}");
        }
    }

    #[test]
    fn a_fallback_begins_when_more_polls_than_its_threshold_have_failed() {
        let fallback = Fallback { failure_threshold: 3, replicas: 6, behavior: FallbackBehavior::Static };
        let mut keda = Keda::new(Config { fallback: Some(fallback), ..queue(5.0, 0.0) });
        let wishes: Vec<u32> = (0..4).map(|poll| tick(&mut keda, poll * 30, 4, None).raw).collect();
        assert_eq!(wishes, [4, 4, 4, 6], "E-06");
        for (behavior, current, expected) in [
            (FallbackBehavior::CurrentReplicas, 9, 9),
            (FallbackBehavior::CurrentReplicasIfHigher, 9, 9),
            (FallbackBehavior::CurrentReplicasIfHigher, 2, 6),
            (FallbackBehavior::CurrentReplicasIfLower, 9, 6),
        ] {
            assert_eq!(Fallback { behavior, ..fallback }.replicas(current), expected);
        }
    }

    #[test]
    fn metrics_that_are_lost_are_no_reason_to_go_to_zero() {
        let mut keda = Keda::new(queue(5.0, 0.0));
        assert_eq!(tick(&mut keda, 0, 1, Some(3.0)).limited, 1);
        for t in (30..2000).step_by(30) {
            assert_eq!(tick(&mut keda, t, 1, None).limited, 1, "at {t}");
        }
    }
}

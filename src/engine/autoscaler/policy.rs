//! Policies: what recommends a size of the fleet outright, where a rule only says more or less.
//!
//! A policy turns what it observes into a raw recommendation, then stabilizes and limits it by its own means, as the
//! system that it is taken from does. Of several, the highest counts ([`Policy::Schedule`] may also cap the others).
//! Cooldowns, bounds and guards come after, and are the same for all.
//!
//! ```text
//!   hpa       raw ─▶ stabilise ─▶ rate-limit ─┐
//!   schedule  raw ────────────────────────────┼─▶ highest ─▶ caps ─▶ cooldowns ─▶ bounds ─▶ guards
//!   kpa       raw ─▶ stabilise ─▶ rate-limit ─┘
//! ```

use super::aws_target_tracking::{self, AwsTracker};
use super::guards::{Hold, Remembered};
use super::proposal::Bounds;
use super::streak::{Streak, Wanted};
use super::target_tracking::{self, Tracker};
use super::{Direction, Fresh, Sight, azure, gcp, hpa, keda, kpa, nomad, schedule, simple, step};
use crate::engine::events::Timing;
use crate::engine::metrics::{Aggregate, Metric, Series};
use crate::units::{Span, Time};

/// A policy's settings, by kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    /// Keeps a metric near a target. "target_tracking" in scenario files.
    TargetTracking(target_tracking::Config),
    /// The Kubernetes Horizontal Pod Autoscaler. "hpa".
    Hpa(hpa::Config),
    /// The Knative Pod Autoscaler. "kpa".
    Kpa(kpa::Config),
    /// Step scaling of AWS. "step".
    Step(step::Config),
    /// Simple scaling of AWS. "simple".
    Simple(simple::Config),
    /// Target tracking of AWS. "aws_target_tracking".
    AwsTargetTracking(aws_target_tracking::Config),
    /// Event-driven scaling as KEDA does it. "keda".
    Keda(keda::Config),
    /// The strategies of the Nomad Autoscaler. "nomad_target_value" and "nomad_threshold".
    Nomad(nomad::Config),
    /// So many instances at such times. "schedule".
    Schedule(schedule::Config),
    /// The autoscaler of managed instance groups on Google Cloud. "gcp".
    Gcp(gcp::Config),
    /// Autoscale of Azure Monitor. "azure".
    Azure(azure::Config),
}

impl Policy {
    /// What events call it.
    pub fn name(&self) -> &str {
        match self {
            Policy::TargetTracking(config) => &config.name,
            Policy::Hpa(config) => &config.name,
            Policy::Kpa(config) => &config.name,
            Policy::Step(config) => &config.name,
            Policy::Simple(config) => &config.name,
            Policy::AwsTargetTracking(config) => &config.name,
            Policy::Keda(config) => &config.name,
            Policy::Nomad(config) => &config.name,
            Policy::Schedule(config) => &config.name,
            Policy::Gcp(config) => &config.name,
            Policy::Azure(config) => &config.name,
        }
    }

    /// The metrics it looks at.
    pub fn metrics(&self) -> Vec<(Metric, Aggregate)> {
        match self {
            Policy::TargetTracking(config) => vec![(config.metric, Aggregate::Avg)],
            Policy::Hpa(config) => config.metrics.iter().map(hpa::MetricSpec::metric).collect(),
            Policy::Kpa(config) => vec![config.metric.source()],
            Policy::Step(step::Config { alarm, .. }) | Policy::Simple(simple::Config { alarm, .. }) => {
                vec![(alarm.metric, alarm.aggregate)]
            }
            Policy::AwsTargetTracking(config) => vec![(config.metric, Aggregate::Avg)],
            Policy::Keda(config) => {
                config.triggers.iter().map(|trigger| (trigger.metric, trigger.aggregate)).collect()
            }
            Policy::Nomad(config) => vec![(config.metric, config.aggregate)],
            Policy::Schedule(_) => Vec::new(),
            Policy::Gcp(config) => config.signals.iter().map(|signal| (signal.metric, Aggregate::Avg)).collect(),
            Policy::Azure(config) => config.rules.iter().map(|rule| (rule.metric, rule.aggregate)).collect(),
        }
    }

    /// The values of metrics that it acts on, each with a sign before it: "=" for a target, a comparison for a threshold. Metrics of
    /// instances are per instance.
    pub fn thresholds(&self) -> Vec<(Metric, &'static str, f64)> {
        match self {
            Policy::TargetTracking(config) => vec![(config.metric, "=", config.target)],
            Policy::AwsTargetTracking(config) => vec![(config.metric, "=", config.target)],
            Policy::Hpa(config) => config.metrics.iter().filter_map(hpa::MetricSpec::per_instance).collect(),
            Policy::Step(step::Config { alarm, .. }) | Policy::Simple(simple::Config { alarm, .. }) => {
                vec![(alarm.metric, alarm.operator.symbol(), alarm.threshold)]
            }
            Policy::Nomad(config) => match config.strategy {
                nomad::Strategy::TargetValue { target, .. } => vec![(config.metric, "=", target)],
                nomad::Strategy::Threshold { lower_bound, upper_bound, .. } => {
                    let bounds = [("≥", lower_bound), ("<", upper_bound)];
                    bounds.into_iter().filter_map(|(sign, bound)| Some((config.metric, sign, bound?))).collect()
                }
            },
            Policy::Gcp(config) => config.signals.iter().map(|signal| (signal.metric, "=", signal.target)).collect(),
            Policy::Azure(config) => {
                config.rules.iter().map(|rule| (rule.metric, rule.operator.symbol(), rule.threshold)).collect()
            }
            Policy::Keda(config) => {
                let of_instances =
                    config.triggers.iter().filter(|each| each.metric_type == keda::MetricType::Utilization);
                of_instances.map(|trigger| (trigger.metric, "=", trigger.threshold)).collect()
            }
            // Targets of concurrency and of times of day are no values of the metrics in a timeline.
            Policy::Kpa(_) | Policy::Schedule(_) => Vec::new(),
        }
    }

    /// The metrics of which it wants every sample, to average them itself, if it looks at them `every` so often.
    pub fn series(&self, every: Span) -> Vec<Series> {
        match self {
            Policy::Kpa(config) => vec![config.series(every)],
            Policy::Step(step::Config { alarm, .. }) | Policy::Simple(simple::Config { alarm, .. }) => {
                vec![alarm.series()]
            }
            Policy::AwsTargetTracking(config) => vec![config.series()],
            Policy::Nomad(config) => vec![config.series()],
            Policy::Azure(config) => config.rules.iter().map(azure::Rule::series).collect(),
            _ => Vec::new(),
        }
    }

    /// How often it wants to be asked where nothing else is said; `None` if that is all the same to it.
    pub fn natural_interval(&self) -> Option<Span> {
        matches!(self, Policy::Kpa(_)).then_some(kpa::TICK)
    }

    /// Whether a request that finds no instance makes it look at once.
    pub fn wakes_for_a_request(&self) -> bool {
        matches!(self, Policy::Kpa(_))
    }

    /// Whether it looks at single instances.
    pub fn wants_instances(&self) -> bool {
        use Policy::{Azure, Kpa, Nomad, Schedule, TargetTracking};
        !matches!(self, TargetTracking(_) | Kpa(_) | Nomad(_) | Schedule(_) | Azure(_))
    }
}

/// A policy's answer at one tick.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recommendation {
    /// Instances, as the policy's formula has it.
    pub raw: u32,
    /// Instances, after the policy's stabilization.
    pub steady: u32,
    /// Instances, after the policy's own limits on the rate of change.
    pub limited: u32,
    /// Why.
    pub cause: String,
    /// What stabilization did.
    pub steadying: String,
    /// What the limits did; empty if there are none.
    pub limiting: String,
    /// The value behind it, and when it was sampled.
    pub observed: Option<Fresh>,
    /// What the policy itself waits for.
    pub holds: Vec<Hold>,
    /// Whether it has no opinion at this tick: it is counted out, unless all are.
    pub abstains: bool,
    /// No other policy may bring the fleet above this; `None`: it caps nobody.
    pub cap: Option<u32>,
}

impl Recommendation {
    /// `count` at once, because of `cause`.
    pub(super) fn outright(count: u32, cause: String) -> Recommendation {
        Recommendation {
            raw: count,
            steady: count,
            limited: count,
            cause,
            steadying: "nothing to wait for".into(),
            limiting: String::new(),
            observed: None,
            holds: Vec::new(),
            abstains: false,
            cap: None,
        }
    }

    /// No opinion on a fleet of `existing`, because of `cause`.
    pub(super) fn none(existing: u32, cause: String) -> Recommendation {
        Recommendation { abstains: true, ..Recommendation::outright(existing, cause) }
    }

    pub(super) fn seen(self, observed: Option<Fresh>) -> Recommendation {
        Recommendation { observed, ..self }
    }
}

/// A policy with its memory.
#[derive(Clone, Debug)]
pub(super) struct Recommender {
    pub(super) held: Remembered,
    pub(super) name: String,
    streak: Streak,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    TargetTracking(Tracker),
    Hpa(hpa::Hpa),
    Kpa(kpa::Kpa),
    Step(step::Step),
    Simple(simple::Simple),
    AwsTargetTracking(AwsTracker),
    Keda(Box<keda::Keda>),
    Nomad(nomad::Nomad),
    Schedule(schedule::Schedule),
    Gcp(gcp::Gcp),
    Azure(azure::Azure),
}

impl Recommender {
    pub(super) fn new(policy: Policy) -> Recommender {
        let name = policy.name().to_string();
        let kind = match policy {
            Policy::TargetTracking(config) => Kind::TargetTracking(Tracker::new(config)),
            Policy::Hpa(config) => Kind::Hpa(hpa::Hpa::new(config)),
            Policy::Kpa(config) => Kind::Kpa(kpa::Kpa::new(config)),
            Policy::Step(config) => Kind::Step(step::Step::new(config)),
            Policy::Simple(config) => Kind::Simple(simple::Simple::new(config)),
            Policy::AwsTargetTracking(config) => Kind::AwsTargetTracking(AwsTracker::new(config)),
            Policy::Keda(config) => Kind::Keda(Box::new(keda::Keda::new(config))),
            Policy::Nomad(config) => Kind::Nomad(nomad::Nomad::new(config)),
            Policy::Schedule(config) => Kind::Schedule(schedule::Schedule::new(config)),
            Policy::Gcp(config) => Kind::Gcp(gcp::Gcp::new(config)),
            Policy::Azure(config) => Kind::Azure(azure::Azure::new(config)),
        };
        Recommender { held: Remembered::default(), name, streak: Streak::default(), kind }
    }

    /// What it wants at this tick, and the way there unless nothing should change yet.
    pub(super) fn recommend(&mut self, sight: &Sight<'_>, bounds: Bounds) -> (Recommendation, Option<Timing>) {
        let recommendation = match &mut self.kind {
            Kind::TargetTracking(tracker) => Some(tracker.recommend(sight)),
            Kind::Hpa(hpa) => Some(hpa.recommend(sight, bounds)),
            Kind::Kpa(kpa) => Some(kpa.recommend(sight)),
            Kind::Step(step) => step.recommend(sight),
            Kind::Simple(simple) => simple.recommend(sight),
            Kind::AwsTargetTracking(tracker) => Some(tracker.recommend(sight)),
            Kind::Keda(keda) => Some(keda.recommend(sight, bounds)),
            Kind::Nomad(nomad) => nomad.recommend(sight),
            Kind::Schedule(schedule) => Some(schedule.recommend(sight.now, sight.fleet().existing)),
            Kind::Gcp(gcp) => Some(gcp.recommend(sight)),
            Kind::Azure(azure) => Some(azure.recommend(sight)),
        };
        let recommendation = recommendation.unwrap_or_else(|| {
            Recommendation::none(sight.fleet().existing, format!("no opinion (policy {})", self.name))
        });
        let wanted = Wanted {
            existing: sight.fleet().existing,
            raw: recommendation.raw,
            limited: recommendation.limited,
            sampled_at: recommendation.observed.map_or(sight.now, |fresh| fresh.sampled_at),
        };
        let timing = self.streak.timing(sight.now, wanted);
        (recommendation, timing)
    }

    /// Learns that its recommendation was carried out.
    pub(super) fn acted(&mut self) {
        self.streak.end();
    }

    /// Learns that the fleet was changed, whoever wanted it.
    pub(super) fn changed(&mut self, now: Time, from: u32, to: u32) {
        match &mut self.kind {
            Kind::TargetTracking(_) | Kind::Kpa(_) | Kind::Step(_) | Kind::Schedule(_) | Kind::Gcp(_) => {}
            Kind::Keda(keda) => keda.changed(now, from, to),
            Kind::Nomad(nomad) => nomad.changed(now),
            Kind::Azure(azure) => azure.changed(now),
            Kind::Hpa(hpa) => hpa.changed(now, from, to),
            Kind::Simple(simple) => simple.changed(now),
            Kind::AwsTargetTracking(tracker) => {
                if let Some(direction) = Direction::of(from, to) {
                    tracker.changed(now, direction);
                }
            }
        }
    }
}

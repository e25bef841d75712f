//! The Horizontal Pod Autoscaler of Kubernetes, `autoscaling/v2`.
//!
//! `desired = ⌈current · value / target⌉`, and most of the machine is about when not to believe that: pods that are
//! starting or have no sample, a tolerance around the target, and a [`Behavior`] that looks back over past
//! recommendations and changes. Several metrics each make a proposal; the largest wins, and while any of
//! them fails nothing is removed.
//!
//! ```text
//!  metrics ─▶ proposals ─▶ largest ─▶ stabilization windows ─▶ scaling policies ─▶ min..max
//! ```
//!
//! An instance is a pod with one container; what is drained is no longer one of its pods. `cpu_utilization` and `memory_utilization`
//! are resources, and an instance requests all of its CPU and memory: amounts of them are of what it has. A booting instance is pending; a warming one is ready, and
//! its CPU is not believed for the initialization period. Draining and failed pods never show up.
//!
//! It does not read or write objects of a cluster, and has no vertical recommendations.
//!
//! Source: kubernetes `pkg/controller/podautoscaler` and the defaults of `autoscaling/v2`.

mod behavior;
mod replicas;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod examples;

pub use behavior::{Behavior, ScalingPolicy, ScalingPolicyType, ScalingRules, SelectPolicy};
pub use replicas::ToleranceTest;

use super::guards::Hold;
use super::policy::Recommendation;
use super::proposal::Bounds;
use super::{Fresh, Sight, cause};
use crate::engine::metrics::{Aggregate, InstanceSize, InstanceView, Metric, Stage};
use crate::units::{Span, Time};
use behavior::{Condition, History, Limited};
use replicas::{Level, NoValue, Phase, Pod, PodTarget, Pods, Readiness, Starting, Tolerance, Usage};

/// `spec` of a HorizontalPodAutoscaler, and the flags of its controller. `minReplicas` and `maxReplicas` are the
/// autoscaler's `min` and `max`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// `spec.metrics`; the default is CPU at 80 % of what is requested.
    pub metrics: Vec<MetricSpec>,
    /// `spec.behavior`; `None`, the default, is the way of releases before there was one: a scale-up to twice the size,
    /// or four, at once, and the controller's downscale stabilization.
    pub behavior: Option<Behavior>,
    /// `--horizontal-pod-autoscaler-tolerance`: nothing is done within `1 ± tolerance`; default 0.1.
    pub tolerance: f64,
    /// How that is tested.
    pub tolerance_test: ToleranceTest,
    /// `--horizontal-pod-autoscaler-cpu-initialization-period`: how long after its start a pod's CPU is believed only
    /// once it is ready and has been for one metrics window; default 5 min.
    pub cpu_initialization_period: Span,
    /// `--horizontal-pod-autoscaler-initial-readiness-delay`: a pod that stopped being ready this soon after its start
    /// never was; default 30 s.
    pub initial_readiness_delay: Span,
    /// `--horizontal-pod-autoscaler-downscale-stabilization`: the window of scale-down where `behavior` gives none;
    /// default 5 min.
    pub downscale_stabilization: Span,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            name: "hpa".into(),
            metrics: vec![MetricSpec::resource(Resource::Cpu, ResourceTarget::Utilization(80))],
            behavior: None,
            tolerance: 0.1,
            tolerance_test: ToleranceTest::Interval,
            cpu_initialization_period: Span::from_mins(5),
            initial_readiness_delay: Span::from_secs(30),
            downscale_stabilization: Span::from_mins(5),
        }
    }
}

/// `MetricSpec`: one metric, and where it should be.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricSpec {
    /// `type: Resource`: what pods use of CPU or memory; or `ContainerResource`.
    Resource {
        /// CPU or memory.
        resource: Resource,
        /// Where it should be.
        target: ResourceTarget,
        /// `containerResource.container`: whose use counts; `None`: the whole pod's. An instance has one container, which uses all.
        container: Option<String>,
    },
    /// `type: Pods`: a metric that every pod has, averaged.
    Pods {
        /// A metric of instances.
        metric: Metric,
        /// `averageValue`, in the metric's unit, above 0.
        average_value: f64,
    },
    /// `type: Object` or `External`: one value for the whole service. The two are computed alike.
    External {
        /// Any metric.
        metric: Metric,
        /// How values of instances become one; [`Aggregate::Sum`] for a queue.
        aggregate: Aggregate,
        /// Where it should be.
        target: MetricTarget,
    },
}

/// A resource that pods request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `cpu`, whose samples of starting pods are not believed.
    Cpu,
    /// `memory`.
    Memory,
}

/// `MetricTarget` of a resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResourceTarget {
    /// `averageUtilization`: percent of what is requested, above 0.
    Utilization(u32),
    /// `averageValue`: cores, or bytes, of each pod, above 0.
    AverageValue(f64),
}

/// `MetricTarget` of a value of the service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricTarget {
    /// `averageValue`: the value divided by the number of pods, above 0.
    AverageValue(f64),
    /// `value`: the value itself, above 0.
    Value(f64),
}

impl Resource {
    /// Cores, or megabytes, with their unit.
    fn amount_in_words(self, amount: f64) -> String {
        match self {
            Resource::Cpu => format!("{amount} cores each"),
            Resource::Memory => format!("{} MB each", (amount / 1e4).round() / 100.0),
        }
    }

    /// How much of it an instance has: cores, or bytes.
    fn of(self, size: InstanceSize) -> f64 {
        match self {
            Resource::Cpu => size.cpu_cores,
            Resource::Memory => size.memory_bytes,
        }
    }
}

impl MetricSpec {
    /// The use of a resource by whole pods.
    pub fn resource(resource: Resource, target: ResourceTarget) -> MetricSpec {
        MetricSpec::Resource { resource, target, container: None }
    }

    /// What it looks at.
    pub fn metric(&self) -> (Metric, Aggregate) {
        match *self {
            MetricSpec::Resource { resource: Resource::Cpu, .. } => (Metric::CpuUtilization, Aggregate::Avg),
            MetricSpec::Resource { resource: Resource::Memory, .. } => (Metric::MemoryUtilization, Aggregate::Avg),
            MetricSpec::Pods { metric, .. } => (metric, Aggregate::Avg),
            MetricSpec::External { metric, aggregate, .. } => (metric, aggregate),
        }
    }

    /// Its metric and target, if those are of an instance and in the metric's own unit.
    pub fn per_instance(&self) -> Option<(Metric, &'static str, f64)> {
        let target = match *self {
            MetricSpec::Resource { target: ResourceTarget::Utilization(percent), .. } => f64::from(percent),
            MetricSpec::Pods { average_value, .. } => average_value,
            MetricSpec::Resource { target: ResourceTarget::AverageValue(_), .. } | MetricSpec::External { .. } => {
                return None;
            }
        };
        Some((self.metric().0, "=", target))
    }
}

/// One metric as it was measured, in thousandths.
#[derive(Clone, Debug)]
pub(super) enum Measured {
    Pods { cpu: bool, target: PodTarget, samples: Vec<Option<Usage>> },
    Value { target: i64, value: Option<i64> },
    ValuePerPod { target: i64, value: Option<i64> },
}

/// What a sync concluded.
#[derive(Clone, Debug, PartialEq)]
struct Conclusion {
    /// Replicas, of the largest proposal; `None` if the metrics were not asked, or gave nothing.
    raw: Option<u32>,
    steady: u32,
    desired: u32,
    reason: Reason,
    /// Which metric made the largest proposal.
    metric: Option<usize>,
}

/// Why a sync ended as it did: the reasons of the original's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    ScalingDisabled,
    OutsideBounds,
    Failed(NoValue),
    ScaleDownStabilized,
    ScaleUpStabilized,
    Limited(Condition),
}

/// The HPA with its memory, which a restart loses.
#[derive(Clone, Debug)]
pub(super) struct Hpa {
    config: Config,
    history: History,
}

impl Hpa {
    pub(super) fn new(config: Config) -> Hpa {
        Hpa { config, history: History::default() }
    }

    /// Learns that the number of replicas was changed.
    pub(super) fn changed(&mut self, now: Time, from: u32, to: u32) {
        self.history.changed(now, from, to, self.config.behavior.as_ref());
    }

    /// What it wants at this tick.
    pub(super) fn recommend(&mut self, sight: &Sight<'_>, bounds: Bounds) -> Recommendation {
        let measured: Vec<Measured> = self.config.metrics.iter().map(|spec| measure(spec, sight)).collect();
        self.recommend_from(sight, bounds, &measured)
    }

    /// What it wants at this tick when its metrics are `measured`.
    pub(super) fn recommend_from(
        &mut self,
        sight: &Sight<'_>,
        bounds: Bounds,
        measured: &[Measured],
    ) -> Recommendation {
        let fleet = sight.fleet();
        let pods: Vec<Pod> = sight.observed.instances.iter().map(|instance| pod(instance, sight.now)).collect();
        let concluded = self.sync(sight.now, fleet.existing, &pods, measured, bounds);
        let raw = concluded.raw.unwrap_or(concluded.desired);
        let observed = concluded.metric.and_then(|i| {
            let (metric, aggregate) = self.config.metrics[i].metric();
            sight.fresh(metric, aggregate)
        });
        let mut holds = Vec::new();
        let window = self.down_window();
        let kept = self.history.kept_by(sight.now, raw, window).filter(|_| raw < concluded.steady);
        if let Some((wanted, until)) = kept.filter(|_| concluded.steady >= fleet.existing) {
            holds.push(Hold::Stabilization { window, wanted, until });
        }
        if concluded.desired == fleet.existing && concluded.steady != concluded.desired {
            holds.push(Hold::Rate { limit: self.limit_in_words(&concluded), until: None });
        }
        let steadying = match concluded.reason {
            Reason::ScaleUpStabilized => "a lower size was wanted within the window of scale-up".into(),
            _ if concluded.steady > raw => match kept {
                Some((wanted, _)) => format!("{wanted} was wanted within the last {window}"),
                None => format!("held by the window of {window}"),
            },
            _ => "nothing to wait for".into(),
        };
        Recommendation {
            raw,
            steady: concluded.steady,
            limited: concluded.desired,
            cause: self.cause(sight, raw, &concluded, observed),
            steadying,
            limiting: self.limit_in_words(&concluded),
            observed,
            holds,
            abstains: false,
            cap: None,
            floor: None,
        }
    }

    /// One sync of the controller: from pods and metrics to a number of replicas.
    fn sync(&mut self, now: Time, current: u32, pods: &[Pod], measured: &[Measured], bounds: Bounds) -> Conclusion {
        self.history.begin(now, current);
        let at_once = |desired, reason| Conclusion { raw: None, steady: desired, desired, reason, metric: None };
        if current == 0 && bounds.min != 0 {
            return at_once(0, Reason::ScalingDisabled);
        }
        if bounds.apply(current) != current {
            return at_once(bounds.apply(current), Reason::OutsideBounds);
        }
        let (raw, metric) = match self.largest(current, pods, measured) {
            Ok(largest) => largest,
            Err(no_value) => return at_once(current, Reason::Failed(no_value)),
        };
        let within = (bounds.min, bounds.max);
        let (steady, limited) = match &self.config.behavior {
            None => {
                let steady = self.history.stabilize_downscale(now, raw, self.config.downscale_stabilization);
                (steady, behavior::limit_without_behavior(current, steady, within))
            }
            Some(behavior) => {
                let up = behavior.scale_up.stabilization_window.unwrap_or(Span::ZERO);
                let steady = self.history.stabilize(now, current, raw, up, self.down_window());
                (steady, self.history.limit(now, current, steady, within, behavior))
            }
        };
        let Limited { replicas: desired, condition } = limited;
        let reason = match condition {
            Condition::Within if steady > raw => Reason::ScaleDownStabilized,
            Condition::Within if steady < raw => Reason::ScaleUpStabilized,
            condition => Reason::Limited(condition),
        };
        Conclusion { raw: Some(raw), steady, desired, reason, metric: Some(metric) }
    }

    /// The largest proposal and which metric made it. While a metric fails nothing is removed; if all fail, nothing is done.
    fn largest(&self, current: u32, pods: &[Pod], measured: &[Measured]) -> Result<(u32, usize), NoValue> {
        let levels: Vec<Result<Level, NoValue>> =
            measured.iter().map(|measured| self.level(current, pods, measured)).collect();
        let failure = levels.iter().find_map(|level| level.err());
        let largest = levels
            .iter()
            .enumerate()
            .rev()
            .filter_map(|(i, level)| Some((level.as_ref().ok()?.replicas, i)))
            .max_by_key(|&(replicas, _)| replicas);
        match (largest, failure) {
            (Some((replicas, _)), Some(failure)) if replicas < current => Err(failure),
            (Some(largest), _) => Ok(largest),
            (None, failure) => Err(failure.unwrap_or(NoValue::NoMetrics)),
        }
    }

    fn level(&self, current: u32, pods: &[Pod], measured: &Measured) -> Result<Level, NoValue> {
        let tolerance = self.tolerance();
        match measured {
            Measured::Pods { cpu, target, samples } => {
                let pods = Pods { pods, samples };
                replicas::from_pods(current, *target, pods, &pods.group(*cpu, self.starting()), tolerance)
            }
            &Measured::Value { target, value } => {
                let value = value.ok_or(NoValue::NoMetrics)?;
                replicas::from_value(current, value, target, Pods { pods, samples: &[] }, tolerance)
            }
            &Measured::ValuePerPod { target, value } => {
                let value = value.ok_or(NoValue::NoMetrics)?;
                Ok(replicas::from_value_per_pod(current, value, target, tolerance))
            }
        }
    }

    fn starting(&self) -> Starting {
        Starting {
            cpu_initialization_period: self.config.cpu_initialization_period,
            initial_readiness_delay: self.config.initial_readiness_delay,
        }
    }

    fn tolerance(&self) -> Tolerance {
        let of = |rules: fn(&Behavior) -> &ScalingRules| {
            let own = self.config.behavior.as_ref().and_then(|behavior| rules(behavior).tolerance);
            own.unwrap_or(self.config.tolerance)
        };
        Tolerance { up: of(|b| &b.scale_up), down: of(|b| &b.scale_down), test: self.config.tolerance_test }
    }

    fn down_window(&self) -> Span {
        let own = self.config.behavior.as_ref().and_then(|behavior| behavior.scale_down.stabilization_window);
        own.unwrap_or(self.config.downscale_stabilization)
    }

    fn cause(&self, sight: &Sight<'_>, raw: u32, concluded: &Conclusion, observed: Option<Fresh>) -> String {
        let Config { name, metrics, .. } = &self.config;
        let about = match (concluded.reason, concluded.metric) {
            (Reason::Failed(no_value), _) => format!("{no_value}, keeping {raw}"),
            (Reason::ScalingDisabled, _) => "no replicas, so scaling is off".into(),
            (Reason::OutsideBounds, _) | (_, None) => format!("{} is outside the bounds", sight.fleet().existing),
            (_, Some(i)) => {
                let (metric, aggregate) = metrics[i].metric();
                let unit = metric.unit();
                let value = observed.map_or("missing".into(), |fresh| cause::quantity(fresh.value, unit));
                let target = match metrics[i] {
                    MetricSpec::Resource { target: ResourceTarget::Utilization(percent), .. } => {
                        format!("{percent}%")
                    }
                    MetricSpec::Resource { resource, target: ResourceTarget::AverageValue(amount), .. } => {
                        let percent = amount / resource.of(sight.observed.size) * 100.0;
                        format!("{}, which is {}", resource.amount_in_words(amount), cause::quantity(percent, unit))
                    }
                    MetricSpec::External { target, .. } => match target {
                        MetricTarget::AverageValue(value) => format!("{} each", cause::setting(value, unit)),
                        MetricTarget::Value(value) => cause::setting(value, unit),
                    },
                    MetricSpec::Pods { average_value, .. } => cause::setting(average_value, unit),
                };
                let metric = cause::metric(metric, aggregate);
                match raw == sight.fleet().existing {
                    true => format!("{metric} {value}, target {target}: {raw} will do"),
                    false => format!("{metric} {value}, target {target}: {raw} wanted"),
                }
            }
        };
        format!("{about} (policy {name})")
    }

    fn limit_in_words(&self, concluded: &Conclusion) -> String {
        let words = match concluded.reason {
            Reason::Limited(Condition::ScaleUpLimit) if self.config.behavior.is_none() => {
                "at most twice the size, or four, at once"
            }
            Reason::Limited(Condition::ScaleUpLimit) => "as far as the policies of scale-up allow",
            Reason::Limited(Condition::ScaleDownLimit) => "as far as the policies of scale-down allow",
            Reason::Limited(Condition::TooMany) => "maxReplicas",
            Reason::Limited(Condition::TooFew) => "minReplicas",
            _ => "",
        };
        words.to_string()
    }
}

/// An instance as a pod.
fn pod(instance: &InstanceView, now: Time) -> Pod {
    let age = |at: Option<Time>| at.map_or(Span(u64::MAX), |at| now.since(at));
    let readiness = |ready| Some(Readiness { ready, age: age(instance.changed_at) });
    let (phase, readiness) = match instance.stage {
        Stage::Provisioning => (Phase::Pending, None),
        Stage::Warming | Stage::Ready => (Phase::Running, readiness(true)),
        Stage::Unhealthy => (Phase::Running, readiness(false)),
    };
    Pod { phase, deleting: false, readiness, age: Some(age(instance.launched_at)), request: Some(1000) }
}

/// What is known of a metric, in thousandths.
pub(super) fn measure(spec: &MetricSpec, sight: &Sight<'_>) -> Measured {
    let milli = |value: f64| (value * 1000.0).round() as i64;
    let samples = |metric: Metric, scale: f64| {
        let usage = |instance: &InstanceView| {
            let age = sight.now.since(instance.sampled_at);
            let fresh = age <= sight.max_age;
            let value = instance.value(metric).filter(|_| fresh)?;
            Some(Usage { milli: (value * scale).round() as i64, age, window: instance.window })
        };
        sight.observed.instances.iter().map(usage).collect()
    };
    match *spec {
        MetricSpec::Resource { resource, target, .. } => {
            let (metric, _) = spec.metric();
            let (target, scale) = match target {
                // A pod requests 1000 of what it has; a percent of that is 10.
                ResourceTarget::Utilization(percent) => (PodTarget::Utilization(percent), 10.0),
                ResourceTarget::AverageValue(amount) => {
                    (PodTarget::Average(milli(amount)), 10.0 * resource.of(sight.observed.size))
                }
            };
            Measured::Pods { cpu: resource == Resource::Cpu, target, samples: samples(metric, scale) }
        }
        MetricSpec::Pods { metric, average_value } => Measured::Pods {
            cpu: false,
            target: PodTarget::Average(milli(average_value)),
            samples: samples(metric, 1000.0),
        },
        MetricSpec::External { metric, aggregate, target } => {
            let value = sight.fresh(metric, aggregate).map(|fresh| milli(fresh.value));
            match target {
                MetricTarget::AverageValue(target) => Measured::ValuePerPod { target: milli(target), value },
                MetricTarget::Value(target) => Measured::Value { target: milli(target), value },
            }
        }
    }
}

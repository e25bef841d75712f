//! From pods and a metric to a number of replicas: the replica calculator of the Kubernetes HPA.
//!
//! Sums are of whole thousandths and utilizations whole percent, because the original's are: 55.97 % counts as 55 %.
//! Pods that are starting or have no sample are neither believed nor forgotten: they are filled in so that they can only make
//! a change smaller, and a change that they would turn around is no change.
//!
//! Source: kubernetes `pkg/controller/podautoscaler/replica_calculator.go` and `metrics/utilization.go`.

use crate::units::Span;

/// What a pod is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Scheduled nowhere, or still starting its containers.
    Pending,
    /// Its containers run.
    #[default]
    Running,
    /// Its containers ended in failure.
    Failed,
}

/// The Ready condition of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Readiness {
    pub ready: bool,
    /// How long it has been as it is.
    pub age: Span,
}

/// A pod, as the autoscaler sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pod {
    pub phase: Phase,
    pub deleting: bool,
    /// `None`: it has no such condition yet.
    pub readiness: Option<Readiness>,
    /// How long ago it was started; `None`: it has not been.
    pub age: Option<Span>,
    /// What it requests of the resource, in thousandths; `None` if it requests nothing.
    pub request: Option<i64>,
}

/// A pod's sample of a metric, in thousandths of its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::engine::autoscaler) struct Usage {
    pub milli: i64,
    pub age: Span,
    /// What it averages over.
    pub window: Span,
}

/// How readiness is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Starting {
    pub cpu_initialization_period: Span,
    pub initial_readiness_delay: Span,
}

/// How the dead band around the target is tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToleranceTest {
    /// `1 − down ≤ ratio ≤ 1 + up`, as releases with separate tolerances do (default).
    #[default]
    Interval,
    /// `|1 − ratio| ≤ tolerance`, as earlier ones did. A ratio of exactly 1.1 is outside then: binary fractions.
    Absolute,
}

impl ToleranceTest {
    /// Every test, with the name used in scenario files.
    pub const ALL: [(&'static str, ToleranceTest); 2] =
        [("interval", ToleranceTest::Interval), ("absolute", ToleranceTest::Absolute)];
}

/// The dead band around a ratio of 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tolerance {
    pub up: f64,
    pub down: f64,
    pub test: ToleranceTest,
}

impl Tolerance {
    pub(super) fn covers(self, ratio: f64) -> bool {
        match self.test {
            ToleranceTest::Interval => (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up),
            ToleranceTest::Absolute if ratio < 1.0 => (1.0 - ratio).abs() <= self.down,
            ToleranceTest::Absolute => (1.0 - ratio).abs() <= self.up,
        }
    }
}

/// Why there is no recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoValue {
    #[error("no pods returned by selector")]
    NoPods,
    #[error("no metrics returned from resource metrics API")]
    NoMetrics,
    #[error("did not receive metrics for targeted pods (pods might be unready)")]
    Unready,
    #[error("no metrics returned matched known pods")]
    Unknown,
    #[error("missing request")]
    NoRequest,
}

/// A recommendation from one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    pub replicas: u32,
    /// What was compared with the target: percent, or thousandths.
    pub current: i64,
    /// The mean of the samples that counted, in thousandths.
    pub raw_average: i64,
}

/// Which pods count how.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Groups {
    pub ready: u32,
    pub unready: Vec<usize>,
    pub missing: Vec<usize>,
    pub ignored: Vec<usize>,
}

/// What the pods do and what was measured of them; sample `i` is of pod `i`, those beyond the last pod of pods unknown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pods<'a> {
    pub pods: &'a [Pod],
    pub samples: &'a [Option<Usage>],
}

impl Pods<'_> {
    /// Sorts the pods into groups, first match wins; `cpu` if starting pods have to be told apart.
    pub(super) fn group(&self, cpu: bool, starting: Starting) -> Groups {
        let mut groups = Groups::default();
        for (i, pod) in self.pods.iter().enumerate() {
            let sample = self.samples.get(i).copied().flatten();
            if pod.deleting || pod.phase == Phase::Failed {
                groups.ignored.push(i);
            } else if pod.phase == Phase::Pending {
                groups.unready.push(i);
            } else if let Some(sample) = sample {
                if cpu && is_starting(pod, sample, starting) {
                    groups.unready.push(i);
                } else {
                    groups.ready += 1;
                }
            } else {
                groups.missing.push(i);
            }
        }
        groups
    }

    /// Pods that run and are ready.
    fn ready(&self) -> u32 {
        let ready = |pod: &&Pod| pod.phase == Phase::Running && pod.readiness.is_some_and(|r| r.ready);
        self.pods.iter().filter(ready).count() as u32
    }

    /// Samples of pods that are neither ignored nor unready.
    fn counted(&self, groups: &Groups) -> Vec<(usize, i64)> {
        let counts = |i: &usize| !groups.ignored.contains(i) && !groups.unready.contains(i);
        let sample = |(i, usage): (usize, &Option<Usage>)| usage.map(|usage| (i, usage.milli));
        self.samples.iter().enumerate().filter_map(sample).filter(|(i, _)| counts(i)).collect()
    }
}

fn is_starting(pod: &Pod, sample: Usage, starting: Starting) -> bool {
    let (Some(readiness), Some(age)) = (pod.readiness, pod.age) else { return true };
    if age < starting.cpu_initialization_period {
        // One window of samples since it became what it is has to be there.
        !readiness.ready || sample.age.0.saturating_add(sample.window.0) > readiness.age.0
    } else {
        // Not ready, and it never was: it has been so since about its start.
        !readiness.ready && age.0 < readiness.age.0.saturating_add(starting.initial_readiness_delay.0)
    }
}

/// What a metric of the pods is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::engine::autoscaler) enum PodTarget {
    /// Usage over request \[%\].
    Utilization(u32),
    /// Mean of the pods, in thousandths.
    Average(i64),
}

/// `usage / target` as the original rounds it, with what was compared and the mean.
fn ratio(target: PodTarget, pods: &[Pod], samples: &[(usize, i64)]) -> Result<(f64, i64, i64), NoValue> {
    match target {
        PodTarget::Utilization(target) => {
            let known: Vec<(i64, i64)> =
                samples.iter().filter_map(|&(i, usage)| Some((usage, pods.get(i)?.request?))).collect();
            let usage: i64 = known.iter().map(|(usage, _)| usage).sum();
            let request: i64 = known.iter().map(|(_, request)| request).sum();
            if request == 0 {
                return Err(NoValue::Unknown);
            }
            let utilization = usage * 100 / request;
            Ok((utilization as f64 / f64::from(target), utilization, usage / known.len() as i64))
        }
        PodTarget::Average(target) => {
            let average = samples.iter().map(|(_, usage)| usage).sum::<i64>() / samples.len() as i64;
            Ok((average as f64 / target as f64, average, average))
        }
    }
}

/// The recommendation from a metric that every pod has.
pub(super) fn from_pods(
    current: u32,
    target: PodTarget,
    pods: Pods<'_>,
    groups: &Groups,
    tolerance: Tolerance,
) -> Result<Level, NoValue> {
    if pods.samples.iter().all(Option::is_none) {
        return Err(NoValue::NoMetrics);
    }
    if pods.pods.is_empty() {
        return Err(NoValue::NoPods);
    }
    let mut samples = pods.counted(groups);
    if samples.is_empty() {
        return Err(NoValue::Unready);
    }
    if matches!(target, PodTarget::Utilization(_)) && pods.pods.iter().any(|pod| pod.request.is_none()) {
        return Err(NoValue::NoRequest);
    }
    let (first, compared, raw_average) = ratio(target, pods.pods, &samples)?;
    let level = |replicas| Level { replicas, current: compared, raw_average };
    let hot_and_unready = !groups.unready.is_empty() && first > 1.0;
    if !hot_and_unready && groups.missing.is_empty() {
        let wanted = ceil(first * f64::from(groups.ready));
        return Ok(level(if tolerance.covers(first) { current } else { wanted }));
    }
    for &i in &groups.missing {
        if first < 1.0 {
            // On the way down what is not known is busy: with its whole request, or the target.
            let busy = match target {
                PodTarget::Utilization(percent) => {
                    pods.pods[i].request.unwrap_or(0) * i64::from(percent.max(100)) / 100
                }
                PodTarget::Average(target) => target,
            };
            samples.push((i, busy));
        } else if first > 1.0 {
            samples.push((i, 0));
        }
    }
    if hot_and_unready {
        samples.extend(groups.unready.iter().map(|&i| (i, 0)));
    }
    let (second, ..) = ratio(target, pods.pods, &samples)?;
    let turned = (first < 1.0 && second > 1.0) || (first > 1.0 && second < 1.0);
    if tolerance.covers(second) || turned {
        return Ok(level(current));
    }
    let wanted = ceil(second * samples.len() as f64);
    let against = (second < 1.0 && wanted > current) || (second > 1.0 && wanted < current);
    Ok(level(if against { current } else { wanted }))
}

/// The recommendation from one value, in thousandths, that should be at `target`.
pub(super) fn from_value(
    current: u32,
    value: i64,
    target: i64,
    pods: Pods<'_>,
    tolerance: Tolerance,
) -> Result<Level, NoValue> {
    let ratio = value as f64 / target as f64;
    let replicas = if current == 0 {
        ceil(ratio)
    } else if tolerance.covers(ratio) {
        current
    } else if pods.pods.is_empty() {
        return Err(NoValue::NoPods);
    } else {
        ceil(ratio * f64::from(pods.ready()))
    };
    Ok(Level { replicas, current: value, raw_average: value })
}

/// The recommendation from one value, in thousandths, of which each replica should have `target`.
pub(super) fn from_value_per_pod(replicas: u32, value: i64, target: i64, tolerance: Tolerance) -> Level {
    let ratio = value as f64 / (target as f64 * f64::from(replicas));
    let wanted = if tolerance.covers(ratio) { replicas } else { ceil(value as f64 / target as f64) };
    let average = (value as f64 / f64::from(replicas)).ceil() as i64;
    Level { replicas: wanted, current: average, raw_average: average }
}

/// Rounds up, as the original does: without forgiving the last bit of a quotient.
fn ceil(x: f64) -> u32 {
    x.ceil() as u32
}

//! The metrics that policies may name, their units, and what a policy sees of them at a tick.

use std::fmt;
use std::str::FromStr;

use crate::engine::request::InstanceId;
use crate::units::{Span, Time};

/// A quantity that rules and policies can be written on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Offered load of the whole service [1/s]: also what limiter and breaker refused.
    RequestsPerSecond,
    /// Mean latency of completed attempts \[ms\].
    AverageResponseTime,
    /// Median latency of completed attempts \[ms\].
    P50ResponseTime,
    /// 95th percentile of latency \[ms\].
    P95ResponseTime,
    /// 99th percentile of latency \[ms\].
    P99ResponseTime,
    /// Failed attempts over attempts that reached a backend [0..1].
    ErrorRate,
    /// Busy CPU time over ready CPU time, per instance \[%\].
    CpuUtilization,
    /// Used memory over the instance's limit, per instance \[%\].
    MemoryUtilization,
    /// Requests inside an instance, waiting or served.
    ActiveConnections,
    /// Requests waiting inside an instance.
    QueueLength,
    /// How late an instance's event loop runs \[ms\]; in the simulator, how long the next request would wait for a
    /// worker's CPU.
    EventLoopLag,
}

/// What a metric's number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 0..100.
    Percent,
    /// 0..1.
    Ratio,
    /// Milliseconds.
    Millis,
    /// A count of things.
    Count,
    /// Per second.
    PerSecond,
}

impl Unit {
    /// How the unit is written after a number; empty for counts and ratios.
    pub fn suffix(self) -> &'static str {
        match self {
            Unit::Percent => "%",
            Unit::Millis => "ms",
            Unit::PerSecond => "/s",
            Unit::Ratio | Unit::Count => "",
        }
    }
}

impl Metric {
    /// Every metric, in the order of documentation.
    pub const ALL: [Metric; 11] = [
        Metric::RequestsPerSecond,
        Metric::AverageResponseTime,
        Metric::P50ResponseTime,
        Metric::P95ResponseTime,
        Metric::P99ResponseTime,
        Metric::ErrorRate,
        Metric::CpuUtilization,
        Metric::MemoryUtilization,
        Metric::ActiveConnections,
        Metric::QueueLength,
        Metric::EventLoopLag,
    ];

    /// The name used in scenario files.
    pub fn name(self) -> &'static str {
        match self {
            Metric::RequestsPerSecond => "requests_per_second",
            Metric::AverageResponseTime => "average_response_time",
            Metric::P50ResponseTime => "p50_response_time",
            Metric::P95ResponseTime => "p95_response_time",
            Metric::P99ResponseTime => "p99_response_time",
            Metric::ErrorRate => "error_rate",
            Metric::CpuUtilization => "cpu_utilization",
            Metric::MemoryUtilization => "memory_utilization",
            Metric::ActiveConnections => "active_connections",
            Metric::QueueLength => "queue_length",
            Metric::EventLoopLag => "event_loop_lag",
        }
    }

    /// The unit of its values.
    pub fn unit(self) -> Unit {
        match self {
            Metric::RequestsPerSecond => Unit::PerSecond,
            Metric::AverageResponseTime
            | Metric::P50ResponseTime
            | Metric::P95ResponseTime
            | Metric::P99ResponseTime
            | Metric::EventLoopLag => Unit::Millis,
            Metric::ErrorRate => Unit::Ratio,
            Metric::CpuUtilization | Metric::MemoryUtilization => Unit::Percent,
            Metric::ActiveConnections | Metric::QueueLength => Unit::Count,
        }
    }

    /// Whether each instance has a value of its own, so that an [`Aggregate`] over ready instances makes sense.
    pub fn is_per_instance(self) -> bool {
        matches!(
            self,
            Metric::CpuUtilization
                | Metric::MemoryUtilization
                | Metric::ActiveConnections
                | Metric::QueueLength
                | Metric::EventLoopLag
        )
    }

    /// Whether the value per instance falls in proportion as instances are added.
    pub fn is_load_proportional(self) -> bool {
        matches!(
            self,
            Metric::CpuUtilization | Metric::MemoryUtilization | Metric::ActiveConnections | Metric::QueueLength
        )
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = ();
    fn from_str(text: &str) -> Result<Metric, ()> {
        Metric::ALL.into_iter().find(|m| m.name() == text).ok_or(())
    }
}

/// How the values of ready instances become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aggregate {
    /// Arithmetic mean.
    #[default]
    Avg,
    /// Largest.
    Max,
    /// Smallest.
    Min,
    /// Nearest-rank median.
    P50,
    /// Nearest-rank 90th percentile.
    P90,
    /// Nearest-rank 95th percentile.
    P95,
    /// Nearest-rank 99th percentile.
    P99,
    /// The total over the fleet. Requests that the gateway holds for want of an instance count in the totals of
    /// `active_connections` and `queue_length`. A total does not fall as instances are added.
    Sum,
}

impl Aggregate {
    /// Every aggregate, with the name used in scenario files.
    pub const ALL: [(&'static str, Aggregate); 8] = [
        ("avg", Aggregate::Avg),
        ("max", Aggregate::Max),
        ("min", Aggregate::Min),
        ("p50", Aggregate::P50),
        ("p90", Aggregate::P90),
        ("p95", Aggregate::P95),
        ("p99", Aggregate::P99),
        ("sum", Aggregate::Sum),
    ];

    /// Combines `values`, which it may reorder; `None` if there are none.
    pub fn of(self, values: &mut [f64]) -> Option<f64> {
        if values.is_empty() {
            return None;
        }
        let rank = |q: f64, values: &mut [f64]| {
            values.sort_by(f64::total_cmp);
            values[((q * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1]
        };
        Some(match self {
            Aggregate::Sum => values.iter().sum(),
            Aggregate::Avg => values.iter().sum::<f64>() / values.len() as f64,
            Aggregate::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Aggregate::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
            Aggregate::P50 => rank(0.50, values),
            Aggregate::P90 => rank(0.90, values),
            Aggregate::P95 => rank(0.95, values),
            Aggregate::P99 => rank(0.99, values),
        })
    }
}

/// One metric as a policy sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Reading {
    /// No sample, or only invalid ones (NaN, infinite, negative).
    #[default]
    Missing,
    /// A value and the moment of its newest sample.
    Present {
        /// In the metric's [`Unit`].
        value: f64,
        /// When the newest sample in it was taken: older than now by the metrics delay at least.
        sampled_at: Time,
    },
}

impl Reading {
    /// The value, if there is one.
    pub fn value(self) -> Option<f64> {
        match self {
            Reading::Missing => None,
            Reading::Present { value, .. } => Some(value),
        }
    }
}

/// How many instances are in which state; all that policies know about the fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetCounts {
    /// Provisioning, warming, ready or unhealthy: what bounds and bills look at.
    pub existing: u32,
    /// Provisioning or warming.
    pub pending: u32,
    /// Ready and healthy: what metric averages are taken over.
    pub ready: u32,
}

/// A metric of which a policy wants every sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// Which.
    pub metric: Metric,
    /// How the values of instances become one.
    pub aggregate: Aggregate,
    /// How far back samples are kept.
    pub back: Span,
}

/// One sample of a [`Series`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The end of the time it averages over.
    pub ended_at: Time,
    /// Its length.
    pub length: Span,
    /// In the metric's [`Unit`].
    pub value: f64,
}

/// What an instance is doing, as far as the engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Ordered, and not yet up.
    Provisioning,
    /// Takes traffic, slowly at first.
    Warming,
    /// Takes traffic.
    Ready,
    /// Failed its health checks.
    Unhealthy,
}

/// One instance as a policy sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceView {
    /// Which.
    pub id: InstanceId,
    /// What it is doing.
    pub stage: Stage,
    /// When it was ordered; `None`: before the engine began.
    pub launched_at: Option<Time>,
    /// When it began, or ceased, to take traffic; `None`: before the engine began, or it never did.
    pub changed_at: Option<Time>,
    /// Its own means over the metrics window, of the metrics that policies ask for; empty without a sample.
    pub values: Vec<(Metric, f64)>,
    /// When the newest sample in them was taken.
    pub sampled_at: Time,
    /// What they average over.
    pub window: Span,
}

impl InstanceView {
    /// Its value of `metric`, if there is one.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        self.values.iter().find(|(m, _)| *m == metric).map(|&(_, value)| value)
    }
}

/// What an instance has of CPU and memory, for policies whose targets are amounts of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstanceSize {
    /// Cores, above 0; default 1.
    pub cpu_cores: f64,
    /// Bytes, above 0; default 10⁹. Without samples of memory it means nothing.
    pub memory_bytes: f64,
}

impl Default for InstanceSize {
    fn default() -> InstanceSize {
        InstanceSize { cpu_cores: 1.0, memory_bytes: 1e9 }
    }
}

/// Everything a policy may look at in one tick.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The fleet.
    pub fleet: FleetCounts,
    /// The moment up to which metrics can be seen: now, less their delay.
    pub as_of: Time,
    /// Requests that wait at the gateway now, for want of an instance or of room at one.
    pub held: u32,
    /// What an instance has.
    pub size: InstanceSize,
    /// Its instances, draining ones left out; empty unless a policy asks for them.
    pub instances: Vec<InstanceView>,
    /// Samples of the series that policies ask for, oldest first.
    pub series: Vec<(Series, Vec<Sample>)>,
    /// What is known; a policy or two ask for a few metrics only.
    readings: Vec<(Metric, Aggregate, Reading)>,
}

impl Observed {
    /// Nothing but the fleet: every metric is missing until it is set.
    pub fn new(fleet: FleetCounts) -> Observed {
        Observed { fleet, ..Observed::default() }
    }

    /// What is known of `metric`; metrics of the whole service ignore `aggregate`.
    pub fn get(&self, metric: Metric, aggregate: Aggregate) -> Reading {
        let aggregate = if metric.is_per_instance() { aggregate } else { Aggregate::Avg };
        let found = self.readings.iter().find(|(m, a, _)| (*m, *a) == (metric, aggregate));
        found.map_or(Reading::Missing, |&(_, _, reading)| reading)
    }

    /// The samples of a series, oldest first; none if nobody asked for it.
    pub fn samples(&self, series: Series) -> &[Sample] {
        self.series.iter().find(|(each, _)| *each == series).map_or(&[], |(_, samples)| samples)
    }

    /// The samples of a metric, as far back as anybody asks for them, oldest first.
    pub fn longest_series(&self, metric: Metric, aggregate: Aggregate) -> &[Sample] {
        let of_metric = self.series.iter().filter(|(each, _)| (each.metric, each.aggregate) == (metric, aggregate));
        of_metric.max_by_key(|(each, _)| each.back).map_or(&[], |(_, samples)| samples)
    }

    /// Sets a reading. A value that cannot be (NaN, infinite, negative) becomes [`Reading::Missing`].
    pub fn set(&mut self, metric: Metric, aggregate: Aggregate, value: f64, sampled_at: Time) {
        let valid = value.is_finite() && value >= 0.0;
        let reading = if valid { Reading::Present { value, sampled_at } } else { Reading::Missing };
        match self.readings.iter_mut().find(|(m, a, _)| (*m, *a) == (metric, aggregate)) {
            Some((_, _, known)) => *known = reading,
            None => self.readings.push((metric, aggregate, reading)),
        }
    }
}

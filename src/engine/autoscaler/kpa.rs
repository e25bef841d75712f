//! The Knative Pod Autoscaler: concurrency or rate, over a long window, and over a short one when it surges.
//!
//! ```text
//!   stable window ─▶ ⌈stable / target⌉ ─┐ rates                      scale-down delay
//!                                       ├──────▶ panicking? the greater, ─▶ highest of ─▶ last instance
//!   panic window  ─▶ ⌈panic  / target⌉ ─┘        and never down             the delay     kept a while
//! ```
//!
//! It panics while the short window wants twice what is ready, and for one stable window after, in which it only grows. It
//! averages by itself, from samples of one second or more, and wants a tick every two seconds.
//!
//! To zero: when nothing is wanted and the service has been active for a stable window it counts as inactive, and the last
//! instance goes after the greater of grace period and retention. From zero: requests that the gateway holds are concurrency,
//! and wake the autoscaler.
//!
//! While the fleet has less room than a burst of `target-burst-capacity` takes (excess burst capacity below 0), the activator is in the
//! path of requests: it gives no instance more than its container's concurrency and keeps the others, so that one queue for all
//! takes the place of one at each instance. Without a limit on concurrency it has nothing to keep.
//!
//! It does not sample: the engine sees every instance, so the sample sizes of the original's scraper have no place here. The hop
//! through the activator takes no time, and there is one activator.
//!
//! Source: knative/serving `pkg/autoscaler/scaling/autoscaler.go`, `pkg/reconciler/autoscaling/kpa/{kpa,scaler}.go`,
//! `pkg/activator/net/throttler.go`.

mod buckets;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod examples;

use std::collections::VecDeque;

use super::guards::Hold;
use super::policy::Recommendation;
use super::{Fresh, Sight, cause};
use crate::engine::metrics::{Aggregate, Metric, Series};
use crate::units::{Span, Time};
use buckets::Buckets;

/// Annotations of a revision, and the `config-autoscaler` map. `min-scale` and `max-scale` are the autoscaler's `min`
/// and `max`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// `autoscaling.knative.dev/metric`.
    pub metric: ScalingMetric,
    /// `autoscaling.knative.dev/target`: per instance, before the utilization, above 0; `None`: the container's
    /// concurrency, or else 100 requests inside, or 200 a second.
    pub target: Option<f64>,
    /// `containerConcurrency`: the most requests an instance gets at once; `None` is no limit.
    pub container_concurrency: Option<u32>,
    /// `target-utilization-percentage` as a ratio above 0, up to 1: how much of the target to use; default 0.7.
    pub target_utilization: f64,
    /// `target-burst-capacity`: the burst, in requests, that the fleet must have room for to be left without the activator; default
    /// 211. 0 is never in the path but at zero instances; `None`, which is −1, is always.
    pub target_burst_capacity: Option<f64>,
    /// `stable-window`, 6 s to 1 h; default 60 s.
    pub stable_window: Span,
    /// `panic-window-percentage` of the stable window, 1 to 100; default 10.
    pub panic_window_percentage: f64,
    /// `panic-threshold-percentage` of what is ready, 110 to 1000; default 200.
    pub panic_threshold_percentage: f64,
    /// `max-scale-up-rate`: most times over in one tick, above 1; default 1000.
    pub max_scale_up_rate: f64,
    /// `max-scale-down-rate`: most times under in one tick, above 1; default 2.
    pub max_scale_down_rate: f64,
    /// `scale-down-delay`: how long less must have been wanted, 0 to 1 h; default 0.
    pub scale_down_delay: Span,
    /// `activation-scale`: the fewest instances there are if there are any, at least 1; default 1.
    pub activation_scale: u32,
    /// `enable-scale-to-zero`; default true. Off, one instance stays.
    pub enable_scale_to_zero: bool,
    /// `scale-to-zero-grace-period`: how long the last instance stays for want of traffic; default 30 s.
    pub scale_to_zero_grace_period: Span,
    /// `scale-to-zero-pod-retention-period`: the same, if that is longer; default 0.
    pub scale_to_zero_pod_retention_period: Span,
    /// `metric-aggregation-algorithm`.
    pub aggregation: Aggregation,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            name: "kpa".into(),
            metric: ScalingMetric::Concurrency,
            target: None,
            container_concurrency: None,
            target_utilization: 0.7,
            target_burst_capacity: Some(211.0),
            stable_window: Span::from_secs(60),
            panic_window_percentage: 10.0,
            panic_threshold_percentage: 200.0,
            max_scale_up_rate: 1000.0,
            max_scale_down_rate: 2.0,
            scale_down_delay: Span::ZERO,
            activation_scale: 1,
            enable_scale_to_zero: true,
            scale_to_zero_grace_period: Span::from_secs(30),
            scale_to_zero_pod_retention_period: Span::ZERO,
            aggregation: Aggregation::Linear,
        }
    }
}

/// How often the original ticks: what an autoscaler with this policy should do, too.
pub const TICK: Span = Span::from_secs(2);

/// What it scales on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScalingMetric {
    /// Requests inside the service, held ones included.
    #[default]
    Concurrency,
    /// Requests a second.
    Rps,
}

impl ScalingMetric {
    /// Every choice, with the name used in scenario files.
    pub const ALL: [(&'static str, ScalingMetric); 2] =
        [("concurrency", ScalingMetric::Concurrency), ("rps", ScalingMetric::Rps)];

    pub(super) fn source(self) -> (Metric, Aggregate) {
        match self {
            ScalingMetric::Concurrency => (Metric::ActiveConnections, Aggregate::Sum),
            ScalingMetric::Rps => (Metric::RequestsPerSecond, Aggregate::Avg),
        }
    }
}

/// How seconds become an average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregation {
    /// All alike.
    #[default]
    Linear,
    /// The newest most.
    WeightedExponential,
}

impl Aggregation {
    /// Every choice, with the name used in scenario files.
    pub const ALL: [(&'static str, Aggregation); 2] =
        [("linear", Aggregation::Linear), ("weighted_exponential", Aggregation::WeightedExponential)];
}

impl Config {
    /// What it reads when it looks `every` so often: each sample once, when it is new.
    pub fn series(&self, every: Span) -> Series {
        let (metric, aggregate) = self.metric.source();
        Series { metric, aggregate, back: every * 2 }
    }

    /// All that an instance should take, and the part of it to aim at.
    fn capacity(&self) -> (f64, f64) {
        let container = self.container_concurrency.map(f64::from);
        let total = match (self.metric, self.target) {
            (ScalingMetric::Concurrency, Some(target)) => container.unwrap_or(target).min(target),
            (ScalingMetric::Concurrency, None) => container.unwrap_or(100.0),
            (ScalingMetric::Rps, target) => target.unwrap_or(200.0),
        };
        (total, (total * self.target_utilization).max(0.01))
    }

    /// Whether the activator can ever be in the path and have something to keep.
    pub(super) fn buffers(&self) -> bool {
        self.container_concurrency.is_some() && self.target_burst_capacity != Some(0.0)
    }

    /// The short window: whole seconds, at least one.
    fn panic_window(&self) -> Span {
        let seconds = self.stable_window.as_secs_f64() * self.panic_window_percentage / 100.0;
        Span::from_secs((seconds.round() as u64).max(1))
    }
}

/// A panic: it began, or was last confirmed, at `since`, and the fleet may not be smaller than `high_water`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Panic {
    since: Time,
    high_water: u32,
}

/// What is wanted at a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    /// By the windows alone.
    raw: u32,
    /// Within the rates.
    rated: u32,
    /// After panic and delay.
    desired: u32,
    excess_burst_capacity: f64,
}

/// The highest of the last `delay`, in steps of one tick.
#[derive(Clone, Debug, Default)]
struct Delay {
    /// Number of the tick and count; counts fall.
    past: VecDeque<(u64, u32)>,
}

impl Delay {
    fn highest(&mut self, now: Time, delay: Span, count: u32) -> u32 {
        let tick = now.0 / TICK.0;
        let ticks = delay.0.div_ceil(TICK.0);
        while self.past.front().is_some_and(|&(at, _)| at + ticks <= tick) {
            self.past.pop_front();
        }
        while self.past.back().is_some_and(|&(_, earlier)| earlier <= count) {
            self.past.pop_back();
        }
        self.past.push_back((tick, count));
        self.past.front().map_or(count, |&(_, highest)| highest)
    }
}

/// The KPA with its memory.
#[derive(Clone, Debug)]
pub(super) struct Kpa {
    config: Config,
    /// Total and target of an instance.
    total: f64,
    target: f64,
    panic: Option<Panic>,
    delay: Delay,
    stable: Buckets,
    short: Buckets,
    read_until: Option<Time>,
    begun: bool,
    /// By the newest averages; as long as there are none, the activator is in the path where it may be.
    excess_burst_capacity: f64,
    /// Since when it has had instances wanted; and since when, being active, it has not.
    active_since: Option<Time>,
    inactive_since: Option<Time>,
}

impl Kpa {
    pub(super) fn new(config: Config) -> Kpa {
        let (total, target) = config.capacity();
        Kpa {
            total,
            target,
            panic: None,
            delay: Delay::default(),
            stable: Buckets::new(config.stable_window),
            short: Buckets::new(config.panic_window()),
            read_until: None,
            begun: false,
            excess_burst_capacity: if config.target_burst_capacity == Some(0.0) { 0.0 } else { -1.0 },
            active_since: None,
            inactive_since: None,
            config,
        }
    }

    /// What it wants at this tick.
    pub(super) fn recommend(&mut self, sight: &Sight<'_>) -> Recommendation {
        let (now, fleet) = (sight.now, sight.fleet());
        if !std::mem::replace(&mut self.begun, true) {
            self.begin(now, fleet.ready);
        }
        let (metric, aggregate) = self.config.metric.source();
        for sample in sight.observed.longest_series(metric, aggregate) {
            if self.read_until.is_none_or(|until| sample.ended_at > until) {
                self.stable.record(sample.ended_at, sample.length, sample.value);
                self.short.record(sample.ended_at, sample.length, sample.value);
                self.read_until = Some(sample.ended_at);
            }
        }
        if fleet.existing == 0 && sight.observed.held > 0 {
            return self.activate(now, sight.observed.held);
        }
        let Some(read_until) = self.read_until.filter(|_| !self.stable.is_empty()) else {
            let name = &self.config.name;
            return Recommendation::outright(fleet.existing, format!("no data yet (policy {name})"));
        };
        // A pipeline that is late is not a gap.
        let seen = sight.observed.as_of.max(read_until);
        let average = |buckets: &Buckets| match self.config.aggregation {
            Aggregation::Linear => buckets.average(seen),
            Aggregation::WeightedExponential => buckets.weighted_average(seen),
        };
        let (stable, short) = (average(&self.stable), average(&self.short));
        let was_panicking = self.panic.is_some();
        let scale = self.scale(now, fleet.ready, stable, short);
        self.excess_burst_capacity = scale.excess_burst_capacity;
        let (limited, holds) = self.keep_last(now, fleet.existing, scale.desired);
        let quiet = [scale.raw, scale.desired, limited].iter().all(|&n| n == fleet.existing);
        let cause = match quiet && was_panicking == self.panic.is_some() {
            // A tick comes every two seconds, and numbers take time to write.
            true => format!("{} will do (policy {})", scale.raw, self.config.name),
            false => self.cause(stable, short, &scale, was_panicking),
        };
        let value = if self.panic.is_some() { short } else { stable };
        Recommendation {
            raw: scale.raw,
            steady: scale.desired,
            limited,
            cause,
            steadying: if quiet { String::new() } else { self.steadying(&scale) },
            limiting: if limited == scale.desired { String::new() } else { "the last instance is kept".into() },
            observed: Some(Fresh { value, sampled_at: read_until }),
            holds,
            abstains: false,
            cap: None,
            floor: None,
        }
    }

    /// Requests that the activator gives an instance at once; `None` while it is not in the path, or does not count them.
    pub(super) fn buffer(&self) -> Option<u32> {
        self.config.container_concurrency.filter(|_| self.excess_burst_capacity < 0.0)
    }

    /// Why the activator is in the path, or is not.
    pub(super) fn buffer_cause(&self) -> String {
        let Config { name, target_burst_capacity, .. } = &self.config;
        let burst = match target_burst_capacity {
            Some(burst) => format!("room for a burst of {burst} is wanted"),
            None => "it is always there".into(),
        };
        format!("activator: excess burst capacity {}, {burst} (policy {name})", self.excess_burst_capacity)
    }

    /// From zero, for the requests that wait: the activator reports them as soon as the first of them comes.
    fn activate(&mut self, now: Time, held: u32) -> Recommendation {
        if self.active_since.is_none() || self.inactive_since.is_some() {
            (self.active_since, self.inactive_since) = (Some(now), None);
        }
        let wanted = (f64::from(held) / self.target).ceil() as u32;
        let count = wanted.max(1).max(self.config.activation_scale);
        let cause = format!("{held} requests wait, and no instance is there (policy {})", self.config.name);
        Recommendation::outright(count, cause)
    }

    /// Who begins with more than one ready instance panics: it shrinks nothing before it has seen one stable window.
    fn begin(&mut self, now: Time, ready: u32) {
        if ready > 1 {
            self.panic = Some(Panic { since: now, high_water: ready });
        }
        self.active_since = Some(now);
    }

    /// From two averages to a number of instances.
    fn scale(&mut self, now: Time, ready: u32, stable: f64, short: f64) -> Scale {
        let config = &self.config;
        let pods = f64::from(ready.max(1));
        let most = (config.max_scale_up_rate * pods).ceil();
        let least = (pods / config.max_scale_down_rate).floor();
        let (by_stable, by_short) = ((stable / self.target).ceil(), (short / self.target).ceil());
        let rate = |wanted: f64| {
            let rated = wanted.max(least).min(most) as u32;
            let activates = config.activation_scale > 1 && wanted > 0.0;
            if activates { rated.max(config.activation_scale) } else { rated }
        };
        let (rated_stable, rated_short) = (rate(by_stable), rate(by_short));
        let over = by_short / pods >= config.panic_threshold_percentage / 100.0;
        let high_water = self.panic.map_or(0, |panic| panic.high_water);
        match self.panic {
            _ if over => self.panic = Some(Panic { since: now, high_water }),
            Some(panic) if panic.since.saturating_add(config.stable_window) < now => self.panic = None,
            _ => {}
        }
        let (mut raw, mut rated) = (by_stable as u32, rated_stable);
        let mut desired = rated;
        if let Some(panic) = &mut self.panic {
            raw = raw.max(by_short as u32);
            rated = rated.max(rated_short);
            panic.high_water = panic.high_water.max(rated);
            desired = panic.high_water;
        }
        if !config.scale_down_delay.is_zero() {
            desired = self.delay.highest(now, config.scale_down_delay, desired);
        }
        let excess_burst_capacity = match config.target_burst_capacity {
            None => -1.0,
            Some(0.0) => 0.0,
            Some(burst) => (f64::from(ready) * self.total - burst - short).floor(),
        };
        Scale { raw, rated, desired, excess_burst_capacity }
    }

    /// Keeps the last instance until the service has been active for a stable window, and idle for the grace period.
    fn keep_last(&mut self, now: Time, existing: u32, desired: u32) -> (u32, Vec<Hold>) {
        if desired > 0 {
            if self.inactive_since.take().is_some() || self.active_since.is_none() {
                self.active_since = Some(now);
            }
            return (desired, Vec::new());
        }
        if existing == 0 {
            (self.active_since, self.inactive_since) = (None, None);
            return (0, Vec::new());
        }
        let held = |limit: &str, until| Hold::Rate { limit: limit.into(), until };
        if !self.config.enable_scale_to_zero {
            let hold = held("enable_scale_to_zero is off", None);
            return (1, if existing == 1 { vec![hold] } else { Vec::new() });
        }
        let active_until = self.active_since.unwrap_or(now).saturating_add(self.config.stable_window);
        let (limit, until) = match self.inactive_since {
            None if now < active_until => ("active for less than the stable window", active_until),
            since => {
                let since = *self.inactive_since.insert(since.unwrap_or(now));
                let grace = self.config.scale_to_zero_grace_period;
                (
                    "scale-to-zero grace period",
                    since.saturating_add(grace.max(self.config.scale_to_zero_pod_retention_period)),
                )
            }
        };
        if now >= until {
            return (0, Vec::new());
        }
        (1, if existing == 1 { vec![held(limit, Some(until))] } else { Vec::new() })
    }

    fn cause(&self, stable: f64, short: f64, scale: &Scale, was_panicking: bool) -> String {
        let Config { name, metric, .. } = &self.config;
        let (source, aggregate) = metric.source();
        let unit = source.unit();
        let what = match metric {
            ScalingMetric::Concurrency => "concurrency".to_string(),
            ScalingMetric::Rps => cause::metric(source, aggregate),
        };
        let mode = match (was_panicking, self.panic) {
            (false, Some(_)) => ", panic begins",
            (true, Some(_)) => ", panicking",
            (true, None) => ", panic ends",
            (false, None) => "",
        };
        format!(
            "{what} {} over {}, {} over {}, target {} each: {} wanted{mode}; excess burst capacity {} (policy {name})",
            cause::quantity(stable, unit),
            self.config.stable_window,
            cause::quantity(short, unit),
            self.config.panic_window(),
            cause::quantity(self.target, unit),
            scale.raw,
            scale.excess_burst_capacity,
        )
    }

    fn steadying(&self, scale: &Scale) -> String {
        if scale.desired > scale.rated && self.panic.is_some_and(|panic| panic.high_water == scale.desired) {
            format!("no fewer than {} while it panics", scale.desired)
        } else if scale.desired > scale.rated {
            format!("{} was wanted within the last {}", scale.desired, self.config.scale_down_delay)
        } else if scale.rated != scale.raw {
            format!("{} at this tick", scale.rated)
        } else {
            "nothing to wait for".into()
        }
    }
}

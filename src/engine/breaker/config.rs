//! What a breaker is told to do: [`Config`] as people write it, [`Rules`] as breakers read it.

use super::Fallback;
use crate::engine::window::{Ppm, Tally, Window};
use crate::rng::{Dice, Stream};
use crate::units::Span;

/// What one breaker guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Each instance has its own. Outlier ejection does nearly the same; it must be the faster of the two.
    Instance,
    /// One for everything.
    Service,
    /// Each endpoint has its own, so that a slow report does not take the login down.
    Endpoint,
}

/// When slow calls trip a breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slow {
    /// A call is slow if it takes longer than this, whether it fails or not.
    pub duration: Span,
    /// Share of slow calls that trips [0..1]; at least `minimum_calls` are needed.
    pub rate: f64,
    /// Whether a probe that is still running after `duration` counts as slow already (default true). Otherwise a hung
    /// backend shows as nothing until time-outs arrive. Calls admitted while closed count when they end.
    pub count_running: bool,
}

/// How traffic comes back after the probes succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// All at once.
    Immediate,
    /// As a share that rises linearly from what the probes were of all calls while half-open, so that backends with
    /// cold caches are not knocked over again. A tenth of the ramp that fails by itself re-opens.
    Ramp {
        /// Until all calls pass.
        over: Span,
    },
}

/// The settings of the breakers of one scope. The default trips at 50% failures of at least 20 calls in 60 s, opens for
/// 30 s, and probes with 3 calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What one breaker guards (default: the service).
    pub scope: Scope,
    /// Over how much of the past outcomes are counted (default 60 s in 10 buckets).
    pub window: Window,
    /// Fewer calls than this in the window have no rate, ≥ 1 (default 20); at most the window's length counts.
    pub minimum_calls: u32,
    /// Share of failures that trips, above 0, at most 1 (default 0.5); `None`: none does.
    pub failure_rate: Option<f64>,
    /// When slow calls trip; `None` (default): never.
    pub slow: Option<Slow>,
    /// Failures in the window that trip, ≥ 1; `None` (default): no number does. Does not scale with traffic: five
    /// errors a minute trip a healthy service at 100 calls a second.
    pub failures: Option<u32>,
    /// Failures in a row that trip, ≥ 1; `None` (default): no streak does.
    pub consecutive: Option<u32>,
    /// How long it stays open the first time (default 30 s).
    pub open_for: Span,
    /// Factor for each further time in a row, ≥ 1 (default 1).
    pub open_multiplier: f64,
    /// Longest time open, before jitter (default 300 s).
    pub open_max: Span,
    /// The time open is varied by up to this share either way, 0..1 (default 0); 0.1 if many breakers share one
    /// dependency, or they all probe it in the same instant.
    pub jitter: f64,
    /// Closed for this long, the next opening is the first of a row again; `None` (default): one window, which for a
    /// window of N calls means that more than N calls were recorded.
    pub reset_after: Option<Span>,
    /// Probes of one half-open round, ≥ 1 (default 3). As many fail as would reach `failure_rate`, and it opens again;
    /// without a `failure_rate`, one.
    pub half_open_calls: u32,
    /// After which a probe that was not reported is lost (default 10 s). Must exceed the requests' time-out: a probe
    /// that ends later counts for nothing.
    pub probe_lease: Span,
    /// Whether it stays open as long as the failures' `Retry-After` asks, up to `open_max` (default true).
    pub honor_retry_after: bool,
    /// Whether it only reports what it would have refused (default false).
    pub shadow: bool,
    /// Whether an open breaker whose time is over is shown as half-open before a call has asked (default false).
    pub eager: bool,
    /// How traffic comes back (default at once).
    pub recovery: Recovery,
    /// What refused clients get.
    pub fallback: Fallback,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            scope: Scope::Service,
            window: Window::Time { span: Span::from_secs(60), buckets: 10 },
            minimum_calls: 20,
            failure_rate: Some(0.5),
            slow: None,
            failures: None,
            consecutive: None,
            open_for: Span::from_secs(30),
            open_multiplier: 1.0,
            open_max: Span::from_secs(300),
            jitter: 0.0,
            reset_after: None,
            half_open_calls: 3,
            probe_lease: Span::from_secs(10),
            honor_retry_after: true,
            shadow: false,
            eager: false,
            recovery: Recovery::Immediate,
            fallback: Fallback::default(),
        }
    }
}

/// A [`Config`] in the form that every call reads: whole numbers, clipped to what can be meant. Shared by all breakers
/// of one configuration.
#[derive(Clone, Debug)]
pub struct Rules {
    pub(super) window: Window,
    pub(super) minimum_calls: u32,
    pub(super) failure_rate: Ppm,
    pub(super) slow_rate: Ppm,
    pub(super) slow_over: Span,
    pub(super) counts_running: bool,
    pub(super) failures: u32,
    pub(super) consecutive: u32,
    pub(super) open_max: Span,
    pub(super) reset_after: Option<Span>,
    pub(super) half_open_calls: u32,
    pub(super) failures_to_open: u32,
    pub(super) slow_to_open: u32,
    pub(super) probe_lease: Span,
    pub(super) honor_retry_after: bool,
    pub(super) shadow: bool,
    pub(super) eager: bool,
    pub(super) ramp_over: Span,
    open_for: Span,
    open_multiplier: f64,
    jitter: f64,
    dice: Dice,
}

impl Rules {
    /// The rules of `config`; `seed` is the run's, for jitter.
    pub fn new(config: &Config, seed: u64) -> Rules {
        let window = match config.window {
            Window::Calls(n) => Window::Calls(n.clamp(1, Window::MAX_CALLS)),
            time => time,
        };
        let holds = if let Window::Calls(n) = window { n } else { u32::MAX };
        // A rate of 0 would trip without a single failure.
        let rate = |ratio: f64| Ppm::from_ratio(ratio.max(1e-6));
        let failure_rate = config.failure_rate.map_or(Ppm::NEVER, rate);
        let slow_rate = config.slow.map_or(Ppm::NEVER, |slow| rate(slow.rate));
        let probes = config.half_open_calls.max(1);
        Rules {
            window,
            minimum_calls: config.minimum_calls.clamp(1, holds),
            failure_rate,
            slow_rate,
            slow_over: config.slow.map_or(Span::MAX, |slow| slow.duration),
            counts_running: config.slow.is_some_and(|slow| slow.count_running),
            failures: config.failures.map_or(u32::MAX, |n| n.max(1)),
            consecutive: config.consecutive.map_or(u32::MAX, |n| n.max(1)),
            open_max: config.open_max,
            reset_after: config.reset_after,
            half_open_calls: probes,
            failures_to_open: if failure_rate == Ppm::NEVER { 1 } else { failure_rate.part_of(probes) },
            slow_to_open: slow_rate.part_of(probes),
            // With none at all, a probe would be lost in the moment it is issued.
            probe_lease: config.probe_lease.max(Span(1)),
            honor_retry_after: config.honor_retry_after,
            shadow: config.shadow,
            eager: config.eager,
            ramp_over: match config.recovery {
                Recovery::Immediate => Span::ZERO,
                Recovery::Ramp { over } => over,
            },
            open_for: config.open_for,
            open_multiplier: config.open_multiplier.max(1.0),
            jitter: config.jitter.clamp(0.0, 1.0),
            dice: Dice::new(seed, Stream::BreakerJitter),
        }
    }

    /// How long it stays open the `row`-th time in a row, from 1, before hints and jitter:
    /// `min(open_for · multiplier^(row − 1), open_max)`.
    pub fn open_for(&self, row: u32) -> Span {
        let factor = libm::pow(self.open_multiplier, f64::from(row.saturating_sub(1)));
        if factor > 1.0 { self.open_for.mul_f64(factor).min(self.open_max) } else { self.open_for.min(self.open_max) }
    }

    /// `span` varied for the `opens`-th opening of the breaker with number `index`.
    pub(super) fn jittered(&self, span: Span, index: u32, opens: u32) -> Span {
        if self.jitter.is_nan() || self.jitter == 0.0 {
            return span;
        }
        let u = 2.0 * self.dice.sub(u64::from(index), u64::from(opens)).unit() - 1.0;
        span.mul_f64(1.0 + self.jitter * u)
    }

    /// Whether enough calls failed at the failure rate.
    pub(super) fn is_failing(&self, total: Tally) -> bool {
        total.calls >= self.minimum_calls && self.failure_rate.is_reached(total.failures, total.calls)
    }

    /// Whether enough calls were slow at the slow rate.
    pub(super) fn is_slow(&self, total: Tally) -> bool {
        total.calls >= self.minimum_calls && self.slow_rate.is_reached(total.slow, total.calls)
    }
}

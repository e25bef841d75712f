//! Adaptive concurrency: a limit on requests in flight that follows latency, and so needs no number from anybody.
//!
//! ```text
//! aimd        drop: L = ⌊0.9 L⌋                          busy: L + 1
//! vegas       queue = ⌈L (1 − rtt_min / rtt)⌉            few: L + β … α: L + lg … β: hold … many: L − lg
//! gradient2   L · clamp(1.5 · long / short, 0.5, 1) + 4, smoothed by 0.2         long: an average over 600 samples
//! gradient    L · clamp(1.25 · rtt_min / rtt, 0.5, 2) + √L                       rtt_min measured at a pinned limit (Envoy)
//! breakwater  d < target: L + max(0.001 N, 1), else L · max(1 − 0.02 (d − target) / target, 0.5)      d = rtt − rtt_min
//! ```
//!
//! Sources: Netflix concurrency-limits; Envoy's adaptive concurrency filter; Cho et al., *Breakwater*, OSDI 2020. There, servers hand L
//! credits out to N clients ahead of requests, and each gets max((L − issued) / N, 1) more than it asked for, so that it need not wait for
//! an answer to be told of one. Here the gateway, through which all come, keeps them. It takes an unused one from whom it lies with
//! without a message, so over-commitment decides nothing: with it and without, a request is let in just when fewer than L are in
//! flight (a test holds the two side by side).
//!
//! A limiter that sees "stable latency" because every request times out at the same second would raise its limit to the maximum: a
//! **time-out is a drop** whatever its latency says. Drops shrink gradient2 as well (×0.9), which the reference ignores.
//!
//! Samples are collected over windows of at least [`Config::window`] and ten samples; the median of a window is its latency, one drop in
//! it makes it a dropped one. The count of requests in flight is the one at the end of a window.

use crate::rng::{Dice, Stream};
use crate::units::{Span, Time};

/// How the limit moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Additive increase, multiplicative decrease.
    Aimd,
    /// By the estimated queue (TCP Vegas).
    Vegas,
    /// By short against long latency.
    Gradient2,
    /// By latency against the least latency (Envoy).
    Gradient,
    /// Credits by delay beyond the least latency, against a target (Breakwater).
    Breakwater,
}

impl Algorithm {
    /// Every algorithm with its name in scenario files.
    pub const ALL: [(&'static str, Algorithm); 5] = [
        ("aimd", Algorithm::Aimd),
        ("vegas", Algorithm::Vegas),
        ("gradient2", Algorithm::Gradient2),
        ("gradient", Algorithm::Gradient),
        ("breakwater", Algorithm::Breakwater),
    ];

    fn default_bounds(self) -> (u32, u32, u32) {
        match self {
            Algorithm::Aimd | Algorithm::Gradient2 => (20, 20, 200),
            Algorithm::Vegas | Algorithm::Breakwater => (20, 1, 1000),
            Algorithm::Gradient => (3, 3, 1000),
        }
    }
}

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// How the limit moves.
    pub algorithm: Algorithm,
    /// The limit at the start.
    pub initial: u32,
    /// Its floor, ≥ 1.
    pub min: u32,
    /// Its ceiling.
    pub max: u32,
    /// Least length of a window of samples, > 0. Default 100 ms.
    pub window: Span,
    /// Latency that counts as a drop (aimd). Default 5 s.
    pub timeout: Span,
    /// The limit while the least latency is measured (gradient). Default 3.
    pub probe_concurrency: u32,
    /// Time between such measurements, ± 15% (gradient). Default 30 s.
    pub probe_interval: Span,
    /// Delay that is aimed at, > 0 (breakwater). Default 20 ms.
    pub target: Span,
    /// Clients that share the credits, ≥ 1 (breakwater). Default 1.
    pub clients: u32,
}

impl Config {
    /// The reference's numbers for an algorithm.
    pub fn of(algorithm: Algorithm) -> Config {
        let (initial, min, max) = algorithm.default_bounds();
        Config {
            algorithm,
            initial,
            min,
            max,
            window: Span::from_millis(100),
            timeout: Span::from_secs(5),
            probe_concurrency: 3,
            probe_interval: Span::from_secs(30),
            target: Span::from_millis(20),
            clients: 1,
        }
    }
}

/// How a request ended, for the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a latency that means something.
    Sample,
    /// Timed out or refused for lack of room.
    Dropped,
    /// With nothing to learn from.
    Ignored,
}

/// Samples kept of a window: its median is over the latest of these.
const KEPT: usize = 64;
/// Samples without which a window goes on.
const ENOUGH: u32 = 10;
/// Samples of a measurement of the least latency (gradient).
const PROBES: u32 = 50;

/// The limit and what it has learnt.
#[derive(Clone, Debug)]
pub struct Limiter {
    config: Config,
    limit: f64,
    in_flight: u32,
    samples: [u64; KEPT],
    count: u32,
    dropped: bool,
    ends_at: Time,
    /// Least latency \[ns\]; infinite: not known.
    least: f64,
    /// Long latency \[ns\] and the samples behind it (gradient2).
    long: f64,
    long_count: u32,
    /// Samples until the least latency is forgotten (vegas).
    until_probe: u32,
    /// Whether the least latency is being measured, and when it will be again (gradient).
    probing: bool,
    probe_at: Time,
    at_minimum: u32,
    dice: Dice,
    probes: u64,
}

impl Limiter {
    /// Nothing is in flight and nothing is known; `seed` is the run's.
    pub fn new(config: Config, seed: u64) -> Limiter {
        Limiter {
            limit: f64::from(config.initial.clamp(config.min, config.max)),
            config,
            in_flight: 0,
            samples: [0; KEPT],
            count: 0,
            dropped: false,
            ends_at: Time::ZERO + config.window,
            least: f64::INFINITY,
            long: 0.0,
            long_count: 0,
            until_probe: 600,
            probing: config.algorithm == Algorithm::Gradient,
            probe_at: Time::ZERO,
            at_minimum: 0,
            dice: Dice::new(seed ^ 0x434F_4E43, Stream::BreakerJitter),
            probes: 0,
        }
    }

    /// The limit as it is.
    pub fn limit(&self) -> u32 {
        if self.probing { self.config.probe_concurrency } else { self.limit as u32 }
    }

    /// Takes a place; false if all are taken.
    pub fn acquire(&mut self, now: Time) -> bool {
        if self.config.algorithm == Algorithm::Gradient && !self.probing && now >= self.probe_at {
            self.begin_probing();
        }
        let has_room = self.in_flight < self.limit().max(1);
        self.in_flight += u32::from(has_room);
        has_room
    }

    /// Gives a place back, with what is to be learnt from it.
    pub fn release(&mut self, now: Time, rtt: Span, end: End) {
        debug_assert!(self.in_flight > 0, "every release has an acquisition");
        // Shorter ones are artefacts.
        const LEAST: Span = Span::from_micros(100);
        match end {
            End::Ignored => {}
            End::Dropped => {
                self.dropped = true;
                self.count += 1;
            }
            End::Sample if rtt < LEAST && !self.least.is_finite() => {}
            End::Sample => {
                self.samples[self.count as usize % KEPT] = rtt.0;
                self.count += 1;
            }
        }
        let enough = if self.probing { PROBES } else { ENOUGH };
        if self.count >= enough && (self.probing || now >= self.ends_at) {
            let rtt = self.median();
            let (in_flight, dropped) = (self.in_flight, self.dropped);
            (self.count, self.dropped) = (0, false);
            self.ends_at = now + self.config.window;
            self.window_ended(now, rtt, in_flight, dropped);
        }
        self.in_flight -= 1;
    }

    fn median(&self) -> f64 {
        let n = (self.count as usize).min(KEPT);
        let mut samples = self.samples;
        let middle = samples[..n].select_nth_unstable(n / 2).1;
        *middle as f64
    }

    fn begin_probing(&mut self) {
        self.probing = true;
        (self.count, self.dropped, self.at_minimum) = (0, false, 0);
    }

    fn window_ended(&mut self, now: Time, rtt: f64, in_flight: u32, dropped: bool) {
        if self.probing {
            self.least = rtt.max(1.0);
            self.probing = false;
            self.probes += 1;
            let jitter = 1.0 + 0.15 * (2.0 * self.dice.unit(self.probes) - 1.0);
            self.probe_at = now + self.config.probe_interval.mul_f64(jitter);
            return;
        }
        match self.config.algorithm {
            Algorithm::Aimd => self.aimd(rtt, in_flight, dropped),
            Algorithm::Vegas => self.vegas(rtt, in_flight, dropped),
            Algorithm::Gradient2 => self.gradient2(rtt, in_flight, dropped),
            Algorithm::Gradient => self.gradient(rtt, dropped),
            Algorithm::Breakwater => self.breakwater(rtt, dropped),
        }
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(f64::from(self.config.min), f64::from(self.config.max));
    }

    fn aimd(&mut self, rtt: f64, in_flight: u32, dropped: bool) {
        if dropped || rtt > self.config.timeout.0 as f64 {
            self.set((self.limit * 0.9).floor());
        } else if f64::from(in_flight) * 2.0 >= self.limit {
            self.set(self.limit + 1.0);
        }
    }

    fn vegas(&mut self, rtt: f64, in_flight: u32, dropped: bool) {
        self.until_probe = self.until_probe.saturating_sub(1);
        if self.until_probe == 0 {
            self.probes += 1;
            let u = 0.5 + 0.5 * self.dice.unit(self.probes);
            self.until_probe = (u * 30.0 * self.limit) as u32;
            self.least = rtt;
            return;
        }
        if rtt < self.least && !dropped {
            self.least = rtt;
            return;
        }
        let lg = libm::log10(self.limit).floor().max(1.0);
        if dropped {
            return self.set(self.limit - lg);
        }
        if f64::from(in_flight) * 2.0 < self.limit {
            return;
        }
        let (alpha, beta) = (3.0 * lg, 6.0 * lg);
        let queue = (self.limit * (1.0 - self.least / rtt)).ceil();
        if queue <= lg {
            self.set(self.limit + beta);
        } else if queue < alpha {
            self.set(self.limit + lg);
        } else if queue > beta {
            self.set(self.limit - lg);
        }
    }

    fn gradient2(&mut self, rtt: f64, in_flight: u32, dropped: bool) {
        const LONG: f64 = 600.0;
        const PLAIN: u32 = 10;
        self.long_count += 1;
        self.long = if self.long_count <= PLAIN {
            self.long + (rtt - self.long) / f64::from(self.long_count)
        } else {
            self.long + (rtt - self.long) * 2.0 / (LONG + 1.0)
        };
        self.follow(rtt, in_flight, dropped);
    }

    /// The step of gradient2 with the long latency as it is.
    fn follow(&mut self, short: f64, in_flight: u32, dropped: bool) {
        if dropped {
            return self.set(self.limit * 0.9);
        }
        let long = self.long;
        if long / short > 2.0 {
            self.long = long * 0.95;
        }
        if f64::from(in_flight) < self.limit / 2.0 {
            return;
        }
        let gradient = (1.5 * long / short).clamp(0.5, 1.0);
        self.set(0.8 * self.limit + 0.2 * (self.limit * gradient + 4.0));
    }

    fn breakwater(&mut self, rtt: f64, dropped: bool) {
        if !dropped {
            self.least = self.least.min(rtt);
        }
        let delay = if dropped { f64::INFINITY } else { rtt - self.least };
        self.grant(delay, self.config.target.0 as f64);
    }

    /// More credits while the delay is below the target, fewer the more it is above; both in one unit.
    fn grant(&mut self, delay: f64, target: f64) {
        const ALPHA: f64 = 0.001;
        const BETA: f64 = 0.02;
        self.set(if delay < target {
            self.limit + (ALPHA * f64::from(self.config.clients)).max(1.0)
        } else {
            self.limit * (1.0 - BETA * (delay - target) / target).max(0.5)
        });
    }

    fn gradient(&mut self, rtt: f64, dropped: bool) {
        let gradient = if dropped { 0.5 } else { (self.least * 1.25 / rtt.max(1.0)).clamp(0.5, 2.0) };
        let limit = self.limit * gradient;
        self.set(limit + limit.sqrt());
        self.at_minimum = if self.limit <= f64::from(self.config.min) { self.at_minimum + 1 } else { 0 };
        if self.at_minimum >= 5 {
            self.begin_probing();
        }
    }
}

#[cfg(test)]
mod tests;

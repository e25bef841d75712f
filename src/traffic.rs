//! Traffic: a plan, or a recording, becomes arrivals in order of time.
//!
//! ```text
//! shape ─▶ rate over time ─┐
//! overlay, noise ──────────┼─▶ arrivals ─▶ Arrival { at, index, origin }
//! access log, rate series ─┘                     │
//!                          population: index ─▶ client ─▶ region, bot; index ─▶ endpoint
//! ```
//!
//! Only the next arrival exists; nothing is computed ahead, and memory does not grow with the run. Who asks for
//! what is a function of the arrival's index. What is absent: answers. Arrivals do not wait for them (open loop),
//! and timeouts and retries are the driver's.

pub mod ahead;
pub mod arrivals;
pub mod formats;
pub mod method;
pub mod population;
pub mod replay;
pub mod shape;

pub use ahead::Ahead;
pub use arrivals::{Arrival, Arrivals, Origin, Place};
pub use population::{ClientsConfig, EndpointMix, Population, Region};
pub use shape::{Attack, Kind, Noise, Overlay, Rate, Segment};

use crate::units::Span;

/// What `[traffic]` says.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Config {
    /// How a rate becomes instants; default: Poisson.
    pub arrivals: Process,
    /// The rate over time: segments one after the other. After the last one's end the rate is 0.
    pub shape: Vec<Segment>,
    /// Multiplicative noise on the rate; `None`: the rate is exactly the shape's.
    pub noise: Option<Noise>,
    /// What comes on top, in any order.
    pub overlay: Vec<Overlay>,
    /// How far into the plan the run begins: overlays, days and hours count from the plan's start, which is so long before. Default 0.
    pub skip: Span,
}

/// How a rate becomes instants.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Process {
    /// Evenly spaced: a constant rate r has arrivals at exactly 1/r, 2/r, 3/r …
    Paced,
    /// Independent arrivals: what many independent clients add up to.
    #[default]
    Poisson,
    /// Poisson arrivals whose rate jumps between bursts and quiet, with the same mean.
    Mmpp(Burst),
}

/// The bursts of [`Process::Mmpp`]: exponential sojourns in and between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// The rate in a burst as a multiple of that between bursts, ≥ 0.
    pub factor: f64,
    /// Mean length of a burst.
    pub mean_on: Span,
    /// Mean time between bursts.
    pub mean_off: Span,
}

/// Something in a [`Config`] or [`ClientsConfig`] that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, below the section: `shape[2].rate`.
    pub key: String,
    /// What was found.
    pub found: String,
    /// What would do.
    pub expected: &'static str,
}

const RATE: &str = "a rate of 0 to 1e9 requests per second";
const FACTOR: &str = "a finite number of at least 0";
const POSITIVE: &str = "a finite number above 0";
const LENGTH: &str = "a duration above zero";

impl Config {
    /// The rate over the time of a run.
    pub fn rate(&self, seed: u64) -> Rate {
        Rate::new(&self.shape, self.noise, &self.overlay, seed).entered_at(self.skip)
    }

    /// The attacks among the overlays; the k-th is that of [`Origin::Attack`]`(k)`.
    pub fn attacks(&self) -> impl Iterator<Item = &Attack> {
        self.overlay.iter().filter_map(|o| if let Overlay::Attack(attack) = o { Some(attack) } else { None })
    }

    /// Everything that cannot be meant, in the order of the fields; empty if all is well. Arrivals do not panic
    /// on any of it: a rate that is no number counts as zero.
    pub fn problems(&self) -> Vec<Problem> {
        let mut check = Check::default();
        if let Process::Mmpp(burst) = self.arrivals {
            check.factor("burst.factor", burst.factor);
            check.length("burst.mean_on", burst.mean_on);
            check.length("burst.mean_off", burst.mean_off);
        }
        for (i, segment) in self.shape.iter().enumerate() {
            check.segment(&format!("shape[{i}]"), segment, i + 1 == self.shape.len());
        }
        if let Some(noise) = self.noise {
            check.factor("noise.sigma", noise.sigma);
            check.length("noise.slot", noise.slot);
        }
        for (i, overlay) in self.overlay.iter().enumerate() {
            check.overlay(&format!("overlay[{i}]"), overlay);
        }
        check.problems
    }
}

/// Collects problems.
#[derive(Default)]
struct Check {
    problems: Vec<Problem>,
}

impl Check {
    fn that(&mut self, holds: bool, key: &str, found: impl ToString, expected: &'static str) {
        if !holds {
            self.problems.push(Problem { key: key.to_string(), found: found.to_string(), expected });
        }
    }

    fn rate(&mut self, key: &str, rate: f64) {
        self.that((0.0..=shape::MAX_RPS).contains(&rate), key, rate, RATE);
    }

    fn factor(&mut self, key: &str, factor: f64) {
        self.that(factor >= 0.0 && factor.is_finite(), key, factor, FACTOR);
    }

    fn positive(&mut self, key: &str, factor: f64) {
        self.that(factor > 0.0 && factor.is_finite(), key, factor, POSITIVE);
    }

    fn length(&mut self, key: &str, span: Span) {
        self.that(!span.is_zero(), key, span, LENGTH);
    }

    fn segment(&mut self, at: &str, segment: &Segment, last: bool) {
        let key = |name: &str| format!("{at}.{name}");
        match segment.lasts {
            Some(lasts) => self.length(&key("for"), lasts),
            None if matches!(segment.kind, Kind::Ramp { .. }) => {
                self.that(false, &key("for"), "nothing", "the duration of the ramp");
            }
            None => self.that(last, &key("for"), "nothing", "a duration: only the last segment can go without"),
        }
        match segment.kind {
            Kind::Constant { rate } => self.rate(&key("rate"), rate),
            Kind::Ramp { from, to } | Kind::Step { from, to, .. } => {
                self.rate(&key("from"), from);
                self.rate(&key("to"), to);
            }
            Kind::Spike { base, magnitude, .. } => {
                self.rate(&key("base"), base);
                self.factor(&key("magnitude"), magnitude);
            }
            Kind::FlashCrowd { base, magnitude, .. } => {
                self.rate(&key("base"), base);
                self.positive(&key("magnitude"), magnitude);
            }
            Kind::Diurnal { mean, amplitude, period, .. } => {
                self.rate(&key("mean"), mean);
                self.factor(&key("amplitude"), amplitude);
                self.length(&key("period"), period);
            }
            Kind::Weekly { mean, days, amplitude, .. } => {
                self.rate(&key("mean"), mean);
                for (day, factor) in days.into_iter().enumerate() {
                    self.factor(&key(&format!("days[{day}]")), factor);
                }
                self.factor(&key("amplitude"), amplitude);
            }
        }
    }

    fn overlay(&mut self, at: &str, overlay: &Overlay) {
        let key = |name: &str| format!("{at}.{name}");
        match *overlay {
            Overlay::Spike { magnitude, .. } => self.factor(&key("magnitude"), magnitude),
            Overlay::FlashCrowd { magnitude, .. } => self.positive(&key("magnitude"), magnitude),
            Overlay::Attack(attack) => {
                self.rate(&key("rate"), attack.rate);
                self.length(&key("for"), attack.lasts);
                self.that(attack.clients > 0, &key("clients"), attack.clients, "at least 1 client");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_cannot_be_meant_is_told_at_once() {
        let segment = |kind, lasts| Segment { kind, lasts };
        let config = Config {
            arrivals: Process::Mmpp(Burst { factor: -1.0, mean_on: Span::ZERO, mean_off: Span(1) }),
            shape: vec![
                segment(Kind::Constant { rate: -5.0 }, None),
                segment(Kind::Ramp { from: 1.0, to: f64::NAN }, None),
            ],
            noise: Some(Noise { sigma: f64::INFINITY, slot: Span::ZERO }),
            overlay: vec![Overlay::Attack(Attack {
                at: Span::ZERO,
                rate: 2e9,
                lasts: Span::ZERO,
                clients: 0,
                endpoint: None,
            })],
            ..Config::default()
        };
        let keys: Vec<String> = config.problems().into_iter().map(|p| p.key).collect();
        assert_eq!(
            keys,
            [
                "burst.factor",
                "burst.mean_on",
                "shape[0].for",
                "shape[0].rate",
                "shape[1].for",
                "shape[1].to",
                "noise.sigma",
                "noise.slot",
                "overlay[0].rate",
                "overlay[0].for",
                "overlay[0].clients"
            ]
        );
        let fine = Config { shape: vec![segment(Kind::Constant { rate: 5.0 }, None)], ..Config::default() };
        assert_eq!(fine.problems(), []);
    }
}

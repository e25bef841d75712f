//! Client-side throttling: a client stops asking a service that refuses most of what it is asked.
//!
//! ```text
//! Google SRE   p = max(0, (requests − K · accepts) / (requests + 1))                       over two minutes, K = 2
//! Envoy        p = max(0, (requests − successes / threshold) / (requests + 1))^(1 / aggression), at most 0.8      over 30 s
//! ```
//!
//! `requests` counts what the application wanted, local refusals included. In equilibrium the service gets about K times what it
//! accepts, and has to be able to refuse that much.

use crate::engine::window::TimeBuckets;
use crate::units::{Span, Time};

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Requests per success beyond which it throttles, ≥ 1: K, or 1 / threshold. Default 2.
    pub k: f64,
    /// 1 for a linear answer, more to throttle harder, ≥ 1. Default 1.
    pub aggression: f64,
    /// The largest probability, 0..=1. Default 1.
    pub at_most: f64,
    /// How far back it looks, > 0. Default 2 minutes.
    pub window: Span,
}

impl Config {
    /// Google's book.
    pub const SRE: Config = Config { k: 2.0, aggression: 1.0, at_most: 1.0, window: Span::from_mins(2) };
    /// Envoy's admission control.
    pub const ENVOY: Config = Config { k: 1.0 / 0.95, aggression: 1.0, at_most: 0.8, window: Span::from_secs(30) };

    /// Probability that a request is refused locally.
    pub fn probability(&self, requests: f64, accepts: f64) -> f64 {
        let p = ((requests - self.k * accepts) / (requests + 1.0)).max(0.0);
        let p = if self.aggression == 1.0 { p } else { libm::pow(p, 1.0 / self.aggression) };
        p.min(self.at_most)
    }
}

/// Parts of the window.
const BUCKETS: u32 = 40;

/// One client, or all clients that share what they learn.
#[derive(Clone, Debug)]
pub struct Throttle {
    config: Config,
    requests: TimeBuckets,
    accepts: TimeBuckets,
}

impl Throttle {
    /// Nothing has been asked yet.
    pub fn new(config: Config) -> Throttle {
        Throttle {
            config,
            requests: TimeBuckets::new(config.window, BUCKETS),
            accepts: TimeBuckets::new(config.window, BUCKETS),
        }
    }

    /// A request is wanted; true if it is refused here. `u` is uniform in (0, 1).
    pub fn refuses(&mut self, now: Time, u: f64) -> bool {
        let count = |buckets: &TimeBuckets| f64::from(buckets.total_at(now).calls);
        let p = self.config.probability(count(&self.requests), count(&self.accepts));
        self.requests.record(now, false, false);
        u < p
    }

    /// The service took a request, whatever came of it.
    pub fn accepted(&mut self, now: Time) {
        self.accepts.record(now, false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_the_worked_ones() {
        let sre = |k, requests, accepts| Config { k, ..Config::SRE }.probability(requests, accepts);
        let envoy =
            |aggression, requests, successes| Config { aggression, ..Config::ENVOY }.probability(requests, successes);
        for (id, p, expected) in [
            ("CB-66", sre(2.0, 1000.0, 1000.0), 0.0),
            ("CB-66", sre(2.0, 1000.0, 500.0), 0.0),
            ("CB-67", sre(2.0, 1000.0, 400.0), 0.1998),
            ("CB-68", sre(1.5, 1000.0, 400.0), 0.3996),
            ("CB-69", sre(2.0, 100.0, 10.0), 0.792_079),
            ("CB-70", sre(2.0, 1000.0, 0.0), 0.999_001),
            ("CB-71", envoy(1.0, 100.0, 95.0), 0.0),
            ("CB-72", envoy(1.0, 100.0, 70.0), 0.260_55),
            ("CB-72", envoy(2.0, 100.0, 70.0), 0.510_44),
            ("CB-73", envoy(1.0, 100.0, 50.0), 0.468_99),
            ("CB-74", envoy(1.0, 1000.0, 0.0), 0.8),
        ] {
            assert!((p - expected).abs() < 6e-5, "{id}: {p}");
        }
    }

    #[test]
    fn it_forgets_what_is_older_than_its_window() {
        let mut throttle = Throttle::new(Config::SRE);
        let at = Time::from_secs_f64;
        for i in 0..1000 {
            throttle.refuses(at(f64::from(i) * 0.01), 1.0);
        }
        assert!(throttle.refuses(at(10.0), 0.99), "nothing was accepted");
        assert!(!throttle.refuses(at(200.0), 0.01), "long ago");
    }
}

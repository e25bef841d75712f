//! Peak EWMA: a latency that rises at once and falls slowly, times the work in flight (Finagle, Linkerd).
//!
//! ```text
//! observe(rtt)   cost = rtt if rtt > cost, else cost · w + rtt · (1 − w)       w = exp(−Δt / τ)
//! load           cost · exp(−Δt / τ) · (in flight + 1)
//! ```
//!
//! Reading decays toward zero, or an instance that was slow once, and so is never picked, would be shunned for ever. A failure is
//! observed as a penalty and not as its latency: a fast error is no fast answer.
//!
//! An observation is made at the end of an attempt, when its whole answer has been forwarded.

use crate::engine::request::Outcome;
use crate::units::{Span, Time};

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Decay τ, > 0. Default 10 s.
    pub tau: Span,
    /// What an instance without an observation counts as; it decays like one. Default 1 s (Linkerd).
    pub default_rtt: Span,
    /// What a failed attempt is observed as, at least. Default 5 s (Linkerd).
    pub error_penalty: Span,
}

impl Default for Config {
    fn default() -> Config {
        Config { tau: Span::from_secs(10), default_rtt: Span::from_secs(1), error_penalty: Span::from_secs(5) }
    }
}

/// Load of an instance that was sent a request and has not answered any: any other is better.
const PENALTY: f64 = 1e30;

/// What is known of one instance.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// \[ns\]
    cost: f64,
    last: Time,
    observed: bool,
}

impl Latency {
    /// Nothing yet, since `now`.
    pub fn new(config: &Config, now: Time) -> Latency {
        Latency { cost: config.default_rtt.0 as f64, last: now, observed: false }
    }

    /// An attempt ended.
    pub fn ended(&mut self, config: &Config, now: Time, outcome: Outcome, latency: Span) {
        match outcome {
            Outcome::Abandoned => {}
            Outcome::Success => self.observe(config, now, latency.0 as f64),
            _ => self.observe(config, now, config.error_penalty.0.max(latency.0) as f64),
        }
    }

    /// The failure that ended last came with a hint when to come back (`Retry-After`): it counts as that long, but never for less than
    /// one without a hint.
    pub fn hinted(&mut self, config: &Config, now: Time, retry_after: Span) {
        self.observe(config, now, retry_after.max(config.error_penalty).0 as f64);
    }

    fn observe(&mut self, config: &Config, now: Time, rtt: f64) {
        if !self.observed || rtt > self.cost {
            self.cost = rtt;
        } else {
            let w = self.decay(config, now);
            self.cost = self.cost * w + rtt * (1.0 - w);
        }
        self.observed = true;
        self.last = self.last.max(now);
    }

    fn decay(&self, config: &Config, now: Time) -> f64 {
        libm::exp(-(now.0.saturating_sub(self.last.0) as f64) / config.tau.0 as f64)
    }

    /// What sending one more request would meet \[ns\]; lower is better.
    #[inline]
    pub fn load(&self, config: &Config, now: Time, in_flight: u32) -> f64 {
        if !self.observed && in_flight > 0 {
            return PENALTY * (1.0 + f64::from(in_flight) * 1e-6);
        }
        self.cost * self.decay(config, now) * (f64::from(in_flight) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: f64 = 1e6;

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    #[test]
    fn bad_news_is_believed_at_once_and_good_news_slowly() {
        let config = Config::default();
        let mut latency = Latency::new(&config, at(0.0));
        let near = |x: f64, ms: f64| (x - ms * MS).abs() < 1.0;
        latency.observe(&config, at(0.0), 30.0 * MS);
        latency.observe(&config, at(0.0), 50.0 * MS);
        assert!(near(latency.cost, 50.0), "LB-58");
        latency.observe(&config, at(1.0), 10.0 * MS);
        assert!(near(latency.cost, 46.193497), "LB-59");
        assert!(near(latency.load(&config, at(1.0), 3), 184.773987), "LB-62");
        latency.observe(&config, at(6.0), 10.0 * MS);
        assert!(near(latency.cost, 31.952465), "LB-60");
        assert!(near(latency.load(&config, at(16.0), 0), 11.754655), "LB-61");
    }

    #[test]
    fn a_failure_is_observed_as_a_penalty() {
        let config = Config::default();
        let mut latency = Latency::new(&config, at(0.0));
        latency.ended(&config, at(0.0), Outcome::ServerError, Span(1_000_000));
        assert_eq!(latency.cost, 5e9, "LB-63");
        for (id, seconds, expected) in [("LB-64", 30, 30e9), ("LB-65", 1, 5e9)] {
            let mut latency = Latency::new(&config, at(0.0));
            latency.ended(&config, at(0.0), Outcome::ServerError, Span(1_000_000));
            latency.hinted(&config, at(0.0), Span::from_secs(seconds));
            assert_eq!(latency.cost, expected, "{id}");
        }
    }

    #[test]
    fn who_was_asked_and_has_never_answered_is_the_last_choice() {
        let config = Config::default();
        let latency = Latency::new(&config, at(0.0));
        assert_eq!(latency.load(&config, at(0.0), 0), 1e9);
        assert!(latency.load(&config, at(0.0), 1) > 1e20);
        assert!(latency.load(&config, at(0.0), 2) > latency.load(&config, at(0.0), 1));
    }

    proptest! {
        #[test]
        fn it_is_never_above_the_largest_observation_and_falls_between(
            steps in proptest::collection::vec((0.0..20.0f64, 0.0..1e10f64), 1..50)
        ) {
            let config = Config::default();
            let mut latency = Latency::new(&config, at(0.0));
            let (mut now, mut largest) = (0.0, 0.0f64);
            for (dt, rtt) in steps {
                let before = latency.load(&config, at(now), 0);
                prop_assert!(latency.load(&config, at(now + dt), 0) <= before);
                now += dt;
                latency.observe(&config, at(now), rtt);
                largest = largest.max(rtt);
                prop_assert!(latency.cost >= 0.0 && latency.cost <= largest * (1.0 + 1e-12));
            }
        }
    }
}

//! Queueing-based sizing: the fewest instances that meet a target on response times at the rate and variance of now.
//!
//! `raw = sizing(λ, ca²)` of [`super::sizing`], with λ the offered load of the metrics window: also what quotas and breakers refused.
//! A scale-in waits until the recommendations of a whole window allow it. The policy knows nothing of what comes: between an order
//! and its arrival the load may grow past it, which `headroom` is for; [`super::predictive`] and [`super::slo`] look ahead instead.

use super::policy::Recommendation;
use super::sizing::{self, Sizing};
use super::stabilize::Stabilizer;
use super::{Guards, Sight};
use crate::engine::metrics::{Aggregate, Metric};
use crate::units::Span;

/// A queueing policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// The target, and what is known of an instance.
    pub sizing: sizing::Config,
    /// Load that is carried beyond the offered one, relative, ≥ 0; default 0.1.
    pub headroom: f64,
    /// How long every recommendation must have been lower before instances are removed; default 5 min.
    pub stabilization_window: Span,
}

impl Config {
    /// The defaults, under the name "queueing".
    pub fn new(sizing: sizing::Config) -> Config {
        Config { name: "queueing".into(), sizing, headroom: 0.1, stabilization_window: Span::from_mins(5) }
    }
}

/// The policy with its memory.
#[derive(Clone, Debug)]
pub(super) struct Queueing {
    config: Config,
    sizing: Sizing,
    stabilizer: Stabilizer,
}

impl Queueing {
    pub(super) fn new(config: Config) -> Queueing {
        Queueing {
            sizing: Sizing::new(config.sizing.clone()),
            stabilizer: Stabilizer::new(config.stabilization_window),
            config,
        }
    }

    /// What it wants at this tick.
    pub(super) fn recommend(&mut self, sight: &Sight<'_>, guards: &Guards) -> Recommendation {
        self.sizing.learn(sight, guards.distort_latency());
        let existing = sight.fleet().existing;
        let name = &self.config.name;
        let Some(rate) = sight.fresh(Metric::RequestsPerSecond, Aggregate::Avg) else {
            return Recommendation::outright(existing, format!("no usable rate, keeping {existing} (policy {name})"));
        };
        let scv = Sizing::arrival_scv(sight.observed.longest_series(Metric::RequestsPerSecond, Aggregate::Avg));
        let Some(sized) = self.sizing.instances(rate.value * (1.0 + self.config.headroom), scv) else {
            let cause = format!("no request has been timed yet, keeping {existing} (policy {name})");
            return Recommendation::outright(existing, cause);
        };
        let cause = format!(
            "{:.0}/s offered, {}: {} wanted for {}, {:.0}% busy{} (policy {name})",
            rate.value,
            variance_in_words(scv),
            sized.instances,
            self.sizing.target(),
            100.0 * sized.utilization,
            if sized.is_met { "" } else { "; no number meets it" },
        );
        let steady = self.stabilizer.smooth(sight.now, existing, sized.instances);
        let mut wish = Recommendation::outright(steady.count, cause).seen(Some(rate));
        wish.raw = sized.instances;
        self.stabilizer.note(&mut wish, steady, existing);
        wish
    }
}

/// ca² in words.
pub(super) fn variance_in_words(scv: f64) -> String {
    if scv <= 1.0 {
        "arrivals as by chance".into()
    } else {
        format!("arrivals {scv:.1} times as uneven as by chance")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::metrics::{FleetCounts, Observed};
    use crate::units::Time;

    fn policy() -> Queueing {
        let sizing = sizing::Config {
            service_time: Some(Span::from_millis(100)),
            quantile: 0.95,
            ..sizing::Config::new(Span::from_millis(500))
        };
        Queueing::new(Config { headroom: 0.0, ..Config::new(sizing) })
    }

    fn want(policy: &mut Queueing, at: u64, existing: u32, rps: Option<f64>) -> Recommendation {
        let now = Time::ZERO + Span::from_secs(at);
        let mut observed = Observed::new(FleetCounts { existing, pending: 0, ready: existing });
        if let Some(rps) = rps {
            observed.set(Metric::RequestsPerSecond, Aggregate::Avg, rps, now);
        }
        let sight = Sight { now, observed: &observed, max_age: Span::from_secs(60) };
        policy.recommend(&sight, &Guards::default())
    }

    #[test]
    fn as_many_as_meet_the_target_at_the_rate_of_now() {
        let wish = want(&mut policy(), 0, 8, Some(80.0));
        assert_eq!((wish.raw, wish.limited), (9, 9));
        assert_eq!(
            wish.cause,
            "80/s offered, arrivals as by chance: 9 wanted for p95 500ms, 89% busy (policy queueing)"
        );
        assert_eq!(want(&mut policy(), 0, 8, None).limited, 8, "no rate, no change");
    }

    #[test]
    fn a_scale_in_waits_for_its_window() {
        let mut policy = policy();
        want(&mut policy, 0, 12, Some(80.0));
        assert_eq!(want(&mut policy, 60, 12, Some(20.0)).limited, 12);
        assert_eq!(want(&mut policy, 300, 12, Some(20.0)).limited, 3);
    }
}

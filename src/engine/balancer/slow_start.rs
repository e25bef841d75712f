//! Slow start: an instance that has just become a candidate gets a share that grows, so that cold caches are not knocked over.
//!
//! ```text
//! weight' = weight · max(min_weight, (max(t, 1 ms) / window)^(1 / aggression))     t since it became a candidate, t < window
//! ```
//!
//! It starts at the first moment that the instance may get traffic, not at the start of its process; an ejection shorter than
//! the window does not restart it; and if every candidate is inside its window, plain weights are used, or a whole new
//! fleet would get a tenth of nothing.

use crate::units::{Span, Time};

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// How long the growth takes, > 0.
    pub window: Span,
    /// The least factor, above 0, at most 1. Default 0.1.
    pub min_weight: f64,
    /// Exponent's inverse, > 0: above 1 it grows faster at first. Default 1.
    pub aggression: f64,
    /// Whether it applies to instances that have just joined, and not only to those that come back (HAProxy: only those).
    /// Default true.
    pub on_join: bool,
}

impl Config {
    /// The usual form over `window`.
    pub fn over(window: Span) -> Config {
        Config { window, min_weight: 0.1, aggression: 1.0, on_join: true }
    }

    /// Factor on the weight of an instance that became a candidate `t` ago.
    pub fn factor(&self, t: Span) -> f64 {
        const LEAST: Span = Span(1_000_000);
        if t >= self.window {
            return 1.0;
        }
        let share = t.max(LEAST).0 as f64 / self.window.0 as f64;
        let grown = if self.aggression == 1.0 { share } else { libm::pow(share, 1.0 / self.aggression) };
        grown.clamp(self.min_weight, 1.0)
    }

    /// How often weights are brought up to date: a hundredth of the window is a hundredth of the weight.
    pub fn step(&self) -> Span {
        Span((self.window.0 / 100).max(1))
    }

    /// Whether an instance that became a candidate at `since` is still inside its window.
    pub fn is_ramping(&self, since: Option<Time>, now: Time) -> bool {
        since.is_some_and(|since| now.since(since) < self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_grows_with_time_and_aggression() {
        for (id, t, aggression, expected) in [
            ("LB-79", 0, 1.0, 0.1),
            ("LB-80", 15, 1.0, 0.25),
            ("LB-81", 15, 2.0, 0.5),
            ("LB-82", 30, 2.0, std::f64::consts::FRAC_1_SQRT_2),
            ("LB-83", 30, 0.5, 0.25),
            ("LB-84", 60, 0.3, 1.0),
        ] {
            let config = Config { aggression, ..Config::over(Span::from_secs(60)) };
            let factor = config.factor(Span::from_secs(t));
            assert!((factor - expected).abs() < 1e-6, "{id}: {factor}");
        }
    }
}

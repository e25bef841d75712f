//! Back-off: how long to wait before trying again.
//!
//! ```text
//! exponential    min(cap, base · factor^(r−1)) · (1 − jitter · u)          jitter 0: none, ½: "equal", 1: "full"
//! envoy          min(cap, (2^r − 1) · base) · u                            Envoy's retry policy
//! decorrelated   min(cap, base + u · (3 · last − base)), last = base       AWS Architecture Blog, Brooker 2015
//! hint           Retry-After · (1 + ½ u), at most five minutes of it       Envoy's rate-limited back-off
//! ```
//!
//! for the r-th retry and u in [0, 1). Waits are functions of r and of draws that the caller keys by request and retry, so nothing is
//! kept between retries.

use crate::units::Span;

/// How waits grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// By a factor.
    #[default]
    Exponential,
    /// Envoy's: by one less than powers of two, all of it random.
    Envoy,
    /// At random from the wait before, up to three times as long.
    Decorrelated,
}

impl Kind {
    /// Every kind with its name in scenario files.
    pub const ALL: [(&'static str, Kind); 3] =
        [("exponential", Kind::Exponential), ("envoy", Kind::Envoy), ("decorrelated", Kind::Decorrelated)];
}

/// How long to wait before each retry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// How waits grow.
    pub kind: Kind,
    /// Wait before the first retry.
    pub base: Span,
    /// Exponential: each further wait is this many times longer, ≥ 1.
    pub factor: f64,
    /// Longest wait before jitter; `None`: unlimited.
    pub cap: Option<Span>,
    /// Exponential: share of the wait that is random: 0 none, 1 "full jitter".
    pub jitter: f64,
}

impl Backoff {
    /// The wait before the `retry`-th retry, 1 first; `unit(r)` is the draw of the r-th, in [0, 1).
    pub fn wait(&self, retry: u32, unit: impl Fn(u32) -> f64) -> Span {
        let capped = |wait: Span| self.cap.map_or(wait, |cap| wait.min(cap));
        match self.kind {
            Kind::Exponential => {
                let growth = libm::pow(self.factor, f64::from(retry - 1));
                capped(self.base.mul_f64(growth)).mul_f64(1.0 - self.jitter * unit(retry))
            }
            Kind::Envoy => {
                let growth = libm::pow(2.0, f64::from(retry)) - 1.0;
                capped(self.base.mul_f64(growth)).mul_f64(unit(retry))
            }
            Kind::Decorrelated => (1..=retry).fold(self.base, |last, r| {
                let most = last.mul_f64(3.0);
                let spread = Span(most.0.saturating_sub(self.base.0));
                capped(Span(self.base.0.saturating_add(spread.mul_f64(unit(r)).0)))
            }),
        }
    }
}

/// Hints of more than this are not followed.
const LONGEST_HINT: Span = Span::from_mins(5);

/// The wait that a server's hint asks for, spread by `u` so that not all come back at once; `None` if it is too long to follow.
pub fn hinted(hint: Span, u: f64) -> Option<Span> {
    (hint <= LONGEST_HINT).then(|| hint.mul_f64(1.0 + 0.5 * u))
}

/// Attempts per request, the first included, where each of `layers` makes up to `attempts` and each of those fails with probability `p`
/// \[0..1\]: (1 − pʳ) / (1 − p), to the power of the layers.
pub fn amplification(p: f64, attempts: u32, layers: u32) -> f64 {
    let attempts = f64::from(attempts);
    let one = if p >= 1.0 { attempts } else { (1.0 - libm::pow(p, attempts)) / (1.0 - p) };
    libm::pow(one, f64::from(layers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Span {
        Span::from_millis(ms)
    }

    fn waits(backoff: Backoff, u: f64) -> Vec<f64> {
        (1..=6).map(|retry| (backoff.wait(retry, |_| u).as_secs_f64() * 1e6).round() / 1e3).collect()
    }

    #[test]
    fn waits_grow_as_each_kind_says() {
        let exponential =
            Backoff { kind: Kind::Exponential, base: ms(25), factor: 2.0, cap: Some(ms(250)), jitter: 0.0 };
        assert_eq!(waits(exponential, 0.7), [25.0, 50.0, 100.0, 200.0, 250.0, 250.0], "CB-46");
        let envoy = Backoff { kind: Kind::Envoy, ..exponential };
        assert_eq!(waits(envoy, 1.0), [25.0, 75.0, 175.0, 250.0, 250.0, 250.0], "CB-47");
        let full = Backoff { base: ms(100), cap: Some(ms(2000)), jitter: 1.0, ..exponential };
        assert_eq!(waits(full, 0.5), [50.0, 100.0, 200.0, 400.0, 800.0, 1000.0], "CB-48");
        let equal = Backoff { jitter: 0.5, ..full };
        assert_eq!(waits(equal, 0.5), [75.0, 150.0, 300.0, 600.0, 1200.0, 1500.0], "CB-49");
        let decorrelated = Backoff { kind: Kind::Decorrelated, ..full };
        assert_eq!(waits(decorrelated, 0.5), [200.0, 350.0, 575.0, 912.5, 1418.75, 2000.0], "CB-50");
    }

    #[test]
    fn a_hint_is_followed_late_but_never_early() {
        assert_eq!(hinted(Span::from_secs(10), 0.0), Some(Span::from_secs(10)), "CB-51");
        assert_eq!(hinted(Span::from_secs(10), 1.0), Some(Span::from_secs(15)), "CB-51");
        assert_eq!(hinted(Span::from_secs(301), 0.0), None);
    }

    #[test]
    fn layers_multiply_attempts() {
        let near = |a: f64, b: f64, id: &str| assert!((a - b).abs() < 1e-9, "{id}: {a}");
        near(amplification(0.5, 3, 1), 1.75, "CB-52");
        near(amplification(0.5, 4, 1), 1.875, "CB-52");
        near(amplification(0.9, 3, 1), 2.71, "CB-53");
        near(amplification(1.0, 4, 3), 64.0, "CB-54");
        near(amplification(0.5, 3, 2), 3.0625, "CB-56");
    }
}

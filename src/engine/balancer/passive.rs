//! Passive checks as NGINX does them: `max_fails` failures, and a peer is skipped for `fail_timeout`.
//!
//! ```text
//! failure    fails += 1, checked = now, effective weight −= weight / max_fails (not below 0)
//! skipped    while fails >= max_fails and now − checked <= fail_timeout
//! picked     checked = now if fail_timeout has passed: one request tries it, the others go on skipping
//! success    fails = 0 if that came after such a try
//! ```
//!
//! A peer without company is never skipped. With every selection round that it takes part in, a peer's effective weight
//! rises by one, up to its weight. If all are skipped, nobody is picked and all are tried again: "no live upstreams".
//! Source: `ngx_http_upstream_round_robin.c`.

use crate::units::{Span, Time};

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Failures until a peer is skipped, ≥ 1. Default 1.
    pub max_fails: u32,
    /// For how long, and within how long they count. Default 10 s.
    pub fail_timeout: Span,
}

impl Default for Config {
    fn default() -> Config {
        Config { max_fails: 1, fail_timeout: Span::from_secs(10) }
    }
}

/// What is remembered of a peer.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    fails: u32,
    accessed: Option<Time>,
    checked: Option<Time>,
    /// Never above the weight.
    pub effective: i64,
}

impl Peer {
    /// A peer that never failed.
    pub fn new(weight: u32) -> Peer {
        Peer { fails: 0, accessed: None, checked: None, effective: i64::from(weight) }
    }

    /// Whether it is skipped.
    pub fn is_skipped(&self, config: &Config, now: Time) -> bool {
        self.fails >= config.max_fails && self.checked.is_some_and(|at| now.since(at) <= config.fail_timeout)
    }

    /// It was picked.
    pub fn picked(&mut self, config: &Config, now: Time) {
        if self.checked.is_none_or(|at| now.since(at) > config.fail_timeout) {
            self.checked = Some(now);
        }
    }

    /// A request to it failed.
    pub fn failed(&mut self, config: &Config, now: Time, weight: u32) {
        self.fails += 1;
        (self.accessed, self.checked) = (Some(now), Some(now));
        self.effective = (self.effective - i64::from(weight / config.max_fails)).max(0);
    }

    /// A request to it succeeded.
    pub fn succeeded(&mut self) {
        if self.accessed < self.checked {
            self.fails = 0;
        }
    }

    /// All peers were skipped: it is tried again.
    pub fn revive(&mut self) {
        self.fails = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_lower_the_effective_weight() {
        let config = Config { max_fails: 3, ..Config::default() };
        let mut peer = Peer::new(10);
        let effective: Vec<i64> = (0..3)
            .map(|i| {
                peer.failed(&config, Time(i), 10);
                peer.effective
            })
            .collect();
        assert_eq!(effective, [7, 4, 1], "LB-14");
        peer.failed(&config, Time(4), 10);
        assert_eq!(peer.effective, 0);
    }

    #[test]
    fn a_failed_peer_is_tried_once_after_its_time() {
        let config = Config::default();
        let at = Time::from_secs_f64;
        let mut peer = Peer::new(1);
        peer.failed(&config, at(0.0), 1);
        assert!(peer.is_skipped(&config, at(9.9)), "LB-91");
        assert!(!peer.is_skipped(&config, at(10.1)), "LB-91");
        peer.picked(&config, at(10.1));
        assert!(peer.is_skipped(&config, at(10.2)), "one request tries it");
        peer.succeeded();
        assert!(!peer.is_skipped(&config, at(10.3)));
    }
}

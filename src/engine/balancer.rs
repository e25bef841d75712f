//! Choosing among ready instances.

use crate::units::Span;

/// How an instance is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The next one, in the order of joining.
    RoundRobin,
    /// Smooth weighted round robin.
    Weighted,
    /// The one with the fewest requests in flight.
    #[default]
    LeastConnections,
    /// The same client always to the same instance, by rendezvous hashing.
    IpHash,
    /// Any, with equal chances.
    Random,
    /// The less loaded of two different ones, drawn at random.
    PowerOfTwoChoices,
}

impl Strategy {
    /// Every strategy with its name in scenario files.
    pub const ALL: [(&'static str, Strategy); 6] = [
        ("round_robin", Strategy::RoundRobin),
        ("weighted", Strategy::Weighted),
        ("least_connections", Strategy::LeastConnections),
        ("ip_hash", Strategy::IpHash),
        ("random", Strategy::Random),
        ("power_of_two_choices", Strategy::PowerOfTwoChoices),
    ];
}

/// Among equally loaded instances, which?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ties {
    /// Any, with equal chances, from the keyed dice.
    #[default]
    Random,
    /// The first in order after the one picked last.
    RoundRobin,
}

/// Active health checks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HealthCheck {
    /// Time between checks of an instance, > 0. Default 30 s.
    pub interval: Span,
    /// A check without an answer for this long has failed; less than `interval`. Default 5 s.
    pub timeout: Span,
    /// Failures in a row until unhealthy, ≥ 1. Default 3.
    pub unhealthy_after: u32,
    /// Successes in a row until healthy again, ≥ 1. Default 2.
    pub healthy_after: u32,
    /// Share of the interval by which checks are spread, 0..1. Default 0.1.
    pub jitter: f64,
}

impl Default for HealthCheck {
    fn default() -> HealthCheck {
        HealthCheck {
            interval: Span::from_secs(30),
            timeout: Span::from_secs(5),
            unhealthy_after: 3,
            healthy_after: 2,
            jitter: 0.1,
        }
    }
}

/// Settings of the balancer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// How an instance is chosen.
    pub strategy: Strategy,
    /// How ties between equally loaded instances are broken (least_connections).
    pub ties: Ties,
    /// Weights by launch ordinal, repeated from the start when there are more instances; 1..=1000. Empty: all 1.
    pub weights: Vec<u32>,
    /// Active health checks; `None`: no instance is ever found unhealthy.
    pub health_check: Option<HealthCheck>,
}

//! Settings of the balancer.

use crate::engine::balancer::routing::ZoneAware;
use crate::engine::balancer::{ejection, maglev, passive, peak_ewma, prequal, reports, ring, slow_start};
use crate::units::Span;

/// How an instance is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The next one, in the order of joining. O(1).
    RoundRobin,
    /// Smooth weighted round robin. O(n).
    Weighted,
    /// Weighted round robin by earliest deadline. O(log n).
    WeightedEdf,
    /// The one with the fewest requests in flight. O(1) with equal weights, else O(log n).
    #[default]
    LeastConnections,
    /// Weighted round robin by earliest deadline, where requests in flight make a weight smaller (Envoy, unequal weights).
    /// O(log n).
    LeastConnectionsEdf,
    /// The same client always to the same instance, by rendezvous hashing. O(n).
    IpHash,
    /// The same client network always to the same instance, by NGINX's hash of its address. O(n).
    NginxIpHash,
    /// The same client always to the same instance, by points on a circle. O(log points).
    RingHash,
    /// The same client always to the same instance, by a table. O(1).
    Maglev,
    /// Any, with chances by weight. O(1), or O(log n) with unequal weights.
    Random,
    /// The less loaded of two different ones, drawn at random; or of `choices`. O(choices).
    PowerOfTwoChoices,
    /// The same, by latency times requests in flight. O(choices).
    PeakEwma,
    /// Any that is idle, or else any (Lu et al. 2011). O(1).
    JoinIdleQueue,
    /// By fresh answers to probes: hot and cold, and the fastest of the cold (Wydrowski et al., NSDI 2024). O(pool).
    Prequal,
    /// By response time, and the service time and queue that answers report (Suresh et al., NSDI 2015). O(n).
    C3,
    /// Weighted round robin, by the utilization that answers report (gRPC, ORCA). O(log n).
    ReportedUtilization,
}

impl Strategy {
    /// Every strategy with its name in scenario files.
    pub const ALL: [(&'static str, Strategy); 16] = [
        ("round_robin", Strategy::RoundRobin),
        ("weighted", Strategy::Weighted),
        ("weighted_edf", Strategy::WeightedEdf),
        ("least_connections", Strategy::LeastConnections),
        ("least_connections_edf", Strategy::LeastConnectionsEdf),
        ("ip_hash", Strategy::IpHash),
        ("nginx_ip_hash", Strategy::NginxIpHash),
        ("ring_hash", Strategy::RingHash),
        ("maglev", Strategy::Maglev),
        ("random", Strategy::Random),
        ("power_of_two_choices", Strategy::PowerOfTwoChoices),
        ("peak_ewma", Strategy::PeakEwma),
        ("join_idle_queue", Strategy::JoinIdleQueue),
        ("prequal", Strategy::Prequal),
        ("c3", Strategy::C3),
        ("reported_utilization", Strategy::ReportedUtilization),
    ];

    /// Whether it sends a client to the same instance again and again.
    pub fn is_hash(self) -> bool {
        matches!(self, Strategy::IpHash | Strategy::NginxIpHash | Strategy::RingHash | Strategy::Maglev)
    }

    /// Whether slow start has a meaning under it: whether it looks at weights that may change.
    pub fn takes_slow_start(self) -> bool {
        !self.is_hash() && !matches!(self, Strategy::JoinIdleQueue | Strategy::Prequal) && !self.takes_reports()
    }

    /// Whether it looks at weights.
    pub fn takes_weights(self) -> bool {
        use Strategy as S;
        !matches!(self, S::RoundRobin | S::JoinIdleQueue | S::Prequal) && !self.takes_reports()
    }

    /// Whether it looks at what instances report with their answers.
    pub fn takes_reports(self) -> bool {
        matches!(self, Strategy::C3 | Strategy::ReportedUtilization)
    }

    /// Whether it compares two or more that were drawn at random.
    pub fn samples(self) -> bool {
        matches!(self, Strategy::PowerOfTwoChoices | Strategy::PeakEwma)
    }
}

/// Among equally loaded instances, which?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ties {
    /// Any, with equal chances, from the keyed dice (Envoy).
    Random,
    /// The first in order after the one picked last: an idle fleet is used in turn.
    #[default]
    RoundRobin,
    /// Smooth weighted round robin among them (NGINX).
    Weighted,
    /// The one that was picked the longest ago (HAProxy).
    LeastRecent,
}

impl Ties {
    /// Every way with its name in scenario files.
    pub const ALL: [(&'static str, Ties); 4] = [
        ("random", Ties::Random),
        ("round_robin", Ties::RoundRobin),
        ("weighted", Ties::Weighted),
        ("least_recent", Ties::LeastRecent),
    ];
}

/// What "less loaded" means; lower is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// In flight / weight: all that are idle are equal (NGINX).
    Ratio,
    /// (In flight + 1) / weight: while idle, the heaviest is the best. The form that goes with slow start.
    RatioPlusOne,
    /// 0 while idle, else (in flight + 1) / weight (HAProxy).
    IdleFirst,
}

impl Score {
    /// Every score with its name in scenario files.
    pub const ALL: [(&'static str, Score); 3] =
        [("ratio", Score::Ratio), ("ratio_plus_one", Score::RatioPlusOne), ("idle_first", Score::IdleFirst)];
}

/// How candidates are drawn to be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    /// All different (Finagle, Linkerd, tower). On a tie the first drawn wins.
    #[default]
    Distinct,
    /// Each from all of them (Envoy): the same may be drawn twice. On a tie the first drawn wins.
    Replacement,
    /// By weight, until all are different or twenty draws were made (NGINX). On a tie the last drawn wins.
    ByWeight,
    /// By weight, each from all of them (HAProxy). On a tie the last drawn wins.
    WeightedReplacement,
}

impl Sampling {
    /// Every way with its name in scenario files.
    pub const ALL: [(&'static str, Sampling); 4] = [
        ("distinct", Sampling::Distinct),
        ("replacement", Sampling::Replacement),
        ("by_weight", Sampling::ByWeight),
        ("weighted_replacement", Sampling::WeightedReplacement),
    ];

    /// Whether chances follow weights, and the last drawn wins a tie.
    pub fn is_by_weight(self) -> bool {
        matches!(self, Sampling::ByWeight | Sampling::WeightedReplacement)
    }
}

/// What is hashed to find an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashKey {
    /// Who asks.
    #[default]
    Client,
    /// What is asked for.
    Endpoint,
}

/// What happens when too few instances are healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Panic {
    /// All get traffic, healthy or not.
    #[default]
    Spread,
    /// The healthy get traffic up to so many requests in flight each, the rest is shed.
    Shed {
        /// Requests in flight to one instance, ≥ 1.
        above: u32,
    },
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

impl HealthCheck {
    /// The longest time from the death of an instance until it is found unhealthy, where checks run into their time-out.
    pub fn notices_within(&self) -> Span {
        self.interval * u64::from(self.unhealthy_after) + self.timeout
    }
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
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How an instance is chosen.
    pub strategy: Strategy,
    /// How ties between equally loaded instances are broken (least_connections).
    pub ties: Ties,
    /// What "less loaded" means; `None`: [`Score::RatioPlusOne`] where candidates are sampled, else [`Score::Ratio`].
    pub score: Option<Score>,
    /// How much requests in flight count against a weight (least_connections_edf): `weight / (in flight + 1)^bias`, ≥ 0.
    /// Default 1; 0 is plain weighted round robin.
    pub bias: f64,
    /// Weights by launch ordinal, repeated from the start when there are more instances; 1..=1000. Empty: all 1.
    pub weights: Vec<u32>,
    /// How many are compared (power_of_two_choices, peak_ewma), 1..=[`Config::MAX_CHOICES`]. Default 2.
    pub choices: u32,
    /// How they are drawn.
    pub sampling: Sampling,
    /// What is hashed (hash strategies).
    pub hash_key: HashKey,
    /// Size of the ring (ring_hash).
    pub ring: ring::Size,
    /// Slots of the table, a prime (maglev). Default 65,537.
    pub table_size: u32,
    /// The most that an instance may hold, as percent of its fair share (hash strategies), ≥ 100; `None`: no bound.
    pub bounded_load: Option<u32>,
    /// What reports mean (c3, reported_utilization).
    pub reports: reports::Config,
    /// Memory of latencies (peak_ewma).
    pub peak_ewma: peak_ewma::Config,
    /// The pool of probes (prequal).
    pub prequal: prequal::Config,
    /// A client stays with its instance until it has been silent for this long; `None`: it does not stay.
    pub sticky: Option<Span>,
    /// Traffic stays in its zone where the zone has room; `None`: zones are not looked at.
    pub zone_aware: Option<ZoneAware>,
    /// Tiers by launch ordinal, repeated from the start, 0 first; a tier gets what the ones before it have no health
    /// for. Empty: all 0.
    pub priorities: Vec<u32>,
    /// How much more than its share a tier's healthy part can carry, in percent, ≥ 100. Default 140 (Envoy).
    pub overprovisioning: u32,
    /// How weights of new instances grow; `None`: they do not, they have it all at once.
    pub slow_start: Option<slow_start::Config>,
    /// Below this share of healthy members all get traffic, 0..1; 0: never. Default 0.5.
    pub panic_threshold: f64,
    /// What then happens.
    pub panic: Panic,
    /// Most requests in flight to one instance; when all are full the request fails as queue_full. `None`: no limit.
    pub instance_limit: Option<u32>,
    /// Makes that limit lower while little is asked for in all; `None`: it is the same at any load.
    pub limit_ramp: Option<LimitRamp>,
    /// Active health checks; `None`: no instance is ever found unhealthy.
    pub health_check: Option<HealthCheck>,
    /// Ejection of outliers; `None`: none.
    pub ejection: Option<ejection::Config>,
    /// NGINX's passive checks; `None`: none.
    pub passive: Option<passive::Config>,
    /// From the decision to drain an instance until nothing new is sent to it. Default zero, the flattering case.
    pub propagation_delay: Span,
}

/// HAProxy's `minconn` and `fullconn`: a limit per instance that grows with the load of all of them, so that few connections are kept
/// busy at low load and bursts queue at the gateway, where they can still go anywhere.
///
/// ```text
/// limit = max(least, most · min(in flight to all, full) / full)
/// ```
///
/// What finds no room is refused here, where HAProxy queues it and counts it as in flight to all: `full` at most `most` times the
/// instances over `least`, or the limit never leaves `least`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRamp {
    /// The limit at no load, ≥ 1.
    pub least: u32,
    /// Requests in flight to all instances from which the limit is whole, ≥ 1.
    pub full: u32,
}

impl LimitRamp {
    /// The limit for one instance, of at most `most`, with `current` in flight to all.
    pub fn limit(self, most: u32, current: u64) -> u32 {
        let (full, current) = (u64::from(self.full), current.min(u64::from(self.full)));
        self.least.max((u64::from(most) * current / full) as u32).min(most)
    }
}

impl Config {
    /// The most candidates that are compared.
    pub const MAX_CHOICES: u32 = 16;

    /// What "less loaded" means.
    pub fn score(&self) -> Score {
        self.score.unwrap_or(if self.strategy.samples() { Score::RatioPlusOne } else { Score::Ratio })
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            strategy: Strategy::default(),
            ties: Ties::default(),
            score: None,
            bias: 1.0,
            weights: Vec::new(),
            choices: 2,
            sampling: Sampling::default(),
            hash_key: HashKey::default(),
            ring: ring::Size::default(),
            table_size: maglev::DEFAULT_SIZE,
            bounded_load: None,
            reports: reports::Config::default(),
            peak_ewma: peak_ewma::Config::default(),
            prequal: prequal::Config::default(),
            sticky: None,
            zone_aware: None,
            priorities: Vec::new(),
            overprovisioning: 140,
            slow_start: None,
            panic_threshold: 0.5,
            panic: Panic::default(),
            instance_limit: None,
            limit_ramp: None,
            health_check: None,
            ejection: None,
            passive: None,
            propagation_delay: Span::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_grows_with_the_load_of_all() {
        let ramp = LimitRamp { least: 10, full: 1000 };
        assert_eq!([20, 500, 2000].map(|current| ramp.limit(100, current)), [10, 50, 100], "CB-45");
    }

    #[test]
    fn a_dead_instance_is_noticed_after_so_many_intervals_and_a_time_out() {
        let check = |interval, timeout| {
            let (interval, timeout) = (Span::from_secs(interval), Span::from_secs(timeout));
            HealthCheck { interval, timeout, unhealthy_after: 3, ..HealthCheck::default() }.notices_within()
        };
        assert_eq!(check(30, 5), Span::from_secs(95), "LB-89");
        assert_eq!(check(2, 2), Span::from_secs(8), "LB-90");
    }
}

//! Sizing by queueing theory: the fewest instances with which a load meets a target on response times.
//!
//! ```text
//! the fewest n with  P(R > response_time) ≤ 1 − quantile  and  λ·S / (n · workers) ≤ max_utilization
//! ```
//!
//! P(R > t) is that of [`crate::queueing::Pool`], with all workers of all instances as one pool: what least connections or a shared
//! queue come close to. λ is the rate given, ca² the dispersion of the last counts of requests, S the mean time in service.
//!
//! S is learned from what can be measured from outside. By Little's law requests inside an instance are `λ·R`, those in service
//! `λ·S`, so `S = R · (active − queued)/active`, whatever the rate, and whoever was refused. It follows slowly, and not at all while
//! most of what is inside waits, for then it is the queue that is measured.

use super::Sight;
use crate::engine::metrics::{Aggregate, Metric, Sample, Series};
use crate::queueing::{Load, Pool, Scalability};
use crate::units::Span;

/// The target, and what is known of an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What the quantile of response times must not exceed, > 0.
    pub response_time: Span,
    /// Which quantile, 0..1, both exclusive; default 0.99.
    pub quantile: f64,
    /// Requests that an instance serves at once, ≥ 1; `None`: one. Scenario files take it from the service.
    pub workers: Option<u32>,
    /// Mean time in service; `None`, the default, learns it.
    pub service_time: Option<Span>,
    /// Coefficient of variation of the time in service, ≥ 0; `None`: 1. Scenario files take it from the service.
    pub service_cv: Option<f64>,
    /// Utilization that is never planned for, 0..1, not 0; default 0.9. Close to 1 a queue takes minutes to forget a
    /// burst, and the formulas speak of its far future.
    pub max_utilization: f64,
    /// How what the service does falls short of n times what one instance does; `None`, the default: not at all.
    pub scalability: Option<Scalability>,
}

impl Config {
    /// 99 % of requests within `response_time`.
    pub fn new(response_time: Span) -> Config {
        Config {
            response_time,
            quantile: 0.99,
            workers: None,
            service_time: None,
            service_cv: None,
            max_utilization: 0.9,
            scalability: None,
        }
    }
}

/// The metrics that sizing looks at.
pub(super) const METRICS: [(Metric, Aggregate); 4] = [
    (Metric::RequestsPerSecond, Aggregate::Avg),
    (Metric::AverageResponseTime, Aggregate::Avg),
    (Metric::ActiveConnections, Aggregate::Avg),
    (Metric::QueueLength, Aggregate::Avg),
];

/// Samples of the rate, as far back as its variance is measured.
pub(super) const RATES: Series =
    Series { metric: Metric::RequestsPerSecond, aggregate: Aggregate::Avg, back: Span::from_secs(300) };

/// Bounds of ca². Slower swings than a scrape are a matter of the rate that is planned for; beyond 4 the formulas say nothing.
const SCV: (f64, f64) = (1.0, 4.0);
/// How much of a new measurement of the time in service is believed.
const BELIEF: f64 = 0.1;

/// Sizes fleets, and learns how long a request is in service.
#[derive(Clone, Debug)]
pub(super) struct Sizing {
    config: Config,
    workers: u32,
    pool: Pool,
    learned: Option<f64>,
}

/// How many instances a load takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sized {
    pub instances: u32,
    /// Utilization of their workers.
    pub utilization: f64,
    /// Whether the target is met by so many; if not, service alone takes too long, and the bound on utilization counts.
    pub is_met: bool,
}

impl Sizing {
    pub(super) fn new(mut config: Config) -> Sizing {
        config.max_utilization = config.max_utilization.clamp(0.01, 1.0);
        let workers = config.workers.unwrap_or(1).max(1);
        Sizing { workers, pool: Pool::new(config.service_cv.unwrap_or(1.0)), learned: None, config }
    }

    /// Mean time in service \[s\]; `None` before anything was measured.
    pub(super) fn service(&self) -> Option<f64> {
        self.config.service_time.map(Span::as_secs_f64).or(self.learned)
    }

    /// Learns from what is measured now; not while breakers or quotas distort it.
    pub(super) fn learn(&mut self, sight: &Sight<'_>, is_distorted: bool) {
        let read = |metric| sight.fresh(metric, Aggregate::Avg).map(|fresh| fresh.value);
        let (Some(response), Some(active), Some(queued)) =
            (read(Metric::AverageResponseTime), read(Metric::ActiveConnections), read(Metric::QueueLength))
        else {
            return;
        };
        let served = active - queued;
        let tells = active > 0.0 && served >= 0.5 * active && response > 0.0;
        if !tells || (is_distorted && self.learned.is_some()) {
            return;
        }
        let measured = response / 1e3 * served / active;
        self.learned = Some(self.learned.map_or(measured, |known| known + BELIEF * (measured - known)));
    }

    /// Squared coefficient of variation of the times between arrivals, from the last counts: half the mean square of their
    /// differences over their mean (their index of dispersion, freed of trends).
    pub(super) fn arrival_scv(samples: &[Sample]) -> f64 {
        let counts: Vec<f64> = samples.iter().map(|s| s.value * s.length.as_secs_f64()).collect();
        let mean = counts.iter().sum::<f64>() / counts.len().max(1) as f64;
        if counts.len() < 4 || mean <= 0.0 {
            return SCV.0;
        }
        let squares: f64 = counts.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum();
        (squares / 2.0 / (counts.len() - 1) as f64 / mean).clamp(SCV.0, SCV.1)
    }

    /// The fewest instances that carry `rps` \[1/s\]; `None` before the time in service is known.
    pub(super) fn instances(&self, rps: f64, arrival_scv: f64) -> Option<Sized> {
        let service = self.service()?;
        let late = 1.0 - self.config.quantile;
        let target = self.config.response_time.as_secs_f64();
        let is_met = self.pool.serves_beyond(target, service) <= late;
        let fits = |n: u32| {
            let load = self.load(rps, service, arrival_scv, n);
            let utilization = rps * load.service / f64::from(load.servers);
            utilization <= self.config.max_utilization
                && (!is_met || self.pool.takes_beyond(target, load) <= late + 1e-12)
        };
        let least = rps * service / f64::from(self.workers) / self.config.max_utilization;
        let most = self.most();
        let first = ((least - 1e-9).ceil().clamp(1.0, 1e6) as u32).min(most);
        // Galloping, then halving: the answer is near the first guess.
        let (mut low, mut high, mut stride) = (first, first, 1);
        while !fits(high) && high < most {
            low = high + 1;
            high = high.saturating_add(stride).min(most);
            stride *= 2;
        }
        while low < high {
            let middle = low.midpoint(high);
            if fits(middle) { high = middle } else { low = middle + 1 }
        }
        let load = self.load(rps, service, arrival_scv, high);
        let utilization = rps * load.service / f64::from(load.servers);
        Some(Sized { instances: high, utilization, is_met: is_met && fits(high) })
    }

    /// More than so many do less.
    fn most(&self) -> u32 {
        let peak = self.config.scalability.map_or(f64::INFINITY, |usl| usl.peak());
        peak.clamp(1.0, 1e6) as u32
    }

    fn load(&self, rps: f64, service: f64, arrival_scv: f64, instances: u32) -> Load {
        let slower = self.config.scalability.map_or(1.0, |usl| f64::from(instances) / usl.speedup(instances));
        Load { rps, service: service * slower, arrival_scv, servers: instances.saturating_mul(self.workers) }
    }

    /// The target in words.
    pub(super) fn target(&self) -> String {
        let percent = format!("{:.3}", self.config.quantile * 100.0);
        format!("p{} {}", percent.trim_end_matches('0').trim_end_matches('.'), self.config.response_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::metrics::{FleetCounts, Observed};
    use crate::units::Time;

    fn sizing(response_ms: u64, quantile: f64, cv: f64) -> Sizing {
        let service_time = Some(Span::from_millis(100));
        let config = Config::new(Span::from_millis(response_ms));
        Sizing::new(Config { quantile, service_cv: Some(cv), service_time, ..config })
    }

    /// λ = 80/s, μ = 10/s, constant service: P(R > 0.2 s) is P(W > 0.1 s), with Allen and Cunneen's halved variance.
    #[test]
    fn the_fewest_servers_that_meet_the_target() {
        let fewest =
            |response, quantile, cv, scv| sizing(response, quantile, cv).instances(80.0, scv).unwrap().instances;
        // M/M/c with P(W > 0.1 s) ≤ 0.05 is 11; here (ca² + cs²)/2 = (2 + 0)/2 = 1 makes the wait that of M/M/c.
        assert_eq!(fewest(200, 0.95, 0.0, 2.0), 11);
        assert_eq!(fewest(200, 0.95, 0.0, 1.0), 10);
        assert_eq!(fewest(200, 0.99, 0.0, 2.0), 12);
        assert!(fewest(600, 0.99, 1.0, 1.0) < fewest(600, 0.99, 1.0, 4.0));
    }

    #[test]
    fn an_impossible_target_leaves_the_bound_on_utilization() {
        let sized = sizing(90, 0.99, 0.0).instances(81.0, 1.0).unwrap();
        assert_eq!((sized.instances, sized.is_met), (9, false));
        assert_eq!(sizing(500, 0.99, 0.5).instances(0.0, 1.0).unwrap().instances, 1);
    }

    #[test]
    fn no_more_than_the_peak_of_scalability() {
        let usl = Scalability { contention: 0.02, coherency: 0.0005 };
        let config = Config { scalability: Some(usl), ..sizing(500, 0.99, 0.5).config };
        let sized = Sizing::new(config.clone()).instances(5000.0, 1.0).unwrap();
        assert_eq!((sized.instances, sized.is_met), (44, false));
        assert!(Sizing::new(config).instances(80.0, 1.0).unwrap().instances > 8 + 2, "each does less");
    }

    #[test]
    fn the_time_in_service_follows_from_littles_law() {
        let mut sizing = Sizing::new(Config::new(Span::from_millis(500)));
        assert_eq!(sizing.instances(80.0, 1.0), None);
        let mut see = |response, active, queued, distorted| {
            let mut observed = Observed::new(FleetCounts { existing: 4, pending: 0, ready: 4 });
            observed.set(Metric::AverageResponseTime, Aggregate::Avg, response, Time::ZERO);
            observed.set(Metric::ActiveConnections, Aggregate::Avg, active, Time::ZERO);
            observed.set(Metric::QueueLength, Aggregate::Avg, queued, Time::ZERO);
            let sight = Sight { now: Time::ZERO, observed: &observed, max_age: Span::from_secs(60) };
            sizing.learn(&sight, distorted);
            sizing.service().map(|s| (s * 1e6).round() / 1e3)
        };
        assert_eq!(see(100.0, 0.0, 0.0, false), None, "nobody was there");
        assert_eq!(see(125.0, 2.5, 0.5, false), Some(100.0));
        assert_eq!(see(200.0, 2.5, 0.5, false), Some(106.0), "slowly");
        assert_eq!(see(900.0, 9.0, 7.0, false), Some(106.0), "a queue is not service");
        assert_eq!(see(1.0, 1.0, 0.0, true), Some(106.0), "refusals are not service");
    }

    #[test]
    fn variance_is_that_of_counts_without_their_trend() {
        let sample = |value| Sample { ended_at: Time::ZERO, length: Span::from_secs(10), value };
        let scv = |values: &[f64]| Sizing::arrival_scv(&values.iter().map(|v| sample(*v)).collect::<Vec<_>>());
        // Counts 100, 120, 100, 120, …: ½ · 20² / 110.
        let alternating: Vec<f64> = (0..11).map(|i| if i % 2 == 0 { 10.0 } else { 12.0 }).collect();
        assert!((scv(&alternating) - 200.0 / (1200.0 / 11.0)).abs() < 0.02, "{}", scv(&alternating));
        assert_eq!(scv(&[10.0, 10.5, 11.0, 11.5, 12.0]), 1.0, "a gentle slope");
        assert_eq!((scv(&[1.0, 900.0, 1.0, 900.0]), scv(&[0.0; 9]), scv(&[])), (4.0, 1.0, 1.0));
    }
}

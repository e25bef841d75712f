//! Ejection of outliers: the balancer avoids an instance that fails more, or is slower, than the others.
//!
//! ```text
//! on every end      a streak of failures                                       → ejected at once
//! every interval    success rate below mean − kσ, or below median − MAD        → ejected, worst first
//!                   failure percentage over a limit
//!                   latency above median + MAD
//!                   ejected for long enough                                    → readmitted
//! ```
//!
//! At most the configured share of the members is ejected at a time, and never all; since 10% of fewer than ten is nobody, one is
//! allowed where `at_least_one` says so. The k-th ejection in a row lasts k times the base. Readmission happens at a sweep,
//! so a real ejection lasts up to an interval longer than its time.
//!
//! **Mean − kσ** (Envoy) is blind when a fifth of the fleet fails: with a share p at 0% and the others at 100% the threshold is positive only
//! if p < 1/(1 + k²). **Median − max(3 · 1.4826 · MAD, gap)** (Hampel's identifier) stands up to just under a half.
//!
//! What says nothing about an instance is not its failure: local refusals never come here, aborted requests are ignored.

use crate::engine::request::{InstanceId, Outcome};
use crate::units::{Span, Time};

/// How success rates are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Median and median absolute deviation.
    Median {
        /// Least distance from the median, in points of percent. Default 10.
        min_gap: f64,
    },
    /// Mean less `factor` population standard deviations (Envoy). Default factor 1.9.
    Mean {
        /// k.
        factor: f64,
    },
}

/// Success rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuccessRate {
    /// How they are compared.
    pub method: Method,
    /// With fewer members that saw enough requests nobody is ejected. Default 5 (mean) or 3 (median).
    pub min_hosts: u32,
    /// Requests in an interval without which a member is not looked at. Default 100 (mean) or 20 (median).
    pub min_requests: u32,
}

/// Failure percentage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FailurePercentage {
    /// At this percentage or above a member is ejected, 0..=100. Default 85.
    pub threshold: f64,
    /// As above. Default 5.
    pub min_hosts: u32,
    /// As above. Default 50.
    pub min_requests: u32,
}

/// Latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyOutlier {
    /// A member is ejected above the median times this, if that is also 3 · 1.4826 · MAD above it. > 1. Default 3.
    pub factor: f64,
    /// As above. Default 3.
    pub min_hosts: u32,
    /// Successes in an interval without which a member is not looked at. Default 20.
    pub min_requests: u32,
}

/// Settings. `None` switches a detector off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Failures in a row. Default 5.
    pub consecutive: Option<u32>,
    /// Failures in a row that a gateway sees: connection errors, time-outs, full queues (502, 503, 504); an error of the server
    /// ends the row. Default off.
    pub consecutive_gateway: Option<u32>,
    /// Time between sweeps, > 0. Default 10 s.
    pub interval: Span,
    /// Length of the first ejection. Default 30 s.
    pub base: Span,
    /// Longest ejection. Default 300 s.
    pub max: Span,
    /// Most members ejected at a time, percent. Default 10.
    pub max_percent: u32,
    /// Whether one may be ejected where that percentage is less than one. Default true.
    pub at_least_one: bool,
    /// Default: by the median.
    pub success_rate: Option<SuccessRate>,
    /// Default off.
    pub failure_percentage: Option<FailurePercentage>,
    /// Default off.
    pub latency: Option<LatencyOutlier>,
    /// Ejections in a row after which the instance is to be replaced; `None`: never. Default 5.
    pub replace_after: Option<u32>,
}

impl SuccessRate {
    /// By the median.
    pub const MEDIAN: SuccessRate =
        SuccessRate { method: Method::Median { min_gap: 10.0 }, min_hosts: 3, min_requests: 20 };
    /// As in Envoy.
    pub const MEAN: SuccessRate =
        SuccessRate { method: Method::Mean { factor: 1.9 }, min_hosts: 5, min_requests: 100 };
}

impl Default for FailurePercentage {
    fn default() -> FailurePercentage {
        FailurePercentage { threshold: 85.0, min_hosts: 5, min_requests: 50 }
    }
}

impl Default for LatencyOutlier {
    fn default() -> LatencyOutlier {
        LatencyOutlier { factor: 3.0, min_hosts: 3, min_requests: 20 }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            consecutive: Some(5),
            consecutive_gateway: None,
            interval: Span::from_secs(10),
            base: Span::from_secs(30),
            max: Span::from_secs(300),
            max_percent: 10,
            at_least_one: true,
            success_rate: Some(SuccessRate::MEDIAN),
            failure_percentage: None,
            latency: None,
            replace_after: Some(5),
        }
    }
}

impl Config {
    /// Envoy's numbers and edges.
    pub fn envoy() -> Config {
        Config {
            at_least_one: false,
            success_rate: Some(SuccessRate::MEAN),
            consecutive_gateway: Some(5),
            replace_after: None,
            ..Config::default()
        }
    }

    /// Finagle's failure accrual: five failures in a row, marked dead for 5 s, longer each time up to 300 s; anybody, even all but one.
    pub fn finagle() -> Config {
        Config {
            base: Span::from_secs(5),
            max_percent: 100,
            success_rate: None,
            replace_after: None,
            ..Config::default()
        }
    }

    /// The most that may be ejected of `n`.
    pub fn most(&self, n: usize) -> usize {
        let share = n * self.max_percent as usize / 100;
        let most = if share == 0 && self.at_least_one { 1 } else { share };
        most.min(n.saturating_sub(1))
    }

    /// Length of the `row`-th ejection in a row, from 1.
    pub fn length(&self, row: u32) -> Span {
        let max = self.max.max(self.base);
        Span(self.base.0.saturating_mul(u64::from(row)).min(max.0))
    }
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    id: InstanceId,
    streak: u32,
    gateway_streak: u32,
    calls: u32,
    successes: u32,
    /// Sum of latencies of successes \[ns\].
    latency: u64,
    /// Ejections in a row.
    row: u32,
    ejected: Option<Ejected>,
    readmitted_at: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Ejected {
    at: Time,
    length: Span,
}

/// What a sweep or an end did.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A member gets no traffic.
    Ejected {
        /// Which.
        id: InstanceId,
        /// For how long, at least.
        length: Span,
        /// Ejections in a row, this one included.
        row: u32,
        /// Why.
        cause: String,
    },
    /// A member gets traffic again.
    Readmitted {
        /// Which.
        id: InstanceId,
        /// How long it was ejected.
        after: Span,
    },
}

/// The watch over all members.
#[derive(Clone, Debug)]
pub struct Ejection {
    config: Config,
    /// Ascending by id.
    members: Vec<Watched>,
    ejected: usize,
    next_sweep: Time,
}

impl Ejection {
    /// Nobody is watched yet.
    pub fn new(config: Config) -> Ejection {
        Ejection { config, members: Vec::new(), ejected: 0, next_sweep: Time::ZERO + config.interval }
    }

    /// A member joined.
    pub fn join(&mut self, id: InstanceId) {
        if let Err(place) = self.members.binary_search_by_key(&id, |member| member.id) {
            let fresh = Watched {
                id,
                streak: 0,
                gateway_streak: 0,
                calls: 0,
                successes: 0,
                latency: 0,
                row: 0,
                ejected: None,
                readmitted_at: None,
            };
            self.members.insert(place, fresh);
        }
    }

    /// A member left.
    pub fn leave(&mut self, id: InstanceId) {
        if let Ok(place) = self.members.binary_search_by_key(&id, |member| member.id) {
            let member = self.members.remove(place);
            self.ejected -= usize::from(member.ejected.is_some());
        }
    }

    /// When the next sweep is due.
    pub fn next_sweep(&self) -> Time {
        self.next_sweep
    }

    /// Members ejected now.
    pub fn ejected(&self) -> usize {
        self.ejected
    }

    /// A request to the member at `place`, in the order of ids, ended. O(1).
    #[inline]
    pub fn ended(&mut self, now: Time, place: usize, outcome: Outcome, latency: Span) -> Option<Change> {
        let member = &mut self.members[place];
        match outcome {
            Outcome::Abandoned | Outcome::Shed => return None,
            Outcome::Success => {
                member.calls += 1;
                member.successes += 1;
                member.latency = member.latency.saturating_add(latency.0);
                (member.streak, member.gateway_streak) = (0, 0);
                return None;
            }
            Outcome::ServerError => {
                member.calls += 1;
                member.streak += 1;
                member.gateway_streak = 0;
            }
            _ => {
                member.calls += 1;
                member.streak += 1;
                member.gateway_streak += 1;
            }
        }
        if self.config.consecutive == Some(member.streak) {
            let cause = format!("{} failures in a row", member.streak);
            return self.try_eject(now, place, cause);
        }
        if self.config.consecutive_gateway == Some(member.gateway_streak) {
            let cause = format!("{} failures of the gateway kind in a row", member.gateway_streak);
            return self.try_eject(now, place, cause);
        }
        None
    }

    fn try_eject(&mut self, now: Time, place: usize, cause: String) -> Option<Change> {
        let n = self.members.len();
        if self.members[place].ejected.is_some() || self.ejected >= self.config.most(n) {
            return None;
        }
        let small = n * (self.config.max_percent as usize) < 100;
        let cause = if small { format!("{cause} (at least one may be ejected)") } else { cause };
        let member = &mut self.members[place];
        if self.config.length(member.row) < self.config.max.max(self.config.base) {
            member.row += 1;
        }
        let length = self.config.length(member.row);
        member.ejected = Some(Ejected { at: now, length });
        self.ejected += 1;
        Some(Change::Ejected { id: member.id, length, row: member.row, cause })
    }

    /// The end of an interval, if it is due: statistics, ejections, readmissions.
    pub fn sweep(&mut self, now: Time, changes: &mut Vec<Change>) {
        if now < self.next_sweep {
            return;
        }
        while self.next_sweep <= now {
            self.next_sweep += self.config.interval;
        }
        for member in &mut self.members {
            match member.ejected {
                Some(Ejected { at, length }) if now.since(at) >= length => {
                    member.ejected = None;
                    self.ejected -= 1;
                    (member.streak, member.gateway_streak) = (0, 0);
                    member.readmitted_at = Some(now);
                    changes.push(Change::Readmitted { id: member.id, after: now.since(at) });
                }
                None if member.readmitted_at.is_none_or(|at| now.since(at) >= self.config.interval) => {
                    member.row = member.row.saturating_sub(1);
                }
                _ => {}
            }
        }
        for (place, cause) in self.outliers() {
            changes.extend(self.try_eject(now, place, cause));
        }
        for member in &mut self.members {
            (member.calls, member.successes, member.latency) = (0, 0, 0);
        }
    }

    /// Who stands out in the interval just closed, the worst of each kind first.
    fn outliers(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let enough = |min_requests: u32, count: fn(&Watched) -> u32| {
            move |(_, member): &(usize, &Watched)| member.ejected.is_none() && count(member) >= min_requests.max(1)
        };
        let rate = |member: &Watched| 100.0 * f64::from(member.successes) / f64::from(member.calls);
        if let Some(settings) = self.config.success_rate {
            let rates: Vec<(usize, f64)> = self
                .members
                .iter()
                .enumerate()
                .filter(enough(settings.min_requests, |m| m.calls))
                .map(|(place, member)| (place, rate(member)))
                .collect();
            if rates.len() >= settings.min_hosts as usize {
                let threshold = threshold(settings.method, &rates.iter().map(|r| r.1).collect::<Vec<_>>());
                let mut low: Vec<_> = rates.iter().filter(|(_, rate)| *rate < threshold.limit).collect();
                low.sort_by(|a, b| a.1.total_cmp(&b.1));
                found.extend(low.into_iter().map(|&(place, rate)| {
                    (place, format!("success rate {rate:.1}% below {:.1}% ({})", threshold.limit, threshold.words()))
                }));
            }
        }
        if let Some(settings) = self.config.failure_percentage {
            let looked_at: Vec<(usize, &Watched)> =
                self.members.iter().enumerate().filter(enough(settings.min_requests, |m| m.calls)).collect();
            if looked_at.len() >= settings.min_hosts as usize {
                let mut bad: Vec<(usize, f64)> = looked_at
                    .iter()
                    .map(|&(place, member)| (place, 100.0 - rate(member)))
                    .filter(|(_, percent)| *percent >= settings.threshold)
                    .collect();
                bad.sort_by(|a, b| b.1.total_cmp(&a.1));
                found.extend(bad.into_iter().map(|(place, percent)| {
                    (place, format!("{percent:.1}% of its requests failed, {}% or more", settings.threshold))
                }));
            }
        }
        if let Some(settings) = self.config.latency {
            let means: Vec<(usize, f64)> = self
                .members
                .iter()
                .enumerate()
                .filter(enough(settings.min_requests, |m| m.successes))
                .map(|(place, member)| (place, member.latency as f64 / f64::from(member.successes)))
                .collect();
            if means.len() >= settings.min_hosts as usize {
                let values: Vec<f64> = means.iter().map(|mean| mean.1).collect();
                let (median, mad) = median_and_mad(&values);
                let limit = (median * settings.factor).max(median + 3.0 * CONSISTENCY * mad);
                let mut slow: Vec<_> = means.iter().filter(|(_, mean)| *mean > limit).collect();
                slow.sort_by(|a, b| b.1.total_cmp(&a.1));
                found.extend(slow.into_iter().map(|&(place, mean)| {
                    let ms = 1e-6;
                    let (mean, limit, median) = (mean * ms, limit * ms, median * ms);
                    (place, format!("mean latency {mean:.1} ms above {limit:.1} ms (median {median:.1} ms)"))
                }));
            }
        }
        found
    }
}

/// MAD times this estimates the standard deviation of a normal distribution.
const CONSISTENCY: f64 = 1.4826;

/// A limit for success rates, with the numbers behind it.
#[derive(Clone, Copy, Debug)]
struct Threshold {
    limit: f64,
    center: f64,
    spread: f64,
    method: Method,
}

impl Threshold {
    fn words(&self) -> String {
        match self.method {
            Method::Median { .. } => format!("median {:.1}%, MAD {:.1}", self.center, self.spread),
            Method::Mean { factor } => {
                format!("mean {:.1}% − {factor} · standard deviation {:.1}", self.center, self.spread)
            }
        }
    }
}

/// The success rate below which a member is an outlier; percent.
fn threshold(method: Method, rates: &[f64]) -> Threshold {
    match method {
        Method::Mean { factor } => {
            let n = rates.len() as f64;
            let mean = rates.iter().sum::<f64>() / n;
            let variance = rates.iter().map(|rate| (rate - mean) * (rate - mean)).sum::<f64>() / n;
            let spread = variance.sqrt();
            Threshold { limit: mean - factor * spread, center: mean, spread, method }
        }
        Method::Median { min_gap } => {
            let (center, spread) = median_and_mad(rates);
            let gap = (3.0 * CONSISTENCY * spread).max(min_gap);
            Threshold { limit: center - gap, center, spread, method }
        }
    }
}

fn median_and_mad(values: &[f64]) -> (f64, f64) {
    let center = median(values.to_vec());
    (center, median(values.iter().map(|x| (x - center).abs()).collect()))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => 0.0,
        _ if n.is_multiple_of(2) => (values[n / 2 - 1] + values[n / 2]) / 2.0,
        _ => values[n / 2],
    }
}

#[cfg(test)]
mod tests;

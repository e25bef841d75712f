//! The load generator on trial: whether a live run measured the target, or itself.
//!
//! A request has four moments: *due* (the plan says that it starts), *sent* (it is on its way), *head* (the head of the answer is here) and
//! *done* (the body was read, or the attempt failed).
//!
//! ```text
//! due ── lag ── sent ── first byte ── head ──── done          latency = done − due = lag + service
//!                │────────── service ───────────│
//! ```
//!
//! Lag is in the latency, so figures stay honest when a generator falls behind; the [`Fault`]s say whom to blame. A run with any of them
//! neither passes nor fails.

use serde::{Deserialize, Serialize};

use crate::record::latency::Latency;
use crate::units::Span;

/// Share of due requests that must have been sent.
const SENT_AT_LEAST: f64 = 0.999;
/// Share of due requests that may have found every worker busy.
const BUSY_AT_MOST: f64 = 0.001;
/// Share of its cores that the generator may take: above it waits for them.
const CPU_AT_MOST: f64 = 0.8;
/// The lag that is nobody's fault: what timers and schedulers of an idle machine take.
const LAG_FLOOR: Span = Span::from_millis(2);
/// Share of the tightest latency target that p99 of lag may take.
const LAG_SHARE: f64 = 0.05;
/// The smallest pool that is worth advising.
const SMALLEST_POOL: u64 = 16;
/// What a pool has above the mean need: arrivals come in clumps.
const POOL_MARGIN: f64 = 1.5;

/// What the generator of a live run did; requests due in the warm-up are not in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Generator {
    /// Workers: requests that could be under way at once.
    pub pool: u32,
    /// Requests whose time came before the run ended.
    pub due: u64,
    /// Those of them that were sent.
    pub sent: u64,
    /// Those of them that found every worker busy when their time came.
    pub found_busy: u64,
    /// From due to sent, of all that were sent.
    pub lag: Latency,
    /// From sent to the head of the answer, of all that had one.
    pub first_byte: Latency,
    /// p99 of lag that is tolerated.
    pub lag_limit: Span,
    /// From sent to done, of all that were sent.
    pub service: Latency,
    /// Most requests that were due in one second, warm-up included; of several generators, the sum of theirs.
    pub busiest: u64,
    /// CPU time of the generator over that of all its cores [0..1]; `None`: not known. Of several, the highest.
    pub cpu: Option<f64>,
    /// Which shares of the load this is the account of; `None`: it was not shared.
    pub shares: Option<Shares>,
    /// How requests were timed.
    pub pacing: Pacing,
    /// Answers by version of HTTP, in the order of [`VERSIONS`].
    pub versions: [u64; VERSIONS.len()],
    /// Connections that were opened before the first request, so that none pays for their handshakes.
    pub warmed: u64,
    /// Connections that were opened for requests.
    pub connects: u64,
}

/// Shares that a load can be dealt out to.
pub const MOST_SHARES: u32 = 65_536;

/// Versions of HTTP that answers come in.
pub const VERSIONS: [&str; 3] = ["HTTP/1.0", "HTTP/1.1", "HTTP/2"];

/// How a generator times requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pacing {
    /// A thread sleeps until each is due: 0.15 ms late in the median.
    #[default]
    Sleep,
    /// The same, but awake for the last 200 µs: 0.05 ms late, for up to a core.
    Spin,
    /// Users ask when they have thought after the answer before: a closed loop.
    Users,
}

impl Pacing {
    /// Every way, in no order.
    pub const ALL: [Pacing; 3] = [Pacing::Sleep, Pacing::Spin, Pacing::Users];

    /// The name in `report.json`.
    pub fn name(self) -> &'static str {
        match self {
            Pacing::Sleep => "sleep",
            Pacing::Spin => "spin",
            Pacing::Users => "users",
        }
    }
}

/// Shares of a load that several generators send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shares {
    /// Of how many, ≥ 1.
    pub of: u32,
    /// Which are here, ascending, each below `of`.
    pub here: Vec<u32>,
}

impl Shares {
    /// Those that are not here, ascending.
    pub fn missing(&self) -> Vec<u32> {
        (0..self.of).filter(|share| self.here.binary_search(share).is_err()).collect()
    }
}

/// What makes a run one of the generator and not of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fewer requests were sent than were due.
    Saturated,
    /// Requests were sent late.
    Late,
    /// Requests waited for a worker.
    PoolExhausted,
    /// The generator had its cores full.
    Cpu,
    /// Not all of the load is in the account.
    SharesMissing,
}

impl Fault {
    /// The name in `report.json`.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Saturated => "generator_saturated",
            Fault::Late => "generator_late",
            Fault::PoolExhausted => "pool_exhausted",
            Fault::Cpu => "generator_cpu",
            Fault::SharesMissing => "shares_missing",
        }
    }
}

impl Generator {
    /// The p99 of lag that is tolerated where `tightest` is the tightest latency target; `None`: there is none.
    pub fn lag_limit(tightest: Option<Span>) -> Span {
        tightest.map_or(LAG_FLOOR, |target| LAG_FLOOR.max(target.mul_f64(LAG_SHARE)))
    }

    /// Workers for `rate` requests a second \[1/s\] of which one in a thousand takes longer than `service` (Little's law), with a margin.
    pub fn pool_for(rate: f64, service: Span) -> u64 {
        let need = (rate * service.as_secs_f64() * POOL_MARGIN).ceil();
        SMALLEST_POOL.max(need as u64)
    }

    /// Workers that this load and these answers take, with a margin: `⌈busiest second × p99.9 of service × 1.5⌉`, at least 16.
    pub fn pool_needed(&self) -> u64 {
        Generator::pool_for(self.busiest as f64, self.service.quantile(0.999).unwrap_or(Span::ZERO))
    }

    /// Share of due requests that were sent [0..1].
    pub fn sent_share(&self) -> f64 {
        self.share(self.sent).unwrap_or(1.0)
    }

    /// Share of due requests that found every worker busy [0..1].
    pub fn busy_share(&self) -> f64 {
        self.share(self.found_busy).unwrap_or(0.0)
    }

    fn share(&self, n: u64) -> Option<f64> {
        (self.due > 0).then(|| n as f64 / self.due as f64)
    }

    /// How the target was spoken to, and how requests were timed, in words.
    pub fn manner(&self) -> String {
        let spoken: Vec<&str> =
            VERSIONS.into_iter().zip(self.versions).filter_map(|(name, n)| (n > 0).then_some(name)).collect();
        let spoken = if spoken.is_empty() { "no answer".to_string() } else { spoken.join(" and ") };
        let timed = match self.pacing {
            Pacing::Sleep => "timed by a thread that sleeps",
            Pacing::Spin => "timed by a thread that spins",
            Pacing::Users => "by users who wait for answers",
        };
        format!(
            "{spoken}, {} connections opened before the first request and {} for requests, {timed}",
            self.warmed, self.connects
        )
    }

    /// Everything that makes the run one of the generator; empty if it was the target that was measured.
    pub fn faults(&self) -> Vec<Fault> {
        let late = self.lag.quantile(0.99).is_some_and(|lag| lag > self.lag_limit);
        [
            (Fault::Saturated, self.sent_share() < SENT_AT_LEAST),
            (Fault::Late, late),
            (Fault::PoolExhausted, self.busy_share() > BUSY_AT_MOST),
            (Fault::Cpu, self.cpu.is_some_and(|cpu| cpu > CPU_AT_MOST)),
            (Fault::SharesMissing, self.shares.as_ref().is_some_and(|shares| !shares.missing().is_empty())),
        ]
        .into_iter()
        .filter_map(|(fault, holds)| holds.then_some(fault))
        .collect()
    }

    /// A fault in words, with what would do.
    pub fn says(&self, fault: Fault) -> String {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        match fault {
            Fault::Saturated => format!("only {} of the due requests were sent", percent(self.sent_share())),
            Fault::Late => format!(
                "p99 of lag is {}, tolerated are {}",
                self.lag.quantile(0.99).unwrap_or(Span::ZERO),
                self.lag_limit
            ),
            Fault::PoolExhausted => format!(
                "{} of the requests found all {} workers busy; {} would do",
                percent(self.busy_share()),
                self.pool,
                self.pool_needed().max(u64::from(self.pool) + 1)
            ),
            Fault::Cpu => format!("the generator took {} of its cores", percent(self.cpu.unwrap_or(1.0))),
            Fault::SharesMissing => self.shares.as_ref().map_or(String::new(), |shares| {
                let missing: Vec<String> =
                    shares.missing().iter().map(|share| format!("{share}/{}", shares.of)).collect();
                let shown = &missing[..missing.len().min(8)];
                let more = if shown.len() < missing.len() { ", …" } else { "" };
                format!(
                    "{} of {} shares of the load are missing ({}{more})",
                    missing.len(),
                    shares.of,
                    shown.join(", ")
                )
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> Generator {
        let mut lag = Latency::default();
        lag.record_n(Span::from_micros(150), 1000);
        Generator { pool: 16, due: 1000, sent: 1000, lag, lag_limit: Span::from_millis(2), ..Generator::default() }
    }

    #[test]
    fn each_limit_turns_a_run_into_one_of_the_generator() {
        assert_eq!(healthy().faults(), []);
        assert_eq!(Generator { sent: 998, ..healthy() }.faults(), [Fault::Saturated]);
        assert_eq!(Generator { found_busy: 2, ..healthy() }.faults(), [Fault::PoolExhausted]);
        assert_eq!(Generator { found_busy: 1, ..healthy() }.faults(), []);
        assert_eq!(Generator { cpu: Some(0.81), ..healthy() }.faults(), [Fault::Cpu]);
        let mut late = healthy();
        late.lag.record_n(Span::from_millis(3), 20);
        assert_eq!(late.faults(), [Fault::Late]);
        assert!(late.says(Fault::Late).contains("tolerated are 2ms"), "{}", late.says(Fault::Late));
        assert_eq!(Generator::default().faults(), [], "a run of nothing blames nobody");
        let shares = |here: &[u32]| Some(Shares { of: 3, here: here.to_vec() });
        assert_eq!(Generator { shares: shares(&[0, 1, 2]), ..healthy() }.faults(), []);
        let some = Generator { shares: shares(&[1]), ..healthy() };
        assert_eq!(some.faults(), [Fault::SharesMissing]);
        assert_eq!(some.says(Fault::SharesMissing), "2 of 3 shares of the load are missing (0/3, 2/3)");
    }

    #[test]
    fn tolerance_and_advice_follow_from_targets_and_littles_law() {
        assert_eq!(Generator::lag_limit(None), Span::from_millis(2));
        assert_eq!(Generator::lag_limit(Some(Span::from_millis(10))), Span::from_millis(2));
        assert_eq!(Generator::lag_limit(Some(Span::from_millis(500))), Span::from_millis(25));
        assert_eq!(Generator::pool_for(100.0, Span::from_millis(30)), 16);
        assert_eq!(Generator::pool_for(1000.0, Span::from_millis(100)), 150);
    }
}

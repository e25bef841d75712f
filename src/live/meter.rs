//! The meter: what went through the gateway, second by second for the last ten minutes, and in all since it began.
//!
//! For people who look now (dashboard, API) and for Prometheus. What a run leaves behind is [`crate::record`]'s.

use std::collections::VecDeque;

use crate::record::latency::StepHistogram;
use crate::record::outcome::Failure;
use crate::units::{Span, Time};

/// Seconds that are remembered.
pub const SECONDS: usize = 600;

/// Upper bounds of the buckets of latency \[s\], as Prometheus has them; the last bucket has none.
pub const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The fleet, as it was at the end of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fleet {
    /// Instances that take traffic.
    pub ready: u32,
    /// Instances that exist.
    pub total: u32,
    /// Instances wanted.
    pub desired: u32,
    /// Mean CPU use of those that take traffic \[%\]; NaN if unknown.
    pub cpu_percent: f64,
    /// Mean memory use \[%\]; NaN if unknown.
    pub memory_percent: f64,
    /// How late event loops run on average \[ms\]; NaN if unknown.
    pub event_loop_lag_ms: f64,
    /// Requests inside.
    pub active: u32,
    /// Requests that wait at the gateway.
    pub held: u32,
    /// Breakers open or half-open.
    pub breakers_open: u32,
    /// Baseline of offered load \[1/s\]; NaN if unknown.
    pub baseline_rps: f64,
    /// What was forecast for now \[1/s\]; NaN if nothing was.
    pub forecast_rps: f64,
}

/// A second that is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Second {
    /// When it ended.
    pub at: Time,
    /// How long it was \[s\]: ticks may be late.
    pub seconds: f64,
    /// Requests that came.
    pub offered: u64,
    /// Requests answered well.
    pub succeeded: u64,
    /// Requests that failed, quotas and breakers included.
    pub failed: u64,
    /// Those refused by a quota.
    pub limited: u64,
    /// Median latency of the answered ones \[ms\]; NaN if there were none.
    pub p50_ms: f64,
    /// Their 99 % quantile \[ms\].
    pub p99_ms: f64,
    /// Sum of their latencies \[s\].
    pub latency_sum: f64,
    /// The fleet at its end.
    pub fleet: Fleet,
}

/// Counts since the beginning.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Requests that came.
    pub offered: u64,
    /// Requests answered well.
    pub succeeded: u64,
    /// Requests that failed, by [`Failure`] in its order.
    pub failed: [u64; Failure::ALL.len()],
    /// Requests whose client went away before the answer.
    pub client_aborted: u64,
    /// Requests that were none: malformed, too large, too slow.
    pub bad_requests: u64,
    /// Attempts of the gateway's own beyond the first.
    pub retries: u64,
    /// Connections that were closed because there were too many.
    pub refused_connections: u64,
    /// Latency of answered requests, by bucket; the last is what exceeds all bounds.
    pub buckets: [u64; BUCKETS.len() + 1],
    /// Sum of those latencies \[s\].
    pub latency_sum: f64,
}

/// Counts, and the last ten minutes.
#[derive(Debug, Default)]
pub struct Meter {
    totals: Totals,
    began: Time,
    offered: u64,
    succeeded: u64,
    failed: u64,
    limited: u64,
    latency_sum: f64,
    latencies: StepHistogram,
    seconds: VecDeque<Second>,
}

impl Meter {
    /// A request came.
    pub fn offered(&mut self) {
        self.totals.offered += 1;
        self.offered += 1;
    }

    /// It was answered well.
    pub fn succeeded(&mut self, latency: Span) {
        let seconds = latency.as_secs_f64();
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        self.totals.buckets[bucket] += 1;
        self.totals.latency_sum += seconds;
        self.totals.succeeded += 1;
        self.succeeded += 1;
        self.latency_sum += seconds;
        self.latencies.record(latency);
    }

    /// It failed.
    pub fn failed(&mut self, why: Failure) {
        self.totals.failed[why as usize] += 1;
        self.failed += 1;
        self.limited += u64::from(why == Failure::RateLimited);
    }

    /// What is counted beside requests.
    pub fn totals_mut(&mut self) -> &mut Totals {
        &mut self.totals
    }

    /// Counts since the beginning.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// When the second under way began.
    pub fn began(&self) -> Time {
        self.began
    }

    /// A second is over.
    pub fn second_over(&mut self, now: Time, fleet: Fleet) -> Second {
        let millis = self.latencies.quantiles([0.5, 0.99]).map_or([f64::NAN; 2], |q| q.map(Span::as_millis_f64));
        let second = Second {
            at: now,
            seconds: now.since(self.began).as_secs_f64(),
            offered: std::mem::take(&mut self.offered),
            succeeded: std::mem::take(&mut self.succeeded),
            failed: std::mem::take(&mut self.failed),
            limited: std::mem::take(&mut self.limited),
            p50_ms: millis[0],
            p99_ms: millis[1],
            latency_sum: std::mem::take(&mut self.latency_sum),
            fleet,
        };
        self.latencies.clear();
        self.began = now;
        if self.seconds.len() == SECONDS {
            self.seconds.pop_front();
        }
        self.seconds.push_back(second);
        second
    }

    /// The seconds that are remembered, the oldest first.
    pub fn seconds(&self) -> impl DoubleEndedIterator<Item = &Second> + ExactSizeIterator {
        self.seconds.iter()
    }

    /// The last `n` seconds as one.
    pub fn lately(&self, n: usize) -> Option<Second> {
        let mut recent = self.seconds.iter().rev().take(n);
        let mut sum = *recent.next()?;
        for second in recent {
            sum.seconds += second.seconds;
            sum.offered += second.offered;
            sum.succeeded += second.succeeded;
            sum.failed += second.failed;
            sum.limited += second.limited;
            sum.latency_sum += second.latency_sum;
            sum.p50_ms = sum.p50_ms.max(second.p50_ms);
            sum.p99_ms = sum.p99_ms.max(second.p99_ms);
        }
        Some(sum)
    }
}

impl Second {
    /// Requests that came per second \[1/s\].
    pub fn rps(&self) -> f64 {
        if self.seconds > 0.0 { self.offered as f64 / self.seconds } else { 0.0 }
    }

    /// Share of ended requests that failed other than by quota, 0..1.
    pub fn error_share(&self) -> f64 {
        let failed = self.failed - self.limited;
        let ended = self.succeeded + failed;
        if ended == 0 { 0.0 } else { failed as f64 / ended as f64 }
    }

    /// Mean latency of the answered requests \[ms\]; 0 if there were none.
    pub fn mean_ms(&self) -> f64 {
        if self.succeeded == 0 { 0.0 } else { self.latency_sum * 1e3 / self.succeeded as f64 }
    }
}

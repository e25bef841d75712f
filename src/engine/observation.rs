//! From raw samples to what policies see: scraping, aggregating over a window, and being late.
//!
//! Every scrape closes a *slice*: what the engine counted since the last one, and what the driver measured of each
//! instance. A reading at `now` averages the slices whose end lies in `(now − delay − window, now − delay]`: a metrics
//! pipeline shows the past, and a policy that is tuned on instant metrics is tuned on a system that does not exist.
//!
//! Rates and ratios are of sums, not averages of averages; a latency quantile comes from the merged
//! histograms of the window, kept only when a policy asks for one.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::autoscaler::{self, MetricsPipeline, Policy};
use crate::engine::metrics::{Aggregate, FleetCounts, Metric, Observed, Sample, Series};
use crate::engine::request::InstanceId;
use crate::units::{Span, Time};

/// What a driver measured of one instance since the last scrape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstanceSample {
    /// Which.
    pub id: InstanceId,
    /// Busy CPU time over CPU time \[%\]; not clamped.
    pub cpu_percent: f64,
    /// Used memory over the limit \[%\]; `None` if unknown.
    pub memory_percent: Option<f64>,
    /// Requests inside.
    pub active: f64,
    /// Requests waiting.
    pub queued: f64,
    /// How late its event loop runs \[ms\].
    pub event_loop_lag_ms: f64,
}

/// What a driver measured of the fleet since the last scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FleetObservation {
    /// One sample per instance that takes traffic.
    pub instances: Vec<InstanceSample>,
    /// The metrics pipeline lost this scrape: nobody will see it, the engine's own counts included.
    pub lost: bool,
    /// Requests that the gateway holds because there is no instance to send them to, on average.
    pub held: f64,
}

/// Log-linear histogram of latencies: 32 slots per power of two, so a quantile is at most 3 % too high.
#[derive(Clone, Debug)]
struct Coarse {
    counts: Vec<u32>,
}

const COARSE_SLOTS: usize = 32 * 40;

impl Default for Coarse {
    fn default() -> Coarse {
        Coarse { counts: vec![0; COARSE_SLOTS] }
    }
}

impl Coarse {
    fn record(&mut self, latency: Span, n: u32) {
        let us = latency.as_micros();
        let shift = (us | 63).ilog2() - 5;
        let slot = shift as usize * 32 + (us >> shift) as usize;
        self.counts[slot.min(COARSE_SLOTS - 1)] += n;
    }

    /// Highest value of a slot \[ms\].
    fn highest_ms(slot: usize) -> f64 {
        let shift = (slot / 32).saturating_sub(1);
        let low = ((slot - shift * 32) as u64) << shift;
        (low + (1 << shift) - 1) as f64 / 1e3
    }
}

/// What was counted and measured between two scrapes.
#[derive(Clone, Debug, Default)]
struct Slice {
    ended_at: Time,
    length: Span,
    offered: u64,
    refused: u64,
    attempts: u64,
    failures: u64,
    latency_sum: u128,
    latencies: Option<Coarse>,
    /// Aggregated values of the fleet, in the order of `Scraper::wanted`.
    fleet: Vec<Option<f64>>,
    /// What was measured of each instance; empty unless a policy looks at single ones.
    instances: Vec<InstanceSample>,
}

/// Scrapes, remembers, and reads.
#[derive(Clone, Debug)]
pub struct Scraper {
    pipeline: MetricsPipeline,
    scrape: Span,
    next_scrape: Time,
    last_scrape: Time,
    /// Which latency quantiles and which fleet aggregates are asked for.
    quantiles: bool,
    wanted: Vec<(Metric, Aggregate)>,
    series: Vec<Series>,
    /// Whether policies look at single instances, and the metrics wanted of them.
    looks_closer: bool,
    of_instances: Vec<Metric>,
    current: Slice,
    slices: VecDeque<Slice>,
}

/// With fewer attempts than this in the window an error rate is noise, and missing.
const MIN_ATTEMPTS: u64 = 20;

impl Scraper {
    /// Nothing scraped; keeps what the rules and policies of `config` will ask for.
    pub fn new(config: &autoscaler::Config) -> Scraper {
        let mut wanted: Vec<(Metric, Aggregate)> =
            config.rules.iter().map(|rule| (rule.metric, rule.aggregate)).collect();
        wanted.extend(config.policies.iter().flat_map(Policy::metrics));
        let every = config.interval.max(config.metrics.scrape.unwrap_or(config.interval));
        let mut series: Vec<Series> = config.policies.iter().flat_map(|policy| policy.series(every)).collect();
        series.sort_unstable();
        series.dedup();
        wanted.extend(series.iter().map(|series| (series.metric, series.aggregate)));
        let looking = || config.policies.iter().filter(|policy| policy.wants_instances());
        let closer = looking().flat_map(|policy| policy.metrics()).map(|(metric, _)| metric);
        let mut of_instances: Vec<Metric> = closer.filter(|metric| metric.is_per_instance()).collect();
        of_instances.sort_unstable();
        of_instances.dedup();
        wanted.sort_unstable();
        wanted.dedup();
        let looks_closer = looking().next().is_some();
        Scraper { series, of_instances, looks_closer, ..Scraper::of(config.metrics, config.interval, wanted) }
    }

    fn of(pipeline: MetricsPipeline, interval: Span, wanted: Vec<(Metric, Aggregate)>) -> Scraper {
        let quantiles = wanted.iter().any(|(metric, _)| is_quantile(*metric));
        let scrape = pipeline.scrape.unwrap_or(interval);
        let mut scraper = Scraper {
            pipeline,
            scrape,
            next_scrape: Time(scrape.0),
            last_scrape: Time::ZERO,
            quantiles,
            wanted,
            series: Vec::new(),
            of_instances: Vec::new(),
            looks_closer: false,
            current: Slice::default(),
            slices: VecDeque::new(),
        };
        scraper.current.latencies = quantiles.then(Coarse::default);
        scraper
    }

    /// From the next scrape on these are kept, too.
    pub fn wants(&mut self, also: impl Iterator<Item = (Metric, Aggregate)>) {
        for each in also {
            if !self.wanted.contains(&each) {
                // Slices keep their values in this order: what is new comes last, and older slices do without.
                self.wanted.push(each);
            }
        }
        self.quantiles |= self.wanted.iter().any(|(metric, _)| is_quantile(*metric));
    }

    /// When the next scrape is due.
    pub fn next_wake(&self) -> Time {
        self.next_scrape
    }

    /// A request was offered.
    #[inline]
    pub fn offered(&mut self) {
        self.current.offered += 1;
    }

    /// So many requests were offered, for drivers that do not look at single ones.
    pub fn offered_many(&mut self, requests: u64) {
        self.current.offered += requests;
    }

    /// It was refused by quota or breaker.
    #[inline]
    pub fn refused(&mut self) {
        self.current.refused += 1;
    }

    /// An attempt that reached a backend ended.
    #[inline]
    pub fn ended(&mut self, latency: Span, failed: bool) {
        self.current.attempts += 1;
        self.current.failures += u64::from(failed);
        self.current.latency_sum += u128::from(latency.0);
        if let Some(latencies) = &mut self.current.latencies {
            latencies.record(latency, 1);
        }
    }

    /// So many attempts ended in the same way, for drivers that do not look at single ones.
    pub fn ended_many(&mut self, latency: Span, failed: bool, attempts: u64) {
        self.current.attempts += attempts;
        self.current.failures += if failed { attempts } else { 0 };
        self.current.latency_sum += u128::from(latency.0) * u128::from(attempts);
        if let Some(latencies) = &mut self.current.latencies {
            latencies.record(latency, u32::try_from(attempts).unwrap_or(u32::MAX));
        }
    }

    /// Closes the current slice with what the driver measured.
    ///
    /// A late call is one scrape, not several, and counts for the multiple of the scrape interval that it is late for; the next is due at
    /// the following one. On the wall clock every call is late by a little: a grid that moved with that would sooner or later come after the
    /// evaluations that it is for, and have them decide by what they knew an interval before.
    pub fn scraped(&mut self, now: Time, fleet: &FleetObservation) {
        let mut slice = std::mem::take(&mut self.current);
        self.current.latencies = self.quantiles.then(Coarse::default);
        let due = if self.scrape.is_zero() { now } else { Time(now.0 - now.0 % self.scrape.0) };
        slice.ended_at = due;
        slice.length = now.since(self.last_scrape);
        self.last_scrape = now;
        self.next_scrape = due + self.scrape;
        if !fleet.lost {
            slice.fleet = self.wanted.iter().map(|&(metric, by)| aggregate(fleet, metric, by)).collect();
            if !self.of_instances.is_empty() {
                slice.instances.clone_from(&fleet.instances);
            }
            self.slices.push_back(slice);
        }
        let back = self.series.iter().map(|series| series.back).fold(self.pipeline.window, Span::max);
        let horizon = Span(back.0.saturating_add(self.pipeline.delay.0)) + self.scrape * 2;
        while self.slices.front().is_some_and(|oldest| oldest.ended_at.saturating_add(horizon) < now) {
            self.slices.pop_front();
        }
    }

    /// What policies see at `now`.
    pub fn observed(&self, now: Time, fleet: FleetCounts) -> Observed {
        let mut observed = Observed::new(fleet);
        observed.as_of = now.saturating_sub(self.pipeline.delay);
        let window: Vec<&Slice> = self.window(now).collect();
        if let Some(last) = window.last() {
            for (i, &(metric, by)) in self.wanted.iter().enumerate() {
                let value = if metric.is_per_instance() {
                    mean(window.iter().filter_map(|slice| *slice.fleet.get(i)?))
                } else {
                    of_service(metric, &window)
                };
                if let Some(value) = value {
                    observed.set(metric, by, value, last.ended_at);
                }
            }
        }
        observed.series = self.series.iter().map(|&series| (series, self.samples(now, series))).collect();
        observed
    }

    /// The slices of the newest window that is visible at `now`: at least the newest slice, even when scrapes are
    /// farther apart than the window.
    fn window(&self, now: Time) -> impl Iterator<Item = &Slice> {
        let newest = now.saturating_sub(self.pipeline.delay);
        let reach = self.pipeline.window.0.max(self.scrape.0);
        // Slices are in the order of time.
        let from = self.slices.partition_point(|slice| slice.ended_at.0 + reach <= newest.0);
        let to = self.slices.partition_point(|slice| slice.ended_at <= newest);
        self.slices.range(from..to.max(from))
    }

    /// The visible samples of a series.
    fn samples(&self, now: Time, series: Series) -> Vec<Sample> {
        let newest = now.saturating_sub(self.pipeline.delay);
        let oldest = newest.saturating_sub(series.back);
        let place = self.wanted.iter().position(|wanted| *wanted == (series.metric, series.aggregate));
        let sample = |slice: &Slice| {
            let value = if series.metric.is_per_instance() {
                *slice.fleet.get(place?)?
            } else {
                of_service(series.metric, &[slice])
            };
            Some(Sample { ended_at: slice.ended_at, length: slice.length, value: value? })
        };
        let recent = self.slices.iter().rev().take_while(|slice| slice.ended_at > oldest);
        let mut samples: Vec<Sample> = recent.filter(|slice| slice.ended_at <= newest).filter_map(sample).collect();
        samples.reverse();
        samples
    }

    /// What readings average over.
    pub fn window_length(&self) -> Span {
        self.pipeline.window
    }

    /// Whether policies look at single instances.
    pub fn wants_instances(&self) -> bool {
        self.looks_closer
    }

    /// What is visible of single instances at `now`: each one's means over the window, with the newest sample's moment.
    pub fn of_instances(&self, now: Time) -> BTreeMap<InstanceId, (Vec<(Metric, f64)>, Time)> {
        let mut sums: BTreeMap<InstanceId, (Vec<(f64, u32)>, Time)> = BTreeMap::new();
        for slice in self.window(now) {
            for sample in &slice.instances {
                let blank = || (vec![(0.0, 0); self.of_instances.len()], slice.ended_at);
                let (sums, sampled_at) = sums.entry(sample.id).or_insert_with(blank);
                *sampled_at = slice.ended_at;
                for (&metric, (sum, n)) in self.of_instances.iter().zip(sums) {
                    if let Some(value) = of_instance(sample, metric) {
                        *sum += value;
                        *n += 1;
                    }
                }
            }
        }
        let means = |sums: Vec<(f64, u32)>| {
            let mean = |(&metric, (sum, n)): (&Metric, (f64, u32))| (n > 0).then(|| (metric, sum / f64::from(n)));
            self.of_instances.iter().zip(sums).filter_map(mean).collect()
        };
        sums.into_iter().map(|(id, (sums, sampled_at))| (id, (means(sums), sampled_at))).collect()
    }

    /// Share of offered requests that were refused in the newest window [0..1].
    pub fn refused_share(&self) -> f64 {
        let oldest = self.last_scrape.saturating_sub(self.pipeline.window);
        let recent = self.slices.range(self.slices.partition_point(|slice| slice.ended_at <= oldest)..);
        let (refused, offered) = recent.fold((self.current.refused, self.current.offered), |(r, o), slice| {
            (r + slice.refused, o + slice.offered)
        });
        if offered == 0 { 0.0 } else { refused as f64 / offered as f64 }
    }
}

/// Whether it takes a histogram of latencies.
fn is_quantile(metric: Metric) -> bool {
    matches!(metric, Metric::P50ResponseTime | Metric::P95ResponseTime | Metric::P99ResponseTime)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0u32), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

fn aggregate(fleet: &FleetObservation, metric: Metric, by: Aggregate) -> Option<f64> {
    let values = fleet.instances.iter().filter_map(|sample| of_instance(sample, metric));
    match by {
        // A total is known without any instance, and what waits for one belongs to it.
        Aggregate::Sum if matches!(metric, Metric::ActiveConnections | Metric::QueueLength) => {
            Some(values.sum::<f64>() + fleet.held)
        }
        Aggregate::Avg => mean(values),
        _ => by.of(&mut values.collect::<Vec<_>>()),
    }
}

fn of_instance(sample: &InstanceSample, metric: Metric) -> Option<f64> {
    match metric {
        Metric::CpuUtilization => Some(sample.cpu_percent),
        Metric::MemoryUtilization => sample.memory_percent,
        Metric::ActiveConnections => Some(sample.active),
        Metric::QueueLength => Some(sample.queued),
        Metric::EventLoopLag => Some(sample.event_loop_lag_ms),
        _ => None,
    }
}

fn of_service(metric: Metric, window: &[&Slice]) -> Option<f64> {
    let sum = |of: fn(&Slice) -> u64| window.iter().map(|slice| of(slice)).sum::<u64>();
    let attempts = sum(|slice| slice.attempts);
    let quantile = |q: f64| {
        let mut merged = vec![0u64; COARSE_SLOTS];
        for latencies in window.iter().filter_map(|slice| slice.latencies.as_ref()) {
            merged.iter_mut().zip(&latencies.counts).for_each(|(sum, &n)| *sum += u64::from(n));
        }
        let mut seen = 0;
        let reached = |n: &u64| {
            seen += n;
            seen as f64 >= q * attempts as f64
        };
        merged.iter().position(reached).filter(|_| attempts > 0).map(Coarse::highest_ms)
    };
    match metric {
        Metric::RequestsPerSecond => {
            let seconds: f64 = window.iter().map(|slice| slice.length.as_secs_f64()).sum();
            (seconds > 0.0).then(|| sum(|slice| slice.offered) as f64 / seconds)
        }
        Metric::AverageResponseTime => {
            let total: u128 = window.iter().map(|slice| slice.latency_sum).sum();
            (attempts > 0).then(|| total as f64 / attempts as f64 / 1e6)
        }
        Metric::P50ResponseTime => quantile(0.5),
        Metric::P95ResponseTime => quantile(0.95),
        Metric::P99ResponseTime => quantile(0.99),
        Metric::ErrorRate => (attempts >= MIN_ATTEMPTS).then(|| sum(|slice| slice.failures) as f64 / attempts as f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scraper(window: u64, delay: u64, wanted: &[Metric]) -> Scraper {
        let pipeline = MetricsPipeline {
            window: Span::from_secs(window),
            delay: Span::from_secs(delay),
            scrape: Some(Span::from_secs(10)),
        };
        Scraper::of(pipeline, Span::from_secs(15), wanted.iter().map(|&metric| (metric, Aggregate::Avg)).collect())
    }

    fn fleet(cpu: &[f64]) -> FleetObservation {
        let sample = |(i, &cpu_percent): (usize, &f64)| InstanceSample {
            id: InstanceId(i as u32),
            cpu_percent,
            memory_percent: None,
            active: 0.0,
            queued: 0.0,
            event_loop_lag_ms: 0.0,
        };
        FleetObservation { instances: cpu.iter().enumerate().map(sample).collect(), ..FleetObservation::default() }
    }

    #[test]
    fn a_policy_sees_the_average_of_a_window_that_ended_a_delay_ago() {
        let s = |n: u64| Time(n * 1_000_000_000);
        let mut scraper = scraper(20, 10, &[Metric::CpuUtilization, Metric::MemoryUtilization]);
        for (at, cpu) in [(10, 10.0), (20, 20.0), (30, 60.0), (40, 100.0)] {
            scraper.scraped(s(at), &fleet(&[cpu, cpu + 2.0]));
        }
        let cpu = |now| scraper.observed(s(now), FleetCounts::default()).get(Metric::CpuUtilization, Aggregate::Avg);
        assert_eq!(cpu(40).value(), Some((21.0 + 61.0) / 2.0));
        assert_eq!(cpu(50).value(), Some((61.0 + 101.0) / 2.0));
        assert_eq!(cpu(15).value(), None);
        assert_eq!(cpu(80).value(), None, "stale samples are missing, not repeated");
        let memory = scraper.observed(s(40), FleetCounts::default()).get(Metric::MemoryUtilization, Aggregate::Avg);
        assert_eq!(memory.value(), None);
    }

    /// On the wall clock a scrape is late by a little, and never by the same: what is seen is what virtual time would see.
    #[test]
    fn a_late_scrape_counts_for_the_moment_it_was_due_and_moves_no_other() {
        let mut scraper = scraper(20, 0, &[Metric::CpuUtilization]);
        let late = |n: u64, us: u64| Time(n * 1_000_000_000 + us * 1000);
        for (i, us) in [(1, 900), (2, 300), (3, 1200), (4, 100)] {
            assert_eq!(scraper.next_wake(), late(i * 10, 0));
            scraper.scraped(late(i * 10, us), &fleet(&[i as f64]));
            let seen = scraper.observed(late(i * 10, 0), FleetCounts::default());
            let cpu = seen.get(Metric::CpuUtilization, Aggregate::Avg).value().unwrap();
            assert_eq!(cpu, if i == 1 { 1.0 } else { i as f64 - 0.5 }, "two slices of ten seconds");
        }
        // Two that were missed are one.
        scraper.scraped(late(75, 0), &fleet(&[9.0]));
        assert_eq!(scraper.next_wake(), late(80, 0));
    }

    #[test]
    fn rates_and_quantiles_are_of_the_whole_window() {
        let mut scraper = scraper(20, 0, &[Metric::RequestsPerSecond, Metric::P99ResponseTime, Metric::ErrorRate]);
        for i in 1..=2u64 {
            for n in 0..100 {
                scraper.offered();
                scraper.ended(Span::from_millis(if n < 2 { 1000 } else { 10 }), n < 10);
            }
            scraper.scraped(Time(i * 10_000_000_000), &FleetObservation::default());
        }
        let observed = scraper.observed(Time(20_000_000_000), FleetCounts::default());
        let value = |metric| observed.get(metric, Aggregate::Avg).value().unwrap();
        assert_eq!(value(Metric::RequestsPerSecond), 10.0);
        assert_eq!(value(Metric::ErrorRate), 0.1);
        assert!((1000.0..1032.0).contains(&value(Metric::P99ResponseTime)));
    }

    #[test]
    fn a_lost_scrape_is_seen_by_nobody() {
        let mut scraper = scraper(10, 0, &[Metric::RequestsPerSecond]);
        scraper.offered();
        scraper.scraped(Time(10_000_000_000), &FleetObservation { lost: true, ..FleetObservation::default() });
        let observed = scraper.observed(Time(10_000_000_000), FleetCounts::default());
        assert_eq!(observed.get(Metric::RequestsPerSecond, Aggregate::Avg).value(), None);
    }
}

//! Prequal: balance capacity, not load, by fresh answers to probes (Wydrowski et al., NSDI 2024).
//!
//! With every request a few instances are asked for their requests in flight from all clients (rif) and their latency at about
//! that rif. The answers wait in a small pool.
//!
//! ```text
//! theta = Q-quantile of rif over the latest answer of each instance          hot = rif > theta
//! choose  any cold: the cold probe with the lowest latency, else the probe with the lowest rif;  fewer than two probes: at random
//! then    rif of the used probe += 1
//! drop    older than max_age · used b times · pool full (the oldest) · r_remove per request, the oldest and the worst in turn
//! worst   any hot: the hot one with the highest rif, else the cold one with the highest latency
//! b     = max(1, (1 + δ) / ((1 − m/n) · r_probe − r_remove)), without end if that is not positive
//! ```
//!
//! The factor (1 − m/n) applies to r_probe alone. A fraction of b is rounded at random, so that its mean is kept.
//!
//! **Sinkholes.** What fails at once has few in flight and a low latency, and would draw all traffic. An instance whose recent error
//! rate is above a limit therefore adds a penalty to the rif that it reports ([`Gauge`]), until its errors are forgotten.

use crate::engine::request::InstanceId;
use crate::rng::{Dice, Draws, Stream, pick};
use crate::units::{Span, Time};

use super::sampling::distinct;

/// Settings; the defaults are the paper's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Most probes in the pool, m ≥ 1. Default 16. In small fleets less than the number of instances.
    pub pool: u32,
    /// Probes per request, r_probe, 0..=16; fractions accumulate. Default 3.
    pub probes: f64,
    /// Probes removed per request, r_remove ≥ 0; fractions accumulate. Default 1.
    pub removals: f64,
    /// Age at which an answer is of no use. Default 1 s.
    pub max_age: Span,
    /// Q, 0..1: which instances are hot. Default 2^−0.25 = 0.84; 0 looks at rif only, 1 at latency only.
    pub quantile: f64,
    /// δ ≥ 0. Default 1.
    pub delta: f64,
    /// Round trip of a probe. Default 1 ms.
    pub round_trip: Span,
    /// Recent error rate above which an instance reports a penalty, 0..1. Default 0.2.
    pub error_limit: f64,
    /// That penalty, in requests in flight. Default 100.
    pub penalty: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            pool: 16,
            probes: 3.0,
            removals: 1.0,
            max_age: Span::from_secs(1),
            quantile: 0.840_896_415_253_714_6,
            delta: 1.0,
            round_trip: Span::from_millis(1),
            error_limit: 0.2,
            penalty: 100,
        }
    }
}

impl Config {
    /// How often a probe may be used with `n` candidates; `None`: without end.
    pub fn reuse(&self, n: usize) -> Option<f64> {
        let rate = (1.0 - f64::from(self.pool) / n as f64) * self.probes - self.removals;
        (rate > 0.0).then(|| ((1.0 + self.delta) / rate).max(1.0))
    }
}

/// What an instance says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Requests in flight, from all clients.
    pub rif: u32,
    /// Median latency of recent requests at about that many.
    pub latency: Span,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    instance: InstanceId,
    rif: u32,
    latency: Span,
    received: Time,
    uses_left: u32,
}

/// Highest rif that is told apart.
const HIGHEST: usize = 4095;

/// The pool of one balancer.
#[derive(Clone, Debug)]
pub struct Pool {
    config: Config,
    /// Oldest first.
    probes: Vec<Probe>,
    /// Latest rif by instance id; [`u32::MAX`]: none.
    latest: Vec<u32>,
    /// How many instances reported which rif last.
    counts: Vec<u32>,
    reporting: u32,
    /// Whom to ask, not yet asked.
    wanted: Vec<InstanceId>,
    probes_due: f64,
    removals_due: f64,
    /// Whether the next removal takes the oldest.
    oldest_next: bool,
    dice: Dice,
    serial: u64,
}

impl Pool {
    /// An empty pool; `seed` is the run's.
    pub fn new(config: Config, seed: u64) -> Pool {
        Pool {
            config,
            probes: Vec::with_capacity(config.pool as usize + 1),
            latest: Vec::new(),
            counts: vec![0; HIGHEST + 1],
            reporting: 0,
            wanted: Vec::with_capacity(64),
            probes_due: 0.0,
            removals_due: 0.0,
            oldest_next: true,
            dice: Dice::new(seed ^ 0x5052_4551, Stream::Balancer),
            serial: 0,
        }
    }

    /// Round trip of a probe.
    pub fn round_trip(&self) -> Span {
        self.config.round_trip
    }

    /// The instance for a request, an id; `None` with fewer than two fresh probes: any will do. `usable` says who may be
    /// chosen.
    pub fn choose(&mut self, now: Time, usable: impl Fn(InstanceId) -> bool) -> Option<InstanceId> {
        self.drop_stale(now);
        if self.probes.len() < 2 {
            return None;
        }
        let theta = self.theta();
        let best = self.best(theta, usable)?;
        let probe = &mut self.probes[best];
        let instance = probe.instance;
        probe.rif += 1;
        probe.uses_left = probe.uses_left.saturating_sub(1);
        if probe.uses_left == 0 {
            self.probes.remove(best);
        }
        Some(instance)
    }

    /// After a request: asks for new probes among `n` candidates, whose ids `id` tells, and removes old ones.
    pub fn requested(&mut self, draws: &mut Draws, n: usize, id: impl Fn(u32) -> InstanceId) {
        self.removals_due += self.config.removals;
        while self.removals_due >= 1.0 {
            self.removals_due -= 1.0;
            self.remove_one();
        }
        self.probes_due += self.config.probes;
        let count = self.probes_due.floor();
        self.probes_due -= count;
        for &i in distinct(draws, n, count as u32).as_slice() {
            self.wanted.push(id(i));
        }
    }

    /// An instance that is to be probed now; each is told once.
    pub fn next_probe(&mut self) -> Option<InstanceId> {
        self.wanted.pop()
    }

    /// The answer to a probe, with `n` candidates.
    pub fn answered(&mut self, now: Time, instance: InstanceId, answer: Answer, n: usize) {
        let id = instance.0 as usize;
        if id >= self.latest.len() {
            self.latest.resize(id + 1, u32::MAX);
        }
        let before = std::mem::replace(&mut self.latest[id], answer.rif);
        match before {
            u32::MAX => self.reporting += 1,
            rif => self.counts[(rif as usize).min(HIGHEST)] -= 1,
        }
        self.counts[(answer.rif as usize).min(HIGHEST)] += 1;
        if self.probes.len() >= self.config.pool as usize {
            self.probes.remove(0);
        }
        let uses_left = match self.config.reuse(n) {
            None => u32::MAX,
            Some(b) => {
                self.serial += 1;
                b.floor() as u32 + u32::from(self.dice.unit(self.serial) < b - b.floor())
            }
        };
        let Answer { rif, latency } = answer;
        self.probes.push(Probe { instance, rif, latency, received: now, uses_left });
    }

    /// An instance may get no more traffic.
    pub fn forget(&mut self, instance: InstanceId) {
        self.probes.retain(|probe| probe.instance != instance);
        self.wanted.retain(|&wanted| wanted != instance);
        if let Some(latest) = self.latest.get_mut(instance.0 as usize)
            && *latest != u32::MAX
        {
            self.counts[(*latest as usize).min(HIGHEST)] -= 1;
            self.reporting -= 1;
            *latest = u32::MAX;
        }
    }

    fn drop_stale(&mut self, now: Time) {
        let max_age = self.config.max_age;
        let stale = self.probes.iter().take_while(|probe| now.since(probe.received) > max_age).count();
        self.probes.drain(..stale);
    }

    /// The rif above which an instance is hot: the nearest-rank quantile over the latest answers.
    fn theta(&self) -> u32 {
        let rank = (self.config.quantile * f64::from(self.reporting)).ceil() as u32;
        let mut seen = 0;
        for (rif, &count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                // With Q = 0 everybody is hot.
                return if rank == 0 { rif.saturating_sub(1) as u32 } else { rif as u32 };
            }
        }
        HIGHEST as u32
    }

    fn best(&self, theta: u32, usable: impl Fn(InstanceId) -> bool) -> Option<usize> {
        let candidates = self.probes.iter().enumerate().filter(|(_, probe)| usable(probe.instance));
        candidates
            .min_by_key(|(_, probe)| {
                let hot = probe.rif > theta || self.config.quantile == 0.0;
                if hot { (true, u64::from(probe.rif)) } else { (false, probe.latency.0) }
            })
            .map(|(i, _)| i)
    }

    fn worst(&self, theta: u32) -> Option<usize> {
        let rank = |probe: &Probe| {
            if probe.rif > theta { (true, u64::from(probe.rif)) } else { (false, probe.latency.0) }
        };
        // Of equals the oldest: `max_by_key` keeps the last.
        (0..self.probes.len()).rev().max_by_key(|&i| rank(&self.probes[i]))
    }

    fn remove_one(&mut self) {
        let oldest = self.oldest_next;
        self.oldest_next = !oldest;
        let victim = if oldest { (!self.probes.is_empty()).then_some(0) } else { self.worst(self.theta()) };
        if let Some(victim) = victim {
            self.probes.remove(victim);
        }
    }
}

/// What an instance keeps to answer probes: its own latencies by requests in flight, and how often it failed of late.
#[derive(Clone, Debug)]
pub struct Gauge {
    error_limit: f64,
    penalty: u32,
    rows: [Row; ROWS],
    errors: f64,
    last: Time,
}

const ROWS: usize = 24;
const RECENT: usize = 9;

/// Over how long errors are forgotten \[ns\].
const FORGETTING: f64 = 10e9;

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    recent: [u64; RECENT],
    /// How many were ever put in.
    count: u32,
}

impl Gauge {
    /// Nothing has happened yet.
    pub fn new(config: &Config) -> Gauge {
        let (error_limit, penalty) = (config.error_limit, config.penalty);
        Gauge { error_limit, penalty, rows: [Row::default(); ROWS], errors: 0.0, last: Time::ZERO }
    }

    /// A request ended after `latency`, with `rif` in flight when it did.
    pub fn ended(&mut self, now: Time, rif: u32, latency: Span, failed: bool) {
        const SHARE: f64 = 0.1;
        self.errors = self.errors_at(now) * (1.0 - SHARE) + if failed { SHARE } else { 0.0 };
        self.last = now;
        let row = &mut self.rows[row_of(rif)];
        row.recent[row.count as usize % RECENT] = latency.0;
        row.count = row.count.wrapping_add(1);
    }

    /// The answer to a probe.
    pub fn answer(&self, now: Time, rif: u32) -> Answer {
        let penalty = if self.errors_at(now) > self.error_limit { self.penalty } else { 0 };
        Answer { rif: rif.saturating_add(penalty), latency: self.latency(rif) }
    }

    fn errors_at(&self, now: Time) -> f64 {
        self.errors * libm::exp(-(now.since(self.last).0 as f64) / FORGETTING)
    }

    /// The median of the row for this rif, or of the nearest that has any; zero if none has.
    fn latency(&self, rif: u32) -> Span {
        let here = row_of(rif);
        let nearest = (0..ROWS).filter(|&i| self.rows[i].count > 0).min_by_key(|&i| i.abs_diff(here));
        let Some(row) = nearest.map(|i| self.rows[i]) else { return Span::ZERO };
        let n = (row.count as usize).min(RECENT);
        let mut recent = row.recent;
        recent[..n].sort_unstable();
        Span(recent[n / 2])
    }
}

/// Rows of rif: 0 to 7 each its own, then two for every doubling.
fn row_of(rif: u32) -> usize {
    if rif < 8 {
        return rif as usize;
    }
    let log = rif.ilog2();
    let half = (rif >> (log - 1)) & 1;
    (8 + (log as usize - 3) * 2 + half as usize).min(ROWS - 1)
}

/// Any of `n`, for a request without enough probes.
pub fn any(draws: &mut Draws, n: usize) -> usize {
    pick(draws.bits(), n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_reused_as_often_as_the_rates_allow() {
        let config = |pool, probes, removals| Config { pool, probes, removals, ..Config::default() };
        for (id, config, n, expected) in [
            ("LB-66", config(16, 3.0, 1.0), 100, Some(1.315_789)),
            ("LB-67", config(16, 1.5, 0.5), 100, Some(2.631_579)),
            ("LB-135", config(48, 3.0, 1.0), 100, Some(3.571_429)),
            ("LB-68", config(16, 3.0, 1.0), 10, None),
        ] {
            match (config.reuse(n), expected) {
                (Some(b), Some(want)) => assert!((b - want).abs() < 1e-6, "{id}: {b}"),
                (b, want) => assert_eq!(b, want, "{id}"),
            }
        }
    }

    /// a (1, 50) b (2, 20) c (3, 30) d (10, 5).
    fn pool() -> Pool {
        let mut pool = Pool::new(Config { pool: 16, ..Config::default() }, 1);
        for (i, (rif, ms)) in [(1, 50), (2, 20), (3, 30), (10, 5)].into_iter().enumerate() {
            pool.answered(Time::ZERO, InstanceId(i as u32), Answer { rif, latency: Span::from_millis(ms) }, 4);
        }
        pool
    }

    #[test]
    fn the_fastest_of_the_cold_wins_and_the_least_loaded_of_the_hot() {
        let pool = pool();
        let best = |theta| pool.best(theta, |_| true).unwrap();
        assert_eq!(best(3), 1, "LB-69");
        assert_eq!(best(0), 0, "LB-70");
        assert_eq!(best(1), 0, "LB-71");
        assert_eq!((pool.worst(3), pool.worst(10)), (Some(3), Some(0)), "LB-72");
        assert_eq!(pool.theta(), 10, "rank ⌈0.84 · 4⌉ = 4");
    }

    #[test]
    fn one_probe_is_not_enough() {
        let mut pool = Pool::new(Config::default(), 1);
        pool.answered(Time::ZERO, InstanceId(0), Answer { rif: 1, latency: Span::ZERO }, 4);
        assert_eq!(pool.choose(Time::ZERO, |_| true), None, "LB-73");
    }

    #[test]
    fn a_used_probe_counts_the_request_that_used_it() {
        let mut pool = pool();
        assert_eq!(pool.choose(Time::ZERO, |_| true), Some(InstanceId(3)), "all cold: the fastest");
        assert_eq!(pool.probes[3].rif, 11);
        assert_eq!(pool.choose(Time::ZERO, |_| true), Some(InstanceId(1)), "which is hot now");
    }

    #[test]
    fn old_probes_and_those_of_departed_instances_are_dropped() {
        let mut pool = pool();
        pool.forget(InstanceId(1));
        assert_eq!((pool.probes.len(), pool.reporting), (3, 3));
        assert_eq!(pool.choose(Time::from_secs_f64(1.001), |_| true), None);
        assert!(pool.probes.is_empty());
    }

    #[test]
    fn what_fails_at_once_looks_loaded() {
        let config = Config::default();
        let mut gauge = Gauge::new(&config);
        let at = Time::from_secs_f64;
        for i in 0..20 {
            gauge.ended(at(f64::from(i)), 4, Span::from_millis(40), false);
        }
        assert_eq!(gauge.answer(at(20.0), 4), Answer { rif: 4, latency: Span::from_millis(40) });
        for _ in 0..3 {
            gauge.ended(at(20.0), 0, Span::ZERO, true);
        }
        let answer = gauge.answer(at(20.0), 0);
        assert_eq!(answer, Answer { rif: 100, latency: Span::ZERO }, "0.271 of errors, and a median of 0");
        assert_eq!(gauge.answer(at(24.0), 0).rif, 0, "after 4 s it is 0.182");
    }

    #[test]
    fn rows_are_in_order() {
        let rows: Vec<usize> = (0..5000).map(row_of).collect();
        assert!(rows.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!((rows[7], rows[8], rows[12], rows[16]), (7, 8, 9, 10));
    }
}

//! A recording on its way through the analyzer, bin by bin.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use crate::engine::analyzer::anomaly::Anomalies;
use crate::engine::analyzer::audience::Visit;
use crate::engine::analyzer::verdict::Class;
use crate::engine::analyzer::{Analyzer, Config};
use crate::engine::events::EventKind;
use crate::report::analysis::{Anomaly, Happening, Rise};
use crate::traffic::formats::Record;
use crate::traffic::replay::Summary;
use crate::units::{Span, Time};

/// What is kept of a recording: its rate in slots of at least this.
const SLOT: Span = Span::from_mins(5);
const MINUTE: Span = Span::from_mins(1);
const DAY: f64 = 86_400.0;
/// Requests in a minute from which growth is no chance.
const RISE_FROM: f64 = 100.0;
/// Share of the mean rate from which growth matters.
const RISE_SHARE: f64 = 0.25;
/// Requests that an average slot must have for an empty one to be news.
const MANY: f64 = 10.0;
/// Rises remembered, and how far apart they are \[s\].
const RISES: usize = 4096;
const APART: f64 = 300.0;
/// Bins remembered, to find the peak of a spike that is told of when it has lasted.
const RECENT: usize = 64;
/// Paths told apart.
const PATHS: usize = 255;
/// Anomalies listed, and the score from which a value is one.
const LISTED: usize = 20;
const UNUSUAL: f64 = 0.5;
/// Share of a slot that must have been observed.
const OBSERVED: f64 = 0.9;

/// A visit that waits for its turn; times of a log may step back a little.
struct Waiting(Reverse<(Time, u64)>, Visit);

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.0 == other.0
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

/// Watches.
pub struct Watch {
    bin: Span,
    begin: Time,
    end: Time,
    analyzer: Analyzer,
    instance_rps: Option<f64>,
    is_log: bool,
    paths: HashMap<Box<[u8]>, u32, FixedState>,
    waiting: BinaryHeap<Waiting>,
    arrived: u64,
    /// Requests of the bin under way, and the time of it that was observed \[s\].
    count: f64,
    observed: f64,
    /// Bins not long ago: their starts and counts.
    recent: VecDeque<(Time, f64)>,
    on: Option<Happening>,
    happenings: Vec<Happening>,
    /// Steep rises, one each few minutes at most.
    rises: Vec<Rise>,
    /// From which rate on growth is told \[1/s\]: a fleet at rest carries what grows from nothing.
    rise_from_rps: f64,
    slot: Span,
    /// Requests and observed time of the slot under way.
    pending: (f64, f64),
    slots: Vec<f64>,
}

/// What was seen.
pub struct Seen {
    /// Start and end \[s\].
    pub span: (f64, f64),
    /// Start of the first slot \[s\], and the length of each.
    pub start: f64,
    /// See `start`.
    pub slot: f64,
    /// Rates \[1/s\]; NaN where nobody observed.
    pub slots: Vec<f64>,
    /// Confidence of the baseline.
    pub confidence: f64,
    /// Spikes.
    pub happenings: Vec<Happening>,
    /// The steepest rise.
    pub rise: Option<Rise>,
}

impl Watch {
    /// Begins at `begin` \[ns\] after midnight of the first day.
    pub fn new(bin: Span, begin: u64, instance_rps: Option<f64>, summary: &Summary) -> Watch {
        let is_log = summary.is_log;
        let default = Config::default();
        let config = Config {
            bin,
            // Bins that are long need more of the past to tell noise from news.
            baseline_window: Span(default.baseline_window.0.max(bin.0.saturating_mul(144))),
            min_spike_duration: Span(default.min_spike_duration.0.max(bin.0.saturating_mul(2))),
            exit_hold: Span(default.exit_hold.0.max(bin.0)),
            relearn_after: Span(default.relearn_after.0.max(bin.0.saturating_mul(24))),
            ..default
        };
        let mut analyzer = Analyzer::new(&config);
        analyzer.begin_at(Time(begin));
        let slot = Span(SLOT.0.div_ceil(bin.0) * bin.0);
        let first_bin = begin / bin.0 * bin.0;
        let mut watch = Watch {
            bin,
            begin: Time(begin),
            end: Time(begin),
            analyzer,
            instance_rps,
            is_log,
            paths: HashMap::default(),
            waiting: BinaryHeap::new(),
            arrived: 0,
            count: 0.0,
            observed: 0.0,
            recent: VecDeque::new(),
            on: None,
            happenings: Vec::new(),
            rises: Vec::new(),
            rise_from_rps: RISE_SHARE * summary.mean_rps(),
            slot,
            pending: (0.0, 0.0),
            slots: Vec::new(),
        };
        if is_log {
            // What of the first bin lies before the first request was not observed.
            watch.observed = -((begin - first_bin) as f64 / 1e9);
        }
        watch
    }

    /// Takes a request of a log, whose times may step back by `reach`.
    pub fn request(&mut self, at: Time, reach: Span, record: &Record<'_>) {
        let state = FixedState::default();
        let visit = Visit {
            at,
            client: state.hash_one(record.client),
            prefix: network(record.client),
            agent: record.agent.map(|agent| state.hash_one(agent)),
            endpoint: self.endpoint(record.path),
            region: 0,
            client_error: (record.status > 0).then(|| (400..500).contains(&record.status)),
        };
        self.end = self.end.max(at);
        if reach.is_zero() {
            return self.visit(&visit);
        }
        self.arrived += 1;
        self.waiting.push(Waiting(Reverse((at, self.arrived)), visit));
        let until = self.end.saturating_sub(reach);
        while self.waiting.peek().is_some_and(|next| next.0.0.0 < until) {
            if let Some(next) = self.waiting.pop() {
                self.visit(&next.1);
            }
        }
    }

    fn visit(&mut self, visit: &Visit) {
        self.advance(visit.at);
        self.count += 1.0;
        self.analyzer.visited(visit);
    }

    /// Takes a step of a series that began at `at`.
    pub fn step(&mut self, at: Time, step: Span, requests: f64) {
        self.advance(at);
        let requests = if requests.is_finite() { requests.max(0.0) } else { 0.0 };
        self.count += requests;
        self.observed += step.as_secs_f64();
        self.analyzer.counted(requests.round() as u64);
        self.end = self.end.max(at + step);
    }

    fn endpoint(&mut self, path: &[u8]) -> u32 {
        if let Some(id) = self.paths.get(path) {
            return *id;
        }
        let id = self.paths.len().min(PATHS) as u32;
        if self.paths.len() < PATHS {
            self.paths.insert(path.into(), id);
        }
        id
    }

    /// Closes bins until the one of `now`.
    fn advance(&mut self, now: Time) {
        while self.analyzer.next_wake() <= now {
            self.close_bin();
        }
    }

    fn close_bin(&mut self) {
        let ended = self.analyzer.next_wake();
        let began = Time(ended.0 - self.bin.0);
        let count = std::mem::take(&mut self.count);
        let mut observed = std::mem::take(&mut self.observed);
        if self.is_log {
            observed += self.bin.as_secs_f64();
        }
        if let (Some(rps), Some(baseline)) = (self.instance_rps, self.analyzer.baseline_rps()) {
            self.analyzer.fleet_is((baseline / rps).ceil().clamp(1.0, 1e6) as u32);
        }
        let mut events = Vec::new();
        self.analyzer.tick(ended, &mut events);
        self.recent.push_back((began, count));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        if let Some(on) = &mut self.on {
            let rps = count / self.bin.as_secs_f64();
            let further = if on.spike.drop { rps < on.spike.peak_rps } else { rps > on.spike.peak_rps };
            if further {
                on.spike.peak_rps = rps;
                on.spike.magnitude = rps / on.spike.baseline_rps.max(1e-9);
                on.peak_at = began.as_secs_f64();
            }
        }
        for event in events {
            self.learn(event.kind);
        }
        self.look_for_rise(began);
        self.pending.0 += count;
        self.pending.1 += observed;
        if ended.0.is_multiple_of(self.slot.0) {
            let (requests, seconds) = std::mem::take(&mut self.pending);
            let whole = self.slot.as_secs_f64();
            self.slots.push(if seconds >= OBSERVED * whole { requests / seconds } else { f64::NAN });
        }
    }

    fn learn(&mut self, kind: EventKind) {
        match kind {
            EventKind::SpikeDetected(mut spike) => {
                let since = self.recent.iter().filter(|(began, _)| *began >= spike.started_at);
                let peak = if spike.drop {
                    since.min_by(|a, b| a.1.total_cmp(&b.1))
                } else {
                    since.max_by(|a, b| a.1.total_cmp(&b.1))
                };
                let peak_at = peak.map_or(spike.started_at, |(began, _)| *began).as_secs_f64();
                if !self.is_log {
                    (spike.verdict, spike.advice) = (None, Vec::new());
                }
                let informed = spike.started_at.since(self.begin).as_secs_f64() >= DAY;
                self.on = Some(Happening { spike, peak_at, ended_at: None, informed });
            }
            EventKind::SpikeEnded(spike) => {
                let Some(mut on) = self.on.take() else { return };
                // Load was back when the wait began that ended the spike.
                let now = self.analyzer.next_wake().0 - self.bin.0;
                on.ended_at = Some(Time(now).saturating_sub(self.exit_hold()).as_secs_f64());
                on.spike = spike;
                if !self.is_log {
                    (on.spike.verdict, on.spike.advice) = (None, Vec::new());
                }
                self.happenings.push(on);
            }
            _ => {}
        }
    }

    fn exit_hold(&self) -> Span {
        Span(Config::default().exit_hold.0.max(self.bin.0))
    }

    /// Compares the last minute with the one two minutes before.
    fn look_for_rise(&mut self, began: Time) {
        let k = MINUTE.0.div_ceil(self.bin.0) as usize;
        if self.bin > MINUTE || self.recent.len() < 3 * k || 3 * k > RECENT {
            return;
        }
        let n = self.recent.len();
        let sum = |from: usize| self.recent.range(from..from + k).map(|(_, count)| count).sum::<f64>();
        let (before, now) = (sum(n - 3 * k), sum(n - k));
        let seconds = k as f64 * self.bin.as_secs_f64();
        let rise = Rise { at: began.as_secs_f64(), from_rps: before / seconds, to_rps: now / seconds };
        if before < RISE_FROM || rise.from_rps < self.rise_from_rps || rise.factor() < 1.0 {
            return;
        }
        let near = self.rises.last().is_some_and(|last| rise.at - last.at < APART);
        if near
            && let Some(last) = self.rises.last_mut()
            && rise.factor() > last.factor()
        {
            *last = rise;
        } else if !near && self.rises.len() < RISES {
            self.rises.push(rise);
        }
    }

    /// The steepest rise that was not a machine's: nobody buys capacity for those.
    fn steepest(&self) -> Option<Rise> {
        let of_machine = |rise: &Rise| {
            self.happenings.iter().filter(|each| is_machine(each)).any(|each| {
                let from = each.spike.started_at.as_secs_f64() - APART;
                from <= rise.at && rise.at <= each.ended_at.map_or(f64::INFINITY, |ended| ended + APART)
            })
        };
        let customers = self.rises.iter().filter(|rise| !of_machine(rise));
        customers.max_by(|a, b| a.factor().total_cmp(&b.factor())).copied()
    }

    /// Closes what is whole; a bin that the recording ends in is not.
    pub fn finish(mut self) -> Seen {
        while let Some(next) = self.waiting.pop() {
            self.visit(&next.1);
        }
        self.advance(self.end);
        self.happenings.extend(self.on.take());
        Seen {
            span: (self.begin.as_secs_f64(), self.end.as_secs_f64()),
            start: (self.begin.0 / self.slot.0 * self.slot.0) as f64 / 1e9,
            slot: self.slot.as_secs_f64(),
            rise: self.steepest(),
            slots: self.slots,
            confidence: self.analyzer.confidence(),
            happenings: self.happenings,
        }
    }
}

impl Seen {
    fn hour(&self, i: usize) -> usize {
        ((self.start + i as f64 * self.slot) / 3600.0) as usize % 24
    }

    /// Median rate of each hour of the day, spikes of machines aside.
    pub fn hourly(&self) -> [Option<f64>; 24] {
        let mut hours: [Vec<f64>; 24] = Default::default();
        let ordinary = |i: usize| {
            let (from, to) = (self.start + i as f64 * self.slot, self.start + (i + 1) as f64 * self.slot);
            let within = |each: &&Happening| {
                each.spike.started_at.as_secs_f64() < to && each.ended_at.is_none_or(|ended| from < ended)
            };
            !self.happenings.iter().filter(|each| is_machine(each)).any(|each| within(&each))
        };
        for (i, rps) in self.slots.iter().enumerate().filter(|(i, rps)| rps.is_finite() && ordinary(*i)) {
            hours[self.hour(i)].push(*rps);
        }
        hours.map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates.get(rates.len() / 2).copied()
        })
    }

    /// Share of slots without a request, where there should be so many that chance does not explain it; else 0.
    pub fn silent(&self, mean_rps: f64) -> f64 {
        let seen: Vec<f64> = self.slots.iter().copied().filter(|rps| rps.is_finite()).collect();
        let empty = seen.iter().filter(|rps| **rps == 0.0).count();
        if mean_rps * self.slot < MANY || seen.is_empty() { 0.0 } else { empty as f64 / seen.len() as f64 }
    }

    /// Mean rate of each day of the week, from Sunday; the first day is so many days after 1970-01-01, a Thursday.
    pub fn daily(&self, first_day: i64) -> [Option<f64>; 7] {
        let mut days = [(0.0, 0u32); 7];
        for (i, rps) in self.slots.iter().enumerate().filter(|(_, rps)| rps.is_finite()) {
            let day = first_day + ((self.start + i as f64 * self.slot) / DAY) as i64;
            let (sum, n) = &mut days[(day + 4).rem_euclid(7) as usize];
            *sum += rps;
            *n += 1;
        }
        days.map(|(sum, n)| (n > 0).then(|| sum / f64::from(n)))
    }

    /// The most unusual slots, and how many are unusual; what came while little was known is not judged.
    pub fn anomalies(&self, hourly: &[Option<f64>; 24]) -> (Vec<Anomaly>, usize) {
        let learned = (self.slots.len() * 15 / 100).min(750);
        let mut detector = Anomalies::new();
        let mut found = Vec::new();
        for (i, rps) in self.slots.iter().enumerate() {
            let hour = self.hour(i);
            let score = detector.observe(hour, *rps);
            if i >= learned && score > UNUSUAL {
                let at = self.start + i as f64 * self.slot;
                found.push(Anomaly { at, rps: *rps, usual_rps: hourly[hour].unwrap_or(*rps), score });
            }
        }
        let n = found.len();
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.at.total_cmp(&b.at)));
        found.truncate(LISTED);
        (found, n)
    }
}

/// Whether a spike is not customers.
fn is_machine(each: &Happening) -> bool {
    let class = each.spike.verdict.as_ref().map(|verdict| verdict.class);
    matches!(class, Some(Class::Bot | Class::Attack | Class::Suspicious))
}

/// The network a client is in: /24 or /48, or itself if it has no address.
fn network(client: &[u8]) -> u64 {
    let state = FixedState::default();
    match std::str::from_utf8(client).ok().and_then(|text| text.parse::<IpAddr>().ok()) {
        Some(IpAddr::V4(address)) => state.hash_one(&address.octets()[..3]),
        Some(IpAddr::V6(address)) => state.hash_one(&address.octets()[..6]),
        None => state.hash_one(client),
    }
}

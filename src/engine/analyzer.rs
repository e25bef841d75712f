//! The traffic analyzer: what offered load is like, and when it leaves its ways.
//!
//! Requests are counted in bins of ten seconds, `[k·w, (k+1)·w)`; an empty bin is a zero, not a gap. Each closed bin is
//! compared with a [`baseline`] and fed to the state machine of [`spike`]. Counted is *offered* load: completions of an
//! overloaded system look like low demand.
//!
//! A spike is judged by who sends it ([`audience`], [`verdict`]) when it is confirmed and again when it ends, and comes with
//! [`advice`]. [`anomaly`] scores any series of values; [`bot`] judges clients of an access log; [`pattern`] says how load goes over the
//! hours and where it comes from. What an earlier engine saw of the same load is its [`past`].

pub mod advice;
pub mod analysis;
pub mod anomaly;
pub mod audience;
pub mod baseline;
pub mod bot;
pub mod change;
pub mod diversity;
pub mod outlook;
pub mod past;
pub mod pattern;
pub mod sketch;
pub mod spike;
pub mod verdict;

use std::collections::VecDeque;

use crate::engine::analyzer::advice::{Findings, Situation, advise};
use crate::engine::analyzer::analysis::{Analysis, Forecast};
use crate::engine::analyzer::anomaly::Anomalies;
use crate::engine::analyzer::audience::{Audience, Visit};
use crate::engine::analyzer::baseline::{Baseline, Expected};
use crate::engine::analyzer::outlook::{Exception, Outlook};
use crate::engine::analyzer::past::{Past, Seen};
use crate::engine::analyzer::pattern::Patterns;
use crate::engine::analyzer::spike::Detector;
use crate::engine::analyzer::verdict::{Circumstances, Verdict};
use crate::engine::events::{Event, EventKind, Spike};
use crate::units::{Span, Time};

/// Settings of the analyzer.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How much of the past the level is taken from, ≥ a bin. Default 24 h.
    pub baseline_window: Span,
    /// Load at this many times the baseline, or at its inverse, may be a spike; > 1. Default 2.
    pub spike_threshold: f64,
    /// How long load must stay there, ≥ 0. Default 2 min.
    pub min_spike_duration: Span,
    /// 0..1: how far beyond noise load must be; 0 is six standard deviations, 1 is two. Default 0.5.
    pub sensitivity: f64,
    /// Length of a bin, > 0. Default 10 s.
    pub bin: Span,
    /// At this many times the baseline two bins in a row are enough. Default 4.
    pub fast_ratio: f64,
    /// How long load must be back before a spike is over. Default 60 s.
    pub exit_hold: Span,
    /// A spike that lasts longer than this is the new normal, and learned. Default 6 h.
    pub relearn_after: Span,
    /// How far ahead load is forecast, > 0; `None`: not at all.
    pub prediction_window: Option<Span>,
    /// Unusual load that is known beforehand.
    pub holidays: Vec<Exception>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            baseline_window: Span::from_mins(24 * 60),
            spike_threshold: 2.0,
            min_spike_duration: Span::from_mins(2),
            sensitivity: 0.5,
            bin: Span::from_secs(10),
            fast_ratio: 4.0,
            exit_hold: Span::from_secs(60),
            relearn_after: Span::from_mins(6 * 60),
            prediction_window: None,
            holidays: Vec::new(),
        }
    }
}

/// Watches offered load.
#[derive(Clone, Debug)]
pub struct Analyzer {
    config: Config,
    baseline: Baseline,
    detector: Detector,
    audience: Audience,
    patterns: Patterns,
    outlook: Option<Outlook>,
    anomalies: Anomalies,
    /// Requests and bins of the minute under way.
    minute: (f64, u64),
    /// The spike that has become the new normal.
    regime: Option<u32>,
    count: u64,
    /// Requests since the engine began.
    offered: u64,
    bin_ends: Time,
    /// What the calendar shows at time zero, since midnight of a Monday.
    calendar: Span,
    /// Of the bin in which the engine began: how much of it will have been observed. `None` behind it, or where bins begin with the engine.
    first_observed: Option<Span>,
    /// Instances that take traffic, and those of the last ordinary bin.
    ready: u32,
    ready_before: u32,
    /// The steepest rise from one bin to the next since the spike began, and the count before.
    steepest: f64,
    last_count: f64,
    /// When earlier spikes began, on the calendar.
    past: VecDeque<Time>,
}

/// Spikes remembered, to know those that come again.
const PAST: usize = 64;
/// How near in the day two spikes are the same appointment.
const APPOINTMENT: Span = Span::from_mins(30);
const DAY: u64 = 86_400_000_000_000;

impl Analyzer {
    /// Has seen nothing yet.
    pub fn new(config: &Config) -> Analyzer {
        Analyzer {
            baseline: Baseline::new(config.bin, config.baseline_window),
            detector: Detector::new(config.clone()),
            audience: Audience::new(config.bin),
            patterns: Patterns::default(),
            outlook: config.prediction_window.map(|window| Outlook::new(config.bin, window, &config.holidays)),
            anomalies: Anomalies::new(),
            minute: (0.0, 0),
            regime: None,
            ready: 0,
            ready_before: 0,
            steepest: 0.0,
            last_count: 0.0,
            past: VecDeque::new(),
            count: 0,
            offered: 0,
            bin_ends: Time(config.bin.0),
            calendar: Span::ZERO,
            first_observed: None,
            config: config.clone(),
        }
    }

    /// A request was offered.
    #[inline]
    pub fn visited(&mut self, visit: &Visit) {
        self.count += 1;
        self.offered += 1;
        self.audience.visit(visit);
        self.patterns.visit(visit.endpoint, visit.region);
    }

    /// Begins in the bin that `at` lies in: what came before was not observed, and is no zero.
    pub fn begin_at(&mut self, at: Time) {
        self.bin_ends = Time((at.0 / self.config.bin.0 + 1) * self.config.bin.0);
    }

    /// Begins where an earlier engine ended: baseline, patterns and forecast go on from what that one saw. Spikes of then are no news now, and
    /// one that is still on is found again.
    pub fn remember(&mut self, past: &Past) {
        let bin = self.config.bin;
        self.outlook = None;
        let mut no_news = Vec::new();
        for each in &past.bins {
            if let Some(count) = each.seen.of_whole(bin) {
                self.close_bin(each.began, count, &mut no_news);
                no_news.clear();
            }
        }
        let window = self.config.prediction_window;
        let series = past.series(bin);
        self.outlook = window.map(|window| Outlook::after(bin, window, &self.config.holidays, &series));
        self.detector = Detector::new(self.config.clone());
        self.audience = Audience::new(bin);
        (self.minute, self.regime, self.steepest) = ((0.0, 0), None, 0.0);
        self.calendar = past.calendar;
        let left = Span(bin.0.saturating_sub(past.into_bin.0).max(1));
        self.bin_ends = Time(left.0);
        self.count = past.under_way.requests;
        self.first_observed = Some(left + past.under_way.observed);
    }

    /// Requests that were offered since the engine began, each once.
    pub fn offered(&self) -> u64 {
        self.offered
    }

    /// A moment on the calendar.
    fn on_calendar(&self, at: Time) -> Time {
        at + self.calendar
    }

    /// When the bin under way began, on the calendar.
    fn bin_began(&self) -> Time {
        self.on_calendar(self.bin_ends).saturating_sub(self.config.bin)
    }

    /// So many requests were offered, of which nothing else is known.
    pub fn counted(&mut self, requests: u64) {
        self.count += requests;
    }

    /// How many instances take traffic now: advice is given in instances.
    pub fn fleet_is(&mut self, ready: u32) {
        self.ready = ready;
    }

    /// How load goes over the hours, and where it comes from.
    pub fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// When the current bin ends.
    pub fn next_wake(&self) -> Time {
        self.bin_ends
    }

    /// Closes the bins that end by `now`. Drivers call at [`Analyzer::next_wake`], so that no request of the next bin has been
    /// counted yet.
    pub fn tick(&mut self, now: Time, events: &mut Vec<Event>) {
        while self.bin_ends <= now {
            let requests = std::mem::take(&mut self.count);
            let observed = self.first_observed.take().unwrap_or(self.config.bin);
            if let Some(count) = (Seen { requests, observed }).of_whole(self.config.bin) {
                self.close_bin(self.bin_ends.saturating_sub(self.config.bin), count, events);
            }
            self.bin_ends += self.config.bin;
        }
    }

    fn close_bin(&mut self, began: Time, count: f64, events: &mut Vec<Event>) {
        let ended = began + self.config.bin;
        let on_calendar = self.on_calendar(began);
        let change = self.baseline.at(on_calendar).and_then(|expected| {
            let change = self.detector.observe(began, count, &expected)?;
            Some((change, expected))
        });
        let ordinary = self.detector.spike().is_none() && change.is_none();
        self.steepest = if ordinary { 0.0 } else { self.steepest.max(count - self.last_count) };
        self.last_count = count;
        if ordinary {
            self.ready_before = self.ready;
        }
        self.audience.close_bin(ended, ordinary);
        self.patterns.close_bin(on_calendar, self.config.bin, count);
        if let Some(outlook) = &mut self.outlook {
            outlook.close_bin(ended, count);
        }
        if let Some((change, expected)) = change {
            self.tell(ended, count, change, &expected, events);
        }
        self.look_for_anomaly(began, on_calendar, count, events);
        // What is inside a spike is not normal, until it has lasted so long that it is.
        let learn = match self.detector.active_since() {
            None => !self.detector.is_suspicious(),
            Some(since) => began.since(since) >= self.config.relearn_after,
        };
        if learn && self.detector.active_since().is_some() {
            self.change_regime(ended, count, events);
        }
        self.baseline.learn(on_calendar, count, learn);
    }

    fn tell(&mut self, ended: Time, count: f64, change: spike::Change, expected: &Expected, events: &mut Vec<Event>) {
        let rps = count / self.config.bin.as_secs_f64();
        match change {
            spike::Change::Began(spike) => {
                let spike = self.judge(ended, rps, spike);
                let cause = format!(
                    "offered {}/s is {:.1} times the baseline of {}/s (z {:.1}) since {}{}",
                    rate(rps),
                    count / expected.level.max(1.0),
                    rate(spike.baseline_rps),
                    expected.z(count),
                    spike.started_at,
                    in_words(&spike)
                );
                events.push(Event { at: ended, kind: EventKind::SpikeDetected(spike), cause });
            }
            spike::Change::Ended(spike) => {
                let spike = self.judge(ended, rps, spike);
                self.past.push_back(self.on_calendar(spike.started_at));
                if self.past.len() > PAST {
                    self.past.pop_front();
                }
                let cause = format!(
                    "offered load is back near its baseline after {}; peak {}/s, {:.1} times the baseline{}",
                    ended.since(spike.started_at),
                    rate(spike.peak_rps),
                    spike.magnitude,
                    in_words(&spike)
                );
                events.push(Event { at: ended, kind: EventKind::SpikeEnded(spike), cause });
            }
        }
    }

    /// Lets the baseline start over, once a spike.
    fn change_regime(&mut self, now: Time, count: f64, events: &mut Vec<Event>) {
        let Some(spike) = self.detector.spike().filter(|spike| self.regime != Some(spike.id)) else { return };
        let (from_rps, to_rps) = (spike.baseline_rps, count / self.config.bin.as_secs_f64());
        self.regime = Some(spike.id);
        let cause = format!(
            "{}/s in place of {}/s for {}: this is the new normal, and the baseline starts over",
            rate(to_rps),
            rate(from_rps),
            now.since(spike.started_at)
        );
        self.baseline.start_over();
        events.push(Event { at: now, kind: EventKind::RegimeChanged { from_rps, to_rps }, cause });
    }

    /// Scores the minute that this bin ends, if it does. A spike is told once, as a spike.
    fn look_for_anomaly(&mut self, began: Time, on_calendar: Time, count: f64, events: &mut Vec<Event>) {
        self.minute.0 += count;
        self.minute.1 += 1;
        let length = Span(self.config.bin.0 * self.minute.1);
        if length < Span::from_mins(1) {
            return;
        }
        let (requests, bins) = std::mem::take(&mut self.minute);
        let rps = requests / length.as_secs_f64();
        let hour = (on_calendar.0 / Span::from_mins(60).0 % 24) as usize;
        let score = self.anomalies.observe(hour, rps);
        let quiet = self.detector.spike().is_none();
        // Light traffic sets records by chance: the count itself must be beyond noise.
        let beyond_noise = self.baseline.at(on_calendar).is_some_and(|expected| {
            let usual = (expected.level * bins as f64).max(1.0);
            (requests - usual).abs() >= self.detector.z_min() * usual.sqrt()
        });
        if quiet && beyond_noise && score > Anomalies::threshold(self.config.sensitivity) && self.anomalies.is_warm()
        {
            let cause = format!("{}/s in the last minute is unusual for this hour (score {score:.2})", rate(rps));
            events.push(Event { at: began + self.config.bin, kind: EventKind::Anomaly { score, rps }, cause });
        }
    }

    /// Says who a spike is, and what to do. A drop is nobody.
    fn judge(&self, now: Time, rps: f64, mut spike: Spike) -> Spike {
        if spike.drop {
            return spike;
        }
        let rise = spike.peak_rps - spike.baseline_rps;
        let step = self.steepest / self.config.bin.as_secs_f64() / rise.max(1e-9);
        let evidence = self.audience.evidence(now, Some(step.clamp(0.0, 1.0)));
        let busiest = self.audience.busiest(now);
        let circumstances = Circumstances {
            requests: self.audience.spike_requests(),
            dominant: busiest.map_or(0.0, |busiest| busiest.share),
            recurs: self.recurs(spike.started_at),
        };
        let verdict = Verdict::of(evidence, circumstances);
        let situation = Situation {
            rps,
            baseline_rps: spike.baseline_rps,
            peak_rps: spike.peak_rps,
            ready: self.ready,
            ready_before: self.ready_before,
            client_rps: self.audience.client_rate(),
            busiest_rps: busiest.map_or(0.0, |busiest| busiest.rps),
        };
        spike.advice = advice::for_spike(&verdict, &situation);
        spike.verdict = Some(verdict);
        spike
    }

    /// Whether a spike began at this time of day on an earlier day.
    fn recurs(&self, started_at: Time) -> bool {
        let started_at = self.on_calendar(started_at);
        self.past.iter().any(|past| {
            let apart = started_at.since(*past).0;
            let off = (apart % DAY).min(DAY - apart % DAY);
            apart > DAY / 2 && off <= APPOINTMENT.0
        })
    }

    /// The baseline of the current bin \[1/s\]; `None` before enough bins have been seen.
    pub fn baseline_rps(&self) -> Option<f64> {
        self.baseline.at(self.bin_began()).map(|expected| expected.level / self.config.bin.as_secs_f64())
    }

    /// Everything that was found. `known` says what the caller knows of the fleet; the analyzer adds baseline and forecast.
    pub fn analysis(&self, known: Findings) -> Analysis {
        let mut known = known;
        known.baseline_confidence = Some(self.confidence());
        let forecast = self.outlook.as_ref().and_then(forecast);
        known.forecast_peak_rps = forecast.as_ref().and_then(Forecast::peak_rps);
        if let (Some(forecast), Some(now)) = (&forecast, self.baseline_rps()) {
            let quiet = forecast.path.iter().take_while(|p| p.mean < now / 2.0);
            let seconds = quiet.clone().count() as f64 * forecast.step.as_secs_f64();
            known.quiet_rps = quiet.map(|p| p.high).max_by(f64::total_cmp).filter(|rps| rps.is_finite());
            known.quiet_seconds = Some(seconds);
        }
        let most = |mut shares: Vec<pattern::Share>| {
            shares.truncate(16);
            shares
        };
        Analysis {
            baseline_rps: self.baseline_rps(),
            baseline_confidence: self.confidence(),
            hourly_rps: self.patterns.hourly(),
            daily_rps: self.patterns.daily(),
            extremes: self.patterns.extremes(),
            endpoints: most(self.patterns.endpoints()),
            regions: most(self.patterns.regions()),
            forecast,
            advice: advise(&known),
        }
    }

    /// What comes next; `None` unless a prediction window is set.
    pub fn outlook(&self) -> Option<&Outlook> {
        self.outlook.as_ref()
    }

    /// How much the baseline is worth, 0..1: coverage of the window, less for a wide spread.
    pub fn confidence(&self) -> f64 {
        self.baseline.confidence()
    }

    /// What a bin at `rps` \[1/s\] would be now; changes nothing.
    pub fn detect(&self, rps: f64) -> spike::State {
        match self.baseline.at(self.bin_began()) {
            Some(expected) => self.detector.would_be(rps * self.config.bin.as_secs_f64(), &expected),
            None => spike::State::Idle,
        }
    }
}

/// The path as it stands, with its credentials; `None` before anything is known.
fn forecast(outlook: &Outlook) -> Option<Forecast> {
    let forecaster = outlook.forecaster();
    let choice = forecaster.choice()?;
    let step = outlook.step();
    (!outlook.path().is_empty()).then(|| Forecast {
        model: choice.model,
        confidence: forecaster.confidence(),
        skill: choice.skill,
        gated: choice.gated,
        periods: choice.periods.iter().map(|period| Span(step.0 * *period as u64)).collect(),
        growth: forecaster.growth(),
        step,
        path: outlook.path().to_vec(),
    })
}

/// Who a spike is, in words.
fn in_words(spike: &Spike) -> String {
    spike.verdict.as_ref().map_or(String::new(), |verdict| {
        format!(
            "; {} (score {:.2}, confidence {:.0} %)",
            verdict.class.name(),
            verdict.score,
            100.0 * verdict.confidence
        )
    })
}

/// A rate in words: whole when it is large.
fn rate(rps: f64) -> String {
    if rps >= 10.0 { format!("{rps:.0}") } else { format!("{rps:.2}") }
}

#[cfg(test)]
mod examples;

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Dice, Stream};
    use rand_distr::{Distribution, Poisson};

    fn visit(bin: u64, i: u64) -> Visit {
        let client = crate::rng::mix(bin * 7919 + i) % 500;
        Visit {
            at: Time((bin * 10_000 + i) * 1_000_000),
            client,
            prefix: client,
            agent: None,
            endpoint: 0,
            region: 0,
            client_error: None,
        }
    }

    fn run(config: Config, minutes: u64, rate: impl Fn(u64) -> f64, noise: bool) -> Vec<Event> {
        let (mut analyzer, mut events) = (Analyzer::new(&config), Vec::new());
        let dice = Dice::new(5, Stream::Noise);
        for bin in 0..minutes * 6 {
            let mean = rate(bin * 10) * 10.0;
            let n = if noise && mean > 0.0 { Poisson::new(mean).unwrap().sample(&mut dice.draws(bin)) } else { mean };
            (0..n as u64).for_each(|i| analyzer.visited(&visit(bin, i)));
            analyzer.tick(analyzer.next_wake(), &mut events);
        }
        events
    }

    #[test]
    fn a_spike_is_reported_once_when_it_has_lasted_and_once_when_it_is_over() {
        let events = run(Config::default(), 60, |s| if (1800..2400).contains(&s) { 300.0 } else { 100.0 }, true);
        assert_eq!(events.len(), 2, "{events:?}");
        let EventKind::SpikeDetected(spike) = &events[0].kind else { panic!("{events:?}") };
        assert_eq!(events[0].at, Time::from_secs_f64(1920.0));
        assert_eq!(spike.started_at, Time::from_secs_f64(1800.0));
        assert!((spike.baseline_rps - 100.0).abs() < 3.0, "{spike:?}");
        let EventKind::SpikeEnded(spike) = &events[1].kind else { panic!("{events:?}") };
        assert_eq!(events[1].at, Time::from_secs_f64(2460.0));
        assert!((2.9..3.4).contains(&spike.magnitude) && !spike.drop, "{spike:?}");
    }

    #[test]
    fn a_collapse_of_load_is_an_event_too() {
        let events = run(Config::default(), 60, |s| if (1800..2400).contains(&s) { 10.0 } else { 100.0 }, true);
        assert!(matches!(&events[0].kind, EventKind::SpikeDetected(spike) if spike.drop), "{events:?}");
    }

    #[test]
    fn light_noisy_traffic_raises_no_alarm_for_a_day() {
        assert_eq!(run(Config::default(), 24 * 60, |_| 0.5, true), []);
    }

    /// A daily wave of ±60 %: by the third day the hour of the day is known, and the wave is not news.
    #[test]
    fn a_daily_wave_is_learned() {
        let wave = |s: u64| 100.0 + 60.0 * (s as f64 / 86_400.0 * std::f64::consts::TAU).sin();
        let config = Config { spike_threshold: 1.5, ..Config::default() };
        let events = run(config, 6 * 24 * 60, wave, true);
        let late: Vec<_> = events.iter().filter(|event| event.at > Time::from_secs_f64(3.0 * 86_400.0)).collect();
        assert!(late.is_empty(), "{late:?}");
    }

    /// Load that doubles and stays: one spike, and after six hours a new baseline.
    #[test]
    fn a_change_for_good_is_the_new_normal() {
        let hours = |n: u64| n * 3600;
        let events = run(Config::default(), 20 * 60, |s| if s < hours(8) { 20.0 } else { 50.0 }, true);
        let of =
            |wanted: fn(&EventKind) -> bool| -> Vec<&Event> { events.iter().filter(|e| wanted(&e.kind)).collect() };
        let began = of(|kind| matches!(kind, EventKind::SpikeDetected(_)));
        let changed = of(|kind| matches!(kind, EventKind::RegimeChanged { .. }));
        let ended = of(|kind| matches!(kind, EventKind::SpikeEnded(_)));
        assert_eq!((began.len(), changed.len(), ended.len()), (1, 1, 1), "{events:?}");
        assert!((hours(14)..hours(14) + 60).contains(&(changed[0].at.as_secs_f64() as u64)), "{:?}", changed[0]);
        assert!(ended[0].at.since(changed[0].at) < Span::from_mins(10), "{:?}", ended[0]);
    }

    /// Half a day in one engine and the rest in another, or all of it in one: the same baseline, patterns and forecast, and no news of the
    /// seam, although it is in the middle of a bin and some seconds of it are missing.
    #[test]
    fn what_was_learned_survives_a_new_beginning() {
        let config = Config { prediction_window: Some(Span::from_mins(60)), ..Config::default() };
        let bin = config.bin;
        let wave = |s: u64| (1000.0 + 600.0 * (s as f64 / 86_400.0 * std::f64::consts::TAU).sin()) as u64;
        let (begins, seam, ends) = (0, 30 * 3600 + 4, 48 * 3600);
        let mut events = Vec::new();
        let mut whole = Analyzer::new(&config);
        for ended in (begins + 10..=ends).step_by(10) {
            whole.counted(wave(ended));
            whole.tick(Time::ZERO + Span::from_secs(ended), &mut events);
        }
        let over = seam / 10 * 10;
        let seen = |ended: u64| Seen { requests: wave(ended), observed: bin };
        let at = |s: u64| Time::ZERO + Span::from_secs(s);
        let past = Past {
            calendar: Span::from_secs(seam),
            bins: (10..=over).step_by(10).map(|s| past::Bin { began: at(s - 10), seen: seen(s) }).collect(),
            into_bin: Span::from_secs(seam - over),
            under_way: Seen { requests: wave(over + 10) * 3 / 10, observed: Span::from_secs(3) },
        };
        let mut second = Analyzer::new(&config);
        second.remember(&past);
        assert_eq!((second.next_wake(), second.offered()), (at(6), 0));
        let rest = second.outlook().unwrap();
        assert!(!rest.path().is_empty(), "the forecast is there at once");
        assert!(second.baseline_rps().is_some() && second.patterns().hourly()[3].is_some());
        second.counted(wave(over + 10) * 6 / 10);
        second.tick(at(6), &mut events);
        for ended in (over + 20..=ends).step_by(10) {
            second.counted(wave(ended));
            second.tick(at(ended - seam), &mut events);
        }
        assert_eq!(events, []);
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.01;
        assert!(near(second.baseline_rps().unwrap(), whole.baseline_rps().unwrap()));
        assert!(near(second.confidence(), whole.confidence()));
        for (a, b) in second.patterns().hourly().iter().zip(whole.patterns().hourly()) {
            assert!(near(a.unwrap(), b.unwrap()));
        }
        let last = |analyzer: &Analyzer| analyzer.outlook().unwrap().path().last().unwrap().mean;
        assert!((last(&second) / last(&whole) - 1.0).abs() < 0.1, "{} {}", last(&second), last(&whole));
    }

    #[test]
    fn asking_changes_nothing() {
        let (mut analyzer, mut events) = (Analyzer::new(&Config::default()), Vec::new());
        for _ in 0..60 {
            (0..1000).for_each(|i| analyzer.visited(&visit(0, i)));
            analyzer.tick(analyzer.next_wake(), &mut events);
        }
        let before = format!("{analyzer:?}");
        assert_eq!(analyzer.detect(300.0), spike::State::Candidate);
        assert_eq!(analyzer.detect(120.0), spike::State::Idle);
        assert_eq!(format!("{analyzer:?}"), before);
        assert_eq!(analyzer.baseline_rps(), Some(100.0));
    }
}

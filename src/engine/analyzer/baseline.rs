//! The baseline: what load is expected at this hour.
//!
//! ```text
//! index[s]    = median over days of x(s, day) / mean(day), normalized to mean 1      s: hour of day, later hour of week
//! level       = rolling median of x / index
//! baseline(t) = level · index[s(t)]
//! spread(t)   = 1.4826 · median |x / index − level| · index[s(t)]
//! ```
//!
//! Medians, because a mean over a day contains yesterday's spike. Until a day has been seen the index is 1; until two weeks
//! have, it is by hour of day and shrunk towards 1 by n/(n + 3) after n days. Time zero is midnight on a Monday.

use std::collections::VecDeque;

use crate::units::{Span, Time};

const HOUR: u64 = 3_600_000_000_000;
const DAY_HOURS: usize = 24;
const WEEK_HOURS: usize = 168;
/// Hours remembered: eight weeks.
const HOURS: usize = 8 * WEEK_HOURS;
/// Entries of the rolling window at most; longer windows average several bins into one.
const ENTRIES: u64 = 1440;
/// Bins before there is a baseline.
pub const MIN_BINS: u64 = 6;

/// What is expected of a bin, in requests per bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Baseline.
    pub level: f64,
    /// Robust standard deviation.
    pub spread: f64,
}

impl Expected {
    /// Standard deviations between `count` and the baseline; at least Poisson noise is granted.
    pub fn z(&self, count: f64) -> f64 {
        (count - self.level) / self.spread.max(self.level.sqrt()).max(1e-9)
    }
}

/// Learns what is normal.
#[derive(Clone, Debug)]
pub struct Baseline {
    bin: Span,
    window: Span,
    /// Bins per entry.
    stride: u64,
    pending: (f64, u64),
    entries: VecDeque<f64>,
    sorted: Vec<f64>,
    level: Option<f64>,
    spread: f64,
    bins_seen: u64,
    /// Sums of the current hour, and which it is.
    hour: (u64, f64, u64),
    /// Means of past hours, oldest first; NaN where nothing was learned.
    hours: VecDeque<f64>,
    hours_seen: u64,
    index: Vec<f64>,
}

impl Baseline {
    /// Knows nothing yet.
    pub fn new(bin: Span, window: Span) -> Baseline {
        let bins = (window.0 / bin.0.max(1)).max(1);
        Baseline {
            bin,
            window,
            stride: bins.div_ceil(ENTRIES),
            pending: (0.0, 0),
            entries: VecDeque::new(),
            sorted: Vec::new(),
            level: None,
            spread: 0.0,
            bins_seen: 0,
            hour: (0, 0.0, 0),
            hours: VecDeque::new(),
            hours_seen: 0,
            index: vec![1.0; DAY_HOURS],
        }
    }

    /// What is expected of the bin that begins at `began`; `None` before [`MIN_BINS`] have been learned.
    pub fn at(&self, began: Time) -> Option<Expected> {
        let index = self.index_at(began);
        self.level.map(|level| Expected { level: level * index, spread: self.spread * index })
    }

    /// `coverage / (1 + spread/level)`.
    pub fn confidence(&self) -> f64 {
        let Some(level) = self.level.filter(|level| *level > 0.0) else { return 0.0 };
        let coverage = (self.bins_seen as f64 * self.bin.0 as f64 / self.window.0 as f64).min(1.0);
        coverage / (1.0 + self.spread / level)
    }

    /// Takes a closed bin; one that is not to be learned only lets time pass.
    pub fn learn(&mut self, began: Time, count: f64, learn: bool) {
        self.advance_hour(began.0 / HOUR);
        if !learn {
            return;
        }
        self.hour.1 += count;
        self.hour.2 += 1;
        self.bins_seen += 1;
        self.pending.0 += count / self.index_at(began).max(1e-6);
        self.pending.1 += 1;
        // While little is known, every bin counts at once.
        if self.pending.1 >= self.stride || self.bins_seen <= 60 {
            self.push(self.pending.0 / self.pending.1 as f64);
            self.pending = (0.0, 0);
        }
    }

    /// Forgets the level, not the shape of the day: load has moved for good.
    pub fn start_over(&mut self) {
        self.entries.clear();
        self.sorted.clear();
        self.level = None;
        self.spread = 0.0;
        self.bins_seen = 0;
        self.pending = (0.0, 0);
    }

    fn push(&mut self, value: f64) {
        let place = self.sorted.partition_point(|&x| x < value);
        self.sorted.insert(place, value);
        self.entries.push_back(value);
        let capacity = (self.window.0 / (self.bin.0 * self.stride)).max(1) as usize;
        if self.entries.len() > capacity {
            let old = self.entries.pop_front().expect("it is longer than its capacity");
            let place = self.sorted.partition_point(|&x| x < old);
            self.sorted.remove(place);
        }
        if self.bins_seen >= MIN_BINS {
            let level = median(&self.sorted);
            self.level = Some(level);
            let mut deviations: Vec<f64> = self.sorted.iter().map(|x| (x - level).abs()).collect();
            let middle = deviations.len() / 2;
            let (_, mad, _) = deviations.select_nth_unstable_by(middle, f64::total_cmp);
            self.spread = 1.4826 * *mad;
        }
    }

    fn index_at(&self, began: Time) -> f64 {
        let hour = (began.0 / HOUR) as usize;
        self.index[hour % self.index.len()]
    }

    fn advance_hour(&mut self, hour: u64) {
        while self.hour.0 < hour {
            let (number, sum, n) = self.hour;
            self.hours.push_back(if n > 0 { sum / n as f64 } else { f64::NAN });
            if self.hours.len() > HOURS {
                self.hours.pop_front();
            }
            self.hours_seen += 1;
            self.hour = (number + 1, 0.0, 0);
            if (number + 1) % DAY_HOURS as u64 == 0 {
                self.reindex();
            }
        }
    }

    /// Works out the index at midnight.
    fn reindex(&mut self) {
        let period = if self.hours_seen >= 2 * WEEK_HOURS as u64 { WEEK_HOURS } else { DAY_HOURS };
        let usable = self.hours.len() - self.hours.len() % period;
        let hours: Vec<f64> = self.hours.iter().copied().skip(self.hours.len() - usable).collect();
        let cycles: Vec<&[f64]> = hours.chunks(period).collect();
        let mean = |cycle: &[f64]| {
            let known: Vec<f64> = cycle.iter().copied().filter(|x| x.is_finite()).collect();
            known.iter().sum::<f64>() / known.len().max(1) as f64
        };
        let means: Vec<f64> = cycles.iter().map(|cycle| mean(cycle)).collect();
        let mut index: Vec<f64> = (0..period)
            .map(|slot| {
                let mut ratios: Vec<f64> = cycles
                    .iter()
                    .zip(&means)
                    .map(|(cycle, &mean)| cycle[slot] / mean)
                    .filter(|ratio| ratio.is_finite())
                    .collect();
                ratios.sort_by(f64::total_cmp);
                if ratios.is_empty() { 1.0 } else { median(&ratios) }
            })
            .collect();
        let total: f64 = index.iter().sum::<f64>() / period as f64;
        let n = cycles.len() as f64;
        let trust = if period == DAY_HOURS { n / (n + 3.0) } else { 1.0 };
        for value in &mut index {
            *value = if total > 0.0 { 1.0 + (*value / total - 1.0) * trust } else { 1.0 };
        }
        self.index = index;
    }
}

fn median(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    if n % 2 == 1 { sorted[n / 2] } else { (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bins(baseline: &mut Baseline, from: u64, values: impl IntoIterator<Item = f64>) {
        for (i, value) in values.into_iter().enumerate() {
            baseline.learn(Time((from + i as u64) * baseline.bin.0), value, true);
        }
    }

    #[test]
    fn an_hour_of_spike_does_not_move_the_level() {
        let mut baseline = Baseline::new(Span::from_mins(60), Span::from_mins(24 * 60));
        bins(&mut baseline, 0, [100.0; 23].into_iter().chain([500.0]));
        assert_eq!(median(&baseline.sorted), 100.0, "B-06");
    }

    #[test]
    fn the_index_is_the_median_of_each_hours_share_of_its_day() {
        let mut baseline = Baseline::new(Span::from_mins(60), Span::from_mins(24 * 60));
        let day = |scale: f64| (0..24).map(move |h| scale * if h < 12 { 50.0 } else { 150.0 });
        bins(&mut baseline, 0, day(1.0).chain(day(1.2)).chain([100.0]));
        // Two days: shares 0.5 and 1.5, shrunk towards 1 by 2/5.
        assert!((baseline.index[0] - 0.8).abs() < 1e-12 && (baseline.index[23] - 1.2).abs() < 1e-12);
        assert!((baseline.index.iter().sum::<f64>() - 24.0).abs() < 1e-9, "B-04: the index has mean 1");
    }

    #[test]
    fn the_baseline_is_level_times_index_and_its_confidence_falls_with_spread() {
        let mut baseline = Baseline::new(Span::from_secs(10), Span::from_secs(200));
        bins(&mut baseline, 0, (0..20).map(|i| if i % 2 == 0 { 75.5 } else { 95.5 }));
        let expected = baseline.at(Time(0)).unwrap();
        assert!((expected.level - 85.5).abs() < 1e-9 && (expected.spread - 14.826).abs() < 1e-9, "B-08");
        assert!((baseline.confidence() - 0.852_222).abs() < 1e-6, "B-08");
        let half_up = Expected { level: 100.0 * 1.275, spread: 0.0 };
        assert!((140.0 / half_up.level - 1.098_039).abs() < 1e-6, "B-05");
    }

    #[test]
    fn there_is_no_baseline_before_a_minute_has_been_seen() {
        let mut baseline = Baseline::new(Span::from_secs(10), Span::from_mins(60));
        bins(&mut baseline, 0, [10.0; 5]);
        assert_eq!(baseline.at(Time(0)), None);
        bins(&mut baseline, 5, [10.0]);
        assert_eq!(baseline.at(Time(0)).unwrap().level, 10.0);
    }
}

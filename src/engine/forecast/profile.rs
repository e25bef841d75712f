//! The profile: the level of now, in the shape of the period.
//!
//! ```text
//! index[s]  = median over the last cycles of x(s, cycle) / mean(cycle), normalized to mean 1
//! level     = median of x / index over the last short period
//! ŷ(h)      = level · index[slot(T + h)]
//! ```
//!
//! The forecast of the seasonal baseline (`engine::analyzer::baseline`), for series of any step. Medians, so one day's spike is
//! in nobody's forecast.

use std::collections::VecDeque;

/// Cycles that the index is taken from at most.
const CYCLES: usize = 8;

/// Level and index.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    index: Vec<f64>,
    /// Place of the next step.
    at: usize,
    /// The last values over their index, the oldest first.
    recent: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl Profile {
    /// The profile of `series` with a `period`, its level from the last `window` values.
    pub fn fit(series: &[f64], period: usize, window: usize) -> Profile {
        let period = period.max(1);
        let cycles = (series.len() / period).min(CYCLES);
        let from = series.len() - cycles * period;
        let means: Vec<f64> = series[from..].chunks_exact(period).map(mean).collect();
        let mut index: Vec<f64> = (0..period)
            .map(|slot| {
                let mut ratios: Vec<f64> = series[from..]
                    .chunks_exact(period)
                    .zip(&means)
                    .filter(|(_, mean)| **mean > 0.0)
                    .map(|(cycle, mean)| cycle[slot] / mean)
                    .collect();
                ratios.sort_by(f64::total_cmp);
                if ratios.is_empty() { 1.0 } else { median(&ratios) }
            })
            .collect();
        let whole = mean(&index);
        // A slot that is nearly always empty says nothing about the level.
        index.iter_mut().for_each(|value| *value = if whole > 0.0 { (*value / whole).max(1e-3) } else { 1.0 });
        let mut profile = Profile { index, at: 0, recent: VecDeque::new(), sorted: Vec::new() };
        let window = window.clamp(1, series.len().max(1));
        let start = series.len() - window.min(series.len());
        profile.at = (start + period - from % period) % period;
        for value in &series[start..] {
            profile.push(*value);
        }
        profile
    }

    /// The profile of a `series` that shows a long period too short a time to learn it whole: the shape of the `short` period, times
    /// a factor for each of the short periods in the `long` one, a multiple of it. Hours of the day, days of the week.
    pub fn by_day(series: &[f64], short: usize, long: usize) -> Profile {
        let daily = Profile::fit(series, short, short);
        let days = long / short;
        let whole = series.len() / short;
        let from = series.len() - whole * short;
        let means: Vec<f64> = series[from..].chunks_exact(short).map(mean).collect();
        // Each day against the mean of the long period about it.
        let mut factors: Vec<Vec<f64>> = vec![Vec::new(); days];
        for (day, own) in means.iter().enumerate().rev().take(4 * days) {
            let low = day.saturating_sub(days / 2).min(means.len().saturating_sub(days));
            let level = mean(&means[low..(low + days).min(means.len())]);
            if level > 0.0 {
                factors[day % days].push(own / level);
            }
        }
        let factors: Vec<f64> =
            factors.iter().map(|ratios| if ratios.is_empty() { 1.0 } else { mean(ratios) }).collect();
        // Place 0 of the index is the slot of `from`, on day 0.
        let index = (0..long).map(|t| (daily.index[t % short] * factors[t / short]).max(1e-3)).collect();
        let start = series.len() - long.min(series.len());
        let at = (start + long - from % long) % long;
        let mut profile = Profile { index, at, recent: VecDeque::new(), sorted: Vec::new() };
        for value in &series[start..] {
            profile.push(*value);
        }
        // The level of the last day counts, not that of the last week.
        while profile.recent.len() > short {
            profile.forget();
        }
        profile
    }

    fn forget(&mut self) {
        if let Some(old) = self.recent.pop_front() {
            let place = self.sorted.partition_point(|&x| x < old);
            self.sorted.remove(place);
        }
    }

    fn push(&mut self, value: f64) {
        let level = value / self.index[self.at];
        self.at = (self.at + 1) % self.index.len();
        let place = self.sorted.partition_point(|&x| x < level);
        self.sorted.insert(place, level);
        self.recent.push_back(level);
    }

    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        self.push(value);
        self.forget();
    }

    /// Level times index.
    pub fn forecast(&self, out: &mut [f64]) {
        let level = if self.sorted.is_empty() { 0.0 } else { median(&self.sorted) };
        for (h, value) in out.iter_mut().enumerate() {
            *value = level * self.index[(self.at + h) % self.index.len()];
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn median(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    if n % 2 == 1 { sorted[n / 2] } else { (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0 }
}

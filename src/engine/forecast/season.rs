//! Which periods a series has.
//!
//! Knowledge of the scale first: an hour, a day, a week. Then, for what nobody expected, the autocorrelation and the periodogram.
//! A period is accepted with an autocorrelation of 0.3.

use super::autoregression::autocovariances;
use crate::units::Span;

/// Autocorrelation that a period needs.
pub const MIN_CORRELATION: f64 = 0.3;

/// Autocorrelations of lags 0..=`lags` by the biased estimator.
pub fn autocorrelations(series: &[f64], lags: usize) -> Vec<f64> {
    let covariances = autocovariances(series, lags);
    let variance = covariances[0];
    covariances.iter().map(|c| if variance > 0.0 { c / variance } else { 0.0 }).collect()
}

/// Amplitude at the frequencies k/n for k = 1..=n/2; the last is counted once if n is even.
pub fn amplitudes(series: &[f64]) -> Vec<f64> {
    let n = series.len();
    let mean = series.iter().sum::<f64>() / n.max(1) as f64;
    (1..=n / 2)
        .map(|k| {
            let (mut re, mut im) = (0.0, 0.0);
            for (t, value) in series.iter().enumerate() {
                let angle = std::f64::consts::TAU * ((k * t) % n) as f64 / n as f64;
                re += (value - mean) * libm::cos(angle);
                im += (value - mean) * libm::sin(angle);
            }
            let sides = if 2 * k == n { 1.0 } else { 2.0 };
            sides * (re * re + im * im).sqrt() / n as f64
        })
        .collect()
}

/// Steps in an hour, a day and a week, of those that are a whole number of steps ≥ 2, the shortest first.
pub fn natural_periods(step: Span) -> Vec<usize> {
    let hour = Span::from_mins(60).0;
    [hour, 24 * hour, 168 * hour]
        .into_iter()
        .filter(|period| step.0 > 0 && period % step.0 == 0 && period / step.0 >= 2)
        .map(|period| (period / step.0) as usize)
        .collect()
}

/// Correlation of a series with itself `lag` steps later, detrended by the difference of its halves; 0 if it is too short.
fn correlation(series: &[f64], lag: usize) -> f64 {
    let n = series.len();
    if n < lag + lag / 3 || n < 4 {
        return 0.0;
    }
    let mean = series.iter().sum::<f64>() / n as f64;
    let (mut both, mut own) = (0.0, 0.0);
    for (t, value) in series.iter().enumerate() {
        own += (value - mean) * (value - mean);
        if t >= lag {
            both += (value - mean) * (series[t - lag] - mean);
        }
    }
    // The pairs are fewer than the values: made up for, so that a long period is not at a disadvantage.
    if own > 0.0 { both / own * n as f64 / (n - lag) as f64 } else { 0.0 }
}

/// The periods of `candidates` that `series` shows, the shortest first. A cycle and a third is enough for a period to be a candidate:
/// the backtest will tell whether the value one period ago is worth anything. To learn a season takes two cycles.
pub fn accepted(series: &[f64], candidates: &[usize]) -> Vec<usize> {
    let mut search = Search::new(series, candidates, 0);
    loop {
        if let Some(periods) = search.advance() {
            return periods;
        }
    }
}

/// The period that nobody named: the highest peak of the autocorrelation from lag 4 to `most`, and to a third of the series; `None`
/// if none is accepted.
pub fn found(series: &[f64], most: usize) -> Option<usize> {
    let mut search = Search::new(series, &[], most);
    loop {
        if let Some(periods) = search.advance() {
            return periods.first().copied();
        }
    }
}

/// Values that the search for an unnamed period looks at: the last ones.
const LOOKED_AT: usize = 2048;
/// Lags of the autocorrelation that are a piece of work.
const LAGS: usize = 16;

/// The search for periods, in pieces.
#[derive(Clone, Debug)]
pub struct Search {
    /// Without its extremes.
    clean: Vec<f64>,
    candidates: Vec<usize>,
    next: usize,
    accepted: Vec<usize>,
    /// Longest period that nobody named, and the autocorrelations so far.
    most: usize,
    r: Vec<f64>,
}

impl Search {
    /// Looks for `candidates`, and if there is none of them, for any period up to `most`.
    pub fn new(series: &[f64], candidates: &[usize], most: usize) -> Search {
        Search {
            clean: winsorized(series),
            candidates: candidates.to_vec(),
            next: 0,
            accepted: Vec::new(),
            most,
            r: Vec::new(),
        }
    }

    /// Does a piece; the periods, the shortest first, once there is nothing more to do.
    pub fn advance(&mut self) -> Option<Vec<usize>> {
        if let Some(&period) = self.candidates.get(self.next) {
            self.next += 1;
            if correlation(&self.clean, period) >= MIN_CORRELATION {
                self.accepted.push(period);
            }
            return None;
        }
        let recent = &self.clean[self.clean.len().saturating_sub(LOOKED_AT)..];
        let most = self.most.min(recent.len() / 3);
        if !self.accepted.is_empty() || most < 5 {
            return Some(std::mem::take(&mut self.accepted));
        }
        let from = self.r.len();
        self.r.extend(lagged(recent, from..(from + LAGS).min(most + 2)));
        (self.r.len() == most + 2).then(|| highest_peak(&self.r).into_iter().collect())
    }
}

/// Autocorrelations of these lags.
fn lagged(series: &[f64], lags: std::ops::Range<usize>) -> Vec<f64> {
    let mean = series.iter().sum::<f64>() / series.len().max(1) as f64;
    let power: f64 = series.iter().map(|value| (value - mean) * (value - mean)).sum();
    let of = |lag: usize| -> f64 {
        let sum: f64 = series.iter().skip(lag).zip(series).map(|(a, b)| (a - mean) * (b - mean)).sum();
        if power > 0.0 { sum / power } else { 0.0 }
    };
    lags.map(of).collect()
}

/// A peak that its neighbours do not share, after the correlation has fallen off once.
fn highest_peak(r: &[f64]) -> Option<usize> {
    let most = r.len() - 2;
    let fallen = (1..=most).find(|&lag| r[lag] < MIN_CORRELATION / 2.0)?;
    (fallen.max(4)..=most)
        .filter(|&lag| r[lag] >= MIN_CORRELATION && r[lag] >= r[lag - 1] && r[lag] >= r[lag + 1])
        .max_by(|&a, &b| r[a].total_cmp(&r[b]).then(b.cmp(&a)))
}

/// The series with values beyond five robust deviations of its median brought back to them.
fn winsorized(series: &[f64]) -> Vec<f64> {
    let mut clean = series.to_vec();
    let Some(median) = middle(&mut clean) else { return clean };
    let mut deviations: Vec<f64> = series.iter().map(|value| (value - median).abs()).collect();
    let limit = 5.0 * 1.4826 * middle(&mut deviations).unwrap_or(0.0);
    clean.copy_from_slice(series);
    if limit > 0.0 {
        clean.iter_mut().for_each(|value| *value = value.clamp(median - limit, median + limit));
    }
    clean
}

/// The upper median; `values` are reordered.
fn middle(values: &mut [f64]) -> Option<f64> {
    let at = values.len() / 2;
    (at < values.len()).then(|| *values.select_nth_unstable_by(at, f64::total_cmp).1)
}

//! Autoregression: the next value as a weighted sum of earlier ones.
//!
//! [`YuleWalker`] is AR(p) about a mean, its weights from the autocorrelations by the Levinson–Durbin recursion (always stationary),
//! its order by Akaike's criterion. It wants a series without seasons.
//!
//! [`Lags`] is a ridge regression on chosen lags: the last steps, and the same step a day and a week ago with their neighbours. It
//! learns how far to trust yesterday against last week, and wants the series as it is.

use std::collections::VecDeque;

/// AR(p) about a mean.
#[derive(Clone, Debug, PartialEq)]
pub struct YuleWalker {
    /// Mean of the series.
    pub mean: f64,
    /// Weights of the last value, the one before, …
    pub phi: Vec<f64>,
    /// The last values, the newest first.
    recent: VecDeque<f64>,
}

/// Autocovariances of lags 0..=`lags`, by the biased estimator (divided by n), which keeps the recursion stable.
pub fn autocovariances(series: &[f64], lags: usize) -> Vec<f64> {
    let n = series.len().max(1) as f64;
    let mean = series.iter().sum::<f64>() / n;
    (0..=lags)
        .map(|lag| series.iter().skip(lag).zip(series).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / n)
        .collect()
}

impl YuleWalker {
    /// AR of exactly `order`.
    pub fn fit(series: &[f64], order: usize) -> YuleWalker {
        let steps = levinson(&autocovariances(series, order));
        YuleWalker::with(series, steps.into_iter().next_back().map(|step| step.phi).unwrap_or_default())
    }

    /// AR of the order up to `most` that Akaike's criterion prefers.
    pub fn fit_best(series: &[f64], most: usize) -> YuleWalker {
        let n = series.len() as f64;
        let aic = |order: usize, variance: f64| n * libm::log(variance.max(1e-300)) + 2.0 * order as f64;
        let best = levinson(&autocovariances(series, most))
            .into_iter()
            .min_by(|a, b| aic(a.phi.len(), a.variance).total_cmp(&aic(b.phi.len(), b.variance)));
        YuleWalker::with(series, best.map(|step| step.phi).unwrap_or_default())
    }

    fn with(series: &[f64], phi: Vec<f64>) -> YuleWalker {
        let mean = series.iter().sum::<f64>() / series.len().max(1) as f64;
        let mut recent: VecDeque<f64> = series.iter().rev().take(phi.len()).copied().collect();
        recent.resize(phi.len(), mean);
        YuleWalker { mean, phi, recent }
    }

    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        if self.recent.pop_back().is_some() {
            self.recent.push_front(value);
        }
    }

    /// Goes on from the last values, each forecast standing in for the value to come.
    pub fn forecast(&self, out: &mut [f64]) {
        for h in 0..out.len() {
            let mut value = self.mean;
            for (i, phi) in self.phi.iter().enumerate() {
                let before = if i < h { out[h - 1 - i] } else { self.recent[i - h] };
                value += phi * (before - self.mean);
            }
            out[h] = value;
        }
    }
}

/// An order of the recursion.
struct Step {
    phi: Vec<f64>,
    variance: f64,
}

/// Levinson–Durbin: the weights of every order from 0 up.
fn levinson(covariance: &[f64]) -> Vec<Step> {
    let mut variance = covariance.first().copied().unwrap_or(0.0);
    let mut phi: Vec<f64> = Vec::new();
    let mut steps = vec![Step { phi: Vec::new(), variance }];
    for order in 1..covariance.len() {
        if variance <= covariance[0] * 1e-12 {
            break;
        }
        let explained: f64 = phi.iter().enumerate().map(|(i, weight)| weight * covariance[order - 1 - i]).sum();
        let reflection = (covariance[order] - explained) / variance;
        let reversed: Vec<f64> = phi.iter().rev().copied().collect();
        phi.iter_mut().zip(&reversed).for_each(|(weight, mirror)| *weight -= reflection * mirror);
        phi.push(reflection);
        variance *= 1.0 - reflection * reflection;
        steps.push(Step { phi: phi.clone(), variance });
    }
    steps
}

/// A regression on chosen lags.
#[derive(Clone, Debug, PartialEq)]
pub struct Lags {
    lags: Vec<usize>,
    /// Intercept, then one weight a lag.
    weights: Vec<f64>,
    /// The last values, the newest first.
    recent: VecDeque<f64>,
}

/// Lags that matter for seasons of `periods`: the last steps, and each period with its neighbours.
pub fn lags_for(periods: &[usize]) -> Vec<usize> {
    let mut lags = vec![1, 2, 3];
    for &period in periods {
        lags.extend([period.saturating_sub(1), period, period + 1]);
    }
    if let Some(shortest) = periods.first() {
        lags.push(2 * shortest);
    }
    lags.retain(|lag| *lag > 0);
    lags.sort_unstable();
    lags.dedup();
    lags
}

/// Rows of the normal equations summed in one piece of work.
const ROWS: usize = 256;

/// A least-squares fit, some rows at a time.
#[derive(Clone, Debug)]
pub struct LagsFit {
    lags: Vec<usize>,
    /// Upper triangle and right side of the normal equations, row by row.
    normal: Vec<Vec<f64>>,
    next: usize,
}

impl LagsFit {
    /// A regression on `lags`, which are sorted and distinct.
    pub fn new(lags: Vec<usize>) -> LagsFit {
        let width = lags.len() + 2;
        let next = lags.last().copied().unwrap_or(0);
        LagsFit { lags, normal: vec![vec![0.0; width]; width - 1], next }
    }

    /// Takes in some rows; the regression at the end of `series`, once it has taken in all.
    pub fn advance(&mut self, series: &[f64]) -> Option<Lags> {
        let until = (self.next + ROWS).min(series.len());
        let mut row = vec![1.0; self.lags.len() + 2];
        for t in self.next..until {
            for (cell, lag) in row[1..].iter_mut().zip(&self.lags) {
                *cell = series[t - lag];
            }
            row[self.lags.len() + 1] = series[t];
            for (i, sums) in self.normal.iter_mut().enumerate() {
                for (sum, value) in sums[i..].iter_mut().zip(&row[i..]) {
                    *sum += row[i] * value;
                }
            }
        }
        self.next = until.max(self.next);
        (self.next >= series.len()).then(|| self.solve(series))
    }

    fn solve(&mut self, series: &[f64]) -> Lags {
        let size = self.lags.len() + 1;
        let rows = self.normal[0][0].max(1.0);
        // Ridge on the weights (not the intercept) pulls them towards nothing where the data do not say.
        let power = (1..size).map(|i| self.normal[i][i]).sum::<f64>() / (size.max(2) - 1) as f64;
        let mean = (1..size).map(|i| self.normal[0][i]).sum::<f64>() / (size.max(2) - 1) as f64 / rows;
        let variance = (power / rows - mean * mean).max(power / rows * 1e-6);
        for i in 1..size {
            self.normal[i][i] += variance * rows * 1e-3;
        }
        let weights = cholesky(&self.normal);
        let longest = self.lags.last().copied().unwrap_or(0);
        let recent = series.iter().rev().take(longest).copied().collect();
        Lags { lags: self.lags.clone(), weights, recent }
    }
}

/// Solves a symmetric system given by its upper triangle with the right side as last column.
fn cholesky(normal: &[Vec<f64>]) -> Vec<f64> {
    let n = normal.len();
    let mut l = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| l[i][k] * l[j][k]).sum();
            l[i][j] = if i == j {
                (normal[i][i] - sum).max(1e-12 * normal[i][i].abs().max(1e-12)).sqrt()
            } else {
                (normal[j][i] - sum) / l[j][j]
            };
        }
    }
    let mut x: Vec<f64> = normal.iter().map(|row| row[n]).collect();
    for i in 0..n {
        let sum: f64 = (0..i).map(|k| l[i][k] * x[k]).sum();
        x[i] = (x[i] - sum) / l[i][i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|k| l[k][i] * x[k]).sum();
        x[i] = (x[i] - sum) / l[i][i];
    }
    x
}

impl Lags {
    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        if self.recent.pop_back().is_some() {
            self.recent.push_front(value);
        }
    }

    /// Goes on from the last values, each forecast standing in for the value to come.
    pub fn forecast(&self, out: &mut [f64]) {
        for h in 0..out.len() {
            let mut value = self.weights[0];
            for (weight, lag) in self.weights[1..].iter().zip(&self.lags) {
                let before =
                    if *lag <= h { out[h - lag] } else { self.recent.get(lag - 1 - h).copied().unwrap_or(0.0) };
                value += weight * before;
            }
            out[h] = value;
        }
    }
}

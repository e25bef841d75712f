//! Exponential smoothing without a season: simple, Holt's trend, damped trend.
//!
//! ```text
//! l' = α y + (1 − α)(l + φ b)      b' = β (l' − l) + (1 − β) φ b      ŷ(h) = l + (φ + … + φ^h) b
//! ```
//!
//! Hyndman & Athanasopoulos, *Forecasting: Principles and Practice*, ch. 8. Simple smoothing is b = β = 0.

use super::search::Search;

/// Level and trend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothing {
    /// Weight of the new value in the level, 0..1.
    pub alpha: f64,
    /// Weight of the new slope in the trend, 0..1.
    pub beta: f64,
    /// What remains of the trend a step later, 0..1; 1 is Holt's.
    pub phi: f64,
    /// Level, in the unit of the series.
    pub level: f64,
    /// Trend per step.
    pub trend: f64,
}

impl Smoothing {
    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        let drift = self.phi * self.trend;
        let level = self.alpha * value + (1.0 - self.alpha) * (self.level + drift);
        self.trend = self.beta * (level - self.level) + (1.0 - self.beta) * drift;
        self.level = level;
    }

    /// What the next value should be.
    pub fn next(&self) -> f64 {
        self.level + self.phi * self.trend
    }

    /// Level and what is left of the trend.
    pub fn forecast(&self, out: &mut [f64]) {
        let (mut reach, mut power) = (0.0, 1.0);
        for value in out {
            power *= self.phi;
            reach += power;
            *value = self.level + reach * self.trend;
        }
    }
}

/// A search for α, β and φ on the squared one-step error.
#[derive(Clone, Debug)]
pub struct Fit {
    search: Search<3>,
}

impl Fit {
    /// A damped trend.
    pub fn damped() -> Fit {
        Fit { search: Search::new([0.01, 0.0, 0.8], [0.99, 0.5, 0.99], [0.3, 0.05, 0.95]) }
    }

    /// No trend at all.
    pub fn simple() -> Fit {
        Fit { search: Search::new([0.01, 0.0, 1.0], [0.99, 0.0, 1.0], [0.3, 0.0, 1.0]) }
    }

    /// Tries one set of parameters; the smoothing at the end of `series`, once the search is over.
    pub fn advance(&mut self, series: &[f64]) -> Option<Smoothing> {
        let (_, loss) = run(series, self.search.trial());
        self.search.report(loss).then(|| run(series, self.search.best()).0)
    }
}

fn run(series: &[f64], [alpha, beta, phi]: [f64; 3]) -> (Smoothing, f64) {
    // The first values set the scene and are not judged.
    let head = series.len().min(10);
    let level = series[..head].iter().sum::<f64>() / head.max(1) as f64;
    let mut smoothing = Smoothing { alpha, beta, phi, level, trend: 0.0 };
    let mut loss = 0.0;
    for (t, value) in series.iter().enumerate() {
        let error = value - smoothing.next();
        if t >= head {
            loss += error * error;
        }
        smoothing.update(*value);
    }
    (smoothing, loss)
}

//! Theta: half a straight line, half a smoothed exaggeration of what the line leaves.
//!
//! ```text
//! ŷ(h) = l + (b/2)(h − 1 + (1 − (1 − α)^n)/α)      l: simple smoothing of y;  b: least-squares slope of y over time
//! ```
//!
//! Assimakopoulos & Nikolopoulos 2000, in the form of Hyndman & Billah 2003 (smoothing with drift). The series is seasonally
//! adjusted by its user. The slope's sums are running, so an update costs the same whatever the length.

use super::search::Search;

/// The (0, 2) combination of theta lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Theta {
    /// Weight of the new value in the level, 0..1.
    pub alpha: f64,
    /// Level of the series.
    pub level: f64,
    n: f64,
    sum: f64,
    moment: f64,
}

impl Theta {
    /// Goes through `series` with a level that begins at its first value.
    pub fn over(series: &[f64], alpha: f64) -> Theta {
        let level = series.first().copied().unwrap_or(0.0);
        let mut theta = Theta { alpha, level, n: 0.0, sum: 0.0, moment: 0.0 };
        series.iter().for_each(|value| theta.update(*value));
        theta
    }

    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        self.level = self.alpha * value + (1.0 - self.alpha) * self.level;
        self.moment += self.n * value;
        self.sum += value;
        self.n += 1.0;
    }

    /// Least-squares slope of everything so far, per step.
    pub fn slope(&self) -> f64 {
        let n = self.n;
        if n < 2.0 {
            return 0.0;
        }
        let centered = self.moment - (n - 1.0) / 2.0 * self.sum;
        centered / (n * (n * n - 1.0) / 12.0)
    }

    /// Level and half the slope.
    pub fn forecast(&self, out: &mut [f64]) {
        let reach = (1.0 - libm::pow(1.0 - self.alpha, self.n)) / self.alpha;
        let half = self.slope() / 2.0;
        for (h, value) in out.iter_mut().enumerate() {
            *value = self.level + half * (h as f64 + reach);
        }
    }
}

/// A search for α on the squared one-step error of the level.
#[derive(Clone, Debug)]
pub struct Fit {
    search: Search<1>,
}

impl Default for Fit {
    /// α from 0.01 to 0.99.
    fn default() -> Fit {
        Fit { search: Search::new([0.01], [0.99], [0.3]) }
    }
}

impl Fit {
    /// Tries one α; the lines at the end of `series`, once the search is over.
    pub fn advance(&mut self, series: &[f64]) -> Option<Theta> {
        let [alpha] = self.search.trial();
        let (mut level, mut loss) = (series.first().copied().unwrap_or(0.0), 0.0);
        for value in series {
            let error = value - level;
            loss += error * error;
            level += alpha * error;
        }
        self.search.report(loss).then(|| Theta::over(series, self.search.best()[0]))
    }
}

//! Holt–Winters: level, trend and one or more seasons.
//!
//! ```text
//! additive         e = y − l − φb − Σ s_j      l' = l + φb + αe      b' = φb + αβe      s_j' = s_j + γ_j e
//! multiplicative   l' = α y/s + (1 − α)(l + b)      b' = β(l' − l) + (1 − β) b      s' = γ y/(l + b) + (1 − γ) s
//! ```
//!
//! Winters 1960; the additive form with several seasons and a first-order correction of the error, `ρ^h e`, is Taylor's double
//! seasonal method (2003): a daily and a weekly season learn from each other's remainder. With one season, φ = 1 and ρ = 0 it is
//! the textbook's. In the textbook's words `s' = γ(y − l − b) + (1 − γ)s`, which is the same.

use super::search::Search;

/// Seasons at most.
const SEASONS: usize = 2;

/// A season's indices, by the step's place in the period.
#[derive(Clone, Debug, PartialEq)]
pub struct Season {
    /// How fast it learns, 0..1.
    pub gamma: f64,
    /// One index a step; the next step's is at `at`.
    pub index: Vec<f64>,
    /// Place of the next step.
    pub at: usize,
}

impl Season {
    fn ahead(&self, h: usize) -> f64 {
        self.index[(self.at + h) % self.index.len()]
    }

    fn advance(&mut self) {
        self.at = (self.at + 1) % self.index.len();
    }
}

/// Additive, with one or two seasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Additive {
    /// Weight of an error in the level, 0..1.
    pub alpha: f64,
    /// Weight of the level's change in the trend, 0..1.
    pub beta: f64,
    /// What remains of the trend a step later, 0..1.
    pub phi: f64,
    /// What remains of an error a step later, 0..1.
    pub rho: f64,
    /// Level.
    pub level: f64,
    /// Trend per step.
    pub trend: f64,
    /// Seasons, the shortest first.
    pub seasons: Vec<Season>,
    /// The last error.
    pub error: f64,
}

impl Additive {
    /// What the next value should be.
    pub fn next(&self) -> f64 {
        let season: f64 = self.seasons.iter().map(|season| season.index[season.at]).sum();
        self.level + self.phi * self.trend + season + self.rho * self.error
    }

    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        let error = value - (self.next() - self.rho * self.error);
        let drift = self.phi * self.trend;
        self.level += drift + self.alpha * error;
        self.trend = drift + self.alpha * self.beta * error;
        for season in &mut self.seasons {
            let at = season.at;
            season.index[at] += season.gamma * error;
            season.advance();
        }
        self.error = error;
    }

    /// Level, trend, seasons, and what is left of the last error.
    pub fn forecast(&self, out: &mut [f64]) {
        let (mut reach, mut power, mut rest) = (0.0, 1.0, self.error);
        for (h, value) in out.iter_mut().enumerate() {
            power *= self.phi;
            reach += power;
            rest *= self.rho;
            let season: f64 = self.seasons.iter().map(|season| season.ahead(h)).sum();
            *value = self.level + reach * self.trend + season + rest;
        }
    }
}

/// Multiplicative, with one season.
#[derive(Clone, Debug, PartialEq)]
pub struct Multiplicative {
    /// Weight of the new value in the level, 0..1.
    pub alpha: f64,
    /// Weight of the level's change in the trend, 0..1.
    pub beta: f64,
    /// Level, > 0.
    pub level: f64,
    /// Trend per step.
    pub trend: f64,
    /// Factors, mean about 1.
    pub season: Season,
    /// Values below are taken as this: factors of nothing cannot be learned.
    pub floor: f64,
}

impl Multiplicative {
    /// What the next value should be.
    pub fn next(&self) -> f64 {
        (self.level + self.trend) * self.season.index[self.season.at]
    }

    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        let value = value.max(self.floor);
        let at = self.season.at;
        let before = self.season.index[at];
        let expected = (self.level + self.trend).max(self.floor);
        let level = (self.alpha * value / before + (1.0 - self.alpha) * expected).max(self.floor);
        self.trend = self.beta * (level - self.level) + (1.0 - self.beta) * self.trend;
        let factor = self.season.gamma * value / expected + (1.0 - self.season.gamma) * before;
        self.season.index[at] = factor.clamp(1e-3, 1e3);
        self.level = level;
        self.season.advance();
    }

    /// The line, times the factors; never below zero.
    pub fn forecast(&self, out: &mut [f64]) {
        for (h, value) in out.iter_mut().enumerate() {
            *value = ((self.level + (h + 1) as f64 * self.trend) * self.season.ahead(h)).max(0.0);
        }
    }
}

/// A search for the additive parameters on the squared one-step error.
#[derive(Clone, Debug)]
pub struct AdditiveFit {
    periods: Vec<usize>,
    search: Search<5>,
}

impl AdditiveFit {
    /// Seasons of one or two `periods`, the shortest first.
    pub fn new(periods: &[usize]) -> AdditiveFit {
        let periods: Vec<usize> = periods.iter().copied().take(SEASONS).collect();
        // α, β, γ of the shortest season, γ of the other, ρ.
        let second = if periods.len() > 1 { 0.5 } else { 0.0 };
        let search = Search::new(
            [0.002, 0.0, 0.01, 0.0, 0.0],
            [0.5, 0.1, 0.5, second, 0.98],
            [0.05, 0.0, 0.15, second.min(0.15), 0.7],
        );
        AdditiveFit { periods, search }
    }

    /// Tries one set of parameters; the state at the end of `series`, once the search is over.
    pub fn advance(&mut self, series: &[f64]) -> Option<Additive> {
        let (_, loss) = self.run(series, self.search.trial());
        self.search.report(loss).then(|| self.run(series, self.search.best()).0)
    }

    fn run(&self, series: &[f64], [alpha, beta, first, second, rho]: [f64; 5]) -> (Additive, f64) {
        let longest = self.periods.last().copied().unwrap_or(1);
        let head = (2 * longest).min(series.len());
        let level = series[..head].iter().sum::<f64>() / head.max(1) as f64;
        let mut rest: Vec<f64> = series[..head].iter().map(|value| value - level).collect();
        let mut seasons = Vec::with_capacity(self.periods.len());
        for (&period, gamma) in self.periods.iter().zip([first, second]) {
            let index = slot_means(&rest, period);
            for (t, value) in rest.iter_mut().enumerate() {
                *value -= index[t % period];
            }
            seasons.push(Season { gamma, index, at: 0 });
        }
        let mut model = Additive { alpha, beta, phi: 0.98, rho, level, trend: 0.0, seasons, error: 0.0 };
        let mut loss = 0.0;
        for (t, value) in series.iter().enumerate() {
            let error = value - model.next();
            if t >= longest {
                loss += error * error;
            }
            model.update(*value);
        }
        (model, loss)
    }
}

/// Means of the values at each place of the period.
fn slot_means(series: &[f64], period: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0u32); period];
    for (t, value) in series.iter().enumerate() {
        let (sum, n) = &mut sums[t % period];
        *sum += value;
        *n += 1;
    }
    sums.iter().map(|(sum, n)| if *n > 0 { sum / f64::from(*n) } else { 0.0 }).collect()
}

/// A search for the multiplicative parameters on the squared one-step error.
#[derive(Clone, Debug)]
pub struct MultiplicativeFit {
    period: usize,
    floor: f64,
    search: Search<3>,
}

impl MultiplicativeFit {
    /// A season of `period` steps; values below `floor` count as `floor`.
    pub fn new(period: usize, floor: f64) -> MultiplicativeFit {
        let search = Search::new([0.005, 0.0, 0.01], [0.9, 0.05, 0.6], [0.1, 0.0, 0.2]);
        MultiplicativeFit { period, floor, search }
    }

    /// Tries one set of parameters; the state at the end of `series`, once the search is over.
    pub fn advance(&mut self, series: &[f64]) -> Option<Multiplicative> {
        let (_, loss) = self.run(series, self.search.trial());
        self.search.report(loss).then(|| self.run(series, self.search.best()).0)
    }

    fn run(&self, series: &[f64], [alpha, beta, gamma]: [f64; 3]) -> (Multiplicative, f64) {
        let head = (2 * self.period).min(series.len());
        let level = (series[..head].iter().sum::<f64>() / head.max(1) as f64).max(self.floor);
        let mut index = slot_means(&series[..head], self.period);
        index.iter_mut().for_each(|value| *value = (*value).max(self.floor) / level);
        let season = Season { gamma, index, at: 0 };
        let mut model = Multiplicative { alpha, beta, level, trend: 0.0, season, floor: self.floor };
        let mut loss = 0.0;
        for (t, value) in series.iter().enumerate() {
            let error = value - model.next();
            if t >= self.period {
                loss += error * error;
            }
            model.update(*value);
        }
        (model, loss)
    }
}

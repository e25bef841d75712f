//! The forecasts that cost nothing: what everything else has to beat.

use std::collections::VecDeque;

/// The last value continues (`y_T`), or the straight line through the first and the last does.
#[derive(Clone, Debug)]
pub struct Drift {
    first: f64,
    last: f64,
    n: u64,
}

impl Drift {
    /// The line through the ends of `series`, which has a value at least.
    pub fn fit(series: &[f64]) -> Drift {
        let (first, last) = (series.first().copied().unwrap_or(0.0), series.last().copied().unwrap_or(0.0));
        Drift { first, last, n: series.len().max(1) as u64 }
    }

    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        self.last = value;
        self.n += 1;
    }

    /// `y_T + h (y_T − y_1)/(T − 1)`.
    pub fn forecast(&self, out: &mut [f64]) {
        let slope = if self.n > 1 { (self.last - self.first) / (self.n - 1) as f64 } else { 0.0 };
        for (h, value) in (1..).zip(out) {
            *value = self.last + f64::from(h) * slope;
        }
    }
}

/// The value one period ago: `y_{T+h−m⌈h/m⌉}`. With period 1 it is the naive forecast.
#[derive(Clone, Debug)]
pub struct SeasonalNaive {
    cycle: VecDeque<f64>,
}

impl SeasonalNaive {
    /// Remembers the last `period` values of `series`; of a shorter series all of it.
    pub fn fit(series: &[f64], period: usize) -> SeasonalNaive {
        let from = series.len().saturating_sub(period.max(1));
        SeasonalNaive { cycle: series[from..].iter().copied().collect() }
    }

    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        self.cycle.pop_front();
        self.cycle.push_back(value);
    }

    /// The cycle, again and again.
    pub fn forecast(&self, out: &mut [f64]) {
        let period = self.cycle.len().max(1);
        for (h, value) in out.iter_mut().enumerate() {
            *value = self.cycle.get(h % period).copied().unwrap_or(0.0);
        }
    }
}

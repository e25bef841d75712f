//! How good a forecast was: errors of points, of quantiles and of intervals.
//!
//! Hyndman & Koehler 2006 (MASE), Gneiting & Raftery 2007 (pinball, interval score). All are means over the values that were
//! really observed; a missing one (NaN) judges nobody.

/// Sums of errors of one model on one series, from which every figure follows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Number of forecasts judged.
    pub n: u64,
    absolute: f64,
    squared: f64,
    signed: f64,
    actual: f64,
    symmetric: f64,
}

impl Score {
    /// Judges a forecast; a missing value on either side is left out.
    pub fn add(&mut self, actual: f64, forecast: f64) {
        let error = forecast - actual;
        if !error.is_finite() {
            return;
        }
        self.n += 1;
        self.absolute += error.abs();
        self.squared += error * error;
        self.signed += error;
        self.actual += actual.abs();
        let scale = actual.abs() + forecast.abs();
        self.symmetric += if scale > 0.0 { 200.0 * error.abs() / scale } else { 0.0 };
    }

    /// The score of two runs of forecasts together.
    pub fn merge(&mut self, other: &Score) {
        self.n += other.n;
        self.absolute += other.absolute;
        self.squared += other.squared;
        self.signed += other.signed;
        self.actual += other.actual;
        self.symmetric += other.symmetric;
    }

    fn mean(&self, sum: f64) -> f64 {
        if self.n > 0 { sum / self.n as f64 } else { f64::NAN }
    }

    /// Mean absolute error, in the unit of the series.
    pub fn mae(&self) -> f64 {
        self.mean(self.absolute)
    }

    /// Mean squared error, in the square of the unit.
    pub fn mse(&self) -> f64 {
        self.mean(self.squared)
    }

    /// Mean of forecast − actual: above zero, the model promises too much.
    pub fn bias(&self) -> f64 {
        self.mean(self.signed)
    }

    /// Weighted absolute percentage error as a ratio, `Σ|e| / Σ|y|`; NaN if nothing but zeros was observed.
    pub fn wape(&self) -> f64 {
        if self.actual > 0.0 { self.absolute / self.actual } else { f64::NAN }
    }

    /// Symmetric mean absolute percentage error \[%\], 0..200, as in the M4 competition.
    pub fn smape(&self) -> f64 {
        self.mean(self.symmetric)
    }

    /// Mean absolute scaled error, for a `scale` of [`scale`].
    pub fn mase(&self, scale: f64) -> f64 {
        self.mae() / scale
    }
}

/// Mean |y(t) − y(t−m)| of the training part: what MASE divides by. NaN without a pair of observed values.
pub fn scale(train: &[f64], period: usize) -> f64 {
    let mut score = Score::default();
    for (now, before) in train.iter().skip(period).zip(train) {
        score.add(*now, *before);
    }
    score.mae()
}

/// The pinball loss of a forecast of quantile `q`.
pub fn pinball(q: f64, actual: f64, forecast: f64) -> f64 {
    (q * (actual - forecast)).max((q - 1.0) * (actual - forecast))
}

/// The interval score of `low..high`, which is to cover 1 − `alpha`: its width, and `2/alpha` times any miss.
pub fn interval_score(alpha: f64, low: f64, high: f64, actual: f64) -> f64 {
    (high - low) + 2.0 / alpha * ((low - actual).max(0.0) + (actual - high).max(0.0))
}

/// How often intervals held, and what their quantiles cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IntervalScore {
    n: u64,
    held: u64,
    pinball: f64,
    width: f64,
}

impl IntervalScore {
    /// Judges `low..high`, the central interval that is to cover 1 − `alpha`.
    pub fn add(&mut self, alpha: f64, low: f64, high: f64, actual: f64) {
        if !actual.is_finite() || !high.is_finite() || !low.is_finite() {
            return;
        }
        self.n += 1;
        self.held += u64::from(low <= actual && actual <= high);
        self.pinball += (pinball(alpha / 2.0, actual, low) + pinball(1.0 - alpha / 2.0, actual, high)) / 2.0;
        self.width += high - low;
    }

    /// Both together.
    pub fn merge(&mut self, other: &IntervalScore) {
        self.n += other.n;
        self.held += other.held;
        self.pinball += other.pinball;
        self.width += other.width;
    }

    /// Intervals judged.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Share of intervals that held, 0..1.
    pub fn coverage(&self) -> f64 {
        self.held as f64 / self.n as f64
    }

    /// Mean pinball loss of the two bounds, in the unit of the series.
    pub fn pinball(&self) -> f64 {
        self.pinball / self.n as f64
    }

    /// Mean width, in the unit of the series.
    pub fn width(&self) -> f64 {
        self.width / self.n as f64
    }
}

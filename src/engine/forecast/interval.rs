//! Prediction intervals that hold as often as they say.
//!
//! Split-conformal (Lei et al. 2018): of n past absolute errors at a similar horizon, the ⌈(n + 1)(1 − α)⌉-th smallest is the half
//! width; if that exceeds n, nothing can be promised. Errors are taken relative to a power of the forecast, so that a busy
//! hour gets a wider interval than a quiet one if its errors were larger. While forecasts come true or do not, the
//! width adapts (Gibbs & Candès 2021): too many misses widen it, too few narrow it.

/// The half width that `errors`, sorted and ≥ 0, promise with 1 − `alpha`; infinite if there are too few.
pub fn half_width(errors: &[f64], alpha: f64) -> f64 {
    let rank = ((errors.len() + 1) as f64 * (1.0 - alpha) - 1e-9).ceil() as usize;
    if rank == 0 { 0.0 } else { errors.get(rank - 1).copied().unwrap_or(f64::INFINITY) }
}

/// Buckets that horizons are put into: errors grow with the horizon, and a bucket needs enough of them.
const BUCKETS: usize = 4;
/// Errors of one path resemble each other: a path is worth about this many independent ones.
const INDEPENDENT: f64 = 4.0;
/// How fast the width adapts, per value that comes true.
const ADAPTATION: f64 = 0.03;
/// Powers of the forecast that errors may be proportional to.
const POWERS: [f64; 3] = [0.0, 0.5, 1.0];

/// A forecast and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Steps ahead, from 0.
    pub h: usize,
    /// What was forecast.
    pub forecast: f64,
    /// What was observed.
    pub actual: f64,
}

/// Past errors by horizon.
#[derive(Clone, Debug, Default)]
pub struct Calibration {
    horizon: usize,
    power: f64,
    floor: f64,
    /// Paths that the errors come from.
    paths: usize,
    /// Relative absolute errors, sorted, a list a bucket.
    buckets: Vec<Vec<f64>>,
}

impl Calibration {
    /// The errors of backtests up to `horizon` steps ahead. The power of the forecast is the one with the best interval score at
    /// 90 %.
    pub fn new(horizon: usize, outcomes: &[Outcome]) -> Calibration {
        let n = outcomes.len().max(1) as f64;
        let floor = (outcomes.iter().map(|o| o.forecast.abs()).sum::<f64>() / n * 0.02).max(1e-9);
        POWERS
            .into_iter()
            .map(|power| Calibration::with(horizon, outcomes, power, floor))
            .min_by(|a, b| a.cost(outcomes).total_cmp(&b.cost(outcomes)))
            .unwrap_or_default()
    }

    fn with(horizon: usize, outcomes: &[Outcome], power: f64, floor: f64) -> Calibration {
        let paths = outcomes.iter().filter(|o| o.h == 0).count();
        let mut calibration = Calibration { horizon, power, floor, paths, buckets: vec![Vec::new(); BUCKETS] };
        for outcome in outcomes {
            let error = (outcome.actual - outcome.forecast).abs() / calibration.unit(outcome.forecast);
            if error.is_finite() {
                let bucket = calibration.bucket(outcome.h);
                calibration.buckets[bucket].push(error);
            }
        }
        calibration.buckets.iter_mut().for_each(|errors| errors.sort_by(f64::total_cmp));
        calibration
    }

    fn cost(&self, outcomes: &[Outcome]) -> f64 {
        let cost = |o: &Outcome| {
            let half = self.half_width(o.h, o.forecast, 0.1);
            super::score::interval_score(0.1, o.forecast - half, o.forecast + half, o.actual)
        };
        outcomes.iter().filter(|o| o.actual.is_finite()).map(cost).sum()
    }

    fn bucket(&self, h: usize) -> usize {
        (h * BUCKETS / self.horizon.max(1)).min(BUCKETS - 1)
    }

    fn unit(&self, forecast: f64) -> f64 {
        let base = forecast.abs().max(self.floor);
        match self.power {
            0.0 => 1.0,
            1.0 => base,
            _ => base.sqrt(),
        }
    }

    /// Half width of an interval about `forecast`, `h` steps ahead from 0, that misses with probability `alpha`.
    pub fn half_width(&self, h: usize, forecast: f64, alpha: f64) -> f64 {
        let Some(errors) = self.buckets.get(self.bucket(h)) else { return f64::INFINITY };
        let level = ((1.0 - alpha) * (1.0 + 1.0 / (INDEPENDENT * self.paths.max(1) as f64))).min(1.0);
        let half = half_width(errors, 1.0 - level);
        // The highest error seen is the best guess for a rank just beyond it.
        let half = if half.is_finite() { half } else { errors.last().copied().unwrap_or(f64::INFINITY) };
        half * self.unit(forecast)
    }
}

/// A factor on the width that follows how often intervals really held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptation {
    alpha: f64,
    log: f64,
}

impl Adaptation {
    /// For intervals that are to miss with probability `alpha`.
    pub fn new(alpha: f64) -> Adaptation {
        Adaptation { alpha, log: 0.0 }
    }

    /// The factor, 1/4 to 8.
    pub fn factor(&self) -> f64 {
        libm::exp(self.log)
    }

    /// An interval held, or missed.
    pub fn learn(&mut self, held: bool) {
        let miss = if held { 0.0 } else { 1.0 };
        self.log = (self.log + ADAPTATION * (miss - self.alpha)).clamp(-1.386, 2.079);
    }
}

//! What the analyzer has to say at a moment: the snapshot that reports are written from.

use crate::engine::analyzer::advice::Advice;
use crate::engine::analyzer::pattern::{Extremes, Share};
use crate::engine::forecast::Prediction;
use crate::engine::forecast::model::Model;
use crate::units::Span;

/// Findings about offered load.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// Baseline of the current bin \[1/s\]; `None` before enough was seen.
    pub baseline_rps: Option<f64>,
    /// What it is worth, 0..1.
    pub baseline_confidence: f64,
    /// Mean rate in each hour of the day \[1/s\].
    pub hourly_rps: [Option<f64>; 24],
    /// Mean rate on each day of the week, from Sunday \[1/s\].
    pub daily_rps: [Option<f64>; 7],
    /// The busiest and the quietest hour.
    pub extremes: Option<Extremes>,
    /// Endpoints by share, the largest first, at most sixteen.
    pub endpoints: Vec<Share>,
    /// Regions by share, the largest first, at most sixteen.
    pub regions: Vec<Share>,
    /// What comes next; `None` if nobody looks ahead, or too little is known.
    pub forecast: Option<Forecast>,
    /// What it means for the settings; never empty.
    pub advice: Vec<Advice>,
}

/// A forecast, with who made it and how far it may be trusted.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// The model, or the combination.
    pub model: Model,
    /// 1 − WAPE of its backtests, 0..1; 0 without backtests.
    pub confidence: f64,
    /// 1 − its error over that of the seasonal naive forecast.
    pub skill: f64,
    /// Whether it was held back for the seasonal naive forecast.
    pub gated: bool,
    /// Periods that were found.
    pub periods: Vec<Span>,
    /// Growth from one longest period to the next, as a ratio.
    pub growth: Option<f64>,
    /// Time between values.
    pub step: Span,
    /// The values to come \[1/s\].
    pub path: Vec<Prediction>,
}

impl Forecast {
    /// The highest upper bound, or value where there is no bound \[1/s\].
    pub fn peak_rps(&self) -> Option<f64> {
        let bound = |p: &Prediction| if p.high.is_finite() { p.high } else { p.mean };
        self.path.iter().map(bound).max_by(f64::total_cmp)
    }
}

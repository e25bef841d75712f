//! What comes next: models of the next minutes and hours, chosen by what they have shown on this very series.
//!
//! ```text
//! value ─▶ history (gaps filled, holidays set aside) ─▶ models ─▶ forecast, interval
//!              └─▶ refit, a piece at a time: periods ─▶ fit ─▶ rolling origins ─▶ choice, weights, calibration
//! ```
//!
//! [`Forecaster`] is incremental. [`Forecaster::observe`] updates the models in use and costs microseconds. A refit is cut
//! into pieces of some tens of microseconds: its user calls [`Forecaster::work`] when there is time, and the old models serve until
//! the new ones are ready. Memory is bounded by the history kept. Nothing here reads a clock or draws a random number.
//!
//! What is absent: causes. A forecast knows holidays that it is told of, and nothing of campaigns.

pub mod autoregression;
pub mod combination;
pub mod decomposition;
pub mod foresight;
pub mod history;
pub mod holt_winters;
pub mod interval;
pub mod model;
pub mod naive;
pub mod profile;
pub mod score;
pub mod search;
pub mod season;
pub mod selection;
pub mod smoothing;
pub mod theta;

use crate::engine::forecast::history::{History, Holiday};
use crate::engine::forecast::interval::Adaptation;
use crate::engine::forecast::model::Model;
use crate::engine::forecast::selection::{Choice, Refit};
use crate::units::Span;

/// Settings of a forecaster.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Time between values, > 0.
    pub step: Span,
    /// How many steps ahead, ≥ 1.
    pub horizon: usize,
    /// Values kept, ≥ 2. Default: eight weeks, at least four horizons, 8064 at most.
    pub history: usize,
    /// Steps between refits, ≥ 1. Default: as long as the horizon, at least an hour.
    pub refit_every: usize,
    /// Unusual days that are known beforehand.
    pub holidays: Vec<Holiday>,
}

impl Config {
    /// The defaults for values `step` apart, `horizon` steps ahead.
    pub fn new(step: Span, horizon: usize) -> Config {
        let hour = (Span::from_mins(60).0 / step.0.max(1)).max(1) as usize;
        let weeks = 8 * 168 * hour;
        Config {
            step,
            horizon: horizon.max(1),
            history: weeks.clamp(64, 8064).max(4 * horizon),
            refit_every: horizon.max(hour),
            holidays: Vec::new(),
        }
    }
}

/// A value to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The value expected.
    pub mean: f64,
    /// Lower bound of the 90 % interval, ≥ 0.
    pub low: f64,
    /// Upper bound of the 90 % interval; infinite while too little is known.
    pub high: f64,
}

/// Probability that a value falls outside its interval.
pub const ALPHA: f64 = 0.1;

/// The longest period that is looked for if an hour, a day and a week are none \[steps\].
const UNNAMED: usize = 512;

/// Values before the first fit.
const MIN_VALUES: u64 = 12;

/// Forecasts a series, value by value.
#[derive(Clone, Debug)]
pub struct Forecaster {
    config: Config,
    candidates: Vec<usize>,
    history: History,
    choice: Option<Choice>,
    /// A refit under way, and the values that came since it began.
    refit: Option<(Refit, Vec<f64>)>,
    next_refit: u64,
    /// The path that is being checked, and how much of it.
    path: (Vec<Prediction>, usize),
    adaptation: Adaptation,
}

impl Forecaster {
    /// Has seen nothing.
    pub fn new(config: Config) -> Forecaster {
        Forecaster {
            candidates: season::natural_periods(config.step),
            history: History::new(config.history, config.holidays.clone()),
            choice: None,
            refit: None,
            next_refit: MIN_VALUES,
            path: (Vec::new(), 0),
            adaptation: Adaptation::new(ALPHA),
            config,
        }
    }

    /// Takes the next value; `None` if nobody observed it.
    pub fn observe(&mut self, value: Option<f64>) {
        self.check(value);
        let expected = self.choice.as_ref().map(|choice| {
            let mut next = [0.0];
            choice.forecast(&mut next);
            next[0]
        });
        let seen = self.history.push(value, expected);
        if let Some(choice) = &mut self.choice {
            choice.update(seen);
        }
        if let Some((_, since)) = &mut self.refit {
            since.push(seen);
        }
        if self.refit.is_none() && self.history.seen() >= self.next_refit {
            self.begin_refit();
        }
    }

    /// Takes values that were seen before it began, `None` where nobody observed one, and fits to them: takes as long as a refit.
    pub fn remember(&mut self, values: impl IntoIterator<Item = Option<f64>>) {
        for value in values {
            self.history.push(value, None);
        }
        if self.history.seen() >= MIN_VALUES {
            self.begin_refit();
            while self.work() {}
        }
    }

    /// Compares the value with the path that was laid out before.
    fn check(&mut self, value: Option<f64>) {
        if let Some(prediction) = self.path.0.get(self.path.1)
            && let Some(value) = value
            && prediction.high.is_finite()
        {
            self.adaptation.learn(prediction.low <= value && value <= prediction.high);
        }
        self.path.1 += 1;
        if self.path.1 >= self.path.0.len() && self.choice.is_some() {
            self.path = (Vec::new(), 0);
        }
    }

    fn begin_refit(&mut self) {
        let series: Vec<f64> = self.history.values().iter().copied().collect();
        let judges = self.history.judges().iter().copied().collect();
        let refit = Refit::with_search(series, judges, &self.candidates, UNNAMED, self.config.horizon);
        self.refit = Some((refit, Vec::new()));
        let n = self.history.seen();
        // While little is known, more is learned soon.
        self.next_refit = n + (self.config.refit_every as u64).min(n / 4).max(1);
    }

    /// Does a piece of a refit, if one is under way; `false` if there is nothing to do.
    pub fn work(&mut self) -> bool {
        let Some((refit, since)) = &mut self.refit else { return false };
        if let Some(mut choice) = refit.advance() {
            since.iter().for_each(|value| choice.update(*value));
            self.choice = Some(choice);
            self.refit = None;
        }
        true
    }

    /// The next values; empty before anything is known.
    pub fn forecast(&self) -> Vec<Prediction> {
        let Some(choice) = &self.choice else { return Vec::new() };
        let mut means = vec![0.0; self.config.horizon];
        choice.forecast(&mut means);
        let wider = self.adaptation.factor();
        let predict = |(h, mean): (usize, &f64)| {
            let factor = self.history.factor(self.history.seen() + h as u64);
            let half = choice.calibration.half_width(h, *mean, ALPHA) * wider;
            Prediction {
                mean: factor * mean,
                low: (factor * (mean - half)).max(0.0),
                high: if half.is_finite() { factor * (mean + half) } else { f64::INFINITY },
            }
        };
        means.iter().enumerate().map(predict).collect()
    }

    /// The next values, laid out to be compared with what comes: intervals learn from it.
    pub fn lay_out(&mut self) -> Vec<Prediction> {
        let path = self.forecast();
        if self.path.0.is_empty() {
            self.path = (path.clone(), 0);
        }
        path
    }

    /// What is in use, and what it has shown; `None` before anything is known.
    pub fn choice(&self) -> Option<&Choice> {
        self.choice.as_ref()
    }

    /// The model in use.
    pub fn model(&self) -> Option<Model> {
        self.choice.as_ref().map(|choice| choice.model)
    }

    /// How far people may trust it, 0..1: 1 − WAPE of the backtests at this horizon; 0 without backtests.
    pub fn confidence(&self) -> f64 {
        let wape = self.choice.as_ref().map_or(f64::NAN, |choice| choice.score.wape());
        if wape.is_finite() { (1.0 - wape).max(0.0) } else { 0.0 }
    }

    /// Growth of the level from one period to the next, as a ratio (0.02 is 2 % a week, say), of the longest period seen twice: the
    /// median over the history. `None` if none was.
    pub fn growth(&self) -> Option<f64> {
        let values = self.history.values();
        let twice = |period: &usize| 2 * period <= values.len();
        let period = self.choice.as_ref()?.periods.iter().copied().rfind(twice)?;
        let cycles = values.len() / period;
        let from = values.len() - cycles * period;
        let sums: Vec<f64> =
            (0..cycles).map(|c| values.range(from + c * period..from + (c + 1) * period).sum()).collect();
        let mut ratios: Vec<f64> =
            sums.windows(2).filter(|pair| pair[0] > 0.0).map(|pair| pair[1] / pair[0]).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).map(|ratio| ratio - 1.0)
    }
}

#[cfg(test)]
mod examples;

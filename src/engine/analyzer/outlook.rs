//! The outlook: offered load for the next while, from closed bins.
//!
//! Bins are put together into steps, about forty-eight of them to the prediction window, whose length divides the hour so that days
//! and weeks are whole numbers of steps. A step that closes is fed to the forecaster; a refit is worked off some pieces a bin,
//! so that no tick takes long.

use std::collections::VecDeque;

use crate::engine::forecast::history::Holiday;
use crate::engine::forecast::{Config, Forecaster, Prediction};
use crate::units::{Span, Time};

/// Steps that a prediction window should have.
const STEPS: u64 = 48;
/// Lengths of a step \[s\].
const LENGTHS: [u64; 12] = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1800];
/// Pieces of a refit that a bin has time for; a piece takes some tens of microseconds.
const PIECES: u32 = 25;

/// Between refits, once much is known: a simulated week should not spend its time refitting.
const REFIT_EVERY: Span = Span::from_mins(6 * 60);

/// A stretch of unusual load that is known beforehand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exception {
    /// When it begins.
    pub from: Time,
    /// How long it lasts.
    pub lasts: Span,
    /// Load relative to an ordinary day, ≥ 0; `None`: what earlier ones had, or 1.
    pub factor: Option<f64>,
}

/// The forecast of a step for which there is none.
const UNKNOWN: Prediction = Prediction { mean: f64::NAN, low: f64::NAN, high: f64::NAN };

/// Looks ahead.
#[derive(Clone, Debug)]
pub struct Outlook {
    forecaster: Forecaster,
    bin: Span,
    bins_per_step: u64,
    horizon: usize,
    /// Requests and bins of the step under way.
    pending: (f64, u64),
    /// What was forecast for the steps to come, a prediction window before each.
    ahead: VecDeque<Prediction>,
    path: Vec<Prediction>,
    path_at: Time,
}

impl Outlook {
    /// Looks `window` ahead over bins of length `bin`.
    pub fn new(bin: Span, window: Span, exceptions: &[Exception]) -> Outlook {
        Outlook::after(bin, window, exceptions, &[])
    }

    /// The same, after bins that an earlier one has seen, `None` of which nobody observed; `exceptions` count from now. Takes as long as a refit.
    pub fn after(bin: Span, window: Span, exceptions: &[Exception], past: &[Option<f64>]) -> Outlook {
        let step = step_for(bin, window);
        let bins_per_step = (step.0 / bin.0.max(1)).max(1);
        let horizon = (window.0.div_ceil(step.0)).clamp(1, 4096) as usize;
        // Steps end with the past, as they begin with what comes.
        let past = past.rchunks_exact(bins_per_step as usize).rev().map(|bins| rate(bins, bin)).collect::<Vec<_>>();
        let before = past.len() as u64;
        let mut config = Config::new(step, horizon);
        config.refit_every = config.refit_every.max((REFIT_EVERY.0 / step.0) as usize);
        config.holidays = exceptions
            .iter()
            .map(|exception| Holiday {
                from: before + exception.from.0 / step.0,
                until: before + (exception.from + exception.lasts).0.div_ceil(step.0),
                factor: exception.factor,
            })
            .collect();
        let mut forecaster = Forecaster::new(config);
        forecaster.remember(past);
        let path = forecaster.lay_out();
        Outlook {
            forecaster,
            bin,
            bins_per_step,
            horizon,
            pending: (0.0, 0),
            ahead: VecDeque::new(),
            path,
            path_at: Time::ZERO,
        }
    }

    /// Takes a bin that ended at `ended`.
    pub fn close_bin(&mut self, ended: Time, count: f64) {
        self.pending.0 += count;
        self.pending.1 += 1;
        if self.pending.1 == self.bins_per_step {
            let rps = self.pending.0 / self.step().as_secs_f64();
            self.pending = (0.0, 0);
            self.forecaster.observe(Some(rps));
            self.path = self.forecaster.lay_out();
            self.path_at = ended;
            self.ahead.push_back(self.path.last().copied().unwrap_or(UNKNOWN));
            if self.ahead.len() > self.horizon {
                self.ahead.pop_front();
            }
        }
        (0..PIECES).take_while(|_| self.forecaster.work()).count();
    }

    /// Length of a step.
    pub fn step(&self) -> Span {
        Span(self.bin.0 * self.bins_per_step)
    }

    /// The load of the steps after [`Outlook::made_at`] \[1/s\]; empty before anything is known.
    pub fn path(&self) -> &[Prediction] {
        &self.path
    }

    /// When the path was made.
    pub fn made_at(&self) -> Time {
        self.path_at
    }

    /// The load expected in a while \[1/s\]; `None` beyond the prediction window, or before anything is known.
    pub fn in_a_while(&self, now: Time, span: Span) -> Option<Prediction> {
        let ahead = (now + span).since(self.path_at).0 / self.step().0.max(1);
        self.path.get(ahead as usize).copied()
    }

    /// What was forecast for the step under way, a prediction window ago \[1/s\]; `None` if nothing was.
    pub fn forecast(&self) -> Option<Prediction> {
        let full = self.ahead.len() == self.horizon;
        self.ahead.front().copied().filter(|forecast| full && forecast.mean.is_finite())
    }

    /// The forecaster: its model, its confidence, its standing.
    pub fn forecaster(&self) -> &Forecaster {
        &self.forecaster
    }
}

/// The rate of bins \[1/s\]; `None`: less than half of them were observed.
fn rate(bins: &[Option<f64>], bin: Span) -> Option<f64> {
    let observed = bins.iter().flatten().count();
    let requests: f64 = bins.iter().flatten().sum();
    (2 * observed >= bins.len()).then(|| requests / observed as f64 / bin.as_secs_f64())
}

/// A whole number of bins, nearest above a 48th of the window among the lengths that divide the hour.
fn step_for(bin: Span, window: Span) -> Span {
    let wanted = window.0 / STEPS;
    let nice = LENGTHS
        .into_iter()
        .map(|seconds| Span::from_secs(seconds).0)
        .chain([Span::from_mins(60).0])
        .find(|length| *length >= wanted && *length >= bin.0 && length.is_multiple_of(bin.0));
    Span(nice.unwrap_or_else(|| wanted.div_ceil(bin.0).max(1) * bin.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_whole_bins_that_divide_the_hour() {
        let s = Span::from_secs;
        for (bin, window, step) in [(10, 14_400, 300), (10, 600, 20), (10, 60, 10), (10, 86_400, 1800), (7, 600, 14)]
        {
            assert_eq!(step_for(s(bin), s(window)), s(step), "{bin} {window}");
        }
    }

    /// A daily wave: what was forecast four hours before is what came.
    #[test]
    fn the_forecast_of_a_step_is_the_one_made_a_window_before() {
        let bin = Span::from_secs(60);
        let mut outlook = Outlook::new(bin, Span::from_mins(240), &[]);
        let wave = |minute: u64| 100.0 + 60.0 * (minute as f64 / 1440.0 * std::f64::consts::TAU).sin();
        let mut errors = Vec::new();
        for minute in 0..4 * 1440 {
            if let Some(forecast) = outlook.forecast()
                && minute > 3 * 1440
            {
                errors.push((forecast.mean - wave(minute)).abs());
            }
            outlook.close_bin(Time((minute + 1) * bin.0), 60.0 * wave(minute));
        }
        let worst = errors.iter().copied().fold(0.0, f64::max);
        assert!(errors.len() > 1400 && worst < 8.0, "{} {worst}", errors.len());
        let now = Time(4 * 1440 * bin.0);
        assert!((outlook.in_a_while(now, Span::from_mins(120)).unwrap().mean - wave(120)).abs() < 4.0);
        assert_eq!(outlook.in_a_while(now, Span::from_mins(241)), None);
        assert!(outlook.forecaster().confidence() > 0.9);
    }
}

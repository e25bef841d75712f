//! What comes next, and what such a forecast was worth so far.

use super::watch::Seen;
use crate::engine::forecast::model::Model;
use crate::engine::forecast::score::{IntervalScore, Score, scale};
use crate::engine::forecast::{ALPHA, Config, Forecaster};
use crate::report::analysis::{Backtest, Forecast};
use crate::units::Span;

const DAY: f64 = 86_400.0;
/// Days from which a day is forecast; of less, a sixth.
const DAYS: f64 = 4.0;
const PART: f64 = 6.0;
/// Steps that a forecast should have, and the lengths to choose from \[s\].
const STEPS: f64 = 48.0;
const LENGTHS: [f64; 6] = [300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0];
/// Steps below which nothing is said, origins of the backtest at most, and days ahead if steps are days.
const LEAST: usize = 24;
const ORIGINS: usize = 7;
const WEEK: usize = 7;

/// Forecasts the next day, or the next sixth of a shorter recording.
pub fn forecast(seen: &Seen) -> Option<Forecast> {
    let total = seen.slots.len() as f64 * seen.slot;
    let wanted = if total >= DAYS * DAY { DAY } else { total / PART };
    let fits = |length: &f64| *length >= seen.slot && *length >= wanted / STEPS && length % seen.slot == 0.0;
    let step = LENGTHS.into_iter().find(fits).unwrap_or(seen.slot);
    let horizon = if step >= DAY { WEEK } else { ((wanted / step).round() as usize).max(1) };
    let (start, series) = together(seen, (step / seen.slot).round() as usize);
    let n = series.len();
    if n < LEAST {
        return None;
    }
    // Half of the recording is for learning.
    let origins = ORIGINS.min(n / horizon / 2);
    let first = n - origins * horizon;
    let mut forecaster = Forecaster::new(Config::new(Span::from_secs_f64(step), horizon));
    let (mut score, mut naive, mut intervals) = (Score::default(), Score::default(), IntervalScore::default());
    let mut period = None;
    for (i, value) in series.iter().enumerate() {
        if i >= first && (i - first).is_multiple_of(horizon) {
            if i == first {
                period = benchmark(&forecaster, n);
            }
            for (h, prediction) in forecaster.lay_out().iter().enumerate() {
                let actual = series[i + h];
                score.add(actual, prediction.mean);
                naive.add(actual, repeated(&series[..i], period, h));
                intervals.add(ALPHA, prediction.low, prediction.high, actual);
            }
        }
        forecaster.observe(value.is_finite().then_some(*value));
        // Fits before the first origin would be thrown away: the first one is completed when it is due, the next learns from all.
        if i + 3 > first.min(n - 1) {
            while forecaster.work() {}
        }
    }
    let path = forecaster.forecast();
    let choice = forecaster.choice()?;
    let unit = scale(&series[..first], period.unwrap_or(1));
    let backtest = Backtest {
        origins,
        wape: score.wape(),
        mase: score.mase(unit),
        coverage: intervals.coverage(),
        naive_wape: naive.wape(),
        naive_mase: naive.mase(unit),
    };
    let judged = origins > 0 && intervals.n() > 0 && backtest.wape.is_finite() && backtest.mase.is_finite();
    let mut members: Vec<(&'static str, f64)> =
        choice.members.iter().map(|(fitted, weight)| (fitted.model.name(), *weight)).collect();
    members.sort_by(|a, b| b.1.total_cmp(&a.1));
    Some(Forecast {
        start: start + n as f64 * step,
        step,
        path,
        model: choice.model.name(),
        members,
        periods: choice.periods.clone(),
        backtest: judged.then_some(backtest),
    })
}

/// Every `k` slots as one step, from the first whole one; and its start \[s\].
fn together(seen: &Seen, k: usize) -> (f64, Vec<f64>) {
    let k = k.max(1);
    let number = (seen.start / seen.slot).round() as usize;
    let skip = (k - number % k) % k;
    let slots = seen.slots.get(skip..).unwrap_or_default();
    let mut series: Vec<f64> = slots.chunks_exact(k).map(|part| part.iter().sum::<f64>() / k as f64).collect();
    let unseen = series.iter().take_while(|value| !value.is_finite()).count();
    series.drain(..unseen);
    (seen.start + (skip + unseen * k) as f64 * seen.slot, series)
}

/// The period of the best seasonal naive forecast; `None` if there is none, and the last value is the benchmark.
fn benchmark(forecaster: &Forecaster, n: usize) -> Option<usize> {
    let choice = forecaster.choice()?;
    let of_board = choice.board.iter().find_map(|standing| match standing.model {
        Model::SeasonalNaive(period) => Some(period),
        _ => None,
    });
    of_board.or_else(|| choice.periods.iter().copied().rfind(|period| 2 * period <= n))
}

/// The value one period before the step `h` after `past`.
fn repeated(past: &[f64], period: Option<usize>, h: usize) -> f64 {
    let n = past.len();
    match period.filter(|period| *period > 0 && *period <= n) {
        Some(period) => past[n - period + h % period],
        None => past.iter().copied().rfind(|value| value.is_finite()).unwrap_or(f64::NAN),
    }
}

//! Foresight: what the load will hardly exceed until something ordered now is there.
//!
//! ```text
//! m(t) = max over h in 1..=reach of forecast(t + h)              what is expected
//! e(t) = max over h in 1..=reach of actual(t + h) / m(t) − 1     what came of it
//! b(t) = m(t) · (1 + quantile_q of the last e)                   the bound
//! ```
//!
//! q is the newsvendor's: with a cost u of one too few and o of one too many, `q = u / (u + o)` (Arrow, Harris & Marschak 1951). The
//! shift by past errors is the conformal correction (Lei et al. 2018): it makes no assumption on their distribution, and carries
//! what a maximum has above a mean.
//!
//! Three forecasters are held against one another all the time: the [`Forecaster`] with its models, the value one season ago, and
//! the last value. The gate lets the first one through only while its bounds cost less (pinball loss at q) than those of both others
//! on the last forecasts whose outcome is known. A forecast that has lost its skill loses its voice by itself.

use std::collections::VecDeque;

use super::{Config, Forecaster};
use crate::units::Span;

/// Outcomes that are remembered.
const OUTCOMES: usize = 480;
/// Errors that a bound needs.
const MIN_ERRORS: usize = 20;
/// Outcomes that the gate needs to open.
const MIN_OUTCOMES: usize = 60;
/// The gate opens below this share of the cost of the best naive bound, and closes at all of it: it does not flicker.
const OPENS_BELOW: f64 = 0.99;

/// The quantile that costs least in the long run, when one instance too few costs `under` and one too many `over`.
pub fn newsvendor(under: f64, over: f64) -> f64 {
    if under + over > 0.0 { under / (under + over) } else { 0.5 }
}

/// The `q`-quantile of sorted `values`, interpolated linearly; `None` if there are none.
pub fn interpolated(values: &[f64], q: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let at = q.clamp(0.0, 1.0) * last as f64;
    let low = values[at as usize];
    let high = values[(at as usize + 1).min(last)];
    Some(low + (high - low) * at.fract())
}

/// What a forecaster expects, and what the load will hardly exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// The highest value expected.
    pub expected: f64,
    /// Its q-quantile.
    pub high: f64,
}

/// Where a bound comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Model,
    Season,
    Last,
}

const SOURCES: [Source; 3] = [Source::Model, Source::Season, Source::Last];

/// A forecast whose outcome is not known yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    /// The step after which it was made.
    made: u64,
    expected: [Option<f64>; 3],
    high: [Option<f64>; 3],
}

/// The last relative errors of one source, in order of time and of size.
#[derive(Clone, Debug, Default)]
struct Errors {
    recent: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl Errors {
    fn push(&mut self, error: f64) {
        if !error.is_finite() {
            return;
        }
        if self.recent.len() == OUTCOMES
            && let Some(oldest) = self.recent.pop_front()
        {
            let at = self.sorted.partition_point(|e| *e < oldest);
            self.sorted.remove(at);
        }
        self.recent.push_back(error);
        let at = self.sorted.partition_point(|e| *e < error);
        self.sorted.insert(at, error);
    }

    fn bound(&self, expected: Option<f64>, q: f64) -> Option<f64> {
        let expected = expected.filter(|_| self.sorted.len() >= MIN_ERRORS)?;
        Some((expected * (1.0 + interpolated(&self.sorted, q)?)).max(0.0))
    }
}

/// Looks as far ahead as an order takes.
#[derive(Clone, Debug)]
pub struct Foresight {
    forecaster: Forecaster,
    q: f64,
    reach: usize,
    /// As many values as a season and the reach need.
    values: VecDeque<Option<f64>>,
    keep: usize,
    seen: u64,
    pending: VecDeque<Pending>,
    errors: [Errors; 3],
    /// What the bounds of each source have cost.
    losses: VecDeque<[Option<f64>; 3]>,
    now: [Option<Bound>; 3],
    is_open: bool,
}

impl Foresight {
    /// Looks `reach` steps ahead, at least 1, at the quantile `q`; refits every `refit_every` steps.
    pub fn new(step: Span, reach: usize, q: f64, refit_every: Span) -> Foresight {
        let reach = reach.max(1);
        let mut config = Config::new(step, reach);
        config.refit_every = ((refit_every.0 / step.0.max(1)) as usize).max(1);
        Foresight {
            keep: config.history + reach,
            forecaster: Forecaster::new(config),
            q,
            reach,
            values: VecDeque::new(),
            seen: 0,
            pending: VecDeque::new(),
            errors: Default::default(),
            losses: VecDeque::new(),
            now: [None; 3],
            is_open: false,
        }
    }

    /// Begins with what was seen before: takes as long as a refit, so it is for the start.
    pub fn remember(&mut self, values: &[f64]) {
        let (old, recent) = values.split_at(values.len().saturating_sub(OUTCOMES + self.reach));
        self.forecaster.remember(old.iter().copied().map(Some));
        for value in old {
            self.keep_value(Some(*value));
        }
        recent.iter().for_each(|value| self.observe(Some(*value)));
        while self.work() {}
    }

    /// Takes the next value; `None` if nobody observed it.
    pub fn observe(&mut self, value: Option<f64>) {
        self.forecaster.observe(value);
        self.keep_value(value);
        self.judge();
        self.look_ahead();
    }

    /// Does a piece of a refit, if one is under way; `false` if there is nothing to do.
    pub fn work(&mut self) -> bool {
        self.forecaster.work()
    }

    fn keep_value(&mut self, value: Option<f64>) {
        self.seen += 1;
        self.values.push_back(value);
        if self.values.len() > self.keep {
            self.values.pop_front();
        }
    }

    /// The highest of the `reach` values from `back` steps before the next on; `None` if one is missing.
    fn highest(&self, back: usize) -> Option<f64> {
        let from = self.values.len().checked_sub(back)?;
        let values = self.values.range(from..(from + self.reach).min(self.values.len()));
        values.copied().try_fold(0.0, |highest: f64, value| Some(highest.max(value?)))
    }

    /// Compares the forecast whose time is over with what came.
    fn judge(&mut self) {
        while let Some(pending) = self.pending.front().copied().filter(|p| p.made + self.reach as u64 <= self.seen) {
            self.pending.pop_front();
            let Some(actual) = self.highest(self.reach) else { continue };
            let cost = |high: f64| {
                let short = actual - high;
                if short > 0.0 { self.q * short } else { (self.q - 1.0) * short }
            };
            self.losses.push_back(pending.high.map(|high| high.map(cost)));
            if self.losses.len() > OUTCOMES {
                self.losses.pop_front();
            }
            for (errors, expected) in self.errors.iter_mut().zip(pending.expected) {
                if let Some(expected) = expected.filter(|expected| *expected > 0.0) {
                    errors.push(actual / expected - 1.0);
                }
            }
            self.move_gate();
        }
    }

    /// Costs of the model's bounds and of another's, on the forecasts for which both had one; `None` if these are too few.
    fn costs(&self, other: Source) -> Option<(f64, f64)> {
        let mut sums = (0usize, 0.0, 0.0);
        for losses in &self.losses {
            if let (Some(model), Some(other)) = (losses[Source::Model as usize], losses[other as usize]) {
                sums = (sums.0 + 1, sums.1 + model, sums.2 + other);
            }
        }
        (sums.0 >= MIN_OUTCOMES).then_some((sums.1, sums.2))
    }

    fn move_gate(&mut self) {
        let limit = if self.is_open { 1.0 } else { OPENS_BELOW };
        let beats = |other| self.costs(other).map(|(model, other)| has_skill(model, other * limit));
        // A season may not be known; the last value always is.
        self.is_open = beats(Source::Last) == Some(true) && beats(Source::Season) != Some(false);
    }

    fn look_ahead(&mut self) {
        let season = self.forecaster.choice().and_then(|choice| {
            let fits = |period: &usize| *period >= self.reach && *period < self.values.len();
            choice.periods.iter().copied().rfind(fits)
        });
        let expected = SOURCES.map(|source| match source {
            Source::Model => {
                let path = self.forecaster.forecast();
                path.iter().map(|p| p.mean).max_by(f64::total_cmp)
            }
            Source::Season => season.and_then(|period| self.highest(period)),
            Source::Last => self.values.back().copied().flatten(),
        });
        let mut high = [None; 3];
        for (i, errors) in self.errors.iter().enumerate() {
            high[i] = errors.bound(expected[i], self.q);
            self.now[i] = expected[i].zip(high[i]).map(|(expected, high)| Bound { expected, high });
        }
        self.pending.push_back(Pending { made: self.seen, expected, high });
    }

    /// The model's bound for the next steps; `None` while the gate is closed.
    pub fn bound(&self) -> Option<Bound> {
        self.now[Source::Model as usize].filter(|_| self.is_open)
    }

    /// What the model foretold for the steps that end now, `reach` steps ago; `None` if it had no bound, or the gate is closed.
    pub fn foretold(&self) -> Option<Bound> {
        let pending = self.pending.front().filter(|_| self.is_open)?;
        let (expected, high) = (pending.expected[0]?, pending.high[0]?);
        (pending.made + self.reach as u64 <= self.seen + 1).then_some(Bound { expected, high })
    }

    /// The bound that rests on the last value alone; `None` before anything is known.
    pub fn bound_by_last(&self) -> Option<Bound> {
        self.now[Source::Last as usize]
    }

    /// Why there is no bound, in words; empty if there is one.
    pub fn silence(&self) -> String {
        if self.bound().is_some() {
            return String::new();
        }
        let relative = |source, name: &str| {
            let (model, other) = self.costs(source)?;
            (model >= other * OPENS_BELOW)
                .then(|| format!("its bounds cost {:.0}% of those of {name}", 100.0 * model / other.max(1e-300)))
        };
        relative(Source::Season, "the last season")
            .or_else(|| relative(Source::Last, "the last value"))
            .unwrap_or_else(|| "too few outcomes are known".into())
    }

    /// The name of the model in use.
    pub fn model(&self) -> &'static str {
        self.forecaster.model().map_or("none", |model| model.name())
    }
}

/// Whether a forecast with this error is worth listening to beside a naive one.
fn has_skill(error: f64, naive: f64) -> bool {
    error < naive
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Dice, Stream};

    #[test]
    fn the_quantile_is_what_costs_say() {
        assert_eq!(newsvendor(9.0, 1.0), 0.9, "P-01");
        assert_eq!(newsvendor(0.0, 0.0), 0.5);
        // P-02: load ~ N(1000, 100).
        let z = 1.281_551_565_544_6;
        assert_eq!(((1000.0 + 100.0 * z) / 100.0f64).ceil(), 12.0);
    }

    #[test]
    fn past_errors_shift_the_bound() {
        let mut errors = Errors::default();
        for error in [-12.0, -8.0, -5.0, -3.0, -1.0, 0.0, 2.0, 4.0, 7.0, 15.0] {
            errors.push(error / 200.0);
        }
        let q = interpolated(&errors.sorted, 0.9).unwrap();
        assert!((200.0 * (1.0 + q) - 207.8).abs() < 1e-9, "P-08: {q}");
        assert_eq!(errors.bound(Some(200.0), 0.9), None, "too few");
    }

    #[test]
    fn a_forecast_worse_than_the_season_is_not_heard() {
        assert!(!has_skill(0.30, 0.20), "P-09");
        assert!(has_skill(0.20, 0.30) && !has_skill(0.2, 0.2));
    }

    fn day(t: u64) -> f64 {
        200.0 + 150.0 * (t as f64 / 288.0 * std::f64::consts::TAU).sin()
    }

    /// A daily wave with noise: the gate opens, and bounds hold as often as they say.
    #[test]
    fn bounds_hold_as_often_as_they_say() {
        let noise = Dice::new(7, Stream::Noise);
        let value = |t: u64| day(t) * (0.95 + 0.1 * noise.unit(t));
        let mut foresight = Foresight::new(Span::from_mins(5), 3, 0.9, Span::from_mins(720));
        let (mut held, mut n, mut open) = (0, 0, 0);
        for t in 0..288 * 8 {
            foresight.observe(Some(value(t)));
            (0..200).take_while(|_| foresight.work()).count();
            if t >= 288 * 4 {
                open += u32::from(foresight.bound().is_some());
                if let Some(bound) = foresight.bound() {
                    let actual = (1..=3).map(|h| value(t + h)).fold(0.0, f64::max);
                    held += u32::from(actual <= bound.high);
                    n += 1;
                }
            }
        }
        let share = f64::from(held) / f64::from(n);
        assert!((0.86..0.94).contains(&share), "{share} of {n}");
        assert!(open > 288 * 3, "{open}");
    }

    /// Nothing can be known of a random walk but where it is.
    #[test]
    fn a_random_walk_keeps_the_gate_closed() {
        let dice = Dice::new(3, Stream::Noise);
        let mut foresight = Foresight::new(Span::from_mins(5), 1, 0.9, Span::from_mins(720));
        let (mut value, mut open) = (1000.0, 0);
        for t in 0..2000 {
            value *= 1.0 + 0.1 * (dice.unit(t) - 0.5);
            foresight.observe(Some(value));
            while foresight.work() {}
            open += u32::from(t > 500 && foresight.bound().is_some());
        }
        assert!(open < 300, "{open} of 1500");
        assert!(foresight.bound_by_last().is_some_and(|bound| bound.high > bound.expected));
    }

    #[test]
    fn what_is_remembered_counts_as_seen() {
        let noise = Dice::new(5, Stream::Noise);
        let past: Vec<f64> = (0..288 * 5).map(|t| day(t) * (0.97 + 0.06 * noise.unit(t))).collect();
        let mut foresight = Foresight::new(Span::from_mins(5), 3, 0.9, Span::from_mins(720));
        foresight.remember(&past);
        let bound = foresight.bound().expect("it has seen five days");
        let next = (0..3).map(|h| day(288 * 5 + h)).fold(0.0, f64::max);
        assert!((bound.expected - next).abs() < 0.03 * next, "{bound:?} {next}");
        // A gap judges nobody, and forgets nothing.
        foresight.observe(None);
        assert!(foresight.bound().is_some());
    }
}

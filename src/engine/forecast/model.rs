//! The models, all behind one face: fit in pieces, update with a value, forecast.
//!
//! Choices are closed, so they are an enum. A [`Family`] is fitted together, because its members share the costly part: one
//! decomposition serves three models.

use super::autoregression::{Lags, LagsFit, YuleWalker, lags_for};
use super::decomposition::{Decomposition, Mstl};
use super::holt_winters::{Additive, AdditiveFit, Multiplicative, MultiplicativeFit};
use super::naive::{Drift, SeasonalNaive};
use super::profile::Profile;
use super::smoothing::{self, Smoothing};
use super::theta::{self, Theta};

/// A way to forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Model {
    /// The last value.
    Naive,
    /// The line through the ends.
    Drift,
    /// The value one period (in steps) ago.
    SeasonalNaive(usize),
    /// Level of now times the shape of the period.
    Profile,
    /// The shape of the short period, times a factor for each of them in the long one: hours of the day, days of the week.
    ProfileByDay,
    /// Simple exponential smoothing.
    Simple,
    /// Damped trend.
    Damped,
    /// Additive Holt–Winters, with one season or two and an autoregressive error.
    HoltWinters,
    /// Multiplicative Holt–Winters.
    HoltWintersMultiplicative,
    /// MSTL, and a damped trend on what is left without seasons.
    MstlEts,
    /// MSTL, and Theta on what is left without seasons.
    Theta,
    /// MSTL, and AR(p) on the remainder about the trend.
    MstlAr,
    /// Ridge regression on seasonal lags.
    Lags,
    /// Holt–Winters of the logarithm.
    LogHoltWinters,
    /// MSTL and a damped trend, of the logarithm.
    LogMstlEts,
    /// MSTL and Theta, of the logarithm.
    LogTheta,
    /// MSTL and AR, of the logarithm.
    LogMstlAr,
    /// Regression on lags, of the logarithm.
    LogLags,
    /// Several of these, weighted by what they have shown.
    Combination,
}

impl Model {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Model::Naive => "naive",
            Model::Drift => "drift",
            Model::SeasonalNaive(_) => "seasonal_naive",
            Model::Profile => "profile",
            Model::ProfileByDay => "profile_by_day",
            Model::Simple => "ses",
            Model::Damped => "damped",
            Model::HoltWinters => "holt_winters",
            Model::HoltWintersMultiplicative => "holt_winters_multiplicative",
            Model::MstlEts => "mstl_ets",
            Model::Theta => "theta",
            Model::MstlAr => "mstl_ar",
            Model::Lags => "lags",
            Model::LogHoltWinters => "log_holt_winters",
            Model::LogMstlEts => "log_mstl_ets",
            Model::LogTheta => "log_theta",
            Model::LogMstlAr => "log_mstl_ar",
            Model::LogLags => "log_lags",
            Model::Combination => "combination",
        }
    }
}

/// The scale a model works on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// As it is.
    Raw,
    /// The natural logarithm, of values no smaller than this floor: effects multiply.
    Log(f64),
}

impl Scale {
    fn to(self, value: f64) -> f64 {
        match self {
            Scale::Raw => value,
            Scale::Log(floor) => libm::log(value.max(floor)),
        }
    }

    fn back(self, value: f64) -> f64 {
        match self {
            Scale::Raw => value,
            Scale::Log(floor) if value <= libm::log(floor) => 0.0,
            Scale::Log(_) => libm::exp(value.min(700.0)),
        }
    }

    fn all(self, series: &[f64]) -> Vec<f64> {
        series.iter().map(|value| self.to(*value)).collect()
    }
}

/// Models that are fitted together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Family {
    /// Everything that needs no search: naive, drift, seasonal naive of each period, profile.
    Plain,
    /// Smoothing without a season.
    Smoothing,
    /// Additive Holt–Winters.
    HoltWinters(Scale),
    /// Multiplicative Holt–Winters; values no smaller than the floor.
    Multiplicative(f64),
    /// MSTL with three models of what is left.
    Decomposition(Scale),
    /// Regression on lags.
    Lags(Scale),
}

/// A fit in the making.
#[derive(Clone, Debug)]
pub struct Fitting {
    family: Family,
    periods: Vec<usize>,
    seasons: Vec<usize>,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    Plain,
    Smoothing { simple: smoothing::Fit, damped: smoothing::Fit, first: Option<Smoothing> },
    HoltWinters(AdditiveFit, Vec<f64>),
    Multiplicative(MultiplicativeFit),
    Mstl(Mstl, Vec<f64>),
    Adjusted { rest: Box<Rest>, damped: smoothing::Fit, first: Option<Smoothing>, theta: theta::Fit },
    Lags(LagsFit, Vec<f64>),
}

/// A series without its seasons, and its last cycles.
#[derive(Clone, Debug)]
struct Rest {
    cycles: Vec<Cycle>,
    adjusted: Vec<f64>,
    trend: f64,
    remainder: Vec<f64>,
}

/// A season that repeats.
#[derive(Clone, Debug, PartialEq)]
struct Cycle {
    index: Vec<f64>,
    at: usize,
}

impl Fitting {
    /// Begins to fit `family` to `series`. Seasonal naive forecasts take all `periods`, the shortest first; models that learn a
    /// season take the `seasons` among them, which `series` shows two whole cycles of.
    pub fn new(family: Family, series: &[f64], periods: &[usize], seasons: &[usize]) -> Fitting {
        let n = series.len();
        let stage = match family {
            Family::Plain => Stage::Plain,
            Family::Smoothing => {
                Stage::Smoothing { simple: smoothing::Fit::simple(), damped: smoothing::Fit::damped(), first: None }
            }
            Family::HoltWinters(scale) => Stage::HoltWinters(AdditiveFit::new(seasons), scale.all(series)),
            Family::Multiplicative(floor) => {
                Stage::Multiplicative(MultiplicativeFit::new(seasons.first().copied().unwrap_or(1), floor))
            }
            Family::Decomposition(scale) => Stage::Mstl(Mstl::new(n, seasons), scale.all(series)),
            Family::Lags(scale) => {
                let lags = lags_for(seasons).into_iter().filter(|lag| lag * 2 < n).collect();
                Stage::Lags(LagsFit::new(lags), scale.all(series))
            }
        };
        Fitting { family, periods: periods.to_vec(), seasons: seasons.to_vec(), stage }
    }

    /// Does a piece of the work; the models, once there is nothing more to do.
    pub fn advance(&mut self, series: &[f64]) -> Option<Vec<Fitted>> {
        let scale = match self.family {
            Family::HoltWinters(scale) | Family::Decomposition(scale) | Family::Lags(scale) => scale,
            _ => Scale::Raw,
        };
        let log = scale != Scale::Raw;
        let fitted = |model, state| Fitted { model, scale, state };
        match &mut self.stage {
            Stage::Plain => Some(plain(series, &self.periods, &self.seasons)),
            Stage::Smoothing { simple, damped, first } => match first {
                None => {
                    *first = simple.advance(series);
                    None
                }
                Some(simple) => damped.advance(series).map(|damped| {
                    vec![
                        fitted(Model::Simple, State::Smoothing(*simple)),
                        fitted(Model::Damped, State::Smoothing(damped)),
                    ]
                }),
            },
            Stage::HoltWinters(fit, values) => fit.advance(values).map(|done| {
                let model = if log { Model::LogHoltWinters } else { Model::HoltWinters };
                vec![fitted(model, State::Additive(done))]
            }),
            Stage::Multiplicative(fit) => fit
                .advance(series)
                .map(|done| vec![fitted(Model::HoltWintersMultiplicative, State::Multiplicative(done))]),
            Stage::Mstl(mstl, values) => {
                if let Some(done) = mstl.advance(values) {
                    let rest = Box::new(Rest::of(values, done));
                    let (damped, theta) = (smoothing::Fit::damped(), theta::Fit::default());
                    self.stage = Stage::Adjusted { rest, damped, first: None, theta };
                }
                None
            }
            Stage::Adjusted { rest, damped, first, theta } => match first {
                None => {
                    *first = damped.advance(&rest.adjusted);
                    None
                }
                Some(damped) => theta.advance(&rest.adjusted).map(|theta| {
                    let ar = YuleWalker::fit_best(&rest.remainder, 12);
                    let with = |inner| State::Decomposed { cycles: rest.cycles.clone(), inner };
                    let [ets, th, yw] = if log {
                        [Model::LogMstlEts, Model::LogTheta, Model::LogMstlAr]
                    } else {
                        [Model::MstlEts, Model::Theta, Model::MstlAr]
                    };
                    vec![
                        fitted(ets, with(Inner::Smoothing(*damped))),
                        fitted(th, with(Inner::Theta(theta))),
                        fitted(yw, with(Inner::Ar { trend: rest.trend, ar })),
                    ]
                }),
            },
            Stage::Lags(fit, values) => fit.advance(values).map(|done| {
                let model = if log { Model::LogLags } else { Model::Lags };
                vec![fitted(model, State::Lags(done))]
            }),
        }
    }
}

fn plain(series: &[f64], periods: &[usize], seasons: &[usize]) -> Vec<Fitted> {
    let fitted = |model, state| Fitted { model, scale: Scale::Raw, state };
    let n = series.len();
    let mut models = vec![
        fitted(Model::Naive, State::SeasonalNaive(SeasonalNaive::fit(series, 1))),
        fitted(Model::Drift, State::Drift(Drift::fit(series))),
    ];
    for &period in periods.iter().filter(|period| n >= **period) {
        let naive = SeasonalNaive::fit(series, period);
        models.push(fitted(Model::SeasonalNaive(period), State::SeasonalNaive(naive)));
    }
    if let Some(&period) = seasons.last() {
        let window = periods.first().copied().unwrap_or(period);
        models.push(fitted(Model::Profile, State::Profile(Profile::fit(series, period, window))));
    }
    if let [short, .., long] = periods
        && long % short == 0
        && n > long + short
    {
        models.push(fitted(Model::ProfileByDay, State::Profile(Profile::by_day(series, *short, *long))));
    }
    models
}

impl Rest {
    fn of(values: &[f64], done: Decomposition) -> Rest {
        let n = values.len();
        let adjusted = (0..n).map(|t| values[t] - done.seasonal.iter().map(|s| s[t]).sum::<f64>()).collect();
        let cycles = done
            .periods
            .iter()
            .zip(&done.seasonal)
            .map(|(&period, season)| Cycle { index: season[n - period.min(n)..].to_vec(), at: 0 })
            .collect();
        Rest { cycles, adjusted, trend: done.trend.last().copied().unwrap_or(0.0), remainder: done.remainder }
    }
}

/// A fitted model at a moment.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Which.
    pub model: Model,
    scale: Scale,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    SeasonalNaive(SeasonalNaive),
    Drift(Drift),
    Profile(Profile),
    Smoothing(Smoothing),
    Additive(Additive),
    Multiplicative(Multiplicative),
    Decomposed { cycles: Vec<Cycle>, inner: Inner },
    Lags(Lags),
}

#[derive(Clone, Debug)]
enum Inner {
    Smoothing(Smoothing),
    Theta(Theta),
    Ar { trend: f64, ar: YuleWalker },
}

impl Fitted {
    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        let value = self.scale.to(value);
        match &mut self.state {
            State::SeasonalNaive(model) => model.update(value),
            State::Drift(model) => model.update(value),
            State::Profile(model) => model.update(value),
            State::Smoothing(model) => model.update(value),
            State::Additive(model) => model.update(value),
            State::Multiplicative(model) => model.update(value),
            State::Lags(model) => model.update(value),
            State::Decomposed { cycles, inner } => {
                let mut adjusted = value;
                for cycle in cycles {
                    adjusted -= cycle.index[cycle.at];
                    cycle.at = (cycle.at + 1) % cycle.index.len();
                }
                match inner {
                    Inner::Smoothing(model) => model.update(adjusted),
                    Inner::Theta(model) => model.update(adjusted),
                    Inner::Ar { trend, ar } => {
                        ar.update(adjusted - *trend);
                        *trend += 0.01 * (adjusted - *trend);
                    }
                }
            }
        }
    }

    /// The next values, none below zero.
    pub fn forecast(&self, out: &mut [f64]) {
        match &self.state {
            State::SeasonalNaive(model) => model.forecast(out),
            State::Drift(model) => model.forecast(out),
            State::Profile(model) => model.forecast(out),
            State::Smoothing(model) => model.forecast(out),
            State::Additive(model) => model.forecast(out),
            State::Multiplicative(model) => model.forecast(out),
            State::Lags(model) => model.forecast(out),
            State::Decomposed { cycles, inner } => {
                match inner {
                    Inner::Smoothing(model) => model.forecast(out),
                    Inner::Theta(model) => model.forecast(out),
                    Inner::Ar { trend, ar } => {
                        ar.forecast(out);
                        out.iter_mut().for_each(|value| *value += trend);
                    }
                }
                for (h, value) in out.iter_mut().enumerate() {
                    *value += cycles.iter().map(|c| c.index[(c.at + h) % c.index.len()]).sum::<f64>();
                }
            }
        }
        for value in out {
            *value = self.scale.back(*value).max(0.0);
        }
    }
}

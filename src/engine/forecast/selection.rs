//! Which model? The one that would have been right on this very series.
//!
//! Rolling origin: models are fitted to what came before the first origin, forecast, are fed the truth up to the next origin, forecast
//! again. Errors of these forecasts, none of which saw its future, rank the models, weigh a combination of the best (inverse
//! squared error, Bates & Granger 1969), and calibrate the intervals. Whoever does not beat the seasonal naive forecast by a
//! margin is put halfway between the two, and if that does not either, it is not used: the gate.
//!
//! A refit is a state machine, and [`Refit::advance`] one short piece of it: a set of parameters tried, a pass of a
//! decomposition, a model's forecasts from one origin.

use super::interval::{Calibration, Outcome};
use super::model::{Family, Fitted, Fitting, Model, Scale};
use super::score::Score;
use super::season::Search;

/// Origins at most.
const ORIGINS: usize = 7;
/// Origins that a ranking needs.
const MIN_ORIGINS: usize = 3;
/// The chosen forecast must have at most this share of the seasonal naive forecast's error.
const GATE: f64 = 0.97;
/// Cycles of a season that the first origin must have seen for a model to use it.
const CYCLES: f64 = 2.0;
/// Members of a combination at most.
const MEMBERS: usize = 5;
/// Forecasts are at most this many times the highest value seen.
const CEILING: f64 = 2.0;

/// What a model has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Which.
    pub model: Model,
    /// Its errors over all origins.
    pub score: Score,
}

/// The outcome of a refit.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The winner: a single model, or [`Model::Combination`].
    pub model: Model,
    /// Its members, with their weights, which sum to 1.
    pub members: Vec<(Fitted, f64)>,
    /// Periods of the series, in steps, the shortest first.
    pub periods: Vec<usize>,
    /// What every model has shown, the best first; empty if the series is too short to tell.
    pub board: Vec<Standing>,
    /// What the winner has shown.
    pub score: Score,
    /// 1 − MAE / MAE of the best seasonal naive forecast in the backtest.
    pub skill: f64,
    /// Whether the gate held the winner back for the seasonal naive forecast.
    pub gated: bool,
    /// Its errors by horizon.
    pub calibration: Calibration,
    /// No forecast is above.
    pub ceiling: f64,
}

impl Choice {
    /// The next values.
    pub fn forecast(&self, out: &mut [f64]) {
        let mut each = vec![0.0; out.len()];
        out.fill(0.0);
        for (fitted, weight) in &self.members {
            fitted.forecast(&mut each);
            for (value, part) in out.iter_mut().zip(&each) {
                *value += weight * part.min(self.ceiling);
            }
        }
    }

    /// Takes the next value.
    pub fn update(&mut self, value: f64) {
        self.members.iter_mut().for_each(|(fitted, _)| fitted.update(value));
        self.ceiling = self.ceiling.max(CEILING * value);
    }
}

/// A refit in the making.
#[derive(Clone, Debug)]
pub struct Refit {
    series: Vec<f64>,
    /// Whether a value was observed and is an ordinary one, so that it may judge.
    judges: Vec<bool>,
    periods: Vec<usize>,
    /// Those of which the first origin has seen enough cycles: models are used as they were judged.
    seasons: Vec<usize>,
    horizon: usize,
    spacing: usize,
    origins: Vec<usize>,
    families: Vec<Family>,
    ceiling: f64,
    stage: Stage,
    candidates: Vec<Candidate>,
    done: Option<Choice>,
}

#[derive(Clone, Debug)]
struct Candidate {
    family: Family,
    /// At the origin it has reached.
    fitted: Fitted,
    /// Forecasts from every origin, one after the other.
    forecasts: Vec<f64>,
    score: Score,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Looking for periods.
    Periods(Search),
    /// Fitting a family to what came before the first origin.
    Head { family: usize, fitting: Option<Fitting> },
    /// Forecasting from an origin.
    Backtest { origin: usize, candidate: usize },
    /// Choosing.
    Choose,
    /// Fitting the families of the chosen members to everything.
    Whole { chosen: Box<Chosen>, family: usize, fitting: Option<Fitting>, members: Vec<(Fitted, f64)> },
}

/// What the backtest said.
#[derive(Clone, Debug)]
struct Chosen {
    model: Model,
    members: Vec<(Model, f64)>,
    families: Vec<Family>,
    score: Score,
    skill: f64,
    gated: bool,
    calibration: Calibration,
    board: Vec<Standing>,
}

impl Refit {
    /// Begins for a `series` without gaps, whose periods are known, to be forecast `horizon` steps ahead. `judges` says
    /// which values may judge a forecast: those really observed.
    pub fn new(series: Vec<f64>, judges: Vec<bool>, periods: Vec<usize>, horizon: usize) -> Refit {
        let mut refit = Refit::begin(series, judges, horizon);
        refit.plan(periods);
        refit
    }

    /// Begins, and looks for periods first: the `candidates`, or any other up to `most` steps.
    pub fn with_search(
        series: Vec<f64>,
        judges: Vec<bool>,
        candidates: &[usize],
        most: usize,
        horizon: usize,
    ) -> Refit {
        let search = Search::new(&series, candidates, most);
        let mut refit = Refit::begin(series, judges, horizon);
        refit.stage = Stage::Periods(search);
        refit
    }

    fn begin(series: Vec<f64>, judges: Vec<bool>, horizon: usize) -> Refit {
        Refit {
            ceiling: CEILING * series.iter().copied().fold(0.0, f64::max),
            series,
            judges,
            periods: Vec::new(),
            seasons: Vec::new(),
            horizon: horizon.max(1),
            spacing: 1,
            origins: Vec::new(),
            families: Vec::new(),
            stage: Stage::Choose,
            candidates: Vec::new(),
            done: None,
        }
    }

    /// Lays out the origins, and what is to be fitted.
    fn plan(&mut self, periods: Vec<usize>) {
        let (n, horizon) = (self.series.len(), self.horizon);
        let shortest = periods.first().copied().unwrap_or(1);
        let daily = periods.iter().copied().find(|period| *period >= horizon / 2).unwrap_or(shortest);
        let spacing = if periods.is_empty() { horizon } else { horizon.min(daily) };
        // The longest season that leaves room for enough origins after two cycles of it is judged, and used.
        let room = |least: usize| n.checked_sub(least + horizon).map_or(0, |rest| rest / spacing + 1);
        let two_cycles = |period: usize| (CYCLES * period as f64) as usize + 2;
        let longest = periods.iter().rev().copied().find(|period| room(two_cycles(*period)) >= MIN_ORIGINS);
        let least = two_cycles(longest.unwrap_or(shortest)).max(16);
        let count = room(least).min(ORIGINS).min((n / 2 / spacing).max(MIN_ORIGINS));
        let count = if count < MIN_ORIGINS { 0 } else { count };
        self.origins = (0..count).map(|k| n - horizon - (count - 1 - k) * spacing).collect();
        let head = self.origins.first().copied().unwrap_or(n);
        self.seasons =
            periods.iter().copied().filter(|period| head as f64 >= CYCLES * *period as f64 + 2.0).collect();
        self.families = families(&self.series[..head], &self.seasons);
        self.spacing = spacing;
        self.periods = periods;
        self.stage = Stage::Head { family: 0, fitting: None };
    }

    /// Does it at once.
    pub fn finish(mut self) -> Choice {
        loop {
            if let Some(choice) = self.advance() {
                return choice;
            }
        }
    }

    /// Does a short piece; the choice, once there is nothing more to do.
    pub fn advance(&mut self) -> Option<Choice> {
        let stage = std::mem::replace(&mut self.stage, Stage::Choose);
        self.stage = match stage {
            Stage::Periods(mut search) => match search.advance() {
                None => Stage::Periods(search),
                Some(periods) => {
                    self.plan(periods);
                    return None;
                }
            },
            Stage::Head { family, fitting } => self.fit_head(family, fitting),
            Stage::Backtest { origin, candidate } => self.backtest(origin, candidate),
            Stage::Choose => self.choose(),
            Stage::Whole { chosen, family, fitting, members } => self.fit_whole(chosen, family, fitting, members),
        };
        self.done.take()
    }

    fn fit_head(&mut self, family: usize, fitting: Option<Fitting>) -> Stage {
        if self.origins.is_empty() {
            return Stage::Choose;
        }
        let Some(&which) = self.families.get(family) else { return Stage::Backtest { origin: 0, candidate: 0 } };
        let head = &self.series[..self.origins[0]];
        let mut fitting = fitting.unwrap_or_else(|| Fitting::new(which, head, &self.periods, &self.seasons));
        match fitting.advance(head) {
            None => Stage::Head { family, fitting: Some(fitting) },
            Some(models) => {
                self.candidates.extend(models.into_iter().map(|fitted| Candidate {
                    family: which,
                    fitted,
                    forecasts: Vec::new(),
                    score: Score::default(),
                }));
                Stage::Head { family: family + 1, fitting: None }
            }
        }
    }

    fn backtest(&mut self, origin: usize, candidate: usize) -> Stage {
        let Some(&from) = self.origins.get(origin) else { return Stage::Choose };
        let Some(model) = self.candidates.get_mut(candidate) else {
            return Stage::Backtest { origin: origin + 1, candidate: 0 };
        };
        let mut out = vec![0.0; self.horizon];
        model.fitted.forecast(&mut out);
        for (h, value) in out.iter_mut().enumerate() {
            *value = value.min(self.ceiling);
            if self.judges[from + h] {
                model.score.add(self.series[from + h], *value);
            }
        }
        model.forecasts.extend(out);
        if origin + 1 < self.origins.len() {
            self.series[from..from + self.spacing].iter().for_each(|value| model.fitted.update(*value));
        }
        Stage::Backtest { origin, candidate: candidate + 1 }
    }

    /// The forecasts of weighted candidates, with what came of them.
    fn outcomes(&self, members: &[(usize, f64)]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(self.origins.len() * self.horizon);
        for (k, &from) in self.origins.iter().enumerate() {
            for h in (0..self.horizon).filter(|h| self.judges[from + h]) {
                let forecast =
                    members.iter().map(|(i, w)| w * self.candidates[*i].forecasts[k * self.horizon + h]).sum();
                outcomes.push(Outcome { h, forecast, actual: self.series[from + h] });
            }
        }
        outcomes
    }

    fn score(outcomes: &[Outcome]) -> Score {
        let mut score = Score::default();
        outcomes.iter().for_each(|o| score.add(o.actual, o.forecast));
        score
    }

    fn choose(&mut self) -> Stage {
        let mut order: Vec<usize> = (0..self.candidates.len()).collect();
        let mae = |i: usize| self.candidates[i].score.mae();
        order.retain(|i| mae(*i).is_finite());
        order.sort_by(|a, b| mae(*a).total_cmp(&mae(*b)));
        if order.is_empty() {
            return self.without_backtest();
        }
        let is_naive = |i: usize| matches!(self.candidates[i].fitted.model, Model::SeasonalNaive(_));
        let naive = order.iter().copied().find(|i| is_naive(*i)).unwrap_or_else(|| {
            let plain = |i: &usize| self.candidates[*i].fitted.model == Model::Naive;
            order.iter().copied().find(plain).unwrap_or(order[0])
        });
        let benchmark = mae(naive);
        // Always several: who was best by a little is best by chance.
        let mut best = order[..MEMBERS.min(order.len())].to_vec();
        if !best.contains(&naive) {
            best.push(naive);
        }
        let mut members = self.weigh(&best);
        let mut outcomes = self.outcomes(&members);
        let mut score = Refit::score(&outcomes);
        if score.mae() > GATE * benchmark {
            // Two forecasts that are wrong in different ways are better halved than chosen from.
            members = halfway(&members, naive);
            outcomes = self.outcomes(&members);
            score = Refit::score(&outcomes);
        }
        let gated = score.mae() > GATE * benchmark;
        if gated {
            members = vec![(naive, 1.0)];
            outcomes = self.outcomes(&members);
            score = self.candidates[naive].score;
        }
        let model = if members.len() == 1 { self.candidates[members[0].0].fitted.model } else { Model::Combination };
        let mut families: Vec<Family> = Vec::new();
        for (i, _) in &members {
            let family = self.candidates[*i].family;
            if !families.contains(&family) {
                families.push(family);
            }
        }
        let chosen = Box::new(Chosen {
            model,
            members: members.iter().map(|(i, w)| (self.candidates[*i].fitted.model, *w)).collect(),
            families,
            score,
            skill: if benchmark > 0.0 { 1.0 - score.mae() / benchmark } else { 0.0 },
            gated,
            calibration: Calibration::new(self.horizon, &outcomes),
            board: order
                .iter()
                .map(|&i| Standing { model: self.candidates[i].fitted.model, score: self.candidates[i].score })
                .collect(),
        });
        Stage::Whole { chosen, family: 0, fitting: None, members: Vec::new() }
    }

    /// Too little has been seen to judge: the seasonal naive forecast if there is a period, else the last value.
    fn without_backtest(&self) -> Stage {
        let n = self.series.len();
        let period = self.periods.iter().copied().rfind(|period| n >= *period);
        let model = period.map_or(Model::Naive, Model::SeasonalNaive);
        let chosen = Box::new(Chosen {
            model,
            members: vec![(model, 1.0)],
            families: vec![Family::Plain],
            score: Score::default(),
            skill: 0.0,
            gated: false,
            calibration: Calibration::default(),
            board: Vec::new(),
        });
        Stage::Whole { chosen, family: 0, fitting: None, members: Vec::new() }
    }

    /// Weights by inverse squared error, none below a twentieth.
    fn weigh(&self, members: &[usize]) -> Vec<(usize, f64)> {
        let mse: Vec<f64> = members.iter().map(|i| self.candidates[*i].score.mae().powi(2)).collect();
        members.iter().copied().zip(super::combination::weights(&mse)).collect()
    }

    fn fit_whole(
        &mut self,
        chosen: Box<Chosen>,
        family: usize,
        fitting: Option<Fitting>,
        mut members: Vec<(Fitted, f64)>,
    ) -> Stage {
        let Some(&which) = chosen.families.get(family) else {
            self.done = Some(Choice {
                model: chosen.model,
                members,
                periods: std::mem::take(&mut self.periods),
                board: chosen.board,
                score: chosen.score,
                skill: chosen.skill,
                gated: chosen.gated,
                calibration: chosen.calibration,
                ceiling: self.ceiling,
            });
            return Stage::Choose;
        };
        let mut fitting = fitting.unwrap_or_else(|| Fitting::new(which, &self.series, &self.periods, &self.seasons));
        match fitting.advance(&self.series) {
            None => Stage::Whole { chosen, family, fitting: Some(fitting), members },
            Some(models) => {
                for fitted in models {
                    if let Some((_, weight)) = chosen.members.iter().find(|(model, _)| *model == fitted.model) {
                        members.push((fitted, *weight));
                    }
                }
                Stage::Whole { chosen, family: family + 1, fitting: None, members }
            }
        }
    }
}

/// Half of the weights, and the other half for `naive`.
fn halfway(members: &[(usize, f64)], naive: usize) -> Vec<(usize, f64)> {
    let mut halved: Vec<(usize, f64)> = members.iter().map(|&(i, weight)| (i, weight / 2.0)).collect();
    match halved.iter_mut().find(|(i, _)| *i == naive) {
        Some((_, weight)) => *weight += 0.5,
        None => halved.push((naive, 0.5)),
    }
    halved
}

/// The families worth fitting to `head`.
fn families(head: &[f64], seasons: &[usize]) -> Vec<Family> {
    let mut families = vec![Family::Plain, Family::Smoothing];
    let n = head.len();
    let seasonal = !seasons.is_empty();
    // Logarithms and factors want values that stay away from zero.
    let mut values = head.to_vec();
    let mut ranked = |rank: usize| match rank < n {
        true => *values.select_nth_unstable_by(rank, f64::total_cmp).1,
        false => 0.0,
    };
    let median = ranked(n / 2);
    let floor = (0.01 * median).min(0.5);
    let positive = median > 0.0 && ranked(n / 50) > floor;
    if n >= 24 {
        families.push(Family::Lags(Scale::Raw));
        if positive {
            families.push(Family::Lags(Scale::Log(floor)));
        }
    }
    if seasonal {
        families.extend([Family::HoltWinters(Scale::Raw), Family::Decomposition(Scale::Raw)]);
        if positive {
            let log = Scale::Log(floor);
            families.extend([Family::HoltWinters(log), Family::Multiplicative(floor), Family::Decomposition(log)]);
        }
    }
    families
}

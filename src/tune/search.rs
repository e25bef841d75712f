//! The search: candidates, and which of them get how many runs.
//!
//! It knows nothing of simulations: whoever calls it plays the [`Trial`]s that it asks for. The same seed asks for the same trials in the
//! same order, so a study that was killed goes on from what it has, and threads or shards change nothing.

use super::expression::Unknown;
use super::judge::{Outcome, Rules, Sample, Score};
use super::local;
use super::race::{self, FINALISTS, Key, Rung, first_rung, rungs};
use super::sobol::Sobol;
use super::space::{Range, Space, Value};
use super::tpe;
use crate::rng::{Dice, Stream};
use crate::statistics;

/// Runs of each candidate of a method that gives all the same.
pub const EQUAL_RUNS: u32 = 8;
/// Points in a row that are impossible, or known, before there is taken to be no other.
pub(super) const PATIENCE: u32 = 1000;

/// How candidates are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Sobol points, a race among them, local search around the best.
    Race,
    /// Sobol points with as many runs each.
    Sobol,
    /// Random points with as many runs each.
    Random,
    /// A grid with as many runs each.
    Grid,
    /// Points where good ones are dense, by Parzen estimators, with as many runs each: for runs that are dear.
    Tpe,
}

impl Method {
    /// By name.
    pub const ALL: [(&'static str, Method); 5] = [
        ("race", Method::Race),
        ("sobol", Method::Sobol),
        ("random", Method::Random),
        ("grid", Method::Grid),
        ("tpe", Method::Tpe),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Method::ALL.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }
}

/// Where a candidate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is the present setting.
    Present,
    /// It is a point of the first, even spread.
    Spread,
    /// It is a child in this generation of the local search.
    Child(u32),
    /// It was drawn where good settings are dense.
    Drawn,
    /// It stands beside the winner, to see whether that stands on a cliff.
    Neighbor,
}

impl Origin {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Origin::Present => "present",
            Origin::Spread => "spread",
            Origin::Child(_) => "child",
            Origin::Drawn => "drawn",
            Origin::Neighbor => "neighbor",
        }
    }
}

/// A setting of everything that is varied.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Where in the cube; `None` for a present setting that lies outside of it.
    pub point: Option<Vec<f64>>,
    /// The values of keys; empty for the present setting.
    pub settings: Vec<(String, Value)>,
    /// Where it comes from.
    pub origin: Origin,
}

/// A run that the search wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Number of the candidate.
    pub candidate: usize,
    /// Number of the day.
    pub day: usize,
    /// Number of the seed.
    pub seed: u32,
}

/// What plays trials: it is told the candidates, and answers in the order of the trials.
pub trait Play {
    /// Why it stopped.
    type Stop;
    /// Plays them.
    fn play(&mut self, candidates: &[Candidate], trials: &[Trial]) -> Result<Vec<Outcome>, Self::Stop>;
    /// Is told which candidate leads, and its score so far.
    fn leads(&mut self, _candidate: usize, _score: &Score) {}
    /// Whether a scenario can have these settings; the error says why not.
    fn admits(&mut self, settings: &[(String, Value)]) -> Result<(), String>;
}

/// Why a search came to no end.
#[derive(Debug, thiserror::Error)]
pub enum Error<S> {
    /// Whoever plays stopped.
    #[error("stopped")]
    Stopped(S),
    /// Nothing that is allowed was found.
    #[error("none of {PATIENCE} points is possible; the last was refused: {0}")]
    NoRoom(String),
    /// A formula names what is not there.
    #[error(transparent)]
    Unknown(#[from] Unknown),
}

/// What is searched, and with how much effort.
#[derive(Clone, Debug)]
pub struct Task<'a> {
    /// Where.
    pub space: &'a Space,
    /// What counts.
    pub rules: &'a Rules,
    /// Where the present setting lies in the cube, if it does.
    pub present: Option<Vec<f64>>,
    /// How.
    pub method: Method,
    /// Runs that it may take, about.
    pub budget: u64,
    /// Seed of the search's own numbers.
    pub seed: u64,
    /// Days that it may see; the hardest first.
    pub days: usize,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Every candidate, the present setting first.
    pub candidates: Vec<Candidate>,
    /// The runs of each.
    pub samples: Vec<Vec<Sample>>,
    /// Candidates of the first rung.
    pub first_rung: usize,
    /// The best, best first.
    pub finalists: Vec<usize>,
    /// Points that were drawn and not possible.
    pub refused: u64,
}

impl Found {
    /// The score of a candidate by the runs of the search; `None` if it had none.
    pub fn score(&self, candidate: usize, rules: &Rules) -> Option<Score> {
        let samples = &self.samples[candidate];
        (!samples.is_empty()).then(|| Score::of_runs(samples, rules))
    }
}

/// Searches.
pub fn search<P: Play>(task: &Task, player: &mut P) -> Result<Found, Error<P::Stop>> {
    let mut hunt = Hunt {
        task,
        player,
        sobol: Sobol::new(task.space.free.len(), task.seed),
        next: 0,
        found: Found {
            candidates: vec![Candidate {
                point: task.present.clone(),
                settings: Vec::new(),
                origin: Origin::Present,
            }],
            samples: vec![Vec::new()],
            first_rung: 0,
            finalists: Vec::new(),
            refused: 0,
        },
    };
    match task.method {
        Method::Race => hunt.race()?,
        Method::Sobol | Method::Random | Method::Grid => hunt.equal()?,
        Method::Tpe => hunt.parzen()?,
    }
    Ok(hunt.found)
}

struct Hunt<'a, 'p, P> {
    task: &'a Task<'a>,
    player: &'p mut P,
    sobol: Sobol,
    /// Points drawn so far.
    next: u32,
    found: Found,
}

impl<P: Play> Hunt<'_, '_, P> {
    fn race(&mut self) -> Result<(), Error<P::Stop>> {
        let budget = self.task.budget;
        self.spread(first_rung(budget).candidates)?;
        let first = Rung { candidates: self.found.candidates.len(), ..first_rung(budget) };
        self.found.first_rung = first.candidates;
        let mut field: Vec<usize> = (0..first.candidates).collect();
        self.run(&field, first.runs)?;
        let later = rungs(first, race::FACTOR, race::MOST_RUNS);
        for (i, rung) in later.iter().enumerate().skip(1) {
            let order = self.order(&field);
            self.tell(&order);
            // The race is among many; of a few all are looked at.
            let keep = rung.candidates.max(FINALISTS.min(first.candidates)).min(order.len());
            field = order[..keep].to_vec();
            // What everything is compared with runs along.
            if !field.contains(&0) {
                field.push(0);
            }
            let keep = later.get(i + 1).map_or(FINALISTS, |next| next.candidates.max(FINALISTS));
            field = self.run_some(field, &[], rung.runs, keep)?;
            if i == 1 {
                self.local(&mut field, rung.runs, budget / 3)?;
            }
        }
        if later.len() == 1 {
            let runs = first.runs * race::FACTOR;
            self.local(&mut field, runs, budget / 3)?;
        }
        let order = self.order(&field);
        self.found.finalists = order.into_iter().take(FINALISTS).collect();
        Ok(())
    }

    /// Local search around the best; its children join the field.
    fn local(&mut self, field: &mut Vec<usize>, runs: u32, budget: u64) -> Result<(), Error<P::Stop>> {
        let room = budget / u64::from(runs);
        let mut left = room.min(u64::from(local::CHILDREN * local::GENERATIONS)) as usize;
        for generation in 0..local::GENERATIONS {
            let order = self.order(field);
            self.tell(&order);
            let elite: Vec<Vec<f64>> =
                order.iter().filter_map(|&c| self.found.candidates[c].point.clone()).take(FINALISTS).collect();
            let children = local::children(&elite, self.task.space, self.task.seed, generation);
            let mut born = Vec::new();
            for child in children.into_iter().take(left) {
                if let Ok(candidate) = self.admit(child, Origin::Child(generation))? {
                    born.push(candidate);
                }
            }
            left -= born.len().min(left);
            field.extend(self.run_some(born, field, runs, FINALISTS)?);
        }
        Ok(())
    }

    /// Every candidate gets as many runs.
    fn equal(&mut self) -> Result<(), Error<P::Stop>> {
        let n = (self.task.budget / u64::from(EQUAL_RUNS)).max(1) as usize;
        match self.task.method {
            Method::Grid => {
                for point in grid(self.task.space, n) {
                    // What is impossible on a grid is left out of it.
                    let _ = self.admit(point, Origin::Spread)?;
                }
            }
            _ => self.spread(n)?,
        }
        let field: Vec<usize> = (0..self.found.candidates.len()).collect();
        self.found.first_rung = field.len();
        self.run(&field, EQUAL_RUNS)?;
        self.found.finalists = self.order(&field).into_iter().take(FINALISTS).collect();
        Ok(())
    }

    /// Each next candidates are drawn by what all before have shown, and get as many runs.
    fn parzen(&mut self) -> Result<(), Error<P::Stop>> {
        let n = (self.task.budget / u64::from(EQUAL_RUNS)).max(1) as usize;
        self.spread(n.min(tpe::FIRST))?;
        let mut field: Vec<usize> = (0..self.found.candidates.len()).collect();
        self.found.first_rung = field.len();
        self.run(&field, EQUAL_RUNS)?;
        let (mut drawn, mut in_vain) = (0, 0);
        while field.len() < n && in_vain < PATIENCE {
            let order = self.order(&field);
            self.tell(&order);
            let points: Vec<&[f64]> =
                order.iter().filter_map(|&c| self.found.candidates[c].point.as_deref()).collect();
            let d = self.task.space.free.len();
            let next: Vec<Vec<f64>> =
                (drawn..drawn + tpe::AT_ONCE).map(|i| tpe::suggest(&points, d, self.task.seed, i)).collect();
            drawn += tpe::AT_ONCE;
            let before = field.len();
            for point in next.into_iter().take(n - before) {
                if let Ok(candidate) = self.admit(point, Origin::Drawn)? {
                    field.push(candidate);
                }
            }
            in_vain = if field.len() > before { 0 } else { in_vain + 1 };
            self.run(&field[before..], EQUAL_RUNS)?;
        }
        self.found.finalists = self.order(&field).into_iter().take(FINALISTS).collect();
        Ok(())
    }

    /// Draws points until there are `n` candidates, the present one included, or no others.
    fn spread(&mut self, n: usize) -> Result<(), Error<P::Stop>> {
        let dice = Dice::new(self.task.seed, Stream::TuneRandom);
        let d = self.task.space.free.len();
        let (mut in_vain, mut why) = (0, None);
        while self.found.candidates.len() < n.max(2) && in_vain < PATIENCE {
            let point = match self.task.method {
                Method::Random => (0..d as u64).map(|k| dice.sub(u64::from(self.next), k).unit()).collect(),
                _ => self.sobol.point(self.next),
            };
            self.next += 1;
            match self.admit(point, Origin::Spread)? {
                Ok(_) => in_vain = 0,
                Err(refused) => {
                    in_vain += 1;
                    why = refused.or(why);
                }
            }
        }
        if self.found.candidates.len() == 1 {
            return Err(Error::NoRoom(why.unwrap_or_else(|| "it is the present setting".to_string())));
        }
        Ok(())
    }

    /// Makes a point a candidate, unless it is impossible (the error says why) or known.
    fn admit(&mut self, point: Vec<f64>, origin: Origin) -> Result<Result<usize, Option<String>>, Unknown> {
        let admits = |settings: &[(String, Value)]| self.player.admits(settings);
        match candidate(self.task.space, &self.found.candidates, point, origin, admits)? {
            Ok(new) => {
                self.found.candidates.push(new);
                self.found.samples.push(Vec::new());
                Ok(Ok(self.found.candidates.len() - 1))
            }
            Err(why) => {
                self.found.refused += u64::from(why.is_some());
                Ok(Err(why))
            }
        }
    }

    /// Gives each of `field` so many runs in all. Run k is on day k modulo the days, so that the hardest days are seen first.
    fn run(&mut self, field: &[usize], runs: u32) -> Result<(), Error<P::Stop>> {
        let days = self.task.days.max(1) as u32;
        let trials: Vec<Trial> = field
            .iter()
            .flat_map(|&candidate| {
                let done = self.found.samples[candidate].len() as u32;
                (done..runs).map(move |k| Trial { candidate, day: (k % days) as usize, seed: k / days })
            })
            .collect();
        let outcomes = self.player.play(&self.found.candidates, &trials).map_err(Error::Stopped)?;
        for (trial, outcome) in trials.into_iter().zip(outcomes) {
            self.found.samples[trial.candidate].push(Sample { day: trial.day, seed: trial.seed, outcome });
        }
        Ok(())
    }

    /// Gives each of `field` so many runs in all, unless half of them show already that it will not be among the `keep` best of it and
    /// `others`, which have as many: that pairs of runs say it is dearer than the last of these, which holds its targets. Who is left. The
    /// present setting always is.
    fn run_some(
        &mut self,
        mut field: Vec<usize>,
        others: &[usize],
        runs: u32,
        keep: usize,
    ) -> Result<Vec<usize>, Error<P::Stop>> {
        if runs / 2 >= race::FEWEST_PAIRS {
            self.run(&field, runs / 2)?;
            let all: Vec<usize> = field.iter().chain(others).copied().collect();
            let order = self.order(&all);
            if let Some(&last) = order.get(keep.saturating_sub(1)).filter(|&&last| self.holds(last, runs / 2)) {
                let kept = &order[..keep];
                field.retain(|c| *c == 0 || kept.contains(c) || !self.is_dearer(*c, last));
            }
        }
        self.run(&field, runs)?;
        Ok(field)
    }

    /// Whether a candidate holds its targets in its first `runs`, as the race sees it.
    fn holds(&self, candidate: usize, runs: u32) -> bool {
        let samples = &self.found.samples[candidate];
        let some = &samples[..samples.len().min(runs as usize)];
        Key::new(candidate, &Score::of_runs(some, self.task.rules)).worst <= 0.0
    }

    /// Whether the runs that both have had say for sure that a candidate costs more than another.
    fn is_dearer(&self, candidate: usize, other: usize) -> bool {
        let costs = |candidate: usize| -> Vec<f64> {
            self.found.samples[candidate].iter().map(|sample| sample.outcome.cost).collect()
        };
        statistics::of_paired(&costs(other), &costs(candidate))
            .is_some_and(|difference| difference.low(race::SURE) > 0.0)
    }

    /// Tells who leads in a field in order.
    fn tell(&mut self, order: &[usize]) {
        if let Some(&first) = order.first()
            && let Some(score) = self.found.score(first, self.task.rules)
        {
            self.player.leads(first, &score);
        }
    }

    /// The field in order, best first. Candidates of one rung have met the same days and seeds; where they have not, on those that both
    /// have met.
    fn order(&self, field: &[usize]) -> Vec<usize> {
        let common = field.iter().map(|&c| self.found.samples[c].len()).min().unwrap_or(0);
        let key = |&candidate: &usize| {
            Key::new(candidate, &Score::of_runs(&self.found.samples[candidate][..common], self.task.rules))
        };
        let mut keys: Vec<Key> = field.iter().map(key).collect();
        keys.sort();
        keys.into_iter().map(|key| key.candidate).collect()
    }
}

/// The candidate at a point, unless it is impossible (the error says why) or among those that are known.
pub(super) fn candidate(
    space: &Space,
    known: &[Candidate],
    point: Vec<f64>,
    origin: Origin,
    admits: impl FnOnce(&[(String, Value)]) -> Result<(), String>,
) -> Result<Result<Candidate, Option<String>>, Unknown> {
    let Some(settings) = space.settings(&point)? else {
        let conditions: Vec<&str> = space.constraints.iter().map(|c| c.text.as_str()).collect();
        return Ok(Err(Some(format!("it does not meet {}", conditions.join(" and ")))));
    };
    if known.iter().any(|other| other.settings == settings) {
        return Ok(Err(None));
    }
    let new = Candidate { point: Some(point), settings, origin };
    Ok(admits(&new.settings).map(|()| new).map_err(Some))
}

/// The points of a grid of at most `n`: every value of what has few, as many of the rest as leaves room, evenly.
fn grid(space: &Space, n: usize) -> Vec<Vec<f64>> {
    let d = space.free.len();
    let most: Vec<u64> = space.free.iter().map(|each| each.range.size().unwrap_or(u64::MAX)).collect();
    let mut levels = vec![1u64; d];
    let product = |levels: &[u64]| levels.iter().fold(1u64, |all, &each| all.saturating_mul(each));
    loop {
        // The coarsest first, so that all grow alike.
        let grown = (0..d).filter(|&k| levels[k] < most[k]).min_by_key(|&k| levels[k]);
        let Some(k) = grown else { break };
        levels[k] += 1;
        if product(&levels) > n as u64 {
            levels[k] -= 1;
            break;
        }
    }
    let total = product(&levels);
    let place = |range: &Range, i: u64, levels: u64| match range {
        // Both ends, where there is no end of values.
        Range::Numbers { .. } | Range::Durations { .. } if levels > 1 => {
            (i as f64 / (levels - 1) as f64).min(super::space::BELOW_ONE)
        }
        _ => (i as f64 + 0.5) / levels as f64,
    };
    (0..total)
        .map(|mut number| {
            (0..d)
                .map(|k| {
                    let i = number % levels[k];
                    number /= levels[k];
                    place(&space.free[k].range, i, levels[k])
                })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests;

//! The search: candidates, and which of them get how many runs.
//!
//! It knows nothing of simulations: whoever calls it plays the [`Trial`]s that it asks for. The same seed asks for the same trials in the
//! same order, so a study that was killed goes on from what it has, and threads or shards change nothing.

use super::expression::Unknown;
use super::importance::{self, Importance};
use super::judge::{Outcome, Rules, Sample, Score};
use super::local;
use super::race::{self, FINALISTS, Key, Plan};
use super::sobol::Sobol;
use super::space::{Dimension, Range, Space, Value};
use super::surrogate::{self, Look, Surrogate};
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
    /// It was drawn where, by all that was seen, a good setting might be.
    Drawn,
    /// It is a good setting with what does not matter left as it is at present.
    Plain,
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
            Origin::Plain => "plain",
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

    /// How much each setting matters, by the first looks at the even spread.
    pub fn importance(&self, space: &Space, rules: &Rules) -> Vec<Importance> {
        let spread: Vec<(&[f64], Score)> = (0..self.first_rung)
            .filter_map(|c| {
                let samples = &self.samples[c];
                let runs = samples.len().min(race::FIRST_RUNS as usize);
                let point = self.candidates[c].point.as_deref()?;
                (runs > 0).then(|| (point, Score::of_runs(&samples[..runs], rules)))
            })
            .collect();
        let costs: Vec<f64> = spread.iter().map(|(_, score)| score.cost).collect();
        let worst: Vec<f64> = spread.iter().map(|(_, score)| score.worst(0.0)).collect();
        let of = |(k, dimension): (usize, &Dimension)| {
            let places: Vec<f64> = spread.iter().map(|(point, _)| point[k]).collect();
            Importance {
                path: dimension.path.clone(),
                of_cost: importance::share(&places, &costs),
                of_targets: importance::share(&places, &worst),
            }
        };
        space.free.iter().enumerate().map(of).collect()
    }
}

/// Searches.
pub fn search<P: Play>(task: &Task, player: &mut P) -> Result<Found, Error<P::Stop>> {
    let mut hunt = Hunt {
        task,
        player,
        sobol: Sobol::new(task.space.free.len(), task.seed),
        next: 0,
        generation: 0,
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
    /// Generations of the local search so far.
    generation: u32,
    found: Found,
}

impl<P: Play> Hunt<'_, '_, P> {
    fn race(&mut self) -> Result<(), Error<P::Stop>> {
        let plan = Plan::new(self.task.budget);
        self.spread(plan.spread.candidates)?;
        let mut field: Vec<usize> = (0..self.found.candidates.len()).collect();
        self.found.first_rung = field.len();
        self.run(&field, plan.spread.runs)?;
        let mut order = self.order(&field);
        for (i, rung) in plan.rungs.iter().enumerate() {
            self.tell(&order);
            field = order.iter().copied().take(rung.candidates).collect();
            // What everything is compared with runs along.
            if !field.contains(&0) {
                field.push(0);
            }
            let keep = plan.rungs.get(i + 1).map_or(FINALISTS, |next| next.candidates);
            field = self.run_some(field, rung.runs, keep)?;
            if i == 0 {
                self.local(&mut field, rung.runs, plan.local)?;
            }
            order = self.order(&field);
        }
        let plain = self.plain(&order)?;
        let runs = self.found.samples[order[0]].len() as u32;
        self.run(&plain, runs)?;
        // They are few, and cost about what those cost that they come from.
        self.found.finalists = order.into_iter().take(FINALISTS - plain.len()).chain(plain).collect();
        Ok(())
    }

    /// The best of these, with what does not matter left as it is at present: fewer changes for the same money.
    fn plain(&mut self, order: &[usize]) -> Result<Vec<usize>, Unknown> {
        let Some(present) = self.task.present.clone() else { return Ok(Vec::new()) };
        let importance = self.found.importance(self.task.space, self.task.rules);
        let points: Vec<Vec<f64>> =
            order.iter().filter_map(|&c| self.found.candidates[c].point.clone()).take(race::PLAIN).collect();
        let mut plain = Vec::new();
        for mut point in points {
            for (k, _) in importance.iter().enumerate().filter(|(_, setting)| !setting.matters()) {
                point[k] = present[k];
            }
            if let Ok(candidate) = self.admit(point, Origin::Plain)? {
                plain.push(candidate);
            }
        }
        Ok(plain)
    }

    /// Local search around a field that has had `runs`: children that are among its best by a first look get as many, and join it.
    fn local(&mut self, field: &mut Vec<usize>, runs: u32, until: u64) -> Result<(), Error<P::Stop>> {
        let mut barren = 0;
        while self.spent() < until && barren < race::BARREN {
            let mut best = self.order(field);
            self.tell(&best);
            best.truncate(FINALISTS);
            let born = self.generation(&best)?;
            barren = if born.is_empty() { barren + 1 } else { 0 };
            let both: Vec<usize> = best.iter().chain(&born).copied().collect();
            let among_the_best = self.order(&both).into_iter().take(FINALISTS);
            let promoted: Vec<usize> = among_the_best.filter(|c| born.contains(c)).take(race::PROMOTED).collect();
            self.run(&promoted, runs)?;
            field.extend(promoted);
        }
        Ok(())
    }

    /// Another generation of the local search, with a first look at each child; `order` has the best first. Empty if all are known or
    /// impossible.
    fn generation(&mut self, order: &[usize]) -> Result<Vec<usize>, Error<P::Stop>> {
        let points = order.iter().filter_map(|&c| self.found.candidates[c].point.clone());
        let elite: Vec<Vec<f64>> = points.take(FINALISTS).collect();
        let spent = self.spent() as f64 / self.task.budget as f64;
        let children = local::children(&elite, self.task.space, self.task.seed, self.generation, spent);
        let child = Origin::Child(self.generation);
        self.generation += 1;
        let anywhere: Vec<Vec<f64>> = (0..local::ANYWHERE).map(|i| self.sobol.point(self.next + i)).collect();
        self.next += local::ANYWHERE;
        let children = children.into_iter().map(|point| (point, child));
        let born = self.choose(children.chain(anywhere.into_iter().map(|point| (point, Origin::Drawn))).collect())?;
        self.run(&born, race::FIRST_RUNS)?;
        Ok(born)
    }

    /// Makes candidates of those of these points that are worth a look by what the first looks at all others have shown.
    fn choose(&mut self, mut points: Vec<(Vec<f64>, Origin)>) -> Result<Vec<usize>, Error<P::Stop>> {
        let mut surrogate = Surrogate::new(&self.looks(), self.task.space);
        let mut born = Vec::new();
        while born.len() < local::CHILDREN && !points.is_empty() {
            let worth = |point: &[f64]| surrogate.as_ref().map_or(0.0, |surrogate| surrogate.worth(point));
            let worths = points.iter().map(|(point, _)| worth(point));
            // Of equals the first: parents are in turn, the best first.
            let best = worths.enumerate().reduce(|a, b| if b.1 > a.1 { b } else { a });
            let (point, origin) = points.remove(best.map_or(0, |(place, _)| place));
            if let Ok(candidate) = self.admit(point.clone(), origin)? {
                born.push(candidate);
                if let Some(surrogate) = &mut surrogate {
                    surrogate.believe(&point);
                }
            }
        }
        Ok(born)
    }

    /// What is known of the best by their first looks. Costs are those of the first looks, which are of the same days and seeds. Targets are
    /// judged by all runs of those that have had more; the others are taken to be as flattered by their first looks as these were, on average.
    fn looks(&self) -> Vec<Look> {
        let first = race::FIRST_RUNS as usize;
        let key =
            |c: usize, runs: usize| Key::new(c, &Score::of_runs(&self.found.samples[c][..runs], self.task.rules));
        let both = |c: usize| {
            let runs = self.found.samples[c].len();
            (key(c, first), (runs > first).then(|| key(c, runs).worst))
        };
        let mut all: Vec<(Key, Option<f64>)> = (0..self.found.candidates.len()).map(both).collect();
        let flattery = |(first, worst): &(Key, Option<f64>)| worst.map(|worst| worst - first.worst);
        let flatteries: Vec<f64> = all.iter().filter_map(flattery).filter(|f| f.is_finite()).collect();
        let flattery = if flatteries.is_empty() { 0.0 } else { statistics::mean(&flatteries) };
        all.sort_by_key(|(first, _)| *first);
        let look = |(first, worst): (Key, Option<f64>)| {
            let point = self.found.candidates[first.candidate].point.clone()?;
            Some(Look { point, cost: first.cost, worst: worst.unwrap_or(first.worst + flattery) })
        };
        all.into_iter().filter_map(look).take(surrogate::MOST_LOOKS).collect()
    }

    /// Runs so far.
    fn spent(&self) -> u64 {
        self.found.samples.iter().map(|samples| samples.len() as u64).sum()
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

    /// Gives each of `field` so many runs in all, unless half of them show already that it will not be among the `keep` best of it: that pairs
    /// of runs say it is dearer than the last of these, which holds its targets. Who is left. The present setting always is.
    fn run_some(&mut self, mut field: Vec<usize>, runs: u32, keep: usize) -> Result<Vec<usize>, Error<P::Stop>> {
        if runs / 2 >= race::FEWEST_PAIRS {
            self.run(&field, runs / 2)?;
            let order = self.order(&field);
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

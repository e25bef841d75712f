//! A study from its first candidate to its advice.

use super::confirm::{Advice, Confirmation, Confirmed};
use super::days::Days;
use super::importance::Importance;
use super::judge::{Rules, Safety, Sample, Score};
use super::laboratory::{Block, Laboratory, Stop, Stress};
use super::pareto;
use super::race::FINALISTS;
use super::search::{self, Candidate, EQUAL_RUNS, Found, Method, Origin, Play, Task, Trial};
use super::space::{BELOW_ONE, End, Range, Space, Value};
use crate::statistics::Estimate;

/// Seeds that robustness and the look around the winner take: enough for a mean, not for a verdict.
const FEW_SEEDS: u32 = 2;
/// Fewest seeds of a confirmation: intervals of fewer say little.
const LEAST_SEEDS: u32 = 8;
/// How far a neighbour stands from the winner, as a share of a setting's range.
const NEIGHBORHOOD: f64 = 0.05;
/// A neighbour that misses a target by more than this stands below a cliff: a latency by more than a quarter, availability by more
/// than 0.025 percentage points.
const CLIFF: f64 = 0.25;
/// Safe settings that are looked at for one that stands on no cliff.
const CLIFFS_TRIED: usize = 3;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// What may be varied.
    pub space: Space,
    /// What counts.
    pub rules: Rules,
    /// How candidates are found.
    pub method: Method,
    /// Runs that the search may take, about.
    pub budget: u64,
    /// Fresh runs of each finalist, over all held-out days.
    pub confirm: u32,
    /// Confidence of "safe", in (0, 1).
    pub confidence: f64,
    /// Costs within this share of each other are the same.
    pub precision: f64,
    /// Seed of the search's own numbers.
    pub seed: u64,
    /// Where the present setting lies in the cube, if it does.
    pub present: Option<Vec<f64>>,
}

/// What stands beside the winner.
#[derive(Clone, Debug)]
pub struct Neighbor {
    /// The setting that differs.
    pub path: String,
    /// Its value there.
    pub value: Value,
    /// The score there.
    pub score: Score,
}

impl Neighbor {
    /// Whether it holds the targets, or misses them by little.
    pub fn is_on_firm_ground(&self) -> bool {
        self.score.worst(0.0) <= CLIFF
    }
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// What the search found.
    pub found: Found,
    /// The finalists on what nobody had seen.
    pub confirmation: Confirmation,
    /// What to do.
    pub advice: Advice,
    /// Safe settings that cost as much as the recommended one, itself included, by their place in the confirmation.
    pub equivalent: Vec<usize>,
    /// Safe settings that stand on a cliff, by their place in the confirmation: passed over, unless the recommended one is among them.
    pub on_cliffs: Vec<usize>,
    /// Relative change of cost from the present setting to the recommended one, as a difference of logarithms.
    pub saving: Option<Estimate>,
    /// What stands beside the recommended setting.
    pub neighbors: Vec<Neighbor>,
    /// The recommended setting in a world that is not as the scenario says.
    pub stressed: Vec<(Stress, Score)>,
    /// Each setting with the share of the variance of cost, and of the worst target, that it explains in the first rung.
    pub importance: Vec<Importance>,
    /// Candidates that none beats in cost, p99 and availability at once, by search figures, cheapest first.
    pub front: Vec<FrontPoint>,
    /// The knee of cost against p99, as a place in `front`.
    pub knee: Option<usize>,
    /// Settings of the recommended one at an end of their range, with the end: the optimum may be outside.
    pub at_edge: Vec<(String, String)>,
    /// Runs of the search, and of everything after it.
    pub runs: (u64, u64),
    /// Requests of all those runs.
    pub requests: u64,
}

/// A candidate on the front.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontPoint {
    /// Number of the candidate.
    pub candidate: usize,
    /// Cost a day.
    pub cost: f64,
    /// Mean p99 of its runs \[ms\].
    pub p99_ms: f64,
    /// Mean availability of its runs.
    pub availability: f64,
}

impl Tuned {
    /// The place of the recommended setting in the confirmation: the present one if nothing is to be changed, the least unsafe if none holds.
    pub fn recommended(&self) -> usize {
        match self.advice {
            Advice::Change(i) | Advice::NoneHolds(i) => i,
            Advice::Keep => 0,
        }
    }

    /// The recommended candidate.
    pub fn candidate(&self) -> &Candidate {
        &self.found.candidates[self.confirmed().candidate]
    }

    /// Its fresh runs.
    pub fn confirmed(&self) -> &Confirmed {
        &self.confirmation.all[self.recommended()]
    }
}

/// Why there is no answer.
pub type Error = search::Error<Stop>;

/// Runs that a question takes, about.
pub fn expected(question: &Question, days: &Days) -> u64 {
    let fresh = u64::from(fresh_seeds(question, days)) * days.held_out.len() as u64;
    let confirm = fresh * (FINALISTS as u64 + 1);
    let around = days.held_out.len() as u64 * u64::from(FEW_SEEDS);
    question.budget + confirm + around * (2 * question.space.free.len() as u64 + Stress::TRIED.len() as u64)
}

/// Fresh seeds of each finalist: as many as make the runs that were asked for on all held-out days.
pub fn fresh_seeds(question: &Question, days: &Days) -> u32 {
    question.confirm.div_ceil(days.held_out.len().max(1) as u32).max(LEAST_SEEDS)
}

/// Answers a question. The laboratory's days are those that may be searched, and then those held out.
pub fn tune(question: &Question, days: &Days, laboratory: &mut Laboratory) -> Result<Tuned, Error> {
    let task = Task {
        space: &question.space,
        rules: &question.rules,
        present: question.present.clone(),
        method: question.method,
        budget: question.budget,
        seed: question.seed,
        days: days.searched.len(),
    };
    laboratory.set(Block::Search, Stress::None);
    let mut found = search::search(&task, laboratory)?;
    let searched: u64 = found.samples.iter().map(|samples| samples.len() as u64).sum();
    laboratory.set(Block::Fresh, Stress::None);
    let mut jury = Jury { question, days, laboratory, runs: 0, requests: 0 };
    let mut finalists = vec![0];
    finalists.extend(found.finalists.iter().copied().filter(|&candidate| candidate != 0));
    let seeds = fresh_seeds(question, days);
    let runs = jury.all(&found.candidates, &finalists, seeds)?;
    let confirmation =
        Confirmation::new(finalists.into_iter().zip(runs).collect(), &question.rules, question.confidence);
    let mut advice = confirmation.advice(&found.candidates, question.precision);
    let (mut neighbors, mut on_cliffs) = (Vec::new(), Vec::new());
    if let Advice::Change(first) = advice {
        // The cheapest that stands on no cliff; if all do, the cheapest, and the report says so.
        let cheaper = |i: usize| confirmation.change(0, i).is_none_or(|change| change.interval(0.95).1 < 0.0);
        let worth = |i: &usize| *i != first && (confirmation.present().safety != Safety::Safe || cheaper(*i));
        let others = confirmation.safe().into_iter().filter(|&i| i != 0).filter(worth);
        let mut looked_at = Vec::new();
        let mut sound = None;
        for i in std::iter::once(first).chain(others).take(CLIFFS_TRIED) {
            let around = jury.neighbors(&mut found.candidates, confirmation.all[i].candidate)?;
            let is_sound = around.iter().all(Neighbor::is_on_firm_ground);
            looked_at.push((i, around));
            if is_sound {
                sound = looked_at.pop();
                break;
            }
        }
        found.samples.resize(found.candidates.len(), Vec::new());
        on_cliffs = looked_at.iter().map(|(i, _)| *i).collect();
        if let Some((i, around)) = sound.or_else(|| looked_at.into_iter().next()) {
            (advice, neighbors) = (Advice::Change(i), around);
        }
    }
    let recommended = match advice {
        Advice::Change(i) | Advice::NoneHolds(i) => i,
        Advice::Keep => 0,
    };
    let winner = confirmation.all[recommended].candidate;
    let stressed = jury.stressed(&found.candidates, winner)?;
    let after = (jury.runs, jury.requests);
    let at_edge = at_edge(&question.space, &found.candidates[winner], laboratory);
    let front = front(&found, &question.rules);
    let plane: Vec<[f64; 2]> = front.iter().map(|point| [point.cost, point.p99_ms]).collect();
    Ok(Tuned {
        importance: found.importance(&question.space, &question.rules),
        knee: pareto::knee(&plane).map(|(i, _)| i),
        front,
        equivalent: confirmation.equivalent(recommended, question.precision),
        on_cliffs,
        saving: (recommended != 0).then(|| confirmation.change(0, recommended)).flatten(),
        neighbors,
        stressed,
        at_edge,
        runs: (searched, after.0),
        requests: after.1 + found.samples.iter().flatten().map(|sample| sample.outcome.simulated).sum::<u64>(),
        advice,
        confirmation,
        found,
    })
}

/// Plays candidates on held-out days with fresh seeds.
struct Jury<'a, 'b> {
    question: &'a Question,
    days: &'a Days,
    laboratory: &'a mut Laboratory<'b>,
    runs: u64,
    requests: u64,
}

impl Jury<'_, '_> {
    fn all(&mut self, candidates: &[Candidate], which: &[usize], seeds: u32) -> Result<Vec<Vec<Sample>>, Error> {
        let first = self.days.searched.len();
        let days = if self.days.is_cut { first..first + self.days.held_out.len() } else { 0..first };
        let each = days.len() * seeds as usize;
        let trials: Vec<Trial> = which
            .iter()
            .flat_map(|&candidate| {
                let days = days.clone();
                (0..seeds).flat_map(move |seed| days.clone().map(move |day| Trial { candidate, day, seed }))
            })
            .collect();
        let outcomes = self.laboratory.play(candidates, &trials).map_err(search::Error::Stopped)?;
        self.runs += outcomes.len() as u64;
        self.requests += outcomes.iter().map(|outcome| outcome.simulated).sum::<u64>();
        let samples: Vec<Sample> = trials
            .into_iter()
            .zip(outcomes)
            .map(|(trial, outcome)| Sample { day: trial.day, seed: trial.seed, outcome })
            .collect();
        Ok(samples.chunks(each.max(1)).map(<[Sample]>::to_vec).collect())
    }

    /// What stands a step beside a candidate, in each direction that has an order; new candidates for those that are none yet.
    fn neighbors(&mut self, candidates: &mut Vec<Candidate>, of: usize) -> Result<Vec<Neighbor>, Error> {
        let Some(point) = candidates[of].point.clone() else { return Ok(Vec::new()) };
        let mut beside: Vec<(usize, usize)> = Vec::new();
        for (k, dimension) in self.question.space.free.iter().enumerate() {
            if matches!(dimension.range, Range::Choices(_)) {
                continue;
            }
            let step = dimension.range.size().map_or(NEIGHBORHOOD, |n| NEIGHBORHOOD.max(1.0 / n as f64));
            for u in [point[k] - step, point[k] + step] {
                if !(0.0..1.0).contains(&u) {
                    continue;
                }
                let mut other = point.clone();
                other[k] = u.min(BELOW_ONE);
                let Some(settings) = self.question.space.settings(&other)? else { continue };
                if settings == candidates[of].settings || self.laboratory.admits(&settings).is_err() {
                    continue;
                }
                let known = candidates.iter().position(|each| each.settings == settings);
                let number = known.unwrap_or_else(|| {
                    candidates.push(Candidate { point: Some(other), settings, origin: Origin::Neighbor });
                    candidates.len() - 1
                });
                beside.push((k, number));
            }
        }
        let which: Vec<usize> = beside.iter().map(|(_, number)| *number).collect();
        let runs = self.all(candidates, &which, FEW_SEEDS)?;
        let neighbor = |((k, number), samples): ((usize, usize), Vec<Sample>)| {
            let path = &self.question.space.free[k].path;
            let value = candidates[number].settings.iter().find(|(each, _)| each == path);
            let value = value.map_or(Value::Choice(String::new()), |(_, value)| value.clone());
            Neighbor { path: path.clone(), value, score: Score::of_seeds(&samples, &self.question.rules) }
        };
        Ok(beside.into_iter().zip(runs).map(neighbor).collect())
    }

    fn stressed(&mut self, candidates: &[Candidate], which: usize) -> Result<Vec<(Stress, Score)>, Error> {
        let mut all = Vec::new();
        for stress in Stress::TRIED {
            self.laboratory.set(Block::Fresh, stress);
            let runs = self.all(candidates, &[which], FEW_SEEDS)?;
            all.push((stress, Score::of_seeds(&runs[0], &self.question.rules)));
        }
        self.laboratory.set(Block::Fresh, Stress::None);
        Ok(all)
    }
}

fn front(found: &Found, rules: &Rules) -> Vec<FrontPoint> {
    // Candidates are compared on the runs that all of them have.
    let enough: Vec<usize> =
        (0..found.candidates.len()).filter(|&c| found.samples[c].len() >= EQUAL_RUNS as usize).collect();
    let mean = |of: &dyn Fn(&Sample) -> Option<f64>, samples: &[Sample]| {
        let all: Option<Vec<f64>> = samples.iter().map(of).collect();
        all.map_or(f64::NAN, |all| all.iter().sum::<f64>() / all.len() as f64)
    };
    let points: Vec<FrontPoint> = enough
        .into_iter()
        .map(|candidate| {
            let samples = &found.samples[candidate][..EQUAL_RUNS as usize];
            FrontPoint {
                candidate,
                cost: Score::of_runs(samples, rules).cost,
                p99_ms: mean(&|sample| sample.outcome.p99_ms, samples),
                availability: mean(&|sample| sample.outcome.availability, samples),
            }
        })
        .collect();
    let objectives: Vec<Vec<f64>> =
        points.iter().map(|point| vec![point.cost, point.p99_ms, 1.0 - point.availability]).collect();
    pareto::front(&objectives).into_iter().map(|i| points[i].clone()).collect()
}

/// Settings at an end of their range beyond which a scenario has something, too: the best may lie there.
fn at_edge(space: &Space, candidate: &Candidate, laboratory: &mut Laboratory) -> Vec<(String, String)> {
    let Some(point) = &candidate.point else { return Vec::new() };
    let mut at_edge = Vec::new();
    for (dimension, &u) in space.free.iter().zip(point) {
        let width = dimension.range.size().map_or(0.02, |n| 1.0 / n as f64);
        let (end, next) = match u {
            u if u < width => (dimension.range.value(0.0), dimension.range.beyond(End::Low)),
            u if u >= 1.0 - width => (dimension.range.value(BELOW_ONE), dimension.range.beyond(End::High)),
            _ => continue,
        };
        let (Some(end), Some(next)) = (end, next) else { continue };
        let mut settings = candidate.settings.clone();
        settings.iter_mut().filter(|(path, _)| *path == dimension.path).for_each(|(_, value)| *value = next.clone());
        if laboratory.admits(&settings).is_ok() {
            at_edge.push((dimension.path.clone(), end.to_string()));
        }
    }
    at_edge
}

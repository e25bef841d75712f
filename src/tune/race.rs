//! The race: cheap looks at many candidates, careful looks at few (successive halving; Jamieson and Talwalkar 2016), on common random
//! numbers, so that nothing is simulated twice.
//!
//! ```text
//! stage          candidates                                        runs each   until so much of the budget is spent
//! spread         n₀, evenly over the space                         2           a third
//! first rung     n₁ best of them                                   8
//! local search   children of the 8 best; those that come among     2, then 8   all but what later rungs need
//!                these by their first looks get as many runs
//! later rungs    n₁ / 4, while that is more than confirmation      32, then 64
//!                looks at anyway
//! ```
//!
//! On common random numbers two runs tell costs apart far better than they tell a cost, so the search goes by first looks; whom these flatter
//! (targets that held by luck) the next runs find out before there are children of it. Which children are worth a first look, a guess by
//! all looks so far says ([`surrogate`](super::surrogate)).
//!
//! Candidates are ordered by [`Key`]: cost never competes with a broken target.

use std::cmp::Ordering;

use super::judge::Score;

/// Runs of a candidate in the first rung.
pub const FIRST_RUNS: u32 = 2;
/// Children that a generation of the local search may promote to as many runs as its parents have had.
pub const PROMOTED: usize = 2;
/// How many times fewer candidates, and more runs, a rung has than the one before.
pub const FACTOR: u32 = 4;
/// Runs after which no rung asks for more.
pub const MOST_RUNS: u32 = 64;
/// Generations in a row without a new setting after which there is taken to be no other.
pub const BARREN: u32 = 10;
/// Pairs of runs from which a candidate may be dropped in the middle of a rung.
pub const FEWEST_PAIRS: u32 = 4;
/// How sure it has to be then that it is dearer than the last one that would be kept.
pub const SURE: f64 = 0.995;
/// Of the best, how many are looked at with what does not matter left as it is at present.
pub const PLAIN: usize = 2;
/// Candidates that end the race: confirmation looks at these anew.
pub const FINALISTS: usize = 8;

/// So many candidates with so many runs each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// How many.
    pub candidates: usize,
    /// Runs of each, those of earlier rungs included.
    pub runs: u32,
}

/// The rungs from `first` on, up to `most` runs each; the last has at least one candidate.
pub fn rungs(first: Rung, factor: u32, most: u32) -> Vec<Rung> {
    let mut rungs = vec![first];
    loop {
        let last = rungs[rungs.len() - 1];
        let next = Rung { candidates: last.candidates / factor as usize, runs: (last.runs * factor).min(most) };
        if next.candidates == 0 || last.runs >= most {
            return rungs;
        }
        rungs.push(next);
    }
}

/// The largest first rung that a budget of so many runs allows: a power of two that takes a third of it.
pub fn first_rung(budget: u64) -> Rung {
    let room = (budget / 3 / u64::from(FIRST_RUNS)).max(1);
    Rung { candidates: 1usize << room.ilog2().min(16), runs: FIRST_RUNS }
}

/// How a budget of runs is spent, about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The even spread.
    pub spread: Rung,
    /// The rungs after it; the local search follows the first.
    pub rungs: Vec<Rung>,
    /// Runs after which the local search ends, all before it included.
    pub local: u64,
}

impl Plan {
    /// That of a budget.
    pub fn new(budget: u64) -> Plan {
        let rungs = later_rungs(budget);
        let last = simulations(&rungs[1..], rungs[0].runs);
        Plan { spread: first_rung(budget), rungs, local: budget.saturating_sub(last) }
    }
}

/// The rungs that a fifth of the budget pays for; of a small budget, half pays for as many of the finalists as it can.
fn later_rungs(budget: u64) -> Vec<Rung> {
    let from = |candidates| {
        let mut rungs = rungs(Rung { candidates, runs: FIRST_RUNS }, FACTOR, MOST_RUNS).split_off(1);
        // Confirmation looks at the finalists more carefully than any rung.
        let telling = rungs.iter().take_while(|rung| rung.candidates > FINALISTS).count();
        rungs.truncate(telling.max(1));
        rungs
    };
    let affordable = |rungs: &Vec<Rung>| simulations(rungs, FIRST_RUNS) <= budget / 5;
    let runs = FIRST_RUNS * FACTOR;
    let few = (budget / 2 / u64::from(runs - FIRST_RUNS)).clamp(1, FINALISTS as u64) as usize;
    let sizes = (0..16).map(|k| from((FACTOR as usize * FINALISTS) << k));
    sizes.take_while(affordable).last().unwrap_or_else(|| vec![Rung { candidates: few, runs }])
}

/// Runs of these rungs when each candidate keeps what it has, which is `before` when it enters the first of them.
pub fn simulations(rungs: &[Rung], mut before: u32) -> u64 {
    let mut sum = 0;
    for rung in rungs {
        sum += rung.candidates as u64 * u64::from(rung.runs - before);
        before = rung.runs;
    }
    sum
}

/// Standard errors that a target has to be held by, after so many runs.
pub fn margin(runs: usize) -> f64 {
    match runs {
        0..8 => 0.0,
        8..32 => 1.0,
        _ => 1.645,
    }
}

/// The order of candidates, smaller first: those that hold their targets by cost, then the others by how far they miss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// How far the worst target is from being held, with a margin; at most 0 if it is.
    pub worst: f64,
    /// Cost.
    pub cost: f64,
    /// Number of the candidate: the tie-breaker.
    pub candidate: usize,
}

impl Key {
    /// That of a candidate with this score.
    pub fn new(candidate: usize, score: &Score) -> Key {
        Key { worst: score.worst(margin(score.n)), cost: score.cost, candidate }
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        let (a, b) = (self.worst > 0.0, other.worst > 0.0);
        let of_targets = if a && b { self.worst.total_cmp(&other.worst) } else { a.cmp(&b) };
        of_targets.then(self.cost.total_cmp(&other.cost)).then(self.candidate.cmp(&other.candidate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_are_those_of_successive_halving() {
        // T-13
        let race = rungs(Rung { candidates: 256, runs: 2 }, 4, 64);
        let shown: Vec<(usize, u32)> = race.iter().map(|rung| (rung.candidates, rung.runs)).collect();
        assert_eq!(shown, [(256, 2), (64, 8), (16, 32), (4, 64)]);
        assert_eq!(simulations(&race, 0), 256 * 2 + 64 * 6 + 16 * 24 + 4 * 32);
        assert_eq!(simulations(&race, 0), 1408);
        // T-14: 81 + 27·2 + 9·6 + 3·18 + 54.
        let race = rungs(Rung { candidates: 81, runs: 1 }, 3, 81);
        assert_eq!(race.len(), 5);
        assert_eq!(simulations(&race, 0), 297);
        // T-21: the brackets of Hyperband for 27 and factor 3.
        let bracket = |candidates, runs| {
            let rungs = rungs(Rung { candidates, runs }, 3, 27);
            rungs.into_iter().map(|rung| (rung.candidates, rung.runs)).collect::<Vec<_>>()
        };
        assert_eq!(bracket(27, 1), [(27, 1), (9, 3), (3, 9), (1, 27)]);
        assert_eq!(bracket(12, 3), [(12, 3), (4, 9), (1, 27)]);
        assert_eq!(bracket(6, 9), [(6, 9), (2, 27)]);
        assert_eq!(bracket(4, 27), [(4, 27)]);
    }

    #[test]
    fn the_first_rung_takes_a_third_of_the_budget_at_most() {
        assert_eq!(first_rung(1500), Rung { candidates: 128, runs: 2 });
        assert_eq!(first_rung(1536), Rung { candidates: 256, runs: 2 });
        assert_eq!(first_rung(0).candidates, 1);
    }

    #[test]
    fn a_plan_spends_its_budget_and_looks_carefully_at_more_than_are_confirmed() {
        let shown = |budget| {
            let plan = Plan::new(budget);
            let rungs: Vec<(usize, u32)> = plan.rungs.iter().map(|rung| (rung.candidates, rung.runs)).collect();
            (plan.spread.candidates, rungs, plan.local)
        };
        // 8 · 6 runs are a sixth of 300; 32 · 6 a fifth of 1,000; 64 · 6 + 16 · 24 a fifth of 4,000.
        assert_eq!(shown(300), (32, vec![(8, 8)], 300));
        assert_eq!(shown(1000), (128, vec![(32, 8)], 1000));
        assert_eq!(shown(4000), (512, vec![(64, 8), (16, 32)], 4000 - 16 * 24));
        // Of a budget that is hardly one, something is looked at twice.
        assert_eq!(shown(16), (2, vec![(1, 8)], 16));
        assert_eq!(shown(0), (1, vec![(1, 8)], 0));
    }

    #[test]
    fn cost_never_competes_with_a_broken_target() {
        // T-15
        let key = |candidate, cost, worst| Key { worst, cost, candidate };
        let mut keys = [key(0, 37.1, -0.02), key(1, 36.0, 0.05), key(2, 38.4, -0.30), key(3, 35.0, 0.01)];
        keys.sort();
        assert_eq!(keys.map(|key| ["p", "q", "r", "s"][key.candidate]), ["p", "r", "s", "q"]);
    }
}

//! The race: cheap looks at many candidates, careful looks at few (successive halving; Jamieson and Talwalkar 2016), on common random
//! numbers, so that nothing is simulated twice.
//!
//! ```text
//! rung   candidates     runs each    from a third of the budget
//!  0     n₀             2
//!  1     n₀ / 4         8             ── then the local search's children enter, with as many runs
//!  2     n₀ / 16        32
//!  3     n₀ / 64        64
//! ```
//!
//! Candidates are ordered by [`Key`]: cost never competes with a broken target.

use std::cmp::Ordering;

use super::judge::Score;

/// Runs of a candidate in the first rung.
pub const FIRST_RUNS: u32 = 2;
/// How many times fewer candidates, and more runs, a rung has than the one before.
pub const FACTOR: u32 = 4;
/// Runs after which no rung asks for more.
pub const MOST_RUNS: u32 = 64;
/// Pairs of runs from which a candidate may be dropped in the middle of a rung.
pub const FEWEST_PAIRS: u32 = 4;
/// How sure it has to be then that it is dearer than the last one that would be kept.
pub const SURE: f64 = 0.995;
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

/// Runs of a race when each candidate keeps what it has.
pub fn simulations(rungs: &[Rung]) -> u64 {
    let mut before = 0;
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
        assert_eq!(simulations(&race), 256 * 2 + 64 * 6 + 16 * 24 + 4 * 32);
        assert_eq!(simulations(&race), 1408);
        // T-14: 81 + 27·2 + 9·6 + 3·18 + 54.
        let race = rungs(Rung { candidates: 81, runs: 1 }, 3, 81);
        assert_eq!(race.len(), 5);
        assert_eq!(simulations(&race), 297);
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
    fn cost_never_competes_with_a_broken_target() {
        // T-15
        let key = |candidate, cost, worst| Key { worst, cost, candidate };
        let mut keys = [key(0, 37.1, -0.02), key(1, 36.0, 0.05), key(2, 38.4, -0.30), key(3, 35.0, 0.01)];
        keys.sort();
        assert_eq!(keys.map(|key| ["p", "q", "r", "s"][key.candidate]), ["p", "r", "s", "q"]);
    }
}

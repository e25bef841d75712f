//! Confirmation: what is reported was measured on seeds, and days, that the search never saw.
//!
//! The best of many noisy numbers is too good: the search has chosen its luck too (Smith and Winkler 2006, the optimizer's curse). So the
//! finalists and the present setting run anew, and only these figures count. The winner is the cheapest that is safe on them, with bounds
//! that allow for how many were looked at; of several that nobody can tell apart, the one nearest to the present setting.

use super::judge::{Rules, Safety, Sample, Score};
use super::search::Candidate;
use crate::statistics::{self, Estimate};

/// A finalist with its fresh runs.
#[derive(Clone, Debug)]
pub struct Confirmed {
    /// Number of the candidate.
    pub candidate: usize,
    /// Its runs on held-out days with fresh seeds.
    pub samples: Vec<Sample>,
    /// What they say.
    pub score: Score,
    /// With the confidence that was asked for, shared among all that were confirmed.
    pub safety: Safety,
}

/// Everything that was confirmed, the present setting first.
#[derive(Clone, Debug)]
pub struct Confirmation {
    /// In the order of the finalists.
    pub all: Vec<Confirmed>,
    /// Confidence of each bound: 1 − (1 − asked)/confirmed.
    pub confidence: f64,
}

/// What is recommended.
#[derive(Clone, Debug, PartialEq)]
pub enum Advice {
    /// This one, by its place in [`Confirmation::all`].
    Change(usize),
    /// The present setting: nothing is cheaper for sure.
    Keep,
    /// None holds; this one is the least unsafe.
    NoneHolds(usize),
}

impl Confirmation {
    /// Judges finalists by their fresh runs.
    pub fn new(runs: Vec<(usize, Vec<Sample>)>, rules: &Rules, confidence: f64) -> Confirmation {
        let confidence = 1.0 - (1.0 - confidence) / runs.len().max(1) as f64;
        let judged = |(candidate, samples): (usize, Vec<Sample>)| {
            let score = Score::of_seeds(&samples, rules);
            Confirmed { candidate, safety: score.safety(confidence), samples, score }
        };
        Confirmation { all: runs.into_iter().map(judged).collect(), confidence }
    }

    /// The present setting.
    pub fn present(&self) -> &Confirmed {
        &self.all[0]
    }

    /// Those that are safe, cheapest first.
    pub fn safe(&self) -> Vec<usize> {
        let mut safe: Vec<usize> = (0..self.all.len()).filter(|&i| self.all[i].safety == Safety::Safe).collect();
        safe.sort_by(|&a, &b| self.all[a].score.cost.total_cmp(&self.all[b].score.cost).then(a.cmp(&b)));
        safe
    }

    /// The relative change of cost from one to another, by pairs of seeds: a difference of logarithms.
    pub fn change(&self, from: usize, to: usize) -> Option<Estimate> {
        let logs = |i: usize| statistics::logs(&seed_costs(&self.all[i].samples));
        statistics::of_paired(&logs(from)?, &logs(to)?)
    }

    /// Safe ones that cost as much as `best` to within `precision`, `best` itself included, cheapest first.
    pub fn equivalent(&self, best: usize, precision: f64) -> Vec<usize> {
        let same = |&i: &usize| {
            i == best || self.change(best, i).is_some_and(|change| change.interval(0.95).1 <= (1.0 + precision).ln())
        };
        self.safe().into_iter().filter(same).collect()
    }

    /// What is recommended: of the settings that cost as little as the cheapest safe one, that nearest to the present setting, if it is
    /// cheaper for sure, or if the present one is not safe.
    pub fn advice(&self, candidates: &[Candidate], precision: f64) -> Advice {
        let Some(&cheapest) = self.safe().first() else {
            return Advice::NoneHolds(self.least_unsafe());
        };
        let nearest = self
            .equivalent(cheapest, precision)
            .into_iter()
            .min_by(|&a, &b| {
                let distance = |i: usize| distance(&candidates[0], &candidates[self.all[i].candidate]);
                distance(a).total_cmp(&distance(b)).then(a.cmp(&b))
            })
            .unwrap_or(cheapest);
        if nearest == 0 {
            return Advice::Keep;
        }
        let cheaper = self.change(0, nearest).is_none_or(|change| change.interval(0.95).1 < 0.0);
        if self.present().safety == Safety::Safe && !cheaper { Advice::Keep } else { Advice::Change(nearest) }
    }

    /// The one whose worst target is nearest to being held.
    pub fn least_unsafe(&self) -> usize {
        let worst = |i: usize| {
            let standings = &self.all[i].score.standings;
            standings.iter().map(|s| s.high(self.confidence)).fold(f64::NEG_INFINITY, f64::max)
        };
        (0..self.all.len()).min_by(|&a, &b| worst(a).total_cmp(&worst(b)).then(a.cmp(&b))).unwrap_or(0)
    }
}

/// The mean cost over days of each seed, in the order of seeds.
pub fn seed_costs(samples: &[Sample]) -> Vec<f64> {
    let mut seeds: Vec<u32> = samples.iter().map(|sample| sample.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let of = |seed: &u32| {
        let days: Vec<f64> = samples.iter().filter(|s| s.seed == *seed).map(|s| s.outcome.cost).collect();
        statistics::mean(&days)
    };
    seeds.iter().map(of).collect()
}

/// How far two candidates are from each other in the cube; infinite if one is outside.
fn distance(a: &Candidate, b: &Candidate) -> f64 {
    if a.settings == b.settings {
        return 0.0;
    }
    match (&a.point, &b.point) {
        (Some(a), Some(b)) => a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt(),
        _ => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::judge::tests::{outcome, p99_below};
    use crate::tune::search::Origin;

    fn runs(cost: f64, p99: f64) -> Vec<Sample> {
        (0..8)
            .map(|seed| {
                let luck = 1.0 + f64::from(seed) * 0.01;
                Sample { day: 0, seed, outcome: outcome(cost * luck, &[p99 * luck]) }
            })
            .collect()
    }

    fn candidates(points: &[f64]) -> Vec<Candidate> {
        let of = |(i, &x): (usize, &f64)| Candidate {
            point: Some(vec![x]),
            settings: if i == 0 { Vec::new() } else { vec![("x".into(), crate::tune::space::Value::Number(x))] },
            origin: Origin::Spread,
        };
        points.iter().enumerate().map(of).collect()
    }

    fn confirmed(all: &[(f64, f64)]) -> Confirmation {
        let runs = all.iter().enumerate().map(|(i, &(cost, p99))| (i, runs(cost, p99))).collect();
        Confirmation::new(runs, &p99_below(400), 0.95)
    }

    #[test]
    fn the_cheapest_that_is_safe_wins() {
        let confirmed = confirmed(&[(50.0, 300.0), (30.0, 500.0), (40.0, 350.0), (41.0, 300.0)]);
        assert_eq!(confirmed.advice(&candidates(&[0.5, 0.1, 0.2, 0.4]), 0.01), Advice::Change(2));
        let (low, high) = confirmed.change(0, 2).unwrap().interval(0.95);
        assert!(low <= 0.8f64.ln() && 0.8f64.ln() <= high);
    }

    #[test]
    fn of_what_nobody_can_tell_apart_the_nearest_to_the_present_wins() {
        let confirmed = confirmed(&[(50.0, 300.0), (40.0, 350.0), (40.2, 300.0)]);
        assert_eq!(confirmed.equivalent(1, 0.01), [1, 2]);
        assert_eq!(confirmed.advice(&candidates(&[0.5, 0.1, 0.4]), 0.01), Advice::Change(2));
    }

    #[test]
    fn a_present_setting_that_holds_stays_unless_another_is_cheaper_for_sure() {
        assert_eq!(confirmed(&[(40.0, 300.0), (40.0, 300.0)]).advice(&candidates(&[0.5, 0.1]), 0.0), Advice::Keep);
        // A dearer one is taken only if the present one does not hold.
        let points = candidates(&[0.5, 0.1]);
        assert_eq!(confirmed(&[(40.0, 300.0), (45.0, 300.0)]).advice(&points, 0.01), Advice::Keep);
        assert_eq!(confirmed(&[(40.0, 500.0), (45.0, 300.0)]).advice(&points, 0.01), Advice::Change(1));
    }

    #[test]
    fn if_none_holds_the_least_unsafe_is_named() {
        let confirmed = confirmed(&[(40.0, 600.0), (45.0, 450.0)]);
        assert_eq!(confirmed.advice(&candidates(&[0.5, 0.1]), 0.01), Advice::NoneHolds(1));
    }
}

//! From runs to a verdict about a candidate: its cost, and how far it is from each target.
//!
//! A target is a number g that is 0 when it is just met and positive when it is broken:
//!
//! | target | g of a run |
//! |---|---|
//! | a latency, a duration or a cost of at most L | ln(observed / L) |
//! | availability of at least a | 1000 · (a − observed) |
//! | at most k scaling actions an hour | ln((actions + 1) / (k + 1)) |
//!
//! Several runs give the mean of g and its standard error. A candidate is *safe* when the upper bound of every target is at most 0,
//! *unsafe* when a lower bound is above 0, else *undecided* (one-sided bounds of Student's t). Cost is a geometric mean.

use crate::record::Run;
use crate::report::verdict;
use crate::scenario::slo::Target;
use crate::statistics::{self, Estimate};
use crate::units::Span;

/// The value of g where nothing was observed that could be judged: an order of magnitude beyond any target.
const NOTHING_SERVED: f64 = 10.0;

/// What a candidate has to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// A target of the scenario.
    Target(Target),
    /// At most so many scaling actions an hour.
    ActionsPerHour(f64),
}

impl Goal {
    /// What reports call it.
    pub fn name(&self) -> &'static str {
        match self {
            Goal::Target(target) => target.name(),
            Goal::ActionsPerHour(_) => "actions_per_hour",
        }
    }

    /// The bound, in milliseconds, a ratio, money or actions an hour.
    pub fn bound(&self) -> f64 {
        match self {
            Goal::Target(target) => verdict::bound(target),
            Goal::ActionsPerHour(most) => *most,
        }
    }

    /// What a run shows of it, in the unit of [`Goal::bound`]; `None` if it shows nothing.
    pub fn observed(&self, run: &Run) -> Option<f64> {
        match self {
            Goal::Target(target) => verdict::of_run(target, run),
            Goal::ActionsPerHour(_) => {
                let actions = run.fleet.scale_ups + run.fleet.scale_downs;
                Some(f64::from(actions) / (run.measured.as_secs_f64() / 3600.0))
            }
        }
    }

    /// How far that is from the bound: 0 just meets it.
    pub fn distance(&self, observed: Option<f64>) -> f64 {
        let bound = self.bound();
        match (self, observed) {
            // Nothing was scaled up: nothing was late.
            (Goal::Target(Target::ScaleUpTime(_)), None) => -1.0,
            (_, None) => NOTHING_SERVED,
            (Goal::Target(Target::Availability(_)), Some(x)) => 1000.0 * (bound - x),
            (Goal::Target(_), Some(x)) => (x.max(1e-9) / bound).ln(),
            (Goal::ActionsPerHour(_), Some(x)) => ((x + 1.0) / (bound + 1.0)).ln(),
        }
    }

    /// A value of g in the unit of the bound.
    pub fn observed_at(&self, g: f64) -> f64 {
        let bound = self.bound();
        match self {
            Goal::Target(Target::Availability(_)) => bound - g / 1000.0,
            Goal::Target(_) => bound * g.exp(),
            Goal::ActionsPerHour(_) => (bound + 1.0) * g.exp() - 1.0,
        }
    }

    /// A value for people.
    pub fn show(&self, x: f64) -> String {
        match self {
            Goal::Target(target) => verdict::figure(target, x),
            Goal::ActionsPerHour(_) => format!("{x:.1}/h"),
        }
    }
}

/// How figures of several days become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Combine {
    /// Their mean.
    Mean,
    /// The worst.
    Worst,
    /// The mean of the worst share, in (0, 1]: conditional value at risk (Rockafellar and Uryasev 2000), of ⌈q·n⌉ days.
    Cvar(f64),
}

impl Combine {
    /// One figure for these; more is worse. NaN if there are none.
    pub fn of(self, figures: &[f64]) -> f64 {
        match self {
            Combine::Mean => statistics::mean(figures),
            Combine::Worst => figures.iter().copied().fold(f64::NAN, f64::max),
            Combine::Cvar(share) => {
                let mut sorted = figures.to_vec();
                sorted.sort_by(|a, b| b.total_cmp(a));
                let n = ((share * sorted.len() as f64 - 1e-9).ceil() as usize).clamp(1, sorted.len().max(1));
                statistics::mean(&sorted[..n.min(sorted.len())])
            }
        }
    }
}

/// What one run leaves for the search.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Outcome {
    /// Money, or instance-hours where instances have no price, per day of the run.
    pub cost: f64,
    /// What was observed of each goal, in their order.
    pub observed: Vec<Option<f64>>,
    /// Instance-hours per day of the run.
    pub instance_hours: f64,
    /// Latency of requests that succeeded \[ms\]; `None` if none did.
    pub p50_ms: Option<f64>,
    /// The same.
    pub p99_ms: Option<f64>,
    /// Succeeded of offered less rate limited [0..1]; `None` if nothing was offered.
    pub availability: Option<f64>,
    /// Scaling actions per hour.
    pub actions_per_hour: f64,
    /// Requests simulated.
    pub simulated: u64,
}

impl Outcome {
    /// What `run` leaves.
    pub fn of(run: &Run, goals: &[Goal], priced: bool) -> Outcome {
        let days = run.measured.as_secs_f64() / Span::from_secs(86_400).as_secs_f64();
        let hours = run.fleet.cost.instance_hours;
        let millis = |q| run.latency.quantile(q).map(|span| span.as_millis_f64());
        Outcome {
            cost: if priced { run.fleet.cost.cost } else { hours } / days,
            observed: goals.iter().map(|goal| goal.observed(run)).collect(),
            instance_hours: hours / days,
            p50_ms: millis(0.5),
            p99_ms: millis(0.99),
            availability: run.counts.availability(),
            actions_per_hour: f64::from(run.fleet.scale_ups + run.fleet.scale_downs) / (days * 24.0),
            simulated: run.simulated,
        }
    }
}

/// A run of a candidate: which day with which seed, and what came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Number of the day.
    pub day: usize,
    /// Number of the seed.
    pub seed: u32,
    /// What came out.
    pub outcome: Outcome,
}

/// How candidates are judged.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What they have to hold.
    pub goals: Vec<Goal>,
    /// How days become one.
    pub combine: Combine,
    /// Whether every day has to hold the goals, and not only all together.
    pub every_day: bool,
}

/// A goal and what runs say of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Number of the goal.
    pub goal: usize,
    /// The day, if every day has to hold it.
    pub day: Option<usize>,
    /// Mean of g.
    pub center: f64,
    /// Its standard error; infinite with a single run.
    pub error: f64,
    /// Runs.
    pub n: usize,
}

impl Standing {
    fn of(goal: usize, day: Option<usize>, center: f64, samples: &[f64]) -> Standing {
        let n = samples.len();
        let error = if n < 2 { f64::INFINITY } else { (statistics::variance(samples) / n as f64).sqrt() };
        Standing { goal, day, center, error, n }
    }

    /// The mean with `z` standard errors on top; with `z` = 0 the mean.
    pub fn padded(&self, z: f64) -> f64 {
        if z == 0.0 { self.center } else { self.center + z * self.error }
    }

    fn estimate(&self) -> Estimate {
        Estimate { center: self.center, error: self.error, freedom: self.n.saturating_sub(1).max(1) as f64 }
    }

    /// The bound that the truth is below with `confidence`.
    pub fn high(&self, confidence: f64) -> f64 {
        self.estimate().high(confidence)
    }

    /// The bound that the truth is above with `confidence`.
    pub fn low(&self, confidence: f64) -> f64 {
        self.estimate().low(confidence)
    }
}

/// What can be said of a candidate's targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Safety {
    /// Every target holds, with confidence.
    Safe,
    /// Neither is sure.
    Undecided,
    /// A target is broken, with confidence.
    Unsafe,
}

impl Safety {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Safety::Safe => "safe",
            Safety::Undecided => "undecided",
            Safety::Unsafe => "unsafe",
        }
    }
}

/// A candidate's figures over its runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Geometric mean over runs.
    pub cost: f64,
    /// Every goal, of every day if every day has to hold it.
    pub standings: Vec<Standing>,
    /// Runs.
    pub n: usize,
}

impl Score {
    /// Of runs in any order, each a sample of its own; days in which a candidate has not run yet are not missed.
    pub fn of_runs(samples: &[Sample], rules: &Rules) -> Score {
        Score::with(samples, rules, |samples, figure| {
            let all: Vec<f64> = samples.iter().map(|sample| figure(sample)).collect();
            let center = match rules.combine {
                Combine::Mean => statistics::mean(&all),
                combine => combine.of(&by_day(samples, figure)),
            };
            (center, all)
        })
    }

    /// Of runs of which each seed has met every day: a sample is a seed, with its days combined.
    pub fn of_seeds(samples: &[Sample], rules: &Rules) -> Score {
        Score::with(samples, rules, |samples, figure| {
            let mut seeds: Vec<u32> = samples.iter().map(|sample| sample.seed).collect();
            seeds.sort_unstable();
            seeds.dedup();
            let of_seed = |seed: &u32| {
                let days: Vec<f64> = samples.iter().filter(|s| s.seed == *seed).map(|s| figure(s)).collect();
                rules.combine.of(&days)
            };
            let all: Vec<f64> = seeds.iter().map(of_seed).collect();
            (statistics::mean(&all), all)
        })
    }

    fn with(
        samples: &[Sample],
        rules: &Rules,
        figures: impl Fn(&[&Sample], &dyn Fn(&Sample) -> f64) -> (f64, Vec<f64>),
    ) -> Score {
        let all: Vec<&Sample> = samples.iter().collect();
        // The geometric mean is over runs; within a seed, days add up as money does.
        let (center, costs) = figures(&all, &|sample| sample.outcome.cost);
        let geometric = statistics::logs(&costs).map(|logs| statistics::mean(&logs).exp());
        let cost = if rules.combine == Combine::Mean { geometric.unwrap_or(center) } else { center };
        let distance = |goal: usize| move |s: &Sample| rules.goals[goal].distance(s.outcome.observed[goal]);
        let mut standings = Vec::new();
        for goal in 0..rules.goals.len() {
            if !rules.every_day {
                let (center, samples) = figures(&all, &distance(goal));
                standings.push(Standing::of(goal, None, center, &samples));
                continue;
            }
            let mut days: Vec<usize> = all.iter().map(|sample| sample.day).collect();
            days.sort_unstable();
            days.dedup();
            for day in days {
                let of_day: Vec<f64> = all.iter().filter(|s| s.day == day).map(|s| distance(goal)(s)).collect();
                standings.push(Standing::of(goal, Some(day), statistics::mean(&of_day), &of_day));
            }
        }
        Score { cost, standings, n: samples.len() }
    }

    /// The target that is furthest from being held, with `z` standard errors on top; `None` if there is no target.
    pub fn binding(&self, z: f64) -> Option<&Standing> {
        self.standings.iter().max_by(|a, b| a.padded(z).total_cmp(&b.padded(z)))
    }

    /// How far that is.
    pub fn worst(&self, z: f64) -> f64 {
        self.binding(z).map_or(f64::NEG_INFINITY, |standing| standing.padded(z))
    }

    /// What can be said with `confidence`.
    pub fn safety(&self, confidence: f64) -> Safety {
        if self.standings.iter().all(|standing| standing.high(confidence) <= 0.0) {
            Safety::Safe
        } else if self.standings.iter().any(|standing| standing.low(confidence) > 0.0) {
            Safety::Unsafe
        } else {
            Safety::Undecided
        }
    }
}

/// The mean of a figure for each day.
fn by_day(samples: &[&Sample], figure: &dyn Fn(&Sample) -> f64) -> Vec<f64> {
    let mut days: Vec<usize> = samples.iter().map(|sample| sample.day).collect();
    days.sort_unstable();
    days.dedup();
    let of_day = |day: &usize| {
        let figures: Vec<f64> = samples.iter().filter(|s| s.day == *day).map(|s| figure(s)).collect();
        statistics::mean(&figures)
    };
    days.iter().map(of_day).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn outcome(cost: f64, observed: &[f64]) -> Outcome {
        Outcome {
            cost,
            observed: observed.iter().copied().map(Some).collect(),
            instance_hours: cost,
            p50_ms: None,
            p99_ms: observed.first().copied(),
            availability: None,
            actions_per_hour: 0.0,
            simulated: 1,
        }
    }

    pub fn p99_below(ms: u64) -> Rules {
        let target = Target::Quantile { q: 0.99, at_most: Span::from_millis(ms) };
        Rules { goals: vec![Goal::Target(target)], combine: Combine::Mean, every_day: false }
    }

    fn score(p99: &[f64]) -> Score {
        let sample = |(i, p99): (usize, &f64)| Sample { day: 0, seed: i as u32, outcome: outcome(1.0, &[*p99]) };
        Score::of_seeds(&p99.iter().enumerate().map(sample).collect::<Vec<_>>(), &p99_below(400))
    }

    fn near(a: f64, b: f64) {
        // The reference has six digits.
        assert!((a - b).abs() < 6e-7 + 2e-6 * b.abs(), "{a} is not {b}");
    }

    #[test]
    fn a_target_holds_when_its_upper_bound_does() {
        // T-01
        let safe = score(&[310.0, 355.0, 280.0, 390.0, 420.0, 330.0, 300.0, 345.0]);
        let standing = &safe.standings[0];
        near(standing.center, -0.166927);
        near(standing.error * 8f64.sqrt(), 0.135322);
        near(statistics::t_quantile(0.95, 7.0), 1.894579);
        near(standing.high(0.95), -0.076284);
        let goal = p99_below(400).goals[0];
        assert_eq!(format!("{:.2}", goal.observed_at(standing.center)), "338.50");
        assert_eq!(format!("{:.2}", goal.observed_at(standing.high(0.95))), "370.62");
        assert_eq!(safe.safety(0.95), Safety::Safe);
        // T-02
        let undecided = score(&[350.0, 395.0, 330.0, 430.0, 455.0, 370.0, 340.0, 385.0]);
        near(undecided.standings[0].center, -0.052004);
        near(undecided.standings[0].high(0.95), 0.023585);
        near(undecided.standings[0].low(0.95), -0.127592);
        assert_eq!(undecided.safety(0.95), Safety::Undecided);
        assert_eq!(score(&[500.0, 510.0, 505.0]).safety(0.95), Safety::Unsafe);
    }

    #[test]
    fn days_combine_as_asked() {
        // T-03
        let days = [36.0, 37.5, 35.2, 41.0, 36.8, 52.0, 38.1];
        assert_eq!(format!("{:.4}", Combine::Mean.of(&days)), "39.5143");
        assert_eq!(Combine::Worst.of(&days), 52.0);
        assert_eq!(Combine::Cvar(0.25).of(&days), 46.5);
        near(Combine::Cvar(1.0).of(&days), Combine::Mean.of(&days));
    }

    #[test]
    fn pairs_see_what_independent_samples_do_not() {
        let a = [12.1, 14.0, 11.2, 16.3, 13.1, 12.7, 15.2, 11.9];
        let b = [11.6, 13.3, 11.0, 15.4, 12.7, 12.1, 14.5, 11.5];
        // T-10
        let paired = statistics::of_paired(&b, &a).unwrap();
        near(paired.center, 0.55);
        near(paired.error * 8f64.sqrt(), 0.220389);
        let (low, high) = paired.interval(0.95);
        near(low, 0.365750);
        near(high, 0.734250);
        assert_eq!(format!("{:.4}", paired.center / paired.error), "7.0586");
        assert_eq!(format!("{:.6}", paired.p_value(0.0)), "0.000201");
        // T-11
        let independent = statistics::of_independent(&b, &a).unwrap();
        assert_eq!(format!("{:.3}", independent.center / independent.error), "0.667");
        assert_eq!(format!("{:.3}", independent.p_value(0.0)), "0.516");
        // T-12
        let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        near(statistics::variance(&a), 3.04411);
        near(statistics::variance(&b), 2.39411);
        near(statistics::variance(&differences), 0.0485714);
    }

    #[test]
    fn a_goal_of_every_day_is_judged_day_by_day() {
        let rules = Rules { every_day: true, ..p99_below(400) };
        let sample = |day, seed, p99| Sample { day, seed, outcome: outcome(1.0, &[p99]) };
        let samples = [sample(0, 0, 100.0), sample(1, 0, 500.0), sample(0, 1, 110.0), sample(1, 1, 505.0)];
        let score = Score::of_seeds(&samples, &rules);
        assert_eq!(score.binding(0.0).unwrap().day, Some(1));
        assert_eq!(score.safety(0.95), Safety::Unsafe);
        assert!(Score::of_seeds(&samples, &p99_below(400)).worst(0.0) < 0.0);
    }
}

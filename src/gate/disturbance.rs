//! Runs on a real machine, and which of them say something about what was judged.
//!
//! Real runs have two witnesses beside the figures: the generator of load, which may have measured itself, and the machine, which others may
//! have used. A run that either speaks against is *disturbed*: it counts neither as a pass nor as a fail, nor does its partner. What a run is
//! set aside for has nothing to do with the figures that are judged, so that setting it aside does not bend them.
//!
//! ```text
//! pair 0    old ─▶ new         before each: is the machine idle?      after each: did the generator keep its times?
//! pair 1    new ─▶ old         meanwhile: what others took, what was stolen
//! pair 2    old ─▶ new …       drift hits both sides alike (ABBA)
//! ```
//!
//! When more than half as many runs were disturbed as a look needs, nobody can tell, and the gate says who was in the way.

use super::decide::Runs;
use super::sample::Sample;
use crate::record::generator::Generator;
use crate::record::host::Shares;

/// Which build a run was of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is judged.
    New,
    /// What it is compared with.
    Old,
}

/// The order of the two sides in a pair: A B, B A, A B, … so that drift hits both alike.
pub fn order(pair: usize) -> [Side; 2] {
    if pair.is_multiple_of(2) { [Side::Old, Side::New] } else { [Side::New, Side::Old] }
}

/// What others may take of a machine before its runs are disturbed; shares of all processors \[0..1\].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Other processes; default 0.1.
    pub others: f64,
    /// Other machines on the same hardware; default 0.02.
    pub stolen: f64,
}

impl Default for Tolerance {
    fn default() -> Tolerance {
        Tolerance { others: 0.1, stolen: 0.02 }
    }
}

/// What the machine did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Machine {
    /// Right before the run, when nothing of ours worked: the idle reference. `None`: not known.
    pub before: Option<Shares>,
    /// During the run; `None`: not known.
    pub during: Option<Shares>,
    /// Whether instances that are not ours to account for run on this machine, so that "others" are they as well.
    pub instances_are_others: bool,
}

impl Machine {
    /// Who was in the way, in words; empty if nobody was, or nobody knows.
    pub fn disturbances(&self, tolerance: &Tolerance) -> Vec<String> {
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        let mut all = Vec::new();
        let mut check = |when: &str, what: &str, share: f64, limit: f64| {
            if share > limit {
                all.push(format!("{when} {what} {} of the CPU, tolerated are {}", percent(share), percent(limit)));
            }
        };
        if let Some(before) = self.before {
            check("before it,", "others took", before.others, tolerance.others);
        }
        if let Some(during) = self.during {
            if !self.instances_are_others {
                check("during it,", "others took", during.others, tolerance.others);
            }
            check("during it,", "the host took away", during.stolen, tolerance.stolen);
        }
        all
    }
}

/// A run on a real machine.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Which pair it is of, or which run if there is nothing to compare with.
    pub pair: usize,
    /// Of which build.
    pub side: Side,
    /// What it measured.
    pub sample: Sample,
    /// What speaks against it, in words; empty: nothing.
    pub disturbances: Vec<String>,
}

/// What speaks against a run: the generator's own faults, and who else used the machine.
pub fn against(generator: &Generator, machine: &Machine, tolerance: &Tolerance) -> Vec<String> {
    let faults = generator.faults().into_iter().map(|fault| generator.says(fault));
    faults.chain(machine.disturbances(tolerance)).collect()
}

/// Trials, sorted out.
#[derive(Clone, Debug, Default)]
pub struct Sifted {
    /// Runs that count: of pairs only if both do.
    pub runs: Runs,
    /// Pairs, or runs if there is nothing to compare with, that do not.
    pub disturbed: usize,
    /// What spoke against them, a line each.
    pub reasons: Vec<String>,
}

/// Sorts out what counts. `paired`: both sides are run, and count together; a pair with one side missing is not over, unless that was
/// disturbed.
pub fn sift(trials: &[Trial], paired: bool) -> Sifted {
    let mut sifted = Sifted::default();
    let pairs = trials.iter().map(|trial| trial.pair + 1).max().unwrap_or(0);
    for pair in 0..pairs {
        let of = |side: Side| trials.iter().find(|trial| trial.pair == pair && trial.side == side);
        let both = [of(Side::Old), of(Side::New)];
        let mut is_disturbed = false;
        for trial in both.into_iter().flatten() {
            for reason in &trial.disturbances {
                let which = match (paired, trial.side) {
                    (false, _) => "",
                    (true, Side::New) => " of the new build",
                    (true, Side::Old) => " of the baseline",
                };
                sifted.reasons.push(format!("run {}{which} does not count: {reason}", pair + 1));
                is_disturbed = true;
            }
        }
        match both {
            _ if is_disturbed => sifted.disturbed += 1,
            [Some(old), Some(new)] => {
                sifted.runs.old.push(old.sample.clone());
                sifted.runs.new.push(new.sample.clone());
            }
            [None, Some(new)] if !paired => sifted.runs.new.push(new.sample.clone()),
            _ => {}
        }
    }
    sifted
}

/// Whether so many disturbed runs are too many for a look that needs `wanted`: more of the same would take longer and say no more.
pub fn is_hopeless(disturbed: usize, wanted: usize) -> bool {
    disturbed > wanted / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::sample::Distribution;
    use crate::gate::{Bound, Criterion, Design, Quantity, decide};
    use crate::record::latency::Latency;
    use crate::report::verdict::Outcome;
    use crate::units::Span;

    fn trial(pair: usize, side: Side, ms: f64, disturbances: &[&str]) -> Trial {
        let distribution = Distribution::Summary { quantiles: vec![(0.99, ms)], mean: Some(ms) };
        let sample = Sample { seed: Some(pair as u64), ..Sample::of_requests(1000, 0, distribution) };
        Trial { pair, side, sample, disturbances: disturbances.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn a_neighbour_is_seen_before_and_during_and_our_own_instances_are_none() {
        let shares = |own: f64, others: f64| Some(Shares { own, others, stolen: 0.0 });
        let tolerance = Tolerance::default();
        let quiet = Machine { before: shares(0.0, 0.03), during: shares(0.4, 0.05), instances_are_others: false };
        assert_eq!(quiet.disturbances(&tolerance), Vec::<String>::new());
        // One core of two burns.
        let burning = Machine { before: shares(0.0, 0.5), during: shares(0.3, 0.5), ..quiet };
        assert_eq!(burning.disturbances(&tolerance).len(), 2);
        let came_later = Machine { before: shares(0.0, 0.0), during: shares(0.3, 0.5), ..quiet };
        assert_eq!(
            came_later.disturbances(&tolerance),
            ["during it, others took 50 % of the CPU, tolerated are 10 %"]
        );
        // Where the instances are not ours to account for, only the idle reference tells.
        let theirs = Machine { instances_are_others: true, ..came_later };
        assert_eq!(theirs.disturbances(&tolerance), Vec::<String>::new());
        let stolen = Machine { during: Some(Shares { own: 0.1, others: 0.0, stolen: 0.06 }), ..theirs };
        assert_eq!(stolen.disturbances(&tolerance).len(), 1);
        assert_eq!(
            Machine::default().disturbances(&tolerance),
            Vec::<String>::new(),
            "what nobody knows blames nobody"
        );
    }

    #[test]
    fn a_pair_counts_if_both_of_it_do() {
        let trials = [
            trial(0, Side::Old, 10.0, &[]),
            trial(0, Side::New, 11.0, &[]),
            trial(1, Side::New, 99.0, &["a neighbour"]),
            trial(2, Side::Old, 10.0, &[]),
            trial(2, Side::New, 11.0, &["late"]),
            trial(3, Side::New, 11.0, &[]),
        ];
        let sifted = sift(&trials, true);
        assert_eq!((sifted.runs.old.len(), sifted.runs.new.len(), sifted.disturbed), (1, 1, 2));
        assert_eq!(sifted.reasons[1], "run 3 of the new build does not count: late");
        let alone = sift(&trials[3..], false);
        assert_eq!((alone.runs.new.len(), alone.disturbed), (1, 1));
        assert_eq!(order(0), [Side::Old, Side::New]);
        assert_eq!(order(1), [Side::New, Side::Old]);
    }

    #[test]
    fn it_gives_up_when_half_as_many_as_it_needs_were_disturbed() {
        assert_eq!([0, 1, 2, 3].map(|n| is_hopeless(n, 5)), [false, false, false, true]);
        assert_eq!([0, 1].map(|n| is_hopeless(n, 1)), [false, true]);
    }

    /// p50 \[ms\] of five pairs (old, new) of real runs, interleaved, recorded on two cores that compilers shared: a service of 200 ms for six
    /// seconds, and the same slowed by a tenth.
    const SLOWER: [(f64, f64); 5] = [(195.0, 214.0), (199.0, 218.0), (196.0, 215.0), (201.0, 220.0), (194.0, 213.0)];
    /// The same service against itself.
    const SAME: [(f64, f64); 5] = [(196.0, 194.0), (198.0, 200.0), (196.0, 196.0), (202.0, 201.0), (194.0, 194.0)];

    fn verdict(recorded: [(f64, f64); 5]) -> Outcome {
        let pair = |(i, (old, new))| [trial(i, Side::Old, old, &[]), trial(i, Side::New, new, &[])];
        let trials: Vec<Trial> = recorded.into_iter().enumerate().flat_map(pair).collect();
        let five = [Criterion { quantity: Quantity::Mean, bound: Bound::Regression(0.05), place: None }];
        let judged = decide(&five, &Design::sequential(10), |_| Ok::<_, ()>(sift(&trials, true).runs)).unwrap();
        assert!(judged.findings[0].paired);
        judged.outcome()
    }

    #[test]
    fn recorded_runs_of_a_build_that_is_a_tenth_slower_fail_and_those_of_the_same_pass() {
        assert_eq!(verdict(SLOWER), Outcome::Fail);
        assert_eq!(verdict(SAME), Outcome::Pass);
    }

    #[test]
    fn the_generator_and_the_machine_are_both_heard() {
        let mut lag = Latency::default();
        lag.record_n(Span::from_millis(30), 100);
        let late = Generator { due: 100, sent: 100, lag, lag_limit: Span::from_millis(2), ..Generator::default() };
        let during = Some(Shares { own: 0.1, others: 0.4, stolen: 0.0 });
        let all = against(&late, &Machine { during, ..Machine::default() }, &Tolerance::default());
        assert!(all.len() == 2 && all[0].contains("p99 of lag is 30ms"), "{all:?}");
    }
}

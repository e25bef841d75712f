//! A difference between two contenders, and how sure it is.

use super::measure::{Measure, Scale};
use crate::record::Run;
use crate::report::{Experiment, Mode};
use crate::statistics::{self, Estimate};

/// Confidence of every interval.
const CONFIDENCE: f64 = 0.95;

/// Which runs were compared with which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// Those of one seed with each other.
    Paired {
        /// How many pairs.
        pairs: usize,
    },
    /// All of one with all of the other.
    Independent,
}

/// What can be said of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// The interval is on the good side.
    Better,
    /// The interval is on the bad side.
    Worse,
    /// Every pair is the same.
    Same,
    /// The interval contains no difference, or might by the number of comparisons; or there is none.
    Unclear,
    /// A difference is certain, and neither good nor bad by itself: less regret is no merit of a fleet that lacked more instances.
    Different,
}

/// A difference of a measure, new against old.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Of what.
    pub measure: Measure,
    /// How the numbers below are to be read: a ratio less one, or a difference in the measure's unit.
    pub scale: Scale,
    /// Which runs were compared.
    pub pairing: Pairing,
    /// The difference; `None` if a run has no figure.
    pub change: Option<f64>,
    /// 95 % interval; `None` with a single run or pair.
    pub interval: Option<(f64, f64)>,
    /// Two-sided p of no difference.
    pub p: Option<f64>,
    /// The same, adjusted for all comparisons made with it.
    pub p_adjusted: Option<f64>,
    /// Whether it is one of regret, and whoever has less of it lacked more instances.
    pub bought_with_shortage: bool,
}

impl Difference {
    /// The difference of `new` from `old`.
    pub fn between(measure: Measure, old: &Experiment, new: &Experiment) -> Difference {
        let pairs = pairs(old, new);
        let of = |runs: &mut dyn Iterator<Item = &Run>| runs.map(|run| measure.of(run)).collect::<Vec<f64>>();
        let (pairing, a, b) = if pairs.is_empty() {
            (Pairing::Independent, of(&mut old.runs.iter()), of(&mut new.runs.iter()))
        } else {
            let (a, b) = (of(&mut pairs.iter().map(|(a, _)| *a)), of(&mut pairs.iter().map(|(_, b)| *b)));
            (Pairing::Paired { pairs: pairs.len() }, a, b)
        };
        let logs = statistics::logs(&a).zip(statistics::logs(&b));
        let (scale, a, b) = match (measure.scale(), logs) {
            (Scale::Ratio, Some((a, b))) => (Scale::Ratio, a, b),
            _ => (Scale::Difference, a, b),
        };
        let estimate = match pairing {
            Pairing::Paired { .. } => statistics::of_paired(&a, &b),
            Pairing::Independent => statistics::of_independent(&a, &b),
        };
        let read = |x: f64| if scale == Scale::Ratio { x.exp_m1() } else { x };
        let center = statistics::mean(&b) - statistics::mean(&a);
        let is_regret = matches!(measure, Measure::Regret | Measure::RegretHours | Measure::RegretRatio);
        let lacked = |x: &Experiment| x.mean(|run| Measure::Missing.of(run));
        Difference {
            bought_with_shortage: is_regret && center * (lacked(new) - lacked(old)) < 0.0,
            measure,
            scale,
            pairing,
            change: center.is_finite().then(|| read(center)),
            interval: estimate.map(|e| e.interval(CONFIDENCE)).map(|(low, high)| (read(low), read(high))),
            p: estimate.map(|e: Estimate| e.p_value(0.0)),
            p_adjusted: None,
        }
    }

    /// What can be said.
    pub fn trend(&self) -> Trend {
        let Some((low, high)) = self.interval else { return Trend::Unclear };
        // Among many comparisons one interval in twenty misses by chance.
        if self.p_adjusted.is_some_and(|p| p >= 1.0 - CONFIDENCE) && (low, high) != (0.0, 0.0) {
            return Trend::Unclear;
        }
        match (low, high, self.measure.more_is_better()) {
            (0.0, 0.0, _) => Trend::Same,
            (low, high, _) if low <= 0.0 && high >= 0.0 => Trend::Unclear,
            (_, _, None) => Trend::Different,
            _ if self.bought_with_shortage => Trend::Different,
            (low, _, Some(more)) => {
                if (low > 0.0) == more {
                    Trend::Better
                } else {
                    Trend::Worse
                }
            }
        }
    }

    /// A value of it as people write it.
    pub fn show(&self, x: f64) -> String {
        match self.scale {
            Scale::Ratio => format!("{:+.2} %", x * 100.0),
            Scale::Difference => self.measure.show_difference(x),
        }
    }
}

impl Trend {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Trend::Better => "better",
            Trend::Worse => "worse",
            Trend::Same => "same",
            Trend::Unclear => "unclear",
            Trend::Different => "different",
        }
    }
}

/// Runs that met the same requests: of one seed, both in virtual time, over the same length. Empty if they do not pair up.
fn pairs<'a>(old: &Experiment<'a>, new: &Experiment<'a>) -> Vec<(&'a Run, &'a Run)> {
    let comparable = old.mode == Mode::Sim && new.mode == Mode::Sim && old.duration == new.duration;
    if !comparable {
        return Vec::new();
    }
    let partner = |run: &'a Run| Some((run, new.runs.iter().find(|each| each.seed == run.seed)?));
    let found: Vec<_> = old.runs.iter().filter_map(partner).collect();
    // One pair among many runs would throw the others away.
    if found.len() == 1 && old.runs.len().min(new.runs.len()) > 1 { Vec::new() } else { found }
}

/// Adjusts the p-values of differences that are looked at together.
pub(super) fn adjust<'a>(differences: impl Iterator<Item = &'a mut Difference>) {
    let mut with_p: Vec<&mut Difference> = differences.filter(|each| each.p.is_some()).collect();
    let p: Vec<f64> = with_p.iter().filter_map(|each| each.p).collect();
    for (each, adjusted) in with_p.iter_mut().zip(statistics::holm(&p)) {
        each.p_adjusted = Some(adjusted);
    }
}

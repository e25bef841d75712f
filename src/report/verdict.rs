//! Targets and whether they held.
//!
//! With two or more replications the 95 % interval decides: entirely on the good side is a pass, entirely on the bad side a
//! fail, and an interval that straddles the target is inconclusive, which is not a pass. A single run decides by what it
//! observed, and shows no interval: its requests are correlated and are no independent samples.
//!
//! Latency is that of requests that succeeded, so failures can hide behind a quantile: where more of them failed than are beyond it, it is that
//! of the easy ones. Such a verdict is *masked*, and the quantile of all requests stands beside it.

use super::Experiment;
use crate::record::Run;
use crate::record::generator::{Fault, Generator};
use crate::record::outcome::Failure;
use crate::scenario::slo::Target;
use crate::units::{Grouped, Span};

/// Whether a target held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It did.
    Pass,
    /// Nobody can tell.
    Inconclusive,
    /// It did not.
    Fail,
}

impl Outcome {
    /// The word in `report.json`.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Inconclusive => "inconclusive",
            Outcome::Fail => "fail",
        }
    }
}

/// A target, what was observed, and the verdict.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// The target.
    pub target: Target,
    /// What was observed, in milliseconds, as a ratio, or in money; `None` if there was nothing to observe.
    pub observed: Option<f64>,
    /// 95 % interval over the replications; `None` with one.
    pub ci: Option<(f64, f64)>,
    /// Whether it held.
    pub outcome: Outcome,
    /// What failures hide from it; `None` if nothing.
    pub masked: Option<Masked>,
}

/// What failures hide from a quantile of those that succeeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Masked {
    /// Share of requests that failed, those refused by a quota aside [0..1].
    pub failed: f64,
    /// The same quantile over all requests, each failed one counted until its client gave up or was refused \[ms\].
    pub of_all: f64,
}

impl Verdict {
    /// The verdict in a word, or two.
    pub fn words(&self) -> String {
        let masked = if self.masked.is_some() { " (masked)" } else { "" };
        format!("{}{masked}", self.outcome.word())
    }

    /// What failures hide, in words; empty if nothing.
    pub fn mask(&self) -> String {
        self.masked.map_or(String::new(), |masked| {
            format!(
                ", masked: {} failed, {} of all {}",
                percent(masked.failed),
                self.target.name(),
                figure(&self.target, masked.of_all)
            )
        })
    }
}

/// Whether as many of `requests` failed as are beyond the quantile `q`, or more: then it is not that of the slowest.
pub fn is_masked(q: f64, requests: u64, failed: u64) -> bool {
    // The share of 1 − 0.99 is not quite a hundredth in binary.
    failed as f64 > requests as f64 * (1.0 - q) * (1.0 + 1e-9)
}

/// The bound of a target as a number: milliseconds, a ratio, or money.
pub fn bound(target: &Target) -> f64 {
    match target {
        Target::Quantile { at_most, .. } | Target::Mean(at_most) | Target::ScaleUpTime(at_most) => {
            at_most.as_millis_f64()
        }
        Target::Availability(at_least) => *at_least,
        Target::Cost(at_most) => *at_most,
    }
}

/// Whether more is better.
pub fn more_is_better(target: &Target) -> bool {
    matches!(target, Target::Availability(_))
}

/// The figure of one run that a target is about, in its unit; `None` if there was nothing to observe.
pub fn of_run(target: &Target, run: &Run) -> Option<f64> {
    match target {
        Target::Quantile { q, .. } => run.latency.quantile(*q).map(Span::as_millis_f64),
        Target::Mean(_) => run.latency.mean().map(Span::as_millis_f64),
        Target::Availability(_) => run.counts.availability(),
        // Nobody sees the fleet of a target that load was sent to.
        Target::Cost(_) => run.generator.is_none().then_some(run.fleet.cost.cost),
        Target::ScaleUpTime(_) => run.fleet.longest_scale_up.map(Span::as_millis_f64),
    }
}

fn of_all(target: &Target, experiment: &Experiment) -> Option<f64> {
    match target {
        Target::Quantile { q, .. } => experiment.latency().quantile(*q).map(Span::as_millis_f64),
        Target::Mean(_) => experiment.latency().mean().map(Span::as_millis_f64),
        Target::Availability(_) => experiment.counts().availability(),
        Target::Cost(_) => {
            let seen = experiment.runs.iter().all(|run| run.generator.is_none());
            seen.then(|| experiment.mean(|run| run.fleet.cost.cost))
        }
        // A run without a scale-up has nothing to say; the slowest of the others counts.
        Target::ScaleUpTime(_) => {
            experiment.runs.iter().filter_map(|run| run.fleet.longest_scale_up).max().map(Span::as_millis_f64)
        }
    }
}

/// Judges a figure of `runs` replications against a target. With several, a replication that observed nothing leaves no
/// interval, and then nobody can tell.
pub fn judge(target: &Target, runs: usize, observed: Option<f64>, ci: Option<(f64, f64)>) -> Outcome {
    let good = |x: f64| if more_is_better(target) { x >= bound(target) } else { x <= bound(target) };
    match (observed, ci) {
        (None, _) => Outcome::Inconclusive,
        (Some(_), None) if runs > 1 => Outcome::Inconclusive,
        (Some(_), Some((low, high))) => match (good(low), good(high)) {
            (true, true) => Outcome::Pass,
            (false, false) => Outcome::Fail,
            _ => Outcome::Inconclusive,
        },
        (Some(x), None) => match good(x) {
            true => Outcome::Pass,
            false => Outcome::Fail,
        },
    }
}

impl Experiment<'_> {
    /// Every target with its verdict, in the order of the scenario.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let blamed = self.generator_faults().is_some();
        let verdict = |target: &Target| {
            let observed = of_all(target, self);
            let interval = self.interval(|run| of_run(target, run).unwrap_or(f64::NAN));
            let ci = interval.map(|i| (i.low, i.high));
            let outcome = match blamed {
                true => Outcome::Inconclusive,
                false => judge(target, self.runs.len(), observed, ci),
            };
            Verdict { target: *target, observed, ci, outcome, masked: self.masked(target) }
        };
        self.slo.iter().map(verdict).collect()
    }

    fn masked(&self, target: &Target) -> Option<Masked> {
        let Target::Quantile { q, .. } = target else { return None };
        let counts = self.counts();
        let failed = counts.failed_total() - counts.failed_for(Failure::RateLimited);
        let ended = counts.succeeded + failed;
        let of_all = self.latency_all().quantile(*q)?.as_millis_f64();
        is_masked(*q, ended, failed).then(|| Masked { failed: failed as f64 / ended as f64, of_all })
    }

    /// Why it was the generator of load that was measured and not its target, in words; `None` if it was not.
    pub fn generator_faults(&self) -> Option<String> {
        let generators = || self.runs.iter().filter_map(|run| run.generator.as_ref());
        let says = |of: &dyn Fn(Fault) -> bool| -> Vec<String> {
            let of_one = |each: &Generator| -> Vec<String> {
                each.faults().into_iter().filter(|fault| of(*fault)).map(|fault| each.says(fault)).collect()
            };
            generators().flat_map(of_one).collect()
        };
        let own = says(&|fault| fault != Fault::SharesMissing);
        let own = (!own.is_empty())
            .then(|| format!("the generator of load was measured and not its target: {}", own.join("; ")));
        let told: Vec<String> = own.into_iter().chain(says(&|fault| fault == Fault::SharesMissing)).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// The worst verdict; `None` without targets. A run that was cut short passes nothing, and one that measured its own generator of load
    /// decides nothing.
    pub fn overall(&self) -> Option<Outcome> {
        if self.generator_faults().is_some() {
            return Some(Outcome::Inconclusive);
        }
        let worst = self.verdicts().into_iter().map(|verdict| verdict.outcome).max()?;
        Some(if self.cut_short().is_some() { worst.max(Outcome::Inconclusive) } else { worst })
    }

    /// One sentence: what held, or what did not and by how much.
    pub fn sentence(&self) -> String {
        if let Some(faults) = self.generator_faults() {
            return format!("Undecided: {faults}.");
        }
        let verdicts = self.verdicts();
        let words = |verdict: &Verdict| {
            let observed = verdict.observed.map_or("nothing".to_string(), |x| figure(&verdict.target, x));
            let side = if more_is_better(&verdict.target) { "at least" } else { "at most" };
            format!(
                "{} {observed}, target {side} {}{}",
                verdict.target.name(),
                figure(&verdict.target, bound(&verdict.target)),
                verdict.mask()
            )
        };
        match self.overall() {
            None => "No targets are set, so nothing was judged.".to_string(),
            Some(Outcome::Pass) => {
                let all: Vec<String> = verdicts.iter().map(words).collect();
                format!("Every target held: {}.", all.join("; "))
            }
            Some(outcome) => {
                let bad: Vec<String> = verdicts.iter().filter(|v| v.outcome == outcome).map(words).collect();
                if bad.is_empty() {
                    return "Undecided: the run was cut short.".to_string();
                }
                let lead = if outcome == Outcome::Fail { "Missed" } else { "Undecided" };
                format!("{lead}: {}.", bad.join("; "))
            }
        }
    }
}

/// A figure of a target as people write it.
pub fn figure(target: &Target, x: f64) -> String {
    match target {
        Target::Quantile { .. } | Target::Mean(_) | Target::ScaleUpTime(_) => millis(x),
        Target::Availability(_) => percent(x),
        Target::Cost(_) => format!("{x:.2}"),
    }
}

/// Milliseconds with three significant digits and a fitting unit.
pub fn millis(ms: f64) -> String {
    let (value, unit) = match ms {
        ms if ms < 1.0 => (ms * 1e3, "µs"),
        ms if ms < 1e3 => (ms, "ms"),
        ms => (ms / 1e3, "s"),
    };
    let digits = if value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}

/// A ratio in percent: as many nines as it has, never rounded up to a perfect score, nor down to nothing.
pub fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    let digits = match ratio {
        r if (0.9995..1.0).contains(&r) || (r > 0.0 && r < 0.0005) => 4,
        _ => 2,
    };
    let shown = format!("{percent:.digits$}");
    match shown.as_str() {
        "100.0000" | "100.00" if ratio < 1.0 => "99.9999 %".to_string(),
        "0.0000" if ratio > 0.0 => "< 0.0001 %".to_string(),
        _ => format!("{shown} %"),
    }
}

/// A count with its thousands apart.
pub fn thousands(n: u64) -> String {
    Grouped(n).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_decides_and_a_straddled_target_is_inconclusive() {
        let p99 = Target::Quantile { q: 0.99, at_most: Span::from_millis(500) };
        let up = Target::Availability(0.999);
        for (target, runs, observed, ci, expected) in [
            (p99, 1, Some(499.0), None, Outcome::Pass),
            (p99, 1, Some(501.0), None, Outcome::Fail),
            (p99, 1, None, None, Outcome::Inconclusive),
            (p99, 5, Some(400.0), Some((380.0, 420.0)), Outcome::Pass),
            (p99, 5, Some(490.0), Some((470.0, 510.0)), Outcome::Inconclusive),
            (p99, 5, Some(600.0), Some((590.0, 610.0)), Outcome::Fail),
            (p99, 5, Some(400.0), None, Outcome::Inconclusive),
            (up, 3, Some(0.9995), Some((0.9991, 0.9999)), Outcome::Pass),
            (up, 3, Some(0.99), Some((0.98, 0.9995)), Outcome::Inconclusive),
            (up, 3, Some(0.99), Some((0.98, 0.995)), Outcome::Fail),
        ] {
            assert_eq!(judge(&target, runs, observed, ci), expected, "{target:?} {observed:?} {ci:?}");
        }
    }

    #[test]
    fn failures_mask_a_quantile_when_more_failed_than_are_beyond_it() {
        assert!(is_masked(0.99, 1000, 20) && is_masked(0.99, 1000, 11));
        assert!(!is_masked(0.99, 1000, 10), "as many as are beyond it would all be there");
        assert!(!is_masked(0.95, 1000, 20) && !is_masked(0.5, 10, 0) && !is_masked(0.99, 0, 0));
        let target = Target::Quantile { q: 0.99, at_most: Span::from_millis(500) };
        let masked = Some(Masked { failed: 0.02, of_all: 5000.0 });
        let verdict = Verdict { target, observed: Some(100.0), ci: None, outcome: Outcome::Pass, masked };
        assert_eq!(verdict.words(), "pass (masked)");
        assert_eq!(verdict.mask(), ", masked: 2.00 % failed, p99 of all 5.00 s");
    }

    #[test]
    fn figures_are_shown_as_people_write_them() {
        assert_eq!([millis(0.25), millis(87.4), millis(1236.0)], ["250 µs", "87.4 ms", "1.24 s"]);
        assert_eq!(
            [percent(0.29), percent(0.57), percent(1.0), percent(0.0)],
            ["29.00 %", "57.00 %", "100.00 %", "0.00 %"]
        );
        assert_eq!(
            [percent(0.999_95), percent(0.999_999_9), percent(33.0 / 1.4e6)],
            ["99.9950 %", "99.9999 %", "0.0024 %"]
        );
        assert_eq!([thousands(999), thousands(1_234_567)], ["999", "1,234,567"]);
    }
}

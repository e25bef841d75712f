//! The decision: how often the data is looked at, what each look may spend, and what is known after it.

use super::criterion::{Bound, Criterion, Quantity};
use super::sample::{Distribution, Sample};
use crate::report::Experiment;
use crate::report::verdict::{Outcome, Verdict, is_masked, percent};
use crate::statistics::proportion::requests_to_show;
use crate::statistics::{self, Estimate, t_quantile};

/// How a gate looks, fixed before the first run.
#[derive(Clone, Debug, PartialEq)]
pub struct Design {
    /// Numbers of runs after which it looks, ascending; at least one.
    pub looks: Vec<usize>,
    /// Chance of failing what holds, over all looks and criteria; α.
    pub fail_error: f64,
    /// Chance of passing what does not, over all looks, by Student's t; β. Quantiles of runs are skewed even as logarithms (1.3 for the p99 of
    /// half a minute of a busy queue), and then as many as eight times so many pass: 0.001 here keeps a promise of 0.01, and 0.0025
    /// at each of four looks, which would be enough for normal runs, passed 32 of 1,000.
    pub miss_error: f64,
    /// Known relative standard deviations between runs, where runs alone cannot tell.
    pub noise: Vec<(Quantity, f64)>,
}

/// What is known of a criterion.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What was asked.
    pub criterion: Criterion,
    /// Whether it holds.
    pub outcome: Outcome,
    /// The figure: mean over the runs (geometric for times and costs), or for a regression the ratio new/old less one; `None` if
    /// runs do not tell.
    pub observed: Option<f64>,
    /// Its 95 % interval.
    pub interval: Option<(f64, f64)>,
    /// The bounds that decide: the truth is above the first, and below the second, with the confidence of this look.
    pub deciding: Option<(f64, f64)>,
    /// Runs it is known from (pairs, if paired).
    pub runs: usize,
    /// Whether new and old were compared in pairs.
    pub paired: bool,
    /// More runs that would decide if they went on like this; `None` if decided, or if it cannot be said.
    pub more_runs: Option<u32>,
    /// The smallest worsening beyond the bound that the last look fails in 99 of 100 gates, in the unit of `observed` (relative for
    /// what is compared by ratio).
    pub visible: Option<f64>,
    /// Two-sided p of the truth being the bound.
    pub p: Option<f64>,
    /// The same adjusted for the number of criteria.
    pub p_adjusted: Option<f64>,
    /// What else a reader should know.
    pub note: Option<String>,
}

/// The verdict of a gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// In the order in which they were asked.
    pub findings: Vec<Finding>,
    /// Looks that were taken: runs, and what each decided.
    pub looks: Vec<(usize, Outcome)>,
    /// The design it followed.
    pub design: Design,
}

impl Judgement {
    /// The verdicts of a report, which are its own: by 95 % intervals, or by what a single run observed.
    pub fn of_report(x: &Experiment) -> Judgement {
        let finding = |v: Verdict| Finding {
            criterion: Criterion::of_target(&v.target),
            outcome: v.outcome,
            observed: v.observed,
            interval: v.ci,
            deciding: None,
            runs: x.runs.len(),
            paired: false,
            more_runs: None,
            visible: None,
            p: None,
            p_adjusted: None,
            note: v.masked.map(|_| v.mask().trim_start_matches([',', ' ']).to_string()),
        };
        let findings = x.verdicts().into_iter().map(finding).collect();
        Judgement { findings, looks: Vec::new(), design: Design::single(x.runs.len()) }
    }

    /// What is known before anything ran.
    pub fn undecided(criteria: &[Criterion], design: &Design) -> Judgement {
        let runs = Runs::default();
        let findings = criteria
            .iter()
            .map(|criterion| Finding { note: None, ..finding(criterion, &runs, design, 0, criteria.len()) });
        Judgement { findings: findings.collect(), looks: Vec::new(), design: design.clone() }
    }

    /// The worst finding; a fail counts more than what nobody can tell.
    pub fn outcome(&self) -> Outcome {
        self.findings.iter().map(|each| each.outcome).max().unwrap_or(Outcome::Inconclusive)
    }
}

impl Design {
    /// As many looks as halving allows, the last at `budget` runs: 5, 10, 20 and 40.
    pub fn sequential(budget: usize) -> Design {
        let mut looks = vec![budget.max(1)];
        while looks.len() < 4 && looks[0].is_multiple_of(2) && looks[0] / 2 >= 5 {
            looks.insert(0, looks[0] / 2);
        }
        Design { looks, ..Design::single(budget) }
    }

    /// One look at `runs` runs: there are no more.
    pub fn single(runs: usize) -> Design {
        Design { looks: vec![runs], fail_error: 0.001, miss_error: 0.001, noise: Vec::new() }
    }

    /// One-sided confidences that the look after `runs` runs needs to fail and to pass one of `criteria`. Looks spend in proportion to
    /// their runs: the first ones, where Student's t knows least of a skewed distribution, the least.
    pub fn confidences(&self, runs: usize, criteria: usize) -> (f64, f64) {
        let share = runs as f64 / self.looks.iter().sum::<usize>().max(1) as f64;
        (1.0 - self.fail_error * share / criteria.max(1) as f64, 1.0 - self.miss_error * share)
    }
}

/// Runs as they are looked at: new ones, and those of the baseline.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// Of what is judged.
    pub new: Vec<Sample>,
    /// Of what it is compared with; empty if nothing.
    pub old: Vec<Sample>,
}

/// Looks after as many runs as the design says, until every criterion is decided or one has failed. `provide` is asked for all runs up to
/// a number; what it gives may be fewer if there are no more.
pub fn decide<E>(
    criteria: &[Criterion],
    design: &Design,
    mut provide: impl FnMut(usize) -> Result<Runs, E>,
) -> Result<Judgement, E> {
    let mut findings: Vec<Option<Finding>> = vec![None; criteria.len()];
    let mut looks = Vec::new();
    for &n in &design.looks {
        let runs = provide(n)?;
        let enough = runs.new.len() >= n;
        // The budget was up: looking at the same runs again would be no look, and spend what this one may.
        if looks.last().is_some_and(|&(seen, _)| runs.new.len() <= seen) {
            break;
        }
        for (criterion, known) in criteria.iter().zip(&mut findings) {
            // What an earlier look decided stays decided: looking again would spend its error again.
            if known.as_ref().is_none_or(|finding| finding.outcome == Outcome::Inconclusive) {
                *known = Some(finding(criterion, &runs, design, n, criteria.len()));
            }
        }
        let worst = findings.iter().flatten().map(|finding| finding.outcome).max();
        looks.push((runs.new.len(), worst.unwrap_or(Outcome::Inconclusive)));
        if worst != Some(Outcome::Inconclusive) && findings.iter().flatten().all(|f| f.outcome == Outcome::Pass)
            || worst == Some(Outcome::Fail)
            || !enough
        {
            break;
        }
    }
    let mut findings: Vec<Finding> = findings.into_iter().flatten().collect();
    let p: Vec<f64> = findings.iter().filter_map(|finding| finding.p).collect();
    let mut adjusted = statistics::holm(&p).into_iter();
    for finding in findings.iter_mut().filter(|finding| finding.p.is_some()) {
        finding.p_adjusted = adjusted.next();
    }
    Ok(Judgement { findings, looks, design: design.clone() })
}

/// What runs say about a criterion.
fn finding(criterion: &Criterion, runs: &Runs, design: &Design, look: usize, criteria: usize) -> Finding {
    let quantity = criterion.quantity;
    let figures = |samples: &[Sample]| -> Vec<f64> {
        samples.iter().map(|sample| sample.figure(quantity).unwrap_or(f64::NAN)).collect()
    };
    let mut known = Finding {
        criterion: criterion.clone(),
        outcome: Outcome::Inconclusive,
        observed: None,
        interval: None,
        deciding: None,
        runs: runs.new.len(),
        paired: false,
        more_runs: None,
        visible: None,
        p: None,
        p_adjusted: None,
        note: None,
    };
    let new = figures(&runs.new);
    if new.is_empty() {
        return known;
    }
    if let Some(missing) = new.iter().position(|x| !x.is_finite()) {
        known.note = Some(untold(&runs.new[missing], quantity, new.len()));
        return known;
    }
    let (estimate, bound, at_most, scale) = match criterion.bound {
        Bound::AtMost(bound) | Bound::AtLeast(bound) => {
            let at_most = matches!(criterion.bound, Bound::AtMost(_));
            let logs = statistics::logs(&new).filter(|_| quantity.is_ratio() && bound > 0.0);
            let (values, scale) = logs.map_or((new.clone(), Scale::Plain), |logs| (logs, Scale::Log));
            known.observed = Some(scale.read(statistics::mean(&values)));
            (estimate(&values, quantity, scale, design), scale.write(bound), at_most, scale)
        }
        Bound::Regression(tolerance) => {
            let (old, pairs) = (figures(&runs.old), pairs(runs));
            known.paired = !pairs.is_empty();
            let (a, b): (Vec<f64>, Vec<f64>) = match known.paired {
                true => pairs.iter().map(|&(i, j)| (old[i], new[j])).unzip(),
                false => (old, new),
            };
            known.runs = b.len();
            // A share is compared by what is lost of it: 99.9 % to 99.8 % is twice as many errors, and 0.1 points.
            let worse = if quantity.more_is_better() { -1.0 } else { 1.0 };
            let logs = statistics::logs(&a).zip(statistics::logs(&b)).filter(|_| quantity.is_ratio());
            let ((a, b), scale) = logs.map_or(((a, b), Scale::Plain), |logs| (logs, Scale::Relative));
            if a.is_empty() || a.iter().chain(&b).any(|x| !x.is_finite()) {
                known.note = Some("the baseline does not tell".to_string());
                return known;
            }
            let center = worse * (statistics::mean(&b) - statistics::mean(&a));
            known.observed = Some(scale.read(center));
            let difference = match known.paired {
                true => statistics::of_paired(&a, &b),
                false => statistics::of_independent(&a, &b),
            };
            let estimate = difference.map(|e| Estimate { center: worse * e.center, ..e });
            (
                estimate.or_else(|| by_noise(center, quantity, design, b.len().min(a.len()), 2.0)),
                scale.write(tolerance),
                true,
                scale,
            )
        }
    };
    let Some(estimate) = estimate else {
        known.note =
            Some("one run says nothing about runs: give more, or the spread that is known (--noise)".to_string());
        return known;
    };
    let (fail_at, pass_at) = design.confidences(look, criteria);
    let (low, high) = estimate.interval(0.95);
    // A share cannot be beyond 0 or 1, though Student's t can.
    let is_share = matches!(quantity, Quantity::Availability | Quantity::ErrorRate)
        && !matches!(criterion.bound, Bound::Regression(_));
    let read = |x: f64| if is_share { scale.read(x).clamp(0.0, 1.0) } else { scale.read(x) };
    known.interval = Some((read(low), read(high)));
    // Certain to be above the first and below the second, each with the confidence that its side needs.
    let (above, below) = match at_most {
        true => (estimate.low(fail_at), estimate.high(pass_at)),
        false => (estimate.low(pass_at), estimate.high(fail_at)),
    };
    known.deciding = Some((read(above), read(below)));
    known.outcome = match (at_most, above > bound, below <= bound, above >= bound, below < bound) {
        (true, true, ..) | (false, _, _, _, true) => Outcome::Fail,
        (true, _, true, ..) | (false, _, _, true, _) => Outcome::Pass,
        _ => Outcome::Inconclusive,
    };
    known.p = Some(estimate.p_value(bound));
    let sd = estimate.error * ((estimate.freedom + 1.0).min(known.runs as f64)).sqrt();
    let last = *design.looks.last().expect("a design has a look") as f64;
    known.visible = visible(sd, last.max(2.0), design, criteria).map(|x| match scale {
        Scale::Plain => x,
        Scale::Log | Scale::Relative => x.exp_m1(),
    });
    if known.outcome == Outcome::Inconclusive {
        let missed = if at_most { estimate.center > bound } else { estimate.center < bound };
        let confidence = if missed { fail_at } else { pass_at };
        known.more_runs = runs_to_decide(sd, (estimate.center - bound).abs(), confidence, known.runs);
    }
    check_requests(&mut known, &runs.new, design);
    known
}

/// The mean of runs, or of a single one with a spread that is known.
fn estimate(values: &[f64], quantity: Quantity, scale: Scale, design: &Design) -> Option<Estimate> {
    let known = by_noise(statistics::mean(values), quantity, design, values.len(), 1.0);
    match (known, scale) {
        (Some(known), Scale::Log) => Some(known),
        _ => statistics::of_mean(values),
    }
}

/// An estimate from a relative spread that is known; `None` if none is.
fn by_noise(center: f64, quantity: Quantity, design: &Design, runs: usize, samples: f64) -> Option<Estimate> {
    let (_, sd) = design.noise.iter().find(|(each, _)| *each == quantity)?;
    Some(Estimate { center, error: sd.ln_1p() * (samples / runs as f64).sqrt(), freedom: 1e6 })
}

/// How a figure is estimated, and how it is read back.
#[derive(Clone, Copy, PartialEq)]
enum Scale {
    Plain,
    /// Logarithms of the figure.
    Log,
    /// Logarithms of a ratio, told as what it is above one.
    Relative,
}

impl Scale {
    fn write(self, x: f64) -> f64 {
        match self {
            Scale::Plain => x,
            Scale::Log => x.ln(),
            Scale::Relative => x.ln_1p(),
        }
    }

    fn read(self, x: f64) -> f64 {
        match self {
            Scale::Plain => x,
            Scale::Log => x.exp(),
            Scale::Relative => x.exp_m1(),
        }
    }
}

/// Runs that share a seed, old and new; empty unless all of the smaller side do.
fn pairs(runs: &Runs) -> Vec<(usize, usize)> {
    let partner = |(j, new): (usize, &Sample)| {
        Some((runs.old.iter().position(|old| old.seed.is_some() && old.seed == new.seed)?, j))
    };
    let found: Vec<(usize, usize)> = runs.new.iter().enumerate().filter_map(partner).collect();
    if found.len() == runs.new.len().min(runs.old.len()) { found } else { Vec::new() }
}

/// Why a run has no such figure.
fn untold(sample: &Sample, quantity: Quantity, runs: usize) -> String {
    let which = if runs > 1 { "a run does not tell it" } else { "the run does not tell it" };
    match (&sample.latency, quantity) {
        (Distribution::Summary { quantiles, .. }, Quantity::Latency { .. }) => {
            let there: Vec<String> = quantiles.iter().map(|&(q, _)| Quantity::Latency { q }.to_string()).collect();
            format!("{which}; there is {}", there.join(", "))
        }
        (_, Quantity::ScaleUpTime) => format!("{which}: nothing was scaled up to its end"),
        _ => which.to_string(),
    }
}

/// The smallest distance beyond the bound that the last look, at `n` runs, fails in 99 of 100.
fn visible(sd: f64, n: f64, design: &Design, criteria: usize) -> Option<f64> {
    let last = *design.looks.last().expect("a design has a look");
    let (fail_at, _) = design.confidences(last, criteria);
    let freedom = n - 1.0;
    sd.is_finite().then(|| (t_quantile(fail_at, freedom) + t_quantile(0.99, freedom)) * sd / n.sqrt())
}

/// How many more runs than `now` decide, if the distance and the spread stay what they are; `None` above 10,000.
fn runs_to_decide(sd: f64, distance: f64, confidence: f64, now: usize) -> Option<u32> {
    let decides = |n: usize| t_quantile(confidence, n as f64 - 1.0) * sd / (n as f64).sqrt() <= distance;
    let (mut low, mut high) = (now + 1, 10_000.max(now + 2));
    if distance == 0.0 || !decides(high) {
        return None;
    }
    while low < high {
        let middle = (low + high) / 2;
        if decides(middle.max(2)) { high = middle } else { low = middle + 1 }
    }
    Some((low - now) as u32)
}

/// A share is not shown to be so high by fewer requests than it takes to see one failure; and a quantile of what succeeded is hidden
/// by failures beyond it.
fn check_requests(known: &mut Finding, runs: &[Sample], design: &Design) {
    let requests: u64 = runs.iter().map(|run| run.requests).sum();
    let failed: u64 = runs.iter().map(|run| run.failed).sum();
    let target = match (known.criterion.quantity, known.criterion.bound) {
        (Quantity::Availability, Bound::AtLeast(target)) => Some(target),
        (Quantity::ErrorRate, Bound::AtMost(most)) => Some(1.0 - most),
        _ => None,
    };
    if let Some(target) = target.filter(|target| *target < 1.0 && known.outcome == Outcome::Pass) {
        let scale = design.miss_error.ln() / 0.05f64.ln();
        let needed = (requests_to_show(target) as f64 * scale).ceil() as u64;
        if requests < needed {
            known.outcome = Outcome::Inconclusive;
            known.note = Some(format!("{requests} requests cannot show it: {needed} without a failure would"));
        }
    }
    if let Quantity::Latency { q } = known.criterion.quantity
        && is_masked(q, requests, failed)
    {
        let share = percent(failed as f64 / requests as f64);
        known.note = Some(format!("masked: {share} of the requests failed and are not in it"));
    }
}

#[cfg(test)]
mod tests;

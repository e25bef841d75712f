//! Detectors of change and of outliers in a few values that stand for much, such as the days of a recording.
//!
//! [`Bocpd`] (Adams & MacKay 2007) keeps a distribution over the time since the last change. [`robust_z`] judges one value among others,
//! [`outliers`] all values of a batch by the generalised extreme Studentised deviate (Rosner 1983), with median and MAD in place of
//! mean and deviation if asked to (the "hybrid" of Vallis, Hochenbaum, Kejariwal 2014).

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Median of `values`; 0 of none.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    match n {
        0 => 0.0,
        _ if n % 2 == 1 => sorted[n / 2],
        _ => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// `0.6745 (x − median)/MAD`. Where the MAD is 0, the mean absolute deviation stands in; where that is 0 too, any difference is infinite.
pub fn robust_z(values: &[f64], x: f64) -> f64 {
    let middle = median(values);
    let deviations: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    let mad = median(&deviations);
    if mad > 0.0 {
        return 0.6745 * (x - middle) / mad;
    }
    let mean = deviations.iter().sum::<f64>() / deviations.len().max(1) as f64;
    if mean > 0.0 {
        (x - middle) / (1.2533 * mean)
    } else if x == middle {
        0.0
    } else {
        f64::INFINITY.copysign(x - middle)
    }
}

/// Run lengths kept at most.
const LONGEST: usize = 500;
/// Run lengths less probable are dropped.
const NEGLIGIBLE: f64 = 1e-9;

/// Bayesian online detection of change points, of a normal mean with known noise.
#[derive(Clone, Debug)]
pub struct Bocpd {
    hazard: f64,
    prior: (f64, f64),
    noise: f64,
    /// For each run length from 0: its probability, and mean and variance of the belief about the mean.
    runs: Vec<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    length: usize,
    p: f64,
    mean: f64,
    variance: f64,
}

impl Bocpd {
    /// A change is expected once in 1/`hazard` values; the mean is believed to be N(`mean`, `variance`) after a change, and values vary
    /// about it with variance `noise`.
    pub fn new(hazard: f64, mean: f64, variance: f64, noise: f64) -> Bocpd {
        let runs = vec![Run { length: 0, p: 1.0, mean, variance }];
        Bocpd { hazard, prior: (mean, variance), noise, runs }
    }

    /// Takes a value. The score is `1 − P(now)/P(before)` of the most probable run length when that length falls, else 0. The probability
    /// of a run of length 0 is the hazard always, and says nothing.
    pub fn observe(&mut self, value: f64) -> f64 {
        let before = self.most_probable();
        let mut grown: Vec<Run> = Vec::with_capacity(self.runs.len() + 1);
        let mut changed = 0.0;
        for run in &self.runs {
            let spread = run.variance + self.noise;
            let density = libm::exp(-(value - run.mean) * (value - run.mean) / (2.0 * spread)) / spread.sqrt();
            let p = run.p * density;
            changed += p * self.hazard;
            let precision = 1.0 / run.variance + 1.0 / self.noise;
            grown.push(Run {
                length: run.length + 1,
                p: p * (1.0 - self.hazard),
                mean: (run.mean / run.variance + value / self.noise) / precision,
                variance: 1.0 / precision,
            });
        }
        let total = changed + grown.iter().map(|run| run.p).sum::<f64>();
        let first = Run { length: 0, p: changed, mean: self.prior.0, variance: self.prior.1 };
        self.runs = std::iter::once(first).chain(grown).collect();
        if total > 0.0 {
            self.runs.iter_mut().for_each(|run| run.p /= total);
        }
        self.runs.retain(|run| run.length == 0 || run.p >= NEGLIGIBLE);
        self.runs.truncate(LONGEST);
        let now = self.most_probable();
        if now.length < before.length + 1 && before.p > 0.0 {
            (1.0 - self.probability(before.length + 1) / before.p).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// The most probable time since the last change \[values\], and its probability.
    pub fn run_length(&self) -> (usize, f64) {
        let run = self.most_probable();
        (run.length, run.p)
    }

    fn most_probable(&self) -> Run {
        let best = self.runs.iter().max_by(|a, b| a.p.total_cmp(&b.p).then(b.length.cmp(&a.length)));
        best.copied().expect("there is always a run")
    }

    /// Probability that the last change was `length` values ago.
    pub fn probability(&self, length: usize) -> f64 {
        self.runs.iter().find(|run| run.length == length).map_or(0.0, |run| run.p)
    }
}

/// Which way an outlier lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Either.
    Both,
    /// Above only.
    Above,
}

/// What the middle and the spread of a batch are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Center {
    /// Mean and standard deviation.
    Mean,
    /// Median and 1.4826 MAD.
    Median,
}

/// One step of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extreme {
    /// Place of the most extreme value that was left.
    pub at: usize,
    /// How extreme it was.
    pub r: f64,
    /// How extreme it must be.
    pub lambda: f64,
}

/// The `most` most extreme values of a batch, in order, with what the test says of each. `alpha` is the chance of a false alarm.
pub fn extremes(values: &[f64], most: usize, alpha: f64, side: Side, center: Center) -> Vec<Extreme> {
    let n = values.len();
    let mut left: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
    let mut found = Vec::new();
    for i in 1..=most.min(n.saturating_sub(2)) {
        let only: Vec<f64> = left.iter().map(|(_, value)| *value).collect();
        let (middle, spread) = match center {
            Center::Mean => {
                let mean = only.iter().sum::<f64>() / only.len() as f64;
                let squares: f64 = only.iter().map(|v| (v - mean) * (v - mean)).sum();
                (mean, (squares / (only.len() - 1) as f64).sqrt())
            }
            Center::Median => {
                let middle = median(&only);
                let deviations: Vec<f64> = only.iter().map(|v| (v - middle).abs()).collect();
                (middle, 1.4826 * median(&deviations))
            }
        };
        if spread <= 0.0 {
            break;
        }
        let distance = |value: f64| if side == Side::Both { (value - middle).abs() } else { value - middle };
        let place = (0..left.len()).max_by(|a, b| distance(left[*a].1).total_cmp(&distance(left[*b].1)));
        let Some(place) = place else { break };
        let (at, value) = left.remove(place);
        found.push(Extreme { at, r: distance(value) / spread, lambda: lambda(n, i, alpha, side) });
    }
    found
}

/// Places of the outliers: all up to the last step whose value is extreme enough.
pub fn outliers(values: &[f64], most: usize, alpha: f64, side: Side, center: Center) -> Vec<usize> {
    let steps = extremes(values, most, alpha, side, center);
    let count = steps.iter().rposition(|step| step.r > step.lambda).map_or(0, |last| last + 1);
    steps[..count].iter().map(|step| step.at).collect()
}

/// How extreme the `i`-th of `n` values must be.
fn lambda(n: usize, i: usize, alpha: f64, side: Side) -> f64 {
    let left = (n - i + 1) as f64;
    let p = if side == Side::Both { 1.0 - alpha / (2.0 * left) } else { 1.0 - alpha / left };
    let freedom = (n - i - 1) as f64;
    let t = StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |student| student.inverse_cdf(p));
    t * (n - i) as f64 / ((freedom + t * t) * left).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, by: f64) {
        assert!((a - b).abs() < by, "{a} is not {b}");
    }

    #[test]
    fn a_robust_score_is_not_fooled_by_the_outlier_itself() {
        let values = [10.0, 12.0, 11.0, 13.0, 12.0, 50.0];
        near(robust_z(&values, 50.0), 25.631, 1e-9);
        near(robust_z(&values, 13.0), 0.6745, 1e-9);
        near(robust_z(&[5.0, 5.0, 5.0, 6.0], 6.0), 1.0 / (1.2533 * 0.25), 1e-9);
        assert_eq!((robust_z(&[5.0; 4], 5.0), robust_z(&[5.0; 4], 4.0)), (0.0, f64::NEG_INFINITY));
    }

    #[test]
    fn run_lengths_have_the_published_posterior() {
        let mut detector = Bocpd::new(0.01, 0.0, 1.0, 1.0);
        for value in [0.1, -0.2, 0.0, 5.0] {
            detector.observe(value);
            near(detector.probability(0), 0.01, 1e-12);
        }
        near(detector.probability(1), 0.262535, 1e-6);
        near(detector.probability(4), 0.687977, 1e-6);
        let score = detector.observe(5.2);
        near(detector.probability(2), 0.957375, 1e-6);
        assert!(score > 0.9, "{score}");
    }

    /// Rosner's 54 values, from the NIST/SEMATECH handbook, 1.3.5.17.3.
    const ROSNER: [f64; 54] = [
        -0.25, 0.68, 0.94, 1.15, 1.20, 1.26, 1.26, 1.34, 1.38, 1.43, 1.49, 1.49, 1.55, 1.56, 1.58, 1.65, 1.69, 1.70,
        1.76, 1.77, 1.81, 1.91, 1.94, 1.96, 1.99, 2.06, 2.09, 2.10, 2.14, 2.15, 2.23, 2.24, 2.26, 2.35, 2.37, 2.40,
        2.47, 2.54, 2.62, 2.64, 2.90, 2.92, 2.92, 2.93, 3.21, 3.26, 3.30, 3.59, 3.68, 4.30, 4.64, 5.34, 5.42, 6.01,
    ];

    #[test]
    fn rosners_values_have_three_outliers_although_the_first_step_fails() {
        let steps = extremes(&ROSNER, 10, 0.05, Side::Both, Center::Mean);
        let expected = [(3.1189, 3.1588), (2.9430, 3.1514), (3.1794, 3.1439), (2.8102, 3.1362)];
        for (step, (r, lambda)) in steps.iter().zip(expected) {
            near(step.r, r, 1e-3);
            near(step.lambda, lambda, 1e-3);
        }
        let found: Vec<f64> =
            outliers(&ROSNER, 10, 0.05, Side::Both, Center::Mean).iter().map(|i| ROSNER[*i]).collect();
        assert_eq!(found, [6.01, 5.42, 5.34]);
        near(lambda(20, 1, 0.05, Side::Both), 2.708246, 1e-6);
        near(lambda(20, 1, 0.05, Side::Above), 2.556581, 1e-6);
    }

    #[test]
    fn with_medians_two_outliers_do_not_hide_each_other() {
        let values = [
            10.0, 11.0, 9.0, 10.0, 12.0, 10.0, 11.0, 9.0, 10.0, 50.0, 11.0, 10.0, 9.0, 40.0, 10.0, 11.0, 10.0, 12.0,
            9.0, 10.0,
        ];
        let steps = extremes(&values, 3, 0.05, Side::Above, Center::Median);
        [26.98, 20.23, 1.349].iter().zip(&steps).for_each(|(r, step)| near(step.r, *r, 0.005));
        assert_eq!(outliers(&values, 3, 0.05, Side::Above, Center::Median), [9, 13]);
    }
}

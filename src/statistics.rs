//! The statistics that comparisons and verdicts share.
//!
//! The unit is the run, never the request: requests of one run share its queues and are no independent samples. An [`Estimate`] is
//! what several runs say about a mean, or about the difference of two; latencies and costs are estimated on the scale of logarithms,
//! so that their centre is the geometric mean and a difference is a ratio.

pub mod change;
pub mod proportion;
pub mod rank;

use statrs::distribution::{ContinuousCDF, StudentsT};

/// An estimate with what is needed for its intervals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate itself.
    pub center: f64,
    /// Its standard error.
    pub error: f64,
    /// Degrees of freedom of Student's t, > 0.
    pub freedom: f64,
}

/// Sum of squares around the mean, over n − 1.
pub fn variance(samples: &[f64]) -> f64 {
    let center = mean(samples);
    samples.iter().map(|x| (x - center).powi(2)).sum::<f64>() / (samples.len() as f64 - 1.0)
}

/// Arithmetic mean; NaN if empty.
pub fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

/// The mean of independent samples (Student 1908); `None` with fewer than two, or when one is not finite.
pub fn of_mean(samples: &[f64]) -> Option<Estimate> {
    if samples.len() < 2 || samples.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let n = samples.len() as f64;
    Some(Estimate { center: mean(samples), error: (variance(samples) / n).sqrt(), freedom: n - 1.0 })
}

/// The difference of means, `new − old`, of samples in pairs that share their random numbers.
pub fn of_paired(old: &[f64], new: &[f64]) -> Option<Estimate> {
    let differences: Vec<f64> = new.iter().zip(old).map(|(new, old)| new - old).collect();
    of_mean(&differences)
}

/// The difference of means, `new − old`, of independent samples of unequal variance (Welch 1947).
pub fn of_independent(old: &[f64], new: &[f64]) -> Option<Estimate> {
    let (a, b) = (of_mean(old)?, of_mean(new)?);
    let (va, vb) = (a.error.powi(2), b.error.powi(2));
    let v = va + vb;
    let freedom = if v > 0.0 { v * v / (va * va / a.freedom + vb * vb / b.freedom) } else { a.freedom + b.freedom };
    Some(Estimate { center: b.center - a.center, error: v.sqrt(), freedom })
}

/// Logarithms; `None` if one is not positive.
pub fn logs(samples: &[f64]) -> Option<Vec<f64>> {
    samples.iter().map(|&x| (x > 0.0 && x.is_finite()).then(|| x.ln())).collect()
}

/// The value that Student's t with `freedom` degrees of freedom stays below with probability `p`.
pub fn t_quantile(p: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom are positive").inverse_cdf(p)
}

impl Estimate {
    /// The bound that the truth is above with `confidence` (one-sided).
    pub fn low(&self, confidence: f64) -> f64 {
        self.center - self.reach(confidence)
    }

    /// The bound that the truth is below with `confidence` (one-sided).
    pub fn high(&self, confidence: f64) -> f64 {
        self.center + self.reach(confidence)
    }

    /// The two-sided interval.
    pub fn interval(&self, confidence: f64) -> (f64, f64) {
        let one_sided = 0.5 + confidence / 2.0;
        (self.low(one_sided), self.high(one_sided))
    }

    /// The two-sided p-value of the truth being `null`.
    pub fn p_value(&self, null: f64) -> f64 {
        let distance = (self.center - null).abs();
        if self.error == 0.0 {
            return if distance == 0.0 { 1.0 } else { 0.0 };
        }
        let t = StudentsT::new(0.0, 1.0, self.freedom).expect("degrees of freedom are positive");
        2.0 * t.cdf(-distance / self.error)
    }

    fn reach(&self, confidence: f64) -> f64 {
        // Runs that agree to the last bit leave nothing to be unsure about.
        if self.error == 0.0 { 0.0 } else { t_quantile(confidence, self.freedom) * self.error }
    }
}

/// The least number of runs with which a two-sided interval at `confidence` reaches no further than `half_width` from a mean of samples
/// with standard deviation `sd`; `None` above 100,000.
pub fn runs_for(sd: f64, half_width: f64, confidence: f64) -> Option<u32> {
    let fits = |n: u32| {
        let n = f64::from(n);
        t_quantile(0.5 + confidence / 2.0, n - 1.0) * sd / n.sqrt() <= half_width
    };
    if half_width <= 0.0 || !fits(100_000) {
        return (sd == 0.0).then_some(2);
    }
    let (mut low, mut high) = (2, 100_000);
    while low < high {
        let middle = (low + high) / 2;
        if fits(middle) { high = middle } else { low = middle + 1 }
    }
    Some(low)
}

/// p-values adjusted so that the chance of any false alarm among them is that of one (Holm 1979), in their order.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![1.0; p.len()];
    let mut most = 0.0f64;
    for (rank, &i) in order.iter().enumerate() {
        most = most.max((p[i] * (p.len() - rank) as f64).min(1.0));
        adjusted[i] = most;
    }
    adjusted
}

#[cfg(test)]
mod tests;

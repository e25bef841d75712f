//! Replications and their confidence intervals.
//!
//! Requests inside a run are correlated, so a run is one sample: of its mean, of its p99, of its cost. With r
//! independent replications the interval is `mean ± t(r − 1) · s/√r` (Student 1908; Law, ch. 9).

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A mean with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Mean over the replications.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The interval of `samples` at `confidence` in 0..1; `None` with fewer than two, or when one is not finite.
pub fn student_t(samples: &[f64], confidence: f64) -> Option<Interval> {
    let n = samples.len() as f64;
    if samples.len() < 2 || samples.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let mean = samples.iter().sum::<f64>() / n;
    let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = StudentsT::new(0.0, 1.0, n - 1.0).expect("degrees of freedom are positive");
    let half = t.inverse_cdf(0.5 + confidence / 2.0) * (variance / n).sqrt();
    Some(Interval { mean, low: mean - half, high: mean + half })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // t(4, 95 %) = 2.776445; s = √2.5.
        let i = student_t(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.95).unwrap();
        assert!((i.high - i.mean - 2.776_445 * (2.5f64 / 5.0).sqrt()).abs() < 1e-5);
        assert_eq!(i.mean, 3.0);
        assert_eq!(student_t(&[1.0], 0.95), None);
        assert_eq!(student_t(&[1.0, f64::NAN], 0.95), None);
    }
}

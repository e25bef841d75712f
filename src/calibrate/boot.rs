//! Boot: from the order to launch an instance until it takes traffic.

use super::family::{Family, Moments};
use super::{Interval, Launch};
use crate::statistics;

/// How long new instances take.
#[derive(Clone, Debug, PartialEq)]
pub struct Boot {
    /// Launches that came to their end.
    pub launches: usize,
    /// Mean \[s\].
    pub mean: Interval,
    /// The distribution: with ten launches or more the best of the families, else lognormal with the spread that was seen, or constant.
    pub family: Family,
}

/// Fits it; `None` if nobody was launched.
pub fn fit(launches: &[Launch]) -> Option<Boot> {
    let mut took: Vec<f64> = launches.iter().filter(|l| l.launched > 0.0).map(|l| l.ready - l.launched).collect();
    took.retain(|seconds| *seconds > 0.0);
    took.sort_by(f64::total_cmp);
    let n = took.len();
    let (&first, &last) = (took.first()?, took.last()?);
    let mean = statistics::mean(&took);
    let interval = match statistics::of_mean(&took) {
        Some(estimate) => {
            let (low, high) = estimate.interval(0.95);
            Interval { value: mean, low: low.max(0.0), high }
        }
        // One launch says nothing of the next.
        None => Interval { value: mean, low: 0.0, high: f64::INFINITY },
    };
    let family = if n >= 10 {
        let weighted: Vec<(f64, f64)> = took.iter().map(|&x| (x, 1.0)).collect();
        Moments::of(&weighted).fit().family
    } else if last / first < 1.05 {
        Family::Constant { value: mean }
    } else {
        let logs: Vec<f64> = took.iter().map(|x| x.ln()).collect();
        Family::LogNormal { mean, sigma: statistics::variance(&logs).sqrt() }
    };
    Some(Boot { launches: n, mean: interval, family })
}

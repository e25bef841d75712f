//! A second opinion that one wild run cannot sway: Mann & Whitney's U with Hodges & Lehmann's shift.

use statrs::distribution::{ContinuousCDF, Normal};

/// What ranks say about two independent samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranks {
    /// Pairs in which the new one is larger, a tie counting half.
    pub u: f64,
    /// Two-sided p of no shift: exact up to 400 pairs without ties, else normal with tie and continuity correction.
    pub p: f64,
    /// Chance that a new run is larger than an old one (Vargha & Delaney's A₁₂).
    pub superiority: f64,
    /// Median of all differences `new − old`.
    pub shift: f64,
    /// Interval of the shift whose level is the nearest that is at least 95 %.
    pub interval: (f64, f64),
}

/// Compares two independent samples; `None` if one is empty or has a value that is not finite.
pub fn compare(old: &[f64], new: &[f64]) -> Option<Ranks> {
    let (n, m) = (old.len(), new.len());
    if n == 0 || m == 0 || old.iter().chain(new).any(|x| !x.is_finite()) {
        return None;
    }
    let mut differences: Vec<f64> = new.iter().flat_map(|b| old.iter().map(move |a| b - a)).collect();
    differences.sort_by(f64::total_cmp);
    let ties = differences.iter().filter(|d| **d == 0.0).count() as f64;
    let u = differences.iter().filter(|d| **d > 0.0).count() as f64 + ties / 2.0;
    let pairs = n * m;
    let exact = (pairs <= 400 && ties == 0.0).then(|| distribution(n, m));
    let p = match &exact {
        Some(cumulative) => (2.0 * cumulative[u.min(pairs as f64 - u) as usize]).min(1.0),
        None => normal_p(old, new, u),
    };
    // The k-th smallest and largest differences, with P(U < k) ≤ 2.5 %.
    let k = match &exact {
        Some(cumulative) => cumulative.iter().take_while(|p| **p <= 0.025).count(),
        None => {
            let (mean, sd) = (pairs as f64 / 2.0, (pairs as f64 * (n + m + 1) as f64 / 12.0).sqrt());
            (mean - 1.959_963_985 * sd).floor().max(0.0) as usize
        }
    };
    let middle = |values: &[f64]| (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
    let interval = match k {
        0 => (f64::NEG_INFINITY, f64::INFINITY),
        k => (differences[k - 1], differences[pairs - k]),
    };
    Some(Ranks { u, p, superiority: u / pairs as f64, shift: middle(&differences), interval })
}

/// P(U ≤ u) for u = 0, 1, …, n·m, when both samples come from one distribution.
fn distribution(n: usize, m: usize) -> Vec<f64> {
    // Counts of subsets by rank sum: the Gaussian binomial coefficient, one factor at a time.
    let mut counts = vec![0.0f64; n * m + 1];
    counts[0] = 1.0;
    for i in 1..=n {
        for u in (m + i..counts.len()).rev() {
            counts[u] -= counts[u - m - i];
        }
        for u in i..counts.len() {
            counts[u] += counts[u - i];
        }
    }
    let total: f64 = counts.iter().sum();
    counts
        .iter()
        .scan(0.0, |sum, count| {
            *sum += count / total;
            Some(*sum)
        })
        .collect()
}

fn normal_p(old: &[f64], new: &[f64], u: f64) -> f64 {
    let (n, m) = (old.len() as f64, new.len() as f64);
    let total = n + m;
    let mut all: Vec<f64> = old.iter().chain(new).copied().collect();
    all.sort_by(f64::total_cmp);
    let ties: f64 = all.chunk_by(|a, b| a == b).map(|tie| (tie.len() as f64).powi(3) - tie.len() as f64).sum();
    let sd = (n * m / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)))).sqrt();
    if sd == 0.0 {
        return 1.0;
    }
    let z = ((u - n * m / 2.0).abs() - 0.5).max(0.0) / sd;
    (2.0 * Normal::standard().cdf(-z)).min(1.0)
}

//! How much each setting matters: the share of a figure's variance that it explains by itself.
//!
//! Candidates of the first rung are cut into bins of equal count by the setting; the variance between the means of bins, over the whole
//! variance, is the share (a correlation ratio, Pearson 1905; also a first-order Sobol' index by binning, Plischke et al. 2013).

/// Bins of a setting that has enough values.
const BINS: usize = 8;
/// A share below this of everything: the setting does not matter here.
const NEGLIGIBLE: f64 = 0.01;

/// How much a setting matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// Path of its key.
    pub path: String,
    /// Share of the variance of cost that it explains \[0..1\].
    pub of_cost: f64,
    /// The same of the worst target's g.
    pub of_targets: f64,
}

impl Importance {
    /// Whether anything hangs on it here.
    pub fn matters(&self) -> bool {
        self.of_cost >= NEGLIGIBLE || self.of_targets >= NEGLIGIBLE
    }
}

/// The share [0..1] of the variance of `figures` that `places` (a coordinate of each candidate in [0, 1)) explains, less what bins explain
/// by chance; 0 where nothing varies.
pub fn share(places: &[f64], figures: &[f64]) -> f64 {
    let n = places.len();
    let mean = figures.iter().sum::<f64>() / n as f64;
    let total: f64 = figures.iter().map(|x| (x - mean).powi(2)).sum();
    if n < 2 || total <= 0.0 || !total.is_finite() {
        return 0.0;
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| places[a].total_cmp(&places[b]).then(a.cmp(&b)));
    let bins = BINS.min(n / 2).max(1);
    let between: f64 = (0..bins)
        .map(|bin| {
            let members = &order[bin * n / bins..(bin + 1) * n / bins];
            let of_bin = members.iter().map(|&i| figures[i]).sum::<f64>() / members.len() as f64;
            members.len() as f64 * (of_bin - mean).powi(2)
        })
        .sum();
    // Bins of pure noise explain (bins − 1)/(n − 1) of it (Ezekiel's correction).
    let raw = between / total;
    let by_chance = (bins as f64 - 1.0) / (n as f64 - 1.0);
    ((raw - by_chance) / (1.0 - by_chance)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::sobol::Sobol;

    #[test]
    fn what_a_sum_is_made_of_is_found() {
        let sobol = Sobol::new(3, 5);
        let points: Vec<Vec<f64>> = (0..256).map(|i| sobol.point(i)).collect();
        // Variances 9/12, 1/12 and none.
        let figures: Vec<f64> = points.iter().map(|p| 3.0 * p[0] - p[1]).collect();
        let of = |d: usize| share(&points.iter().map(|p| p[d]).collect::<Vec<_>>(), &figures);
        assert!((of(0) - 0.9).abs() < 0.03, "{}", of(0));
        assert!((of(1) - 0.1).abs() < 0.03, "{}", of(1));
        assert!(of(2) < NEGLIGIBLE, "{}", of(2));
        assert_eq!(share(&[0.1, 0.2], &[4.0, 4.0]), 0.0);
    }
}

//! The tree of Parzen estimators (Bergstra, Bardenet, Bengio, Kégl, *Algorithms for hyper-parameter optimization*, NIPS 2011): the next point is
//! where good settings are dense and bad ones are not. For evaluations that are dear, of which a hundred can be had.
//!
//! Dimensions are taken one at a time, each in \[0, 1\): a mixture of normals truncated to it, one for each setting and a wide one for what
//! nobody has tried.

use statrs::distribution::{ContinuousCDF, Normal};

use super::space::BELOW_ONE;
use crate::rng::{Dice, Stream};

/// The share of settings that are good.
const GOOD: f64 = 0.25;
/// No more than so many are.
const MOST_GOOD: usize = 25;
/// Points that are drawn of the good, of which the best is taken.
const DRAWN: u64 = 24;
/// Settings that are looked at before any is drawn.
pub const FIRST: usize = 16;
/// Settings that are drawn at a time, so that threads have something to do; their number changes what is found, that of threads does not.
pub const AT_ONCE: u64 = 4;

/// How many of `n` settings are good.
pub fn good(n: usize) -> usize {
    ((GOOD * n as f64).ceil() as usize).min(MOST_GOOD)
}

/// A mixture of normals truncated to \[0, 1\), with equal weights.
#[derive(Clone, Debug)]
pub struct Parzen {
    kernels: Vec<Normal>,
    /// The share of each that lies in \[0, 1\), below which it begins.
    inside: Vec<(f64, f64)>,
}

impl Parzen {
    /// Of settings, with a prior at the middle. The width of a kernel is the larger gap to its neighbours, where 0 and 1 are the neighbours of
    /// those at the ends; not below 1 / min(100, kernels + 1), and not above 1, which is that of the prior.
    pub fn new(points: &[f64]) -> Parzen {
        const PRIOR: (f64, bool) = (0.5, true);
        let mut all: Vec<(f64, bool)> = points.iter().map(|x| (*x, false)).chain([PRIOR]).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let least = 1.0 / (all.len() as f64 + 1.0).min(100.0);
        let width = |i: usize| {
            let before = if i == 0 { 0.0 } else { all[i - 1].0 };
            let after = all.get(i + 1).map_or(1.0, |next| next.0);
            (all[i].0 - before).max(after - all[i].0).clamp(least, 1.0)
        };
        let kernel = |i: usize| {
            let sigma = if all[i].1 { 1.0 } else { width(i) };
            Normal::new(all[i].0, sigma).expect("widths are positive")
        };
        let kernels: Vec<Normal> = (0..all.len()).map(kernel).collect();
        let inside = kernels.iter().map(|kernel| (kernel.cdf(0.0), kernel.cdf(1.0) - kernel.cdf(0.0))).collect();
        Parzen { kernels, inside }
    }

    /// The density at `x`.
    pub fn density(&self, x: f64) -> f64 {
        use statrs::distribution::Continuous;
        let one = |(kernel, (_, inside)): (&Normal, &(f64, f64))| kernel.pdf(x) / inside;
        self.kernels.iter().zip(&self.inside).map(one).sum::<f64>() / self.kernels.len() as f64
    }

    /// The point that `which` in \[0, 1\) finds a kernel for, and `where_in` in \[0, 1\) a place in it.
    fn draw(&self, which: f64, where_in: f64) -> f64 {
        let i = ((which * self.kernels.len() as f64) as usize).min(self.kernels.len() - 1);
        let (below, inside) = self.inside[i];
        self.kernels[i].inverse_cdf(below + where_in * inside).clamp(0.0, BELOW_ONE)
    }
}

/// The point to look at next, the `index`th, given those looked at, best first.
pub fn suggest(best_first: &[&[f64]], dimensions: usize, seed: u64, index: u64) -> Vec<f64> {
    let dice = Dice::new(seed, Stream::TuneParzen);
    let (good, bad) = best_first.split_at(good(best_first.len()));
    let of = |points: &[&[f64]], d: usize| Parzen::new(&points.iter().map(|point| point[d]).collect::<Vec<_>>());
    let one = |d: usize| {
        let (dense, sparse) = (of(good, d), of(bad, d));
        let drawn = (0..DRAWN).map(|k| {
            let at = |part: u64| dice.sub(index, (d as u64 * DRAWN + k) * 2 + part).unit();
            let x = dense.draw(at(0), at(1));
            (x, dense.density(x).ln() - sparse.density(x).ln())
        });
        drawn.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0.5, |(x, _)| x)
    };
    (0..dimensions).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densities_are_those_of_the_reference() {
        // T-22: the values of six settings, of which the two least are good.
        let mut settings: [(f64, f64); 6] =
            [(0.1, 9.0), (0.3, 4.0), (0.45, 2.0), (0.55, 1.5), (0.7, 5.0), (0.9, 8.0)];
        settings.sort_by(|a, b| a.1.total_cmp(&b.1));
        let points: Vec<f64> = settings.iter().map(|(x, _)| *x).collect();
        let (good, bad) = points.split_at(good(points.len()));
        assert_eq!(good, [0.55, 0.45]);
        let (l, g) = (Parzen::new(good), Parzen::new(bad));
        let expected = [
            (0.2, 0.977599, 1.105774, -0.123201),
            (0.4, 1.130228, 0.936175, 0.188372),
            (0.5, 1.151331, 0.883247, 0.265069),
            (0.6, 1.130228, 0.936175, 0.188372),
            (0.8, 0.977599, 1.105774, -0.123201),
        ];
        for (x, of_l, of_g, ratio) in expected {
            let found = [l.density(x), g.density(x), l.density(x).ln() - g.density(x).ln()];
            for (found, expected) in found.into_iter().zip([of_l, of_g, ratio]) {
                // The reference has six digits.
                assert!((found - expected).abs() < 2e-6, "{x}: {found} is not {expected}");
            }
        }
    }

    #[test]
    fn what_is_suggested_lies_where_good_settings_do_and_in_the_cube() {
        let points: Vec<[f64; 2]> = (0..40).map(|i| [f64::from(i) / 40.0, f64::from(i * 7 % 40) / 40.0]).collect();
        // The nearer to 0.8 in the first dimension the better; the second does not matter.
        let mut order: Vec<&[f64]> = points.iter().map(|point| &point[..]).collect();
        order.sort_by(|a, b| (a[0] - 0.8).abs().total_cmp(&(b[0] - 0.8).abs()));
        let suggested: Vec<Vec<f64>> = (0..50).map(|i| suggest(&order, 2, 9, i)).collect();
        assert!(suggested.iter().flatten().all(|x| (0.0..1.0).contains(x)));
        let near = suggested.iter().filter(|point| (point[0] - 0.8).abs() < 0.2).count();
        assert!(near >= 45, "{near} of 50");
        assert_eq!(suggest(&order, 2, 9, 3), suggested[3]);
    }
}

//! Changes of level in a series over releases: a gate against one baseline lets four per cent pass every time.
//!
//! ```text
//! Q(τ) = n·m/(n+m) · [ 2/(n·m)·Σ|xᵢ−yⱼ| − (n choose 2)⁻¹·Σ|xᵢ−xₖ| − (m choose 2)⁻¹·Σ|yⱼ−yₗ| ]
//! ```
//!
//! The energy statistic (Matteson & James 2014) of the first n = τ values against the rest says where a change is likeliest, Student's t
//! whether it is one (as in Fleming et al., *Hunter*, ICPE 2023: a permutation test is not repeatable). Accepted changes split the
//! series, both parts are searched again, and in the end those that are none between their neighbours are dropped, weakest first.

use super::{mean, t_quantile, variance};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Largest p of Student's t at which a change counts.
const SIGNIFICANT: f64 = 0.001;
/// Fewer values say nothing.
pub const SHORTEST: usize = 10;
/// Values searched at a time, half of them again with the next.
const WINDOW: usize = 50;

/// A change of level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The first value of the new level.
    pub at: usize,
    /// Mean since the change before.
    pub before: f64,
    /// Mean until the next one.
    pub after: f64,
    /// Two-sided p of Student's t between both.
    pub p: f64,
}

impl Change {
    /// The relative size.
    pub fn ratio(&self) -> f64 {
        self.after / self.before - 1.0
    }
}

/// The energy statistic of a split before value `tau`.
pub fn energy(values: &[f64], tau: usize) -> f64 {
    let (a, b) = values.split_at(tau);
    let (n, m) = (a.len() as f64, b.len() as f64);
    let between: f64 = a.iter().map(|x| b.iter().map(|y| (x - y).abs()).sum::<f64>()).sum();
    let within = |part: &[f64]| {
        let pairs = part.len() * (part.len().max(1) - 1) / 2;
        let sum: f64 =
            part.iter().enumerate().map(|(i, x)| part[..i].iter().map(|y| (x - y).abs()).sum::<f64>()).sum();
        if pairs > 0 { sum / pairs as f64 } else { 0.0 }
    };
    n * m / (n + m) * (2.0 / (n * m) * between - within(a) - within(b))
}

/// Changes of at least `least` (relative, 0.02 is 2 %), in order; `None` if the series is too short to tell.
pub fn changes(values: &[f64], least: f64) -> Option<Vec<Change>> {
    if values.len() < SHORTEST {
        return None;
    }
    let mut found: Vec<usize> = Vec::new();
    let mut from = 0;
    loop {
        let to = (from + WINDOW).min(values.len());
        split(values, from, to, least, &mut found);
        if to == values.len() {
            break;
        }
        from += WINDOW / 2;
    }
    found.sort_unstable();
    found.dedup();
    loop {
        let edges: Vec<usize> = [0].into_iter().chain(found.iter().copied()).chain([values.len()]).collect();
        let told: Vec<Change> = edges.windows(3).map(|e| change(values, e[0], e[1], e[2])).collect();
        let weakest =
            (0..told.len()).filter(|&i| !counts(&told[i], least)).max_by(|&a, &b| told[a].p.total_cmp(&told[b].p));
        match weakest {
            Some(i) => {
                found.remove(i);
            }
            None => return Some(told),
        }
    }
}

fn split(values: &[f64], from: usize, to: usize, least: f64, found: &mut Vec<usize>) {
    // Three values a side: fewer have no variance worth the name.
    let candidates = from + 3..(to + 1).saturating_sub(3);
    let best = candidates
        .max_by(|&a, &b| energy(&values[from..to], a - from).total_cmp(&energy(&values[from..to], b - from)));
    let Some(at) = best else { return };
    if counts(&change(values, from, at, to), least) {
        found.push(at);
        split(values, from, at, least, found);
        split(values, at, to, least, found);
    }
}

fn counts(change: &Change, least: f64) -> bool {
    change.p < SIGNIFICANT && change.ratio().abs() >= least
}

/// The levels on both sides of `at`, and Student's t with pooled variance between them.
fn change(values: &[f64], from: usize, at: usize, to: usize) -> Change {
    let (a, b) = (&values[from..at], &values[at..to]);
    let (n, m) = (a.len() as f64, b.len() as f64);
    let (before, after) = (mean(a), mean(b));
    let squares = |part: &[f64]| if part.len() > 1 { variance(part) * (part.len() as f64 - 1.0) } else { 0.0 };
    let freedom = n + m - 2.0;
    let error = ((squares(a) + squares(b)) / freedom * (1.0 / n + 1.0 / m)).sqrt();
    let p = match (freedom > 0.0, error > 0.0) {
        (false, _) => 1.0,
        (true, false) => f64::from(before == after),
        (true, true) => {
            let t = StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom are positive");
            2.0 * t.cdf(-((after - before) / error).abs())
        }
    };
    Change { at, before, after, p }
}

/// The smallest change of level, relative, that `n` values on each side of it would show, for values with this relative standard
/// deviation, in four cases of five.
pub fn visible(relative_sd: f64, n: usize) -> f64 {
    let freedom = 2.0 * n as f64 - 2.0;
    (t_quantile(1.0 - SIGNIFICANT / 2.0, freedom) + t_quantile(0.8, freedom)) * relative_sd * (2.0 / n as f64).sqrt()
}

//! How spread out, and how changed, a mix is: entropy and divergence of counts.
//!
//! All in bits (Shannon 1948; Lin 1991 for the Jensen–Shannon divergence). Sums run in the order of the counts.

/// Entropy `−Σ p log₂ p` of `counts`, 0..=log₂ n.
pub fn entropy(counts: &[f64]) -> f64 {
    let total: f64 = counts.iter().sum();
    counts.iter().filter(|n| **n > 0.0).map(|n| -(n / total) * libm::log2(n / total)).sum::<f64>().max(0.0)
}

/// Entropy over that of equal parts, 0..=1; 1 for a single value, which could not be more diverse.
pub fn normalized_entropy(counts: &[f64]) -> f64 {
    let distinct = counts.iter().filter(|n| **n > 0.0).count();
    if distinct < 2 { 1.0 } else { (entropy(counts) / libm::log2(distinct as f64)).min(1.0) }
}

/// Kullback–Leibler divergence of `p` from `q`, as counts; infinite where `q` has none of what `p` has.
pub fn kullback_leibler(p: &[f64], q: &[f64]) -> f64 {
    let (all_p, all_q): (f64, f64) = (p.iter().sum(), q.iter().sum());
    let term = |(a, b): (&f64, &f64)| (a / all_p) * libm::log2((a / all_p) / (b / all_q));
    p.iter().zip(q).filter(|(a, _)| **a > 0.0).map(term).sum()
}

/// Jensen–Shannon divergence of two mixes over the same values, 0 (the same) to 1 (nothing in common). 0 if either is empty.
pub fn jensen_shannon(p: &[f64], q: &[f64]) -> f64 {
    let (all_p, all_q): (f64, f64) = (p.iter().sum(), q.iter().sum());
    if all_p <= 0.0 || all_q <= 0.0 {
        return 0.0;
    }
    let term = |share: f64, middle: f64| if share > 0.0 { share * libm::log2(share / middle) } else { 0.0 };
    let pairs = (0..p.len().max(q.len())).map(|i| {
        let share = |counts: &[f64], all: f64| counts.get(i).copied().unwrap_or(0.0) / all;
        (share(p, all_p), share(q, all_q))
    });
    let sum: f64 = pairs.map(|(a, b)| 0.5 * (term(a, (a + b) / 2.0) + term(b, (a + b) / 2.0))).sum();
    sum.clamp(0.0, 1.0)
}

/// Gini coefficient of `counts`, 0 (all alike) to nearly 1 (all with one).
pub fn gini(counts: &[f64]) -> f64 {
    let mut sorted = counts.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (n, total): (f64, f64) = (sorted.len() as f64, sorted.iter().sum());
    if total <= 0.0 {
        return 0.0;
    }
    let ranked: f64 = (1..).zip(&sorted).map(|(rank, value)| f64::from(rank) * value).sum();
    2.0 * ranked / (n * total) - (n + 1.0) / n
}

/// Wilson's 95 % interval of a share of `hits` in `n`; 0..1 if nothing was counted.
pub fn wilson(hits: f64, n: f64) -> (f64, f64) {
    if n <= 0.0 {
        return (0.0, 1.0);
    }
    const Z: f64 = 1.959_963_984_540_054;
    let share = hits / n;
    let denominator = 1.0 + Z * Z / n;
    let center = (share + Z * Z / (2.0 * n)) / denominator;
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt() / denominator;
    ((center - half).max(0.0), (center + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    }

    #[test]
    fn entropies_are_the_textbooks() {
        near(entropy(&[25.0; 4]), 2.0);
        near(normalized_entropy(&[25.0; 4]), 1.0);
        near(entropy(&[97.0, 1.0, 1.0, 1.0]), 0.241941);
        near(normalized_entropy(&[97.0, 1.0, 1.0, 1.0]), 0.120970);
        near(entropy(&[50.0, 30.0, 20.0]), 1.485475);
        near(normalized_entropy(&[50.0, 30.0, 20.0]), 0.937231);
        near(entropy(&vec![1.0; 10_000]), 13.287712);
        near(normalized_entropy(&vec![1.0; 10_000]), 1.0);
        assert_eq!(normalized_entropy(&[7.0]), 1.0);
    }

    #[test]
    fn divergences_are_the_textbooks() {
        let (p, q) = ([0.6, 0.3, 0.1], [0.2, 0.3, 0.5]);
        near(kullback_leibler(&p, &q), 0.718785);
        near(jensen_shannon(&p, &q), 0.180482);
        near(jensen_shannon(&[1.0, 0.0, 0.0], &[0.6, 0.3, 0.1]), 0.236453);
        near(jensen_shannon(&[1.0, 0.0], &[0.0, 5.0]), 1.0);
        near(gini(&[97.0, 1.0, 1.0, 1.0]), 0.72);
    }

    #[test]
    fn a_share_has_an_interval() {
        let (low, high) = wilson(5.0, 10.0);
        near(low, 0.236593);
        near(high, 0.763407);
        assert_eq!(wilson(0.0, 0.0), (0.0, 1.0));
    }
}

//! Shares of counts. Only as strong as the requests are independent, which those of one run are not: they say what is the best that
//! could be known, and never decide.

/// z of a two-sided 95 % interval.
const Z: f64 = 1.959_963_984_540_054;

/// The 95 % interval of a share `successes / n` (Wilson 1927); `None` without any.
pub fn wilson(successes: u64, n: u64) -> Option<(f64, f64)> {
    if n == 0 {
        return None;
    }
    let (p, n) = (successes as f64 / n as f64, n as f64);
    let z2 = Z * Z;
    let center = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    Some(((center - half).max(0.0), (center + half).min(1.0)))
}

/// The 95 % interval of `new − old` for two independent shares (Newcombe 1998, method 10).
pub fn newcombe(new: (u64, u64), old: (u64, u64)) -> Option<(f64, f64)> {
    let share = |(k, n): (u64, u64)| k as f64 / n as f64;
    let ((l1, u1), (l2, u2)) = (wilson(new.0, new.1)?, wilson(old.0, old.1)?);
    let (p1, p2) = (share(new), share(old));
    let d = p1 - p2;
    let low = d - ((p1 - l1).powi(2) + (u2 - p2).powi(2)).sqrt();
    let high = d + ((u1 - p1).powi(2) + (p2 - l2).powi(2)).sqrt();
    Some((low, high))
}

/// Requests without any failure that are needed before more than `target` in 0..1 can be shown at one-sided 95 %.
pub fn requests_to_show(target: f64) -> u64 {
    (0.05f64.ln() / target.ln()).ceil().max(1.0) as u64
}

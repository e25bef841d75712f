//! How far apart two distributions of latency are, and two fleets over time.

use crate::record::Run;
use crate::record::latency::Latency;
use crate::record::timeline::Column;
use crate::report::figure::aligned;
use crate::units::Span;

/// Distances of two distributions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// Kolmogorov and Smirnov's: the largest difference of the two distribution functions, 0..1.
    pub ks: f64,
    /// Wasserstein's of order 1 over the mean of both: how far a latency has to be moved on average to make one of the other, as a share
    /// of a latency, ≥ 0.
    pub wasserstein: f64,
}

/// The distances of two histograms, slot by slot; `None` if one is empty.
pub fn between(a: &Latency, b: &Latency) -> Option<Distance> {
    let (means, counts) = ((a.mean()?, b.mean()?), (a.count() as f64, b.count() as f64));
    let slots = |of: &Latency| -> Vec<(u64, u64)> {
        of.histogram().iter_recorded().map(|each| (each.value_iterated_to(), each.count_at_value())).collect()
    };
    let (a, b) = (slots(a), slots(b));
    let (mut i, mut j, mut below) = (0, 0, (0u64, 0u64));
    let (mut ks, mut area, mut last) = (0.0f64, 0.0f64, None);
    while i < a.len() || j < b.len() {
        let value = match (a.get(i), b.get(j)) {
            (Some(&(x, _)), Some(&(y, _))) => x.min(y),
            (Some(&(x, _)), None) | (None, Some(&(x, _))) => x,
            (None, None) => break,
        };
        let gap = (below.0 as f64 / counts.0 - below.1 as f64 / counts.1).abs();
        area += gap * last.map_or(0.0, |last| (value - last) as f64);
        last = Some(value);
        if let Some(&(_, n)) = a.get(i).filter(|(x, _)| *x == value) {
            below.0 += n;
            i += 1;
        }
        if let Some(&(_, n)) = b.get(j).filter(|(x, _)| *x == value) {
            below.1 += n;
            j += 1;
        }
        ks = ks.max((below.0 as f64 / counts.0 - below.1 as f64 / counts.1).abs());
    }
    let mean_us = f64::midpoint(means.0.as_secs_f64(), means.1.as_secs_f64()) * 1e6;
    Some(Distance { ks, wasserstein: if mean_us > 0.0 { area / mean_us } else { 0.0 } })
}

/// Share of the time after `warmup` in which the numbers of ready instances differ by more than one; `None` without a step of it.
pub fn fleets_apart(a: &Run, b: &Run, warmup: Span) -> Option<f64> {
    let (step, steps) = (a.timeline.step_seconds, a.timeline.len());
    let ready = |run: &Run| aligned(&run.timeline, Column::InstancesReady, steps, step);
    let first = (warmup.as_secs_f64() / step).ceil() as usize;
    let pairs: Vec<(f64, f64)> = ready(a).into_iter().zip(ready(b)).skip(first).collect();
    let known: Vec<f64> = pairs.iter().map(|(a, b)| (a - b).abs()).filter(|gap| gap.is_finite()).collect();
    let apart = known.iter().filter(|gap| **gap > 1.0 + 1e-6).count();
    (!known.is_empty()).then(|| apart as f64 / known.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: impl Iterator<Item = u64>) -> Latency {
        let mut latency = Latency::default();
        millis.for_each(|ms| latency.record(Span::from_millis(ms)));
        latency
    }

    #[test]
    fn equal_distributions_are_not_apart() {
        let a = of(1..=1000);
        assert_eq!(between(&a, &a), Some(Distance { ks: 0.0, wasserstein: 0.0 }));
        assert_eq!(between(&a, &Latency::default()), None);
    }

    /// Everything 10 % later: Wasserstein's distance is that shift over the mean of both, 0.1 / 1.05.
    #[test]
    fn a_shift_is_told_as_a_share_of_the_mean() {
        let (a, b) = (of((1..=500).map(|i| 100 + i % 10)), of((1..=500).map(|i| (100 + i % 10) * 11 / 10)));
        let distance = between(&a, &b).unwrap();
        assert!((distance.wasserstein - 0.1 / 1.05).abs() < 0.005, "{distance:?}");
        assert!(distance.ks > 0.9, "{distance:?}");
    }

    #[test]
    fn half_of_all_elsewhere_is_a_distance_of_a_half() {
        let (a, b) = (of((0..100).map(|_| 10)), of((0..100).map(|i| if i % 2 == 0 { 10 } else { 30 })));
        let distance = between(&a, &b).unwrap();
        assert_eq!(distance.ks, 0.5);
        // Half of the mass is moved by 20 ms; the means are 10 and 20.
        assert!((distance.wasserstein - 10.0 / 15.0).abs() < 0.01, "{distance:?}");
    }
}

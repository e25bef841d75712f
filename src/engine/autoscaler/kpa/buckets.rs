//! Averages over the last seconds, from buckets of one second.
//!
//! The sum is divided by the buckets *since the first write*, so that a young window is an average of what it has seen and
//! not biased towards zero. A gap inside the window counts as zeros; at its end, where data is late, the gap makes the divisor
//! smaller; after a whole window without a write everything begins anew.
//!
//! Source: knative `pkg/autoscaler/aggregation/bucketing.go`.

use crate::units::{Span, Time};

const SECOND: u64 = 1_000_000_000;

/// A ring of one-second buckets.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    values: Vec<f64>,
    /// Seconds of the first and the last write; `None` before there is one.
    writes: Option<(u64, u64)>,
}

impl Buckets {
    /// An empty window of `window`, at least one second.
    pub(super) fn new(window: Span) -> Buckets {
        Buckets { values: vec![0.0; window.0.div_ceil(SECOND).max(1) as usize], writes: None }
    }

    /// Writes a value that held for `length` up to `ended_at`, each second its share.
    pub(super) fn record(&mut self, ended_at: Time, length: Span, value: f64) {
        let (from, to) = (ended_at.0.saturating_sub(length.0), ended_at.0);
        for second in from / SECOND..to.div_ceil(SECOND) {
            let overlap = to.min((second + 1) * SECOND) - from.max(second * SECOND);
            self.add(second, value * overlap as f64 / SECOND as f64);
        }
    }

    fn add(&mut self, second: u64, value: f64) {
        let n = self.values.len() as u64;
        match &mut self.writes {
            Some((_, last)) if second <= *last => {}
            Some((_, last)) if second - *last < n => {
                for skipped in *last + 1..=second {
                    self.values[(skipped % n) as usize] = 0.0;
                }
                *last = second;
            }
            writes => {
                *writes = Some((second, second));
                self.values.fill(0.0);
            }
        }
        self.values[(second % n) as usize] += value;
    }

    /// Whether nothing was ever written.
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_none()
    }

    /// The mean of the window that ends at `now`; 0 if it holds nothing.
    pub(super) fn average(&self, now: Time) -> f64 {
        let Some((first, last)) = self.writes else { return 0.0 };
        let (now, n) = (last_second(now), self.values.len() as u64);
        let gap = now.saturating_sub(last);
        if gap >= n {
            return 0.0;
        }
        let outdated = |second: &u64| *second <= now.saturating_sub(n) && now >= n;
        let kept = (last.saturating_sub(n - 1).max(first)..=last).filter(|second| !outdated(second));
        let sum: f64 = kept.map(|second| self.values[(second % n) as usize]).sum();
        let buckets = (last - first + 1).min(n - gap);
        round(sum / buckets as f64)
    }

    /// The exponentially weighted mean, newest first: `Σ vᵢ · s · (1 − s)ⁱ`.
    pub(super) fn weighted_average(&self, now: Time) -> f64 {
        self.weighted_by(now, smoothing(self.values.len() as u64))
    }

    fn weighted_by(&self, now: Time, s: f64) -> f64 {
        let Some((first, last)) = self.writes else { return 0.0 };
        let (now, n) = (last_second(now).max(last), self.values.len() as u64);
        let (mut weight, mut sum) = (s, 0.0);
        for second in (now.saturating_sub(n - 1)..=now).rev() {
            if (first..=last).contains(&second) {
                sum += weight * self.values[(second % n) as usize];
            }
            weight *= 1.0 - s;
        }
        round(sum)
    }
}

/// The second that has just ended at `now`, or is under way.
fn last_second(now: Time) -> u64 {
    now.0.div_ceil(SECOND).saturating_sub(1)
}

/// The weight of the newest of `buckets`, so that a window has 99.99 % of all weight; at least 0.2.
pub(super) fn smoothing(buckets: u64) -> f64 {
    (1.0 - libm::pow(1.0 - 0.9999, 1.0 / buckets as f64)).max(0.2)
}

/// To six decimals, as the original keeps averages.
fn round(x: f64) -> f64 {
    (x * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Time = |s| Time(s * SECOND);

    fn of(window: u64, from: u64, values: impl IntoIterator<Item = f64>) -> Buckets {
        let mut buckets = Buckets::new(Span::from_secs(window));
        for (second, value) in (from..).zip(values) {
            buckets.record(S(second + 1), Span::from_secs(1), value);
        }
        buckets
    }

    #[test]
    fn a_young_window_is_the_average_of_what_it_has_seen() {
        let buckets = of(60, 100, [10.0; 6]);
        assert_eq!(buckets.average(S(106)), 10.0, "K-13");
        let full = of(60, 100, [10.0; 60]);
        assert_eq!(full.average(S(160)), 10.0);
        assert_eq!(full.average(S(170)), 10.0, "K-14: fifty buckets are left");
        assert_eq!(full.average(S(220)), 0.0, "a whole window without a write");
    }

    #[test]
    fn a_gap_inside_the_window_counts_as_zeros() {
        let mut buckets = of(60, 0, [10.0; 10]);
        buckets.record(S(20), Span::from_secs(1), 10.0);
        assert_eq!(buckets.average(S(20)), 5.5, "eleven of twenty seconds");
        buckets.record(S(100), Span::from_secs(1), 30.0);
        assert_eq!(buckets.average(S(100)), 30.0, "begun anew");
    }

    #[test]
    fn longer_and_shorter_samples_fill_the_seconds_they_cover() {
        let mut buckets = Buckets::new(Span::from_secs(6));
        buckets.record(S(2), Span::from_secs(2), 4.0);
        buckets.record(Time(2_500_000_000), Span::from_millis(500), 2.0);
        buckets.record(S(3), Span::from_millis(500), 6.0);
        assert_eq!(buckets.average(S(3)), 4.0);
    }

    #[test]
    fn the_weighted_average_forgets_exponentially() {
        for (id, values, expected) in
            [("K-15 a", [10.0, 10.0, 5.0, 5.0], 5.544), ("K-15 b", [5.0, 5.0, 10.0, 10.0], 9.072)]
        {
            assert_eq!(of(4, 10, values).weighted_by(S(14), 0.6), expected, "{id}");
        }
        for (buckets, expected) in [(6, 0.784557), (30, 0.264358), (60, 0.2)] {
            assert!((smoothing(buckets) - expected).abs() < 1e-6, "K-16 with {buckets}");
        }
        let s = smoothing(6);
        let expected = s * (8.0 + (1.0 - s) * 4.0);
        assert!((of(6, 10, [4.0, 8.0]).weighted_average(S(12)) - expected).abs() < 1e-6);
    }
}

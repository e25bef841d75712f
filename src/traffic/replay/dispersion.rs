//! How bursty traffic is, over time scales.
//!
//! The index of dispersion for counts is the variance of the requests in intervals of a length over their mean: 1 for a Poisson process on
//! every scale, 0 for a clock, and growing with the scale where traffic has bursts within bursts or a day (Cox and Lewis, "The
//! Statistical Analysis of Series of Events", 1966; Leland et al., "On the Self-Similar Nature of Ethernet Traffic", 1994).

use crate::units::Span;

/// Lengths of intervals \[s\], each a multiple of the one before.
const SCALES: [i64; 5] = [1, 10, 60, 600, 3600];

/// Counts in intervals of every scale, and their first two moments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dispersion {
    scales: [Scale; SCALES.len()],
    /// Finest scale that the recording can tell \[s\].
    finest: i64,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Scale {
    /// The interval that is being counted.
    current: Option<i64>,
    count: f64,
    intervals: f64,
    mean: f64,
    squares: f64,
    /// Requests in the fullest interval.
    peak: f64,
}

impl Scale {
    /// Ends the current interval (Welford's method), and the empty ones before `next`.
    fn end(&mut self, next: i64) {
        let Some(current) = self.current else { return };
        self.observe(self.count);
        self.peak = self.peak.max(self.count);
        let empty = (next - current - 1).max(0) as f64;
        if empty > 0.0 {
            // Many zeros at once, by the rule for joining two samples (Chan et al., 1979).
            let all = self.intervals + empty;
            self.squares += self.mean * self.mean * self.intervals * empty / all;
            self.mean *= self.intervals / all;
            self.intervals = all;
        }
        self.count = 0.0;
    }

    fn observe(&mut self, count: f64) {
        self.intervals += 1.0;
        let deviation = count - self.mean;
        self.mean += deviation / self.intervals;
        self.squares += deviation * (count - self.mean);
    }
}

/// Burstiness on one scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burstiness {
    /// Length of the intervals.
    pub scale: Span,
    /// Variance over mean of the requests in an interval.
    pub dispersion: f64,
    /// Requests in the fullest interval over the mean.
    pub peak_to_mean: f64,
}

impl Dispersion {
    /// Counts from intervals of `finest` up.
    pub(super) fn from(finest: Span) -> Dispersion {
        Dispersion { finest: (finest.as_secs_f64().ceil() as i64).max(1), ..Dispersion::default() }
    }

    /// Counts requests in a second. Seconds come in order, but for late ones, which count where the clock is by then.
    #[inline]
    pub(super) fn add(&mut self, second: i64, requests: f64) {
        for (scale, length) in self.scales.iter_mut().zip(SCALES) {
            let interval = second.div_euclid(length);
            match scale.current {
                Some(current) if interval <= current => {}
                _ => {
                    scale.end(interval);
                    scale.current = Some(interval);
                }
            }
            scale.count += requests;
        }
    }

    /// Burstiness on every scale of which there are at least ten intervals.
    pub fn burstiness(&self) -> Vec<Burstiness> {
        let scales = self.scales.iter().zip(SCALES).filter(|(_, length)| *length >= self.finest);
        scales
            .filter_map(|(scale, length)| {
                let mut scale = scale.clone();
                scale.end(scale.current? + 1);
                let enough = scale.intervals >= 10.0 && scale.mean > 0.0;
                enough.then(|| Burstiness {
                    scale: Span::from_secs(length as u64),
                    dispersion: scale.squares / (scale.intervals - 1.0) / scale.mean,
                    peak_to_mean: scale.peak / scale.mean,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispersion_is_variance_over_mean_with_empty_intervals_counted() {
        let mut dispersion = Dispersion::from(Span::from_secs(1));
        // Seconds 0, 1, 5 and 19 with 3, 1, 4 and 2 requests; sixteen empty ones between.
        for (second, requests) in [(0, 2.0), (0, 1.0), (1, 1.0), (5, 4.0), (4, 0.0), (19, 2.0)] {
            dispersion.add(second, requests);
        }
        let burstiness = dispersion.burstiness();
        assert_eq!(burstiness.len(), 1, "two intervals of ten seconds are too few");
        let mean = 10.0 / 20.0;
        let squares = 9.0 + 1.0 + 16.0 + 4.0 - 20.0 * mean * mean;
        assert!((burstiness[0].dispersion - squares / 19.0 / mean).abs() < 1e-12, "{burstiness:?}");
        assert!((burstiness[0].peak_to_mean - 4.0 / mean).abs() < 1e-12);
        assert!(Dispersion::from(Span::from_secs(60)).burstiness().is_empty());
    }
}

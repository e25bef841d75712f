//! Latency over time as counts: which latencies were how frequent, and when.
//!
//! A quantile over time hides what is below it: two groups of requests, a few that wait and many that do not, look like one of
//! medium speed. Here is a histogram for each of at most [`COLUMNS`] spans of time, on a logarithmic axis of
//! [`ROWS_PER_DECADE`] rows a decade from 100 µs to 60 s; what is faster or slower is in the first and last row.

use serde::{Deserialize, Serialize};

use crate::record::latency::StepHistogram;
use crate::units::Span;

/// Columns at most.
pub const COLUMNS: usize = 240;
/// Rows between a latency and its tenfold.
pub const ROWS_PER_DECADE: u32 = 8;
/// The lowest bound \[µs\].
const LOWEST_US: f64 = 100.0;
/// The highest bound \[µs\].
const HIGHEST_US: f64 = 60e6;

/// Counts by time and latency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyHeat {
    /// Time that a column covers \[s\].
    pub column_seconds: f64,
    /// For each column the counts of its rows; all have [`rows`] of them.
    pub columns: Vec<Vec<u64>>,
}

/// Upper bounds of all rows but the last, which has none, ascending \[µs\].
pub fn bounds_us() -> Vec<f64> {
    let decades = (HIGHEST_US / LOWEST_US).log10();
    let inner = (decades * f64::from(ROWS_PER_DECADE)).ceil() as u32;
    let mut bounds: Vec<f64> =
        (0..inner).map(|i| LOWEST_US * libm::exp10(f64::from(i) / f64::from(ROWS_PER_DECADE))).collect();
    bounds.push(HIGHEST_US);
    bounds
}

/// Rows of a column.
pub fn rows() -> usize {
    bounds_us().len() + 1
}

/// A heat map in the making.
#[derive(Clone, Debug)]
pub(super) struct Heating {
    heat: LatencyHeat,
    bounds: Vec<f64>,
    /// Steps of the timeline in a column.
    steps: usize,
    seen: usize,
}

impl Heating {
    /// For a run of `duration` in steps of `step_seconds` \[s\].
    pub fn new(duration: Span, step_seconds: f64) -> Heating {
        let all = (duration.as_secs_f64() / step_seconds).ceil() as usize;
        let steps = all.div_ceil(COLUMNS).max(1);
        let heat = LatencyHeat { column_seconds: step_seconds * steps as f64, columns: Vec::new() };
        Heating { heat, bounds: bounds_us(), steps, seen: 0 }
    }

    /// Adds the latencies of the next step.
    pub fn add(&mut self, latencies: &StepHistogram) {
        // A run that lasts longer than it said goes on in its last column.
        if self.seen.is_multiple_of(self.steps) && self.heat.columns.len() < COLUMNS {
            self.heat.columns.push(vec![0; self.bounds.len() + 1]);
        }
        self.seen += 1;
        let column = self.heat.columns.last_mut().expect("a column was pushed with the first step");
        let mut row = 0;
        latencies.for_each(|us, n| {
            while self.bounds.get(row).is_some_and(|bound| us as f64 >= *bound) {
                row += 1;
            }
            column[row] += u64::from(n);
        });
    }

    /// The heat map.
    pub fn finish(self) -> LatencyHeat {
        self.heat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_in_the_row_between_its_bounds() {
        let bounds = bounds_us();
        assert_eq!((bounds[0], bounds[8].round(), *bounds.last().unwrap()), (100.0, 1000.0, 60e6));
        assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
        let mut heating = Heating::new(Span::from_secs(3600), 1.0);
        for us in [3, 99, 100, 1_010, 9_990, 58_000_000, 120_000_000] {
            let mut step = StepHistogram::default();
            step.record(Span::from_micros(us));
            heating.add(&step);
        }
        // Fifteen steps of a second are a column: an hour has 240 of them.
        let heat = heating.finish();
        assert_eq!((heat.column_seconds, heat.columns.len()), (15.0, 1));
        let hot: Vec<(usize, u64)> = heat.columns[0].iter().copied().enumerate().filter(|(_, n)| *n > 0).collect();
        assert_eq!(hot, [(0, 2), (1, 1), (9, 1), (16, 1), (rows() - 2, 1), (rows() - 1, 1)]);
    }
}

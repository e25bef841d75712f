//! What the run looked like over time: named columns, one value a step.

use serde::{Deserialize, Serialize};

/// Nice lengths of a step [s]: the smallest that keeps a run within [`MAX_ROWS`] is used.
const STEPS: [u64; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
/// Rows of a timeline at most (beyond 150 days of run the step is a multiple of an hour).
const MAX_ROWS: u64 = 3600;

/// A column of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Column {
    /// Requests that users wanted \[1/s\].
    OfferedRps,
    /// Requests that ended well \[1/s\].
    SucceededRps,
    /// Requests that failed for good, refused ones included \[1/s\].
    FailedRps,
    /// Requests refused by a quota \[1/s\].
    RateLimitedRps,
    /// Attempts beyond the first \[1/s\].
    RetriesRps,
    /// Median latency of requests that succeeded in the step \[ms\].
    P50Ms,
    /// 90th percentile \[ms\].
    P90Ms,
    /// 99th percentile \[ms\].
    P99Ms,
    /// Instances that take traffic, time average.
    InstancesReady,
    /// Instances that are paid for, time average.
    InstancesTotal,
    /// Instances wanted, at the end of the step.
    Desired,
    /// Instances that would be needed for the offered load.
    Needed,
    /// Instances ready in the cheapest fleet that could have met the need, knowing the future; see [`crate::record::regret`].
    Optimal,
    /// Busy CPU time over ready CPU time \[%\]; not clamped.
    CpuUtilization,
    /// Used memory over limits \[%\].
    MemoryUtilization,
    /// Requests waiting in instances, time average.
    QueueLength,
    /// Requests inside instances, time average.
    ActiveConnections,
    /// Baseline of offered load \[1/s\].
    BaselineRps,
    /// Forecast of offered load for this step, made a prediction window before \[1/s\].
    ForecastRps,
    /// Breakers that were open or half-open at the end of the step.
    BreakerOpen,
    /// Requests that the instances taking traffic can serve at most \[1/s\]: their workers over the mean demand of a request.
    CapacityRps,
    /// Lower bound of the forecast's 90 % interval \[1/s\].
    ForecastLowRps,
    /// Upper bound of the forecast's 90 % interval \[1/s\]; none while too little is known.
    ForecastHighRps,
}

impl Column {
    /// Every column, in the order of files.
    pub const ALL: [Column; 23] = [
        Column::OfferedRps,
        Column::SucceededRps,
        Column::FailedRps,
        Column::RateLimitedRps,
        Column::RetriesRps,
        Column::P50Ms,
        Column::P90Ms,
        Column::P99Ms,
        Column::InstancesReady,
        Column::InstancesTotal,
        Column::Desired,
        Column::Needed,
        Column::Optimal,
        Column::CpuUtilization,
        Column::MemoryUtilization,
        Column::QueueLength,
        Column::ActiveConnections,
        Column::BaselineRps,
        Column::ForecastRps,
        Column::BreakerOpen,
        Column::CapacityRps,
        Column::ForecastLowRps,
        Column::ForecastHighRps,
    ];

    /// The name in `report.json` and `timeline.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Column::OfferedRps => "offered_rps",
            Column::SucceededRps => "succeeded_rps",
            Column::FailedRps => "failed_rps",
            Column::RateLimitedRps => "rate_limited_rps",
            Column::RetriesRps => "retries_rps",
            Column::P50Ms => "p50_ms",
            Column::P90Ms => "p90_ms",
            Column::P99Ms => "p99_ms",
            Column::InstancesReady => "instances_ready",
            Column::InstancesTotal => "instances_total",
            Column::Desired => "desired",
            Column::Needed => "needed",
            Column::Optimal => "optimal",
            Column::CpuUtilization => "cpu_utilization",
            Column::MemoryUtilization => "memory_utilization",
            Column::QueueLength => "queue_length",
            Column::ActiveConnections => "active_connections",
            Column::BaselineRps => "baseline_rps",
            Column::ForecastRps => "forecast_rps",
            Column::BreakerOpen => "breaker_open",
            Column::CapacityRps => "capacity_rps",
            Column::ForecastLowRps => "forecast_low_rps",
            Column::ForecastHighRps => "forecast_high_rps",
        }
    }
}

/// Columns of equal length. NaN means that there is no value: no request succeeded in the step, say.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Timeline {
    /// Length of a step \[s\].
    pub step_seconds: f64,
    /// Start of each step \[s\].
    pub t: Vec<f64>,
    columns: Vec<Vec<f64>>,
}

impl Timeline {
    /// An empty timeline with steps of `step_seconds` \[s\].
    pub fn new(step_seconds: f64) -> Timeline {
        Timeline { step_seconds, t: Vec::new(), columns: vec![Vec::new(); Column::ALL.len()] }
    }

    /// The step that suits a run of `seconds` \[s\].
    pub fn step_for(seconds: f64) -> u64 {
        let fits = |step: &u64| (seconds / *step as f64) <= MAX_ROWS as f64;
        STEPS.into_iter().find(fits).unwrap_or_else(|| (seconds / MAX_ROWS as f64 / 3600.0).ceil() as u64 * 3600)
    }

    /// Adds a step that began at `t` \[s\]; columns not in `values` are NaN.
    pub fn push(&mut self, t: f64, values: &[(Column, f64)]) {
        self.t.push(t);
        for column in &mut self.columns {
            column.push(f64::NAN);
        }
        for &(column, value) in values {
            *self.columns[column as usize].last_mut().expect("a row was just pushed") = value;
        }
    }

    /// The values of a column.
    pub fn column(&self, column: Column) -> &[f64] {
        &self.columns[column as usize]
    }

    /// Replaces the values of a column; there is one per step.
    pub fn set(&mut self, column: Column, values: Vec<f64>) {
        assert_eq!(values.len(), self.t.len(), "a column has a value per step");
        self.columns[column as usize] = values;
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.t.len()
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.t.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_keeps_a_timeline_readable() {
        for (seconds, step) in [(60.0, 1), (3600.0, 1), (86_400.0, 30), (604_800.0, 300), (31_536_000.0, 10_800)] {
            assert_eq!(Timeline::step_for(seconds), step, "{seconds} s");
        }
    }
}

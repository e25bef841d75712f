//! What is compared of a run.

use crate::record::Run;
use crate::report::Experiment;
use crate::report::verdict::{millis, percent};
use crate::statistics;
use crate::units::Span;

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Price of the instance-time billed.
    Cost,
    /// Instance-time billed \[h\].
    Hours,
    /// Median latency of requests that succeeded \[ms\].
    P50,
    /// 95th percentile \[ms\].
    P95,
    /// 99th percentile \[ms\].
    P99,
    /// `succeeded / (offered − rate_limited)`.
    Availability,
    /// Scaling actions undone within a quarter of an hour.
    Flaps,
    /// Cost beyond the cheapest fleet, knowing the future.
    Regret,
    /// The same in instance-hours \[h\].
    RegretHours,
    /// Cost over that of the cheapest fleet.
    RegretRatio,
    /// Instance-time that was needed and not there \[h\].
    Missing,
    /// Share of time with too few instances.
    UnderProvisioned,
    /// Share of time with too many.
    OverProvisioned,
    /// Missing instances relative to demand, on average over time.
    UnderAccuracy,
    /// Surplus instances relative to demand, on average over time.
    OverAccuracy,
    /// Share of time in which supply and demand moved apart.
    Instability,
    /// Instances that took traffic, on average over time.
    Instances,
    /// Actions that added instances.
    ScaleUps,
    /// Actions that removed instances.
    ScaleDowns,
}

/// How a difference is expressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// As a ratio, by logarithms.
    Ratio,
    /// As a difference in the measure's unit.
    Difference,
}

impl Measure {
    /// Every measure, in the order of tables.
    pub const ALL: [Measure; 19] = [
        Measure::Cost,
        Measure::Hours,
        Measure::P50,
        Measure::P95,
        Measure::P99,
        Measure::Availability,
        Measure::Flaps,
        Measure::Regret,
        Measure::RegretHours,
        Measure::RegretRatio,
        Measure::Missing,
        Measure::UnderProvisioned,
        Measure::OverProvisioned,
        Measure::UnderAccuracy,
        Measure::OverAccuracy,
        Measure::Instability,
        Measure::Instances,
        Measure::ScaleUps,
        Measure::ScaleDowns,
    ];

    /// The name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Measure::Cost => "cost",
            Measure::Hours => "instance_hours",
            Measure::P50 => "p50_ms",
            Measure::P95 => "p95_ms",
            Measure::P99 => "p99_ms",
            Measure::Availability => "availability",
            Measure::Flaps => "flaps",
            Measure::Regret => "regret_cost",
            Measure::RegretHours => "regret_instance_hours",
            Measure::RegretRatio => "regret_ratio",
            Measure::Missing => "missing_instance_hours",
            Measure::UnderProvisioned => "under_provisioned_share",
            Measure::OverProvisioned => "over_provisioned_share",
            Measure::UnderAccuracy => "under_accuracy",
            Measure::OverAccuracy => "over_accuracy",
            Measure::Instability => "instability",
            Measure::Instances => "fleet_mean",
            Measure::ScaleUps => "scale_ups",
            Measure::ScaleDowns => "scale_downs",
        }
    }

    /// The name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Measure::Cost => "cost",
            Measure::Hours => "instance-hours",
            Measure::P50 => "p50",
            Measure::P95 => "p95",
            Measure::P99 => "p99",
            Measure::Availability => "availability",
            Measure::Flaps => "flaps",
            Measure::Regret => "regret",
            Measure::RegretHours => "regret [instance-hours]",
            Measure::RegretRatio => "cost / cheapest fleet",
            Measure::Missing => "missing [instance-hours]",
            Measure::UnderProvisioned => "time with too few instances",
            Measure::OverProvisioned => "time with too many instances",
            Measure::UnderAccuracy => "missing instances / demand",
            Measure::OverAccuracy => "surplus instances / demand",
            Measure::Instability => "instability",
            Measure::Instances => "instances on average",
            Measure::ScaleUps => "scale-ups",
            Measure::ScaleDowns => "scale-downs",
        }
    }

    /// The figure of one run; NaN if there is none.
    pub fn of(self, run: &Run) -> f64 {
        let quantile = |q| run.latency.quantile(q).map_or(f64::NAN, Span::as_millis_f64);
        match self {
            Measure::Cost => run.fleet.cost.cost,
            Measure::Hours => run.fleet.cost.instance_hours,
            Measure::P50 => quantile(0.5),
            Measure::P95 => quantile(0.95),
            Measure::P99 => quantile(0.99),
            Measure::Availability => run.counts.availability().unwrap_or(f64::NAN),
            Measure::Flaps => f64::from(run.fleet.flaps),
            Measure::Regret => run.regret.cost,
            Measure::RegretHours => run.regret.hours,
            Measure::RegretRatio => run.regret.ratio.unwrap_or(f64::NAN),
            Measure::Missing => run.regret.missing_hours,
            Measure::UnderProvisioned => run.elasticity.under_provisioned_share,
            Measure::OverProvisioned => run.elasticity.over_provisioned_share,
            Measure::UnderAccuracy => run.elasticity.under_accuracy,
            Measure::OverAccuracy => run.elasticity.over_accuracy,
            Measure::Instability => run.elasticity.instability,
            Measure::Instances => run.fleet.mean,
            Measure::ScaleUps => f64::from(run.fleet.scale_ups),
            Measure::ScaleDowns => f64::from(run.fleet.scale_downs),
        }
    }

    /// The mean over the runs: geometric for what is compared by ratio. `None` if a run has none.
    pub fn mean(self, x: &Experiment) -> Option<f64> {
        let samples: Vec<f64> = x.runs.iter().map(|run| self.of(run)).collect();
        let mean = match (self.scale(), statistics::logs(&samples)) {
            (Scale::Ratio, Some(logs)) => statistics::mean(&logs).exp(),
            _ => statistics::mean(&samples),
        };
        mean.is_finite().then_some(mean)
    }

    /// How its differences are expressed.
    pub fn scale(self) -> Scale {
        match self {
            Measure::Cost | Measure::Hours | Measure::P50 | Measure::P95 | Measure::P99 | Measure::Instances => {
                Scale::Ratio
            }
            _ => Scale::Difference,
        }
    }

    /// Whether more of it is better, or less; `None` if it is neither by itself.
    pub fn more_is_better(self) -> Option<bool> {
        match self {
            Measure::Availability => Some(true),
            Measure::Instances | Measure::ScaleUps | Measure::ScaleDowns => None,
            _ => Some(false),
        }
    }

    /// A value as people write it.
    pub fn show(self, x: f64) -> String {
        match self {
            Measure::P50 | Measure::P95 | Measure::P99 => millis(x),
            Measure::Availability
            | Measure::UnderProvisioned
            | Measure::OverProvisioned
            | Measure::UnderAccuracy
            | Measure::OverAccuracy
            | Measure::Instability => percent(x),
            Measure::Flaps | Measure::Instances | Measure::ScaleUps | Measure::ScaleDowns => format!("{x:.1}"),
            _ => format!("{x:.2}"),
        }
    }

    /// A difference in the unit of the measure, with its sign; shares in percentage points.
    pub fn show_difference(self, x: f64) -> String {
        match self {
            Measure::Availability
            | Measure::UnderProvisioned
            | Measure::OverProvisioned
            | Measure::UnderAccuracy
            | Measure::OverAccuracy
            | Measure::Instability => format!("{:+.3} pp", x * 100.0),
            Measure::P50 | Measure::P95 | Measure::P99 => format!("{x:+.1} ms"),
            _ => format!("{x:+.2}"),
        }
    }
}

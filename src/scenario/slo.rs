//! Targets: what must hold for the run to pass.

use crate::units::Span;

/// One target of `[slo]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// A quantile of the latency of succeeded requests is at most this.
    Quantile {
        /// In 0..1.
        q: f64,
        /// Upper bound.
        at_most: Span,
    },
    /// Their mean latency is at most this.
    Mean(Span),
    /// `succeeded / (offered − rate_limited)` is at least this, in 0..1.
    Availability(f64),
    /// The run costs at most this.
    Cost(f64),
    /// From the decision to scale up until every instance that it asked for takes traffic, at most this, for the slowest of the run.
    ScaleUpTime(Span),
}

/// The tightest target of latency; `None` if there is none.
pub fn tightest(targets: &[Target]) -> Option<Span> {
    let latency = |target: &Target| match target {
        Target::Quantile { at_most, .. } | Target::Mean(at_most) => Some(*at_most),
        Target::Availability(_) | Target::Cost(_) | Target::ScaleUpTime(_) => None,
    };
    targets.iter().filter_map(latency).min()
}

impl Target {
    /// The quantiles that have a key in `[slo]`.
    pub const QUANTILES: [(&'static str, f64); 6] =
        [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];

    /// The key in `[slo]`.
    pub fn name(&self) -> &'static str {
        match self {
            Target::Quantile { q, .. } => {
                Target::QUANTILES.iter().find(|(_, each)| each == q).map_or("quantile", |(name, _)| name)
            }
            Target::Mean(_) => "mean",
            Target::Availability(_) => "availability",
            Target::Cost(_) => "cost",
            Target::ScaleUpTime(_) => "scale_up_time",
        }
    }

    /// The target of a key of `[slo]` with its bound: milliseconds, a ratio, or money, as `report.json` has it; `None` if there is no
    /// such key.
    pub fn from_name(name: &str, bound: f64) -> Option<Target> {
        let span = Span::from_secs_f64(bound / 1e3);
        Some(match name {
            "mean" => Target::Mean(span),
            "availability" => Target::Availability(bound),
            "cost" => Target::Cost(bound),
            "scale_up_time" => Target::ScaleUpTime(span),
            name => {
                let (_, q) = Target::QUANTILES.into_iter().find(|(known, _)| *known == name)?;
                Target::Quantile { q, at_most: span }
            }
        })
    }
}

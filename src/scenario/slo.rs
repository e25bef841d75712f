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
        }
    }
}

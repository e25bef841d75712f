//! One run as the gate sees it, whoever made it.

use super::criterion::Quantity;
use crate::record::Run;
use crate::record::latency::Latency;
use crate::units::Span;

/// Latencies of a run.
#[derive(Clone, Debug)]
pub enum Distribution {
    /// All of them.
    Full(Box<Latency>),
    /// What a summary tells.
    Summary {
        /// Quantiles in 0..1 with their values \[ms\].
        quantiles: Vec<(f64, f64)>,
        /// Mean \[ms\].
        mean: Option<f64>,
    },
}

/// One run.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Seed, if it was simulated: runs of one seed meet the same requests.
    pub seed: Option<u64>,
    /// Requests that count for availability.
    pub requests: u64,
    /// Those that did not succeed.
    pub failed: u64,
    /// Latencies, of requests that succeeded where the source tells them apart.
    pub latency: Distribution,
    /// Requests that ended, per second \[1/s\].
    pub throughput_rps: Option<f64>,
    /// Cost of the fleet.
    pub cost: Option<f64>,
    /// Instance-time billed \[h\].
    pub instance_hours: Option<f64>,
    /// The slowest scale-up.
    pub scale_up: Option<Span>,
    /// Scaling actions undone within a quarter of an hour.
    pub flaps: Option<f64>,
    /// Cost beyond the cheapest fleet.
    pub regret: Option<f64>,
    /// What whoever made it measured besides, by name.
    pub measures: Vec<(&'static str, f64)>,
}

impl From<&Run> for Sample {
    fn from(run: &Run) -> Sample {
        let asked = run.counts.offered - run.counts.failed_for(crate::record::outcome::Failure::RateLimited);
        Sample {
            seed: Some(run.seed),
            requests: asked,
            failed: asked - run.counts.succeeded,
            latency: Distribution::Full(Box::new(run.latency.clone())),
            throughput_rps: Some(run.throughput_rps),
            cost: Some(run.fleet.cost.cost),
            instance_hours: Some(run.fleet.cost.instance_hours),
            scale_up: run.fleet.longest_scale_up,
            flaps: Some(f64::from(run.fleet.flaps)),
            regret: Some(run.regret.cost),
            measures: Vec::new(),
        }
    }
}

impl Sample {
    /// A run of which only requests are known.
    pub fn of_requests(requests: u64, failed: u64, latency: Distribution) -> Sample {
        Sample {
            seed: None,
            requests,
            failed,
            latency,
            throughput_rps: None,
            cost: None,
            instance_hours: None,
            scale_up: None,
            flaps: None,
            regret: None,
            measures: Vec::new(),
        }
    }

    /// The figure of the run: milliseconds, a ratio, or as it is; `None` if the run does not tell.
    pub fn figure(&self, quantity: Quantity) -> Option<f64> {
        match quantity {
            Quantity::Latency { q } => match &self.latency {
                Distribution::Full(latency) => latency.quantile(q).map(Span::as_millis_f64),
                Distribution::Summary { quantiles, .. } => {
                    quantiles.iter().find(|(each, _)| (each - q).abs() < 1e-9).map(|(_, ms)| *ms)
                }
            },
            Quantity::Mean => match &self.latency {
                Distribution::Full(latency) => latency.mean().map(Span::as_millis_f64),
                Distribution::Summary { mean, .. } => *mean,
            },
            Quantity::Availability => self.share(self.requests.saturating_sub(self.failed)),
            Quantity::ErrorRate => self.share(self.failed),
            Quantity::Throughput => self.throughput_rps,
            Quantity::Cost => self.cost,
            Quantity::InstanceHours => self.instance_hours,
            Quantity::ScaleUpTime => self.scale_up.map(Span::as_millis_f64),
            Quantity::Flaps => self.flaps,
            Quantity::Regret => self.regret,
            Quantity::Measured(measure) => {
                self.measures.iter().find(|(name, _)| *name == measure.name).map(|(_, x)| *x)
            }
        }
    }

    fn share(&self, of: u64) -> Option<f64> {
        (self.requests > 0).then(|| of as f64 / self.requests as f64)
    }
}

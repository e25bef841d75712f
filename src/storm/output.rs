//! What a probe found, for people and for programs.

mod json;
pub(super) mod table;
mod text;

use super::Settings;
use super::probe::{Cell, Map};
use super::protection::Trial;

pub use json::json;
pub use text::{console, markdown};

/// What a probe found.
#[derive(Clone, Debug)]
pub struct Storm {
    /// Name of the scenario.
    pub name: String,
    /// Its fingerprint.
    pub digest: String,
    /// Seed of every run.
    pub seed: u64,
    /// How it was probed.
    pub settings: Settings,
    /// Requests per second that it can serve at most \[1/s\].
    pub capacity: f64,
    /// Its ordinary load, at which the calm is weighed \[1/s\].
    pub load: f64,
    /// Attempts that a client makes at most.
    pub attempts: u32,
    /// 99th percentile of latency in the calm \[ms\]; NaN if nobody is answered.
    pub calm_p99_ms: f64,
    /// Where it does not return.
    pub map: Map,
    /// What was tried, best first; empty if nothing sticks, or nothing was to be tried.
    pub trials: Vec<Trial>,
    /// The same map with the best of them.
    pub protected: Option<Map>,
    /// The kick nearest to the ordinary load that it did not return from, and the same with the best protection.
    pub example: Option<(Cell, Option<Cell>)>,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// The command that makes it again.
    pub command: String,
}

impl Storm {
    /// The protection that removes all of it at the least cost; `None` if none does.
    pub fn cheapest(&self) -> Option<&Trial> {
        self.trials.first().filter(|trial| trial.removes())
    }

    /// The load above which the fluid model calls a system vulnerable that tries so often \[1/s\]: capacity over attempts. `None` if clients
    /// do not try again.
    pub fn fluid_bound(&self) -> Option<f64> {
        (self.attempts > 1).then(|| self.capacity / f64::from(self.attempts))
    }
}

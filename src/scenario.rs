//! A scenario: everything that a run needs to know, validated.
//!
//! The file is TOML (`schema` reads it and keeps the place of every key), overrides are `--set path=value`. Reading
//! collects every problem of a file at once; what comes out has no impossible value in it.

pub mod clients;
pub mod dependency;
pub mod faults;
pub mod fleet;
pub mod service;
pub mod slo;

use crate::engine::{analyzer, autoscaler, balancer, breaker, limiter};
use crate::traffic;
use crate::units::Span;

/// A validated scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Short name, used for the report's folder.
    pub name: String,
    /// One line on what it shows.
    pub description: String,
    /// Fingerprint of the scenario as it runs, overrides included: 16 hex digits.
    pub digest: String,
    /// Length of the run, > 0.
    pub duration: Span,
    /// Start of the run left out of the statistics, < duration.
    pub warmup: Span,
    /// Seed of every random number.
    pub seed: u64,
    /// Independent replications, ≥ 1.
    pub replications: u32,
    /// Where requests come from.
    pub traffic: Traffic,
    /// Who sends them.
    pub clients: clients::Clients,
    /// What an instance does with one.
    pub service: service::Service,
    /// How instances come and go.
    pub fleet: fleet::Fleet,
    /// How many there should be; `None`: always `fleet.initial`.
    pub autoscaler: Option<autoscaler::Config>,
    /// Which one gets a request.
    pub balancer: balancer::Config,
    /// When not to send; `None`: always send.
    pub breaker: Option<breaker::Config>,
    /// Whom to refuse; `None`: nobody.
    pub limiter: Option<limiter::Config>,
    /// What kind of traffic it is; `None`: not analyzed.
    pub analyzer: Option<analyzer::Config>,
    /// What goes wrong.
    pub faults: Vec<faults::Fault>,
    /// What the service calls.
    pub dependencies: Vec<dependency::Dependency>,
    /// What must hold.
    pub slo: Vec<slo::Target>,
}

/// Where requests come from.
#[derive(Clone, Debug)]
pub enum Traffic {
    /// They come whether or not earlier ones were answered.
    Open(traffic::Config),
    /// Users who wait for an answer, think, and ask again.
    Closed(clients::Users),
}

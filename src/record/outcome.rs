//! How a request, in the end, went: it succeeded, or failed for exactly one reason.

use serde::{Deserialize, Serialize};

use crate::engine::request::{Outcome, Rejection};

/// Why a request failed for good: the reason of its last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The client's time ran out.
    Timeout,
    /// The service answered 5xx.
    ServerError,
    /// The connection was refused or broke.
    Connection,
    /// A quota was used up (429).
    RateLimited,
    /// A breaker was open.
    CircuitOpen,
    /// The instance's queue was full.
    QueueFull,
    /// There was nobody to send it to.
    NoInstance,
    /// Refused by an overload policy.
    Shed,
}

impl Failure {
    /// Every reason, in the order of `report.json`.
    pub const ALL: [Failure; 8] = [
        Failure::Timeout,
        Failure::ServerError,
        Failure::Connection,
        Failure::RateLimited,
        Failure::CircuitOpen,
        Failure::QueueFull,
        Failure::NoInstance,
        Failure::Shed,
    ];

    /// The name in `report.json`.
    pub fn name(self) -> &'static str {
        match self {
            Failure::Timeout => "timeout",
            Failure::ServerError => "server_error",
            Failure::Connection => "connection",
            Failure::RateLimited => "rate_limited",
            Failure::CircuitOpen => "circuit_open",
            Failure::QueueFull => "queue_full",
            Failure::NoInstance => "no_instance",
            Failure::Shed => "shed",
        }
    }

    /// The reason behind an attempt's end; `None` if it succeeded.
    pub fn of(outcome: Outcome) -> Option<Failure> {
        match outcome {
            Outcome::Success => None,
            Outcome::ServerError => Some(Failure::ServerError),
            Outcome::Timeout | Outcome::Abandoned => Some(Failure::Timeout),
            Outcome::Connection => Some(Failure::Connection),
            Outcome::QueueFull => Some(Failure::QueueFull),
            Outcome::Shed => Some(Failure::Shed),
        }
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Failure {
        match rejection {
            Rejection::RateLimited { .. } => Failure::RateLimited,
            Rejection::BreakerOpen { .. } => Failure::CircuitOpen,
            Rejection::NoReadyInstance => Failure::NoInstance,
            Rejection::QueueFull => Failure::QueueFull,
            Rejection::Shed | Rejection::QuotaStoreDown => Failure::Shed,
        }
    }
}

/// Counts of requests by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests that users wanted.
    pub offered: u64,
    /// Requests answered well.
    pub succeeded: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Requests that failed for good, by [`Failure`] in its order.
    pub failed: [u64; Failure::ALL.len()],
}

impl Counts {
    /// Requests that failed for good.
    pub fn failed_total(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// Requests that failed for `reason`.
    pub fn failed_for(&self, reason: Failure) -> u64 {
        self.failed[reason as usize]
    }

    /// `succeeded / (offered − rate_limited)`; `None` if that divides by zero.
    pub fn availability(&self) -> Option<f64> {
        let asked = self.offered - self.failed_for(Failure::RateLimited);
        (asked > 0).then(|| self.succeeded as f64 / asked as f64)
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Counts) {
        self.offered += other.offered;
        self.succeeded += other.succeeded;
        self.retries += other.retries;
        for (mine, theirs) in self.failed.iter_mut().zip(other.failed) {
            *mine += theirs;
        }
    }
}

//! Policies: what recommends a size of the fleet outright, where a rule only says more or less.
//!
//! A policy turns what it observes into a raw recommendation and stabilizes it by its own means. Of several, the
//! highest counts. Cooldowns, bounds and guards come after, and are the same for all.

use super::Fresh;
use super::guards::{Hold, Remembered};
use super::target_tracking::{self, Tracker};
use crate::engine::events::Timing;
use crate::engine::metrics::{Aggregate, Observed};
use crate::units::{Span, Time};

/// A policy's settings, by kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    /// Keeps a metric near a target. "target_tracking" in scenario files.
    TargetTracking(target_tracking::Config),
}

/// A policy's answer at one tick.
#[derive(Clone, Debug)]
pub(super) struct Recommendation {
    /// Instances, as the policy's formula has it.
    pub raw: u32,
    /// Instances, after stabilization.
    pub steady: u32,
    /// Why.
    pub cause: String,
    /// What stabilization did.
    pub steadying: String,
    /// The value behind it.
    pub observed: Option<f64>,
    /// What the policy itself waits for.
    pub holds: Vec<Hold>,
    /// The way here; `None` if nothing should change yet.
    pub timing: Option<Timing>,
}

/// A policy with its memory.
#[derive(Clone, Debug)]
pub(super) struct Recommender {
    pub(super) held: Remembered,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    TargetTracking(Tracker),
}

impl Recommender {
    pub(super) fn new(policy: Policy) -> Recommender {
        let kind = match policy {
            Policy::TargetTracking(config) => Kind::TargetTracking(Tracker::new(config)),
        };
        Recommender { held: Remembered::default(), kind }
    }

    pub(super) fn name(&self) -> &str {
        match &self.kind {
            Kind::TargetTracking(tracker) => &tracker.config.name,
        }
    }

    pub(super) fn recommend(&mut self, now: Time, observed: &Observed, max_age: Span) -> Recommendation {
        match &mut self.kind {
            Kind::TargetTracking(tracker) => {
                let reading = observed.get(tracker.config.metric, Aggregate::Avg);
                tracker.recommend(now, observed.fleet, Fresh::of(reading, now, max_age))
            }
        }
    }

    /// Learns that its recommendation was carried out.
    pub(super) fn acted(&mut self) {
        match &mut self.kind {
            Kind::TargetTracking(tracker) => tracker.acted(),
        }
    }
}

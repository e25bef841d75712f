//! Faults: what goes wrong, when, and for how long.

pub mod course;

use crate::units::{Span, Time};

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// When.
    pub when: When,
    /// How long; `None`: until the end (a crash and the loss of a cache have no duration).
    pub duration: Option<Span>,
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// Once.
    At(Time),
    /// Again and again, with exponential gaps of this mean.
    Every(Span),
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// Instances die; what they held fails as `connection`.
    Crash {
        /// How many, oldest ready first.
        instances: u32,
    },
    /// Instances take longer.
    Slow {
        /// How many, oldest ready first.
        instances: u32,
        /// Demand is multiplied by this, ≥ 1.
        factor: f64,
    },
    /// Instances answer with errors.
    Errors {
        /// How many, oldest ready first; `None`: all.
        instances: Option<u32>,
        /// Probability of an error per request, 0..1.
        rate: f64,
        /// Time an error answer takes; `None`: as long as a good one.
        latency: Option<Span>,
    },
    /// Every instance of a zone dies, and none can be launched there meanwhile.
    ZoneOutage {
        /// Which zone, from 0.
        zone: u32,
    },
    /// New instances take longer to boot.
    SlowBoot {
        /// Provisioning delays are multiplied by this, ≥ 1.
        factor: f64,
    },
    /// No metric reaches the autoscaler.
    LostMetrics,
    /// A dependency takes longer.
    SlowDependency {
        /// Its number.
        dependency: usize,
        /// The time of a call is multiplied by this, ≥ 1.
        factor: f64,
    },
    /// The cache before a dependency loses entries at once.
    CacheLoss {
        /// The dependency's number.
        dependency: usize,
        /// Share of what is in it that is lost, in (0, 1].
        share: f64,
    },
}

impl FaultKind {
    /// The name in scenario files.
    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::Crash { .. } => "crash",
            FaultKind::Slow { .. } => "slow",
            FaultKind::Errors { .. } => "errors",
            FaultKind::ZoneOutage { .. } => "zone_outage",
            FaultKind::SlowBoot { .. } => "slow_boot",
            FaultKind::LostMetrics => "lost_metrics",
            FaultKind::SlowDependency { .. } => "slow_dependency",
            FaultKind::CacheLoss { .. } => "cache_loss",
        }
    }
}

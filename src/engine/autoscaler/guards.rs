//! What keeps the autoscaler from acting although a policy wants it to.
//!
//! A guard can only turn a change into no change. Most hold scale-down: while requests are being refused or
//! instances are missing, low utilization says that the service is hurt, not that it is oversized. The piling-on
//! guard holds scale-up: instances that were ordered are counted before more are.

use super::cause;
use super::projection::project;
use super::rules;
use crate::engine::events::Block;
use crate::engine::metrics::{Aggregate, FleetCounts, Unit};
use crate::units::{Span, Time};

/// What the rest of the engine knows that bears on scaling.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Guards {
    /// Whether any breaker is open or half-open.
    pub breaker_tripped: bool,
    /// Share of requests that limiter or load shedding refused in the last metrics window, 0..1.
    pub refused_share: f64,
    /// How long an instance takes from order to ready; `None` if not known. Rules on metrics that do not fall in
    /// proportion to the fleet wait that long for what was ordered, or until nothing is pending.
    pub expected_boot: Option<Span>,
}

impl Guards {
    /// Whether latencies of now say little of the service: some requests are answered, or refused, by something else.
    pub(super) fn distort_latency(&self) -> bool {
        self.breaker_tripped || self.refused_share > 0.01
    }

    /// Every reason not to remove instances now.
    pub(super) fn against_scale_down(&self, fleet: FleetCounts, shed_tolerance: f64) -> Vec<Hold> {
        let mut holds = Vec::new();
        if self.breaker_tripped {
            holds.push(Hold::BreakerTripped);
        }
        if self.refused_share > shed_tolerance {
            holds.push(Hold::Refusing { share: self.refused_share });
        }
        if fleet.pending > 0 {
            holds.push(Hold::Pending { instances: fleet.pending });
        }
        if fleet.ready == 0 && fleet.existing > 0 {
            holds.push(Hold::Outage);
        } else if u64::from(fleet.ready) * 2 < u64::from(fleet.existing) {
            holds.push(Hold::FewReady { ready: fleet.ready, existing: fleet.existing });
        }
        holds
    }
}

/// Whether a scale-up rule should wait for the instances that are coming.
///
/// A load-proportional `value` is projected onto them, and must still satisfy the rule. For other metrics nobody can
/// tell, so the rule waits while instances are pending, but not past `wait_until`.
pub(super) fn piling_on(
    rule: &rules::Config,
    value: Option<f64>,
    now: Time,
    fleet: FleetCounts,
    wait_until: Option<Time>,
) -> Option<Hold> {
    if fleet.pending == 0 {
        return None;
    }
    match value {
        Some(value) if rule.metric.is_load_proportional() && rule.aggregate != Aggregate::Sum => {
            let projected = project(value, fleet.ready, fleet.ready + fleet.pending);
            let enough = !rule.operator.holds(projected, rule.threshold);
            enough.then(|| Hold::PilingOn { projected: Some((projected, rule.metric.unit())), until: None })
        }
        _ => {
            let waiting = wait_until.is_none_or(|until| now < until);
            waiting.then_some(Hold::PilingOn { projected: None, until: wait_until })
        }
    }
}

/// A stage of the pipeline that may hold a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Stabilise,
    RateLimit,
    Bounds,
    Guards,
}

/// A reason that suppressed a change, with its numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Hold {
    RuleCooldown {
        until: Time,
    },
    UpCooldown {
        until: Option<Time>,
    },
    DownCooldown {
        until: Option<Time>,
    },
    Max(u32),
    Min(u32),
    /// A scale-up rule's condition holds.
    Contradiction {
        rule: String,
    },
    PilingOn {
        projected: Option<(f64, Unit)>,
        until: Option<Time>,
    },
    Flapping {
        projected: f64,
        unit: Unit,
        size: u32,
        rule: String,
    },
    Stabilization {
        window: Span,
        wanted: u32,
        until: Time,
    },
    /// A policy's own limit on the rate of change.
    Rate {
        limit: String,
        until: Option<Time>,
    },
    /// A policy beside the rules wants the fleet as large as it is, or larger.
    Policy {
        name: String,
        wants: u32,
    },
    BreakerTripped,
    Refusing {
        share: f64,
    },
    Pending {
        instances: u32,
    },
    FewReady {
        ready: u32,
        existing: u32,
    },
    Outage,
}

impl Hold {
    pub(super) fn gate(&self) -> Gate {
        match self {
            Hold::Stabilization { .. } | Hold::Flapping { .. } => Gate::Stabilise,
            Hold::RuleCooldown { .. } | Hold::UpCooldown { .. } | Hold::DownCooldown { .. } | Hold::Rate { .. } => {
                Gate::RateLimit
            }
            Hold::Max(_) | Hold::Min(_) => Gate::Bounds,
            _ => Gate::Guards,
        }
    }

    pub(super) fn block(&self) -> Block {
        Block { reason: self.reason(), clears_at: self.clears_at() }
    }

    fn clears_at(&self) -> Option<Time> {
        match *self {
            Hold::RuleCooldown { until } | Hold::Stabilization { until, .. } => Some(until),
            Hold::UpCooldown { until }
            | Hold::DownCooldown { until }
            | Hold::PilingOn { until, .. }
            | Hold::Rate { until, .. } => until,
            _ => None,
        }
    }

    fn reason(&self) -> String {
        match self {
            Hold::RuleCooldown { .. } => "rule cooldown".into(),
            Hold::UpCooldown { until: Some(_) } => "scale_up_cooldown".into(),
            Hold::UpCooldown { until: None } => {
                "scale_up_cooldown, which starts when what was ordered is ready".into()
            }
            Hold::DownCooldown { until: Some(_) } => "scale_down_cooldown".into(),
            Hold::DownCooldown { until: None } => {
                "scale_down_cooldown, which starts when what was ordered is ready".into()
            }
            Hold::Max(max) => format!("max {max}"),
            Hold::Min(min) => format!("min {min}"),
            Hold::Contradiction { rule } => format!("scale-up rule {rule} holds"),
            Hold::PilingOn { projected: Some((value, unit)), .. } => {
                format!("pending instances: {} once they are ready", cause::quantity(*value, *unit))
            }
            Hold::PilingOn { projected: None, .. } => "pending instances".into(),
            Hold::Flapping { projected, unit, size, rule } => {
                format!("anti-flapping: {} on {size} would trip rule {rule}", cause::quantity(*projected, *unit))
            }
            Hold::Stabilization { window, wanted, .. } => {
                format!("stabilization window: {wanted} wanted within the last {window}")
            }
            Hold::Rate { limit, .. } => limit.clone(),
            Hold::Policy { name, wants } => format!("policy {name} wants {wants}"),
            Hold::BreakerTripped => "a breaker is open or half-open".into(),
            Hold::Refusing { share } => format!("{:.1}% of requests refused", share * 100.0),
            Hold::Pending { instances: 1 } => "1 pending instance".into(),
            Hold::Pending { instances } => format!("{instances} pending instances"),
            Hold::FewReady { ready, existing } => format!("only {ready} of {existing} instances ready"),
            Hold::Outage => "no instance ready: an outage, not idleness".into(),
        }
    }
}

/// The kinds of reasons that held something at the last tick.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered(Vec<std::mem::Discriminant<Hold>>);

impl Remembered {
    /// Remembers `holds`; true if there are any and their kinds differ from last time. Numbers in them may move.
    pub(super) fn changed(&mut self, holds: &[Hold]) -> bool {
        let kinds: Vec<_> = holds.iter().map(std::mem::discriminant).collect();
        let changed = kinds != self.0;
        self.0 = kinds;
        changed && !holds.is_empty()
    }
}

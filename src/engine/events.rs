//! What happened, when, and because of which numbers.
//!
//! Events are the record of a run; log lines, tables and chart marks are renderings of them. Each has a cause that
//! a person can read ("cpu_utilization 82.4% > 70% for 2m (rule cpu_scale_up)") and, as fields of its kind, the
//! values behind it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::engine::analyzer::advice::Advice;
use crate::engine::analyzer::verdict::Verdict;
use crate::engine::request::InstanceId;
use crate::units::{Span, Time};

/// Something that happened at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Time,
    /// What, with its numbers.
    pub kind: EventKind,
    /// Why, in words.
    pub cause: String,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EventKind {
    /// The autoscaler (or a person) asked for more instances.
    ScaledUp(Scaling),
    /// The autoscaler (or a person) asked for fewer instances.
    ScaledDown(Scaling),
    /// The autoscaler wanted to act, and something held it. Written when the set of reasons changes.
    Held {
        /// The rule or policy that wanted to act.
        rule: String,
        /// Instances existing.
        from: u32,
        /// Instances it wanted.
        to: u32,
        /// What held it.
        blocked: Vec<Block>,
    },
    /// No rule acted, and this one was nearest to it. Written when another rule is nearest, or its phase changes, but not more often
    /// than once a minute.
    Nearest {
        /// The rule.
        rule: String,
        /// Its metric, in the metric's unit.
        value: f64,
        /// Its threshold, in the same unit.
        threshold: f64,
        /// How long its condition has held; zero if it does not.
        held_for: Span,
    },
    /// A rule forced the service's breaker open.
    RuleOpenedBreaker {
        /// The rule.
        rule: String,
    },
    /// An alert rule's condition held for its duration.
    Alert {
        /// The rule.
        rule: String,
    },
    /// An instance was asked for; billing begins.
    InstanceLaunched {
        /// Which.
        instance: InstanceId,
    },
    /// An instance takes traffic, still slow if `warming`.
    InstanceReady {
        /// Which.
        instance: InstanceId,
        /// Whether its warm-up has only begun.
        warming: bool,
    },
    /// An instance gets nothing new and finishes what it has.
    InstanceDraining {
        /// Which.
        instance: InstanceId,
    },
    /// An instance is gone; billing ends.
    InstanceGone {
        /// Which.
        instance: InstanceId,
    },
    /// Active checks found an instance unhealthy.
    InstanceUnhealthy {
        /// Which.
        instance: InstanceId,
    },
    /// Active checks found an instance healthy again.
    InstanceHealthy {
        /// Which.
        instance: InstanceId,
    },
    /// Requests begin to wait at the gateway, because there is no instance.
    HoldBegan,
    /// None waits there any more.
    HoldEnded {
        /// How many waited since it began.
        requests: u32,
        /// How many of them gave up, or were refused after all.
        abandoned: u32,
        /// How long the hold lasted.
        lasted: Span,
    },
    /// The gateway begins to keep back what finds no room at an instance.
    BufferJoined {
        /// Requests that an instance may have at once meanwhile.
        limit: u32,
    },
    /// It sends on everything again.
    BufferLeft,
    /// The balancer avoids an instance that stands out.
    InstanceEjected {
        /// Which.
        instance: InstanceId,
        /// For how long, at least: readmission waits for a sweep.
        length: Span,
        /// Ejections in a row, this one included.
        row: u32,
    },
    /// An ejected instance gets traffic again.
    InstanceReadmitted {
        /// Which.
        instance: InstanceId,
        /// How long it was ejected.
        after: Span,
    },
    /// So few instances are healthy that the rule for panic applies.
    PanicBegan {
        /// Healthy instances.
        healthy: u32,
        /// Of so many that ever were healthy.
        initialised: u32,
    },
    /// Enough instances are healthy again.
    PanicEnded {
        /// As above.
        healthy: u32,
        /// As above.
        initialised: u32,
    },
    /// A breaker refuses traffic from now on.
    BreakerOpened {
        /// "service", "instance 3" or an endpoint's path.
        scope: String,
        /// For how long.
        open_for: Span,
    },
    /// A breaker lets probes pass.
    BreakerHalfOpen {
        /// As above.
        scope: String,
    },
    /// A breaker lets traffic flow again.
    BreakerClosed {
        /// As above.
        scope: String,
    },
    /// Offered load left its baseline, and stayed away long enough to count.
    SpikeDetected(Spike),
    /// A spike ended.
    SpikeEnded(Spike),
    /// Load has been elsewhere for so long that this is the new normal: the baseline starts over.
    RegimeChanged {
        /// Baseline before \[1/s\].
        from_rps: f64,
        /// Load now \[1/s\].
        to_rps: f64,
    },
    /// A minute's load was unlike anything seen, or unlikely for its hour.
    Anomaly {
        /// How unusual, 0..1.
        score: f64,
        /// Load of the minute \[1/s\].
        rps: f64,
    },
    /// The store of quotas that gateways share has not answered so often that it counts as lost.
    QuotaStoreLost,
    /// It answers again.
    QuotaStoreBack {
        /// How long it was lost.
        after: Span,
    },
    /// A fault of the scenario began.
    FaultStarted {
        /// "crash", "slow", …
        fault: String,
        /// When it will end; `None` if it does not.
        until: Option<Time>,
    },
    /// A fault of the scenario ended.
    FaultEnded {
        /// As above.
        fault: String,
    },
}

impl EventKind {
    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            EventKind::ScaledUp(_) => "scaled_up",
            EventKind::ScaledDown(_) => "scaled_down",
            EventKind::Held { .. } => "held",
            EventKind::Nearest { .. } => "nearest",
            EventKind::RuleOpenedBreaker { .. } => "rule_opened_breaker",
            EventKind::Alert { .. } => "alert",
            EventKind::HoldBegan => "hold_began",
            EventKind::HoldEnded { .. } => "hold_ended",
            EventKind::BufferJoined { .. } => "buffer_joined",
            EventKind::BufferLeft => "buffer_left",
            EventKind::InstanceLaunched { .. } => "instance_launched",
            EventKind::InstanceReady { .. } => "instance_ready",
            EventKind::InstanceDraining { .. } => "instance_draining",
            EventKind::InstanceGone { .. } => "instance_gone",
            EventKind::InstanceUnhealthy { .. } => "instance_unhealthy",
            EventKind::InstanceHealthy { .. } => "instance_healthy",
            EventKind::InstanceEjected { .. } => "instance_ejected",
            EventKind::InstanceReadmitted { .. } => "instance_readmitted",
            EventKind::PanicBegan { .. } => "panic_began",
            EventKind::PanicEnded { .. } => "panic_ended",
            EventKind::BreakerOpened { .. } => "breaker_opened",
            EventKind::BreakerHalfOpen { .. } => "breaker_half_open",
            EventKind::BreakerClosed { .. } => "breaker_closed",
            EventKind::SpikeDetected(_) => "spike_detected",
            EventKind::SpikeEnded(_) => "spike_ended",
            EventKind::RegimeChanged { .. } => "regime_changed",
            EventKind::Anomaly { .. } => "anomaly",
            EventKind::QuotaStoreLost => "quota_store_lost",
            EventKind::QuotaStoreBack { .. } => "quota_store_back",
            EventKind::FaultStarted { .. } => "fault_started",
            EventKind::FaultEnded { .. } => "fault_ended",
        }
    }
}

/// A change of the fleet's size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// The rule, policy, or "manual", "min", "max".
    pub rule: String,
    /// Instances existing before.
    pub from: u32,
    /// Instances existing after.
    pub to: u32,
    /// The instances launched or drained.
    pub instances: Vec<InstanceId>,
    /// How the number came about, stage by stage.
    pub stages: Vec<Stage>,
    /// When each of the things that had to happen first, happened; `None` for manual actions and repairs.
    pub timing: Option<Timing>,
    /// The metric value behind the decision, in its unit; `None` for manual actions and repairs.
    pub observed: Option<f64>,
    /// What every policy proposed, in the order of declaration; empty for manual actions.
    pub wishes: Vec<Wish>,
}

/// What one policy proposed at a tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    /// The policy.
    pub policy: String,
    /// Instances, as its formula has it.
    pub raw: u32,
    /// Instances, after its own stabilization and limits: what is compared with other policies. `None`: it had no
    /// opinion.
    pub wanted: Option<u32>,
    /// The most that it lets other policies have; `None` if it caps nobody.
    pub cap: Option<u32>,
    /// Why.
    pub cause: String,
}

/// One stage of the autoscaler's pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// "policy", "stabilise", "rate-limit", "combine" (with several policies), "bounds", "guards".
    pub stage: Cow<'static, str>,
    /// Instances wanted before the stage.
    pub input: u32,
    /// Instances wanted after it.
    pub output: u32,
    /// Why.
    pub reason: String,
}

/// The moments on the way to a rule's firing; differences are the parts of its delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// When the first breaching value had been sampled; `since` − this is the metric delay.
    pub sampled_at: Time,
    /// When the rule first saw its condition hold.
    pub since: Time,
    /// When the condition had held for the rule's duration; − `since` is the persistence.
    pub held_at: Time,
    /// The first tick at which it was ripe; − `held_at` is the wait for the tick.
    pub ripe_at: Time,
    /// When it acted; − `ripe_at` is what cooldowns and guards cost.
    pub fired_at: Time,
}

/// A reason that suppressed a scaling action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// In words: "rule cooldown", "scale_down_cooldown", "max 20", "pending instances", …
    pub reason: String,
    /// When it clears by itself; `None` if that is not known.
    pub clears_at: Option<Time>,
}

/// A departure of offered load from its baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spike {
    /// Sequence number, from 1.
    pub id: u32,
    /// Start of the first bin out of line.
    pub started_at: Time,
    /// Baseline when it started \[1/s\].
    pub baseline_rps: f64,
    /// Highest rate so far (lowest, for a drop) \[1/s\].
    pub peak_rps: f64,
    /// `peak_rps / baseline_rps`.
    pub magnitude: f64,
    /// True if load fell instead of rising.
    pub drop: bool,
    /// Who it is taken for; `None` for a drop.
    pub verdict: Option<Verdict>,
    /// What to do about it.
    pub advice: Vec<Advice>,
}

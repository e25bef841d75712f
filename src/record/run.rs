//! Run: everything that reports, gates and tuners may look at.

use serde::{Deserialize, Serialize};

use crate::engine::events::Event;
use crate::record::cost::Cost;
use crate::record::elasticity::Elasticity;
use crate::record::fidelity::Faithfulness;
use crate::record::generator::Generator;
use crate::record::heat::LatencyHeat;
use crate::record::latency::{Encoded, Latency, StepHistogram};
use crate::record::outcome::{Counts, Failure};
use crate::record::regret::Regret;
use crate::record::timeline::Timeline;
use crate::units::{Span, Time};

/// How a run came to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ended {
    /// At its duration, with every request followed to its end.
    Completed,
    /// Somebody pressed Ctrl-C; what was measured until then is kept.
    Interrupted {
        /// When, in virtual time.
        at: Time,
    },
    /// The dataset could not be read to its end.
    TrafficLost {
        /// When, in virtual time.
        at: Time,
        /// What the reader said.
        problem: String,
    },
}

/// The record of one replication.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The seed that this replication ran with.
    pub seed: u64,
    /// How it ended.
    pub ended: Ended,
    /// The part of the run that counts: its duration less the warm-up.
    pub measured: Span,
    /// Requests scheduled in the measured part, by how they ended.
    pub counts: Counts,
    /// Completions per second in the measured part, good or bad \[1/s\].
    pub throughput_rps: f64,
    /// Latency of requests that succeeded, from their scheduled time.
    pub latency: Latency,
    /// The same of requests that ended in the steps of the timeline whose middle lies in one of the stretches that the recorder was told
    /// to look at; empty if it was told of none.
    pub spotlight: Latency,
    /// Latency with every failed request counted until its client gave up or was refused.
    pub latency_all: Latency,
    /// Time in service of attempts that succeeded: without waiting, network and earlier attempts.
    pub service_time: Latency,
    /// Time that attempts that succeeded waited for a worker or a dependency's connection.
    pub waiting_time: Latency,
    /// Share of the time in service that went into attempts of no use [0..1]: whose client had gone, or whose answer was an error.
    pub wasted_work: f64,
    /// Jain's index of served requests over the clients that asked \[0..1\]; `None` if nobody was served, or it was not looked at.
    /// Warm-up included.
    pub client_fairness: Option<f64>,
    /// The fleet over the measured part.
    pub fleet: FleetSummary,
    /// How well supply followed demand.
    pub elasticity: Elasticity,
    /// How far the fleet was from the cheapest one that could have met the demand.
    pub regret: Regret,
    /// Requests by endpoint, in the order of the scenario.
    pub endpoints: Vec<EndpointSummary>,
    /// Requests by instance, in the order of launch.
    pub instances: Vec<InstanceSummary>,
    /// What happened, warm-up included.
    pub events: Vec<Event>,
    /// What it looked like, warm-up included.
    pub timeline: Timeline,
    /// Which latencies were how frequent when, warm-up included; `None` if that was not kept.
    pub latency_heat: Option<LatencyHeat>,
    /// Latency of the requests that succeeded in each step of the timeline, where whoever joins timelines needs it; else empty.
    pub latency_steps: Vec<Encoded>,
    /// When requests of the measured part first and last ended with each reason, in the order of [`Failure::ALL`]; `None` if none did.
    pub failures_seen: [Option<(Time, Time)>; Failure::ALL.len()],
    /// What the generator of load did, in a run against a target that was not ours to see into; `None` everywhere else. Fleet, elasticity and
    /// regret of such a run are empty.
    pub generator: Option<Generator>,
    /// Requests simulated one by one: for the speed of the simulator, warm-up included.
    pub simulated: u64,
    /// How faithfully it was simulated; `None`: every request was, as nobody asked for less.
    pub fidelity: Option<Faithfulness>,
}

/// The fleet over the measured part of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FleetSummary {
    /// Fewest instances that took traffic.
    pub min: u32,
    /// Time average of instances that took traffic.
    pub mean: f64,
    /// Most instances that took traffic.
    pub max: u32,
    /// Instance-time paid for and its price.
    pub cost: Cost,
    /// Time average of CPU utilization over ready instances [0..1].
    pub cpu_utilization_mean: f64,
    /// Scaling actions that added instances.
    pub scale_ups: u32,
    /// Scaling actions that removed instances.
    pub scale_downs: u32,
    /// Scaling actions that undid the one before within a quarter of an hour.
    pub flaps: u32,
    /// The longest time from a decision to scale up until every instance that it asked for took traffic; `None` if there was none, or
    /// none that came to its end.
    pub longest_scale_up: Option<Span>,
}

/// What one endpoint saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EndpointSummary {
    /// Its path.
    pub path: String,
    /// Its requests by how they ended.
    pub counts: Counts,
    /// Latency of those that succeeded.
    pub latency: StepHistogram,
}

/// What one instance did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceSummary {
    /// Launch ordinal.
    pub id: u32,
    /// When it was asked for.
    pub launched_at: Time,
    /// When whoever starts it had started it, ready or not; `None` if it never came to that, or it is not known.
    pub started_at: Option<Time>,
    /// When it took traffic; `None` if it never did.
    pub ready_at: Option<Time>,
    /// When its first good answer began; `None` if it never gave one, or it is not known.
    pub first_answer_at: Option<Time>,
    /// When it was gone; `None` if it outlived the run.
    pub gone_at: Option<Time>,
    /// Attempts sent to it.
    pub attempts: u64,
    /// Attempts that failed there.
    pub failures: u64,
    /// Busy worker-time over worker-time while it took traffic [0..1].
    pub utilization: f64,
}

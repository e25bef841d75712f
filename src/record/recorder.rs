//! The recorder: a driver tells it how requests end and what the fleet looks like; it keeps the sums.
//!
//! Warm-up is dropped once, by *scheduled* time: a request scheduled in it is offered and ends, is seen in the timeline, and
//! is in no statistic. Per request the recorder touches a handful of counters and one slot of a flat histogram.

mod echo;

use crate::engine::events::{Event, EventKind};
use crate::engine::request::InstanceId;
use crate::record::cost::{Billing, Cost};
use crate::record::elasticity::{elasticity, instances_needed};
use crate::record::heat::Heating;
use crate::record::latency::{Encoded, Latency, StepHistogram};
use crate::record::outcome::{Counts, Failure};
pub use crate::record::recorder::echo::Echoed;
use crate::record::recorder::echo::{Echo, Heard};
use crate::record::regret::{self, Regret};
use crate::record::run::{Ended, EndpointSummary, FleetSummary, InstanceSummary, Run};
use crate::record::timeline::{Column, Timeline};
use crate::units::{Span, Time};

/// What a recorder has to know of the scenario.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Length of the run.
    pub duration: Span,
    /// Start of the run left out of the statistics.
    pub warmup: Span,
    /// Paths of the endpoints.
    pub endpoints: Vec<String>,
    /// How instances are billed.
    pub billing: Billing,
    /// Mean provisioning delay: what the cheapest fleet has to wait, too.
    pub boot: Span,
    /// Instances that are ready when the run begins.
    pub initial: u32,
    /// What "needed instances" means.
    pub sizing: Sizing,
    /// Stretches whose answers are counted for themselves as well, in order and apart; see [`Run::spotlight`].
    pub spotlight: Vec<(Time, Time)>,
    /// Whether the latencies of each step are kept for whoever joins timelines; see [`Run::latency_steps`].
    pub keeps_steps: bool,
}

/// The service as the sizing formula sees it.
#[derive(Clone, Copy, Debug)]
pub struct Sizing {
    /// Mean demand of a request \[s\].
    pub demand: f64,
    /// Requests that an instance serves at once.
    pub servers: u32,
    /// Wait that one request in a hundred may exceed \[s\].
    pub wait_bound: f64,
}

/// What the fleet looked like over a step; time averages unless said otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct FleetSample {
    /// Instances that take traffic.
    pub ready: f64,
    /// Instances that are paid for.
    pub total: f64,
    /// Instances wanted, at the end of the step.
    pub desired: u32,
    /// Busy CPU time over ready CPU time [0..1]; NaN without a ready instance.
    pub cpu: f64,
    /// Used memory over limits [0..1]; NaN if not modelled.
    pub memory: f64,
    /// Requests waiting in instances.
    pub queued: f64,
    /// Requests inside instances.
    pub active: f64,
    /// Baseline of offered load \[1/s\]; NaN if there is none.
    pub baseline_rps: f64,
    /// Forecast of offered load, made a prediction window before \[1/s\]; NaN if there is none.
    pub forecast_rps: f64,
    /// Bounds of that forecast's 90 % interval \[1/s\].
    pub forecast_band: Option<(f64, f64)>,
    /// Breakers open or half-open, at the end of the step.
    pub breakers_open: u32,
}

/// Entries in a flat histogram after which it is poured out: far below what a 32-bit count holds.
const POUR_AT: u64 = 1 << 30;

/// Counts of the step in the making, warm-up included.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    offered: u64,
    succeeded: u64,
    failed: u64,
    rate_limited: u64,
    retries: u64,
}

/// Records one replication.
#[derive(Debug)]
pub struct Recorder {
    settings: Settings,
    warmup_end: Time,
    end: Time,
    step: Step,
    step_began: Time,
    counts: Counts,
    /// Requests offered, warm-up included.
    simulated: u64,
    completions: u64,
    /// Latencies of the step: scheduled after the warm-up, and within it.
    measured: StepHistogram,
    warming: StepHistogram,
    latency: Latency,
    spotlight: Latency,
    failed: Latency,
    service_counts: StepHistogram,
    service: Latency,
    waiting_counts: StepHistogram,
    /// Requests that did not wait at all: most of them, unless the fleet is too small.
    unwaiting: u64,
    waiting: Latency,
    /// Time in service of attempts whose answer was of no use.
    wasted: Span,
    endpoints: Vec<EndpointSummary>,
    timeline: Timeline,
    heating: Heating,
    latency_steps: Vec<Encoded>,
    failures_seen: [Option<(Time, Time)>; Failure::ALL.len()],
    ready_area: f64,
    cpu_area: f64,
    measured_seconds: f64,
    ready_min: Option<u32>,
    ready_max: u32,
    echo: Echo,
}

impl Recorder {
    /// Nothing recorded yet.
    pub fn new(settings: Settings) -> Recorder {
        let step = Timeline::step_for(settings.duration.as_secs_f64());
        let endpoint = |path: &String| EndpointSummary { path: path.clone(), ..EndpointSummary::default() };
        Recorder {
            warmup_end: Time(settings.warmup.0),
            end: Time(settings.duration.0),
            step: Step::default(),
            step_began: Time::ZERO,
            counts: Counts::default(),
            simulated: 0,
            completions: 0,
            measured: StepHistogram::default(),
            warming: StepHistogram::default(),
            latency: Latency::default(),
            spotlight: Latency::default(),
            failed: Latency::default(),
            service_counts: StepHistogram::default(),
            service: Latency::default(),
            waiting_counts: StepHistogram::default(),
            unwaiting: 0,
            waiting: Latency::default(),
            wasted: Span::ZERO,
            // A single endpoint is the whole service: it is filled in at the end, not per request.
            endpoints: settings.endpoints.iter().map(endpoint).collect(),
            timeline: Timeline::new(step as f64),
            heating: Heating::new(settings.duration, step as f64),
            latency_steps: Vec::new(),
            failures_seen: [None; Failure::ALL.len()],
            ready_area: 0.0,
            cpu_area: 0.0,
            measured_seconds: 0.0,
            ready_min: None,
            ready_max: 0,
            echo: Echo::default(),
            settings,
        }
    }

    /// Length of a timeline step.
    pub fn step_length(&self) -> Span {
        Span::from_secs_f64(self.timeline.step_seconds)
    }

    /// A request was scheduled.
    #[inline]
    pub fn offered(&mut self, scheduled_at: Time, endpoint: u16) {
        self.simulated += 1;
        self.step.offered += 1;
        if scheduled_at >= self.warmup_end {
            self.counts.offered += 1;
            if self.endpoints.len() > 1 {
                self.endpoints[usize::from(endpoint)].counts.offered += 1;
            }
        }
    }

    /// An attempt beyond the first of a request was sent.
    pub fn retried(&mut self, scheduled_at: Time, endpoint: u16) {
        self.step.retries += 1;
        if self.echo.listening {
            self.echo.hear(Heard::Retried { endpoint });
        }
        if scheduled_at >= self.warmup_end {
            self.counts.retries += 1;
            if self.endpoints.len() > 1 {
                self.endpoints[usize::from(endpoint)].counts.retries += 1;
            }
        }
    }

    /// A request was answered well at `now`; its last attempt waited for `waiting` and was `service` in service.
    #[inline]
    pub fn succeeded(&mut self, now: Time, scheduled_at: Time, waiting: Span, service: Span, endpoint: u16) {
        let latency = now.since(scheduled_at);
        if self.echo.listening {
            self.echo.hear(Heard::Succeeded { latency, waiting, service, endpoint });
        }
        self.step.succeeded += 1;
        self.completions += u64::from(now >= self.warmup_end && now < self.end);
        if scheduled_at < self.warmup_end {
            self.warming.record(latency);
            return;
        }
        self.counts.succeeded += 1;
        self.measured.record(latency);
        self.service_counts.record(service);
        if waiting.is_zero() {
            self.unwaiting += 1;
        } else {
            self.waiting_counts.record(waiting);
        }
        if self.endpoints.len() > 1 {
            let endpoint = &mut self.endpoints[usize::from(endpoint)];
            endpoint.counts.succeeded += 1;
            endpoint.latency.record(latency);
        }
    }

    /// A request failed for good at `now`.
    pub fn failed(&mut self, now: Time, scheduled_at: Time, reason: Failure, endpoint: u16) {
        if self.echo.listening {
            self.echo.hear(Heard::Failed { latency: now.since(scheduled_at), reason, endpoint });
        }
        self.step.failed += 1;
        self.step.rate_limited += u64::from(reason == Failure::RateLimited);
        let served = matches!(reason, Failure::ServerError | Failure::Timeout | Failure::Connection);
        self.completions += u64::from(served && now >= self.warmup_end && now < self.end);
        if scheduled_at < self.warmup_end {
            return;
        }
        self.counts.failed[reason as usize] += 1;
        let seen = &mut self.failures_seen[reason as usize];
        *seen = Some((seen.map_or(now, |(first, _)| first), now));
        self.failed.record(now.since(scheduled_at));
        if self.endpoints.len() > 1 {
            self.endpoints[usize::from(endpoint)].counts.failed[reason as usize] += 1;
        }
    }

    /// Instances worked for `service` on an attempt that was of no use: nobody waited for its answer, or it was an error.
    pub fn wasted(&mut self, scheduled_at: Time, service: Span) {
        if self.echo.listening {
            self.echo.hear(Heard::Wasted { service });
        }
        if scheduled_at >= self.warmup_end {
            self.wasted = Span(self.wasted.0.saturating_add(service.0));
        }
    }

    /// The number of instances that take traffic is `ready` from `now` on.
    pub fn ready_changed(&mut self, now: Time, ready: u32) {
        if now >= self.end {
            return;
        }
        if now <= self.warmup_end {
            // What the measured part begins with is its first value.
            self.ready_min = Some(ready);
            self.ready_max = ready;
        } else {
            self.ready_min = Some(self.ready_min.map_or(ready, |min| min.min(ready)));
            self.ready_max = self.ready_max.max(ready);
        }
    }

    /// Closes the step that ends at `now`.
    pub fn step_ended(&mut self, now: Time, fleet: &FleetSample) {
        let seconds = now.since(self.step_began).as_secs_f64();
        if seconds > 0.0 {
            self.push_row(seconds, fleet);
        }
        let middle = Time(self.step_began.0.midpoint(now.0));
        if self.settings.spotlight.iter().any(|&(from, to)| from <= middle && middle < to) {
            self.measured.add_to(&mut self.spotlight);
        }
        self.measured.pour_into(&mut self.latency);
        self.warming.clear();
        // Nobody asks for these step by step; they are poured often enough for their counts to fit.
        if self.service_counts.count() > POUR_AT {
            self.service_counts.pour_into(&mut self.service);
            self.waiting_counts.pour_into(&mut self.waiting);
        }
        let overlap = now.since(self.step_began.max(self.warmup_end)).as_secs_f64();
        if overlap > 0.0 {
            self.measured_seconds += overlap;
            self.ready_area += fleet.ready * overlap;
            if fleet.cpu.is_finite() {
                self.cpu_area += fleet.cpu * fleet.ready * overlap;
            }
        }
        self.step = Step::default();
        self.step_began = now;
    }

    fn push_row(&mut self, seconds: f64, fleet: &FleetSample) {
        let per_second = |n: u64| n as f64 / seconds;
        // Requests of the warm-up that end later are few, and belong to the same picture.
        if self.warming.count() > 0 {
            self.warming.absorb(&self.measured);
        }
        let ended = if self.warming.count() > 0 { &self.warming } else { &self.measured };
        let millis = ended.quantiles([0.5, 0.9, 0.99]).map_or([f64::NAN; 3], |q| q.map(Span::as_millis_f64));
        self.heating.add(ended);
        if self.settings.keeps_steps {
            let mut latency = Latency::default();
            ended.add_to(&mut latency);
            self.latency_steps.push(latency.encoded());
        }
        let offered_rps = per_second(self.step.offered);
        let sizing = self.settings.sizing;
        let capacity = fleet.ready * f64::from(sizing.servers) / sizing.demand;
        let (low, high) = fleet.forecast_band.unwrap_or((f64::NAN, f64::NAN));
        self.timeline.push(
            self.step_began.as_secs_f64(),
            &[
                (Column::OfferedRps, offered_rps),
                (Column::SucceededRps, per_second(self.step.succeeded)),
                (Column::FailedRps, per_second(self.step.failed)),
                (Column::RateLimitedRps, per_second(self.step.rate_limited)),
                (Column::RetriesRps, per_second(self.step.retries)),
                (Column::P50Ms, millis[0]),
                (Column::P90Ms, millis[1]),
                (Column::P99Ms, millis[2]),
                (Column::InstancesReady, fleet.ready),
                (Column::InstancesTotal, fleet.total),
                (Column::Desired, f64::from(fleet.desired)),
                (Column::CpuUtilization, fleet.cpu * 100.0),
                (Column::MemoryUtilization, fleet.memory * 100.0),
                (Column::QueueLength, fleet.queued),
                (Column::ActiveConnections, fleet.active),
                (Column::BaselineRps, fleet.baseline_rps),
                (Column::ForecastRps, fleet.forecast_rps),
                (Column::BreakerOpen, f64::from(fleet.breakers_open)),
                (Column::CapacityRps, capacity),
                (Column::ForecastLowRps, low),
                (Column::ForecastHighRps, high),
            ],
        );
    }

    /// Fills in how many instances were needed, for the load of the minute around each step (within a second, demand is noise
    /// that no fleet could or should follow), less what a quota refused.
    fn work_out_needs(&mut self) {
        let sizing = self.settings.sizing;
        let limited = self.timeline.column(Column::RateLimitedRps);
        let offered = self.timeline.column(Column::OfferedRps);
        let wanted: Vec<f64> =
            offered.iter().zip(limited).map(|(offered, limited)| (offered - limited).max(0.0)).collect();
        let around = (30.0 / self.timeline.step_seconds).floor() as usize;
        let needed = (0..wanted.len())
            .map(|i| {
                let window = &wanted[i.saturating_sub(around)..(i + around + 1).min(wanted.len())];
                let rate = window.iter().sum::<f64>() / window.len() as f64;
                f64::from(instances_needed(rate, sizing.demand, sizing.servers, sizing.wait_bound))
            })
            .collect();
        self.timeline.set(Column::Needed, needed);
    }

    /// Compares the fleet with the cheapest one, and fills in how large that was. Steps of the demand are counted from the end of
    /// the warm-up; where they straddle those of the timeline, the larger need counts.
    fn work_out_regret(&mut self, paid: Cost, measured: Span) -> Regret {
        let step = self.step_length();
        let terms = regret::Terms {
            billing: self.settings.billing,
            boot: self.settings.boot,
            initial: self.settings.initial,
            warmup: self.settings.warmup,
            measured,
            step,
        };
        let (t, warmup) = (&self.timeline.t, self.settings.warmup.as_secs_f64());
        // The step of the demand in which a moment of the timeline lies.
        let place = |at: f64| ((at - warmup).max(0.0) / self.timeline.step_seconds + 1e-9) as usize;
        let steps = measured.0.div_ceil(step.0.max(1)) as usize;
        let (mut demand, mut supply) = (vec![0u32; steps], vec![f64::INFINITY; steps]);
        let needed = self.timeline.column(Column::Needed);
        let ready = self.timeline.column(Column::InstancesReady);
        for (i, &from) in t.iter().enumerate().filter(|(_, from)| **from + self.timeline.step_seconds > warmup + 1e-9)
        {
            let last = place(from + self.timeline.step_seconds - 2e-9);
            // A run that was stopped within its warm-up has no step that counts.
            for each in place(from)..(last + 1).min(steps) {
                demand[each] = demand[each].max(needed[i] as u32);
                supply[each] = supply[each].min(ready[i]);
            }
        }
        let (best, regret) = regret::regret(&demand, &supply, paid, &terms);
        let optimal = |&from: &f64| match best.ready.get(place(from)) {
            Some(&n) if from + self.timeline.step_seconds > warmup => f64::from(n),
            _ => f64::NAN,
        };
        let column = t.iter().map(optimal).collect();
        self.timeline.set(Column::Optimal, column);
        regret
    }

    /// Requests that are offered but have not ended, of the measured part.
    pub fn in_flight(&self) -> u64 {
        self.counts.offered - self.counts.succeeded - self.counts.failed_total()
    }

    /// Turns what was recorded into a [`Run`], `now` being the end of the measured part.
    pub fn finish(
        mut self,
        seed: u64,
        ended: Ended,
        now: Time,
        mut events: Vec<Event>,
        instances: Vec<InstanceSummary>,
    ) -> Run {
        self.measured.pour_into(&mut self.latency);
        self.service_counts.pour_into(&mut self.service);
        self.waiting_counts.pour_into(&mut self.waiting);
        self.waiting.record_zeros(self.unwaiting);
        self.work_out_needs();
        let measured = now.since(self.warmup_end);
        let seconds = measured.as_secs_f64();
        let per = |area: f64, total: f64| if total > 0.0 { area / total } else { 0.0 };
        if let [only] = self.endpoints.as_mut_slice() {
            only.counts = self.counts;
        }
        let mut latency_all = self.latency.clone();
        latency_all.merge(&self.failed);
        events.retain(|event| event.at <= now);
        let lifetimes = instances.iter().filter_map(|instance| {
            let from = instance.launched_at.max(self.warmup_end);
            let to = instance.gone_at.unwrap_or(now).min(now);
            (to > from).then(|| to.since(from))
        });
        let cost = self.settings.billing.cost(lifetimes);
        let scaled = |up: bool| {
            let counts = |event: &&Event| {
                event.at >= self.warmup_end
                    && matches!((&event.kind, up), (EventKind::ScaledUp(_), true) | (EventKind::ScaledDown(_), false))
            };
            events.iter().filter(counts).count() as u32
        };
        let first = self.timeline.t.partition_point(|&t| t < self.warmup_end.as_secs_f64());
        let elasticity = elasticity(
            &self.timeline.column(Column::Needed)[first..],
            &self.timeline.column(Column::InstancesReady)[first..],
        );
        let fleet = FleetSummary {
            min: self.ready_min.unwrap_or(0),
            mean: per(self.ready_area, self.measured_seconds),
            max: self.ready_max,
            cost,
            cpu_utilization_mean: per(self.cpu_area, self.ready_area),
            scale_ups: scaled(true),
            scale_downs: scaled(false),
            flaps: flaps(&events, self.warmup_end),
            longest_scale_up: longest_scale_up(&events, &instances, self.warmup_end),
        };
        let regret = self.work_out_regret(cost, measured);
        let useful = self.service.mean().map_or(0.0, |mean| mean.as_secs_f64() * self.service.count() as f64);
        let wasted = self.wasted.as_secs_f64();
        Run {
            seed,
            ended,
            measured,
            counts: self.counts,
            throughput_rps: per(self.completions as f64, seconds),
            latency: self.latency,
            spotlight: self.spotlight,
            latency_all,
            service_time: self.service,
            waiting_time: self.waiting,
            wasted_work: per(wasted, wasted + useful),
            client_fairness: None,
            fleet,
            elasticity,
            regret,
            endpoints: self.endpoints,
            instances,
            events,
            timeline: self.timeline,
            latency_heat: Some(self.heating.finish()),
            latency_steps: self.latency_steps,
            failures_seen: self.failures_seen,
            generator: None,
            simulated: self.simulated,
            fidelity: None,
        }
    }
}

/// The longest time from a decision to scale up, from `from` on, until all of its instances took traffic.
fn longest_scale_up(events: &[Event], instances: &[InstanceSummary], from: Time) -> Option<Span> {
    let took = |event: &Event| {
        let EventKind::ScaledUp(scaling) = &event.kind else { return None };
        // An instance's number is its place.
        let ready = |id: &InstanceId| instances.get(id.0 as usize).and_then(|each| each.ready_at);
        let all: Option<Vec<Time>> = scaling.instances.iter().map(ready).collect();
        Some(all?.into_iter().max()?.since(event.at))
    };
    events.iter().filter(|event| event.at >= from).filter_map(took).max()
}

/// A change of direction sooner than this after the action that it undoes is a flap. Three times the default stabilization of
/// Kubernetes: whoever decides better than that never reverses so soon.
const FLAP_WITHIN: Span = Span::from_mins(15);

/// Scaling actions from `from` on that undo the one before within [`FLAP_WITHIN`].
fn flaps(events: &[Event], from: Time) -> u32 {
    let mut before: Option<(Time, bool)> = None;
    let mut flaps = 0;
    for event in events {
        let up = match &event.kind {
            EventKind::ScaledUp(_) => true,
            EventKind::ScaledDown(_) => false,
            _ => continue,
        };
        let undoes = before.is_some_and(|(at, was_up)| was_up != up && event.at.since(at) < FLAP_WITHIN);
        flaps += u32::from(undoes && event.at >= from);
        before = Some((event.at, up));
    }
    flaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_stopped_within_its_warm_up_leaves_an_empty_record() {
        let text = "scenario.duration = \"20s\"\nscenario.warmup = \"10s\"\ntraffic.shape = [{ kind = \"constant\", rate = 1 }]\nservice.time = \"1ms\"";
        let scenario = crate::scenario::parse(text, "t.toml", "".as_ref(), &[]).unwrap();
        let mut recorder = Recorder::new(scenario.recording(Span::from_secs(20), &scenario.service.endpoints));
        let second = Time::ZERO + Span::from_secs(1);
        recorder.offered(Time::ZERO, 0);
        recorder.succeeded(second, Time::ZERO, Span::ZERO, Span::ZERO, 0);
        recorder.step_ended(second, &FleetSample { ready: 1.0, ..FleetSample::default() });
        let run = recorder.finish(1, Ended::Interrupted { at: second }, second, Vec::new(), Vec::new());
        assert_eq!((run.counts.offered, run.measured, run.timeline.len()), (0, Span::ZERO, 1));
    }
}

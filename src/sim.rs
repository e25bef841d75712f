//! The simulator: the engine in virtual time.
//!
//! A [`Plan`] is a scenario made ready (tables built, dataset opened); [`Plan::run`] plays one replication of it and
//! leaves a [`Run`]. The world is a loop over four kinds of "next":
//!
//! ```text
//! calendar   completions, calls, answers, retries, thoughts      per request: a heap of what is in service
//! patience   client time-outs                                    per request: a queue, for all wait equally long
//! arrivals   the next few dozen, looked up at once               per request: a scalar
//! agenda     boots, faults, drain limits, steps; engine wakes    rare
//! ```
//!
//! At equal times they go in that order: what ends at t frees capacity for what starts at t, and the control loop sees both.
//! Nothing is rounded and nothing is shifted to break a tie. Memory is bounded by what is in flight, by fleet and by clients.
//!
//! # Where the time goes
//!
//! See `benches/simulate.rs` for the workloads, and the table in CONTRIBUTING for instructions per request.

pub mod agenda;
pub mod attempt;
pub mod calendar;
mod client;
mod dependency;
mod fault;
mod fleet;
mod forward;
mod hold;
pub mod instance;
mod intake;
mod observation;
pub mod outlook;
mod overload;
pub mod plan;
mod probe;
pub mod replicate;
pub mod sharing;
pub mod survey;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::engine::request::{Admission, Completion, InstanceId, Outcome, Request};
use crate::engine::{Command, Engine};
use crate::record::fairness::Fairness;
use crate::record::fidelity::Faithfulness;
use crate::record::outcome::Failure;
use crate::record::run::Ended;
use crate::record::{Recorder, Run};
use crate::rng::Dice;
use crate::scenario::faults::course::{Course, ERROR_DRAW};
use crate::sim::agenda::{Agenda, Entry};
use crate::sim::attempt::{Attempt, Slab, Stage};
use crate::sim::calendar::{Calendar, Kind};
use crate::sim::client::{Patience, RetryPolicy};
use crate::sim::dependency::{Pool, Waits};
use crate::sim::forward::FastForward;
use crate::sim::hold::Holding;
use crate::sim::instance::Instance;
use crate::sim::intake::{Intake, Upcoming};
use crate::sim::observation::Observer;
use crate::sim::overload::Pressure;
pub use crate::sim::plan::Plan;
use crate::sim::probe::Probing;
use crate::units::{Span, Time};

/// How a run is watched and stopped from outside. One for all replications.
#[derive(Debug, Default)]
pub struct Monitor {
    /// Set to end every run early.
    pub stop: AtomicBool,
    /// Virtual time simulated so far, over all replications \[ms\].
    pub progress_ms: AtomicU64,
}

/// One replication in the making.
struct World<'a> {
    plan: &'a Plan,
    monitor: &'a Monitor,
    now: Time,
    end: Time,
    seed: u64,
    // Chance.
    failure_dice: Dice,
    retry_dice: Dice,
    dependency_dice: Dice,
    think_dice: Dice,
    boot_dice: Dice,
    // Traffic.
    intake: Intake,
    turns: Vec<u32>,
    // The system.
    engine: Engine,
    instances: Vec<Instance>,
    pools: Vec<Pool>,
    /// Probability of an error answer, by endpoint.
    error_rates: Vec<f64>,
    waits: Waits,
    faults: Course,
    // What is pending.
    slab: Slab,
    calendar: Calendar,
    patience: Patience,
    holding: Holding,
    agenda: Agenda,
    retry: Option<RetryPolicy>,
    probing: Option<Box<Probing>>,
    pressure: Option<Box<Pressure>>,
    /// Whether a request may meet more than the plain way: probes, or overload control at clients or instances.
    has_extras: bool,
    /// What leaves requests out, where not every one is simulated.
    forward: Option<Box<FastForward>>,
    commands: Vec<Command>,
    // What is left.
    recorder: Recorder,
    observer: Observer,
    /// Looked at where a quota is shared by clients.
    fairness: Option<Box<Fairness>>,
    events: Vec<crate::engine::events::Event>,
    ended: Ended,
}

impl World<'_> {
    /// Plays the scenario to its end, and every request to its own.
    fn run(self) -> Run {
        if self.has_extras { self.play::<true>() } else { self.play::<false>() }
    }

    /// Plays it. `EXTRAS` is [`World::has_extras`], known to the compiler, so that nobody pays for what a scenario does not ask for;
    /// what is written for `true` holds for both.
    fn play<const EXTRAS: bool>(mut self) -> Run {
        self.start();
        loop {
            let calendar_at = self.calendar.next_at();
            let arrival_at = self.intake.next_at();
            let patience_at = self.patience.next_at();
            let control_at = self.agenda.next_at().min(self.engine.next_wake().0);
            if calendar_at <= arrival_at && calendar_at <= patience_at && calendar_at <= control_at {
                match self.calendar.pop() {
                    Some(pending) => {
                        self.now = pending.at;
                        self.happens::<EXTRAS>(pending.kind, pending.payload);
                    }
                    // Everything is at the end of time: nothing is pending anywhere.
                    None => break,
                }
            } else if patience_at <= arrival_at && patience_at <= control_at {
                self.now = patience_at;
                self.time_out();
                if self.holding.is_waiting() {
                    self.release_held();
                }
            } else if arrival_at <= control_at {
                self.now = arrival_at;
                self.arrive::<EXTRAS>();
            } else {
                if control_at >= self.end && self.is_over(control_at) {
                    break;
                }
                self.now = control_at;
                self.control();
            }
        }
        self.finish()
    }

    /// Whether nothing is left to follow beyond the end.
    fn is_over(&self, next: Time) -> bool {
        let steps_done = self.agenda.next_at() > self.end || next > self.end;
        steps_done && self.slab.is_empty() && self.intake.next_at() == Time::MAX
    }

    fn start(&mut self) {
        for _ in 0..self.plan.scenario().fleet.initial {
            let id = self.engine.adopt(Time::ZERO);
            self.add_instance(id);
            self.begin_serving(id, false);
        }
        self.recorder.ready_changed(Time::ZERO, self.plan.scenario().fleet.initial);
        self.intake.refill(self.plan);
        for user in 0..self.turns.len() as u32 {
            self.think(user);
        }
        self.agenda.push(Time::ZERO + self.recorder.step_length(), Entry::StepEnds);
        self.schedule_faults();
        if self.forward.is_some() {
            self.look_ahead();
        }
    }

    /// A calendar event happens.
    #[inline]
    fn happens<const EXTRAS: bool>(&mut self, kind: Kind, payload: u32) {
        match kind {
            Kind::ServiceEnds => self.service_ends::<EXTRAS>(payload),
            Kind::ShareEnds => self.share_ends::<EXTRAS>(payload),
            Kind::CallEnds => self.call_ends(payload),
            Kind::CallTimesOut => self.call_times_out(payload),
            Kind::AnswerArrives => self.answered::<EXTRAS>(payload),
            Kind::ReachesInstance => self.reaches_instance::<EXTRAS>(payload),
            Kind::RetryDue => self.retry_due(payload),
            Kind::ThinkEnds => self.think_ends(payload),
            Kind::ProbeArrives | Kind::ProbeAnswered | Kind::HedgeDue | Kind::DelayEnds => {
                self.happens_to_extras(kind, payload);
            }
        }
    }

    /// What only happens where a scenario asks for it.
    #[cold]
    #[inline(never)]
    fn happens_to_extras(&mut self, kind: Kind, payload: u32) {
        match kind {
            Kind::ProbeArrives => self.probe_arrives(InstanceId(payload)),
            Kind::ProbeAnswered => self.probe_answered(),
            Kind::DelayEnds => self.delay_ends(payload),
            _ => self.hedge_due(payload),
        }
    }

    /// The next planned request arrives.
    #[inline(always)]
    fn arrive<const EXTRAS: bool>(&mut self) {
        let upcoming = self.intake.take(self.plan);
        self.offer::<EXTRAS>(upcoming);
    }

    /// A request begins, now.
    #[inline(always)]
    fn offer<const EXTRAS: bool>(&mut self, upcoming: Upcoming) {
        let Upcoming { index, demand, client, endpoint, .. } = upcoming;
        self.recorder.offered(self.now, endpoint);
        if let Some(fairness) = &mut self.fairness {
            fairness.asked(client);
        }
        if let Some(retry) = &mut self.retry {
            retry.offered(self.now);
        }
        let region = if self.plan.has_regions() { self.intake.region(client) } else { 0 };
        // In place, field by field: a whole attempt put together elsewhere and copied would stall the processor.
        let slot = self.slab.claim();
        let attempt = &mut self.slab[slot];
        attempt.index = index;
        attempt.scheduled_at = self.now;
        attempt.sent_at = self.now;
        attempt.demand = demand;
        attempt.instance = NOWHERE;
        attempt.client = client;
        attempt.endpoint = endpoint;
        attempt.region = region;
        attempt.number = 1;
        attempt.stage = Stage::Outbound;
        attempt.awaited = true;
        attempt.failed = false;
        let stamp = attempt.stamp;
        if EXTRAS {
            return self.send_under_pressure(slot, None);
        }
        // What the slab has just been told need not be read from there again.
        let request = Request { index, attempt: 1, client, endpoint, region, avoid: None };
        self.patience.begin(self.now, slot, stamp);
        let admission = self.engine.admit(self.now, &request);
        self.admitted::<EXTRAS>(slot, admission);
    }

    /// An attempt leaves its client: the way to an instance, or a refusal.
    fn send(&mut self, slot: u32, avoid: Option<InstanceId>) {
        let request = self.request(slot, avoid);
        self.patience.begin(self.now, slot, self.slab[slot].stamp);
        let admission = self.engine.admit(self.now, &request);
        self.admitted::<true>(slot, admission);
    }

    /// What the engine is asked for an attempt.
    #[inline(always)]
    fn request(&self, slot: u32, avoid: Option<InstanceId>) -> Request {
        let attempt = &self.slab[slot];
        Request {
            index: attempt.index,
            attempt: u32::from(attempt.number),
            client: attempt.client,
            endpoint: attempt.endpoint,
            region: attempt.region,
            avoid,
        }
    }

    /// The engine has decided on an attempt.
    #[inline(always)]
    fn admitted<const EXTRAS: bool>(&mut self, slot: u32, admission: Admission) {
        match admission {
            Admission::Forward { instance, permit } => {
                let attempt = &mut self.slab[slot];
                attempt.instance = instance;
                attempt.permit = permit;
                attempt.stage = Stage::Outbound;
                let travel = self.plan.one_way(attempt.region);
                if travel.is_zero() {
                    self.enters::<EXTRAS>(slot, instance.0 as usize);
                } else {
                    self.calendar.push(self.now + travel, Kind::ReachesInstance, slot);
                }
            }
            Admission::Hold { until } => self.hold(slot, until),
            Admission::Delay { until } => self.delay(slot, until),
            Admission::Reject(rejection) => {
                let attempt = self.slab[slot];
                self.slab.remove(slot);
                self.attempt_refused(attempt, rejection);
            }
        }
    }

    /// An attempt reaches the instance it was sent to.
    #[inline(always)]
    fn reaches_instance<const EXTRAS: bool>(&mut self, slot: u32) {
        if self.slab[slot].stage == Stage::Dead {
            self.slab.remove(slot);
            return;
        }
        self.enters::<EXTRAS>(slot, self.slab[slot].instance.0 as usize);
    }

    /// An attempt is at the door of an instance.
    #[inline(always)]
    fn enters<const EXTRAS: bool>(&mut self, slot: u32, place: usize) {
        if EXTRAS {
            return self.enters_under_pressure(slot, place);
        }
        let instance = &mut self.instances[place];
        instance.attempts += 1;
        if !instance.is_alive() {
            return self.answer_with::<EXTRAS>(slot, Outcome::Connection);
        }
        let service = &self.plan.scenario().service;
        if instance.busy() < service.workers {
            instance.touch(self.now);
            self.serve(slot, place);
        } else if service.queue.is_some_and(|queue| instance.queued >= queue) {
            self.answer_with::<EXTRAS>(slot, Outcome::QueueFull);
        } else {
            instance.touch(self.now);
            instance.enqueue(&mut self.slab, slot);
        }
    }

    /// An attempt's service begins; the instance's integrals are up to date.
    #[inline(always)]
    fn serve(&mut self, slot: u32, place: usize) {
        let instance = &mut self.instances[place];
        let attempt = &mut self.slab[slot];
        attempt.stage = Stage::InService;
        instance.serving += 1;
        let mut slowness = instance.slowness;
        if self.now < instance.warm_at {
            slowness *= self.plan.warmup_slowdown(instance.warm_at.since(self.now));
        }
        let mut demand = attempt.demand;
        if let Some(fault) = instance.fault
            && self.failure_dice.sub(attempt.index, u64::from(attempt.number) + ERROR_DRAW).unit() < fault.rate
        {
            attempt.failed = true;
            demand = fault.latency.unwrap_or(demand);
        }
        attempt.service = if slowness == 1.0 { demand } else { demand.mul_f64(slowness) };
        match &mut instance.sharing {
            None => self.calendar.push(self.now + attempt.service, Kind::ServiceEnds, slot),
            Some(sharing) => {
                sharing.add(self.now, attempt.service.mul_f64(self.plan.scenario().service.cpu_share), slot);
                attempt.service = Span(self.now.0);
                self.schedule_share(place);
            }
        }
    }

    /// An attempt's own service is over; its dependencies' may begin.
    #[inline(always)]
    fn service_ends<const EXTRAS: bool>(&mut self, slot: u32) {
        if self.slab[slot].stage == Stage::Dead {
            return self.bury(slot);
        }
        if !self.pools.is_empty() && !self.slab[slot].failed {
            self.begin_calls(slot);
        } else {
            self.work_done::<EXTRAS>(slot);
        }
    }

    /// The CPU part of requests under processor sharing may be over.
    fn share_ends<const EXTRAS: bool>(&mut self, place: u32) {
        let place = place as usize;
        let instance = &mut self.instances[place];
        let Some(sharing) = &mut instance.sharing else { return };
        // An event that was superseded by an earlier one comes late and finds nobody done, or another one due.
        if sharing.due != self.now {
            return;
        }
        sharing.due = Time::MAX;
        instance.touch(self.now);
        loop {
            let Some(sharing) = &mut self.instances[place].sharing else { return };
            let Some(slot) = sharing.take_done(self.now) else { break };
            let attempt = &mut self.slab[slot];
            let cpu_share = self.plan.scenario().service.cpu_share;
            let waits = if cpu_share < 1.0 {
                attempt.demand.mul_f64((1.0 - cpu_share) * self.instances[place].slowness)
            } else {
                Span::ZERO
            };
            attempt.service = Span(self.now.0 - attempt.service.0) + waits;
            if waits.is_zero() {
                self.service_ends::<EXTRAS>(slot);
            } else {
                self.calendar.push(self.now + waits, Kind::ServiceEnds, slot);
            }
        }
        self.schedule_share(place);
    }

    /// Sees to it that an event is pending for the next completion under processor sharing.
    fn schedule_share(&mut self, place: usize) {
        let Some(sharing) = &mut self.instances[place].sharing else { return };
        let next = sharing.next_done();
        if next < sharing.due {
            sharing.due = next;
            self.calendar.push(next, Kind::ShareEnds, place as u32);
        }
    }

    /// An attempt needs nothing more of its instance: the worker is free, the answer goes out.
    #[inline(always)]
    fn work_done<const EXTRAS: bool>(&mut self, slot: u32) {
        let attempt = &mut self.slab[slot];
        let place = attempt.instance.0 as usize;
        let error_rate = self.error_rates[usize::from(attempt.endpoint)];
        if error_rate > 0.0 && !attempt.failed {
            let u = self.failure_dice.sub(attempt.index, u64::from(attempt.number)).unit();
            attempt.failed = u < error_rate;
        }
        let (calling, failed) = (attempt.stage == Stage::Calling, attempt.failed);
        if !failed {
            let instance = &mut self.instances[place];
            instance.first_answer_at = instance.first_answer_at.min(self.now);
        }
        if EXTRAS {
            self.gauge(slot, failed);
        }
        self.release::<EXTRAS>(place, calling);
        let outcome = if failed { Outcome::ServerError } else { Outcome::Success };
        self.answer_with::<EXTRAS>(slot, outcome);
    }

    /// Frees a worker; the next in the queue gets it.
    #[inline(always)]
    fn release<const EXTRAS: bool>(&mut self, place: usize, calling: bool) {
        let instance = &mut self.instances[place];
        instance.touch(self.now);
        if calling {
            instance.calling -= 1;
        } else {
            instance.serving -= 1;
        }
        if EXTRAS {
            return self.serve_next_under_pressure(place);
        }
        match instance.dequeue(&mut self.slab) {
            Some(next) => self.serve(next, place),
            None if instance.has_drained(self.now) => self.leaves(place),
            None => {}
        }
    }

    /// An answer sets out for the client.
    #[inline(always)]
    fn answer_with<const EXTRAS: bool>(&mut self, slot: u32, outcome: Outcome) {
        let attempt = &mut self.slab[slot];
        if !attempt.awaited {
            return self.answer_nobody(slot, outcome);
        }
        let travel = self.plan.one_way(attempt.region);
        if travel.is_zero() {
            return self.answer::<EXTRAS>(slot, outcome);
        }
        attempt.stage = Stage::Inbound;
        // The outcome travels in a field that the way back does not need.
        attempt.calls_left = outcome as u16;
        self.calendar.push(self.now + travel, Kind::AnswerArrives, slot);
    }

    /// Nobody waits for an answer any more.
    #[cold]
    #[inline(never)]
    fn answer_nobody(&mut self, slot: u32, outcome: Outcome) {
        let attempt = self.slab[slot];
        if outcome != Outcome::Success {
            self.instances[attempt.instance.0 as usize].failures += 1;
        }
        if was_served(outcome) {
            self.recorder.wasted(attempt.scheduled_at, attempt.service);
        }
        self.slab.remove(slot);
    }

    /// An answer arrives after its way back.
    fn answered<const EXTRAS: bool>(&mut self, slot: u32) {
        let attempt = &self.slab[slot];
        const OUTCOMES: [Outcome; 7] = [
            Outcome::Success,
            Outcome::ServerError,
            Outcome::Timeout,
            Outcome::Connection,
            Outcome::QueueFull,
            Outcome::Shed,
            Outcome::Abandoned,
        ];
        let outcome = OUTCOMES[usize::from(attempt.calls_left)];
        if attempt.awaited {
            return self.answer::<EXTRAS>(slot, outcome);
        }
        if was_served(outcome) {
            self.recorder.wasted(attempt.scheduled_at, attempt.service);
        }
        self.slab.remove(slot);
    }

    /// The client has its answer.
    #[inline(always)]
    fn answer<const EXTRAS: bool>(&mut self, slot: u32, outcome: Outcome) {
        if let Some(failure) = Failure::of(outcome) {
            return self.answered_badly(slot, outcome, failure);
        }
        if EXTRAS {
            self.report_load(slot);
            self.answer_wins(slot);
        }
        if let Some(retry) = &mut self.retry {
            retry.succeeded(slot, self.slab[slot].number);
        }
        // Field by field: a copy of the whole, whose bytes were just written one by one, would stall the processor.
        let attempt = &self.slab[slot];
        let (scheduled_at, service, endpoint) = (attempt.scheduled_at, attempt.service, attempt.endpoint);
        let inside = self.now.since(attempt.sent_at + self.plan.one_way(attempt.region) * 2);
        let (client, completion) = (attempt.client, self.completion(attempt, outcome));
        self.slab.remove(slot);
        self.engine.completed(self.now, &completion);
        let waiting = Span(inside.0.saturating_sub(service.0));
        self.recorder.succeeded(self.now, scheduled_at, waiting, service, endpoint);
        if let Some(fairness) = &mut self.fairness {
            fairness.served(client);
        }
        self.request_over(client);
        if self.holding.is_waiting() {
            self.release_held();
        }
    }

    /// The client has an answer that is of no use to it.
    #[cold]
    #[inline(never)]
    fn answered_badly(&mut self, slot: u32, outcome: Outcome, failure: Failure) {
        if outcome != Outcome::Connection {
            self.report_load(slot);
        }
        let attempt = self.slab[slot];
        self.slab.remove(slot);
        if was_served(outcome) {
            self.recorder.wasted(attempt.scheduled_at, attempt.service);
        }
        self.report(&attempt, outcome);
        self.instances[attempt.instance.0 as usize].failures += 1;
        self.attempt_failed(attempt, failure);
        if self.holding.is_waiting() {
            self.release_held();
        }
    }

    /// The event of an attempt that was cut off comes: its slot is free, and what was done of its work was for nobody.
    #[cold]
    #[inline(never)]
    fn bury(&mut self, slot: u32) {
        let attempt = self.slab[slot];
        self.slab.remove(slot);
        // It was cut off when it was last "sent", and would have been served until now.
        let spared = self.now.since(attempt.sent_at);
        self.recorder.wasted(attempt.scheduled_at, Span(attempt.service.0.saturating_sub(spared.0)));
    }

    /// Tells the engine how a forwarded attempt ended.
    fn report(&mut self, attempt: &Attempt, outcome: Outcome) {
        let completion = self.completion(attempt, outcome);
        self.engine.completed(self.now, &completion);
    }

    #[inline]
    fn completion(&self, attempt: &Attempt, outcome: Outcome) -> Completion {
        Completion {
            instance: attempt.instance,
            permit: attempt.permit,
            endpoint: attempt.endpoint,
            is_retry: attempt.number > 1,
            outcome,
            latency: self.now.since(attempt.sent_at),
        }
    }

    /// The next thing on the agenda, and whatever the engine wants.
    fn control(&mut self) {
        while let Some(entry) = self.agenda.pop_due(self.now) {
            self.attend(entry);
        }
        if self.engine.next_wake().0 <= self.now {
            self.tick();
        }
        self.release_held();
        // Steps close last: they show the instant as it was left.
        while let Some(entry) = self.agenda.pop_step(self.now) {
            self.attend(entry);
        }
        if self.forward.is_some() {
            self.look_ahead();
        }
    }

    fn attend(&mut self, entry: Entry) {
        match entry {
            Entry::BootEnds(id) => self.boot_ends(id),
            Entry::WarmupEnds(id) => self.warmup_ends(id),
            Entry::DrainLimit(id) => self.drain_limit(id),
            Entry::PreStopEnds(id) => self.pre_stop_ends(id),
            Entry::HealthAnswer(id, passed) => self.engine.health_checked(self.now, id, passed),
            Entry::HoldLimit => self.hold_limit(),
            Entry::FaultStarts(fault) => self.fault_starts(fault),
            Entry::FaultEnds(fault) => self.fault_ends(fault),
            // What is to be done then is seen to after every control event.
            Entry::SampleEnds => {}
            Entry::StepEnds => self.step_ends(),
        }
    }

    fn tick(&mut self) {
        let observation = self.engine.scrape_due(self.now).then(|| self.observe());
        let mut commands = std::mem::take(&mut self.commands);
        self.engine.tick(self.now, observation.as_ref(), &mut commands);
        for command in commands.drain(..) {
            self.carry_out(command);
        }
        self.commands = commands;
    }

    /// A step of the timeline ends: the recorder closes it, watchers are told, Ctrl-C is heard.
    fn step_ends(&mut self) {
        let sample = self.sample_fleet();
        self.recorder.step_ended(self.now, &sample);
        self.engine.drain_events(&mut self.events);
        let step = self.recorder.step_length();
        self.monitor.progress_ms.fetch_add(step.0 / 1_000_000, Ordering::Relaxed);
        if self.monitor.stop.load(Ordering::Relaxed) && self.now < self.end {
            self.interrupt();
        } else if self.now < self.end {
            self.agenda.push((self.now + step).min(self.end), Entry::StepEnds);
        }
    }

    /// Ends the run here: nothing new begins, what is in flight is followed to its end.
    fn interrupt(&mut self) {
        self.ended = Ended::Interrupted { at: self.now };
        self.end = self.now;
        self.intake.close(self.plan);
    }

    fn finish(mut self) -> Run {
        self.engine.drain_events(&mut self.events);
        if let Some(truncation) = self.intake.truncation() {
            self.ended = Ended::TrafficLost { at: self.now.min(self.end), problem: truncation.to_string() };
        }
        debug_assert!(self.recorder.in_flight() == 0, "every request has ended: {}", self.recorder.in_flight());
        debug_assert!(self.engine.in_flight() == 0, "in-flight counts fall on every way a request can end");
        let instances = self.summaries();
        let client_fairness = self.fairness.and_then(|fairness| fairness.index());
        let passed = self.forward.as_ref().map_or(0, |forward| forward.passed());
        let run = self.recorder.finish(self.seed, self.ended, self.end, self.events, instances);
        let share = run.simulated as f64 / (run.simulated + passed).max(1) as f64;
        let fidelity = self.forward.map(|_| Faithfulness {
            asked: self.plan.fidelity(),
            used: self.plan.fidelity(),
            reason: None,
            simulated_share: share,
            spread: None,
        });
        Run { client_fairness, fidelity, ..run }
    }
}

/// Whether an attempt that ended so was worked on to its end.
fn was_served(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Success | Outcome::ServerError)
}

/// The instance of an attempt that has not been sent to any.
const NOWHERE: InstanceId = InstanceId(u32::MAX);

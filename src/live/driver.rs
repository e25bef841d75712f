//! The driver: the engine on the wall clock.
//!
//! ```text
//! gateway ─▶ Driver::admit ─▶ Ticket(instance) ── Ticket::ended ─┐      one lock, held for microseconds,
//! fleet   ─▶ Driver::tick ─▶ commands          ── told, health ──┤      never across a wait
//! control ─▶ Driver::with ─▶ a look, an order                    ▼
//!                                              engine · meter · recorder · log
//! ```
//!
//! Exactly one [`Engine`], the very one that simulations drive. Around it the driver keeps what the engine has no business with: where
//! instances are, the requests that are held, the clock, and accounts for those who look.

pub mod log;
pub mod roster;
mod tickets;

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, broadcast, oneshot};

use crate::engine::autoscaler::Manual;
use crate::engine::balancer::prequal;
use crate::engine::events::Event;
use crate::engine::input::{Input, Output};
use crate::engine::limiter::outside::Answer;
use crate::engine::request::{Admission, InstanceId, Outcome, Permit, Rejection, Request};
use crate::engine::{Command, Engine, InstanceState};
use crate::live::clock::Clock;
use crate::live::flight::{self, Header, Tape};
use crate::live::gateway::upstream::Upstream;
use crate::live::meter::{Fleet, Meter, Second};
use crate::record::attempts;
use crate::record::recorder::FleetSample;
use crate::record::run::Ended;
use crate::record::{Recorder, Run};
use crate::scenario::Scenario;
use crate::scenario::service::Endpoint;
use crate::units::{Span, Time};
use log::{Entry, Log, Remark};
use roster::{Look, Roster};
pub use tickets::{Exchange, Passage, Ticket, Wait};

/// What everybody may look at, under the lock.
#[derive(Debug)]
pub struct Core {
    /// The engine.
    pub engine: Engine,
    /// Where its instances are.
    pub roster: Roster,
    /// Counts, and the last ten minutes.
    pub meter: Meter,
    /// What happened.
    pub log: Log,
    /// Whether a fault keeps metrics from the autoscaler.
    pub metrics_lost: bool,
    recorder: Option<Recorder>,
    /// When the recorder's step ends.
    step_ends: Time,
    /// When the run that is recorded ends.
    end: Time,
    recorded: Vec<Event>,
    waiting: VecDeque<Waiting>,
    /// Integral of the number of waiting requests over time \[ns\], up to `held_since`, and what it was at the last scrape and step.
    held_area: u128,
    held_since: Time,
    held_seen: [u128; 2],
    /// When the control loop wakes by itself.
    armed: Time,
    next_wait: u64,
    events: Vec<Event>,
    tape: Option<Tape>,
    sheet: Option<Sheet>,
}

/// Attempts that ended and are not written down yet.
#[derive(Debug)]
struct Sheet {
    /// By endpoint.
    paths: Vec<String>,
    lines: String,
}

/// A request that is held.
#[derive(Debug)]
struct Waiting {
    number: u64,
    request: Request,
    passage: oneshot::Sender<Ticket>,
}

/// The engine on the wall clock.
pub struct Driver {
    clock: Clock,
    core: Mutex<Core>,
    /// The control loop is wanted sooner than it meant to wake.
    wake: Notify,
    /// What has just happened, and every second that is over, for those who watch.
    told: broadcast::Sender<Told>,
    /// Where the flight recorder's lines go, as long as that takes them.
    sink: Mutex<Option<Box<dyn Write + Send>>>,
    /// The same for attempts, one by one.
    attempts: Mutex<Option<Box<dyn Write + Send>>>,
}

/// Where everything that the engine is told is to be written.
pub struct Flight {
    /// What it takes to build the engine again.
    pub header: Header,
    /// Where to.
    pub sink: Box<dyn Write + Send>,
}

/// News for those who watch.
#[derive(Clone, Debug)]
pub enum Told {
    /// Something happened.
    Event(Arc<Entry>),
    /// Something went wrong that is no event of the engine's.
    Remark(Arc<Remark>),
    /// A second is over.
    Second(Second),
}

/// Which of the two lookers looks.
const SCRAPE: usize = 0;
const STEP: usize = 1;

/// News that a watcher may be behind by.
const NEWS: usize = 1024;

impl Driver {
    /// An engine without instances, its clock at zero. With a `duration` a run is recorded.
    pub fn new(
        scenario: &Scenario,
        seed: u64,
        endpoints: &[Endpoint],
        clients: usize,
        duration: Option<Span>,
        flight: Option<Flight>,
    ) -> Driver {
        let tape = flight.as_ref().map(|flight| Tape::new(&flight.header));
        let engine = Engine::new(&scenario.engine_config(seed, endpoints, clients));
        let recorder = duration.map(|duration| Recorder::new(scenario.recording(duration, endpoints)));
        let memory = scenario.fleet.memory.map(|memory| memory.limit);
        Driver {
            clock: Clock::start(),
            core: Mutex::new(Core {
                engine,
                roster: Roster::new(scenario.service.cores, scenario.service.servers(), memory, duration.is_some()),
                meter: Meter::default(),
                log: Log::default(),
                metrics_lost: false,
                step_ends: recorder.as_ref().map_or(Time::MAX, |recorder| Time::ZERO + recorder.step_length()),
                recorder,
                end: duration.map_or(Time::MAX, |duration| Time(duration.0)),
                recorded: Vec::new(),
                waiting: VecDeque::new(),
                held_area: 0,
                held_since: Time::ZERO,
                held_seen: [0; 2],
                armed: Time::ZERO,
                next_wait: 0,
                events: Vec::new(),
                tape,
                sheet: None,
            }),
            wake: Notify::new(),
            told: broadcast::channel(NEWS).0,
            sink: Mutex::new(flight.map(|flight| flight.sink)),
            attempts: Mutex::new(None),
        }
    }

    /// Has every attempt at an instance written down as it ends, with the paths of the endpoints, as [`attempts`] has it.
    pub fn write_attempts(&self, paths: Vec<String>, to: Box<dyn Write + Send>) {
        *self.attempts.lock().unwrap_or_else(PoisonError::into_inner) = Some(to);
        self.with(|_, core| core.sheet = Some(Sheet { paths, lines: format!("{}\n", attempts::HEAD) }));
    }

    /// The clock, which began with the run.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Records what a client saw. Where clients of the run itself do so, gateways record nothing.
    pub fn record(&self, told: impl FnOnce(Time, &mut Recorder)) {
        self.with(|now, core| {
            if let Some(recorder) = &mut core.recorder {
                told(now, recorder);
            }
        });
    }

    /// Looks at everything, or changes it. Short: requests wait meanwhile.
    pub fn with<T>(&self, look: impl FnOnce(Time, &mut Core) -> T) -> T {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let result = look(self.clock.now(), &mut core);
        if core.engine.next_wake().0 < core.armed {
            self.wake.notify_one();
        }
        result
    }

    /// Asks the engine about an attempt.
    pub fn admit(self: &Arc<Driver>, request: &Request) -> Passage {
        self.ask(request, Input::Admit(*request))
    }

    /// The same, a store of quotas having been asked.
    pub fn admit_told(self: &Arc<Driver>, request: &Request, answer: Answer) -> Passage {
        self.ask(request, Input::AdmitTold(*request, answer))
    }

    /// Asks the engine again about an attempt whose delay is over.
    pub fn admit_delayed(self: &Arc<Driver>, request: &Request) -> Passage {
        self.ask(request, Input::AdmitDelayed(*request))
    }

    fn ask(self: &Arc<Driver>, request: &Request, input: Input) -> Passage {
        self.with(|now, core| {
            let admission = core.feed(now, input).admission;
            if core.engine.probes() {
                core.answer_probes(now);
            }
            match admission.unwrap_or(Admission::Reject(Rejection::NoReadyInstance)) {
                Admission::Forward { instance, permit } => {
                    Passage::Go(Ticket::new(self, core, now, request, instance, permit))
                }
                Admission::Reject(rejection) => Passage::Refused(rejection),
                Admission::Delay { until } => Passage::Later(until),
                Admission::Hold { until } => {
                    core.held_changes(now);
                    let number = core.next_wait;
                    core.next_wait += 1;
                    let (passage, ticket) = oneshot::channel();
                    core.waiting.push_back(Waiting { number, request: *request, passage });
                    Passage::Wait(Wait::new(Arc::clone(self), number, ticket, until))
                }
            }
        })
    }

    /// Sends on what is held, as far as there is somebody to send it to.
    fn release(self: &Arc<Driver>) {
        // Receivers are told outside the lock: one that has gone gives its ticket back, which takes the lock.
        let released: Vec<_> = self.with(|now, core| {
            let mut released = Vec::new();
            while core.engine.candidates() > 0
                && let Some(first) = core.waiting.front()
            {
                if first.passage.is_closed() {
                    core.held_changes(now);
                    core.waiting.pop_front();
                    core.feed(now, Input::AbandonHeld);
                    continue;
                }
                let request = first.request;
                let admission = core.feed(now, Input::AdmitHeld(request)).admission;
                if matches!(admission, Some(Admission::Hold { .. })) {
                    break;
                }
                core.held_changes(now);
                let Some(waiting) = core.waiting.pop_front() else { break };
                // One that is refused after all learns it by its sender's end.
                if let Some(Admission::Forward { instance, permit }) = admission {
                    let ticket = Ticket::new(self, core, now, &request, instance, permit);
                    released.push((waiting.passage, ticket));
                }
            }
            released
        });
        for (passage, ticket) in released {
            let _ = passage.send(ticket);
        }
    }

    /// Takes back a request that is held no longer; false if it was not.
    fn give_up(&self, number: u64) -> bool {
        self.with(|now, core| {
            let Some(place) = core.waiting.iter().position(|waiting| waiting.number == number) else { return false };
            core.held_changes(now);
            core.waiting.remove(place);
            core.feed(now, Input::AbandonHeld);
            true
        })
    }

    /// Runs whatever is due, and says what is to be done.
    pub fn tick(self: &Arc<Driver>) -> Vec<Command> {
        let (commands, news) = self.with(|now, core| {
            let mut commands = Vec::new();
            if core.engine.next_wake().0 <= now {
                let observation = core.engine.scrape_due(now).then(|| core.observe(now));
                commands = core.feed(now, Input::Tick(observation)).commands;
            }
            if now >= core.step_ends {
                core.end_step(now);
            }
            let mut news = Vec::new();
            if now.since(core.meter.began()) >= Span::from_secs(1) {
                let fleet = core.fleet(now);
                news.push(Told::Second(core.meter.second_over(now, fleet)));
            }
            core.take_events(now);
            (commands, news)
        });
        self.release();
        self.write_flight();
        self.pour_attempts();
        self.tell_news(news);
        commands
    }

    /// Waits until something is due, or wanted sooner.
    pub async fn until_due(&self) {
        let due = self.with(|_, core| {
            let second = core.meter.began() + Span::from_secs(1);
            core.armed = core.engine.next_wake().0.min(core.step_ends).min(second);
            core.armed
        });
        tokio::select! {
            () = tokio::time::sleep_until(self.clock.instant(due)) => {}
            () = self.wake.notified() => {}
        }
    }

    /// Has the control loop look at once.
    pub fn hurry(&self) {
        self.wake.notify_one();
    }

    /// A person's order; what is to be done for it.
    pub fn scale(&self, manual: Manual) -> Vec<Command> {
        self.with(|now, core| core.feed(now, Input::Scale(manual)).commands)
    }

    /// Learns that an instance changed state, as the engine does. One that takes traffic is at `upstream`.
    pub fn instance_changed(
        self: &Arc<Driver>,
        id: InstanceId,
        state: InstanceState,
        upstream: Option<Arc<Upstream>>,
    ) {
        self.with(|now, core| {
            if let Some(upstream) = upstream {
                core.roster.serves(now, id, upstream);
            }
            core.feed(now, Input::InstanceChanged(id, state));
            if state == InstanceState::Gone {
                core.roster.gone(now, id);
            }
            let ready = core.roster.ready();
            if let Some(recorder) = &mut core.recorder {
                recorder.ready_changed(now, ready);
            }
        });
        self.release();
    }

    /// Writes down what the engine was told since the last time. A recording that cannot be written ends there.
    pub(in crate::live) fn write_flight(&self) {
        // Held from the taking to the writing, so that lines stay in their order whoever else writes.
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = self.with(|_, core| core.tape.as_mut().map(Tape::take));
        let Some(lines) = lines else { return };
        if let Some(to) = sink.as_mut()
            && let Err(error) = flight::pour(&lines, to)
        {
            *sink = None;
            self.with(|now, core| {
                core.tape = None;
                core.log.remark(now, InstanceId(u32::MAX), &error);
            });
        }
    }

    /// Writes down what happened beside the engine: a fault.
    pub fn happened(&self, event: Event) {
        self.with(|_, core| core.note(event));
    }

    /// Writes down the attempts that ended since the last time. A file that cannot be written ends there.
    fn pour_attempts(&self) {
        let lines = self.with(|_, core| core.sheet.as_mut().map(|sheet| std::mem::take(&mut sheet.lines)));
        let Some(lines) = lines.filter(|lines| !lines.is_empty()) else { return };
        let mut sink = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(to) = sink.as_mut()
            && let Err(error) = to.write_all(lines.as_bytes()).and_then(|()| to.flush())
        {
            *sink = None;
            self.with(|now, core| {
                core.sheet = None;
                core.log.remark(now, InstanceId(u32::MAX), &error);
            });
        }
    }

    /// Watches what happens from now on.
    pub fn watch(&self) -> broadcast::Receiver<Told> {
        self.told.subscribe()
    }

    /// Tells watchers what was written down since the last time.
    fn tell_news(&self, mut news: Vec<Told>) {
        let (entries, remarks) = self.with(|_, core| core.log.take_new());
        news.extend(entries.into_iter().map(Told::Event));
        news.extend(remarks.into_iter().map(Told::Remark));
        for each in news {
            // Nobody may be watching.
            let _ = self.told.send(each);
        }
    }

    /// Has no further step begin: the run ends here, although what is under way does not.
    pub fn close(&self) {
        self.with(|now, core| {
            if now < core.end {
                core.end_step(now);
                core.end = now;
            }
            core.step_ends = core.step_ends.min(core.end);
        });
    }

    /// What was recorded, the run being over; `None` if nothing was, or it was asked for before.
    pub fn finish(&self, seed: u64, ended: Ended) -> Option<Run> {
        self.with(|now, core| {
            if now >= core.step_ends {
                core.end_step(now);
            }
            core.take_events(now);
            let recorder = core.recorder.take()?;
            let end = core.end.min(now);
            let instances = core.roster.summaries(end);
            Some(recorder.finish(seed, ended, end, std::mem::take(&mut core.recorded), instances))
        })
    }
}

impl Core {
    /// Tells the engine something: the one way to do so, which a flight recorder sees.
    pub fn feed(&mut self, now: Time, input: Input) -> Output {
        let output = input.apply(now, &mut self.engine);
        if let Some(tape) = &mut self.tape {
            tape.told(now, &input, &output);
        }
        output
    }

    /// An attempt has ended.
    fn attempt_ended(&mut self, sent_at: Time, took: Span, instance: InstanceId, endpoint: u16, outcome: Outcome) {
        if let Some(sheet) = &mut self.sheet {
            let path = sheet.paths.get(usize::from(endpoint)).map_or("", String::as_str);
            attempts::write(&mut sheet.lines, sent_at, took, instance, path, outcome);
        }
    }

    /// Requests that are held.
    pub fn held(&self) -> usize {
        self.waiting.len()
    }

    /// The number of held requests is about to change.
    fn held_changes(&mut self, now: Time) {
        self.held_area += self.waiting.len() as u128 * u128::from(now.since(self.held_since).0);
        self.held_since = now;
    }

    /// Mean number of held requests since this looker looked last, `span` ago.
    fn held_lately(&mut self, now: Time, looker: usize, span: Span) -> f64 {
        self.held_changes(now);
        let grown = self.held_area - std::mem::replace(&mut self.held_seen[looker], self.held_area);
        if span.is_zero() { 0.0 } else { grown as f64 / span.0 as f64 }
    }

    /// What a scrape sees.
    fn observe(&mut self, now: Time) -> crate::engine::observation::FleetObservation {
        let (instances, span) = self.roster.samples(now, Look::Scrape);
        let held = self.held_lately(now, SCRAPE, span);
        crate::engine::observation::FleetObservation { instances, lost: self.metrics_lost, held }
    }

    /// What the recorder sees of the fleet.
    fn sample(&mut self, now: Time) -> FleetSample {
        let (mut sample, span) = self.roster.fleet_sample(now);
        sample.queued += self.held_lately(now, STEP, span);
        let forecast = self.engine.forecast();
        FleetSample {
            desired: self.engine.desired(),
            baseline_rps: self.engine.baseline_rps().unwrap_or(f64::NAN),
            forecast_rps: self.engine.forecast_rps().unwrap_or(f64::NAN),
            forecast_band: forecast.map(|prediction| (prediction.low, prediction.high)),
            breakers_open: self.engine.breakers_open(),
            ..sample
        }
    }

    fn end_step(&mut self, now: Time) {
        let sample = self.sample(now);
        if let Some(recorder) = &mut self.recorder {
            recorder.step_ended(now, &sample);
            // A late tick is one step; the next ends where it would have.
            let step = recorder.step_length().0;
            let next = Time((now.0 / step + 1) * step).min(self.end);
            self.step_ends = if next > now { next } else { Time::MAX };
        }
    }

    /// The fleet at this moment.
    pub fn fleet(&mut self, now: Time) -> Fleet {
        let means = self.roster.means(now);
        let counts = self.engine.counts();
        Fleet {
            ready: self.roster.ready(),
            total: self.roster.total(),
            desired: self.engine.desired().max(counts.existing),
            cpu_percent: means.cpu_percent,
            memory_percent: means.memory_percent,
            event_loop_lag_ms: means.event_loop_lag_ms,
            active: self.roster.active(),
            held: self.waiting.len() as u32,
            breakers_open: self.engine.breakers_open(),
            baseline_rps: self.engine.baseline_rps().unwrap_or(f64::NAN),
            forecast_rps: self.engine.forecast_rps().unwrap_or(f64::NAN),
        }
    }

    /// Writes down what the engine has to tell.
    fn take_events(&mut self, now: Time) {
        let mut events = std::mem::take(&mut self.events);
        self.engine.drain_events(&mut events);
        if let Some(tape) = &mut self.tape {
            tape.happened(now, &events);
        }
        for event in events.drain(..) {
            self.note(event);
        }
        self.events = events;
    }

    fn note(&mut self, event: Event) {
        if self.recorder.is_some() {
            self.recorded.push(event.clone());
        }
        self.log.write(event);
    }

    /// Answers the balancer's questions with what the gateway itself knows of the instances.
    fn answer_probes(&mut self, now: Time) {
        while let Some(id) = self.engine.next_probe() {
            if let Some((rif, latency)) = self.roster.load(id) {
                self.feed(now, Input::Probed(id, prequal::Answer { rif, latency }));
            }
        }
    }
}

/// What an attempt was admitted with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted {
    pub instance: InstanceId,
    pub permit: Permit,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("clock", &self.clock).finish_non_exhaustive()
    }
}

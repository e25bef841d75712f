//! Fast-forwarding: most of a calm is not simulated, and ends as the samples of it do.
//!
//! ```text
//!            settled, calm, rate within a band        enough ends heard
//!  detailed ────────────────────────────────▶ sample ──────────────────▶ forward ─▶ sample ─▶ forward …
//!      ▲                                                                    │
//!      └────────── the fleet changes, the rate leaves the band, too busy ───┘
//! ```
//!
//! This is systematic sampling of a simulation (Wunderlich et al., *SMARTS*, ISCA 2003) of which the state stays as it was: to
//! leave out a stretch of time, everything that is pending is put off by its length. What is in service stays so, queues stay as long
//! as they were, and the next sample begins with a state that a stationary process may well be in: there is nothing to warm up, and a
//! sample may be shorter than a request.
//!
//! The control loop leaves out nothing. Scrapes, evaluations, boots and the ends of steps come at their times, through the same engine.
//! How many requests a stretch between two of them has, and how much work they are, is exact, by a [`Survey`] of them; so metrics vary
//! as they would in the full simulation, and what is simulated are requests that it has. Latencies and outcomes are those of the last
//! sample ([`Recorder::repeat`](crate::record::Recorder::repeat)).
//!
//! What does not hold still is simulated request by request: a fleet of which more than a twentieth warms up, or anybody drains, and
//! some time after each of its changes; a rate that moves; a load near saturation, now or soon. What a scenario may have that no sample
//! stands for is in [`fit`]. What is left is chaos: a decision that hangs by a hair falls otherwise for the smallest difference. Therefore
//! every run is made twice, with other samples ([`Plan::run`]).

mod fit;

pub(super) use fit::unfit;

use std::sync::Arc;

use crate::engine::balancer::Strategy;
use crate::record::fidelity::Fidelity;
use crate::record::recorder::Echoed;
use crate::rng::{Dice, Stream};
use crate::scenario::Traffic;
use crate::scenario::service::Discipline;
use crate::sim::agenda::Entry;
use crate::sim::instance::{Areas, Life};
use crate::sim::survey::Survey;
use crate::sim::{Plan, World};
use crate::traffic::{Ahead, replay};
use crate::units::{Span, Time};

/// Requests that are simulated of any run: a p99 of so many is known to about one percent.
const FEWEST: f64 = 200_000.0;
/// Requests of a run below which samples would spare nothing.
pub(super) const WORTH_IT: f64 = 10.0 * FEWEST;
/// Ends that a sample has at least.
const SAMPLE: f64 = 128.0;
/// The highest utilization that counts as calm, whatever queues make of it.
const BUSY: f64 = 0.95;
/// The longest time for which a change may be felt in a calm, beside what services take; nearer to saturation queues remember for
/// longer.
const SETTLES_WITHIN: Span = Span::from_secs(10);
/// How far the rate may be from that of the last sample, as a share of it.
const BAND: f64 = 0.05;
/// The longest stretch that is left out at once.
const LONGEST: Span = Span::from_mins(10);
/// How long before a rush every request is simulated again, so that it does not come on a fleet that stands still.
const FORESIGHT: Span = Span::from_secs(15);

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Every request is simulated.
    Detailed,
    /// So it is, and how they end is remembered.
    Sampling { from: Time, until: Time },
    /// Requests are left out until then.
    Forwarding { until: Time },
}

/// What an instance did.
#[derive(Clone, Copy, Debug)]
struct Tally {
    failures: u64,
    areas: Areas,
}

/// How busy instances had been, and would have been by the survey, when a calm began \[request · ns\].
#[derive(Clone, Copy, Debug, Default)]
struct Calm {
    busy: f64,
    surveyed: f64,
    beyond: f64,
}

/// Which of two runs it is that take other samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    First,
    Second,
}

/// What leaves requests out.
#[derive(Debug)]
pub(super) struct FastForward {
    ahead: Ahead,
    survey: Arc<Survey>,
    dice: Dice,
    /// Share of a calm that is simulated, in (0, 1).
    share: f64,
    /// Requests that an instance can serve \[1/s\], and at once.
    capacity_rps: f64,
    servers: f64,
    /// Whether the balancer lets a free instance wait while others are busy.
    splits: bool,
    phase: Phase,
    /// Rates between which the sample holds \[1/s\].
    band: (f64, f64),
    /// When anything changed last, and so what settles since.
    changed_at: Time,
    /// Instances that are not gone, in the order of launch; how many had been launched when they were counted.
    present: Vec<usize>,
    known: usize,
    /// How many take traffic, and how many of these are not warm yet.
    serving: usize,
    warming: usize,
    /// Attempts of each of `present` when the fleet last changed.
    since_change: Vec<u64>,
    /// What each of `present` did in the sample; while that is taken, what it had done before.
    sampled: Vec<Tally>,
    calm_since: Calm,
    /// Demand of retries less that of refused attempts: what a survey of requests does not know \[ns\]; and what of it the sample had
    /// for each of its requests.
    beyond: f64,
    beyond_each: f64,
    /// The next time at which the agenda is to wake it.
    wake: Time,
    passed: u64,
}

impl FastForward {
    /// What leaves requests out of a run of `plan`, of whose requests there is a survey.
    pub(super) fn new(plan: &Plan, seed: u64, survey: Arc<Survey>, take: Take) -> Result<FastForward, replay::Error> {
        let share = match plan.fidelity() {
            Fidelity::Fluid => 0.01f64,
            _ => 0.04,
        };
        let share = share.max(FEWEST / (survey.requests() as f64).max(1.0));
        let service = &plan.scenario().service;
        Ok(FastForward {
            ahead: ahead(plan, seed)?,
            survey,
            dice: Dice::new(seed, Stream::Echo),
            // Strides of another length lead to other samples.
            share: if take == Take::First { share } else { share * 0.7 },
            capacity_rps: service.capacity_rps(),
            servers: f64::from(service.servers()),
            splits: !matches!(
                plan.scenario().balancer.strategy,
                Strategy::LeastConnections | Strategy::LeastConnectionsEdf | Strategy::JoinIdleQueue
            ),
            phase: Phase::Detailed,
            band: (0.0, 0.0),
            changed_at: Time::ZERO,
            present: Vec::new(),
            known: 0,
            serving: 0,
            warming: 0,
            since_change: Vec::new(),
            sampled: Vec::new(),
            calm_since: Calm::default(),
            beyond: 0.0,
            beyond_each: 0.0,
            wake: Time::ZERO,
            passed: 0,
        })
    }

    /// An attempt is made, or refused, that the survey does not know of: `demand` more or less \[ns\].
    pub(super) fn goes_beyond(&mut self, demand: f64) {
        self.beyond += demand;
    }

    /// Requests that were left out so far.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    fn utilization(&self, rps: f64) -> f64 {
        rps / (self.serving as f64 * self.capacity_rps)
    }

    /// Whether a load of `rps` is too near to saturation for samples.
    fn is_busy(&self, rps: f64) -> bool {
        let services = Span::from_secs_f64(8.0 * self.servers / self.capacity_rps);
        self.utilization(rps) > BUSY || self.settling(rps) > services + SETTLES_WITHIN
    }

    /// How long a change is felt at a load of `rps`: a few of the longer services, and of the times in which a queue forgets, which is
    /// E\[S\] / c (1 − √ρ)² in M/M/c (Newell 1982, by way of Odoni & Roth 1983).
    fn settling(&self, rps: f64) -> Span {
        let service = self.servers / self.capacity_rps;
        let together = if self.splits { self.servers } else { self.servers * self.serving as f64 };
        let slack = 1.0 - self.utilization(rps).clamp(0.0, BUSY).sqrt();
        Span::from_secs_f64(8.0 * service + 3.0 * service / (together * slack * slack))
    }
}

/// The last mark of a survey at or before `at`: from there on nothing needs to be looked up to be left out.
fn by_marks(at: Time, every: Span) -> Time {
    Time(at.0 - at.0 % every.0)
}

/// The rate of a plan whose traffic has one.
pub(super) fn ahead(plan: &Plan, seed: u64) -> Result<Ahead, replay::Error> {
    match (&plan.scenario().traffic, plan.dataset()) {
        (Traffic::Replay { changes, .. }, Some(dataset)) => Ahead::replay(dataset, changes, seed),
        (Traffic::Open(config) | Traffic::Replay { changes: config, .. }, _) => Ok(Ahead::new(config, seed)),
        (Traffic::Closed(_), _) => Ok(Ahead::new(&crate::traffic::Config::default(), seed)),
    }
}

impl World<'_> {
    /// After a control event: whether to go on in detail, to begin or end a sample, or to leave something out.
    #[cold]
    #[inline(never)]
    pub(super) fn look_ahead(&mut self) {
        let Some(mut forward) = self.forward.take() else { return };
        if self.now < self.end {
            forward.ahead.pass(self.now);
            self.step_forward(&mut forward);
        }
        self.forward = Some(forward);
    }

    fn step_forward(&mut self, f: &mut FastForward) {
        let Some(calm_until) = self.calm_until(f) else {
            f.phase = Phase::Detailed;
            self.recorder.stop_listening();
            return;
        };
        if f.phase == Phase::Detailed {
            f.calm_since = Calm { busy: self.busy(f), surveyed: f.survey.area(self.now), beyond: f.beyond };
            return self.begin_sample(f);
        }
        if let Phase::Sampling { from, until } = f.phase {
            if self.now < until {
                return;
            }
            let ends = self.recorder.heard();
            if (ends as f64) < SAMPLE / 2.0 {
                f.phase = Phase::Sampling { from, until: self.now + self.now.since(from) };
                return self.wake_at(f, self.now + self.now.since(from));
            }
            self.recorder.stop_listening();
            if self.is_behind(f, f.band.1) {
                f.changed_at = self.now;
                f.phase = Phase::Detailed;
                return self.wake_at(f, self.now + f.settling(f.band.1));
            }
            for (before, &i) in f.sampled.iter_mut().zip(&f.present) {
                let now = self.tally(i);
                *before = Tally { failures: now.failures - before.failures, areas: now.areas.since(&before.areas) };
            }
            f.beyond_each = (f.beyond - f.beyond_each) / ends as f64;
            let rest = self.now.since(from).mul_f64(1.0 / f.share - 1.0);
            f.phase = Phase::Forwarding { until: self.now.saturating_add(rest) };
        }
        if let Phase::Forwarding { until } = f.phase {
            if self.now >= until {
                return self.begin_sample(f);
            }
            self.forward_to(f, until.min(calm_until));
        }
    }

    /// Until when what holds now will, as far as rates tell; `None`: it is not calm.
    fn calm_until(&mut self, f: &mut FastForward) -> Option<Time> {
        let (low, high) = f.ahead.range(self.now, self.now + FORESIGHT);
        let settles = self.count_fleet(f);
        if !settles || f.is_busy(high) || high == 0.0 {
            f.changed_at = self.now;
            self.wake_at(f, self.now + f.settling(high).max(Span::from_millis(500)));
            return None;
        }
        let calm_until = f.ahead.stays_until(self.now, self.now + LONGEST, f.band.0, f.band.1);
        if calm_until == self.now {
            // The rate has left the band: it is where it is now that counts from here on.
            f.changed_at = self.now;
            let (low, high) = f.ahead.range(self.now, self.now + Span(1));
            f.band = (f64::midpoint(low, high) * (1.0 - BAND), f64::midpoint(low, high) * (1.0 + BAND));
        }
        let warmup_end = Time(self.plan.scenario().warmup.0);
        if self.now >= warmup_end {
            // Requests of the warm-up end in it, all but the longest.
            f.changed_at = f.changed_at.max(warmup_end);
        }
        let settled_at = f.changed_at + f.settling(high);
        if self.now < settled_at {
            self.wake_at(f, settled_at);
            return None;
        }
        if f.phase == Phase::Detailed && self.is_behind(f, low.max(f.band.0)) {
            f.changed_at = self.now;
            self.wake_at(f, self.now + f.settling(high));
            return None;
        }
        Some(calm_until)
    }

    /// Looks at the fleet; whether all but a few instances are as fast as ever, and none is on its way out.
    fn count_fleet(&mut self, f: &mut FastForward) -> bool {
        f.present.extend(f.known..self.instances.len());
        f.since_change.resize(f.present.len(), 0);
        f.known = self.instances.len();
        let before = f.present.len();
        f.present.retain(|&i| self.instances[i].life != Life::Gone);
        let lives = || f.present.iter().map(|&i| self.instances[i].life);
        let serving = lives().filter(|life| *life == Life::Serving).count();
        let leaving = lives().any(|life| matches!(life, Life::Draining | Life::Crashed));
        let is_warming =
            |i: &&usize| self.instances[**i].life == Life::Serving && self.instances[**i].warm_at > self.now;
        f.warming = f.present.iter().filter(is_warming).count();
        if serving != f.serving || f.present.len() != before {
            // The sample was one of another fleet; a large one hardly feels one more or less.
            f.phase = Phase::Detailed;
            f.since_change = f.present.iter().map(|&i| self.instances[i].attempts).collect();
            if serving.abs_diff(f.serving) as f64 > f.serving as f64 * BAND {
                f.changed_at = self.now;
            }
            f.serving = serving;
        }
        let is_even = f.warming as f64 <= serving as f64 * BAND;
        is_even && !leaving && serving > 0 && !self.holding.is_waiting()
    }

    /// Whether more is inside than a load of `rps` explains: there is something to work off.
    fn is_behind(&self, f: &FastForward, rps: f64) -> bool {
        let inside: u32 = f.present.iter().map(|&i| self.instances[i].busy() + self.instances[i].queued).sum();
        let utilization = f.utilization(rps);
        let erlangs = rps * f.servers / f.capacity_rps;
        let queues = if f.splits { f.serving as f64 } else { 1.0 };
        let waiting = queues * utilization / (1.0 - utilization.min(BUSY));
        f64::from(inside) > erlangs + 4.0 * erlangs.sqrt() + 3.0 * waiting + 4.0
    }

    fn begin_sample(&mut self, f: &mut FastForward) {
        let (low, high) = f.ahead.range(self.now, self.now + Span(1));
        let rps = f64::midpoint(low, high);
        f.band = (rps * (1.0 - BAND), rps * (1.0 + BAND));
        // A leap costs as much as some of what is pending would.
        let sample = SAMPLE.max(self.slab.len() as f64 / 4.0).max(self.patience.len() as f64 / 16.0);
        let until = self.now + Span::from_secs_f64(sample / rps);
        f.phase = Phase::Sampling { from: self.now, until };
        f.sampled = f.present.iter().map(|&i| self.tally(i)).collect();
        f.beyond_each = f.beyond;
        self.recorder.listen();
        self.wake_at(f, until);
    }

    /// How busy the instances have been so far, in terms of demand \[request · ns\].
    fn busy(&mut self, f: &FastForward) -> f64 {
        let (now, service) = (self.now, &self.plan.scenario().service);
        let mut busy = 0.0;
        for &i in &f.present {
            let instance = &mut self.instances[i];
            instance.touch(now);
            busy += match service.discipline {
                Discipline::Fcfs => instance.areas.serving as f64,
                Discipline::ProcessorSharing => instance.areas.shared_cpu / service.cpu_share,
            };
        }
        busy
    }

    /// What instance `i` has done so far.
    fn tally(&mut self, i: usize) -> Tally {
        let instance = &mut self.instances[i];
        instance.touch(self.now);
        Tally { failures: instance.failures, areas: instance.areas }
    }

    /// Sees to it that [`World::look_ahead`] is asked at `at`.
    fn wake_at(&mut self, f: &mut FastForward, at: Time) {
        if f.wake <= self.now || f.wake > at {
            f.wake = at;
            self.agenda.push(at, Entry::SampleEnds);
        }
    }

    /// Leaves out what would come until `until`, or the next control event if that is sooner.
    fn forward_to(&mut self, f: &mut FastForward, until: Time) {
        let control = self.agenda.next_at().min(self.engine.next_wake().0);
        let mut to = until.min(control).min(self.end);
        if f.warming > 0 {
            // Whatever warms up is not the same for long.
            let warmup = self.plan.scenario().fleet.warmup.map_or(LONGEST, |warmup| warmup.over);
            to = to.min(self.now + warmup / 8);
        }
        let warmup_end = Time(self.plan.scenario().warmup.0);
        if to < control && by_marks(to, f.survey.every()) > self.now {
            to = by_marks(to, f.survey.every());
        }
        if self.now < warmup_end {
            // Nobody is carried over into the measured part.
            to = to.min(Time(warmup_end.0 - 1));
        }
        let by = to.since(self.now);
        let costs = 16.0 + (self.slab.len() + self.patience.len() / 4) as f64 / 8.0;
        if to <= self.now || by.as_secs_f64() * f.band.1 < costs {
            if to < control {
                self.wake_at(f, to.max(self.now + Span(1)));
            }
            return;
        }
        let requests = self.intake.leap(self.plan, to, &f.survey);
        let phase = f.dice.unit(to.0);
        f.beyond += f.beyond_each * requests as f64;
        let due = f.survey.area(to) - f.calm_since.surveyed + f.beyond - f.calm_since.beyond;
        let work = (due - (self.busy(f) - f.calm_since.busy)).max(0.0);
        self.leap_instances(f, by, requests, work);
        self.calendar.leap(by);
        self.patience.leap(by);
        self.slab.leap(by, warmup_end);
        if let Some(retry) = &mut self.retry {
            retry.leap(by);
        }
        self.engine.offered_many(requests);
        let engine = &mut self.engine;
        self.recorder.repeat(self.now, requests, phase, |Echoed { latency, failed, times }| {
            engine.ended_many(latency, failed, times);
        });
        f.passed += requests;
        if to < control {
            self.wake_at(f, to);
        }
    }

    /// Puts instances off by `by`, in which they did so much work \[ns\] on so many requests.
    fn leap_instances(&mut self, f: &mut FastForward, by: Span, requests: u64, work: f64) {
        let service = &self.plan.scenario().service;
        let ends = self.recorder.heard();
        let scale = requests as f64 / ends.max(1) as f64;
        let serving = (0..f.present.len()).filter(|&place| self.instances[f.present[place]].life == Life::Serving);
        let had = |place: usize| (self.instances[f.present[place]].attempts - f.since_change[place]) as f64 + 1.0;
        let slowness = |place: usize| {
            // What is left of a warm-up in the middle of the leap.
            let left = Span(self.instances[f.present[place]].warm_at.since(self.now).0.saturating_sub(by.0 / 2));
            if left.is_zero() { 1.0 } else { self.plan.warmup_slowdown(left) }
        };
        let had: Vec<(usize, f64, f64)> = serving.map(|place| (place, had(place), slowness(place))).collect();
        let all: f64 = had.iter().map(|(_, attempts, _)| attempts).sum();
        for (place, attempts, slowness) in had {
            let (share, sampled) = (attempts / all, &f.sampled[place]);
            // What is slow is busy for longer than the survey tells.
            f.calm_since.busy += work * share * (slowness - 1.0);
            let work = work * share * slowness;
            let instance = &mut self.instances[f.present[place]];
            let scaled = |of_sample: f64| of_sample * scale;
            let mut added = Areas { queued: scaled(sampled.areas.queued as f64) as u128, ..Areas::default() };
            match service.discipline {
                Discipline::Fcfs => added.serving = work as u128,
                Discipline::ProcessorSharing => {
                    added.shared_cpu = work * service.cpu_share;
                    let of_sample = sampled.areas.shared_cpu;
                    let factor = if of_sample > 0.0 { added.shared_cpu / of_sample } else { scale };
                    added.serving = (sampled.areas.serving as f64 * factor) as u128;
                }
            }
            instance.leap(self.now, by, added);
            instance.attempts += (requests as f64 * share + 0.5) as u64;
            instance.failures += (scaled(sampled.failures as f64) + 0.5) as u64;
            if let Some(sharing) = &instance.sharing {
                // While it shares a processor, an attempt's service is the time at which that began.
                for slot in sharing.slots() {
                    self.slab[slot].service += by;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;
    use crate::sim::Monitor;

    /// What the world asserts as it goes (that every request ends, that counts fall as they rose) holds across leaps, too.
    #[test]
    fn requests_in_flight_are_carried_over_what_is_left_out() {
        for (service, more) in [
            ("workers = 4\nqueue = 20", ""),
            (
                "discipline = \"ps\"\ncores = 3\ncpu_share = 0.7",
                ", regions = [{ name = \"far\", share = 1, rtt = \"80ms\" }]",
            ),
        ] {
            let text = format!(
                "scenario = {{ duration = \"40m\", warmup = \"5m\" }}
                 traffic.shape = [{{ kind = \"constant\", rate = 60 }}]
                 fleet = {{ initial = 5, boot = \"20s\" }}
                 clients = {{ timeout = \"1s\", retry = {{ max = 1 }}{more} }}
                 [service]
                 time = {{ dist = \"lognormal\", mean = \"100ms\", sigma = 1.0 }}
                 {service}
                 [autoscaler]
                 min = 2
                 max = 8
                 interval = \"15s\"
                 [[autoscaler.policy]]
                 kind = \"target_tracking\"
                 metric = \"cpu_utilization\"
                 target = 60"
            );
            let scenario = scenario::parse(&text, "calm.toml", "".as_ref(), &[]).unwrap_or_else(|e| panic!("{e}"));
            let plan = Plan::new(scenario).expect("it has no recording").with_fidelity(Fidelity::Hybrid);
            let survey = Arc::new(plan.survey(1).expect("it has no recording"));
            let mut forward =
                FastForward::new(&plan, 1, Arc::clone(&survey), Take::First).expect("it has no recording");
            forward.share = 0.1;
            let monitor = Monitor::default();
            let run = plan.world(1, &monitor, Some(forward)).expect("it has no recording").run();
            assert!(run.simulated < survey.requests() / 2, "{} of {}", run.simulated, survey.requests());
            let full = plan.with_fidelity(Fidelity::Full).run(1, &monitor).expect("it has no recording");
            assert_eq!(run.counts.offered, run.counts.succeeded + run.counts.failed_total());
            assert!(run.counts.offered.abs_diff(full.counts.offered) < 20);
            let busy = |run: &crate::record::Run| run.fleet.cpu_utilization_mean * run.fleet.mean;
            assert!((busy(&run) / busy(&full) - 1.0).abs() < 0.01, "{} and {}", busy(&run), busy(&full));
        }
    }
}

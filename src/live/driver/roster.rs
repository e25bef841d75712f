//! The roster: where instances are, what they have in hand, and what was measured of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::engine::observation::InstanceSample;
use crate::engine::request::InstanceId;
use crate::live::gateway::upstream::Upstream;
use crate::record::recorder::FleetSample;
use crate::record::run::InstanceSummary;
use crate::units::{Span, Time};

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It was asked for.
    Starting,
    /// It takes traffic.
    Serving,
    /// It finishes what it has.
    Draining,
    /// A fault has killed it, and nobody has noticed yet.
    Crashed,
}

/// What was measured of an instance last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vitals {
    /// When; `None`: nothing was yet.
    pub at: Option<Time>,
    /// CPU time since it began \[s\]; `None` if unknown.
    pub cpu_seconds: Option<f64>,
    /// Memory \[bytes\]; `None` if unknown.
    pub memory_bytes: Option<f64>,
    /// Requests that wait inside it; `None` if it does not say.
    pub queued: Option<f64>,
    /// How late its event loop runs \[ms\]; `None` if it does not say.
    pub event_loop_lag_ms: Option<f64>,
}

/// Who looks: each sees what changed since it looked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The metrics pipeline of the engine.
    Scrape = 0,
    /// The recorder, at the end of a step.
    Step = 1,
    /// The meter, at the end of a second.
    Second = 2,
}

const LOOKERS: usize = 3;

/// What was seen at a look.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    at: Time,
    /// Requests inside, integrated over time \[ns\].
    area: u128,
    cpu: Option<(Time, f64)>,
    /// CPU use between the last two measurements, in cores.
    cores: Option<f64>,
}

/// An instance.
#[derive(Debug)]
pub struct Member {
    /// Where it is in its life.
    pub stage: Stage,
    /// How to reach it; `None`: it is not known yet where it is.
    pub upstream: Option<Arc<Upstream>>,
    /// What was measured last.
    pub vitals: Vitals,
    /// Requests inside, as the gateway sees it.
    pub active: u32,
    /// When it was asked for.
    pub launched_at: Time,
    /// When its provider had started it.
    pub started_at: Option<Time>,
    /// When it took traffic first.
    pub ready_at: Option<Time>,
    /// Attempts sent to it, and those that failed.
    pub attempts: u64,
    /// See `attempts`.
    pub failures: u64,
    left_at: Option<Time>,
    area: u128,
    touched: Time,
    latency: f64,
    seen: [Seen; LOOKERS],
    /// Told whenever its last request ends.
    pub idle: Arc<Notify>,
}

impl Member {
    fn touch(&mut self, now: Time) {
        self.area += u128::from(self.active) * u128::from(now.since(self.touched).0);
        self.touched = now;
    }

    /// Something was measured of it. What it had used when it was measured first, nobody counts.
    pub fn measured(&mut self, vitals: Vitals) {
        for seen in &mut self.seen {
            seen.cpu = seen.cpu.or(vitals.at.zip(vitals.cpu_seconds));
        }
        self.vitals = vitals;
    }

    /// Mean number of requests inside, and CPU use in cores, since this looker looked last.
    fn look(&mut self, now: Time, look: Look) -> (f64, Option<f64>) {
        self.touch(now);
        let seen = &mut self.seen[look as usize];
        let span = now.since(seen.at.max(self.launched_at));
        let active =
            if span.is_zero() { f64::from(self.active) } else { (self.area - seen.area) as f64 / span.0 as f64 };
        (seen.at, seen.area) = (now, self.area);
        if let (Some(at), Some(used)) = (self.vitals.at, self.vitals.cpu_seconds) {
            match seen.cpu {
                Some((then, before)) if at > then => {
                    seen.cores = Some((used - before).max(0.0) / at.since(then).as_secs_f64());
                    seen.cpu = Some((at, used));
                }
                Some(_) => {}
                None => seen.cpu = Some((at, used)),
            }
        }
        (active, seen.cores)
    }
}

/// Means over the instances that take traffic; NaN where nothing is known.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    /// CPU use \[%\].
    pub cpu_percent: f64,
    /// Memory use \[%\].
    pub memory_percent: f64,
    /// Lag of event loops \[ms\].
    pub event_loop_lag_ms: f64,
}

/// All instances that are there.
#[derive(Debug)]
pub struct Roster {
    members: BTreeMap<InstanceId, Member>,
    /// What those did that are gone; `None`: nobody will ask.
    gone: Option<Vec<InstanceSummary>>,
    cores: f64,
    workers: f64,
    memory_limit: Option<f64>,
    /// Paid and ready time of those that went since the last step \[ns\].
    went: (u128, u128),
    looked_at: [Time; LOOKERS],
}

impl Roster {
    /// Nobody is there. Instances have so many `cores`, work on so many requests at once, and have so much memory \[bytes\], if that is
    /// known. `remembers` those that are gone, for a report.
    pub fn new(cores: f64, workers: u32, memory_limit: Option<f64>, remembers: bool) -> Roster {
        Roster {
            members: BTreeMap::new(),
            gone: remembers.then(Vec::new),
            cores,
            workers: f64::from(workers),
            memory_limit,
            went: (0, 0),
            looked_at: [Time::ZERO; LOOKERS],
        }
    }

    /// An instance was asked for.
    pub fn launched(&mut self, now: Time, id: InstanceId) {
        self.members.insert(
            id,
            Member {
                stage: Stage::Starting,
                upstream: None,
                vitals: Vitals::default(),
                active: 0,
                launched_at: now,
                started_at: None,
                ready_at: None,
                attempts: 0,
                failures: 0,
                left_at: None,
                area: 0,
                touched: now,
                latency: 0.0,
                seen: [Seen { at: now, ..Seen::default() }; LOOKERS],
                idle: Arc::default(),
            },
        );
    }

    /// The provider has started an instance, and says where it will answer.
    pub fn started(&mut self, now: Time, id: InstanceId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.started_at.get_or_insert(now);
        }
    }

    /// An instance takes traffic.
    pub fn serves(&mut self, now: Time, id: InstanceId, upstream: Arc<Upstream>) {
        if let Some(member) = self.members.get_mut(&id) {
            member.upstream = Some(upstream);
            member.stage = Stage::Serving;
            member.ready_at.get_or_insert(now);
        }
    }

    /// An instance takes traffic that is this very process: nobody connects to it.
    pub fn serves_here(&mut self, now: Time, id: InstanceId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.stage = Stage::Serving;
            member.ready_at.get_or_insert(now);
        }
    }

    /// An instance gets nothing new.
    pub fn drains(&mut self, now: Time, id: InstanceId) {
        if let Some(member) = self.members.get_mut(&id).filter(|member| member.stage != Stage::Crashed) {
            member.stage = Stage::Draining;
            member.left_at.get_or_insert(now);
        }
    }

    /// A fault has killed an instance.
    pub fn crashed(&mut self, now: Time, id: InstanceId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.stage = Stage::Crashed;
            member.left_at.get_or_insert(now);
            if let Some(upstream) = &member.upstream {
                // Connections that are kept are dead; whoever comes is to find that nobody listens.
                upstream.tidy();
            }
        }
    }

    /// An instance is gone.
    pub fn gone(&mut self, now: Time, id: InstanceId) {
        let Some(member) = self.members.remove(&id) else { return };
        let since = self.looked_at[Look::Step as usize];
        self.went.0 += u128::from(now.since(member.launched_at.max(since)).0);
        if let Some(ready_at) = member.ready_at {
            self.went.1 += u128::from(member.left_at.unwrap_or(now).since(ready_at.max(since)).0);
        }
        if let Some(upstream) = &member.upstream {
            upstream.close();
        }
        let workers = self.workers;
        if let Some(gone) = &mut self.gone {
            gone.push(summary(id, &member, Some(now), now, workers));
        }
    }

    /// An instance.
    pub fn get(&self, id: InstanceId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// An instance, to be changed.
    pub fn get_mut(&mut self, id: InstanceId) -> Option<&mut Member> {
        self.members.get_mut(&id)
    }

    /// Everybody, in the order of launch.
    pub fn members(&self) -> impl Iterator<Item = (InstanceId, &Member)> {
        self.members.iter().map(|(&id, member)| (id, member))
    }

    /// An attempt goes to an instance; `None`: it is gone, and the balancer has not heard of it yet.
    pub(super) fn enters(&mut self, now: Time, id: InstanceId) -> Option<Arc<Upstream>> {
        let member = self.members.get_mut(&id)?;
        member.touch(now);
        member.active += 1;
        member.attempts += 1;
        member.upstream.clone()
    }

    /// An attempt is over.
    pub(super) fn leaves(&mut self, now: Time, id: InstanceId, failed: bool, latency: Span) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.touch(now);
        member.active -= 1;
        member.failures += u64::from(failed);
        let seconds = latency.as_secs_f64();
        member.latency += (seconds - member.latency) * if member.attempts < 10 { 0.5 } else { 0.1 };
        if member.active == 0 {
            member.idle.notify_waiters();
        }
    }

    /// Requests inside an instance and its recent latency.
    pub(super) fn load(&self, id: InstanceId) -> Option<(u32, Span)> {
        self.members.get(&id).map(|member| (member.active, Span::from_secs_f64(member.latency)))
    }

    /// Instances that take traffic, in the order of launch.
    pub fn serving(&self) -> impl Iterator<Item = InstanceId> + '_ {
        self.members.iter().filter(|(_, member)| member.stage == Stage::Serving).map(|(&id, _)| id)
    }

    /// Instances that take traffic.
    pub fn ready(&self) -> u32 {
        self.serving().count() as u32
    }

    /// Instances that are there.
    pub fn total(&self) -> u32 {
        self.members.len() as u32
    }

    /// Requests inside instances.
    pub fn active(&self) -> u32 {
        self.members.values().map(|member| member.active).sum()
    }

    /// What a looker sees of the instances that take traffic, and since when it looked.
    pub(super) fn samples(&mut self, now: Time, look: Look) -> (Vec<InstanceSample>, Span) {
        let since = std::mem::replace(&mut self.looked_at[look as usize], now);
        let (cores, limit) = (self.cores, self.memory_limit);
        let mut samples = Vec::new();
        for (&id, member) in &mut self.members {
            let (active, used) = member.look(now, look);
            // One that has just come has no CPU use yet: it is seen at the next look.
            if let (Stage::Serving, Some(used)) = (member.stage, used) {
                samples.push(InstanceSample {
                    id,
                    cpu_percent: used / cores * 100.0,
                    memory_percent: member.vitals.memory_bytes.zip(limit).map(|(used, limit)| used / limit * 100.0),
                    active,
                    queued: member.vitals.queued.unwrap_or(0.0),
                    event_loop_lag_ms: member.vitals.event_loop_lag_ms.unwrap_or(f64::NAN),
                });
            }
        }
        (samples, now.since(since))
    }

    /// The fleet since the last step, as a recorder wants it.
    pub(super) fn fleet_sample(&mut self, now: Time) -> (FleetSample, Span) {
        let since = self.looked_at[Look::Step as usize];
        let (mut total, mut ready) = std::mem::take(&mut self.went);
        for member in self.members.values() {
            total += u128::from(now.since(member.launched_at.max(since)).0);
            if let Some(ready_at) = member.ready_at {
                ready += u128::from(member.left_at.unwrap_or(now).since(ready_at.max(since)).0);
            }
        }
        let (samples, span) = self.samples(now, Look::Step);
        let length = span.0 as f64;
        let share = |area: u128| if length > 0.0 { area as f64 / length } else { 0.0 };
        let sample = FleetSample {
            total: share(total),
            ready: share(ready),
            cpu: mean(samples.iter().map(|s| s.cpu_percent / 100.0)),
            memory: mean(samples.iter().filter_map(|s| s.memory_percent).map(|percent| percent / 100.0)),
            queued: samples.iter().map(|s| s.queued).sum(),
            active: samples.iter().map(|s| s.active).sum(),
            ..FleetSample::default()
        };
        (sample, span)
    }

    /// Means of the last second.
    pub(super) fn means(&mut self, now: Time) -> Means {
        let (samples, _) = self.samples(now, Look::Second);
        Means {
            cpu_percent: mean(samples.iter().map(|s| s.cpu_percent)),
            memory_percent: mean(samples.iter().filter_map(|s| s.memory_percent)),
            event_loop_lag_ms: mean(samples.iter().map(|s| s.event_loop_lag_ms).filter(|lag| lag.is_finite())),
        }
    }

    /// What every instance did, in the order of launch.
    pub(super) fn summaries(&self, now: Time) -> Vec<InstanceSummary> {
        let mut summaries = self.gone.clone().unwrap_or_default();
        summaries.extend(self.members.iter().map(|(&id, member)| summary(id, member, None, now, self.workers)));
        summaries.sort_by_key(|summary| summary.id);
        summaries
    }
}

fn summary(id: InstanceId, member: &Member, gone_at: Option<Time>, now: Time, workers: f64) -> InstanceSummary {
    let served = member.ready_at.map_or(0.0, |from| member.left_at.unwrap_or(now).since(from).as_secs_f64());
    InstanceSummary {
        id: id.0,
        launched_at: member.launched_at,
        started_at: member.started_at,
        ready_at: member.ready_at,
        first_answer_at: member.upstream.as_ref().and_then(|upstream| upstream.first_answer_at()),
        gone_at,
        attempts: member.attempts,
        failures: member.failures,
        utilization: if served > 0.0 { (member.area as f64 / 1e9 / served / workers).min(1.0) } else { 0.0 },
    }
}

/// The mean; NaN of nothing.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0u32), |(sum, n), value| (sum + value, n + 1));
    if n == 0 { f64::NAN } else { sum / f64::from(n) }
}

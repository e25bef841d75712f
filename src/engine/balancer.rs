//! The balancer: which instance gets a request.
//!
//! Members join when they can take traffic and leave when they drain or die. *Candidates* are the members that nothing
//! speaks against (not unhealthy, not ejected, not behind an open breaker), in the order of joining, in a group for each tier and zone.
//! They are worked out when something changes, never per request.
//!
//! ```text
//! request ─▶ sticky session? ─▶ group (tier, zone) ─▶ strategy ─▶ full? ─▶ instance
//! end     ─▶ in flight, latency, passive checks, ejection
//! tick    ─▶ sweep of ejection
//! ```
//!
//! - Round robin keeps the member picked last, not a position: a position skips or repeats when the fleet changes.
//! - Smooth weighted round robin is NGINX's: over a cycle exactly proportional, spread as evenly as possible. By
//!   earliest deadline ([`edf`]) it is O(log n) and burstier.
//! - Least connections keeps its candidates sorted by requests in flight ([`by_load`]): O(1) per request; where weights differ, in a
//!   tournament by load over weight: O(log n).
//! - Power of d choices draws different candidates (Mitzenmacher 2001; Finagle, tower) and compares their load, or their latency
//!   ([`peak_ewma`]).
//! - Client affinity is rendezvous hashing (Thaler, Ravishankar 1998), a [`ring`], a [`maglev`] table, or NGINX's hash of the address;
//!   with bounded load, an instance holds at most so much more than its share.
//! - [`prequal`] asks instances how they are; [`reports`] come with their answers.
//!
//! The balancer knows no clock and owns no generator: dice are passed in as bits. `draw(0)` and `draw(1)` of the
//! request's own numbers are used, so that adding a strategy never shifts another's dice; routing to tiers and zones uses bits
//! derived from the first.
//!
//! What is absent: several balancers with counts of their own before one fleet.

pub mod by_load;
mod by_score;
mod config;
pub mod edf;
pub mod ejection;
pub mod hashing;
pub mod health;
pub mod maglev;
pub mod passive;
pub mod peak_ewma;
pub mod prequal;
pub mod reports;
pub mod ring;
pub mod routing;
mod sampling;
pub mod slow_start;
mod sticky;
mod strategies;

use crate::engine::balancer::by_load::ByLoad;
use crate::engine::balancer::by_score::ByScore;
use crate::engine::balancer::edf::Schedule;
use crate::engine::balancer::ejection::{Change, Ejection};
use crate::engine::balancer::maglev::Maglev;
use crate::engine::balancer::passive::Peer;
use crate::engine::balancer::peak_ewma::Latency;
use crate::engine::balancer::prequal::Pool;
use crate::engine::balancer::reports::{Report, Reports};
use crate::engine::balancer::ring::{Host, Ring};
use crate::engine::balancer::routing::{TierHealth, ZoneSplit};
use crate::engine::balancer::sticky::Sticky;
use crate::engine::balancer::strategies::Fast;
use crate::engine::request::{Completion, InstanceId, Outcome, Request};
use crate::rng::{Draws, mix, open_unit, pick};
use crate::units::{Span, Time};

pub use config::{Config, HashKey, HealthCheck, LimitRamp, Panic, Sampling, Score, Strategy, Ties};

/// How a member comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// It was in service when the engine started: healthy, and warm.
    Adopted,
    /// It has just started, and gets traffic at once.
    Started,
    /// It has just started, and gets traffic after its first health check.
    Unchecked,
}

/// Why there is no instance for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no candidate.
    Nobody,
    /// All candidates hold as many requests as they may.
    Full,
    /// The healthy hold as many as they may while too few are healthy.
    Shed,
}

/// What the balancer needs of one member for every request.
#[derive(Clone, Copy, Debug)]
struct Member {
    id: InstanceId,
    /// Weight in force, in units of the balancer's scale.
    weight: u32,
    in_flight: u32,
    /// Its group if it is a candidate, else [`NOBODY`].
    group: u32,
    /// State of smooth weighted round robin.
    current: i64,
    /// Hash of the id, for rendezvous.
    hash: u64,
}

/// What it needs less often.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// Weight as configured.
    weight: u32,
    tier: u32,
    zone: u32,
    /// Whether it ever was healthy; until then it is in no count.
    initialised: bool,
    healthy: bool,
    ejected: bool,
    broken: bool,
    /// When it became a candidate; `None`: long ago.
    since: Option<Time>,
    /// Picks of the balancer up to its last one.
    picked_at: u64,
}

impl Standing {
    fn is_well(&self) -> bool {
        self.healthy && !self.ejected
    }
}

/// "Not a member", "in no group".
const NOBODY: u32 = u32::MAX;

/// Candidates of one tier and zone.
#[derive(Clone, Debug, Default)]
struct Group {
    /// Places of the candidates, ascending.
    candidates: Vec<u32>,
    /// Candidates by requests in flight, or by load over weight: at most one is kept.
    by_load: Option<ByLoad>,
    by_score: Option<ByScore>,
    /// The member picked last; ids ascend in the order of joining.
    last: Option<InstanceId>,
    /// Place in `candidates` of the next turn of round robin.
    turn: usize,
    /// Whether candidates differ in weight.
    uneven: bool,
    /// Sum of weights in force.
    weight: u64,
    /// Sum of requests in flight; kept only where more than the strategy has a say.
    in_flight: u64,
    table: Table,
}

/// What a strategy looks its choice up in.
#[derive(Clone, Debug, Default)]
enum Table {
    #[default]
    None,
    /// Running sums of weights.
    Cumulative(Vec<u64>),
    Deadlines(Schedule),
    Ring(Ring),
    Maglev(Maglev),
}

/// Something that changed by itself, to be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Ejection or readmission of a member.
    Ejection {
        /// When.
        at: Time,
        /// Which.
        change: Change,
    },
    /// A member was ejected so often that it is to be replaced.
    Replace {
        /// When.
        at: Time,
        /// Which.
        id: InstanceId,
    },
    /// A tier began to panic.
    PanicBegan {
        /// When.
        at: Time,
        /// Which, 0 first.
        tier: u32,
        /// Its healthy and all initialised members.
        health: TierHealth,
    },
    /// A tier's panic is over.
    PanicEnded {
        /// When.
        at: Time,
        /// As above.
        tier: u32,
        /// As above.
        health: TierHealth,
    },
}

/// The groups, by tier, then zone. Nearly every balancer has but one, which costs no indirection.
#[derive(Clone, Debug)]
struct Groups {
    main: Group,
    others: Vec<Group>,
}

impl Groups {
    #[inline(always)]
    fn get_mut(&mut self, index: u32) -> Option<&mut Group> {
        if index == 0 { Some(&mut self.main) } else { self.others.get_mut((index as usize).wrapping_sub(1)) }
    }

    fn len(&self) -> usize {
        1 + self.others.len()
    }

    fn iter(&self) -> impl Iterator<Item = &Group> {
        std::iter::once(&self.main).chain(&self.others)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        std::iter::once(&mut self.main).chain(&mut self.others)
    }
}

impl std::ops::Index<usize> for Groups {
    type Output = Group;
    #[inline(always)]
    fn index(&self, index: usize) -> &Group {
        if index == 0 { &self.main } else { &self.others[index - 1] }
    }
}

impl std::ops::IndexMut<usize> for Groups {
    #[inline(always)]
    fn index_mut(&mut self, index: usize) -> &mut Group {
        if index == 0 { &mut self.main } else { &mut self.others[index - 1] }
    }
}

/// Chooses among the members.
#[derive(Clone, Debug)]
pub struct Balancer {
    fast: Fast,
    strategy: Strategy,
    ties: Ties,
    score: Score,
    /// Whether a pick is a strategy's choice in group 0, within the limit, and nothing else.
    plain: bool,
    /// Requests in flight that no member may have more of: the configured limit, or a lower one that is set for a while.
    limit: u32,
    /// Whether ends are looked at for more than the count of requests in flight.
    watches: bool,
    config: Box<Config>,
    /// Members in the order of joining.
    members: Vec<Member>,
    /// As many, in the same order.
    standings: Vec<Standing>,
    /// As many where the strategy looks at latencies, else none.
    latencies: Vec<Latency>,
    /// As many where checks are passive, else none.
    peers: Vec<Peer>,
    /// Place in `members` by instance id, or [`NOBODY`].
    places: Vec<u32>,
    groups: Groups,
    tiers: u32,
    zones: u32,
    /// Percent of the traffic by tier.
    loads: Vec<u32>,
    panics: Vec<bool>,
    /// By tier; `None`: its zones are not looked at, all of it is in its first group.
    splits: Vec<Option<ZoneSplit>>,
    /// Running shares of callers by zone.
    callers: Vec<f64>,
    /// Weight 1 in units of `Member::weight`.
    scale: u32,
    /// When weights grow the next time; [`Time::MAX`]: nobody's does.
    weights_due: Time,
    picks: u64,
    ejection: Option<Ejection>,
    pool: Option<Pool>,
    reports: Option<Reports>,
    sticky: Option<Sticky>,
    notices: Vec<Notice>,
    /// Places, for choices among some.
    scratch: Vec<u32>,
}

impl Balancer {
    /// A balancer without members; `seed` is the run's, `clients` the expected number of different clients.
    pub fn new(config: &Config, seed: u64, clients: usize) -> Balancer {
        let zones = config.zone_aware.as_ref().map_or(1, |zones| zones.zones);
        let tiers = config.priorities.iter().max().map_or(1, |&highest| highest + 1);
        let mut sum = 0.0;
        let callers = config.zone_aware.iter().flat_map(|zones| &zones.callers).map(|share| {
            sum += share;
            sum
        });
        let group = Group::default();
        Balancer {
            fast: Fast::of(config, false),
            strategy: config.strategy,
            ties: config.ties,
            score: config.score(),
            watches: config.ejection.is_some()
                || config.passive.is_some()
                || config.strategy == Strategy::PeakEwma
                || config.strategy.takes_reports(),
            plain: zones == 1
                && config.slow_start.is_none()
                && config.bounded_load.is_none()
                && config.ties != Ties::LeastRecent
                && tiers == 1
                && config.sticky.is_none()
                && config.passive.is_none()
                && config.limit_ramp.is_none()
                && config.panic == Panic::Spread,
            limit: config.instance_limit.unwrap_or(u32::MAX),
            members: Vec::new(),
            standings: Vec::new(),
            latencies: Vec::new(),
            peers: Vec::new(),
            places: Vec::new(),
            groups: Groups { others: vec![group.clone(); (tiers * zones) as usize - 1], main: group },
            tiers,
            zones,
            loads: vec![0; tiers as usize],
            panics: vec![false; tiers as usize],
            splits: vec![None; tiers as usize],
            callers: callers.collect(),
            scale: if config.slow_start.is_some() { 1000 } else { 1 },
            weights_due: Time::MAX,
            picks: 0,
            ejection: config.ejection.map(Ejection::new),
            pool: (config.strategy == Strategy::Prequal).then(|| Pool::new(config.prequal, seed)),
            reports: config.strategy.takes_reports().then(|| Reports::new(config.reports)),
            sticky: config.sticky.map(|idle| Sticky::new(idle, clients)),
            notices: Vec::new(),
            scratch: Vec::new(),
            config: Box::new(config.clone()),
        }
    }

    /// Adds a member. Ids must be joined in ascending order only for "order of joining" to equal the order of ids.
    pub fn join(&mut self, now: Time, id: InstanceId, joining: Joining) {
        if self.place(id).is_some() {
            return;
        }
        let by_ordinal = |list: &[u32], default: u32| match list.len() {
            0 => default,
            n => list[id.0 as usize % n],
        };
        let healthy = joining != Joining::Unchecked;
        let ramps_on_join = self.config.slow_start.is_none_or(|slow| slow.on_join);
        let standing = Standing {
            weight: by_ordinal(&self.config.weights, 1),
            tier: by_ordinal(&self.config.priorities, 0),
            zone: id.0 % self.zones,
            initialised: healthy,
            healthy,
            ejected: false,
            broken: false,
            since: (joining == Joining::Started && ramps_on_join).then_some(now),
            picked_at: 0,
        };
        let hash = mix(u64::from(id.0).wrapping_add(0x9E37_79B9_7F4A_7C15));
        let weight = standing.weight * self.scale;
        let place = self.members.partition_point(|member| member.id < id);
        self.members.insert(place, Member { id, weight, in_flight: 0, group: NOBODY, current: 0, hash });
        self.standings.insert(place, standing);
        if self.strategy == Strategy::PeakEwma {
            self.latencies.insert(place, Latency::new(&self.config.peak_ewma, now));
        }
        if let Some(reports) = &mut self.reports {
            reports.join(place);
        }
        if self.config.passive.is_some() {
            self.peers.insert(place, Peer::new(standing.weight));
        }
        if let Some(ejection) = &mut self.ejection {
            ejection.join(id);
        }
        self.refresh(now);
    }

    /// Removes a member; what it has in flight is forgotten here.
    pub fn leave(&mut self, now: Time, id: InstanceId) {
        let Some(place) = self.place(id) else { return };
        self.members.remove(place);
        self.standings.remove(place);
        if !self.latencies.is_empty() {
            self.latencies.remove(place);
        }
        if let Some(reports) = &mut self.reports {
            reports.leave(place);
        }
        if !self.peers.is_empty() {
            self.peers.remove(place);
        }
        if let Some(ejection) = &mut self.ejection {
            ejection.leave(id);
        }
        if let Some(pool) = &mut self.pool {
            pool.forget(id);
        }
        self.recenter();
        self.refresh(now);
    }

    /// Tells whether checks find a member healthy.
    pub fn set_healthy(&mut self, now: Time, id: InstanceId, healthy: bool) {
        let Some(place) = self.place(id) else { return };
        let standing = &mut self.standings[place];
        if standing.healthy != healthy {
            standing.healthy = healthy;
            let is_first = !standing.initialised;
            standing.initialised |= healthy;
            if healthy && (!is_first || self.config.slow_start.is_none_or(|slow| slow.on_join)) {
                standing.since = Some(now);
            }
            self.refresh(now);
        }
    }

    /// Tells whether a member's breaker refuses traffic.
    pub fn set_broken(&mut self, now: Time, id: InstanceId, broken: bool) {
        let Some(place) = self.place(id) else { return };
        if self.standings[place].broken != broken {
            self.standings[place].broken = broken;
            self.refresh(now);
        }
    }

    /// Whether any member is kept away by its breaker alone.
    pub fn any_broken(&self) -> bool {
        self.standings.iter().any(|standing| standing.broken && standing.healthy)
    }

    /// Requests in flight to a member; 0 if it is none.
    pub fn in_flight(&self, id: InstanceId) -> u32 {
        self.place(id).map_or(0, |place| self.members[place].in_flight)
    }

    /// Requests in flight to all members.
    pub fn in_flight_total(&self) -> u64 {
        self.members.iter().map(|member| u64::from(member.in_flight)).sum()
    }

    /// Number of candidates.
    pub fn candidates(&self) -> usize {
        self.groups.iter().map(|group| group.candidates.len()).sum()
    }

    /// Members that are ejected now.
    pub fn ejected(&self) -> usize {
        self.ejection.as_ref().map_or(0, Ejection::ejected)
    }

    /// Whether any tier is in panic.
    pub fn panics(&self) -> bool {
        self.panics.contains(&true)
    }

    /// Lets no member have more than `limit` requests in flight, where that is less than its configured limit; `None`: only that
    /// holds.
    pub fn set_limit(&mut self, limit: Option<u32>) {
        let configured = self.config.instance_limit.unwrap_or(u32::MAX);
        self.limit = limit.unwrap_or(u32::MAX).min(configured);
    }

    /// Chooses a candidate for a request and counts it as in flight. The instance to be avoided is chosen only if it is the only
    /// candidate.
    #[inline(always)]
    pub fn pick(
        &mut self,
        now: Time,
        request: &Request,
        draws: impl FnOnce() -> Draws + Clone,
    ) -> Result<InstanceId, Refusal> {
        if !self.plain {
            return self.pick_by_rules(now, request, draws());
        }
        if self.groups[0].candidates.is_empty() {
            return Err(Refusal::Nobody);
        }
        let place = match request.avoid.and_then(|id| self.place(id)) {
            Some(avoided) if self.groups[0].candidates.len() > 1 => {
                self.choose_avoiding(0, avoided, now, request, draws.clone()())
            }
            _ => self.choose(0, now, request, draws.clone()),
        };
        if self.members[place].in_flight < self.limit {
            return Ok(self.sent(0, place));
        }
        let place = self.choose_with_room(0, self.limit, now, request, draws()).ok_or(Refusal::Full)?;
        Ok(self.sent(0, place))
    }

    /// A pick where more than the strategy has a say.
    #[cold]
    #[inline(never)]
    fn pick_by_rules(&mut self, now: Time, request: &Request, draws: Draws) -> Result<InstanceId, Refusal> {
        if now >= self.weights_due {
            self.reweigh(now);
        }
        let avoided = request.avoid.and_then(|id| self.place(id));
        let limit = match self.config.limit_ramp {
            Some(ramp) => ramp.limit(self.limit, self.groups.iter().map(|group| group.in_flight).sum()),
            None => self.limit,
        };
        if let Some(sticky) = &self.sticky
            && let Some(place) = sticky.instance(now, request.client).and_then(|id| self.place(id))
            && self.members[place].group != NOBODY
            && avoided != Some(place)
            && self.members[place].in_flight < limit
        {
            let group = self.members[place].group as usize;
            // Whose turn it is has nothing to do with who comes back.
            let last = self.groups[group].last;
            let id = self.sent_to_client(now, group, place, request.client);
            self.groups[group].last = last;
            return Ok(id);
        }
        let route = mix(draws.clone().bits() ^ 0x524F_5554_4553_u64);
        let group = self.route(route);
        let shed_above = match self.config.panic {
            Panic::Shed { above } if self.panics[group / self.zones as usize] => above,
            _ => u32::MAX,
        };
        let limit = limit.min(shed_above);
        let candidates = &self.groups[group].candidates;
        if candidates.is_empty() {
            return Err(Refusal::Nobody);
        }
        let has_company = candidates.len() > 1;
        let place = if self.config.passive.is_some() {
            self.choose_unskipped(group, avoided.filter(|_| has_company), limit, now, request, draws)?
        } else {
            let place = match avoided {
                Some(avoided) if has_company => self.choose_avoiding(group, avoided, now, request, draws.clone()),
                _ => self.choose(group, now, request, || draws.clone()),
            };
            if self.members[place].in_flight < limit {
                place
            } else {
                let room = self.choose_with_room(group, limit, now, request, draws);
                room.ok_or(if shed_above == limit { Refusal::Shed } else { Refusal::Full })?
            }
        };
        Ok(self.sent_to_client(now, group, place, request.client))
    }

    fn sent_to_client(&mut self, now: Time, group: usize, place: usize, client: u32) -> InstanceId {
        let id = self.sent(group, place);
        self.groups[group].in_flight += 1;
        if self.ties == Ties::LeastRecent {
            self.picks += 1;
            self.standings[place].picked_at = self.picks;
        }
        if let Some(sticky) = &mut self.sticky {
            sticky.sent(now, client, id);
        }
        id
    }

    /// The group for a request.
    fn route(&self, bits: u64) -> usize {
        let mut tier = 0;
        if self.tiers > 1 {
            let mut percent = pick(bits, 100) as u32;
            while tier + 1 < self.loads.len() && percent >= self.loads[tier] {
                percent -= self.loads[tier];
                tier += 1;
            }
        }
        let first = tier * self.zones as usize;
        let Some(split) = &self.splits[tier] else { return first };
        let zone = self.callers.partition_point(|&sum| sum <= open_unit(mix(bits ^ 1))).min(self.zones as usize - 1);
        first + split.route(zone, open_unit(mix(bits ^ 2)), open_unit(mix(bits ^ 3)))
    }

    /// A request is on its way to the member at `place`.
    #[inline(always)]
    fn sent(&mut self, group: usize, place: usize) -> InstanceId {
        let member = &mut self.members[place];
        let id = member.id;
        let group = &mut self.groups[group];
        let before = member.in_flight;
        member.in_flight += 1;
        if let Some(by_load) = &mut group.by_load {
            by_load.add(place as u32, before);
        } else if let Some(by_score) = &mut group.by_score {
            by_score.update(place as u32, self.score.fraction(member));
        }
        group.last = Some(id);
        id
    }

    /// Learns that a request ended, however it ended; true if that has led to notices. Ignored if its instance has left.
    #[inline(always)]
    pub fn finished(&mut self, now: Time, completion: &Completion) -> bool {
        let Some(place) = self.withdrawn(completion.instance) else { return false };
        self.watches && self.watch(now, place, completion)
    }

    #[cold]
    #[inline(never)]
    fn watch(&mut self, now: Time, place: usize, completion: &Completion) -> bool {
        if let Some(latency) = self.latencies.get_mut(place) {
            latency.ended(&self.config.peak_ewma, now, completion.outcome, completion.latency);
        }
        if let Some(reports) = &mut self.reports {
            reports.at(place).ended(completion.outcome, completion.latency);
        }
        if !self.peers.is_empty() {
            self.peer_ended(now, place, completion.outcome);
        }
        if let Some(ejection) = &mut self.ejection
            && let Some(change) = ejection.ended(now, place, completion.outcome, completion.latency)
        {
            self.take_change(now, change);
        }
        self.has_notices()
    }

    /// Learns that the failure of `id` that was told last asked for a pause (`Retry-After`).
    pub fn hinted(&mut self, now: Time, id: InstanceId, retry_after: Span) {
        if let Some(place) = self.place(id)
            && let Some(latency) = self.latencies.get_mut(place)
        {
            latency.hinted(&self.config.peak_ewma, now, retry_after);
        }
    }

    /// Takes back a pick that was not followed: it says nothing about the instance.
    pub fn withdraw(&mut self, id: InstanceId) {
        self.withdrawn(id);
    }

    #[inline(always)]
    fn withdrawn(&mut self, id: InstanceId) -> Option<usize> {
        let place = self.place(id)?;
        let member = &mut self.members[place];
        debug_assert!(member.in_flight > 0, "every end has a beginning");
        let before = member.in_flight;
        member.in_flight -= 1;
        let group = if self.plain {
            (member.group == 0).then_some(&mut self.groups.main)
        } else {
            let mut group = self.groups.get_mut(member.group);
            if let Some(group) = &mut group {
                group.in_flight -= 1;
            }
            group
        };
        if let Some(group) = group {
            if let Some(by_load) = &mut group.by_load {
                by_load.remove(place as u32, before);
            } else if let Some(by_score) = &mut group.by_score {
                by_score.update(place as u32, self.score.fraction(member));
            }
        }
        Some(place)
    }

    fn peer_ended(&mut self, now: Time, place: usize, outcome: Outcome) {
        let Some(passive) = &self.config.passive else { return };
        // A single peer is never disabled.
        match outcome {
            Outcome::Success => self.peers[place].succeeded(),
            Outcome::Abandoned | Outcome::Shed => {}
            _ if self.members.len() == 1 => {}
            _ => self.peers[place].failed(passive, now, self.standings[place].weight),
        }
    }

    #[cold]
    fn take_change(&mut self, now: Time, change: Change) {
        match &change {
            Change::Ejected { id, row, .. } => {
                if let Some(place) = self.place(*id) {
                    self.standings[place].ejected = true;
                }
                if self.config.ejection.is_some_and(|config| config.replace_after.is_some_and(|n| *row >= n)) {
                    self.notices.push(Notice::Replace { at: now, id: *id });
                }
            }
            Change::Readmitted { id, after } => {
                if let Some(place) = self.place(*id) {
                    self.standings[place].ejected = false;
                    // Caches are still warm after an ejection that is shorter than they take to warm.
                    if self.config.slow_start.is_some_and(|config| *after >= config.window) {
                        self.standings[place].since = Some(now);
                    }
                }
            }
        }
        self.notices.push(Notice::Ejection { at: now, change });
        self.refresh(now);
    }

    /// When [`Balancer::tick`] has something to do; [`Time::MAX`]: never.
    pub fn next_wake(&self) -> Time {
        self.ejection.as_ref().map_or(Time::MAX, Ejection::next_sweep)
    }

    /// Sweeps for outliers, if that is due.
    pub fn tick(&mut self, now: Time) {
        let Some(ejection) = &mut self.ejection else { return };
        if now < ejection.next_sweep() {
            return;
        }
        let mut changes = Vec::new();
        ejection.sweep(now, &mut changes);
        changes.into_iter().for_each(|change| self.take_change(now, change));
    }

    /// What happened by itself since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Whether anything happened by itself.
    #[inline]
    pub fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }

    /// Whether instances are to be probed at all.
    #[inline]
    pub fn probes(&self) -> bool {
        self.pool.is_some()
    }

    /// An instance that is to be probed now; each is told once.
    pub fn next_probe(&mut self) -> Option<InstanceId> {
        self.pool.as_mut()?.next_probe()
    }

    /// The answer to a probe.
    pub fn probed(&mut self, now: Time, id: InstanceId, answer: prequal::Answer) {
        let n = self.candidates();
        if let (Some(place), Some(pool)) = (self.place(id), &mut self.pool)
            && self.members[place].group != NOBODY
        {
            pool.answered(now, id, answer, n);
        }
    }

    /// Whether it looks at what instances report with their answers.
    #[inline]
    pub fn takes_reports(&self) -> bool {
        self.reports.is_some()
    }

    /// What an instance reported with an answer.
    pub fn reported(&mut self, now: Time, id: InstanceId, report: &Report) {
        if let (Some(place), Some(reports)) = (self.place(id), &mut self.reports) {
            reports.at(place).reported(now, report);
        }
    }

    #[inline]
    fn place(&self, id: InstanceId) -> Option<usize> {
        match self.places.get(id.0 as usize) {
            Some(&place) if place != NOBODY => Some(place as usize),
            _ => None,
        }
    }

    /// Works out candidates after a change.
    fn refresh(&mut self, now: Time) {
        let highest = self.members.last().map_or(0, |member| member.id.0 as usize + 1);
        self.places.clear();
        self.places.resize(highest, NOBODY);
        for (place, member) in self.members.iter().enumerate() {
            self.places[member.id.0 as usize] = place as u32;
        }
        self.route_members(now);
        self.scratch.reserve(self.members.len());
        if let Some(pool) = &mut self.pool {
            let outside = self.members.iter().filter(|member| member.group == NOBODY);
            outside.for_each(|member| pool.forget(member.id));
        }
        self.reweigh(now);
        for group in 0..self.groups.len() {
            self.prepare(group);
        }
    }

    /// Puts every candidate into the group of its tier and zone.
    fn route_members(&mut self, at: Time) {
        let mut health = vec![TierHealth::default(); self.tiers as usize];
        // Who is behind an open breaker is left to the breaker: it speaks neither for nor against its tier.
        for standing in self.standings.iter().filter(|standing| standing.initialised && !standing.broken) {
            let tier = &mut health[standing.tier as usize];
            tier.initialised += 1;
            tier.healthy += u32::from(standing.is_well());
        }
        let spread = routing::spread(&health, self.config.overprovisioning, self.config.panic_threshold);
        for (tier, (was, is)) in self.panics.iter().zip(&spread.panics).enumerate() {
            let (tier, health) = (tier as u32, health[tier]);
            match (was, is) {
                (false, true) => self.notices.push(Notice::PanicBegan { at, tier, health }),
                (true, false) => self.notices.push(Notice::PanicEnded { at, tier, health }),
                _ => {}
            }
        }
        (self.loads, self.panics) = (spread.loads, spread.panics);
        let spreads = self.config.panic == Panic::Spread;
        let mut counts = vec![0u32; self.groups.len()];
        let is_candidate = |standing: &Standing, panics: &[bool]| {
            let all = spreads && panics[standing.tier as usize] && standing.initialised;
            (standing.is_well() || all) && !standing.broken
        };
        for standing in self.standings.iter().filter(|standing| is_candidate(standing, &self.panics)) {
            counts[(standing.tier * self.zones + standing.zone) as usize] += 1;
        }
        for tier in 0..self.tiers as usize {
            let zones = tier * self.zones as usize..(tier + 1) * self.zones as usize;
            let total: u32 = counts[zones.clone()].iter().sum();
            self.splits[tier] = self
                .config
                .zone_aware
                .as_ref()
                .filter(|aware| total >= aware.min_instances && !self.panics[tier])
                .map(|aware| ZoneSplit::new(&aware.callers, &counts[zones]));
        }
        for group in self.groups.iter_mut() {
            group.candidates.clear();
            (group.in_flight, group.weight) = (0, 0);
        }
        for (place, (member, standing)) in self.members.iter_mut().zip(&self.standings).enumerate() {
            member.group = NOBODY;
            if is_candidate(standing, &self.panics) {
                let zone = if self.splits[standing.tier as usize].is_some() { standing.zone } else { 0 };
                member.group = standing.tier * self.zones + zone;
                let group = &mut self.groups[member.group as usize];
                group.candidates.push(place as u32);
                group.in_flight += u64::from(member.in_flight);
            }
        }
    }

    /// Brings weights up to date with slow start.
    #[cold]
    fn reweigh(&mut self, now: Time) {
        self.weights_due = Time::MAX;
        if let Some(slow) = self.config.slow_start {
            let ramping = |standing: &Standing| slow.is_ramping(standing.since, now);
            let any = self.standings.iter().any(ramping);
            // If everybody is new, nobody is.
            let all = (0..self.members.len())
                .filter(|&place| self.members[place].group != NOBODY)
                .all(|place| ramping(&self.standings[place]));
            for (member, standing) in self.members.iter_mut().zip(&self.standings) {
                let factor = match standing.since {
                    Some(since) if !all => slow.factor(now.since(since)),
                    _ => 1.0,
                };
                let full = f64::from(standing.weight * self.scale);
                member.weight = ((full * factor).round() as u32).max(1);
            }
            if any {
                self.weights_due = now + slow.step();
            }
        }
        for group in self.groups.iter_mut() {
            let weights = group.candidates.iter().map(|&place| self.members[place as usize].weight);
            group.weight = weights.clone().map(u64::from).sum();
            group.uneven = weights.clone().min() != weights.max();
            if let Table::Cumulative(sums) = &mut group.table {
                fill_cumulative(sums, group.candidates.iter().map(|&place| self.members[place as usize].weight));
            }
        }
        let uneven = self.groups.iter().any(|group| group.uneven);
        self.fast = Fast::of(&self.config, uneven);
        self.sort_candidates(uneven);
    }

    /// Sorts candidates, where the strategy wants that: by requests in flight or, where weights differ, by load over weight.
    fn sort_candidates(&mut self, uneven: bool) {
        if !matches!(self.strategy, Strategy::LeastConnections | Strategy::JoinIdleQueue) {
            return;
        }
        let weighs =
            self.strategy == Strategy::LeastConnections && matches!(self.ties, Ties::Random | Ties::RoundRobin);
        let (members, score) = (&self.members, self.score);
        for group in self.groups.iter_mut() {
            if uneven && weighs {
                group.by_load = None;
                let by_score = group.by_score.get_or_insert_default();
                by_score.rebuild(&group.candidates, members.len(), |place| score.fraction(&members[place as usize]));
            } else {
                group.by_score = None;
                let by_load = group.by_load.get_or_insert_default();
                by_load.rebuild(&group.candidates, members.len(), |place| members[place as usize].in_flight);
            }
        }
    }

    /// Builds what a group's strategy looks at.
    fn prepare(&mut self, index: usize) {
        let members = &self.members;
        let group = &mut self.groups[index];
        let last = group.last;
        let after = |place: &u32| last.is_some_and(|last| members[*place as usize].id <= last);
        let turn = group.candidates.partition_point(after);
        group.turn = if turn == group.candidates.len() { 0 } else { turn };
        let weights = group.candidates.iter().map(|&place| members[place as usize].weight);
        let standings = &self.standings;
        let hosts = || -> Vec<Host> {
            let host = |&place: &u32| Host {
                key: format!("instance-{}", members[place as usize].id.0),
                weight: standings[place as usize].weight,
            };
            group.candidates.iter().map(host).collect()
        };
        let draws_by_weight =
            self.strategy == Strategy::Random || self.strategy.samples() && self.config.sampling.is_by_weight();
        match self.strategy {
            _ if draws_by_weight => {
                let mut sums = Vec::with_capacity(group.candidates.len());
                fill_cumulative(&mut sums, weights);
                group.table = Table::Cumulative(sums);
            }
            Strategy::WeightedEdf | Strategy::LeastConnectionsEdf => {
                let mut schedule = match std::mem::take(&mut group.table) {
                    Table::Deadlines(schedule) => schedule,
                    _ => Schedule::default(),
                };
                let bias = if self.strategy == Strategy::WeightedEdf { 0.0 } else { self.config.bias };
                schedule.rebuild(&group.candidates, |place| {
                    let member = &members[place as usize];
                    strategies::biased_weight(member.weight, member.in_flight, bias)
                });
                group.table = Table::Deadlines(schedule);
            }
            Strategy::ReportedUtilization => {
                let mut schedule = match std::mem::take(&mut group.table) {
                    Table::Deadlines(schedule) => schedule,
                    _ => Schedule::default(),
                };
                let reports = self.reports.as_ref();
                schedule.rebuild(&group.candidates, |place| reports.map_or(1.0, |reports| reports.weight(place)));
                group.table = Table::Deadlines(schedule);
            }
            Strategy::RingHash if !group.candidates.is_empty() => {
                group.table = Table::Ring(Ring::new(&hosts(), self.config.ring));
            }
            Strategy::Maglev => group.table = Table::Maglev(Maglev::new(&hosts(), self.config.table_size)),
            _ => {}
        }
    }

    /// Makes the smooth-weighted states sum to zero again after a member took its own away.
    fn recenter(&mut self) {
        let n = self.members.len() as i64;
        if n == 0 {
            return;
        }
        let sum: i64 = self.members.iter().map(|member| member.current).sum();
        for member in &mut self.members {
            member.current -= sum / n;
        }
        self.members[0].current -= sum % n;
    }
}

fn fill_cumulative(sums: &mut Vec<u64>, weights: impl Iterator<Item = u32>) {
    sums.clear();
    sums.extend(weights.scan(0, |sum, weight| {
        *sum += u64::from(weight);
        Some(*sum)
    }));
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

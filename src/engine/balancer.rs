//! The balancer: which instance gets a request.
//!
//! Members join when they can take traffic and leave when they drain or die. *Candidates* are the members that nothing
//! speaks against (not unhealthy, not behind an open breaker), in the order of joining. They are worked out when
//! something changes, never per request.
//!
//! - Round robin keeps the member picked last, not a position: a position skips or repeats when the fleet changes.
//! - Smooth weighted round robin is NGINX's: over a cycle exactly proportional, spread as evenly as possible.
//! - Least connections keeps its candidates sorted by requests in flight ([`by_load`]): O(1) per request.
//! - Power of two choices draws two different candidates (Mitzenmacher 2001; Finagle, tower).
//! - Client affinity is rendezvous hashing (Thaler, Ravishankar 1998): when an instance leaves, only its clients move.
//!
//! The balancer knows no clock and owns no generator: dice are passed in as bits. `draw(0)` and `draw(1)` of the
//! request's own numbers are used, so that adding a strategy never shifts another's dice.
//!
//! What is absent: panic thresholds, ejection of outliers, slow start, zones.

pub mod by_load;
pub mod health;

use crate::engine::balancer::by_load::ByLoad;
use crate::engine::request::InstanceId;
use crate::rng::{self, Draws, mix};
use crate::units::Span;

/// How an instance is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The next one, in the order of joining.
    RoundRobin,
    /// Smooth weighted round robin.
    Weighted,
    /// The one with the fewest requests in flight.
    #[default]
    LeastConnections,
    /// The same client always to the same instance, by rendezvous hashing.
    IpHash,
    /// Any, with equal chances.
    Random,
    /// The less loaded of two different ones, drawn at random.
    PowerOfTwoChoices,
}

impl Strategy {
    /// Every strategy with its name in scenario files.
    pub const ALL: [(&'static str, Strategy); 6] = [
        ("round_robin", Strategy::RoundRobin),
        ("weighted", Strategy::Weighted),
        ("least_connections", Strategy::LeastConnections),
        ("ip_hash", Strategy::IpHash),
        ("random", Strategy::Random),
        ("power_of_two_choices", Strategy::PowerOfTwoChoices),
    ];
}

/// Among equally loaded instances, which?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ties {
    /// Any, with equal chances, from the keyed dice (Envoy).
    Random,
    /// The first in order after the one picked last: an idle fleet is used in turn.
    #[default]
    RoundRobin,
}

/// Active health checks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HealthCheck {
    /// Time between checks of an instance, > 0. Default 30 s.
    pub interval: Span,
    /// A check without an answer for this long has failed; less than `interval`. Default 5 s.
    pub timeout: Span,
    /// Failures in a row until unhealthy, ≥ 1. Default 3.
    pub unhealthy_after: u32,
    /// Successes in a row until healthy again, ≥ 1. Default 2.
    pub healthy_after: u32,
    /// Share of the interval by which checks are spread, 0..1. Default 0.1.
    pub jitter: f64,
}

impl Default for HealthCheck {
    fn default() -> HealthCheck {
        HealthCheck {
            interval: Span::from_secs(30),
            timeout: Span::from_secs(5),
            unhealthy_after: 3,
            healthy_after: 2,
            jitter: 0.1,
        }
    }
}

/// Settings of the balancer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// How an instance is chosen.
    pub strategy: Strategy,
    /// How ties between equally loaded instances are broken (least_connections).
    pub ties: Ties,
    /// Weights by launch ordinal, repeated from the start when there are more instances; 1..=1000. Empty: all 1.
    pub weights: Vec<u32>,
    /// Active health checks; `None`: no instance is ever found unhealthy.
    pub health_check: Option<HealthCheck>,
}

/// What the balancer knows of one member.
#[derive(Clone, Copy, Debug)]
struct Member {
    id: InstanceId,
    weight: u32,
    in_flight: u32,
    /// State of smooth weighted round robin.
    current: i64,
    /// Hash of the id, for rendezvous.
    hash: u64,
    healthy: bool,
    broken: bool,
}

/// "Not a member".
const NOBODY: u32 = u32::MAX;

/// Chooses among the members.
#[derive(Clone, Debug)]
pub struct Balancer {
    strategy: Strategy,
    ties: Ties,
    weights: Vec<u32>,
    /// Members in the order of joining.
    members: Vec<Member>,
    /// Place in `members` by instance id, or [`NOBODY`].
    places: Vec<u32>,
    /// Places of the candidates, ascending.
    candidates: Vec<u32>,
    /// Candidates by requests in flight; kept only for least connections with equal weights.
    by_load: Option<ByLoad>,
    /// The member picked last; ids ascend in the order of joining.
    last: Option<InstanceId>,
    /// Place in `candidates` of the next turn of round robin.
    turn: usize,
}

impl Balancer {
    /// A balancer without members.
    pub fn new(config: &Config) -> Balancer {
        let equal = config.weights.windows(2).all(|pair| pair[0] == pair[1]);
        let by_load = (config.strategy == Strategy::LeastConnections && equal).then(ByLoad::default);
        Balancer {
            strategy: config.strategy,
            ties: config.ties,
            weights: config.weights.clone(),
            members: Vec::new(),
            places: Vec::new(),
            candidates: Vec::new(),
            by_load,
            last: None,
            turn: 0,
        }
    }

    /// Adds a member; `healthy` says whether it may get requests at once. Ids must be joined in ascending order only
    /// for "order of joining" to equal the order of ids.
    pub fn join(&mut self, id: InstanceId, healthy: bool) {
        if self.place(id).is_some() {
            return;
        }
        let weight = match self.weights.len() {
            0 => 1,
            n => self.weights[id.0 as usize % n],
        };
        let hash = mix(u64::from(id.0).wrapping_add(0x9E37_79B9_7F4A_7C15));
        self.members.push(Member { id, weight, in_flight: 0, current: 0, hash, healthy, broken: false });
        self.members.sort_by_key(|member| member.id);
        self.refresh();
    }

    /// Removes a member; what it has in flight is forgotten here.
    pub fn leave(&mut self, id: InstanceId) {
        let Some(place) = self.place(id) else { return };
        self.members.remove(place);
        self.recenter();
        self.refresh();
    }

    /// Tells whether checks find a member healthy.
    pub fn set_healthy(&mut self, id: InstanceId, healthy: bool) {
        let Some(place) = self.place(id) else { return };
        if self.members[place].healthy != healthy {
            self.members[place].healthy = healthy;
            self.refresh();
        }
    }

    /// Tells whether a member's breaker refuses traffic.
    pub fn set_broken(&mut self, id: InstanceId, broken: bool) {
        let Some(place) = self.place(id) else { return };
        if self.members[place].broken != broken {
            self.members[place].broken = broken;
            self.refresh();
        }
    }

    /// Whether any member is kept away by its breaker alone.
    pub fn any_broken(&self) -> bool {
        self.members.iter().any(|member| member.broken && member.healthy)
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
        self.candidates.len()
    }

    /// Chooses a candidate for a request of `client` and counts it as in flight; `None` if there is none. `avoid` is
    /// chosen only if it is the only candidate.
    #[inline(always)]
    pub fn pick(
        &mut self,
        client: u32,
        avoid: Option<InstanceId>,
        draws: impl FnOnce() -> Draws,
    ) -> Option<InstanceId> {
        if self.candidates.is_empty() {
            return None;
        }
        let place = match avoid.and_then(|id| self.place(id)) {
            Some(avoided) if self.candidates.len() > 1 => self.choose_avoiding(avoided, client, draws()),
            _ => self.choose(client, draws),
        };
        let member = &mut self.members[place];
        let id = member.id;
        if let Some(by_load) = &mut self.by_load {
            by_load.add(place as u32, member.in_flight);
        }
        member.in_flight += 1;
        self.last = Some(id);
        Some(id)
    }

    /// Learns that a request to `id` ended, however it ended. Ignored if `id` has left.
    #[inline(always)]
    pub fn finished(&mut self, id: InstanceId) {
        let Some(place) = self.place(id) else { return };
        let member = &mut self.members[place];
        debug_assert!(member.in_flight > 0, "every end has a beginning");
        if let Some(by_load) = &mut self.by_load
            && member.healthy
            && !member.broken
        {
            by_load.remove(place as u32, member.in_flight);
        }
        member.in_flight -= 1;
    }

    #[inline]
    fn place(&self, id: InstanceId) -> Option<usize> {
        match self.places.get(id.0 as usize) {
            Some(&place) if place != NOBODY => Some(place as usize),
            _ => None,
        }
    }

    #[inline(always)]
    fn choose(&mut self, client: u32, draws: impl FnOnce() -> Draws) -> usize {
        let n = self.candidates.len();
        match self.strategy {
            Strategy::RoundRobin => {
                let place = self.candidates[self.turn];
                self.turn = if self.turn + 1 == n { 0 } else { self.turn + 1 };
                place as usize
            }
            Strategy::Random => self.candidates[rng::pick(draws().bits(), n)] as usize,
            Strategy::PowerOfTwoChoices if n == 1 => self.candidates[0] as usize,
            Strategy::PowerOfTwoChoices => {
                let mut draws = draws();
                let (a, b) = two_different(draws.bits(), draws.bits(), n);
                self.lighter(self.candidates[a], self.candidates[b]) as usize
            }
            Strategy::LeastConnections => match (&self.by_load, self.ties) {
                (Some(by_load), Ties::Random) => {
                    let lightest = by_load.lightest();
                    match lightest.len() {
                        1 => lightest[0] as usize,
                        n => lightest[rng::pick(draws().bits(), n)] as usize,
                    }
                }
                (Some(by_load), Ties::RoundRobin) => self.first_after_last(by_load.lightest()),
                (None, _) => self.lightest_by_weight(draws()),
            },
            Strategy::Weighted => self.smooth_weighted(),
            Strategy::IpHash => self.rendezvous(client, None),
        }
    }

    /// The rarely needed choice among all candidates but one.
    #[cold]
    fn choose_avoiding(&mut self, avoided: usize, client: u32, mut draws: Draws) -> usize {
        let others: Vec<u32> = self.candidates.iter().copied().filter(|&place| place as usize != avoided).collect();
        let n = others.len();
        match self.strategy {
            Strategy::RoundRobin => self.first_after_last(&others),
            Strategy::IpHash => self.rendezvous(client, Some(avoided)),
            Strategy::PowerOfTwoChoices if n > 1 => {
                let (a, b) = two_different(draws.bits(), draws.bits(), n);
                self.lighter(others[a], others[b]) as usize
            }
            Strategy::LeastConnections => {
                let fewest = others.iter().map(|&p| self.members[p as usize].in_flight).min().unwrap_or(0);
                let lightest: Vec<u32> =
                    others.into_iter().filter(|&p| self.members[p as usize].in_flight == fewest).collect();
                lightest[rng::pick(draws.bits(), lightest.len())] as usize
            }
            Strategy::Weighted | Strategy::Random | Strategy::PowerOfTwoChoices => {
                others[rng::pick(draws.bits(), n)] as usize
            }
        }
    }

    /// The lighter of two by (in flight + 1) / weight; on a tie the first.
    fn lighter(&self, a: u32, b: u32) -> u32 {
        let load = |place: u32| {
            let member = &self.members[place as usize];
            (u64::from(member.in_flight) + 1, u64::from(member.weight))
        };
        let ((load_a, weight_a), (load_b, weight_b)) = (load(a), load(b));
        if load_b * weight_a < load_a * weight_b { b } else { a }
    }

    /// The first of `places` after the member picked last, in the order of joining, wrapping.
    fn first_after_last(&self, places: &[u32]) -> usize {
        let last = self.last;
        let rank = |&place: &u32| {
            let id = self.members[place as usize].id;
            (last.is_some_and(|last| id <= last), id)
        };
        places.iter().copied().min_by_key(rank).expect("there is a candidate") as usize
    }

    /// The fewest in flight relative to weight, compared without rounding.
    fn lightest_by_weight(&self, mut draws: Draws) -> usize {
        let load = |place: u32| {
            let member = &self.members[place as usize];
            (u64::from(member.in_flight), u64::from(member.weight))
        };
        let lighter = |a: u32, b: u32| {
            let ((in_flight_a, weight_a), (in_flight_b, weight_b)) = (load(a), load(b));
            (in_flight_a * weight_b).cmp(&(in_flight_b * weight_a))
        };
        let best = self.candidates.iter().copied().min_by(|&a, &b| lighter(a, b)).expect("there is a candidate");
        let tied = || self.candidates.iter().copied().filter(|&place| lighter(place, best).is_eq());
        match self.ties {
            Ties::RoundRobin => self.first_after_last(&tied().collect::<Vec<_>>()),
            Ties::Random => {
                let i = rng::pick(draws.bits(), tied().count());
                tied().nth(i).expect("the draw is below the count") as usize
            }
        }
    }

    fn smooth_weighted(&mut self) -> usize {
        let mut total = 0;
        let mut best = self.candidates[0] as usize;
        for &place in &self.candidates {
            let member = &mut self.members[place as usize];
            member.current += i64::from(member.weight);
            total += i64::from(member.weight);
            if member.current > self.members[best].current {
                best = place as usize;
            }
        }
        self.members[best].current -= total;
        best
    }

    fn rendezvous(&self, client: u32, avoided: Option<usize>) -> usize {
        let key = mix(u64::from(client) ^ 0xCBF2_9CE4_8422_2325);
        let score = |&place: &u32| {
            let member = &self.members[place as usize];
            rendezvous_score(key, member.hash)
        };
        let usable = self.candidates.iter().filter(|&&place| Some(place as usize) != avoided);
        // `max_by_key` keeps the last of equals; reversed order makes ties go to the lower id.
        usable.rev().copied().max_by_key(score).expect("there is a candidate") as usize
    }

    /// Works out candidates after a change.
    fn refresh(&mut self) {
        let highest = self.members.last().map_or(0, |member| member.id.0 as usize + 1);
        self.places.clear();
        self.places.resize(highest, NOBODY);
        self.candidates.clear();
        for (place, member) in self.members.iter().enumerate() {
            self.places[member.id.0 as usize] = place as u32;
            if member.healthy && !member.broken {
                self.candidates.push(place as u32);
            }
        }
        if let Some(by_load) = &mut self.by_load {
            let members = &self.members;
            by_load.rebuild(&self.candidates, members.len(), |place| members[place as usize].in_flight);
        }
        let after = |place: &u32| self.last.is_some_and(|last| self.members[*place as usize].id <= last);
        let turn = self.candidates.partition_point(after);
        self.turn = if turn == self.candidates.len() { 0 } else { turn };
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

/// Two different numbers below `n` ≥ 2 from two draws.
fn two_different(first: u64, second: u64, n: usize) -> (usize, usize) {
    let a = rng::pick(first, n);
    let b = rng::pick(second, n - 1);
    (a, if b >= a { b + 1 } else { b })
}

/// Rendezvous score of a hashed key for a hashed instance; the highest wins.
fn rendezvous_score(key: u64, instance: u64) -> u64 {
    mix((key ^ instance).wrapping_add(0x9E37_79B9_7F4A_7C15))
}

#[cfg(test)]
mod tests;

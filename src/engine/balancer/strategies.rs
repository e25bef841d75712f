//! The strategies: how one candidate is chosen among those of a group.
//!
//! [`Balancer::choose`] is the way of nearly every request; [`Balancer::choose_among`] chooses among some of the candidates (for a
//! retry that avoids one, past full ones, past those that passive checks skip), at O(n) for every strategy.

use super::hashing::{NGINX_SEED, nginx_ip_hash, rendezvous_score, splitmix, weighted_score};
use super::{Balancer, HashKey, Member, NOBODY, Refusal, Sampling, Score, Strategy, Table, Ties, sampling};
use crate::engine::request::Request;
use crate::rng::{Draws, mix, pick};
use crate::units::Time;

/// Envoy's effective weight: `weight / (in flight + 1)^bias`.
#[inline]
pub(super) fn biased_weight(weight: u32, in_flight: u32, bias: f64) -> f64 {
    let weight = f64::from(weight);
    let load = f64::from(in_flight) + 1.0;
    if bias == 0.0 {
        weight
    } else if bias == 1.0 {
        weight / load
    } else {
        weight / libm::pow(load, bias)
    }
}

/// A strategy in the form that takes a few instructions: worked out when candidates or weights change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fast {
    /// Round robin.
    InTurn,
    /// Random.
    Any,
    /// Two different choices by requests in flight.
    LighterOfTwo,
    /// Least connections, ties at random.
    AnyOfLightest,
    /// Least connections, ties in turn.
    NextOfLightest,
    /// It takes longer.
    No,
}

impl Fast {
    /// The form of a strategy; `uneven` says that candidates differ in weight.
    pub(super) fn of(config: &super::Config, uneven: bool) -> Fast {
        let two = config.choices == 2 && config.sampling == Sampling::Distinct;
        match (config.strategy, config.ties) {
            (Strategy::PowerOfTwoChoices, _) if two => Fast::LighterOfTwo,
            _ if uneven => Fast::No,
            (Strategy::RoundRobin, _) => Fast::InTurn,
            (Strategy::Random, _) => Fast::Any,
            (Strategy::LeastConnections, Ties::Random) => Fast::AnyOfLightest,
            (Strategy::LeastConnections, Ties::RoundRobin) => Fast::NextOfLightest,
            _ => Fast::No,
        }
    }
}

impl Score {
    /// Load and weight, to be compared as a fraction.
    #[inline]
    pub(super) fn fraction(self, member: &Member) -> (u64, u64) {
        let (in_flight, weight) = (u64::from(member.in_flight), u64::from(member.weight));
        match self {
            Score::Ratio => (in_flight, weight),
            Score::RatioPlusOne => (in_flight + 1, weight),
            Score::IdleFirst if in_flight == 0 => (0, 1),
            Score::IdleFirst => (in_flight + 1, weight),
        }
    }
}

impl Balancer {
    /// The place of the member that gets a request, in a group that has candidates.
    #[inline(always)]
    pub(super) fn choose(
        &mut self,
        index: usize,
        now: Time,
        request: &Request,
        draws: impl FnOnce() -> Draws,
    ) -> usize {
        match self.fast {
            Fast::InTurn => {
                let group = &mut self.groups[index];
                let place = group.candidates[group.turn];
                group.turn = if group.turn + 1 == group.candidates.len() { 0 } else { group.turn + 1 };
                place as usize
            }
            Fast::Any => {
                let candidates = &self.groups[index].candidates;
                candidates[pick(draws().bits(), candidates.len())] as usize
            }
            Fast::LighterOfTwo => {
                let candidates = &self.groups[index].candidates;
                let n = candidates.len();
                if n == 1 {
                    return candidates[0] as usize;
                }
                let mut draws = draws();
                let (a, b) = sampling::two_different(draws.bits(), draws.bits(), n);
                self.lighter(candidates[a], candidates[b]) as usize
            }
            Fast::AnyOfLightest => {
                let lightest = self.lightest(index);
                match lightest.len() {
                    1 => lightest[0] as usize,
                    n => lightest[pick(draws().bits(), n)] as usize,
                }
            }
            Fast::NextOfLightest => {
                let lightest = self.lightest(index);
                if lightest.len() == 1 { lightest[0] as usize } else { self.first_after_last(index, lightest) }
            }
            Fast::No => self.choose_otherwise(index, now, request, draws()),
        }
    }

    #[inline(always)]
    fn lightest(&self, index: usize) -> &[u32] {
        self.groups[index].by_load.as_ref().expect("this strategy sorts its candidates").lightest()
    }

    /// The choices that take longer than a call.
    #[cold]
    #[inline(never)]
    fn choose_otherwise(&mut self, index: usize, now: Time, request: &Request, mut draws: Draws) -> usize {
        let n = self.groups[index].candidates.len();
        match self.strategy {
            Strategy::RoundRobin | Strategy::Weighted => {
                let candidates = std::mem::take(&mut self.groups[index].candidates);
                let place = self.smooth_weighted(&candidates);
                self.groups[index].candidates = candidates;
                place
            }
            Strategy::WeightedEdf | Strategy::LeastConnectionsEdf => {
                let bias = if self.strategy == Strategy::WeightedEdf { 0.0 } else { self.config.bias };
                let Table::Deadlines(schedule) = &mut self.groups[index].table else {
                    unreachable!("deadlines are kept for this strategy")
                };
                let members = &self.members;
                let weight = |place: u32| {
                    let member = &members[place as usize];
                    biased_weight(member.weight, member.in_flight, bias)
                };
                schedule.pick(weight).expect("there is a candidate") as usize
            }
            Strategy::C3 => {
                let candidates = std::mem::take(&mut self.groups[index].candidates);
                let place = self.best_by_c3(&candidates, draws);
                self.groups[index].candidates = candidates;
                place
            }
            Strategy::ReportedUtilization => {
                let (Table::Deadlines(schedule), Some(reports)) = (&mut self.groups[index].table, &mut self.reports)
                else {
                    unreachable!("deadlines and reports are kept for this strategy")
                };
                reports.refresh(now);
                schedule.pick(|place| reports.weight(place)).expect("there is a candidate") as usize
            }
            // Weights are even in this group and not in another.
            Strategy::Random => match &self.groups[index].table {
                Table::Cumulative(sums) => {
                    let i = sampling::weighted(draws.bits(), sums);
                    self.groups[index].candidates[i as usize] as usize
                }
                _ => unreachable!("sums are kept for this strategy"),
            },
            Strategy::PowerOfTwoChoices | Strategy::PeakEwma if n == 1 => self.groups[index].candidates[0] as usize,
            Strategy::PowerOfTwoChoices | Strategy::PeakEwma => {
                let d = self.config.choices;
                let few = match (self.config.sampling, &self.groups[index].table) {
                    (Sampling::Distinct, _) => sampling::distinct(&mut draws, n, d),
                    (Sampling::Replacement, _) => sampling::with_replacement(&mut draws, n, d),
                    (Sampling::ByWeight, Table::Cumulative(sums)) => sampling::by_weight(&mut draws, sums, d),
                    (_, Table::Cumulative(sums)) => sampling::weighted_with_replacement(&mut draws, sums, d),
                    _ => unreachable!("sums are kept for this sampling"),
                };
                let candidates = &self.groups[index].candidates;
                let places = few.as_slice().iter().map(|&i| candidates[i as usize]);
                self.best_of(places, now) as usize
            }
            Strategy::JoinIdleQueue => {
                let lightest = self.lightest(index);
                let idle = self.members[lightest[0] as usize].in_flight == 0;
                let from = if idle { lightest } else { &self.groups[index].candidates[..] };
                from[pick(draws.bits(), from.len())] as usize
            }
            Strategy::Prequal => self.by_probes(index, now, draws),
            Strategy::IpHash | Strategy::NginxIpHash | Strategy::RingHash | Strategy::Maglev => {
                self.by_hash(index, request, None)
            }
            Strategy::LeastConnections if self.ties == Ties::LeastRecent && !self.groups[index].uneven => {
                self.least_recent(self.lightest(index))
            }
            Strategy::LeastConnections if self.groups[index].by_score.is_some() => self.least_of_all(index, draws),
            Strategy::LeastConnections => {
                let candidates = std::mem::take(&mut self.groups[index].candidates);
                let place = self.least_loaded(index, &candidates, draws);
                self.groups[index].candidates = candidates;
                place
            }
        }
    }

    /// A choice among all candidates of a group but one.
    #[cold]
    pub(super) fn choose_avoiding(
        &mut self,
        index: usize,
        avoided: usize,
        now: Time,
        request: &Request,
        draws: Draws,
    ) -> usize {
        if self.strategy.is_hash() {
            return self.by_hash(index, request, Some(avoided));
        }
        let others = |_: &Balancer, place: u32| place as usize != avoided;
        self.with_some(index, others, |b, some| b.choose_among(index, some, now, request, draws))
    }

    /// A choice among candidates with less than `limit` in flight; `None` if all are full.
    #[cold]
    #[inline(never)]
    pub(super) fn choose_with_room(
        &mut self,
        index: usize,
        limit: u32,
        now: Time,
        request: &Request,
        draws: Draws,
    ) -> Option<usize> {
        // Where candidates are kept sorted, one look at the lightest tells that all are full.
        let sorted = self.groups[index].by_load.as_ref();
        let lightest = sorted.and_then(|by_load| by_load.lightest().first().copied());
        if lightest.is_some_and(|place| self.members[place as usize].in_flight >= limit) {
            return None;
        }
        self.with_some(
            index,
            |b, place| b.members[place as usize].in_flight < limit,
            |b, some| (!some.is_empty()).then(|| b.choose_among(index, some, now, request, draws)),
        )
    }

    /// A choice among candidates that passive checks do not skip.
    pub(super) fn choose_unskipped(
        &mut self,
        index: usize,
        avoided: Option<usize>,
        limit: u32,
        now: Time,
        request: &Request,
        draws: Draws,
    ) -> Result<usize, Refusal> {
        let Some(passive) = self.config.passive else { return Err(Refusal::Nobody) };
        if self.strategy == Strategy::NginxIpHash {
            let place = self.nginx_peer(index, request, |b, place| {
                avoided == Some(place)
                    || b.peers[place].is_skipped(&passive, now)
                    || b.members[place].in_flight >= limit
            });
            if let Some(place) = place {
                self.peers[place].picked(&passive, now);
                return Ok(place);
            }
        }
        let usable = |b: &Balancer, place: u32, avoided: Option<usize>| {
            let place = place as usize;
            Some(place) != avoided && !b.peers[place].is_skipped(&passive, now) && b.members[place].in_flight < limit
        };
        let others = self.groups[index].candidates.iter().any(|&place| usable(self, place, avoided));
        let avoided = avoided.filter(|_| others);
        let chosen = self.with_some(
            index,
            |b, place| usable(b, place, avoided),
            |b, some| (!some.is_empty()).then(|| b.choose_among(index, some, now, request, draws)),
        );
        let Some(place) = chosen else {
            let full =
                self.groups[index].candidates.iter().any(|&p| !self.peers[p as usize].is_skipped(&passive, now));
            self.peers.iter_mut().for_each(super::Peer::revive);
            return Err(if full { Refusal::Full } else { Refusal::Nobody });
        };
        self.peers[place].picked(&passive, now);
        Ok(place)
    }

    /// Collects the candidates that `fits` in memory that is kept for it.
    fn with_some<T>(
        &mut self,
        index: usize,
        fits: impl Fn(&Balancer, u32) -> bool,
        choose: impl FnOnce(&mut Balancer, &[u32]) -> T,
    ) -> T {
        let mut some = std::mem::take(&mut self.scratch);
        some.clear();
        some.extend(self.groups[index].candidates.iter().copied().filter(|&place| fits(self, place)));
        let chosen = choose(self, &some);
        self.scratch = some;
        chosen
    }

    /// A choice among some of a group's candidates, by the strategy's rule as far as it has a meaning for some.
    fn choose_among(&mut self, index: usize, some: &[u32], now: Time, request: &Request, mut draws: Draws) -> usize {
        let n = some.len();
        match self.strategy {
            Strategy::RoundRobin if self.config.passive.is_none() && !self.groups[index].uneven => {
                self.first_after_last(index, some)
            }
            Strategy::RoundRobin | Strategy::Weighted => self.smooth_weighted(some),
            Strategy::LeastConnections => self.least_loaded(index, some, draws),
            Strategy::PowerOfTwoChoices | Strategy::PeakEwma => {
                let few = match self.config.sampling {
                    Sampling::Replacement | Sampling::WeightedReplacement => {
                        sampling::with_replacement(&mut draws, n, self.config.choices)
                    }
                    Sampling::Distinct | Sampling::ByWeight => sampling::distinct(&mut draws, n, self.config.choices),
                };
                self.best_of(few.as_slice().iter().map(|&i| some[i as usize]), now) as usize
            }
            Strategy::JoinIdleQueue => {
                let idle = |&&place: &&u32| self.members[place as usize].in_flight == 0;
                match some.iter().filter(idle).count() {
                    0 => some[pick(draws.bits(), n)] as usize,
                    count => {
                        let i = pick(draws.bits(), count);
                        some.iter().filter(idle).nth(i).copied().unwrap_or(some[0]) as usize
                    }
                }
            }
            Strategy::IpHash | Strategy::RingHash | Strategy::Maglev | Strategy::NginxIpHash => {
                let key = self.hash_key(request);
                let score = |&place: &u32| rendezvous_score(key, self.members[place as usize].hash);
                some.iter().copied().max_by_key(score).unwrap_or(some[0]) as usize
            }
            Strategy::C3 => self.best_by_c3(some, draws),
            Strategy::WeightedEdf
            | Strategy::LeastConnectionsEdf
            | Strategy::Random
            | Strategy::Prequal
            | Strategy::ReportedUtilization => some[pick(draws.bits(), n)] as usize,
        }
    }

    /// The one of `places` that C3 ranks first; any of those that tie.
    fn best_by_c3(&self, places: &[u32], mut draws: Draws) -> usize {
        let reports = self.reports.as_ref().expect("reports are kept for this strategy");
        let score = |place: u32| reports.c3(place, self.members[place as usize].in_flight);
        // Of many that know nothing yet, the first would get everything.
        let first = pick(draws.bits(), places.len());
        let around = places[first..].iter().chain(&places[..first]).copied();
        let best = around.min_by(|&a, &b| score(a).total_cmp(&score(b)));
        best.expect("there is a candidate") as usize
    }

    /// The lighter of two; on a tie the first.
    #[inline]
    pub(super) fn lighter(&self, a: u32, b: u32) -> u32 {
        let (load_a, weight_a) = self.score.fraction(&self.members[a as usize]);
        let (load_b, weight_b) = self.score.fraction(&self.members[b as usize]);
        if load_b * weight_a < load_a * weight_b { b } else { a }
    }

    /// The best of a few that were drawn.
    fn best_of(&self, places: impl Iterator<Item = u32>, now: Time) -> u32 {
        let last_wins = self.config.sampling.is_by_weight();
        if self.strategy == Strategy::PeakEwma {
            let load = |place: u32| {
                let member = &self.members[place as usize];
                let latency = &self.latencies[place as usize];
                latency.load(&self.config.peak_ewma, now, member.in_flight) / f64::from(member.weight)
            };
            let better = |best: (f64, u32), place: u32| {
                let load = load(place);
                if load < best.0 || last_wins && load == best.0 { (load, place) } else { best }
            };
            return places.fold((f64::INFINITY, 0), better).1;
        }
        let lighter = |a: u32, b: u32| {
            if last_wins && self.lighter(b, a) == b { b } else { self.lighter(a, b) }
        };
        places.reduce(lighter).expect("at least one was drawn")
    }

    /// The first of `places` after the member of the group picked last, in the order of joining, wrapping.
    fn first_after_last(&self, index: usize, places: &[u32]) -> usize {
        let last = self.groups[index].last;
        let rank = |&place: &u32| {
            let id = self.members[place as usize].id;
            (last.is_some_and(|last| id <= last), id)
        };
        places.iter().copied().min_by_key(rank).expect("there is a candidate") as usize
    }

    /// The one of `places` that was picked the longest ago.
    fn least_recent(&self, places: &[u32]) -> usize {
        let rank = |&place: &u32| (self.standings[place as usize].picked_at, place);
        places.iter().copied().min_by_key(rank).expect("there is a candidate") as usize
    }

    /// The least loaded of all candidates of a group that keeps them by score; [`Balancer::least_loaded`] would choose the same.
    fn least_of_all(&self, index: usize, mut draws: Draws) -> usize {
        let group = &self.groups[index];
        let by_score = group.by_score.as_ref().expect("this group keeps its candidates by score");
        let place = match (self.ties, group.last) {
            (Ties::RoundRobin, Some(last)) => {
                let next = group.candidates.partition_point(|&place| self.members[place as usize].id <= last);
                by_score.first_from(next)
            }
            (Ties::RoundRobin, None) => by_score.nth(0),
            _ => by_score.nth(pick(draws.bits(), by_score.tied())),
        };
        place as usize
    }

    /// The least loaded of `places`, compared without rounding.
    fn least_loaded(&mut self, index: usize, places: &[u32], mut draws: Draws) -> usize {
        let order = |balancer: &Balancer, a: u32, b: u32| {
            let (load_a, weight_a) = balancer.score.fraction(&balancer.members[a as usize]);
            let (load_b, weight_b) = balancer.score.fraction(&balancer.members[b as usize]);
            (load_a * weight_b).cmp(&(load_b * weight_a))
        };
        let best = places.iter().copied().min_by(|&a, &b| order(self, a, b)).expect("there is a candidate");
        let is_tied = |balancer: &Balancer, place: u32| order(balancer, place, best).is_eq();
        match self.ties {
            Ties::Random => {
                let count = places.iter().filter(|&&place| is_tied(self, place)).count();
                let i = pick(draws.bits(), count);
                let tied = places.iter().copied().filter(|&place| is_tied(self, place)).nth(i);
                tied.expect("the draw is below the count") as usize
            }
            Ties::RoundRobin => {
                let last = self.groups[index].last;
                let rank = |&place: &u32| {
                    let id = self.members[place as usize].id;
                    (last.is_some_and(|last| id <= last), id)
                };
                let tied = places.iter().copied().filter(|&place| is_tied(self, place));
                tied.min_by_key(rank).expect("the best is tied with itself") as usize
            }
            Ties::LeastRecent => {
                let rank = |&place: &u32| (self.standings[place as usize].picked_at, place);
                let tied = places.iter().copied().filter(|&place| is_tied(self, place));
                tied.min_by_key(rank).expect("the best is tied with itself") as usize
            }
            Ties::Weighted => self.smooth_weighted_of(places, |balancer, place| is_tied(balancer, place)),
        }
    }

    pub(super) fn smooth_weighted(&mut self, places: &[u32]) -> usize {
        self.smooth_weighted_of(places, |_, _| true)
    }

    /// A round of smooth weighted round robin over those of `places` that `fits`.
    fn smooth_weighted_of(&mut self, places: &[u32], fits: impl Fn(&Balancer, u32) -> bool) -> usize {
        let mut total = 0;
        let mut best: Option<usize> = None;
        for &place in places {
            if !fits(self, place) {
                continue;
            }
            let at = place as usize;
            let weight = match self.peers.get_mut(at) {
                None => i64::from(self.members[at].weight),
                // After failures less than its weight, one more with every round that it takes part in.
                Some(peer) => {
                    let effective = peer.effective * i64::from(self.scale);
                    peer.effective = (peer.effective + 1).min(i64::from(self.standings[at].weight));
                    effective
                }
            };
            self.members[at].current += weight;
            total += weight;
            if best.is_none_or(|best| self.members[at].current > self.members[best].current) {
                best = Some(at);
            }
        }
        let best = best.expect("there is a candidate");
        self.members[best].current -= total;
        best
    }

    #[inline]
    fn hash_key(&self, request: &Request) -> u64 {
        let key = match self.config.hash_key {
            HashKey::Client => u64::from(request.client),
            HashKey::Endpoint => u64::from(request.endpoint) | 1 << 32,
        };
        mix(key ^ 0xCBF2_9CE4_8422_2325)
    }

    /// Whether the member at `place` holds less than its bound: `ceil(slots · share)`, where all slots are the requests in
    /// flight, this one included, times the factor (Mirrokni et al. 2018; Envoy's arithmetic).
    #[inline]
    fn has_room(&self, index: usize, place: usize) -> bool {
        let Some(percent) = self.config.bounded_load else { return true };
        let group = &self.groups[index];
        let member = &self.members[place];
        u64::from(member.in_flight) < slots(group.in_flight, percent, u64::from(member.weight), group.weight)
    }

    /// The candidate for a request's key, past one to be avoided and past full ones.
    fn by_hash(&self, index: usize, request: &Request, avoided: Option<usize>) -> usize {
        let key = self.hash_key(request);
        let group = &self.groups[index];
        let fits = |place: usize| Some(place) != avoided && self.has_room(index, place);
        let lookup = |attempt: u64| {
            // The first attempt is the key's own place; the next points of a ring follow it, all else jumps by key and attempt.
            let i = match &group.table {
                Table::Ring(ring) if self.config.bounded_load.is_none() => ring.lookup(key, attempt as usize),
                Table::Ring(ring) => ring.lookup(if attempt == 0 { key } else { splitmix(key ^ attempt) }, 0),
                Table::Maglev(table) => table.lookup(if attempt == 0 { key } else { splitmix(key ^ attempt) }),
                _ => None,
            };
            i.map(|i| group.candidates[i as usize] as usize)
        };
        match self.strategy {
            Strategy::RingHash | Strategy::Maglev => {
                let attempts = 2 * group.candidates.len() as u64 + 16;
                if let Some(place) = (0..attempts).filter_map(lookup).find(|&place| fits(place)) {
                    return place;
                }
            }
            Strategy::NginxIpHash => {
                if let Some(place) = self.nginx_peer(index, request, |_, place| !fits(place)) {
                    return place;
                }
            }
            _ => {}
        }
        self.rendezvous(index, key, avoided)
    }

    /// The place of the highest score among those with room and not avoided; else among all.
    pub(super) fn rendezvous(&self, index: usize, key: u64, avoided: Option<usize>) -> usize {
        let group = &self.groups[index];
        let fits = |place: &u32| Some(*place as usize) != avoided && self.has_room(index, *place as usize);
        // `max_by` keeps the last of equals; reversed order makes ties go to the lower id.
        let usable = group.candidates.iter().rev().copied();
        let best = if group.uneven {
            let score = |place: u32| {
                let member = &self.members[place as usize];
                weighted_score(rendezvous_score(key, member.hash), f64::from(member.weight))
            };
            usable.filter(fits).map(|place| (score(place), place)).max_by(|a, b| a.0.total_cmp(&b.0))
        } else {
            let score = |place: u32| rendezvous_score(key, self.members[place as usize].hash);
            usable
                .filter(fits)
                .map(|place| (score(place), place))
                .max_by_key(|&(score, _)| score)
                .map(|(_, p)| (0.0, p))
        };
        match best {
            Some((_, place)) => place as usize,
            // Everybody is full but the one to be avoided.
            None => {
                group.candidates.iter().copied().find(|p| Some(*p as usize) != avoided).unwrap_or(group.candidates[0])
                    as usize
            }
        }
    }

    /// NGINX's walk over the weights of all peers, usable or not; `None` after twenty tries.
    fn nginx_peer(
        &self,
        index: usize,
        request: &Request,
        is_refused: impl Fn(&Balancer, usize) -> bool,
    ) -> Option<usize> {
        let total: u32 = self.standings.iter().map(|standing| standing.weight).sum();
        let [a, b, c, _] = address(request.client);
        let mut hash = NGINX_SEED;
        for _ in 0..20 {
            hash = nginx_ip_hash(hash, &[a, b, c]);
            let mut w = hash % total;
            let place = self.standings.iter().position(|standing| {
                let here = w < standing.weight;
                w = w.wrapping_sub(standing.weight);
                here
            })?;
            let group = self.members[place].group;
            if group != NOBODY && group as usize == index && !is_refused(self, place) {
                return Some(place);
            }
        }
        None
    }

    /// By the pool of probes, or any; asks for new probes.
    fn by_probes(&mut self, index: usize, now: Time, mut draws: Draws) -> usize {
        let mut pool = self.pool.take().expect("the strategy has a pool");
        let usable = |id| self.place(id).is_some_and(|place| self.members[place].group as usize == index);
        let chosen = pool.choose(now, usable).and_then(|id| self.place(id));
        let candidates = &self.groups[index].candidates;
        let any = super::prequal::any(&mut draws, candidates.len());
        let place = chosen.unwrap_or(candidates[any] as usize);
        pool.requested(&mut draws, candidates.len(), |i| self.members[candidates[i as usize] as usize].id);
        self.pool = Some(pool);
        place
    }
}

/// The slots of a member under bounded load: integers only.
pub(super) fn slots(in_flight: u64, percent: u32, weight: u64, total_weight: u64) -> u64 {
    let all = ((in_flight + 1) * u64::from(percent)).div_ceil(100);
    (all * weight).div_ceil(total_weight.max(1)).max(1)
}

/// The address of a client: the simulator's clients have numbers, and networks of 256.
fn address(client: u32) -> [u8; 4] {
    let [_, b, c, d] = client.to_be_bytes();
    [10, b, c, d]
}

//! Requests before they arrive: who asks for what and how much work it is, looked up for some dozens at a time.
//!
//! All of it is a function of the request's index, so nothing depends on when it is looked up. In one tight loop the processor
//! works on several requests at once; between two events of the simulation it would wait for each.

use crate::distribution::Sampler;
use crate::rng::{Dice, Stream};
use crate::scenario::service::Endpoint;
use crate::sim::Plan;
use crate::sim::survey::Survey;
use crate::traffic::formats::Work;
use crate::traffic::replay::Truncation;
use crate::traffic::{Arrival, Arrivals, EndpointMix, Origin, Place, Population};
use crate::units::{Span, Time};

/// Requests looked up at a time.
const BATCH: usize = 64;

/// A request, and all that is decided about it before it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Upcoming {
    /// When it arrives.
    pub at: Time,
    /// Which request; the index of its random numbers.
    pub index: u64,
    /// Demand on an idle, warm instance.
    pub demand: Span,
    /// Who asks.
    pub client: u32,
    /// For what.
    pub endpoint: u16,
}

/// What an endpoint's requests need.
#[derive(Debug)]
struct Demand {
    sampler: Sampler,
    mean: Span,
}

/// The requests of a run, in the order in which they arrive.
#[derive(Debug)]
pub struct Intake {
    /// `None` in a closed loop, and after an interruption: nobody comes by plan.
    arrivals: Option<Arrivals>,
    /// The arrivals of the batch, before anything about them is looked up.
    bare: Vec<Arrival>,
    batch: Vec<Upcoming>,
    /// How many of the batch have arrived.
    taken: usize,
    /// When the next one arrives; [`Time::MAX`]: nobody does.
    next_at: Time,
    population: Population,
    attackers: Vec<std::ops::Range<u32>>,
    mix: EndpointMix,
    demands: Vec<Demand>,
    dice: Dice,
}

impl Intake {
    /// Nothing looked up yet; [`Intake::refill`] is to be called first.
    pub fn new(
        arrivals: Option<Arrivals>,
        population: Population,
        attackers: Vec<std::ops::Range<u32>>,
        mix: EndpointMix,
        endpoints: &[Endpoint],
        seed: u64,
    ) -> Intake {
        let demand = |endpoint: &Endpoint| Demand { sampler: endpoint.time.sampler(), mean: endpoint.time.mean() };
        Intake {
            arrivals,
            bare: Vec::with_capacity(BATCH),
            batch: Vec::with_capacity(BATCH),
            taken: 0,
            next_at: Time::MAX,
            population,
            attackers,
            mix,
            demands: endpoints.iter().map(demand).collect(),
            dice: Dice::new(seed, Stream::Demand),
        }
    }

    /// When the next request arrives; [`Time::MAX`]: none does.
    #[inline(always)]
    pub fn next_at(&self) -> Time {
        self.next_at
    }

    /// Takes the next request, of which [`Intake::next_at`] has said that there is one.
    #[inline(always)]
    pub fn take(&mut self, plan: &Plan) -> Upcoming {
        let upcoming = self.batch[self.taken];
        self.taken += 1;
        match self.batch.get(self.taken) {
            Some(next) => self.next_at = next.at,
            None => self.refill(plan),
        }
        upcoming
    }

    /// Looks up the next batch; all of the last one has been taken.
    #[inline(never)]
    pub fn refill(&mut self, plan: &Plan) {
        self.taken = 0;
        let Intake { arrivals, bare, batch, population, attackers, mix, demands, dice, .. } = self;
        bare.clear();
        if let Some(arrivals) = arrivals {
            arrivals.take_into(bare, BATCH);
        }
        batch.clear();
        batch.extend(bare.iter().map(|&Arrival { at, index, ref origin }| {
            let drawn = || mix.endpoint(index);
            let (client, endpoint, work) = match *origin {
                Origin::Base => (population.client(index), drawn(), Work::Drawn),
                Origin::Attack(k) => {
                    let client = population.attacker(index, &attackers[usize::from(k)]);
                    (client, plan.attack_endpoint(usize::from(k)).unwrap_or_else(drawn), Work::Drawn)
                }
                Origin::Recorded { client, endpoint, work, .. } => (client, plan.recorded_endpoint(endpoint), work),
            };
            let model = &demands[usize::from(endpoint)];
            let demand = match work {
                Work::Drawn => model.sampler.sample(&mut dice.draws(index)),
                Work::Nanos(nanos) => Span(nanos),
                Work::Size(size) => model.mean.mul_f64(size),
            };
            Upcoming { at, index, demand, client, endpoint }
        }));
        self.next_at = self.batch.first().map_or(Time::MAX, |first| first.at);
    }

    /// Leaves out what would arrive before `until`, by a survey of these very requests; how many that are.
    pub fn leap(&mut self, plan: &Plan, until: Time, survey: &Survey) -> u64 {
        let mut passed = self.pass_batch(until);
        if self.taken < self.batch.len() {
            return passed;
        }
        let place = survey.before(until).place;
        if let Some(arrivals) = &mut self.arrivals
            && let Some(here) = arrivals.place()
            && place.arrivals() > here.arrivals()
        {
            passed += place.arrivals() - here.arrivals();
            arrivals.resume(place);
        }
        loop {
            self.refill(plan);
            passed += self.pass_batch(until);
            if self.taken < self.batch.len() || self.batch.is_empty() {
                return passed;
            }
        }
    }

    /// Leaves out what of the batch would arrive before `until`.
    fn pass_batch(&mut self, until: Time) -> u64 {
        let passed = self.batch[self.taken..].iter().take_while(|upcoming| upcoming.at < until).count();
        self.taken += passed;
        self.next_at = self.batch.get(self.taken).map_or(Time::MAX, |next| next.at);
        passed as u64
    }

    /// Follows all arrivals to their end, and tells `mark` of each where it is looked for, when it comes and its demand. Sources without
    /// [places](Arrivals::place) have nothing to tell.
    pub fn follow(mut self, mut mark: impl FnMut(Place, Time, Span)) {
        let Some(arrivals) = &mut self.arrivals else { return };
        let mut places = [Place::default(); BATCH];
        loop {
            self.bare.clear();
            while self.bare.len() < BATCH
                && let Some(place) = arrivals.place()
                && let Some(arrival) = arrivals.next()
            {
                places[self.bare.len()] = place;
                self.bare.push(arrival);
            }
            if self.bare.is_empty() {
                return;
            }
            for (arrival, place) in self.bare.iter().zip(places) {
                let model = &self.demands[usize::from(self.mix.endpoint(arrival.index))];
                mark(place, arrival.at, model.sampler.sample(&mut self.dice.draws(arrival.index)));
            }
        }
    }

    /// A request that is not planned: `index` says all about it but who asks.
    pub fn unplanned(&self, at: Time, index: u64, client: u32) -> Upcoming {
        let endpoint = self.mix.endpoint(index);
        let demand = self.demands[usize::from(endpoint)].sampler.sample(&mut self.dice.draws(index));
        Upcoming { at, index, demand, client, endpoint }
    }

    /// Mean demand of an endpoint's requests.
    pub fn mean_demand(&self, endpoint: u16) -> Span {
        self.demands[usize::from(endpoint)].mean
    }

    /// The region of a client.
    #[inline]
    pub fn region(&self, client: u32) -> u16 {
        self.population.region(client)
    }

    /// From now on nobody comes.
    pub fn close(&mut self, plan: &Plan) {
        self.arrivals = None;
        self.refill(plan);
    }

    /// What stopped a replay before its end, if anything did.
    pub fn truncation(&self) -> Option<Truncation<'_>> {
        self.arrivals.as_ref().and_then(Arrivals::truncation)
    }
}

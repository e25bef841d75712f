//! Overload control: what to refuse when not everything can be served, and who notices first.
//!
//! ```text
//! client    throttle: stops asking a service that refuses (Google SRE)        hedge: asks twice where one answer is late
//!           retries: whether to try again (budget, tokens), and when (backoff)
//! gateway   limits: so many in flight, pending, retries (Envoy)               concurrency: a limit that follows latency
//!           priority: the least important first (DAGOR)
//! instance  CoDel: sheds what has waited while the queue stands               adaptive LIFO: newest first under overload
//!           deadlines: starts nothing that would be late
//! ```
//!
//! Each part is a state machine of its own, and off unless it is set. What is refused here is a fact of its own
//! ([`Rejection::Shed`]): it feeds no breaker and ejects nobody, and it is demand like any other for the
//! autoscaler.
//!
//! What is absent: cooperation between gateways.

pub mod backoff;
pub mod budget;
pub mod codel;
pub mod concurrency;
pub mod hedge;
pub mod limits;
pub mod priority;
pub mod retries;
pub mod throttle;
pub mod tokens;

use crate::engine::request::{Completion, Outcome, Rejection, Request};
use crate::units::Time;

use concurrency::{End, Limiter};
use limits::{InFlight, Limits};
use priority::Admission;

/// Settings of what a gateway does; an absent part is off.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Fixed limits.
    pub limits: Option<Limits>,
    /// A limit on requests in flight that follows latency.
    pub concurrency: Option<concurrency::Config>,
    /// Shedding by priority.
    pub priority: Option<priority::Config>,
    /// Importance of endpoints, by number, 0 most important; missing ones are 0.
    pub criticality: Vec<u8>,
}

impl Config {
    /// Whether any part is on.
    pub fn is_on(&self) -> bool {
        self.limits.is_some() || self.concurrency.is_some() || self.priority.is_some()
    }
}

/// The gateway's part, which every attempt passes before a breaker and the balancer.
#[derive(Debug)]
pub struct Guard {
    limits: Option<Limits>,
    in_flight: InFlight,
    concurrency: Option<Limiter>,
    priority: Option<Admission>,
    criticality: Vec<u8>,
}

impl Guard {
    /// Nothing is in flight; `seed` is the run's. `None` if no part is on.
    pub fn new(config: &Config, seed: u64) -> Option<Guard> {
        config.is_on().then(|| Guard {
            limits: config.limits,
            in_flight: InFlight::default(),
            concurrency: config.concurrency.map(|c| Limiter::new(c, seed)),
            priority: config.priority.map(Admission::new),
            criticality: config.criticality.clone(),
        })
    }

    /// Lets an attempt in, and counts it as in flight; exactly one [`Guard::ended`] or [`Guard::withdraw`] must follow.
    pub fn admit(&mut self, now: Time, request: &Request) -> Result<(), Rejection> {
        let is_retry = request.attempt > 1;
        if let Some(limits) = &self.limits
            && !limits.admits(&self.in_flight, is_retry)
        {
            return Err(if is_retry { Rejection::Shed } else { Rejection::QueueFull });
        }
        if let Some(priority) = &mut self.priority {
            let business = self.criticality.get(usize::from(request.endpoint)).copied().unwrap_or(0);
            if !priority.admits(now, business, request.client) {
                return Err(Rejection::Shed);
            }
        }
        if let Some(concurrency) = &mut self.concurrency
            && !concurrency.acquire(now)
        {
            return Err(Rejection::Shed);
        }
        self.in_flight.begin(is_retry);
        Ok(())
    }

    /// An admitted attempt went nowhere.
    pub fn withdraw(&mut self, now: Time, is_retry: bool) {
        self.in_flight.end(is_retry);
        if let Some(concurrency) = &mut self.concurrency {
            concurrency.release(now, crate::units::Span::ZERO, End::Ignored);
        }
    }

    /// An admitted attempt ended.
    pub fn ended(&mut self, now: Time, completion: &Completion) {
        self.in_flight.end(completion.is_retry);
        if let Some(concurrency) = &mut self.concurrency {
            let end = match completion.outcome {
                Outcome::Success => End::Sample,
                Outcome::Timeout | Outcome::QueueFull | Outcome::Shed => End::Dropped,
                Outcome::ServerError | Outcome::Connection | Outcome::Abandoned => End::Ignored,
            };
            concurrency.release(now, completion.latency, end);
        }
        if let Some(priority) = &mut self.priority {
            priority.ended(now, completion.outcome, completion.latency);
        }
    }

    /// Admitted attempts that have not ended.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.requests()
    }

    /// The limit on requests in flight that follows latency, as it is; `None` if there is none.
    pub fn limit(&self) -> Option<u32> {
        self.concurrency.as_ref().map(Limiter::limit)
    }
}

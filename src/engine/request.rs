//! The words that drivers and the engine share about one request.
//!
//! A *request* is what a user wanted; it has one or more *attempts*. The engine sees attempts: [`Request`] asks
//! for one, [`Admission`] answers, [`Completion`] tells how a forwarded one ended.

use serde::{Deserialize, Serialize};

use crate::units::{Span, Time};

/// One running copy of the service. Ids count launches and are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceId(pub u32);

/// An attempt that asks to be let in.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Which request of the run this is an attempt of; also the index of its random numbers.
    pub index: u64,
    /// 1 for the first try, 2 for the first retry, …
    pub attempt: u32,
    /// Dense number of the client that asks.
    pub client: u32,
    /// Number of the endpoint asked for, in the order of the scenario.
    pub endpoint: u16,
    /// Number of the client's region, in the order of the scenario.
    pub region: u16,
    /// The instance that failed the previous attempt, to be avoided; `None` on the first try.
    pub avoid: Option<InstanceId>,
}

/// What the engine does with an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Admission {
    /// Send it to an instance, and report its end with the same `permit`.
    Forward {
        /// Where to send it.
        instance: InstanceId,
        /// Ties the completion to the breaker state that let the attempt pass.
        permit: Permit,
    },
    /// Keep it, and ask again when an instance is up ([`crate::engine::Engine::admit_held`]).
    Hold {
        /// How long it may be kept; then it is [`Rejection::NoReadyInstance`].
        until: Time,
    },
    /// Keep it until its time has come, and ask again ([`crate::engine::Engine::admit_delayed`]): its quota lets it in, but later.
    Delay {
        /// When.
        until: Time,
    },
    /// Answer the client now.
    Reject(Rejection),
}

/// The breaker generations under which an attempt was admitted: a result from an older state changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permit(pub u32);

/// Why an attempt was refused without reaching an instance. Each is a different fact, and counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// A quota is used up.
    RateLimited {
        /// How long until the same request would be allowed if nothing else came.
        retry_after: Span,
    },
    /// A circuit breaker is open, or half-open with its probes out.
    BreakerOpen {
        /// When asking again makes sense; `None` while half-open: nobody knows.
        until: Option<Time>,
    },
    /// Nobody to send it to.
    NoReadyInstance,
    /// Every instance holds as many requests as it may.
    QueueFull,
    /// Refused by choice under overload, so that the rest is served in time.
    Shed,
    /// The store of quotas does not answer, and nobody is let in without it.
    QuotaStoreDown,
}

/// How an attempt that was forwarded ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered in time, and not with an error of the server.
    Success,
    /// Answered with a 5xx.
    ServerError,
    /// The client's time ran out.
    Timeout,
    /// Refused or reset connection: the instance crashed or was gone.
    Connection,
    /// The instance's bounded queue was full: a 503 at once.
    QueueFull,
    /// The instance refused it by choice, so that others are served in time: a 503. Feeds no breaker and ejects nobody.
    Shed,
    /// The client went away, or the end says nothing about the instance. Feeds no breaker and no health.
    Abandoned,
}

impl Outcome {
    /// Whether breakers, ejection and error rates count this as a failure of the instance.
    #[inline]
    pub fn is_failure(self) -> bool {
        !matches!(self, Outcome::Success | Outcome::Abandoned | Outcome::Shed)
    }
}

/// How a forwarded attempt ended, told to the engine exactly once per [`Admission::Forward`].
#[derive(Clone, Copy, Debug)]
pub struct Completion {
    /// Where it had been sent.
    pub instance: InstanceId,
    /// What [`Admission::Forward`] carried.
    pub permit: Permit,
    /// The endpoint it asked for.
    pub endpoint: u16,
    /// Whether it was not the request's first attempt.
    pub is_retry: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// From forwarding to the end, as the gateway saw it.
    pub latency: Span,
}

//! Clients: who they are, how long they wait, whether they try again.

use crate::distribution::Distribution;
use crate::engine::overload::backoff::Backoff;
use crate::engine::overload::{budget, tokens};
use crate::traffic::population::ClientsConfig;
use crate::units::Span;

/// Who sends requests, and how patient they are.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// How many there are, how popular, from where.
    pub population: ClientsConfig,
    /// How long a client waits for an attempt's answer; `None`: for ever.
    pub timeout: Option<Span>,
    /// Whether a client that gave up also stops the work it caused: its request leaves the queue, or is cut off in
    /// service. Off by default: most servers finish what nobody waits for.
    pub cancel: bool,
    /// Whether failed attempts are repeated; `None`: never.
    pub retry: Option<Retry>,
}

/// When and how often a client tries again.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Attempts beyond the first, ≥ 1.
    pub max: u32,
    /// How long a client waits before each.
    pub backoff: Backoff,
    /// Whether a client that is told when to come back (`Retry-After` of a 429, or of a breaker's 503) waits for that instead.
    pub honor_retry_after: bool,
    /// What retries are paid with by requests, over all clients; `None`: no budget.
    pub budget: Option<budget::Config>,
    /// Tokens that retries are paid with, over all clients; `None`: none are needed.
    pub tokens: Option<tokens::Config>,
    /// Which ends of an attempt are tried again.
    pub on: RetryOn,
}

/// Which ends of an attempt are tried again; indexed by [`crate::record::outcome::Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn(pub [bool; 8]);

impl Default for RetryOn {
    /// Everything but a used-up quota: a client that retries a 429 at once only wastes its next one.
    fn default() -> RetryOn {
        RetryOn([true, true, true, false, true, true, true, true])
    }
}

/// Closed loop: a fixed number of users, each with one request in flight at most.
#[derive(Clone, Debug)]
pub struct Users {
    /// How many, ≥ 1.
    pub count: u32,
    /// Time between an answer and the next request of the same user.
    pub think: Distribution,
}

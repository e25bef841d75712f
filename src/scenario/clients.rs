//! Clients: who they are, how long they wait, whether they try again.

use crate::distribution::Distribution;
use crate::engine::overload::retries;
use crate::record::outcome::Failure;
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

/// Whether a client tries again.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// When and how often.
    pub policy: retries::Config,
    /// Which ends of an attempt are tried again.
    pub on: RetryOn,
}

/// Which ends of an attempt are tried again; indexed by [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn(pub [bool; 8]);

impl RetryOn {
    /// Whether an attempt that ended so is tried again.
    #[inline]
    pub fn includes(&self, failure: Failure) -> bool {
        self.0[failure as usize]
    }
}

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

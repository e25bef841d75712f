//! Holding requests at the gateway while there is no instance to send them to, or none with room.
//!
//! What makes scaling to zero possible: a request that comes while nobody is there waits, for a bounded time and among a bounded
//! number, until an instance is up. That wait is the *cold start*, and its latency counts it. The activator of Knative and the
//! interceptor of KEDA's HTTP add-on do this.
//!
//! The activator does more: while it is in the path of requests, it gives no instance more than its concurrency allows, and keeps the
//! others. Such a wait is no event: under load it begins and ends many times a second.
//!
//! The engine counts; the driver keeps the requests themselves, in the order in which they came, and asks again.

use crate::engine::events::{Event, EventKind};
use crate::units::{Span, Time};

/// How many requests are held, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The most requests that wait at once, at least 1; default 10,000. What comes on top is refused.
    pub requests: u32,
    /// How long one waits at most, above 0; default 5 min. Then it is refused.
    pub timeout: Span,
}

impl Default for Config {
    fn default() -> Config {
        Config { requests: 10_000, timeout: Span::from_mins(5) }
    }
}

/// The requests that are held.
#[derive(Clone, Debug)]
pub struct Hold {
    config: Config,
    waiting: u32,
    /// Whether these waits began for want of any instance.
    cold: bool,
    /// Since the first of those that wait came, and how many came and left unserved since.
    began: Time,
    came: u32,
    left: u32,
}

impl Hold {
    /// Nobody waits.
    pub fn new(config: Config) -> Hold {
        Hold { config, waiting: 0, cold: false, began: Time::ZERO, came: 0, left: 0 }
    }

    /// Requests that wait.
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Takes one more in, `cold` if there is no instance at all; until when it may wait, or `None` if there is no room.
    pub fn enter(&mut self, now: Time, cold: bool, events: &mut Vec<Event>) -> Option<Time> {
        if self.waiting >= self.config.requests {
            return None;
        }
        if self.waiting == 0 {
            self.cold = false;
        }
        if cold && !self.cold {
            (self.cold, self.began, self.came, self.left) = (true, now, self.waiting, 0);
            let cause = "no instance to send it to".to_string();
            events.push(Event { at: now, kind: EventKind::HoldBegan, cause });
        }
        self.waiting += 1;
        self.came += 1;
        Some(now.saturating_add(self.config.timeout))
    }

    /// One is sent on.
    pub fn forward(&mut self, now: Time, events: &mut Vec<Event>) {
        self.leave(now, events);
    }

    /// One gives up, or has waited too long.
    pub fn abandon(&mut self, now: Time, events: &mut Vec<Event>) {
        self.left += 1;
        self.leave(now, events);
    }

    fn leave(&mut self, now: Time, events: &mut Vec<Event>) {
        debug_assert!(self.waiting > 0, "who leaves has come");
        self.waiting -= 1;
        if self.waiting == 0 && self.cold {
            let (requests, abandoned, lasted) = (self.came, self.left, now.since(self.began));
            let cause = match abandoned {
                0 => format!("cold start: {requests} requests held, the first for {lasted}"),
                _ => format!("cold start: {requests} requests held for up to {lasted}, {abandoned} of them in vain"),
            };
            let kind = EventKind::HoldEnded { requests, abandoned, lasted };
            events.push(Event { at: now, kind, cause });
        }
    }
}

//! Rate limiting: quotas per client, endpoint, region, or for everybody.
//!
//! | algorithm | most requests in any window W | state per key |
//! |---|---|---|
//! | `fixed_window` | 2L: L at the end of one window, L at the start of the next | 2 words |
//! | `sliding_log` | L, exactly | a word per accepted request |
//! | `sliding_window` | below 2L: the old window is assumed to have been evenly filled (Cloudflare 2017) | 3 words |
//! | `sub_windows` | L, exactly; sustains L/(1 + 1/k) | k + 1 words |
//! | `token_bucket`, `gcra` | burst + L | 2 words |
//!
//! Integers only: fractions are kept by scaling, for a limiter in floating point drifts. A refused request changes no
//! state, so a client that polls is not locked out for ever. A window that ends at t is `(t − W, t]`. Keys are dense numbers;
//! the table grows with the largest one seen.
//!
//! What is absent: the mapping from addresses to keys, stores shared between gateways, several rules at once.

mod fixed_window;
mod gcra;
mod sliding_log;
mod sliding_window;
mod sub_windows;

use crate::engine::request::Request;
use crate::units::{Span, Time};

use fixed_window::FixedWindow;
use gcra::Gcra;
use sliding_log::SlidingLog;
use sliding_window::SlidingWindow;
use sub_windows::SubWindows;

/// How requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// A counter that starts over at every multiple of the window.
    FixedWindow,
    /// The times of all accepted requests in the window.
    SlidingLog,
    /// Two counters, the older one weighted by how much of it the sliding window still covers.
    SlidingWindow,
    /// k + 1 counters of a k-th of the window; the oldest counts in full.
    SubWindows,
    /// A bucket that refills steadily; the same decisions as GCRA.
    TokenBucket,
    /// Generic cell rate algorithm (ITU-T I.371): one theoretical arrival time.
    Gcra,
}

impl Algorithm {
    /// Every algorithm with its name in scenario files.
    pub const ALL: [(&'static str, Algorithm); 6] = [
        ("fixed_window", Algorithm::FixedWindow),
        ("sliding_log", Algorithm::SlidingLog),
        ("sliding_window", Algorithm::SlidingWindow),
        ("sub_windows", Algorithm::SubWindows),
        ("token_bucket", Algorithm::TokenBucket),
        ("gcra", Algorithm::Gcra),
    ];
}

/// Whose requests share a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Each client has its own.
    Client,
    /// Each endpoint has its own.
    Endpoint,
    /// Each region has its own.
    Region,
    /// There is one.
    Global,
}

impl Key {
    /// Every key with its name in scenario files.
    pub const ALL: [(&'static str, Key); 4] =
        [("client", Key::Client), ("endpoint", Key::Endpoint), ("region", Key::Region), ("global", Key::Global)];

    /// The number that `request` counts under.
    #[inline]
    pub fn of(self, request: &Request) -> u32 {
        match self {
            Key::Client => request.client,
            Key::Endpoint => u32::from(request.endpoint),
            Key::Region => u32::from(request.region),
            Key::Global => 0,
        }
    }
}

/// A quota.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How requests are counted.
    pub algorithm: Algorithm,
    /// Whose requests share the quota.
    pub key: Key,
    /// Requests per window, ≥ 1.
    pub limit: u32,
    /// The window, > 0.
    pub window: Span,
    /// Requests at once for `token_bucket` and `gcra`, ≥ 1; `None`: `limit`.
    pub burst: Option<u32>,
    /// Parts of the window for `sub_windows`, ≥ 1. Default 60.
    pub parts: u32,
}

/// A decision with everything a client may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request may pass.
    pub allowed: bool,
    /// Requests that could pass at once with a full quota.
    pub limit: u32,
    /// Requests of cost 1 that would be allowed right now, after this one.
    pub remaining: u32,
    /// The smallest wait after which the same request would be allowed if nothing else came; zero if it is allowed, `None` if it
    /// costs more than the limit and never can be.
    pub retry_after: Option<Span>,
    /// Time until the full quota is back if nothing else comes.
    pub reset_after: Span,
}

/// The counters of one algorithm. Each remembers the newest time of a key, so that time never runs backwards for it.
trait Counter {
    /// Room for `key`.
    fn grow(&mut self, keys: usize);
    /// Counts `cost` ≥ 0 at `now` if it fits; else the wait after which it would.
    fn admit(&mut self, now: Time, key: usize, cost: u32) -> Result<(), Span>;
    /// Requests of cost 1 that would be allowed at `now`.
    fn remaining(&self, now: Time, key: usize) -> u32;
    /// Time until the key is as good as new.
    fn reset_after(&self, now: Time, key: usize) -> Span;
}

#[derive(Clone, Debug)]
enum Counters {
    FixedWindow(FixedWindow),
    SlidingLog(SlidingLog),
    SlidingWindow(SlidingWindow),
    SubWindows(SubWindows),
    Gcra(Gcra),
}

/// Applies a quota.
#[derive(Clone, Debug)]
pub struct Limiter {
    counters: Counters,
    /// Most that can ever pass at once.
    capacity: u32,
    keys: usize,
}

macro_rules! each {
    ($counters:expr, $c:ident => $call:expr) => {
        match $counters {
            Counters::FixedWindow($c) => $call,
            Counters::SlidingLog($c) => $call,
            Counters::SlidingWindow($c) => $call,
            Counters::SubWindows($c) => $call,
            Counters::Gcra($c) => $call,
        }
    };
}

impl Limiter {
    /// Full quotas for `keys` keys; more are added when they show up.
    pub fn new(config: &Config, keys: usize) -> Limiter {
        let (limit, window) = (config.limit.max(1), Span(config.window.0.max(1)));
        let burst = config.burst.unwrap_or(limit).max(1);
        let (counters, capacity) = match config.algorithm {
            Algorithm::FixedWindow => (Counters::FixedWindow(FixedWindow::new(limit, window)), limit),
            Algorithm::SlidingLog => (Counters::SlidingLog(SlidingLog::new(limit, window)), limit),
            Algorithm::SlidingWindow => (Counters::SlidingWindow(SlidingWindow::new(limit, window)), limit),
            Algorithm::SubWindows => (Counters::SubWindows(SubWindows::new(limit, window, config.parts)), limit),
            Algorithm::TokenBucket | Algorithm::Gcra => (Counters::Gcra(Gcra::new(limit, window, burst)), burst),
        };
        let mut limiter = Limiter { counters, capacity, keys: 0 };
        limiter.grow(keys.max(1));
        limiter
    }

    /// Lets a request of cost 1 pass, or says after which wait it would.
    #[inline]
    pub fn admit(&mut self, now: Time, key: u32) -> Result<(), Span> {
        if key as usize >= self.keys {
            self.grow((key as usize + 1).next_power_of_two());
        }
        each!(&mut self.counters, counter => counter.admit(now, key as usize, 1))
    }

    /// Decides on a request of any cost, with everything a client may be told.
    pub fn check(&mut self, now: Time, key: u32, cost: u32) -> Verdict {
        if key as usize >= self.keys {
            self.grow((key as usize + 1).next_power_of_two());
        }
        let i = key as usize;
        let answer = match cost > self.capacity {
            true => None,
            false => Some(each!(&mut self.counters, counter => counter.admit(now, i, cost))),
        };
        Verdict {
            allowed: answer == Some(Ok(())),
            limit: self.capacity,
            remaining: each!(&self.counters, counter => counter.remaining(now, i)),
            retry_after: answer.map(|answer| answer.err().unwrap_or(Span::ZERO)),
            reset_after: each!(&self.counters, counter => counter.reset_after(now, i)),
        }
    }

    #[cold]
    fn grow(&mut self, keys: usize) {
        each!(&mut self.counters, counter => counter.grow(keys));
        self.keys = keys;
    }
}

#[cfg(test)]
mod tests;

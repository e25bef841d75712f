//! Rate limiter: so many requests in so much time, for each key.
//!
//! For a limit L in a window W:
//!
//! ```text
//! algorithm       state of a key            most in any interval of length W      source
//! fixed_window    one counter               2L: L at an end, L at a start         reset at multiples of W, or the first request
//! sliding_log     times of what it let in   L                                     exact
//! sliding_window  two counters              < 2L; L if the past was even          Cloudflare (2017)
//! sub_windows     k + 1 counters            L, for a sustained L / (1 + 1/k)      the oldest part counts in full
//! interpolated    k + 1 counters            < 2L; L in any W − W/k                the oldest part counts by its share
//! token_bucket    } one moment, the         B + L, for bursts of B                Turner (1986)
//! gcra            } same arithmetic         the same                              ITU-T I.371
//! leaky_bucket    one excess                B + 1 + L, for B beyond the rate      NGINX limit_req, nodelay
//! ```
//!
//! - **Integers only.** Fractions are kept by scaling, so that 7 per second is 7 per second after a year.
//! - **A refused request changes nothing.** Charging refusals locks a client that polls out for ever; the frequency counter does as HAProxy
//!   does, and a sliding window where [`Config::charge_rejected`] asks for it.
//! - **Time never runs backwards for a key**: a `now` smaller than that of its last request let in counts as that one.
//! - **Refusals help**: `retry_after` is the smallest wait after which the same request is let in if nothing else comes.
//!
//! Keys are dense numbers, so their state is one flat `Vec`; asking costs a handful of instructions and allocates
//! nothing, but for a log that grows.
//!
//! Several rules at once, costs, and gateways that share a store are in [`hierarchy`] and [`shared`]; a store that is really there in
//! [`outside`]; the values of response headers in [`headers`].
//!
//! Where callers choose who they are, [`keys`] finds a dense number for a name in bounded memory; a simulated client has one.
//!
//! What is absent: a clock, authentication.

mod fixed_window;
mod frequency_counter;
mod gcra;
pub mod headers;
pub mod hierarchy;
mod interpolated;
pub mod keys;
mod leaky_bucket;
pub mod line;
pub mod outside;
pub mod shared;
mod sliding_log;
mod sliding_window;
mod sub_windows;
mod warm_up;

use crate::engine::request::Request;
use crate::units::{Span, Time};

use fixed_window::FixedWindow;
use frequency_counter::FrequencyCounter;
use gcra::Gcra;
use interpolated::Interpolated;
use leaky_bucket::LeakyBucket;
use sliding_log::SlidingLog;
use sliding_window::SlidingWindow;
use sub_windows::SubWindows;
use warm_up::WarmUp;

/// How requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// A counter that starts again with every window; with a burst, tokens that arrive in steps.
    FixedWindow,
    /// The time of every request let in; exact, at 8 bytes for each of them in the window (12 where costs differ from 1).
    SlidingLog,
    /// Two counters; assumes that the previous window was evenly filled.
    SlidingWindow,
    /// A counter for each part of the window; the oldest, partly expired one counts in full.
    SubWindows,
    /// The same, but the oldest part counts by the share of it that is in sight.
    InterpolatedSubWindows,
    /// Tokens that arrive continuously, up to the burst.
    TokenBucket,
    /// The generic cell rate algorithm; decides as [`Algorithm::TokenBucket`] does.
    Gcra,
    /// How much more was sent than the rate, which leaks: NGINX's `limit_req`, to its whole milliseconds.
    LeakyBucket,
    /// Two counters of everything that was asked for, refused or not: HAProxy's.
    FrequencyCounter,
    /// A rate that is a third of itself after idling, and whole after a while of use: Guava's.
    WarmUp,
}

impl Algorithm {
    /// Every algorithm with its name in scenario files.
    pub const ALL: [(&'static str, Algorithm); 10] = [
        ("fixed_window", Algorithm::FixedWindow),
        ("sliding_log", Algorithm::SlidingLog),
        ("sliding_window", Algorithm::SlidingWindow),
        ("sub_windows", Algorithm::SubWindows),
        ("interpolated_sub_windows", Algorithm::InterpolatedSubWindows),
        ("token_bucket", Algorithm::TokenBucket),
        ("gcra", Algorithm::Gcra),
        ("leaky_bucket", Algorithm::LeakyBucket),
        ("frequency_counter", Algorithm::FrequencyCounter),
        ("warm_up", Algorithm::WarmUp),
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
    /// There is one for all.
    Global,
}

impl Key {
    /// Every key with its name in scenario files.
    pub const ALL: [(&'static str, Key); 4] =
        [("client", Key::Client), ("endpoint", Key::Endpoint), ("region", Key::Region), ("global", Key::Global)];

    /// The number of the quota that `request` is counted against.
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

/// When a fixed window begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WindowStart {
    /// At every multiple of its length: everybody's ends at once.
    #[default]
    Aligned,
    /// With the first request let in after the one before ended: each key has its own.
    FirstRequest,
}

impl WindowStart {
    /// Every start with its name in scenario files.
    pub const ALL: [(&'static str, WindowStart); 2] =
        [("aligned", WindowStart::Aligned), ("first_request", WindowStart::FirstRequest)];
}

/// Which estimate of a sliding window is held against the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// The one with the request in it: estimate + cost <= L.
    #[default]
    AfterAdding,
    /// The one without it: estimate < L, which lets up to one more in.
    BeforeAdding,
}

impl Compare {
    /// Every way with its name in scenario files.
    pub const ALL: [(&'static str, Compare); 2] =
        [("after_adding", Compare::AfterAdding), ("before_adding", Compare::BeforeAdding)];
}

/// What is allowed, to whom, and how it is counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How requests are counted.
    pub algorithm: Algorithm,
    /// Whose requests share a quota.
    pub key: Key,
    /// Requests per window, at least 1 (0 counts as 1).
    pub limit: u32,
    /// Length of the window, more than zero (zero counts as 1 ns).
    pub window: Span,
    /// Token bucket and GCRA: how many may come at once, at least 1 (0 counts as 1); `None`: `limit`. Fixed window, aligned: the same, for
    /// which what a window leaves unused is kept; `None`: nothing is. Leaky bucket: how many may come beyond the one that conforms;
    /// `None`: 0, as NGINX has it.
    pub burst: Option<u32>,
    /// Parts of the window, 1..=[`Config::MAX_PARTS`] (counts as the nearer end outside). Few refuse more than needed,
    /// many take 4 bytes each for every key. Sub-windows only.
    pub parts: u32,
    /// Leaky bucket only: how many beyond the one that conforms pass at once; the others wait until they conform. 0 is NGINX's default;
    /// `None`: nobody waits, its `nodelay`.
    pub delay: Option<u32>,
    /// Warm-up only: from cold to warm; `None` counts as `window`.
    pub warm_up: Option<Span>,
    /// Fixed window only.
    pub window_start: WindowStart,
    /// Sliding window only.
    pub compare: Compare,
    /// Sliding window compared before adding only: whether what it refuses is counted as well, so that who goes on asking stays out.
    pub charge_rejected: bool,
}

impl Config {
    /// `limit` requests per `window`, the rest as it is where nothing is said.
    pub fn new(algorithm: Algorithm, key: Key, limit: u32, window: Span) -> Config {
        Config {
            algorithm,
            key,
            limit,
            window,
            burst: None,
            parts: Config::DEFAULT_PARTS,
            delay: None,
            warm_up: None,
            window_start: WindowStart::default(),
            compare: Compare::default(),
            charge_rejected: false,
        }
    }

    /// The usual number of parts: the sustained rate is 98.4% of the limit, for 244 bytes a key.
    pub const DEFAULT_PARTS: u32 = 60;
    /// The most parts; 10,000 sustain 99.99% of the limit.
    pub const MAX_PARTS: u32 = 10_000;
}

/// The answer to a request, with what a client may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may pass.
    pub allowed: bool,
    /// The most that can ever be let in at once: the burst of a token bucket, GCRA or fixed window, one more than that of a leaky bucket, else
    /// the limit (under a warm-up at once and at the expense of what comes next).
    pub limit: u32,
    /// How many requests of cost 1 would be let in right after this one.
    pub remaining: u32,
    /// How long until the same request would be let in if nothing else came, zero when it is; `None`: never, it costs
    /// more than `limit`.
    pub retry_after: Option<Span>,
    /// How long until `remaining` is `limit` again if nothing else comes.
    pub reset_after: Span,
}

/// The quotas of all keys.
#[derive(Clone, Debug)]
pub struct Limiter {
    quotas: Quotas,
}

#[derive(Clone, Debug)]
enum Quotas {
    FixedWindow(Table<FixedWindow>),
    SlidingLog(Table<SlidingLog>),
    SlidingWindow(Table<SlidingWindow>),
    SubWindows(Table<SubWindows>),
    Interpolated(Table<Interpolated>),
    Gcra(Table<Gcra>),
    LeakyBucket(Table<LeakyBucket>),
    FrequencyCounter(Table<FrequencyCounter>),
    WarmUp(Table<WarmUp>),
}

impl Limiter {
    /// A limiter with full quotas for the keys 0..`keys`. A larger key makes the table grow up to it.
    pub fn new(config: &Config, keys: usize) -> Limiter {
        let limit = config.limit.max(1);
        let window = config.window.0.max(1);
        let quotas = match config.algorithm {
            Algorithm::FixedWindow => {
                let start = config.window_start;
                let burst = match start {
                    WindowStart::Aligned => config.burst.unwrap_or(limit).max(1),
                    WindowStart::FirstRequest => limit,
                };
                Quotas::FixedWindow(Table::new(FixedWindow { limit, window, burst, start }, keys))
            }
            Algorithm::SlidingLog => Quotas::SlidingLog(Table::new(SlidingLog { limit, window }, keys)),
            Algorithm::SlidingWindow if config.compare == Compare::BeforeAdding => {
                let start = WindowStart::Aligned;
                let counter = FrequencyCounter { limit, period: window, start, charges: config.charge_rejected };
                Quotas::FrequencyCounter(Table::new(counter, keys))
            }
            Algorithm::SlidingWindow => Quotas::SlidingWindow(Table::new(SlidingWindow { limit, window }, keys)),
            Algorithm::SubWindows => {
                Quotas::SubWindows(Table::new(SubWindows::new(limit, window, config.parts), keys))
            }
            Algorithm::InterpolatedSubWindows => {
                Quotas::Interpolated(Table::new(Interpolated::new(limit, window, config.parts), keys))
            }
            Algorithm::TokenBucket | Algorithm::Gcra => {
                let burst = config.burst.unwrap_or(limit).max(1);
                Quotas::Gcra(Table::new(Gcra { limit, window, burst }, keys))
            }
            Algorithm::LeakyBucket => {
                let bucket = LeakyBucket::new(limit, window, config.burst.unwrap_or(0), config.delay);
                Quotas::LeakyBucket(Table::new(bucket, keys))
            }
            Algorithm::FrequencyCounter => {
                let start = WindowStart::FirstRequest;
                let counter = FrequencyCounter { limit, period: window, start, charges: true };
                Quotas::FrequencyCounter(Table::new(counter, keys))
            }
            Algorithm::WarmUp => {
                let warm_up = config.warm_up.map_or(window, |warm_up| warm_up.0);
                Quotas::WarmUp(Table::new(WarmUp::new(limit, window, warm_up), keys))
            }
        };
        Limiter { quotas }
    }

    /// Lets a request of cost 1 in, or says how long until it would be if nothing else came.
    ///
    /// Measured on two busy cores, with the loop around it (3 ns): 6 to 12 ns for one key, 22 for the log; among 10,000
    /// keys at random 7 to 27 ns, where memory of its own per key costs sub-windows 55 and the log 150.
    #[inline]
    pub fn admit(&mut self, now: Time, key: u32) -> Result<(), Span> {
        match &mut self.quotas {
            Quotas::FixedWindow(table) => table.admit(now, key),
            Quotas::SlidingLog(table) => table.admit(now, key),
            Quotas::SlidingWindow(table) => table.admit(now, key),
            Quotas::SubWindows(table) => table.admit(now, key),
            Quotas::Interpolated(table) => table.admit(now, key),
            Quotas::Gcra(table) => table.admit(now, key),
            Quotas::LeakyBucket(table) => table.admit(now, key),
            Quotas::FrequencyCounter(table) => table.admit(now, key),
            Quotas::WarmUp(table) => table.admit(now, key),
        }
    }

    /// How long what `key` was let in with last has to wait before it goes on: zero but for a leaky bucket with a delay.
    pub fn delay(&self, key: u32) -> Span {
        match &self.quotas {
            Quotas::LeakyBucket(table) => {
                table.states.get(key as usize).map_or(Span::ZERO, |state| table.rule.delay(state))
            }
            _ => Span::ZERO,
        }
    }

    /// Whether nothing of a key's quota is used: whether it could as well be forgotten.
    pub fn is_idle(&mut self, now: Time, key: u32) -> bool {
        self.check(now, key, 0).reset_after.is_zero()
    }

    /// Lets a request of any cost in or not, and tells the state of its quota. A cost of 0 asks without taking.
    pub fn check(&mut self, now: Time, key: u32, cost: u32) -> Verdict {
        match &mut self.quotas {
            Quotas::FixedWindow(table) => table.check(now, key, cost),
            Quotas::SlidingLog(table) => table.check(now, key, cost),
            Quotas::SlidingWindow(table) => table.check(now, key, cost),
            Quotas::SubWindows(table) => table.check(now, key, cost),
            Quotas::Interpolated(table) => table.check(now, key, cost),
            Quotas::Gcra(table) => table.check(now, key, cost),
            Quotas::LeakyBucket(table) => table.check(now, key, cost),
            Quotas::FrequencyCounter(table) => table.check(now, key, cost),
            Quotas::WarmUp(table) => table.check(now, key, cost),
        }
    }
}

/// An algorithm with its numbers, and what it keeps for each key. Times and waits are in nanoseconds.
trait Rule {
    type State;

    /// The state of a key that never asked.
    fn fresh(&self) -> Self::State;

    /// The largest cost that can succeed.
    fn capacity(&self) -> u32;

    /// Takes a cost of 1..=capacity, or says how long until it could be taken and changes nothing (but see the frequency counter).
    fn take(&self, state: &mut Self::State, now: u64, cost: u32) -> Result<(), u64>;

    /// What is left, without taking any.
    fn left(&self, state: &Self::State, now: u64) -> Left;
}

/// What is left of a quota.
#[derive(Debug)]
struct Left {
    /// Requests of cost 1 that would be let in at once.
    remaining: u32,
    /// Until nothing is used any more [ns].
    reset_after: u64,
}

/// One rule and the state of all keys.
#[derive(Clone, Debug)]
struct Table<R: Rule> {
    rule: R,
    states: Vec<R::State>,
}

impl<R: Rule> Table<R> {
    fn new(rule: R, keys: usize) -> Table<R> {
        let states = (0..keys).map(|_| rule.fresh()).collect();
        Table { rule, states }
    }

    #[inline]
    fn admit(&mut self, now: Time, key: u32) -> Result<(), Span> {
        let key = key as usize;
        if key >= self.states.len() {
            self.grow(key);
        }
        self.rule.take(&mut self.states[key], now.0, 1).map_err(Span)
    }

    fn check(&mut self, now: Time, key: u32, cost: u32) -> Verdict {
        let key = key as usize;
        if key >= self.states.len() {
            self.grow(key);
        }
        let state = &mut self.states[key];
        let limit = self.rule.capacity();
        let taken = match cost {
            0 => Ok(()),
            _ if cost > limit => Err(None),
            _ => self.rule.take(state, now.0, cost).map_err(Some),
        };
        let Left { remaining, reset_after } = self.rule.left(state, now.0);
        Verdict {
            allowed: taken.is_ok(),
            limit,
            remaining,
            retry_after: taken.err().unwrap_or(Some(0)).map(Span),
            reset_after: Span(reset_after),
        }
    }

    #[cold]
    fn grow(&mut self, key: usize) {
        self.states.resize_with(key + 1, || self.rule.fresh());
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

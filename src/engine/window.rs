//! Counting the recent past: the last N calls, or the last so many seconds. The one place rates are computed.
//!
//! A [`History`] answers "how many calls, how many failed, how many were slow" ([`Tally`]) for a [`Window`].
//! Both kinds keep running totals, so that reading is free and recording costs a few instructions:
//!
//! ```text
//! calls   a ring of two bits a call; the outcome that falls out is subtracted       (window/calls.rs)
//! time    n buckets aligned to multiples of span / n, the current one partial:      (window/time.rs)
//!         the window covers between span − span / n and span
//! ```
//!
//! A rate is compared in whole parts per million, `part · 1,000,000 >= rate · total`, so that no rounding of a float
//! decides anything, and nothing is divided.
//!
//! Exponentially weighted averages per call are absent on purpose: their memory in seconds shrinks as the rate of
//! calls grows, so that one outage would be judged differently at low and at high traffic (Linkerd replaced them by
//! exact buckets in its success-rate breaker for that reason).

mod calls;
mod maximum;
mod time;

use std::fmt;
use std::ops::{Add, Sub};

use crate::units::{Span, Time};

pub use calls::CallRing;
pub use maximum::SlidingMaximum;
pub use time::TimeBuckets;

/// A share in parts per million, 0..=1,000,000; [`Ppm::NEVER`] is above every share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ppm(u32);

impl Ppm {
    /// A threshold that no share reaches; "off".
    pub const NEVER: Ppm = Ppm(u32::MAX);

    /// `ratio` (0..1) to the nearest millionth; outside values count as the nearer end, NaN as 0.
    pub fn from_ratio(ratio: f64) -> Ppm {
        Ppm(((ratio * 1e6 + 0.5) as u32).min(1_000_000))
    }

    /// The share as 0..1.
    pub fn as_ratio(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    /// Whether `part / total >= self`, exactly; with a `total` of 0 it is true.
    #[inline]
    pub fn is_reached(self, part: u32, total: u32) -> bool {
        u64::from(part) * 1_000_000 >= u64::from(self.0) * u64::from(total)
    }

    /// The smallest part of `total` that reaches this share; `u32::MAX` for [`Ppm::NEVER`].
    pub fn part_of(self, total: u32) -> u32 {
        if self == Ppm::NEVER {
            return u32::MAX;
        }
        (u64::from(self.0) * u64::from(total)).div_ceil(1_000_000) as u32
    }
}

impl fmt::Display for Ppm {
    /// As a percentage without needless zeros: `50%`, `12.5%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 1e4)
    }
}

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that ended, at most 2³² − 2: further ones are not counted.
    pub calls: u32,
    /// Those that failed.
    pub failures: u32,
    /// Those that were slow, failed or not.
    pub slow: u32,
}

impl Tally {
    /// One below `u32::MAX`, so that a count threshold of `u32::MAX` means never.
    const FULL: u32 = u32::MAX - 1;

    /// Counts one more call.
    #[inline]
    pub fn count(&mut self, failed: bool, slow: bool) {
        if self.calls < Tally::FULL {
            self.calls += 1;
            self.failures += u32::from(failed);
            self.slow += u32::from(slow);
        }
    }

    /// Failures over calls [0..1]; `None` without calls.
    pub fn failure_ratio(self) -> Option<f64> {
        (self.calls > 0).then(|| f64::from(self.failures) / f64::from(self.calls))
    }

    /// Slow calls over calls [0..1]; `None` without calls.
    pub fn slow_ratio(self) -> Option<f64> {
        (self.calls > 0).then(|| f64::from(self.slow) / f64::from(self.calls))
    }
}

impl Add for Tally {
    type Output = Tally;
    fn add(self, other: Tally) -> Tally {
        Tally {
            calls: self.calls + other.calls,
            failures: self.failures + other.failures,
            slow: self.slow + other.slow,
        }
    }
}

impl Sub for Tally {
    type Output = Tally;
    fn sub(self, other: Tally) -> Tally {
        Tally {
            calls: self.calls - other.calls,
            failures: self.failures - other.failures,
            slow: self.slow - other.slow,
        }
    }
}

/// How much of the past counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The last so many calls, 1..=[`Window::MAX_CALLS`].
    Calls(u32),
    /// The last so much time.
    Time {
        /// Length; the part of the oldest bucket that still lies inside is already forgotten.
        span: Span,
        /// Number of buckets, 1..=[`Window::MAX_BUCKETS`]. More forget more smoothly, at 12 bytes each.
        buckets: u32,
    },
}

impl Window {
    /// Longest window of calls; a longer one is cut to it. Its ring takes a quarter of a megabyte.
    pub const MAX_CALLS: u32 = 1 << 20;
    /// Most buckets; more are cut to it.
    pub const MAX_BUCKETS: u32 = 10_000;
}

impl fmt::Display for Window {
    /// To be read after "in": `the last 100 calls`, `10s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Window::Calls(n) => write!(f, "the last {n} calls"),
            Window::Time { span, .. } => span.fmt(f),
        }
    }
}

/// The calls of a [`Window`], counted.
#[derive(Clone, Debug)]
pub enum History {
    /// Of the last so many calls.
    Calls(CallRing),
    /// Of the last so much time.
    Time(TimeBuckets),
}

impl History {
    /// An empty history.
    pub fn new(window: Window) -> History {
        match window {
            Window::Calls(size) => History::Calls(CallRing::new(size)),
            Window::Time { span, buckets } => History::Time(TimeBuckets::new(span, buckets)),
        }
    }

    /// Counts a call that ended at `now`; a `now` before the current bucket counts in the current bucket.
    #[inline]
    pub fn record(&mut self, now: Time, failed: bool, slow: bool) {
        match self {
            History::Calls(ring) => ring.record(failed, slow),
            History::Time(buckets) => buckets.record(now, failed, slow),
        }
    }

    /// Counts a good call if that takes no thought: [`CallRing::record_among_good`]. Whether it was counted.
    #[inline(always)]
    pub fn record_among_good(&mut self) -> bool {
        match self {
            History::Calls(ring) => ring.record_among_good(),
            History::Time(_) => false,
        }
    }

    /// What the window held right after the last [`History::record`].
    #[inline]
    pub fn total(&self) -> Tally {
        match self {
            History::Calls(ring) => ring.total(),
            History::Time(buckets) => buckets.total(),
        }
    }

    /// What the window holds at `now`; O(buckets).
    pub fn total_at(&self, now: Time) -> Tally {
        match self {
            History::Calls(ring) => ring.total(),
            History::Time(buckets) => buckets.total_at(now),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        match self {
            History::Calls(ring) => ring.clear(),
            History::Time(buckets) => buckets.clear(),
        }
    }

    /// Where the last recorded call stands: its number since the last clear (from 1), or that of its bucket.
    pub fn position(&self) -> u64 {
        match self {
            History::Calls(ring) => ring.seen(),
            History::Time(buckets) => buckets.position(),
        }
    }

    /// The oldest position that still counts.
    pub fn oldest_position(&self) -> u64 {
        match self {
            History::Calls(ring) => ring.seen() + 1 - u64::from(ring.total().calls),
            History::Time(buckets) => buckets.oldest_position(),
        }
    }
}

#[cfg(test)]
mod tests;

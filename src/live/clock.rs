//! The clock: the only place in the library that asks what time it is.
//!
//! The engine counts from the moment the run began ([`Time`]); [`Clock`] turns the computer's steady clock into that, and that into the
//! dates that people read. Dates follow from the date at the beginning and the steady clock since, so that they never jump.

#![expect(clippy::disallowed_methods, reason = "this is where live time comes from")]

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use crate::units::{Span, Time};

/// Time since a run began.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    date: Timestamp,
}

impl Clock {
    /// A clock at zero.
    pub fn start() -> Clock {
        Clock { began: Instant::now(), date: Timestamp::now() }
    }

    /// A clock that starts at a date, for several machines to start at once, and how late it did. It looks twice a millisecond at the end, as
    /// timers wake too late; `goes_on` says every 20 ms whether it is still to wait.
    pub async fn start_at(date: Timestamp, goes_on: impl Fn() -> bool) -> (Clock, SignedDuration) {
        const LOOK: SignedDuration = SignedDuration::from_millis(20);
        const CLOSE: SignedDuration = SignedDuration::from_millis(3);
        loop {
            let left = date.duration_since(Timestamp::now());
            if !goes_on() || left <= SignedDuration::ZERO {
                let clock = Clock::start();
                return (clock, clock.date.duration_since(date));
            }
            if left > CLOSE {
                let sleep = (left - CLOSE).min(LOOK);
                tokio::time::sleep(sleep.unsigned_abs()).await;
            } else {
                std::hint::spin_loop();
            }
        }
    }

    /// How long it has run.
    pub fn now(&self) -> Time {
        Time(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// What this clock shows when `other` shows `at`; zero if that was before it began.
    pub fn translated(&self, other: &Clock, at: Time) -> Time {
        let later = self.began.saturating_duration_since(other.began).as_nanos();
        let earlier = other.began.saturating_duration_since(self.began).as_nanos();
        let nanos = u128::from(at.0) + earlier;
        Time(u64::try_from(nanos.saturating_sub(later)).unwrap_or(u64::MAX))
    }

    /// The date and time of day of a moment \[ns after the Unix epoch\].
    pub fn unix_nanos(&self, at: Time) -> u64 {
        u64::try_from(self.date.as_nanosecond()).unwrap_or(0).saturating_add(at.0)
    }

    /// The moment for timers; [`Time::MAX`] is in thirty years.
    pub fn instant(&self, at: Time) -> tokio::time::Instant {
        const FAR: Span = Span::from_secs(30 * 365 * 86_400);
        let after = std::time::Duration::from_nanos(at.0.min(FAR.0));
        tokio::time::Instant::from_std(self.began + after)
    }

    /// The date and time of day of a moment, RFC 3339 with milliseconds.
    pub fn date(&self, at: Time) -> String {
        let since = SignedDuration::from_nanos(i64::try_from(at.0).unwrap_or(i64::MAX));
        let date = self.date.checked_add(since).unwrap_or(Timestamp::MAX);
        format!("{date:.3}")
    }
}

/// A span as the standard library has it.
pub fn duration(span: Span) -> std::time::Duration {
    std::time::Duration::from_nanos(span.0)
}

/// This moment, for timers.
pub fn instant() -> tokio::time::Instant {
    tokio::time::Instant::from_std(Instant::now())
}

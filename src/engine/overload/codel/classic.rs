//! Classic CoDel (Nichols, Jacobson 2012; RFC 8289, section 5): one by one, and the longer the queue stands the faster.
//!
//! ```text
//!  delay ──────── target ─────────────────────────────────────────
//!           │ above for an interval │ drop │  I/√1  │ drop │ I/√2 │ drop │ …     until one waited for less than the target
//! ```
//!
//! The k-th drop is followed by a pause of interval / √k: a rate of drops that grows linearly with time, which is what makes one TCP
//! sender after another halve its window. Who comes back soon (16 intervals) after having dropped goes on at the rate it had reached.
//! Clients of a service halve nothing, so the rate grows until it *is* the excess.
//!
//! What is absent: bytes. The original spares a queue that holds less than a packet; here somebody who finds nobody waiting does the same.

use super::Config;
use crate::units::{Span, Time};

/// The state of one queue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Classic {
    /// When delays will have been above the target for an interval; `None`: the last was below.
    above_since_an_interval_at: Option<Time>,
    dropping: bool,
    drop_next_at: Time,
    /// Drops of this episode, and of the last one when it began.
    count: u32,
    count_at_start: u32,
}

impl Classic {
    pub(super) fn is_dropping(&self) -> bool {
        self.dropping
    }

    /// A request is taken from the queue after `delay`; true if it is to be shed.
    pub(super) fn sheds(&mut self, config: &Config, now: Time, delay: Span) -> bool {
        if !self.stands(config, now, delay) {
            self.dropping = false;
            return false;
        }
        if !self.dropping {
            self.begin(config, now);
            return true;
        }
        let is_due = now >= self.drop_next_at;
        if is_due {
            self.count = self.count.saturating_add(1);
            self.drop_next_at += pause(config.interval, self.count);
        }
        is_due
    }

    /// Whether every delay of the last interval was above the target.
    fn stands(&mut self, config: &Config, now: Time, delay: Span) -> bool {
        if delay < config.target {
            self.above_since_an_interval_at = None;
            return false;
        }
        now >= *self.above_since_an_interval_at.get_or_insert(now + config.interval)
    }

    fn begin(&mut self, config: &Config, now: Time) {
        let reached = self.count - self.count_at_start;
        let is_soon = now < self.drop_next_at + config.interval * 16;
        self.count = if reached > 1 && is_soon { reached } else { 1 };
        (self.dropping, self.count_at_start) = (true, self.count);
        self.drop_next_at = now + pause(config.interval, self.count);
    }
}

/// From the `count`-th drop to the next.
pub(super) fn pause(interval: Span, count: u32) -> Span {
    Span((interval.0 as f64 / f64::from(count).sqrt()) as u64)
}

//! Processor sharing: all requests inside get an equal part of the cores, none more than one core.
//!
//! The idea is virtual time. With n requests on k cores each advances at rate `r = min(1, k/n)`; virtual time V runs at
//! that rate, so a request that arrives at V₀ with demand x is done when V = V₀ + x, whatever comes and goes meanwhile. The
//! next to be done is the least of those finish times: a heap, O(log n) per arrival and completion, where
//! recomputing everybody's remaining work would be O(n). (Kleinrock, *Queueing Systems* II, ch. 4, for the discipline.)

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::units::{Span, Time};

/// A finish time in virtual nanoseconds; ordered as a number.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Finish(f64);

impl Eq for Finish {}

impl PartialOrd for Finish {
    fn partial_cmp(&self, other: &Finish) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Finish {
    fn cmp(&self, other: &Finish) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The requests that share an instance's cores.
#[derive(Clone, Debug)]
pub struct Sharing {
    cores: f64,
    /// Virtual time at `updated_at` \[ns\].
    virtual_now: f64,
    updated_at: Time,
    jobs: BinaryHeap<Reverse<(Finish, u64, u32)>>,
    sequence: u64,
    /// Time of the earliest pending calendar event for this instance.
    pub due: Time,
}

/// Virtual time is exact to well below a nanosecond; a finish this close is reached \[ns\].
const TOLERANCE: f64 = 1e-2;

impl Sharing {
    /// Nobody on `cores` cores, > 0.
    pub fn new(cores: f64) -> Sharing {
        Sharing {
            cores,
            virtual_now: 0.0,
            updated_at: Time::ZERO,
            jobs: BinaryHeap::new(),
            sequence: 0,
            due: Time::MAX,
        }
    }

    /// Cores in use.
    pub fn busy_cores(&self) -> f64 {
        self.cores.min(self.jobs.len() as f64)
    }

    fn rate(&self) -> f64 {
        (self.cores / self.jobs.len() as f64).min(1.0)
    }

    fn advance(&mut self, now: Time) {
        if !self.jobs.is_empty() {
            self.virtual_now += now.since(self.updated_at).0 as f64 * self.rate();
        }
        self.updated_at = now;
    }

    /// Adds a request with CPU demand `demand`.
    pub fn add(&mut self, now: Time, demand: Span, slot: u32) {
        self.advance(now);
        if self.jobs.is_empty() {
            // Starting over keeps the numbers small, and so exact.
            self.virtual_now = 0.0;
        }
        self.jobs.push(Reverse((Finish(self.virtual_now + demand.0 as f64), self.sequence, slot)));
        self.sequence += 1;
    }

    /// Takes a request that is done by `now`; `None` if none is.
    pub fn take_done(&mut self, now: Time) -> Option<u32> {
        self.advance(now);
        let Reverse((Finish(finish), _, slot)) = *self.jobs.peek()?;
        if finish > self.virtual_now + TOLERANCE {
            return None;
        }
        self.jobs.pop();
        Some(slot)
    }

    /// Removes a request wherever it is; whether it was there. O(n).
    pub fn remove(&mut self, now: Time, slot: u32) -> bool {
        self.advance(now);
        let before = self.jobs.len();
        self.jobs.retain(|Reverse((_, _, each))| *each != slot);
        self.jobs.len() < before
    }

    /// Stands still for so long after `now`.
    pub fn leap(&mut self, now: Time, by: Span) {
        self.advance(now);
        self.updated_at = now + by;
        self.due = self.due.saturating_add(by);
    }

    /// The slots of everybody inside, in no order.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        self.jobs.iter().map(|Reverse((_, _, slot))| *slot)
    }

    /// Removes everybody.
    pub fn clear(&mut self, now: Time) {
        self.advance(now);
        self.jobs.clear();
    }

    /// When the next request will be done if nothing changes; [`Time::MAX`] if there is none.
    pub fn next_done(&self) -> Time {
        match self.jobs.peek() {
            None => Time::MAX,
            Some(Reverse((Finish(finish), _, _))) => {
                let real = (finish - self.virtual_now).max(0.0) / self.rate();
                self.updated_at.saturating_add(Span(real.ceil() as u64))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_slow_each_other_down_only_beyond_the_cores() {
        let ms = |n: u64| Time(n * 1_000_000);
        let mut sharing = Sharing::new(1.0);
        sharing.add(ms(0), Span::from_millis(10), 0);
        assert_eq!(sharing.next_done(), ms(10));
        // From 4 ms on two share one core: the first has 6 ms left, the second 2 ms.
        sharing.add(ms(4), Span::from_millis(2), 1);
        assert_eq!(sharing.next_done(), ms(8));
        assert_eq!(sharing.take_done(ms(8)), Some(1));
        assert_eq!(sharing.take_done(ms(8)), None);
        assert_eq!(sharing.next_done(), ms(12));
        assert_eq!(sharing.take_done(ms(12)), Some(0));

        let mut sharing = Sharing::new(2.0);
        sharing.add(ms(0), Span::from_millis(10), 0);
        sharing.add(ms(0), Span::from_millis(10), 1);
        assert_eq!(sharing.next_done(), ms(10));
        assert_eq!((sharing.take_done(ms(10)), sharing.take_done(ms(10))), (Some(0), Some(1)));
        assert_eq!(sharing.next_done(), Time::MAX);
    }
}

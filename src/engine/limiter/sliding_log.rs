//! The exact log: the times of accepted requests that are still in the window.

use std::collections::VecDeque;

use super::Counter;
use crate::units::{Span, Time};

#[derive(Clone, Debug)]
pub(super) struct SlidingLog {
    limit: usize,
    window: u64,
    logs: Vec<VecDeque<u64>>,
}

impl SlidingLog {
    pub(super) fn new(limit: u32, window: Span) -> SlidingLog {
        SlidingLog { limit: limit as usize, window: window.0, logs: Vec::new() }
    }

    fn newest(&self, now: Time, key: usize) -> u64 {
        now.0.max(self.logs[key].back().copied().unwrap_or(0))
    }

    /// Entries that are out of the window at `now`: exactly W old is out.
    fn expired(&self, now: u64, key: usize) -> usize {
        self.logs[key].partition_point(|&at| at + self.window <= now)
    }
}

impl Counter for SlidingLog {
    fn grow(&mut self, keys: usize) {
        self.logs.resize(keys, VecDeque::new());
    }

    #[inline]
    fn admit(&mut self, now: Time, key: usize, cost: u32) -> Result<(), Span> {
        let now = self.newest(now, key);
        let log = &mut self.logs[key];
        while log.front().is_some_and(|&at| at + self.window <= now) {
            log.pop_front();
        }
        let cost = cost as usize;
        if log.len() + cost > self.limit {
            // The entry that must leave first.
            let at = log[log.len() + cost - self.limit - 1];
            return Err(Span(at + self.window - now));
        }
        log.extend(std::iter::repeat_n(now, cost));
        Ok(())
    }

    fn remaining(&self, now: Time, key: usize) -> u32 {
        let now = self.newest(now, key);
        (self.limit - (self.logs[key].len() - self.expired(now, key))) as u32
    }

    fn reset_after(&self, now: Time, key: usize) -> Span {
        let now = self.newest(now, key);
        self.logs[key].back().map_or(Span::ZERO, |&newest| Span((newest + self.window).saturating_sub(now)))
    }
}

//! Strict sub-windows: the window in k parts, of which the oldest, partly expired one counts in full.
//!
//! Interpolating it, as the sliding counter does, would admit nearly 2L whatever k is: a burst at the end of an old part is
//! discounted while it is still inside the true window. Strictness costs throughput instead: L/(1 + 1/k).

use super::Counter;
use crate::units::{Span, Time};

#[derive(Clone, Debug)]
pub(super) struct SubWindows {
    limit: u32,
    part: u64,
    /// Parts per window.
    k: u64,
    /// Newest part of each key, and newest time.
    newest: Vec<(u64, u64)>,
    /// k + 1 counts a key, by part number modulo k + 1.
    counts: Vec<u32>,
}

impl SubWindows {
    pub(super) fn new(limit: u32, window: Span, parts: u32) -> SubWindows {
        let k = u64::from(parts.max(1)).min(window.0);
        SubWindows { limit, part: window.0.div_ceil(k), k, newest: Vec::new(), counts: Vec::new() }
    }

    /// The count of part `number` of a key whose newest part is `newest`.
    fn count(&self, key: usize, newest: u64, number: u64) -> u32 {
        // Parts newer than the newest are empty; parts older than k before it were overwritten.
        if number > newest || number + self.k < newest { 0 } else { self.counts[self.place(key, number)] }
    }

    fn place(&self, key: usize, number: u64) -> usize {
        key * (self.k as usize + 1) + (number % (self.k + 1)) as usize
    }

    fn used(&self, key: usize, part: u64) -> u32 {
        let newest = self.newest[key].0;
        (part.saturating_sub(self.k)..=part).map(|number| self.count(key, newest, number)).sum()
    }

    fn clock(&self, now: Time, key: usize) -> (u64, u64) {
        let now = now.0.max(self.newest[key].1);
        (now, now / self.part)
    }
}

impl Counter for SubWindows {
    fn grow(&mut self, keys: usize) {
        self.newest.resize(keys, (0, 0));
        self.counts.resize(keys * (self.k as usize + 1), 0);
    }

    fn admit(&mut self, now: Time, key: usize, cost: u32) -> Result<(), Span> {
        let (now, part) = self.clock(now, key);
        let used = self.used(key, part);
        if used + cost > self.limit {
            let newest = self.newest[key].0;
            let mut excess = i64::from(used) + i64::from(cost) - i64::from(self.limit);
            let mut number = part.saturating_sub(self.k);
            loop {
                excess -= i64::from(self.count(key, newest, number));
                if excess <= 0 {
                    return Err(Span((number + self.k + 1) * self.part - now));
                }
                number += 1;
            }
        }
        let newest = self.newest[key].0;
        for stale in (newest + 1..=part).take(self.k as usize + 1) {
            // Of a jump longer than the window, the last k + 1 parts cover every place.
            let place = self.place(key, stale);
            self.counts[place] = 0;
        }
        self.newest[key] = (part, now);
        let place = self.place(key, part);
        self.counts[place] += cost;
        Ok(())
    }

    fn remaining(&self, now: Time, key: usize) -> u32 {
        let (_, part) = self.clock(now, key);
        self.limit - self.used(key, part)
    }

    fn reset_after(&self, now: Time, key: usize) -> Span {
        let (now, part) = self.clock(now, key);
        let newest = self.newest[key].0;
        let last = (part.saturating_sub(self.k)..=part).rev().find(|&number| self.count(key, newest, number) > 0);
        last.map_or(Span::ZERO, |number| Span((number + self.k + 1) * self.part - now))
    }
}

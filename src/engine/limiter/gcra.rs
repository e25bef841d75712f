//! GCRA, the token bucket in one number: the theoretical arrival time of the next conforming request.
//!
//! With emission interval `t = W/L` and burst B, a request at `now` passes if `max(TAT, now) + t − t·B ≤ now`, and moves TAT
//! there (ITU-T I.371; Brandur's redis-cell, throttled, governor). Times are kept in units of 1/L ns, in which t is the
//! whole number W: seven per second does not drift.

use super::Counter;
use crate::units::{Span, Time};

#[derive(Clone, Debug)]
pub(super) struct Gcra {
    /// Units per nanosecond: the limit.
    scale: u128,
    /// Emission interval in units: the window in ns.
    emission: u128,
    burst: u32,
    /// Theoretical arrival time and newest time of each key.
    cells: Vec<(u128, u64)>,
}

impl Gcra {
    pub(super) fn new(limit: u32, window: Span, burst: u32) -> Gcra {
        Gcra { scale: u128::from(limit), emission: u128::from(window.0), burst, cells: Vec::new() }
    }

    #[inline]
    fn clock(&self, now: Time, key: usize) -> u128 {
        u128::from(now.0.max(self.cells[key].1)) * self.scale
    }

    /// Units to whole nanoseconds, upwards.
    fn nanos(&self, units: u128) -> Span {
        Span(units.div_ceil(self.scale) as u64)
    }
}

impl Counter for Gcra {
    fn grow(&mut self, keys: usize) {
        self.cells.resize(keys, (0, 0));
    }

    #[inline]
    fn admit(&mut self, now: Time, key: usize, cost: u32) -> Result<(), Span> {
        let at = self.clock(now, key);
        let next = self.cells[key].0.max(at) + self.emission * u128::from(cost);
        let bucket = self.emission * u128::from(self.burst);
        if next > at + bucket {
            return Err(self.nanos(next - bucket - at));
        }
        let newest = self.cells[key].1.max(now.0);
        self.cells[key] = (next, newest);
        Ok(())
    }

    fn remaining(&self, now: Time, key: usize) -> u32 {
        let at = self.clock(now, key);
        let owed = self.cells[key].0.saturating_sub(at);
        ((self.emission * u128::from(self.burst)).saturating_sub(owed) / self.emission) as u32
    }

    fn reset_after(&self, now: Time, key: usize) -> Span {
        self.nanos(self.cells[key].0.saturating_sub(self.clock(now, key)))
    }
}

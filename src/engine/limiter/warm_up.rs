//! A rate that a cold service reaches slowly: Guava's `SmoothWarmingUp`, which Sentinel took over.
//!
//! What is not used is stored, and what is stored is dear: a service that idled has cold caches and takes requests three times as
//! slowly (the cold factor) as a warm one, and gets warm by taking them.
//!
//! ```text
//! threshold = ½ · warm-up · rate                  stored permits that cost no more than fresh ones
//! most      = threshold + 2 · warm-up / (1/rate + 3/rate)
//! slope     = (3/rate − 1/rate) / (most − threshold)
//! interval at S stored = 1/rate + max(0, S − threshold) · slope
//! ```
//!
//! From cold to warm takes the warm-up; an idle service is as cold as it gets after another. A request is let in when the one
//! before is paid for, and pays after the fact, as in the original: one that costs much makes the *next* one wait. A key begins cold.
//!
//! The numbers are floats, of which only sums, products and quotients are taken: the same on every machine. Waits are rounded up to
//! whole nanoseconds.

use super::{Left, Rule};

/// How many times as long a cold service takes.
const COLD_FACTOR: f64 = 3.0;

#[derive(Clone, Debug)]
pub(super) struct WarmUp {
    limit: u32,
    /// Between two requests when warm \[ns\].
    interval: f64,
    threshold: f64,
    most: f64,
    /// What a stored permit above the threshold costs more than the one below it \[ns\].
    slope: f64,
    /// In which one permit is stored \[ns\].
    cools_in: f64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// Permits.
    stored: f64,
    /// When the last request is paid for \[ns\].
    free_at: u64,
}

impl WarmUp {
    /// `limit` requests in each `window` \[ns\] once warm, which takes `warm_up` \[ns\].
    pub(super) fn new(limit: u32, window: u64, warm_up: u64) -> WarmUp {
        let interval = window as f64 / f64::from(limit);
        let warm_up = warm_up.max(1) as f64;
        let threshold = 0.5 * warm_up / interval;
        let most = threshold + 2.0 * warm_up / (interval + COLD_FACTOR * interval);
        WarmUp {
            limit,
            interval,
            threshold,
            most,
            slope: (COLD_FACTOR - 1.0) * interval / (most - threshold),
            cools_in: warm_up / most,
        }
    }

    /// Between two requests when so much is stored \[ns\].
    pub(super) fn interval_at(&self, stored: f64) -> f64 {
        self.interval + (stored - self.threshold).max(0.0) * self.slope
    }

    /// The state at `now`: what was not used until then is stored.
    fn at(&self, state: &State, now: u64) -> State {
        if now <= state.free_at {
            return *state;
        }
        let unused = (now - state.free_at) as f64 / self.cools_in;
        State { stored: (state.stored + unused).min(self.most), free_at: now }
    }

    /// What `cost` requests at once are paid with \[ns\].
    fn price(&self, stored: f64, cost: f64) -> f64 {
        let above = (stored - self.threshold).max(0.0);
        let dear = above.min(cost);
        let mean = (self.interval_at(stored) + self.interval_at(stored - dear)) / 2.0;
        dear * mean + (cost - dear) * self.interval
    }
}

impl Rule for WarmUp {
    type State = State;

    fn fresh(&self) -> State {
        State { stored: self.most, free_at: 0 }
    }

    fn capacity(&self) -> u32 {
        self.limit
    }

    #[inline]
    fn take(&self, state: &mut State, now: u64, cost: u32) -> Result<(), u64> {
        if now < state.free_at {
            return Err(state.free_at - now);
        }
        let State { stored, .. } = self.at(state, now);
        let cost = f64::from(cost);
        // The conversion saturates.
        let wait = libm::ceil(self.price(stored, cost)) as u64;
        *state = State { stored: (stored - cost).max(0.0), free_at: now.saturating_add(wait) };
        Ok(())
    }

    fn left(&self, state: &State, now: u64) -> Left {
        let reset_after = state.free_at.saturating_sub(now);
        Left { remaining: u32::from(reset_after == 0), reset_after }
    }
}

//! Leaky bucket as a meter, as NGINX's `limit_req` keeps it.
//!
//! A key has an excess: how much more it sent than the rate, in thousandths of a request. It leaks at the rate, and at
//! most one request is saved up:
//!
//! ```text
//! excess = max(0, excess − ⌊rate · ms / 1000⌋ + 1000)        the first request of a key: 0
//! let in if excess <= burst · 1000;   refused: nothing changes
//! waits (excess − delay · 1000) / rate, rounded down to milliseconds, if that is more than nothing; with `nodelay` never
//! ```
//!
//! The edges are the original's: time in whole milliseconds; the rate in thousandths of a request per second, rounded down, as
//! in `10r/s` and `10r/m`; `burst` comes on top of the one that conforms, so B here is a GCRA's B + 1, and at
//! millisecond resolution decides as that does wherever a millisecond's share of the rate is whole.
//!
//! What is absent: the original's clock, which may step back.

use super::{Left, Rule};
use crate::units::Span;

/// A request, in the unit of [`State::excess`].
const REQUEST: u64 = 1000;
const NANOS_PER_MS: u64 = 1_000_000;

#[derive(Clone, Debug)]
pub(super) struct LeakyBucket {
    /// Thousandths of a request per second, at least 1.
    rate: u64,
    /// Requests that may come beyond the one that conforms.
    burst: u32,
    /// Requests beyond the one that conforms that do not wait; `None`: nobody does.
    delay: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    /// In thousandths of a request; `None`: the key never asked.
    excess: Option<u64>,
    /// When the last request was let in \[ms\].
    last: u64,
}

impl LeakyBucket {
    /// A bucket that leaks `limit` requests in each `window` \[ns\].
    pub(super) fn new(limit: u32, window: u64, burst: u32, delay: Option<u32>) -> LeakyBucket {
        let rate = u128::from(limit) * u128::from(REQUEST) * 1_000_000_000 / u128::from(window);
        LeakyBucket { rate: u64::try_from(rate).unwrap_or(u64::MAX).max(1), burst, delay }
    }

    /// How long the request that was let in last waits.
    pub(super) fn delay(&self, state: &State) -> Span {
        let at_once = u64::from(self.delay.unwrap_or(u32::MAX)) * REQUEST;
        let beyond = state.excess.unwrap_or(0).saturating_sub(at_once);
        Span::from_millis(u64::try_from(u128::from(beyond) * 1000 / u128::from(self.rate)).unwrap_or(u64::MAX))
    }

    fn most(&self) -> u64 {
        u64::from(self.burst) * REQUEST
    }

    /// What has leaked after so many milliseconds.
    fn leaked(&self, ms: u64) -> u64 {
        u64::try_from(u128::from(self.rate) * u128::from(ms) / 1000).unwrap_or(u64::MAX)
    }

    /// Milliseconds until so much has leaked.
    fn leaks_in(&self, excess: u64) -> u64 {
        u64::try_from((u128::from(excess) * 1000).div_ceil(u128::from(self.rate))).unwrap_or(u64::MAX)
    }

    /// The excess if a request came at `ms`.
    fn with_one_more(&self, state: &State, ms: u64) -> u64 {
        state.excess.map_or(0, |excess| (excess + REQUEST).saturating_sub(self.leaked(ms - state.last)))
    }
}

impl Rule for LeakyBucket {
    type State = State;

    fn fresh(&self) -> State {
        State::default()
    }

    fn capacity(&self) -> u32 {
        self.burst.saturating_add(1)
    }

    #[inline]
    fn take(&self, state: &mut State, now: u64, cost: u32) -> Result<(), u64> {
        let now = now.max(state.last * NANOS_PER_MS);
        let ms = now / NANOS_PER_MS;
        // A cost of n is n requests at once.
        let others = u64::from(cost - 1) * REQUEST;
        let excess = self.with_one_more(state, ms) + others;
        if excess > self.most() {
            let before = state.excess.unwrap_or(0) + REQUEST + others;
            let free_at = state.last.saturating_add(self.leaks_in(before - self.most()));
            return Err(free_at.saturating_mul(NANOS_PER_MS).saturating_sub(now));
        }
        *state = State { excess: Some(excess), last: ms };
        Ok(())
    }

    fn left(&self, state: &State, now: u64) -> Left {
        let now = now.max(state.last * NANOS_PER_MS);
        let ms = now / NANOS_PER_MS;
        let next = self.with_one_more(state, ms);
        let remaining = self.most().checked_sub(next).map_or(0, |room| room / REQUEST + 1);
        let reset_after = match state.excess {
            Some(excess) if next > 0 => {
                let whole_at = state.last.saturating_add(self.leaks_in(excess + REQUEST));
                whole_at.saturating_mul(NANOS_PER_MS).saturating_sub(now)
            }
            _ => 0,
        };
        Left { remaining: remaining as u32, reset_after }
    }
}

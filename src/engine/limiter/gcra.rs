//! Generic cell rate algorithm (ITU-T I.371), which is the token bucket without a refill step.
//!
//! A key has a theoretical arrival time (tat): when the bucket will be full again. With t = W / L, the time between
//! requests that conform, and the burst B:
//!
//! ```text
//! backlog = max(0, tat − now)              the tokens that are missing, as time
//! let in if backlog + t · cost <= t · B;   then tat = now + backlog + t · cost
//! ```
//!
//! Times here are in units of 1/L ns. Then t is W units, a whole number, and 7 per second never drift. At most B + T/t
//! are let in within any interval T.

use super::{Left, Rule};

#[derive(Clone, Debug)]
pub(super) struct Gcra {
    /// L.
    pub limit: u32,
    /// W \[ns\]; also t [ns/L].
    pub window: u64,
    /// B.
    pub burst: u32,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    /// Theoretical arrival time [ns/L]. With a moment below 2⁶⁴ and a backlog of at most W · B it stays below 2⁹⁷.
    tat: u128,
    /// When the last request was let in [ns].
    last: u64,
}

impl Gcra {
    /// `time` [ns] in [ns/L].
    #[inline]
    fn scaled(&self, time: u64) -> u128 {
        u128::from(time) * u128::from(self.limit)
    }

    /// t · `requests` [ns/L].
    #[inline]
    fn interval(&self, requests: u32) -> u128 {
        u128::from(requests) * u128::from(self.window)
    }

    /// The first whole nanosecond not before `time` [ns/L].
    fn to_nanos(&self, time: u128) -> u64 {
        u64::try_from(time.div_ceil(u128::from(self.limit))).unwrap_or(u64::MAX)
    }
}

impl Rule for Gcra {
    type State = State;

    fn fresh(&self) -> State {
        State::default()
    }

    fn capacity(&self) -> u32 {
        self.burst
    }

    #[inline]
    fn take(&self, state: &mut State, now: u64, cost: u32) -> Result<(), u64> {
        let last = now.max(state.last);
        let now = self.scaled(last);
        let backlog = state.tat.saturating_sub(now) + self.interval(cost);
        let most = self.interval(self.burst);
        if backlog > most {
            return Err(self.to_nanos(backlog - most));
        }
        *state = State { tat: now + backlog, last };
        Ok(())
    }

    fn left(&self, state: &State, now: u64) -> Left {
        let backlog = state.tat.saturating_sub(self.scaled(now.max(state.last)));
        Left {
            remaining: ((self.interval(self.burst) - backlog) / u128::from(self.window)) as u32,
            reset_after: self.to_nanos(backlog),
        }
    }
}

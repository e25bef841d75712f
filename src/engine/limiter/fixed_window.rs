//! Fixed window: a counter that starts again at every multiple of the window, or of a key's first request.
//!
//! Where windows are aligned everybody's quota comes back at the same moment, which synchronizes clients that retry; and a client may
//! use one quota at the end of a window and the next at its start.
//!
//! With a burst other than the limit it is a bucket of so many tokens that is filled in steps, as Envoy's local rate limit has it
//! (`max_tokens`, `tokens_per_fill`, `fill_interval`): what is used of it shrinks by the limit with each window.

use super::{Left, Rule, WindowStart};

#[derive(Clone, Debug)]
pub(super) struct FixedWindow {
    pub limit: u32,
    /// \[ns\]
    pub window: u64,
    /// The most that is let in at once, at least 1; windows from the first request have `limit`.
    pub burst: u32,
    pub start: WindowStart,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    /// Start of the window that `last` lies in [ns].
    start: u64,
    /// When the last request was let in [ns].
    last: u64,
    /// Let in since `start`, and what the windows before left over; at most the burst.
    count: u32,
}

impl FixedWindow {
    /// The state as it is at `at`, which is not before `state.last`.
    #[inline]
    fn rolled(&self, state: &State, at: u64) -> State {
        let elapsed = at - state.start;
        if self.start == WindowStart::FirstRequest {
            // Nothing is refused while nothing is used, so a window that began has a count.
            let goes_on = state.count > 0 && elapsed < self.window;
            return if goes_on { State { last: at, ..*state } } else { State { start: at, last: at, count: 0 } };
        }
        if elapsed < self.window {
            State { last: at, ..*state }
        } else if elapsed - self.window < self.window {
            State { start: state.start + self.window, last: at, count: state.count.saturating_sub(self.limit) }
        } else {
            let refilled = u32::try_from(elapsed / self.window).map_or(u32::MAX, |n| n.saturating_mul(self.limit));
            State { start: at - at % self.window, last: at, count: state.count.saturating_sub(refilled) }
        }
    }

    /// Until so much more than now is free, at least 1: at the end of a window, usually the one that `state.last` lies in.
    #[inline]
    fn frees_in(&self, state: &State, requests: u32) -> u64 {
        let later = u64::from(requests.div_ceil(self.limit)) - 1;
        (self.window - (state.last - state.start)).saturating_add(later.saturating_mul(self.window))
    }
}

impl Rule for FixedWindow {
    type State = State;

    fn fresh(&self) -> State {
        State::default()
    }

    fn capacity(&self) -> u32 {
        self.burst
    }

    #[inline]
    fn take(&self, state: &mut State, now: u64, cost: u32) -> Result<(), u64> {
        let rolled = self.rolled(state, now.max(state.last));
        let room = self.burst - rolled.count;
        if cost > room {
            return Err(self.frees_in(&rolled, cost - room));
        }
        *state = State { count: rolled.count + cost, ..rolled };
        Ok(())
    }

    fn left(&self, state: &State, now: u64) -> Left {
        let rolled = self.rolled(state, now.max(state.last));
        Left {
            remaining: self.burst - rolled.count,
            reset_after: if rolled.count == 0 { 0 } else { self.frees_in(&rolled, rolled.count) },
        }
    }
}

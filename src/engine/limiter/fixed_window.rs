//! Fixed window: a counter that starts again at every multiple of the window.
//!
//! Everybody's quota comes back at the same moment, which synchronizes clients that retry; and a client may use one
//! quota at the end of a window and the next at its start.

use super::{Left, Rule};

#[derive(Clone, Debug)]
pub(super) struct FixedWindow {
    pub limit: u32,
    /// \[ns\]
    pub window: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    /// Start of the window that `last` lies in [ns].
    start: u64,
    /// When the last request was let in [ns].
    last: u64,
    /// Let in since `start`.
    count: u32,
}

impl FixedWindow {
    /// The state as it is at `at`, which is not before `state.last`.
    #[inline]
    fn rolled(&self, state: &State, at: u64) -> State {
        let elapsed = at - state.start;
        if elapsed < self.window {
            State { last: at, ..*state }
        } else if elapsed - self.window < self.window {
            State { start: state.start + self.window, last: at, count: 0 }
        } else {
            State { start: at - at % self.window, last: at, count: 0 }
        }
    }

    /// Until the window that `state.last` lies in ends.
    #[inline]
    fn ends_in(&self, state: &State) -> u64 {
        self.window - (state.last - state.start)
    }
}

impl Rule for FixedWindow {
    type State = State;

    fn fresh(&self) -> State {
        State::default()
    }

    fn capacity(&self) -> u32 {
        self.limit
    }

    #[inline]
    fn take(&self, state: &mut State, now: u64, cost: u32) -> Result<(), u64> {
        let rolled = self.rolled(state, now.max(state.last));
        if cost > self.limit - rolled.count {
            return Err(self.ends_in(&rolled));
        }
        *state = State { count: rolled.count + cost, ..rolled };
        Ok(())
    }

    fn left(&self, state: &State, now: u64) -> Left {
        let rolled = self.rolled(state, now.max(state.last));
        Left {
            remaining: self.limit - rolled.count,
            reset_after: if rolled.count == 0 { 0 } else { self.ends_in(&rolled) },
        }
    }
}

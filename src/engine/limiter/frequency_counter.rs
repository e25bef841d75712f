//! HAProxy's frequency counter: everything is counted, and the count is compared.
//!
//! ```text
//! events = ⌊past · remaining / period⌋ + current          let in if events <= limit, the request itself counted
//! ```
//!
//! It is two counters, as a sliding window is; the differences are the original's (`freq_ctr.h`, and `http_req_rate` in a stick table):
//! **what is refused counts too**, so a client that goes on asking stays out until it slows down, and one that was over the limit waits
//! the longer the more it asked; the first period begins with a key's first request, and one that comes after two quiet
//! periods begins a new one.
//!
//! An estimate that is rounded down before one is added stays within the limit just when the estimate without it is below the limit. So
//! with aligned periods this is also the sliding window of those who compare before they add: Cloudflare and Upstash, who
//! count what they let in, and Kong, which counts refusals too unless told otherwise. A cost of n is n requests at once.

use super::{Left, Rule, WindowStart};

#[derive(Clone, Debug)]
pub(super) struct FrequencyCounter {
    /// Events per period, at least 1.
    pub(super) limit: u32,
    /// Length of a period \[ns\], at least 1.
    pub(super) period: u64,
    /// When periods begin.
    pub(super) start: WindowStart,
    /// Whether what is refused counts.
    pub(super) charges: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    /// When the period began \[ns\].
    start: u64,
    /// When the last request was counted \[ns\].
    last: u64,
    past: u64,
    current: u64,
}

impl FrequencyCounter {
    /// The state at `now`, which is not before `state.last` and lies in its period.
    fn at(&self, state: &State, now: u64) -> State {
        let is_fresh = state.past == 0 && state.current == 0;
        match (now - state.start) / self.period {
            0 if !is_fresh => State { last: now, ..*state },
            1 if !is_fresh => State { start: state.start + self.period, last: now, past: state.current, current: 0 },
            _ => {
                let start = match self.start {
                    WindowStart::Aligned => now - now % self.period,
                    WindowStart::FirstRequest => now,
                };
                State { start, last: now, past: 0, current: 0 }
            }
        }
    }

    /// Nanoseconds of the period that the past counts for at most, if it may be `room` events.
    fn remaining_for(&self, past: u64, room: u64) -> u64 {
        if past == 0 {
            return self.period;
        }
        let most = (u128::from(room) + 1) * u128::from(self.period) - 1;
        u64::try_from(most / u128::from(past)).unwrap_or(u64::MAX).min(self.period)
    }

    /// Events in sight at `now`, which lies in the state's period.
    fn events(&self, state: &State, now: u64) -> u64 {
        let remaining = self.period - (now.max(state.start) - state.start);
        let past = u128::from(state.past) * u128::from(remaining) / u128::from(self.period);
        (past as u64).saturating_add(state.current)
    }

    /// The first moment at which `cost` more fit if nothing else comes.
    fn fits_at(&self, state: &State, cost: u64) -> u64 {
        let limit = u64::from(self.limit);
        let end = state.start.saturating_add(self.period);
        if let Some(room) = limit.checked_sub(state.current.saturating_add(cost)) {
            return end - self.remaining_for(state.past, room);
        }
        // What counts now is the past of the next period, and counts for nothing after that.
        let room = limit.saturating_sub(cost);
        end.saturating_add(self.period - self.remaining_for(state.current, room))
    }
}

impl Rule for FrequencyCounter {
    type State = State;

    fn fresh(&self) -> State {
        State::default()
    }

    fn capacity(&self) -> u32 {
        self.limit
    }

    #[inline]
    fn take(&self, state: &mut State, now: u64, cost: u32) -> Result<(), u64> {
        let now = now.max(state.last);
        let before = self.at(state, now);
        let with_it = State { current: before.current.saturating_add(u64::from(cost)), ..before };
        if self.events(&with_it, now) <= u64::from(self.limit) {
            *state = with_it;
            return Ok(());
        }
        let counted = if self.charges { with_it } else { before };
        if self.charges {
            *state = counted;
        }
        Err(self.fits_at(&counted, u64::from(cost)).saturating_sub(now))
    }

    fn left(&self, state: &State, now: u64) -> Left {
        let now = now.max(state.last);
        let state = self.at(state, now);
        let remaining = u64::from(self.limit).saturating_sub(self.events(&state, now));
        let reset_after = if remaining == u64::from(self.limit) {
            0
        } else {
            self.fits_at(&state, u64::from(self.limit)).saturating_sub(now)
        };
        Left { remaining: remaining as u32, reset_after }
    }
}

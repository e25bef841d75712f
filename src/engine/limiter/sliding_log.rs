//! Sliding log: the times of what was let in, in a ring.
//!
//! ```text
//! left    e <= now − W       an entry exactly W old is out
//! let in  if entries + cost <= L
//! ```
//!
//! What is refused is never stored, so the logs of all keys together hold at most (rate let in) · W entries. Requests of
//! one moment share an entry.

use std::collections::VecDeque;

use super::{Left, Rule};

#[derive(Clone, Debug)]
pub(super) struct SlidingLog {
    pub limit: u32,
    /// \[ns\]
    pub window: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Oldest first. Entries that left stay until the next request is let in.
    entries: VecDeque<Entry>,
    /// Sum of their costs, at most the limit.
    used: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// \[ns\]
    at: u64,
    cost: u32,
}

impl State {
    /// How many entries fit without growing.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    #[inline]
    fn last(&self) -> u64 {
        self.entries.back().map_or(0, |entry| entry.at)
    }

    #[inline]
    fn push(&mut self, at: u64, cost: u32, limit: u32) {
        self.used += cost;
        match self.entries.back_mut() {
            Some(newest) if newest.at == at => newest.cost += cost,
            _ => {
                if self.entries.len() == self.entries.capacity() {
                    self.grow(limit);
                }
                self.entries.push_back(Entry { at, cost });
            }
        }
    }

    /// Doubles the ring, but never beyond `limit` entries. Each has a cost of at least 1, so more cannot be needed.
    #[cold]
    fn grow(&mut self, limit: u32) {
        let len = self.entries.len();
        self.entries.reserve_exact(len.max(4).min(limit as usize - len));
    }
}

impl SlidingLog {
    /// Until `entry` leaves; zero if it has.
    #[inline]
    fn leaves_in(&self, entry: &Entry, at: u64) -> u64 {
        self.window.saturating_sub(at - entry.at)
    }

    /// Until at least `need` of the oldest requests have left; zero if they have.
    #[inline]
    fn frees_in(&self, state: &State, need: u32, at: u64) -> u64 {
        let mut freed = 0;
        for entry in &state.entries {
            freed += entry.cost;
            if freed >= need {
                return self.leaves_in(entry, at);
            }
        }
        0
    }
}

impl Rule for SlidingLog {
    type State = State;

    fn fresh(&self) -> State {
        State::default()
    }

    fn capacity(&self) -> u32 {
        self.limit
    }

    /// A cost of 1 needs at most the oldest entry gone: O(1), and what leaves was let in before.
    #[inline]
    fn take(&self, state: &mut State, now: u64, cost: u32) -> Result<(), u64> {
        let at = now.max(state.last());
        let room = self.limit - state.used;
        if cost > room {
            let wait = self.frees_in(state, cost - room, at);
            if wait > 0 {
                return Err(wait);
            }
        }
        while let Some(oldest) = state.entries.front()
            && self.leaves_in(oldest, at) == 0
        {
            state.used -= oldest.cost;
            state.entries.pop_front();
        }
        state.push(at, cost, self.limit);
        Ok(())
    }

    fn left(&self, state: &State, now: u64) -> Left {
        let at = now.max(state.last());
        let gone: u32 =
            state.entries.iter().take_while(|entry| self.leaves_in(entry, at) == 0).map(|entry| entry.cost).sum();
        Left {
            remaining: self.limit - (state.used - gone),
            reset_after: state.entries.back().map_or(0, |newest| self.leaves_in(newest, at)),
        }
    }
}

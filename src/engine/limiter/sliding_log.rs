//! Sliding log: the times of what was let in, in a ring.
//!
//! ```text
//! left    e <= now − W       an entry exactly W old is out
//! let in  if entries + cost <= L
//! ```
//!
//! What is refused is never stored, so the logs of all keys together hold at most (rate let in) · W entries of 8 bytes. What a request
//! cost stands beside its time only where one has cost more than 1.

use std::collections::VecDeque;

use super::{Left, Rule};

#[derive(Clone, Debug)]
pub(super) struct SlidingLog {
    pub limit: u32,
    /// \[ns\]
    pub window: u64,
}

/// Entries that left stay until the next request is let in.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Oldest first \[ns\].
    times: VecDeque<u64>,
    /// Of each entry; `None`: 1. Boxed, because few keys have any.
    costs: Option<Box<Costs>>,
}

#[derive(Clone, Debug)]
struct Costs {
    each: VecDeque<u32>,
    /// Of all entries, at most the limit.
    sum: u32,
}

impl State {
    /// How many entries fit without growing.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.times.capacity()
    }

    #[inline]
    fn last(&self) -> u64 {
        self.times.back().copied().unwrap_or(0)
    }

    /// The cost of all entries, at most the limit.
    #[inline]
    fn used(&self) -> u32 {
        self.costs.as_ref().map_or(self.times.len() as u32, |costs| costs.sum)
    }

    #[inline]
    fn push(&mut self, at: u64, cost: u32, limit: u32) {
        if self.costs.is_none() && cost > 1 {
            self.begin_costs();
        }
        let is_same_moment = self.times.back() == Some(&at);
        if let Some(costs) = &mut self.costs {
            costs.sum += cost;
            if is_same_moment && let Some(newest) = costs.each.back_mut() {
                *newest += cost;
                return;
            }
            costs.each.push_back(cost);
        }
        if self.times.len() == self.times.capacity() {
            self.grow(limit);
        }
        self.times.push_back(at);
    }

    #[inline]
    fn pop(&mut self) {
        self.times.pop_front();
        if let Some(costs) = &mut self.costs {
            costs.sum -= costs.each.pop_front().unwrap_or(0);
        }
    }

    #[cold]
    fn begin_costs(&mut self) {
        let each = self.times.iter().map(|_| 1).collect();
        self.costs = Some(Box::new(Costs { each, sum: self.times.len() as u32 }));
    }

    /// Doubles the ring, but never beyond `limit` entries. Each has a cost of at least 1, so more cannot be needed.
    #[cold]
    fn grow(&mut self, limit: u32) {
        let len = self.times.len();
        self.times.reserve_exact(len.max(4).min(limit as usize - len));
    }
}

impl SlidingLog {
    /// Until an entry of `time` leaves; zero if it has.
    #[inline]
    fn leaves_in(&self, time: u64, at: u64) -> u64 {
        self.window.saturating_sub(at - time)
    }

    /// The entry with which at least `need` ≥ 1 of the oldest requests leave.
    #[inline]
    fn frees(&self, state: &State, need: u32) -> usize {
        let Some(costs) = &state.costs else { return need as usize - 1 };
        let mut freed = 0;
        let frees = costs.each.iter().position(|cost| {
            freed += cost;
            freed >= need
        });
        frees.expect("no more is needed than all that is used")
    }

    /// How many of the oldest entries have left.
    fn gone(&self, state: &State, at: u64) -> usize {
        state.times.iter().take_while(|&&time| self.leaves_in(time, at) == 0).count()
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
        let room = self.limit - state.used();
        if cost > room {
            let wait = self.leaves_in(state.times[self.frees(state, cost - room)], at);
            if wait > 0 {
                return Err(wait);
            }
        }
        while let Some(&oldest) = state.times.front()
            && self.leaves_in(oldest, at) == 0
        {
            state.pop();
        }
        state.push(at, cost, self.limit);
        Ok(())
    }

    fn left(&self, state: &State, now: u64) -> Left {
        let at = now.max(state.last());
        let gone = self.gone(state, at);
        let freed = state.costs.as_ref().map_or(gone as u32, |costs| costs.each.iter().take(gone).sum());
        Left {
            remaining: self.limit - (state.used() - freed),
            reset_after: state.times.back().map_or(0, |&newest| self.leaves_in(newest, at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_word_until_a_request_costs_more_than_one() {
        assert_eq!(size_of::<State>(), size_of::<VecDeque<u64>>() + size_of::<usize>());
        let log = SlidingLog { limit: 100, window: 1000 };
        let mut state = log.fresh();
        (0..5).for_each(|at| assert_eq!(log.take(&mut state, at / 2, 1), Ok(())));
        assert!(state.costs.is_none() && state.times == [0, 0, 1, 1, 2]);
        assert_eq!(log.take(&mut state, 2, 7), Ok(()));
        let costs = state.costs.as_ref().unwrap();
        assert_eq!((&costs.each, costs.sum), (&VecDeque::from([1, 1, 1, 1, 8]), 12));
        assert_eq!(state.times.len(), 5, "requests of one moment share an entry");
    }
}

//! Strict sub-windows: a counter for each of the k parts of the window, and one for the part that is leaving.
//!
//! Part i covers the moments with ⌊now · k / W⌋ = i; used = Σ counts of parts i − k ..= i:
//!
//! ```text
//!            ┌──── W before now ────┐
//! │ i − k │  …  │ i − 2 │ i − 1 │ i ·now
//!   partly outside, counted in full
//! ```
//!
//! So no interval of length W holds more than L, and what is sustained is L per W + W/k. Counting the oldest part by the
//! share still in sight would sustain nearly L, but lets in up to 2L whatever k is: a burst at the end of that part is
//! discounted while all of it is in sight.

use super::{Config, Left, Rule};

#[derive(Clone, Debug)]
pub(super) struct SubWindows {
    limit: u32,
    /// W \[ns\].
    window: u64,
    /// k; a part is at least 1 ns long.
    parts: u32,
}

#[derive(Clone, Debug)]
pub(super) struct State {
    /// When the last request was let in [ns].
    last: u64,
    /// End of the part that `last` lies in [ns].
    part_ends: u64,
    /// When a cost of 1 will be let in [ns], as of its last refusal. Spares a flood the search. Nothing is let in
    /// sooner, so it never needs to be taken back.
    frees_at: u64,
    /// Number of the part that `last` lies in.
    part: u64,
    /// Sum of `counts`, at most the limit.
    used: u32,
    /// Where the count of `part` is; the oldest follows, in a circle.
    slot: u32,
    /// Counts of the k + 1 parts up to `part`.
    counts: Box<[u32]>,
}

impl State {
    /// The slot of the n-th oldest part, 0..=k.
    fn slot_of(&self, n: usize) -> usize {
        (self.slot as usize + 1 + n) % self.counts.len()
    }

    /// The count of the n-th oldest part, 0..=k.
    fn oldest(&self, n: usize) -> u32 {
        self.counts[self.slot_of(n)]
    }
}

impl SubWindows {
    /// A limiter of `limit` per `window` [ns] in `parts` parts, brought into their ranges.
    pub(super) fn new(limit: u32, window: u64, parts: u32) -> SubWindows {
        let most = window.min(u64::from(Config::MAX_PARTS)) as u32;
        SubWindows { limit, window, parts: parts.clamp(1, most) }
    }

    fn part_of(&self, at: u64) -> u64 {
        // Not above `at`, for k <= W.
        (u128::from(at) * u128::from(self.parts) / u128::from(self.window)) as u64
    }

    /// The first nanosecond of a part.
    fn start_of(&self, part: u64) -> u64 {
        let start = (u128::from(part) * u128::from(self.window)).div_ceil(u128::from(self.parts));
        u64::try_from(start).unwrap_or(u64::MAX)
    }

    /// How many of the oldest parts have left when the current one is `part`.
    fn gone(&self, state: &State, part: u64) -> usize {
        (part - state.part).min(u64::from(self.parts) + 1) as usize
    }

    /// When enough of the oldest parts have left for `cost` to fit [ns]; what must leave is more than 0.
    fn frees_at(&self, state: &State, cost: u32) -> u64 {
        let need = cost - (self.limit - state.used);
        let mut freed = 0;
        let mut n = 0;
        while freed < need {
            freed += state.oldest(n);
            n += 1;
        }
        self.start_of(state.part.saturating_add(n as u64))
    }

    /// Takes `cost` in a later part than the last one was taken in.
    #[cold]
    fn take_in_later_part(&self, state: &mut State, at: u64, cost: u32) -> bool {
        let part = self.part_of(at);
        let gone = self.gone(state, part);
        let freed: u32 = (0..gone).map(|n| state.oldest(n)).sum();
        if cost > self.limit - (state.used - freed) {
            return false;
        }
        for n in 0..gone {
            let slot = state.slot_of(n);
            state.counts[slot] = 0;
        }
        state.slot = ((state.slot as usize + gone) % state.counts.len()) as u32;
        state.used -= freed;
        state.part = part;
        state.part_ends = self.start_of(part.saturating_add(1));
        self.charge(state, at, cost);
        true
    }

    #[inline]
    fn charge(&self, state: &mut State, at: u64, cost: u32) {
        state.last = at;
        state.used += cost;
        state.counts[state.slot as usize] += cost;
    }
}

impl Rule for SubWindows {
    type State = State;

    fn fresh(&self) -> State {
        State {
            last: 0,
            part_ends: self.start_of(1),
            frees_at: 0,
            part: 0,
            used: 0,
            slot: 0,
            counts: vec![0; self.parts as usize + 1].into_boxed_slice(),
        }
    }

    fn capacity(&self) -> u32 {
        self.limit
    }

    #[inline]
    fn take(&self, state: &mut State, now: u64, cost: u32) -> Result<(), u64> {
        let at = now.max(state.last);
        if cost == 1 && at < state.frees_at {
            return Err(state.frees_at - at);
        }
        if at < state.part_ends && cost <= self.limit - state.used {
            self.charge(state, at, cost);
            return Ok(());
        }
        if at >= state.part_ends && self.take_in_later_part(state, at, cost) {
            return Ok(());
        }
        let frees_at = self.frees_at(state, cost);
        if cost == 1 {
            state.frees_at = frees_at;
        }
        Err(frees_at - at)
    }

    fn left(&self, state: &State, now: u64) -> Left {
        let at = now.max(state.last);
        let gone = self.gone(state, self.part_of(at));
        let newest = (gone..state.counts.len()).rev().find(|n| state.oldest(*n) > 0);
        let freed: u32 = (0..gone).map(|n| state.oldest(n)).sum();
        Left {
            remaining: self.limit - (state.used - freed),
            reset_after: newest.map_or(0, |n| self.start_of(state.part.saturating_add(n as u64 + 1)) - at),
        }
    }
}

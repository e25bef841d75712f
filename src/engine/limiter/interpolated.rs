//! Interpolated sub-windows: the oldest of the k + 1 parts counts by the share of it that is still in sight.
//!
//! ```text
//! i = ⌊now · k / W⌋     used = Σ counts of parts i − k + 1 ..= i  +  count of part i − k · (share of it younger than W)
//! ```
//!
//! It sustains nearly L per W. But a burst at the end of the oldest part is discounted while all of it is in sight: up to 2L are let in
//! within some interval of length W, **whatever k is**; at most L within W − W/k. The strict form
//! ([`sub_windows`](super::sub_windows)) holds its promise and pays with throughput.
//!
//! Times are kept in units of 1/k ns, where a part is W units long, so nothing is rounded.

use super::{Config, Left, Rule};

#[derive(Clone, Debug)]
pub(super) struct Interpolated {
    limit: u32,
    /// W \[ns\]; also the length of a part [ns/k].
    window: u64,
    /// k.
    parts: u32,
}

#[derive(Clone, Debug)]
pub(super) struct State {
    /// When the last request was let in [ns].
    last: u64,
    /// Number of the part that `last` lies in.
    part: u64,
    /// Counts of the k + 1 parts up to `part`, part p at p mod (k + 1).
    counts: Box<[u32]>,
}

impl State {
    /// The count of a part; 0 for those that are forgotten, or to come.
    #[inline]
    fn count(&self, part: u64) -> u32 {
        let kept = self.counts.len() as u64;
        if part > self.part || self.part - part >= kept { 0 } else { self.counts[(part % kept) as usize] }
    }
}

impl Interpolated {
    /// A limiter of `limit` per `window` [ns] in `parts` parts, brought into their ranges.
    pub(super) fn new(limit: u32, window: u64, parts: u32) -> Interpolated {
        let most = window.min(u64::from(Config::MAX_PARTS)) as u32;
        Interpolated { limit, window, parts: parts.clamp(1, most) }
    }

    /// The part that a moment lies in, and how far into it [ns/k].
    fn part_of(&self, at: u64) -> (u64, u64) {
        let scaled = u128::from(at) * u128::from(self.parts);
        let window = u128::from(self.window);
        // Not above `at`, for k <= W; the rest is below W.
        ((scaled / window) as u64, (scaled % window) as u64)
    }

    /// The first nanosecond at or after a place in a part.
    fn moment(&self, part: u64, into: u64) -> u64 {
        let scaled = u128::from(part) * u128::from(self.window) + u128::from(into);
        u64::try_from(scaled.div_ceil(u128::from(self.parts))).unwrap_or(u64::MAX)
    }

    /// The count of the part that is leaving when the current one is `part`.
    fn leaving(&self, state: &State, part: u64) -> u32 {
        part.checked_sub(u64::from(self.parts)).map_or(0, |leaving| state.count(leaving))
    }

    /// Counts of the k parts up to `part`.
    fn inside(&self, state: &State, part: u64) -> u32 {
        let first = part.saturating_sub(u64::from(self.parts) - 1);
        (first..=part.min(state.part)).map(|part| state.count(part)).sum()
    }

    /// What is used, times W.
    fn used(&self, state: &State, part: u64, into: u64) -> u128 {
        let share = u128::from(self.window - into) * u128::from(self.leaving(state, part));
        u128::from(self.inside(state, part)) * u128::from(self.window) + share
    }

    /// When a refused `cost` would be let in [ns].
    fn frees_at(&self, state: &State, from: u64, cost: u32) -> u64 {
        let most = self.limit - cost;
        let parts = u64::from(self.parts);
        let mut inside = self.inside(state, from);
        for part in from..=from.saturating_add(parts) {
            let leaving = self.leaving(state, part);
            if let Some(room) = most.checked_sub(inside) {
                let in_sight = match leaving {
                    0 => self.window,
                    n => (u128::from(room) * u128::from(self.window) / u128::from(n)).min(u128::from(self.window))
                        as u64,
                };
                return self.moment(part, self.window - in_sight);
            }
            // The oldest inside is what leaves next; what is yet to come counts nothing.
            inside -= part.saturating_add(1).checked_sub(parts).map_or(0, |oldest| state.count(oldest));
        }
        // By then everything has left.
        self.moment(from.saturating_add(parts + 1), 0)
    }
}

impl Rule for Interpolated {
    type State = State;

    fn fresh(&self) -> State {
        State { last: 0, part: 0, counts: vec![0; self.parts as usize + 1].into() }
    }

    fn capacity(&self) -> u32 {
        self.limit
    }

    fn take(&self, state: &mut State, now: u64, cost: u32) -> Result<(), u64> {
        let at = now.max(state.last);
        let (part, into) = self.part_of(at);
        let most = u128::from(self.limit - cost) * u128::from(self.window);
        if self.used(state, part, into) > most {
            return Err(self.frees_at(state, part, cost).saturating_sub(at).max(1));
        }
        let kept = state.counts.len() as u64;
        if part - state.part >= kept {
            state.counts.fill(0);
        } else if part > state.part {
            for begun in state.part + 1..=part {
                state.counts[(begun % kept) as usize] = 0;
            }
        }
        (state.part, state.last) = (part, at);
        state.counts[(part % kept) as usize] += cost;
        Ok(())
    }

    fn left(&self, state: &State, now: u64) -> Left {
        let at = now.max(state.last);
        let (part, into) = self.part_of(at);
        let free = u128::from(self.limit) * u128::from(self.window) - self.used(state, part, into);
        let oldest = part.saturating_sub(u64::from(self.parts));
        let newest = (oldest..=part.min(state.part)).rev().find(|&part| state.count(part) > 0);
        Left {
            remaining: (free / u128::from(self.window)) as u32,
            reset_after: newest.map_or(0, |newest| {
                self.moment(newest.saturating_add(u64::from(self.parts) + 1), 0).saturating_sub(at)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_at_the_end_of_a_part_is_discounted_too_early() {
        let rule = Interpolated::new(100, 1_000_000_000, 10);
        let mut state = rule.fresh();
        let accepted = [99, 1000, 1050, 1098, 1100]
            .map(|ms: u64| (0..150).filter(|_| rule.take(&mut state, ms * 1_000_000, 1).is_ok()).count());
        assert_eq!(accepted, [100, 0, 50, 48, 2], "RL-17");
        assert_eq!(accepted[0] + accepted[2] + accepted[3], 198, "RL-21: within (98, 1098]");
    }
}

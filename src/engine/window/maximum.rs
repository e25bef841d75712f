//! The largest value of a window.

use std::collections::VecDeque;

use crate::units::Span;

/// The largest span among those noted at positions that still count; O(1) amortized.
///
/// The usual monotonic queue: a value that a later one outdoes can never be the largest again, so values fall from
/// front to back and the front is the answer. At most one entry a position.
#[derive(Clone, Debug, Default)]
pub struct SlidingMaximum {
    falling: VecDeque<(u64, Span)>,
}

impl SlidingMaximum {
    /// Notes `value` at `position`, which never falls, and forgets what lies before `oldest`.
    pub fn note(&mut self, position: u64, value: Span, oldest: u64) {
        while self.falling.front().is_some_and(|&(at, _)| at < oldest) {
            self.falling.pop_front();
        }
        while self.falling.back().is_some_and(|&(_, other)| other <= value) {
            self.falling.pop_back();
        }
        if self.falling.back().is_none_or(|&(at, _)| at != position) {
            self.falling.push_back((position, value));
        }
    }

    /// The largest value at `oldest` or later; `None` if there is none.
    pub fn largest(&self, oldest: u64) -> Option<Span> {
        self.falling.iter().find(|&&(at, _)| at >= oldest).map(|&(_, value)| value)
    }
}

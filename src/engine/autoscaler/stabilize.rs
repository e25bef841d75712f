//! Scale-in stabilization: the fleet shrinks no further than the highest recommendation of a trailing window.
//!
//! The rule is that of the Kubernetes HPA (`behavior.scaleDown`): with recommendations rᵢ made at tᵢ > now − window,
//! the fleet may fall to `max(raw, max rᵢ)`; growing is not delayed. As there, the size found at the start counts
//! as a recommendation, so that a restart delays shrinking by one window and never hastens it.

use std::collections::VecDeque;

use super::guards::Hold;
use super::policy::Recommendation;
use crate::units::{Span, Time};

/// The recommendations of the trailing window that may still matter.
#[derive(Clone, Debug)]
pub(super) struct Stabilizer {
    window: Span,
    /// Oldest first, counts strictly falling: an older, lower one can never be the highest again.
    past: VecDeque<(Time, u32)>,
    started: bool,
}

/// A recommendation after stabilization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Steady {
    /// Instances.
    pub count: u32,
    /// The past recommendation that kept the count above the raw one, and when it will be forgotten.
    pub kept_by: Option<(u32, Time)>,
}

impl Stabilizer {
    pub(super) fn new(window: Span) -> Stabilizer {
        Stabilizer { window, past: VecDeque::new(), started: false }
    }

    /// Records `raw` and returns what may be done at once on a fleet of `existing`.
    pub(super) fn smooth(&mut self, now: Time, existing: u32, raw: u32) -> Steady {
        if !self.started {
            self.started = true;
            self.past.push_back((now, existing));
        }
        while self.past.front().is_some_and(|&(at, _)| at.saturating_add(self.window) <= now) {
            self.past.pop_front();
        }
        let highest = self.past.front().copied();
        while self.past.back().is_some_and(|&(_, count)| count <= raw) {
            self.past.pop_back();
        }
        self.past.push_back((now, raw));
        match highest {
            Some((at, count)) if raw < existing && count > raw => {
                Steady { count: count.min(existing), kept_by: Some((count, at.saturating_add(self.window))) }
            }
            _ => Steady { count: raw, kept_by: None },
        }
    }

    /// Tells in a wish for a fleet of `existing` what was kept, if anything was.
    pub(super) fn note(&self, wish: &mut Recommendation, steady: Steady, existing: u32) {
        let Some((wanted, until)) = steady.kept_by else { return };
        wish.steadying = format!("{wanted} was wanted within the last {}", self.window);
        if steady.count == existing {
            wish.holds.push(Hold::Stabilization { window: self.window, wanted, until });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Time = |s| Time::ZERO + Span::from_secs(s);

    #[test]
    fn the_highest_recommendation_strictly_younger_than_the_window_is_the_floor() {
        // H-28: recommendations 10 at t = 10, 7 at t = 200; now 300 or 310, raw 5, current 10.
        for (now, expected) in [(300, 10), (309, 10), (310, 7)] {
            let mut s = Stabilizer::new(Span::from_secs(300));
            s.smooth(S(10), 10, 10);
            s.smooth(S(200), 10, 7);
            assert_eq!(s.smooth(S(now), 10, 5).count, expected, "H-28 at {now}");
        }
    }

    #[test]
    fn growing_is_not_delayed_and_a_start_counts_as_a_recommendation() {
        let mut s = Stabilizer::new(Span::from_secs(300));
        assert_eq!(s.smooth(S(0), 5, 2), Steady { count: 5, kept_by: Some((5, S(300))) });
        assert_eq!(s.smooth(S(15), 5, 9).count, 9);
        assert_eq!(s.smooth(S(30), 9, 2).kept_by, Some((9, S(315))));
        assert_eq!(s.smooth(S(315), 9, 2).count, 2);
    }
}

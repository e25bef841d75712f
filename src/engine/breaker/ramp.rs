//! Recovery by degrees: a rising share of the calls after the probes succeeded.

use super::Call;
use crate::engine::window::Tally;
use crate::units::{Span, Time};

/// Steps of a ramp, each judged by itself: as many as a time window has buckets by default.
const STEPS: u64 = 10;

/// A ramp that begins where the half-open round ended: k probes passed and r calls were refused, so the share rises
/// linearly from `k / (k + r)` to 1.
#[derive(Clone, Debug)]
pub(super) struct Ramp {
    start: f64,
    over: Span,
    step: u64,
    total: Tally,
}

impl Ramp {
    pub(super) fn new(probes: u32, refused: u64, over: Span) -> Ramp {
        let start = f64::from(probes) / (f64::from(probes) + refused as f64);
        Ramp { start, over, step: 0, total: Tally::default() }
    }

    /// The share of calls admitted at `now` on a ramp that began at `since`; `None` when the ramp is over.
    pub(super) fn admitted_share(&self, since: Time, now: Time) -> Option<f64> {
        let passed = now.since(since);
        let progress = passed.0 as f64 / self.over.0 as f64;
        (passed < self.over).then_some(self.start + (1.0 - self.start) * progress)
    }

    /// When everything is admitted again.
    pub(super) fn ends_at(&self, since: Time) -> Time {
        since.saturating_add(self.over)
    }

    /// Counts a call, and returns what the current step holds.
    pub(super) fn count(&mut self, since: Time, now: Time, call: Call) -> Tally {
        let step = now.since(since).0 / (self.over.0 / STEPS).max(1);
        if step != self.step {
            (self.step, self.total) = (step, Tally::default());
        }
        self.total.count(call.failed, call.slow);
        self.total
    }
}

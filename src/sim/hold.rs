//! Requests that wait at the gateway: for an instance to come up, or to have room, or until their quota lets them go on.

use std::collections::VecDeque;

use crate::engine::request::Admission;
use crate::record::outcome::Failure;
use crate::sim::World;
use crate::sim::agenda::Entry;
use crate::sim::attempt::Stage;
use crate::sim::calendar::Kind;
use crate::units::{Span, Time};

/// Those that wait, in the order in which they came.
#[derive(Debug, Default)]
pub struct Holding {
    /// Until when each may wait, its slot and its stamp. Who has left stays in the list and is skipped.
    queue: VecDeque<(Time, u32, u32)>,
    waiting: u32,
    /// Whether those that wait are being sent on: an answer that comes at once leads back there.
    releasing: bool,
    /// Integral of `waiting` over time \[ns\], up to `since`.
    area: u128,
    since: Time,
    limit_due: bool,
}

impl Holding {
    fn change(&mut self, now: Time, by: i64) {
        self.area += u128::from(self.waiting) * u128::from(now.since(self.since).0);
        self.since = now;
        self.waiting = self.waiting.saturating_add_signed(by as i32);
    }

    /// Whether any waits.
    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Requests that waited, integrated over time up to `now` \[ns\].
    pub fn area(&self, now: Time) -> u128 {
        self.area + u128::from(self.waiting) * u128::from(now.since(self.since).0)
    }
}

/// The mean of what an integral grew by, over `length`.
pub fn mean(area: u128, length: Span) -> f64 {
    if length.is_zero() { 0.0 } else { area as f64 / length.0 as f64 }
}

impl World<'_> {
    /// An attempt waits until there is an instance for it, but not beyond `until`.
    #[cold]
    pub(super) fn hold(&mut self, slot: u32, until: Time) {
        let attempt = &mut self.slab[slot];
        attempt.stage = Stage::Held;
        let stamp = attempt.stamp;
        self.holding.change(self.now, 1);
        self.holding.queue.push_back((until, slot, stamp));
        if !self.holding.limit_due {
            self.holding.limit_due = true;
            self.agenda.push(until, Entry::HoldLimit);
        }
    }

    /// An attempt waits until its quota lets it go on.
    #[cold]
    pub(super) fn delay(&mut self, slot: u32, until: Time) {
        self.slab[slot].stage = Stage::Delayed;
        self.calendar.push(until, Kind::DelayEnds, slot);
    }

    /// An attempt's wait for its quota is over.
    pub(super) fn delay_ends(&mut self, slot: u32) {
        if self.slab[slot].stage == Stage::Dead {
            return self.slab.remove(slot);
        }
        let request = self.request(slot, None);
        let admission = self.engine.admit_delayed(self.now, &request);
        self.admitted::<true>(slot, admission);
    }

    /// Whether the entry of the queue still stands for an attempt that waits.
    fn waits(&self, slot: u32, stamp: u32) -> bool {
        let attempt = &self.slab[slot];
        attempt.stage == Stage::Held && attempt.stamp == stamp
    }

    /// Sends on what waits, in order, as long as there is somebody to send it to.
    pub(super) fn release_held(&mut self) {
        if !std::mem::replace(&mut self.holding.releasing, true) {
            self.release_in_order();
            self.holding.releasing = false;
        }
    }

    fn release_in_order(&mut self) {
        while self.engine.candidates() > 0
            && let Some(&(_, slot, stamp)) = self.holding.queue.front()
        {
            if !self.waits(slot, stamp) {
                self.holding.queue.pop_front();
                continue;
            }
            let request = self.request(slot, None);
            let admission = self.engine.admit_held(self.now, &request);
            if matches!(admission, Admission::Hold { .. }) {
                return;
            }
            self.holding.queue.pop_front();
            self.holding.change(self.now, -1);
            self.admitted::<true>(slot, admission);
        }
    }

    /// The client of a held attempt has given up.
    pub(super) fn leaves_hold(&mut self, slot: u32) {
        self.holding.change(self.now, -1);
        self.engine.abandon_held(self.now);
        self.slab.remove(slot);
    }

    /// Whoever has waited too long is refused.
    pub(super) fn hold_limit(&mut self) {
        self.holding.limit_due = false;
        while let Some(&(until, slot, stamp)) = self.holding.queue.front() {
            if !self.waits(slot, stamp) {
                self.holding.queue.pop_front();
            } else if until <= self.now {
                self.holding.queue.pop_front();
                let attempt = self.slab[slot];
                self.leaves_hold(slot);
                self.attempt_failed(attempt, Failure::NoInstance);
            } else {
                self.holding.limit_due = true;
                self.agenda.push(until, Entry::HoldLimit);
                return;
            }
        }
    }
}

//! Overload control on both sides of the gateway: what clients hold back or ask twice, and what instances shed.
//!
//! Throttling is that of all clients together, as of one application that calls the service. A copy (hedge) of a request has the same
//! demand, goes to another instance, and is stopped when the first answer is there; stopping says nothing about its instance.

use std::collections::BTreeMap;

use crate::engine::overload::codel::{self, Codel};
use crate::engine::overload::hedge::Hedge;
use crate::engine::overload::throttle::Throttle;
use crate::engine::request::{InstanceId, Outcome};
use crate::record::outcome::Failure;
use crate::rng::{Dice, Stream};
use crate::scenario::overload::Overload;
use crate::sim::World;
use crate::sim::attempt::{Attempt, Stage};
use crate::sim::calendar::Kind;
use crate::units::Time;

/// The state of all of it.
#[derive(Debug)]
pub(super) struct Pressure {
    codel: Option<codel::Config>,
    /// By instance id.
    queues: Vec<Codel>,
    adaptive_lifo: bool,
    deadlines: bool,
    throttle: Option<Throttle>,
    dice: Dice,
    hedging: Option<Hedging>,
}

/// Copies, and when they are due.
#[derive(Debug)]
struct Hedging {
    hedge: Hedge,
    /// By slot: whose, and when; other events for the slot are of earlier users.
    due: Vec<(u32, Time)>,
    /// Requests with a copy under way: slot and stamp of both.
    pairs: BTreeMap<u64, Pair>,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    first: (u32, u32),
    copy: (u32, u32),
}

/// Marks the number of an attempt that is a copy.
const COPY: u16 = 1 << 15;

impl Pressure {
    /// Nothing has happened yet; `None` if nothing is on.
    pub(super) fn new(overload: &Overload, seed: u64) -> Option<Pressure> {
        overload.is_on().then(|| Pressure {
            codel: overload.codel,
            queues: Vec::new(),
            adaptive_lifo: overload.adaptive_lifo,
            deadlines: overload.deadlines,
            throttle: overload.throttle.map(Throttle::new),
            dice: Dice::new(seed ^ 0x5448_524F, Stream::RetryJitter),
            hedging: overload.hedge.map(|config| Hedging {
                hedge: Hedge::new(config),
                due: Vec::new(),
                pairs: BTreeMap::new(),
            }),
        })
    }

    fn queue(&mut self, place: usize) -> Option<&mut Codel> {
        let config = self.codel?;
        if place >= self.queues.len() {
            self.queues.resize(place + 1, Codel::new(config));
        }
        Some(&mut self.queues[place])
    }
}

impl World<'_> {
    /// Whether the client holds an attempt back; it has failed then. Otherwise its copy, if it may get one, is put on the calendar.
    fn is_throttled(&mut self, slot: u32) -> bool {
        let Some(pressure) = &mut self.pressure else { return false };
        let attempt = &self.slab[slot];
        if attempt.number & COPY != 0 {
            return false;
        }
        if let Some(throttle) = &mut pressure.throttle {
            let u = pressure.dice.sub(attempt.index, u64::from(attempt.number)).unit();
            if throttle.refuses(self.now, u) {
                let attempt = self.slab[slot];
                self.slab.remove(slot);
                self.attempt_failed(attempt, Failure::Shed);
                return true;
            }
        }
        if let Some(hedging) = &mut pressure.hedging
            && let Some(delay) = hedging.hedge.begun()
        {
            let (place, at) = (slot as usize, self.now + delay);
            if place >= hedging.due.len() {
                hedging.due.resize(place + 1, (0, Time::MAX));
            }
            hedging.due[place] = (attempt.stamp, at);
            self.calendar.push(at, Kind::HedgeDue, slot);
        }
        false
    }

    /// Sends a copy of an attempt that has no answer yet, if the budget has one.
    pub(super) fn hedge_due(&mut self, slot: u32) {
        let attempt = self.slab[slot];
        let Some(pressure) = &mut self.pressure else { return };
        let Some(hedging) = &mut pressure.hedging else { return };
        let is_waited_for =
            attempt.awaited && !matches!(attempt.stage, Stage::Free | Stage::BackingOff | Stage::Dead);
        let is_due = hedging.due[slot as usize] == (attempt.stamp, self.now);
        if !is_due || !is_waited_for || hedging.pairs.contains_key(&attempt.index) || !hedging.hedge.withdraw() {
            return;
        }
        let copy = Attempt {
            number: attempt.number | COPY,
            sent_at: self.now,
            stage: Stage::Outbound,
            failed: false,
            calls_left: 0,
            dependency: 0,
            ..attempt
        };
        let copy_slot = self.slab.insert(copy);
        let pair = Pair { first: (slot, attempt.stamp), copy: (copy_slot, self.slab[copy_slot].stamp) };
        if let Some(hedging) = self.pressure.as_mut().and_then(|pressure| pressure.hedging.as_mut()) {
            hedging.pairs.insert(attempt.index, pair);
        }
        self.recorder.retried(attempt.scheduled_at, attempt.endpoint);
        self.send_under_pressure(copy_slot, Some(attempt.instance));
    }

    /// The attempt in `slot` is answered well: its twin is stopped, and clients learn.
    #[cold]
    #[inline(never)]
    pub(super) fn answer_wins(&mut self, slot: u32) {
        let attempt = self.slab[slot];
        let Some(pressure) = &mut self.pressure else { return };
        if let Some(throttle) = &mut pressure.throttle {
            throttle.accepted(self.now);
        }
        let Some(hedging) = &mut pressure.hedging else { return };
        if attempt.number & COPY == 0 {
            hedging.hedge.answered(self.now.since(attempt.sent_at));
        }
        if let Some(pair) = hedging.pairs.remove(&attempt.index) {
            let other = if attempt.number & COPY == 0 { pair.copy } else { pair.first };
            self.stop(other);
        }
    }

    /// Whether a request goes on although this attempt of it failed: its twin is under way. A first attempt that timed out
    /// takes its copy with it, for it is the client that gives up.
    pub(super) fn goes_on_without(&mut self, attempt: &mut Attempt, failure: Failure) -> bool {
        let Some(pressure) = &mut self.pressure else { return false };
        if let Some(throttle) = &mut pressure.throttle
            && failure == Failure::ServerError
        {
            throttle.accepted(self.now);
        }
        let Some(hedging) = &mut pressure.hedging else { return false };
        let is_copy = attempt.number & COPY != 0;
        attempt.number &= !COPY;
        let Some(pair) = hedging.pairs.remove(&attempt.index) else { return false };
        let other = if is_copy { pair.first } else { pair.copy };
        if failure == Failure::Timeout {
            self.stop(other);
            return false;
        }
        // While the pair stands, its other half is under way, or about to be told that it failed as well.
        true
    }

    fn is_under_way(&self, (slot, stamp): (u32, u32)) -> bool {
        let attempt = &self.slab[slot];
        attempt.stamp == stamp
            && attempt.awaited
            && !matches!(attempt.stage, Stage::Free | Stage::BackingOff | Stage::Dead)
    }

    /// Stops an attempt that nobody waits for any more.
    fn stop(&mut self, twin: (u32, u32)) {
        if self.is_under_way(twin) {
            let attempt = self.slab[twin.0];
            self.slab[twin.0].awaited = false;
            match attempt.stage {
                // The engine waits for no answer to those that it has not sent on.
                Stage::Held => self.leaves_hold(twin.0),
                Stage::Delayed => self.slab[twin.0].stage = Stage::Dead,
                _ => {
                    self.report(&attempt, Outcome::Abandoned);
                    self.cancel(twin.0);
                }
            }
        }
    }

    /// [`World::send`] with what may come before and after it.
    #[cold]
    #[inline(never)]
    pub(super) fn send_under_pressure(&mut self, slot: u32, avoid: Option<InstanceId>) {
        if !self.is_throttled(slot) {
            self.send(slot, avoid);
            self.send_probes();
        }
    }

    /// An attempt is at the door of its instance: [`World::enters`] with queues that shed.
    #[cold]
    #[inline(never)]
    pub(super) fn enters_under_pressure(&mut self, slot: u32, place: usize) {
        let instance = &mut self.instances[place];
        instance.attempts += 1;
        let service = &self.plan.scenario().service;
        if !instance.is_alive() {
            self.answer_with::<true>(slot, Outcome::Connection);
        } else if instance.busy() < service.workers {
            if self.is_shed_on_arrival(slot, place) {
                return self.answer_with::<true>(slot, Outcome::Shed);
            }
            self.instances[place].touch(self.now);
            self.serve(slot, place);
        } else if service.queue.is_some_and(|queue| instance.queued >= queue) {
            self.gauge(slot, true);
            self.answer_with::<true>(slot, Outcome::QueueFull);
        } else {
            self.enqueue_under_pressure(slot, place);
        }
    }

    /// A worker is free: the next attempt that is worth it gets it.
    #[cold]
    #[inline(never)]
    pub(super) fn serve_next_under_pressure(&mut self, place: usize) {
        let next = self.dequeue_under_pressure(place);
        let instance = &self.instances[place];
        match next {
            Some(next) => self.serve(next, place),
            None if instance.has_drained(self.now) => self.leaves(place),
            None => {}
        }
    }

    /// An attempt finds a free worker: its queue is empty, and it may be too late already.
    fn is_shed_on_arrival(&mut self, slot: u32, place: usize) -> bool {
        let now = self.now;
        let Some(pressure) = &mut self.pressure else { return false };
        if let Some(queue) = pressure.queue(place) {
            queue.passed(now);
        }
        pressure.deadlines && self.is_too_late(slot, place)
    }

    /// An attempt has to wait.
    fn enqueue_under_pressure(&mut self, slot: u32, place: usize) {
        self.instances[place].touch(self.now);
        let newest_first = self.pressure.as_mut().is_some_and(|pressure| {
            pressure.adaptive_lifo && pressure.queue(place).is_some_and(|queue| queue.is_overloaded())
        });
        if newest_first {
            self.instances[place].enqueue_first(&mut self.slab, slot);
        } else {
            self.instances[place].enqueue(&mut self.slab, slot);
        }
    }

    /// The next attempt worth serving; the others are shed. The instance's integrals are up to date.
    fn dequeue_under_pressure(&mut self, place: usize) -> Option<u32> {
        loop {
            let slot = self.instances[place].dequeue(&mut self.slab)?;
            if !self.is_shed(slot, place) {
                return Some(slot);
            }
            self.answer_with::<true>(slot, Outcome::Shed);
        }
    }

    fn is_shed(&mut self, slot: u32, place: usize) -> bool {
        let now = self.now;
        let attempt = &self.slab[slot];
        let arrived = attempt.sent_at + self.plan.one_way(attempt.region);
        let Some(pressure) = &mut self.pressure else { return false };
        if let Some(queue) = pressure.queue(place)
            && queue.sheds(now, now.since(arrived))
        {
            return true;
        }
        pressure.deadlines && self.is_too_late(slot, place)
    }

    /// Whether an attempt's answer would come after its client has given up, if it took its mean time from now on.
    fn is_too_late(&self, slot: u32, place: usize) -> bool {
        let attempt = &self.slab[slot];
        let Some(timeout) = self.plan.scenario().clients.timeout else { return false };
        let takes = self.intake.mean_demand(attempt.endpoint).mul_f64(self.instances[place].slowness);
        let back = self.plan.one_way(attempt.region);
        !attempt.awaited || self.now + takes + back > attempt.sent_at + timeout
    }
}

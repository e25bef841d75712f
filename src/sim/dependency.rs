//! Dependencies: pools of connections that the whole fleet shares.
//!
//! A request makes its calls one after the other, after its own demand, and keeps its worker meanwhile. That is how a
//! database that does not scale turns more instances into more waiting.
//!
//! Calls at once may slow each other down, by the universal scalability law (Gunther, *Guerrilla Capacity Planning*, 2007): a call that
//! begins as the N-th at once takes `1 + α (N − 1) + β N (N − 1)` times as long as it would alone.
//!
//! A cache is a share of its entries that is full. Which entry a call asks for is a number of its own, so that a retry asks for the same;
//! full are those below the share. Two misses of one entry at the same time count as two entries, so a cold cache of few entries
//! warms a little faster than it would.
//!
//! A call that times out leaves its connection taken until it would have ended: nobody tells a database.

use std::collections::VecDeque;

use crate::distribution::Sampler;
use crate::scenario::dependency::{Cache, Dependency};
use crate::sim::World;
use crate::sim::attempt::{Attempt, Stage};
use crate::sim::calendar::Kind;
use crate::units::{Span, Time};

/// A dependency's connections.
#[derive(Debug)]
pub struct Pool {
    connections: u32,
    busy: u32,
    /// Slots, with the tickets that they wait by.
    waiting: VecDeque<(u32, u32)>,
    time: Sampler,
    calls: f64,
    contention: f64,
    coherency: f64,
    /// The time of a call is multiplied by this: slow faults.
    pub slowness: f64,
    cache: Option<Cache>,
    /// Entries that are in the cache.
    cached: f64,
    timeout: Option<Span>,
    optional: bool,
}

impl Pool {
    /// An idle pool, behind a full cache.
    pub fn new(dependency: &Dependency) -> Pool {
        Pool {
            connections: dependency.connections,
            busy: 0,
            waiting: VecDeque::new(),
            time: dependency.time.sampler(),
            calls: dependency.calls_per_request,
            contention: dependency.contention,
            coherency: dependency.coherency,
            slowness: 1.0,
            cache: dependency.cache,
            cached: dependency.cache.map_or(0.0, |cache| f64::from(cache.entries)),
            timeout: dependency.timeout,
            optional: dependency.optional,
        }
    }

    /// A share of what is in the cache is gone.
    pub fn lose_cache(&mut self, share: f64) {
        self.cached *= 1.0 - share;
    }

    /// What the calls that are under way make of the time of one that joins them.
    fn crowding(&self) -> f64 {
        let n = f64::from(self.busy);
        1.0 + (n - 1.0) * (self.contention + self.coherency * n)
    }
}

/// How attempts wait for their calls, by slot.
#[derive(Debug, Default)]
pub struct Waits {
    waits: Vec<Wait>,
    tickets: u32,
}

/// How an attempt waits for its call.
#[derive(Clone, Copy, Debug, Default)]
struct Wait {
    /// By which it is found in its pool's queue; 0 if it is not there.
    ticket: u32,
    /// When it has waited enough, if an event of that time is pending for it.
    until: Option<Time>,
}

impl Waits {
    fn of(&mut self, slot: u32) -> &mut Wait {
        if slot as usize >= self.waits.len() {
            self.waits.resize(slot as usize + 1, Wait::default());
        }
        &mut self.waits[slot as usize]
    }

    /// A ticket that nobody in the queue has.
    fn draw(&mut self) -> u32 {
        self.tickets = self.tickets.wrapping_add(1).max(1);
        self.tickets
    }
}

/// Offset of draws for entries of a cache, beyond those for times of calls.
const ENTRY_DRAW: u64 = 1 << 31;

impl World<'_> {
    /// A request turns to its dependencies.
    pub(super) fn begin_calls(&mut self, slot: u32) {
        let attempt = &mut self.slab[slot];
        attempt.stage = Stage::Calling;
        let place = attempt.instance.0 as usize;
        let instance = &mut self.instances[place];
        instance.touch(self.now);
        instance.serving -= 1;
        instance.calling += 1;
        self.turn_to(slot, 0);
    }

    /// The request at `slot` turns to dependency `i`, or is done if there is none.
    fn turn_to(&mut self, slot: u32, mut i: usize) {
        while i < self.pools.len() {
            let index = self.slab[slot].index;
            let calls = self.pools[i].calls;
            let whole = calls.floor();
            let extra = self.dependency_dice.sub(index, i as u64).unit() < calls - whole;
            let attempt = &mut self.slab[slot];
            attempt.dependency = i as u8;
            attempt.calls_left = whole as u16 + u16::from(extra);
            if self.calls(slot) {
                return;
            }
            i += 1;
        }
        self.work_done::<true>(slot);
    }

    /// The next call of a request to its dependency that a cache does not answer begins, or waits for a connection. Returns whether there
    /// is one.
    fn calls(&mut self, slot: u32) -> bool {
        let i = usize::from(self.slab[slot].dependency);
        while self.slab[slot].calls_left > 0 {
            let is_hit = self.entry(slot).is_some_and(|(entry, cached)| entry < cached);
            if !is_hit {
                self.call(slot, i);
                return true;
            }
            self.slab[slot].calls_left -= 1;
        }
        false
    }

    /// Which entry of its dependency's cache the next call of an attempt asks for, and how many are in it; `None` if it is none that can
    /// be cached.
    fn entry(&self, slot: u32) -> Option<(f64, f64)> {
        let attempt = &self.slab[slot];
        let pool = &self.pools[usize::from(attempt.dependency)];
        let cache = pool.cache?;
        let k = call_number(attempt) | ENTRY_DRAW;
        let share = self.dependency_dice.sub(attempt.index, k).unit() / cache.hit_ratio;
        (share < 1.0).then(|| (share * f64::from(cache.entries), pool.cached))
    }

    fn call(&mut self, slot: u32, i: usize) {
        let pool = &mut self.pools[i];
        let until = pool.timeout.map(|timeout| self.now.saturating_add(timeout));
        if pool.busy < pool.connections {
            pool.busy += 1;
            *self.waits.of(slot) = Wait { ticket: 0, until };
            return self.connected(slot, i);
        }
        let ticket = self.waits.draw();
        pool.waiting.push_back((slot, ticket));
        *self.waits.of(slot) = Wait { ticket, until };
        if let Some(until) = until {
            self.calendar.push(until, Kind::CallTimesOut, slot);
        }
    }

    /// A request has a connection.
    fn connected(&mut self, slot: u32, i: usize) {
        let waited = std::mem::take(&mut self.waits.of(slot).ticket) != 0;
        let (pool, attempt) = (&self.pools[i], &mut self.slab[slot]);
        let mut time = pool.time.sample(&mut self.dependency_dice.sub(attempt.index, call_number(attempt)));
        let longer = pool.slowness * pool.crowding();
        if longer != 1.0 {
            time = time.mul_f64(longer);
        }
        let ends = self.now.saturating_add(time);
        let wait = self.waits.of(slot);
        match wait.until {
            Some(until) if until < ends => {
                attempt.service += until.since(self.now);
                // The call goes on without whoever made it.
                let call = Attempt { stage: Stage::Dead, awaited: false, service: Span::ZERO, ..*attempt };
                let call = self.slab.insert(call);
                self.calendar.push(ends, Kind::CallEnds, call);
                if !waited {
                    self.calendar.push(until, Kind::CallTimesOut, slot);
                }
            }
            _ => {
                wait.until = None;
                attempt.service += time;
                self.calendar.push(ends, Kind::CallEnds, slot);
            }
        }
    }

    /// A call is over: the connection goes to the next in line, and the request to its next call.
    pub(super) fn call_ends(&mut self, slot: u32) {
        let i = usize::from(self.slab[slot].dependency);
        self.pools[i].busy -= 1;
        while let Some((next, ticket)) = self.pools[i].waiting.pop_front() {
            if self.waits.of(next).ticket != ticket {
                // It timed out meanwhile.
                continue;
            }
            if self.slab[next].stage == Stage::Dead {
                let attempt = self.slab[next];
                self.recorder.wasted(attempt.scheduled_at, attempt.service);
                self.slab.remove(next);
                *self.waits.of(next) = Wait::default();
                continue;
            }
            self.pools[i].busy += 1;
            self.connected(next, i);
            break;
        }
        if self.slab[slot].stage == Stage::Dead {
            return self.bury(slot);
        }
        if self.entry(slot).is_some()
            && let Some(cache) = self.pools[i].cache
        {
            self.pools[i].cached = (self.pools[i].cached + 1.0).min(f64::from(cache.entries));
        }
        self.slab[slot].calls_left -= 1;
        if !self.calls(slot) {
            self.turn_to(slot, i + 1);
        }
    }

    /// An attempt has waited for its call as long as the service waits, unless the event is stale.
    pub(super) fn call_times_out(&mut self, slot: u32) {
        let wait = self.waits.of(slot);
        if wait.until != Some(self.now) {
            return;
        }
        let is_waiting = wait.ticket != 0;
        if self.slab[slot].stage == Stage::Dead {
            // One that waits is buried when it comes to the head of the queue.
            wait.until = None;
            if !is_waiting {
                self.bury(slot);
            }
            return;
        }
        *wait = Wait::default();
        let i = usize::from(self.slab[slot].dependency);
        if self.pools[i].optional {
            return self.turn_to(slot, i + 1);
        }
        self.slab[slot].failed = true;
        self.work_done::<true>(slot);
    }
}

/// Which call of its request an attempt makes next.
fn call_number(attempt: &Attempt) -> u64 {
    (u64::from(attempt.dependency) + 1) << 32 | u64::from(attempt.calls_left)
}

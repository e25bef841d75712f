//! Dependencies: pools of connections that the whole fleet shares.
//!
//! A request makes its calls one after the other, after its own demand, and keeps its worker meanwhile. That is how a
//! database that does not scale turns more instances into more waiting.

use std::collections::VecDeque;

use crate::distribution::Sampler;
use crate::scenario::dependency::Dependency;
use crate::sim::World;
use crate::sim::attempt::Stage;
use crate::sim::calendar::Kind;

/// A dependency's connections.
#[derive(Debug)]
pub struct Pool {
    connections: u32,
    busy: u32,
    waiting: VecDeque<u32>,
    time: Sampler,
    calls: f64,
}

impl Pool {
    /// An idle pool.
    pub fn new(dependency: &Dependency) -> Pool {
        Pool {
            connections: dependency.connections,
            busy: 0,
            waiting: VecDeque::new(),
            time: dependency.time.sampler(),
            calls: dependency.calls_per_request,
        }
    }
}

impl World<'_> {
    /// A request turns to its dependencies.
    pub(super) fn begin_calls(&mut self, slot: u32) {
        let attempt = &mut self.slab[slot];
        attempt.stage = Stage::Calling;
        attempt.dependency = 0;
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
            let n = whole as u16 + u16::from(extra);
            if n > 0 {
                let attempt = &mut self.slab[slot];
                attempt.dependency = i as u8;
                attempt.calls_left = n;
                return self.call(slot);
            }
            i += 1;
        }
        self.work_done::<true>(slot);
    }

    /// The next call of a request begins, or waits for a connection.
    fn call(&mut self, slot: u32) {
        let pool = &mut self.pools[usize::from(self.slab[slot].dependency)];
        if pool.busy < pool.connections {
            pool.busy += 1;
            self.connected(slot);
        } else {
            pool.waiting.push_back(slot);
        }
    }

    /// A request has a connection.
    fn connected(&mut self, slot: u32) {
        let attempt = &mut self.slab[slot];
        let i = usize::from(attempt.dependency);
        let k = (i as u64 + 1) << 32 | u64::from(attempt.calls_left);
        let time = self.pools[i].time.sample(&mut self.dependency_dice.sub(attempt.index, k));
        attempt.service += time;
        self.calendar.push(self.now + time, Kind::CallEnds, slot);
    }

    /// A call is over: the connection goes to the next in line, and the request to its next call.
    pub(super) fn call_ends(&mut self, slot: u32) {
        let i = usize::from(self.slab[slot].dependency);
        self.pools[i].busy -= 1;
        while let Some(next) = self.pools[i].waiting.pop_front() {
            if self.slab[next].stage == Stage::Dead {
                self.slab.remove(next);
                continue;
            }
            self.pools[i].busy += 1;
            self.connected(next);
            break;
        }
        if self.slab[slot].stage == Stage::Dead {
            self.slab.remove(slot);
            return;
        }
        self.slab[slot].calls_left -= 1;
        if self.slab[slot].calls_left > 0 {
            self.call(slot);
        } else {
            self.turn_to(slot, i + 1);
        }
    }
}

//! Attempts in the making: a slab, so that a request costs no allocation.

use crate::engine::request::{InstanceId, Permit};
use crate::units::{Span, Time};

/// "No attempt": the end of a queue.
pub const NONE: u32 = u32::MAX;

/// Where an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The slot is free.
    Free,
    /// Waiting at the gateway for an instance to come up.
    Held,
    /// Waiting at the gateway until its quota lets it go on.
    Delayed,
    /// On its way to the instance.
    Outbound,
    /// Waiting in the instance.
    Queued,
    /// Served by the instance.
    InService,
    /// Past its own service, calling dependencies; it holds its worker.
    Calling,
    /// Answered; the answer is on its way.
    Inbound,
    /// Waiting for its client to try again.
    BackingOff,
    /// Its instance crashed or cut it off while an event of it was pending: the event only frees the slot.
    Dead,
}

/// One attempt of a request, and all that its request needs to be tried again.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Which request; the index of its random numbers.
    pub index: u64,
    /// When the plan says that the request starts; latency counts from here.
    pub scheduled_at: Time,
    /// When this attempt was sent.
    pub sent_at: Time,
    /// Demand on an idle, warm instance.
    pub demand: Span,
    /// Time in service, slowness included; set when service starts.
    pub service: Span,
    /// The next attempt in the same queue.
    pub next: u32,
    /// Where it was sent.
    pub instance: InstanceId,
    /// The breaker's permit.
    pub permit: Permit,
    /// Who asked.
    pub client: u32,
    /// Told apart from earlier users of the slot.
    pub stamp: u32,
    /// What was asked for.
    pub endpoint: u16,
    /// From where.
    pub region: u16,
    /// 1 for the first try.
    pub number: u16,
    /// Calls to the current dependency still to be made.
    pub calls_left: u16,
    /// Which dependency is being called.
    pub dependency: u8,
    /// Where it is.
    pub stage: Stage,
    /// Whether the client still waits for it. A client that gave up has been told; the work goes on.
    pub awaited: bool,
    /// Whether the answer is an error.
    pub failed: bool,
}

impl Attempt {
    const BLANK: Attempt = Attempt {
        index: 0,
        scheduled_at: Time::ZERO,
        sent_at: Time::ZERO,
        demand: Span::ZERO,
        service: Span::ZERO,
        next: NONE,
        instance: InstanceId(u32::MAX),
        permit: Permit(0),
        client: 0,
        stamp: 0,
        endpoint: 0,
        region: 0,
        number: 1,
        calls_left: 0,
        dependency: 0,
        stage: Stage::Free,
        awaited: false,
        failed: false,
    };
}

/// All attempts in the making.
#[derive(Debug, Default)]
pub struct Slab {
    slots: Vec<Attempt>,
    free: Vec<u32>,
}

impl Slab {
    /// Takes a slot, with a new stamp. Its other fields are those of its last user, for the caller to set.
    #[inline]
    pub fn claim(&mut self) -> u32 {
        if let Some(slot) = self.free.pop() {
            let stamp = &mut self.slots[slot as usize].stamp;
            *stamp = stamp.wrapping_add(1);
            return slot;
        }
        self.slots.push(Attempt::BLANK);
        (self.slots.len() - 1) as u32
    }

    /// Takes a slot for `attempt`, with a new stamp.
    pub fn insert(&mut self, attempt: Attempt) -> u32 {
        let slot = self.claim();
        let stamp = self.slots[slot as usize].stamp;
        self.slots[slot as usize] = Attempt { stamp, ..attempt };
        slot
    }

    /// Gives a slot back.
    #[inline]
    pub fn remove(&mut self, slot: u32) {
        let attempt = &mut self.slots[slot as usize];
        debug_assert!(attempt.stage != Stage::Free, "a slot is freed once");
        attempt.stage = Stage::Free;
        self.free.push(slot);
    }

    /// Every attempt in the making began later by so much, but none that began before `warmup_end` after it. O(slots).
    pub fn leap(&mut self, by: Span, warmup_end: Time) {
        for attempt in self.slots.iter_mut().filter(|attempt| attempt.stage != Stage::Free) {
            let began_before = attempt.scheduled_at < warmup_end;
            attempt.scheduled_at += by;
            if began_before {
                attempt.scheduled_at = attempt.scheduled_at.min(Time(warmup_end.0 - 1));
            }
            attempt.sent_at += by;
        }
    }

    /// How many slots there are, free ones included.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no slot is taken.
    pub fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    /// Slots of attempts that `instance` holds: waiting, in service or calling. O(attempts).
    pub fn held_by(&self, instance: InstanceId) -> Vec<u32> {
        let holds = |attempt: &Attempt| {
            attempt.instance == instance && matches!(attempt.stage, Stage::Queued | Stage::InService | Stage::Calling)
        };
        (0..self.slots.len() as u32).filter(|&slot| holds(&self.slots[slot as usize])).collect()
    }
}

impl std::ops::Index<u32> for Slab {
    type Output = Attempt;
    #[inline]
    fn index(&self, slot: u32) -> &Attempt {
        &self.slots[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for Slab {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut Attempt {
        &mut self.slots[slot as usize]
    }
}

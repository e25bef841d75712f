//! One simulated instance: its workers, its queue, its integrals.
//!
//! First come, first served: up to `workers` requests in service, the rest in an intrusive list through the slab of
//! attempts. (Processor sharing lives in [`sharing`](super::sharing).) Nothing here decides anything; the world calls.
//!
//! Integrals over virtual time (requests in service, calling, waiting) are kept exactly, so that utilization and queue
//! length are time averages and not averages over events, and so that Little's law can be tested rather than assumed.

use crate::scenario::faults::course::ErrorFault;
use crate::sim::attempt::{NONE, Slab, Stage};
use crate::sim::sharing::Sharing;
use crate::units::{Span, Time};

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Asked for; paid for; does not answer yet.
    Provisioning,
    /// Answers and takes traffic.
    Serving,
    /// Gets nothing new and finishes what it has.
    Draining,
    /// Dead, and still paid for until somebody notices.
    Crashed,
    /// No longer there.
    Gone,
}

/// Integrals over virtual time [request · ns].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Areas {
    /// Requests in service.
    pub serving: u128,
    /// Requests that hold a worker while a dependency works.
    pub calling: u128,
    /// Requests waiting.
    pub queued: u128,
    /// CPU cores busy under processor sharing [core · ns].
    pub shared_cpu: f64,
}

impl Areas {
    /// What was added since `earlier`.
    pub fn since(&self, earlier: &Areas) -> Areas {
        Areas {
            serving: self.serving - earlier.serving,
            calling: self.calling - earlier.calling,
            queued: self.queued - earlier.queued,
            shared_cpu: self.shared_cpu - earlier.shared_cpu,
        }
    }

    /// Requests inside [request · ns].
    pub fn inside(&self) -> u128 {
        self.serving + self.calling + self.queued
    }
}

/// One simulated instance.
#[derive(Debug)]
pub struct Instance {
    /// Where it is in its life.
    pub life: Life,
    /// Requests in service.
    pub serving: u32,
    /// Requests that hold a worker while a dependency works.
    pub calling: u32,
    /// Requests waiting that somebody may still want.
    pub queued: u32,
    head: u32,
    tail: u32,
    /// Demand is multiplied by this: slow faults.
    pub slowness: f64,
    /// Probability of an error answer from faults, and the time it takes.
    pub fault: Option<ErrorFault>,
    /// Until when it serves while it drains, whatever it has left.
    pub stays_until: Time,
    /// When warm-up ends; [`Time::ZERO`] if there is none.
    pub warm_at: Time,
    /// Requests sharing its cores; `None` under first come, first served.
    pub sharing: Option<Box<Sharing>>,
    /// Integrals up to `touched_at`.
    pub areas: Areas,
    touched_at: Time,
    /// When it was asked for.
    pub launched_at: Time,
    /// When it began to take traffic.
    pub ready_at: Option<Time>,
    /// When its first good answer left it; [`Time::MAX`]: none did.
    pub first_answer_at: Time,
    /// When it stopped taking traffic: drained, crashed or gone.
    pub left_at: Option<Time>,
    /// When it was gone.
    pub gone_at: Option<Time>,
    /// Attempts that reached it.
    pub attempts: u64,
    /// Attempts that failed here.
    pub failures: u64,
}

impl Instance {
    /// An instance asked for at `now`.
    pub fn launched(now: Time, sharing: Option<Sharing>) -> Instance {
        Instance {
            life: Life::Provisioning,
            serving: 0,
            calling: 0,
            queued: 0,
            head: NONE,
            tail: NONE,
            slowness: 1.0,
            fault: None,
            stays_until: Time::ZERO,
            warm_at: Time::ZERO,
            sharing: sharing.map(Box::new),
            areas: Areas::default(),
            touched_at: now,
            launched_at: now,
            ready_at: None,
            first_answer_at: Time::MAX,
            left_at: None,
            gone_at: None,
            attempts: 0,
            failures: 0,
        }
    }

    /// Whether it answers at all.
    pub fn is_alive(&self) -> bool {
        matches!(self.life, Life::Serving | Life::Draining)
    }

    /// Whether it drains, and has nothing left to do at `now`.
    #[inline]
    pub fn has_drained(&self, now: Time) -> bool {
        self.busy() == 0 && self.life == Life::Draining && now >= self.stays_until
    }

    /// Whether it is paid for.
    pub fn is_paid(&self) -> bool {
        self.life != Life::Gone
    }

    /// Workers in use.
    #[inline]
    pub fn busy(&self) -> u32 {
        self.serving + self.calling
    }

    /// Brings the integrals up to `now`; to be called before any count changes.
    #[inline]
    pub fn touch(&mut self, now: Time) {
        let dt = u128::from(now.0 - self.touched_at.0);
        self.areas.serving += u128::from(self.serving) * dt;
        if self.calling > 0 {
            self.areas.calling += u128::from(self.calling) * dt;
        }
        if self.queued > 0 {
            self.areas.queued += u128::from(self.queued) * dt;
        }
        if let Some(sharing) = &self.sharing {
            self.areas.shared_cpu += sharing.busy_cores() * dt as f64;
        }
        self.touched_at = now;
    }

    /// Stands still for so long after `now`, for which `areas` are added.
    pub fn leap(&mut self, now: Time, by: Span, areas: Areas) {
        self.touch(now);
        self.areas.serving += areas.serving;
        self.areas.calling += areas.calling;
        self.areas.queued += areas.queued;
        self.areas.shared_cpu += areas.shared_cpu;
        self.touched_at = now + by;
        if let Some(sharing) = &mut self.sharing {
            sharing.leap(now, by);
        }
    }

    /// Puts an attempt at the end of the queue.
    #[inline]
    pub fn enqueue(&mut self, slab: &mut Slab, slot: u32) {
        slab[slot].next = NONE;
        slab[slot].stage = Stage::Queued;
        match self.tail {
            NONE => self.head = slot,
            tail => slab[tail].next = slot,
        }
        self.tail = slot;
        self.queued += 1;
    }

    /// Puts an attempt in front of the queue.
    pub fn enqueue_first(&mut self, slab: &mut Slab, slot: u32) {
        slab[slot].next = self.head;
        slab[slot].stage = Stage::Queued;
        if self.head == NONE {
            self.tail = slot;
        }
        self.head = slot;
        self.queued += 1;
    }

    /// Takes the first attempt that somebody may still want from the queue, freeing those that nobody does.
    #[inline]
    pub fn dequeue(&mut self, slab: &mut Slab) -> Option<u32> {
        loop {
            let slot = self.head;
            if slot == NONE {
                return None;
            }
            self.head = slab[slot].next;
            if self.head == NONE {
                self.tail = NONE;
            }
            if slab[slot].stage == Stage::Queued {
                self.queued -= 1;
                return Some(slot);
            }
            slab.remove(slot);
        }
    }

    /// Forgets the queue; returns the slots that were in it.
    pub fn clear_queue(&mut self, slab: &Slab) -> Vec<u32> {
        let mut slots = Vec::new();
        let mut slot = std::mem::replace(&mut self.head, NONE);
        while slot != NONE {
            slots.push(slot);
            slot = slab[slot].next;
        }
        (self.tail, self.queued) = (NONE, 0);
        slots
    }
}

//! The agenda: rare events beside the calendar, such as boots, faults and the ends of timeline steps.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::request::InstanceId;
use crate::units::Time;

/// Something rare that will happen. The order is the order at equal times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// An instance is up.
    BootEnds(InstanceId),
    /// An instance is warm.
    WarmupEnds(InstanceId),
    /// A draining instance has had its time.
    DrainLimit(InstanceId),
    /// A draining instance may stop as soon as it has nothing left.
    PreStopEnds(InstanceId),
    /// A health check is answered, or has timed out.
    HealthAnswer(InstanceId, bool),
    /// A request has waited long enough at the gateway.
    HoldLimit,
    /// A fault strikes: its number in the scenario.
    FaultStarts(u32),
    /// A fault is over: its number among those that struck.
    FaultEnds(u32),
    /// It may be time to begin or end a sample, where not every request is simulated.
    SampleEnds,
    /// A step of the timeline ends.
    StepEnds,
}

/// Pending entries.
#[derive(Debug, Default)]
pub struct Agenda {
    heap: BinaryHeap<Reverse<(Time, Entry)>>,
    next_at: Option<Time>,
}

impl Agenda {
    /// Adds an entry.
    pub fn push(&mut self, at: Time, entry: Entry) {
        self.heap.push(Reverse((at, entry)));
        self.next_at = self.heap.peek().map(|Reverse((at, _))| *at);
    }

    /// The time of the next entry; [`Time::MAX`] if there is none.
    #[inline]
    pub fn next_at(&self) -> Time {
        self.next_at.unwrap_or(Time::MAX)
    }

    /// Takes the next entry due by `now` that is not the end of a step.
    pub fn pop_due(&mut self, now: Time) -> Option<Entry> {
        self.pop_if(now, |entry| entry != Entry::StepEnds)
    }

    /// Takes the end of a step due by `now`.
    pub fn pop_step(&mut self, now: Time) -> Option<Entry> {
        self.pop_if(now, |entry| entry == Entry::StepEnds)
    }

    fn pop_if(&mut self, now: Time, wanted: impl Fn(Entry) -> bool) -> Option<Entry> {
        let &Reverse((at, entry)) = self.heap.peek()?;
        if at > now || !wanted(entry) {
            return None;
        }
        self.heap.pop();
        self.next_at = self.heap.peek().map(|Reverse((at, _))| *at);
        Some(entry)
    }
}

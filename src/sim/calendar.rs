//! The calendar of pending events: by time, at equal times by kind, then first in, first out.
//!
//! A 4-ary heap of one-word-and-a-half keys: `time · kind · sequence · payload` packed into a `u128`, so that one
//! comparison decides everything and a sift touches few cache lines. What a payload means is its kind's business; it is an
//! index into somebody's slab.
//!
//! Most events cause exactly one other (a completion starts the next request in the queue). So `pop` leaves a hole
//! at the root, and the next `push` sifts down from there: one walk instead of two.
//!
//! ```text
//! 127            64 63   60 59            30 29             0
//! ┌────────────────┬───────┬────────────────┬────────────────┐
//! │ time \[ns\]      │ kind  │ sequence       │ payload        │
//! └────────────────┴───────┴────────────────┴────────────────┘
//! ```

use crate::units::Time;

/// What a pending event is; the order is the order at equal times: what ends at t frees capacity for what starts at t.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// An attempt's time in service is over. Payload: attempt.
    ServiceEnds,
    /// An instance's next request under processor sharing may be done. Payload: instance slot.
    ShareEnds,
    /// A call to a dependency is over. Payload: attempt.
    CallEnds,
    /// An answer reaches the client. Payload: attempt.
    AnswerArrives,
    /// An attempt reaches its instance. Payload: attempt.
    ReachesInstance,
    /// A client's back-off is over. Payload: attempt.
    RetryDue,
    /// A user has thought. Payload: user.
    ThinkEnds,
}

const KINDS: [Kind; 7] = [
    Kind::ServiceEnds,
    Kind::ShareEnds,
    Kind::CallEnds,
    Kind::AnswerArrives,
    Kind::ReachesInstance,
    Kind::RetryDue,
    Kind::ThinkEnds,
];

const PAYLOAD_BITS: u32 = 30;
const SEQUENCE_BITS: u32 = 30;
const KIND_SHIFT: u32 = PAYLOAD_BITS + SEQUENCE_BITS;
/// Largest payload.
pub const MAX_PAYLOAD: u32 = (1 << PAYLOAD_BITS) - 1;

/// An event taken from the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it happens.
    pub at: Time,
    /// What happens.
    pub kind: Kind,
    /// To what.
    pub payload: u32,
}

/// Pending events.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    heap: Vec<u128>,
    /// Whether the root was taken and not yet replaced.
    hole: bool,
    sequence: u64,
}

impl Calendar {
    /// The time of the next event; [`Time::MAX`] if there is none.
    #[inline]
    pub fn next_at(&mut self) -> Time {
        if self.hole {
            self.close_hole();
        }
        self.heap.first().map_or(Time::MAX, |&key| Time((key >> 64) as u64))
    }

    /// Adds an event.
    #[inline]
    pub fn push(&mut self, at: Time, kind: Kind, payload: u32) {
        debug_assert!(payload <= MAX_PAYLOAD, "a slab has fewer than 2³⁰ slots");
        if self.sequence == 1 << SEQUENCE_BITS {
            self.renumber();
        }
        let low = (kind as u64) << KIND_SHIFT | self.sequence << PAYLOAD_BITS | u64::from(payload);
        let key = u128::from(at.0) << 64 | u128::from(low);
        self.sequence += 1;
        if self.hole {
            self.hole = false;
            self.sift_down(key);
        } else {
            self.heap.push(key);
            self.sift_up(self.heap.len() - 1, key);
        }
    }

    /// Takes the next event.
    #[inline]
    pub fn pop(&mut self) -> Option<Pending> {
        if self.hole {
            self.close_hole();
        }
        let key = *self.heap.first()?;
        self.hole = true;
        let low = key as u64;
        Some(Pending {
            at: Time((key >> 64) as u64),
            kind: KINDS[(low >> KIND_SHIFT) as usize],
            payload: (low & u64::from(MAX_PAYLOAD)) as u32,
        })
    }

    /// Number of pending events.
    pub fn len(&self) -> usize {
        self.heap.len() - usize::from(self.hole)
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn close_hole(&mut self) {
        self.hole = false;
        let key = self.heap.pop().expect("the hole is in the heap");
        if !self.heap.is_empty() {
            self.sift_down(key);
        }
    }

    /// Places `key` at the root or below.
    #[inline]
    fn sift_down(&mut self, key: u128) {
        let heap = self.heap.as_mut_slice();
        let mut at = 0;
        loop {
            let first = 4 * at + 1;
            let Some(children) = heap.get(first..heap.len().min(first + 4)) else { break };
            let Some((offset, &least)) = least_of(children) else { break };
            if least >= key {
                break;
            }
            heap[at] = least;
            at = first + offset;
        }
        heap[at] = key;
    }

    #[inline]
    fn sift_up(&mut self, mut at: usize, key: u128) {
        let heap = self.heap.as_mut_slice();
        while at > 0 {
            let parent = (at - 1) / 4;
            if heap[parent] <= key {
                break;
            }
            heap[at] = heap[parent];
            at = parent;
        }
        heap[at] = key;
    }

    /// Gives pending events new sequence numbers in their order, once in a billion pushes.
    #[cold]
    fn renumber(&mut self) {
        if self.hole {
            self.close_hole();
        }
        self.heap.sort_unstable();
        let keep = !(((1u128 << SEQUENCE_BITS) - 1) << PAYLOAD_BITS);
        for (i, key) in self.heap.iter_mut().enumerate() {
            *key = *key & keep | (i as u128) << PAYLOAD_BITS;
        }
        self.sequence = self.heap.len() as u64;
    }
}

#[inline]
fn least_of(children: &[u128]) -> Option<(usize, &u128)> {
    match children {
        [a, b, c, d] => {
            let (i, ab) = if b < a { (1, b) } else { (0, a) };
            let (j, cd) = if d < c { (3, d) } else { (2, c) };
            Some(if cd < ab { (j, cd) } else { (i, ab) })
        }
        few => few.iter().enumerate().min_by_key(|(_, key)| **key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a sorted list, under random pushes and pops.
        #[test]
        fn events_come_by_time_then_kind_then_first_in_first_out(
            ops in prop::collection::vec((0u64..20, 0usize..7, prop::bool::ANY), 1..300),
            near_wrap in prop::bool::ANY,
        ) {
            let mut calendar = Calendar::default();
            if near_wrap {
                calendar.sequence = (1 << SEQUENCE_BITS) - 50;
            }
            let mut model: Vec<(u64, usize, u32)> = Vec::new();
            for (n, (at, kind, pop)) in ops.into_iter().enumerate() {
                if pop {
                    let expected = (0..model.len()).min_by_key(|&i| (model[i].0, model[i].1, model[i].2));
                    let expected = expected.map(|i| model.remove(i));
                    let got = calendar.pop().map(|e| (e.at.0, e.kind as usize, e.payload));
                    prop_assert_eq!(got, expected);
                }
                calendar.push(Time(at), KINDS[kind], n as u32);
                model.push((at, kind, n as u32));
                prop_assert_eq!(calendar.len(), model.len());
                prop_assert_eq!(calendar.next_at().0, model.iter().map(|m| m.0).min().unwrap());
            }
        }
    }
}

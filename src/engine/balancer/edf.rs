//! Weighted round robin by earliest deadline first, as Envoy does it: O(log n), and for weights that change.
//!
//! Everybody has a deadline, at first 1 / weight. The earliest is picked and put back with 1 / weight more; equal deadlines go in the
//! order of insertion. Against smooth weighted round robin it is burstier: weights 5, 1, 1 give A A A A B C A.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The schedule.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    heap: BinaryHeap<Turn>,
    /// Deadline of the last pick.
    now: f64,
    sequence: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Turn {
    deadline: f64,
    sequence: u64,
    place: u32,
}

impl Eq for Turn {}

impl Ord for Turn {
    /// The largest of a heap is the earliest here.
    fn cmp(&self, other: &Turn) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then(other.sequence.cmp(&self.sequence))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Turn) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Beyond this, deadlines lose the fractions of large weights: everything is shifted back.
const FAR: f64 = (1u64 << 20) as f64;

impl Schedule {
    /// Starts over with `places` and their weights > 0.
    pub fn rebuild(&mut self, places: &[u32], weight: impl Fn(u32) -> f64) {
        self.heap.clear();
        (self.now, self.sequence) = (0.0, 0);
        for &place in places {
            self.insert(place, 1.0 / weight(place));
        }
    }

    fn insert(&mut self, place: u32, deadline: f64) {
        self.heap.push(Turn { deadline, sequence: self.sequence, place });
        self.sequence += 1;
    }

    /// Who is next; it is put back with the weight that it has now. `None` if nobody is there.
    pub fn pick(&mut self, weight: impl Fn(u32) -> f64) -> Option<u32> {
        let mut earliest = self.heap.peek_mut()?;
        let place = earliest.place;
        self.now = earliest.deadline;
        earliest.deadline += 1.0 / weight(place);
        earliest.sequence = self.sequence;
        self.sequence += 1;
        drop(earliest);
        if self.now > FAR {
            self.shift();
        }
        Some(place)
    }

    #[cold]
    fn shift(&mut self) {
        let now = std::mem::take(&mut self.now);
        let mut turns = std::mem::take(&mut self.heap).into_vec();
        turns.iter_mut().for_each(|turn| turn.deadline -= now);
        self.heap = turns.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(weights: &[f64], n: usize) -> String {
        let mut schedule = Schedule::default();
        let places: Vec<u32> = (0..weights.len() as u32).collect();
        let weight = |place: u32| weights[place as usize];
        schedule.rebuild(&places, weight);
        (0..n).map(|_| char::from(b'A' + schedule.pick(weight).unwrap() as u8)).collect()
    }

    #[test]
    fn the_earliest_deadline_goes_first() {
        assert_eq!(picks(&[5.0, 1.0, 1.0], 7), "AAAABCA", "LB-11");
        assert_eq!(picks(&[1.0, 2.0], 6), "BABBAB", "LB-12");
        assert_eq!(picks(&[3.0, 2.0], 5), "ABABA", "LB-13");
        assert_eq!(picks(&[1.0, 1.0, 1.0], 7), "ABCABCA", "equal weights are round robin");
    }

    /// Counts differ from their ideal by less than n.
    #[test]
    fn counts_stay_near_their_share() {
        let weights = [7.5, 1.0, 3.25, 0.5, 2.0];
        let picked = picks(&weights, 5000);
        let total: f64 = weights.iter().sum();
        for k in (1..=5000).step_by(37) {
            for (i, weight) in weights.iter().enumerate() {
                let count = picked.bytes().take(k).filter(|&b| b == b'A' + i as u8).count() as f64;
                assert!((count - k as f64 * weight / total).abs() < weights.len() as f64);
            }
        }
    }

    #[test]
    fn deadlines_are_shifted_without_changing_the_order() {
        // Powers of two, whose deadlines are exact however far they are.
        let weights = [4.0, 1.0, 2.0];
        let weight = |place: u32| weights[place as usize];
        let mut schedule = Schedule::default();
        schedule.rebuild(&[0, 1, 2], weight);
        let mut turns = std::mem::take(&mut schedule.heap).into_vec();
        turns.iter_mut().for_each(|turn| turn.deadline += FAR);
        schedule.heap = turns.into();
        let picked: String = (0..14).map(|_| char::from(b'A' + schedule.pick(weight).unwrap() as u8)).collect();
        assert_eq!(picked, picks(&weights, 14));
        assert!(schedule.now < 10.0);
    }
}

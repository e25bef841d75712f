//! Candidates sorted by requests in flight, at O(1) per request.
//!
//! The idea: an array sorted by count, and for each count the place where its run begins.
//!
//! ```text
//! order    3 7 1 | 0 4 | 2 6 5        in flight  0 0 0 | 1 1 | 2 2 2
//! begins   0       3     5     8
//! ```
//!
//! To raise a member's count, swap it with the last of its run and move the border by one; to lower it, with the first.
//! The lightest are the first run, a slice ready for a random pick. A joined or departed member rebuilds the array.

/// Places of candidates, sorted by requests in flight.
#[derive(Clone, Debug, Default)]
pub struct ByLoad {
    order: Vec<u32>,
    /// Index in `order` by place; only candidates have a meaningful one.
    index: Vec<u32>,
    /// `begins[c]` is where the run of count c begins; one more entry than the highest count.
    begins: Vec<u32>,
    /// The lowest count anybody has.
    lowest: usize,
}

impl ByLoad {
    /// Starts over with `candidates` among `members` places, whose counts `in_flight` tells.
    pub fn rebuild(&mut self, candidates: &[u32], members: usize, in_flight: impl Fn(u32) -> u32) {
        self.order.clear();
        self.order.extend_from_slice(candidates);
        self.order.sort_by_key(|&place| in_flight(place));
        self.index.clear();
        self.index.resize(members, u32::MAX);
        let highest = self.order.last().map_or(0, |&place| in_flight(place) as usize);
        self.lowest = self.order.first().map_or(0, |&place| in_flight(place) as usize);
        self.begins.clear();
        self.begins.resize(highest + 2, 0);
        for (i, &place) in self.order.iter().enumerate() {
            self.index[place as usize] = i as u32;
            self.begins[in_flight(place) as usize + 1] = i as u32 + 1;
        }
        // Counts that nobody has begin where the next lower run ends.
        for count in 1..self.begins.len() {
            self.begins[count] = self.begins[count].max(self.begins[count - 1]);
        }
    }

    /// The candidates with the fewest requests in flight; empty if there are none.
    #[inline]
    pub fn lightest(&self) -> &[u32] {
        let (from, to) = (self.begins[self.lowest], self.begins[self.lowest + 1]);
        &self.order[from as usize..to as usize]
    }

    /// Notes that the candidate at `place`, which had `count` in flight, gets one more.
    #[inline]
    pub fn add(&mut self, place: u32, count: u32) {
        let count = count as usize;
        if count + 2 == self.begins.len() {
            self.begins.push(self.order.len() as u32);
        }
        let last = self.begins[count + 1] - 1;
        self.begins[count + 1] = last;
        self.swap(place, last);
        if count == self.lowest && self.begins[count] == self.begins[count + 1] {
            self.lowest += 1;
        }
    }

    /// Notes that the candidate at `place`, which had `count` ≥ 1 in flight, has one less.
    #[inline]
    pub fn remove(&mut self, place: u32, count: u32) {
        let count = count as usize;
        let first = self.begins[count];
        self.begins[count] = first + 1;
        self.swap(place, first);
        self.lowest = self.lowest.min(count - 1);
    }

    #[inline]
    fn swap(&mut self, place: u32, target: u32) {
        let from = self.index[place as usize];
        let other = self.order[target as usize];
        self.order[from as usize] = other;
        self.index[other as usize] = from;
        self.order[target as usize] = place;
        self.index[place as usize] = target;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Dice, Stream, pick};

    #[test]
    fn the_first_run_is_always_the_set_of_the_lightest() {
        let mut counts = [0u32; 7];
        let mut by_load = ByLoad::default();
        by_load.rebuild(&[0, 1, 2, 4, 5, 6], 7, |_| 0);
        let mut draws = Dice::new(3, Stream::Balancer).draws(0);
        for step in 0..20_000 {
            let place = [0, 1, 2, 4, 5, 6][pick(draws.bits(), 6)];
            // Swings between filling and emptying, so that runs come and go.
            let fill = (step / 500) % 2 == 0;
            if counts[place] == 0 || pick(draws.bits(), 10) < if fill { 7 } else { 3 } {
                by_load.add(place as u32, counts[place]);
                counts[place] += 1;
            } else {
                by_load.remove(place as u32, counts[place]);
                counts[place] -= 1;
            }
            let fewest = [0, 1, 2, 4, 5, 6].map(|p| counts[p]).into_iter().min().unwrap();
            let expected: Vec<u32> =
                [0, 1, 2, 4, 5, 6].into_iter().filter(|&p| counts[p as usize] == fewest).collect();
            let mut lightest = by_load.lightest().to_vec();
            lightest.sort_unstable();
            assert_eq!(lightest, expected, "step {step}");
        }
    }
}

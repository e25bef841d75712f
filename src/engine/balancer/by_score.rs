//! Candidates of different weights by load over weight, at O(log n) per request.
//!
//! The idea: a tournament. Each node of a binary tree over the candidates, in the order of joining, knows the best score below it and how
//! many have it, so that the n-th of the best is found by walking down once.
//!
//! ```text
//!              1/2 ×2                    score × how many
//!        1/2 ×1      1/2 ×1
//!       1/2   3/1   2/1   2/4            scores of candidates: requests in flight over weight
//! ```
//!
//! Scores are fractions, compared without rounding: 1/2 and 2/4 are tied. [`super::by_load`] is quicker where all weigh the same.

use std::cmp::Ordering;

/// The best score below a node, and how many have it; nobody has it where there is nobody.
#[derive(Clone, Copy, Debug, Default)]
struct Best {
    load: u64,
    weight: u64,
    count: u32,
}

impl Best {
    fn of((load, weight): (u64, u64)) -> Best {
        Best { load, weight, count: 1 }
    }

    fn order(&self, other: &Best) -> Ordering {
        match (self.count, other.count) {
            (0, 0) => Ordering::Equal,
            (0, _) => Ordering::Greater,
            (_, 0) => Ordering::Less,
            _ => (self.load * other.weight).cmp(&(other.load * self.weight)),
        }
    }

    fn among(left: Best, right: Best) -> Best {
        match left.order(&right) {
            Ordering::Less => left,
            Ordering::Greater => right,
            Ordering::Equal => Best { count: left.count + right.count, ..left },
        }
    }
}

/// Places of candidates, with their scores.
#[derive(Clone, Debug, Default)]
pub(super) struct ByScore {
    /// In the order of joining.
    candidates: Vec<u32>,
    /// Index in `candidates` by place; only candidates have a meaningful one.
    index: Vec<u32>,
    /// The root is 1, the children of n are 2n and 2n + 1, the leaves are the second half.
    nodes: Vec<Best>,
}

impl ByScore {
    /// Starts over with `candidates` among `members` places, whose scores, load over weight, `score` tells.
    pub(super) fn rebuild(&mut self, candidates: &[u32], members: usize, score: impl Fn(u32) -> (u64, u64)) {
        self.candidates.clear();
        self.candidates.extend_from_slice(candidates);
        self.index.clear();
        self.index.resize(members, u32::MAX);
        let leaves = candidates.len().next_power_of_two();
        self.nodes.clear();
        self.nodes.resize(2 * leaves, Best::default());
        for (i, &place) in candidates.iter().enumerate() {
            self.index[place as usize] = i as u32;
            self.nodes[leaves + i] = Best::of(score(place));
        }
        for node in (1..leaves).rev() {
            self.nodes[node] = Best::among(self.nodes[2 * node], self.nodes[2 * node + 1]);
        }
    }

    /// The candidate at `place` has a new score.
    pub(super) fn update(&mut self, place: u32, score: (u64, u64)) {
        let mut node = self.nodes.len() / 2 + self.index[place as usize] as usize;
        self.nodes[node] = Best::of(score);
        while node > 1 {
            node /= 2;
            self.nodes[node] = Best::among(self.nodes[2 * node], self.nodes[2 * node + 1]);
        }
    }

    /// How many have the best score.
    pub(super) fn tied(&self) -> usize {
        self.nodes[1].count as usize
    }

    /// The place of the `n`-th of those that have the best score, 0 first, in the order of joining.
    pub(super) fn nth(&self, n: usize) -> u32 {
        debug_assert!(n < self.tied(), "there are so many");
        let (best, mut n, mut node) = (self.nodes[1], n as u32, 1);
        while node < self.nodes.len() / 2 {
            node *= 2;
            let left = self.nodes[node];
            let left = if left.order(&best).is_eq() { left.count } else { 0 };
            if n >= left {
                n -= left;
                node += 1;
            }
        }
        self.candidates[node - self.nodes.len() / 2]
    }

    /// The place of the first of the best at or after candidate `from`, in the order of joining, wrapping.
    pub(super) fn first_from(&self, from: usize) -> u32 {
        let before = self.best_before(from);
        self.nth(if before < self.tied() { before } else { 0 })
    }

    /// How many of the first `end` candidates have the best score.
    fn best_before(&self, end: usize) -> usize {
        let leaves = self.nodes.len() / 2;
        if end >= leaves {
            return self.tied();
        }
        let best = self.nodes[1];
        let (mut node, mut count) = (leaves + end, 0);
        // Every left sibling on the way up covers candidates before this one.
        while node > 1 {
            if node % 2 == 1 {
                let left = self.nodes[node - 1];
                count += if left.order(&best).is_eq() { left.count as usize } else { 0 };
            }
            node /= 2;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A tournament finds what a scan finds.
        #[test]
        fn the_best_are_those_of_a_scan(
            loads in prop::collection::vec((0u64..4, 1u64..4), 1..20),
            changes in prop::collection::vec((any::<prop::sample::Index>(), 0u64..4), 0..40),
            from in any::<prop::sample::Index>(),
        ) {
            let mut loads = loads;
            let places: Vec<u32> = (0..loads.len() as u32).map(|i| 3 * i + 1).collect();
            let mut tree = ByScore::default();
            tree.rebuild(&places, 3 * loads.len() + 1, |place| loads[(place / 3) as usize]);
            for (index, load) in changes {
                let i = index.index(loads.len());
                loads[i].0 = load;
                tree.update(places[i], loads[i]);
                let lowest = loads.iter().copied().min_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1))).unwrap();
                let is_best = |&i: &usize| loads[i].0 * lowest.1 == lowest.0 * loads[i].1;
                let best: Vec<u32> = (0..loads.len()).filter(is_best).map(|i| places[i]).collect();
                prop_assert_eq!((0..tree.tied()).map(|n| tree.nth(n)).collect::<Vec<_>>(), best.clone());
                let from = from.index(loads.len() + 1);
                let first = best.iter().copied().find(|&place| (place / 3) as usize >= from).unwrap_or(best[0]);
                prop_assert_eq!(tree.first_from(from), first);
            }
        }
    }
}

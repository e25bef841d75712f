//! Maglev (Eisenbud et al., NSDI 2016): a table of prime size that instances fill in turns, each in an order of its own.
//!
//! ```text
//! offset = xxhash64(key, 0) mod M     skip = xxhash64(key, 1) mod (M − 1) + 1     order: (offset + j · skip) mod M
//! ```
//!
//! Hosts take turns in the order of their keys, so the order of discovery does not matter. In round r a host takes its
//! turn only when `r · w >= target`, and then `target += w_max`. A lookup is one load; shares are even to within 1% at M ≥ 100 n.
//! When a host leaves, a few keys of others move as well, about twice as many as on a ring.

use super::hashing::xxhash64;
use super::ring::Host;

/// The usual size of the table; a prime.
pub const DEFAULT_SIZE: u32 = 65_537;

/// The largest table.
pub const MAX_SIZE: u32 = 5_000_011;

/// The table.
#[derive(Clone, Debug, Default)]
pub struct Maglev {
    slots: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    host: u32,
    weight: u64,
    offset: u64,
    skip: u64,
    next: u64,
    target: u64,
}

impl Maglev {
    /// The table of `hosts` with `size` slots, a prime.
    pub fn new(hosts: &[Host], size: u32) -> Maglev {
        let m = u64::from(size);
        let mut order: Vec<u32> = (0..hosts.len() as u32).collect();
        order.sort_by(|&a, &b| hosts[a as usize].key.cmp(&hosts[b as usize].key));
        let turn = |&i: &u32| {
            let Host { key, weight } = &hosts[i as usize];
            let (offset, skip) = (xxhash64(key.as_bytes(), 0) % m, xxhash64(key.as_bytes(), 1) % (m - 1) + 1);
            Turn { host: i, weight: u64::from(*weight), offset, skip, next: 0, target: 0 }
        };
        Maglev { slots: fill(order.iter().map(turn).collect(), size) }
    }

    /// The host for a hashed key, an index into the hosts it was made of; `None` if there are none.
    #[inline]
    pub fn lookup(&self, hash: u64) -> Option<u32> {
        if self.slots.is_empty() { None } else { Some(self.slots[(hash % self.slots.len() as u64) as usize]) }
    }

    /// The host of every slot.
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }
}

fn fill(mut turns: Vec<Turn>, size: u32) -> Vec<u32> {
    const FREE: u32 = u32::MAX;
    let heaviest = turns.iter().map(|turn| turn.weight).max().unwrap_or(0);
    if heaviest == 0 {
        return Vec::new();
    }
    let m = u64::from(size);
    let mut slots = vec![FREE; size as usize];
    let (mut left, mut round) = (size, 0);
    while left > 0 {
        round += 1;
        for turn in &mut turns {
            if left == 0 || round * turn.weight < turn.target {
                continue;
            }
            turn.target += heaviest;
            let slot = loop {
                let slot = (turn.offset + turn.next * turn.skip) % m;
                turn.next += 1;
                if slots[slot as usize] == FREE {
                    break slot;
                }
            };
            slots[slot as usize] = turn.host;
            left -= 1;
        }
    }
    slots
}

/// Whether a table may have this size: its permutations reach every slot only if it is prime.
pub fn is_prime(n: u32) -> bool {
    n >= 2 && (2..).take_while(|d| u64::from(*d) * u64::from(*d) <= u64::from(n)).all(|d| !n.is_multiple_of(d))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(weights: &[u32]) -> Vec<usize> {
        let hosts: Vec<Host> =
            weights.iter().enumerate().map(|(i, &weight)| Host { key: format!("host {i}"), weight }).collect();
        let table = Maglev::new(&hosts, DEFAULT_SIZE);
        (0..weights.len() as u32).map(|i| table.slots().iter().filter(|&&slot| slot == i).count()).collect()
    }

    #[test]
    fn the_table_of_the_paper_is_filled_in_turns() {
        let turn = |host, offset, skip| Turn { host, weight: 1, offset, skip, next: 0, target: 0 };
        let turns = vec![turn(0, 3, 4), turn(1, 0, 2), turn(2, 3, 1)];
        assert_eq!(fill(turns.clone(), 7), [1, 0, 1, 0, 2, 2, 0], "LB-49");
        assert_eq!(fill(vec![turns[0], turns[2]], 7), [0, 0, 0, 0, 2, 2, 2], "LB-50");
    }

    #[test]
    fn slots_are_shared_by_weight() {
        let mut equal = counts(&[1, 1, 1]);
        equal.sort_unstable();
        assert_eq!(equal, [21_845, 21_846, 21_846], "LB-51");
        assert_eq!(counts(&[1, 2]), [21_846, 43_691], "LB-52");
        assert_eq!(counts(&[1, 2, 3]), [10_923, 21_846, 32_768], "LB-53");
    }

    #[test]
    fn primes_are_told_from_others() {
        let primes: Vec<u32> = (0..30).filter(|&n| is_prime(n)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(DEFAULT_SIZE) && is_prime(MAX_SIZE) && !is_prime(65_536) && !is_prime(u32::MAX));
    }
}

//! Ring hash (Ketama): every instance owns points on a circle of hashes, a key goes to the first point at or after its own.
//!
//! The number of points is Envoy's: weights are normalised to sum 1, and
//!
//! ```text
//! scale = min(ceil(w_min · min_size) / w_min, max_size)        instance i has scale · w_i points, fractions carried
//! point j of instance i = xxhash64("<key of i>_<j>")
//! ```
//!
//! With v points an instance's share is off by about 1/√v: 10% for 100, 3% for 1,000. A lookup is a binary search. When an
//! instance leaves, only its keys move.

use super::hashing::xxhash64;

/// An instance on a ring or in a table.
#[derive(Clone, Debug)]
pub struct Host {
    /// What its points are computed from; differs between hosts.
    pub key: String,
    /// Relative to others, > 0.
    pub weight: u32,
}

/// How large a ring is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Points that the ring has at least; default 1,024.
    pub min: u32,
    /// Points that it has at most; default 8,388,608.
    pub max: u32,
}

impl Default for Size {
    fn default() -> Size {
        Size { min: 1024, max: 8_388_608 }
    }
}

/// The circle.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    /// Hash and host, ascending.
    points: Vec<(u64, u32)>,
}

impl Ring {
    /// The ring of `hosts`.
    pub fn new(hosts: &[Host], size: Size) -> Ring {
        let counts = point_counts(hosts, scale(hosts, size));
        let mut points: Vec<(u64, u32)> = Vec::with_capacity(counts.iter().sum::<u32>() as usize);
        for (i, (host, count)) in hosts.iter().zip(counts).enumerate() {
            points.extend((0..count).map(|j| (xxhash64(format!("{}_{j}", host.key).as_bytes(), 0), i as u32)));
        }
        points.sort_unstable();
        Ring { points }
    }

    /// The host for a hashed key, an index into the hosts it was made of; `attempt` counts points past the first. `None` if the
    /// ring is empty.
    #[inline]
    pub fn lookup(&self, hash: u64, attempt: usize) -> Option<u32> {
        if self.points.is_empty() {
            return None;
        }
        let first = self.points.partition_point(|&(point, _)| point < hash);
        Some(self.points[(first + attempt) % self.points.len()].1)
    }

    /// Points on the ring.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether it has no point.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

/// Points of the whole ring, before rounding.
fn scale(hosts: &[Host], size: Size) -> f64 {
    let total: f64 = hosts.iter().map(|host| f64::from(host.weight)).sum();
    let lightest = hosts.iter().map(|host| host.weight).min().unwrap_or(1);
    let share = f64::from(lightest) / total;
    ((share * f64::from(size.min)).ceil() / share).min(f64::from(size.max))
}

/// Points of each host: what `scale` gives it, with fractions carried over to the next.
fn point_counts(hosts: &[Host], scale: f64) -> Vec<u32> {
    let total: f64 = hosts.iter().map(|host| f64::from(host.weight)).sum();
    let (mut target, mut made) = (0.0, 0u32);
    hosts
        .iter()
        .map(|host| {
            target += scale * f64::from(host.weight) / total;
            let before = made;
            while f64::from(made) < target {
                made += 1;
            }
            made - before
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(weights: &[u32]) -> Vec<Host> {
        weights.iter().enumerate().map(|(i, &weight)| Host { key: i.to_string(), weight }).collect()
    }

    #[test]
    fn points_follow_weights_and_carry_fractions() {
        assert_eq!(point_counts(&hosts(&[1, 1, 1, 1]), 6.0), [2, 1, 2, 1], "LB-45");
        for (id, weights, min, expected_scale, expected) in [
            ("LB-46", vec![1, 3], 1024, 1024.0, vec![256, 768]),
            ("LB-47", vec![1, 2, 4], 1024, 1029.0, vec![147, 294, 588]),
            ("LB-48", vec![1, 1, 1], 1024, 1026.0, vec![342, 342, 342]),
        ] {
            let hosts = hosts(&weights);
            let scale = scale(&hosts, Size { min, ..Size::default() });
            assert!((scale - expected_scale).abs() < 1e-9, "{id}: {scale}");
            assert_eq!(point_counts(&hosts, scale), expected, "{id}");
        }
    }

    #[test]
    fn removing_a_host_moves_only_its_keys() {
        let all = hosts(&[1, 1, 1, 2]);
        let ring = Ring::new(&all, Size::default());
        let rest: Vec<Host> = all.iter().filter(|host| host.key != "1").cloned().collect();
        let smaller = Ring::new(&rest, Size { min: 820, ..Size::default() });
        for key in 0..10_000u64 {
            let hash = xxhash64(&key.to_le_bytes(), 7);
            let owner = &all[ring.lookup(hash, 0).unwrap() as usize].key;
            let after = &rest[smaller.lookup(hash, 0).unwrap() as usize].key;
            assert!(owner == "1" || owner == after, "key {key} moved from {owner} to {after}");
        }
    }
}

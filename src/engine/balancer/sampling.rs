//! Drawing a few candidates out of many, to compare them.

use crate::rng::{Draws, pick};

/// A few numbers, without an allocation.
#[derive(Clone, Copy, Debug)]
pub struct Few {
    numbers: [u32; 16],
    len: u8,
}

impl Few {
    fn new() -> Few {
        Few { numbers: [0; 16], len: 0 }
    }

    fn push(&mut self, number: u32) {
        self.numbers[usize::from(self.len)] = number;
        self.len += 1;
    }

    /// The numbers, in the order of drawing.
    pub fn as_slice(&self) -> &[u32] {
        &self.numbers[..usize::from(self.len)]
    }
}

/// Two different numbers below `n` ≥ 2 from two draws.
#[inline]
pub fn two_different(first: u64, second: u64, n: usize) -> (usize, usize) {
    let a = pick(first, n);
    let b = pick(second, n - 1);
    (a, if b >= a { b + 1 } else { b })
}

/// `d` ≤ 16 different numbers below `n`, or all of them. A draw for each; two are drawn as by [`two_different`].
pub fn distinct(draws: &mut Draws, n: usize, d: u32) -> Few {
    let mut few = Few::new();
    // Those drawn so far, ascending: each that is not above the next draw moves it up by one.
    let mut sorted = Few::new();
    for i in 0..(d as usize).min(n).min(16) {
        let mut number = pick(draws.bits(), n - i) as u32;
        let mut at = 0;
        while at < i && sorted.numbers[at] <= number {
            number += 1;
            at += 1;
        }
        sorted.numbers.copy_within(at..i, at + 1);
        sorted.numbers[at] = number;
        few.push(number);
    }
    few
}

/// `d` ≤ 16 numbers below `n`, each from all of them.
pub fn with_replacement(draws: &mut Draws, n: usize, d: u32) -> Few {
    let mut few = Few::new();
    for _ in 0..d.min(16) {
        few.push(pick(draws.bits(), n) as u32);
    }
    few
}

/// `d` different numbers drawn by weight; after twenty draws it makes do with those that it has, at least one.
pub fn by_weight(draws: &mut Draws, cumulative: &[u64], d: u32) -> Few {
    let mut few = Few::new();
    for _ in 0..20 {
        let number = weighted(draws.bits(), cumulative);
        if !few.as_slice().contains(&number) {
            few.push(number);
            if few.len as u32 == d.min(16) {
                break;
            }
        }
    }
    few
}

/// `d` ≤ 16 numbers by weight, each from all of them.
pub fn weighted_with_replacement(draws: &mut Draws, cumulative: &[u64], d: u32) -> Few {
    let mut few = Few::new();
    for _ in 0..d.min(16) {
        few.push(weighted(draws.bits(), cumulative));
    }
    few
}

/// A number by weight: the first whose sum of weights up to and with itself is above the draw.
#[inline]
pub fn weighted(bits: u64, cumulative: &[u64]) -> u32 {
    let total = cumulative.last().copied().unwrap_or(0);
    let at = ((u128::from(bits) * u128::from(total)) >> 64) as u64;
    cumulative.partition_point(|&sum| sum <= at) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Dice, Stream};

    #[test]
    fn two_choices_are_always_two_different_instances() {
        let at = |i: u64, n: u64| ((u128::from(i) << 64) / u128::from(n)) as u64 + 1;
        assert_eq!(two_different(at(2, 4), at(2, 3), 4), (2, 3), "LB-26");
        assert_eq!(two_different(at(3, 4), at(0, 3), 4), (3, 0), "LB-27");
    }

    #[test]
    fn every_set_of_three_out_of_five_is_as_likely_as_any_other() {
        let dice = Dice::new(5, Stream::Balancer);
        let mut counts = std::collections::BTreeMap::new();
        for i in 0..60_000 {
            let few = distinct(&mut dice.draws(i), 5, 3);
            *counts.entry(few.as_slice().to_vec()).or_insert(0u32) += 1;
            if i < 1000 {
                let (a, b) = two_different(
                    dice.draws(i).bits(),
                    {
                        let mut d = dice.draws(i);
                        d.bits();
                        d.bits()
                    },
                    9,
                );
                assert_eq!(distinct(&mut dice.draws(i), 9, 2).as_slice(), [a as u32, b as u32]);
            }
        }
        // 60 ordered triples, 1,000 each: binomial sd 31.4, five of them 157.
        assert_eq!(counts.len(), 60);
        assert!(counts.values().all(|n| (843..1157).contains(n)), "{counts:?}");
        assert_eq!(distinct(&mut dice.draws(0), 2, 16).as_slice().len(), 2);
    }

    #[test]
    fn chances_follow_weights() {
        let dice = Dice::new(5, Stream::Balancer);
        let cumulative = [3, 3, 4];
        let mut counts = [0u32; 3];
        for i in 0..40_000 {
            counts[weighted(dice.bits(i), &cumulative) as usize] += 1;
        }
        // Binomial(40,000, 3/4): sd 86.6, five of them 433.
        assert!((29_567..30_433).contains(&counts[0]) && counts[1] == 0, "{counts:?}");
    }
}

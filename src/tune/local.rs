//! Local search: children of the best candidates, spread as these are.
//!
//! A child is its parent plus a normal step in each dimension, of the best candidates' own standard deviation, narrower the more of the budget
//! is spent, and reflected at the edges. What has no order changes to another choice with probability 1/d.

use std::f64::consts::TAU;

use super::space::{BELOW_ONE, Range, Space};
use crate::rng::{Dice, Stream};
use crate::statistics;

/// Children that are drawn in a generation, to choose from.
const DRAWN: u32 = 128;
/// Points anywhere that compete with them, so that the search leaves a valley that is not the deepest.
pub const ANYWHERE: u32 = 128;
/// Of both, how many are played: few, for each generation learns from all before.
pub const CHILDREN: usize = 4;
/// Step that is not gone below.
const LEAST_STEP: f64 = 0.02;
/// Factor on steps when the whole budget is spent; from 1, it falls by equal ratios.
const NARROWEST: f64 = 0.3;

/// The children of `elite` (points of the cube, best first) in generation `generation`, with this share of the budget spent \[0..1\].
pub fn children(elite: &[Vec<f64>], space: &Space, seed: u64, generation: u32, spent: f64) -> Vec<Vec<f64>> {
    if elite.is_empty() {
        return Vec::new();
    }
    let dice = Dice::new(seed, Stream::TuneLocal);
    let d = space.free.len();
    let steps: Vec<f64> = (0..d)
        .map(|k| {
            let all: Vec<f64> = elite.iter().map(|point| point[k]).collect();
            let spread = if all.len() < 2 { 0.0 } else { statistics::variance(&all).sqrt() };
            (spread * NARROWEST.powf(spent)).max(LEAST_STEP)
        })
        .collect();
    let child = |c: u32| {
        let parent = &elite[c as usize % elite.len()];
        let index = u64::from(generation) << 16 | u64::from(c);
        let coordinate = |k: usize| {
            let mut draws = dice.sub(index, k as u64);
            let (u, v) = (draws.unit(), draws.unit());
            match &space.free[k].range {
                Range::Choices(choices) => {
                    let n = choices.len();
                    if u >= 1.0 / d as f64 {
                        return parent[k];
                    }
                    let own = ((parent[k] * n as f64) as usize).min(n - 1);
                    let other = (v * (n - 1) as f64) as usize;
                    let other = other + usize::from(other >= own);
                    (other as f64 + 0.5) / n as f64
                }
                _ => {
                    let z = libm::sqrt(-2.0 * libm::log(u)) * libm::cos(TAU * v);
                    reflected(parent[k] + z * steps[k])
                }
            }
        };
        (0..d).map(coordinate).collect()
    };
    (0..DRAWN).map(child).collect()
}

/// Brings a coordinate back into [0, 1) by mirrors at both ends.
pub fn reflected(x: f64) -> f64 {
    let folded = x.rem_euclid(2.0);
    (if folded > 1.0 { 2.0 - folded } else { folded }).min(BELOW_ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_stay_in_the_cube_and_near_their_parents() {
        let space = Space::new(vec!["a=0..1".parse().unwrap(), "b={x, y, z}".parse().unwrap()], Vec::new(), |_| None);
        let space = space.unwrap();
        let elite = vec![vec![0.01, 0.5], vec![0.05, 0.5]];
        let first = children(&elite, &space, 1, 0, 0.0);
        assert_eq!(first.len(), DRAWN as usize);
        assert_eq!(first, children(&elite, &space, 1, 0, 0.0));
        assert_ne!(first, children(&elite, &space, 1, 1, 0.0));
        assert!(first.iter().all(|child| (0.0..0.25).contains(&child[0]) && (0.0..1.0).contains(&child[1])));
        let changed = first.iter().filter(|child| child[1] != 0.5).count();
        assert!((32..96).contains(&changed), "{changed} of 128 changed their choice; half of them are expected to");
    }

    #[test]
    fn edges_are_mirrors() {
        for (x, expected) in [(-0.25, 0.25), (1.25, 0.75), (0.5, 0.5), (-1.25, 0.75), (1.0, BELOW_ONE)] {
            assert_eq!(reflected(x), expected);
        }
    }
}

//! Points that fill a cube evenly: Sobol's sequence (1967) with the direction numbers of Joe and Kuo (2008), in the order of Gray codes
//! (Antonov and Saleev 1979), shifted by a digital XOR.
//!
//! The shift keeps every point off the corners and makes the sequence another one for another seed; evenness is not lost by it. Point `i`
//! needs no point before it. The first 2ᵏ points have exactly one in each of 2ᵏ equal intervals of every axis.

use crate::rng::{Dice, Stream};

/// The most dimensions there are direction numbers for here. A search over more settings than that is no search.
pub const MAX_DIMENSIONS: usize = 21;

/// Degree, coefficients and initial direction numbers of the primitive polynomials of dimensions 2 to 21
/// (new-joe-kuo-6.21201, web.maths.unsw.edu.au/~fkuo/sobol).
const POLYNOMIALS: [(usize, u32, &[u32]); MAX_DIMENSIONS - 1] = [
    (1, 0, &[1]),
    (2, 1, &[1, 3]),
    (3, 1, &[1, 3, 1]),
    (3, 2, &[1, 1, 1]),
    (4, 1, &[1, 1, 3, 3]),
    (4, 4, &[1, 3, 5, 13]),
    (5, 2, &[1, 1, 5, 5, 17]),
    (5, 4, &[1, 1, 5, 5, 5]),
    (5, 7, &[1, 1, 7, 11, 19]),
    (5, 11, &[1, 1, 5, 1, 1]),
    (5, 13, &[1, 1, 1, 3, 11]),
    (5, 14, &[1, 3, 5, 5, 31]),
    (6, 1, &[1, 3, 3, 9, 7, 49]),
    (6, 13, &[1, 1, 1, 15, 21, 21]),
    (6, 16, &[1, 3, 1, 13, 27, 49]),
    (6, 19, &[1, 1, 1, 15, 7, 5]),
    (6, 22, &[1, 3, 1, 15, 13, 25]),
    (6, 25, &[1, 1, 5, 5, 19, 61]),
    (7, 1, &[1, 3, 7, 11, 23, 15, 103]),
    (7, 4, &[1, 3, 7, 13, 13, 15, 69]),
];

/// A shifted sequence.
#[derive(Clone, Debug)]
pub struct Sobol {
    directions: Vec<[u32; 32]>,
    shifts: Vec<u32>,
}

impl Sobol {
    /// The sequence of `seed` in so many dimensions, at most [`MAX_DIMENSIONS`].
    ///
    /// # Panics
    ///
    /// If there are more.
    pub fn new(dimensions: usize, seed: u64) -> Sobol {
        let dice = Dice::new(seed, Stream::TuneShift);
        Sobol::with_shifts((0..dimensions).map(|d| (dice.bits(d as u64) >> 32) as u32).collect())
    }

    /// The sequence with a shift for each dimension.
    fn with_shifts(shifts: Vec<u32>) -> Sobol {
        assert!(shifts.len() <= MAX_DIMENSIONS, "there are direction numbers for {MAX_DIMENSIONS} dimensions");
        Sobol { directions: (0..shifts.len()).map(directions).collect(), shifts }
    }

    /// Point `index`, each coordinate in [0, 1).
    pub fn point(&self, index: u32) -> Vec<f64> {
        let gray = index ^ (index >> 1);
        let coordinate = |(directions, shift): (&[u32; 32], &u32)| {
            let bits = (0..32).filter(|k| gray >> k & 1 == 1).fold(*shift, |x, k| x ^ directions[k as usize]);
            f64::from(bits) / 2f64.powi(32)
        };
        self.directions.iter().zip(&self.shifts).map(coordinate).collect()
    }
}

/// The direction numbers of a dimension, from 0, as fractions of 2³².
fn directions(dimension: usize) -> [u32; 32] {
    let Some(i) = dimension.checked_sub(1) else {
        return std::array::from_fn(|k| 1 << (31 - k));
    };
    let (degree, coefficients, initial) = POLYNOMIALS[i];
    let mut v = [0u32; 32];
    for k in 0..32 {
        v[k] = if k < degree {
            initial[k] << (31 - k)
        } else {
            let mut next = v[k - degree] ^ (v[k - degree] >> degree);
            for j in 1..degree {
                if coefficients >> (degree - 1 - j) & 1 == 1 {
                    next ^= v[k - j];
                }
            }
            next
        };
    }
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_points_are_sobols() {
        let plain = Sobol::with_shifts(vec![0, 0]);
        let expected = [
            [0.0, 0.0],
            [0.5, 0.5],
            [0.75, 0.25],
            [0.25, 0.75],
            [0.375, 0.375],
            [0.875, 0.875],
            [0.625, 0.125],
            [0.125, 0.625],
        ];
        for (i, point) in expected.iter().enumerate() {
            assert_eq!(plain.point(i as u32), point, "T-08, point {i}");
        }
    }

    #[test]
    fn shifted_points_are_those_of_the_reference() {
        let shifted = Sobol::with_shifts(vec![0x9E37_79B9, 0x7F4A_7C15]);
        let expected = [
            [0.618033989, 0.497230296],
            [0.118033989, 0.997230296],
            [0.368033989, 0.247230296],
            [0.868033989, 0.747230296],
        ];
        for (i, point) in expected.iter().enumerate() {
            for (x, y) in shifted.point(i as u32).iter().zip(point) {
                assert!((x - y).abs() < 5e-10, "T-09, point {i}: {x} against {y}");
            }
        }
    }

    #[test]
    fn every_axis_and_every_pair_of_neighbours_is_filled_evenly() {
        let sobol = Sobol::new(MAX_DIMENSIONS, 7);
        let points: Vec<Vec<f64>> = (0..256).map(|i| sobol.point(i)).collect();
        for d in 0..MAX_DIMENSIONS {
            let mut filled = [0; 256];
            points.iter().for_each(|point| filled[(point[d] * 256.0) as usize] += 1);
            assert!(filled.iter().all(|&n| n == 1), "dimension {d}");
        }
        // In two dimensions of a (t, m, 2)-net with t ≤ 4, a box of volume 2^(t - m) has 2^t points.
        for d in 1..MAX_DIMENSIONS {
            let mut boxes = [0; 16];
            for point in &points {
                boxes[(point[d - 1] * 4.0) as usize * 4 + (point[d] * 4.0) as usize] += 1;
            }
            assert!(boxes.iter().all(|&n| n == 16), "dimensions {} and {d}: {boxes:?}", d - 1);
        }
    }

    #[test]
    fn another_seed_is_another_sequence() {
        assert_ne!(Sobol::new(2, 1).point(0), Sobol::new(2, 2).point(0));
    }
}

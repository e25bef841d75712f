//! What settings that nobody has played would probably show: Gaussian process regression (Rasmussen and Williams, *Gaussian processes for
//! machine learning*, 2006, chapters 2 and 5), from which the local search chooses among its children the ones that are worth a run.
//!
//! A child is worth what it can be expected to save against the best that holds its targets, times the probability that it holds them
//! itself (expected improvement with constraints: Schonlau, Welch and Jones 1998; Gardner et al., ICML 2014). Of several that are chosen
//! at once, each counts as played for those after it, with what was expected of it ("kriging believer": Ginsbourger, Le Riche and
//! Carraro 2010), so that they do not crowd.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use super::space::{Range, Space};
use crate::statistics;

/// Looks that a guess is made by: the effort grows with their third power.
pub const MOST_LOOKS: usize = 200;
/// Distances over which what is known of a point fades, in edges of the cube; the likeliest is taken.
const LENGTHS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];
/// Shares of the variance that are noise; the likeliest is taken. Not 0: whole numbers and steps make neighbours equal.
const NOISES: [f64; 3] = [1e-4, 1e-2, 1e-1];
/// Distance of two choices that are not the same.
const OTHER_CHOICE: f64 = 0.5;
/// How far from a target matters no more: a g beyond it is taken for it.
const FAR: f64 = 1.0;

/// What a first look at a setting has shown.
#[derive(Clone, Debug)]
pub struct Look {
    /// Where in the cube.
    pub point: Vec<f64>,
    /// Its cost, above 0.
    pub cost: f64,
    /// How far the worst target is from being held; at most 0 if it is.
    pub worst: f64,
}

/// A guess at cost and targets.
#[derive(Clone, Debug)]
pub struct Surrogate {
    points: Vec<Vec<f64>>,
    is_choice: Vec<bool>,
    cost: Process,
    worst: Process,
    /// Logarithm of the cost of the best that holds its targets; `None` if none does.
    best: Option<f64>,
}

impl Surrogate {
    /// By these looks; `None` if they are too few to say anything.
    pub fn new(looks: &[Look], space: &Space) -> Option<Surrogate> {
        if looks.len() <= space.free.len() + 1 {
            return None;
        }
        let is_choice: Vec<bool> = space.free.iter().map(|each| matches!(each.range, Range::Choices(_))).collect();
        let points: Vec<Vec<f64>> = looks.iter().map(|look| look.point.clone()).collect();
        let distances: Vec<Vec<f64>> = points
            .iter()
            .enumerate()
            .map(|(i, a)| points[..i].iter().map(|b| distance(a, b, &is_choice)).collect())
            .collect();
        let costs: Vec<f64> = looks.iter().map(|look| libm::log(look.cost)).collect();
        let worst: Vec<f64> = looks.iter().map(|look| look.worst.clamp(-FAR, FAR)).collect();
        let holding = looks.iter().zip(&costs).filter(|(look, _)| look.worst <= 0.0).map(|(_, cost)| *cost);
        Some(Surrogate {
            cost: Process::likeliest(&distances, &costs)?,
            worst: Process::likeliest(&distances, &worst)?,
            best: holding.min_by(f64::total_cmp),
            points,
            is_choice,
        })
    }

    /// What a run of a setting is worth; its own unit, more is better, at least 0.
    pub fn worth(&self, point: &[f64]) -> f64 {
        let distances = self.distances(point);
        let (worst, error) = self.worst.at(&distances);
        let holds = normal_cdf(-worst / error);
        let (cost, error) = self.cost.at(&distances);
        match self.best {
            Some(best) => {
                let z = (best - cost) / error;
                holds * error * (z * normal_cdf(z) + libm::exp(-0.5 * z * z) / TAU.sqrt())
            }
            None => holds,
        }
    }

    /// Takes a setting for played, with what is expected of it.
    pub fn believe(&mut self, point: &[f64]) {
        let distances = self.distances(point);
        let ((cost, _), (worst, _)) = (self.cost.at(&distances), self.worst.at(&distances));
        if worst <= 0.0 {
            self.best = Some(self.best.map_or(cost, |best| best.min(cost)));
        }
        self.cost.believe(&distances);
        self.worst.believe(&distances);
        self.points.push(point.to_vec());
    }

    fn distances(&self, point: &[f64]) -> Vec<f64> {
        self.points.iter().map(|other| distance(point, other, &self.is_choice)).collect()
    }
}

fn distance(a: &[f64], b: &[f64], is_choice: &[bool]) -> f64 {
    let squares = a.iter().zip(b).zip(is_choice).map(|((a, b), is_choice)| match is_choice {
        true if a == b => 0.0,
        true => OTHER_CHOICE * OTHER_CHOICE,
        false => (a - b) * (a - b),
    });
    squares.sum::<f64>().sqrt()
}

fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// A Gaussian process with a Matérn 5/2 covariance, of values brought to mean 0 and variance 1.
#[derive(Clone, Debug)]
struct Process {
    length: f64,
    noise: f64,
    mean: f64,
    scale: f64,
    /// Rows of the Cholesky factor of the covariance of the points, up to the diagonal.
    factor: Vec<Vec<f64>>,
    /// The inverse of that covariance times the values.
    weights: Vec<f64>,
}

impl Process {
    /// The likeliest of those with the lengths and noises that are tried; of values that are all equal, one that is sure of them.
    fn likeliest(distances: &[Vec<f64>], values: &[f64]) -> Option<Process> {
        let mean = statistics::mean(values);
        let scale = statistics::variance(values).sqrt();
        if !(scale.is_finite() && scale > 0.0) {
            return Some(Process {
                length: 1.0,
                noise: 1.0,
                mean,
                scale: 0.0,
                factor: Vec::new(),
                weights: Vec::new(),
            });
        }
        let standard: Vec<f64> = values.iter().map(|value| (value - mean) / scale).collect();
        let tried = LENGTHS.iter().flat_map(|&length| NOISES.iter().map(move |&noise| (length, noise)));
        let fitted = tried.filter_map(|(length, noise)| Process::fitted(distances, &standard, length, noise));
        let (_, likeliest) = fitted.max_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(Process { mean, scale, ..likeliest })
    }

    /// With its log likelihood, but for a constant; `None` if rounding leaves the covariance without a root.
    fn fitted(distances: &[Vec<f64>], values: &[f64], length: f64, noise: f64) -> Option<(f64, Process)> {
        let mut process = Process {
            length,
            noise,
            mean: 0.0,
            scale: 1.0,
            factor: Vec::with_capacity(values.len()),
            weights: Vec::new(),
        };
        let mut likelihood = 0.0;
        for row in distances {
            let (covariances, rest) = process.next_row(row);
            if rest.is_nan() || rest <= 0.0 {
                return None;
            }
            likelihood -= 0.5 * libm::log(rest);
            process.push_row(covariances, rest);
        }
        let halfway = process.solve(values);
        likelihood -= 0.5 * halfway.iter().map(|y| y * y).sum::<f64>();
        process.weights = process.solve_transposed(halfway);
        Some((likelihood, process))
    }

    /// Mean and standard deviation at a point so far from the known ones.
    fn at(&self, distances: &[f64]) -> (f64, f64) {
        if self.scale == 0.0 {
            return (self.mean, f64::MIN_POSITIVE);
        }
        let covariances: Vec<f64> = distances.iter().map(|&r| matern(r / self.length)).collect();
        let mean: f64 = covariances.iter().zip(&self.weights).map(|(a, b)| a * b).sum();
        let known: f64 = self.solve(&covariances).iter().map(|x| x * x).sum();
        let variance = (1.0 + self.noise - known).max(1e-12);
        (self.mean + self.scale * mean, self.scale * variance.sqrt())
    }

    /// Takes a point for known, with the mean that it has: which changes the mean nowhere, but all deviations.
    fn believe(&mut self, distances: &[f64]) {
        if self.scale == 0.0 {
            return;
        }
        let (row, rest) = self.next_row(distances);
        self.push_row(row, rest.max(1e-12));
        self.weights.push(0.0);
    }

    /// The next row of the factor but for its diagonal, and the square of that.
    fn next_row(&self, distances: &[f64]) -> (Vec<f64>, f64) {
        let covariances: Vec<f64> = distances.iter().map(|&r| matern(r / self.length)).collect();
        let row = self.solve(&covariances);
        let rest = 1.0 + self.noise - row.iter().map(|x| x * x).sum::<f64>();
        (row, rest)
    }

    fn push_row(&mut self, mut row: Vec<f64>, rest: f64) {
        row.push(rest.sqrt());
        self.factor.push(row);
    }

    /// The factor's inverse times `values`.
    fn solve(&self, values: &[f64]) -> Vec<f64> {
        let mut solved: Vec<f64> = Vec::with_capacity(values.len());
        for (row, value) in self.factor.iter().zip(values) {
            let known: f64 = row.iter().zip(&solved).map(|(a, b)| a * b).sum();
            solved.push((value - known) / row[solved.len()]);
        }
        solved
    }

    /// The inverse of the factor's transpose times `values`.
    fn solve_transposed(&self, mut values: Vec<f64>) -> Vec<f64> {
        for i in (0..values.len()).rev() {
            values[i] /= self.factor[i][i];
            let solved = values[i];
            for (value, of_row) in values[..i].iter_mut().zip(&self.factor[i]) {
                *value -= of_row * solved;
            }
        }
        values
    }
}

/// Matérn covariance of smoothness 5/2 at a distance in lengths.
fn matern(r: f64) -> f64 {
    let x = 5f64.sqrt() * r;
    (1.0 + x + x * x / 3.0) * libm::exp(-x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(text: &[&str]) -> Space {
        Space::new(text.iter().map(|text| text.parse().unwrap()).collect(), Vec::new(), |_| None).unwrap()
    }

    /// Cost falls with x; the target holds up to x = 0.6. Eight looks, evenly.
    fn looks() -> Vec<Look> {
        let at = |x: f64| Look { point: vec![x], cost: 2.0 - x, worst: x - 0.6 };
        (0..8).map(|i| at(f64::from(i) / 8.0)).collect()
    }

    #[test]
    fn a_process_goes_through_what_is_known_and_is_less_sure_away_from_it() {
        let xs = [0.0f64, 0.2, 0.5, 0.9];
        let distances: Vec<Vec<f64>> = (0..4).map(|i| (0..i).map(|j: usize| xs[i] - xs[j]).collect()).collect();
        let values = [1.0, 3.0, 2.0, 5.0];
        let process = Process::likeliest(&distances, &values).unwrap();
        let at = |x: f64| process.at(&xs.map(|other| (x - other).abs()));
        let (_, near) = at(0.201);
        let (_, far) = at(0.7);
        assert!(near < far, "{near} {far}");
        let (_, exact) = Process::fitted(&distances, &values, 0.5, 1e-9).unwrap();
        for (i, value) in values.iter().enumerate() {
            let (mean, error) = exact.at(&xs.map(|other| (xs[i] - other).abs()));
            assert!((mean - value).abs() < 1e-6 && error < 1e-3, "{mean} instead of {value}, error {error}");
        }
    }

    #[test]
    fn the_likelihood_is_that_of_a_normal_distribution() {
        // Two points at a distance of one length: covariance c = (1 + √5 + 5/3)·e^−√5 = 0.523994, on the diagonal 1.1.
        let c = 0.523994;
        let (y, z) = (0.7, -0.4);
        let determinant: f64 = 1.1 * 1.1 - c * c;
        let square = (1.1 * y * y - 2.0 * c * y * z + 1.1 * z * z) / determinant;
        let expected = -0.5 * determinant.ln() - 0.5 * square;
        let (likelihood, _) = Process::fitted(&[vec![], vec![0.5]], &[y, z], 0.5, 0.1).unwrap();
        assert!((likelihood - expected).abs() < 1e-5, "{likelihood} instead of {expected}");
    }

    #[test]
    fn worth_is_most_just_inside_the_targets_and_falls_where_something_was_played() {
        let mut surrogate = Surrogate::new(&looks(), &space(&["x=0.0..1.0"])).unwrap();
        let best = (0..100)
            .map(|i| f64::from(i) / 100.0)
            .max_by(|a, b| surrogate.worth(&[*a]).total_cmp(&surrogate.worth(&[*b])));
        let best = best.unwrap();
        assert!((0.52..0.62).contains(&best), "{best}");
        let before = surrogate.worth(&[best]);
        surrogate.believe(&[best]);
        let after = surrogate.worth(&[best]);
        assert!(after < before / 2.0, "{after}, before {before}");
    }

    #[test]
    fn without_any_that_holds_it_looks_for_one() {
        let broken: Vec<Look> = looks().into_iter().map(|look| Look { worst: look.worst + 0.7, ..look }).collect();
        let surrogate = Surrogate::new(&broken, &space(&["x=0.0..1.0"])).unwrap();
        assert!(surrogate.worth(&[0.0]) > surrogate.worth(&[0.9]), "cheaper, and further from the target");
    }

    #[test]
    fn looks_that_are_too_few_or_all_alike_say_nothing_untrue() {
        let space = space(&["x=0.0..1.0", "y={p, q}"]);
        assert!(Surrogate::new(&looks()[..3], &space).is_none());
        let alike: Vec<Look> =
            (0..6).map(|i| Look { point: vec![f64::from(i) / 6.0, 0.25], cost: 2.0, worst: -0.5 }).collect();
        let surrogate = Surrogate::new(&alike, &space).unwrap();
        assert!(surrogate.worth(&[0.1, 0.75]) < 1e-300, "nothing to be saved");
    }
}

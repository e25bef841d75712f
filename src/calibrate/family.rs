//! Families of distributions, fitted by maximum likelihood and chosen by Schwarz's criterion.
//!
//! BIC = k ln n − 2 ln L (Schwarz 1978): of many requests it takes the true family, and of few the simpler one. A family that is the best
//! and still bad, by the largest difference of distribution functions, gives way to the measured values themselves.

use statrs::function::gamma::{digamma, gamma_lr, ln_gamma};

use super::Interval;

/// Distance of the distribution functions beyond which no family will do.
const FAR: f64 = 0.05;
/// Coefficient of variation below which durations are one and the same: less than what measuring adds.
const STEADY: f64 = 0.02;
/// Bounds that scenarios set to shapes.
const SHAPES: (f64, f64) = (0.05, 1000.0);

/// A family with its parameters; times in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Family {
    /// Always the same.
    Constant {
        /// The value.
        value: f64,
    },
    /// Memoryless.
    Exponential {
        /// Mean.
        mean: f64,
    },
    /// The exponential of a normal variable.
    LogNormal {
        /// Mean.
        mean: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Gamma.
    Gamma {
        /// Mean.
        mean: f64,
        /// Shape.
        shape: f64,
    },
    /// Weibull.
    Weibull {
        /// Mean.
        mean: f64,
        /// Shape.
        shape: f64,
    },
    /// Pareto.
    Pareto {
        /// Mean.
        mean: f64,
        /// Tail exponent.
        alpha: f64,
    },
    /// Uniform.
    Uniform {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
}

/// A family that was fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The best of the families.
    pub family: Family,
    /// Its mean \[s\].
    pub mean: Interval,
    /// Its shape, sigma or tail exponent; `None` if it has none.
    pub shape: Option<Interval>,
    /// Its criterion.
    pub bic: f64,
    /// The largest difference between its distribution function and the measured one.
    pub distance: f64,
    /// The next best family, and by how much its criterion is worse.
    pub next: Option<(Family, f64)>,
    /// Whether it is too far from what was measured to stand for it.
    pub is_far: bool,
}

impl Family {
    /// The name in scenarios.
    pub fn name(&self) -> &'static str {
        match self {
            Family::Constant { .. } => "constant",
            Family::Exponential { .. } => "exponential",
            Family::LogNormal { .. } => "lognormal",
            Family::Gamma { .. } => "gamma",
            Family::Weibull { .. } => "weibull",
            Family::Pareto { .. } => "pareto",
            Family::Uniform { .. } => "uniform",
        }
    }

    /// The mean \[s\].
    pub fn mean(&self) -> f64 {
        match *self {
            Family::Constant { value } => value,
            Family::Exponential { mean }
            | Family::LogNormal { mean, .. }
            | Family::Gamma { mean, .. }
            | Family::Weibull { mean, .. }
            | Family::Pareto { mean, .. } => mean,
            Family::Uniform { low, high } => f64::midpoint(low, high),
        }
    }

    /// The squared coefficient of variation.
    pub fn scv(&self) -> f64 {
        match *self {
            Family::Constant { .. } => 0.0,
            Family::Exponential { .. } => 1.0,
            Family::LogNormal { sigma, .. } => (sigma * sigma).exp_m1(),
            Family::Gamma { shape, .. } => 1.0 / shape,
            Family::Weibull { shape, .. } => {
                (ln_gamma(1.0 + 2.0 / shape) - 2.0 * ln_gamma(1.0 + 1.0 / shape)).exp() - 1.0
            }
            Family::Pareto { alpha, .. } if alpha > 2.0 => 1.0 / (alpha * (alpha - 2.0)),
            Family::Pareto { .. } => f64::INFINITY,
            Family::Uniform { low, high } => {
                let mean = f64::midpoint(low, high);
                (high - low).powi(2) / 12.0 / (mean * mean)
            }
        }
    }

    /// The probability of at most `x` \[s\].
    pub fn cdf(&self, x: f64) -> f64 {
        if x <= 0.0 {
            return 0.0;
        }
        match *self {
            Family::Constant { value } => f64::from(u8::from(x >= value)),
            Family::Exponential { mean } => -(-x / mean).exp_m1(),
            Family::LogNormal { mean, sigma } => {
                let mu = mean.ln() - sigma * sigma / 2.0;
                0.5 * libm::erfc(-(x.ln() - mu) / (sigma * std::f64::consts::SQRT_2))
            }
            Family::Gamma { mean, shape } => gamma_lr(shape, x * shape / mean),
            Family::Weibull { mean, shape } => {
                let scale = mean / libm::tgamma(1.0 + 1.0 / shape);
                -(-(x / scale).powf(shape)).exp_m1()
            }
            Family::Pareto { mean, alpha } => {
                let least = mean * (alpha - 1.0) / alpha;
                if x < least { 0.0 } else { 1.0 - (least / x).powf(alpha) }
            }
            Family::Uniform { low, high } => ((x - low) / (high - low)).clamp(0.0, 1.0),
        }
    }

    /// Parameters that were fitted.
    fn parameters(&self) -> f64 {
        if matches!(self, Family::Constant { .. } | Family::Exponential { .. }) { 1.0 } else { 2.0 }
    }

    /// 95 % intervals of mean and shape by n requests, from the information of the family.
    fn intervals(&self, n: f64) -> (Interval, Option<Interval>) {
        let root = n.sqrt();
        match *self {
            Family::Constant { value } => (Interval::new(value, STEADY * value / root), None),
            Family::Exponential { mean } => (Interval::new(mean, mean / root), None),
            Family::LogNormal { mean, sigma } => {
                let of_mean = mean * (sigma * sigma + sigma.powi(4) / 2.0).sqrt() / root;
                (Interval::new(mean, of_mean), Some(Interval::new(sigma, sigma / (2.0 * n).sqrt())))
            }
            Family::Gamma { mean, shape } => {
                let of_shape = (shape / (n * (shape * trigamma(shape) - 1.0))).sqrt();
                (Interval::new(mean, mean / (shape * n).sqrt()), Some(Interval::new(shape, of_shape)))
            }
            Family::Weibull { mean, shape } => {
                // The variance of the shape is 6 k² / π² n.
                let of_shape = shape * 6f64.sqrt() / std::f64::consts::PI / root;
                (Interval::new(mean, mean * self.scv().sqrt() / root), Some(Interval::new(shape, of_shape)))
            }
            Family::Pareto { mean, alpha } => {
                // d mean / d α = −least / (α − 1)².
                let of_mean = mean / (alpha * (alpha - 1.0)) * alpha / root;
                (Interval::new(mean, of_mean), Some(Interval::new(alpha, alpha / root)))
            }
            Family::Uniform { low, high } => (Interval::new(f64::midpoint(low, high), (high - low) / n), None),
        }
    }
}

/// Durations with weights, and the sums that every family needs.
pub struct Moments<'a> {
    /// (duration \[s\], weight), ascending.
    sorted: &'a [(f64, f64)],
    n: f64,
    mean: f64,
    variance: f64,
    mean_log: f64,
    variance_log: f64,
}

impl<'a> Moments<'a> {
    /// Of durations > 0 with weights > 0, ascending; at least one.
    pub fn of(sorted: &'a [(f64, f64)]) -> Moments<'a> {
        let n: f64 = sorted.iter().map(|(_, w)| w).sum();
        let average = |of: &dyn Fn(f64) -> f64| sorted.iter().map(|&(x, w)| w * of(x)).sum::<f64>() / n;
        let (mean, mean_log) = (average(&|x| x), average(&f64::ln));
        let variance = average(&|x| (x - mean).powi(2));
        let variance_log = average(&|x| (x.ln() - mean_log).powi(2));
        Moments { sorted, n, mean, variance, mean_log, variance_log }
    }

    fn each(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.sorted.iter().copied()
    }

    /// Every family at its greatest likelihood, with the logarithm of that.
    fn candidates(&self) -> Vec<(Family, f64)> {
        let (n, mean) = (self.n, self.mean);
        let least = self.sorted.first().map_or(0.0, |(x, _)| *x);
        let most = self.sorted.last().map_or(0.0, |(x, _)| *x);
        let mut all = vec![(Family::Exponential { mean }, -n * (mean.ln() + 1.0))];
        let sigma = self.variance_log.sqrt();
        if sigma > 0.0 && sigma <= 10.0 {
            let family = Family::LogNormal { mean: (self.mean_log + self.variance_log / 2.0).exp(), sigma };
            let normal = (2.0 * std::f64::consts::PI * self.variance_log).ln() + 1.0;
            all.push((family, -n * (self.mean_log + normal / 2.0)));
        }
        if let Some(shape) = self.gamma_shape() {
            let scale = mean / shape;
            let likelihood = (shape - 1.0) * self.mean_log - shape - shape * scale.ln() - ln_gamma(shape);
            all.push((Family::Gamma { mean, shape }, n * likelihood));
        }
        if let Some((shape, scale)) = self.weibull() {
            let family = Family::Weibull { mean: scale * libm::tgamma(1.0 + 1.0 / shape), shape };
            let likelihood = shape.ln() - shape * scale.ln() + (shape - 1.0) * self.mean_log - 1.0;
            all.push((family, n * likelihood));
        }
        let tail = self.mean_log - least.ln();
        if tail > 0.0 && 1.0 / tail > 1.0 && 1.0 / tail <= 1000.0 {
            let alpha = 1.0 / tail;
            let family = Family::Pareto { mean: least * alpha / (alpha - 1.0), alpha };
            all.push((family, n * (alpha.ln() + alpha * least.ln() - (alpha + 1.0) * self.mean_log)));
        }
        if most > least {
            all.push((Family::Uniform { low: least, high: most }, -n * (most - least).ln()));
        }
        all
    }

    /// The shape of a gamma by Minka's iteration (2002).
    fn gamma_shape(&self) -> Option<f64> {
        let gap = self.mean.ln() - self.mean_log;
        if gap <= 0.0 {
            return None;
        }
        let mut shape = (3.0 - gap + ((gap - 3.0).powi(2) + 24.0 * gap).sqrt()) / (12.0 * gap);
        for _ in 0..50 {
            let slope = shape * shape * (1.0 / shape - trigamma(shape));
            let next = 1.0 / (1.0 / shape + (shape.ln() - digamma(shape) - gap) / slope);
            let is_close = (next - shape).abs() < 1e-10 * shape;
            shape = next;
            if is_close {
                break;
            }
        }
        (SHAPES.0..=SHAPES.1).contains(&shape).then_some(shape)
    }

    /// Shape and scale of a Weibull, by Newton's method on the profile of the shape.
    fn weibull(&self) -> Option<(f64, f64)> {
        // Relative to the mean, so that powers stay in range.
        let relative: Vec<(f64, f64)> = self.each().map(|(x, w)| ((x / self.mean).ln(), w)).collect();
        let mean_log = self.mean_log - self.mean.ln();
        let sums = |k: f64| {
            relative.iter().fold((0.0, 0.0, 0.0), |(a, b, c), &(log, w)| {
                let power = w * (k * log).exp();
                (a + power, b + power * log, c + power * log * log)
            })
        };
        let mut k = if self.variance > 0.0 { (self.variance.sqrt() / self.mean).powf(-1.086) } else { return None };
        for _ in 0..100 {
            let (a, b, c) = sums(k);
            let value = b / a - 1.0 / k - mean_log;
            let slope = c / a - (b / a).powi(2) + 1.0 / (k * k);
            let next = (k - value / slope).clamp(k / 2.0, k * 2.0);
            let is_close = (next - k).abs() < 1e-10 * k;
            k = next;
            if is_close {
                break;
            }
        }
        let scale = self.mean * (sums(k).0 / self.n).powf(1.0 / k);
        ((SHAPES.0..=SHAPES.1).contains(&k) && scale.is_finite()).then_some((k, scale))
    }

    /// The largest difference of a family's distribution function from the measured one.
    fn distance(&self, family: &Family) -> f64 {
        let mut below = 0.0;
        self.each().fold(0.0f64, |most, (x, w)| {
            let (expected, before) = (family.cdf(x), below / self.n);
            below += w;
            most.max((expected - before).abs()).max((expected - below / self.n).abs())
        })
    }

    /// The best family.
    pub fn fit(&self) -> Fit {
        let cv = self.variance.sqrt() / self.mean;
        let mut all: Vec<(Family, f64)> = if cv < STEADY {
            vec![(Family::Constant { value: self.mean }, f64::NEG_INFINITY)]
        } else {
            let bic =
                |(family, likelihood): (Family, f64)| (family, family.parameters() * self.n.ln() - 2.0 * likelihood);
            self.candidates().into_iter().map(bic).filter(|(_, bic)| bic.is_finite()).collect()
        };
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (family, bic) = all[0];
        let (mean, shape) = family.intervals(self.n);
        let distance = if cv < STEADY { 0.0 } else { self.distance(&family) };
        let next = all.get(1).map(|(family, other)| (*family, other - bic));
        Fit { family, mean, shape, bic, distance, next, is_far: distance > FAR.max(1.63 / self.n.sqrt()) }
    }
}

/// ψ'(x), x > 0: recurrence up to 8, then the asymptotic series (Abramowitz & Stegun 6.4.12).
fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 8.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    sum + 1.0 / x + y / 2.0 + y / x * (1.0 / 6.0 - y * (1.0 / 30.0 - y * (1.0 / 42.0 - y / 30.0)))
}

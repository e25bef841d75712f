//! Distributions of durations, as scenarios name them, and their samplers.
//!
//! A [`Distribution`] is what the file says; a [`Sampler`] is the same with its constants worked out, ready to be
//! called a million times a second. All draws come from keyed [`Draws`], and every transcendental function
//! is `libm`'s (directly, or through `rand_distr` built without `std`), so that the same key gives the same bits
//! on every platform.

use std::sync::Arc;

use rand_distr::{Distribution as _, Exp1, Gamma, StandardNormal, Weibull};

use crate::rng::Draws;
use crate::units::{self, Span};

/// A distribution of durations.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Constant(Span),
    /// Memoryless.
    Exponential {
        /// Mean.
        mean: Span,
    },
    /// The exponential of a normal variable.
    LogNormal {
        /// Mean of the durations themselves, not of their logarithm.
        mean: Span,
        /// Standard deviation of the logarithm, ≥ 0.
        sigma: f64,
    },
    /// Gamma; a whole `shape` k is an Erlang-k.
    Gamma {
        /// Mean.
        mean: Span,
        /// Shape, > 0; the squared coefficient of variation is 1/shape.
        shape: f64,
    },
    /// Weibull; `shape` below 1 has a heavy tail.
    Weibull {
        /// Mean.
        mean: Span,
        /// Shape, > 0.
        shape: f64,
    },
    /// Pareto of the first kind: a power-law tail.
    Pareto {
        /// Mean.
        mean: Span,
        /// Tail exponent, > 1. Up to 2 the variance is infinite.
        alpha: f64,
    },
    /// Uniform between two bounds.
    Uniform {
        /// Lower bound.
        low: Span,
        /// Upper bound, ≥ low.
        high: Span,
    },
    /// One of several, chosen by weight.
    Mixture(Vec<(f64, Distribution)>),
    /// Measured values.
    Empirical(Arc<Empirical>),
}

/// Measured durations with their frequencies.
#[derive(Clone, Debug, PartialEq)]
pub struct Empirical {
    /// Durations, ascending.
    values: Vec<Span>,
    /// Share of durations at or below each value; the last is 1.
    cumulative: Vec<f64>,
}

impl Empirical {
    /// The distribution of `samples` (duration, weight > 0); `None` if there are none.
    pub fn new(mut samples: Vec<(Span, f64)>) -> Option<Empirical> {
        samples.retain(|&(_, weight)| weight > 0.0 && weight.is_finite());
        samples.sort_by_key(|&(value, _)| value);
        let total: f64 = samples.iter().map(|&(_, weight)| weight).sum();
        if samples.is_empty() {
            return None;
        }
        let mut sum = 0.0;
        let cumulative = samples
            .iter()
            .map(|&(_, weight)| {
                sum += weight;
                sum / total
            })
            .collect();
        Some(Empirical { values: samples.into_iter().map(|(value, _)| value).collect(), cumulative })
    }

    /// The value at quantile `u` in 0..1.
    fn at(&self, u: f64) -> Span {
        let i = self.cumulative.partition_point(|&c| c < u);
        self.values[i.min(self.values.len() - 1)]
    }

    fn mean(&self) -> f64 {
        self.moment(1)
    }

    /// The mean of the values to a power \[ns to that power\].
    fn moment(&self, power: i32) -> f64 {
        let mut below = 0.0;
        self.values
            .iter()
            .zip(&self.cumulative)
            .map(|(value, &c)| {
                let share = c - below;
                below = c;
                (value.0 as f64).powi(power) * share
            })
            .sum()
    }
}

impl Distribution {
    /// The mean.
    pub fn mean(&self) -> Span {
        match self {
            Distribution::Constant(span) => *span,
            Distribution::Exponential { mean }
            | Distribution::LogNormal { mean, .. }
            | Distribution::Gamma { mean, .. }
            | Distribution::Weibull { mean, .. }
            | Distribution::Pareto { mean, .. } => *mean,
            Distribution::Uniform { low, high } => Span(low.0 / 2 + high.0 / 2),
            Distribution::Mixture(parts) => {
                let total: f64 = parts.iter().map(|(w, _)| w).sum();
                Span((parts.iter().map(|(w, d)| w / total * d.mean().0 as f64).sum::<f64>() + 0.5) as u64)
            }
            Distribution::Empirical(e) => Span(e.mean() as u64),
        }
    }

    /// The coefficient of variation, ≥ 0; infinite for a Pareto with `alpha` up to 2.
    pub fn cv(&self) -> f64 {
        // The mean of the squares over the square of the mean.
        let of_squares = |squares: f64, mean: f64| (squares / (mean * mean) - 1.0).max(0.0).sqrt();
        match self {
            Distribution::Constant(_) => 0.0,
            Distribution::Exponential { .. } => 1.0,
            Distribution::LogNormal { sigma, .. } => (libm::exp(sigma * sigma) - 1.0).sqrt(),
            Distribution::Gamma { shape, .. } => 1.0 / shape.sqrt(),
            Distribution::Weibull { shape, .. } => {
                of_squares(libm::tgamma(1.0 + 2.0 / shape), libm::tgamma(1.0 + 1.0 / shape))
            }
            Distribution::Pareto { alpha, .. } if *alpha > 2.0 => 1.0 / (alpha * (alpha - 2.0)).sqrt(),
            Distribution::Pareto { .. } => f64::INFINITY,
            Distribution::Uniform { low, high } => {
                let (low, high) = (low.as_secs_f64(), high.as_secs_f64());
                of_squares((low * low + low * high + high * high) / 3.0, f64::midpoint(low, high))
            }
            Distribution::Mixture(parts) => {
                let total: f64 = parts.iter().map(|(w, _)| w).sum();
                let square = |d: &Distribution| d.mean().as_secs_f64().powi(2) * (1.0 + d.cv() * d.cv());
                let squares = parts.iter().map(|(w, d)| w / total * square(d)).sum();
                of_squares(squares, self.mean().as_secs_f64())
            }
            Distribution::Empirical(e) => of_squares(e.moment(2), e.mean()),
        }
    }

    /// The same with every duration `factor` times as long; `factor` > 0.
    pub fn scaled(&self, factor: f64) -> Distribution {
        let times = |span: &Span| span.mul_f64(factor);
        match self {
            Distribution::Constant(span) => Distribution::Constant(times(span)),
            Distribution::Exponential { mean } => Distribution::Exponential { mean: times(mean) },
            Distribution::LogNormal { mean, sigma } => Distribution::LogNormal { mean: times(mean), sigma: *sigma },
            Distribution::Gamma { mean, shape } => Distribution::Gamma { mean: times(mean), shape: *shape },
            Distribution::Weibull { mean, shape } => Distribution::Weibull { mean: times(mean), shape: *shape },
            Distribution::Pareto { mean, alpha } => Distribution::Pareto { mean: times(mean), alpha: *alpha },
            Distribution::Uniform { low, high } => Distribution::Uniform { low: times(low), high: times(high) },
            Distribution::Mixture(parts) => {
                Distribution::Mixture(parts.iter().map(|(weight, part)| (*weight, part.scaled(factor))).collect())
            }
            Distribution::Empirical(measured) => Distribution::Empirical(Arc::new(Empirical {
                values: measured.values.iter().map(times).collect(),
                cumulative: measured.cumulative.clone(),
            })),
        }
    }

    /// The same distribution ready for sampling.
    pub fn sampler(&self) -> Sampler {
        let nanos = |span: &Span| span.0 as f64;
        match self {
            Distribution::Constant(span) => Sampler::Constant(*span),
            Distribution::Exponential { mean } => Sampler::Exponential(nanos(mean)),
            Distribution::LogNormal { mean, sigma } => {
                Sampler::LogNormal { mu: libm::log(nanos(mean)) - sigma * sigma / 2.0, sigma: *sigma }
            }
            Distribution::Gamma { mean, shape } => Sampler::Gamma(
                Gamma::new(*shape, nanos(mean) / shape).expect("a validated gamma has positive shape and mean"),
            ),
            Distribution::Weibull { mean, shape } => Sampler::Weibull(
                Weibull::new(nanos(mean) / libm::tgamma(1.0 + 1.0 / shape), *shape)
                    .expect("a validated Weibull has positive shape and mean"),
            ),
            Distribution::Pareto { mean, alpha } => {
                Sampler::Pareto { scale: nanos(mean) * (alpha - 1.0) / alpha, inverse: -1.0 / alpha }
            }
            Distribution::Uniform { low, high } => {
                Sampler::Uniform { low: nanos(low), width: nanos(high) - nanos(low) }
            }
            Distribution::Mixture(parts) => {
                let total: f64 = parts.iter().map(|(w, _)| w).sum();
                let mut sum = 0.0;
                Sampler::Mixture(
                    parts
                        .iter()
                        .map(|(w, d)| {
                            sum += w / total;
                            (sum, d.sampler())
                        })
                        .collect(),
                )
            }
            Distribution::Empirical(e) => Sampler::Empirical(Arc::clone(e)),
        }
    }
}

/// A distribution with its constants worked out.
#[derive(Clone, Debug)]
pub enum Sampler {
    /// Always the same.
    Constant(Span),
    /// Mean \[ns\].
    Exponential(f64),
    /// Parameters of the logarithm of the nanoseconds.
    LogNormal {
        /// Mean of the logarithm.
        mu: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Marsaglia and Tsang's method.
    Gamma(Gamma<f64>),
    /// By inversion.
    Weibull(Weibull<f64>),
    /// By inversion.
    Pareto {
        /// Smallest value \[ns\].
        scale: f64,
        /// −1/α.
        inverse: f64,
    },
    /// Between two bounds.
    Uniform {
        /// Lower bound \[ns\].
        low: f64,
        /// Width \[ns\].
        width: f64,
    },
    /// Cumulative weight and sampler of each part.
    Mixture(Vec<(f64, Sampler)>),
    /// By inversion of the measured quantiles.
    Empirical(Arc<Empirical>),
}

impl Sampler {
    /// One duration, to the nearest nanosecond.
    #[inline(always)]
    pub fn sample(&self, draws: &mut Draws) -> Span {
        let nanos = match self {
            Sampler::Constant(span) => return *span,
            Sampler::Exponential(mean) => {
                let x: f64 = Exp1.sample(draws);
                x * mean
            }
            Sampler::LogNormal { mu, sigma } => {
                let z: f64 = StandardNormal.sample(draws);
                exp(mu + sigma * z)
            }
            Sampler::Gamma(gamma) => gamma.sample(draws),
            Sampler::Weibull(weibull) => weibull.sample(draws),
            Sampler::Pareto { scale, inverse } => scale * libm::pow(draws.unit(), *inverse),
            Sampler::Uniform { low, width } => low + width * draws.unit(),
            Sampler::Mixture(parts) => {
                let u = draws.unit();
                let i = parts.iter().position(|(sum, _)| u < *sum).unwrap_or(parts.len() - 1);
                return parts[i].1.sample(draws);
            }
            Sampler::Empirical(e) => return e.at(draws.unit()),
        };
        Span(units::whole(nanos))
    }
}

/// eˣ for |x| up to 700, within 4 ulp: `x = k·ln 2 + r`, a Taylor polynomial of degree 13 in r evaluated in pairs (Estrin), and k put
/// into the exponent. Additions and multiplications only, so the bits are the same on every platform; a log-normal
/// demand costs a third of what it does with `libm::exp`, whose division and branches it avoids.
#[inline]
fn exp(x: f64) -> f64 {
    // ln 2 in two parts: k times the first is exact.
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    // Adding and subtracting 1.5 · 2⁵² rounds to the nearest whole number.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let x = x.clamp(-700.0, 700.0);
    let rounded = x * std::f64::consts::LOG2_E + ROUND;
    let k = rounded - ROUND;
    let r = (x - k * LN2_HIGH) - k * LN2_LOW;
    let (r2, c) = (r * r, INVERSE_FACTORIALS);
    let r4 = r2 * r2;
    let r8 = r4 * r4;
    let low = ((c[0] + c[1] * r) + (c[2] + c[3] * r) * r2) + ((c[4] + c[5] * r) + (c[6] + c[7] * r) * r2) * r4;
    let high = ((c[8] + c[9] * r) + (c[10] + c[11] * r) * r2) + (c[12] + c[13] * r) * r4;
    // The last bits of what was rounded are k itself.
    (low + high * r8) * f64::from_bits(rounded.to_bits().wrapping_add(1023) << 52)
}

/// 1/n! for n = 0, 1, …, 13.
const INVERSE_FACTORIALS: [f64; 14] = {
    let mut c = [1.0; 14];
    let mut n = 1;
    while n < 14 {
        c[n] = c[n - 1] / n as f64;
        n += 1;
    }
    c
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_agrees_with_libm() {
        for i in -7000..=7000 {
            let x = f64::from(i) * 0.1 + 0.012_345;
            if x.abs() < 700.0 {
                let relative = (exp(x) / libm::exp(x) - 1.0).abs();
                assert!(relative < 1e-15, "exp({x}) is off by {relative:e}");
            }
        }
        assert_eq!([exp(0.0), exp(1e9).is_finite() as u8 as f64], [1.0, 1.0]);
    }

    use crate::rng::{Dice, Stream};

    /// 200,000 draws; means within 4 standard errors of a distribution whose cv is at most 1.34 (Pareto 2.5 has 0.89).
    #[test]
    fn every_sampler_has_the_mean_it_was_asked_for() {
        let ten = Span::from_millis(10);
        let all = [
            Distribution::Constant(ten),
            Distribution::Exponential { mean: ten },
            Distribution::LogNormal { mean: ten, sigma: 0.5 },
            Distribution::Gamma { mean: ten, shape: 2.0 },
            Distribution::Gamma { mean: ten, shape: 0.7 },
            Distribution::Weibull { mean: ten, shape: 0.8 },
            Distribution::Pareto { mean: ten, alpha: 2.5 },
            Distribution::Uniform { low: Span::ZERO, high: ten * 2 },
            Distribution::Mixture(vec![
                (1.0, Distribution::Constant(ten / 2)),
                (1.0, Distribution::Exponential { mean: ten + ten / 2 }),
            ]),
            Distribution::Empirical(Arc::new(
                Empirical::new(vec![(Span::from_millis(4), 2.0), (Span::from_millis(22), 1.0)]).unwrap(),
            )),
        ];
        for (i, distribution) in all.iter().enumerate() {
            let (sampler, dice) = (distribution.sampler(), Dice::new(i as u64, Stream::Demand));
            let n = 200_000;
            let draws: Vec<f64> = (0..n).map(|k| sampler.sample(&mut dice.draws(k)).0 as f64 / 1e7).collect();
            let ratio = draws.iter().sum::<f64>() / n as f64;
            let cv = (draws.iter().map(|x| (x - ratio).powi(2)).sum::<f64>() / n as f64).sqrt() / ratio;
            // The fourth moment of this Pareto is infinite: its sample variance never settles.
            let settles = !matches!(distribution, Distribution::Pareto { .. });
            assert!(
                !settles || (cv - distribution.cv()).abs() < 0.02,
                "{distribution:?}: {cv} {}",
                distribution.cv()
            );
            assert!((ratio - 1.0).abs() < 4.0 * 1.34 / (n as f64).sqrt(), "{distribution:?}: {ratio}");
            assert!((distribution.mean().0 as f64 / 1e7 - 1.0).abs() < 1e-6, "{distribution:?}");
        }
    }
}

//! How often a breaker trips on a healthy service: plain probability, for checking settings before a run.
//!
//! With independent failures, a count in a time window is Poisson, a rate over n calls is binomial, and the calls until
//! a streak of k are a classic renewal argument (Feller, *An Introduction to Probability Theory*, vol. 1, XIII.7). Real
//! failures cluster, so the true figures are higher.

use crate::engine::window::Ppm;
use crate::units::Span;

/// Probability that a window with `mean_failures` on average holds at least `threshold` failures (Poisson tail).
pub fn failure_count(mean_failures: f64, threshold: u32) -> f64 {
    if threshold == 0 || mean_failures == f64::INFINITY {
        return 1.0;
    }
    if mean_failures.is_nan() || mean_failures <= 0.0 {
        return 0.0;
    }
    let (m, n) = (mean_failures, f64::from(threshold));
    let term = |i: f64| libm::exp(i * libm::log(m) - m - libm::lgamma(i + 1.0));
    if n > m {
        sum(term(n), n, |i| m / (i + 1.0), 1.0, f64::INFINITY)
    } else {
        1.0 - sum(term(n - 1.0), n - 1.0, |i| i / m, -1.0, 0.0)
    }
}

/// Probability that of `calls` calls, each failing with probability `error_rate`, at least the share `threshold`
/// fails (binomial tail). With `calls` the minimum volume, this is the likeliest false trip.
pub fn failure_rate(error_rate: f64, calls: u32, threshold: Ppm) -> f64 {
    let needed = threshold.part_of(calls);
    if needed == 0 {
        return 1.0;
    }
    if needed > calls || error_rate.is_nan() || error_rate <= 0.0 {
        return 0.0;
    }
    if error_rate >= 1.0 {
        return 1.0;
    }
    let (p, n, k) = (error_rate, f64::from(calls), f64::from(needed));
    let odds = p / (1.0 - p);
    let term = |i: f64| {
        let ways = libm::lgamma(n + 1.0) - libm::lgamma(i + 1.0) - libm::lgamma(n - i + 1.0);
        libm::exp(ways + i * libm::log(p) + (n - i) * libm::log1p(-p))
    };
    if k > n * p {
        sum(term(k), k, |i| (n - i) / (i + 1.0) * odds, 1.0, n)
    } else {
        1.0 - sum(term(k - 1.0), k - 1.0, |i| i / (n - i + 1.0) / odds, -1.0, 0.0)
    }
}

/// Mean number of calls until `streak` failures in a row, `(1 − p^k) / (p^k (1 − p))`; infinite without failures.
pub fn mean_calls_to_streak(error_rate: f64, streak: u32) -> f64 {
    if streak == 0 {
        return 0.0;
    }
    if error_rate.is_nan() || error_rate <= 0.0 {
        return f64::INFINITY;
    }
    if error_rate >= 1.0 {
        return f64::from(streak);
    }
    let all = libm::pow(error_rate, f64::from(streak));
    (1.0 - all) / (all * (1.0 - error_rate))
}

/// Probability of at least one trip in an hour, if each `window` trips with probability `per_window` by itself.
pub fn per_hour(per_window: f64, window: Span) -> f64 {
    let windows = 3600.0 / window.as_secs_f64();
    -libm::expm1(windows * libm::log1p(-per_window.clamp(0.0, 1.0)))
}

/// Sums a series of positive, falling terms: `first` at index `i`, each `ratio(i)` times the one before, until `last`
/// or until further ones do not matter.
fn sum(first: f64, mut i: f64, ratio: impl Fn(f64) -> f64, step: f64, last: f64) -> f64 {
    let (mut term, mut sum) = (first, first);
    while i != last {
        term *= ratio(i);
        i += step;
        if term <= sum * 1e-17 {
            break;
        }
        sum += term;
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::{Breaker, Config, Rules};
    use super::*;
    use crate::engine::request::Outcome;
    use crate::engine::window::Window;
    use crate::rng::{Dice, Stream};
    use crate::units::Time;

    #[test]
    fn absolute_counts_do_not_scale_and_rates_need_a_minimum_volume() {
        let half = Ppm::from_ratio(0.5);
        for (id, computed, expected, tolerance) in [
            ("CB-20", failure_count(0.6, 5), 0.000394, 5e-7),
            ("CB-21", failure_count(6.0, 5), 0.714943, 5e-7),
            ("CB-22", failure_rate(0.1, 5, half), 0.00856, 5e-6),
            ("CB-23", failure_rate(0.1, 10, half), 0.001635, 5e-7),
            ("CB-24", failure_rate(0.1, 20, half), 7.15e-6, 5e-9),
            ("CB-25 10%", mean_calls_to_streak(0.1, 5), 111_110.0, 1e-6),
            ("CB-25 20%", mean_calls_to_streak(0.2, 5), 3905.0, 1e-9),
            ("CB-25 50%", mean_calls_to_streak(0.5, 5), 62.0, 1e-12),
            ("two windows of ten an hour", per_hour(0.1, Span::from_mins(30)), 0.19, 1e-12),
        ] {
            assert!((computed - expected).abs() <= tolerance, "{id}: {computed}, expected {expected}");
        }
    }

    /// Runs a new breaker on calls of which each fails with `error_rate`, until it opens or has seen `most`; how many it saw, and whether it
    /// opened.
    fn fed(config: &Config, dice: Dice, round: u64, error_rate: f64, most: u64) -> (u64, bool) {
        let rules = Rules::new(config, 1);
        let (mut breaker, mut draws) = (Breaker::new(&rules, 0), dice.draws(round));
        for seen in 1..=most {
            let Some(permit) = breaker.admit_if_closed(Time::ZERO) else { unreachable!("it is closed") };
            let outcome = if draws.unit() < error_rate { Outcome::ServerError } else { Outcome::Success };
            if breaker.record(&rules, Time::ZERO, permit, outcome, Span::ZERO, None).is_some() {
                return (seen, true);
            }
        }
        (most, false)
    }

    /// The formulas are about this breaker, and not about one on paper. What a fixed seed shows is held within four standard errors of the
    /// figure: another seed would fail once in 16,000 times.
    #[test]
    fn breakers_fed_with_chance_trip_as_often_as_the_figures_say() {
        let dice = Dice::new(7, Stream::BreakerJitter);
        let within = |id: &str, observed: f64, expected: f64, deviation: f64, rounds: u64| {
            let error = deviation / (rounds as f64).sqrt();
            assert!((observed - expected).abs() < 4.0 * error, "{id}: {observed}, expected {expected} ± {error}");
        };
        for (id, calls, expected, rounds) in [("CB-22", 5, 0.00856, 200_000u64), ("CB-23", 10, 0.001635, 400_000)] {
            let config = Config { window: Window::Calls(calls), minimum_calls: calls, ..Config::default() };
            let trips = (0..rounds).filter(|&round| fed(&config, dice, round, 0.1, u64::from(calls)).1).count();
            let deviation = f64::sqrt(expected * (1.0 - expected));
            within(id, trips as f64 / rounds as f64, expected, deviation, rounds);
        }
        let streak = Config { failure_rate: None, consecutive: Some(5), ..Config::default() };
        for (id, error_rate, expected, rounds) in [("CB-25 20%", 0.2, 3905.0, 1000), ("CB-25 50%", 0.5, 62.0, 20_000)]
        {
            let calls: u64 = (0..rounds).map(|round| fed(&streak, dice, round, error_rate, u64::MAX).0).sum();
            // As good as exponential, and so its deviation is its mean.
            within(id, calls as f64 / rounds as f64, expected, expected, rounds);
        }
    }

    #[test]
    fn a_breaker_that_counts_trips_in_a_minute_of_chance_as_often_as_the_figures_say() {
        let dice = Dice::new(7, Stream::BreakerJitter);
        let window = Window::Time { span: Span::from_mins(1), buckets: 60 };
        let rules = Rules::new(&Config { window, failure_rate: None, failures: Some(5), ..Config::default() }, 1);
        for (id, calls_per_second, expected, rounds) in
            [("CB-20", 10.0, 0.000394, 400_000u64), ("CB-21", 100.0, 0.714943, 20_000)]
        {
            // Successes change nothing: only the failures, one call in a thousand, are played.
            let trips_in_a_minute = |round: u64| {
                let (mut breaker, mut draws) = (Breaker::new(&rules, 0), dice.draws(round));
                let mut at = 0.0;
                loop {
                    at -= libm::log(1.0 - draws.unit()) / (calls_per_second * 0.001);
                    if at >= 60.0 {
                        return false;
                    }
                    let now = Time::from_secs_f64(at);
                    let permit = breaker.admit_if_closed(now).expect("it is closed");
                    if breaker.record(&rules, now, permit, Outcome::ServerError, Span::ZERO, None).is_some() {
                        return true;
                    }
                }
            };
            let trips = (0..rounds).filter(|&round| trips_in_a_minute(round)).count();
            let (observed, error) = (trips as f64 / rounds as f64, f64::sqrt(expected / rounds as f64));
            assert!((observed - expected).abs() < 4.0 * error, "{id}: {observed}, expected {expected} ± {error}");
        }
    }

    #[test]
    fn both_tails_agree_with_the_sum_of_all_terms() {
        for n in 1..=12u32 {
            for needed in 1..=n {
                let threshold = Ppm::from_ratio((f64::from(needed) - 0.5) / f64::from(n));
                for p in [0.01, 0.3, 0.5, 0.97] {
                    let ways = |i: u32| (0..i).fold(1.0, |c, j| c * f64::from(n - j) / f64::from(j + 1));
                    let term = |i: u32| ways(i) * f64::powi(p, i as i32) * f64::powi(1.0 - p, (n - i) as i32);
                    let expected: f64 = (needed..=n).map(term).sum();
                    let computed = failure_rate(p, n, threshold);
                    assert!((computed - expected).abs() < 1e-12, "{needed} of {n} at {p}: {computed}, {expected}");
                }
            }
        }
        let mut term = f64::exp(-3.0);
        let mut below = 0.0;
        for n in 1..20u32 {
            below += term;
            term *= 3.0 / f64::from(n);
            assert!((failure_count(3.0, n) - (1.0 - below)).abs() < 1e-12, "at least {n}");
        }
    }

    #[test]
    fn extremes_are_probabilities() {
        let half = Ppm::from_ratio(0.5);
        assert_eq!([failure_count(0.0, 1), failure_count(f64::NAN, 1), failure_count(5.0, 0)], [0.0, 0.0, 1.0]);
        assert_eq!([failure_count(1e6, 5), failure_count(1e-300, 5)], [1.0, 0.0]);
        assert_eq!([failure_rate(0.0, 10, half), failure_rate(1.0, 10, half)], [0.0, 1.0]);
        assert_eq!([failure_rate(0.5, 10, Ppm::NEVER), failure_rate(0.5, 0, half)], [0.0, 1.0]);
        assert_eq!([mean_calls_to_streak(0.0, 5), mean_calls_to_streak(1.0, 5)], [f64::INFINITY, 5.0]);
        assert_eq!([per_hour(0.0, Span::from_secs(60)), per_hour(1.0, Span::from_secs(60))], [0.0, 1.0]);
    }
}

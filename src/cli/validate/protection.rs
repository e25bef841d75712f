//! What a scenario's breakers, limiters and balancer do at its own rate and error level: false trips, true worst cases, blind spots.

use std::fmt::Write as _;

use crate::engine::breaker::{self, Scope, false_trips};
use crate::engine::limiter::shared::Mode;
use crate::engine::limiter::{self, Algorithm, Compare};
use crate::engine::overload::backoff::amplification;
use crate::engine::window::{Ppm, Window};
use crate::scenario::Scenario;
use crate::units::Span;

/// Lines on all of them; `peak` is the highest rate \[1/s\], where the traffic is known.
pub(super) fn lines(scenario: &Scenario, peak: Option<f64>) -> String {
    let mut out = String::new();
    if let Some(config) = &scenario.breaker {
        out.push_str(&breaker(scenario, config, peak));
    }
    if let Some(config) = &scenario.limiter {
        out.push_str(&worst_case(config, scenario));
        for config in &scenario.limiter_extras.also {
            out.push_str(&worst_case(config, scenario));
        }
    }
    out.push_str(&in_flight(scenario, peak));
    out.push_str(&balancer(scenario));
    out.push_str(&retries(scenario));
    out
}

/// What a limit on requests in flight means at the peak, by Little's law: limit ≥ rate · latency.
fn in_flight(scenario: &Scenario, peak: Option<f64>) -> String {
    let Some(peak) = peak.filter(|&peak| peak > 0.0) else { return String::new() };
    let limits = scenario.overload.gateway.limits;
    let Some(most) = limits.and_then(|limits| limits.requests) else { return String::new() };
    format!(
        "  limits.requests = {most} holds the peak of {peak:.0}/s while an answer takes less than {}; it refuses when that is over, CPU or not\n",
        longest_answer(most, peak)
    )
}

/// How long answers may take on average for `rate` \[1/s\] of them to keep `most` in flight.
fn longest_answer(most: u32, rate: f64) -> Span {
    Span::from_secs_f64(f64::from(most) / rate)
}

/// What retries make of an outage.
fn retries(scenario: &Scenario) -> String {
    let Some(retry) = &scenario.clients.retry else { return String::new() };
    let attempts = retry.policy.max + 1;
    let outage = amplification(1.0, attempts, 1);
    let bound = match retry.policy.budget {
        Some(budget) => format!(", {:.2} with the budget", outage.min(1.0 + budget.ratio)),
        None => String::new(),
    };
    format!(
        "  in an outage every request is tried {outage:.0} times{bound}; two such layers multiply to {:.0}\n",
        amplification(1.0, attempts, 2)
    )
}

/// The error rate of a service in good health: its endpoints', by weight.
fn error_rate(scenario: &Scenario) -> f64 {
    let endpoints = &scenario.service.endpoints;
    let total: f64 = endpoints.iter().map(|endpoint| endpoint.weight).sum();
    let failing: f64 = endpoints.iter().map(|endpoint| endpoint.weight * endpoint.error_rate).sum();
    if total > 0.0 { failing / total } else { scenario.service.error_rate }
}

/// How often one breaker trips although nothing is wrong.
fn breaker(scenario: &Scenario, config: &breaker::Config, peak: Option<f64>) -> String {
    let errors = error_rate(scenario);
    if errors == 0.0 {
        return "  a breaker never trips falsely: without a fault nothing fails (error_rate is 0)\n".to_string();
    }
    let share = match config.scope {
        Scope::Service => 1.0,
        Scope::Instance => 1.0 / f64::from(scenario.fleet.initial.max(1)),
        Scope::Endpoint => {
            let weights = scenario.service.endpoints.iter().map(|endpoint| endpoint.weight);
            let total: f64 = weights.clone().sum();
            weights.fold(0.0, f64::max) / total
        }
    };
    let percent = errors * 100.0;
    let mut out = String::new();
    let calls = peak.map(|peak| peak * share);
    let at = calls.map_or(String::new(), |calls| format!(" at {calls:.1} calls/s and"));
    let mut tell = |condition: String, chance: f64, of: String, per_hour: Option<f64>| {
        let often = match per_hour {
            Some(n) if n >= 0.01 => format!(", about {n:.2} times an hour"),
            Some(_) => ", less than once in 100 hours".to_string(),
            None => String::new(),
        };
        // Writing to a string cannot fail.
        let _ =
            writeln!(out, "  {condition} trips falsely{at} {percent}% errors: probability {chance:.3e} {of}{often}");
    };
    if let Some(rate) = config.failure_rate {
        let minimum = config.minimum_calls;
        let chance = false_trips::failure_rate(errors, minimum, Ppm::from_ratio(rate));
        // A new set of so many calls comes that often.
        let per_hour = calls.map(|calls| chance * calls * 3600.0 / f64::from(minimum));
        tell(format!("failure_rate {rate} of {minimum} calls"), chance, format!("in {minimum} calls"), per_hour);
    }
    if let (Some(failures), Window::Time { span, .. }, Some(calls)) = (config.failures, config.window, calls) {
        let chance = false_trips::failure_count(errors * calls * span.as_secs_f64(), failures);
        let per_hour = chance * 3600.0 / span.as_secs_f64();
        tell(format!("failures = {failures}"), chance, format!("in {span}"), Some(per_hour));
    }
    if let Some(streak) = config.consecutive {
        let mean = false_trips::mean_calls_to_streak(errors, streak);
        let per_hour = calls.map(|calls| calls * 3600.0 / mean);
        tell(format!("consecutive = {streak}"), 1.0 / mean, "a call".to_string(), per_hour);
    }
    if let (Window::Time { span, .. }, Some(calls)) = (config.window, calls)
        && (config.failure_rate.is_some() || config.slow.is_some())
        && calls * span.as_secs_f64() < f64::from(config.minimum_calls)
    {
        let _ = writeln!(
            out,
            "  a breaker is blind: even at the peak {span} hold {:.1} calls, and minimum_calls is {}",
            calls * span.as_secs_f64(),
            config.minimum_calls
        );
    }
    out
}

/// The most that a quota lets in within its window, wherever the window is put.
fn worst_case(config: &limiter::Config, scenario: &Scenario) -> String {
    let (limit, window) = (u64::from(config.limit), config.window);
    let (most, why) = match config.algorithm {
        Algorithm::FixedWindow => match config.burst.map(u64::from).filter(|&burst| burst != limit) {
            Some(burst) => (burst + limit.min(burst), "a full bucket, and one step of filling"),
            None => (2 * limit, "the end of one window and the start of the next"),
        },
        Algorithm::SlidingLog => (limit, "exact"),
        Algorithm::SlidingWindow if config.charge_rejected => (
            2 * limit,
            "the window before is taken to have been evenly filled; who goes on asking for more is shut out, as refusals count",
        ),
        Algorithm::SlidingWindow if config.compare == Compare::BeforeAdding => {
            (2 * limit, "the window before is taken to have been evenly filled, and its part is rounded down")
        }
        Algorithm::SlidingWindow => (2 * limit - 1, "the window before is taken to have been evenly filled"),
        Algorithm::InterpolatedSubWindows => {
            (2 * limit - 1, "the oldest part counts by its share, however many there are")
        }
        Algorithm::SubWindows => (limit, "the oldest part counts in full, which costs throughput"),
        Algorithm::TokenBucket | Algorithm::Gcra => {
            (limit + u64::from(config.burst.unwrap_or(config.limit)), "a burst, and the rate after it")
        }
        Algorithm::LeakyBucket => {
            (limit + 1 + u64::from(config.burst.unwrap_or(0)), "a burst on top of one, and the rate after it")
        }
        Algorithm::FrequencyCounter => {
            (2 * limit - 1, "the period before is taken to have been evenly filled, by refused requests too")
        }
        Algorithm::WarmUp => (limit + 1, "one, and the rate of a warm service after it"),
    };
    let mut out = format!("  {limit} in {window}: at most {most} in any {window} ({why})");
    if let Some(sharing) = &scenario.limiter_extras.sharing {
        let m = u64::from(sharing.gateways);
        let _ = match sharing.mode {
            Mode::Independent => write!(out, "; {m} gateways that do not share let in up to {}", m * most),
            Mode::Divided => {
                write!(out, "; as little as {} when all traffic comes by one of {m} gateways", (limit / m).max(1))
            }
            Mode::Store => write!(out, "; the same for {m} gateways"),
            Mode::Sync { every } => {
                write!(out, "; and what {m} gateways are asked for within {every} on top, each time they sync")
            }
            Mode::Lease { batch } => {
                write!(out, "; of which up to {} lie unused at {m} gateways", m * u64::from(batch))
            }
        };
    }
    out.push('\n');
    out
}

/// Settings of the balancer that do less than they seem to.
fn balancer(scenario: &Scenario) -> String {
    let config = &scenario.balancer;
    let least = scenario.autoscaler.as_ref().map_or(scenario.fleet.initial, |autoscaler| autoscaler.min);
    let mut out = String::new();
    if let Some(ejection) = &config.ejection {
        let most = ejection.most(least as usize);
        let _ = if most == 0 {
            writeln!(
                out,
                "  ejection ejects nobody: {}% of {least} instances is less than one, and at_least_one is off",
                ejection.max_percent
            )
        } else {
            writeln!(
                out,
                "  ejection avoids at most {most} of {least} instances; an ejection ends at a sweep, up to {} after its time",
                ejection.interval
            )
        };
        if let Some(rate) = &ejection.success_rate
            && least < rate.min_hosts
        {
            let _ = writeln!(
                out,
                "  ejection by success rate is off while fewer than {} instances are there: autoscaler.min is {least}",
                rate.min_hosts
            );
        }
    }
    let is_cold = scenario.fleet.warmup.is_some_and(|warmup| !warmup.over.is_zero());
    if scenario.autoscaler.is_some()
        && is_cold
        && config.slow_start.is_none()
        && config.strategy == crate::engine::balancer::Strategy::LeastConnections
    {
        out.push_str("  a new, cold instance has nothing in flight and draws all traffic: set balancer.slow_start\n");
    }
    if let (Some(slow), Some(autoscaler)) = (&config.slow_start, &scenario.autoscaler)
        && slow.window > autoscaler.scale_up_cooldown
    {
        let cooldown: Span = autoscaler.scale_up_cooldown;
        let _ = writeln!(
            out,
            "  slow start over {} outlasts scale_up_cooldown {cooldown}: capacity comes later than the autoscaler believes",
            slow.window
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    fn lines_of(text: &str, peak: f64) -> String {
        let text = format!(
            "scenario.duration = '1m'\ntraffic.shape = [{{ kind = 'constant', rate = 1 }}]\nservice.time = '1ms'\n{text}"
        );
        lines(&scenario::parse(&text, "x.toml", "".as_ref(), &[]).unwrap(), Some(peak))
    }

    #[test]
    fn a_limit_on_requests_in_flight_is_a_rate_times_a_latency() {
        assert_eq!(longest_answer(10, 200.0), Span::from_millis(50), "CB-44");
        let text = lines_of("overload.limits = { requests = 10 }", 200.0);
        assert!(
            text.contains("requests = 10 holds the peak of 200/s while an answer takes less than 50ms"),
            "{text}"
        );
    }

    #[test]
    fn a_token_bucket_keeps_a_promise_of_so_many_in_a_window() {
        // At most 1,000 in a minute with a burst of 100 leaves 15 a second.
        let text = lines_of("[limiter]\nalgorithm = 'token_bucket'\nlimit = 900\nwindow = '1m'\nburst = 100", 1.0);
        assert!(text.contains("900 in 1m: at most 1000 in any 1m"), "RL-03: {text}");
    }

    /// The figures are rounded to the digits that stand there, and what is printed to four: half a unit of each last one is allowed, which
    /// of the fourth is 0.05 % at most.
    #[test]
    fn how_often_a_healthy_service_trips_its_breaker_is_told_for_the_scenarios_own_rate() {
        let probability = |breaker: &str, rate: f64, error_rate: f64| {
            let text = lines_of(&format!("service.error_rate = {error_rate}\nbreaker = {{ {breaker} }}"), rate);
            let number = text.split("probability ").nth(1).and_then(|rest| rest.split(' ').next());
            number.and_then(|number| number.parse::<f64>().ok()).unwrap_or_else(|| panic!("no probability in {text}"))
        };
        let five_a_minute = "failures = 5, window = '60s'";
        for (id, breaker, rate, error_rate, expected, tolerance) in [
            ("CB-20", five_a_minute, 10.0, 0.001, 0.000394, 5e-7),
            ("CB-21", five_a_minute, 100.0, 0.001, 0.714943, 5e-7),
            ("CB-22", "failure_rate = 0.5, minimum_calls = 5", 10.0, 0.1, 0.00856, 5e-6),
            ("CB-23", "failure_rate = 0.5, minimum_calls = 10", 10.0, 0.1, 0.001635, 5e-7),
            ("CB-24", "failure_rate = 0.5, minimum_calls = 20", 10.0, 0.1, 7.15e-6, 5e-9),
            ("CB-25 10%", "consecutive = 5", 10.0, 0.1, 1.0 / 111_110.0, 0.0),
            ("CB-25 20%", "consecutive = 5", 10.0, 0.2, 1.0 / 3905.0, 0.0),
            ("CB-25 50%", "consecutive = 5", 10.0, 0.5, 1.0 / 62.0, 0.0),
        ] {
            let told = probability(breaker, rate, error_rate);
            assert!((told - expected).abs() <= tolerance + 5e-4 * expected, "{id}: {told}, expected {expected}");
        }
        // A streak every 111 s on average.
        let text = lines_of("service.error_rate = 0.1\nbreaker = { consecutive = 5 }", 1000.0);
        assert!(text.contains("about 32.40 times an hour"), "CB-25 at 1,000/s: {text}");
    }

    #[test]
    fn who_counts_refusals_is_told_whom_that_shuts_out() {
        let text = lines_of("limiter = { preset = 'kong', limit = 5, window = '1s' }", 1.0);
        assert!(text.contains("who goes on asking for more is shut out"), "RL-57: {text}");
        let text = lines_of("limiter = { preset = 'kong', limit = 5, window = '1s', charge_rejected = false }", 1.0);
        assert!(!text.contains("shut out"), "RL-57: {text}");
    }

    #[test]
    fn layers_of_retries_multiply() {
        let text = lines_of("clients.retry = { max = 3, budget = 0.2 }", 1.0);
        assert!(text.contains("tried 4 times, 1.20 with the budget; two such layers multiply to 16"), "{text}");
    }
}

//! `wavetank validate`: are the files right, and what do they mean?
//!
//! Numbers rather than warnings in general: what the fleet can carry, how long it takes to grow, when a dead instance is noticed.

mod protection;

use std::fmt::Write as _;
use std::io::Write as _;

use super::args::ValidateArgs;
use super::exit::{Exit, Failure, OrExit};
use crate::engine::autoscaler::rules::{self, Action, Step};
use crate::engine::metrics::Metric;
use crate::record::elasticity::instances_needed;
use crate::scenario::faults::FaultKind;
use crate::scenario::{self, LoadError, Scenario, Traffic};
use crate::traffic::Rate;
use crate::units::{Span, Time};

/// Checks every file; all of their problems are told before the program ends.
pub fn validate(args: ValidateArgs) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    for path in &args.scenarios {
        match scenario::load(path, &args.overrides) {
            Ok(scenario) => {
                let text = format!("{}: ok\n{}", path.display(), meaning(&scenario));
                // A closed pipe is the reader's choice, not a failure.
                let _ = std::io::stdout().lock().write_all(text.as_bytes());
            }
            Err(LoadError::Problems(problems)) => {
                eprintln!("{problems}");
                exit = Exit::BadInput;
            }
            Err(error) if args.scenarios.len() == 1 => return Err(error).or_bad_input(),
            Err(error) => {
                eprintln!("error: {error}");
                exit = Exit::BadInput;
            }
        }
    }
    Ok(exit)
}

/// What a scenario means, a line each.
fn meaning(scenario: &Scenario) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let service = &scenario.service;
    let capacity = service.capacity_rps();
    let demand = service.mean_demand();
    let most = scenario.autoscaler.as_ref().map_or(scenario.fleet.initial, |autoscaler| autoscaler.max);
    let _ = writeln!(
        out,
        "  an instance serves at most {capacity:.1} requests/s ({} at once, {} each on average)",
        service.servers(),
        Span::from_secs_f64(demand)
    );
    let _ = writeln!(
        out,
        "  {most} instances, the most there can be, serve {:.1} requests/s",
        capacity * f64::from(most)
    );
    let mut highest = None;
    if let (Traffic::Open(config), Some(duration)) = (&scenario.traffic, scenario.duration) {
        let rate = Rate::new(&config.shape, config.noise, &config.overlay, scenario.seed);
        let step = duration.0 / 2000 + 1;
        let peak = (0..2000).map(|i| rate.rps(Time(i * step))).fold(0.0, f64::max);
        highest = Some(peak);
        let needed = instances_needed(peak, demand, service.servers(), demand);
        let verdict = if needed > most { "more than there can be" } else { "within reach" };
        let _ = writeln!(out, "  load peaks at {peak:.1} requests/s, which takes {needed} instances: {verdict}");
    }
    if let Some(autoscaler) = &scenario.autoscaler {
        for rule in autoscaler.rules.iter().filter(|rule| rule.enabled && rule.action == Action::ScaleUp) {
            out.push_str(&climb(rule, autoscaler));
        }
        for (up, down) in contradictions(&autoscaler.rules) {
            out.push_str(&flapping(up, down, autoscaler.min, autoscaler.max));
        }
    }
    if let Some(check) = scenario.balancer.health_check {
        let worst = check.interval * u64::from(check.unhealthy_after) + check.timeout;
        let _ = writeln!(out, "  a dead instance is noticed after {worst} at most");
    } else if scenario.faults.iter().any(|f| matches!(f.kind, FaultKind::Crash { .. } | FaultKind::ZoneOutage { .. }))
    {
        let _ = writeln!(out, "  instances die, and nobody notices: there is no balancer.health_check");
    }
    out.push_str(&protection::lines(scenario, highest));
    out
}

/// How long a rule takes from `min` to `max` when its condition holds all the while.
fn climb(rule: &rules::Config, autoscaler: &crate::engine::autoscaler::Config) -> String {
    let tick = autoscaler.interval.0.max(1);
    let up = |span: Span| Span(span.0.div_ceil(tick) * tick);
    let gap = up(Span(rule.cooldown.0.max(autoscaler.scale_up_cooldown.0).max(rule.duration.0)));
    let (mut n, mut steps) = (autoscaler.min, 0u64);
    while n < autoscaler.max && steps < 100_000 {
        n = match rule.step {
            Step::Add(k) => n.saturating_add(k.max(1)),
            Step::Percent(p) => n + (n * p).div_ceil(100).max(1),
            Step::To(k) => k.max(autoscaler.max),
        }
        .min(autoscaler.max);
        steps += 1;
    }
    if steps == 0 {
        return String::new();
    }
    let total = up(rule.duration) + gap * (steps - 1);
    format!(
        "  {} climbs from {} to {} instances in {total}: the first step after {}, then one every {gap}; boot comes on top\n",
        rule.name,
        autoscaler.min,
        autoscaler.max,
        up(rule.duration)
    )
}

/// Pairs of a scale-up and a scale-down rule on one load-proportional metric.
fn contradictions(rules: &[rules::Config]) -> Vec<(&rules::Config, &rules::Config)> {
    let proportional = |metric: Metric| metric.is_load_proportional();
    let mut pairs = Vec::new();
    for up in rules.iter().filter(|rule| rule.enabled && rule.action == Action::ScaleUp && proportional(rule.metric))
    {
        for down in
            rules.iter().filter(|rule| rule.enabled && rule.action == Action::ScaleDown && rule.metric == up.metric)
        {
            pairs.push((up, down));
        }
    }
    pairs
}

/// Whether a scale-down raises the metric of those that stay above the threshold for scaling up again.
fn flapping(up: &rules::Config, down: &rules::Config, min: u32, max: u32) -> String {
    let worst = (min + 1..=max).find_map(|n| {
        let fewer = match down.step {
            Step::Add(k) => n.saturating_sub(k),
            Step::Percent(p) => n.saturating_sub((n * p / 100).max(1)),
            Step::To(k) => k,
        }
        .max(min);
        let after = down.threshold * f64::from(n) / f64::from(fewer.max(1));
        (fewer < n && up.operator.holds(after, up.threshold)).then_some((n, fewer, after))
    });
    match worst {
        None => String::new(),
        Some((n, fewer, after)) => format!(
            "  {} and {} feed each other: at {} {} on {n} instances, {fewer} would have {after:.1}, over {} (such steps are held)\n",
            up.name, down.name, down.metric, down.threshold, up.threshold
        ),
    }
}

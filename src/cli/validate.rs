//! `wavetank validate`: are the files right, and what do they mean?
//!
//! Numbers rather than warnings in general: what the fleet can carry, how long it takes to grow, when a dead instance is noticed.

mod protection;

use std::fmt::Write as _;
use std::io::Write as _;

use super::args::ValidateArgs;
use super::exit::{Exit, Failure, OrExit};
use crate::engine::autoscaler::Config;
use crate::engine::autoscaler::rules::{self, Action, Step};
use crate::engine::metrics::Metric;
use crate::record::elasticity::instances_needed;
use crate::scenario::faults::FaultKind;
use crate::scenario::{self, LoadError, Scenario, Traffic};
use crate::sim::outlook::fluid::Facts;
use crate::sim::outlook::{Climb, DeadZone, Flapping, Outlook, Overshoot, Ramp, outlook};
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
    for note in &scenario.import_notes {
        let _ = writeln!(out, "  not carried over, or not quite: {note}");
    }
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
    let mut peak = None;
    if let (Traffic::Open(config), Some(duration)) = (&scenario.traffic, scenario.duration) {
        let rate = config.rate(scenario.seed);
        let step = duration.0 / 2000 + 1;
        let highest = (0..2000).map(|i| rate.rps(Time(i * step))).fold(0.0, f64::max);
        peak = Some(highest);
        let needed = instances_needed(highest, demand, service.servers(), demand);
        let verdict = if needed > most { "more than there can be" } else { "within reach" };
        let _ = writeln!(out, "  load peaks at {highest:.1} requests/s, which takes {needed} instances: {verdict}");
    }
    if let Some(autoscaler) = &scenario.autoscaler {
        for (up, down) in contradictions(&autoscaler.rules) {
            out.push_str(&flapping(up, down, autoscaler.min, autoscaler.max));
        }
        let peak = match &scenario.traffic {
            Traffic::Open(_) => peak,
            _ => None,
        };
        out.push_str(&in_words(&outlook(autoscaler, Facts::of(scenario), peak), autoscaler));
    }
    if let Some(check) = scenario.balancer.health_check {
        let _ = writeln!(out, "  a dead instance is noticed after {} at most", check.notices_within());
    } else if scenario.faults.iter().any(|f| matches!(f.kind, FaultKind::Crash { .. } | FaultKind::ZoneOutage { .. }))
    {
        let _ = writeln!(out, "  instances die, and nobody notices: there is no balancer.health_check");
    }
    out.push_str(&protection::lines(scenario, peak));
    out
}

/// What the autoscaler does on a smooth load, a line for each finding.
fn in_words(outlook: &Outlook, autoscaler: &Config) -> String {
    let mut out = String::new();
    if outlook.climb.is_none() && autoscaler.max > autoscaler.min {
        let _ = writeln!(out, "  nothing looks at load: no rise of it changes the number of instances");
    }
    if let Some(climb) = outlook.climb {
        let Climb { from, to, first, all } = climb;
        let _ = match (first, all) {
            (Some(first), Some(all)) => writeln!(
                out,
                "  when load explodes it goes from {from} to {to} instances in {}, the first order after {}; boot included",
                minutes(all),
                minutes(first)
            ),
            (Some(first), None) => writeln!(
                out,
                "  when load explodes it goes from {from} to {to} of {} instances and stays there; the first order after {}",
                autoscaler.max,
                minutes(first)
            ),
            (None, _) => writeln!(out, "  when load explodes it stays on {from} instances: nothing adds any"),
        };
    }
    if let Some(Ramp { from_rps, to_rps, steepest }) = outlook.ramp {
        let range = format!("from {} to {} requests/s", rounded(from_rps), rounded(to_rps));
        let _ = match steepest {
            0.0 => writeln!(out, "  it survives no rise {range}, however slow: capacity falls short on the way"),
            s if s.is_infinite() => writeln!(out, "  it survives any rise {range}"),
            s => writeln!(
                out,
                "  the steepest rise {range} that it survives is {} requests/s each second, {} for all of it",
                rounded(s),
                minutes(Span::from_secs_f64((to_rps - from_rps) / s))
            ),
        };
    }
    if let Some(rescue) = outlook.rescue {
        let late = |after: Option<Span>| match after {
            None => Some("not within an hour".to_string()),
            Some(after) if after > rescue.calm + autoscaler.interval => Some(format!("after {}", minutes(after))),
            Some(_) => None,
        };
        let calm = minutes(rescue.calm);
        if let Some(late) = late(rescue.after_scale_up) {
            let _ =
                writeln!(out, "  a rise at the moment of a scale-up is answered {late}, not after {calm} as in calm");
        }
        if let Some(late) = rescue.after_scale_down.and_then(|after| late(Some(after))) {
            let _ = writeln!(
                out,
                "  a rise at the moment of a scale-down is answered {late}, not after {calm} as in calm"
            );
        }
    }
    if let Some(Overshoot { rps, instances, at_once }) = outlook.overshoot {
        let _ = writeln!(
            out,
            "  a jump to {} requests/s makes it {instances} instances where {at_once} would do: it does not see what boots",
            rounded(rps)
        );
    }
    // The worst of each; the others are near it.
    let worst = outlook.flapping.iter().max_by(|a, b| a.reversals_per_hour.total_cmp(&b.reversals_per_hour));
    if let Some(&Flapping { rps, sizes: (least, most), reversals_per_hour }) = worst {
        let _ = writeln!(
            out,
            "  it flaps: at a steady {} requests/s between {least} and {most} instances, {reversals_per_hour:.1} reversals an hour \
             (at {} of 81 loads)",
            rounded(rps),
            outlook.flapping.len()
        );
    }
    for DeadZone { rps: (low, high), instances, load } in &outlook.dead_zones {
        let _ = writeln!(
            out,
            "  dead zone: at a steady {} to {} requests/s it stays on {instances} instances, {:.0}% of what they can serve",
            rounded(*low),
            rounded(*high),
            load * 100.0
        );
    }
    for (name, reason) in &outlook.never {
        let _ = writeln!(out, "  {name} can never fire: {reason}");
    }
    out
}

/// A duration without the digits nobody reads: to a tenth of a second, or to seconds past a minute.
fn minutes(span: Span) -> Span {
    let unit = if span >= Span::from_mins(1) { 1_000_000_000 } else { 100_000_000 };
    Span((span.0 + unit / 2) / unit * unit)
}

/// A number to three digits.
fn rounded(x: f64) -> String {
    let digits = if x >= 100.0 {
        0
    } else if x >= 10.0 {
        1
    } else if x >= 1.0 {
        2
    } else {
        3
    };
    format!("{x:.digits$}")
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

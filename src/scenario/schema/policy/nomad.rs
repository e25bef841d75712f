//! `kind = "nomad_target_value"` and `"nomad_threshold"`: checks of the Nomad Autoscaler.

use super::name;
use crate::engine::autoscaler::nomad::{Action, Config, Strategy};
use crate::engine::metrics::{Aggregate, Metric};
use crate::scenario::reader::{Field, Section};
use crate::scenario::schema::autoscaler::{level, metric};

pub(super) fn target_value(s: &Section, names: &mut Vec<String>) -> Option<Config> {
    let (metric, aggregate) = query(s);
    let target = s.field("target");
    if target.is_none() {
        s.missing("target", "target = 60");
    }
    let target = target.zip(metric).and_then(|(f, metric)| bound(&f, metric, aggregate));
    let strategy = Strategy::TargetValue {
        target: target.unwrap_or(0.0),
        threshold: s.or("threshold", 0.01, Field::ratio),
        max_scale_up: s.optional("max_scale_up", |f| f.count(1)),
        max_scale_down: s.optional("max_scale_down", |f| f.count(1)),
    };
    let config = check(s, metric, aggregate, strategy, "nomad_target_value", names);
    target.and(config)
}

pub(super) fn threshold(s: &Section, names: &mut Vec<String>) -> Option<Config> {
    let (metric, aggregate) = query(s);
    let of = |key| s.field(key).zip(metric).and_then(|(f, metric)| bound(&f, metric, aggregate));
    let (lower_bound, upper_bound) = (of("lower_bound"), of("upper_bound"));
    if s.is_sound() && lower_bound.is_none() && upper_bound.is_none() {
        s.missing("lower_bound", "lower_bound = 70");
    }
    if let (Some(lower), Some(upper), Some(field)) = (lower_bound, upper_bound, s.field("upper_bound"))
        && lower >= upper
    {
        let _: Option<()> = field.contradiction(format!("nothing is from {lower} to below {upper}"));
    }
    let whole = |f: &Field| f.number("a whole number", |x| x == x.trunc() && x.abs() <= 1e9);
    let percent = |f: &Field| f.number("a percentage, -100 or more", |x| x >= -100.0);
    let actions = [
        s.field("delta").map(|f| (whole(&f).map(|x| Action::Delta(x as i32)), f)),
        s.field("percentage").map(|f| (percent(&f).map(Action::Percentage), f)),
        s.field("value").map(|f| (f.count(0).map(Action::Value), f)),
    ];
    let mut actions = actions.into_iter().flatten();
    let action = match (actions.next(), actions.next()) {
        (None, _) => {
            s.missing("delta", "delta = 1");
            None
        }
        (Some((action, _)), None) => action,
        (_, Some((_, field))) => field.contradiction("delta, percentage and value exclude each other"),
    };
    let within_bounds_trigger = s.or("within_bounds_trigger", 5, |f| f.count(1));
    let strategy = |action| Strategy::Threshold { lower_bound, upper_bound, action, within_bounds_trigger };
    let config = check(s, metric, aggregate, strategy(action.unwrap_or(Action::Delta(0))), "nomad_threshold", names);
    action.and(config)
}

fn query(s: &Section) -> (Option<Metric>, Aggregate) {
    let metric = s.required("metric", "metric = \"cpu_utilization\"", metric);
    (metric, s.or("aggregate", Aggregate::default(), |f| f.choice(&Aggregate::ALL)))
}

/// A value of a metric; totals are in no unit's range.
fn bound(field: &Field, metric: Metric, aggregate: Aggregate) -> Option<f64> {
    match aggregate {
        Aggregate::Sum => field.number("a number, 0 or more", |x| x >= 0.0),
        _ => level(field, metric),
    }
}

fn check(
    s: &Section,
    metric: Option<Metric>,
    aggregate: Aggregate,
    strategy: Strategy,
    base: &str,
    names: &mut Vec<String>,
) -> Option<Config> {
    let window = s.optional("query_window", Field::positive_span);
    let cooldown = s.optional("cooldown", Field::span);
    let name = name(s, base, names);
    let mut config = Config::new(metric?, strategy);
    config.name = name?;
    config.aggregate = aggregate;
    config.query_window = window.unwrap_or(config.query_window);
    config.cooldown = cooldown.unwrap_or(config.cooldown);
    Some(config)
}

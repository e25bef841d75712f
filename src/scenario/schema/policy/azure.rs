//! `kind = "azure"`: a profile of an autoscale setting.

use super::{name, span_within};
use crate::engine::autoscaler::Direction;
use crate::engine::autoscaler::adjustment::AdjustmentType;
use crate::engine::autoscaler::azure::{Config, Rule};
use crate::engine::metrics::Aggregate;
use crate::scenario::reader::{Field, Section};
use crate::scenario::schema::autoscaler::{level, metric, operator};
use crate::units::Span;

pub(super) fn azure(s: &Section, names: &mut Vec<String>) -> Option<Config> {
    const EXAMPLE: &str =
        "rules = [{ metric = \"cpu_utilization\", operator = \"gt\", threshold = 70, direction = \"increase\" }]";
    let rules = s.required("rules", EXAMPLE, rules);
    let name = name(s, "azure", names);
    Some(Config { name: name?, rules: rules? })
}

fn rules(field: &Field) -> Option<Vec<Rule>> {
    let elements = field.elements()?;
    if elements.is_empty() {
        return field.unfit("at least one rule");
    }
    let rules: Vec<Option<Rule>> = elements.iter().map(|element| element.section(rule)).collect();
    rules.into_iter().collect()
}

fn rule(s: &Section) -> Option<Rule> {
    let directions = [("increase", Direction::Up), ("decrease", Direction::Down)];
    let types = [
        ("change_count", AdjustmentType::ChangeInCapacity),
        ("percent_change_count", AdjustmentType::PercentChangeInCapacity),
        ("exact_count", AdjustmentType::ExactCapacity),
    ];
    let metric = s.required("metric", "metric = \"cpu_utilization\"", metric);
    let operator = s.required("operator", "operator = \"gt\"", operator);
    let statistic = s.or("statistic", Aggregate::default(), |f| f.choice(&Aggregate::ALL));
    let threshold = s.field("threshold");
    if threshold.is_none() {
        s.missing("threshold", "threshold = 70");
    }
    let threshold = threshold.zip(metric).and_then(|(field, metric)| match statistic {
        Aggregate::Sum => field.number("a number, 0 or more", |x| x >= 0.0),
        _ => level(&field, metric),
    });
    let direction = s.required("direction", "direction = \"increase\"", |f| f.choice(&directions));
    let kind = s.or("type", AdjustmentType::default(), |f| f.choice(&types));
    let value = s.or("value", 1, |f| f.count(1));
    let week = Span::from_mins(7 * 24 * 60);
    let window = s.optional("time_window", |f| span_within(f, Span::from_mins(1), week));
    let cooldown = s.optional("cooldown", Field::span);
    let mut rule = Rule::new(metric?, operator?, threshold?, direction?);
    rule.aggregate = statistic;
    rule.kind = kind;
    rule.value = value;
    rule.time_window = window.unwrap_or(rule.time_window);
    rule.cooldown = cooldown.unwrap_or(rule.cooldown);
    Some(rule)
}

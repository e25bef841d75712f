//! A profile of an autoscale setting.

use super::{Table, level, list, named, number, span, text};
use crate::engine::autoscaler::Direction;
use crate::engine::autoscaler::adjustment::AdjustmentType;
use crate::engine::autoscaler::azure::{Config, Rule};
use crate::engine::autoscaler::rules::Operator;
use crate::engine::metrics::Aggregate;

/// The types of changes as a scenario has them.
const TYPES: [(&str, AdjustmentType); 3] = [
    ("change_count", AdjustmentType::ChangeInCapacity),
    ("percent_change_count", AdjustmentType::PercentChangeInCapacity),
    ("exact_count", AdjustmentType::ExactCapacity),
];

pub(super) fn table(t: &mut Table, config: &Config) {
    t.put("kind", "\"azure\"");
    t.put("name", text(&config.name));
    let rule = |rule: &Rule| {
        let default = Rule::new(rule.metric, rule.operator, rule.threshold, rule.direction);
        let mut t = Table::default();
        t.put("metric", text(rule.metric.name()));
        t.differ("statistic", &rule.aggregate, &default.aggregate, |x| named(&Aggregate::ALL, x));
        t.put("operator", named(&Operator::ALL, &rule.operator));
        let is_total = rule.aggregate == Aggregate::Sum;
        t.put("threshold", if is_total { number(&rule.threshold) } else { level(rule.threshold, rule.metric) });
        t.put("direction", if rule.direction == Direction::Up { "\"increase\"" } else { "\"decrease\"" });
        t.differ("type", &rule.kind, &default.kind, |x| named(&TYPES, x));
        t.differ("value", &rule.value, &default.value, u32::to_string);
        t.differ("time_window", &rule.time_window, &default.time_window, span);
        t.differ("cooldown", &rule.cooldown, &default.cooldown, span);
        t
    };
    t.put("rules", list(config.rules.iter().map(rule)));
}

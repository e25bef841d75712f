//! A check of a scaling policy of Nomad.

use super::{Table, level, named, number, span, text};
use crate::engine::autoscaler::nomad::{Action, Config, Strategy};
use crate::engine::metrics::Aggregate;

pub(super) fn table(t: &mut Table, config: &Config) {
    let default = Config::new(config.metric, config.strategy);
    let bound = |x: &f64| if config.aggregate == Aggregate::Sum { number(x) } else { level(*x, config.metric) };
    let kind = match config.strategy {
        Strategy::TargetValue { .. } => "\"nomad_target_value\"",
        Strategy::Threshold { .. } => "\"nomad_threshold\"",
    };
    t.put("kind", kind);
    t.put("name", text(&config.name));
    t.put("metric", text(config.metric.name()));
    t.differ("aggregate", &config.aggregate, &default.aggregate, |x| named(&Aggregate::ALL, x));
    match config.strategy {
        Strategy::TargetValue { target, threshold, max_scale_up, max_scale_down } => {
            t.put("target", bound(&target));
            t.differ("threshold", &threshold, &0.01, number);
            for (key, most) in [("max_scale_up", max_scale_up), ("max_scale_down", max_scale_down)] {
                if let Some(most) = most {
                    t.put(key, most.to_string());
                }
            }
        }
        Strategy::Threshold { lower_bound, upper_bound, action, within_bounds_trigger } => {
            for (key, x) in [("lower_bound", lower_bound), ("upper_bound", upper_bound)] {
                if let Some(x) = x {
                    t.put(key, bound(&x));
                }
            }
            match action {
                Action::Delta(n) => t.put("delta", n.to_string()),
                Action::Percentage(percent) => t.put("percentage", number(&percent)),
                Action::Value(n) => t.put("value", n.to_string()),
            }
            t.differ("within_bounds_trigger", &within_bounds_trigger, &5, u32::to_string);
        }
    }
    t.differ("query_window", &config.query_window, &default.query_window, span);
    t.differ("cooldown", &config.cooldown, &default.cooldown, span);
}

//! `kind = "kpa"`: a Knative revision's autoscaling, in the words of its annotations and of `config-autoscaler`.

use super::{name, span_within};
use crate::engine::autoscaler::kpa::{Aggregation, Config, ScalingMetric};
use crate::scenario::reader::{Field, Section};
use crate::units::Span;

pub(super) fn kpa(s: &Section, names: &mut Vec<String>) -> Option<Config> {
    let default = Config::default();
    let hour = Span::from_mins(60);
    let percent = |least: f64, most: f64| {
        move |f: &Field| f.number(&format!("a percentage from {least} to {most}"), |x| (least..=most).contains(&x))
    };
    let rate = |f: &Field| f.number("a factor above 1", |x| x > 1.0);
    let config = Config {
        name: String::new(),
        metric: s.or("metric", default.metric, |f| f.choice(&ScalingMetric::ALL)),
        target: s.optional("target", |f| f.number("a target of at least 0.01", |x| x >= 0.01)),
        container_concurrency: s.optional("container_concurrency", |f| f.count(1)),
        target_utilization: s.or("target_utilization", default.target_utilization, Field::positive_ratio),
        target_burst_capacity: s.or("target_burst_capacity", default.target_burst_capacity, burst),
        stable_window: s.or("stable_window", default.stable_window, |f| {
            let span = span_within(f, Span::from_secs(6), hour)?;
            if span.0 % 1_000_000_000 == 0 { Some(span) } else { f.unfit("whole seconds") }
        }),
        panic_window_percentage: s.or(
            "panic_window_percentage",
            default.panic_window_percentage,
            percent(1.0, 100.0),
        ),
        panic_threshold_percentage: s.or(
            "panic_threshold_percentage",
            default.panic_threshold_percentage,
            percent(110.0, 1000.0),
        ),
        max_scale_up_rate: s.or("max_scale_up_rate", default.max_scale_up_rate, rate),
        max_scale_down_rate: s.or("max_scale_down_rate", default.max_scale_down_rate, rate),
        scale_down_delay: s.or("scale_down_delay", default.scale_down_delay, |f| span_within(f, Span::ZERO, hour)),
        activation_scale: s.or("activation_scale", default.activation_scale, |f| f.count(1)),
        enable_scale_to_zero: s.or("enable_scale_to_zero", default.enable_scale_to_zero, Field::boolean),
        scale_to_zero_grace_period: s.or(
            "scale_to_zero_grace_period",
            default.scale_to_zero_grace_period,
            Field::span,
        ),
        scale_to_zero_pod_retention_period: s.or(
            "scale_to_zero_pod_retention_period",
            default.scale_to_zero_pod_retention_period,
            |f| span_within(f, Span::ZERO, hour),
        ),
        aggregation: s.or("aggregation", default.aggregation, |f| f.choice(&Aggregation::ALL)),
    };
    Some(Config { name: name(s, &default.name, names)?, ..config })
}

/// A capacity; −1, which is `None`, is all of it.
fn burst(field: &Field) -> Option<Option<f64>> {
    let capacity = field.number("a capacity of 0 or more, or -1 for an unlimited one", |x| x >= 0.0 || x == -1.0)?;
    Some((capacity >= 0.0).then_some(capacity))
}

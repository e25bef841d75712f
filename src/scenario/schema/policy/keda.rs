//! `kind = "keda"`: a ScaledObject.

use super::hpa::{amount, behavior};
use super::{name, span_within};
use crate::engine::autoscaler::hpa::Resource;
use crate::engine::autoscaler::keda::{Config, Fallback, FallbackBehavior, MetricType, Trigger};
use crate::engine::metrics::{Aggregate, Metric};
use crate::scenario::reader::{Field, Section};
use crate::scenario::schema::autoscaler::{level, metric};
use crate::units::Span;

pub(super) fn keda(s: &Section, names: &mut Vec<String>) -> Option<Config> {
    let day = Span::from_mins(24 * 60);
    let polling = s.optional("polling_interval", |f| span_within(f, Span::from_secs(1), day));
    let cooldown = s.optional("cooldown_period", Field::span);
    let initial = s.optional("initial_cooldown_period", Field::span);
    let fallback = s.optional("fallback", fallback);
    let behavior = s.optional("behavior", behavior);
    let triggers = s.required("triggers", "triggers = [{ metric = \"queue_length\", threshold = 5 }]", triggers);
    let mut config = Config::new(triggers?);
    config.polling_interval = polling.unwrap_or(config.polling_interval);
    config.cooldown_period = cooldown.unwrap_or(config.cooldown_period);
    config.initial_cooldown_period = initial.unwrap_or(config.initial_cooldown_period);
    config.fallback = fallback;
    config.behavior = behavior;
    config.name = name(s, &config.name, names)?;
    Some(config)
}

fn fallback(field: &Field) -> Option<Fallback> {
    field.section(|s| {
        let threshold = s.required("failure_threshold", "failure_threshold = 3", |f| f.count(0));
        let replicas = s.required("replicas", "replicas = 6", |f| f.count(0));
        let behavior = s.or("behavior", FallbackBehavior::default(), |f| f.choice(&FallbackBehavior::ALL));
        Some(Fallback { failure_threshold: threshold?, replicas: replicas?, behavior })
    })
}

fn triggers(field: &Field) -> Option<Vec<Trigger>> {
    let elements = field.elements()?;
    if elements.is_empty() {
        return field.unfit("at least one trigger");
    }
    let triggers: Vec<Option<Trigger>> = elements.iter().map(|element| element.section(trigger)).collect();
    triggers.into_iter().collect()
}

fn trigger(s: &Section) -> Option<Trigger> {
    let metric = s.required("metric", "metric = \"queue_length\"", metric);
    let is_resource =
        metric.is_some_and(|metric| matches!(metric, Metric::CpuUtilization | Metric::MemoryUtilization));
    let default = if is_resource { MetricType::Utilization } else { MetricType::default() };
    let metric_type = s.or("metric_type", default, |f| {
        let metric_type = f.choice(&MetricType::ALL)?;
        if metric_type == MetricType::Utilization && metric.is_some() && !is_resource {
            return f.contradiction("utilization is for cpu_utilization and memory_utilization");
        }
        if metric_type == MetricType::Value && is_resource {
            return f.contradiction("cpu_utilization and memory_utilization have utilization, or average_value");
        }
        Some(metric_type)
    });
    let aggregate = s.optional("aggregate", |f| match is_resource {
        true => f.contradiction("CPU and memory are always the mean of the instances"),
        false => f.choice(&Aggregate::ALL),
    });
    let threshold = s.field("threshold");
    if threshold.is_none() {
        s.missing("threshold", "threshold = 5");
    }
    let threshold = threshold.zip(metric).and_then(|(f, metric)| match metric_type {
        MetricType::Utilization if f.raw_number().is_some_and(|x| x != x.trunc()) => f.unfit("a whole percentage"),
        MetricType::Utilization => match level(&f, metric)? {
            0.0 => f.unfit("a target above 0"),
            percent => Some(percent),
        },
        MetricType::AverageValue if is_resource => {
            amount(&f, if metric == Metric::CpuUtilization { Resource::Cpu } else { Resource::Memory })
        }
        _ => f.positive(),
    });
    let activation = s.or("activation_threshold", 0.0, |f| f.number("a number, 0 or more", |x| x >= 0.0));
    let mut trigger = Trigger::new(metric?, threshold?);
    trigger.metric_type = metric_type;
    trigger.activation_threshold = activation;
    trigger.aggregate = aggregate.unwrap_or(if is_resource { Aggregate::Avg } else { trigger.aggregate });
    Some(trigger)
}

//! The `[autoscaler]` section of a scenario, written from a configuration; what is as by default is left out.

mod azure;
mod gcp;
mod nomad;
mod schedule;

use std::fmt::Write as _;

use super::Note;
use crate::engine::autoscaler::adjustment::AdjustmentType;
use crate::engine::autoscaler::alarm::{self, TreatMissing};
use crate::engine::autoscaler::hpa::{
    self, Behavior, MetricSpec, MetricTarget, Resource, ResourceTarget, ScalingPolicyType, ScalingRules, SelectPolicy,
};
use crate::engine::autoscaler::keda::{self, FallbackBehavior, MetricType};
use crate::engine::autoscaler::kpa::{self, Aggregation, ScalingMetric};
use crate::engine::autoscaler::rules::{self, Action, Missing, Operator, Step};
use crate::engine::autoscaler::{Config, CooldownFrom, Evidence, Policy, aws_target_tracking, simple, step};
use crate::engine::metrics::{Aggregate, Metric, Unit};
use crate::units::Span;

/// Keys and values of a table, in order; a value is TOML.
#[derive(Default)]
struct Table(Vec<(&'static str, String)>);

impl Table {
    fn put(&mut self, key: &'static str, value: impl Into<String>) {
        self.0.push((key, value.into()));
    }

    /// Puts a value that is not `default`.
    fn differ<T: PartialEq>(&mut self, key: &'static str, value: &T, default: &T, write: impl Fn(&T) -> String) {
        if value != default {
            self.put(key, write(value));
        }
    }

    fn inline(&self) -> String {
        let parts: Vec<String> = self.0.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        format!("{{ {} }}", parts.join(", "))
    }

    fn lines(&self) -> String {
        self.0.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
    }
}

/// The section as TOML, under a comment that says where it is from and what stayed behind.
pub(super) fn write(config: &Config, from: &str, notes: &[Note]) -> String {
    let mut out = format!("# {}\n", one_line(from));
    if !notes.is_empty() {
        out.push_str("# Not carried over, or not quite:\n");
    }
    for note in notes {
        let _ = writeln!(out, "#   {}", one_line(&note.to_string()));
    }
    let default = Config::default();
    let mut head = Table::default();
    head.put("min", config.min.to_string());
    head.put("max", config.max.to_string());
    let natural = config.policies.iter().filter_map(Policy::natural_interval).min();
    head.differ("interval", &config.interval, &natural.unwrap_or(default.interval), span);
    head.differ("scale_up_cooldown", &config.scale_up_cooldown, &default.scale_up_cooldown, span);
    head.differ("scale_down_cooldown", &config.scale_down_cooldown, &default.scale_down_cooldown, span);
    head.differ("cooldown_from", &config.cooldown_from, &default.cooldown_from, |x| named(&CooldownFrom::ALL, x));
    if let Some(staleness) = &config.max_staleness {
        head.put("max_staleness", span(staleness));
    }
    head.differ("piling_on_guard", &config.piling_on_guard, &default.piling_on_guard, bool::to_string);
    head.differ("shed_tolerance", &config.shed_tolerance, &default.shed_tolerance, number);
    head.differ("scale_down_guards", &config.scale_down_guards, &default.scale_down_guards, bool::to_string);
    let _ = write!(out, "[autoscaler]\n{}", head.lines());
    for each in &config.rules {
        let _ = write!(out, "\n[[autoscaler.rule]]\n{}", rule(each).lines());
    }
    for table in config.policies.iter().filter_map(policy) {
        let _ = write!(out, "\n[[autoscaler.policy]]\n{}", table.lines());
    }
    out
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A policy's table; `None` for the kinds that no manifest has.
fn policy(policy: &Policy) -> Option<Table> {
    let mut t = Table::default();
    match policy {
        Policy::Hpa(config) => hpa(&mut t, config),
        Policy::Keda(config) => keda(&mut t, config),
        Policy::Kpa(config) => kpa(&mut t, config),
        Policy::Step(config) => step(&mut t, config),
        Policy::Simple(config) => simple(&mut t, config),
        Policy::AwsTargetTracking(config) => tracking(&mut t, config),
        Policy::Nomad(config) => nomad::table(&mut t, config),
        Policy::Schedule(config) => schedule::table(&mut t, config),
        Policy::Gcp(config) => gcp::table(&mut t, config),
        Policy::Azure(config) => azure::table(&mut t, config),
        Policy::TargetTracking(_) | Policy::Queueing(_) | Policy::Predictive(_) | Policy::Slo(_) => return None,
    }
    Some(t)
}

pub(super) fn text(text: &str) -> String {
    toml_edit::Value::from(text).to_string().trim().to_string()
}

fn named<T: PartialEq>(all: &[(&'static str, T)], value: &T) -> String {
    text(all.iter().find(|(_, each)| each == value).map_or("", |(name, _)| name))
}

/// Exactly, in the largest unit that divides it.
fn span(span: &Span) -> String {
    const UNITS: [(u64, &str); 6] = [
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let (unit, name) =
        UNITS.iter().find(|(unit, _)| span.0 != 0 && span.0.is_multiple_of(*unit)).unwrap_or(&UNITS[2]);
    format!("\"{}{name}\"", span.0 / unit)
}

fn number(x: &f64) -> String {
    if x.abs() < 1e15 { x.to_string() } else { format!("{x:?}") }
}

/// A value in the unit of a metric: a percentage up to one needs its sign, not to be taken for a ratio.
fn level(x: f64, metric: Metric) -> String {
    match metric.unit() {
        Unit::Percent if x > 0.0 && x <= 1.0 => format!("\"{x}%\""),
        _ => number(&x),
    }
}

fn list(tables: impl Iterator<Item = Table>) -> String {
    let tables: Vec<String> = tables.map(|table| table.inline()).collect();
    match tables.as_slice() {
        [one] => format!("[{one}]"),
        several => format!("[\n  {},\n]", several.join(",\n  ")),
    }
}

fn rule(rule: &rules::Config) -> Table {
    let default = rules::Config::new(&rule.name, rule.metric, rule.operator, rule.threshold, rule.action);
    let mut t = Table::default();
    t.put("name", text(&rule.name));
    t.put("metric", text(rule.metric.name()));
    t.differ("aggregate", &rule.aggregate, &default.aggregate, |x| named(&Aggregate::ALL, x));
    t.put("operator", named(&Operator::ALL, &rule.operator));
    t.put("threshold", level(rule.threshold, rule.metric));
    t.differ("duration", &rule.duration, &Span::ZERO, span);
    t.put("action", named(&Action::ALL, &rule.action));
    t.differ("step", &rule.step, &default.step, |step| match step {
        Step::Add(n) => n.to_string(),
        Step::Percent(p) => format!("\"{p}%\""),
        Step::To(n) => format!("\"to {n}\""),
    });
    t.differ("priority", &rule.priority, &5, u8::to_string);
    t.differ("cooldown", &rule.cooldown, &Span::ZERO, span);
    t.differ("enabled", &rule.enabled, &true, bool::to_string);
    t.differ("missing", &rule.missing, &default.missing, |x| named(&Missing::ALL, x));
    if let Evidence::MOfN { m, n, require_latest } = rule.evidence {
        t.put("evidence", format!("{{ m = {m}, n = {n}, require_latest = {require_latest} }}"));
    }
    t
}

fn hpa(t: &mut Table, config: &hpa::Config) {
    let default = hpa::Config::default();
    t.put("kind", "\"hpa\"");
    t.put("name", text(&config.name));
    t.put("metrics", list(config.metrics.iter().map(spec)));
    if let Some(each) = &config.behavior {
        t.put("behavior", behavior(each));
    }
    t.differ("tolerance", &config.tolerance, &default.tolerance, number);
    t.differ("tolerance_test", &config.tolerance_test, &default.tolerance_test, |x| {
        named(&hpa::ToleranceTest::ALL, x)
    });
    for (key, value, default) in [
        ("cpu_initialization_period", config.cpu_initialization_period, default.cpu_initialization_period),
        ("initial_readiness_delay", config.initial_readiness_delay, default.initial_readiness_delay),
        ("downscale_stabilization", config.downscale_stabilization, default.downscale_stabilization),
    ] {
        t.differ(key, &value, &default, span);
    }
}

fn spec(spec: &MetricSpec) -> Table {
    let mut t = Table::default();
    match spec {
        MetricSpec::Resource { resource, target, container } => {
            t.put("type", if container.is_some() { "\"container_resource\"" } else { "\"resource\"" });
            if let Some(container) = container {
                t.put("container", text(container));
            }
            t.put("resource", if *resource == Resource::Cpu { "\"cpu\"" } else { "\"memory\"" });
            match target {
                ResourceTarget::Utilization(percent) => t.put("average_utilization", percent.to_string()),
                ResourceTarget::AverageValue(amount) => t.put("average_value", self::amount(*amount, *resource)),
            }
        }
        MetricSpec::Pods { metric, average_value } => {
            t.put("type", "\"pods\"");
            t.put("metric", text(metric.name()));
            t.put("average_value", level(*average_value, *metric));
        }
        MetricSpec::External { metric, aggregate, target } => {
            t.put("type", "\"external\"");
            t.put("metric", text(metric.name()));
            t.differ("aggregate", aggregate, &external_aggregate(*metric), |x| named(&Aggregate::ALL, x));
            let value = |x: f64| if *aggregate == Aggregate::Sum { number(&x) } else { level(x, *metric) };
            match target {
                MetricTarget::Value(x) => t.put("value", value(*x)),
                MetricTarget::AverageValue(x) => t.put("average_value", value(*x)),
            }
        }
    }
    t
}

/// Cores as a number, memory with a unit.
fn amount(amount: f64, resource: Resource) -> String {
    const UNITS: [(f64, &str); 4] = [(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1024.0, "KiB"), (1.0, "B")];
    if resource == Resource::Cpu {
        return number(&amount);
    }
    let (unit, name) = UNITS.iter().find(|(unit, _)| amount % unit == 0.0).unwrap_or(&UNITS[3]);
    format!("\"{}{name}\"", amount / unit)
}

/// What an external metric of a scenario combines instances by if nothing is said.
pub(super) fn external_aggregate(metric: Metric) -> Aggregate {
    if metric.is_per_instance() { Aggregate::Sum } else { Aggregate::Avg }
}

fn behavior(behavior: &Behavior) -> String {
    let default = Behavior::default();
    let mut t = Table::default();
    let direction = |rules: &ScalingRules, default: &ScalingRules| {
        let mut t = Table::default();
        if rules.stabilization_window != default.stabilization_window
            && let Some(window) = &rules.stabilization_window
        {
            t.put("stabilization_window", span(window));
        }
        t.differ("select_policy", &rules.select_policy, &default.select_policy, |x| named(&SelectPolicy::ALL, x));
        if rules.policies != default.policies {
            let policies = rules.policies.iter().map(|policy| {
                let kind = named(&ScalingPolicyType::ALL, &policy.kind);
                format!("{{ type = {kind}, value = {}, period = {} }}", policy.value, span(&policy.period))
            });
            t.put("policies", format!("[{}]", policies.collect::<Vec<_>>().join(", ")));
        }
        if let Some(tolerance) = rules.tolerance {
            t.put("tolerance", number(&tolerance));
        }
        t.inline()
    };
    t.differ("scale_up", &behavior.scale_up, &default.scale_up, |rules| direction(rules, &default.scale_up));
    t.differ("scale_down", &behavior.scale_down, &default.scale_down, |rules| direction(rules, &default.scale_down));
    t.inline()
}

fn keda(t: &mut Table, config: &keda::Config) {
    let default = keda::Config::new(Vec::new());
    t.put("kind", "\"keda\"");
    t.put("name", text(&config.name));
    t.differ("polling_interval", &config.polling_interval, &default.polling_interval, span);
    t.differ("cooldown_period", &config.cooldown_period, &default.cooldown_period, span);
    t.differ("initial_cooldown_period", &config.initial_cooldown_period, &default.initial_cooldown_period, span);
    if let Some(fallback) = &config.fallback {
        let behavior = named(&FallbackBehavior::ALL, &fallback.behavior);
        t.put(
            "fallback",
            format!(
                "{{ failure_threshold = {}, replicas = {}, behavior = {behavior} }}",
                fallback.failure_threshold, fallback.replicas
            ),
        );
    }
    if let Some(each) = &config.behavior {
        t.put("behavior", behavior(each));
    }
    let trigger = |trigger: &keda::Trigger| {
        let default = keda::Trigger::new(trigger.metric, trigger.threshold);
        let mut t = Table::default();
        t.put("metric", text(trigger.metric.name()));
        if trigger.metric_type == MetricType::Utilization {
            t.put("threshold", level(trigger.threshold, trigger.metric));
        } else if trigger.is_resource() {
            let resource = if trigger.metric == Metric::CpuUtilization { Resource::Cpu } else { Resource::Memory };
            t.put("metric_type", named(&MetricType::ALL, &trigger.metric_type));
            t.put("threshold", amount(trigger.threshold, resource));
        } else {
            t.differ("aggregate", &trigger.aggregate, &default.aggregate, |x| named(&Aggregate::ALL, x));
            t.differ("metric_type", &trigger.metric_type, &MetricType::AverageValue, |x| named(&MetricType::ALL, x));
            t.put("threshold", number(&trigger.threshold));
        }
        t.differ("activation_threshold", &trigger.activation_threshold, &0.0, number);
        t
    };
    t.put("triggers", list(config.triggers.iter().map(trigger)));
}

fn kpa(t: &mut Table, config: &kpa::Config) {
    let default = kpa::Config::default();
    t.put("kind", "\"kpa\"");
    t.put("name", text(&config.name));
    t.differ("metric", &config.metric, &default.metric, |x| named(&ScalingMetric::ALL, x));
    if let Some(target) = &config.target {
        t.put("target", number(target));
    }
    if let Some(concurrency) = config.container_concurrency {
        t.put("container_concurrency", concurrency.to_string());
    }
    t.differ("target_utilization", &config.target_utilization, &default.target_utilization, number);
    t.differ("target_burst_capacity", &config.target_burst_capacity, &default.target_burst_capacity, |x| {
        number(&x.unwrap_or(-1.0))
    });
    t.differ("stable_window", &config.stable_window, &default.stable_window, span);
    for (key, value, default) in [
        ("panic_window_percentage", config.panic_window_percentage, default.panic_window_percentage),
        ("panic_threshold_percentage", config.panic_threshold_percentage, default.panic_threshold_percentage),
        ("max_scale_up_rate", config.max_scale_up_rate, default.max_scale_up_rate),
        ("max_scale_down_rate", config.max_scale_down_rate, default.max_scale_down_rate),
    ] {
        t.differ(key, &value, &default, number);
    }
    t.differ("scale_down_delay", &config.scale_down_delay, &default.scale_down_delay, span);
    t.differ("activation_scale", &config.activation_scale, &default.activation_scale, u32::to_string);
    t.differ("enable_scale_to_zero", &config.enable_scale_to_zero, &true, bool::to_string);
    t.differ(
        "scale_to_zero_grace_period",
        &config.scale_to_zero_grace_period,
        &default.scale_to_zero_grace_period,
        span,
    );
    t.differ(
        "scale_to_zero_pod_retention_period",
        &config.scale_to_zero_pod_retention_period,
        &default.scale_to_zero_pod_retention_period,
        span,
    );
    t.differ("aggregation", &config.aggregation, &default.aggregation, |x| named(&Aggregation::ALL, x));
}

fn alarm(alarm: &alarm::Config) -> String {
    let default = alarm::Config::new(alarm.metric, alarm.operator, alarm.threshold);
    let mut t = Table::default();
    t.put("metric", text(alarm.metric.name()));
    t.differ("aggregate", &alarm.aggregate, &Aggregate::Avg, |x| named(&Aggregate::ALL, x));
    t.put("operator", named(&Operator::ALL, &alarm.operator));
    let is_total = alarm.aggregate == Aggregate::Sum;
    t.put("threshold", if is_total { number(&alarm.threshold) } else { level(alarm.threshold, alarm.metric) });
    t.differ("period", &alarm.period, &default.period, span);
    t.differ("evaluation_periods", &alarm.evaluation_periods, &default.evaluation_periods, u32::to_string);
    t.differ("datapoints_to_alarm", &alarm.datapoints_to_alarm, &alarm.evaluation_periods, u32::to_string);
    t.differ("treat_missing_data", &alarm.treat_missing_data, &TreatMissing::Missing, |x| {
        named(&TreatMissing::ALL, x)
    });
    t.inline()
}

fn step(t: &mut Table, config: &step::Config) {
    t.put("kind", "\"step\"");
    t.put("name", text(&config.name));
    t.put("alarm", alarm(&config.alarm));
    adjustment(t, config.adjustment_type, config.min_adjustment_magnitude);
    let step = |step: &step::StepAdjustment| {
        let mut t = Table::default();
        for (key, bound) in [("lower", step.lower), ("upper", step.upper)] {
            if let Some(bound) = bound {
                t.put(key, number(&bound));
            }
        }
        t.put("adjustment", step.adjustment.to_string());
        t
    };
    t.put("steps", list(config.steps.iter().map(step)));
    t.differ("estimated_instance_warmup", &config.estimated_instance_warmup, &Span::from_secs(300), span);
}

fn simple(t: &mut Table, config: &simple::Config) {
    t.put("kind", "\"simple\"");
    t.put("name", text(&config.name));
    t.put("alarm", alarm(&config.alarm));
    adjustment(t, config.adjustment_type, config.min_adjustment_magnitude);
    t.put("adjustment", config.adjustment.to_string());
    t.differ("cooldown", &config.cooldown, &Span::from_secs(300), span);
}

fn adjustment(t: &mut Table, kind: AdjustmentType, least: u32) {
    t.differ("adjustment_type", &kind, &AdjustmentType::default(), |x| named(&AdjustmentType::ALL, x));
    t.differ("min_adjustment_magnitude", &least, &1, u32::to_string);
}

fn tracking(t: &mut Table, config: &aws_target_tracking::Config) {
    let default = aws_target_tracking::Config::new(config.metric, config.target);
    t.put("kind", "\"aws_target_tracking\"");
    t.put("name", text(&config.name));
    t.put("metric", text(config.metric.name()));
    t.put("target", level(config.target, config.metric));
    t.differ("disable_scale_in", &config.disable_scale_in, &false, bool::to_string);
    t.differ("scale_out_cooldown", &config.scale_out_cooldown, &default.scale_out_cooldown, span);
    t.differ("scale_in_cooldown", &config.scale_in_cooldown, &default.scale_in_cooldown, span);
    if let Some(warmup) = &config.estimated_instance_warmup {
        t.put("estimated_instance_warmup", span(warmup));
    }
}

//! `kind = "hpa"`: a HorizontalPodAutoscaler, key by key as in its manifest.

use super::{name, span_within};
use crate::engine::autoscaler::hpa::{
    Behavior, Config, MetricSpec, MetricTarget, Resource, ResourceTarget, ScalingPolicy, ScalingPolicyType,
    ScalingRules, SelectPolicy, ToleranceTest,
};
use crate::engine::metrics::Aggregate;
use crate::scenario::reader::{Field, Section};
use crate::scenario::schema::autoscaler::{level, metric};
use crate::units::Span;

pub(super) fn hpa(s: &Section, names: &mut Vec<String>) -> Option<Config> {
    let default = Config::default();
    let config = Config {
        name: String::new(),
        metrics: s.or("metrics", default.metrics, metrics),
        behavior: s.optional("behavior", behavior),
        tolerance: s.or("tolerance", default.tolerance, Field::ratio),
        tolerance_test: s.or("tolerance_test", default.tolerance_test, |f| f.choice(&ToleranceTest::ALL)),
        cpu_initialization_period: s.or("cpu_initialization_period", default.cpu_initialization_period, Field::span),
        initial_readiness_delay: s.or("initial_readiness_delay", default.initial_readiness_delay, Field::span),
        downscale_stabilization: s.or("downscale_stabilization", default.downscale_stabilization, Field::span),
    };
    Some(Config { name: name(s, &default.name, names)?, ..config })
}

fn metrics(field: &Field) -> Option<Vec<MetricSpec>> {
    let elements = field.elements()?;
    if elements.is_empty() {
        return field.unfit("at least one metric");
    }
    let specs: Vec<Option<MetricSpec>> = elements.iter().map(|element| element.section(spec)).collect();
    specs.into_iter().collect()
}

#[derive(Clone, Copy)]
enum Type {
    Resource,
    ContainerResource,
    Pods,
    External,
}

fn spec(s: &Section) -> Option<MetricSpec> {
    let types = [
        ("resource", Type::Resource),
        ("container_resource", Type::ContainerResource),
        ("pods", Type::Pods),
        ("object", Type::External),
        ("external", Type::External),
    ];
    let Some(of_type) = s.required("type", "type = \"resource\"", |f| f.choice(&types)) else { return s.give_up() };
    if let Some(text) = s.field("type").and_then(|f| f.raw_text()) {
        s.is_of_kind(format!("type = {text:?}"));
    }
    match of_type {
        Type::Resource => resource(s, None),
        Type::ContainerResource => {
            let container = s.required("container", "container = \"app\"", |f| f.text());
            resource(s, Some(container?.to_string()))
        }
        Type::Pods => {
            let of_instances = s.required("metric", "metric = \"active_connections\"", |f| match metric(f)? {
                metric if metric.is_per_instance() => Some(metric),
                metric => f.contradiction(format!("no instance has a {metric} of its own: use type = \"external\"")),
            });
            let target = s.field("average_value");
            if target.is_none() {
                s.missing("average_value", "average_value = 10");
            }
            let average_value = target.zip(of_instances).and_then(|(f, metric)| above_zero(&f, level(&f, metric)?));
            Some(MetricSpec::Pods { metric: of_instances?, average_value: average_value? })
        }
        Type::External => external(s),
    }
}

fn resource(s: &Section, container: Option<String>) -> Option<MetricSpec> {
    let resources = [("cpu", Resource::Cpu), ("memory", Resource::Memory)];
    let resource = s.required("resource", "resource = \"cpu\"", |f| f.choice(&resources));
    let (share, amount_given) = (s.field("average_utilization"), s.field("average_value"));
    if let (Some(_), Some(amount)) = (&share, &amount_given) {
        return amount.contradiction("average_utilization and average_value exclude each other");
    }
    if share.is_none() && amount_given.is_none() {
        s.missing("average_utilization", "average_utilization = 60");
    }
    let resource = resource?;
    let target = match (share, amount_given) {
        (Some(share), _) => ResourceTarget::Utilization(share.count(1)?),
        (None, given) => ResourceTarget::AverageValue(amount(&given?, resource)?),
    };
    Some(MetricSpec::Resource { resource, target, container })
}

/// Cores, as a number or in thousandths ("500m"), or a size of memory.
pub(super) fn amount(field: &Field, resource: Resource) -> Option<f64> {
    let thousandths = || field.raw_text()?.trim().strip_suffix('m')?.parse::<f64>().ok();
    let amount = match resource {
        Resource::Memory => field.size()?,
        Resource::Cpu => match field.raw_number().or_else(|| Some(thousandths()? / 1000.0)) {
            Some(cores) => cores,
            None => return field.unfit("a number of cores above 0, such as 0.5 or \"500m\""),
        },
    };
    if amount > 0.0 && amount.is_finite() { Some(amount) } else { field.unfit("an amount above 0") }
}

fn external(s: &Section) -> Option<MetricSpec> {
    let metric = s.required("metric", "metric = \"requests_per_second\"", metric);
    let default = if metric.is_some_and(|metric| metric.is_per_instance()) { Aggregate::Sum } else { Aggregate::Avg };
    let aggregate = s.or("aggregate", default, |f| f.choice(&Aggregate::ALL));
    let (total, each) = (s.field("value"), s.field("average_value"));
    if let (Some(_), Some(each)) = (&total, &each) {
        return each.contradiction("value and average_value exclude each other");
    }
    if total.is_none() && each.is_none() {
        s.missing("average_value", "average_value = 100");
    }
    let metric = metric?;
    // A total is not in the unit's range: four instances at 60 % are 240 %.
    let target = |f: &Field| match aggregate {
        Aggregate::Sum => f.positive(),
        _ => above_zero(f, level(f, metric)?),
    };
    let target = match (total, each) {
        (Some(total), _) => MetricTarget::Value(target(&total)?),
        (None, each) => MetricTarget::AverageValue(target(&each?)?),
    };
    Some(MetricSpec::External { metric, aggregate, target })
}

fn above_zero(field: &Field, value: f64) -> Option<f64> {
    if value > 0.0 { Some(value) } else { field.unfit("a target above 0") }
}

/// `{ scale_up = {…}, scale_down = {…} }`; what is left out is as Kubernetes fills it in.
pub(super) fn behavior(field: &Field) -> Option<Behavior> {
    field.section(|s| {
        let default = Behavior::default();
        let up = s.or("scale_up", default.scale_up.clone(), |f| rules(f, &default.scale_up));
        let down = s.or("scale_down", default.scale_down.clone(), |f| rules(f, &default.scale_down));
        Some(Behavior { scale_up: up, scale_down: down })
    })
}

fn rules(field: &Field, default: &ScalingRules) -> Option<ScalingRules> {
    field.section(|s| {
        let window = s.or("stabilization_window", default.stabilization_window, |f| {
            span_within(f, Span::ZERO, Span::from_mins(60)).map(Some)
        });
        let policies = s.or("policies", default.policies.clone(), policies);
        Some(ScalingRules {
            stabilization_window: window,
            select_policy: s.or("select_policy", default.select_policy, |f| f.choice(&SelectPolicy::ALL)),
            policies,
            tolerance: s.optional("tolerance", Field::ratio),
        })
    })
}

fn policies(field: &Field) -> Option<Vec<ScalingPolicy>> {
    let elements = field.elements()?;
    if elements.is_empty() {
        return field.unfit("at least one policy, or select_policy = \"disabled\"");
    }
    let policy = |s: &Section| {
        let kind = s.required("type", "type = \"percent\"", |f| f.choice(&ScalingPolicyType::ALL));
        let value = s.required("value", "value = 100", |f| f.count(1));
        let within = |f: &Field| span_within(f, Span::from_secs(1), Span::from_mins(30));
        let period = s.required("period", "period = \"15s\"", within);
        Some(ScalingPolicy { kind: kind?, value: value?, period: period? })
    };
    let policies: Vec<Option<ScalingPolicy>> = elements.iter().map(|element| element.section(policy)).collect();
    policies.into_iter().collect()
}

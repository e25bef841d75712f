//! A HorizontalPodAutoscaler, `autoscaling/v2` (and the one number of `v1`).
//!
//! Utilizations are carried as they are: an instance of a scenario requests all of its CPU and memory. Amounts of them (`500m` of
//! a core) are of what it has, by `service.cores` and `fleet.memory.limit`. Metrics of pods and objects are known by name ([`names`]); which object, and by which labels, is not.

use serde_json::{Map, Value, json};

use super::names;
use super::reader::Field;
use super::section::external_aggregate;
use super::tree::Data;
use super::yaml;
use super::{Export, ExportError, Note, left_of, object_name};
use crate::engine::autoscaler::hpa::{
    self, Behavior, MetricSpec, MetricTarget, Resource, ResourceTarget, ScalingPolicy, ScalingPolicyType,
    ScalingRules, SelectPolicy, ToleranceTest,
};
use crate::engine::autoscaler::{Config, Policy};
use crate::engine::metrics::{Aggregate, Metric};
use crate::units::Span;

/// The label of a metric that says how values of instances become one, where that is not the usual way.
const AGGREGATE: &str = "wavetank/aggregate";

const SELECT: [(&str, SelectPolicy); 3] =
    [("Max", SelectPolicy::Max), ("Min", SelectPolicy::Min), ("Disabled", SelectPolicy::Disabled)];
const TYPES: [(&str, ScalingPolicyType); 2] =
    [("Pods", ScalingPolicyType::Pods), ("Percent", ScalingPolicyType::Percent)];

/// `metadata.name`, or what takes its place.
pub(super) fn name_of(root: &Field, or: &str) -> String {
    let name = root.get("metadata").and_then(|metadata| metadata.get("name"));
    name.and_then(|name| name.node.text().map(str::to_string)).unwrap_or_else(|| or.to_string())
}

pub(super) fn read(root: &Field) -> Option<(String, Config)> {
    let versions = [("autoscaling/v2", 2), ("autoscaling/v2beta2", 2), ("autoscaling/v1", 1)];
    let version = root.need("apiVersion", "autoscaling/v2")?.choice(&versions)?;
    root.leave_others(&["apiVersion", "kind", "metadata", "spec", "status"]);
    let spec = root.need("spec", "a map with maxReplicas")?;
    let spec = spec.map()?;
    let min = match spec.get("minReplicas") {
        Some(field) => field.count(0)?,
        None => 1,
    };
    let max = spec.need("maxReplicas", "10")?;
    let most = max.count(1)?;
    if most < min {
        return max.wrong(format!("{most} is less than minReplicas, which is {min}"));
    }
    let mut config = hpa::Config { name: name_of(root, "hpa"), ..hpa::Config::default() };
    if version == 1 {
        spec.leave_others(&["scaleTargetRef", "minReplicas", "maxReplicas", "targetCPUUtilizationPercentage"]);
        if let Some(target) = spec.get("targetCPUUtilizationPercentage") {
            let average_utilization = target.count(1)?;
            let target = ResourceTarget::Utilization(average_utilization);
            config.metrics = vec![MetricSpec::resource(Resource::Cpu, target)];
        }
    } else {
        spec.leave_others(&["scaleTargetRef", "minReplicas", "maxReplicas", "metrics", "behavior"]);
        if let Some(field) = spec.get("metrics") {
            let elements = field.list()?;
            config.metrics = elements.iter().filter_map(metric).collect();
            if config.metrics.is_empty() && !elements.is_empty() {
                return field.wrong("none of its metrics can be carried over".to_string());
            }
            if elements.is_empty() {
                config.metrics = hpa::Config::default().metrics;
            }
        }
        if let Some(field) = spec.get("behavior") {
            config.behavior = Some(behavior(&field)?);
        }
    }
    let what = format!("HorizontalPodAutoscaler {}", config.name);
    let policies = vec![Policy::Hpa(config)];
    // The original has no guards beside its windows.
    Some((what, Config { min, max: most, policies, scale_down_guards: false, ..Config::default() }))
}

/// A metric; `None` if it stays behind, or is wrong.
fn metric(field: &Field) -> Option<MetricSpec> {
    let key = match field.need("type", "Resource")?.choice(&[
        ("Resource", "resource"),
        ("ContainerResource", "containerResource"),
        ("Pods", "pods"),
        ("Object", "object"),
        ("External", "external"),
    ])? {
        "containerResource" => {
            let source = field.need("containerResource", "a map")?;
            let container = source.need("container", "app")?.text()?;
            return resource(&source, Some(container.to_string()));
        }
        "resource" => return resource(&field.need("resource", "{ name: cpu, target: … }")?, None),
        key => key,
    };
    let source = field.need(key, "a map with metric and target")?;
    source.leave_key("describedObject", "the metric is known by its name, whatever it describes");
    let identifier = source.need("metric", "{ name: requests_per_second }")?;
    let given = identifier.need("name", "requests_per_second")?;
    let Some(metric) = names::metric(given.text()?) else { return field.leave(&names::unknown(given.text()?)) };
    let mut aggregate = external_aggregate(metric);
    if let Some(labels) = identifier.get("selector").and_then(|selector| selector.get("matchLabels")) {
        for (key, label) in labels.entries() {
            match key {
                AGGREGATE => aggregate = label.choice(&Aggregate::ALL)?,
                _ => label.leave("a metric of a scenario has no labels: all of it counts").unwrap_or(()),
            }
        }
    }
    let (target, value) = target(&source)?;
    let value = match target {
        "Utilization" => return field.leave("a utilization of what is neither CPU nor memory has no meaning"),
        _ => value,
    };
    if key == "pods" && metric.is_per_instance() {
        return Some(MetricSpec::Pods { metric, average_value: value });
    }
    if key == "pods" {
        let _: Option<()> =
            source.leave("no instance has it for itself: the service's value over its instances counts");
    }
    let is_average = target == "AverageValue";
    let target = if is_average { MetricTarget::AverageValue(value) } else { MetricTarget::Value(value) };
    Some(MetricSpec::External { metric, aggregate, target })
}

fn resource(source: &Field, container: Option<String>) -> Option<MetricSpec> {
    let name = source.need("name", "cpu")?;
    let resource = match name.text()? {
        "cpu" => Resource::Cpu,
        "memory" => Resource::Memory,
        _ => return name.leave("an instance has CPU and memory only"),
    };
    let target = match target(source)? {
        ("Utilization", percent) => ResourceTarget::Utilization(percent as u32),
        ("AverageValue", amount) => ResourceTarget::AverageValue(amount),
        _ => {
            return source
                .need("target", "{ type: Utilization, averageUtilization: 60 }")?
                .unfit("Utilization or AverageValue");
        }
    };
    Some(MetricSpec::Resource { resource, target, container })
}

/// The type of a target and its value, above 0.
fn target(source: &Field) -> Option<(&'static str, f64)> {
    let target = source.need("target", "{ type: Utilization, averageUtilization: 60 }")?;
    let types = [("Utilization", "averageUtilization"), ("AverageValue", "averageValue"), ("Value", "value")];
    let kind = target.need("type", "Utilization")?;
    let key = kind.choice(&types)?;
    let field = target.need(key, "60")?;
    let value = if key == "averageUtilization" { f64::from(field.count(1)?) } else { quantity(&field)? };
    types.iter().find(|(_, other)| *other == key).map(|(name, _)| (*name, value))
}

/// A `Quantity` of Kubernetes above 0: `500m`, `1k`, `2Gi`, `1e3`.
pub(super) fn quantity(field: &Field) -> Option<f64> {
    let value = match &field.node.data {
        Data::Number(number) => Some(*number),
        Data::Text(text) => parse_quantity(text),
        _ => None,
    };
    match value {
        Some(value) if value > 0.0 && value.is_finite() => Some(value),
        _ => field.unfit("a quantity above 0, such as 100, 500m or 1k"),
    }
}

fn parse_quantity(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    if let Some((number, factor)) =
        SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)))
    {
        // Divided, a thousandth is as exact as a number can be.
        let number = is_plain(number).then(|| number.parse::<f64>().ok())??;
        return Some(if *factor < 1.0 { number / (1.0 / factor).round() } else { number * factor });
    }
    if is_plain(text) { text.parse().ok() } else { None }
}

/// `spec.behavior`, filled in as the API server does.
pub(super) fn behavior(field: &Field) -> Option<Behavior> {
    field.map()?.leave_others(&["scaleUp", "scaleDown"]);
    let default = Behavior::default();
    let direction = |key: &str, default: ScalingRules| match field.get(key) {
        Some(field) => rules(&field, default),
        None => Some(default),
    };
    let (up, down) = (direction("scaleUp", default.scale_up), direction("scaleDown", default.scale_down));
    Some(Behavior { scale_up: up?, scale_down: down? })
}

fn rules(field: &Field, default: ScalingRules) -> Option<ScalingRules> {
    field.map()?.leave_others(&["stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance"]);
    let mut rules = default;
    if let Some(window) = field.get("stabilizationWindowSeconds") {
        rules.stabilization_window = Some(window.seconds(0, 3600)?);
    }
    if let Some(select) = field.get("selectPolicy") {
        rules.select_policy = select.choice(&SELECT)?;
    }
    if let Some(policies) = field.get("policies") {
        let elements = policies.list()?;
        if elements.is_empty() {
            return policies.unfit("at least one policy");
        }
        let read: Vec<Option<ScalingPolicy>> = elements.iter().map(policy).collect();
        rules.policies = read.into_iter().collect::<Option<_>>()?;
    }
    if let Some(tolerance) = field.get("tolerance") {
        let value = match &tolerance.node.data {
            Data::Number(number) => Some(*number),
            Data::Text(text) => parse_quantity(text),
            _ => None,
        };
        match value {
            Some(value) if (0.0..=1.0).contains(&value) => rules.tolerance = Some(value),
            Some(value) if value > 1.0 => {
                let _: Option<()> =
                    tolerance.leave("a scenario has tolerances up to 1: that of the controller counts");
            }
            _ => return tolerance.unfit("a quantity of 0 or more, such as 0.05"),
        }
    }
    Some(rules)
}

fn policy(field: &Field) -> Option<ScalingPolicy> {
    let kind = field.need("type", "Percent")?.choice(&TYPES);
    let value = field.need("value", "100")?.count(1);
    let period = field.need("periodSeconds", "15")?.seconds(1, 1800);
    Some(ScalingPolicy { kind: kind?, value: value?, period: period? })
}

pub(super) fn write(config: &Config, name: &str) -> Result<Export, ExportError> {
    let found = config.policies.iter().enumerate().find_map(|(i, policy)| match policy {
        Policy::Hpa(hpa) => Some((i, hpa)),
        _ => None,
    });
    let expected = "policy of kind \"hpa\"";
    let (i, hpa) = found.ok_or(ExportError::Nothing { form: "a HorizontalPodAutoscaler", expected })?;
    let mut notes = left_of(config, "a HorizontalPodAutoscaler", &[i], &[]);
    let mut note = |key: &str, reason: String| {
        notes.push(Note { line: None, key: format!("autoscaler.policy.{}.{key}", hpa.name), reason });
    };
    if object_name(&hpa.name) != hpa.name {
        note("name", format!("written as {:?}, as objects are named", object_name(&hpa.name)));
    }
    let default = hpa::Config::default();
    let flag = |name: &str, value: String| {
        format!("not of the object but of its controller: --horizontal-pod-autoscaler-{name}={value}")
    };
    if hpa.tolerance != default.tolerance {
        note("tolerance", flag("tolerance", hpa.tolerance.to_string()));
    }
    if hpa.tolerance_test != ToleranceTest::default() {
        note("tolerance_test", "it is of the release of Kubernetes, not of the object".to_string());
    }
    for (key, option, value, default) in [
        (
            "cpu_initialization_period",
            "cpu-initialization-period",
            hpa.cpu_initialization_period,
            default.cpu_initialization_period,
        ),
        (
            "initial_readiness_delay",
            "initial-readiness-delay",
            hpa.initial_readiness_delay,
            default.initial_readiness_delay,
        ),
        (
            "downscale_stabilization",
            "downscale-stabilization",
            hpa.downscale_stabilization,
            default.downscale_stabilization,
        ),
    ] {
        if value != default {
            note(key, flag(option, value.to_string()));
        }
    }
    let mut spec = Map::new();
    spec.insert(
        "scaleTargetRef".into(),
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": object_name(name) }),
    );
    spec.insert("minReplicas".into(), config.min.into());
    spec.insert("maxReplicas".into(), config.max.into());
    let metrics: Vec<Value> = hpa.metrics.iter().map(metric_value).collect();
    spec.insert("metrics".into(), metrics.into());
    if let Some(behavior) = &hpa.behavior {
        let value = behavior_value(behavior, &mut |key, reason| note(key, reason));
        spec.insert("behavior".into(), value);
    }
    let document = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": object_name(&hpa.name) },
        "spec": spec,
    });
    Ok(Export { text: yaml::document(&document), notes })
}

fn metric_value(spec: &MetricSpec) -> Value {
    match *spec {
        MetricSpec::Resource { resource, target, ref container } => {
            let name = if resource == Resource::Cpu { "cpu" } else { "memory" };
            let target = match target {
                ResourceTarget::Utilization(x) => json!({ "type": "Utilization", "averageUtilization": x }),
                ResourceTarget::AverageValue(x) => json!({ "type": "AverageValue", "averageValue": x.to_string() }),
            };
            match container {
                Some(container) => json!({
                    "type": "ContainerResource",
                    "containerResource": { "name": name, "container": container, "target": target },
                }),
                None => json!({ "type": "Resource", "resource": { "name": name, "target": target } }),
            }
        }
        MetricSpec::Pods { metric, average_value } => json!({
            "type": "Pods",
            "pods": {
                "metric": { "name": metric.name() },
                "target": { "type": "AverageValue", "averageValue": average_value.to_string() },
            },
        }),
        MetricSpec::External { metric, aggregate, target } => json!({
            "type": "External",
            "external": {
                "metric": identifier(metric, aggregate),
                "target": match target {
                    MetricTarget::AverageValue(x) => json!({ "type": "AverageValue", "averageValue": x.to_string() }),
                    MetricTarget::Value(x) => json!({ "type": "Value", "value": x.to_string() }),
                },
            },
        }),
    }
}

fn identifier(metric: Metric, aggregate: Aggregate) -> Value {
    let mut value = json!({ "name": metric.name() });
    if aggregate != external_aggregate(metric) {
        let name = Aggregate::ALL.iter().find(|(_, each)| *each == aggregate).map_or("", |(name, _)| name);
        value["selector"] = json!({ "matchLabels": { AGGREGATE: name } });
    }
    value
}

/// `spec.behavior`; fractions of a second are told to `note`.
pub(super) fn behavior_value(behavior: &Behavior, note: &mut dyn FnMut(&str, String)) -> Value {
    let direction = |key: &str, rules: &ScalingRules, note: &mut dyn FnMut(&str, String)| {
        let mut value = Map::new();
        if let Some(window) = rules.stabilization_window {
            let seconds = seconds(window, &format!("behavior.{key}.stabilization_window"), note);
            value.insert("stabilizationWindowSeconds".into(), seconds.into());
        }
        let select = SELECT.iter().find(|(_, each)| *each == rules.select_policy).map_or("", |(name, _)| name);
        value.insert("selectPolicy".into(), select.into());
        let policies = rules.policies.iter().map(|policy| {
            let kind = TYPES.iter().find(|(_, each)| *each == policy.kind).map_or("", |(name, _)| name);
            let period = seconds(policy.period, &format!("behavior.{key}.policies.period"), note);
            json!({ "type": kind, "value": policy.value, "periodSeconds": period })
        });
        let policies: Vec<Value> = policies.collect();
        if !policies.is_empty() {
            value.insert("policies".into(), policies.into());
        }
        if let Some(tolerance) = rules.tolerance {
            value.insert("tolerance".into(), tolerance.to_string().into());
        }
        Value::Object(value)
    };
    json!({
        "scaleUp": direction("scale_up", &behavior.scale_up, note),
        "scaleDown": direction("scale_down", &behavior.scale_down, note),
    })
}

/// Whole seconds, rounded up; that it was rounded is told to `note`.
pub(super) fn seconds(span: Span, key: &str, note: &mut dyn FnMut(&str, String)) -> u64 {
    let seconds = span.0.div_ceil(1_000_000_000);
    if !span.0.is_multiple_of(1_000_000_000) {
        note(key, format!("{span} is written as {seconds} s: there are only whole seconds"));
    }
    seconds
}

//! Knative: the annotations of a Service, a Configuration or a Revision, and the `config-autoscaler` map.
//!
//! Annotations are of the revision, the map is of the cluster: where both say something, the annotation counts. A file may hold
//! one or the other, or both as two documents.

use serde_json::{Map, Value, json};

use super::hpa::name_of;
use super::nomad::go;
use super::reader::Field;
use super::yaml;
use super::{Export, ExportError, Note, left_of, object_name};
use crate::engine::autoscaler::kpa::{Aggregation, Config as Kpa, ScalingMetric, TICK};
use crate::engine::autoscaler::{Config, Policy};
use crate::units::Span;

const PREFIX: &str = "autoscaling.knative.dev/";
const AGGREGATIONS: [(&str, Aggregation); 2] =
    [("linear", Aggregation::Linear), ("weighted-exponential", Aggregation::WeightedExponential)];
const METRICS: [(&str, ScalingMetric); 2] =
    [("concurrency", ScalingMetric::Concurrency), ("rps", ScalingMetric::Rps)];

/// What is gathered on the way.
struct Read {
    kpa: Kpa,
    min: Option<u32>,
    max: Option<u32>,
    /// `container-concurrency-target-default` and its like: in force if no annotation says otherwise.
    default_targets: [Option<f64>; 2],
    /// Whether `config-autoscaler` allows zero, of which `min-scale` makes no exception.
    to_zero: bool,
}

/// Whether a document is part of it.
pub(super) fn is_one(root: &Field) -> bool {
    is_map(root) || (root.get("apiVersion").is_some_and(|f| is_serving(&f)) && template(root).is_some())
}

fn is_map(root: &Field) -> bool {
    let kind = root.get("kind").is_some_and(|kind| kind.node.text() == Some("ConfigMap"));
    kind && root.get("data").is_some() && name_of(root, "") == "config-autoscaler"
}

fn is_serving(version: &Field) -> bool {
    version.node.text().is_some_and(|text| text.starts_with("serving.knative.dev/"))
}

/// What has the annotations and the `spec` of a revision.
fn template<'a>(root: &Field<'a>) -> Option<Field<'a>> {
    match root.get("kind")?.node.text()? {
        "Service" | "Configuration" => root.get("spec")?.get("template"),
        "Revision" => Some(root.clone()),
        _ => None,
    }
}

/// Reads every part; the map first, whatever their order.
pub(super) fn read(parts: &[Field]) -> Option<(String, Config)> {
    let mut read = Read { kpa: Kpa::default(), min: None, max: None, default_targets: [None, None], to_zero: true };
    for map in parts.iter().filter(|part| is_map(part)) {
        for (key, value) in map.get("data")?.entries() {
            of_cluster(&mut read, key, &value)?;
        }
    }
    let mut what = "config-autoscaler".to_string();
    for part in parts.iter().filter(|part| !is_map(part)) {
        read.kpa.name = name_of(part, "kpa");
        what = format!("Knative {} {}", part.get("kind")?.node.text()?, read.kpa.name);
        let template = template(part)?;
        if let Some(concurrency) = template.get("spec").and_then(|spec| spec.get("containerConcurrency"))
            && let limit @ 1.. = concurrency.count(0)?
        {
            read.kpa.container_concurrency = Some(limit);
        }
        let annotations = template.get("metadata").and_then(|metadata| metadata.get("annotations"));
        for (key, value) in annotations.iter().flat_map(Field::entries) {
            if let Some(key) = key.strip_prefix(PREFIX) {
                of_revision(&mut read, key, &value)?;
            }
        }
    }
    if read.kpa.target.is_none() && read.kpa.container_concurrency.is_none() {
        read.kpa.target = read.default_targets[usize::from(read.kpa.metric == ScalingMetric::Rps)];
    }
    read.kpa.enable_scale_to_zero = read.to_zero;
    let min = read.min.unwrap_or(0);
    // No maximum is none; the simulator wants a number.
    let max = read.max.filter(|&max| max > 0).unwrap_or(1000).max(min);
    let policies = vec![Policy::Kpa(read.kpa)];
    Some((what, Config { min, max, policies, interval: TICK, scale_down_guards: false, ..Config::default() }))
}

/// An annotation.
fn of_revision(read: &mut Read, key: &str, value: &Field) -> Option<()> {
    let kpa = &mut read.kpa;
    match key {
        "class" => match value.text()? {
            "kpa.autoscaling.knative.dev" => {}
            other => {
                return value
                    .wrong(format!("found {other:?}, expected kpa.autoscaling.knative.dev: import the HPA itself"));
            }
        },
        "metric" => kpa.metric = value.choice(&METRICS)?,
        "target" => kpa.target = Some(value.number("a target of at least 0.01", |x| x >= 0.01)?),
        "min-scale" | "minScale" => read.min = Some(value.count(0)?),
        "max-scale" | "maxScale" => {
            let max = value.count(0)?;
            if max == 0 {
                let _: Option<()> = value.leave("no limit: 1000 instances stand for that");
            }
            read.max = Some(max);
        }
        "initial-scale" | "initialScale" => value.leave("how many there are at first is fleet.initial").unwrap_or(()),
        "target-utilization-percentage" => kpa.target_utilization = percentage(value)?,
        "target-burst-capacity" => kpa.target_burst_capacity = burst(value)?,
        "window" => kpa.stable_window = window(value)?,
        "panic-window-percentage" => kpa.panic_window_percentage = within(value, 1.0, 100.0)?,
        "panic-threshold-percentage" => kpa.panic_threshold_percentage = within(value, 110.0, 1000.0)?,
        "scale-down-delay" => kpa.scale_down_delay = span(value, Span::from_mins(60))?,
        "activation-scale" => kpa.activation_scale = value.count(1)?,
        "scale-to-zero-pod-retention-period" => {
            kpa.scale_to_zero_pod_retention_period = span(value, Span::from_mins(60))?;
        }
        "metric-aggregation-algorithm" => kpa.aggregation = value.choice(&AGGREGATIONS)?,
        _ => value.leave("nothing in a scenario answers to it").unwrap_or(()),
    }
    Some(())
}

/// A key of `config-autoscaler`.
fn of_cluster(read: &mut Read, key: &str, value: &Field) -> Option<()> {
    let kpa = &mut read.kpa;
    let target = |value: &Field| value.number("a target of at least 0.01", |x| x >= 0.01);
    match key {
        "container-concurrency-target-percentage" => kpa.target_utilization = percentage(value)?,
        "container-concurrency-target-default" => read.default_targets[0] = Some(target(value)?),
        "requests-per-second-target-default" => read.default_targets[1] = Some(target(value)?),
        "target-burst-capacity" => kpa.target_burst_capacity = burst(value)?,
        "stable-window" => kpa.stable_window = window(value)?,
        "panic-window-percentage" => kpa.panic_window_percentage = within(value, 1.0, 100.0)?,
        "panic-threshold-percentage" => kpa.panic_threshold_percentage = within(value, 110.0, 1000.0)?,
        "max-scale-up-rate" => kpa.max_scale_up_rate = value.number("a factor above 1", |x| x > 1.0)?,
        "max-scale-down-rate" => kpa.max_scale_down_rate = value.number("a factor above 1", |x| x > 1.0)?,
        "scale-down-delay" => kpa.scale_down_delay = span(value, Span::from_mins(60))?,
        "activation-scale" => kpa.activation_scale = value.count(1)?,
        "enable-scale-to-zero" => read.to_zero = value.boolean()?,
        "scale-to-zero-grace-period" => kpa.scale_to_zero_grace_period = span(value, Span::from_mins(24 * 60))?,
        "scale-to-zero-pod-retention-period" => {
            kpa.scale_to_zero_pod_retention_period = span(value, Span::from_mins(60))?;
        }
        "min-scale" => read.min = Some(value.count(0)?),
        "max-scale" => read.max = Some(value.count(0)?),
        // The example that ships with the map holds every key in one text.
        "_example" => {}
        _ => value.leave("nothing in a scenario answers to it").unwrap_or(()),
    }
    Some(())
}

fn within(value: &Field, least: f64, most: f64) -> Option<f64> {
    value.number(&format!("a percentage from {least} to {most}"), |x| (least..=most).contains(&x))
}

/// A percentage from 1 to 100 as a ratio; in the map a ratio up to 1 will do as well.
fn percentage(value: &Field) -> Option<f64> {
    let percent = value.number("a percentage from 1 to 100", |x| x > 0.0 && x <= 100.0)?;
    if percent <= 1.0 && value.path.starts_with("data") {
        return Some(percent);
    }
    // Without the noise of binary fractions.
    format!("{:.12}", percent / 100.0).parse().ok()
}

/// A capacity; −1, which is `None`, is all of it.
fn burst(value: &Field) -> Option<Option<f64>> {
    let capacity = value.number("a capacity of 0 or more, or -1", |x| x >= 0.0 || x == -1.0)?;
    Some((capacity >= 0.0).then_some(capacity))
}

/// A duration as Go writes it: `60s`, `1m30s`, `1.5h`; 0 needs no unit.
fn span(value: &Field, most: Span) -> Option<Span> {
    match value
        .node
        .text()
        .map_or(value.raw_number().filter(|&x| x == 0.0).map(|_| Span::ZERO), |text| text.parse().ok())
    {
        Some(span) if span <= most => Some(span),
        _ => value.unfit(&format!("a duration such as 60s, {most} at most")),
    }
}

fn window(value: &Field) -> Option<Span> {
    let window = span(value, Span::from_mins(60))?;
    if window >= Span::from_secs(6) && window.0 % 1_000_000_000 == 0 {
        Some(window)
    } else {
        value.unfit("whole seconds, at least 6s")
    }
}

pub(super) fn write(config: &Config, name: &str) -> Result<Export, ExportError> {
    let found = config.policies.iter().enumerate().find_map(|(i, policy)| match policy {
        Policy::Kpa(kpa) => Some((i, kpa)),
        _ => None,
    });
    let (i, kpa) =
        found.ok_or(ExportError::Nothing { form: "annotations of Knative", expected: "policy of kind \"kpa\"" })?;
    let mut notes = left_of(config, "an annotation of Knative", &[i], &[]);
    if object_name(&kpa.name) != kpa.name {
        let reason = format!("written as {:?}, as objects are named", object_name(&kpa.name));
        notes.push(Note { line: None, key: format!("autoscaler.policy.{}.name", kpa.name), reason });
    }
    let default = Kpa::default();
    let mut annotations = Map::new();
    let mut annotate = |key: &str, value: String| annotations.insert(format!("{PREFIX}{key}"), value.into());
    annotate("class", "kpa.autoscaling.knative.dev".into());
    annotate("metric", METRICS.iter().find(|(_, each)| *each == kpa.metric).map_or("", |(name, _)| name).into());
    annotate("min-scale", config.min.to_string());
    annotate("max-scale", config.max.to_string());
    if let Some(target) = kpa.target {
        annotate("target", target.to_string());
    }
    annotate("target-utilization-percentage", percent(kpa.target_utilization));
    annotate("target-burst-capacity", kpa.target_burst_capacity.unwrap_or(-1.0).to_string());
    annotate("window", go(kpa.stable_window));
    annotate("panic-window-percentage", kpa.panic_window_percentage.to_string());
    annotate("panic-threshold-percentage", kpa.panic_threshold_percentage.to_string());
    annotate("scale-down-delay", go(kpa.scale_down_delay));
    annotate("activation-scale", kpa.activation_scale.to_string());
    annotate("scale-to-zero-pod-retention-period", go(kpa.scale_to_zero_pod_retention_period));
    let aggregation = AGGREGATIONS.iter().find(|(_, each)| *each == kpa.aggregation).map_or("", |(name, _)| name);
    annotate("metric-aggregation-algorithm", aggregation.into());
    let mut revision = json!({ "containers": [{ "image": object_name(name) }] });
    if let Some(limit) = kpa.container_concurrency {
        revision["containerConcurrency"] = limit.into();
    }
    let service = json!({
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": { "name": object_name(&kpa.name) },
        "spec": { "template": { "metadata": { "annotations": annotations }, "spec": revision } },
    });
    let mut text = yaml::document(&service);
    // What only the cluster can say.
    let mut data = Map::new();
    let mut global = |key: &str, differs: bool, value: String| {
        if differs {
            data.insert(key.into(), Value::from(value));
        }
    };
    let (up, down) = (kpa.max_scale_up_rate, kpa.max_scale_down_rate);
    global("max-scale-up-rate", up != default.max_scale_up_rate, up.to_string());
    global("max-scale-down-rate", down != default.max_scale_down_rate, down.to_string());
    global("enable-scale-to-zero", !kpa.enable_scale_to_zero, kpa.enable_scale_to_zero.to_string());
    let grace = kpa.scale_to_zero_grace_period;
    global("scale-to-zero-grace-period", grace != default.scale_to_zero_grace_period, go(grace));
    if !data.is_empty() {
        let map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": "config-autoscaler", "namespace": "knative-serving" },
            "data": data,
        });
        text = format!("{text}---\n{}", yaml::document(&map));
        let keys = data.keys().cloned().collect::<Vec<_>>().join(", ");
        let reason = format!("{keys}: of the whole cluster, in config-autoscaler, and not of the service alone");
        notes.push(Note { line: None, key: format!("autoscaler.policy.{}", kpa.name), reason });
    }
    Ok(Export { text, notes })
}

fn percent(ratio: f64) -> String {
    let text = format!("{:.10}", ratio * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

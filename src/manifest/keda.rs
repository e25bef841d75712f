//! A ScaledObject of KEDA, `keda.sh/v1alpha1`.
//!
//! The `cpu` and `memory` triggers are utilizations, or amounts of what an instance has. Any other trigger is a query that a simulation cannot ask: it stands for the
//! metric of a scenario that it is named after, by `metadata.metricName`, by `name`, or by a query that is no more than the name;
//! a message queue, for the `queue_length`. A `cron` trigger is a schedule beside the others.

use serde_json::{Map, Value, json};

use super::hpa::{behavior, behavior_value, name_of, quantity, seconds};
use super::names;
use super::reader::Field;
use super::schedule::{self, Slot};
use super::yaml;
use super::{Export, ExportError, Note, left_of, object_name};
use crate::engine::autoscaler::keda::{Config as Keda, Fallback, FallbackBehavior, MetricType, Trigger};
use crate::engine::autoscaler::schedule::{Config as Schedule, End};
use crate::engine::autoscaler::{Config, Policy};
use crate::engine::metrics::{Aggregate, Metric};

/// The keys in `metadata` that hold the threshold of some scaler, `threshold` first.
const THRESHOLDS: [&str; 7] =
    ["threshold", "value", "lagThreshold", "queueLength", "targetValue", "desiredReplicas", "listLength"];
const ACTIVATIONS: [&str; 7] = [
    "activationThreshold",
    "activationValue",
    "activationLagThreshold",
    "activationQueueLength",
    "activationTargetValue",
    "activationDesiredReplicas",
    "activationListLength",
];
/// Scalers of queues: what they count is what waits.
const QUEUES: [&str; 8] = [
    "rabbitmq",
    "aws-sqs-queue",
    "azure-queue",
    "azure-servicebus",
    "redis",
    "activemq",
    "nats-jetstream",
    "beanstalkd",
];
const TYPES: [(&str, MetricType); 3] = [
    ("AverageValue", MetricType::AverageValue),
    ("Value", MetricType::Value),
    ("Utilization", MetricType::Utilization),
];
const BEHAVIORS: [(&str, FallbackBehavior); 4] = [
    ("static", FallbackBehavior::Static),
    ("currentReplicas", FallbackBehavior::CurrentReplicas),
    ("currentReplicasIfHigher", FallbackBehavior::CurrentReplicasIfHigher),
    ("currentReplicasIfLower", FallbackBehavior::CurrentReplicasIfLower),
];
const DAY: u32 = 86_400;
const YEARS: u32 = 10 * 365 * DAY;

pub(super) fn read(root: &Field) -> Option<(String, Config)> {
    root.need("apiVersion", "keda.sh/v1alpha1")?.choice(&[("keda.sh/v1alpha1", ())])?;
    root.leave_others(&["apiVersion", "kind", "metadata", "spec", "status"]);
    let spec = root.need("spec", "a map with triggers")?;
    let spec = spec.map()?;
    spec.leave_others(&[
        "scaleTargetRef",
        "pollingInterval",
        "cooldownPeriod",
        "initialCooldownPeriod",
        "idleReplicaCount",
        "minReplicaCount",
        "maxReplicaCount",
        "fallback",
        "advanced",
        "triggers",
    ]);
    let min = spec.get("minReplicaCount").map_or(Some(0), |f| f.count(0))?;
    let max = spec.get("maxReplicaCount").map_or(Some(100), |f| f.count(1))?;
    if let Some(field) = spec.get("maxReplicaCount").or(spec.get("minReplicaCount"))
        && max < min
    {
        return field.wrong(format!("maxReplicaCount, which is {max}, is less than minReplicaCount, which is {min}"));
    }
    spec.leave_key("idleReplicaCount", "between none and the minimum there is no third size: minReplicaCount counts");
    let triggers = spec.need("triggers", "a list of triggers")?;
    let elements = triggers.list()?;
    let (crons, others): (Vec<&Field>, Vec<&Field>) =
        elements.iter().partition(|f| f.get("type").is_some_and(|kind| kind.node.text() == Some("cron")));
    let slots: Vec<Slot> = crons.into_iter().filter_map(slot).collect();
    let read: Vec<Trigger> = others.into_iter().filter_map(trigger).collect();
    if read.is_empty() && slots.is_empty() {
        return triggers.wrong("none of its triggers can be carried over".to_string());
    }
    let is_reactive = !read.is_empty();
    let mut keda = Keda::new(read);
    keda.name = name_of(root, "keda");
    if let Some(field) = spec.get("pollingInterval") {
        keda.polling_interval = field.seconds(1, DAY)?;
    }
    if let Some(field) = spec.get("cooldownPeriod") {
        keda.cooldown_period = field.seconds(0, YEARS)?;
    }
    if let Some(field) = spec.get("initialCooldownPeriod") {
        keda.initial_cooldown_period = field.seconds(0, YEARS)?;
    }
    if let Some(field) = spec.get("fallback") {
        keda.fallback = Some(fallback(&field)?);
    }
    if let Some(advanced) = spec.get("advanced") {
        advanced.map()?.leave_others(&["horizontalPodAutoscalerConfig", "restoreToOriginalReplicaCount"]);
        if let Some(config) = advanced.get("horizontalPodAutoscalerConfig") {
            config.map()?.leave_others(&["behavior", "name"]);
            if let Some(field) = config.get("behavior") {
                keda.behavior = Some(behavior(&field)?);
            }
        }
    }
    let what = format!("ScaledObject {}", keda.name);
    let mut policies = if is_reactive { vec![Policy::Keda(keda)] } else { Vec::new() };
    policies.extend(schedule::policies(slots).into_iter().map(Policy::Schedule));
    // The original has no guards beside its windows.
    Some((what, Config { min, max, policies, scale_down_guards: false, ..Config::default() }))
}

/// A `cron` trigger; `None` if it is wrong.
fn slot(field: &Field) -> Option<Slot> {
    field.leave_key("metricType", "a schedule wants its instances, whatever there are");
    let metadata = field.need("metadata", "a map")?;
    metadata.map()?.leave_others(&["timezone", "start", "end", "desiredReplicas"]);
    let timezone = schedule::zone(&metadata.need("timezone", "Europe/Berlin")?);
    let start = schedule::cron(&metadata.need("start", "0 8 * * *")?);
    let end = schedule::cron(&metadata.need("end", "0 20 * * *")?);
    let instances = metadata.need("desiredReplicas", "\"10\"")?.count(0)?;
    let _: Option<()> =
        field.leave("when it ends its instances go at once: the stabilization of the HPA does not hold them back");
    Some(Slot { timezone: timezone?, start: start?, end: End::At(end?), instances: Some(instances), max: None })
}

fn fallback(field: &Field) -> Option<Fallback> {
    field.map()?.leave_others(&["failureThreshold", "replicas", "behavior"]);
    let failure_threshold = field.need("failureThreshold", "3")?.count(0);
    let replicas = field.need("replicas", "6")?.count(0);
    let behavior = field.get("behavior").map_or(Some(FallbackBehavior::default()), |f| f.choice(&BEHAVIORS));
    Some(Fallback { failure_threshold: failure_threshold?, replicas: replicas?, behavior: behavior? })
}

/// A trigger; `None` if it stays behind, or is wrong.
fn trigger(field: &Field) -> Option<Trigger> {
    field.map()?.leave_others(&["type", "name", "metadata", "metricType", "authenticationRef", "useCachedMetrics"]);
    let kind = field.need("type", "cpu")?.text()?;
    let metadata = field.need("metadata", "a map")?;
    let given = field.get("metricType").map(|f| f.choice(&TYPES).map(|kind| (f, kind)));
    if let "cpu" | "memory" = kind {
        return resource(kind, &metadata, given);
    }
    if kind == "kubernetes-workload" {
        return field.leave("it counts something outside of the service, which no metric of a scenario does");
    }
    let keys = [metadata.get("metricName"), field.get("name"), metadata.get("query")];
    let by_name = |f: &&Field| f.node.text().is_some_and(|text| names::metric(text).is_some());
    let given_names: Vec<Field> = keys.into_iter().flatten().collect();
    let name = given_names.iter().find(by_name).or(given_names.first()).cloned();
    let named = name.as_ref().and_then(|name| names::metric(name.node.text()?));
    let metric = match named.or(QUEUES.contains(&kind).then_some(Metric::QueueLength)) {
        Some(metric) => metric,
        None => {
            let name = name.and_then(|name| name.node.text()).unwrap_or(kind);
            let reason = names::unknown(name);
            return field.leave(&format!("{reason}; give the trigger one of these names"));
        }
    };
    let threshold = THRESHOLDS.iter().find_map(|key| metadata.get(key));
    let threshold = threshold.or_else(|| metadata.need("threshold", "\"100\""))?;
    let mut trigger = Trigger::new(metric, threshold.number("a number above 0", |x| x > 0.0)?);
    if let Some(activation) = ACTIVATIONS.iter().find_map(|key| metadata.get(key)) {
        trigger.activation_threshold = activation.number("a number, 0 or more", |x| x >= 0.0)?;
    }
    if let Some(given) = given {
        let (kind, metric_type) = given?;
        if metric_type == MetricType::Utilization {
            return kind.unfit("AverageValue or Value: Utilization is for the cpu and memory triggers");
        }
        trigger.metric_type = metric_type;
    }
    if matches!(metric, Metric::CpuUtilization | Metric::MemoryUtilization) {
        return field.leave("a utilization is scaled on by the cpu and memory triggers");
    }
    if let Some(aggregate) = metadata.get("wavetankAggregate") {
        trigger.aggregate = aggregate.choice(&Aggregate::ALL)?;
    }
    for (key, value) in metadata.entries() {
        let known = THRESHOLDS.iter().chain(&ACTIVATIONS).any(|known| *known == key);
        if !known && !["metricName", "wavetankAggregate", "query", "serverAddress"].contains(&key) {
            let _: Option<()> = value.leave("it says where the trigger asks, which a simulation does not");
        }
    }
    Some(trigger)
}

/// A `cpu` or `memory` trigger.
fn resource(kind: &str, metadata: &Field, given: Option<Option<(Field, MetricType)>>) -> Option<Trigger> {
    let metric = if kind == "cpu" { Metric::CpuUtilization } else { Metric::MemoryUtilization };
    // Before there was a metricType, it was `metadata.type`.
    let metric_type = match given {
        Some(given) => given?.1,
        None => metadata.get("type").map_or(Some(MetricType::Utilization), |f| f.choice(&TYPES))?,
    };
    metadata.leave_others(&["type", "value", "activationValue", "containerName"]);
    metadata.leave_key("containerName", "an instance has one container, which uses all of its CPU and memory");
    metadata.leave_key("activationValue", "the original ignores it as well, if this is the only trigger");
    let whole = |x: f64| x == x.trunc() && (1.0..=100.0).contains(&x);
    let value = metadata.need("value", "\"60\"")?;
    let threshold = match metric_type {
        MetricType::Utilization => value.number("a whole percentage from 1 to 100", whole)?,
        MetricType::AverageValue => quantity(&value)?,
        MetricType::Value => {
            return value.unfit("metricType Utilization or AverageValue: CPU and memory have no other");
        }
    };
    let mut trigger = Trigger::new(metric, threshold);
    trigger.metric_type = metric_type;
    trigger.aggregate = Aggregate::Avg;
    Some(trigger)
}

/// The cron triggers of schedules; what they cannot say goes to `notes`.
fn crons(schedules: &[(usize, &Schedule)], notes: &mut Vec<Note>) -> Vec<Value> {
    let mut triggers = Vec::new();
    for (_, each) in schedules {
        let mut note = |key: String, reason: &str| {
            let key = format!("autoscaler.policy.{}.entries.{key}", each.name);
            notes.push(Note { line: None, key, reason: reason.to_string() });
        };
        for (i, entry) in each.entries.iter().enumerate() {
            if entry.max.is_some() {
                note(format!("{i}.max"), "a trigger only asks for more");
            }
            let Some(instances) = entry.instances else { continue };
            let Some(end) = schedule::end(entry) else {
                note(format!("{i}.for"), "a cron trigger ends at moments of an expression: give `end`");
                continue;
            };
            let metadata = json!({
                "timezone": schedule::zone_name(&each.timezone),
                "start": entry.start.to_string(),
                "end": end.to_string(),
                "desiredReplicas": instances.to_string(),
            });
            triggers.push(json!({ "type": "cron", "metadata": metadata }));
        }
    }
    triggers
}

pub(super) fn write(config: &Config, name: &str) -> Result<Export, ExportError> {
    let found = config.policies.iter().enumerate().find_map(|(i, policy)| match policy {
        Policy::Keda(keda) => Some((i, keda)),
        _ => None,
    });
    let schedules = schedule::of(config);
    let only_scheduled = Keda { name: name.to_string(), ..Keda::new(Vec::new()) };
    let keda = match found {
        Some((_, keda)) => keda,
        None if !schedules.is_empty() => &only_scheduled,
        None => {
            let expected = "policy of kind \"keda\" or \"schedule\"";
            return Err(ExportError::Nothing { form: "a ScaledObject", expected });
        }
    };
    let held: Vec<usize> = found.iter().map(|(i, _)| *i).chain(schedules.iter().map(|(i, _)| *i)).collect();
    let mut notes = left_of(config, "a ScaledObject", &held, &[]);
    let crons = crons(&schedules, &mut notes);
    let mut note = |key: &str, reason: String| {
        notes.push(Note { line: None, key: format!("autoscaler.policy.{}.{key}", keda.name), reason });
    };
    if object_name(&keda.name) != keda.name {
        note("name", format!("written as {:?}, as objects are named", object_name(&keda.name)));
    }
    let mut spec = Map::new();
    spec.insert("scaleTargetRef".into(), json!({ "name": object_name(name) }));
    for (key, span) in [
        ("pollingInterval", keda.polling_interval),
        ("cooldownPeriod", keda.cooldown_period),
        ("initialCooldownPeriod", keda.initial_cooldown_period),
    ] {
        spec.insert(key.into(), seconds(span, &names::snake(key), &mut note).into());
    }
    spec.insert("minReplicaCount".into(), config.min.into());
    spec.insert("maxReplicaCount".into(), config.max.into());
    if let Some(fallback) = &keda.fallback {
        let behavior = BEHAVIORS.iter().find(|(_, each)| *each == fallback.behavior).map_or("", |(name, _)| name);
        spec.insert(
            "fallback".into(),
            json!({
                "failureThreshold": fallback.failure_threshold,
                "replicas": fallback.replicas,
                "behavior": behavior,
            }),
        );
    }
    if let Some(behavior) = &keda.behavior {
        let value = behavior_value(behavior, &mut note);
        spec.insert("advanced".into(), json!({ "horizontalPodAutoscalerConfig": { "behavior": value } }));
    }
    for trigger in &keda.triggers {
        if !trigger.is_resource() {
            let reason = format!("{} is asked of Prometheus: put the address and the query in", trigger.metric);
            note("triggers", reason);
        } else if trigger.activation_threshold != 0.0 {
            note("triggers.activation_threshold", "the cpu and memory triggers have none".to_string());
        }
    }
    let triggers: Vec<Value> = keda.triggers.iter().map(trigger_value).chain(crons).collect();
    spec.insert("triggers".into(), triggers.into());
    let document = json!({
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": { "name": object_name(&keda.name) },
        "spec": spec,
    });
    Ok(Export { text: yaml::document(&document), notes })
}

fn trigger_value(trigger: &Trigger) -> Value {
    let metric_type = TYPES.iter().find(|(_, each)| *each == trigger.metric_type).map_or("", |(name, _)| name);
    if trigger.is_resource() {
        let kind = if trigger.metric == Metric::MemoryUtilization { "memory" } else { "cpu" };
        let metadata = json!({ "value": trigger.threshold.to_string() });
        return json!({ "type": kind, "metricType": metric_type, "metadata": metadata });
    }
    let mut metadata = json!({
        "serverAddress": "http://prometheus:9090",
        "query": trigger.metric.name(),
        "threshold": trigger.threshold.to_string(),
        "activationThreshold": trigger.activation_threshold.to_string(),
    });
    if trigger.aggregate != Trigger::new(trigger.metric, trigger.threshold).aggregate {
        let name = Aggregate::ALL.iter().find(|(_, each)| *each == trigger.aggregate).map_or("", |(name, _)| name);
        metadata["wavetankAggregate"] = name.into();
    }
    json!({ "type": "prometheus", "metricType": metric_type, "metadata": metadata })
}

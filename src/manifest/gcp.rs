//! An autoscaler of Compute Engine, as its API has it (`autoscalers`, `regionAutoscalers`), schedules included.
//!
//! A custom metric is known by the last part of its name. A utilization target is of each instance; an assignment per instance
//! shares a value of the whole service among them.

use serde_json::{Map, Value, json};

use super::hpa::seconds;
use super::names;
use super::reader::Field;
use super::schedule::{self, Slot};
use super::tree::Node;
use super::{Export, ExportError, Note, left_of, object_name};
use crate::engine::autoscaler::gcp::{Config as Gcp, Mode, Replicas, ScaleInControl, Signal};
use crate::engine::autoscaler::schedule::End;
use crate::engine::autoscaler::{Config, Policy};
use crate::engine::metrics::Metric;
use crate::units::Span;

const MODES: [(&str, Mode); 4] =
    [("ON", Mode::On), ("ONLY_SCALE_OUT", Mode::OnlyScaleOut), ("ONLY_UP", Mode::OnlyScaleOut), ("OFF", Mode::Off)];
const DAY: u32 = 86_400;
/// What nobody can set there.
const STABILIZATION: Span = Span::from_secs(600);

/// Whether a document is one.
pub(super) fn is_one(node: &Node) -> bool {
    node.get("autoscalingPolicy").is_some()
}

pub(super) fn read(root: &Field) -> Option<(String, Config)> {
    let policy = root.need("autoscalingPolicy", "a map with maxNumReplicas")?;
    policy.map()?.leave_others(&[
        "minNumReplicas",
        "maxNumReplicas",
        "coolDownPeriodSec",
        "mode",
        "cpuUtilization",
        "loadBalancingUtilization",
        "customMetricUtilizations",
        "scaleInControl",
        "scalingSchedules",
    ]);
    let most = policy.need("maxNumReplicas", "10")?;
    let (min, max) = (policy.get("minNumReplicas").map_or(Some(2), |f| f.count(0))?, most.count(1)?);
    if max < min {
        return most.wrong(format!("{max} is less than minNumReplicas, which is {min}"));
    }
    let mut gcp = Gcp::new(signals(&policy)?);
    gcp.name = root.get("name").and_then(|name| name.node.text()).unwrap_or("gcp").to_string();
    if let Some(field) = policy.get("coolDownPeriodSec") {
        gcp.initialization_period = field.seconds(0, DAY)?;
    }
    if let Some(field) = policy.get("mode") {
        gcp.mode = field.choice(&MODES)?;
    }
    if let Some(field) = policy.get("scaleInControl") {
        gcp.scale_in_control = Some(control(&field)?);
    }
    let what = format!("the autoscaler {} of Compute Engine", gcp.name);
    let mut policies = if gcp.signals.is_empty() { Vec::new() } else { vec![Policy::Gcp(gcp)] };
    if let Some(schedules) = policy.get("scalingSchedules") {
        let slots: Vec<Slot> = schedules.entries().iter().filter_map(|(_, field)| slot(field)).collect();
        policies.extend(schedule::policies(slots).into_iter().map(Policy::Schedule));
    }
    if policies.is_empty() {
        return policy.wrong("none of its signals can be carried over".to_string());
    }
    Some((what, Config { min, max, policies, scale_down_guards: false, ..Config::default() }))
}

fn signals(policy: &Field) -> Option<Vec<Signal>> {
    let mut signals = Vec::new();
    if let Some(cpu) = policy.get("cpuUtilization") {
        cpu.map()?.leave_others(&["utilizationTarget", "predictiveMethod"]);
        if let Some(method) = cpu.get("predictiveMethod")
            && method.node.text() != Some("NONE")
        {
            let _: Option<()> = method.leave("the forecasts of predictive autoscaling are not published");
        }
        let share = |f: Field| f.number("a ratio above 0, up to 1", |x| x > 0.0 && x <= 1.0);
        let target = cpu.get("utilizationTarget").map_or(Some(0.6), share)?;
        signals.push(Signal { metric: Metric::CpuUtilization, target: exact(target * 100.0) });
    }
    policy.leave_key(
        "loadBalancingUtilization",
        "it is of the serving capacity that a load balancer was told, which a scenario does not have",
    );
    let custom = policy.get("customMetricUtilizations").map_or(Some(Vec::new()), |field| field.list())?;
    for field in custom {
        signals.extend(signal(&field));
    }
    Some(signals)
}

/// A custom metric; `None` if it stays behind, or is wrong.
fn signal(field: &Field) -> Option<Signal> {
    field.map()?.leave_others(&[
        "metric",
        "filter",
        "utilizationTarget",
        "utilizationTargetType",
        "singleInstanceAssignment",
    ]);
    field.leave_key("filter", "a metric of a scenario has no labels: all of it counts");
    let name = field.need("metric", "custom.googleapis.com/queue_length")?;
    let text = name.text()?;
    let last = text.rsplit('/').next().unwrap_or(text);
    let metric = match last {
        "percent_used" if text.contains("memory") => Some(Metric::MemoryUtilization),
        last => names::metric(last),
    };
    let Some(metric) = metric else { return name.leave(&names::unknown(last)) };
    let kinds = [("GAUGE", None), ("DELTA_PER_SECOND", Some(1.0)), ("DELTA_PER_MINUTE", Some(60.0))];
    let kind = field.get("utilizationTargetType");
    let counted_over = kind.as_ref().map_or(Some(None), |kind| kind.choice(&kinds))?;
    if let (Some(kind), Some(_)) = (&kind, counted_over)
        && metric != Metric::RequestsPerSecond
    {
        return kind.leave(&format!("{metric} is a level, and no count that grows"));
    }
    let above = |f: Field| f.number("a number above 0", |x| x > 0.0);
    let target = match (field.get("utilizationTarget"), field.get("singleInstanceAssignment")) {
        (Some(f), None) | (None, Some(f)) => above(f)? / counted_over.unwrap_or(1.0),
        _ => return field.wrong("expected one of utilizationTarget and singleInstanceAssignment".to_string()),
    };
    if matches!(metric, Metric::CpuUtilization | Metric::MemoryUtilization) && target > 100.0 {
        return field.wrong(format!("a utilization of {target} % is never reached"));
    }
    Some(Signal { metric, target })
}

/// A quotient of a hundred without the noise of binary fractions.
fn exact(x: f64) -> f64 {
    format!("{x:.10}").parse().unwrap_or(x)
}

fn control(field: &Field) -> Option<ScaleInControl> {
    let replicas = field.need("maxScaledInReplicas", "{ fixed: 10 }")?;
    let percent = |f: Field| f.number("a percentage from 0 to 100", |x| (0.0..=100.0).contains(&x));
    let max_scaled_in_replicas = match (replicas.get("fixed"), replicas.get("percent")) {
        (Some(fixed), None) => Replicas::Fixed(fixed.count(0)?),
        (None, Some(share)) => Replicas::Percent(percent(share)?),
        _ => return replicas.unfit("one of fixed and percent"),
    };
    Some(ScaleInControl { max_scaled_in_replicas, time_window: field.need("timeWindowSec", "600")?.seconds(1, DAY)? })
}

/// A schedule; `None` if it stays behind, or is wrong.
fn slot(field: &Field) -> Option<Slot> {
    field.map()?.leave_others(&[
        "minRequiredReplicas",
        "schedule",
        "timeZone",
        "durationSec",
        "disabled",
        "description",
    ]);
    if let Some(disabled) = field.get("disabled")
        && disabled.boolean()?
    {
        return disabled.leave("a schedule that is disabled does nothing");
    }
    let start = schedule::cron(&field.need("schedule", "0 8 * * MON-FRI")?)?;
    let timezone = field.get("timeZone").map_or(Some(jiff::tz::TimeZone::UTC), |f| schedule::zone(&f))?;
    let length = field.need("durationSec", "43200")?.seconds(1, 366 * DAY)?;
    let instances = field.need("minRequiredReplicas", "10")?.count(0)?;
    Some(Slot { timezone, start, end: End::After(length), instances: Some(instances), max: None })
}

pub(super) fn write(config: &Config, name: &str) -> Result<Export, ExportError> {
    let found = config.policies.iter().enumerate().find_map(|(i, policy)| match policy {
        Policy::Gcp(gcp) => Some((i, gcp)),
        _ => None,
    });
    let schedules = schedule::of(config);
    if found.is_none() && schedules.is_empty() {
        let expected = "policy of kind \"gcp\" or \"schedule\"";
        return Err(ExportError::Nothing { form: "an autoscaler of Compute Engine", expected });
    }
    let held: Vec<usize> = found.iter().map(|(i, _)| *i).chain(schedules.iter().map(|(i, _)| *i)).collect();
    let mut notes = left_of(config, "an autoscaler of Compute Engine", &held, &[]);
    let mut policy = json!({ "minNumReplicas": config.min, "maxNumReplicas": config.max });
    let mut written_as = object_name(name);
    if let Some((_, gcp)) = found {
        written_as = object_name(&gcp.name);
        let mut note = |key: &str, reason: String| {
            notes.push(Note { line: None, key: format!("autoscaler.policy.{}.{key}", gcp.name), reason });
        };
        if written_as != gcp.name {
            note("name", format!("written as {written_as:?}, as resources are named"));
        }
        if gcp.stabilization_period != STABILIZATION {
            note("stabilization_period", format!("it is {STABILIZATION} there, and nobody can set it"));
        }
        policy["coolDownPeriodSec"] = seconds(gcp.initialization_period, "initialization_period", &mut note).into();
        policy["mode"] = MODES.iter().find(|(_, each)| *each == gcp.mode).map_or("", |(name, _)| name).into();
        let mut custom = Vec::new();
        for (i, signal) in gcp.signals.iter().enumerate() {
            let is_first = !gcp.signals[..i].iter().any(|earlier| earlier.metric == signal.metric);
            match signal.metric {
                Metric::CpuUtilization if is_first => {
                    policy["cpuUtilization"] = json!({ "utilizationTarget": exact(signal.target / 100.0) });
                }
                _ => {
                    let name = format!("custom.googleapis.com/wavetank/{}", signal.metric);
                    note("signals", format!("{} is written as {name}: put the metric's name in", signal.metric));
                    custom.push(custom_metric(signal, name));
                }
            }
        }
        if !custom.is_empty() {
            policy["customMetricUtilizations"] = custom.into();
        }
        if let Some(control) = &gcp.scale_in_control {
            let replicas = match control.max_scaled_in_replicas {
                Replicas::Fixed(n) => json!({ "fixed": n }),
                Replicas::Percent(percent) => {
                    if percent != percent.trunc() {
                        note("scale_in_control", format!("{percent} % is written as whole percent"));
                    }
                    json!({ "percent": percent as u32 })
                }
            };
            let window = seconds(control.time_window, "scale_in_control.time_window", &mut note);
            policy["scaleInControl"] = json!({ "maxScaledInReplicas": replicas, "timeWindowSec": window });
        }
    }
    let mut slots = Map::new();
    for (_, each) in &schedules {
        let mut note = |key: &str, reason: String| {
            notes.push(Note { line: None, key: format!("autoscaler.policy.{}.{key}", each.name), reason });
        };
        for (i, entry) in each.entries.iter().enumerate() {
            if entry.max.is_some() {
                note(&format!("entries.{i}.max"), "a schedule there only raises the minimum".to_string());
            }
            let (Some(instances), Some(length)) = (entry.instances, schedule::length(entry)) else {
                if entry.instances.is_some() {
                    let reason = "a schedule there has a duration, and this end is not at one: give `for`";
                    note(&format!("entries.{i}.end"), reason.to_string());
                }
                continue;
            };
            let key = object_name(&format!("{}-{}", each.name, i + 1));
            slots.insert(
                key,
                json!({
                    "minRequiredReplicas": instances,
                    "schedule": entry.start.to_string(),
                    "timeZone": schedule::zone_name(&each.timezone),
                    "durationSec": seconds(length.max(Span::from_secs(300)), "entries.for", &mut note),
                }),
            );
            if length < Span::from_secs(300) {
                note(&format!("entries.{i}.for"), "300 s is the least there is".to_string());
            }
        }
    }
    if !slots.is_empty() {
        policy["scalingSchedules"] = slots.into();
    }
    let document = json!({
        "name": written_as,
        "target": format!("instanceGroupManagers/{}", object_name(name)),
        "autoscalingPolicy": policy,
    });
    let text = serde_json::to_string_pretty(&document).expect("a tree of texts and numbers");
    Ok(Export { text: text + "\n", notes })
}

fn custom_metric(signal: &Signal, name: String) -> Value {
    if signal.metric.is_per_instance() {
        return json!({ "metric": name, "utilizationTarget": signal.target, "utilizationTargetType": "GAUGE" });
    }
    json!({ "metric": name, "singleInstanceAssignment": signal.target })
}

//! An autoscale setting of Azure Monitor (`Microsoft.Insights/autoscaleSettings`), as its API or a template has it.
//!
//! The profile that holds when no other does is read. A metric is known by its name.

use serde_json::{Value, json};

use super::names;
use super::reader::Field;
use super::tree::{Data, Node};
use super::{Export, ExportError, Note, left_of};
use crate::engine::autoscaler::adjustment::AdjustmentType;
use crate::engine::autoscaler::azure::{Config as Azure, Rule};
use crate::engine::autoscaler::rules::Operator;
use crate::engine::autoscaler::{Config, Direction, Policy};
use crate::engine::metrics::{Aggregate, Metric};
use crate::units::Span;

const OPERATORS: [(&str, Operator); 4] = [
    ("GreaterThan", Operator::Gt),
    ("GreaterThanOrEqual", Operator::Gte),
    ("LessThan", Operator::Lt),
    ("LessThanOrEqual", Operator::Lte),
];
const STATISTICS: [(&str, Aggregate); 4] =
    [("Average", Aggregate::Avg), ("Max", Aggregate::Max), ("Min", Aggregate::Min), ("Sum", Aggregate::Sum)];
const TYPES: [(&str, AdjustmentType); 3] = [
    ("ChangeCount", AdjustmentType::ChangeInCapacity),
    ("PercentChangeCount", AdjustmentType::PercentChangeInCapacity),
    ("ExactCount", AdjustmentType::ExactCapacity),
];
const DIRECTIONS: [(&str, Direction); 2] = [("Increase", Direction::Up), ("Decrease", Direction::Down)];

/// The properties of a setting, wherever they are in a document.
fn properties<'a>(root: &Field<'a>) -> Option<Field<'a>> {
    if root.get("profiles").is_some() {
        return Some(root.clone());
    }
    if let Some(properties) = root.get("properties").filter(|f| f.get("profiles").is_some()) {
        return Some(properties);
    }
    let resources = root.get("resources").filter(|f| matches!(f.node.data, Data::List(_)))?;
    let is_setting = |f: &Field| {
        let kind = f.get("type").and_then(|kind| kind.node.text()).unwrap_or_default();
        kind.eq_ignore_ascii_case("Microsoft.Insights/autoscaleSettings")
    };
    resources.list()?.iter().find(|f| is_setting(f))?.get("properties")
}

/// Whether a document is, or has, one.
pub(super) fn is_one(node: &Node) -> bool {
    let has = |node: &Node| node.get("profiles").is_some();
    let kind = |node: &Node| node.get("type").and_then(Node::text).unwrap_or_default().to_ascii_lowercase();
    has(node)
        || node.get("properties").is_some_and(has)
        || matches!(node.get("resources").map(|resources| &resources.data),
            Some(Data::List(nodes)) if nodes.iter().any(|node| kind(node) == "microsoft.insights/autoscalesettings"))
}

pub(super) fn read(root: &Field) -> Option<(String, Config)> {
    let setting = properties(root).or_else(|| root.need("properties", "a map with profiles"))?;
    let profiles = setting.need("profiles", "a list with one profile")?;
    let all = profiles.list()?;
    let is_always = |f: &&Field| f.get("recurrence").is_none() && f.get("fixedDate").is_none();
    let Some(profile) = all.iter().find(is_always).or(all.first()) else {
        return profiles.unfit("at least one profile");
    };
    for other in all.iter().filter(|other| other.path != profile.path) {
        let _: Option<()> =
            other.leave("only the profile that always holds is read: a schedule can take the place of others");
    }
    profile.leave_key("recurrence", "read as if it always held");
    profile.leave_key("fixedDate", "read as if it always held");
    profile.map()?.leave_others(&["name", "capacity", "rules", "recurrence", "fixedDate"]);
    let capacity = profile.need("capacity", "{ minimum: \"2\", maximum: \"10\", default: \"2\" }")?;
    let most = capacity.need("maximum", "\"10\"")?;
    let (min, max) = (capacity.need("minimum", "\"2\"")?.count(0)?, most.count(1)?);
    if max < min {
        return most.wrong(format!("{max} is less than the minimum, which is {min}"));
    }
    let list = profile.need("rules", "a list of rules")?;
    let rules: Vec<Rule> = list.list()?.iter().filter_map(rule).collect();
    if rules.is_empty() {
        return list.wrong("none of its rules can be carried over".to_string());
    }
    let name = profile.get("name").and_then(|name| name.node.text()).unwrap_or("azure").to_string();
    let what = format!("the profile {name} of an autoscale setting");
    let policies = vec![Policy::Azure(Azure { name, rules })];
    Some((what, Config { min, max, policies, scale_down_guards: false, ..Config::default() }))
}

/// A rule; `None` if it stays behind, or is wrong.
fn rule(field: &Field) -> Option<Rule> {
    let trigger = field.need("metricTrigger", "a map with metricName")?;
    trigger.map()?.leave_others(&[
        "metricName",
        "metricNamespace",
        "metricResourceUri",
        "metricResourceLocation",
        "timeGrain",
        "statistic",
        "timeWindow",
        "timeAggregation",
        "operator",
        "threshold",
        "dimensions",
        "dividePerInstance",
    ]);
    let name = trigger.need("metricName", "Percentage CPU")?;
    let text = name.text()?;
    let metric = match text {
        "Percentage CPU" | "CpuPercentage" => Some(Metric::CpuUtilization),
        "MemoryPercentage" => Some(Metric::MemoryUtilization),
        "HttpQueueLength" | "ApproximateMessageCount" | "ActiveMessages" => Some(Metric::QueueLength),
        other => names::metric(other),
    };
    let Some(metric) = metric else { return name.leave(&names::unknown(text)) };
    if let Some(dimensions) =
        trigger.get("dimensions").filter(|f| !matches!(&f.node.data, Data::List(l) if l.is_empty()))
    {
        let _: Option<()> = dimensions.leave("a metric of a scenario has none: all of the service counts");
    }
    if let Some(aggregation) = trigger.get("timeAggregation")
        && aggregation.node.text() != Some("Average")
    {
        let _: Option<()> = aggregation.leave("samples of the time window are averaged");
    }
    let statistic = trigger.get("statistic").map_or(Some(Aggregate::Avg), |f| f.choice(&STATISTICS))?;
    let threshold = trigger.need("threshold", "70")?;
    let level = threshold.number("a number, 0 or more", |x| x >= 0.0)?;
    let is_percent = matches!(metric, Metric::CpuUtilization | Metric::MemoryUtilization);
    if is_percent && statistic != Aggregate::Sum && level > 100.0 {
        return threshold.unfit("a percentage from 0 to 100");
    }
    let operator = trigger.need("operator", "GreaterThan")?.choice(&OPERATORS)?;
    let action = field.need("scaleAction", "a map with direction")?;
    let direction = action.need("direction", "Increase")?.choice(&DIRECTIONS)?;
    let mut rule = Rule::new(metric, operator, level, direction);
    rule.aggregate = statistic;
    rule.kind = action.need("type", "ChangeCount")?.choice(&TYPES)?;
    if let Some(value) = action.get("value") {
        rule.value = value.count(1)?;
    }
    if let Some(cooldown) = action.get("cooldown") {
        rule.cooldown = duration(&cooldown)?;
    }
    if let Some(window) = trigger.get("timeWindow") {
        rule.time_window = match duration(&window)? {
            span if span >= Span::from_mins(1) => span,
            _ => return window.unfit("a duration of at least PT1M"),
        };
    }
    Some(rule)
}

/// A duration of ISO 8601 up to a week: `PT10M`, `P1DT2H`.
fn duration(field: &Field) -> Option<Span> {
    let parsed = field.node.text().and_then(|text| {
        let (days, rest) = match text.strip_prefix('P')?.split_once('T') {
            Some((days, rest)) => (days, rest),
            None => (text.strip_prefix('P')?, ""),
        };
        let mut seconds = 0.0;
        for (part, units) in [(days, &[('D', 86_400.0)][..]), (rest, &[('H', 3600.0), ('M', 60.0), ('S', 1.0)])] {
            let mut number = String::new();
            for c in part.chars() {
                match units.iter().find(|(unit, _)| *unit == c) {
                    Some((_, length)) => seconds += std::mem::take(&mut number).parse::<f64>().ok()? * length,
                    None => number.push(c),
                }
            }
            if !number.is_empty() {
                return None;
            }
        }
        (0.0..=604_800.0).contains(&seconds).then(|| Span::from_secs_f64(seconds))
    });
    parsed.or_else(|| field.unfit("a duration such as PT5M, a week at most"))
}

pub(super) fn write(config: &Config, name: &str) -> Result<Export, ExportError> {
    let found = config.policies.iter().enumerate().find_map(|(i, policy)| match policy {
        Policy::Azure(azure) => Some((i, azure)),
        _ => None,
    });
    let expected = "policy of kind \"azure\"";
    let (i, azure) = found.ok_or(ExportError::Nothing { form: "an autoscale setting of Azure", expected })?;
    let mut notes = left_of(config, "an autoscale setting of Azure", &[i], &[]);
    let mut note = |key: &str, reason: String| {
        notes.push(Note { line: None, key: format!("autoscaler.policy.{}.{key}", azure.name), reason });
    };
    for (i, rule) in azure.rules.iter().enumerate() {
        if STATISTICS.iter().all(|(_, each)| *each != rule.aggregate) {
            note(&format!("rules.{i}.statistic"), "there is no percentile: written as Average".to_string());
        }
        if rule.metric != Metric::CpuUtilization {
            note(
                &format!("rules.{i}.metric"),
                format!("{} is written by our name: put that of Azure in", rule.metric),
            );
        }
    }
    let rules: Vec<Value> = azure.rules.iter().map(rule_value).collect();
    let resource =
        format!("/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Compute/virtualMachineScaleSets/{name}");
    let document = json!({
        "location": "westeurope",
        "properties": {
            "name": format!("{name}-autoscale"),
            "enabled": true,
            "targetResourceUri": resource,
            "profiles": [{
                "name": azure.name,
                // Where there are no metrics, the number that is there already, or at least the fewest.
                "capacity": {
                    "minimum": config.min.to_string(),
                    "maximum": config.max.to_string(),
                    "default": config.min.max(1).min(config.max).to_string(),
                },
                "rules": rules,
            }],
        },
    });
    let text = serde_json::to_string_pretty(&document).expect("a tree of texts and numbers");
    Ok(Export { text: text + "\n", notes })
}

fn rule_value(rule: &Rule) -> Value {
    let statistic = STATISTICS.iter().find(|(_, each)| *each == rule.aggregate).map_or("Average", |(name, _)| name);
    let named = |all: &[(&'static str, Operator)]| {
        all.iter().find(|(_, each)| *each == rule.operator).map_or("", |(name, _)| *name)
    };
    let is_cpu = rule.metric == Metric::CpuUtilization;
    json!({
        "metricTrigger": {
            "metricName": if is_cpu { "Percentage CPU" } else { rule.metric.name() },
            "metricResourceUri": "",
            "timeGrain": "PT1M",
            "statistic": statistic,
            "timeWindow": iso(rule.time_window),
            "timeAggregation": "Average",
            "operator": named(&OPERATORS),
            "threshold": rule.threshold,
        },
        "scaleAction": {
            "direction": DIRECTIONS.iter().find(|(_, each)| *each == rule.direction).map_or("", |(name, _)| name),
            "type": TYPES.iter().find(|(_, each)| *each == rule.kind).map_or("", |(name, _)| name),
            "value": rule.value.to_string(),
            "cooldown": iso(rule.cooldown),
        },
    })
}

/// In ISO 8601, exactly.
fn iso(span: Span) -> String {
    match span.0 % 60_000_000_000 {
        0 => format!("PT{}M", span.0 / 60_000_000_000),
        _ if span.0.is_multiple_of(1_000_000_000) => format!("PT{}S", span.0 / 1_000_000_000),
        _ => format!("PT{}S", span.as_secs_f64()),
    }
}

//! A scaling policy of the Nomad Autoscaler: the `scaling` block of a job or of a policy file, in the JSON form of HCL, or as
//! Nomad's API has it (`Scaling`, `Min`, `Max`, with a list around each block).
//!
//! A check is a policy here; of several the highest count wins in both. The query of a check stands for the metric that it is named
//! after: `avg_cpu-allocated` of `nomad-apm`, a name, or an aggregate of one such as `sum(queue_length)`.

use serde_json::{Map, Value, json};

use super::names;
use super::reader::Field;
use super::tree::{Data, Node};
use super::{Export, ExportError, Note, left_of, object_name};
use crate::engine::autoscaler::nomad::{Action, Config as Check, Strategy};
use crate::engine::autoscaler::{Config, Policy};
use crate::engine::metrics::{Aggregate, Metric};
use crate::units::Span;

/// How often the agent evaluates a policy that does not say.
const EVALUATION: Span = Span::from_secs(10);
const DAY: Span = Span::from_mins(24 * 60);

/// Whether a document is one.
pub(super) fn is_one(node: &Node) -> bool {
    node.get("scaling").or(node.get("Scaling")).is_some()
}

/// A block, without the list that may be around it.
fn block(field: Field) -> Field {
    match &field.node.data {
        Data::List(nodes) if nodes.len() == 1 => field.list().and_then(|mut list| list.pop()).unwrap_or(field),
        _ => field,
    }
}

/// Labels and blocks of a kind.
fn labelled<'a>(field: &Field<'a>) -> Vec<(&'a str, Field<'a>)> {
    match &field.node.data {
        Data::List(_) => field.list().unwrap_or_default().iter().flat_map(Field::entries).collect(),
        _ => field.entries(),
    }
    .into_iter()
    .map(|(label, field)| (label, block(field)))
    .collect()
}

/// The value of a key, which the API begins with a capital.
fn of_key<'a>(field: &Field<'a>, key: &str, api: &str) -> Option<Field<'a>> {
    field.get(key).or_else(|| field.get(api))
}

pub(super) fn read(root: &Field) -> Option<(String, Config)> {
    let scaling = block(of_key(root, "scaling", "Scaling")?);
    // In a policy file the block has a label.
    let (name, scaling) = match (of_key(&scaling, "max", "Max"), &labelled(&scaling)[..]) {
        (None, [(label, inner)]) => (label.to_string(), inner.clone()),
        _ => ("nomad".to_string(), scaling),
    };
    scaling
        .map()?
        .leave_others(&["enabled", "Enabled", "min", "Min", "max", "Max", "policy", "Policy", "type", "Type"]);
    let max_field = of_key(&scaling, "max", "Max").or_else(|| scaling.need("max", "10"))?;
    let max = max_field.count(1)?;
    let min = of_key(&scaling, "min", "Min").map_or(Some(1.min(max)), |f| f.count(0))?;
    if max < min {
        return max_field.wrong(format!("{max} is less than min, which is {min}"));
    }
    if let Some(enabled) = of_key(&scaling, "enabled", "Enabled")
        && !enabled.boolean()?
    {
        return enabled.wrong("a policy that is not enabled does nothing".to_string());
    }
    let policy = block(of_key(&scaling, "policy", "Policy").or_else(|| scaling.need("policy", "{ check: … }"))?);
    policy.leave_others(&["cooldown", "evaluation_interval", "check", "target"]);
    let span = |key: &str, or: Span| policy.get(key).map_or(Some(or), |f| duration(&f));
    let (cooldown, interval) = (span("cooldown", Span::from_mins(5))?, span("evaluation_interval", EVALUATION)?);
    let checks = policy.need("check", "{ cpu: { query: …, strategy: … } }")?;
    let read = |(label, field): &(&str, Field)| check(label, field, cooldown);
    let policies: Vec<Policy> = labelled(&checks).iter().filter_map(read).map(Policy::Nomad).collect();
    if policies.is_empty() {
        return checks.wrong("none of its checks can be carried over".to_string());
    }
    let config = Config { min, max, interval, policies, scale_down_guards: false, ..Config::default() };
    Some((format!("the scaling policy {name} of Nomad"), config))
}

/// A duration as Go writes it, up to a day.
fn duration(field: &Field) -> Option<Span> {
    match field.node.text().and_then(|text| text.parse::<Span>().ok()) {
        Some(span) if span > Span::ZERO && span <= DAY => Some(span),
        _ => field.unfit("a duration such as 30s or 5m"),
    }
}

/// A check; `None` if it stays behind, or is wrong.
fn check(label: &str, field: &Field, cooldown: Span) -> Option<Check> {
    field.map()?.leave_others(&["source", "query", "query_window", "strategy", "group", "on_error"]);
    field.leave_key("group", "checks are not grouped: the highest count of all of them wins");
    field.leave_key("on_error", "a check without a value has no opinion");
    let query = field.need("query", "avg_cpu-allocated")?;
    let text = query.text()?;
    let Some((metric, aggregate)) = metric_of(text) else { return query.leave(&names::unknown(text)) };
    let strategies = labelled(&field.need("strategy", "{ target-value: { target: 70 } }")?);
    let (name, settings) = strategies.first().cloned().or_else(|| {
        field.need("strategy", "{ target-value: { target: 70 } }")?.unfit("a strategy, such as target-value")
    })?;
    let level = |key: &str| settings.get(key).map(|f| f.number("a number, 0 or more", |x| x >= 0.0));
    let strategy = match name {
        "target-value" => {
            settings.leave_others(&["target", "threshold", "max_scale_up", "max_scale_down"]);
            settings.need("target", "70")?;
            let count = |key: &str| settings.get(key).map(|f| f.count(1));
            Strategy::TargetValue {
                target: level("target")??,
                threshold: level("threshold").unwrap_or(Some(0.01))?,
                max_scale_up: count("max_scale_up").map_or(Some(None), |n| n.map(Some))?,
                max_scale_down: count("max_scale_down").map_or(Some(None), |n| n.map(Some))?,
            }
        }
        "threshold" => {
            settings.leave_others(&[
                "lower_bound",
                "upper_bound",
                "delta",
                "percentage",
                "value",
                "within_bounds_trigger",
            ]);
            let whole = |f: &Field| f.number("a whole number", |x| x == x.trunc() && x.abs() <= 1e9);
            let percent = |f: &Field| f.number("a percentage, -100 or more", |x| x >= -100.0);
            let action = match (settings.get("delta"), settings.get("percentage"), settings.get("value")) {
                (Some(f), None, None) => Action::Delta(whole(&f)? as i32),
                (None, Some(f), None) => Action::Percentage(percent(&f)?),
                (None, None, Some(f)) => Action::Value(f.count(0)?),
                _ => return settings.wrong("expected one of delta, percentage and value".to_string()),
            };
            Strategy::Threshold {
                lower_bound: level("lower_bound").map_or(Some(None), |x| x.map(Some))?,
                upper_bound: level("upper_bound").map_or(Some(None), |x| x.map(Some))?,
                action,
                within_bounds_trigger: settings.get("within_bounds_trigger").map_or(Some(5), |f| f.count(1))?,
            }
        }
        _ => {
            return settings
                .leave("of the strategies only target-value and threshold turn a metric into a count here");
        }
    };
    let mut check = Check::new(metric, strategy);
    (check.name, check.aggregate, check.cooldown) = (label.to_string(), aggregate, cooldown);
    if let Some(window) = field.get("query_window") {
        check.query_window = duration(&window)?;
    }
    Some(check)
}

/// The metric and aggregate that a query is named after.
fn metric_of(query: &str) -> Option<(Metric, Aggregate)> {
    let of_name = |name: &str| match name.trim().trim_end_matches("-allocated") {
        "cpu" => Some(Metric::CpuUtilization),
        "memory" => Some(Metric::MemoryUtilization),
        other => names::metric(other),
    };
    let of_aggregate = |name: &str| Aggregate::ALL.iter().find(|(each, _)| *each == name).map(|(_, each)| *each);
    if let Some((aggregate, rest)) = query.split_once('(')
        && let Some(inner) = rest.trim_end().strip_suffix(')')
    {
        return Some((of_name(inner)?, of_aggregate(aggregate.trim())?));
    }
    if let Some((aggregate, metric)) = query.split_once('_')
        && let (Some(metric @ (Metric::CpuUtilization | Metric::MemoryUtilization)), Some(aggregate)) =
            (of_name(metric), of_aggregate(aggregate))
    {
        return Some((metric, aggregate));
    }
    Some((of_name(query)?, Aggregate::Avg))
}

/// The policy in the JSON form of HCL, as a policy file has it.
pub(super) fn write(config: &Config, name: &str) -> Result<Export, ExportError> {
    let held: Vec<usize> =
        (0..config.policies.len()).filter(|&i| matches!(config.policies[i], Policy::Nomad(_))).collect();
    let checks: Vec<&Check> = config
        .policies
        .iter()
        .filter_map(|policy| if let Policy::Nomad(check) = policy { Some(check) } else { None })
        .collect();
    let Some(cooldown) = checks.iter().map(|check| check.cooldown).max() else {
        let expected = "policy of kind \"nomad_target_value\" or \"nomad_threshold\"";
        return Err(ExportError::Nothing { form: "a scaling policy of Nomad", expected });
    };
    let mut notes = left_of(config, "a scaling policy of Nomad", &held, &["interval"]);
    let mut written = Map::new();
    for check in &checks {
        let mut note = |key: &str, reason: String| {
            notes.push(Note { line: None, key: format!("autoscaler.policy.{}.{key}", check.name), reason });
        };
        if check.cooldown != cooldown {
            note("cooldown", format!("a policy has one cooldown for all of its checks: the longest, {cooldown}"));
        }
        let (source, query) = query(check);
        if source != "nomad-apm" {
            note("metric", format!("{query:?} is asked of Prometheus: put the query in"));
        }
        written.insert(
            check.name.clone(),
            json!({
                "source": source,
                "query": query,
                "query_window": go(check.query_window),
                "strategy": strategy(&check.strategy),
            }),
        );
    }
    let policy = json!({
        "cooldown": go(cooldown),
        "evaluation_interval": go(config.interval),
        "check": written,
        "target": { "nomad-target": { "Job": object_name(name), "Group": object_name(name) } },
    });
    let block = json!({ "enabled": true, "min": config.min, "max": config.max, "policy": policy });
    let mut labelled = Map::new();
    labelled.insert(object_name(name), block);
    let document = json!({ "scaling": labelled });
    let text = serde_json::to_string_pretty(&document).expect("a tree of texts and numbers");
    Ok(Export { text: text + "\n", notes })
}

/// Where a check asks, and for what.
fn query(check: &Check) -> (&'static str, String) {
    let aggregate = Aggregate::ALL.iter().find(|(_, each)| *each == check.aggregate).map_or("", |(name, _)| name);
    let resource = match check.metric {
        Metric::CpuUtilization => Some("cpu"),
        Metric::MemoryUtilization => Some("memory"),
        _ => None,
    };
    match (resource, check.aggregate) {
        (Some(resource), Aggregate::Avg | Aggregate::Max | Aggregate::Min | Aggregate::Sum) => {
            ("nomad-apm", format!("{aggregate}_{resource}-allocated"))
        }
        (_, Aggregate::Avg) => ("prometheus", check.metric.name().to_string()),
        _ => ("prometheus", format!("{aggregate}({})", check.metric.name())),
    }
}

fn strategy(strategy: &Strategy) -> Value {
    let mut settings = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            settings.insert(key.into(), value);
        }
    };
    let name = match *strategy {
        Strategy::TargetValue { target, threshold, max_scale_up, max_scale_down } => {
            put("target", Some(target.into()));
            put("threshold", Some(threshold.into()));
            put("max_scale_up", max_scale_up.map(Value::from));
            put("max_scale_down", max_scale_down.map(Value::from));
            "target-value"
        }
        Strategy::Threshold { lower_bound, upper_bound, action, within_bounds_trigger } => {
            put("lower_bound", lower_bound.map(Value::from));
            put("upper_bound", upper_bound.map(Value::from));
            match action {
                Action::Delta(n) => put("delta", Some(n.into())),
                Action::Percentage(percent) => put("percentage", Some(percent.into())),
                Action::Value(n) => put("value", Some(n.into())),
            }
            put("within_bounds_trigger", Some(within_bounds_trigger.into()));
            "threshold"
        }
    };
    let mut map = Map::new();
    map.insert(name.into(), settings.into());
    map.into()
}

/// A duration as Go reads it, exactly.
pub(super) fn go(span: Span) -> String {
    match (span.0 % 1_000_000_000, span.0 % 1_000_000) {
        (0, _) => format!("{}s", span.0 / 1_000_000_000),
        (_, 0) => format!("{}ms", span.0 / 1_000_000),
        _ => format!("{}ns", span.0),
    }
}

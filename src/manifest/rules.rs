//! Threshold rules as JSON, with names in camelCase and durations in milliseconds.
//!
//! ```json
//! { "minInstances": 2, "maxInstances": 20, "scaleUpCooldown": 120000, "scaleDownCooldown": 600000,
//!   "rules": [{ "name": "cpu_scale_up", "metric": "cpuUtilization", "operator": "gt", "threshold": 70,
//!               "duration": 120000, "action": "scale_up", "priority": 8, "cooldown": 180000 }] }
//! ```
//!
//! It may also stand under a key `autoscaler`, `autoScaler`, `autoScaling` or `scaling`. Names of metrics and actions are known in
//! any spelling.

use serde_json::{Map, Value, json};

use super::names::{self, camel, snake};
use super::reader::Field;
use super::tree::{Data, Node};
use super::{Export, ExportError, left_of};
use crate::engine::autoscaler::rules::{self, Action, Missing, Operator, Step};
use crate::engine::autoscaler::{Config, CooldownFrom, Evidence};
use crate::engine::metrics::{Aggregate, Metric, Unit};
use crate::units::Span;

const OUTER: [&str; 4] = ["autoscaler", "autoScaler", "autoScaling", "scaling"];

/// Whether a document looks like this.
pub(super) fn is_one(root: &Node) -> bool {
    let keys = ["minInstances", "maxInstances", "scaleUpCooldown", "rules", "scalingRules"];
    let has = |node: &Node| keys.iter().any(|key| node.get(key).is_some());
    has(root) || OUTER.iter().filter_map(|key| root.get(key)).any(has)
}

pub(super) fn read(root: &Field) -> Option<(String, Config)> {
    let inner = OUTER.iter().find_map(|key| root.get(key));
    if let Some(inner) = &inner {
        let own = inner.path.clone();
        root.leave_others(&[own.as_str()]);
    }
    let root = inner.as_ref().unwrap_or(root);
    root.leave_others(&[
        "minInstances",
        "maxInstances",
        "interval",
        "evaluationInterval",
        "scaleUpCooldown",
        "scaleDownCooldown",
        "cooldownFrom",
        "maxStaleness",
        "pilingOnGuard",
        "scaleDownGuards",
        "shedTolerance",
        "rules",
        "scalingRules",
    ]);
    let default = Config::default();
    let min = root.get("minInstances").map_or(Some(default.min), |f| f.count(0));
    let max = root.get("maxInstances").map_or(Some(default.max.max(min.unwrap_or(0))), |f| f.count(1));
    if let (Some(min), Some(max), Some(field)) = (min, max, root.get("maxInstances"))
        && max < min
    {
        return field.wrong(format!("{max} is less than minInstances, which is {min}"));
    }
    let mut config = Config { min: min?, max: max?, ..default };
    if let Some(field) = root.get("interval").or(root.get("evaluationInterval")) {
        config.interval = match millis(&field)? {
            interval if interval >= Span::from_millis(1) => interval,
            _ => return field.unfit("at least 1 millisecond"),
        };
    }
    if let Some(field) = root.get("scaleUpCooldown") {
        config.scale_up_cooldown = millis(&field)?;
    }
    if let Some(field) = root.get("scaleDownCooldown") {
        config.scale_down_cooldown = millis(&field)?;
    }
    if let Some(field) = root.get("cooldownFrom") {
        config.cooldown_from = field.choice(&CooldownFrom::ALL)?;
    }
    if let Some(field) = root.get("maxStaleness") {
        config.max_staleness = Some(millis(&field)?);
    }
    for (key, flag) in [
        ("pilingOnGuard", &mut config.piling_on_guard as &mut bool),
        ("scaleDownGuards", &mut config.scale_down_guards),
    ] {
        if let Some(field) = root.get(key) {
            *flag = field.boolean()?;
        }
    }
    if let Some(field) = root.get("shedTolerance") {
        config.shed_tolerance = field.number("a ratio from 0 to 1", |x| (0.0..=1.0).contains(&x))?;
    }
    if let Some(field) = root.get("rules").or(root.get("scalingRules")) {
        let mut complete = true;
        for element in field.list()? {
            match rule(&element) {
                Some(rule) if config.rules.iter().any(|earlier| earlier.name == rule.name) => {
                    let _: Option<()> =
                        element.wrong(format!("the name {:?} is taken by an earlier rule", rule.name));
                    complete = false;
                }
                Some(rule) => config.rules.push(rule),
                None => complete = false,
            }
        }
        if !complete && config.rules.is_empty() {
            return field.wrong("none of its rules can be carried over".to_string());
        }
    }
    Some(("the rules".to_string(), config))
}

/// Milliseconds, or a text with a unit as scenarios have it.
fn millis(field: &Field) -> Option<Span> {
    if let Some(span) = field.node.text().and_then(|text| text.parse::<Span>().ok()) {
        return Some(span);
    }
    let year = 366.0 * 86_400_000.0;
    let millis = field.number("milliseconds from 0 to a year, such as 120000", |x| (0.0..=year).contains(&x))?;
    Some(Span((millis * 1e6).round() as u64))
}

/// A rule; `None` if it stays behind, or is wrong.
fn rule(field: &Field) -> Option<rules::Config> {
    field.map()?.leave_others(&[
        "name",
        "id",
        "metric",
        "operator",
        "threshold",
        "duration",
        "action",
        "priority",
        "cooldown",
        "enabled",
        "step",
        "aggregate",
        "missing",
        "evidence",
    ]);
    let name = field.get("name").or(field.get("id")).or_else(|| field.need("name", "\"cpu_scale_up\""))?.text()?;
    let given = field.need("metric", "\"cpuUtilization\"")?;
    let Some(metric) = names::metric(given.text()?) else { return field.leave(&names::unknown(given.text()?)) };
    let operator = field.need("operator", "\"gt\"")?;
    let operator = match operator.text()? {
        "eq" | "ne" | "==" | "!=" => {
            return field.leave("a measured value hardly ever equals a number exactly: use gt, gte, lt or lte");
        }
        _ => operator.choice(&[
            ("gt", Operator::Gt),
            ("gte", Operator::Gte),
            ("lt", Operator::Lt),
            ("lte", Operator::Lte),
            (">", Operator::Gt),
            (">=", Operator::Gte),
            ("<", Operator::Lt),
            ("<=", Operator::Lte),
        ])?,
    };
    let threshold = level(&field.need("threshold", "70")?, metric)?;
    let action = field.need("action", "\"scale_up\"")?;
    let named = snake(action.text()?);
    let Some(&(_, action)) = Action::ALL.iter().find(|(name, _)| *name == named) else {
        return action.unfit("one of scale_up, scale_down, circuit_break, alert");
    };
    let mut rule = rules::Config::new(name, metric, operator, threshold, action);
    if let Some(field) = field.get("duration") {
        rule.duration = millis(&field)?;
    }
    if let Some(field) = field.get("priority") {
        rule.priority = match field.count(0)? {
            priority @ 0..=100 => priority as u8,
            _ => return field.unfit("a whole number from 0 to 100"),
        };
    }
    if let Some(field) = field.get("cooldown") {
        rule.cooldown = millis(&field)?;
    }
    if let Some(field) = field.get("enabled") {
        rule.enabled = field.boolean()?;
    }
    if let Some(field) = field.get("step") {
        match action {
            Action::ScaleUp | Action::ScaleDown => rule.step = step(&field)?,
            Action::CircuitBreak | Action::Alert => {
                field.leave("only scale_up and scale_down have a step").unwrap_or(())
            }
        }
    }
    if let Some(field) = field.get("aggregate") {
        let aggregate = field.choice(&Aggregate::ALL)?;
        match metric.is_per_instance() {
            true => rule.aggregate = aggregate,
            false => field.leave("the metric is one number for the whole service").unwrap_or(()),
        }
    }
    if let Some(field) = field.get("missing") {
        rule.missing = field.choice(&Missing::ALL)?;
    }
    if let Some(field) = field.get("evidence") {
        rule.evidence = evidence(&field)?;
    }
    Some(rule)
}

fn evidence(field: &Field) -> Option<Evidence> {
    if field.node.text() == Some("continuous") {
        return Some(Evidence::Continuous);
    }
    let (m, n) = (field.need("m", "3")?, field.need("n", "5")?);
    let require_latest = field.get("requireLatest").map_or(Some(false), |f| f.boolean())?;
    match (m.count(1)?, n.count(1)?) {
        (_, most) if most > 10_000 => n.unfit("at most 10000 samples"),
        (least, most) if least > most => m.wrong(format!("{least} of {most} samples are more than there are")),
        (m, n) => Some(Evidence::MOfN { m, n, require_latest }),
    }
}

/// A threshold in the unit of the metric.
fn level(field: &Field, metric: Metric) -> Option<f64> {
    match metric.unit() {
        Unit::Percent => field.number("a percentage from 0 to 100", |x| (0.0..=100.0).contains(&x)),
        Unit::Ratio => field.number("a ratio from 0 to 1", |x| (0.0..=1.0).contains(&x)),
        Unit::Millis | Unit::Count | Unit::PerSecond => field.number("a number, 0 or more", |x| x >= 0.0),
    }
}

fn step(field: &Field) -> Option<Step> {
    let step = match &field.node.data {
        Data::Text(text) => text.parse().ok(),
        _ => field.raw_number().filter(|&x| x == x.trunc() && (1.0..=1e9).contains(&x)).map(|x| Step::Add(x as u32)),
    };
    match step {
        Some(Step::Add(0) | Step::Percent(0) | Step::To(0)) | None => {
            field.unfit("a number of instances, or \"+2\", \"50%\", \"to 10\"")
        }
        step => step,
    }
}

pub(super) fn write(config: &Config) -> Result<Export, ExportError> {
    if config.rules.is_empty() {
        let expected = "[[autoscaler.rule]]";
        return Err(ExportError::Nothing { form: "the JSON of rules", expected });
    }
    let notes = left_of(
        config,
        "the JSON of rules",
        &[],
        &[
            "interval",
            "scale_up_cooldown",
            "scale_down_cooldown",
            "cooldown_from",
            "max_staleness",
            "piling_on_guard",
            "scale_down_guards",
            "rule",
        ],
    );
    let default = Config::default();
    let mut root = Map::new();
    root.insert("minInstances".into(), config.min.into());
    root.insert("maxInstances".into(), config.max.into());
    root.insert("interval".into(), in_millis(config.interval));
    root.insert("scaleUpCooldown".into(), in_millis(config.scale_up_cooldown));
    root.insert("scaleDownCooldown".into(), in_millis(config.scale_down_cooldown));
    if config.cooldown_from != default.cooldown_from {
        root.insert("cooldownFrom".into(), name_of(&CooldownFrom::ALL, &config.cooldown_from).into());
    }
    if let Some(staleness) = config.max_staleness {
        root.insert("maxStaleness".into(), in_millis(staleness));
    }
    for (key, value, default) in [
        ("pilingOnGuard", config.piling_on_guard, default.piling_on_guard),
        ("scaleDownGuards", config.scale_down_guards, default.scale_down_guards),
    ] {
        if value != default {
            root.insert(key.into(), value.into());
        }
    }
    if config.shed_tolerance != default.shed_tolerance {
        root.insert("shedTolerance".into(), config.shed_tolerance.into());
    }
    let rules: Vec<Value> = config.rules.iter().map(rule_value).collect();
    root.insert("rules".into(), rules.into());
    let text = serde_json::to_string_pretty(&Value::Object(root)).expect("a tree of texts and numbers");
    Ok(Export { text: text + "\n", notes })
}

fn name_of<T: PartialEq>(all: &[(&'static str, T)], value: &T) -> &'static str {
    all.iter().find(|(_, each)| each == value).map_or("", |(name, _)| name)
}

/// Whole milliseconds as such, others with a fraction.
fn in_millis(span: Span) -> Value {
    match span.0 % 1_000_000 {
        0 => (span.0 / 1_000_000).into(),
        _ => (span.0 as f64 / 1e6).into(),
    }
}

fn in_number(x: f64) -> Value {
    if x == x.trunc() && x.abs() < 1e15 { (x as i64).into() } else { x.into() }
}

fn rule_value(rule: &rules::Config) -> Value {
    let default = rules::Config::new("", rule.metric, rule.operator, rule.threshold, rule.action);
    let mut value = json!({
        "name": rule.name,
        "metric": camel(rule.metric.name()),
        "operator": name_of(&Operator::ALL, &rule.operator),
        "threshold": in_number(rule.threshold),
        "duration": in_millis(rule.duration),
        "action": name_of(&Action::ALL, &rule.action),
        "priority": rule.priority,
        "cooldown": in_millis(rule.cooldown),
        "enabled": rule.enabled,
    });
    if rule.step != default.step {
        value["step"] = match rule.step {
            Step::Add(n) => n.into(),
            Step::Percent(p) => format!("{p}%").into(),
            Step::To(n) => format!("to {n}").into(),
        };
    }
    if rule.aggregate != default.aggregate {
        value["aggregate"] = name_of(&Aggregate::ALL, &rule.aggregate).into();
    }
    if rule.missing != default.missing {
        value["missing"] = name_of(&Missing::ALL, &rule.missing).into();
    }
    if let Evidence::MOfN { m, n, require_latest } = rule.evidence {
        value["evidence"] = json!({ "m": m, "n": n, "requireLatest": require_latest });
    }
    value
}

//! Scaling policies of AWS: of EC2 Auto Scaling and of Application Auto Scaling, as the JSON that their commands take
//! (`put-scaling-policy`, `put-metric-alarm`, `create-auto-scaling-group`, `register-scalable-target`) or as resources of
//! CloudFormation.
//!
//! Scheduled actions become a schedule. A step or simple policy acts on an alarm: the one whose `AlarmActions` name it. A file holds as many of these as belong together,
//! one after the other or in a list.
//!
//! EC2 has a warm-up where Application Auto Scaling has cooldowns; in a policy of target tracking by the former the cooldowns are 0,
//! and a policy without cooldowns and with a warm-up is written as one of EC2.

mod scheduled;
mod write;

use super::names;
use super::reader::{Field, Findings};
use super::schedule;
use super::tree::{Data, Node};
use crate::engine::autoscaler::adjustment::AdjustmentType;
use crate::engine::autoscaler::alarm::{self, TreatMissing};
use crate::engine::autoscaler::rules::Operator;
use crate::engine::autoscaler::step::StepAdjustment;
use crate::engine::autoscaler::{Config, Policy, aws_target_tracking, simple, step};
use crate::engine::metrics::{Aggregate, Metric};
use crate::units::Span;

pub(in crate::manifest) use write::{write_commands, write_template};

const ADJUSTMENTS: [(&str, AdjustmentType); 3] = [
    ("ChangeInCapacity", AdjustmentType::ChangeInCapacity),
    ("ExactCapacity", AdjustmentType::ExactCapacity),
    ("PercentChangeInCapacity", AdjustmentType::PercentChangeInCapacity),
];
const OPERATORS: [(&str, Operator); 4] = [
    ("GreaterThanThreshold", Operator::Gt),
    ("GreaterThanOrEqualToThreshold", Operator::Gte),
    ("LessThanThreshold", Operator::Lt),
    ("LessThanOrEqualToThreshold", Operator::Lte),
];
const MISSING: [(&str, TreatMissing); 4] = [
    ("missing", TreatMissing::Missing),
    ("ignore", TreatMissing::Ignore),
    ("breaching", TreatMissing::Breaching),
    ("notBreaching", TreatMissing::NotBreaching),
];
const STATISTICS: [(&str, Aggregate); 8] = [
    ("Average", Aggregate::Avg),
    ("Maximum", Aggregate::Max),
    ("Minimum", Aggregate::Min),
    ("Sum", Aggregate::Sum),
    ("p50", Aggregate::P50),
    ("p90", Aggregate::P90),
    ("p95", Aggregate::P95),
    ("p99", Aggregate::P99),
];
const DAY: u32 = 86_400;

/// One object, and the name by which others of CloudFormation refer to it.
struct Object<'a> {
    logical: Option<&'a str>,
    field: Field<'a>,
}

/// Whether a document has to do with it.
pub(super) fn is_one(node: &Node) -> bool {
    let keys =
        ["PolicyName", "PolicyType", "AutoScalingGroupName", "AlarmName", "ScalableDimension", "ScalingAdjustment"];
    let has = |node: &Node| keys.iter().any(|key| node.get(key).is_some());
    let of_template = |node: &Node| {
        let kind = node.get("Type").and_then(Node::text).unwrap_or_default();
        kind.starts_with("AWS::AutoScaling::") || kind.starts_with("AWS::ApplicationAutoScaling::")
    };
    match &node.data {
        Data::List(nodes) => nodes.iter().any(has),
        _ => match node.get("Resources").map(|resources| &resources.data) {
            Some(Data::Map(entries)) => entries.iter().any(|(_, node)| of_template(node)),
            _ => has(node),
        },
    }
}

/// Everything in the documents that may have to do with it.
fn objects<'a>(documents: &'a [Node], findings: &'a Findings) -> Vec<Object<'a>> {
    let mut found = Vec::new();
    for document in documents {
        let root = Field::root(document, findings);
        if let Some(resources) = root.get("Resources") {
            for (name, resource) in resources.entries() {
                let kind = resource.get("Type").and_then(|kind| kind.node.text()).unwrap_or_default();
                let ours = ["AWS::AutoScaling::", "AWS::ApplicationAutoScaling::", "AWS::CloudWatch::Alarm"];
                if let Some(field) = resource.get("Properties")
                    && ours.iter().any(|prefix| kind.starts_with(prefix))
                {
                    found.push(Object { logical: Some(name), field });
                }
            }
        } else if let Data::List(_) = document.data {
            found.extend(root.list().unwrap_or_default().into_iter().map(|field| Object { logical: None, field }));
        } else {
            found.push(Object { logical: None, field: root });
        }
    }
    found
}

pub(super) fn read(documents: &[Node], findings: &Findings) -> Option<(String, Config)> {
    let objects = objects(documents, findings);
    let mut config = Config { scale_down_guards: false, ..Config::default() };
    let mut bounded = false;
    let mut names: Vec<String> = Vec::new();
    let is_alarm = |object: &&Object| object.field.get("ComparisonOperator").is_some();
    let alarms: Vec<&Object> = objects.iter().filter(is_alarm).collect();
    for object in &objects {
        let f = &object.field;
        if f.get("Recurrence").is_some() {
            continue;
        }
        let least = f.get("MinSize").or(f.get("MinCapacity"));
        let most = f.get("MaxSize").or(f.get("MaxCapacity"));
        if let (Some(least), Some(most)) = (least, most) {
            (config.min, config.max) = (least.count(0)?, most.count(1)?);
            if config.max < config.min {
                return most.wrong(format!("{} is less than the minimum, which is {}", config.max, config.min));
            }
            bounded = true;
        }
    }
    let policies = objects.iter().filter(|object| {
        let has = |key| object.field.get(key).is_some();
        has("PolicyType") || has("AdjustmentType") || has("TargetTrackingConfiguration")
    });
    let mut first = None;
    for object in policies {
        let f = &object.field;
        first = first.or(Some(f.clone()));
        let given = f.get("PolicyName").and_then(|name| name.node.text()).or(object.logical).unwrap_or("aws");
        let mut name = given.to_string();
        while names.contains(&name) {
            name.push_str("_2");
        }
        if let Some(policy) = policy(object, &alarms, name.clone()) {
            config.policies.push(policy);
            names.push(name);
        }
    }
    let actions: Vec<&Object> = objects.iter().filter(|object| object.field.get("Recurrence").is_some()).collect();
    let slots = scheduled::slots(&actions, (config.min, config.max));
    first = first.or(actions.first().map(|action| action.field.clone()));
    config.policies.extend(schedule::policies(slots).into_iter().map(Policy::Schedule));
    let Some(first) = first else {
        findings.problem(documents.first().map(|node| node.line), "", "found no scaling policy".to_string());
        return None;
    };
    if config.policies.is_empty() {
        return first.wrong("none of the scaling policies can be carried over".to_string());
    }
    if !bounded {
        let _: Option<()> = first.leave(
            "there is no group or scalable target with the fewest and most instances: they are 1 and 10 until set",
        );
    }
    Some(("the scaling policies".to_string(), config))
}

fn policy(object: &Object, alarms: &[&Object], name: String) -> Option<Policy> {
    let f = &object.field;
    if let Some(enabled) = f.get("Enabled")
        && !enabled.boolean()?
    {
        return enabled.leave("a policy that is not enabled does nothing");
    }
    let kind = match f.get("PolicyType") {
        Some(kind) => kind.choice(&[
            ("SimpleScaling", "simple"),
            ("StepScaling", "step"),
            ("TargetTrackingScaling", "tracking"),
            ("PredictiveScaling", "predictive"),
        ])?,
        None if f.get("TargetTrackingConfiguration").is_some() => "tracking",
        None if f.get("StepAdjustments").is_some() => "step",
        None => "simple",
    };
    match kind {
        "tracking" => match f.get("TargetTrackingScalingPolicyConfiguration") {
            Some(inner) => tracking(&inner, f, true, name),
            None => tracking(&f.need("TargetTrackingConfiguration", "a map with TargetValue")?, f, false, name),
        },
        "predictive" => f.leave("the forecasts of predictive scaling are not published"),
        kind => {
            let Some(alarm) = alarm_of(object, alarms) else {
                return f.leave("no alarm with this policy in its AlarmActions is in the file: it would never act");
            };
            let alarm = alarm_config(&alarm.field)?;
            match kind {
                "step" => stepwise(f, alarm, name).map(Policy::Step),
                _ => one_step(f, alarm, name).map(Policy::Simple),
            }
        }
    }
}

fn tracking(inner: &Field, outer: &Field, application: bool, name: String) -> Option<Policy> {
    let target = inner.need("TargetValue", "60")?;
    let value = target.number("a number above 0", |x| x > 0.0)?;
    let (metric, target) = if let Some(predefined) = inner.get("PredefinedMetricSpecification") {
        let kind = predefined.need("PredefinedMetricType", "ASGAverageCPUUtilization")?;
        match kind.text()? {
            "ASGAverageCPUUtilization" | "ECSServiceAverageCPUUtilization" => (Metric::CpuUtilization, value),
            "ECSServiceAverageMemoryUtilization" => (Metric::MemoryUtilization, value),
            // Requests a minute there, a second here.
            "ALBRequestCountPerTarget" => (Metric::RequestsPerSecond, value / 60.0),
            _ => return kind.leave("no metric of a scenario answers to it"),
        }
    } else {
        let custom = inner.need("CustomizedMetricSpecification", "a map with MetricName")?;
        if let Some(metrics) = custom.get("Metrics") {
            return metrics.leave("metric math is not computed");
        }
        custom.leave_key("Dimensions", "a metric of a scenario has none: all of the service counts");
        if let Some(statistic) = custom.get("Statistic")
            && statistic.text()? != "Average"
        {
            return statistic.leave("target tracking of a scenario has the mean of the instances only");
        }
        let (metric, factor) = metric_of(&custom)?;
        (metric, value * factor)
    };
    if matches!(metric, Metric::CpuUtilization | Metric::MemoryUtilization) && target > 100.0 {
        return inner.wrong(format!("a utilization of {target} % is never reached"));
    }
    let mut config = aws_target_tracking::Config::new(metric, target);
    config.name = name;
    if let Some(field) = inner.get("DisableScaleIn") {
        config.disable_scale_in = field.boolean()?;
    }
    if application {
        if let Some(field) = inner.get("ScaleOutCooldown") {
            config.scale_out_cooldown = field.seconds(0, DAY)?;
        }
        if let Some(field) = inner.get("ScaleInCooldown") {
            config.scale_in_cooldown = field.seconds(0, DAY)?;
        }
    } else {
        let warmup =
            outer.get("EstimatedInstanceWarmup").map_or(Some(Span::from_secs(300)), |f| f.seconds(0, DAY))?;
        config.estimated_instance_warmup = Some(warmup);
        (config.scale_out_cooldown, config.scale_in_cooldown) = (Span::ZERO, Span::ZERO);
    }
    Some(Policy::AwsTargetTracking(config))
}

/// The metric of a specification or an alarm, and what its values have to be multiplied by.
fn metric_of(field: &Field) -> Option<(Metric, f64)> {
    let name = field.need("MetricName", "CPUUtilization")?;
    match name.text()? {
        "CPUUtilization" => Some((Metric::CpuUtilization, 1.0)),
        "MemoryUtilization" | "mem_used_percent" => Some((Metric::MemoryUtilization, 1.0)),
        // Seconds there.
        "TargetResponseTime" => Some((Metric::AverageResponseTime, 1000.0)),
        "ApproximateNumberOfMessagesVisible" => Some((Metric::QueueLength, 1.0)),
        other => match names::metric(other) {
            Some(metric) => Some((metric, 1.0)),
            None => name.leave(&names::unknown(other)),
        },
    }
}

/// The alarm that acts by a policy.
fn alarm_of<'a>(policy: &Object, alarms: &[&'a Object<'a>]) -> Option<&'a Object<'a>> {
    let name = policy.field.get("PolicyName").and_then(|name| name.node.text());
    let refers = |action: &Field| {
        let target = match &action.node.data {
            Data::Map(entries) => entries.first().and_then(|(_, node)| match &node.data {
                Data::List(nodes) => nodes.first().and_then(Node::text),
                _ => node.text(),
            }),
            _ => action.node.text(),
        };
        let Some(target) = target else { return false };
        let by_logical = policy.logical.is_some_and(|own| target == own || target.split('.').next() == Some(own));
        by_logical || name.is_some_and(|own| target == own || target.ends_with(&format!("policyName/{own}")))
    };
    alarms.iter().copied().find(|alarm| {
        let actions = alarm.field.get("AlarmActions");
        actions.is_some_and(|actions| match &actions.node.data {
            Data::List(_) => actions.list().unwrap_or_default().iter().any(refers),
            _ => refers(&actions),
        })
    })
}

fn alarm_config(f: &Field) -> Option<alarm::Config> {
    if let Some(metrics) = f.get("Metrics") {
        return metrics.leave("metric math is not computed");
    }
    let period = match f.get("Period") {
        Some(field) => field.seconds(1, DAY)?,
        None => Span::from_secs(60),
    };
    let statistic = f.get("Statistic").or(f.get("ExtendedStatistic"));
    let aggregate = statistic.map_or(Some(Aggregate::Avg), |f| f.choice(&STATISTICS))?;
    let operator = f.need("ComparisonOperator", "GreaterThanThreshold")?.choice(&OPERATORS)?;
    let threshold = f.need("Threshold", "60")?.number("a number, 0 or more", |x| x >= 0.0)?;
    let is_count = f.get("MetricName").is_some_and(|name| name.node.text() == Some("RequestCount"));
    let (metric, aggregate, threshold) = if is_count {
        // A count of a period there, a rate here.
        (Metric::RequestsPerSecond, Aggregate::Avg, threshold / period.as_secs_f64())
    } else {
        let (metric, factor) = metric_of(f)?;
        let aggregate = if metric == Metric::QueueLength && factor == 1.0 && aggregate == Aggregate::Avg {
            // A queue outside has one value, which is that of the whole service.
            let outside = f.get("MetricName").is_some_and(|f| f.node.text() != Some(metric.name()));
            if outside { Aggregate::Sum } else { aggregate }
        } else {
            aggregate
        };
        (metric, aggregate, threshold * factor)
    };
    let is_percent = matches!(metric, Metric::CpuUtilization | Metric::MemoryUtilization);
    if is_percent && aggregate != Aggregate::Sum && threshold > 100.0 {
        return f.need("Threshold", "60")?.unfit("a percentage from 0 to 100");
    }
    let mut config = alarm::Config::new(metric, operator, threshold);
    config.aggregate = aggregate;
    config.period = period;
    config.evaluation_periods = f.need("EvaluationPeriods", "3")?.count(1)?;
    config.datapoints_to_alarm = config.evaluation_periods;
    if let Some(points) = f.get("DatapointsToAlarm") {
        config.datapoints_to_alarm = match points.count(1)? {
            n if n > config.evaluation_periods => {
                return points.wrong(format!("{n} of {} points are more than there are", config.evaluation_periods));
            }
            n => n,
        };
    }
    if let Some(missing) = f.get("TreatMissingData") {
        config.treat_missing_data = missing.choice(&MISSING)?;
    }
    f.leave_key("Dimensions", "a metric of a scenario has none: all of the service counts");
    Some(config)
}

fn whole(field: &Field) -> Option<i32> {
    let fits = |x: f64| x == x.trunc() && x.abs() <= 1e9;
    field.number("a whole number of instances or percent", fits).map(|x| x as i32)
}

/// `AdjustmentType` and `MinAdjustmentMagnitude`.
fn adjustment(f: &Field) -> Option<(AdjustmentType, u32)> {
    let kind = f.need("AdjustmentType", "ChangeInCapacity")?.choice(&ADJUSTMENTS)?;
    let least = f.get("MinAdjustmentMagnitude");
    match least {
        Some(field) if kind != AdjustmentType::PercentChangeInCapacity => {
            let _: Option<()> = field.leave("it is for PercentChangeInCapacity only");
            Some((kind, 1))
        }
        Some(field) => Some((kind, field.count(1)?)),
        None => Some((kind, 1)),
    }
}

fn stepwise(outer: &Field, alarm: alarm::Config, name: String) -> Option<step::Config> {
    let inner = outer.get("StepScalingPolicyConfiguration");
    let f = inner.as_ref().unwrap_or(outer);
    let (kind, least) = adjustment(f)?;
    let list = f.need("StepAdjustments", "a list of steps")?;
    let factor = if alarm.metric == Metric::AverageResponseTime { 1000.0 } else { 1.0 };
    let bound = |step: &Field, key: &str| match step.get(key) {
        Some(field) => field.number("a distance from the threshold", |_| true).map(|x| Some(x * factor)),
        None => Some(None),
    };
    let step = |step: &Field| {
        let lower = bound(step, "MetricIntervalLowerBound")?;
        let upper = bound(step, "MetricIntervalUpperBound")?;
        let adjustment = whole(&step.need("ScalingAdjustment", "1")?)?;
        Some(StepAdjustment { lower, upper, adjustment })
    };
    let steps: Vec<Option<StepAdjustment>> = list.list()?.iter().map(step).collect();
    let mut steps: Vec<StepAdjustment> = steps.into_iter().collect::<Option<_>>()?;
    steps.sort_by(|a, b| a.lower.unwrap_or(f64::NEG_INFINITY).total_cmp(&b.lower.unwrap_or(f64::NEG_INFINITY)));
    if steps.is_empty() {
        return list.unfit("at least one step");
    }
    if steps.windows(2).any(|pair| pair[0].upper.is_none() || pair[0].upper != pair[1].lower) {
        return list.wrong("its steps overlap, or leave a gap between them".to_string());
    }
    let mut config = step::Config::new(name, alarm, steps);
    (config.adjustment_type, config.min_adjustment_magnitude) = (kind, least);
    if let Some(field) = outer.get("EstimatedInstanceWarmup") {
        config.estimated_instance_warmup = field.seconds(0, DAY)?;
    } else if let Some(field) = inner.as_ref().and_then(|inner| inner.get("Cooldown")) {
        config.estimated_instance_warmup = field.seconds(0, DAY)?;
        let _: Option<()> =
            field.leave("taken as the warm-up of an instance: until it is over a change is not made twice");
    }
    Some(config)
}

fn one_step(f: &Field, alarm: alarm::Config, name: String) -> Option<simple::Config> {
    let (kind, least) = adjustment(f)?;
    let given = f.need("ScalingAdjustment", "1")?;
    let change = whole(&given)?;
    let wanted = if alarm.is_high() { 1 } else { -1 };
    if kind != AdjustmentType::ExactCapacity && change.signum() != wanted {
        return given.wrong(format!(
            "{change} goes against its alarm, which is {} its threshold",
            if wanted > 0 { "above" } else { "below" }
        ));
    }
    let mut config = simple::Config::new(name, alarm, change);
    (config.adjustment_type, config.min_adjustment_magnitude) = (kind, least);
    if let Some(field) = f.get("Cooldown") {
        config.cooldown = field.seconds(0, DAY)?;
    }
    Some(config)
}

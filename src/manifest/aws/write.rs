//! The objects of AWS written: as the JSON of commands, or as a template.

use serde_json::{Map, Value, json};

use super::{ADJUSTMENTS, MISSING, OPERATORS, STATISTICS};
use crate::engine::autoscaler::adjustment::AdjustmentType;
use crate::engine::autoscaler::alarm;
use crate::engine::autoscaler::rules::Operator;
use crate::engine::autoscaler::schedule::Config as Schedule;
use crate::engine::autoscaler::step::StepAdjustment;
use crate::engine::autoscaler::{Config, Policy, aws_target_tracking, target_tracking};
use crate::engine::metrics::Metric;
use crate::manifest::{Export, ExportError, Note, hpa, left_of, schedule, yaml};
use crate::units::Span;

/// An object to write: what CloudFormation calls its type, the name of the resource, and its properties.
struct Resource {
    kind: &'static str,
    logical: String,
    properties: Value,
}

/// The JSON of the commands, in a list: the group, and each policy with its alarm.
pub(in crate::manifest) fn write_commands(config: &Config, name: &str) -> Result<Export, ExportError> {
    let (resources, notes) = resources(config, name, false)?;
    let list: Vec<Value> = resources.into_iter().map(|resource| resource.properties).collect();
    let text = serde_json::to_string_pretty(&list).expect("a tree of texts and numbers");
    Ok(Export { text: text + "\n", notes })
}

/// A template of CloudFormation.
pub(in crate::manifest) fn write_template(config: &Config, name: &str) -> Result<Export, ExportError> {
    let (resources, notes) = resources(config, name, true)?;
    let mut map = Map::new();
    for resource in resources {
        let value = json!({ "Type": resource.kind, "Properties": resource.properties });
        map.insert(resource.logical, value);
    }
    let document = json!({ "AWSTemplateFormatVersion": "2010-09-09", "Resources": map });
    Ok(Export { text: yaml::document(&document), notes })
}

fn resources(config: &Config, name: &str, template: bool) -> Result<(Vec<Resource>, Vec<Note>), ExportError> {
    let ours = |policy: &Policy| {
        use Policy::{AwsTargetTracking, Schedule, Simple, Step, TargetTracking};
        matches!(policy, Step(_) | Simple(_) | AwsTargetTracking(_) | TargetTracking(_) | Schedule(_))
    };
    let held: Vec<usize> = (0..config.policies.len()).filter(|&i| ours(&config.policies[i])).collect();
    if held.is_empty() {
        let expected =
            "policy of kind \"step\", \"simple\", \"aws_target_tracking\", \"target_tracking\" or \"schedule\"";
        return Err(ExportError::Nothing { form: "a scaling policy of AWS", expected });
    }
    let mut notes = left_of(config, "a scaling policy of AWS", &held, &[]);
    let policies: Vec<Policy> = held.iter().map(|&i| as_aws(&config.policies[i], &mut notes)).collect();
    let is_application = |policy: &Policy| matches!(policy, Policy::AwsTargetTracking(config) if !is_ec2(config));
    let mut out = Vec::new();
    let group = name.to_string();
    if policies.iter().any(|policy| !is_application(policy)) {
        let mut properties = json!({
            "AutoScalingGroupName": group,
            "MinSize": config.min,
            "MaxSize": config.max,
        });
        if template {
            (properties["MinSize"], properties["MaxSize"]) =
                (config.min.to_string().into(), config.max.to_string().into());
            let reason = "a stack needs what the group launches as well: put its LaunchTemplate and subnets in";
            notes.push(Note { line: None, key: "autoscaler".into(), reason: reason.into() });
        }
        out.push(Resource { kind: "AWS::AutoScaling::AutoScalingGroup", logical: "Group".into(), properties });
    }
    let target = json!({
        "ServiceNamespace": "ecs",
        "ResourceId": format!("service/default/{name}"),
        "ScalableDimension": "ecs:service:DesiredCount",
    });
    if policies.iter().any(is_application) {
        let mut properties = target.clone();
        (properties["MinCapacity"], properties["MaxCapacity"]) = (config.min.into(), config.max.into());
        let kind = "AWS::ApplicationAutoScaling::ScalableTarget";
        out.push(Resource { kind, logical: "Target".into(), properties });
    }
    for (i, policy) in policies.iter().enumerate() {
        let logical = format!("Policy{}", i + 1);
        let mut note = |key: &str, reason: &str| {
            let key = format!("autoscaler.policy.{}.{key}", policy.name());
            notes.push(Note { line: None, key, reason: reason.to_string() });
        };
        let group = if template { json!({ "Ref": "Group" }) } else { json!(group) };
        let (kind, properties, alarm) = match policy {
            Policy::Step(step) => {
                let mut value = json!({
                    "AutoScalingGroupName": group,
                    "PolicyName": step.name,
                    "PolicyType": "StepScaling",
                });
                put_adjustment(&mut value, step.adjustment_type, step.min_adjustment_magnitude);
                value["StepAdjustments"] = step.steps.iter().map(step_value).collect();
                value["EstimatedInstanceWarmup"] = whole_seconds(step.estimated_instance_warmup, &mut note);
                ("AWS::AutoScaling::ScalingPolicy", value, Some(&step.alarm))
            }
            Policy::Simple(simple) => {
                let mut value = json!({
                    "AutoScalingGroupName": group,
                    "PolicyName": simple.name,
                    "PolicyType": "SimpleScaling",
                });
                put_adjustment(&mut value, simple.adjustment_type, simple.min_adjustment_magnitude);
                value["ScalingAdjustment"] = simple.adjustment.into();
                let cooldown = whole_seconds(simple.cooldown, &mut note);
                value["Cooldown"] = if template { cooldown.to_string().into() } else { cooldown };
                ("AWS::AutoScaling::ScalingPolicy", value, Some(&simple.alarm))
            }
            Policy::Schedule(each) => {
                actions(config, each, &group, (&logical, &mut out), &mut notes);
                continue;
            }
            Policy::AwsTargetTracking(tracking) => {
                let application = !is_ec2(tracking);
                let mut inner = tracking_value(tracking, application);
                if application {
                    inner["ScaleOutCooldown"] = whole_seconds(tracking.scale_out_cooldown, &mut note);
                    inner["ScaleInCooldown"] = whole_seconds(tracking.scale_in_cooldown, &mut note);
                    if tracking.estimated_instance_warmup.is_some() {
                        note("estimated_instance_warmup", "Application Auto Scaling has cooldowns in its place");
                    }
                    let mut value = json!({ "PolicyName": tracking.name, "PolicyType": "TargetTrackingScaling" });
                    for (key, part) in target.as_object().into_iter().flatten() {
                        value[key] = part.clone();
                    }
                    value["TargetTrackingScalingPolicyConfiguration"] = inner;
                    ("AWS::ApplicationAutoScaling::ScalingPolicy", value, None)
                } else {
                    let warmup = tracking.estimated_instance_warmup.unwrap_or(Span::ZERO);
                    let value = json!({
                        "AutoScalingGroupName": group,
                        "PolicyName": tracking.name,
                        "PolicyType": "TargetTrackingScaling",
                        "TargetTrackingConfiguration": inner,
                        "EstimatedInstanceWarmup": whole_seconds(warmup, &mut note),
                    });
                    ("AWS::AutoScaling::ScalingPolicy", value, None)
                }
            }
            _ => continue,
        };
        out.push(Resource { kind, logical: logical.clone(), properties });
        if let Some(alarm) = alarm {
            let action = if template { json!({ "Ref": logical }) } else { json!(policy.name()) };
            if !template {
                note(
                    "alarm",
                    "AlarmActions hold the policy's name: put the PolicyARN there that put-scaling-policy answers with",
                );
            }
            let mut properties = alarm_value(alarm, &mut note);
            properties["AlarmName"] = format!("{}-alarm", policy.name()).into();
            properties["AlarmActions"] = json!([action]);
            out.push(Resource { kind: "AWS::CloudWatch::Alarm", logical: format!("{logical}Alarm"), properties });
        }
    }
    Ok((out, notes))
}

/// A policy as AWS knows it: target tracking of ours becomes that of EC2, which differs in more than its name.
fn as_aws(policy: &Policy, notes: &mut Vec<Note>) -> Policy {
    let Policy::TargetTracking(ours) = policy else { return policy.clone() };
    let target_tracking::Config { name, metric, target, tolerance, scale_in, stabilization_window } = ours;
    let mut note = |key: &str, reason: String| {
        notes.push(Note { line: None, key: format!("autoscaler.policy.{name}.{key}"), reason });
    };
    note(
        "tolerance",
        format!("{tolerance} is ours: AWS scales out above the target and in below about nine tenths of it"),
    );
    note(
        "stabilization_window",
        format!("{stabilization_window} is ours: AWS waits for three minutes above, or fifteen below"),
    );
    let mut theirs = aws_target_tracking::Config::new(*metric, *target);
    theirs.name.clone_from(name);
    theirs.disable_scale_in = !scale_in;
    theirs.estimated_instance_warmup = Some(Span::from_secs(300));
    (theirs.scale_out_cooldown, theirs.scale_in_cooldown) = (Span::ZERO, Span::ZERO);
    Policy::AwsTargetTracking(theirs)
}

/// The scheduled actions of a schedule: one that begins each entry, and one that ends it.
fn actions(
    config: &Config,
    each: &Schedule,
    group: &Value,
    (logical, out): (&str, &mut Vec<Resource>),
    notes: &mut Vec<Note>,
) {
    let mut note = |key: String, reason: &str| {
        let key = format!("autoscaler.policy.{}.entries.{key}", each.name);
        notes.push(Note { line: None, key, reason: reason.to_string() });
    };
    for (i, entry) in each.entries.iter().enumerate() {
        let Some(end) = schedule::end(entry) else {
            note(format!("{i}.for"), "a scheduled action is at moments of an expression: give `end`");
            continue;
        };
        if each.entries.len() > 1 {
            note(i.to_string(), "where entries overlap, the end of one also ends the other");
        }
        for (when, cron, bounds) in [
            ("start", &entry.start, (entry.instances.unwrap_or(config.min), entry.max.unwrap_or(config.max))),
            ("end", &end, (config.min, config.max)),
        ] {
            let mut properties = json!({
                "AutoScalingGroupName": group,
                "MinSize": bounds.0,
                "MaxSize": bounds.1,
                "Recurrence": cron.to_string(),
                "TimeZone": schedule::zone_name(&each.timezone),
            });
            // In a template the name of the resource takes the place of one.
            if !group.is_object() {
                properties["ScheduledActionName"] = format!("{}-{}-{when}", each.name, i + 1).into();
            }
            let logical = format!("{logical}Entry{}{}", i + 1, if when == "start" { "Start" } else { "End" });
            out.push(Resource { kind: "AWS::AutoScaling::ScheduledAction", logical, properties });
        }
    }
}

/// Whether a policy is as those of EC2 are.
fn is_ec2(config: &aws_target_tracking::Config) -> bool {
    config.estimated_instance_warmup.is_some()
        && config.scale_out_cooldown == Span::ZERO
        && config.scale_in_cooldown == Span::ZERO
}

fn whole_seconds(span: Span, note: &mut dyn FnMut(&str, &str)) -> Value {
    hpa::seconds(span, "duration", &mut |key, reason| note(key, &reason)).into()
}

fn put_adjustment(value: &mut Value, kind: AdjustmentType, least: u32) {
    value["AdjustmentType"] = ADJUSTMENTS.iter().find(|(_, each)| *each == kind).map_or("", |(name, _)| name).into();
    if kind == AdjustmentType::PercentChangeInCapacity {
        value["MinAdjustmentMagnitude"] = least.into();
    }
}

fn step_value(step: &StepAdjustment) -> Value {
    let mut value = json!({ "ScalingAdjustment": step.adjustment });
    for (key, bound) in [("MetricIntervalLowerBound", step.lower), ("MetricIntervalUpperBound", step.upper)] {
        if let Some(bound) = bound {
            value[key] = number(bound);
        }
    }
    value
}

fn number(x: f64) -> Value {
    if x == x.trunc() && x.abs() < 1e15 { (x as i64).into() } else { x.into() }
}

fn tracking_value(config: &aws_target_tracking::Config, application: bool) -> Value {
    let predefined = match (config.metric, application) {
        (Metric::CpuUtilization, false) => Some("ASGAverageCPUUtilization"),
        (Metric::CpuUtilization, true) => Some("ECSServiceAverageCPUUtilization"),
        (Metric::MemoryUtilization, true) => Some("ECSServiceAverageMemoryUtilization"),
        _ => None,
    };
    let mut value = match predefined {
        Some(kind) => json!({ "PredefinedMetricSpecification": { "PredefinedMetricType": kind } }),
        None => json!({ "CustomizedMetricSpecification": {
            "MetricName": config.metric.name(),
            "Namespace": "Wavetank",
            "Statistic": "Average",
        } }),
    };
    value["TargetValue"] = number(config.target);
    value["DisableScaleIn"] = config.disable_scale_in.into();
    value
}

fn alarm_value(alarm: &alarm::Config, note: &mut dyn FnMut(&str, &str)) -> Value {
    let named = |all: &[(&'static str, Operator)]| {
        all.iter().find(|(_, each)| *each == alarm.operator).map_or("", |(name, _)| *name)
    };
    let is_cpu = alarm.metric == Metric::CpuUtilization;
    let statistic = STATISTICS.iter().find(|(_, each)| *each == alarm.aggregate).map_or("", |(name, _)| name);
    let key = if statistic.starts_with('p') { "ExtendedStatistic" } else { "Statistic" };
    let missing = MISSING.iter().find(|(_, each)| *each == alarm.treat_missing_data).map_or("", |(name, _)| name);
    let mut value = json!({
        "MetricName": if is_cpu { "CPUUtilization" } else { alarm.metric.name() },
        "Namespace": if is_cpu { "AWS/EC2" } else { "Wavetank" },
        "ComparisonOperator": named(&OPERATORS),
        "Threshold": number(alarm.threshold),
        "EvaluationPeriods": alarm.evaluation_periods,
        "DatapointsToAlarm": alarm.datapoints_to_alarm,
        "TreatMissingData": missing,
    });
    value[key] = statistic.into();
    value["Period"] = whole_seconds(alarm.period, note);
    value
}

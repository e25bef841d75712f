//! The test tables of the Kubernetes controller, where they are there.

use super::behavior::{Entry, change_within, limit_without_behavior};
use super::replicas::Groups;
use super::*;
use crate::engine::autoscaler::tests::tables::{Row, table};

const NOW: Time = Time(100_000_000_000_000);
/// The controller's settings in those tests.
const STARTING: Starting =
    Starting { cpu_initialization_period: Span::from_secs(120), initial_readiness_delay: Span::from_secs(10) };
const TOLERANCE: Tolerance = Tolerance { up: 0.1, down: 0.1, test: ToleranceTest::Interval };

/// `COUNT@-AGEs` pairs.
fn entries(row: &Row, column: &str) -> Vec<Entry> {
    let entry = |text: &str| {
        let (count, age) = text.trim_end_matches('s').split_once("@-").expect("COUNT@-AGEs");
        Entry { at: ago(age.parse().expect("seconds")), count: count.parse().expect("a count") }
    };
    row.list(column).into_iter().map(entry).collect()
}

fn ago(seconds: u64) -> Time {
    Time(NOW.0 - seconds * 1_000_000_000)
}

/// `count` pods as a row of the calculator's or the controller's table describes them, and a sample for each value of `usage`.
fn pods(row: &Row, count: usize, usage: &[i64]) -> (Vec<Pod>, Vec<Option<Usage>>) {
    let (requests, ready) = (row.numbers::<i64>("pod_request_milli"), row.list("pod_ready"));
    let (ages, phases) = (row.numbers::<u64>("pod_age_s"), row.list("pod_phase"));
    let deleting = row.list("pod_deleting");
    let pod = |i: usize| {
        let age = Span::from_secs(ages.get(i).copied().unwrap_or(1_000_000));
        let phase = match phases.get(i) {
            Some(&"Pending") => Phase::Pending,
            Some(&"Failed") => Phase::Failed,
            Some(&"Running") | None => Phase::Running,
            Some(other) => panic!("no phase {other}"),
        };
        let readiness = Some(Readiness { ready: ready.get(i) != Some(&"F"), age });
        let deleting = deleting.get(i) == Some(&"T");
        Pod { phase, deleting, readiness, age: Some(age), request: requests.get(i).copied() }
    };
    let sample = |i: usize| usage.get(i).map(|&milli| Usage { milli, age: Span::ZERO, window: Span::from_secs(60) });
    ((0..count).map(pod).collect(), (0..usage.len().max(count)).map(sample).collect())
}

#[test]
fn replicas_are_those_of_the_replica_calculator() {
    let Some(rows) = table("hpa_replica_calculator.csv") else { return };
    assert!(rows.len() >= 30, "only {} rows", rows.len());
    for row in &rows {
        let case = row.cell("case");
        let current: u32 = row.number("current_replicas").expect("a size");
        let target: i64 = row.number("target").expect("a target");
        let usage = row.numbers::<i64>("pod_usage_milli");
        let listed = [row.list("pod_request_milli").len(), row.list("pod_ready").len()].into_iter().max();
        let kind = row.cell("metric_kind");
        let of_pods = kind.starts_with("resource") || kind == "pods_average_value";
        let count = match listed {
            Some(0) | None if of_pods => usage.len(),
            Some(0) | None => current as usize,
            Some(count) => count,
        };
        let (pods, mut samples) = pods(row, count, &usage);
        if case == "DisjointResourcesMetrics" {
            // Its only sample is of a pod that nobody knows.
            samples.insert(0, None);
        }
        let of_pods = |cpu, target| {
            let all = Pods { pods: &pods, samples: &samples };
            replicas::from_pods(current, target, all, &all.group(cpu, STARTING), TOLERANCE)
        };
        let all = Pods { pods: &pods, samples: &[] };
        let level = match kind {
            "resource_utilization_percent" => of_pods(true, PodTarget::Utilization(target as u32)),
            "pods_average_value" => of_pods(false, PodTarget::Average(target)),
            "external_value" | "object_value" => replicas::from_value(current, usage[0], target, all, TOLERANCE),
            "external_average_value_per_pod" | "object_average_value_per_pod" => {
                Ok(replicas::from_value_per_pod(current, usage[0], target, TOLERANCE))
            }
            other => panic!("{case}: no kind {other}"),
        };
        let error = row.cell("expected_error");
        match level {
            Err(no_value) => {
                let words = no_value.to_string();
                assert!(!error.is_empty() && words.contains(error), "{case}: found error {words:?}, not {error:?}");
            }
            Ok(level) => {
                assert_eq!(error, "", "{case}: an error is expected, found {level:?}");
                assert_eq!(Some(level.replicas), row.number("expected_replicas"), "{case}");
                let same =
                    |column: &str, found: i64| row.number(column).is_none_or(|expected: i64| expected == found);
                assert!(same("expected_current", level.current), "{case}: {level:?}");
                assert!(same("expected_raw_average_milli", level.raw_average), "{case}: {level:?}");
            }
        }
    }
}

#[test]
fn pods_are_grouped_as_the_controller_groups_them() {
    let Some(rows) = table("hpa_pod_grouping.csv") else { return };
    assert!(rows.len() >= 6, "only {} rows", rows.len());
    for row in &rows {
        let phase = match row.cell("pod_phase") {
            "Pending" => Phase::Pending,
            "Failed" => Phase::Failed,
            _ => Phase::Running,
        };
        let pod = Pod {
            phase,
            deleting: false,
            readiness: match row.cell("ready_condition") {
                "none" => None,
                condition => Some(Readiness {
                    ready: condition == "T",
                    age: row.seconds("ready_transition_age_s").unwrap_or_default(),
                }),
            },
            age: row.seconds("pod_age_s"),
            request: Some(1000),
        };
        let sample = (row.cell("metric_age_s") != "no metric").then(|| Usage {
            milli: 1,
            age: row.seconds("metric_age_s").unwrap_or_default(),
            window: row.seconds("metric_window_s").unwrap_or_default(),
        });
        let void = row.cell("expected_group") == "ready=0";
        let (pods, samples) = if void { (vec![], vec![]) } else { (vec![pod], vec![sample]) };
        let groups = Pods { pods: &pods, samples: &samples }.group(row.cell("resource") == "cpu", STARTING);
        let expected = match row.cell("expected_group") {
            "ready=0" => Groups::default(),
            "ready" => Groups { ready: 1, ..Groups::default() },
            // The table calls ignored what is left out of the metrics: the group of unready pods.
            "ignored" => Groups { unready: vec![0], ..Groups::default() },
            other => panic!("no group {other}"),
        };
        assert_eq!(groups, expected, "{}", row.cell("case"));
    }
}

#[test]
fn the_controller_concludes_what_the_original_concludes() {
    let Some(rows) = table("hpa_controller.csv") else { return };
    assert!(rows.len() >= 32, "only {} rows", rows.len());
    for row in &rows {
        let case = row.cell("case");
        let current: u32 = row.number("spec_replicas").expect("a size");
        let usage = row.numbers::<i64>("pod_usage_milli");
        let listed = row.list("pod_request_milli").len();
        let count = if listed > 0 { listed } else { row.number("status_replicas").expect("a size") };
        let (pods, samples) = pods(row, count, &usage);
        let kinds = row.cell("metric_kind").split('|');
        let kinds: Vec<(&str, &str)> = kinds.zip(row.cell("target").split('|')).collect();
        let measured = |&(kind, target): &(&str, &str)| {
            let target: i64 = target.parse().unwrap_or(1);
            let value = usage.first().copied();
            match kind {
                "resource_utilization_percent" => Measured::Pods {
                    cpu: true,
                    target: PodTarget::Utilization(target as u32),
                    samples: samples.clone(),
                },
                "pods_average_value" => {
                    Measured::Pods { cpu: false, target: PodTarget::Average(target), samples: samples.clone() }
                }
                "object_value" | "external_value" => Measured::Value { target, value },
                "object_average_value_per_pod" => Measured::ValuePerPod { target, value },
                // A metric source of an unknown type gives nothing.
                "invalid" => Measured::Value { target, value: None },
                other => panic!("{case}: no kind {other}"),
            }
        };
        let behavior = row.cell("behavior");
        let behavior = (!behavior.is_empty()).then(|| {
            assert_eq!(behavior, "up:percent=700/60s");
            let minute = Span::from_secs(60);
            let policy = ScalingPolicy { kind: ScalingPolicyType::Percent, value: 700, period: minute };
            let up = ScalingRules { policies: vec![policy], ..Behavior::default().scale_up };
            Behavior { scale_up: up, ..Behavior::default() }
        });
        let mut hpa = Hpa::new(Config {
            behavior,
            cpu_initialization_period: STARTING.cpu_initialization_period,
            initial_readiness_delay: STARTING.initial_readiness_delay,
            ..Config::default()
        });
        match row.cell("recommendation_history") {
            "none" => {}
            "empty" => hpa.history.begun = true,
            _ => {
                hpa.history.begun = true;
                hpa.history.recommendations = entries(row, "recommendation_history");
            }
        }
        let bounds = Bounds {
            min: row.number("min_replicas").expect("a minimum"),
            max: row.number("max_replicas").expect("a maximum"),
        };
        let measured: Vec<Measured> = kinds.iter().map(measured).collect();
        let concluded = hpa.sync(NOW, current, &pods, &measured, bounds);
        assert_eq!(Some(concluded.desired), row.number("expected_desired_replicas"), "{case}: {concluded:?}");
        let reason = row.cell("expected_condition_reason");
        let fits = match reason {
            "" => true,
            "ScaleDownStabilized" => concluded.reason == Reason::ScaleDownStabilized,
            "TooFewReplicas" => concluded.reason == Reason::Limited(Condition::TooFew),
            "TooManyReplicas" => concluded.reason == Reason::Limited(Condition::TooMany),
            "DesiredWithinRange" => concluded.reason == Reason::Limited(Condition::Within),
            "ScalingDisabled" => concluded.reason == Reason::ScalingDisabled,
            // The rescale that the bounds demand.
            "SucceededRescale" => concluded.desired != current,
            "FailedGetResourceMetric" | "InvalidMetricSourceType" => matches!(concluded.reason, Reason::Failed(_)),
            other => panic!("{case}: no reason {other}"),
        };
        assert!(fits, "{case}: {reason} is expected, found {concluded:?}");
    }
}

/// The behavior of a row; Kubernetes fills in the direction that a row leaves out.
fn behavior(row: &Row) -> Behavior {
    let rules = |way: &str, default: ScalingRules| {
        let policy = |kind, name: &str| {
            let value = row.number(&format!("{way}_{name}"))?;
            let period = row.seconds(&format!("{way}_{name}_period_s")).expect("a period");
            Some(ScalingPolicy { kind, value, period })
        };
        let policies: Vec<ScalingPolicy> =
            [policy(ScalingPolicyType::Pods, "pods"), policy(ScalingPolicyType::Percent, "percent")]
                .into_iter()
                .flatten()
                .collect();
        if policies.is_empty() { default } else { ScalingRules { policies, ..default } }
    };
    let default = Behavior::default();
    Behavior { scale_up: rules("up", default.scale_up), scale_down: rules("down", default.scale_down) }
}

fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Within => "DesiredWithinRange",
        Condition::ScaleUpLimit => "ScaleUpLimit",
        Condition::ScaleDownLimit => "ScaleDownLimit",
        Condition::TooMany => "TooManyReplicas",
        Condition::TooFew => "TooFewReplicas",
    }
}

#[test]
fn scaling_policies_limit_as_the_original_limits() {
    let Some(rows) = table("hpa_behavior_rate.csv") else { return };
    assert!(rows.len() >= 25, "only {} rows", rows.len());
    for row in &rows {
        let case = row.cell("case");
        let history = History {
            scale_ups: entries(row, "scale_up_events"),
            scale_downs: entries(row, "scale_down_events"),
            ..History::default()
        };
        let bounds = (row.number("min_replicas").expect("a minimum"), row.number("max_replicas").expect("a maximum"));
        let (current, desired) =
            (row.number("current_replicas").expect("a size"), row.number("desired_replicas").expect("a wish"));
        let limited = history.limit(NOW, current, desired, bounds, &behavior(row));
        assert_eq!(Some(limited.replicas), row.number("expected_replicas"), "{case}");
        let expected = row.cell("expected_condition");
        assert!(expected.is_empty() || expected == condition(limited.condition), "{case}: {limited:?}");
    }
}

#[test]
fn without_a_behavior_the_limits_are_the_old_ones() {
    let Some(rows) = table("hpa_convert_without_behavior.csv") else { return };
    assert!(rows.len() >= 3, "only {} rows", rows.len());
    for row in &rows {
        let of = |column: &str| row.number::<u32>(column).expect("a count");
        let bounds = (of("min_replicas"), of("max_replicas"));
        let limited = limit_without_behavior(of("current_replicas"), of("desired_replicas"), bounds);
        let found = (limited.replicas, condition(limited.condition));
        assert_eq!(found, (of("expected_replicas"), row.cell("expected_condition")), "{}", row.cell("case"));
    }
}

#[test]
fn recommendations_are_stabilized_as_the_original_does() {
    let Some(rows) = table("hpa_stabilization.csv") else { return };
    assert!(rows.len() >= 10, "only {} rows", rows.len());
    for row in &rows {
        let case = row.cell("case");
        let mut history =
            History { begun: true, recommendations: entries(row, "recommendation_history"), ..History::default() };
        let raw = row.number("desired_replicas").expect("a wish");
        let down = row.seconds("down_window_s").expect("a window");
        let steady = match (row.number("current_replicas"), row.seconds("up_window_s")) {
            (Some(current), Some(up)) => history.stabilize(NOW, current, raw, up, down),
            _ => history.stabilize_downscale(NOW, raw, down),
        };
        assert_eq!(Some(steady), row.number("expected_replicas"), "{case}");
        let length = row.number("expected_history_length");
        assert!(length.is_none_or(|length: usize| length == history.recommendations.len()), "{case}");
    }
}

#[test]
fn changes_are_remembered_as_the_original_remembers_them() {
    let Some(rows) = table("hpa_scale_events.csv") else { return };
    assert!(rows.len() >= 5, "only {} rows", rows.len());
    for row in &rows {
        let case = row.cell("case");
        let policies = row.cell("policies");
        let policy = |text: &str| {
            let (kind, rest) = text.split_once('=').expect("KIND=VALUE/PERIOD");
            let (value, period) = rest.trim_end_matches('s').split_once('/').expect("VALUE/PERIOD");
            ScalingPolicy {
                kind: if kind == "pods" { ScalingPolicyType::Pods } else { ScalingPolicyType::Percent },
                value: value.parse().expect("a value"),
                period: Span::from_secs(period.parse().expect("seconds")),
            }
        };
        let behavior = (policies != "no behavior").then(|| {
            let policies = policies.split(';').map(policy).collect();
            Behavior { scale_up: ScalingRules { policies, ..Behavior::default().scale_up }, ..Behavior::default() }
        });
        let mut history = History { scale_ups: entries(row, "previous_events"), ..History::default() };
        let found = change_within(&history.scale_ups, NOW, Span::from_secs(60));
        assert_eq!(Some(found), row.number("expected_change_in_last_60s"), "{case}");
        history.changed(NOW, 10, 10 + row.number::<u32>("replica_change").expect("a change"), behavior.as_ref());
        let counts: Vec<u32> = history.scale_ups.iter().map(|entry| entry.count).collect();
        assert_eq!(counts, row.numbers::<u32>("expected_events_after_store"), "{case}");
    }
}

use proptest::prelude::*;
use serde_json::Value;

use super::super::{Form, export, import};
use super::as_scenario;
use crate::engine::autoscaler::adjustment::AdjustmentType;
use crate::engine::autoscaler::alarm::{self, TreatMissing};
use crate::engine::autoscaler::hpa::{
    self, Behavior, MetricSpec, MetricTarget, Resource, ResourceTarget, ScalingPolicy, ScalingPolicyType,
    ScalingRules, SelectPolicy,
};
use crate::engine::autoscaler::keda::{self, Fallback, FallbackBehavior, MetricType, Trigger};
use crate::engine::autoscaler::kpa::{self, Aggregation, ScalingMetric};
use crate::engine::autoscaler::rules::{self, Action, Missing, Operator, Step};
use crate::engine::autoscaler::step::{self, StepAdjustment};
use crate::engine::autoscaler::{Config, Evidence, Policy, aws_target_tracking, simple};
use crate::engine::hold;
use crate::engine::metrics::{Aggregate, Metric, Unit};
use crate::units::Span;

pub(super) fn any_of<T: Clone + std::fmt::Debug + 'static, const N: usize>(all: [T; N]) -> impl Strategy<Value = T> {
    proptest::sample::select(all.to_vec())
}

pub(super) fn named<T: Clone + std::fmt::Debug + 'static, const N: usize>(
    all: [(&'static str, T); N],
) -> impl Strategy<Value = T> {
    any_of(all.map(|(_, value)| value))
}

/// A value above 0 in the unit of a metric, whole or with thousandths.
pub(super) fn level(metric: Metric) -> impl Strategy<Value = f64> {
    let most = match metric.unit() {
        Unit::Percent => 100_000,
        Unit::Ratio => 1000,
        _ => 10_000_000,
    };
    prop_oneof![1..=most / 1000, 1..=most].prop_map(|x| f64::from(x) / 1000.0)
}

pub(super) fn seconds(least: u64, most: u64) -> impl Strategy<Value = Span> {
    (least..=most).prop_map(Span::from_secs)
}

fn metric_spec() -> impl Strategy<Value = MetricSpec> {
    let target = prop_oneof![
        (1..200_u32).prop_map(ResourceTarget::Utilization),
        // Thousandths of a core; for memory, whole bytes.
        (1..2_000_000_u32).prop_map(|x| ResourceTarget::AverageValue(f64::from(x) / 1000.0)),
    ];
    let resource = (any_of([Resource::Cpu, Resource::Memory]), target, proptest::option::of("[a-z][a-z0-9-]{0,8}"))
        .prop_map(|(resource, target, container)| match target {
            ResourceTarget::AverageValue(x) if resource == Resource::Memory => {
                MetricSpec::Resource { resource, target: ResourceTarget::AverageValue(x * 1000.0), container }
            }
            target => MetricSpec::Resource { resource, target, container },
        });
    let of_pods = Metric::ALL.into_iter().filter(|metric| metric.is_per_instance()).collect::<Vec<_>>();
    let pods = proptest::sample::select(of_pods).prop_flat_map(|metric| {
        level(metric).prop_map(move |average_value| MetricSpec::Pods { metric, average_value })
    });
    let external =
        (any_of(Metric::ALL), named(Aggregate::ALL), any::<bool>()).prop_flat_map(|(metric, aggregate, total)| {
            level(metric).prop_map(move |x| {
                let target = if total { MetricTarget::Value(x) } else { MetricTarget::AverageValue(x) };
                MetricSpec::External { metric, aggregate, target }
            })
        });
    prop_oneof![resource, pods, external]
}

fn scaling_rules(default: ScalingRules) -> impl Strategy<Value = ScalingRules> {
    let policy = (named(ScalingPolicyType::ALL), 1..500_u32, seconds(1, 1800))
        .prop_map(|(kind, value, period)| ScalingPolicy { kind, value, period });
    let rules = (
        seconds(0, 3600),
        named(SelectPolicy::ALL),
        proptest::collection::vec(policy, 1..4),
        proptest::option::of((0..=1000_u32).prop_map(|x| f64::from(x) / 1000.0)),
    )
        .prop_map(|(window, select_policy, policies, tolerance)| ScalingRules {
            stabilization_window: Some(window),
            select_policy,
            policies,
            tolerance,
        });
    prop_oneof![Just(default), rules]
}

pub(super) fn behavior() -> impl Strategy<Value = Behavior> {
    let default = Behavior::default();
    (scaling_rules(default.scale_up), scaling_rules(default.scale_down))
        .prop_map(|(scale_up, scale_down)| Behavior { scale_up, scale_down })
}

/// An autoscaler with such a policy, as imports make it.
fn around(policy: Policy, min: u32, more: u32) -> Config {
    let hold = (min == 0 || policy.buffers()).then(hold::Config::default);
    let interval = policy.natural_interval().unwrap_or(Config::default().interval);
    Config {
        min,
        max: min + more,
        interval,
        policies: vec![policy],
        scale_down_guards: false,
        hold,
        ..Config::default()
    }
}

fn hpa() -> impl Strategy<Value = Config> {
    let metrics = proptest::collection::vec(metric_spec(), 1..5);
    (metrics, proptest::option::of(behavior()), 1..5_u32, 0..50_u32, "[a-z][a-z0-9]{0,8}").prop_map(
        |(metrics, behavior, min, more, name)| {
            around(Policy::Hpa(hpa::Config { name, metrics, behavior, ..hpa::Config::default() }), min, more)
        },
    )
}

fn keda() -> impl Strategy<Value = Config> {
    let resource = (any_of([Metric::CpuUtilization, Metric::MemoryUtilization]), 1..=100_u32, any::<bool>())
        .prop_map(|(metric, number, is_amount)| Trigger {
            metric,
            aggregate: Aggregate::Avg,
            threshold: number.into(),
            activation_threshold: 0.0,
            metric_type: if is_amount { MetricType::AverageValue } else { MetricType::Utilization },
        });
    let others: Vec<Metric> = Metric::ALL
        .into_iter()
        .filter(|metric| !matches!(metric, Metric::CpuUtilization | Metric::MemoryUtilization))
        .collect();
    let others = (
        proptest::sample::select(others),
        named(Aggregate::ALL),
        1..1_000_000_u32,
        0..1000_u32,
        any_of([MetricType::AverageValue, MetricType::Value]),
    )
        .prop_map(|(metric, aggregate, threshold, activation, metric_type)| Trigger {
            metric,
            aggregate,
            threshold: f64::from(threshold) / 1000.0,
            activation_threshold: f64::from(activation) / 10.0,
            metric_type,
        });
    let triggers = proptest::collection::vec(prop_oneof![resource, others], 1..4);
    let fallback = (0..10_u32, 0..50_u32, named(FallbackBehavior::ALL))
        .prop_map(|(failure_threshold, replicas, behavior)| Fallback { failure_threshold, replicas, behavior });
    let spans = (seconds(1, 86_400), seconds(0, 86_400), seconds(0, 86_400));
    (
        (triggers, proptest::option::of(fallback), proptest::option::of(behavior()), spans),
        // From none, only a trigger on the whole service wakes it, which is looked at elsewhere.
        (1..5_u32, 0..50_u32, "[a-z][a-z0-9]{0,8}"),
    )
        .prop_map(|((triggers, fallback, behavior, (polling, cooldown, initial)), (min, more, name))| {
            let keda = keda::Config {
                name,
                polling_interval: polling,
                cooldown_period: cooldown,
                initial_cooldown_period: initial,
                fallback,
                behavior,
                triggers,
            };
            around(Policy::Keda(keda), min, more)
        })
}

fn kpa() -> impl Strategy<Value = Config> {
    let tenths = |least: u32, most: u32| (least..=most).prop_map(|x| f64::from(x) / 10.0);
    (
        (
            named(ScalingMetric::ALL),
            proptest::option::of(tenths(1, 10_000)),
            proptest::option::of(1..1000_u32),
            (1..=100_u32).prop_map(|percent| f64::from(percent) / 100.0),
            proptest::option::of(tenths(0, 10_000)),
            seconds(6, 3600),
        ),
        (tenths(10, 1000), tenths(1100, 10_000), tenths(11, 10_000), tenths(11, 100), seconds(0, 3600), 1..20_u32),
        (any::<bool>(), seconds(0, 3600), seconds(0, 3600), named(Aggregation::ALL)),
        (0..5_u32, 1..50_u32, "[a-z][a-z0-9]{0,8}"),
    )
        .prop_map(
            |(
                (metric, target, container_concurrency, target_utilization, target_burst_capacity, stable_window),
                (panic_window_percentage, panic_threshold_percentage, up, down, scale_down_delay, activation_scale),
                (enable_scale_to_zero, grace, retention, aggregation),
                (min, more, name),
            )| {
                let kpa = kpa::Config {
                    name,
                    metric,
                    target,
                    container_concurrency,
                    target_utilization,
                    target_burst_capacity,
                    stable_window,
                    panic_window_percentage,
                    panic_threshold_percentage,
                    max_scale_up_rate: up,
                    max_scale_down_rate: down,
                    scale_down_delay,
                    activation_scale,
                    enable_scale_to_zero,
                    scale_to_zero_grace_period: grace,
                    scale_to_zero_pod_retention_period: retention,
                    aggregation,
                };
                around(Policy::Kpa(kpa), min, more)
            },
        )
}

/// Stepwise, in one go, and by a target, with alarms.
fn aws() -> impl Strategy<Value = Config> {
    let alarm = (
        any_of([Metric::CpuUtilization, Metric::P95ResponseTime, Metric::RequestsPerSecond, Metric::QueueLength]),
        any_of([Aggregate::Avg, Aggregate::Max, Aggregate::P90, Aggregate::Sum]),
        named(Operator::ALL),
        2..100_000_u32,
        (1..100_u32, 0..100_u32, seconds(1, 86_400)),
        named(TreatMissing::ALL),
    )
        .prop_map(|(metric, aggregate, operator, threshold, (points, more, period), treat_missing_data)| {
            alarm::Config {
                aggregate,
                period,
                evaluation_periods: points + more,
                datapoints_to_alarm: points,
                treat_missing_data,
                ..alarm::Config::new(metric, operator, f64::from(threshold) / 1000.0)
            }
        });
    let alarm = alarm.boxed();
    let how = (named(AdjustmentType::ALL), 1..20_u32).prop_map(|(kind, least)| match kind {
        AdjustmentType::PercentChangeInCapacity => (kind, least),
        _ => (kind, 1),
    });
    let how = how.boxed();
    let step = (alarm.clone(), how.clone(), 1..5_usize, 1..50_i32, seconds(0, 86_400)).prop_map(
        |(alarm, (kind, least), n, change, warmup)| {
            let steps = (0..n).map(|i| StepAdjustment {
                lower: Some(i as f64 * 7.5),
                upper: (i + 1 < n).then_some((i + 1) as f64 * 7.5),
                adjustment: change + i as i32,
            });
            let mut config = step::Config::new("", alarm, steps.collect());
            (config.adjustment_type, config.min_adjustment_magnitude) = (kind, least);
            config.estimated_instance_warmup = warmup;
            Policy::Step(config)
        },
    );
    let simple = (alarm, how, 1..50_i32, seconds(0, 86_400)).prop_map(|(alarm, (kind, least), change, cooldown)| {
        let is_high = alarm.is_high() || kind == AdjustmentType::ExactCapacity;
        let mut config = simple::Config::new("", alarm, if is_high { change } else { -change });
        (config.adjustment_type, config.min_adjustment_magnitude) = (kind, least);
        config.cooldown = cooldown;
        Policy::Simple(config)
    });
    let tracking = (
        any_of([
            Metric::CpuUtilization,
            Metric::MemoryUtilization,
            Metric::RequestsPerSecond,
            Metric::P99ResponseTime,
        ]),
        1..100_000_u32,
        (any::<bool>(), any::<bool>()),
        (seconds(0, 3600), seconds(0, 3600)),
    )
        .prop_map(|(metric, target, (disable_scale_in, is_ec2), (a, b))| {
            let mut config = aws_target_tracking::Config::new(metric, f64::from(target) / 1000.0);
            config.disable_scale_in = disable_scale_in;
            if is_ec2 {
                config.estimated_instance_warmup = Some(a);
                (config.scale_out_cooldown, config.scale_in_cooldown) = (Span::ZERO, Span::ZERO);
            } else {
                (config.scale_out_cooldown, config.scale_in_cooldown) = (a, b);
            }
            Policy::AwsTargetTracking(config)
        });
    (proptest::collection::vec(prop_oneof![step, simple, tracking], 1..4), 1..5_u32, 0..50_u32).prop_map(
        |(mut policies, min, more)| {
            for (i, policy) in policies.iter_mut().enumerate() {
                let name = format!("policy-{i}");
                match policy {
                    Policy::Step(config) => config.name = name,
                    Policy::Simple(config) => config.name = name,
                    Policy::AwsTargetTracking(config) => config.name = name,
                    _ => unreachable!("there are three kinds"),
                }
            }
            Config { min, max: min + more, policies, scale_down_guards: false, ..Config::default() }
        },
    )
}

fn rule() -> impl Strategy<Value = rules::Config> {
    let millis = || prop_oneof![Just(0), 0..3_600_000_u64].prop_map(Span::from_millis);
    let step = prop_oneof![
        (1..50_u32).prop_map(Step::Add),
        (1..200_u32).prop_map(Step::Percent),
        (1..50_u32).prop_map(Step::To)
    ];
    let evidence = prop_oneof![
        Just(Evidence::Continuous),
        (1..5_u32, 0..5_u32, any::<bool>()).prop_map(|(m, more, require_latest)| Evidence::MOfN {
            m,
            n: m + more,
            require_latest
        })
    ];
    let metric = any_of(Metric::ALL).prop_flat_map(|metric| (Just(metric), level(metric)));
    // All in one direction, so that no two of them contradict each other.
    let action = any_of([Action::ScaleUp, Action::Alert, Action::CircuitBreak]);
    (
        (metric, named(Operator::ALL), action),
        (millis(), millis(), 0..=100_u8, any::<bool>()),
        (step, named(Aggregate::ALL), named(Missing::ALL), evidence),
    )
        .prop_map(
            |(
                ((metric, threshold), operator, action),
                (duration, cooldown, priority, enabled),
                (step, aggregate, missing, evidence),
            )| {
                let mut rule = rules::Config::new("", metric, operator, threshold, action);
                if action == Action::ScaleUp {
                    rule.step = step;
                }
                if metric.is_per_instance() {
                    // A total of percentages has no range of its own; the reader of scenarios has it up to 100.
                    rule.aggregate = aggregate;
                }
                rules::Config { duration, cooldown, priority, enabled, missing, evidence, ..rule }
            },
        )
}

fn ruled() -> impl Strategy<Value = Config> {
    let millis = || (0..3_600_000_u64).prop_map(Span::from_millis);
    let rules = proptest::collection::vec(rule(), 1..6);
    (rules, 1..5_u32, 0..50_u32, millis(), millis(), (1..60_000_u64).prop_map(Span::from_millis), any::<bool>())
        .prop_map(|(mut rules, min, more, up, down, interval, guards)| {
            for (i, rule) in rules.iter_mut().enumerate() {
                rule.name = format!("rule_{i}");
            }
            Config {
                min,
                max: min + more,
                interval,
                scale_up_cooldown: up,
                scale_down_cooldown: down,
                scale_down_guards: guards,
                rules,
                ..Config::default()
            }
        })
}

/// Out and in again is the same, and so is the section of a scenario; what is written is what its system takes.
pub(super) fn round_trip(config: &Config, form: Form) -> Result<String, TestCaseError> {
    let written = export(config, "shop", form).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let read = import(&written.text, "file")
        .map_err(|problems| TestCaseError::fail(format!("{problems}\n{}", written.text)))?;
    prop_assert_eq!(&read.config, config, "{}", written.text);
    prop_assert_eq!(&read.notes, &Vec::new());
    prop_assert_eq!(super::schemas::wrong(form, &written.text), None, "{}", written.text);
    prop_assert_eq!(&as_scenario(&read.section()), config, "{}", read.section());
    Ok(written.text)
}

/// A YAML text as JSON, by another way than the one under test.
pub(super) fn as_json(node: &super::super::tree::Node) -> Value {
    use super::super::tree::Data;
    match &node.data {
        Data::Null => Value::Null,
        Data::Boolean(value) => (*value).into(),
        Data::Number(x) if *x == x.trunc() => (*x as i64).into(),
        Data::Number(x) => (*x).into(),
        Data::Text(text) => text.clone().into(),
        Data::List(nodes) => nodes.iter().map(as_json).collect(),
        Data::Map(entries) => entries.iter().map(|(key, node)| (key.clone(), as_json(node))).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn an_hpa_comes_back_as_it_went_and_is_one_to_kubernetes(config in hpa()) {
        use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
        let text = round_trip(&config, Form::Hpa)?;
        let ours = as_json(&super::super::tree::parse(&text).unwrap()[0]);
        let theirs: HorizontalPodAutoscaler = serde_json::from_value(ours.clone())
            .map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        // A key that the types do not know would be lost on the way.
        prop_assert_eq!(serde_json::to_value(theirs).unwrap(), ours, "{}", text);
    }

    #[test]
    fn a_scaled_object_comes_back_as_it_went(config in keda()) {
        round_trip(&config, Form::Keda)?;
    }

    #[test]
    fn a_service_of_knative_comes_back_as_it_went(config in kpa()) {
        let text = round_trip(&config, Form::Knative)?;
        let service = as_json(&super::super::tree::parse(&text).unwrap()[0]);
        let annotations = service["spec"]["template"]["metadata"]["annotations"].as_object().unwrap();
        // Annotations of Kubernetes are texts, and nothing else.
        prop_assert!(annotations.values().all(Value::is_string), "{}", text);
    }

    #[test]
    fn policies_of_aws_come_back_as_they_went(config in aws(), form in any_of([Form::Aws, Form::CloudFormation])) {
        round_trip(&config, form)?;
    }

    #[test]
    fn rules_come_back_as_they_went(config in ruled()) {
        round_trip(&config, Form::Rules)?;
    }
}

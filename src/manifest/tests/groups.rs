//! Out and in again: Nomad, Compute Engine, Azure, and schedules in every form that has them.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::super::{Form, export};
use super::properties::{any_of, level, named, round_trip, seconds};
use super::schemas::wrong;
use super::{as_scenario, read};
use crate::engine::autoscaler::adjustment::AdjustmentType;
use crate::engine::autoscaler::azure::{self, Rule};
use crate::engine::autoscaler::gcp::{self, Mode, Replicas, ScaleInControl, Signal};
use crate::engine::autoscaler::nomad::{self, Action, Strategy as Count};
use crate::engine::autoscaler::rules::Operator;
use crate::engine::autoscaler::schedule::{self, End, Entry};
use crate::engine::autoscaler::target_tracking;
use crate::engine::autoscaler::{Config, Direction, Policy};
use crate::engine::metrics::{Aggregate, Metric, Unit};
use crate::units::Span;

/// An autoscaler with such policies, as imports make it.
fn around(policies: Vec<Policy>, min: u32, more: u32) -> Config {
    Config { min, max: min + more, policies, scale_down_guards: false, ..Config::default() }
}

fn nomad() -> impl Strategy<Value = Config> {
    let count = || proptest::option::of(1..50_u32);
    let metric = any_of(Metric::ALL)
        .prop_flat_map(|metric| (Just(metric), level(metric), 1..1000_u32, named(Aggregate::ALL)))
        .prop_map(|(metric, x, more, aggregate)| {
            // A value of the whole service has nothing to aggregate; a threshold has to be within a unit's range.
            let most = if metric.unit() == Unit::Percent {
                100.0
            } else if metric.unit() == Unit::Ratio {
                1.0
            } else {
                f64::MAX
            };
            let aggregate = if metric.is_per_instance() { aggregate } else { Aggregate::Avg };
            (metric, aggregate, x, (x + f64::from(more)).min(most))
        });
    let action = prop_oneof![
        (-20..20_i32).prop_map(Action::Delta),
        (-100..200_i32).prop_map(|x| Action::Percentage(f64::from(x))),
        (0..50_u32).prop_map(Action::Value),
    ];
    let check = (metric, 0..100_u32, (count(), count()), action, 1..9_u32, (any::<bool>(), seconds(1, 3600)))
        .prop_map(|((metric, aggregate, low, high), threshold, (up, down), action, trigger, (is_target, window))| {
            let strategy = if is_target {
                Count::TargetValue {
                    target: low,
                    threshold: f64::from(threshold) / 100.0,
                    max_scale_up: up,
                    max_scale_down: down,
                }
            } else {
                let upper_bound = (high > low).then_some(high);
                Count::Threshold { lower_bound: Some(low), upper_bound, action, within_bounds_trigger: trigger }
            };
            nomad::Config { aggregate, query_window: window, ..nomad::Config::new(metric, strategy) }
        });
    (proptest::collection::vec(check, 1..4), 1..5_u32, 0..50_u32, seconds(1, 3600), seconds(1, 300)).prop_map(
        |(mut checks, min, more, cooldown, interval)| {
            for (i, check) in checks.iter_mut().enumerate() {
                (check.name, check.cooldown) = (format!("check-{i}"), cooldown);
            }
            Config { interval, ..around(checks.into_iter().map(Policy::Nomad).collect(), min, more) }
        },
    )
}

fn gcp() -> impl Strategy<Value = Config> {
    // A metric once; CPU in whole percent, as a ratio of two digits is written exactly.
    let metrics = proptest::sample::subsequence(Metric::ALL.to_vec(), 1..4);
    let control = (any::<bool>(), 0..100_u32, seconds(1, 3600)).prop_map(|(fixed, n, time_window)| ScaleInControl {
        max_scaled_in_replicas: if fixed { Replicas::Fixed(n) } else { Replicas::Percent(f64::from(n)) },
        time_window,
    });
    (
        (metrics, 1..100_u32),
        (seconds(0, 3600), proptest::option::of(control), named(Mode::ALL)),
        (proptest::option::of(schedules(false)), 1..5_u32, 0..50_u32, "[a-z][a-z0-9]{0,8}"),
    )
        .prop_map(|((metrics, target), (initialization_period, control, mode), (scheduled, min, more, name))| {
            let target_of = |metric: Metric| match metric.unit() {
                Unit::Ratio => f64::from(target) / 100.0,
                _ => f64::from(target) + 1.0,
            };
            let mut signals: Vec<Signal> =
                metrics.into_iter().map(|metric| Signal { metric, target: target_of(metric).min(100.0) }).collect();
            // The order of the API: CPU first.
            signals.sort_by_key(|signal| signal.metric != Metric::CpuUtilization);
            let policy = gcp::Config {
                name,
                initialization_period,
                scale_in_control: control,
                mode,
                ..gcp::Config::new(signals)
            };
            let policies = std::iter::once(Policy::Gcp(policy)).chain(scheduled.map(Policy::Schedule)).collect();
            around(policies, min, more)
        })
}

fn azure() -> impl Strategy<Value = Config> {
    let statistics = [Aggregate::Avg, Aggregate::Max, Aggregate::Min, Aggregate::Sum];
    let rule = (
        any_of(Metric::ALL).prop_flat_map(|metric| (Just(metric), level(metric))),
        (any_of(statistics), named(Operator::ALL), any_of([Direction::Up, Direction::Down])),
        (named(AdjustmentType::ALL), 1..50_u32, seconds(60, 86_400), seconds(0, 86_400)),
    )
        .prop_map(|((metric, threshold), (aggregate, operator, direction), (kind, value, window, cooldown))| Rule {
            aggregate: if metric.is_per_instance() { aggregate } else { Aggregate::Avg },
            kind,
            value,
            time_window: window,
            cooldown,
            ..Rule::new(metric, operator, threshold, direction)
        });
    (proptest::collection::vec(rule, 1..=10), 1..5_u32, 0..50_u32, "[a-z][a-z0-9]{0,8}")
        .prop_map(|(rules, min, more, name)| around(vec![Policy::Azure(azure::Config { name, rules })], min, more))
}

/// A schedule whose entries end at moments, or after a time.
fn schedules(at_moments: bool) -> impl Strategy<Value = schedule::Config> {
    let days = any_of(["* * *", "* * mon-fri", "* * sat,sun", "1 * *"]);
    let entry =
        (0..12_u32, 0..60_u32, 5..600_u32, days, 1..50_u32).prop_map(move |(hour, minute, length, days, n)| {
            let end = hour * 60 + minute + length;
            Entry {
                start: format!("{minute} {hour} {days}").parse().expect("cron"),
                end: if at_moments {
                    End::At(format!("{} {} {days}", end % 60, end / 60).parse().expect("cron"))
                } else {
                    End::After(Span::from_mins(u64::from(length)))
                },
                instances: Some(n),
                max: None,
            }
        });
    (proptest::collection::vec(entry, 1..4), any_of(["UTC", "Europe/Berlin", "America/New_York"])).prop_map(
        |(entries, zone)| {
            let mut config = schedule::Config::new(entries);
            config.timezone = TimeZone::get(zone).expect("a zone");
            config
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_policy_of_nomad_comes_back_as_it_went(config in nomad()) {
        round_trip(&config, Form::Nomad)?;
    }

    #[test]
    fn an_autoscaler_of_compute_engine_comes_back_as_it_went(config in gcp()) {
        round_trip(&config, Form::Gcp)?;
    }

    #[test]
    fn an_autoscale_setting_comes_back_as_it_went(config in azure()) {
        round_trip(&config, Form::Azure)?;
    }

    #[test]
    fn cron_triggers_come_back_as_they_went(schedule in schedules(true), min in 1..5_u32, more in 1..50_u32) {
        let triggers = schedule.entries.len();
        let config = around(vec![Policy::Schedule(schedule)], min, min + more);
        let written = export(&config, "shop", Form::Keda).expect("a schedule").text;
        let import = read(&written);
        prop_assert_eq!(&import.config, &config, "{}", written);
        prop_assert_eq!(import.notes.len(), triggers, "each ends otherwise there: {:?}", import.notes);
        prop_assert_eq!(wrong(Form::Keda, &written), None, "{}", written);
        prop_assert_eq!(&as_scenario(&import.section()), &config, "{}", import.section());
    }

    #[test]
    fn scheduled_actions_come_back_as_they_went(
        mut schedule in schedules(true),
        more in 1..50_u32,
        form in any_of([Form::Aws, Form::CloudFormation]),
    ) {
        // An entry that wants no more than the minimum sets nothing.
        schedule.entries.iter_mut().for_each(|entry| entry.instances = entry.instances.map(|n| n + 1));
        round_trip(&around(vec![Policy::Schedule(schedule)], 1, more), form)?;
    }
}

#[test]
fn the_api_of_nomad_and_a_labelled_policy_are_the_same() {
    let check = r#"[{ "source": "nomad-apm", "query": "max_memory-allocated", "strategy": [{ "target-value": [{ "target": 70 }] }] }]"#;
    let api = format!(
        r#"{{ "Scaling": {{ "Enabled": true, "Min": 2, "Max": 9, "Policy": {{ "cooldown": "2m", "evaluation_interval": "5s",
             "check": [{{ "mem": {check} }}] }} }} }}"#
    );
    let file = r#"{ "scaling": { "web": { "min": 2, "max": 9, "policy": { "cooldown": "2m", "evaluation_interval": "5s",
             "check": { "mem": { "query": "max_memory-allocated", "strategy": { "target-value": { "target": 70 } } } } } } } }"#;
    let (api, file) = (read(&api), read(file));
    assert_eq!(api.config, file.config);
    let Policy::Nomad(check) = &file.config.policies[0] else { panic!("{file:?}") };
    assert_eq!(
        (check.metric, check.aggregate, file.config.interval),
        (Metric::MemoryUtilization, Aggregate::Max, Span::from_secs(5))
    );
    assert_eq!(file.what, "the scaling policy web of Nomad");
}

#[test]
fn what_a_setting_of_azure_has_beside_its_rules_is_said() {
    let text = r#"{ "type": "Microsoft.Insights/autoscaleSettings", "properties": { "profiles": [
        { "name": "night", "capacity": { "minimum": "1", "maximum": "2", "default": "1" }, "rules": [],
          "recurrence": { "frequency": "Week" } },
        { "name": "day", "capacity": { "minimum": "2", "maximum": "20", "default": "4" }, "rules": [
          { "metricTrigger": { "metricName": "Percentage CPU", "statistic": "Average", "timeWindow": "PT10M",
              "timeAggregation": "Maximum", "operator": "GreaterThan", "threshold": 75 },
            "scaleAction": { "direction": "Increase", "type": "ChangeCount", "value": "2", "cooldown": "PT5M" } },
          { "metricTrigger": { "metricName": "Disk Queue", "operator": "GreaterThan", "threshold": 5 },
            "scaleAction": { "direction": "Increase", "type": "ChangeCount" } } ] } ] } }"#;
    let import = read(text);
    assert_eq!(
        (import.config.min, import.config.max, import.what.as_str()),
        (2, 20, "the profile day of an autoscale setting")
    );
    let notes: Vec<String> = import.notes.iter().map(ToString::to_string).collect();
    for told in [
        "only the profile that always holds is read",
        "samples of the time window are averaged",
        "known as \"Disk Queue\"",
    ] {
        assert!(notes.iter().any(|note| note.contains(told)), "{told:?} is not in {notes:#?}");
    }
}

#[test]
fn what_a_form_has_no_place_for_is_told_with_its_key() {
    let entry =
        |start: &str, end: End, instances, max| Entry { start: start.parse().expect("cron"), end, instances, max };
    let mut tracking = target_tracking::Config::new(Metric::CpuUtilization, 55.0);
    tracking.scale_in = false;
    let schedule = schedule::Config::new(vec![
        entry("0 22 * * fri", End::After(Span::from_mins(240)), Some(9), None),
        entry("0 8 * * *", End::At("0 20 * * *".parse().expect("cron")), Some(6), Some(8)),
    ]);
    let config = around(vec![Policy::TargetTracking(tracking), Policy::Schedule(schedule)], 2, 18);
    let written = |form| {
        let export = export(&config, "shop", form).expect("there is something to write");
        let notes: Vec<String> = export.notes.iter().map(ToString::to_string).collect();
        (export.text, notes.join("\n"))
    };
    let (text, notes) = written(Form::Aws);
    for part in
        ["\"TargetValue\": 55", "\"DisableScaleIn\": true", "\"Recurrence\": \"0 20 * * *\"", "\"MaxSize\": 8"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    for part in
        ["policy.target_tracking.tolerance: 0.1 is ours", "policy.schedule.entries.0.for: a scheduled action is at"]
    {
        assert!(notes.contains(part), "{part:?} is not in {notes}");
    }
    let (text, notes) = written(Form::Gcp);
    assert!(text.contains("\"durationSec\": 14400") && text.contains("\"durationSec\": 43200"), "{text}");
    assert!(notes.contains("policy.schedule.entries.1.max: a schedule there only raises the minimum"), "{notes}");
    assert!(
        notes.contains("autoscaler.policy.target_tracking: an autoscaler of Compute Engine holds no such policy"),
        "{notes}"
    );
    let (text, notes) = written(Form::Keda);
    assert!(text.contains("desiredReplicas: \"6\"") && !text.contains("desiredReplicas: \"9\""), "{text}");
    assert!(notes.contains("policy.schedule.entries.0.for: a cron trigger ends at moments"), "{notes}");
    let error = export(&config, "shop", Form::Azure).unwrap_err().to_string();
    assert_eq!(error, "found no policy of kind \"azure\", which is what an autoscale setting of Azure holds");
}

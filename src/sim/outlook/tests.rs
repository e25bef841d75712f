//! Answers against arithmetic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::scenario::{self, Scenario};

fn scenario(more: &str) -> Scenario {
    let text = format!(
        r#"
        scenario.duration = "1h"
        traffic.shape = [{{ kind = "constant", rate = 100 }}]
        service = {{ workers = 5, time = "100ms" }}
        {more}
        "#
    );
    scenario::parse(&text, "test.toml", "".as_ref(), &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn of(more: &str) -> Outlook {
    let scenario = scenario(more);
    let config = scenario.autoscaler.as_ref().expect("an autoscaler");
    outlook(config, Facts::of(&scenario), Some(100.0))
}

const CPU_UP: &str = r#"
    [[autoscaler.rule]]
    name = "cpu_up"
    metric = "cpu_utilization"
    operator = "gt"
    threshold = 70
    duration = "2m"
    action = "scale_up"
    cooldown = "3m"
    "#;

const CPU_DOWN: &str = r#"
    [[autoscaler.rule]]
    name = "cpu_down"
    metric = "cpu_utilization"
    operator = "lt"
    threshold = 20
    duration = "10m"
    action = "scale_down"
    cooldown = "10m"
    "#;

fn reference(rules: &[&str]) -> String {
    let fleet = "[autoscaler]\nmin = 2\nmax = 20\nmetrics = { window = '15s' }\nscale_up_cooldown = '2m'\n\
                 scale_down_cooldown = '10m'\n";
    fleet.to_string() + &rules.concat()
}

#[test]
fn the_usual_rule_takes_the_better_part_of_an_hour() {
    let climb = of(&reference(&[CPU_UP, CPU_DOWN])).climb.expect("there is room");
    // R-01 has it in 3180 s from the first sample, which comes 15 s after the load.
    let secs = Span::from_secs;
    assert_eq!(climb, Climb { from: 2, to: 20, first: Some(secs(135)), all: Some(secs(3195)) }, "V-02");
}

#[test]
fn the_steepest_ramp_is_headroom_over_the_time_to_answer() {
    // 10 instances of 50/s at 70 % have 150/s to spare. At once all there is: the next sample after the rule's threshold, the
    // tick with it, and a boot of 75 s.
    let text = r#"
        fleet.boot = "75s"
        [autoscaler]
        min = 10
        max = 40
        metrics = { window = "15s" }
        [[autoscaler.rule]]
        name = "all_at_once"
        metric = "cpu_utilization"
        operator = "gt"
        threshold = 70
        action = "scale_up"
        step = "to 40"
        "#;
    let ramp = of(text).ramp.expect("there is room");
    assert_eq!((ramp.from_rps, ramp.to_rps), (250.0, 1900.0));
    // A sample is the mean of its 15 s: the answer comes 7.5 to 22.5 s after the load was at 70 %.
    let (fastest, slowest) = (150.0 / (7.5 + 75.0), 150.0 / (22.5 + 75.0));
    assert!((slowest..=fastest).contains(&ramp.steepest), "V-03: {} is not in {slowest}..={fastest}", ramp.steepest);
}

#[test]
fn thresholds_far_apart_come_to_rest_and_close_ones_flap() {
    let calm = of(&reference(&[CPU_UP, CPU_DOWN]));
    assert_eq!((calm.flapping, calm.never), (vec![], vec![]), "Z-05");
    // Without projection, 70 up and 60 down feed each other: 61 % on three are 91 % on two.
    let policies = r#"
        [autoscaler]
        min = 1
        max = 6
        scale_down_guards = false
        [[autoscaler.policy]]
        kind = "simple"
        name = "out"
        alarm = { metric = "cpu_utilization", operator = "gt", threshold = 70, evaluation_periods = 1 }
        adjustment = 1
        cooldown = "1m"
        [[autoscaler.policy]]
        kind = "simple"
        name = "in"
        alarm = { metric = "cpu_utilization", operator = "lt", threshold = 60, evaluation_periods = 1 }
        adjustment = -1
        cooldown = "1m"
        "#;
    let flapping = of(policies).flapping;
    assert!(flapping.iter().any(|f| f.sizes == (2, 3) && f.reversals_per_hour > 5.0), "V-01: {flapping:?}");
}

#[test]
fn a_tolerance_leaves_a_fleet_overloaded() {
    // At most 104 % of the target: load is more than capacity, and 1.0 / 0.95 is within tolerance.
    let text = r#"
        [autoscaler]
        min = 1
        max = 20
        [[autoscaler.policy]]
        kind = "hpa"
        metrics = [{ type = "resource", resource = "cpu", average_utilization = 95 }]
        "#;
    let zones = of(text).dead_zones;
    assert!(!zones.is_empty() && zones.iter().all(|zone| zone.load > 1.0), "V-05: {zones:?}");
    let fine = text.replace("95", "70");
    assert_eq!(of(&fine).dead_zones, vec![]);
}

#[test]
fn a_cooldown_delays_the_second_answer() {
    let rescue = of(&reference(&[CPU_UP, CPU_DOWN])).rescue.expect("it answers");
    let secs = Span::from_secs;
    assert_eq!(
        (rescue.calm, rescue.after_scale_up),
        (secs(135), Some(secs(180))),
        "the rule's cooldown is three minutes"
    );
    assert_eq!(rescue.after_scale_down, Some(secs(135)), "a scale-down delays no scale-up");
}

#[test]
fn what_cannot_happen_is_told_with_its_number() {
    let text = r#"
        [autoscaler]
        min = 2
        max = 20
        [[autoscaler.rule]]
        name = "crowd"
        metric = "active_connections"
        operator = "gt"
        threshold = 30
        action = "scale_up"
        [[autoscaler.rule]]
        name = "rate"
        metric = "requests_per_second"
        operator = "gte"
        threshold = 101
        action = "scale_up"
        [[autoscaler.rule]]
        name = "down_to_all"
        metric = "cpu_utilization"
        operator = "lt"
        threshold = 20
        action = "scale_down"
        step = "to 20"
        "#;
    let bounded = of(text);
    assert_eq!(
        bounded.never,
        [
            ("rate".to_string(), "requests_per_second is never more than 100/s, its threshold is 101/s".to_string()),
            ("down_to_all".to_string(), "to 20 is no less than max 20".to_string()),
        ],
        "a queue without bound has room for any crowd"
    );
    let mut scenario = scenario(text);
    scenario.service.queue = Some(20);
    scenario.service.cpu_share = 0.5;
    scenario.service.cores = 5.0;
    let facts = Facts::of(&scenario);
    let config = scenario.autoscaler.as_ref().expect("an autoscaler");
    let crowd = &outlook(config, facts, None).never[0];
    assert_eq!(crowd.1, "active_connections is never more than 25, its threshold is 30");
    assert_eq!(facts.cpu_percent, 50.0, "half of the time of a request burns CPU");
}

#[test]
fn orders_are_made_twice_where_a_boot_outlasts_the_cooldown() {
    // R-17 on two: 170 of a hundred percent each take a third instance, and a boot of four minutes outlasts the cooldown of three.
    let fleet = |boot: &str| {
        format!(
            "fleet.boot = '{boot}'\n[autoscaler]\nmin = 2\nmax = 10\nmetrics = {{ window = '15s' }}\npiling_on_guard = false\n{CPU_UP}"
        )
    };
    let overshoot = of(&fleet("4m")).overshoot.expect("V-06");
    assert_eq!((overshoot.rps, overshoot.instances, overshoot.at_once), (85.0, 4, 3), "V-06");
    assert_eq!(of(&fleet("150s")).overshoot, None, "R-19: it is there before the cooldown is over");
}

#[test]
fn targets_that_cannot_be_exceeded_are_told_for_every_kind() {
    // CPU is busy half of the time at most, twenty requests wait in an instance at most.
    for (policy, told) in [
        (
            "kind = 'target_tracking'\nmetric = 'cpu_utilization'\ntarget = 50",
            "cpu_utilization is never more than 50%, its threshold is 55%",
        ),
        ("kind = 'hpa'", "cpu_utilization is never more than 50%, its threshold is 88%"),
        (
            "kind = 'hpa'\nmetrics = [{ type = 'resource', resource = 'cpu', average_value = '3500m' }]\n\
             behavior = { scale_up = { tolerance = 0 } }",
            "cpu_utilization is never more than 50%, its threshold is 70%",
        ),
        (
            "kind = 'hpa'\nmetrics = [{ type = 'pods', metric = 'queue_length', average_value = 25 }]",
            "queue_length is never more than 20, its threshold is 27.5",
        ),
        (
            "kind = 'keda'\ntriggers = [{ metric = 'cpu_utilization', threshold = 60 }]",
            "cpu_utilization is never more than 50%, its threshold is 66%",
        ),
        (
            "kind = 'aws_target_tracking'\nmetric = 'active_connections'\ntarget = 30",
            "active_connections is never more than 25, its threshold is 30",
        ),
        (
            "kind = 'step'\nalarm = { metric = 'cpu_utilization', operator = 'gt', threshold = 60 }\nsteps = [{ lower = 0, adjustment = 1 }]",
            "cpu_utilization is never more than 50%, its threshold is 60%",
        ),
        (
            "kind = 'simple'\nalarm = { metric = 'cpu_utilization', operator = 'gt', threshold = 60 }\nadjustment = 1",
            "cpu_utilization is never more than 50%, its threshold is 60%",
        ),
        (
            "kind = 'nomad_target_value'\nmetric = 'cpu_utilization'\ntarget = 60",
            "cpu_utilization is never more than 50%, its threshold is 60.6%",
        ),
        (
            "kind = 'nomad_threshold'\nmetric = 'cpu_utilization'\nlower_bound = 60\ndelta = 1",
            "cpu_utilization is never more than 50%, its threshold is 60%",
        ),
        (
            "kind = 'gcp'\nsignals = [{ metric = 'cpu_utilization', target = 60 }]",
            "cpu_utilization is never more than 50%, its threshold is 60%",
        ),
        (
            "kind = 'azure'\nrules = [{ metric = 'cpu_utilization', operator = 'gt', threshold = 60, direction = 'increase' }]",
            "cpu_utilization is never more than 50%, its threshold is 60%",
        ),
    ] {
        let mut scenario = scenario(&format!("[autoscaler]\nmin = 1\nmax = 9\n[[autoscaler.policy]]\n{policy}\n"));
        scenario.service.queue = Some(20);
        scenario.service.cpu_share = 0.5;
        scenario.service.cores = 5.0;
        let config = scenario.autoscaler.as_ref().expect("an autoscaler");
        let never = outlook(config, Facts::of(&scenario), None).never;
        assert_eq!(never.first().map(|(_, reason)| reason.as_str()), Some(told), "{policy}");
    }
}

#[test]
fn every_kind_has_its_numbers() {
    let minutes = |span: Option<Span>| {
        span.map_or("never".to_string(), |span| Span(span.0 / 1_000_000_000 * 1_000_000_000).to_string())
    };
    let mut lines = String::new();
    for kind in KINDS.iter().filter(|kind| !kind.contains("schedule")) {
        let text = format!(
            "fleet.boot = '40s'\n[autoscaler]\nmin = 2\nmax = 12\nscale_down_guards = false\n[[autoscaler.policy]]\n{kind}\n"
        );
        let outlook = of(&text);
        let (climb, ramp) = (outlook.climb.expect("there is room"), outlook.ramp.expect("there is room"));
        let rescue = outlook.rescue.map_or("-".to_string(), |r| {
            format!("{}/{}/{}", minutes(Some(r.calm)), minutes(r.after_scale_up), minutes(r.after_scale_down))
        });
        let worst = outlook.flapping.iter().map(|f| f.reversals_per_hour).fold(0.0, f64::max);
        let name = kind.split('\'').nth(1).expect("a kind");
        lines.push_str(&format!(
            "{name}: first {} all {}, ramp {:.3}, rescue {rescue}, flaps {worst:.1}, dead zones {}, overshoot {:?}\n",
            minutes(climb.first),
            minutes(climb.all),
            ramp.steepest,
            outlook.dead_zones.len(),
            outlook.overshoot.map(|o| (o.instances, o.at_once)),
        ));
    }
    insta::assert_snapshot!(lines, @"
    target_tracking: first 45s all 3m10s, ramp 0.435, rescue 15s/15s/45s, flaps 0.0, dead zones 0, overshoot None
    hpa: first 1m all 10m25s, ramp 0.135, rescue 30s/1m45s/1m, flaps 0.0, dead zones 0, overshoot None
    hpa: first 15s all 1m10s, ramp 0.435, rescue 15s/15s/30s, flaps 0.0, dead zones 0, overshoot None
    kpa: first 2s all 42s, ramp 0.424, rescue 2s/never/2s, flaps 0.0, dead zones 0, overshoot None
    keda: first 15s all 1m25s, ramp 0.435, rescue 15s/15s/15s, flaps 0.0, dead zones 0, overshoot None
    aws_target_tracking: first 3m all 3m40s, ramp 0.156, rescue 3m/5m/3m, flaps 0.0, dead zones 0, overshoot None
    step: first 1m all 25m40s, ramp 0.170, rescue 1m/6m/never, flaps 0.0, dead zones 0, overshoot None
    simple: first never all never, ramp 0.000, rescue -, flaps 0.0, dead zones 1, overshoot None
    nomad_target_value: first 15s all 10m55s, ramp 0.250, rescue 15s/5m/5m, flaps 0.0, dead zones 0, overshoot None
    gcp: first 30s all 1m55s, ramp 0.500, rescue 15s/15s/45s, flaps 0.0, dead zones 0, overshoot Some((12, 5))
    azure: first 5m45s all 51m25s, ramp 0.088, rescue 4m15s/5m/7m, flaps 0.0, dead zones 0, overshoot None
    ");
}

/// A policy of every kind.
const KINDS: [&str; 12] = [
    "kind = 'target_tracking'\nmetric = 'cpu_utilization'\ntarget = 60",
    "kind = 'hpa'",
    "kind = 'hpa'\nmetrics = [{ type = 'external', metric = 'requests_per_second', average_value = 30 }]\nbehavior = {}",
    "kind = 'kpa'\ncontainer_concurrency = 5",
    "kind = 'keda'\ntriggers = [{ metric = 'active_connections', threshold = 3 }]\ncooldown_period = '1m'",
    "kind = 'aws_target_tracking'\nmetric = 'requests_per_second'\ntarget = 30",
    "kind = 'step'\nalarm = { metric = 'cpu_utilization', operator = 'gt', threshold = 60, evaluation_periods = 1 }\n\
     adjustment_type = 'percent_change_in_capacity'\nsteps = [{ lower = 0, adjustment = 50 }]",
    "kind = 'simple'\nalarm = { metric = 'cpu_utilization', operator = 'lt', threshold = 30, evaluation_periods = 1 }\n\
     adjustment = -2",
    "kind = 'nomad_target_value'\nmetric = 'cpu_utilization'\ntarget = 60\nmax_scale_down = 1",
    "kind = 'gcp'\nsignals = [{ metric = 'cpu_utilization', target = 60 }]\n\
     scale_in_control = { max_scaled_in_replicas = '30%', time_window = '5m' }",
    "kind = 'azure'\nrules = [{ metric = 'cpu_utilization', operator = 'gt', threshold = 70, direction = 'increase' },\n\
     { metric = 'cpu_utilization', operator = 'lt', threshold = 30, direction = 'decrease', value = 3 }]",
    "kind = 'schedule'\nentries = [{ start = '*/20 * * * *', for = '10m', instances = 7, max = 9 }]",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_policies_there_are_the_size_stays_within_bounds_and_comes_out_the_same_twice(
        kinds in prop::sample::subsequence(KINDS.to_vec(), 1..4),
        (min, more) in (1u32..5, 0u32..12),
        loads in vec((0.0..900.0f64, 1u64..30), 1..8),
        interval in prop::sample::select(vec![2u64, 15, 60]),
    ) {
        let policies: String = kinds.iter().map(|kind| format!("[[autoscaler.policy]]\n{kind}\n")).collect();
        let max = min + more;
        let more = format!("[fleet]\nboot = '40s'\n[autoscaler]\nmin = {min}\nmax = {max}\ninterval = '{interval}s'\n{policies}");
        let scenario = scenario(&more);
        let config = scenario.autoscaler.as_ref().expect("an autoscaler");
        let story = || {
            let mut fluid = Fluid::new(config, Facts::of(&scenario), min);
            let mut sizes = vec![];
            for &(rps, minutes) in &loads {
                let until = fluid.now() + Span::from_mins(minutes);
                fluid.run(until, |_| rps, |fluid, change| {
                    sizes.extend(change.map(|change| (change.at, change.to, fluid.existing())));
                    true
                });
            }
            sizes
        };
        let sizes = story();
        for &(at, to, existing) in &sizes {
            prop_assert!((min..=max).contains(&to) && existing == to, "{at}: {to}, {existing} there");
        }
        prop_assert_eq!(sizes, story());
    }
}

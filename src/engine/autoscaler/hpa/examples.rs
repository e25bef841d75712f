//! Worked examples: pods and metrics with the sizes that they must give.

use super::*;

const S: fn(u64) -> Time = |s| Time::ZERO + Span::from_secs(s);

/// Pods that have run for long, with what each uses of a request of 1000m; `None`: no sample.
fn running(usage: &[Option<i64>]) -> (Vec<Pod>, Vec<Option<Usage>>) {
    let old = Span::from_mins(60);
    let pod = Pod {
        readiness: Some(Readiness { ready: true, age: old }),
        age: Some(old),
        request: Some(1000),
        ..Pod::default()
    };
    let sample = |milli: &Option<i64>| milli.map(|milli| Usage { milli, age: Span::ZERO, window: Span::ZERO });
    (vec![pod; usage.len()], usage.iter().map(sample).collect())
}

fn same(n: usize, milli: i64) -> Vec<Option<i64>> {
    vec![Some(milli); n]
}

/// What an HPA with `config` wants at first sight, before windows and limits, of pods at `usage` of their request;
/// the last `unready` of them have only just started.
fn raw(config: &Config, target: u32, usage: &[Option<i64>], unready: usize) -> u32 {
    let (mut pods, samples) = running(usage);
    let n = pods.len();
    for pod in &mut pods[n - unready..] {
        pod.readiness = Some(Readiness { ready: false, age: Span::ZERO });
        pod.age = Some(Span::ZERO);
    }
    let mut hpa = Hpa::new(config.clone());
    let measured = [Measured::Pods { cpu: true, target: PodTarget::Utilization(target), samples }];
    let bounds = Bounds { min: 0, max: 1000 };
    hpa.sync(S(0), n as u32, &pods, &measured, bounds).raw.expect("there are metrics")
}

#[test]
fn as_many_pods_as_bring_utilization_to_its_target() {
    let config = Config::default();
    let absolute = Config { tolerance_test: ToleranceTest::Absolute, ..Config::default() };
    let some = |usage: &[i64], missing: usize| -> Vec<Option<i64>> {
        usage.iter().map(|&milli| Some(milli)).chain(vec![None; missing]).collect()
    };
    for (id, config, target, usage, unready, expected) in [
        ("H-01", &config, 50, same(3, 900), 0, 6),
        ("H-02", &config, 50, same(10, 550), 0, 10),
        ("H-03", &absolute, 50, same(10, 550), 0, 11),
        ("H-04", &config, 50, same(10, 560), 0, 12),
        ("H-05 a", &config, 50, same(10, 450), 0, 10),
        ("H-05 b", &config, 50, same(10, 440), 0, 9),
        ("H-06", &config, 50, some(&[559, 560, 560], 0), 0, 3),
        ("H-08", &config, 50, some(&[200, 200, 200, 999], 0), 1, 2),
        ("H-09", &config, 50, some(&[1000, 1000, 1000, 999], 0), 1, 6),
        ("H-10", &config, 50, [same(6, 800), same(4, 999)].concat(), 4, 10),
        ("H-11", &config, 50, some(&[100; 3], 1), 0, 3),
        ("H-12", &config, 50, some(&[700; 3], 1), 0, 4),
        ("H-13", &config, 50, some(&[1000; 3], 1), 0, 6),
        ("H-14", &config, 200, some(&[1000], 2), 0, 3),
        ("H-15", &config, 75, same(50, 900), 0, 60),
    ] {
        assert_eq!(raw(config, target, &usage, unready), expected, "{id}");
    }
}

#[test]
fn utilization_is_a_whole_percentage_of_what_is_requested() {
    let (mut pods, samples) = running(&same(3, 100));
    pods.iter_mut().for_each(|pod| pod.request = Some(300));
    let measured = [Measured::Pods { cpu: true, target: PodTarget::Utilization(50), samples }];
    let concluded = Hpa::new(Config::default()).sync(S(0), 3, &pods, &measured, Bounds { min: 0, max: 10 });
    assert_eq!(concluded.raw, Some(2), "H-07");
}

#[test]
fn one_value_for_all_is_spread_over_ready_pods_or_over_replicas() {
    let old = Readiness { ready: true, age: Span::from_mins(60) };
    let value = |current: u32, ready: usize, measured: Measured| {
        let pods: Vec<Pod> = (0..current as usize)
            .map(|i| Pod { readiness: Some(Readiness { ready: i < ready, ..old }), ..Pod::default() })
            .collect();
        let bounds = Bounds { min: 1, max: 1000 };
        Hpa::new(Config::default()).sync(S(0), current, &pods, &[measured], bounds).raw
    };
    let total = |value: i64| Measured::Value { target: 30_000, value: Some(value * 1000) };
    let each = |target: i64, value: i64| Measured::ValuePerPod { target: target * 1000, value: Some(value * 1000) };
    assert_eq!(value(3, 3, total(100)), Some(10), "H-16");
    assert_eq!(value(5, 0, total(100)), Some(0), "H-17: an outage reads as no demand");
    assert_eq!(value(3, 3, each(30, 100)), Some(4), "H-18 a");
    assert_eq!(value(3, 3, each(30, 99)), Some(3), "H-18 b");
    for (workers, tasks, expected) in [(9, 40, 10), (10, 44, 10), (10, 45, 12)] {
        assert_eq!(value(workers, 9, each(4, tasks)), Some(expected), "H-19 with {tasks} tasks");
    }
}

#[test]
fn the_largest_proposal_wins_and_a_failed_metric_stops_a_scale_down() {
    let wants = |wanted: Option<i64>| Measured::ValuePerPod { target: 1000, value: wanted.map(|n| n * 1000) };
    let sync = |wanted: &[Option<i64>]| {
        let measured: Vec<Measured> = wanted.iter().copied().map(wants).collect();
        Hpa::new(Config::default()).sync(S(0), 5, &[], &measured, Bounds { min: 1, max: 10 })
    };
    assert_eq!(sync(&[Some(4), Some(7), None]).raw, Some(7), "H-20 a");
    let failed = sync(&[Some(4), None]);
    assert_eq!((failed.desired, failed.reason), (5, Reason::Failed(NoValue::NoMetrics)), "H-20 b");
}

#[test]
fn outside_the_bounds_it_goes_back_at_once_and_nothing_stays_nothing() {
    let hot = [Measured::ValuePerPod { target: 1000, value: Some(400_000) }];
    let desired =
        |current, min, max| Hpa::new(Config::default()).sync(S(0), current, &[], &hot, Bounds { min, max }).desired;
    assert_eq!(desired(0, 1, 20), 0, "H-31");
    assert_eq!(desired(30, 1, 20), 20, "H-32");
    assert_eq!(desired(1, 3, 20), 3);
}

fn pods_policy(value: u32, period: u64) -> ScalingPolicy {
    ScalingPolicy { kind: ScalingPolicyType::Pods, value, period: Span::from_secs(period) }
}

fn percent_policy(value: u32, period: u64) -> ScalingPolicy {
    ScalingPolicy { kind: ScalingPolicyType::Percent, value, period: Span::from_secs(period) }
}

/// Default behavior with these policies, chosen by `select`, in both directions.
fn behavior(policies: &[ScalingPolicy], select_policy: SelectPolicy) -> Behavior {
    let rules = |default: ScalingRules| ScalingRules { policies: policies.to_vec(), select_policy, ..default };
    Behavior { scale_up: rules(Behavior::default().scale_up), scale_down: rules(Behavior::default().scale_down) }
}

/// What a hand that wants `desired` gets from `current` within 0..=1000, `history` behind it.
fn limited(history: &History, behavior: &Behavior, now: u64, current: u32, desired: u32) -> u32 {
    history.limit(S(now), current, desired, (0, 1000), behavior).replicas
}

#[test]
fn scaling_policies_limit_the_change_within_their_periods() {
    let none = History::default();
    let defaults = Behavior::default();
    let min = behavior(&defaults.scale_up.policies, SelectPolicy::Min);
    let of = |policies: &[ScalingPolicy]| behavior(policies, SelectPolicy::Max);
    let either = |select| behavior(&[percent_policy(10, 60), pods_policy(5, 60)], select);
    for (id, behavior, current, desired, expected) in [
        ("H-22 a", &defaults, 1, 20, 5),
        ("H-22 b", &defaults, 10, 200, 20),
        ("H-22 c", &min, 10, 200, 14),
        ("H-24 a", &of(&[percent_policy(10, 60)]), 50, 200, 56),
        ("H-24 b", &of(&[percent_policy(10, 60)]), 100, 200, 111),
        ("H-24 c", &of(&[percent_policy(10, 60)]), 10, 200, 11),
        ("H-25 a", &of(&[percent_policy(10, 60)]), 25, 1, 22),
        ("H-25 b", &either(SelectPolicy::Max), 25, 1, 20),
        ("H-25 c", &either(SelectPolicy::Min), 25, 1, 22),
        ("disabled", &either(SelectPolicy::Disabled), 25, 1, 25),
        ("disabled up", &either(SelectPolicy::Disabled), 25, 100, 25),
    ] {
        assert_eq!(limited(&none, behavior, 1000, current, desired), expected, "{id}");
    }
    assert_eq!(behavior::limit_without_behavior(1, 20, (1, 1000)).replicas, 4, "H-21 a");
    assert_eq!(behavior::limit_without_behavior(5, 20, (1, 1000)).replicas, 10, "H-21 b");
    let mut grew = History::default();
    let half = of(&[percent_policy(50, 60)]);
    grew.changed(S(960), 10, 20, Some(&half));
    assert_eq!(limited(&grew, &half, 1000, 20, 200), 20, "H-26");
    let mut grew = History::default();
    let five = of(&[pods_policy(5, 60)]);
    grew.changed(S(970), 20, 30, Some(&five));
    assert_eq!(limited(&grew, &five, 1000, 30, 1), 15, "H-27");
}

/// Sizes of the fleet, sync by sync, when `wanted` pods are wanted all the while.
fn climb(behavior: Option<Behavior>, from: u32, wanted: u32, max: u32) -> Vec<u32> {
    let mut hpa = Hpa::new(Config { behavior, ..Config::default() });
    let measured = [Measured::ValuePerPod { target: 1000, value: Some(i64::from(wanted) * 1000) }];
    let mut sizes = vec![from];
    for tick in 0..20 {
        let current = sizes[sizes.len() - 1];
        let desired = hpa.sync(S(tick * 15), current, &[], &measured, Bounds { min: 1, max }).desired;
        hpa.changed(S(tick * 15), current, desired);
        if desired == current {
            break;
        }
        sizes.push(desired);
    }
    sizes
}

#[test]
fn it_climbs_in_doublings() {
    assert_eq!(climb(Some(Behavior::default()), 1, 100, 1000), [1, 5, 10, 20, 40, 80, 100], "H-23 a");
    assert_eq!(climb(None, 1, 100, 1000), [1, 4, 8, 16, 32, 64, 100], "H-23 b");
    assert_eq!(climb(Some(Behavior::default()), 2, 20, 20), [2, 6, 12, 20], "H-33");
}

#[test]
fn windows_look_back_over_recommendations() {
    let steady = |recommendations: &[(u64, u32)], windows: (u64, u64), now, raw, current| {
        let entries = recommendations.iter().map(|&(at, count)| behavior::Entry { at: S(at), count });
        let mut history = History { recommendations: entries.collect(), ..History::default() };
        let (up, down) = (Span::from_secs(windows.0), Span::from_secs(windows.1));
        history.stabilize(S(now), current, raw, up, down)
    };
    assert_eq!(steady(&[(10, 10), (200, 7)], (0, 300), 300, 5, 10), 10, "H-28 a");
    assert_eq!(steady(&[(10, 10), (200, 7)], (0, 300), 310, 5, 10), 7, "H-28 b");
    assert_eq!(steady(&[(0, 12), (30, 8)], (60, 0), 45, 15, 6), 8, "H-29");
    assert_eq!(steady(&[(90, 12)], (60, 300), 100, 15, 10), 12, "H-30a");
    assert_eq!(steady(&[(90, 15)], (60, 300), 100, 12, 20), 15, "H-30b");
    assert_eq!(steady(&[(90, 15)], (60, 300), 100, 12, 13), 13, "H-30c");
}

//! What balancing and ejection do to a fleet in trouble: whole runs.

use wavetank::engine::events::EventKind;
use wavetank::record::Run;
use wavetank::record::outcome::Failure;
use wavetank::record::timeline::Column;

use crate::world::run;

/// Ten instances at half of what they can serve.
fn fleet(balancer: &str, more: &str) -> Run {
    run(&format!(
        r#"
        scenario.duration = "10m"
        traffic.shape = [{{ kind = "constant", rate = 400 }}]
        clients = {{ population = 1000, timeout = "2s" }}
        service = {{ workers = 4, queue = 100, time = {{ dist = "exponential", mean = "50ms" }} }}
        fleet = {{ initial = 10, zones = 2 }}
        [balancer]
        {balancer}
        {more}
        "#
    ))
}

fn times(run: &Run, is: impl Fn(&EventKind) -> bool) -> Vec<f64> {
    run.events.iter().filter(|event| is(&event.kind)).map(|event| event.at.as_secs_f64()).collect()
}

fn ejections(run: &Run) -> Vec<f64> {
    times(run, |kind| matches!(kind, EventKind::InstanceEjected { .. }))
}

/// Attempts that instance `i` got.
fn attempts(run: &Run, i: usize) -> u64 {
    run.instances[i].attempts
}

const ERRORS: &str =
    "[[fault]]\nkind = 'errors'\nat = '2m'\nduration = '3m'\ninstances = 1\nrate = 1.0\nlatency = '1ms'";

#[test]
fn an_instance_that_fails_is_ejected_again_and_again_and_then_comes_back() {
    let without = fleet("strategy = 'least_connections'", ERRORS);
    let with = fleet("strategy = 'least_connections'\nejection = { replace_after = 'off' }", ERRORS);
    let failed = |run: &Run| run.counts.failed_total();
    // What fails at once has nothing in flight and draws a large part of all traffic.
    assert!(failed(&without) > 10 * failed(&with), "{} and {}", failed(&without), failed(&with));
    let ejected = ejections(&with);
    assert!((120.0..120.2).contains(&ejected[0]), "five failures take a moment: {ejected:?}");
    let readmitted = times(&with, |kind| matches!(kind, EventKind::InstanceReadmitted { .. }));
    assert_eq!(ejected.len(), readmitted.len(), "{ejected:?} {readmitted:?}");
    for (i, (from, to)) in ejected.iter().zip(&readmitted).enumerate() {
        let nominal = 30.0 * (i + 1) as f64;
        assert!((nominal..nominal + 10.1).contains(&(to - from)), "ejection {i}: {from} to {to}");
    }
    assert!(readmitted.last().is_some_and(|&at| at > 300.0), "{readmitted:?}");
}

#[test]
fn a_slow_instance_is_ejected_by_its_latency() {
    let slow = "[[fault]]\nkind = 'slow'\nat = '2m'\nduration = '3m'\ninstances = 1\nfactor = 8.0";
    let ejection = "strategy = 'round_robin'\nejection = { consecutive = 'off', success_rate = 'off', latency = {} }";
    let (with, without) = (fleet(ejection, slow), fleet("strategy = 'round_robin'", slow));
    let ejected = ejections(&with);
    assert!((125.0..=141.0).contains(&ejected[0]), "at the end of an interval with enough answers: {ejected:?}");
    let failed = |run: &Run| run.counts.failed_total();
    assert!(failed(&without) > 3 * failed(&with), "{} and {}", failed(&without), failed(&with));
}

#[test]
fn one_that_is_ejected_too_often_is_replaced() {
    let forever = ERRORS.replace("duration = '3m'\n", "");
    let balancer = "strategy = 'round_robin'\nejection = { interval = '1s', base = '5s', replace_after = 3 }";
    let run = fleet(balancer, &forever);
    assert_eq!(run.instances.len(), 11, "one was replaced");
    assert!(run.instances[0].gone_at.is_some());
    assert_eq!(ejections(&run).len(), 3);
}

#[test]
fn a_scale_up_is_no_panic() {
    let run = run(r#"
        scenario.duration = "5m"
        traffic.shape = [{ kind = "constant", rate = 60, for = "1m" }, { kind = "constant", rate = 300 }]
        service = { workers = 4, time = "50ms" }
        fleet = { initial = 4, boot = "20s" }
        [autoscaler]
        min = 4
        max = 12
        interval = "5s"
        [[autoscaler.policy]]
        kind = "target_tracking"
        metric = "cpu_utilization"
        target = 30
        [balancer]
        slow_start = "30s"
        health_check = { interval = "10s", timeout = "2s" }
        ejection = {}
        "#);
    assert!(run.fleet.max >= 11, "{}", run.fleet.max);
    assert_eq!(times(&run, |kind| matches!(kind, EventKind::PanicBegan { .. })), [0.0; 0]);
}

#[test]
fn probing_does_not_run_into_a_sinkhole() {
    let sink = |balancer: &str| {
        let run = fleet(balancer, ERRORS);
        run.counts.failed_total() as f64 / (3.0 * 60.0 * 400.0)
    };
    let (guarded, unguarded) = (
        sink("strategy = 'prequal'\nprobing = { pool = 8 }"),
        sink("strategy = 'prequal'\nprobing = { pool = 8, error_limit = 1 }"),
    );
    // A fair share of what fails for three minutes is a tenth.
    assert!(guarded < 0.03, "{guarded:.3} of the requests while one fails");
    assert!(unguarded > 0.2, "{unguarded:.3} without the guard");
}

/// The published comparison in kind: antagonists make some instances slow, and load near capacity tells strategies apart.
#[test]
fn probing_and_least_loaded_shrug_off_what_round_robin_and_random_do_not() {
    let p99 = |strategy: &str, rate: u32| {
        let run = run(&format!(
            r#"
            scenario.duration = "4m"
            traffic.shape = [{{ kind = "constant", rate = {rate} }}]
            clients.timeout = "5s"
            service = {{ workers = 4, time = {{ dist = "exponential", mean = "50ms" }} }}
            fleet.initial = 20
            [balancer]
            {strategy}
            [[fault]]
            kind = "slow"
            at = "10s"
            instances = 5
            factor = 2.0
            "#
        ));
        run.latency_all.quantile(0.99).expect("requests ended").as_millis_f64()
    };
    // 20 instances of 80 per second, five of which do 40: 1,400 per second in all.
    let prequal = "strategy = 'prequal'\nprobing = { pool = 12, round_trip = '500us' }";
    let (low, high) = (p99(prequal, 840), p99(prequal, 1120));
    assert!(high < 1.6 * low, "prequal hardly moves: {low:.0} ms at 60%, {high:.0} ms at 80%");
    for strategy in ["strategy = 'round_robin'", "strategy = 'random'"] {
        let high = p99(strategy, 1120);
        assert!(high > 4000.0, "{strategy}: the slow quarter is overloaded: {high:.0} ms");
    }
    let ewma = p99("strategy = 'peak_ewma'", 1120);
    assert!(ewma < 1500.0, "{ewma:.0} ms");
}

#[test]
fn hashing_keeps_clients_where_they_are_and_a_bound_keeps_the_fleet_even() {
    let zipf = |balancer: &str| {
        let run = run(&format!(
            r#"
            scenario.duration = "2m"
            traffic.shape = [{{ kind = "constant", rate = 300 }}]
            clients = {{ population = 200, zipf = 1.4 }}
            service = {{ workers = 4, time = {{ dist = "exponential", mean = "50ms" }} }}
            fleet.initial = 8
            [balancer]
            {balancer}
            "#
        ));
        let most = (0..8).map(|i| attempts(&run, i)).max().expect("eight instances");
        most as f64 / run.simulated as f64
    };
    for strategy in ["ip_hash", "ring_hash", "maglev"] {
        let free = zipf(&format!("strategy = '{strategy}'"));
        let bound = zipf(&format!("strategy = '{strategy}'\nbounded_load = 1.25"));
        assert!(free > 0.3, "{strategy}: the hottest client alone makes {free:.2}");
        assert!(bound < 0.25, "{strategy}: {bound:.2} with a bound");
    }
}

#[test]
fn a_lost_zone_takes_its_traffic_to_the_other() {
    let outage = "[[fault]]\nkind = 'zone_outage'\nat = '2m'\nzone = 1";
    let balancer = "strategy = 'least_connections'\nzone_aware = true\nejection = { max_share = 0.6 }";
    let run = fleet(balancer, outage);
    let failed = run.timeline.column(Column::FailedRps);
    assert!(failed[125..160].iter().sum::<f64>() < 40.0, "{:?}", &failed[118..160]);
    let even = fleet(balancer, "");
    let zone = |z: usize| (0..10).filter(|i| i % 2 == z).map(|i| attempts(&even, i)).sum::<u64>() as f64;
    assert!((zone(0) / zone(1) - 1.0).abs() < 0.02, "{} and {}", zone(0), zone(1));
}

#[test]
fn tiers_serve_in_order() {
    let balancer = "strategy = 'least_connections'\npriorities = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]";
    let run = fleet(balancer, "");
    assert_eq!((attempts(&run, 8), attempts(&run, 9)), (0, 0), "the second tier is a reserve");
}

/// A scale-down costs errors where the balancer learns of it late, unless instances go on serving for as long.
#[test]
fn a_balancer_that_learns_late_needs_instances_that_stay() {
    let world = |fleet: &str, balancer: &str| {
        run(&format!(
            r#"
            scenario.duration = "6m"
            traffic.shape = [{{ kind = "constant", rate = 400, for = "2m" }}, {{ kind = "constant", rate = 100 }}]
            service = {{ workers = 4, time = {{ dist = "exponential", mean = "20ms" }} }}
            [fleet]
            initial = 6
            {fleet}
            [autoscaler]
            min = 2
            max = 8
            interval = "15s"
            [[autoscaler.policy]]
            kind = "target_tracking"
            metric = "cpu_utilization"
            target = 50
            stabilization_window = "30s"
            [balancer]
            strategy = "round_robin"
            {balancer}
            "#
        ))
    };
    let late = "propagation_delay = '3s'";
    let failed = |run: &Run| run.counts.failed_for(Failure::Connection);
    assert_eq!(failed(&world("", "")), 0, "told at once");
    assert!(failed(&world("", late)) > 50, "{} requests to nobody", failed(&world("", late)));
    assert_eq!(failed(&world("pre_stop_delay = '5s'", late)), 0);
}

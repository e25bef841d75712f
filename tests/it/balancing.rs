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

/// Mean sojourn time, in service times, of Poisson arrivals at load `rho` with exponential service over `n` instances.
fn sojourn(n: u32, workers: u32, rho: f64, balancer: &str) -> f64 {
    // A million and a half requests: the mean of a queue at 0.9 then has a standard error of about a hundredth.
    let rate = f64::from(n * workers) * rho * 100.0;
    let seconds = 1_500_000.0 / rate;
    let run = run(&format!(
        r#"
        scenario = {{ duration = "{seconds:.3}s", warmup = "{:.3}s", seed = 7 }}
        traffic.shape = [{{ kind = "constant", rate = {rate:.6} }}]
        service = {{ workers = {workers}, time = {{ dist = "exponential", mean = "10ms" }} }}
        fleet.initial = {n}
        [balancer]
        {balancer}
        "#,
        seconds / 10.0
    ));
    run.latency.mean().expect("requests succeed").as_secs_f64() / 0.01
}

const TWO: &str = "strategy = 'power_of_two_choices'";
const TWO_AGAIN: &str = "strategy = 'power_of_two_choices'\nsampling = 'replacement'";
const SHORTEST: &str = "strategy = 'least_connections'\nties = 'random'";
const IN_TURN: &str = "strategy = 'round_robin'";

/// Figures of queueing theory and, for finite fleets, of an independent simulation with an error of its own: 1 % up to a load of 0.8, 2 % at
/// 0.9. Our error is as large, so that 3 and 5 % are allowed.
#[test]
fn mean_sojourn_times_are_those_of_queueing_theory() {
    let closed = [
        ("LB-121", 4, 1, 0.5, "strategy = 'random'", 2.0),
        ("LB-121", 4, 1, 0.8, "strategy = 'random'", 5.0),
        ("LB-124", 2, 1, 0.5, IN_TURN, 1.6180),
        ("LB-124", 2, 1, 0.8, IN_TURN, 3.8440),
        ("LB-125", 10, 1, 0.8, IN_TURN, 2.9223),
        ("LB-126", 1, 10, 0.5, IN_TURN, 1.0072),
        ("LB-126", 1, 10, 0.8, IN_TURN, 1.2046),
        ("LB-126", 1, 10, 0.9, IN_TURN, 1.6687),
        ("LB-127", 1, 2, 0.9, IN_TURN, 5.2632),
        ("LB-127", 1, 4, 0.9, IN_TURN, 2.9694),
        ("LB-128", 2, 1, 0.5, SHORTEST, 1.42632),
        ("LB-128", 2, 1, 0.8, SHORTEST, 2.95574),
        // The limits of many instances, which a thousand are near.
        ("LB-122", 1000, 1, 0.5, TWO, 1.2657),
        ("LB-122", 1000, 1, 0.8, TWO, 1.9474),
        ("LB-123", 1000, 1, 0.8, "strategy = 'power_of_two_choices'\nchoices = 3", 1.5809),
    ];
    let finite = [
        ("LB-129", 2, 0.8, [2.96, 3.27, 2.95, 3.86]),
        ("LB-130", 10, 0.5, [1.286, 1.326, 1.024, 1.325]),
        ("LB-131", 10, 0.8, [2.075, 2.164, 1.354, 2.917]),
        ("LB-132", 10, 0.9, [2.984, 3.116, 1.909, 5.653]),
        ("LB-133", 100, 0.8, [1.957, 1.965, 1.004, 2.711]),
        ("LB-134", 100, 0.9, [2.640, 2.654, 1.064, 5.210]),
    ];
    let finite = finite.into_iter().flat_map(|(id, n, rho, means)| {
        [TWO, TWO_AGAIN, SHORTEST, IN_TURN].into_iter().zip(means).map(move |(how, mean)| (id, n, 1, rho, how, mean))
    });
    for (id, n, workers, rho, balancer, expected) in closed.into_iter().chain(finite) {
        let mean = sojourn(n, workers, rho, balancer);
        let allowed = if rho > 0.8 { 0.05 } else { 0.03 };
        assert!((mean / expected - 1.0).abs() < allowed, "{id}: {mean:.4} and not {expected} ({balancer})");
    }
}

/// Strategies that look at what instances report keep away from a slow one, where taking turns does not.
#[test]
fn reports_keep_traffic_away_from_a_slow_instance() {
    let slow = "[[fault]]\nkind = 'slow'\nat = '1s'\nduration = '9m'\ninstances = 1\nfactor = 6.0";
    let in_turn = fleet("strategy = 'round_robin'", slow);
    for strategy in ["c3", "reported_utilization"] {
        let run = fleet(&format!("strategy = '{strategy}'"), slow);
        let (share, fair) = (attempts(&run, 0), attempts(&in_turn, 0));
        assert!(share < fair * 7 / 10, "{strategy}: {share} and not {fair}");
        // In turn, the slow one gets more than it can serve.
        let failed = |run: &Run| run.counts.failed_total();
        assert!(failed(&run) < failed(&in_turn) / 4, "{strategy}: {} and {}", failed(&run), failed(&in_turn));
    }
}

/// HAProxy's `minconn`.
#[test]
fn a_limit_grows_with_load_if_it_leaves_room_to_grow() {
    let full = |limit: &str| fleet(&format!("instance_limit = {limit}"), "").counts.failed_for(Failure::QueueFull);
    assert_eq!(full("6"), 0, "400 a second of 50 ms are 20 in flight over ten instances");
    assert_eq!(full("{ most = 6, least = 1, full = 30 }"), 0, "ten in flight, one each, allow two each, and so on");
    let fixed = full("1");
    assert!(fixed > 0);
    assert_eq!(full("{ most = 6, least = 1, full = 60 }"), fixed, "ten in flight allow one each");
}

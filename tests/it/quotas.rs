//! Quotas in whole runs: several rules, gateways that share, a store that is away; and what refusals mean to the autoscaler.

use wavetank::engine::events::EventKind;
use wavetank::record::Run;
use wavetank::record::outcome::Failure;
use wavetank::record::timeline::Column;

use crate::world::run;

/// A minute of 100 requests per second, and a limiter.
fn limited(limiter: &str) -> Run {
    run(&format!(
        r#"
        scenario.duration = "60s"
        traffic.arrivals = "paced"
        traffic.shape = [{{ kind = "constant", rate = 100 }}]
        clients = {{ population = 20, zipf = 0.0 }}
        service = {{ workers = 8, time = "10ms" }}
        [limiter]
        algorithm = "gcra"
        key = "global"
        window = "1s"
        burst = 10
        {limiter}
        "#
    ))
}

#[test]
fn every_rule_has_to_allow_a_request() {
    let one = limited("limit = 80");
    let both =
        limited("limit = 80\nalso = [{ algorithm = 'sliding_log', key = 'client', limit = 60, window = '30s' }]");
    // 20 clients with 60 requests in 30 s each: 40 per second.
    assert!((4700..=4815).contains(&one.counts.succeeded), "{:?}", one.counts);
    assert!((2300..=2460).contains(&both.counts.succeeded), "{:?}", both.counts);
}

#[test]
fn a_shadow_refuses_nobody() {
    let run = limited("limit = 1\nshadow = true");
    assert_eq!(run.counts.failed_total(), 0);
}

#[test]
fn gateways_that_do_not_share_let_in_as_many_quotas_as_they_are() {
    let shared = |mode: &str| {
        let run = limited(&format!("limit = 10\nshared = {{ gateways = 4, {mode} }}"));
        run.counts.succeeded as f64 / 60.0
    };
    let independent = shared("mode = 'independent'");
    assert!((34.0..=41.5).contains(&independent), "{independent:.1} per second for 4 × 10");
    for mode in ["mode = 'store'", "mode = 'divided'", "mode = 'lease', batch = 1"] {
        let rate = shared(mode);
        assert!((7.5..=10.3).contains(&rate), "{mode}: {rate:.1} per second");
    }
    let synced = shared("mode = 'sync', every = '500ms'");
    assert!(synced > 10.3 && synced < 41.0, "{synced:.1} per second with a lag");
}

#[test]
fn a_store_that_is_away_lets_all_or_none_or_a_part_through() {
    let during = |on_failure: &str| {
        let outage = "outage = [{ at = '20s', for = '20s' }]";
        let run = limited(&format!(
            "limit = 40\nshared = {{ gateways = 4, mode = 'store', on_failure = '{on_failure}', {outage} }}"
        ));
        let rate = run.timeline.column(Column::SucceededRps)[22..38].iter().sum::<f64>() / 16.0;
        (rate, run.counts.failed_for(Failure::Shed))
    };
    let (open, none) = during("open");
    assert!((99.0..101.0).contains(&open), "{open}");
    assert_eq!(none, 0);
    let (closed, shed) = during("closed");
    assert_eq!(closed, 0.0);
    // After five time-outs nobody asks for five seconds, and so for up to as long after the store is back.
    assert!((1990..=2510).contains(&shed), "refused with a 503, not as rate limited: {shed}");
    let (local, _) = during("local");
    assert!((30.0..=41.0).contains(&local), "{local}");
}

#[test]
fn what_costs_more_uses_up_more() {
    let run = run(r#"
        scenario.duration = "60s"
        traffic.shape = [{ kind = "constant", rate = 100 }]
        [service]
        workers = 8
        time = "10ms"
        [[service.endpoint]]
        path = "/report"
        cost = 10
        [limiter]
        algorithm = "gcra"
        key = "global"
        limit = 200
        window = "1s"
        "#);
    assert!((1150..=1230).contains(&run.counts.succeeded), "20 a second: {:?}", run.counts);
}

/// What limiter and shedder refuse is still demand: the fleet is not made smaller while they refuse.
#[test]
fn a_fleet_does_not_shrink_while_requests_are_refused() {
    let world = |protection: &str| {
        run(&format!(
            r#"
            scenario.duration = "15m"
            traffic.shape = [{{ kind = "constant", rate = 300 }}]
            service = {{ workers = 4, time = {{ dist = "exponential", mean = "20ms" }} }}
            fleet.initial = 6
            [autoscaler]
            min = 1
            max = 8
            interval = "15s"
            [[autoscaler.policy]]
            kind = "target_tracking"
            metric = "cpu_utilization"
            target = 60
            stabilization_window = "1m"
            {protection}
            "#
        ))
    };
    let downs = |run: &Run| run.events.iter().filter(|e| matches!(e.kind, EventKind::ScaledDown(_))).count();
    for protection in [
        "[limiter]\nalgorithm = 'gcra'\nkey = 'global'\nlimit = 100\nwindow = '1s'",
        "[limiter]\nalgorithm = 'gcra'\nkey = 'global'\nlimit = 100\nwindow = '1s'\nshared = { gateways = 2, mode = 'store' }",
        "[overload]\nlimits = { requests = 2 }",
    ] {
        assert_eq!(downs(&world(protection)), 0, "{protection}");
    }
    assert!(downs(&world("")) > 0, "nothing is refused, and two instances would do");
}

/// Who asks at twice a rate that his quota keeps waits for it instead of being refused, as under NGINX without `nodelay`.
#[test]
fn a_leaky_bucket_with_a_delay_makes_a_queue_of_a_burst() {
    let world = |limiter: &str, clients: &str| {
        run(&format!(
            r#"
            scenario.duration = "60s"
            traffic = {{ arrivals = "paced", shape = [
                {{ kind = "constant", rate = 5, for = "20s" }}, {{ kind = "constant", rate = 30, for = "1s" }},
                {{ kind = "constant", rate = 5, for = "39s" }},
            ] }}
            service = {{ workers = 8, time = "1ms" }}
            {clients}
            [limiter]
            algorithm = "leaky_bucket"
            key = "global"
            limit = 10
            window = "1s"
            burst = 30
            {limiter}
            "#
        ))
    };
    let max = |run: &Run| run.latency.max().expect("requests succeed").as_secs_f64();
    let at_once = world("", "");
    assert!(at_once.counts.failed_total() == 0 && max(&at_once) < 0.002, "{:?}", at_once.counts);
    // Thirty in a second where ten leak: the last waits for the twenty before it.
    let delayed = world("delay = 0", "");
    assert!(delayed.counts.failed_total() == 0 && (1.7..=2.1).contains(&max(&delayed)), "{}", max(&delayed));
    let some_at_once = world("delay = 10", "");
    assert!((0.7..=1.1).contains(&max(&some_at_once)), "{}", max(&some_at_once));
    // A client that gives up while it waits at the gateway has timed out, and nothing of it reaches an instance; but for a few that are sent
    // on in the last millisecond.
    let impatient = world("delay = 0", "clients.timeout = '1s'");
    let timed_out = impatient.counts.failed_for(Failure::Timeout);
    assert!(timed_out > 5 && timed_out == impatient.counts.failed_total(), "{:?}", impatient.counts);
    let attempts: u64 = impatient.instances.iter().map(|instance| instance.attempts).sum();
    assert!(attempts <= impatient.counts.succeeded + 3, "{attempts} of {:?}", impatient.counts);
}

/// A client that is told when to come back, and listens, is not refused twice.
#[test]
fn who_honors_retry_after_comes_back_when_there_is_room() {
    let world = |retry: &str| {
        run(&format!(
            r#"
            scenario.duration = "2m"
            traffic = {{ arrivals = "paced", shape = [
                {{ kind = "constant", rate = 40, for = "10s" }}, {{ kind = "constant", rate = 4, for = "110s" }},
            ] }}
            service = {{ workers = 8, time = "1ms" }}
            clients.retry = {{ max = 1, backoff = "10ms", on = ["rate_limited"], {retry} }}
            [limiter]
            algorithm = "fixed_window"
            key = "global"
            limit = 300
            window = "30s"
            "#
        ))
    };
    let refused = |run: &Run| run.counts.failed_for(Failure::RateLimited);
    let (deaf, listening) = (world(""), world("honor_retry_after = true"));
    assert!(refused(&deaf) > 90, "{:?}", deaf.counts);
    assert_eq!(refused(&listening), 0, "{:?}", listening.counts);
}

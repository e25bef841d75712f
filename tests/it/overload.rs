//! More load than can be served: what each measure saves, and that none of them loses a request.

use wavetank::engine::events::EventKind;
use wavetank::record::Run;
use wavetank::record::outcome::Failure;
use wavetank::record::timeline::Column;

use crate::world::run;

/// Four instances that serve 400 per second together are asked for `rate`; clients wait for a second.
fn pressed(rate: u32, overload: &str) -> Run {
    pressed_with("{ dist = 'exponential', mean = '50ms' }", rate, overload)
}

fn pressed_with(time: &str, rate: u32, overload: &str) -> Run {
    run(&format!(
        r#"
        scenario.duration = "60s"
        traffic.shape = [{{ kind = "constant", rate = {rate} }}]
        clients = {{ timeout = "1s" }}
        service = {{ workers = 5, time = {time} }}
        fleet.initial = 4
        {overload}
        "#
    ))
}

/// Answers in time per second over the last half minute.
fn goodput(run: &Run) -> f64 {
    run.timeline.column(Column::SucceededRps)[30..60].iter().sum::<f64>() / 30.0
}

#[test]
fn first_in_first_out_under_overload_serves_only_those_who_have_left() {
    // CB-99: at one and a half times the capacity the wait reaches a second after two, and goodput is over.
    let fifo = pressed(600, "");
    let succeeded = fifo.timeline.column(Column::SucceededRps);
    assert!(succeeded[1] > 350.0, "{:?}", &succeeded[..6]);
    assert!(goodput(&fifo) < 10.0, "{:?}", &succeeded[..6]);
    // CB-100: at 1.1 times it takes ten.
    let nearly = pressed_with("'50ms'", 440, "");
    let succeeded = nearly.timeline.column(Column::SucceededRps);
    assert!(succeeded[7] > 350.0 && succeeded[13..60].iter().all(|&rps| rps < 200.0), "{succeeded:?}");
}

#[test]
fn a_backlog_drains_at_the_spare_capacity() {
    // CB-101: 1,000 requests at once on top of 800/s, where 1,000/s are served, are gone after five seconds.
    let run = run(r#"
        scenario.duration = "20s"
        traffic = { arrivals = "paced", shape = [
            { kind = "constant", rate = 800, for = "5s" },
            { kind = "constant", rate = 1800, for = "1s" },
            { kind = "constant", rate = 800, for = "14s" },
        ] }
        service = { workers = 10, time = "10ms" }
        fleet.initial = 1
        "#);
    // 800 more than can be served come within a second, and 200 a second are spare: from 6 s to 10 s.
    let queue = run.timeline.column(Column::QueueLength);
    assert!(queue[8] > 100.0 && queue[11..20].iter().all(|&waiting| waiting < 10.0), "CB-101: {queue:?}");
}

#[test]
fn codel_deadlines_and_adaptive_concurrency_each_keep_goodput() {
    for overload in [
        "[overload]\ncodel = true\nadaptive_lifo = true",
        "[overload]\ncodel = { target = '20ms', interval = '200ms' }",
        "[overload]\ncodel = { form = 'classic', target = '20ms' }",
        "[overload]\ndeadlines = true",
        "[overload]\nconcurrency = 'aimd'",
        "[overload]\nconcurrency = { algorithm = 'gradient2', min = 4 }",
        "[overload]\nconcurrency = 'vegas'",
        "[overload]\nlimits = { requests = 60 }",
    ] {
        // Vegas takes the spread of service times for a queue: an exponential one shrinks it far below capacity.
        let is_vegas = overload.contains("vegas");
        let run = if is_vegas { pressed_with("'50ms'", 600, overload) } else { pressed(600, overload) };
        // Deadlines let everybody wait nearly as long as they can, and a fifth then takes too long to serve.
        let least = if overload.contains("deadlines") { 250.0 } else { 320.0 };
        assert!(goodput(&run) > least, "{overload}: {:.0} of 400 per second", goodput(&run));
        // The limiter of a gateway that follows latency keeps waiting short, where deadlines use all the patience there is.
        if overload.contains("limits") || overload.contains("codel = true") {
            let p90 = run.latency.quantile(0.9).expect("some succeed").as_millis_f64();
            assert!(p90 < 400.0, "{overload}: {p90:.0} ms");
        }
    }
}

#[test]
fn what_is_shed_is_told_apart_and_trips_no_breaker() {
    let run = pressed(600, "[overload]\ncodel = true\n[breaker]\nminimum_calls = 10\nfailure_rate = 0.2\n");
    assert!(run.counts.failed_for(Failure::Shed) > 5000, "{:?}", run.counts);
    let opened = run.events.iter().filter(|event| matches!(event.kind, EventKind::BreakerOpened { .. })).count();
    assert_eq!(opened, 0, "shedding is no failure of the service");
}

#[test]
fn clients_that_throttle_spare_the_service_what_it_would_refuse() {
    let world = |overload: &str| {
        run(&format!(
            r#"
            scenario.duration = "10m"
            traffic.shape = [{{ kind = "constant", rate = 2000 }}]
            service = {{ workers = 4, queue = 4, time = {{ dist = "exponential", mean = "40ms" }} }}
            fleet.initial = 4
            {overload}
            "#
        ))
    };
    let attempts = |run: &Run| run.instances.iter().map(|instance| instance.attempts).sum::<u64>() as f64;
    let (free, throttled) = (world(""), world("[overload]\nthrottle = 'sre'"));
    // 400 per second can be served; in equilibrium the service is asked for twice what it accepts.
    let ratio = attempts(&throttled) / throttled.counts.succeeded as f64;
    assert!((1.7..2.3).contains(&ratio), "{ratio:.2} attempts per success");
    assert!(attempts(&free) / free.counts.succeeded as f64 > 4.0);
    assert!(throttled.counts.succeeded as f64 > 0.9 * free.counts.succeeded as f64);
}

#[test]
fn a_copy_of_a_late_request_cuts_the_tail_within_its_budget() {
    let world = |overload: &str| {
        run(&format!(
            r#"
            scenario.duration = "5m"
            traffic.shape = [{{ kind = "constant", rate = 200 }}]
            clients.timeout = "5s"
            service = {{ workers = 8, time = {{ dist = "lognormal", mean = "20ms", sigma = 0.2 }} }}
            fleet.initial = 10
            balancer.strategy = "round_robin"
            {overload}
            [[fault]]
            kind = "slow"
            at = "1s"
            instances = 1
            factor = 15.0
            "#
        ))
    };
    let (plain, hedged) = (world(""), world("[overload]\nhedge = { quantile = 0.85, budget = 0.2 }"));
    let p99 = |run: &Run| run.latency_all.quantile(0.99).expect("requests ended").as_millis_f64();
    assert!(p99(&plain) > 250.0 && p99(&hedged) < 100.0, "{} and {} ms", p99(&plain), p99(&hedged));
    let share = hedged.counts.retries as f64 / hedged.counts.offered as f64;
    assert!((0.1..=0.2).contains(&share), "{share:.3} copies per request");
    assert_eq!(hedged.counts.offered, hedged.counts.succeeded, "{:?}", hedged.counts);
}

#[test]
fn the_important_are_served_first() {
    let run = run(r#"
        scenario.duration = "2m"
        traffic.shape = [{ kind = "constant", rate = 600 }]
        clients = { population = 5000, timeout = "1s" }
        fleet.initial = 4
        [service]
        workers = 5
        queue = 30
        time = { dist = "exponential", mean = "50ms" }
        [[service.endpoint]]
        path = "/checkout"
        weight = 0.3
        [[service.endpoint]]
        path = "/recommend"
        weight = 0.7
        criticality = 5
        [overload]
        priority = true
        "#);
    let share = |path: &str| {
        let endpoint = run.endpoints.iter().find(|endpoint| endpoint.path == path).expect("it is there");
        endpoint.counts.succeeded as f64 / endpoint.counts.offered as f64
    };
    assert!(share("/checkout") > 0.93, "{:.2}", share("/checkout"));
    assert!(share("/recommend") < 0.7, "{:.2}", share("/recommend"));
}

#[test]
fn limits_on_retries_hold_a_storm_back() {
    let world = |overload: &str| {
        run(&format!(
            r#"
            scenario.duration = "60s"
            traffic.shape = [{{ kind = "constant", rate = 300 }}]
            clients = {{ timeout = "500ms", retry = {{ max = 4, backoff = "10ms" }} }}
            service = {{ workers = 5, queue = 20, time = {{ dist = "exponential", mean = "50ms" }} }}
            fleet.initial = 2
            {overload}
            "#
        ))
    };
    let attempts = |run: &Run| run.instances.iter().map(|instance| instance.attempts).sum::<u64>();
    let (storm, calm) = (world(""), world("[overload]\nlimits = { retries = { share = 0.2 } }"));
    assert!(attempts(&calm) * 3 < attempts(&storm) * 2, "{} and {}", attempts(&calm), attempts(&storm));
}

#[test]
fn retry_tokens_are_those_of_grpc_and_of_aws() {
    use wavetank::engine::overload::tokens::{Config, Tokens};
    let mut grpc = Tokens::new(Config::GRPC);
    // CB-62 to CB-64: four failures leave six tokens, five leave too few, and a success makes the difference.
    (0..4).for_each(|_| grpc.failed());
    assert_eq!((grpc.balance(), grpc.withdraw(false)), (6.0, Some(0)));
    grpc.failed();
    assert_eq!((grpc.balance(), grpc.withdraw(false)), (5.0, None));
    grpc.succeeded(0);
    assert_eq!((grpc.balance(), grpc.withdraw(false)), (5.1, Some(0)));
    (0..1000).for_each(|_| grpc.failed());
    assert_eq!(grpc.balance(), 0.0);
    (0..1000).for_each(|_| grpc.succeeded(0));
    assert_eq!(grpc.balance(), 10.0);

    // A success gives back what its retry took, or 1 if it needed none.
    let mut aws = Tokens::new(Config::AWS);
    assert_eq!((aws.withdraw(true), aws.withdraw(false), aws.balance()), (Some(10), Some(5), 485.0));
    aws.succeeded(10);
    aws.succeeded(0);
    assert_eq!(aws.balance(), 496.0);
}

#[test]
fn in_an_outage_tokens_end_retries() {
    let world = |tokens: &str, clients: &str, time: &str| {
        run(&format!(
            r#"
            scenario.duration = "60s"
            traffic.shape = [{{ kind = "constant", rate = 50 }}]
            clients = {{ {clients} retry = {{ max = 3, backoff = "10ms", tokens = {tokens} }} }}
            service = {{ workers = 100, error_rate = 1.0, time = "{time}" }}
            "#
        ))
        .counts
        .retries
    };
    // CB-65: a hundred retries, fifty after time-outs, then none.
    assert_eq!(world("'aws'", "", "10ms"), 100);
    assert_eq!(world("'aws'", "timeout = '100ms',", "1s"), 50);
    // Ten tokens less a failure each: the fifth leaves no more than half.
    assert_eq!(world("'grpc'", "", "10ms"), 4);
    assert_eq!(world("{ kind = 'cost', capacity = 100, retry = 20 }", "", "10ms"), 5);
}

#[test]
fn retries_amplify_load_as_the_formula_says() {
    // CB-52, CB-53: with failure probability p and at most r attempts, (1 − p^r) / (1 − p) attempts per request.
    for (p, r, expected) in [(0.5, 3, 1.75), (0.5, 4, 1.875), (0.9, 3, 2.71)] {
        let run = run(&format!(
            r#"
            scenario.duration = "5m"
            traffic.shape = [{{ kind = "constant", rate = 200 }}]
            clients.retry = {{ max = {}, backoff = "10ms" }}
            service = {{ workers = 100, error_rate = {p}, time = "10ms" }}
            "#,
            r - 1
        ));
        let attempts = 1.0 + run.counts.retries as f64 / run.counts.offered as f64;
        assert!((attempts / expected - 1.0).abs() < 0.01, "p {p}, r {r}: {attempts}, not {expected}");
    }
}

//! What refuses requests, and the autoscaler: refused demand is demand, and refusals are nobody's fault.

use wavetank::engine::events::EventKind;
use wavetank::record::Run;
use wavetank::record::outcome::Failure;

use crate::world::run;

/// A fleet of two for up to eight, of 50 requests per second each, is asked for 300 by load alone.
fn asked(service: &str, protection: &str) -> Run {
    run(&format!(
        r#"
        scenario.duration = "5m"
        traffic.shape = [{{ kind = "constant", rate = 300 }}]
        clients.timeout = "1s"
        fleet.initial = 2
        [service]
        workers = 4
        queue = 20
        {service}
        [autoscaler]
        min = 2
        max = 8
        interval = "10s"
        [[autoscaler.policy]]
        kind = "target_tracking"
        metric = "requests_per_second"
        target = 50
        {protection}
        "#
    ))
}

#[test]
fn what_limiter_breaker_and_shedder_refuse_is_still_demand() {
    for (service, protection, refused) in [
        (
            "time = '20ms'",
            "[limiter]\nalgorithm = 'gcra'\nkey = 'global'\nlimit = 50\nwindow = '1s'",
            Failure::RateLimited,
        ),
        ("time = '20ms'", "[overload]\nlimits = { requests = 1 }", Failure::QueueFull),
        (
            "time = '20ms'\nerror_rate = 1.0",
            "[breaker]\nscope = 'service'\nminimum_calls = 10\nopen_for = '30s'",
            Failure::CircuitOpen,
        ),
    ] {
        let run = asked(service, protection);
        let share = run.counts.failed_for(refused) as f64 / run.counts.offered as f64;
        assert!(share > 0.5, "{protection}: only {share:.2} are refused: {:?}", run.counts);
        assert!(run.fleet.max >= 6, "{protection}: {} instances for 300 requests per second", run.fleet.max);
    }
}

fn opened(run: &Run) -> usize {
    run.events.iter().filter(|event| matches!(event.kind, EventKind::BreakerOpened { .. })).count()
}

#[test]
fn refusals_and_those_who_leave_open_no_breaker() {
    let world = |clients: &str, protection: &str| {
        run(&format!(
            r#"
            scenario.duration = "2m"
            traffic.shape = [{{ kind = "constant", rate = 200 }}]
            {clients}
            fleet.initial = 2
            service = {{ workers = 8, time = {{ dist = "exponential", mean = "50ms" }} }}
            {protection}
            [breaker]
            scope = "service"
            failure_rate = 0.1
            minimum_calls = 10
            window = "5s"
            "#
        ))
    };
    for (protection, refused) in [
        ("[limiter]\nalgorithm = 'gcra'\nkey = 'global'\nlimit = 20\nwindow = '1s'", Failure::RateLimited),
        ("[overload]\nlimits = { requests = 4 }", Failure::QueueFull),
        ("[overload]\nthrottle = { k = 1.0 }\nlimits = { requests = 4 }", Failure::Shed),
    ] {
        let run = world("", protection);
        assert!(run.counts.failed_for(refused) > run.counts.offered / 10, "{protection}: {:?}", run.counts);
        assert_eq!(opened(&run), 0, "{protection}");
    }
    // The copy that loses is given up by its client, which says nothing about its instance.
    let hedged = world("clients.timeout = '5s'", "[overload]\nhedge = { quantile = 0.5, budget = 0.5 }");
    assert!(hedged.counts.retries > hedged.counts.offered / 4, "{:?}", hedged.counts);
    assert_eq!(opened(&hedged), 0);
    // A time-out is one: the service did not answer.
    assert!(opened(&world("clients.timeout = '60ms'", "")) > 0);
}

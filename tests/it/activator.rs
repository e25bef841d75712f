//! The activator of Knative in the path of requests: one queue for all instances instead of one at each.

use wavetank::engine::events::EventKind;
use wavetank::queueing::erlang_c;
use wavetank::record::outcome::Failure;

use crate::world::run;

/// Five instances that serve one request at a time, of 100 ms on average, chosen at random, under 40 requests a second.
fn five(policy: &str) -> String {
    format!(
        r#"
        [scenario]
        duration = "100m"
        warmup = "1m"
        [traffic]
        shape = [{{ kind = "constant", rate = 40 }}]
        [service]
        workers = 1
        time = {{ dist = "exponential", mean = "100ms" }}
        [balancer]
        strategy = "random"
        [autoscaler]
        min = 5
        max = 5
        metrics = {{ window = "6s", scrape = "2s" }}
        [[autoscaler.policy]]
        kind = "kpa"
        container_concurrency = 1
        {policy}
        "#
    )
}

#[test]
fn in_the_path_five_instances_are_one_queue_and_out_of_it_five() {
    let mean = |policy: &str| {
        let run = run(&five(policy));
        run.latency.mean().expect("requests succeeded").as_secs_f64()
    };
    // M/M/5 by Erlang C: C/(cμ − λ) beside the service. At random each instance is an M/M/1 under a fifth of the load.
    let (together, apart) = (erlang_c(5, 4.0) / (50.0 - 40.0) + 0.1, 1.0 / (10.0 - 8.0));
    for (policy, expected) in [
        ("target_burst_capacity = -1", together),
        // Room for 211 there never is.
        ("", together),
        ("target_burst_capacity = 0", apart),
    ] {
        let mean = mean(policy);
        assert!((mean / expected - 1.0).abs() < 0.05, "{policy:?}: {mean:.4} s, expected {expected:.4} s");
    }
}

#[test]
fn the_activator_leaves_when_there_is_room_for_a_burst_and_comes_back_when_there_is_not() {
    // Fifty requests fit into five instances; a burst of thirty is to find room. At 40/s some four are inside, and later forty.
    let text = five("target_burst_capacity = 30")
        .replace("container_concurrency = 1", "container_concurrency = 10")
        .replace("workers = 1", "workers = 10")
        .replace("duration = \"100m\"", "duration = \"10m\"")
        .replace("rate = 40 }", "rate = 40, for = \"4m\" }, { kind = \"constant\", rate = 400, for = \"6m\" }");
    let run = run(&text);
    let moves: Vec<(u64, Option<u32>)> = run
        .events
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::BufferJoined { limit } => Some((event.at.as_secs_f64() as u64, Some(limit))),
            EventKind::BufferLeft => Some((event.at.as_secs_f64() as u64, None)),
            _ => None,
        })
        .collect();
    let [(0, Some(10)), (left, None), (back, Some(10))] = moves[..] else { panic!("{moves:?}") };
    assert!(left <= 4, "with the first averages: {left}");
    assert!((240..250).contains(&back), "with the surge: {back}");
    let cause = run.events.iter().find(|event| matches!(event.kind, EventKind::BufferLeft)).expect("it left");
    assert!(cause.cause.starts_with("activator: excess burst capacity 1"), "{}", cause.cause);
    // Waits under load are no cold starts.
    assert!(!run.events.iter().any(|event| matches!(event.kind, EventKind::HoldBegan)));
}

#[test]
fn what_finds_no_room_at_the_activator_is_refused_and_everything_is_accounted_for() {
    let text = five("")
        .replace("rate = 40", "rate = 80")
        .replace("\"100m\"", "\"5m\"")
        .replace("max = 5", "max = 5\nhold = { requests = 3, timeout = \"1s\" }\ninterval = \"2s\"");
    let run = run(&format!("{text}\n[clients]\ntimeout = \"2s\"\n"));
    let failed = |failure: Failure| run.counts.failed[failure as usize];
    assert!(failed(Failure::QueueFull) > 1000, "{:?}", run.counts);
    let all: u64 = run.counts.failed.iter().sum();
    assert_eq!(run.counts.offered, run.counts.succeeded + all);
}

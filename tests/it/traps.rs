//! The traps that other simulators fell into, each seen from outside: a scenario, and what it must leave behind.
//!
//! Not here: memory that grows with requests and scans of the fleet per event are measured by `benches/simulate.rs`;
//! formulas of other systems are what `theory.rs` is about; clocks and global random numbers are kept out by `tidy.rs` and
//! noticed by `determinism.rs`. Order at equal times and keyed draws have unit tests of their own (`sim/calendar.rs`,
//! `rng.rs`); here they are seen once more in the whole.

use wavetank::engine::events::EventKind;
use wavetank::record::Run;
use wavetank::record::outcome::Failure;
use wavetank::record::timeline::Column;
use wavetank::units::{Span, Time};

use crate::world::run;

/// When the fleet was first told to grow.
fn first_scale_up(run: &Run) -> Time {
    run.events.iter().find(|event| matches!(event.kind, EventKind::ScaledUp(_))).expect("the fleet grows").at
}

/// Steps of a column that begin within `from..to` [s].
fn during(run: &Run, column: Column, from: f64, to: f64) -> Vec<f64> {
    let t = &run.timeline.t;
    (0..t.len()).filter(|&i| t[i] >= from && t[i] < to).map(|i| run.timeline.column(column)[i]).collect()
}

#[test]
fn what_ends_when_something_arrives_makes_room_for_it_and_neither_is_moved() {
    let run = run(r#"
        scenario.duration = "60s"
        traffic = { arrivals = "paced", shape = [{ kind = "constant", rate = 10 }] }
        service = { workers = 1, time = "100ms" }
        "#);
    // Paced requests come at 0.1 s, 0.2 s, … and the one at 60 s belongs to what would come after the run.
    assert_eq!(run.counts.succeeded, 599);
    assert_eq!(run.waiting_time.max(), Some(Span::ZERO), "every request finds the worker free");
    assert_eq!((run.latency.min(), run.latency.max()), (Some(Span::from_millis(100)), Some(Span::from_millis(100))));
}

#[test]
fn overload_is_full_utilization_and_a_queue_that_grows_by_what_is_too_much() {
    let run = run(r#"
        scenario.duration = "100s"
        traffic = { arrivals = "paced", shape = [{ kind = "constant", rate = 20 }] }
        service = { workers = 1, time = "100ms" }
        "#);
    for (i, &queue) in run.timeline.column(Column::QueueLength).iter().enumerate() {
        let expected = 10.0 * (i as f64 + 0.5);
        assert!((queue - expected).abs() < 2.0, "second {i}: {queue} wait, {expected} should");
    }
    assert!(during(&run, Column::CpuUtilization, 1.0, 100.0).iter().all(|cpu| (cpu - 100.0).abs() < 1e-6));
}

#[test]
fn an_instance_gets_nothing_before_its_boot_is_over() {
    let grows = |boot: &str| {
        run(&format!(
            r#"
            scenario.duration = "5m"
            traffic.shape = [{{ kind = "constant", rate = 30 }}]
            service = {{ workers = 2, time = "50ms" }}
            fleet = {{ initial = 1, boot = "{boot}" }}
            [autoscaler]
            min = 1
            max = 3
            interval = "10s"
            metrics = {{ window = "10s" }}
            [[autoscaler.rule]]
            name = "up"
            metric = "cpu_utilization"
            operator = "gt"
            threshold = 50
            action = "scale_up"
            "#
        ))
    };
    let never = grows("1h");
    assert!(never.instances.len() > 1, "the fleet was told to grow");
    for instance in &never.instances[1..] {
        assert_eq!((instance.attempts, instance.ready_at), (0, None), "instance {}", instance.id);
    }
    assert!(never.timeline.column(Column::InstancesReady).iter().all(|&ready| ready == 1.0));
    let later = grows("40s");
    let second = &later.instances[1];
    assert_eq!(second.ready_at, Some(second.launched_at + Span::from_secs(40)));
    assert!(second.attempts > 0);
}

#[test]
fn scale_in_finishes_what_an_instance_holds() {
    let run = run(r#"
        scenario.duration = "5m"
        traffic.shape = [{ kind = "constant", rate = 10 }]
        service = { workers = 100, time = "4s" }
        fleet.initial = 6
        [autoscaler]
        min = 1
        max = 6
        interval = "10s"
        [[autoscaler.rule]]
        name = "down"
        metric = "cpu_utilization"
        operator = "lt"
        threshold = 90
        action = "scale_down"
        "#);
    assert_eq!(run.counts.failed_total(), 0);
    assert_eq!(run.latency.max(), Some(Span::from_secs(4)));
    let mut drained = 0;
    for event in &run.events {
        let EventKind::InstanceDraining { instance } = event.kind else { continue };
        let gone = run.instances[instance.0 as usize].gone_at.expect("it goes in the end");
        // It held work when it was told to go, or this would show nothing.
        assert!(gone > event.at, "instance {} held nothing", instance.0);
        drained += 1;
    }
    assert_eq!(drained, 5);
}

#[test]
fn every_request_scheduled_before_the_end_is_followed_to_its_own_and_none_exists_after_it() {
    let run = run(r#"
        scenario.duration = "60s"
        traffic = { arrivals = "paced", shape = [{ kind = "constant", rate = 20 }] }
        service = { workers = 1, time = "100ms" }
        "#);
    assert_eq!((run.counts.offered, run.counts.succeeded), (1199, 1199));
    assert_eq!(run.latency.count(), 1199);
    // The last one waits for 600 others that are still there at the end.
    let slowest = run.latency.max().expect("requests succeeded");
    assert!(slowest > Span::from_secs(59), "{slowest}");
    // Only what ended within the run is its throughput.
    assert!((run.throughput_rps - 10.0).abs() < 0.05, "{}", run.throughput_rps);
}

#[test]
fn a_worker_is_never_idle_while_something_waits() {
    let run = run(r#"
        scenario.duration = "30s"
        service = { workers = 1, time = "50ms" }
        [traffic]
        arrivals = "paced"
        shape = [{ kind = "constant", rate = 100, for = "1s" }, { kind = "constant", rate = 0 }]
        "#);
    assert_eq!(run.counts.succeeded, 100);
    // 100 requests 10 ms apart, 50 ms of work each without a gap: the last waits for all work but the time it came later.
    assert_eq!(run.latency.max(), Some(Span::from_millis(100 * 50 - 99 * 10)));
}

#[test]
fn a_crash_of_several_instances_takes_what_exactly_those_held() {
    let run = run(r#"
        scenario.duration = "60s"
        traffic = { arrivals = "paced", shape = [{ kind = "constant", rate = 50 }] }
        service = { workers = 4, time = "2s" }
        fleet.initial = 5
        balancer.strategy = "round_robin"
        [[fault]]
        kind = "crash"
        at = "30s"
        instances = 3
        "#);
    let ready = run.timeline.column(Column::InstancesReady);
    assert_eq!((ready[29], ready[30]), (5.0, 2.0));
    assert_eq!(run.counts.offered, run.counts.succeeded + run.counts.failed_total());
    assert_eq!(run.counts.failed_total(), run.counts.failed_for(Failure::Connection));
    for instance in &run.instances[..3] {
        assert!(instance.failures > 0, "instance {} held something", instance.id);
    }
    for instance in &run.instances[3..] {
        assert_eq!(instance.failures, 0, "instance {} lives", instance.id);
    }
}

#[test]
fn the_baseline_is_of_offered_load_and_not_of_what_an_overloaded_service_completes() {
    let run = run(r#"
        scenario.duration = "30m"
        traffic = { arrivals = "paced", shape = [{ kind = "constant", rate = 20 }] }
        service = { workers = 1, time = "100ms" }
        [analyzer]
        "#);
    let baseline =
        run.timeline.column(Column::BaselineRps).iter().rfind(|b| b.is_finite()).expect("there is a baseline");
    assert!((baseline - 20.0).abs() < 0.5, "{baseline} of 20 offered, 10 completed");
    assert!((run.throughput_rps - 10.0).abs() < 0.1, "{}", run.throughput_rps);
}

#[test]
fn retries_with_full_jitter_spread_and_without_come_in_step() {
    let busiest = |jitter: f64| {
        let run = run(&format!(
            r#"
            scenario.duration = "40s"
            traffic = {{ arrivals = "paced", shape = [{{ kind = "constant", rate = 100 }}] }}
            clients.retry = {{ max = 1, backoff = "10s", jitter = {jitter:?} }}
            service = {{ workers = 8, time = "10ms" }}
            [[fault]]
            kind = "errors"
            at = "10s"
            duration = "1s"
            rate = 1.0
            "#
        ));
        let retries = run.timeline.column(Column::RetriesRps);
        assert!((99.0..=101.0).contains(&retries.iter().sum::<f64>()), "a second of requests is tried again");
        retries.iter().copied().fold(0.0, f64::max)
    };
    assert!(busiest(0.0) >= 95.0, "{} a second", busiest(0.0));
    assert!(busiest(1.0) <= 25.0, "{} a second", busiest(1.0));
}

#[test]
fn warm_up_is_left_out_once() {
    let run = run(r#"
        scenario.duration = "60s"
        scenario.warmup = "20s"
        traffic = { arrivals = "paced", shape = [{ kind = "constant", rate = 10 }] }
        service = { workers = 4, time = "100ms" }
        "#);
    assert_eq!(run.measured, Span::from_secs(40));
    assert_eq!((run.counts.offered, run.latency.count(), run.waiting_time.count()), (400, 400, 400));
    assert_eq!(run.simulated, 599, "all of them were simulated");
    let seen: f64 = run.timeline.column(Column::OfferedRps).iter().sum();
    assert!((seen - 599.0).abs() < 1e-6, "the timeline shows the warm-up: {seen}");
}

#[test]
fn a_demand_far_below_a_millisecond_keeps_its_latency() {
    let run = run(r#"
        scenario.duration = "10s"
        traffic.shape = [{ kind = "constant", rate = 50 }]
        service = { workers = 64, time = "100us" }
        "#);
    assert_eq!(run.latency.quantile(0.5), Some(Span::from_micros(100)));
    assert_eq!(run.latency.mean(), Some(Span::from_micros(100)));
}

#[test]
fn length_rate_and_sojourn_are_measured_apart_and_agree() {
    let run = run(r#"
        scenario.duration = "10m"
        service = { workers = 1, time = { dist = "exponential", mean = "10ms" } }
        traffic.shape = [{ kind = "constant", rate = 80, for = "9m" }, { kind = "constant", rate = 0 }]
        "#);
    // The system is empty at both ends, so the law holds exactly. L is a time average over virtual time, W a mean over requests.
    let steps = run.timeline.column(Column::ActiveConnections);
    let length = steps.iter().sum::<f64>() * run.timeline.step_seconds / run.measured.as_secs_f64();
    let rate = run.counts.offered as f64 / run.measured.as_secs_f64();
    let sojourn = run.latency.mean().expect("requests succeeded").as_secs_f64();
    assert!((length / (rate * sojourn) - 1.0).abs() < 1e-6, "L {length}, λ {rate}, W {sojourn}");
    // And both are what an M/M/1 queue has, so that they do not agree on something else.
    assert!((sojourn - 0.05).abs() < 0.01, "W {sojourn}");
}

#[test]
fn a_rule_fires_later_by_the_delay_of_its_metrics() {
    let fires = |delay: u64| {
        let run = run(&format!(
            r#"
            scenario.duration = "10m"
            traffic = {{ arrivals = "paced", shape = [{{ kind = "step", from = 10, to = 40, at = "2m" }}] }}
            service = {{ workers = 2, time = "50ms" }}
            [autoscaler]
            min = 1
            max = 3
            interval = "10s"
            metrics = {{ window = "10s", delay = "{delay}s" }}
            [[autoscaler.rule]]
            name = "up"
            metric = "cpu_utilization"
            operator = "gt"
            threshold = 70
            duration = "30s"
            action = "scale_up"
            "#
        ));
        first_scale_up(&run)
    };
    let at_once = fires(0);
    assert!(at_once >= Time::from_secs_f64(150.0), "no earlier than the step and the rule's duration: {at_once:?}");
    for delay in [10, 30, 60] {
        assert_eq!(fires(delay), at_once + Span::from_secs(delay), "delay {delay} s");
    }
}

#[test]
fn the_p99_of_a_run_is_of_its_requests_and_not_a_mean_of_steps() {
    let run = run(r#"
        scenario.duration = "60s"
        traffic = { arrivals = "paced", shape = [{ kind = "constant", rate = 10 }] }
        service = { workers = 100, time = "10ms" }
        [[fault]]
        kind = "slow"
        at = "30s"
        duration = "2s"
        factor = 100.0
        "#);
    let steps: Vec<f64> = run.timeline.column(Column::P99Ms).iter().copied().filter(|p99| p99.is_finite()).collect();
    let mean_of_steps = steps.iter().sum::<f64>() / steps.len() as f64;
    // 20 of 600 requests take a second.
    let p99 = run.latency.quantile(0.99).expect("requests succeeded").as_millis_f64();
    assert!((p99 - 1000.0).abs() < 1.0, "{p99} ms");
    assert!(mean_of_steps < 60.0, "{mean_of_steps} ms");
}

#[test]
fn round_robin_goes_on_where_it_was_when_the_fleet_grows() {
    let run = run(r#"
        scenario.duration = "5m"
        traffic = { arrivals = "paced", shape = [{ kind = "constant", rate = 37 }] }
        service = { workers = 100, time = "10ms" }
        fleet.initial = 3
        balancer.strategy = "round_robin"
        [autoscaler]
        min = 1
        max = 20
        interval = "10s"
        metrics = { window = "10s" }
        [[autoscaler.rule]]
        name = "up"
        metric = "cpu_utilization"
        operator = "lt"
        threshold = 90
        action = "scale_up"
        "#);
    assert_eq!(run.instances.len(), 20, "the fleet grew 17 times");
    let turns: Vec<u64> = run.instances[..3].iter().map(|instance| instance.attempts).collect();
    let spread = turns.iter().max().expect("three") - turns.iter().min().expect("three");
    assert!(spread <= 1, "who was there from the start had the same turns: {turns:?}");
    let all: u64 = run.instances.iter().map(|instance| instance.attempts).sum();
    assert_eq!(all, run.counts.offered);
}

//! Whole stories of a fleet: how a rule climbs, what a death looks like to the autoscaler, what it does when it is blind.

use insta::assert_snapshot;
use wavetank::engine::events::{Event, EventKind};
use wavetank::record::Run;
use wavetank::record::outcome::Failure;
use wavetank::record::timeline::Column;

use crate::world::run;

/// Scaling actions as lines: when, from, to.
fn scalings(run: &Run) -> String {
    let line = |event: &Event| {
        let (EventKind::ScaledUp(s) | EventKind::ScaledDown(s)) = &event.kind else { return None };
        let seconds = event.at.as_secs_f64();
        Some(format!("{:02}:{:02} {} -> {} {}", seconds as u64 / 60, seconds as u64 % 60, s.from, s.to, s.rule))
    };
    run.events.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

/// When the first event of a kind came [s].
fn first(run: &Run, is: impl Fn(&EventKind) -> bool) -> Option<f64> {
    run.events.iter().find(|event| is(&event.kind)).map(|event| event.at.as_secs_f64())
}

#[test]
fn the_usual_rule_takes_the_better_part_of_an_hour_from_two_instances_to_twenty() {
    let run = run(r#"
        scenario.duration = "70m"
        traffic = { arrivals = "paced", shape = [{ kind = "constant", rate = 1000 }] }
        service = { workers = 1, queue = 10, time = "40ms" }
        [autoscaler]
        min = 2
        max = 20
        interval = "15s"
        scale_up_cooldown = "2m"
        [[autoscaler.rule]]
        name = "cpu_scale_up"
        metric = "cpu_utilization"
        operator = "gt"
        threshold = 70
        duration = "2m"
        action = "scale_up"
        step = 1
        cooldown = "3m"
        "#);
    // Persistence (2 m, from the first sample at 0:15), then a step for each 3 m of the rule's cooldown.
    assert_snapshot!(scalings(&run), @"
    02:15 2 -> 3 cpu_scale_up
    05:15 3 -> 4 cpu_scale_up
    08:15 4 -> 5 cpu_scale_up
    11:15 5 -> 6 cpu_scale_up
    14:15 6 -> 7 cpu_scale_up
    17:15 7 -> 8 cpu_scale_up
    20:15 8 -> 9 cpu_scale_up
    23:15 9 -> 10 cpu_scale_up
    26:15 10 -> 11 cpu_scale_up
    29:15 11 -> 12 cpu_scale_up
    32:15 12 -> 13 cpu_scale_up
    35:15 13 -> 14 cpu_scale_up
    38:15 14 -> 15 cpu_scale_up
    41:15 15 -> 16 cpu_scale_up
    44:15 16 -> 17 cpu_scale_up
    47:15 17 -> 18 cpu_scale_up
    50:15 18 -> 19 cpu_scale_up
    53:15 19 -> 20 cpu_scale_up
    ");
}

/// A fleet of four under half its capacity; `more` is what happens to it.
fn steady(more: &str) -> Run {
    run(&format!(
        r#"
        scenario.duration = "10m"
        traffic.shape = [{{ kind = "constant", rate = 40 }}]
        service = {{ workers = 2, time = "100ms" }}
        fleet = {{ initial = 4, boot = "20s", zones = 2 }}
        clients.retry = {{ max = 2 }}
        [autoscaler]
        min = 4
        max = 8
        interval = "15s"
        [[autoscaler.rule]]
        name = "up"
        metric = "cpu_utilization"
        operator = "gt"
        threshold = 80
        duration = "1m"
        action = "scale_up"
        [[autoscaler.rule]]
        name = "down"
        metric = "cpu_utilization"
        operator = "lt"
        threshold = 20
        duration = "1m"
        action = "scale_down"
        [balancer]
        strategy = "round_robin"
        health_check = {{ interval = "5s", timeout = "2s", unhealthy_after = 3 }}
        {more}
        "#
    ))
}

#[test]
fn a_crash_is_found_by_health_checks_and_healed() {
    let run = steady("[[fault]]\nkind = 'crash'\nat = '2m'");
    let unhealthy = first(&run, |kind| matches!(kind, EventKind::InstanceUnhealthy { .. })).expect("it is found");
    // Three checks five seconds apart, with jitter.
    assert!((125.0..=140.0).contains(&unhealthy), "found at {unhealthy} s");
    let ready = run.timeline.column(Column::InstancesReady);
    assert_eq!((ready[119], ready[121]), (4.0, 3.0));
    let launched = run.instances.last().expect("a replacement");
    assert_eq!(run.instances.len(), 5, "one died, one came");
    let at = launched.launched_at.as_secs_f64();
    assert!(at >= unhealthy && at <= unhealthy + 15.0, "ordered at {at} s");
    assert!(ready[at as usize + 22..].iter().all(|&ready| ready == 4.0), "four again, for good");
    // Retries go elsewhere, so nearly nobody notices.
    assert!(run.counts.succeeded as f64 >= run.counts.offered as f64 * 0.999, "{:?}", run.counts);
    assert!(run.counts.retries > 0);
}

#[test]
fn the_loss_of_a_zone_is_survived_by_the_other() {
    let run = steady("[[fault]]\nkind = 'zone_outage'\nat = '2m'\nduration = '3m'\nzone = 1");
    let ready = run.timeline.column(Column::InstancesReady);
    assert_eq!((ready[119], ready[121]), (4.0, 2.0), "half of the fleet is gone at once");
    assert!(ready[599] >= 4.0, "{} at the end", ready[599]);
    let late = run.timeline.column(Column::FailedRps)[360..].iter().sum::<f64>();
    assert_eq!(late, 0.0, "a minute after the outage nothing fails any more");
    assert!(run.counts.succeeded as f64 >= run.counts.offered as f64 * 0.97, "{:?}", run.counts);
}

#[test]
fn an_autoscaler_without_metrics_holds_what_it_has() {
    let blind = "[[fault]]\nkind = 'lost_metrics'\nat = '1m'\nduration = '5m'";
    // Load leaves for half of the time: with eyes open the fleet shrinks.
    let quiet = |fault: &str| {
        run(&format!(
            r#"
            scenario.duration = "8m"
            traffic.shape = [{{ kind = "constant", rate = 40, for = "1m" }}, {{ kind = "constant", rate = 1 }}]
            service = {{ workers = 2, time = "100ms" }}
            fleet.initial = 4
            [autoscaler]
            min = 1
            max = 8
            [[autoscaler.policy]]
            kind = "target_tracking"
            metric = "cpu_utilization"
            target = 60
            stabilization_window = "30s"
            {fault}
            "#
        ))
    };
    let (seeing, lost) = (quiet(""), quiet(blind));
    let down = |run: &Run| first(run, |kind| matches!(kind, EventKind::ScaledDown(_)));
    assert!(down(&seeing).is_some_and(|at| at < 240.0), "seeing: {:?}", down(&seeing));
    // What is older than four intervals is forgotten; until then the last values are of full load.
    assert!(down(&lost).is_none_or(|at| at >= 360.0), "blind: {:?}", down(&lost));
    assert!(down(&lost).is_some(), "it goes on when it sees again");
}

/// A service whose instances serve ten requests a second at 100 % of their CPU, load that rises from ten to a hundred
/// requests a second at 2:00 and falls back at 8:00, and `autoscaler`.
fn surge(autoscaler: &str) -> Run {
    run(&format!(
        r#"
        scenario.duration = "20m"
        [traffic]
        arrivals = "paced"
        shape = [
            {{ kind = "constant", rate = 10, for = "2m" }},
            {{ kind = "constant", rate = 100, for = "6m" }},
            {{ kind = "constant", rate = 10 }},
        ]
        [service]
        workers = 1
        queue = 10
        time = "100ms"
        [fleet]
        initial = 2
        boot = "20s"
        [autoscaler]
        min = 2
        max = 20
        metrics = {{ window = "30s" }}
        {autoscaler}
        "#
    ))
}

#[test]
fn an_hpa_climbs_as_its_pods_are_believed_and_waits_out_its_window_on_the_way_down() {
    let run = surge(
        r#"
        scale_down_guards = false
        [[autoscaler.policy]]
        kind = "hpa"
        metrics = [{ type = "resource", resource = "cpu", average_utilization = 70 }]
        behavior = {}
        "#,
    );
    assert_snapshot!(scalings(&run), @"
    02:30 2 -> 3 hpa
    03:30 3 -> 5 hpa
    04:30 5 -> 8 hpa
    05:30 8 -> 12 hpa
    06:30 12 -> 15 hpa
    13:00 15 -> 8 hpa
    13:15 8 -> 2 hpa
    ");
}

#[test]
fn of_several_policies_the_highest_wins_and_every_proposal_is_recorded() {
    let run = surge(
        r#"
        [[autoscaler.policy]]
        kind = "target_tracking"
        metric = "cpu_utilization"
        target = 70
        [[autoscaler.policy]]
        kind = "hpa"
        metrics = [{ type = "external", metric = "requests_per_second", average_value = 5 }]
        "#,
    );
    assert_snapshot!(scalings(&run), @"
    02:15 2 -> 4 hpa
    02:30 4 -> 8 hpa
    02:45 8 -> 16 hpa
    03:00 16 -> 20 hpa
    13:15 20 -> 11 hpa
    13:30 11 -> 2 target_tracking
    ");
    let first = run.events.iter().find_map(|event| match &event.kind {
        EventKind::ScaledUp(scaling) => Some(scaling),
        _ => None,
    });
    let first = first.expect("it grows");
    let wishes: Vec<String> = first.wishes.iter().map(|w| format!("{} {} {:?}", w.policy, w.raw, w.wanted)).collect();
    assert_snapshot!(wishes.join("\n"), @"
    target_tracking 2 Some(2)
    hpa 11 Some(4)
    ");
    let stages: Vec<String> =
        first.stages.iter().map(|s| format!("{} {} -> {}: {}", s.stage, s.input, s.output, s.reason)).collect();
    assert_snapshot!(stages.join("\n"), @"
    policy 2 -> 11: requests_per_second 55/s, target 5/s each: 11 wanted (policy hpa); highest of target_tracking 2, hpa 4
    stabilise 11 -> 11: nothing to wait for
    rate-limit 11 -> 4: at most twice the size, or four, at once
    combine 4 -> 4: highest of target_tracking 2, hpa 4
    bounds 4 -> 4: within 2..=20
    guards 4 -> 4: nothing against it
    ");
}

#[test]
fn every_kind_of_policy_answers_the_same_surge_in_its_own_time() {
    let stories = [
        (
            "kpa",
            "interval = '2s'\n[[autoscaler.policy]]\nkind = 'kpa'\ncontainer_concurrency = 1\ntarget_burst_capacity = 0",
        ),
        (
            "aws_target_tracking",
            "[[autoscaler.policy]]\nkind = 'aws_target_tracking'\nmetric = 'cpu_utilization'\ntarget = 60",
        ),
        (
            "step",
            "[[autoscaler.policy]]\nkind = 'step'\nname = 'out'\n\
             alarm = { metric = 'cpu_utilization', operator = 'gte', threshold = 60, evaluation_periods = 2 }\n\
             steps = [{ lower = 0, upper = 20, adjustment = 1 }, { lower = 20, adjustment = 4 }]\n\
             estimated_instance_warmup = '1m'\n\
             [[autoscaler.policy]]\nkind = 'step'\nname = 'in'\n\
             alarm = { metric = 'cpu_utilization', operator = 'lte', threshold = 30, evaluation_periods = 5 }\n\
             steps = [{ upper = 0, adjustment = -4 }]",
        ),
        (
            "simple",
            "[[autoscaler.policy]]\nkind = 'simple'\n\
             alarm = { metric = 'cpu_utilization', operator = 'gte', threshold = 60, evaluation_periods = 1 }\n\
             adjustment = 3\ncooldown = '1m'",
        ),
        (
            "keda",
            "[[autoscaler.policy]]\nkind = 'keda'\ntriggers = [{ metric = 'requests_per_second', threshold = 8 }]",
        ),
        (
            "nomad",
            "[[autoscaler.policy]]\nkind = 'nomad_target_value'\nmetric = 'cpu_utilization'\ntarget = 60\ncooldown = '1m'",
        ),
        ("gcp", "[[autoscaler.policy]]\nkind = 'gcp'\nsignals = [{ metric = 'requests_per_second', target = 8 }]"),
        (
            "azure",
            "[[autoscaler.policy]]\nkind = 'azure'\nrules = [\n\
             { metric = 'cpu_utilization', operator = 'gt', threshold = 70, direction = 'increase', value = 3, time_window = '1m', cooldown = '1m' },\n\
             { metric = 'cpu_utilization', operator = 'lt', threshold = 40, direction = 'decrease', value = 5, time_window = '1m', cooldown = '1m' },\n]",
        ),
        (
            "schedule",
            "[[autoscaler.policy]]\nkind = 'schedule'\nentries = [{ start = '2 * * * *', for = '6m', instances = 12 }, \
             { start = '0 * * * *', for = '1h', instances = 2 }]",
        ),
    ];
    let line = |(kind, autoscaler): (&str, &str)| {
        let run = surge(autoscaler);
        for event in &run.events {
            let (EventKind::ScaledUp(scaling) | EventKind::ScaledDown(scaling)) = &event.kind else { continue };
            let last = scaling.stages.iter().fold(scaling.from, |size, stage| {
                assert_eq!(stage.input, size, "{kind}: {scaling:?}");
                assert!(!stage.reason.is_empty(), "{kind}: {stage:?}");
                stage.output
            });
            assert_eq!(last, scaling.to, "{kind}: {scaling:?}");
            assert!(!scaling.wishes.is_empty() && event.cause.contains("policy "), "{kind}: {event:?}");
        }
        let steps = scalings(&run)
            .lines()
            .map(|line| line.split(' ').take(4).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>();
        let failed = run.counts.offered - run.counts.succeeded;
        format!("{kind}: {} failed; {}", failed, steps.join(", "))
    };
    assert_snapshot!(stories.map(line).join("\n"), @"
    kpa: 1740 failed; 02:02 2 -> 11, 02:04 11 -> 20, 03:24 20 -> 15, 08:02 15 -> 14, 08:08 14 -> 13, 08:12 13 -> 12, 08:16 12 -> 11, 08:22 11 -> 10, 08:26 10 -> 9, 08:30 9 -> 8, 08:36 8 -> 7, 08:40 7 -> 6, 08:44 6 -> 5, 08:50 5 -> 4, 08:54 4 -> 3, 08:58 3 -> 2
    aws_target_tracking: 25560 failed; 05:00 2 -> 4
    step: 15940 failed; 04:00 2 -> 6, 06:00 6 -> 10, 08:00 10 -> 14, 14:00 14 -> 10, 15:00 10 -> 6, 16:00 6 -> 2
    simple: 12620 failed; 03:00 2 -> 5, 04:30 5 -> 8, 06:00 8 -> 11, 07:30 11 -> 14
    keda: 3920 failed; 02:15 2 -> 4, 02:30 4 -> 8, 02:45 8 -> 13, 13:15 13 -> 7, 13:30 7 -> 2
    nomad: 8130 failed; 02:15 2 -> 4, 03:15 4 -> 7, 04:15 7 -> 12, 05:15 12 -> 17, 08:15 17 -> 2
    gcp: 3180 failed; 02:15 2 -> 7, 02:30 7 -> 13, 18:00 13 -> 7, 18:15 7 -> 2
    azure: 8120 failed; 02:30 2 -> 5, 03:30 5 -> 8, 04:30 8 -> 11, 05:30 11 -> 14, 06:30 14 -> 17, 08:30 17 -> 12, 09:30 12 -> 7, 10:30 7 -> 2
    schedule: 1580 failed; 02:00 2 -> 12, 08:00 12 -> 2
    ");
}

/// A service that is asked for a minute, left alone for five, and asked again; its instances boot in 20 s.
fn sleeper(clients: &str, autoscaler: &str) -> Run {
    run(&format!(
        r#"
        scenario.duration = "9m"
        [traffic]
        arrivals = "paced"
        shape = [
            {{ kind = "constant", rate = 5, for = "1m" }},
            {{ kind = "constant", rate = 0, for = "5m" }},
            {{ kind = "constant", rate = 5 }},
        ]
        [clients]
        {clients}
        [service]
        workers = 10
        time = "100ms"
        [fleet]
        boot = "20s"
        [autoscaler]
        min = 0
        max = 5
        {autoscaler}
        "#
    ))
}

/// What was held at the gateway, as lines.
fn holds(run: &Run) -> String {
    let line = |event: &Event| {
        let EventKind::HoldEnded { .. } = &event.kind else { return None };
        Some(format!("{} {}", event.at, event.cause))
    };
    run.events.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn knative_sleeps_and_the_first_request_wakes_it_and_waits() {
    let run = sleeper("", "[[autoscaler.policy]]\nkind = 'kpa'");
    assert_snapshot!(scalings(&run), @"
    00:00 0 -> 1 kpa
    00:18 1 -> 2 kpa
    01:24 2 -> 1 kpa
    02:32 1 -> 0 kpa
    06:00 0 -> 1 kpa
    06:18 1 -> 2 kpa
    07:24 2 -> 1 kpa
    ");
    assert_snapshot!(holds(&run), @"
    20.2s cold start: 101 requests held, the first for 20s
    6m20s cold start: 101 requests held, the first for 20s
    ");
    assert_eq!(run.counts.succeeded, run.counts.offered, "everybody was served in the end");
    let longest = run.latency.max().expect("there are answers").as_secs_f64();
    assert!((20.0..20.3).contains(&longest), "the cold start is in the latency: {longest} s");
}

#[test]
fn keda_sleeps_after_its_cooldown_and_wakes_at_a_poll() {
    let keda = r#"
        [[autoscaler.policy]]
        kind = "keda"
        cooldown_period = "2m"
        triggers = [{ metric = "active_connections", threshold = 5 }]
        "#;
    let run = sleeper("timeout = '25s'", keda);
    assert_snapshot!(scalings(&run), @"
    00:30 0 -> 1 keda
    00:45 1 -> 4 keda
    01:00 4 -> 5 keda
    04:30 5 -> 0 keda
    06:30 0 -> 1 keda
    06:45 1 -> 4 keda
    07:00 4 -> 5 keda
    ");
    assert_snapshot!(holds(&run), @"
    50s cold start: 250 requests held for up to 49.8s, 125 of them in vain
    6m50s cold start: 250 requests held for up to 49.8s, 125 of them in vain
    ");
    let failed = run.counts.offered - run.counts.succeeded;
    assert!(failed > 0, "whose patience ends before a poll and a boot have passed, leaves");
}

#[test]
fn at_the_gateway_there_is_room_for_so_many_and_for_so_long() {
    let hold = r#"
        hold = { requests = 20, timeout = "10s" }
        [[autoscaler.policy]]
        kind = "kpa"
        "#;
    let run = sleeper("", hold);
    assert_snapshot!(holds(&run), @"
    20.2s cold start: 40 requests held for up to 20s, 20 of them in vain
    6m20s cold start: 40 requests held for up to 20s, 20 of them in vain
    ");
    assert_eq!(run.counts.failed[Failure::NoInstance as usize], run.counts.offered - run.counts.succeeded);
}

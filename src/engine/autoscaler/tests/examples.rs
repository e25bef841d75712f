//! Worked examples with the moments and sizes they must give.

use super::super::{schedule, target_tracking};
use super::*;
use crate::engine::autoscaler::rules::Missing;

struct Example {
    id: &'static str,
    config: Config,
    n: u32,
    boot: u64,
    until: u64,
    load: fn(u64, FleetCounts) -> Load,
    story: &'static str,
}

fn check(examples: Vec<Example>) {
    for Example { id, config, n, boot, until, load, story } in examples {
        let mut world = World { boot: secs(boot), ..World::new(config, n) };
        world.run(s(until), load);
        assert_eq!(world.story(), story, "{id}");
    }
}

fn hot(_: u64, _: FleetCounts) -> Load {
    cpu(85.0)
}

fn shared_170(_: u64, fleet: FleetCounts) -> Load {
    cpu(170.0 / f64::from(fleet.ready))
}

fn gap(t: u64, _: FleetCounts) -> Load {
    Load { cpu: (!(45..=90).contains(&t)).then_some(85.0), ..Load::default() }
}

#[test]
#[rustfmt::skip]
fn rules_fire_at_these_moments() {
    let base = || Example { id: "", config: fleet(&[cpu_up()]), n: 2, boot: 0, until: 600, load: hot, story: "" };
    let quick_down = timed(rule("down", Metric::CpuUtilization, Operator::Lt, 45.0, Action::ScaleDown), 60, 5, 60);
    let stale = |seconds| Config { max_staleness: Some(secs(seconds)), ..fleet(&[cpu_up()]) };
    let unguarded = || Config { piling_on_guard: false, ..fleet(&[cpu_up()]) };
    let eager = |priority, rule: Rule| timed(rule, 0, priority, 0);
    let early_down = || rule("cpu_down", Metric::CpuUtilization, Operator::Lt, 90.0, Action::ScaleDown);
    let twin = |name| Rule { name: String::from(name), ..cpu_up() };
    check(vec![
        Example { id: "R-01", story: "120 cpu_up 3; 300 cpu_up 4; 480 cpu_up 5", ..base() },
        Example { id: "R-02", load: |t, _| cpu(if t == 60 { 70.0 } else { 85.0 }), until: 400,
            story: "195 cpu_up 3; 375 cpu_up 4", ..base() },
        Example { id: "R-03", config: fleet(&[cpu_up(), mem_up()]), until: 780,
            load: |_, _| Load { cpu: Some(85.0), memory: Some(90.0), ..Load::default() },
            story: "120 cpu_up 3; 240 mem_up 4; 360 cpu_up 5; 540 cpu_up 6; 660 mem_up 7; 780 cpu_up 8", ..base() },
        Example { id: "R-04", config: fleet(&[cpu_up(), mem_up(), cpu_down()]), n: 5, until: 1200,
            load: |_, _| Load { cpu: Some(10.0), memory: Some(85.0), ..Load::default() },
            story: "180 mem_up 6; 480 mem_up 7; 780 mem_up 8; 1080 mem_up 9", ..base() },
        Example { id: "R-05", config: fleet(&[cpu_up(), mem_up(), cpu_down()]), n: 5, until: 4000,
            load: |_, _| Load { cpu: Some(10.0), memory: Some(50.0), ..Load::default() },
            story: "600 cpu_down 4; 1200 cpu_down 3; 1800 cpu_down 2", ..base() },
        Example { id: "R-06", config: fleet(&[cpu_up(), cpu_down()]), until: 1000,
            load: |t, _| cpu(if t < 300 { 85.0 } else { 10.0 }), story: "120 cpu_up 3; 900 cpu_down 2", ..base() },
        Example { id: "R-07", n: 3, until: 1000, load: |_, _| cpu(40.0), story: "60 down 2",
            config: Config { min: 1, scale_down_cooldown: secs(60), ..fleet(&[cpu_up(), quick_down]) }, ..base() },
        Example { id: "R-08", config: fleet(&[err_break()]), until: 400, 
            load: |_, _| Load { errors: Some(0.25), ..Load::default() },
            story: "60 err_break opens; 180 err_break opens; 300 err_break opens", ..base() },
        Example { id: "R-09", config: fleet(&[err_break()]),
            load: |_, _| Load { errors: Some(0.10), ..Load::default() }, ..base() },
        Example { id: "R-10", config: stale(60), load: gap, until: 250, story: "120 cpu_up 3", ..base() },
        Example { id: "R-11", config: stale(30), load: gap, until: 250, story: "225 cpu_up 3", ..base() },
        Example { id: "reset", until: 250, load: gap, story: "225 cpu_up 3",
            config: fleet(&[Rule { missing: Missing::Reset, ..cpu_up() }]), ..base() },
        Example { id: "breach", until: 250, load: |_, _| Load::default(), story: "120 cpu_up 3",
            config: fleet(&[Rule { missing: Missing::Breach, ..cpu_up() }]), ..base() },
        Example { id: "R-12", config: fleet(&[cpu_up(), cpu_down()]), n: 1, load: |_, _| cpu(10.0),
            story: "0 min 2", ..base() },
        Example { id: "R-12 starts no cooldown", config: fleet(&[timed(cpu_up(), 0, 8, 0)]), n: 1, until: 30,
            story: "0 min 2; 15 cpu_up 3", ..base() },
        Example { id: "above max", n: 25, story: "0 max 20", ..base() },
        Example { id: "R-13", config: Config { scale_up_cooldown: secs(300), ..fleet(&[cpu_up()]) }, until: 800,
            story: "120 cpu_up 3; 420 cpu_up 4; 720 cpu_up 5", ..base() },
        Example { id: "R-14", config: fleet(&[cpu_up(), rt_up()]), until: 500,
            load: |_, _| Load { cpu: Some(85.0), latency: Some(2000.0), ..Load::default() },
            story: "120 cpu_up 3; 240 rt_up 4; 360 cpu_up 5; 480 rt_up 6", ..base() },
        Example { id: "R-15", config: Config { interval: secs(50), ..fleet(&[cpu_up()]) }, until: 400,
            story: "150 cpu_up 3; 350 cpu_up 4", ..base() },
        Example { id: "R-16", config: Config { max: 3, ..fleet(&[cpu_up()]) }, until: 1000,
            story: "120 cpu_up 3", ..base() },
        Example { id: "R-17", config: unguarded(), boot: 240, load: shared_170, until: 1000,
            story: "120 cpu_up 3; 300 cpu_up 4", ..base() },
        Example { id: "R-18", boot: 240, load: shared_170, until: 1000, story: "120 cpu_up 3", ..base() },
        Example { id: "R-19", boot: 150, load: shared_170, until: 1000, story: "120 cpu_up 3", ..base() },
        Example { id: "R-19 unguarded", config: unguarded(), boot: 150, load: shared_170, until: 1000,
            story: "120 cpu_up 3", ..base() },
        Example { id: "R-24", config: fleet(&[twin("a"), twin("b")]), until: 250,
            story: "120 a 3; 240 b 4", ..base() },
        Example { id: "R-25", config: fleet(&[eager(9, early_down()), eager(1, cpu_up())]), n: 5, until: 15,
            story: "0 cpu_up 6", ..base() },
        Example { id: "firing restarts the clock", until: 370, story: "120 cpu_up 3; 240 cpu_up 4; 360 cpu_up 5",
            config: Config { scale_up_cooldown: Span::ZERO, ..fleet(&[timed(cpu_up(), 120, 8, 0)]) }, ..base() },
        Example { id: "so does a change the other way", until: 500, story: "180 mem_up 3; 480 cpu_down 2",
            config: Config { scale_down_cooldown: Span::ZERO, ..fleet(&[mem_up(), timed(cpu_down(), 300, 3, 0)]) },
            load: |t, _| Load { cpu: Some(10.0), memory: Some(if t <= 180 { 85.0 } else { 40.0 }), ..Load::default() },
            ..base() },
        Example { id: "reset forgets samples", until: 45, story: "45 cpu_up 3",
            load: |t, _| Load { cpu: (t != 15).then_some(85.0), ..Load::default() },
            config: fleet(&[Rule { missing: Missing::Reset,
                evidence: Evidence::MOfN { m: 2, n: 3, require_latest: true }, ..timed(cpu_up(), 0, 8, 0) }]), ..base() },
        Example { id: "a disabled rule", config: fleet(&[Rule { enabled: false, ..cpu_up() }]), ..base() },
        Example { id: "a pulse of a day", until: 1000,
            config: fleet(&[Rule { action: Action::Alert, cooldown: secs(300), ..cpu_up() }]),
            story: "120 cpu_up alerts; 420 cpu_up alerts; 720 cpu_up alerts", ..base() },
        Example { id: "one alert an episode", until: 1000,
            config: fleet(&[Rule { action: Action::Alert, cooldown: Span::ZERO, ..cpu_up() }]),
            load: |t, _| cpu(if t == 600 { 10.0 } else { 85.0 }),
            story: "120 cpu_up alerts; 735 cpu_up alerts", ..base() },
        Example { id: "W-12", n: 2, boot: 90, until: 800, story: "0 cpu_up 3; 390 cpu_up 4; 780 cpu_up 5",
            config: Config { scale_up_cooldown: secs(300), cooldown_from: CooldownFrom::Ready,
                ..fleet(&[eager(5, cpu_up())]) }, ..base() },
    ]);
}

#[test]
fn one_at_a_time_it_takes_53_minutes_from_min_to_max() {
    let mut world = World::new(fleet(&[cpu_up()]), 2);
    world.run(s(5000), hot);
    let firings: Vec<_> = world.log.iter().filter(|(_, d)| d.rule.is_some()).collect();
    assert_eq!(firings.len(), 18, "R-01");
    assert_eq!((firings[17].0, firings[17].1.to), (s(3180), 20), "R-01");
}

#[test]
fn every_reason_that_held_a_rule_is_named() {
    let run = |config, n, boot, until, load: fn(u64, FleetCounts) -> Load| {
        let mut world = World { boot: secs(boot), ..World::new(config, n) };
        world.run(s(until), load);
        world
    };
    let quick_down = timed(rule("down", Metric::CpuUtilization, Operator::Lt, 45.0, Action::ScaleDown), 60, 5, 60);
    let r07 = Config { min: 1, scale_down_cooldown: secs(60), ..fleet(&[cpu_up(), quick_down]) };
    let cool = |_: u64, _: FleetCounts| Load { cpu: Some(10.0), memory: Some(85.0), ..Load::default() };
    let waiting = |t: u64, _: FleetCounts| Load {
        cpu: Some(85.0),
        latency: Some(if t >= 60 { 2000.0 } else { 10.0 }),
        ..Load::default()
    };
    for (id, world, at, expected) in [
        (
            "R-04",
            run(fleet(&[mem_up(), timed(cpu_down(), 60, 3, 0)]), 5, 0, 720, cool),
            720,
            "mem_up: rule cooldown; cpu_down: scale_down_cooldown, scale-up rule mem_up holds",
        ),
        ("R-05", run(fleet(&[cpu_down()]), 2, 0, 900, |_, _| cpu(10.0)), 600, "cpu_down: min 2"),
        ("R-07", run(r07, 3, 0, 900, |_, _| cpu(40.0)), 900, "down: anti-flapping: 80% on 1 would trip rule cpu_up"),
        ("R-16", run(Config { max: 3, ..fleet(&[cpu_up()]) }, 2, 0, 900, hot), 900, "cpu_up: max 3"),
        (
            "R-16 early",
            run(Config { max: 3, ..fleet(&[cpu_up()]) }, 2, 0, 900, hot),
            240,
            "cpu_up: rule cooldown, max 3",
        ),
        (
            "R-18",
            run(fleet(&[cpu_up()]), 2, 240, 300, shared_170),
            300,
            "cpu_up: pending instances: 56.7% once they are ready",
        ),
        (
            "not proportional",
            run(fleet(&[cpu_up(), rt_up()]), 2, 600, 300, waiting),
            300,
            "cpu_up: pending instances: 56.7% once they are ready; rt_up: pending instances",
        ),
    ] {
        assert_eq!(world.held(at), expected, "{id}");
    }
}

#[test]
fn a_rule_on_latency_waits_for_what_is_coming_but_no_longer_than_a_boot_takes() {
    let slow = |_: u64, _: FleetCounts| Load { latency: Some(2000.0), ..Load::default() };
    let boot_known = Guards { expected_boot: Some(secs(200)), ..Guards::default() };
    for (id, guards, story) in [
        // 320 s is no tick, 330 s is the next; the order then made is waited for again.
        ("boot known", boot_known, "120 rt_up 3; 330 rt_up 4; 540 rt_up 5"),
        ("boot unknown", Guards::default(), "120 rt_up 3; 720 rt_up 4"),
    ] {
        let mut world = World { boot: secs(600), guards, ..World::new(fleet(&[rt_up()]), 2) };
        world.run(s(735), slow);
        assert_eq!(world.story(), story, "{id}");
    }
}

#[test]
fn a_firing_at_time_zero_is_a_firing() {
    let mut world = World::new(fleet(&[timed(cpu_up(), 0, 8, 180)]), 2);
    world.run(s(180), hot);
    assert_eq!(world.story(), "0 cpu_up 3; 180 cpu_up 4", "R-23");
    let held = &world.log[4].1.held[0];
    assert_eq!(held.blocked[0], Block { reason: "rule cooldown".into(), clears_at: Some(s(180)) }, "R-23");
    let told: Vec<bool> = world.log.iter().flat_map(|(_, d)| d.held.iter().map(|h| h.changed)).collect();
    // Both cooldowns to 105 s, then the rule's alone from 120 s: two events for eleven ticks.
    assert_eq!(told.iter().filter(|t| **t).count(), 2, "{told:?}");
    assert!(told[0] && told[7]);
}

#[test]
fn the_way_to_a_firing_is_taken_apart() {
    let delayed = |now: u64, fleet: FleetCounts| {
        let mut observed = Observed::new(fleet);
        let sampled_at = s(now.saturating_sub(20));
        let value = if sampled_at >= s(10) { 82.4 } else { 10.0 };
        observed.set(Metric::CpuUtilization, Aggregate::Avg, value, sampled_at);
        observed
    };
    let mut scaler = Autoscaler::new(fleet(&[timed(cpu_up(), 100, 8, 0)]));
    let counts = FleetCounts { existing: 2, pending: 0, ready: 2 };
    scaler.manual(s(0), counts, Manual::Up(1));
    scaler.cooldowns.start(s(30), Direction::Up);
    let decisions = (0..=10).map(|i| scaler.tick(s(i * 15), &delayed(i * 15, counts), &Guards::default()));
    let decision = decisions.filter(|d| d.rule.is_some()).last().unwrap();
    let expected = Timing { sampled_at: s(10), since: s(30), held_at: s(130), ripe_at: s(135), fired_at: s(150) };
    assert_eq!(decision.timing, Some(expected));
    assert_eq!(decision.cause, "cpu_utilization 82.4% > 70% for 2m (rule cpu_up)");
    assert_eq!(decision.observed, Some(82.4));
    let events = decision.events(s(150), vec![]);
    assert!(matches!(&events[..], [e] if matches!(&e.kind, crate::engine::events::EventKind::ScaledUp(_))));
}

#[test]
fn nothing_is_removed_while_the_service_is_hurt() {
    let idle = |_: u64, _: FleetCounts| cpu(10.0);
    for (id, guards, reason) in [
        ("X-02", Guards { breaker_tripped: true, ..Guards::default() }, "a breaker is open or half-open"),
        ("refusing", Guards { refused_share: 0.02, ..Guards::default() }, "2.0% of requests refused"),
    ] {
        let mut world = World { guards, ..World::new(fleet(&[cpu_down()]), 5) };
        world.run(s(1200), idle);
        assert_eq!(world.story(), "", "{id}");
        assert_eq!(world.held(1200), format!("cpu_down: {reason}"), "{id}");
        world.guards = Guards { refused_share: 0.01, ..Guards::default() };
        world.run(s(1215), idle);
        assert_eq!(world.story(), "1215 cpu_down 4", "{id}");
    }
    for (id, existing, pending, ready, reason) in [
        ("X-03", 5, 0, 0, "no instance ready: an outage, not idleness"),
        ("few", 5, 0, 2, "only 2 of 5 instances ready"),
        ("pending", 5, 1, 4, "1 pending instance"),
    ] {
        let mut scaler = Autoscaler::new(fleet(&[timed(cpu_down(), 0, 3, 0)]));
        let counts = FleetCounts { existing, pending, ready };
        let decision = scaler.tick(s(0), &cpu(10.0).observed(s(0), counts), &Guards::default());
        assert_eq!((decision.to, decision.held[0].blocked[0].reason.as_str()), (5, reason), "{id}");
    }
    let mut scaler = Autoscaler::new(fleet(&[timed(cpu_down(), 0, 3, 0)]));
    let half = FleetCounts { existing: 4, pending: 0, ready: 2 };
    let decision = scaler.tick(s(0), &cpu(10.0).observed(s(0), half), &Guards::default());
    assert_eq!(decision.to, 3, "half of them is not fewer than half");
}

#[test]
fn a_scale_down_stops_at_the_smallest_size_that_trips_nothing() {
    let out = |metric, threshold| rule("out", metric, Operator::Gte, threshold, Action::ScaleUp);
    let into = |metric, threshold, step| Rule {
        step: Step::Add(step),
        ..rule("in", metric, Operator::Lte, threshold, Action::ScaleDown)
    };
    let (cpu, threads) = (Metric::CpuUtilization, Metric::ActiveConnections);
    for (id, rules, n, value, expected) in [
        ("Z-01", [out(cpu, 80.0), into(cpu, 60.0, 1)], 3, 60.0, 3),
        ("Z-02", [out(cpu, 80.0), into(cpu, 60.0, 1)], 3, 50.0, 2),
        ("Z-03", [out(threads, 600.0), into(threads, 599.0, 1)], 3, 575.0, 3),
        ("Z-04", [out(cpu, 50.0), into(cpu, 30.0, 3)], 6, 30.0, 4),
        ("Z-05", [cpu_up(), timed(cpu_down(), 0, 3, 0)], 2, 19.99, 1),
    ] {
        let mut scaler = Autoscaler::new(Config { min: 1, max: 20, rules: rules.to_vec(), ..Config::default() });
        let load = Load { cpu: Some(value), connections: Some(value), ..Load::default() };
        let counts = FleetCounts { existing: n, pending: 0, ready: n };
        let decision = scaler.tick(s(0), &load.observed(s(0), counts), &Guards::default());
        assert_eq!(decision.to, expected, "{id}: {decision:?}");
    }
}

#[test]
fn a_memory_that_is_forgotten_does_not_speak_against_a_scale_down_for_ever() {
    // Memory was high until 100 s and is missing since; staleness is a minute.
    let load =
        |t: u64, _: FleetCounts| Load { cpu: Some(10.0), memory: (t <= 100).then_some(85.0), ..Load::default() };
    let mut world = World::new(fleet(&[mem_up(), timed(cpu_down(), 0, 3, 0)]), 5);
    world.run(s(200), load);
    assert_eq!(world.story(), "165 cpu_down 4");
}

fn tracking(metric: Metric, target: f64) -> Policy {
    Policy::TargetTracking(target_tracking::Config::new(metric, target))
}

#[test]
fn of_rules_and_policies_the_highest_number_counts() {
    let rps = |target| tracking(Metric::RequestsPerSecond, target);
    let now = |rule: Rule| timed(rule, 0, 5, 0);
    let load = |cpu, rps| Load { cpu: Some(cpu), rps: Some(rps), ..Load::default() };
    let big = Rule { step: Step::Add(5), ..now(cpu_up()) };
    for (id, max, rules, policies, n, load, expected) in [
        ("X-04", 6, vec![], vec![rps(250.0), rps(143.0), rps(167.0)], 2, load(50.0, 1000.0), (6, "target_tracking")),
        ("X-04 without cap", 20, vec![], vec![rps(250.0), rps(143.0)], 2, load(50.0, 1000.0), (7, "target_tracking")),
        ("X-01", 20, vec![], vec![rps(50.0)], 18, load(50.0, 1000.0), (20, "target_tracking")),
        ("policy higher", 20, vec![now(cpu_up())], vec![rps(250.0)], 2, load(85.0, 1000.0), (4, "target_tracking")),
        ("rule higher", 20, vec![big], vec![rps(250.0)], 2, load(85.0, 1000.0), (7, "cpu_up")),
        ("equal: the rule", 20, vec![now(cpu_up())], vec![rps(250.0)], 3, load(85.0, 1000.0), (4, "cpu_up")),
        ("policy holds the rule", 20, vec![now(cpu_down())], vec![rps(250.0)], 4, load(10.0, 1000.0), (4, "")),
        ("missing policy holds", 20, vec![now(cpu_down())], vec![rps(250.0)], 9, cpu(10.0), (9, "")),
    ] {
        let mut scaler = Autoscaler::new(Config { max, policies, ..fleet(&rules) });
        let counts = FleetCounts { existing: n, pending: 0, ready: n };
        let decision = scaler.tick(s(0), &load.observed(s(0), counts), &Guards::default());
        assert_eq!((decision.to, decision.rule.as_deref().unwrap_or_default()), expected, "{id}: {decision:?}");
    }
}

#[test]
fn target_tracking_grows_at_once_and_shrinks_after_a_calm_window() {
    let config = Config {
        scale_down_cooldown: secs(60),
        policies: vec![tracking(Metric::CpuUtilization, 60.0)],
        ..fleet(&[])
    };
    let mut world = World { boot: secs(60), ..World::new(config, 2) };
    // 240 % until 600 s, then 100 %.
    world.run(s(1200), |t, fleet| cpu(if t < 600 { 240.0 } else { 100.0 } / f64::from(fleet.ready)));
    // At 60 s four are ready at 60 %; at 600 s two would do, and the last higher wish was made at 585 s.
    assert_eq!(world.story(), "0 target_tracking 4; 885 target_tracking 2");
    assert!(world.held(600).starts_with("target_tracking: stabilization window: 4 wanted within the last 5m"));
    let timing = world.log.iter().find(|(t, _)| *t == s(885)).unwrap().1.timing.unwrap();
    assert_eq!((timing.since, timing.ripe_at, timing.fired_at), (s(600), s(885), s(885)));
}

#[test]
fn a_policy_that_wants_still_more_waits_anew() {
    let policies = vec![tracking(Metric::RequestsPerSecond, 50.0)];
    let mut world = World::new(Config { max: 100, policies, ..fleet(&[]) }, 2);
    world.run(s(135), |t, _| Load { rps: Some(1000.0 + 50.0 * t as f64), ..Load::default() });
    assert_eq!(world.story(), "0 target_tracking 20; 120 target_tracking 100");
    assert_eq!(world.held(105), "target_tracking: scale_up_cooldown");
    let timing = world.log[8].1.timing.unwrap();
    assert_eq!((timing.sampled_at, timing.since, timing.fired_at), (s(15), s(15), s(120)));
    let reasons: Vec<String> = world.log[8].1.stages.iter().map(|s| format!("{} {}", s.stage, s.output)).collect();
    assert_eq!(reasons, ["policy 140", "stabilise 140", "rate-limit 140", "bounds 100", "guards 100"]);
}

#[test]
fn a_person_may_do_what_cooldowns_forbid_but_not_what_the_bounds_do() {
    let mut world = World::new(fleet(&[timed(cpu_up(), 0, 8, 0)]), 2);
    world.run(s(0), hot);
    let counts = FleetCounts { existing: 3, pending: 0, ready: 3 };
    for (want, to) in [(Manual::Up(2), 5), (Manual::Up(u32::MAX), 20), (Manual::Down(9), 2), (Manual::To(4), 4)] {
        let decision = world.scaler.manual(s(10), counts, want);
        assert_eq!((decision.to, decision.rule.as_deref(), decision.timing), (to, Some("manual"), None));
        assert_eq!(decision.stages.last().unwrap().output, to);
    }
    assert_eq!(world.scaler.manual(s(11), counts, Manual::To(3)).rule, None);
    world.run(s(200), hot);
    assert_eq!(world.story(), "0 cpu_up 3; 135 cpu_up 4", "10 + 120 = 130, the next tick is at 135");
}

#[test]
fn an_early_tick_is_harmless_and_a_late_one_is_one_tick() {
    let mut scaler = Autoscaler::new(fleet(&[timed(cpu_up(), 0, 8, 0)]));
    let counts = FleetCounts { existing: 2, pending: 0, ready: 2 };
    let mut tick = |at: Time| scaler.tick(at, &hot(0, counts).observed(at, counts), &Guards::default()).to;
    assert_eq!([tick(s(0)), tick(s(1)), tick(s(14))], [3, 2, 2]);
    assert_eq!(tick(s(190)), 3);
    assert_eq!(scaler.next_wake(), s(195));
}

#[test]
fn settings_that_make_no_sense_do_not_panic() {
    let config =
        Config { min: 5, max: 2, interval: Span::ZERO, max_staleness: Some(Span::MAX), ..fleet(&[cpu_up()]) };
    let mut scaler = Autoscaler::new(config);
    let none = FleetCounts::default();
    assert_eq!(scaler.tick(s(0), &Observed::new(none), &Guards::default()).to, 5);
    assert_eq!(scaler.next_wake(), Time(1_000_000));
    assert_eq!(scaler.tick(Time::MAX, &Observed::new(none), &Guards::default()).to, 5);
    assert_eq!(scaler.next_wake(), Time::MAX);
}

#[test]
fn the_nearest_rule_is_known_before_it_fires() {
    let mut world = World::new(fleet(&[cpu_up(), rt_up(), cpu_down()]), 2);
    let near = |world: &World, load: Load| {
        let nearest = world.scaler.nearest(&load.observed(world.scaler.evaluated_at, FleetCounts::default()));
        nearest.map(|n| (n.rule, (n.margin * 1000.0).round() / 1000.0, n.held_for))
    };
    assert_eq!(near(&world, Load::default()), None);
    let calm = Load { cpu: Some(63.0), latency: Some(200.0), ..Load::default() };
    world.run(s(15), |_, _| calm);
    assert_eq!(near(&world, calm), Some(("cpu_up".into(), 0.1, Span::ZERO)));
    let slow = Load { cpu: Some(63.0), latency: Some(1200.0), ..Load::default() };
    world.run(s(60), |_, _| slow);
    assert_eq!(near(&world, slow), Some(("rt_up".into(), 0.0, secs(30))));
}

#[test]
fn enough_samples_count_even_if_not_all_do() {
    let evidence = Evidence::MOfN { m: 3, n: 5, require_latest: true };
    let mut world = World::new(fleet(&[Rule { evidence, ..timed(cpu_up(), 0, 8, 0) }]), 2);
    let samples = [80.0, 60.0, 80.0, 60.0, 80.0, 60.0, 60.0];
    world.run(s(90), |t, _| cpu(samples[(t / 15) as usize]));
    assert_eq!(world.story(), "60 cpu_up 3", "R-21");
    let decision = &world.log[4].1;
    assert_eq!(decision.cause, "cpu_utilization > 70% in 3 of 5 samples, now 80% (rule cpu_up)");
    let timing = decision.timing.unwrap();
    assert_eq!((timing.since, timing.held_at), (s(0), s(60)), "gathering evidence is persistence");
}

/// A policy that always wants `instances`, or lets others have `max`.
fn always(name: &str, instances: Option<u32>, max: Option<u32>) -> Policy {
    let entry = schedule::Entry {
        start: "0 0 * * *".parse().expect("cron"),
        end: schedule::End::After(Span::from_mins(24 * 60)),
        instances,
        max,
    };
    Policy::Schedule(schedule::Config { name: name.into(), ..schedule::Config::new(vec![entry]) })
}

#[test]
fn the_highest_of_several_policies_wins_and_a_budget_caps_it() {
    let decided = |policies: Vec<Policy>, n| {
        let mut world = World::new(Config { min: 1, max: 20, policies, ..Config::default() }, n);
        world.run(s(0), |_, _| Load::default());
        world.log.remove(0).1
    };
    let wants =
        |wishes: &[u32]| -> Vec<Policy> { wishes.iter().map(|&n| always(&format!("p{n}"), Some(n), None)).collect() };
    assert_eq!(decided(wants(&[6, 9]), 8).to, 9, "W-11 a");
    assert_eq!(decided(wants(&[6, 7]), 8).to, 7, "W-11 b");
    let mut policies = wants(&[4, 7, 6]);
    policies.push(always("budget", None, Some(6)));
    let decision = decided(policies, 2);
    assert_eq!(decision.to, 6, "X-04");
    assert_eq!(decision.rule.as_deref(), Some("p7"));
    let wishes: Vec<(Option<u32>, Option<u32>)> = decision.wishes.iter().map(|w| (w.wanted, w.cap)).collect();
    assert_eq!(wishes, [(Some(4), None), (Some(7), None), (Some(6), None), (None, Some(6))]);
    let combine = decision.stages.iter().find(|stage| stage.stage == "combine").expect("a stage");
    assert_eq!(
        (combine.input, combine.output, combine.reason.as_str()),
        (7, 6, "highest of p4 4, p7 7, p6 6; capped at 6 by budget")
    );
    // A cap alone brings the fleet down to it; above it, others may do as they like.
    assert_eq!(decided(vec![always("budget", None, Some(6))], 9).to, 6);
    assert_eq!(decided(vec![always("budget", None, Some(6))], 5).to, 5);
}

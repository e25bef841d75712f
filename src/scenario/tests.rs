//! Whole files: the documented example, overrides, the digest, and texts that nobody would write.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::distribution::Distribution;
use crate::engine::autoscaler::{rules, target_tracking};
use crate::engine::metrics::Metric;
use crate::engine::overload::backoff::{Backoff, Kind as Growth};
use crate::engine::overload::{budget, retries};
use crate::engine::window::Window;
use crate::record::cost::Billing;
use crate::scenario::clients::{Retry, RetryOn};
use crate::scenario::faults::{Fault, FaultKind, When};
use crate::scenario::fleet::Memory;
use crate::scenario::service::{Discipline, Warmup};
use crate::scenario::slo::Target;
use crate::traffic::{Kind, Overlay, Process, Region, Segment};
use crate::units::Time;

const EXAMPLE: &str = include_str!("tests/example.toml");

fn read(text: &str, overrides: &[&str]) -> Result<Scenario, Problems> {
    let overrides: Vec<String> = overrides.iter().map(|each| each.to_string()).collect();
    parse(text, "example.toml", Path::new("nowhere"), &overrides)
}

#[test]
fn the_documented_example_means_what_it_says() {
    let (s, ms) = (Span::from_secs, Span::from_millis);
    let scenario = read(EXAMPLE, &[]).unwrap();
    assert_eq!(scenario.name, "flash-crowd");
    assert_eq!(scenario.description, "A product page is linked by a celebrity");
    assert_eq!((scenario.duration, scenario.warmup), (Some(s(2400)), s(120)));
    assert_eq!((scenario.seed, scenario.replications), (42, 1));

    let Traffic::Open(plan) = &scenario.traffic else { panic!("{:?}", scenario.traffic) };
    assert_eq!((plan.arrivals, plan.noise), (Process::Poisson, None));
    let diurnal = Kind::Diurnal { mean: 300.0, amplitude: 0.6, period: s(86_400), peak_at: s(50_400) };
    let shape = [
        (Kind::Constant { rate: 200.0 }, 600),
        (Kind::Ramp { from: 200.0, to: 1500.0 }, 60),
        (Kind::Constant { rate: 1500.0 }, 540),
        (diurnal, 1200),
    ];
    assert_eq!(plan.shape, shape.map(|(kind, lasts)| Segment { kind, lasts: Some(s(lasts)) }));
    let spike = Overlay::Spike { at: s(1500), magnitude: 3.0, rise: s(10), hold: s(120), fall: s(30) };
    assert_eq!(plan.overlay, [spike]);

    let clients = &scenario.clients;
    assert_eq!((clients.population.population, clients.population.zipf, clients.population.bots), (10_000, 1.1, 0.0));
    let region = |name: &str, share, rtt| Region { name: name.into(), share, rtt };
    assert_eq!(clients.population.regions, [region("us", 0.6, ms(20)), region("eu", 0.4, ms(90))]);
    assert_eq!((clients.timeout, clients.cancel), (Some(s(5)), false));
    let on = RetryOn::default();
    let backoff = Backoff { kind: Growth::Exponential, base: ms(100), factor: 2.0, cap: None, jitter: 1.0 };
    let budget = Some(budget::Config::of(0.2));
    let policy = retries::Config { max: 2, backoff, honor_retry_after: false, budget, tokens: None };
    let retry = Retry { policy, on };
    assert_eq!(clients.retry, Some(retry));

    let service = &scenario.service;
    assert_eq!((service.workers, service.queue, service.discipline), (8, Some(200), Discipline::Fcfs));
    assert_eq!((service.cpu_share, service.error_rate), (0.4, 0.0));
    assert!((service.cores - 3.2).abs() < 1e-12, "{}", service.cores);
    assert_eq!(service.time, Distribution::LogNormal { mean: ms(40), sigma: 0.5 });
    assert_eq!(service.endpoints.len(), 1);
    let search = &service.endpoints[0];
    assert_eq!((search.path.as_str(), search.weight, search.error_rate), ("/api/search", 0.2, 0.001));
    assert_eq!(search.time, Distribution::Gamma { mean: ms(80), shape: 2.0 });

    let fleet = &scenario.fleet;
    assert_eq!((fleet.initial, fleet.zones, fleet.drain_timeout), (4, 1, None));
    assert_eq!(fleet.boot, Distribution::LogNormal { mean: s(60), sigma: 0.2 });
    assert_eq!(fleet.warmup, Some(Warmup { over: s(30), slowdown: 2.0 }));
    assert_eq!(fleet.memory, Some(Memory { base: 2e8, per_request: 2e6, limit: 1e9 }));
    assert_eq!(fleet.billing, Billing { price_per_hour: 0.1, ..Billing::default() });

    let autoscaler = scenario.autoscaler.as_ref().unwrap();
    let mut rule =
        rules::Config::new("cpu_scale_up", Metric::CpuUtilization, rules::Operator::Gt, 70.0, rules::Action::ScaleUp);
    (rule.duration, rule.priority, rule.cooldown) = (s(120), 8, s(180));
    let expected = autoscaler::Config {
        min: 2,
        max: 20,
        interval: s(15),
        scale_up_cooldown: s(120),
        scale_down_cooldown: s(600),
        metrics: autoscaler::MetricsPipeline { window: s(60), delay: s(10), scrape: None },
        rules: vec![rule],
        policies: vec![autoscaler::Policy::TargetTracking(target_tracking::Config::new(
            Metric::CpuUtilization,
            60.0,
        ))],
        ..autoscaler::Config::default()
    };
    assert_eq!(autoscaler, &expected);

    assert_eq!(scenario.balancer.strategy, balancer::Strategy::LeastConnections);
    let check = balancer::HealthCheck { interval: s(10), timeout: s(2), ..balancer::HealthCheck::default() };
    assert_eq!(scenario.balancer.health_check, Some(check));

    let expected = breaker::Config {
        scope: breaker::Scope::Instance,
        failure_rate: Some(0.5),
        minimum_calls: 20,
        window: Window::Time { span: s(10), buckets: 10 },
        open_for: s(30),
        half_open_calls: 5,
        ..breaker::Config::default()
    };
    assert_eq!(scenario.breaker.as_ref(), Some(&expected));
    assert_eq!(expected.fallback.body, r#"{"error":"Service Temporarily Unavailable"}"#);

    let crash =
        Fault { kind: FaultKind::Crash { instances: 1 }, when: When::At(Time::ZERO + s(1800)), duration: None };
    assert_eq!(scenario.faults, [crash]);
    assert_eq!(scenario.dependencies.len(), 1);
    let database = &scenario.dependencies[0];
    assert_eq!((database.name.as_str(), database.connections, database.calls_per_request), ("database", 100, 1.5));
    assert_eq!(database.time, Distribution::Exponential { mean: ms(5) });
    assert_eq!(scenario.slo, [Target::Quantile { q: 0.99, at_most: ms(500) }, Target::Availability(0.999)]);
}

#[test]
fn overrides_reach_every_kind_of_place() {
    let scenario = read(
        EXAMPLE,
        &[
            "fleet.boot=90s",
            "fleet.zones=3",
            "service.endpoint./api/search.weight=1",
            "service.endpoint.0.error_rate=2%",
            "fault.0.instances=2",
            "fault.1.kind=zone_outage",
            "fault.1.zone=2",
            "fault.1.every=1h",
            "dependency.database.time.mean=7ms",
            "clients.retry={ max = 5 }",
            "autoscaler.max=30",
            "autoscaler.rule.cpu_scale_up.threshold=40",
            "autoscaler.policy.target=50",
            "slo.p50=\"20ms\"",
            "scenario.seed=1",
            "scenario.seed=7",
            " clients.cancel = true ",
        ],
    )
    .unwrap();
    assert_eq!(scenario.fleet.boot, Distribution::Constant(Span::from_secs(90)));
    assert_eq!(scenario.service.endpoints[0].weight, 1.0);
    assert_eq!(scenario.service.endpoints[0].error_rate, 0.02);
    let autoscaler = scenario.autoscaler.as_ref().unwrap();
    assert_eq!((autoscaler.max, autoscaler.rules[0].threshold), (30, 40.0));
    let autoscaler::Policy::TargetTracking(policy) = &autoscaler.policies[0] else { panic!("another kind") };
    assert_eq!(policy.target, 50.0);
    assert_eq!(scenario.faults[0].kind, FaultKind::Crash { instances: 2 });
    assert_eq!(scenario.faults[1].kind, FaultKind::ZoneOutage { zone: 2 });
    assert_eq!(scenario.faults[1].when, When::Every(Span::from_mins(60)));
    assert_eq!(scenario.dependencies[0].time, Distribution::Exponential { mean: Span::from_millis(7) });
    assert_eq!(scenario.clients.retry.as_ref().map(|retry| retry.policy.max), Some(5));
    assert_eq!(scenario.slo[0], Target::Quantile { q: 0.5, at_most: Span::from_millis(20) });
    assert_eq!(scenario.seed, 7);
    assert!(scenario.clients.cancel);
}

#[test]
fn the_digest_is_that_of_keys_and_values_not_of_their_writing() {
    let digest = |text: &str, overrides: &[&str]| read(text, overrides).unwrap().digest;
    let plain =
        "scenario.duration = '5m'\ntraffic.shape = [{ kind = 'constant', rate = 100 }]\nservice.time = '40ms'\n";
    let rewritten = "# A comment.\n[service] # another\ntime   =   \"40ms\"\n\n[[traffic.shape]]\nrate = 1e2\nkind = \
                     \"constant\"\n[scenario]\nduration = '''5m'''";
    let first = digest(plain, &[]);
    assert_eq!(first.len(), 16);
    assert!(first.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)), "{first}");
    assert_eq!(digest(rewritten, &[]), first);
    assert_eq!(digest(plain, &["service.time=40ms"]), first, "an override that changes nothing");
    let others = [
        digest(plain, &["service.time=41ms"]),
        digest(plain, &["traffic.shape.0.rate=100.5"]),
        digest(plain, &["scenario.seed=1"]),
        digest(plain, &["scenario.seed=2"]),
        digest(plain, &["scenario.description=5m"]),
        digest(plain, &["slo.p50=1s", "slo.p75=2s"]),
        digest(plain, &["slo.p50=2s", "slo.p75=1s"]),
    ];
    for (i, other) in others.iter().enumerate() {
        assert_ne!(other, &first, "{i}");
        assert!(!others[..i].contains(other), "{i}");
    }
    // A recorded report names its scenario by this: it may only change with the format.
    assert_eq!(first, "4d03c0cad9743e3a");
}

#[test]
fn what_a_small_scenario_leaves_out_has_its_default() {
    let text = "traffic.shape = [{ kind = 'constant', rate = 100 }]\nscenario.duration = '5m'\nservice.time = '40ms'";
    let s = parse(text, "scenarios/small.toml", Path::new("nowhere"), &[]).unwrap();
    assert_eq!((s.name.as_str(), s.description.as_str()), ("small", ""));
    assert_eq!((s.duration, s.warmup, s.seed, s.replications), (Some(Span::from_mins(5)), Span::ZERO, 42, 1));
    assert_eq!((s.service.workers, s.service.queue, s.service.cores), (1, None, 1.0));
    assert_eq!((s.service.cpu_share, s.service.error_rate), (1.0, 0.0));
    assert_eq!((s.service.endpoints.len(), s.service.endpoints[0].path.as_str()), (1, "/"));
    assert_eq!((s.fleet.initial, s.fleet.zones, s.fleet.drain_timeout), (1, 1, None));
    assert_eq!(s.fleet.boot, Distribution::Constant(Span::ZERO));
    assert_eq!((s.clients.timeout, s.clients.cancel, s.clients.retry.is_none()), (None, false, true));
    assert_eq!(s.balancer, balancer::Config::default());
    assert!(s.autoscaler.is_none() && s.breaker.is_none() && s.limiter.is_none() && s.analyzer.is_none());
    assert!(s.faults.is_empty() && s.dependencies.is_empty() && s.slo.is_empty());
}

#[test]
fn processor_sharing_has_one_core_and_no_limit_unless_told() {
    let text = "traffic.shape = [{ kind = 'constant', rate = 1 }]\nscenario.duration = '5m'\nservice = { time = '40ms', \
                discipline = 'ps', cpu_share = '40%' }";
    let s = read(text, &[]).unwrap().service;
    assert_eq!((s.workers, s.cores, s.cpu_share), (u32::MAX, 1.0, 0.4));
    let s = read(text, &["service.discipline=fcfs", "service.workers=10"]).unwrap().service;
    assert_eq!((s.workers, s.cores), (10, 4.0));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_and_no_override_makes_reading_panic(text in ".{0,200}", set in ".{0,40}") {
        let _ = read(&text, &[]);
        let _ = read(EXAMPLE, &[&set]);
    }

    #[test]
    fn no_slip_of_the_pen_makes_reading_panic(
        edits in prop::collection::vec((0..EXAMPLE.len(), 0..8usize, "[-a-z0-9.\"\\[\\]{}=,#\n]{0,6}"), 1..6),
    ) {
        let mut text = EXAMPLE.to_string();
        for (at, length, insert) in edits {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(end) {
                text.replace_range(at..end, &insert);
            }
        }
        if let Err(problems) = read(&text, &[]) {
            prop_assert!(!problems.0.is_empty());
            prop_assert_eq!(problems.to_string().lines().count(), problems.0.len(), "one line each");
        }
    }

    /// Every value of the example in turn becomes something else: most of these are wrong, none may panic, and what is accepted is complete.
    #[test]
    fn no_value_in_place_of_another_makes_reading_panic(
        line in 0..EXAMPLE.lines().count(),
        value in prop::sample::select(vec![
            "0", "-1", "1", "1e308", "-1e308", "5e-324", "nan", "inf", "-inf", "''", "'0s'", "'584y'", "'1ns'", "'500w'",
            "true", "[]", "{}", "[[]]", "[{}]", "{ dist = 'constant' }", "'100%'", "'0%'", "9223372036854775807", "2026-01-01",
        ]),
    ) {
        let text: Vec<String> = EXAMPLE.lines().enumerate().map(|(i, each)| match each.split_once(" = ") {
            Some((key, _)) if i == line && !key.contains('{') => format!("{key} = {value}"),
            _ => each.to_string(),
        }).collect();
        if let Ok(scenario) = read(&text.join("\n"), &[]) {
            // What is accepted can be drawn from, and is fine for those who will run it.
            let _ = (scenario.service.time.sampler(), scenario.fleet.boot.sampler(), scenario.dependencies[0].time.sampler());
            prop_assert!(scenario.clients.population.problems().is_empty());
            if let Traffic::Open(plan) = &scenario.traffic {
                prop_assert_eq!(plan.problems(), []);
            }
        }
    }
}

#[test]
fn deep_nesting_is_a_problem_and_not_a_stack_overflow() {
    for text in ["[".repeat(100_000), format!("a = {}", "[".repeat(100_000)), format!("{}b = 1", "a.".repeat(20_000))]
    {
        assert!(read(&text, &[]).is_err());
    }
    assert!(read("", &[&format!("{}b=1", "a.".repeat(20_000))]).is_err());
    assert!(read("", &[&format!("a={}", "[".repeat(100_000))]).is_err());
}

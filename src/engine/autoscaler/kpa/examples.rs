//! Worked examples, with the default target of 70 of 100.

use super::*;
use crate::engine::metrics::{FleetCounts, Observed, Sample};

const S: fn(u64) -> Time = |s| Time::ZERO + Span::from_secs(s);

fn kpa() -> Kpa {
    Kpa::new(Config::default())
}

/// Ready instances, the two averages, and what is then wanted.
fn desired(kpa: &mut Kpa, at: u64, ready: u32, stable: f64, short: f64) -> u32 {
    kpa.scale(S(at), ready, stable, short).desired
}

#[test]
fn it_panics_when_the_short_window_wants_twice_what_is_ready_and_then_only_grows() {
    let mut calm = kpa();
    assert_eq!((desired(&mut calm, 100, 3, 350.0, 350.0), calm.panic), (5, None), "K-01");
    let mut kpa = kpa();
    assert_eq!(desired(&mut kpa, 100, 3, 350.0, 700.0), 10, "K-02");
    assert_eq!(kpa.panic, Some(Panic { since: S(100), high_water: 10 }), "K-02");
    assert_eq!(desired(&mut kpa, 110, 10, 420.0, 140.0), 10, "K-03");
    assert_eq!(desired(&mut kpa, 160, 10, 420.0, 140.0), 10, "K-04 a");
    assert_eq!((desired(&mut kpa, 162, 10, 420.0, 140.0), kpa.panic), (6, None), "K-04 b");
}

#[test]
fn few_instances_panic_early_because_wishes_are_whole_instances() {
    for (id, ready, short, panics) in [
        ("K-09 a", 1, 70.0, false),
        ("K-09 b", 1, 71.0, true),
        ("K-09 c", 1, 140.0, true),
        ("K-10 a", 2, 210.0, false),
        ("K-10 b", 2, 211.0, true),
        ("K-10 c", 3, 350.0, false),
        ("K-10 d", 3, 351.0, true),
    ] {
        let mut kpa = kpa();
        kpa.scale(S(0), ready, 0.0, short);
        assert_eq!(kpa.panic.is_some(), panics, "{id}");
    }
}

#[test]
fn rates_bound_a_tick() {
    let mut kpa = kpa();
    let ticks = [(10, 5), (5, 2), (2, 1), (1, 0)];
    for (tick, (ready, expected)) in (0..).zip(ticks) {
        assert_eq!(desired(&mut kpa, tick * 2, ready, 0.0, 0.0), expected, "K-05 from {ready}");
    }
    let config = Config { target: Some(1.0), target_utilization: 1.0, max_scale_up_rate: 1.1, ..Config::default() };
    assert_eq!(desired(&mut Kpa::new(config), 0, 2, 3.0, 3.0), 3, "K-06");
    let config = Config { activation_scale: 3, ..Config::default() };
    assert_eq!(desired(&mut Kpa::new(config.clone()), 0, 0, 10.0, 10.0), 3, "K-12 a");
    assert_eq!(desired(&mut Kpa::new(config), 0, 0, 0.0, 0.0), 0, "K-12 b");
}

#[test]
fn excess_burst_capacity_says_whether_a_burst_fits() {
    let excess = |burst, ready, short| {
        let config = Config { target_burst_capacity: burst, ..Config::default() };
        Kpa::new(config).scale(S(0), ready, 0.0, short).excess_burst_capacity
    };
    assert_eq!(excess(Some(211.0), 5, 120.0), 169.0, "K-07 a");
    assert_eq!(excess(Some(211.0), 3, 120.0), -31.0, "K-07 b");
    assert_eq!((excess(Some(0.0), 3, 120.0), excess(None, 3, 120.0)), (0.0, -1.0), "K-08");
}

#[test]
fn a_start_with_many_instances_is_a_panic() {
    let mut kpa = kpa();
    kpa.begin(S(0), 7);
    let sizes: Vec<u32> = [2, 60, 62].map(|at| desired(&mut kpa, at, 7, 0.0, 0.0)).to_vec();
    assert_eq!(sizes, [7, 7, 3], "K-11");
}

#[test]
fn the_target_is_a_part_of_what_an_instance_takes() {
    let config = Config { container_concurrency: Some(10), target: Some(20.0), ..Config::default() };
    assert_eq!(config.capacity(), (10.0, 7.0), "K-17");
    let rps = Config { metric: ScalingMetric::Rps, ..Config::default() };
    assert_eq!(desired(&mut Kpa::new(rps), 0, 11, 1500.0, 1500.0), 11, "K-18");
    assert_eq!(Config::default().panic_window(), Span::from_secs(6));
}

/// What is recommended second by second, of a service whose concurrency is `load` and whose fleet follows at once.
fn follow(config: Config, until: u64, load: impl Fn(u64) -> f64) -> Vec<(u64, u32)> {
    let mut kpa = Kpa::new(config);
    let (mut existing, mut changes) = (1, vec![]);
    for t in (2..=until).step_by(2) {
        let mut observed = Observed::new(FleetCounts { existing, pending: 0, ready: existing });
        let samples =
            [t - 1, t].map(|end| Sample { ended_at: S(end), length: Span::from_secs(1), value: load(end - 1) });
        observed.as_of = S(t);
        observed.series = vec![(kpa.config.series(TICK), samples.to_vec())];
        let wish = kpa.recommend(&Sight { now: S(t), observed: &observed, max_age: Span::from_secs(60) });
        if wish.limited != existing {
            existing = wish.limited;
            changes.push((t, existing));
        }
    }
    changes
}

#[test]
fn the_last_instance_goes_a_grace_period_after_the_stable_window_is_empty_and_comes_back_for_one_request() {
    // One request inside until 1:40. Its last second leaves the window at 2:40; thirty seconds later the instance goes.
    let load = |t: u64| if t < 100 || t == 300 { 1.0 } else { 0.0 };
    assert_eq!(follow(Config::default(), 310, load), [(190, 0), (302, 1)]);
    let kept = Config { scale_to_zero_pod_retention_period: Span::from_mins(2), ..Config::default() };
    assert_eq!(follow(kept, 310, load), [(280, 0), (302, 1)]);
    let never = Config { enable_scale_to_zero: false, ..Config::default() };
    assert_eq!(follow(never, 310, load), []);
}

#[test]
fn a_scale_down_waits_for_its_delay() {
    let load = |t: u64| if t < 100 { 280.0 } else { 70.0 };
    let delayed = Config { scale_down_delay: Span::from_secs(60), ..Config::default() };
    let (at_once, later) = (follow(Config::default(), 400, load), follow(delayed, 400, load));
    assert_eq!(at_once.last().map(|&(_, n)| n), Some(1));
    let down = |changes: &[(u64, u32)]| changes.iter().find(|&&(t, n)| t > 100 && n < 4).map(|&(t, _)| t);
    // A minute after the last higher wish, which was one tick before the first lower one.
    assert_eq!(down(&later).unwrap() - down(&at_once).unwrap(), 58);
}

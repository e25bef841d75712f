use super::*;
use proptest::prelude::*;

fn s(seconds: u64) -> Time {
    Time(seconds * 1_000_000_000)
}

fn watch(config: Config, n: u32) -> Ejection {
    let mut ejection = Ejection::new(config);
    (0..n).for_each(|i| ejection.join(InstanceId(i)));
    ejection
}

#[test]
fn a_share_of_a_small_fleet_is_nobody_or_one() {
    let most = |n, max_percent, at_least_one| Config { max_percent, at_least_one, ..Config::default() }.most(n);
    assert_eq!([3, 5, 9].map(|n| most(n, 10, false)), [0, 0, 0], "LB-93");
    assert_eq!([10, 11].map(|n| most(n, 10, false)), [1, 1], "LB-94");
    assert_eq!(most(20, 10, false), 2, "LB-95");
    assert_eq!(most(5, 50, false), 2, "LB-96");
    assert_eq!(most(3, 10, true), 1, "LB-97");
    assert_eq!((most(1, 10, true), most(4, 100, true)), (0, 3), "never everybody");
}

#[test]
fn every_further_ejection_is_longer() {
    let mut ejection = watch(Config { consecutive: Some(1), ..Config::default() }, 3);
    let mut now = s(0);
    let mut lengths = Vec::new();
    let mut changes = Vec::new();
    for _ in 0..11 {
        let Some(Change::Ejected { length, .. }) = ejection.ended(now, 0, Outcome::Connection, Span::ZERO) else {
            panic!("it is ejected")
        };
        lengths.push(length.0 / 1_000_000_000);
        while ejection.ejected() > 0 {
            now += Span::from_secs(10);
            ejection.sweep(now, &mut changes);
        }
    }
    assert_eq!(lengths, [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300], "LB-98");
    // Quiet intervals pay the row back.
    for _ in 0..4 {
        now += Span::from_secs(10);
        ejection.sweep(now, &mut changes);
    }
    let change = ejection.ended(now, 0, Outcome::Connection, Span::ZERO);
    assert!(matches!(change, Some(Change::Ejected { row: 7, .. })), "10 − 4 + 1: {change:?}");
}

fn mean(rates: &[f64]) -> Threshold {
    threshold(Method::Mean { factor: 1.9 }, rates)
}

#[test]
fn mean_and_deviation_are_envoys() {
    for (id, rates, center, spread, limit) in [
        ("LB-99", [50.0, 100.0, 100.0, 100.0, 100.0], 90.0, 20.0, 52.0),
        ("LB-100", [0.0, 100.0, 100.0, 100.0, 100.0], 80.0, 40.0, 4.0),
        ("LB-101", [0.0, 0.0, 100.0, 100.0, 100.0], 60.0, 48.9898, -33.08),
        ("LB-102", [90.0, 100.0, 100.0, 100.0, 100.0], 98.0, 4.0, 90.4),
        ("LB-103", [20.0, 95.0, 96.0, 97.0, 98.0], 81.2, 30.6163, 23.03),
    ] {
        let t = mean(&rates);
        assert!((t.center - center).abs() < 1e-9 && (t.spread - spread).abs() < 1e-4, "{id}: {t:?}");
        assert!((t.limit - limit).abs() < 5e-3, "{id}: {t:?}");
    }
}

#[test]
fn the_median_sees_two_of_five() {
    let median = |rates: &[f64]| threshold(Method::Median { min_gap: 10.0 }, rates).limit;
    assert_eq!(median(&[100.0, 100.0, 100.0, 0.0, 0.0]), 90.0, "LB-104");
    assert_eq!(median(&[99.0, 98.0, 97.0, 10.0, 12.0]), 87.0, "LB-105");
    assert_eq!(median(&[95.0, 96.0, 97.0, 98.0, 20.0]), 86.0, "LB-106");
    assert_eq!(median(&[100.0, 100.0, 100.0, 100.0, 90.0]), 90.0, "LB-107");
    assert_eq!(median(&[0.0, 0.0, 0.0, 100.0, 100.0]), -10.0, "LB-108");
}

proptest! {
    /// With a share p at 0% and the rest at 100%, the threshold is positive only if p < 1/(1 + k²).
    #[test]
    fn the_mean_is_blind_when_a_fifth_fails(n in 2usize..200, bad in 0usize..200, factor in 0.5..3.0f64) {
        prop_assume!(bad > 0 && bad < n);
        let rates: Vec<f64> = (0..n).map(|i| if i < bad { 0.0 } else { 100.0 }).collect();
        let p = bad as f64 / n as f64;
        let edge = 1.0 / (1.0 + factor * factor);
        prop_assume!((p - edge).abs() > 1e-6);
        prop_assert_eq!(threshold(Method::Mean { factor }, &rates).limit > 0.0, p < edge);
    }

    /// Whatever happens, no more are ejected than may be, and never all.
    #[test]
    fn never_too_many(
        n in 1u32..30,
        max_percent in 0u32..=100,
        at_least_one: bool,
        steps in proptest::collection::vec((0u32..30, 0u8..4, 0u64..20), 0..300),
    ) {
        let config = Config {
            max_percent,
            at_least_one,
            consecutive: Some(2),
            success_rate: Some(SuccessRate { min_requests: 1, ..SuccessRate::MEDIAN }),
            latency: Some(LatencyOutlier { min_requests: 1, ..LatencyOutlier::default() }),
            ..Config::default()
        };
        let mut ejection = watch(config, n);
        let mut now = s(0);
        let mut changes = Vec::new();
        for (member, outcome, seconds) in steps {
            let place = (member % n) as usize;
            let outcome = [Outcome::Success, Outcome::ServerError, Outcome::Timeout, Outcome::Abandoned][outcome as usize];
            ejection.ended(now, place, outcome, Span(u64::from(member) * 1_000_000));
            now += Span::from_secs(seconds);
            ejection.sweep(now, &mut changes);
            let count = ejection.members.iter().filter(|m| m.ejected.is_some()).count();
            prop_assert_eq!(count, ejection.ejected());
            prop_assert!(count <= config.most(n as usize) && (count as u32) < n.max(1) || count == 0);
        }
    }
}

#[test]
fn the_worst_go_first_when_not_all_may() {
    let config = Config { max_percent: 20, consecutive: None, ..Config::default() };
    let mut ejection = watch(config, 10);
    for place in 0..10 {
        for call in 0..100 {
            // Instance 3 fails half, instance 7 always, instance 8 mostly.
            let failed = matches!((place, call % 10), (3, 0..5) | (7, _) | (8, 0..8));
            let outcome = if failed { Outcome::ServerError } else { Outcome::Success };
            ejection.ended(s(1), place, outcome, Span::ZERO);
        }
    }
    let mut changes = Vec::new();
    ejection.sweep(s(10), &mut changes);
    let ejected: Vec<u32> = changes
        .iter()
        .map(|change| match change {
            Change::Ejected { id, .. } => id.0,
            Change::Readmitted { .. } => panic!("nobody was ejected"),
        })
        .collect();
    assert_eq!(ejected, [7, 8]);
    let Change::Ejected { cause, .. } = &changes[0] else { unreachable!() };
    assert_eq!(cause, "success rate 0.0% below 90.0% (median 100.0%, MAD 0.0)");
}

#[test]
fn the_slow_one_is_ejected_by_latency_alone() {
    let config = Config { latency: Some(LatencyOutlier::default()), ..Config::default() };
    let mut ejection = watch(config, 10);
    for place in 0..10 {
        for _ in 0..50 {
            let ms = if place == 4 { 400 } else { 38 + place as u64 };
            ejection.ended(s(1), place, Outcome::Success, Span::from_millis(ms));
        }
    }
    let mut changes = Vec::new();
    ejection.sweep(s(10), &mut changes);
    assert!(matches!(&changes[..], [Change::Ejected { id: InstanceId(4), .. }]), "{changes:?}");
}

#[test]
fn a_client_that_goes_away_ends_no_streak_and_adds_to_none() {
    let mut ejection = watch(Config::default(), 10);
    for outcome in [Outcome::Timeout, Outcome::Timeout, Outcome::Abandoned, Outcome::Timeout, Outcome::Timeout] {
        assert_eq!(ejection.ended(s(0), 0, outcome, Span::ZERO), None);
    }
    assert!(ejection.ended(s(0), 0, Outcome::Timeout, Span::ZERO).is_some(), "the fifth time-out");
}

#[test]
fn mean_rates_of_the_reference_implementation() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/conformance/outlier_threshold.csv");
    let Ok(mut reader) = csv::Reader::from_path(path) else {
        eprintln!("skipped: ../shared/data/conformance is not there");
        return;
    };
    let mut rows = 0;
    for row in reader.records() {
        let row = row.unwrap();
        let rates: Vec<f64> = row[1].split(';').map(|rate| rate.parse().unwrap()).collect();
        let t = threshold(Method::Mean { factor: row[2].parse().unwrap() }, &rates);
        assert!((t.center - row[3].parse::<f64>().unwrap()).abs() < 1e-9, "{}", &row[0]);
        assert!((t.limit - row[4].parse::<f64>().unwrap()).abs() < 1e-9, "{}", &row[0]);
        rows += 1;
    }
    assert!(rows > 0);
}

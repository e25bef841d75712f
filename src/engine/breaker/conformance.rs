//! The state-machine tests of resilience4j, as far as we want the same.

use super::tests::World;
use super::*;

/// Rows that end differently here, with what happens instead. resilience4j waits until all permitted calls are
/// decided; a verdict here comes as soon as it is certain.
const SOONER: [(&str, &str, State); 2] = [
    // Two slow ones of four are 50%.
    ("half-open back to open on slow calls", "2", State::Open { until: Time(10_000_000_000) }),
    // Three good ones of four leave 25% at most. That an ignored error frees its place is a test of its own.
    ("ignored error releases its permission", "3", State::Closed),
];

#[test]
fn states_and_counts_are_those_of_resilience4j() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/conformance/circuit_breaker.csv");
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: ../shared is not there");
        return;
    };
    let (mut same, mut sooner, mut after) = (0, 0, 0);
    let (mut world, mut now) = (world_in("CLOSED", ""), 0.0);
    let mut decided_sooner = false;
    for line in text.lines().skip(1) {
        // The one quoted cell holds two commas.
        let line = line.replace("exponential, initial 5 s, factor 1.5", "exponential").replace('"', "");
        let row: Vec<&str> = line.split(',').collect();
        if row[1] == "1" {
            (world, now) = (world_in(row[2], row[3]), if row[2] == "HALF_OPEN" { 5.0 } else { 0.0 });
            decided_sooner = false;
        }
        if decided_sooner {
            after += 1;
            continue;
        }
        now += row[4].parse::<f64>().unwrap();
        let granted = run(&mut world, now, row[5], row[6]);
        if let Some((.., state)) = SOONER.iter().find(|(scenario, step, _)| [*scenario, *step] == row[..2]) {
            assert_eq!(world.state(now), *state, "{line}");
            decided_sooner = true;
            sooner += 1;
            continue;
        }
        check(&world, now, granted, &row);
        same += 1;
    }
    assert_eq!((same, sooner, after), (31, 2, 4));
}

fn world_in(state: &str, backoff: &str) -> World {
    let mut world = World::new(Config {
        window: Window::Time { span: Span::from_secs(20), buckets: 20 },
        minimum_calls: 5,
        slow: Some(Slow { duration: Span::from_secs(4), rate: 0.5, count_running: false }),
        open_for: Span::from_secs(5),
        open_multiplier: if backoff.is_empty() { 1.0 } else { 1.5 },
        half_open_calls: 4,
        ..Config::default()
    });
    match state {
        "OPEN" => world.force(0.0, Force::Trip { open_for: None }),
        "FORCED_OPEN" => world.force(0.0, Force::Open),
        "HALF_OPEN" => {
            world.force(0.0, Force::Trip { open_for: None });
            let permit = world.admit(5.0).unwrap();
            world.breaker.cancel(&world.rules, Time(5_000_000_000), permit);
        }
        _ => {}
    }
    world
}

/// Runs one operation, and says whether a call that only asked may pass.
fn run(world: &mut World, now: f64, operation: &str, duration_ms: &str) -> Option<bool> {
    let outcome = match operation {
        "try" => return Some(world.admit(now).is_some()),
        "force_open" => {
            world.force(now, Force::Trip { open_for: None });
            return None;
        }
        "success" => Outcome::Success,
        "error" => Outcome::ServerError,
        "ignored_error" => Outcome::Abandoned,
        other => panic!("unknown operation {other}"),
    };
    let permit = world.admit(now).expect("the call may pass");
    world.end(now, permit, outcome, duration_ms.parse::<f64>().unwrap() / 1000.0);
    None
}

fn check(world: &World, now: f64, granted: Option<bool>, row: &[&str]) {
    let snapshot = world.snapshot(now);
    let state = match snapshot.state {
        State::Closed => "CLOSED",
        State::Open { .. } => "OPEN",
        State::HalfOpen => "HALF_OPEN",
        State::ForcedOpen => "FORCED_OPEN",
        State::ForcedClosed => "DISABLED",
    };
    let total = snapshot.total;
    let rate = |ratio: Option<f64>| {
        let percent = ratio.filter(|_| total.calls >= world.rules.minimum_calls).map(|r| (r * 100.0).round());
        percent.map_or("-1".to_string(), |p| p.to_string())
    };
    let found = [
        state.to_string(),
        granted.map_or(String::new(), |g| if g { "T" } else { "F" }.to_string()),
        rate(total.failure_ratio()),
        (total.calls - total.failures).to_string(),
        total.calls.to_string(),
        total.failures.to_string(),
        snapshot.refused.to_string(),
        total.slow.to_string(),
        rate(total.slow_ratio()),
    ];
    for (column, (found, expected)) in found.iter().zip(&row[7..]).enumerate() {
        assert!(expected.is_empty() || found == expected, "column {column}: found {found} in {row:?}");
    }
}

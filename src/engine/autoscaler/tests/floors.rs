//! A predictive floor among other policies and rules: they never go below it, and it takes nothing away.

use std::sync::Arc;

use super::*;
use crate::engine::autoscaler::predictive::{self, Capacity};
use crate::rng::{Dice, Stream};

/// A policy that has seen a thousand minutes of about 100/s, and knows that one instance serves 20/s: six are the floor.
fn six() -> Policy {
    let noise = Dice::new(1, Stream::Noise);
    let history: Arc<[f64]> = (0..1000).map(|t| 97.0 + 6.0 * noise.unit(t)).collect();
    let mut config = predictive::Config::new(Capacity::Rate { instance_rps: 20.0, target_utilization: 1.0 });
    config.outlook.history = history;
    Policy::Predictive(config)
}

fn tracking() -> Policy {
    let window = Span::ZERO;
    Policy::TargetTracking(target_tracking::Config {
        stabilization_window: window,
        ..target_tracking::Config::new(Metric::CpuUtilization, 50.0)
    })
}

/// What is decided first for a fleet of `n` at this utilization.
fn decided(policies: Vec<Policy>, rules: &[Rule], n: u32, at: f64) -> Decision {
    let config = Config { min: 1, max: 20, rules: rules.to_vec(), policies, ..Config::default() };
    let mut world = World::new(config, n);
    world.run(s(0), |_, _| cpu(at));
    world.log.remove(0).1
}

#[test]
fn a_floor_is_reached_from_below_and_kept_from_above() {
    let of = |n, at| decided(vec![tracking(), six()], &[], n, at);
    let up = of(4, 50.0);
    assert_eq!((up.to, up.rule.as_deref()), (6, Some("predictive")), "P-04: reactive 4, floor 6");
    assert!(up.cause.starts_with("predictive floor: at most 10"), "{}", up.cause);
    assert!(up.cause.ends_with("highest of target_tracking 4, predictive 6"), "{}", up.cause);
    assert_eq!(of(9, 50.0).to, 9, "P-04: reactive 9, floor 6");
    assert_eq!(of(6, 75.0).to, 9, "above the floor others decide");
    let down = of(9, 20.0);
    assert_eq!((down.from, down.to, down.rule.as_deref()), (9, 6, Some("predictive")), "reactive 4, floor 6");
}

#[test]
fn alone_it_removes_nothing() {
    assert_eq!(decided(vec![six()], &[], 4, 50.0).to, 6);
    assert_eq!(decided(vec![six()], &[], 9, 5.0).to, 9);
}

#[test]
fn rules_stop_at_the_floor() {
    let down = |step| Rule { step: Step::Add(step), ..timed(cpu_down(), 0, 3, 0) };
    let by_one = decided(vec![six()], &[down(1)], 8, 5.0);
    assert_eq!((by_one.to, by_one.rule.as_deref()), (7, Some("cpu_down")));
    assert_eq!(decided(vec![six()], &[down(4)], 8, 5.0).to, 6);
    let held = decided(vec![six()], &[down(1)], 6, 5.0);
    assert_eq!(held.to, 6);
    let reasons: Vec<&str> = held.held.iter().flat_map(|h| &h.blocked).map(|b| b.reason.as_str()).collect();
    assert_eq!(reasons, ["policy predictive wants 6"]);
}

#[test]
fn a_silent_forecast_says_why() {
    let config = predictive::Config::new(Capacity::Rate { instance_rps: 20.0, target_utilization: 1.0 });
    let decision = decided(vec![tracking(), Policy::Predictive(config)], &[], 4, 90.0);
    assert_eq!(decision.to, 8);
    let wish = decision.wishes.iter().find(|wish| wish.policy == "predictive").expect("its wish");
    assert_eq!(
        (wish.wanted, wish.cause.as_str()),
        (None, "no predictive floor: too few outcomes are known (policy predictive)")
    );
}

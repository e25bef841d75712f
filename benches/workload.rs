//! The workloads of `scenarios/bench`, made ready to run.

use std::path::Path;

use wavetank::record::Run;
use wavetank::scenario;
use wavetank::sim::{Monitor, Plan};

/// What makes a fleet of 1,000 instances at the same utilization of W1.
pub const THOUSAND: [&str; 2] = ["fleet.initial=1000", "traffic.shape.rate=320000"];

/// The plan of a file in `scenarios/bench` under overrides.
pub fn plan(name: &str, overrides: &[&str]) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/bench").join(name).with_extension("toml");
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    let scenario = scenario::load(&path, &overrides).unwrap_or_else(|error| panic!("{error}"));
    Plan::new(scenario).expect("the scenario names no dataset")
}

/// One run of a plan with the seed of its scenario.
pub fn run(plan: &Plan) -> Run {
    plan.run(plan.scenario().seed, &Monitor::default()).expect("synthetic traffic cannot fail")
}

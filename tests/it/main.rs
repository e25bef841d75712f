//! Everything that is tested from outside, in reading order, in one binary: each further file in `tests/` would link the
//! library again.

/// A scenario in three lines.
mod world;

/// The simulator against paper.
mod theory;

/// Public series, read from the shared data.
mod public_series;

/// Forecasts of public series against published figures.
mod forecasts;

/// The anomaly detector in a public benchmark.
mod nab;

/// Traps that other simulators fell into.
mod traps;

/// Nothing is lost in any world.
mod conservation;

/// What balancing and ejection do to a fleet in trouble.
mod balancing;

/// More load than can be served.
mod overload;

/// What outlives its cause, and what ends it.
mod storms;

/// Replications in shares.
mod shares;

/// The tuner, from question to advice.
mod tuning;

/// Quotas in whole runs.
mod quotas;

/// Refusals, breakers and the autoscaler.
mod coupling;

/// The way of a request allocates nothing.
mod allocations;

/// Policies that look ahead, and the table of all policies.
mod ahead;

/// The same seed, the same bytes.
mod determinism;

/// What samples tell beside the full simulation.
mod fidelity;

/// Every worked example is a test.
mod worked_examples;

/// The buffer in front of a fleet that is short of room.
mod activator;

/// Whole stories of a fleet.
mod policies;

/// Recordings of other people's traffic.
mod recordings;

/// Recordings that mean harm.
mod hostile;

/// Traffic written down and replayed.
mod round_trip;

/// `report.json` against its schema.
mod schema;

/// The gateway over raw sockets.
#[cfg(feature = "live")]
mod gateway;

/// The engine before a service in its own process.
#[cfg(feature = "tower")]
mod layer;

/// The same scenario, simulated and live.
#[cfg(feature = "live")]
mod live;

// The twin: both worlds side by side, and a service model from what a real one did.
#[cfg(feature = "live")]
mod calibrate;
#[cfg(feature = "live")]
mod verify;

/// A scenario's arrivals against real servers.
#[cfg(feature = "load")]
mod load;

/// Processes that come and go, and who controls them.
#[cfg(feature = "live")]
mod serving;

/// Gateways that share their quotas.
#[cfg(feature = "redis")]
mod quota_store;

/// House rules that no compiler checks.
mod tidy;

/// The program itself.
mod cli;

/// Policies and reports side by side.
mod compare;

/// Pages in a browser.
mod browser;

/// What forges run: the action, and jobs to copy.
mod forges;

/// How long a stack takes to scale, in every world.
mod bench;

/// Verdicts about a build: what is promised, and what forges are told.
mod gate;

/// Gates on real runs, and who is in their way.
#[cfg(feature = "live")]
mod real_gate;

/// The words of every mistake in a scenario.
mod scenario_problems;

//! Wavetank.
pub mod cli;
pub mod distribution;
pub mod engine;
pub mod record;
pub mod report;
pub mod rng;
pub mod scenario;
pub mod sim;
pub mod traffic;
pub mod units;

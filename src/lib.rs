//! Wavetank.
pub mod engine;
pub mod rng;
pub mod traffic;
pub mod units;

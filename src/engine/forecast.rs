//! What comes next: models of the next minutes and hours, chosen by what they have shown on this very series.
//!
//! ```text
//! value ─▶ history (gaps filled, holidays set aside) ─▶ models ─▶ forecast, interval
//!              └─▶ refit, a piece at each value: periods ─▶ fit ─▶ rolling origins ─▶ choice, weights, calibration
//! ```
//!
//! [`Forecaster`] is incremental: a value updates the models in use, does a piece of a refit if one is under way, and no more.
//! Memory is bounded by the history kept. Nothing here reads a clock or draws a random number.

pub mod autoregression;
pub mod combination;
pub mod decomposition;
pub mod holt_winters;
pub mod interval;
pub mod model;
pub mod naive;
pub mod profile;
pub mod score;
pub mod search;
pub mod season;
pub mod selection;
pub mod smoothing;
pub mod theta;

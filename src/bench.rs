//! Benchmarks of scaling: how long until more load is served by more instances, and where that time goes.
//!
//! ```text
//!  load      ┌───────────────────────────────────────────────
//!            │rose
//!  ──────────┘   detect    decide     start      ready     first byte            steady
//!            0 ────●─────────●──────────●──────────●──────────●─────────────────────●──▶ seconds since load rose
//!                  │a rule's  │the order  │the first │the first  │the first of them    │p99 is back under
//!                  │condition │to scale   │of the    │of them    │has begun its        │its target, and
//!                  │is seen   │up         │new ones  │takes      │first good answer    │stays there
//!                  │to hold   │           │runs      │traffic    │
//! ```
//!
//! A [`definition`] says what load is offered when, as overrides of a scenario, so that whoever reads scenarios can play it: the simulator, the
//! live world, or a generator of load against a stack that is not ours. Each leaves a [`crate::record::Run`], and [`moments`] reads the
//! same figures from any of them; what a stack that is not ours can be seen of comes from [`observed`].
//!
//! | kind | load | what is read |
//! |---|---|---|
//! | baseline | steady levels on a fixed fleet, up to the knee | throughput, p50, p95, p99, utilization |
//! | scale-up | low, then high | the moments above, and when the whole order was there |
//! | scale-down | high on a fleet for it, then low | from the fall of load: decided, drained; requests lost |
//! | spike | low, high, low | detected, most instances, worst p99, recovered; requests lost |
//!
//! - [`figure`] are the figures, what each means, and what it is when it did not happen.
//! - [`result`] puts repetitions together: medians and spread.
//! - [`output`] tells them.
//!
//! # Questions
//!
//! **Why count from the rise of load, and not from the decision?** Users wait from then on. What the autoscaler takes to notice is often the
//! larger part.
//!
//! **Why does one bad second not end steadiness?** With a hundred requests a second, one of them is its p99. Two bad seconds within five
//! are no accident.

pub mod definition;
pub mod figure;
pub mod moments;
pub mod observed;
pub mod output;
pub mod result;

/// The scenario that is measured where none is given: a small service in processes on this machine, in less than 90 seconds.
pub const DEFAULT: &str = include_str!("../scenarios/scaling/default.toml");

//! Wavetank puts an auto-scaling system through the storm before production does.
//!
//! One engine (autoscaler, balancer, circuit breaker, rate limiter, traffic analyzer) meets traffic in virtual time, synthetic or
//! recorded, and a report tells what happened.
//!
//! ```text
//! scenario ─▶ traffic ─▶ sim (virtual clock) ─▶ record ─▶ report    html png json csv hgrm
//!             log, csv        ▲ engine ▲
//! ```
//!
//! # The map
//!
//! - words: [`units`], [`rng`], [`distribution`], [`statistics`]
//! - nature: [`traffic`] yields arrivals, [`engine`] decides what to do with them
//! - memory: [`record`] keeps what happened
//! - intent: [`scenario`] reads and checks the file; [`manifest`] translates policies of other systems
//! - worlds: [`sim`] drives the engine in virtual time, `live` (a feature) on the wall clock, before real sockets and processes; `load` (a feature)
//!   sends a scenario's arrivals to a URL
//! - judgement: [`report`] shows records and judges targets; [`compare`] puts runs side by side; [`gate`] decides about a build; [`mod@bench`] times
//!   how a stack scales; [`calibrate`] fits a service model to what was seen; [`verify`] holds what is simulated against what really happened
//! - search: [`storm`] kicks systems to see whether they come back; [`tune`] finds the cheapest policy that holds
//! - elsewhere: [`store`] is where machines that share work leave results, [`cluster`] writes the manifests by which they do
//! - hands: [`cli`] is the program
//!
//! Imports go one way, down this list, never up.
//!
//! # What always holds
//!
//! - The engine is told the time and asks for nothing: no clock, no threads, no ambient randomness, no IO.
//! - Every random number is a function of (seed, stream, index). The same scenario and seed give the same bytes, on any number
//!   of threads; two policies on one seed meet the same requests.
//! - Latency counts from the moment the plan says a request starts. Every request ends in success or for exactly one reason.
//! - Memory is bounded by fleet, clients and what is in flight, never by the number of requests.
//!
//! # A run
//!
//! ```
//! use wavetank::scenario;
//! use wavetank::sim::{Monitor, Plan};
//!
//! let text = r#"
//!     scenario.duration = "1m"
//!     traffic.shape = [{ kind = "constant", rate = 50 }]
//!     service.time = { dist = "exponential", mean = "10ms" }
//! "#;
//! let scenario = scenario::parse(text, "queue.toml", "".as_ref(), &[]).unwrap();
//! let plan = Plan::new(scenario).unwrap();
//! let run = plan.run(42, &Monitor::default()).unwrap();
//! assert_eq!(run.counts.offered, run.counts.succeeded);
//! ```
//!
//! # Questions
//!
//! **Why a counter-based generator?** A sequential one makes every draw depend on who drew before, so that changing the balancer would
//! change the arrivals. Then a comparison of two policies compares the dice.
//!
//! **Why integers for time?** A float of seconds loses nanoseconds after months, and ties between events then depend on rounding.

pub mod bench;
pub mod calibrate;
pub mod cli;
pub mod cluster;
pub mod compare;
#[cfg(feature = "data")]
pub mod dataset;
pub mod distribution;
pub mod engine;
pub mod gate;
#[cfg(feature = "live")]
pub mod live;
#[cfg(feature = "load")]
pub mod load;
pub mod manifest;
pub mod queueing;
pub mod record;
pub mod report;
pub mod rng;
pub mod scenario;
pub mod sim;
pub mod statistics;
pub mod store;
pub mod storm;
pub mod traffic;
pub mod tune;
pub mod units;
pub mod verify;

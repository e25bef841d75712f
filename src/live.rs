//! The live world: the engine on the wall clock, in front of real sockets and real processes.
//!
//! ```text
//! clients ─▶ gateway ─▶ instances ◀─ provider ◀─ fleet
//!               │ admit, completed          commands │
//!               └──────▶ driver(engine) ◀────────────┘ ◀─ control: API, dashboard, metrics
//! ```
//!
//! - [`clock`] is the only place that asks what time it is; [`alarm`] wakes tasks more precisely than the runtime does.
//! - [`driver`] owns the engine, the very one that [`crate::sim`] drives, and accounts for every request once.
//! - [`gateway`] speaks HTTP to clients and instances.
//! - `layer` (feature `tower`) is the same driver before a service in its own process.
//! - [`fleet`] does what the engine asks of instances, through a [`provider`].
//! - [`control`] shows it all to people and programs, and takes their orders.
//! - [`system`] starts and stops all of these together, for as many clients as [`descriptors`] says that there is room for.
//! - [`backend`] is an instance that serves a scenario's `[service]` for real; [`callers`] are its clients; [`faults`] is what goes wrong.
//! - `quotas` (feature `redis`) asks a store for the quotas that several gateways share.
//! - [`flight`] writes down everything that the engine is told, and plays it back.
//! - `history` (feature `history`) keeps what was offered in a file, for the gateway that comes after this one.
//! - [`meter`] keeps the last ten minutes for those who look.
//!
//! # Questions
//!
//! **Why one lock around the engine, and not a task that owns it?** An admission takes a microsecond; a message to a task and back takes
//! several, and two context switches where cores are few. The lock is never held across a wait, so nobody queues for long; every change
//! goes through `Core::feed`, so that there is still one order in which things happened, and a recording has it.
//!
//! **Why a guard in front of the parser?** The parser accepts what RFC 9112 lets a lenient server accept. A gateway must not: where it and
//! an instance read the same bytes differently, a client can speak through it in other people's names.
//!
//! **Why are the times of backends waited, and not burnt?** A rehearsal of twenty instances on a laptop with two cores would otherwise
//! measure the laptop.
//!
//! What is absent: a second policy of any kind. When to scale, whom to refuse and whom to ask is decided in [`crate::engine`].

pub mod alarm;
pub mod backend;
pub mod callers;
pub mod clock;
pub mod control;
pub mod descriptors;
pub mod driver;
pub mod faults;
pub mod fleet;
pub mod flight;
pub mod gateway;
#[cfg(feature = "history")]
pub mod history;
#[cfg(feature = "tower")]
pub mod layer;
pub mod meter;
pub mod provider;
#[cfg(feature = "redis")]
pub mod quotas;
pub mod system;

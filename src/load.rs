//! The arrivals of a scenario, for real, against a URL.
//!
//! ```text
//! scenario ─▶ schedule ─▶ pacer ─▶ queue ─▶ workers (goose's users) ─▶ target
//!                           │ due             │ sent, head, done
//!                           └────▶ ledger ◀───┘ ─▶ Run, with the generator's own account
//! ```
//!
//! - [`schedule`] is what the simulator would meet: the same arrivals, clients and endpoints, drawn from the same keys, or a recording's own.
//! - [`pacer`] hands over each request when it is due, whether or not earlier ones were answered: an open loop. A target that stalls
//!   makes requests late, and never fewer; latency counts from the due time.
//! - [`queue`] holds what is due and finds every worker busy. It is bounded.
//! - [`users`] ask when they have thought about the answer before: a closed loop, each a user of goose.
//! - [`attack`] is goose: its users are the workers, its metrics count along and are compared with ours after the run.
//! - [`client`] has the connections, over TLS ([`tls`]) if the target wants it.
//! - [`ledger`] keeps the account: of the target, and of the generator, which is on trial in every run
//!   ([`crate::record::generator`]).
//! - [`target`] refuses what is not this machine, unless somebody says that it is theirs.
//! - [`stop`] ends a run early, from wherever somebody asks for it.
//!
//! # Questions
//!
//! **Why a thread that paces, and not a timer in each worker?** Tokio's timer works in whole milliseconds and fires late: 1.2 ms in the median,
//! where a thread that sleeps is 0.15 ms late. A latency that counts from the due time would have that bias in it.
//!
//! **Why does goose not time the requests?** Its clock starts when it sends and stops at the head of the answer. What a client felt began
//! when it was due, and ends with the body.
//!
//! **Why are redirects not followed?** A target on this machine could send the load elsewhere. A 3xx is an answer.
//!
//! **Why a client of our own, and not the one that goose brings?** It opens connections before the first request, counts them, and tells what
//! this machine could not give from what the target did not; and it takes half of the time.
//!
//! What is absent: decisions of the engine (the target makes its own), retries and hedges of clients (every arrival is one attempt), bodies of
//! a recording (logs have none).

pub mod attack;
pub mod client;
pub mod ledger;
pub mod pacer;
pub mod queue;
pub mod schedule;
pub mod stop;
pub mod target;
pub mod tls;
pub mod users;

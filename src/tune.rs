//! Tune: the cheapest policy that holds its targets, proven on days that the search has not seen.
//!
//! ```text
//! space ─▶ search (sobol, race, local) ─▶ finalists ─▶ confirm (fresh seeds, held-out days) ─▶ advice
//!             │  trials: candidate × day × seed  ▲
//!             └────────▶ laboratory (sim) ───────┘ outcomes, each kept in the study as it comes
//! ```
//!
//! The search asks for trials and knows nothing of simulations; the laboratory plays them, on any number of threads, and looks first
//! whether the study has them. So a study that was killed goes on where it was, and ends with the same bytes.
//!
//! What is absent: other worlds. A candidate is never judged on less traffic over fewer instances, which is another system; cheap looks are
//! few seeds and few days.

pub mod confirm;
pub mod days;
pub mod dialogue;
pub mod expression;
pub mod importance;
pub mod judge;
pub mod laboratory;
pub mod local;
pub mod output;
pub mod pareto;
pub mod race;
pub mod search;
pub mod sobol;
pub mod space;
pub mod study;
pub mod surrogate;
pub mod tpe;
pub mod tuned;
pub mod usual;

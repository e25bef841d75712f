//! The gate: does this pass, in a way that a build may hang on?
//!
//! ```text
//! runs (simulated, real, reported, or of other tools) ─▶ one figure a run ─▶ estimate ─▶ pass, fail or inconclusive
//!                                          ▲                                       │
//!                                          └────────── more, within the budget ────┘
//! ```
//!
//! The unit is the run, never the request. A target *fails* when the truth is beyond it almost certainly, and *passes* when the truth is
//! within it almost certainly; otherwise nobody can tell, and that is neither. Looks at the data are fixed before the first run, and
//! all of them together spend one error (Bonferroni over looks, and for failures over targets as well):
//!
//! ```text
//! P(fail | every target holds)  ≤ Σ over targets and looks of α/targets · runs(look)/Σ runs = α = 0.001
//! P(pass | a target is missed)  ≤ Σ over looks of              β · runs(look)/Σ runs         = β = 0.001
//! ```
//!
//! The second is promised ten times weaker, at most once in a hundred, because Student's t is only nearly right for skewed runs. Both
//! are measured over a thousand gates of simulated runs (`a_thousand_gates_keep_their_promise` in the tests).
//!
//! Real runs that their generator of load or a neighbour on the machine disturbed are set aside: [`disturbance`].
//!
//! Against a baseline the figure is the ratio new/old, within pairs where runs share their random numbers, and the bound is 1 + the
//! tolerated worsening: no difference shown is not a pass, a difference shown to be tolerable is.

pub mod criterion;
mod decide;
pub mod disturbance;
pub mod foreign;
pub mod history;
pub mod openslo;
pub mod output;
pub mod sample;

pub use criterion::{Bound, Criterion, Measure, Quantity, Unit};
pub use decide::{Design, Finding, Judgement, Runs, decide};
pub use sample::Sample;

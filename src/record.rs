//! What a run leaves behind: outcomes and samples in, a [`Run`] out.
//!
//! Memory is bounded by the fleet, the steps of the timeline and the shape of the histograms, never by the number of
//! requests: per request the recorder increments one counter and one histogram slot.

pub mod archive;
pub mod attempts;
pub mod cost;
pub mod elasticity;
pub mod fairness;
pub mod fidelity;
pub mod generator;
pub mod heat;
pub mod host;
pub mod interval;
pub mod join;
pub mod latency;
pub mod outcome;
pub mod recorder;
pub mod regret;
pub mod run;
pub mod timeline;

pub use recorder::Recorder;
pub use run::Run;

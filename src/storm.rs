//! Storms: does a system come back by itself when what hit it is over?
//!
//! A state that outlives its cause is *metastable* (Bronson et al., "Metastable Failures in Distributed Systems", HotOS 2021; Huang et al.,
//! "Metastable Failures in the Wild", OSDI 2022): a trigger pushes the system over, and what it does then (retries, work for clients that
//! have gone, a cache that cannot fill) keeps it there. Whether that can happen depends on load and on the size and length of the trigger,
//! so the probe maps where it does:
//!
//! ```text
//! one run:  settle (calm) ── kick ── release ── watch …      size of the kick
//!                                                            │   ░░░░ does not return
//!           calm: goodput, p90 and queue as they are         │  ░░░░░
//!           back: all three in a band around that, for a     │ ·  ░░░
//!           while without a break                            └─────────── load
//! ```
//!
//! [`probe`] bisects along rows of load instead of filling a grid; [`protection`] tries what is known to help, at every load where the
//! system stuck, and weighs each by what it costs in the calm. [`classics`] has the storms that ship, and the table of strategies.
//!
//! Everything is simulated on the scenario's own seed, so that two protections meet the same requests. What runs in parallel is put
//! together in its order: the result does not depend on how many threads there are.

pub mod classics;
pub mod kick;
pub mod output;
pub mod probe;
pub mod protection;
pub mod recovery;

use crate::units::Span;

use kick::Trigger;

/// How a system is probed.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What kicks it.
    pub trigger: Trigger,
    /// Largest kick; see [`Trigger`] for what sizes mean.
    pub most: f64,
    /// How long a kick lasts; each length is a map of its own. At least one, > 0.
    pub lengths: Vec<Span>,
    /// Loads between 20 % and 95 % of the capacity that are looked at, ≥ 2.
    pub levels: u32,
    /// How long it is left alone before a kick, > 0; the second half of that is the calm.
    pub settle: Span,
    /// How long it has to return, from the release on; four times as long if it has not by then.
    pub watch: Span,
    /// How long it must be back in its band without a break, > 0.
    pub hold: Span,
    /// Goodput that may be missing, relative to the calm, in (0, 1).
    pub tolerance: f64,
}

impl Settings {
    /// The defaults for a trigger: kicks of 30 s, eight loads, a minute to settle, ten times the kick to return (at least 3 min), held for
    /// 20 s, within 10 % of the goodput.
    pub fn new(trigger: Trigger) -> Settings {
        Settings {
            trigger,
            most: trigger.most(),
            lengths: vec![Span::from_secs(30)],
            levels: 8,
            settle: Span::from_mins(1),
            watch: Span::from_mins(5),
            hold: Span::from_secs(20),
            tolerance: 0.1,
        }
    }
}

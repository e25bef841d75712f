//! A change of a breaker's state, with its numbers and its words.

use std::fmt;

use crate::engine::events::{Event, EventKind};
use crate::engine::window::{Ppm, Tally, Window};
use crate::units::{Span, Time};

/// A change of state. Displays as its cause: `failure rate 52.0% >= 50% (26 of 50 in 1m), open for 30s`.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// When.
    pub at: Time,
    /// To what.
    pub change: Change,
    /// Because of what.
    pub cause: Cause,
    /// Whether callers notice nothing of it.
    pub in_shadow: bool,
}

/// What a breaker became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It refuses.
    Opened {
        /// For how long; [`Span::MAX`] until told otherwise.
        open_for: Span,
    },
    /// It lets probes pass.
    HalfOpened,
    /// It is half-open as before, and places of probes that were never reported are free again.
    ProbesLost,
    /// Traffic flows.
    Closed,
}

/// The numbers behind a [`Transition`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cause {
    /// The share of failures reached its threshold.
    FailureRate {
        /// What the window held.
        total: Tally,
        /// The threshold.
        at: Ppm,
        /// Which window.
        window: Window,
    },
    /// The share of slow calls reached its threshold.
    SlowRate {
        /// What the window held.
        total: Tally,
        /// The threshold.
        at: Ppm,
        /// Longer than this is slow.
        over: Span,
        /// Which window.
        window: Window,
    },
    /// The number of failures reached its threshold.
    Failures {
        /// Failures in the window.
        failures: u32,
        /// The threshold.
        at: u32,
        /// Which window.
        window: Window,
    },
    /// The streak of failures reached its threshold.
    Consecutive {
        /// Failures in a row.
        failures: u32,
        /// The threshold.
        at: u32,
    },
    /// The failures of one step of the recovery ramp reached the threshold of the failure rate.
    RampStep {
        /// What the step held.
        total: Tally,
        /// The threshold.
        at: Ppm,
    },
    /// Too many probes failed.
    FailedProbes {
        /// How many failed.
        failed: u32,
        /// Probes of the round.
        probes: u32,
    },
    /// Too many probes were slow, or ran for so long that they will be.
    SlowProbes {
        /// How many were slow.
        slow: u32,
        /// Probes of the round.
        probes: u32,
        /// Longer than this is slow.
        over: Span,
    },
    /// Enough probes succeeded.
    GoodProbes {
        /// How many succeeded.
        good: u32,
        /// Probes of the round.
        probes: u32,
    },
    /// It had been open for long enough when a call asked.
    OpenTimeOver {
        /// How long it had been open.
        open_for: Span,
        /// Probes that may pass.
        probes: u32,
    },
    /// Probes were not reported within their lease.
    ProbesLost {
        /// How many.
        probes: u32,
        /// The lease.
        lease: Span,
    },
    /// A person or a rule opened it for a time.
    Tripped,
    /// A person or a rule opened it until further notice.
    ForcedOpen,
    /// A person or a rule closed it until further notice.
    ForcedClosed,
    /// A person or a rule ended a forced state.
    Released,
}

impl Transition {
    /// The event for the log; `scope` names what the breaker guards.
    pub fn event(&self, scope: &str) -> Event {
        let scope = scope.to_string();
        let kind = match self.change {
            Change::Opened { open_for } => EventKind::BreakerOpened { scope, open_for },
            Change::HalfOpened | Change::ProbesLost => EventKind::BreakerHalfOpen { scope },
            Change::Closed => EventKind::BreakerClosed { scope },
        };
        Event { at: self.at, kind, cause: self.to_string() }
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.in_shadow {
            f.write_str("in shadow: ")?;
        }
        self.cause.fmt(f)?;
        match self.change {
            Change::Opened { open_for: Span::MAX } => Ok(()),
            Change::Opened { open_for } => write!(f, ", open for {open_for}"),
            Change::HalfOpened | Change::ProbesLost | Change::Closed => Ok(()),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |ratio: Option<f64>| ratio.unwrap_or(0.0) * 100.0;
        let plural = |n: u32| if n == 1 { "" } else { "s" };
        match *self {
            Cause::FailureRate { total, at, window } => {
                let (seen, of) = (percent(total.failure_ratio()), total.calls);
                write!(f, "failure rate {seen:.1}% >= {at} ({} of {of} in {window})", total.failures)
            }
            Cause::SlowRate { total, at, over, window } => {
                let (seen, of) = (percent(total.slow_ratio()), total.calls);
                write!(f, "rate of calls over {over} {seen:.1}% >= {at} ({} of {of} in {window})", total.slow)
            }
            Cause::Failures { failures, at, window } => write!(f, "failures {failures} >= {at} in {window}"),
            Cause::Consecutive { failures, at } => write!(f, "failures in a row {failures} >= {at}"),
            Cause::RampStep { total, at } => {
                let (seen, of) = (percent(total.failure_ratio()), total.calls);
                write!(f, "failure rate {seen:.1}% >= {at} in a step of the ramp ({} of {of})", total.failures)
            }
            Cause::FailedProbes { failed, probes } => write!(f, "{failed} of {probes} probes failed"),
            Cause::SlowProbes { slow, probes, over } => write!(f, "{slow} of {probes} probes took over {over}"),
            Cause::GoodProbes { good, probes } => write!(f, "{good} of {probes} probes succeeded"),
            Cause::OpenTimeOver { open_for, probes } => {
                write!(f, "was open for {open_for}, {probes} probe{} may pass", plural(probes))
            }
            Cause::ProbesLost { probes, lease } => {
                write!(f, "{probes} probe{} not reported within {lease}", plural(probes))
            }
            Cause::Tripped => f.write_str("opened on demand"),
            Cause::ForcedOpen => f.write_str("forced open until told otherwise"),
            Cause::ForcedClosed => f.write_str("forced closed until told otherwise"),
            Cause::Released => f.write_str("no longer forced"),
        }
    }
}

//! One half-open round: which probes are out, and when their results are enough.

use std::collections::VecDeque;

use super::{Call, Cause, Rules};
use crate::engine::window::Tally;
use crate::units::{Span, Time};

/// The probes of one half-open round. Those outstanding and those decided never exceed the round's number.
#[derive(Clone, Debug, Default)]
pub(super) struct Probes {
    /// In the order of issue, which is also the order in which their leases end.
    outstanding: VecDeque<Probe>,
    decided: Tally,
    hint: Option<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    serial: u32,
    issued_at: Time,
}

/// What the probes say so far.
pub(super) enum Verdict {
    Open(Cause),
    Close(Cause),
    Wait,
}

impl Probes {
    /// Probes outstanding or decided.
    pub(super) fn taken(&self) -> u32 {
        self.decided.calls + self.outstanding.len() as u32
    }

    /// Probes decided.
    pub(super) fn decided(&self) -> Tally {
        self.decided
    }

    /// The longest `Retry-After` of a failed probe.
    pub(super) fn hint(&self) -> Option<Span> {
        self.hint
    }

    pub(super) fn issue(&mut self, serial: u32, now: Time) {
        self.outstanding.push_back(Probe { serial, issued_at: now });
    }

    /// Frees the places of probes whose lease has ended, and counts them.
    pub(super) fn drop_lost(&mut self, now: Time, lease: Span) -> u32 {
        let lost = self.outstanding.iter().take_while(|probe| now.since(probe.issued_at) >= lease).count();
        self.outstanding.drain(..lost);
        lost as u32
    }

    /// Takes a probe back, and says whether it was out and within its lease; O(probes).
    pub(super) fn take(&mut self, serial: u32, now: Time, lease: Span) -> bool {
        let found = self.outstanding.iter().position(|probe| probe.serial == serial);
        let found = found.filter(|&at| now.since(self.outstanding[at].issued_at) < lease);
        found.is_some_and(|at| self.outstanding.remove(at).is_some())
    }

    /// Counts the end of a probe that was taken back.
    ///
    /// With k probes and `need` of them bad enough to open: `need` bad ones open, and more than k − `need` good ones
    /// close, since then the others cannot reach it.
    pub(super) fn decide(&mut self, rules: &Rules, now: Time, call: Call) -> Verdict {
        self.decided.count(call.failed, call.slow);
        if rules.honor_retry_after {
            self.hint = self.hint.max(call.retry_after);
        }
        let Tally { calls, failures, slow } = self.decided;
        let probes = rules.half_open_calls;
        if failures >= rules.failures_to_open {
            return Verdict::Open(Cause::FailedProbes { failed: failures, probes });
        }
        if let Some(cause) = self.hung(rules, now) {
            return Verdict::Open(cause);
        }
        let is_certain = |bad: u32, need: u32| calls - bad > probes.saturating_sub(need);
        if is_certain(failures, rules.failures_to_open) && is_certain(slow, rules.slow_to_open) {
            return Verdict::Close(Cause::GoodProbes { good: calls - failures, probes });
        }
        Verdict::Wait
    }

    /// Why it must open, if enough probes were slow, or have been running for so long that they will be.
    pub(super) fn hung(&self, rules: &Rules, now: Time) -> Option<Cause> {
        let is_slow_already = |probe: &&Probe| now.since(probe.issued_at) > rules.slow_over;
        let missing = rules.slow_to_open.saturating_sub(self.decided.slow);
        let is_reached = missing == 0
            || rules.counts_running
                && self.outstanding.get(missing as usize - 1).is_some_and(|p| is_slow_already(&p));
        is_reached.then_some(Cause::SlowProbes {
            slow: rules.slow_to_open,
            probes: rules.half_open_calls,
            over: rules.slow_over,
        })
    }
}

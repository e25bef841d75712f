//! A change that a rule or policy wants, and the stages it passes.

use super::guards::{Gate, Hold};
use crate::engine::events::{Stage, Timing};

/// Who proposes a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Rule(usize),
    Policy(usize),
}

/// A change somebody wants, on its way through the stages.
#[derive(Clone, Debug)]
pub(super) struct Proposal {
    pub source: Source,
    pub name: String,
    pub raw: u32,
    pub steady: u32,
    /// After the proposer's own limits on the rate of change.
    pub limited: u32,
    /// After it was combined with what other policies want.
    pub combined: u32,
    pub cause: String,
    pub steadying: String,
    /// What the proposer's limits did; empty if it has none.
    pub limiting: String,
    /// What was combined, in words; empty if there was nothing to combine with.
    pub combining: String,
    pub observed: Option<f64>,
    pub timing: Option<Timing>,
    pub holds: Vec<Hold>,
}

impl Proposal {
    /// Whether nothing holds it.
    pub(super) fn is_free(&self) -> bool {
        self.holds.is_empty()
    }

    /// Whether it asks for nothing that is not there.
    pub(super) fn is_idle(&self, existing: u32) -> bool {
        [self.raw, self.steady, self.limited, self.combined].iter().all(|&n| n == existing) && self.is_free()
    }

    /// How a policy's proposal holds a rule that wants less.
    pub(super) fn as_hold(&self) -> Hold {
        Hold::Policy { name: self.name.clone(), wants: self.combined }
    }

    /// The stages from `from` to what is left of the proposal.
    pub(super) fn stages(&self, from: u32, bounds: Bounds) -> Vec<Stage> {
        let held_at = |gate: Gate| {
            let reasons = self.holds.iter().filter(|hold| hold.gate() == gate).map(|hold| hold.block().reason);
            Some(reasons.collect::<Vec<_>>().join(", ")).filter(|reasons| !reasons.is_empty())
        };
        let gate = |name, gate, input| match held_at(gate) {
            Some(reasons) => stage(name, input, from, reasons),
            None => stage(name, input, input, NOTHING.into()),
        };
        let policy = stage("policy", from, self.raw, self.cause.clone());
        let steady = stage("stabilise", policy.output, self.steady, self.steadying.clone());
        let mut limited = stage("rate-limit", steady.output, self.limited, self.limiting.clone());
        let mut combined = (!self.combining.is_empty())
            .then(|| stage("combine", limited.output, self.combined, self.combining.clone()));
        // Cooldowns hold what is left after combining; where there is nothing to combine, the two are one stage.
        let last = combined.as_mut().unwrap_or(&mut limited);
        if let Some(reasons) = held_at(Gate::RateLimit) {
            (last.output, last.reason) = (from, reasons);
        }
        if limited.reason.is_empty() {
            limited.reason = NOTHING.into();
        }
        let output = combined.as_ref().unwrap_or(&limited).output;
        let bounded = stage("bounds", output, bounds.apply(output), bounds.reason(output));
        let guarded = gate("guards", Gate::Guards, bounded.output);
        [policy, steady, limited].into_iter().chain(combined).chain([bounded, guarded]).collect()
    }
}

const NOTHING: &str = "nothing against it";

/// The fewest and the most instances, `min <= max`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub min: u32,
    pub max: u32,
}

impl Bounds {
    /// The nearest number within.
    pub(super) fn apply(self, count: u32) -> u32 {
        count.clamp(self.min, self.max)
    }

    /// Where `count` lies.
    pub(super) fn reason(self, count: u32) -> String {
        let Bounds { min, max } = self;
        match count {
            n if n < min => format!("below min {min}"),
            n if n > max => format!("above max {max}"),
            _ => format!("within {min}..={max}"),
        }
    }
}

pub(super) fn stage(stage: &'static str, input: u32, output: u32, reason: String) -> Stage {
    Stage { stage: stage.into(), input, output, reason }
}

//! Regret: how far a fleet was from the cheapest one that could have met the same demand, knowing the future.
//!
//! Demand is a whole number of instances per step of time, at least what the load of the step takes. An instance that is to be
//! ready from step a to step b is asked for `boot` before a, is paid for from then on as [`Billing`] says, and cannot be asked for
//! before the run begins. Nothing else binds the optimum: no metric delay, no cooldown, no minimum, no maximum.
//!
//! ```text
//! minimize   Σ x(a, b) · billed(boot + b − a)        over x(a, b) ≥ 0, the instances that are ready from a to b
//! so that    Σ x(a, b) ≥ demand(t)                   for every step t, over a ≤ t < b
//! ```
//!
//! Each column of that program has its ones in a row, so its matrix is totally unimodular and the optimum is whole (Fulkerson & Gross
//! 1965); it is a minimum-cost flow (Veinott & Wagner 1962), solved exactly in `flow`. When instances are billed by the exact
//! second, the optimum has a closed form: an instance is kept over a lull exactly if the lull is no longer than a boot, which is the
//! morphological *closing* of the demand by a window of one boot, in linear time. A test holds the two against each other, and
//! both against every fleet there is on small cases.
//!
//! Costs are those of the record: billing starts with the measured part of the run, so what boots before it is paid from then on.
//! Demand that no fleet could have met (before the first boot can be over, beyond what the run began with) is left out.
//!
//! The boot of the optimum is the mean of the scenario's; that a new instance is slow at first is not held against either side.
//!
//! A fleet that has too few instances can be cheaper than the optimum: read [`Regret::missing_hours`] beside the price.

mod flow;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::record::cost::{Billing, Cost};
use crate::units::Span;

/// What the optimum has to respect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// How instances are billed.
    pub billing: Billing,
    /// From the launch command until an instance takes traffic.
    pub boot: Span,
    /// Instances that are ready when the run begins.
    pub initial: u32,
    /// Start of the run that is neither measured nor billed.
    pub warmup: Span,
    /// Length of the measured part.
    pub measured: Span,
    /// Length of a step of the demand; the last one ends with the run.
    pub step: Span,
}

/// The cheapest fleet, and what it costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimum {
    /// Instances ready in each step of the measured part.
    pub ready: Vec<u32>,
    /// Time billed, in nanoseconds.
    billed: u128,
}

/// How far a run was from the optimum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Regret {
    /// What the cheapest fleet would have cost.
    pub optimal: Cost,
    /// The smallest fleet of constant size that meets the demand.
    pub static_instances: u32,
    /// What that would have cost.
    pub best_static: Cost,
    /// Instance-hours paid for beyond the optimum; negative if there were too few instances.
    pub hours: f64,
    /// The same in money.
    pub cost: f64,
    /// Instance-hours that were needed and not there.
    pub missing_hours: f64,
    /// Cost over optimal cost; `None` if the optimum costs nothing.
    pub ratio: Option<f64>,
}

impl Terms {
    /// The demand that some fleet could have met: what cannot have booted yet is capped at what the run began with.
    pub fn attainable(&self, demand: &[u32]) -> Vec<u32> {
        let cap = |(t, &d): (usize, &u32)| if self.can_be_ready(t) { d } else { d.min(self.initial) };
        demand.iter().enumerate().map(cap).collect()
    }

    /// Whether an instance that was asked for can be ready by step `t`.
    fn can_be_ready(&self, t: usize) -> bool {
        self.warmup.0.saturating_add(self.step.0 * t as u64) >= self.boot.0
    }

    /// When step `t` begins, from the start of the measured part.
    fn begins(&self, t: usize) -> u64 {
        (self.step.0 * t as u64).min(self.measured.0)
    }

    /// Boot that is paid for when an instance is ready from step `t`.
    fn lead(&self, t: usize) -> u64 {
        self.boot.0.min(self.begins(t))
    }

    /// Time billed for an instance ready from the beginning of step `a` to that of `b`.
    fn billed(&self, a: usize, b: usize) -> u64 {
        self.billing.billed(Span(self.lead(a) + self.begins(b) - self.begins(a))).0
    }

    /// Whether every second costs the same, from the first on.
    fn is_linear(&self) -> bool {
        self.billing.granularity.0 <= 1 && self.billing.minimum.is_zero()
    }
}

/// The cheapest fleet that meets `demand`, one value per step of the measured part.
pub fn optimum(demand: &[u32], terms: &Terms) -> Optimum {
    let demand = terms.attainable(demand);
    if terms.is_linear() { closing(&demand, terms) } else { flow::optimum(&demand, terms) }
}

/// Compares what a run paid and had with the optimum for its demand. `supply` is the instances that were ready, time averages over
/// the steps of `demand`.
pub fn regret(demand: &[u32], supply: &[f64], paid: Cost, terms: &Terms) -> (Optimum, Regret) {
    let best = optimum(demand, terms);
    let price = |nanos: u128| {
        let instance_hours = nanos as f64 / 3.6e12;
        Cost { instance_hours, cost: instance_hours * terms.billing.price_per_hour }
    };
    let attainable = terms.attainable(demand);
    let static_instances = attainable.iter().copied().max().unwrap_or(0);
    let whole = terms.billing.billed(terms.measured).0;
    let missing = |(t, (&d, &s)): (usize, (&u32, &f64))| {
        let seconds = Span(terms.begins(t + 1) - terms.begins(t)).as_secs_f64();
        (f64::from(d) - s).max(0.0) * seconds / 3600.0
    };
    let optimal = price(best.billed);
    let regret = Regret {
        optimal,
        static_instances,
        best_static: price(u128::from(whole) * u128::from(static_instances)),
        hours: paid.instance_hours - optimal.instance_hours,
        cost: paid.cost - optimal.cost,
        missing_hours: attainable.iter().zip(supply).enumerate().map(missing).sum(),
        ratio: (optimal.instance_hours > 0.0).then(|| paid.instance_hours / optimal.instance_hours),
    };
    (best, regret)
}

/// The optimum under linear billing: lulls no longer than a boot are bridged, all others are not.
fn closing(demand: &[u32], terms: &Terms) -> Optimum {
    let lull = ((terms.boot.0 / terms.step.0.max(1)) as usize).min(demand.len());
    let padded = demand.iter().copied().chain(std::iter::repeat_n(0, lull));
    let dilated = sliding(padded, lull + 1, |new, old| new >= old);
    let eroded = sliding(dilated.into_iter().rev(), lull + 1, |new, old| new <= old);
    let ready: Vec<u32> = eroded.into_iter().rev().take(demand.len()).collect();
    let mut billed = 0u128;
    let mut before = 0;
    for (t, &now) in ready.iter().enumerate() {
        billed += u128::from(now) * u128::from(terms.begins(t + 1) - terms.begins(t));
        billed += u128::from(now.saturating_sub(before)) * u128::from(terms.lead(t));
        before = now;
    }
    Optimum { ready, billed }
}

/// For each value the extreme of the last `width`, by Lemire's queue of candidates; `wins` says that a new value makes an older
/// one superfluous.
fn sliding(values: impl Iterator<Item = u32>, width: usize, wins: impl Fn(u32, u32) -> bool) -> Vec<u32> {
    let mut candidates: VecDeque<(usize, u32)> = VecDeque::new();
    let mut out = Vec::new();
    for (t, value) in values.enumerate() {
        while candidates.back().is_some_and(|&(_, old)| wins(value, old)) {
            candidates.pop_back();
        }
        candidates.push_back((t, value));
        if candidates.front().is_some_and(|&(at, _)| at + width <= t) {
            candidates.pop_front();
        }
        out.push(candidates.front().expect("the newest is among them").1);
    }
    out
}

#[cfg(test)]
mod tests;

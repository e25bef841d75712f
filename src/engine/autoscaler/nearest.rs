//! The rule that is closest to firing: what a person wants to know about a tick at which nothing happened.

use std::cmp::Reverse;

use super::rules::Rule;
use super::{Autoscaler, Fresh};
use crate::engine::events::Block;
use crate::engine::metrics::Observed;
use crate::units::Span;

/// The rule that is closest to firing, fired or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest {
    /// The rule.
    pub rule: String,
    /// Its metric's value.
    pub value: f64,
    /// What it is compared with.
    pub threshold: f64,
    /// Distance from value to threshold as a share of the threshold (of 1, if that is 0); 0 if the condition holds.
    pub margin: f64,
    /// How long the condition has held; zero if it does not.
    pub held_for: Span,
    /// What held the rule at the last tick; empty if it was not ripe, or was free.
    pub blocked: Vec<Block>,
}

impl Autoscaler {
    /// The rule nearest to firing, by what the last tick saw: the one whose duration ends first among those that hold,
    /// else the one whose value is nearest to its threshold. `None` if no rule had a value.
    pub fn nearest(&self, observed: &Observed) -> Option<Nearest> {
        let now = self.evaluated_at;
        let max_age = self.config.max_age();
        let candidate = |(rule, blocked): (&Rule, &Vec<Block>)| {
            let config = &rule.config;
            let Fresh { value, .. } = Fresh::of(observed.get(config.metric, config.aggregate), now, max_age)?;
            let margin = match config.operator.holds(value, config.threshold) {
                true => 0.0,
                false if config.threshold == 0.0 => value.abs(),
                false => ((value - config.threshold) / config.threshold).abs(),
            };
            let held_for = rule.held_for(now);
            let remaining = Span(config.duration.0.saturating_sub(held_for.0));
            let nearest = Nearest {
                rule: config.name.clone(),
                value,
                threshold: config.threshold,
                margin,
                held_for,
                blocked: blocked.clone(),
            };
            Some(((margin, remaining, Reverse(config.priority)), nearest))
        };
        let candidates = self.rules.iter().zip(&self.blocked).filter_map(candidate);
        let by_rank = |a: &(f64, Span, Reverse<u8>), b: &(f64, Span, Reverse<u8>)| {
            a.0.total_cmp(&b.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2)))
        };
        candidates.min_by(|a, b| by_rank(&a.0, &b.0)).map(|(_, nearest)| nearest)
    }
}

//! The two strategies of the Nomad Autoscaler: a target, and bounds.
//!
//! `target-value`: `⌈count · metric / target⌉`, or `⌈metric / target⌉` from nothing, by the newest sample, outside a dead band.
//! `threshold`: a change when enough of the samples of the query window lie between two bounds. After any change the policy
//! waits for its cooldown.
//!
//! Source: hashicorp/nomad-autoscaler `plugins/builtin/strategy`.

#[cfg(test)]
mod conformance;

use super::guards::Hold;
use super::policy::Recommendation;
use super::{Direction, Fresh, Sight, cause};
use crate::engine::metrics::{Aggregate, Metric, Sample, Series};
use crate::units::{Span, Time};

/// A check of a scaling policy, with the settings of the policy that matter to it. `min` and `max` are the autoscaler's.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// `query`: the metric.
    pub metric: Metric,
    /// How values of instances become one.
    pub aggregate: Aggregate,
    /// `query_window`: how far back samples count; default 60 s.
    pub query_window: Span,
    /// `cooldown` after any change; default 5 min.
    pub cooldown: Span,
    /// `strategy`.
    pub strategy: Strategy,
}

impl Config {
    /// A check with the defaults for everything that has one.
    pub fn new(metric: Metric, strategy: Strategy) -> Config {
        Config {
            name: "nomad".into(),
            metric,
            aggregate: Aggregate::Avg,
            query_window: Span::from_secs(60),
            cooldown: Span::from_secs(300),
            strategy,
        }
    }

    /// What it reads.
    pub fn series(&self) -> Series {
        Series { metric: self.metric, aggregate: self.aggregate, back: self.query_window }
    }
}

/// How a check turns samples into a count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strategy {
    /// `target-value`.
    TargetValue {
        /// `target`, in the metric's unit, 0 or more.
        target: f64,
        /// `threshold`: nothing is done within `1 ± threshold`; default 0.01.
        threshold: f64,
        /// `max_scale_up`: at most so many more at once; `None`: no limit.
        max_scale_up: Option<u32>,
        /// `max_scale_down`: at most so many fewer at once; `None`: no limit.
        max_scale_down: Option<u32>,
    },
    /// `threshold`.
    Threshold {
        /// `lower_bound`, inclusive; `None`: none.
        lower_bound: Option<f64>,
        /// `upper_bound`, exclusive; `None`: none.
        upper_bound: Option<f64>,
        /// What to do when enough samples lie between them.
        action: Action,
        /// `within_bounds_trigger`: how many samples are enough; default 5.
        within_bounds_trigger: u32,
    },
}

/// What a threshold does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// `delta`: so many more, or fewer.
    Delta(i32),
    /// `percentage`: so many percent more, or fewer; the new count is rounded up.
    Percentage(f64),
    /// `value`: this many.
    Value(u32),
}

impl Strategy {
    /// The count that `values`, oldest first, make of `count`; `None`: no action.
    fn count(&self, count: u32, values: &[f64]) -> Option<u32> {
        let newest = *values.last()?;
        let counted = match *self {
            Strategy::TargetValue { target, threshold, max_scale_up, max_scale_down } => {
                // Nothing against a target of nothing is on target; something is infinitely far.
                let factor = if target == 0.0 && newest == 0.0 { 0.0 } else { newest / target };
                direction(count, factor, threshold)?;
                let wanted = if count == 0 { factor } else { f64::from(count) * factor };
                let wanted = wanted.ceil() as u32;
                let most = max_scale_up.map_or(u32::MAX, |n| count.saturating_add(n));
                let least = max_scale_down.map_or(0, |n| count.saturating_sub(n));
                wanted.clamp(least, most)
            }
            Strategy::Threshold { lower_bound, upper_bound, action, within_bounds_trigger } => {
                let within = |value: &&f64| {
                    lower_bound.is_none_or(|lower| **value >= lower)
                        && upper_bound.is_none_or(|upper| **value < upper)
                };
                if values.iter().filter(within).count() < within_bounds_trigger as usize {
                    return None;
                }
                match action {
                    Action::Delta(delta) => count.saturating_add_signed(delta),
                    Action::Percentage(percent) => (f64::from(count) * (1.0 + percent / 100.0)).ceil() as u32,
                    Action::Value(value) => value,
                }
            }
        };
        (counted != count).then_some(counted)
    }
}

/// Which way a factor goes, outside the dead band. From nothing, anything goes up.
fn direction(count: u32, factor: f64, threshold: f64) -> Option<Direction> {
    if count == 0 {
        return (factor > 0.0).then_some(Direction::Up);
    }
    match factor {
        x if x < 1.0 - threshold => Some(Direction::Down),
        x if x > 1.0 + threshold => Some(Direction::Up),
        _ => None,
    }
}

/// The policy with its memory.
#[derive(Clone, Debug)]
pub(super) struct Nomad {
    config: Config,
    changed_at: Option<Time>,
}

impl Nomad {
    pub(super) fn new(config: Config) -> Nomad {
        Nomad { config, changed_at: None }
    }

    /// Learns that the fleet was changed.
    pub(super) fn changed(&mut self, now: Time) {
        self.changed_at = Some(now);
    }

    /// What it wants at this tick; `None` without an opinion.
    pub(super) fn recommend(&mut self, sight: &Sight<'_>) -> Option<Recommendation> {
        let existing = sight.fleet().existing;
        let samples = sight.observed.samples(self.config.series());
        let newest = samples.last().map(|s: &Sample| Fresh { value: s.value, sampled_at: s.ended_at })?;
        let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        let wanted = match (self.config.strategy.count(existing, &values), self.config.strategy) {
            (Some(wanted), _) => wanted,
            (None, Strategy::TargetValue { .. }) => existing,
            // Outside its bounds a threshold check says nothing, and another one may speak.
            (None, Strategy::Threshold { .. }) => return None,
        };
        let wish = Recommendation::outright(wanted, self.cause(newest.value, wanted, existing)).seen(Some(newest));
        let until = self.changed_at.map(|at| at.saturating_add(self.config.cooldown));
        let cooling = until.filter(|&until| sight.now < until && wanted != existing);
        Some(match cooling {
            None => wish,
            Some(until) => {
                let limit = format!("cooldown of policy {}", self.config.name);
                let hold = Hold::Rate { limit, until: Some(until) };
                let limiting = "its cooldown is not over".into();
                Recommendation { limited: existing, limiting, holds: vec![hold], ..wish }
            }
        })
    }

    fn cause(&self, newest: f64, wanted: u32, existing: u32) -> String {
        let Config { name, metric, aggregate, strategy, .. } = &self.config;
        let unit = metric.unit();
        let (value, metric) = (cause::quantity(newest, unit), cause::metric(*metric, *aggregate));
        let about = match *strategy {
            Strategy::TargetValue { target, .. } => {
                format!("{metric} {value}, target {}", cause::setting(target, unit))
            }
            Strategy::Threshold { lower_bound, upper_bound, .. } => {
                let shown = |bound: Option<f64>| bound.map_or("any".into(), |bound| cause::setting(bound, unit));
                format!("{metric} {value} between {} and {}", shown(lower_bound), shown(upper_bound))
            }
        };
        let then = if wanted == existing { "nothing to do".into() } else { format!("{wanted} wanted") };
        format!("{about}: {then} (policy {name})")
    }
}

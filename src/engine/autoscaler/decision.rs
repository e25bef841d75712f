//! What the autoscaler concluded at a tick, with its reasons.

use super::Direction;
use crate::engine::events::{Block, Event, EventKind, Scaling, Stage, Timing, Wish};
use crate::engine::request::InstanceId;
use crate::units::Time;

/// The outcome of one tick, or of a person's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Instances existing.
    pub from: u32,
    /// Instances that should exist; equal to `from` if nothing changes.
    pub to: u32,
    /// What decided: a rule, a policy, "manual", "min" or "max"; `None` if nothing changes.
    pub rule: Option<String>,
    /// Why, in words; empty if nothing changes and nobody asked for anything.
    pub cause: String,
    /// How `to` came about: each stage starts from the output of the one before, the first from `from`, the last ends
    /// at `to`. Empty if nobody asked for anything.
    pub stages: Vec<Stage>,
    /// What had to happen first, and when; `None` if nothing changes, and for manual actions and repairs.
    pub timing: Option<Timing>,
    /// The metric value behind the decision; `None` like `timing`, and when the metric was missing.
    pub observed: Option<f64>,
    /// What every policy proposed, in the order of declaration; empty if nobody asked for anything.
    pub wishes: Vec<Wish>,
    /// Every rule and policy that wanted to act and could not, at this tick.
    pub held: Vec<Held>,
    /// Rules that force the service's breaker open now.
    pub opened_breaker: Vec<Firing>,
    /// Alert rules that fired now.
    pub alerts: Vec<Firing>,
}

/// A rule or policy that wanted to act, and what kept it from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The rule or policy.
    pub rule: String,
    /// Instances existing.
    pub from: u32,
    /// Instances it wanted.
    pub to: u32,
    /// Every reason.
    pub blocked: Vec<Block>,
    /// Why it wanted to, in words.
    pub cause: String,
    /// Whether the kinds of reasons differ from the last tick: when it is worth an event.
    pub changed: bool,
}

/// A rule that fired without changing the fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// The rule.
    pub rule: String,
    /// Why, in words.
    pub cause: String,
}

impl Decision {
    pub(super) fn unchanged(existing: u32) -> Decision {
        Decision { from: existing, to: existing, ..Decision::default() }
    }

    /// Whether the fleet should grow or shrink; `None` if neither.
    pub fn direction(&self) -> Option<Direction> {
        Direction::of(self.from, self.to)
    }

    /// The events of this decision, made at `at` and carried out on `instances` (launched, or drained).
    pub fn events(&self, at: Time, instances: Vec<InstanceId>) -> Vec<Event> {
        let event = |kind, cause: &str| Event { at, kind, cause: cause.to_string() };
        let mut events = Vec::new();
        for Firing { rule, cause } in &self.opened_breaker {
            events.push(event(EventKind::RuleOpenedBreaker { rule: rule.clone() }, cause));
        }
        for Firing { rule, cause } in &self.alerts {
            events.push(event(EventKind::Alert { rule: rule.clone() }, cause));
        }
        if let Some(direction) = self.direction() {
            let scaling = Scaling {
                rule: self.rule.clone().unwrap_or_default(),
                from: self.from,
                to: self.to,
                instances,
                stages: self.stages.clone(),
                timing: self.timing,
                observed: self.observed,
                wishes: self.wishes.clone(),
            };
            let kind = match direction {
                Direction::Up => EventKind::ScaledUp(scaling),
                Direction::Down => EventKind::ScaledDown(scaling),
            };
            events.push(event(kind, &self.cause));
        }
        for Held { rule, from, to, blocked, cause, .. } in self.held.iter().filter(|held| held.changed) {
            let kind = EventKind::Held { rule: rule.clone(), from: *from, to: *to, blocked: blocked.clone() };
            events.push(event(kind, cause));
        }
        events
    }
}

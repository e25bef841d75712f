//! How fast an HPA may follow its recommendations: stabilization windows and scaling policies.
//!
//! A stabilization window looks back over *recommendations*: the lowest of the window bounds a scale-up, the highest a
//! scale-down. A scaling policy looks back over *changes*: so many pods, or percent, within a period. Without a
//! `behavior` there is one window, for scale-down, and a scale-up is capped at twice the size, or four.
//!
//! Source: kubernetes `pkg/controller/podautoscaler/horizontal.go`. Its history keeps an outdated entry until a new one
//! takes its place; so does this one.

use crate::engine::autoscaler::Direction;
use crate::units::{Span, Time};

/// `spec.behavior`: how fast to follow, in each direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// On the way up.
    pub scale_up: ScalingRules,
    /// On the way down.
    pub scale_down: ScalingRules,
}

impl Default for Behavior {
    /// What Kubernetes fills in: up by 100 % or 4 pods a 15 s, the greater; down by 100 % a 15 s.
    fn default() -> Behavior {
        let quarter = Span::from_secs(15);
        let policy = |kind, value| ScalingPolicy { kind, value, period: quarter };
        Behavior {
            scale_up: ScalingRules {
                stabilization_window: Some(Span::ZERO),
                select_policy: SelectPolicy::Max,
                policies: vec![policy(ScalingPolicyType::Pods, 4), policy(ScalingPolicyType::Percent, 100)],
                tolerance: None,
            },
            scale_down: ScalingRules {
                stabilization_window: None,
                select_policy: SelectPolicy::Max,
                policies: vec![policy(ScalingPolicyType::Percent, 100)],
                tolerance: None,
            },
        }
    }
}

impl Behavior {
    /// The rules of a direction.
    pub fn rules(&self, direction: Direction) -> &ScalingRules {
        match direction {
            Direction::Up => &self.scale_up,
            Direction::Down => &self.scale_down,
        }
    }
}

/// `HPAScalingRules`: one direction of a [`Behavior`].
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingRules {
    /// `stabilizationWindowSeconds`, 0 to 1 h; `None` is 0 on the way up, and the controller's downscale
    /// stabilization on the way down.
    pub stabilization_window: Option<Span>,
    /// `selectPolicy`: which of several policies counts.
    pub select_policy: SelectPolicy,
    /// Limits; at least one unless disabled.
    pub policies: Vec<ScalingPolicy>,
    /// `tolerance` of this direction, 0..; `None` is the controller's.
    pub tolerance: Option<f64>,
}

/// `selectPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelectPolicy {
    /// The policy that allows the largest change (default).
    #[default]
    Max,
    /// The policy that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

impl SelectPolicy {
    /// Every choice, with the name used in scenario files.
    pub const ALL: [(&'static str, SelectPolicy); 3] =
        [("max", SelectPolicy::Max), ("min", SelectPolicy::Min), ("disabled", SelectPolicy::Disabled)];
}

/// `HPAScalingPolicy`: so much within a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalingPolicy {
    /// What `value` counts.
    pub kind: ScalingPolicyType,
    /// Pods, or percent of those at the start of the period; above 0.
    pub value: u32,
    /// `periodSeconds`, 1 s to 30 min.
    pub period: Span,
}

/// `type` of a scaling policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalingPolicyType {
    /// A number of pods.
    Pods,
    /// A percentage of the pods at the start of the period.
    Percent,
}

impl ScalingPolicyType {
    /// Every type, with the name used in scenario files.
    pub const ALL: [(&'static str, ScalingPolicyType); 2] =
        [("pods", ScalingPolicyType::Pods), ("percent", ScalingPolicyType::Percent)];
}

/// A number at a moment: a recommendation, or a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub at: Time,
    pub count: u32,
}

/// Adds `new`, in the place of the last entry that is `outdated` if there is one.
fn store(entries: &mut Vec<Entry>, new: Entry, outdated: impl Fn(&Entry) -> bool) {
    match entries.iter().rposition(outdated) {
        Some(place) => entries[place] = new,
        None => entries.push(new),
    }
}

/// What limits how far a recommendation is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Within,
    ScaleUpLimit,
    ScaleDownLimit,
    TooMany,
    TooFew,
}

/// A number that a limit has been applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limited {
    pub replicas: u32,
    pub condition: Condition,
}

/// What happened lately, in memory only: it is lost on a restart.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// Whether there is one: the first sync after a start begins it.
    pub begun: bool,
    pub recommendations: Vec<Entry>,
    pub scale_ups: Vec<Entry>,
    pub scale_downs: Vec<Entry>,
}

impl History {
    /// On the first sync after a start the current size counts as a recommendation.
    pub(super) fn begin(&mut self, now: Time, current: u32) {
        if !std::mem::replace(&mut self.begun, true) {
            self.recommendations.push(Entry { at: now, count: current });
        }
    }

    /// Without a `behavior`: no lower than any recommendation that is not older than `window`.
    pub(super) fn stabilize_downscale(&mut self, now: Time, raw: u32, window: Span) -> u32 {
        let outdated = |entry: &Entry| entry.at.saturating_add(window) < now;
        let recent = self.recommendations.iter().filter(|entry| !outdated(entry)).map(|entry| entry.count);
        let highest = recent.fold(raw, u32::max);
        store(&mut self.recommendations, Entry { at: now, count: raw }, outdated);
        highest
    }

    /// With a `behavior`: `current`, raised to the lowest recommendation of the one window and lowered to the highest
    /// of the other. Younger than a window is strict.
    pub(super) fn stabilize(&mut self, now: Time, current: u32, raw: u32, up: Span, down: Span) -> u32 {
        let younger = |entry: &&Entry, window| entry.at.saturating_add(window) > now;
        let of = |window| self.recommendations.iter().filter(move |entry| younger(entry, window)).map(|e| e.count);
        let floor = of(up).fold(raw, u32::min);
        let ceiling = of(down).fold(raw, u32::max);
        let outdated = |entry: &Entry| entry.at.saturating_add(up) < now && entry.at.saturating_add(down) < now;
        store(&mut self.recommendations, Entry { at: now, count: raw }, outdated);
        current.max(floor).min(ceiling)
    }

    /// The recommendation that keeps the fleet from shrinking to `raw` at `now`, and when it is forgotten.
    pub(super) fn kept_by(&self, now: Time, raw: u32, window: Span) -> Option<(u32, Time)> {
        let recent = self.recommendations.iter().filter(|entry| entry.at.saturating_add(window) > now);
        let highest = recent.filter(|entry| entry.count > raw).max_by_key(|entry| (entry.count, entry.at))?;
        Some((highest.count, highest.at.saturating_add(window)))
    }

    /// Keeps a change, in the place of one that no scaling policy of its direction reaches back to.
    pub(super) fn changed(&mut self, now: Time, from: u32, to: u32, behavior: Option<&Behavior>) {
        let (Some(behavior), Some(direction)) = (behavior, Direction::of(from, to)) else { return };
        let longest = behavior.rules(direction).policies.iter().map(|policy| policy.period).max();
        let outdated = |entry: &Entry| entry.at.saturating_add(longest.unwrap_or(Span::ZERO)) < now;
        let events = match direction {
            Direction::Up => &mut self.scale_ups,
            Direction::Down => &mut self.scale_downs,
        };
        store(events, Entry { at: now, count: from.abs_diff(to) }, outdated);
    }

    /// The size that a period of `period` began with: what has been added since is taken away again, and the reverse.
    fn at_start(&self, now: Time, current: u32, period: Span) -> i64 {
        i64::from(current) - i64::from(change_within(&self.scale_ups, now, period))
            + i64::from(change_within(&self.scale_downs, now, period))
    }

    /// Follows `desired` from `current` as far as `behavior` and the bounds allow.
    pub(super) fn limit(
        &self,
        now: Time,
        current: u32,
        desired: u32,
        bounds: (u32, u32),
        behavior: &Behavior,
    ) -> Limited {
        let within = Limited { replicas: desired, condition: Condition::Within };
        let (min, max) = bounds;
        match Direction::of(current, desired) {
            Some(Direction::Up) => {
                let limit = self.scale_up_limit(now, current, &behavior.scale_up).max(i64::from(current));
                let (allowed, condition) = if i64::from(max) > limit {
                    (limit as u32, Condition::ScaleUpLimit)
                } else {
                    (max, Condition::TooMany)
                };
                if desired > allowed { Limited { replicas: allowed, condition } } else { within }
            }
            Some(Direction::Down) => {
                let limit = self.scale_down_limit(now, current, &behavior.scale_down).min(i64::from(current));
                let (allowed, condition) = if i64::from(min) < limit {
                    (limit as u32, Condition::ScaleDownLimit)
                } else {
                    (min, Condition::TooFew)
                };
                if desired < allowed { Limited { replicas: allowed, condition } } else { within }
            }
            None => within,
        }
    }

    fn scale_up_limit(&self, now: Time, current: u32, rules: &ScalingRules) -> i64 {
        let limit = |policy: &ScalingPolicy| {
            let start = self.at_start(now, current, policy.period);
            match policy.kind {
                ScalingPolicyType::Pods => start + i64::from(policy.value),
                // In the original's order of operations: 50 + 10 % is 56.
                ScalingPolicyType::Percent => (start as f64 * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i64,
            }
        };
        let limits = rules.policies.iter().map(limit);
        match rules.select_policy {
            SelectPolicy::Max => limits.max(),
            SelectPolicy::Min => limits.min(),
            SelectPolicy::Disabled => None,
        }
        .unwrap_or(i64::from(current))
    }

    fn scale_down_limit(&self, now: Time, current: u32, rules: &ScalingRules) -> i64 {
        let limit = |policy: &ScalingPolicy| {
            let start = self.at_start(now, current, policy.period);
            match policy.kind {
                ScalingPolicyType::Pods => start - i64::from(policy.value),
                ScalingPolicyType::Percent => (start as f64 * (1.0 - f64::from(policy.value) / 100.0)) as i64,
            }
        };
        let limits = rules.policies.iter().map(limit);
        match rules.select_policy {
            SelectPolicy::Max => limits.min(),
            SelectPolicy::Min => limits.max(),
            SelectPolicy::Disabled => None,
        }
        .unwrap_or(i64::from(current))
    }
}

/// What changed within the last `period`; strictly, as the original has it.
pub(super) fn change_within(events: &[Entry], now: Time, period: Span) -> u32 {
    events.iter().filter(|entry| entry.at.saturating_add(period) > now).map(|entry| entry.count).sum()
}

/// The limits without a `behavior`: up to `max(2 × current, 4)` at once, within the bounds.
pub(super) fn limit_without_behavior(current: u32, desired: u32, bounds: (u32, u32)) -> Limited {
    let (min, max) = bounds;
    let limit = current.saturating_mul(2).max(4);
    let (allowed, condition) = if max > limit { (limit, Condition::ScaleUpLimit) } else { (max, Condition::TooMany) };
    if desired < min {
        Limited { replicas: min, condition: Condition::TooFew }
    } else if desired > allowed {
        Limited { replicas: allowed, condition }
    } else {
        Limited { replicas: desired, condition: Condition::Within }
    }
}

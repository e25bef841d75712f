//! Threshold rules: when a metric has been past a threshold for a while, do something.
//!
//! A rule's condition is a comparison; `since` is the tick at which it was first seen to hold. The rule is *ripe* at
//! a tick that sees it hold with `now − since ≥ duration`, so the duration is in effect rounded up to a tick. Firing
//! restarts the clock, and the rule's own cooldown is the least time between two firings.
//!
//! ```text
//!   sampled   first seen        duration over     next tick       cooldowns, guards over
//!      ├─ metric delay ─┤── persistence ──┤─ tick wait ─┤──── blocked ────┤
//!  sampled_at         since            held_at       ripe_at           fired_at
//! ```
//!
//! Which of several ripe rules acts, and what may hold it, is the business of the parent module.

use std::fmt;
use std::str::FromStr;

use super::evidence::{Evidence, Sample, Samples};
use super::guards::{Hold, Remembered};
use super::{Direction, Fresh, cause};
use crate::engine::events::Timing;
use crate::engine::metrics::{Aggregate, Metric};
use crate::units::{Span, Time};

/// How a value is compared with a threshold. Equality is not offered: measured numbers are never equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Gte,
    /// Less than.
    Lt,
    /// Less than or equal.
    Lte,
}

impl Operator {
    /// Every operator, with the name used in scenario files.
    pub const ALL: [(&'static str, Operator); 4] =
        [("gt", Operator::Gt), ("gte", Operator::Gte), ("lt", Operator::Lt), ("lte", Operator::Lte)];

    /// Whether `value` is past `threshold`.
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Operator::Gt => value > threshold,
            Operator::Gte => value >= threshold,
            Operator::Lt => value < threshold,
            Operator::Lte => value <= threshold,
        }
    }

    /// The sign written between value and threshold.
    pub fn symbol(self) -> &'static str {
        match self {
            Operator::Gt => ">",
            Operator::Gte => "≥",
            Operator::Lt => "<",
            Operator::Lte => "≤",
        }
    }
}

/// What a rule does when it fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Adds instances.
    ScaleUp,
    /// Removes instances.
    ScaleDown,
    /// Forces the service's breaker open for the breaker's own interval.
    CircuitBreak,
    /// Leaves an event: once while the condition holds, and again after each cooldown if there is one.
    Alert,
}

impl Action {
    /// Every action, with the name used in scenario files.
    pub const ALL: [(&'static str, Action); 4] = [
        ("scale_up", Action::ScaleUp),
        ("scale_down", Action::ScaleDown),
        ("circuit_break", Action::CircuitBreak),
        ("alert", Action::Alert),
    ];

    pub(super) fn direction(self) -> Option<Direction> {
        match self {
            Action::ScaleUp => Some(Direction::Up),
            Action::ScaleDown => Some(Direction::Down),
            Action::CircuitBreak | Action::Alert => None,
        }
    }
}

/// What a rule makes of a metric that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// Waits: the clock keeps running up to the staleness limit, but nothing fires without a sample (default).
    #[default]
    Hold,
    /// Starts anew at once.
    Reset,
    /// Counts as past the threshold ("no heartbeat" rules).
    Breach,
}

impl Missing {
    /// Every choice, with the name used in scenario files.
    pub const ALL: [(&'static str, Missing); 3] =
        [("hold", Missing::Hold), ("reset", Missing::Reset), ("breach", Missing::Breach)];
}

/// How far a rule changes the number of instances. Written "+2" (or "2"), "50%", "to 10".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many instances more, or fewer.
    Add(u32),
    /// So many percent of the existing ones: rounded up when adding, down when removing, and at least one.
    Percent(u32),
    /// To this many; nothing if that is not in the rule's direction.
    To(u32),
}

impl Default for Step {
    fn default() -> Step {
        Step::Add(1)
    }
}

impl Step {
    /// The size wanted of a fleet of `existing`; `None` if that changes nothing in `direction`.
    pub fn apply(self, existing: u32, direction: Direction) -> Option<u32> {
        let by = |n: u32| match direction {
            Direction::Up => existing.saturating_add(n),
            Direction::Down => existing.saturating_sub(n),
        };
        let to = match self {
            Step::Add(n) => by(n),
            Step::Percent(p) => {
                let hundredfold = u64::from(existing) * u64::from(p);
                let share = match direction {
                    Direction::Up => hundredfold.div_ceil(100),
                    Direction::Down => hundredfold / 100,
                };
                by(u32::try_from(share.max(1)).unwrap_or(u32::MAX))
            }
            Step::To(n) => n,
        };
        (Direction::of(existing, to) == Some(direction)).then_some(to)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Add(n) => write!(f, "+{n}"),
            Step::Percent(p) => write!(f, "{p}%"),
            Step::To(n) => write!(f, "to {n}"),
        }
    }
}

/// A text that is not a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a step such as \"+2\", \"50%\" or \"to 10\"")]
pub struct StepError;

impl FromStr for Step {
    type Err = StepError;

    fn from_str(text: &str) -> Result<Step, StepError> {
        // `u32` itself reads "+2"; "to +2" and "+5%" mean nothing, and are not let through.
        let number = |digits: &str| match digits.trim() {
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| StepError),
            _ => Err(StepError),
        };
        let text = text.trim();
        if let Some(n) = text.strip_prefix("to ") {
            number(n).map(Step::To)
        } else if let Some(p) = text.strip_suffix('%') {
            number(p).map(Step::Percent)
        } else {
            number(text.strip_prefix('+').unwrap_or(text)).map(Step::Add)
        }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// What it looks at.
    pub metric: Metric,
    /// How it compares.
    pub operator: Operator,
    /// With what, in the metric's unit.
    pub threshold: f64,
    /// How long the condition must have held; inclusive. Default 0: one tick is enough.
    pub duration: Span,
    /// What it does.
    pub action: Action,
    /// 0..=100, larger wins; default 5. Between equals, the one declared first.
    pub priority: u8,
    /// Least time between two firings of this rule; default 0.
    pub cooldown: Span,
    /// A rule that is not enabled does not exist; default true.
    pub enabled: bool,
    /// How far it scales; default `+1`.
    pub step: Step,
    /// How values of instances become one; default the mean.
    pub aggregate: Aggregate,
    /// What a missing metric means; default [`Missing::Hold`].
    pub missing: Missing,
    /// How many samples it takes; default [`Evidence::Continuous`].
    pub evidence: Evidence,
}

impl Config {
    /// A rule with the defaults for everything that has one.
    pub fn new(
        name: impl Into<String>,
        metric: Metric,
        operator: Operator,
        threshold: f64,
        action: Action,
    ) -> Config {
        Config {
            name: name.into(),
            metric,
            operator,
            threshold,
            duration: Span::ZERO,
            action,
            priority: 5,
            cooldown: Span::ZERO,
            enabled: true,
            step: Step::default(),
            aggregate: Aggregate::default(),
            missing: Missing::default(),
            evidence: Evidence::default(),
        }
    }

    fn condition(&self) -> String {
        format!("{} {}", self.operator.symbol(), cause::setting(self.threshold, self.metric.unit()))
    }
}

/// When a condition began to hold.
#[derive(Clone, Copy, Debug)]
struct Onset {
    /// The duration counts from here.
    since: Time,
    /// The first sample that spoke for it: the same, unless evidence had to gather first.
    first: Sample,
}

/// A rule with its memory.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) config: Config,
    /// The value of this tick; `None` if there was none.
    pub(super) value: Option<f64>,
    pub(super) last_fired: Option<Time>,
    pub(super) held: Remembered,
    samples: Samples,
    last_sampled_at: Option<Time>,
    holds_now: bool,
    onset: Option<Onset>,
    ripe_at: Option<Time>,
    alerted: bool,
}

impl Rule {
    pub(super) fn new(config: Config) -> Rule {
        Rule {
            samples: Samples::new(config.evidence),
            config,
            value: None,
            last_fired: None,
            held: Remembered::default(),
            last_sampled_at: None,
            holds_now: false,
            onset: None,
            ripe_at: None,
            alerted: false,
        }
    }

    /// Looks at the metric of this tick. `max_age` is how old a sample may be before it is forgotten.
    pub(super) fn observe(&mut self, now: Time, fresh: Option<Fresh>, max_age: Span) {
        self.value = fresh.map(|f| f.value);
        let sample = match (fresh, self.config.missing) {
            (Some(Fresh { value, sampled_at }), _) => {
                self.last_sampled_at = Some(sampled_at);
                let breaching = self.config.operator.holds(value, self.config.threshold);
                Sample { seen_at: now, sampled_at, breaching }
            }
            (None, Missing::Breach) => Sample { seen_at: now, sampled_at: now, breaching: true },
            (None, Missing::Reset) => return self.forget(),
            (None, Missing::Hold) => {
                self.holds_now = false;
                if self.last_sampled_at.is_none_or(|at| now.since(at) > max_age) {
                    self.forget();
                }
                return;
            }
        };
        match self.samples.add(sample) {
            Some(first) => {
                self.holds_now = true;
                let onset = self.onset.get_or_insert(Onset { since: now, first });
                if now.since(onset.since) >= self.config.duration {
                    self.ripe_at.get_or_insert(now);
                }
            }
            None => self.lapse(),
        }
    }

    fn lapse(&mut self) {
        self.holds_now = false;
        self.onset = None;
        self.ripe_at = None;
        self.alerted = false;
    }

    fn forget(&mut self) {
        self.lapse();
        self.samples.clear();
    }

    /// Whether the condition holds at this tick and has held for the duration.
    pub(super) fn is_ripe(&self) -> bool {
        self.holds_now && self.ripe_at.is_some()
    }

    /// Whether the condition holds, or held when the metric was last seen not too long ago.
    pub(super) fn is_suspected(&self) -> bool {
        self.onset.is_some()
    }

    /// What remains of the rule's own cooldown.
    pub(super) fn cooling(&self, now: Time) -> Option<Hold> {
        let until = self.last_fired?.saturating_add(self.config.cooldown);
        (now < until).then_some(Hold::RuleCooldown { until })
    }

    /// Whether a breaker or alert rule acts now.
    pub(super) fn is_due(&self, now: Time) -> bool {
        let again = self.config.action != Action::Alert || !self.alerted || !self.config.cooldown.is_zero();
        self.is_ripe() && self.cooling(now).is_none() && again
    }

    /// Marks the rule as fired and starts its clock anew.
    pub(super) fn fire(&mut self, now: Time) {
        self.last_fired = Some(now);
        if self.config.action == Action::Alert {
            self.alerted = true;
        } else {
            self.restart(now);
        }
    }

    /// Starts the clock anew: the fleet it was about has changed.
    pub(super) fn restart(&mut self, now: Time) {
        let sampled_at = self.last_sampled_at.unwrap_or(now);
        let first = Sample { seen_at: now, sampled_at, breaching: true };
        self.onset = self.holds_now.then_some(Onset { since: now, first });
        self.ripe_at = None;
    }

    /// How long the condition has held.
    pub(super) fn held_for(&self, now: Time) -> Span {
        self.onset.map_or(Span::ZERO, |onset| now.since(onset.since))
    }

    /// The way to a firing at `now`; `None` unless ripe.
    pub(super) fn timing(&self, now: Time) -> Option<Timing> {
        let (onset, ripe_at) = (self.onset?, self.ripe_at?);
        Some(Timing {
            sampled_at: onset.first.sampled_at.min(onset.first.seen_at),
            since: onset.first.seen_at,
            held_at: onset.since.saturating_add(self.config.duration),
            ripe_at,
            fired_at: now,
        })
    }

    /// Why it is ripe: "cpu_utilization 82.4% > 70% for 2m (rule cpu_scale_up)".
    pub(super) fn cause(&self, now: Time) -> String {
        let config = &self.config;
        let metric = cause::metric(config.metric, config.aggregate);
        let (unit, condition) = (config.metric.unit(), config.condition());
        let value = self.value.map(|v| cause::quantity_beside(v, config.threshold, unit));
        let held_for = match self.held_for(now) {
            Span::ZERO => String::new(),
            span => format!(" for {span}"),
        };
        let words = match (config.evidence, value) {
            (Evidence::Continuous, Some(value)) => format!("{metric} {value} {condition}{held_for}"),
            (Evidence::Continuous, None) => format!("{metric} missing, taken as {condition}{held_for}"),
            (Evidence::MOfN { m, n, .. }, value) => {
                let value = value.as_deref().unwrap_or("missing");
                format!("{metric} {condition} in {m} of {n} samples{held_for}, now {value}")
            }
        };
        format!("{words} (rule {})", config.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_up_when_adding_and_down_when_removing() {
        for (id, step, from, direction, expected) in [
            ("R-20 a", Step::Percent(50), 3, Direction::Up, Some(5)),
            ("R-20 b", Step::Percent(50), 3, Direction::Down, Some(2)),
            ("R-20 c", Step::Percent(10), 3, Direction::Up, Some(4)),
            ("exact", Step::Percent(10), 50, Direction::Up, Some(55)),
            ("at least one", Step::Percent(10), 3, Direction::Down, Some(2)),
            ("from nothing", Step::Percent(50), 0, Direction::Up, Some(1)),
            ("below nothing", Step::Add(9), 3, Direction::Down, Some(0)),
            ("to", Step::To(7), 3, Direction::Up, Some(7)),
            ("to, not that way", Step::To(7), 3, Direction::Down, None),
            ("already there", Step::To(3), 3, Direction::Up, None),
            ("huge", Step::Percent(u32::MAX), u32::MAX, Direction::Up, None),
        ] {
            assert_eq!(step.apply(from, direction), expected, "{id}");
        }
    }

    #[test]
    fn steps_are_read_as_they_are_shown() {
        for (text, step) in [("+2", Step::Add(2)), ("50%", Step::Percent(50)), ("to 10", Step::To(10))] {
            assert_eq!(text.parse(), Ok(step));
            assert_eq!(step.to_string(), text);
        }
        assert_eq!("3".parse(), Ok(Step::Add(3)));
        for text in ["", "-1", "+", "1.5", "%", "to +2", "+5%", "to", "99999999999"] {
            assert_eq!(text.parse::<Step>(), Err(StepError), "{text}");
        }
    }
}

//! Simple scaling of AWS: one adjustment, and then nothing until a cooldown is over.
//!
//! The cooldown counts from the *completion* of the change, when what was launched is in service. If the alarm still holds then,
//! the next adjustment follows. It is the oldest kind of policy there, and the slowest.
//!
//! Source: EC2 Auto Scaling, "Simple scaling policies", "Scaling cooldowns".

use super::adjustment::AdjustmentType;
use super::alarm::{self, Alarm, State};
use super::guards::Hold;
use super::policy::Recommendation;
use super::{Sight, cause};
use crate::units::{Span, Time};

/// A simple scaling policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// When to act.
    pub alarm: alarm::Config,
    /// `AdjustmentType`.
    pub adjustment_type: AdjustmentType,
    /// `ScalingAdjustment`.
    pub adjustment: i32,
    /// `MinAdjustmentMagnitude`: the least change by percentages; default 1.
    pub min_adjustment_magnitude: u32,
    /// `Cooldown`; default 300 s.
    pub cooldown: Span,
}

impl Config {
    /// A policy with the defaults for everything that has one.
    pub fn new(name: impl Into<String>, alarm: alarm::Config, adjustment: i32) -> Config {
        Config {
            name: name.into(),
            alarm,
            adjustment_type: AdjustmentType::default(),
            adjustment,
            min_adjustment_magnitude: 1,
            cooldown: Span::from_secs(300),
        }
    }
}

/// The last change of the fleet's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    None,
    /// Begun, and not yet complete.
    Since(Time),
    Completed(Time),
}

/// The policy with its memory.
#[derive(Clone, Debug)]
pub(super) struct Simple {
    config: Config,
    alarm: Alarm,
    activity: Activity,
}

impl Simple {
    pub(super) fn new(config: Config) -> Simple {
        Simple { alarm: Alarm::new(config.alarm.clone()), config, activity: Activity::None }
    }

    /// Learns that the fleet was changed.
    pub(super) fn changed(&mut self, now: Time) {
        self.activity = Activity::Since(now);
    }

    /// What it wants at this tick; `None` without an opinion.
    pub(super) fn recommend(&mut self, sight: &Sight<'_>) -> Option<Recommendation> {
        self.alarm.look(sight, 1.0);
        let fleet = sight.fleet();
        if let Activity::Since(begun) = self.activity
            && fleet.pending == 0
        {
            // The last instance to come into service completed it, between two ticks.
            let last = sight.observed.instances.iter().filter_map(|instance| instance.changed_at).max();
            self.activity = Activity::Completed(last.unwrap_or(begun).max(begun));
        }
        if self.alarm.state() != State::Alarm {
            return None;
        }
        let point = self.alarm.newest();
        let Config { adjustment_type, adjustment, min_adjustment_magnitude, .. } = self.config;
        let raw = adjustment_type.apply(fleet.existing, adjustment, min_adjustment_magnitude);
        let mut wish = Recommendation::outright(raw, self.cause(point.map(|p| p.value), raw));
        let cooldown = |until| Hold::Rate { limit: format!("cooldown of policy {}", self.config.name), until };
        let hold = match self.activity {
            Activity::Since(_) => Some(cooldown(None)),
            Activity::Completed(at) => {
                let until = at.saturating_add(self.config.cooldown);
                (sight.now < until).then(|| cooldown(Some(until)))
            }
            Activity::None => None,
        };
        if let Some(hold) = hold {
            let limiting = "its cooldown is not over".into();
            wish = Recommendation { limited: fleet.existing, limiting, holds: vec![hold], ..wish };
        }
        Some(wish.seen(point))
    }

    fn cause(&self, value: Option<f64>, raw: u32) -> String {
        let alarm::Config { metric, aggregate, operator, threshold, .. } = self.config.alarm;
        let unit = metric.unit();
        format!(
            "{} {} {} {}: {raw} wanted (policy {})",
            cause::metric(metric, aggregate),
            value.map_or("missing".into(), |value| cause::quantity_beside(value, threshold, unit)),
            operator.symbol(),
            cause::setting(threshold, unit),
            self.config.name,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::autoscaler::rules::Operator;
    use crate::engine::metrics::{FleetCounts, InstanceView, Metric, Observed, Stage};
    use crate::engine::request::InstanceId;

    #[test]
    fn the_cooldown_counts_from_the_moment_the_launched_are_in_service() {
        let s = |seconds: u64| Time::ZERO + Span::from_secs(seconds);
        let alarm = alarm::Config::new(Metric::CpuUtilization, Operator::Gt, 70.0);
        let mut simple = Simple::new(Config::new("simple", alarm, 1));
        (0..3).for_each(|_| _ = simple.alarm.push(Some(90.0)));
        let (mut ordered, mut actions): (Vec<u64>, _) = (vec![], vec![]);
        for t in (0..800).step_by(15) {
            let pending = ordered.iter().filter(|&&at| at + 90 > t).count() as u32;
            let existing = 2 + ordered.len() as u32;
            let mut observed = Observed::new(FleetCounts { existing, pending, ready: existing - pending });
            let view = |(i, &at): (usize, &u64)| InstanceView {
                id: InstanceId(i as u32),
                stage: if at + 90 > t { Stage::Provisioning } else { Stage::Ready },
                launched_at: Some(s(at)),
                changed_at: (at + 90 <= t).then(|| s(at + 90)),
                values: vec![],
                sampled_at: s(t),
                window: Span::ZERO,
            };
            observed.instances = ordered.iter().enumerate().map(view).collect();
            let sight = Sight { now: s(t), observed: &observed, max_age: Span::ZERO };
            let wish = simple.recommend(&sight).expect("the alarm holds");
            if wish.limited > existing {
                simple.changed(s(t));
                ordered.push(t);
                actions.push(t);
            }
        }
        assert_eq!(actions, [0, 390, 780], "W-12");
    }
}

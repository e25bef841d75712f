//! Step scaling of AWS: the farther a metric is past its threshold, the larger the change.
//!
//! A policy has an alarm and goes one way: out if the alarm is for a metric above its threshold, in if for one below. Its steps
//! are intervals of `metric − threshold`, closed at the end that is nearer to the threshold. At every data point while the
//! alarm holds, the step that the point is in is applied.
//!
//! Instances that are *warming* (ordered, or ready for less than the warm-up) are not part of the capacity that a step
//! starts from, but of the size it is compared with, so that one shortage is not answered twice; and while any is warming
//! nothing is removed. When its alarm does not hold, the policy has no opinion.
//!
//! Source: EC2 Auto Scaling, "Step and simple scaling policies".

use super::adjustment::AdjustmentType;
use super::alarm::{self, Alarm, State};
use super::guards::Hold;
use super::policy::Recommendation;
use super::{Sight, cause};
use crate::engine::metrics::{InstanceView, Stage};
use crate::units::{Span, Time};

/// A step scaling policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// When to act.
    pub alarm: alarm::Config,
    /// `AdjustmentType`.
    pub adjustment_type: AdjustmentType,
    /// `StepAdjustments`: no gaps, no overlap, in rising order; what no step covers changes nothing.
    pub steps: Vec<StepAdjustment>,
    /// `MinAdjustmentMagnitude`: the least change by percentages; default 1.
    pub min_adjustment_magnitude: u32,
    /// `EstimatedInstanceWarmup`: how long after it is in service an instance is not counted; default 300 s, the default
    /// cooldown, which stands in where no warm-up is set.
    pub estimated_instance_warmup: Span,
}

impl Config {
    /// A policy with the defaults for everything that has one.
    pub fn new(name: impl Into<String>, alarm: alarm::Config, steps: Vec<StepAdjustment>) -> Config {
        Config {
            name: name.into(),
            alarm,
            adjustment_type: AdjustmentType::default(),
            steps,
            min_adjustment_magnitude: 1,
            estimated_instance_warmup: Span::from_secs(300),
        }
    }
}

/// `StepAdjustment`: what to do in an interval of `metric − threshold`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepAdjustment {
    /// `MetricIntervalLowerBound`; `None` is −∞.
    pub lower: Option<f64>,
    /// `MetricIntervalUpperBound`; `None` is +∞.
    pub upper: Option<f64>,
    /// `ScalingAdjustment`.
    pub adjustment: i32,
}

impl StepAdjustment {
    /// Whether a metric `beyond` its threshold is in it: `[lower, upper)` on the way out, `(lower, upper]` on the way in.
    fn covers(&self, beyond: f64, out: bool) -> bool {
        let above = |lower: f64| if out { beyond >= lower } else { beyond > lower };
        let below = |upper: f64| if out { beyond < upper } else { beyond <= upper };
        self.lower.is_none_or(above) && self.upper.is_none_or(below)
    }
}

/// How many instances are past their warm-up: those that a step starts from.
pub(super) fn warmed(instances: &[InstanceView], now: Time, warmup: Span) -> u32 {
    let is_warm = |instance: &&InstanceView| match instance.stage {
        Stage::Provisioning => false,
        _ => instance.changed_at.is_none_or(|at| now.since(at) >= warmup),
    };
    instances.iter().filter(is_warm).count() as u32
}

/// The policy with its memory.
#[derive(Clone, Debug)]
pub(super) struct Step {
    config: Config,
    alarm: Alarm,
}

impl Step {
    pub(super) fn new(config: Config) -> Step {
        Step { alarm: Alarm::new(config.alarm.clone()), config }
    }

    /// What it wants at this tick; `None` without an opinion.
    pub(super) fn recommend(&mut self, sight: &Sight<'_>) -> Option<Recommendation> {
        let evaluated = self.alarm.look(sight, 1.0);
        if self.alarm.state() != State::Alarm {
            return None;
        }
        let existing = sight.fleet().existing;
        let newest = self.alarm.newest();
        let Some(point) = newest.filter(|_| evaluated) else {
            let cause = format!("alarm, until the next data point (policy {})", self.config.name);
            return Some(Recommendation::outright(existing, cause));
        };
        let warmed = warmed(&sight.observed.instances, sight.now, self.config.estimated_instance_warmup);
        let raw = self.size(point.value, existing, warmed);
        let mut wish =
            Recommendation { raw, ..Recommendation::outright(raw, self.cause(point.value, raw, existing)) };
        if raw < existing && warmed < existing {
            let limit = format!("{} instances are warming up", existing - warmed);
            wish = Recommendation { limited: existing, limiting: limit.clone(), ..wish };
            wish.holds.push(Hold::Rate { limit, until: None });
        }
        Some(wish.seen(newest))
    }

    /// The size for a metric of `value` on `existing` instances, of which `warmed` are past their warm-up.
    fn size(&self, value: f64, existing: u32, warmed: u32) -> u32 {
        let out = self.config.alarm.is_high();
        let beyond = value - self.config.alarm.threshold;
        let Some(step) = self.config.steps.iter().find(|step| step.covers(beyond, out)) else { return existing };
        let apply =
            |from| self.config.adjustment_type.apply(from, step.adjustment, self.config.min_adjustment_magnitude);
        if out { apply(warmed).max(existing) } else { apply(existing).min(existing) }
    }

    fn cause(&self, value: f64, raw: u32, existing: u32) -> String {
        let alarm::Config { metric, aggregate, operator, threshold, .. } = self.config.alarm;
        let unit = metric.unit();
        format!(
            "{} {} {} {}: {} (policy {})",
            cause::metric(metric, aggregate),
            cause::quantity_beside(value, threshold, unit),
            operator.symbol(),
            cause::setting(threshold, unit),
            if raw == existing { "its step changes nothing".into() } else { format!("{raw} wanted") },
            self.config.name,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::autoscaler::rules::Operator;
    use crate::engine::metrics::Metric;

    fn policy(operator: Operator, threshold: f64, steps: &[(Option<f64>, Option<f64>, i32)]) -> Step {
        let alarm = alarm::Config::new(Metric::CpuUtilization, operator, threshold);
        let step = |&(lower, upper, adjustment): &(Option<f64>, Option<f64>, i32)| StepAdjustment {
            lower,
            upper,
            adjustment,
        };
        let config = Config::new("step", alarm, steps.iter().map(step).collect());
        Step::new(Config { adjustment_type: AdjustmentType::PercentChangeInCapacity, ..config })
    }

    fn out() -> Step {
        let steps = [(Some(0.0), Some(10.0), 0), (Some(10.0), Some(20.0), 10), (Some(20.0), None, 30)];
        policy(Operator::Gte, 50.0, &steps)
    }

    fn inwards() -> Step {
        let steps = [(None, Some(-20.0), -30), (Some(-20.0), Some(-10.0), -10), (Some(-10.0), Some(0.0), 0)];
        policy(Operator::Lte, 50.0, &steps)
    }

    #[test]
    fn the_farther_the_larger() {
        let mut size = 10;
        let mut sizes = vec![];
        for (policy, metric) in [(out(), 60.0), (out(), 70.0), (inwards(), 40.0), (inwards(), 30.0)] {
            size = policy.size(metric, size, size);
            sizes.push(size);
        }
        assert_eq!(sizes, [11, 14, 13, 10], "W-02");
    }

    #[test]
    fn what_is_warming_is_counted_once() {
        assert_eq!(out().size(60.0, 10, 10), 11);
        assert_eq!(out().size(62.0, 11, 10), 11, "W-03");
        assert_eq!(out().size(70.0, 11, 10), 13, "W-04");
    }

    #[test]
    fn nothing_is_removed_while_anything_warms_up() {
        use crate::engine::metrics::{FleetCounts, Observed, Sample};
        let ends = |k: u64| Time(k * 60_000_000_000);
        let instance = |id: u32, changed_at: Option<Time>| InstanceView {
            id: crate::engine::request::InstanceId(id),
            stage: Stage::Ready,
            launched_at: changed_at,
            changed_at,
            values: Vec::new(),
            sampled_at: ends(3),
            window: Span::from_secs(60),
        };
        let wish = |newest: Option<Time>| {
            let mut policy = inwards();
            policy.alarm = Alarm::new(alarm::Config {
                evaluation_periods: 1,
                datapoints_to_alarm: 1,
                ..policy.config.alarm.clone()
            });
            let series = policy.config.alarm.series();
            let mut observed = Observed::new(FleetCounts { existing: 13, pending: 0, ready: 13 });
            observed.as_of = ends(3);
            observed.instances = (0..13).map(|i| instance(i, if i < 10 { None } else { newest })).collect();
            let sample = |k: u64| Sample { ended_at: ends(k), length: Span::from_secs(60), value: 30.0 };
            observed.series = vec![(series, (1..=3).map(sample).collect())];
            policy
                .recommend(&Sight { now: ends(3), observed: &observed, max_age: Span::from_mins(5) })
                .expect("an alarm")
        };
        let (warming, warm) = (wish(Some(ends(2))), wish(None));
        assert_eq!((warming.raw, warming.limited), (10, 13), "W-05: {}", warming.limiting);
        assert_eq!(warm.limited, 10, "and if nothing warms up");
    }

    #[test]
    fn steps_are_closed_towards_the_threshold() {
        let step = |lower, upper| StepAdjustment { lower: Some(lower), upper: Some(upper), adjustment: 1 };
        assert!(step(0.0, 10.0).covers(0.0, true) && !step(0.0, 10.0).covers(10.0, true), "W-07 out");
        assert!(!step(-10.0, 0.0).covers(-10.0, false) && step(-10.0, 0.0).covers(0.0, false), "W-07 in");
    }
}

//! Target tracking as AWS is observed to do it: two alarms that the service makes itself, and is quicker to believe the one.
//!
//! Out, when three one-minute points in a row are above the target; in, when fifteen are below nine tenths of it. Both times
//! to `⌈n · value / target⌉`, so a small group scales in late, and rather keeps one too many. Without data nothing is
//! done. A scale-out in the cooldown of a scale-in goes ahead at once and ends it.
//!
//! The exact computation is not published; this is a model of it. For what a target does without any of this see
//! [`super::target_tracking`].
//!
//! Source: EC2 and Application Auto Scaling, "Target tracking scaling policies".

use super::alarm::{self, Alarm, State};
use super::guards::Hold;
use super::policy::Recommendation;
use super::rules::Operator;
use super::target_tracking::ceil;
use super::{Direction, Sight, cause, step};
use crate::engine::metrics::{Aggregate, Metric, Series};
use crate::units::{Span, Time};

/// A target tracking policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// The metric; `requests_per_second` is counted per instance, as `ALBRequestCountPerTarget` is.
    pub metric: Metric,
    /// `TargetValue`, in the metric's unit, above 0.
    pub target: f64,
    /// `DisableScaleIn`; default false.
    pub disable_scale_in: bool,
    /// `ScaleOutCooldown`; default 300 s.
    pub scale_out_cooldown: Span,
    /// `ScaleInCooldown`; default 300 s.
    pub scale_in_cooldown: Span,
    /// `EstimatedInstanceWarmup`: an instance younger than this is not part of what a scale-out starts from; `None`, the
    /// default, is the cooldown of scale-out.
    pub estimated_instance_warmup: Option<Span>,
}

impl Config {
    /// Tracking `metric` to `target` with the defaults, under the name "aws_target_tracking".
    pub fn new(metric: Metric, target: f64) -> Config {
        Config {
            name: "aws_target_tracking".into(),
            metric,
            target,
            disable_scale_in: false,
            scale_out_cooldown: Span::from_secs(300),
            scale_in_cooldown: Span::from_secs(300),
            estimated_instance_warmup: None,
        }
    }

    fn alarm(&self, operator: Operator, share: f64, points: u32) -> alarm::Config {
        let alarm = alarm::Config::new(self.metric, operator, self.target * share);
        alarm::Config { evaluation_periods: points, datapoints_to_alarm: points, ..alarm }
    }

    /// `AlarmHigh`.
    pub fn high(&self) -> alarm::Config {
        self.alarm(Operator::Gt, 1.0, 3)
    }

    /// `AlarmLow`.
    pub fn low(&self) -> alarm::Config {
        self.alarm(Operator::Lt, 0.9, 15)
    }

    /// What it reads.
    pub fn series(&self) -> Series {
        Series { metric: self.metric, aggregate: Aggregate::Avg, back: self.high().series().back }
    }
}

/// The policy with its memory.
#[derive(Clone, Debug)]
pub(super) struct AwsTracker {
    config: Config,
    high: Alarm,
    low: Alarm,
    last_out: Option<Time>,
    last_in: Option<Time>,
}

impl AwsTracker {
    pub(super) fn new(config: Config) -> AwsTracker {
        let (high, low) = (Alarm::new(config.high()), Alarm::new(config.low()));
        AwsTracker { config, high, low, last_out: None, last_in: None }
    }

    /// Learns that the fleet was changed.
    pub(super) fn changed(&mut self, now: Time, direction: Direction) {
        match direction {
            Direction::Up => (self.last_out, self.last_in) = (Some(now), None),
            Direction::Down => self.last_in = Some(now),
        }
    }

    /// What it wants at this tick.
    pub(super) fn recommend(&mut self, sight: &Sight<'_>) -> Recommendation {
        let fleet = sight.fleet();
        let per_instance = self.config.metric == Metric::RequestsPerSecond;
        let divisor = if per_instance { f64::from(fleet.ready.max(1)) } else { 1.0 };
        let evaluated = self.high.look(sight, divisor);
        self.low.look(sight, divisor);
        let point = self.high.newest();
        let Some(value) = point.map(|point| point.value) else {
            return Recommendation::outright(fleet.existing, self.words("not enough data"));
        };
        let warmup = self.config.estimated_instance_warmup.unwrap_or(self.config.scale_out_cooldown);
        let warmed = step::warmed(&sight.observed.instances, sight.now, warmup);
        let states = (self.high.state(), self.low.state());
        let raw = if evaluated { self.size(states, value, fleet.existing, warmed) } else { fleet.existing };
        let unit = self.config.metric.unit();
        let about = format!(
            "{} {}, target {}: {}",
            self.config.metric,
            cause::quantity_beside(value, self.config.target, unit),
            cause::setting(self.config.target, unit),
            match states {
                _ if raw != fleet.existing => format!("{raw} wanted"),
                (State::Alarm, _) => "above target, and enough is warming up".into(),
                (_, State::Alarm) => format!("below target, and {raw} it takes"),
                _ => "no alarm".into(),
            }
        );
        let mut wish = Recommendation::outright(raw, self.words(&about));
        if let Some(hold) = self.cooling(sight.now, Direction::of(fleet.existing, raw)) {
            let limiting = "its cooldown is not over".into();
            wish = Recommendation { limited: fleet.existing, limiting, holds: vec![hold], ..wish };
        }
        wish.seen(point)
    }

    /// The size when the alarms say `states` and the metric is `value`.
    fn size(&self, states: (State, State), value: f64, existing: u32, warmed: u32) -> u32 {
        let wanted = |from: u32| ceil(f64::from(from) * value / self.config.target);
        match states {
            (State::Alarm, _) => wanted(warmed).max(existing),
            (_, State::Alarm) if !self.config.disable_scale_in && warmed == existing => {
                wanted(existing).min(existing)
            }
            _ => existing,
        }
    }

    fn cooling(&self, now: Time, direction: Option<Direction>) -> Option<Hold> {
        let (name, last, cooldown) = match direction? {
            Direction::Up => ("scale_out_cooldown", self.last_out, self.config.scale_out_cooldown),
            Direction::Down => ("scale_in_cooldown", self.last_in, self.config.scale_in_cooldown),
        };
        let until = last?.saturating_add(cooldown);
        let limit = format!("{name} of policy {}", self.config.name);
        (now < until).then_some(Hold::Rate { limit, until: Some(until) })
    }

    fn words(&self, about: &str) -> String {
        format!("{about} (policy {})", self.config.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size after data points of these values, one a minute, on a fleet that is warm.
    fn after(points: &[f64], capacity: u32) -> u32 {
        let mut tracker = AwsTracker::new(Config::new(Metric::CpuUtilization, 50.0));
        let states =
            points.iter().map(|&value| (tracker.high.push(Some(value)), tracker.low.push(Some(value)))).last();
        tracker.size(states.expect("a point"), points[points.len() - 1], capacity, capacity)
    }

    #[test]
    fn it_is_quick_to_grow_and_slow_to_shrink() {
        assert_eq!(after(&[75.0; 3], 10), 15, "W-08");
        assert_eq!(after(&[51.0; 3], 10), 11, "W-09 a");
        assert_eq!(after(&[51.0, 51.0, 50.0], 10), 10, "W-09 b");
        assert_eq!(after(&[44.0; 15], 10), 9, "W-10 a");
        assert_eq!(after(&[44.0; 14], 10), 10, "one point too few");
        assert_eq!(after(&[46.0; 15], 10), 10, "W-10 b");
        assert_eq!(after(&[44.0; 15], 2), 2, "W-10 c");
    }

    #[test]
    fn a_scale_out_ends_the_cooldown_of_a_scale_in() {
        let mut tracker = AwsTracker::new(Config::new(Metric::CpuUtilization, 50.0));
        let s = |seconds| Time::ZERO + Span::from_secs(seconds);
        tracker.changed(s(0), Direction::Down);
        assert!(tracker.cooling(s(299), Some(Direction::Down)).is_some());
        assert_eq!(tracker.cooling(s(10), Some(Direction::Up)), None);
        tracker.changed(s(10), Direction::Up);
        assert_eq!(tracker.cooling(s(20), Some(Direction::Down)), None);
        assert!(tracker.cooling(s(309), Some(Direction::Up)).is_some());
        assert_eq!(tracker.cooling(s(310), Some(Direction::Up)), None);
    }
}

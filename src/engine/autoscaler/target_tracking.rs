//! Target tracking: as many instances as bring a metric to its target.
//!
//! `desired = ⌈n · value / target⌉`, with n the ready instances the value was averaged over. For
//! `requests_per_second`, a total, the target is per instance and `desired = ⌈value / target⌉`. Within `tolerance` of
//! the target nothing is asked for, and a scale-in waits until the recommendations of a whole window allow it: the
//! shape of the Kubernetes HPA and of target tracking in the clouds, without the peculiarities of either.
//!
//! The formula supposes that the value falls in proportion as instances are added. For latencies and error rates it
//! does not, and the answer is only a direction. When the value is missing, or no instance is ready, the policy
//! wants at least what exists and what it wanted last: an outage is not idleness.

use super::policy::Recommendation;
use super::stabilize::Stabilizer;
use super::{Fresh, Sight, cause};
use crate::engine::metrics::{Aggregate, FleetCounts, Metric};
use crate::units::{Span, Time};

/// A target-tracking policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// What it tracks; per-instance metrics by their mean.
    pub metric: Metric,
    /// Where it should be, in the metric's unit, > 0; per instance for `requests_per_second`. A target that is not
    /// positive never changes anything.
    pub target: f64,
    /// Nothing is done within `target × (1 ± tolerance)`, inclusive; default 0.1. Too little follows noise, too much
    /// leaves small fleets stuck.
    pub tolerance: f64,
    /// Whether it may remove instances; default true.
    pub scale_in: bool,
    /// How long every recommendation must have been lower before instances are removed; default 5 min.
    pub stabilization_window: Span,
}

impl Config {
    /// Tracking `metric` to `target` with the defaults, under the name "target_tracking".
    pub fn new(metric: Metric, target: f64) -> Config {
        Config {
            name: "target_tracking".into(),
            metric,
            target,
            tolerance: 0.1,
            scale_in: true,
            stabilization_window: Span::from_mins(5),
        }
    }
}

/// The policy with its memory.
#[derive(Clone, Debug)]
pub(super) struct Tracker {
    config: Config,
    stabilizer: Stabilizer,
    /// The last recommendation made from a value, unless it was 0.
    last: Option<u32>,
}

impl Tracker {
    pub(super) fn new(config: Config) -> Tracker {
        Tracker { stabilizer: Stabilizer::new(config.stabilization_window), config, last: None }
    }

    /// What it wants at this tick.
    pub(super) fn recommend(&mut self, sight: &Sight<'_>) -> Recommendation {
        let fleet = sight.fleet();
        let is_total = self.config.metric == Metric::RequestsPerSecond;
        let blind = fleet.ready == 0 && !is_total;
        let fresh = sight.fresh(self.config.metric, Aggregate::Avg);
        match fresh.filter(|_| !blind && self.config.target > 0.0) {
            Some(fresh) => self.track(sight.now, fleet, fresh),
            None => self.keep(fleet),
        }
    }

    fn track(&mut self, now: Time, fleet: FleetCounts, fresh: Fresh) -> Recommendation {
        let (raw, cause) = self.raw(fleet, fresh.value);
        let steady = self.stabilizer.smooth(now, fleet.existing, raw);
        if raw > 0 {
            self.last = Some(raw);
        }
        let wish = Recommendation::outright(steady.count, cause);
        let mut wish = Recommendation { raw, steadying: "nothing to wait for".into(), ..wish };
        self.stabilizer.note(&mut wish, steady, fleet.existing);
        wish.seen(Some(fresh))
    }

    /// The recommendation before stabilization, and its cause.
    fn raw(&self, fleet: FleetCounts, value: f64) -> (u32, String) {
        let Config { metric, target, tolerance, scale_in, .. } = self.config;
        let unit = metric.unit();
        let (wanted, ratio) = if metric == Metric::RequestsPerSecond {
            (ceil(value / target), value / (target * f64::from(fleet.existing)))
        } else {
            (ceil(f64::from(fleet.ready) * value / target), value / target)
        };
        let shown = cause::quantity_beside(value, target, unit);
        let target = cause::setting(target, unit);
        let about = match metric {
            Metric::RequestsPerSecond => format!("{metric} {shown}, target {target} each"),
            _ => format!("{metric} {shown}, target {target}, on {} ready", fleet.ready),
        };
        let (raw, then) = if (ratio - 1.0).abs() <= tolerance + 1e-9 {
            (fleet.existing, "within tolerance".to_string())
        } else if wanted < fleet.existing && !scale_in {
            (fleet.existing, format!("{wanted} would do, but scale-in is off"))
        } else {
            (wanted, format!("{wanted} wanted"))
        };
        (raw, format!("{about}: {then} (policy {})", self.config.name))
    }

    /// Without a value nothing is known but that the fleet was needed.
    fn keep(&self, fleet: FleetCounts) -> Recommendation {
        let count = self.last.map_or(fleet.existing, |last| last.max(fleet.existing));
        let Config { metric, name, .. } = &self.config;
        let what = if fleet.ready == 0 && fleet.existing > 0 { "no instance is ready" } else { "no usable value" };
        Recommendation::outright(count, format!("{metric}: {what}, keeping {count} (policy {name})"))
    }
}

/// Rounds up, but not because of the last bits of a quotient; too many is `u32::MAX`.
pub(super) fn ceil(x: f64) -> u32 {
    (x - 1e-9).ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::metrics::Observed;

    const S: fn(u64) -> Time = |s| Time::ZERO + Span::from_secs(s);

    fn fleet(existing: u32, pending: u32, ready: u32) -> FleetCounts {
        FleetCounts { existing, pending, ready }
    }

    fn recommend(tracker: &mut Tracker, now: Time, fleet: FleetCounts, value: Option<f64>) -> Recommendation {
        let mut observed = Observed::new(fleet);
        if let Some(value) = value {
            observed.set(tracker.config.metric, Aggregate::Avg, value, now);
        }
        tracker.recommend(&Sight { now, observed: &observed, max_age: Span::from_secs(60) })
    }

    #[test]
    fn as_many_instances_as_bring_the_metric_to_its_target() {
        use Metric::{CpuUtilization as Cpu, RequestsPerSecond as Rps};
        for (id, metric, target, fleet, value, expected) in [
            ("above", Cpu, 60.0, fleet(4, 0, 4), 90.0, 6),
            ("rounded up", Cpu, 60.0, fleet(3, 0, 3), 81.0, 5),
            ("not by the last bit", Cpu, 30.0, fleet(3, 0, 3), 90.0 + 1e-12, 9),
            ("upper edge of tolerance", Cpu, 60.0, fleet(10, 0, 10), 66.0, 10),
            ("past it", Cpu, 60.0, fleet(10, 0, 10), 66.1, 12),
            ("lower edge", Cpu, 60.0, fleet(10, 0, 10), 54.0, 10),
            ("below it", Cpu, 60.0, fleet(10, 0, 10), 53.0, 9),
            ("what is coming counts", Cpu, 60.0, fleet(3, 1, 2), 85.0, 3),
            ("idle", Cpu, 60.0, fleet(4, 0, 4), 0.0, 0),
            ("X-01", Rps, 50.0, fleet(18, 0, 18), 1000.0, 20),
            ("X-01 from few", Rps, 50.0, fleet(2, 0, 2), 1000.0, 20),
            ("from nothing", Rps, 50.0, fleet(0, 0, 0), 1000.0, 20),
            ("a total is known in an outage", Rps, 50.0, fleet(5, 0, 0), 1000.0, 20),
        ] {
            let mut tracker = Tracker::new(Config::new(metric, target));
            let wish = recommend(&mut tracker, S(0), fleet, Some(value));
            assert_eq!(wish.raw, expected, "{id}: {}", wish.cause);
        }
    }

    #[test]
    fn an_outage_or_a_missing_value_keeps_what_there_is_and_what_was_wanted() {
        let mut tracker = Tracker::new(Config::new(Metric::CpuUtilization, 60.0));
        assert_eq!(recommend(&mut tracker, S(0), fleet(5, 0, 0), None).raw, 5, "X-03");
        assert_eq!(recommend(&mut tracker, S(15), fleet(5, 0, 5), Some(96.0)).raw, 8);
        assert_eq!(recommend(&mut tracker, S(30), fleet(5, 0, 0), Some(10.0)).raw, 8);
        assert_eq!(recommend(&mut tracker, S(45), fleet(9, 0, 9), None).raw, 9);
        let mut broken = Tracker::new(Config::new(Metric::CpuUtilization, 0.0));
        assert_eq!(recommend(&mut broken, S(0), fleet(5, 0, 5), Some(96.0)).raw, 5);
    }

    #[test]
    fn with_scale_in_off_it_only_grows() {
        let config = Config { scale_in: false, ..Config::new(Metric::CpuUtilization, 60.0) };
        let mut tracker = Tracker::new(config);
        let wish = recommend(&mut tracker, S(0), fleet(5, 0, 5), Some(6.0));
        assert_eq!(
            (wish.raw, wish.cause.as_str()),
            (
                5,
                "cpu_utilization 6%, target 60%, on 5 ready: 1 would do, but scale-in is off (policy target_tracking)"
            )
        );
    }
}

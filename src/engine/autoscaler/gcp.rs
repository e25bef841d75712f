//! The autoscaler of a managed instance group on Google Cloud.
//!
//! Each signal wants `⌈size · utilization / target⌉`, or `⌈total / target⌉`; the largest wins, always rounded towards more. What
//! is done is the *highest* of the recommendations of a trailing period, ten minutes, and scale-in controls keep the size from
//! falling too far below its own peak.
//!
//! Source: Compute Engine documentation, "Autoscaling groups of instances", "Scale-in controls".

use std::collections::VecDeque;

use super::guards::Hold;
use super::policy::Recommendation;
use super::target_tracking::ceil;
use super::{Fresh, Sight, cause};
use crate::engine::metrics::{Aggregate, InstanceView, Metric};
use crate::units::{Span, Time};

/// `autoscalingPolicy`. `minNumReplicas` and `maxNumReplicas` are the autoscaler's `min` and `max`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// `cpuUtilization`, `loadBalancingUtilization`, `customMetricUtilizations`: at least one.
    pub signals: Vec<Signal>,
    /// `coolDownPeriodSec`, the initialization period: how long a machine's data is not believed when scaling out; default
    /// 60 s.
    pub initialization_period: Span,
    /// The stabilization period; default 10 min, which nobody can set there.
    pub stabilization_period: Span,
    /// `scaleInControl`.
    pub scale_in_control: Option<ScaleInControl>,
    /// `mode`.
    pub mode: Mode,
}

impl Config {
    /// A policy with the defaults for everything that has one.
    pub fn new(signals: Vec<Signal>) -> Config {
        Config {
            name: "gcp".into(),
            signals,
            initialization_period: Span::from_secs(60),
            stabilization_period: Span::from_secs(600),
            scale_in_control: None,
            mode: Mode::On,
        }
    }
}

/// A metric and what it should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// Which. A metric of instances is a utilization; one of the whole service is shared among them.
    pub metric: Metric,
    /// `utilizationTarget`, in the metric's unit, above 0; per instance.
    pub target: f64,
}

/// `scaleInControl`: within the time window, no fewer than its peak less so many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleInControl {
    /// `maxScaledInReplicas`.
    pub max_scaled_in_replicas: Replicas,
    /// `timeWindowSec`.
    pub time_window: Span,
}

/// `FixedOrPercent`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Replicas {
    /// So many.
    Fixed(u32),
    /// So many percent of the peak, 0 to 100.
    Percent(f64),
}

impl Replicas {
    fn of(self, peak: u32) -> u32 {
        match self {
            Replicas::Fixed(n) => n,
            Replicas::Percent(percent) => (f64::from(peak) * percent / 100.0) as u32,
        }
    }
}

/// `mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// `ON` (default).
    #[default]
    On,
    /// `ONLY_SCALE_OUT`.
    OnlyScaleOut,
    /// `OFF`: what it would do is computed and shown.
    Off,
}

impl Mode {
    /// Every mode, with the name used in scenario files.
    pub const ALL: [(&'static str, Mode); 3] =
        [("on", Mode::On), ("only_scale_out", Mode::OnlyScaleOut), ("off", Mode::Off)];
}

/// The highest of the counts of a trailing time.
#[derive(Clone, Debug, Default)]
struct Peak {
    /// Oldest first, counts falling.
    past: VecDeque<(Time, u32)>,
}

impl Peak {
    fn of(&mut self, now: Time, window: Span, count: u32) -> u32 {
        while self.past.front().is_some_and(|&(at, _)| at.saturating_add(window) <= now) {
            self.past.pop_front();
        }
        while self.past.back().is_some_and(|&(_, earlier)| earlier <= count) {
            self.past.pop_back();
        }
        self.past.push_back((now, count));
        self.past.front().map_or(count, |&(_, highest)| highest)
    }
}

/// The policy with its memory.
#[derive(Clone, Debug)]
pub(super) struct Gcp {
    config: Config,
    recommended: Peak,
    sizes: Peak,
}

impl Gcp {
    pub(super) fn new(config: Config) -> Gcp {
        Gcp { config, recommended: Peak::default(), sizes: Peak::default() }
    }

    /// What it wants at this tick.
    pub(super) fn recommend(&mut self, sight: &Sight<'_>) -> Recommendation {
        let existing = sight.fleet().existing;
        let wants = |signal: &Signal| Some((self.wanted(signal, sight)?, *signal));
        let largest = self.config.signals.iter().rev().filter_map(wants).max_by_key(|((wanted, _), _)| *wanted);
        let Some(((raw, fresh), signal)) = largest else {
            self.sizes.of(sight.now, self.window(), existing);
            let cause = format!("no signal has a value (policy {})", self.config.name);
            return Recommendation::outright(existing, cause);
        };
        let (steady, limited) = self.follow(sight.now, existing, raw);
        let unit = signal.metric.unit();
        let cause = format!(
            "{} {}, target {}: {raw} wanted (policy {})",
            signal.metric,
            cause::quantity_beside(fresh.value, signal.target, unit),
            cause::setting(signal.target, unit),
            self.config.name
        );
        let mut wish = Recommendation::outright(limited, cause).seen(Some(fresh));
        (wish.raw, wish.steady) = (raw, steady);
        if steady > raw {
            wish.steadying = format!("{steady} was recommended within the last {}", self.config.stabilization_period);
        }
        if limited != steady {
            wish.limiting = match self.config.mode {
                Mode::Off => "mode off".into(),
                Mode::OnlyScaleOut => "mode only_scale_out".into(),
                Mode::On => "scale_in_control".into(),
            };
        }
        if limited == existing && raw < existing {
            let limit = if wish.limiting.is_empty() { "stabilization period" } else { &wish.limiting };
            wish.holds.push(Hold::Rate { limit: format!("{limit} of policy {}", self.config.name), until: None });
        }
        wish
    }

    /// What one signal wants, and the value behind it; `None` if there is none.
    fn wanted(&self, signal: &Signal, sight: &Sight<'_>) -> Option<(u32, Fresh)> {
        let (now, existing) = (sight.now, sight.fleet().existing);
        let fresh = sight.fresh(signal.metric, Aggregate::Avg)?;
        if !signal.metric.is_per_instance() {
            return Some((ceil(fresh.value / signal.target), fresh));
        }
        let size = |value: f64| ceil(f64::from(existing) * value / signal.target);
        let grown = |instance: &&InstanceView| {
            let up = |at: Time| now.since(at) >= self.config.initialization_period;
            instance.changed_at.is_none_or(up)
        };
        let values: Vec<f64> =
            sight.observed.instances.iter().filter(grown).filter_map(|i| i.value(signal.metric)).collect();
        // Young machines are not believed when that would mean more, and are when it would mean fewer.
        let trusted = (!values.is_empty()).then(|| size(values.iter().sum::<f64>() / values.len() as f64));
        let all = size(fresh.value);
        let wanted = match trusted {
            Some(trusted) if trusted > existing => trusted,
            _ => all.min(existing),
        };
        Some((wanted, fresh))
    }

    fn window(&self) -> Span {
        self.config.scale_in_control.map_or(Span(1), |control| control.time_window)
    }

    /// What is done about a recommendation of `raw`: after the stabilization period, and within controls and mode.
    fn follow(&mut self, now: Time, existing: u32, raw: u32) -> (u32, u32) {
        let steady = self.recommended.of(now, self.config.stabilization_period, raw);
        let peak = self.sizes.of(now, self.window(), existing);
        let controlled = match self.config.scale_in_control {
            Some(control) if steady < existing => {
                let floor = peak.saturating_sub(control.max_scaled_in_replicas.of(peak));
                steady.max(floor.min(existing))
            }
            _ => steady,
        };
        let limited = match self.config.mode {
            Mode::On => controlled,
            Mode::OnlyScaleOut => controlled.max(existing),
            Mode::Off => existing,
        };
        (steady, limited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::metrics::{FleetCounts, Observed, Stage};
    use crate::engine::request::InstanceId;

    const S: fn(u64) -> Time = |s| Time::ZERO + Span::from_secs(s);

    fn cpu(target: f64) -> Signal {
        Signal { metric: Metric::CpuUtilization, target }
    }

    /// What a policy with these signals wants at first sight of machines at these utilizations; the last `young` of them
    /// have just come up.
    fn wanted(signals: Vec<Signal>, utilizations: &[f64], young: usize, rps: Option<f64>) -> u32 {
        let n = utilizations.len() as u32;
        let mut observed = Observed::new(FleetCounts { existing: n, pending: 0, ready: n });
        let mean = utilizations.iter().sum::<f64>() / f64::from(n);
        observed.set(Metric::CpuUtilization, Aggregate::Avg, mean, S(1000));
        if let Some(rps) = rps {
            observed.set(Metric::RequestsPerSecond, Aggregate::Avg, rps, S(1000));
        }
        let view = |(i, &cpu): (usize, &f64)| InstanceView {
            id: InstanceId(i as u32),
            stage: Stage::Ready,
            launched_at: None,
            changed_at: (i >= utilizations.len() - young).then_some(S(990)),
            values: vec![(Metric::CpuUtilization, cpu)],
            sampled_at: S(1000),
            window: Span::from_secs(60),
        };
        observed.instances = utilizations.iter().enumerate().map(view).collect();
        let sight = Sight { now: S(1000), observed: &observed, max_age: Span::from_secs(60) };
        Gcp::new(Config::new(signals)).recommend(&sight).raw
    }

    #[test]
    fn the_largest_signal_wins_rounded_towards_more() {
        assert_eq!(wanted(vec![cpu(70.0)], &[90.0; 3], 0, None), 4, "G-01");
        assert_eq!(wanted(vec![cpu(50.0)], &[57.5; 10], 0, None), 12, "G-02: 1.5 more are two");
        assert_eq!(wanted(vec![cpu(50.0)], &[42.5; 10], 0, None), 9, "G-02: 1.5 fewer are one");
        let requests = Signal { metric: Metric::RequestsPerSecond, target: 10.0 };
        assert_eq!(wanted(vec![cpu(70.0), requests], &[90.0; 3], 0, Some(60.0)), 6, "G-03");
        assert_eq!(wanted(vec![cpu(50.0)], &[50.0, 50.0, 100.0], 1, None), 3, "young machines are not believed");
    }

    #[test]
    fn the_highest_of_ten_minutes_is_done() {
        let mut gcp = Gcp::new(Config::new(vec![cpu(50.0)]));
        let size = |gcp: &mut Gcp, at, raw| gcp.follow(S(at), 10, raw).1;
        assert_eq!(size(&mut gcp, 0, 10), 10);
        for at in (60..599).step_by(60) {
            size(&mut gcp, at, 4);
        }
        assert_eq!((size(&mut gcp, 599, 4), size(&mut gcp, 661, 4)), (10, 4), "G-04");
    }

    #[test]
    fn controls_keep_the_size_near_its_peak() {
        let control =
            ScaleInControl { max_scaled_in_replicas: Replicas::Fixed(10), time_window: Span::from_secs(1200) };
        let config = Config { scale_in_control: Some(control), ..Config::new(vec![cpu(50.0)]) };
        let mut gcp = Gcp::new(Config { stabilization_period: Span::ZERO, ..config });
        let (mut size, mut sizes) = (50, vec![]);
        for at in (0..=4800).step_by(60) {
            let next = gcp.follow(S(at), size, 20).1;
            if next != size {
                sizes.push((at, next));
                size = next;
            }
        }
        // The peak of 50 was seen at 0 and leaves the window twenty minutes later, and so on.
        assert_eq!(sizes, [(0, 40), (1200, 30), (2400, 20)], "G-05");
    }

    #[test]
    fn other_modes_still_say_what_they_would_do() {
        for (mode, expected) in [(Mode::OnlyScaleOut, (3, 5)), (Mode::Off, (3, 5)), (Mode::On, (3, 3))] {
            let mut gcp = Gcp::new(Config { mode, ..Config::new(vec![cpu(50.0)]) });
            assert_eq!(gcp.follow(S(0), 5, 3), expected, "G-06 {mode:?}");
        }
    }
}

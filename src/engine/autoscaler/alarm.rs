//! Alarms: M of the last N data points of a metric are past a threshold.
//!
//! A data point is the metric's mean over one period, from samples that ended in it; periods begin at time zero and do not
//! overlap. Where a point is missing, [`TreatMissing`] says what it counts as. An alarm that has too few points to judge
//! says so, and nothing should be done on its account.
//!
//! ```text
//!   samples   · · · · | · · · · | · · · · | · · · ·
//!   points       62   |   71    |   74    |   73      3 of 3 above 70: ALARM
//! ```
//!
//! Source: CloudWatch alarm evaluation, without its longer look-back for points that come late.

use std::collections::VecDeque;

use super::rules::Operator;
use super::{Fresh, Sight};
use crate::engine::metrics::{Aggregate, Metric, Sample, Series};
use crate::units::{Span, Time};

/// An alarm's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `MetricName`.
    pub metric: Metric,
    /// `Statistic`: how values of instances become one.
    pub aggregate: Aggregate,
    /// `ComparisonOperator`; above the threshold it is an alarm to scale out, below it to scale in.
    pub operator: Operator,
    /// `Threshold`, in the metric's unit.
    pub threshold: f64,
    /// `Period`: the time of one data point, above 0; default 60 s.
    pub period: Span,
    /// `EvaluationPeriods`: N, at least 1; default 3.
    pub evaluation_periods: u32,
    /// `DatapointsToAlarm`: M, 1 to N; default N.
    pub datapoints_to_alarm: u32,
    /// `TreatMissingData`.
    pub treat_missing_data: TreatMissing,
}

/// What a missing data point counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TreatMissing {
    /// Nothing: with fewer than M points there is not enough data (default).
    #[default]
    Missing,
    /// Nothing: the alarm stays as it is until there are enough.
    Ignore,
    /// Past the threshold.
    Breaching,
    /// Not past it.
    NotBreaching,
}

impl TreatMissing {
    /// Every choice, with the name used in scenario files.
    pub const ALL: [(&'static str, TreatMissing); 4] = [
        ("missing", TreatMissing::Missing),
        ("ignore", TreatMissing::Ignore),
        ("breaching", TreatMissing::Breaching),
        ("not_breaching", TreatMissing::NotBreaching),
    ];
}

/// What an alarm says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    Ok,
    Alarm,
    #[default]
    InsufficientData,
}

impl Config {
    /// An alarm of three one-minute points in a row.
    pub fn new(metric: Metric, operator: Operator, threshold: f64) -> Config {
        Config {
            metric,
            aggregate: Aggregate::Avg,
            operator,
            threshold,
            period: Span::from_secs(60),
            evaluation_periods: 3,
            datapoints_to_alarm: 3,
            treat_missing_data: TreatMissing::Missing,
        }
    }

    /// Whether it is above the threshold that the metric alarms.
    pub fn is_high(&self) -> bool {
        matches!(self.operator, Operator::Gt | Operator::Gte)
    }

    /// What it reads.
    pub fn series(&self) -> Series {
        Series { metric: self.metric, aggregate: self.aggregate, back: self.period * 2 }
    }
}

/// An alarm with its memory.
#[derive(Clone, Debug)]
pub(super) struct Alarm {
    pub(super) config: Config,
    /// The last N points, oldest first; fewer at the beginning.
    points: VecDeque<Option<f64>>,
    state: State,
    /// The end of the last period that has a point.
    closed_at: Time,
}

impl Alarm {
    pub(super) fn new(mut config: Config) -> Alarm {
        config.evaluation_periods = config.evaluation_periods.max(1);
        config.datapoints_to_alarm = config.datapoints_to_alarm.clamp(1, config.evaluation_periods);
        config.period = config.period.max(Span(1));
        Alarm { config, points: VecDeque::new(), state: State::default(), closed_at: Time::ZERO }
    }

    /// Closes the periods that have ended, their means divided by `divisor`; true if there was one, so that the alarm was
    /// evaluated.
    pub(super) fn look(&mut self, sight: &Sight<'_>, divisor: f64) -> bool {
        let samples = sight.observed.samples(self.config.series());
        let mut evaluated = false;
        let period = self.config.period;
        // Of periods that nobody looked at, those before the last N cannot matter.
        let oldest = sight.observed.as_of.saturating_sub(period * u64::from(self.config.evaluation_periods + 1));
        self.closed_at = self.closed_at.max(Time(oldest.0 - oldest.0 % period.0));
        while self.closed_at.saturating_add(period) <= sight.observed.as_of {
            let start = self.closed_at;
            self.closed_at = start + period;
            self.push(mean(samples, start, self.closed_at).map(|value| value / divisor));
            evaluated = true;
        }
        evaluated
    }

    /// Adds a data point and judges.
    pub(super) fn push(&mut self, point: Option<f64>) -> State {
        if self.points.len() == self.config.evaluation_periods as usize {
            self.points.pop_front();
        }
        self.points.push_back(point);
        let breaching = |point: &Option<f64>| match (point, self.config.treat_missing_data) {
            (Some(value), _) => self.config.operator.holds(*value, self.config.threshold),
            (None, treat) => treat == TreatMissing::Breaching,
        };
        let breaching = self.points.iter().filter(|point| breaching(point)).count();
        let counted = |point: &&Option<f64>| {
            let treat = self.config.treat_missing_data;
            point.is_some() || matches!(treat, TreatMissing::Breaching | TreatMissing::NotBreaching)
        };
        let counted = self.points.iter().filter(counted).count();
        let enough = self.config.datapoints_to_alarm as usize;
        self.state = match self.config.treat_missing_data {
            _ if breaching >= enough => State::Alarm,
            TreatMissing::Missing if counted < enough => State::InsufficientData,
            TreatMissing::Ignore if counted < enough => self.state,
            _ => State::Ok,
        };
        self.state
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// The newest data point, with the end of its period.
    pub(super) fn newest(&self) -> Option<Fresh> {
        let value = self.points.back().copied().flatten()?;
        Some(Fresh { value, sampled_at: self.closed_at })
    }
}

/// The mean of the samples that ended in `(start, end]`, each by its length; `None` if there are none.
fn mean(samples: &[Sample], start: Time, end: Time) -> Option<f64> {
    let within = samples.iter().filter(|sample| sample.ended_at > start && sample.ended_at <= end);
    let (sum, length) = within.fold((0.0, 0.0), |(sum, length), sample| {
        let weight = sample.length.as_secs_f64();
        (sum + sample.value * weight, length + weight)
    });
    (length > 0.0).then(|| sum / length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::metrics::{FleetCounts, Observed};

    fn alarm(m: u32, n: u32, treat_missing_data: TreatMissing) -> Alarm {
        let config = Config::new(Metric::CpuUtilization, Operator::Gt, 70.0);
        Alarm::new(Config { datapoints_to_alarm: m, evaluation_periods: n, treat_missing_data, ..config })
    }

    #[test]
    fn m_of_the_last_n_points_are_an_alarm() {
        let mut alarm = alarm(3, 5, TreatMissing::Missing);
        let states: Vec<State> =
            [80.0, 60.0, 80.0, 60.0, 80.0, 60.0, 60.0].map(|value| alarm.push(Some(value))).to_vec();
        let at: Vec<usize> = (1..).zip(&states).filter(|(_, s)| **s == State::Alarm).map(|(i, _)| i).collect();
        assert_eq!(at, [5], "R-21 in the words of alarms");
        assert_eq!(states[..2], [State::InsufficientData; 2]);
    }

    #[test]
    fn a_missing_point_counts_as_what_the_alarm_says() {
        use State::{Alarm as Alarming, InsufficientData, Ok};
        for (treat, expected) in [
            (TreatMissing::Missing, [Alarming, InsufficientData, InsufficientData]),
            (TreatMissing::Ignore, [Alarming, Alarming, Alarming]),
            (TreatMissing::Breaching, [Alarming, Alarming, Alarming]),
            (TreatMissing::NotBreaching, [Alarming, Ok, Ok]),
        ] {
            let mut alarm = alarm(3, 3, treat);
            (0..2).for_each(|_| _ = alarm.push(Some(80.0)));
            let states = [Some(80.0), None, None].map(|point| alarm.push(point));
            assert_eq!(states, expected, "{treat:?}");
        }
    }

    #[test]
    fn a_point_is_the_mean_of_its_period() {
        let mut alarm = alarm(1, 1, TreatMissing::Missing);
        let s = |seconds: u64| Time::ZERO + Span::from_secs(seconds);
        let sample = |end, value| Sample { ended_at: s(end), length: Span::from_secs(15), value };
        let mut observed = Observed::new(FleetCounts::default());
        let samples = (1..=9).map(|i| sample(i * 15, if i <= 4 { 60.0 } else { 90.0 })).collect();
        observed.series = vec![(alarm.config.series(), samples)];
        let mut at = |seconds| {
            observed.as_of = s(seconds);
            let sight = Sight { now: s(seconds), observed: &observed, max_age: Span::from_secs(60) };
            (alarm.look(&sight, 1.0), alarm.newest().map(|fresh| fresh.value))
        };
        assert_eq!(at(59), (false, None));
        assert_eq!(at(60), (true, Some(60.0)));
        assert_eq!(at(119), (false, Some(60.0)));
        assert_eq!(at(135), (true, Some(90.0)));
    }
}

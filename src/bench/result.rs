//! Repetitions put together: medians and spread, and the knee of a baseline.

use super::definition::Definition;
use super::figure::{Figure, Reading};
use super::moments::ScaleUp;
use crate::gate::sample::Distribution;
use crate::gate::{Bound, Criterion, Measure, Quantity, Sample, Unit};
use crate::record::Run;

/// A benchmark with everything that was measured.
#[derive(Clone, Debug)]
pub struct Bench {
    /// Name of the scenario.
    pub name: String,
    /// Its fingerprint, without the load of the benchmark.
    pub digest: String,
    /// Seed of the first repetition's random numbers.
    pub seed: u64,
    /// What was to be measured.
    pub definition: Definition,
    /// Repetitions that were asked for.
    pub repetitions: u32,
    /// Where it was measured; at least one.
    pub worlds: Vec<World>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Whether somebody stopped it before its end.
    pub interrupted: bool,
    /// The command that makes it again.
    pub command: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// How long it took \[s\].
    pub seconds: f64,
    /// Name of the machine.
    pub host: String,
}

/// What was measured in one world.
#[derive(Clone, Debug)]
pub struct World {
    /// "live", "sim", or the URL of a target.
    pub name: String,
    /// One for each part of the benchmark that was played; at least one.
    pub groups: Vec<Group>,
    /// The runs, in their order: parts within repetitions.
    pub runs: Vec<Run>,
    /// Of a baseline, the knee of each repetition: its highest level below it \[1/s\], 0 if none was.
    pub knees: Vec<f64>,
}

/// The knee of a baseline, for targets.
pub const KNEE: Measure = Measure { name: "knee", unit: Unit::Rate, more_is_better: true };

/// What repetitions of one part say.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Load after it has changed, or of the level \[1/s\].
    pub rate: f64,
    /// The readings of each repetition.
    pub repetitions: Vec<Vec<(Figure, Reading)>>,
    /// The orders to scale up of each repetition.
    pub scale_ups: Vec<Vec<ScaleUp>>,
}

/// A figure over the repetitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median of those in which it happened; `None`: in none.
    pub median: Option<f64>,
    /// The least and the most of them.
    pub range: Option<(f64, f64)>,
    /// Repetitions in which it happened.
    pub happened: usize,
    /// Repetitions in which it did not, and the longest time that it was waited for \[ms\].
    pub never: (usize, f64),
    /// Whether it cannot be seen from where the stack was looked at.
    pub unseen: bool,
}

impl Group {
    /// What the repetitions say of a figure.
    pub fn spread(&self, figure: Figure) -> Spread {
        let all: Vec<Reading> = self.readings(figure).collect();
        let mut values: Vec<f64> = all.iter().filter_map(|reading| reading.value()).collect();
        values.sort_by(f64::total_cmp);
        let never = all.iter().filter_map(|reading| if let Reading::Never(ms) = reading { Some(*ms) } else { None });
        Spread {
            median: median(&values),
            range: values.first().copied().zip(values.last().copied()),
            happened: values.len(),
            never: never.fold((0, 0.0), |(n, most), ms| (n + 1, ms.max(most))),
            unseen: !all.is_empty() && all.iter().all(|reading| *reading == Reading::Unseen),
        }
    }

    /// What each repetition says of a figure.
    pub fn readings(&self, figure: Figure) -> impl Iterator<Item = Reading> + '_ {
        self.repetitions.iter().filter_map(move |all| all.iter().find(|(each, _)| *each == figure).map(|(_, r)| *r))
    }
}

/// The middle of sorted values, or the mean of the two in the middle; `None` if there are none.
fn median(sorted: &[f64]) -> Option<f64> {
    let n = sorted.len();
    let middle = sorted.get(n / 2)?;
    Some(if n.is_multiple_of(2) { f64::midpoint(sorted[n / 2 - 1], *middle) } else { *middle })
}

/// Share of the offered load that is to be served for a level to be below the knee.
const SERVED: f64 = 0.98;

/// Whether a level is beyond the knee: p99 is above its target, or not all of its load is served.
pub fn is_beyond_the_knee(rate: f64, readings: &[(Figure, Reading)], run: &Run, target_ms: f64) -> bool {
    let value = |figure: Figure| readings.iter().find(|(each, _)| *each == figure).and_then(|(_, r)| r.value());
    // Of what was offered and not of what was planned: chance offers a little more or less.
    let offered = run.counts.offered as f64 / run.measured.as_secs_f64().max(1e-9);
    let served = value(Figure::Throughput).unwrap_or(0.0);
    let is_slow = value(Figure::P99).is_none_or(|p99| p99 > target_ms);
    rate > 0.0 && (is_slow || served < offered * SERVED)
}

impl World {
    /// The median of the knees \[1/s\]; `None` if there is none, or it is below every level.
    pub fn knee(&self) -> Option<f64> {
        let mut knees = self.knees.clone();
        knees.sort_by(f64::total_cmp);
        median(&knees).filter(|knee| *knee > 0.0)
    }

    /// What each repetition measured, for whoever judges. A time that did not come to its end is as long as it was waited for, if that is beyond
    /// what `criteria` ask for, and unknown otherwise.
    pub fn samples(&self, criteria: &[Criterion]) -> Vec<Sample> {
        let sample = |measures: Vec<(&'static str, f64)>| Sample {
            measures,
            ..Sample::of_requests(0, 0, Distribution::Summary { quantiles: Vec::new(), mean: None })
        };
        if !self.knees.is_empty() {
            return self.knees.iter().map(|knee| sample(vec![(KNEE.name, *knee)])).collect();
        }
        let is_beyond = |name: &str, waited: f64| {
            criteria.iter().any(|criterion| match (criterion.quantity, criterion.bound) {
                (Quantity::Measured(measure), Bound::AtMost(bound)) => measure.name == name && waited > bound,
                _ => false,
            })
        };
        let known = |(figure, reading): &(Figure, Reading)| {
            let name = figure.measure().name;
            match *reading {
                Reading::Value(x) => Some((name, x)),
                Reading::Never(waited) if is_beyond(name, waited) => Some((name, waited)),
                Reading::Never(_) | Reading::Unseen => None,
            }
        };
        let repetitions = self.groups.iter().flat_map(|group| &group.repetitions);
        repetitions.map(|all| sample(all.iter().filter_map(known).collect())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_of_what_happened_and_what_did_not_is_told() {
        let of = |readings: &[Reading]| Group {
            repetitions: readings.iter().map(|reading| vec![(Figure::Steady, *reading)]).collect(),
            ..Group::default()
        };
        use Reading::{Never, Unseen, Value};
        let spread = of(&[Value(3.0), Never(20.0), Value(1.0), Value(9.0)]).spread(Figure::Steady);
        assert_eq!((spread.median, spread.range, spread.happened), (Some(3.0), Some((1.0, 9.0)), 3));
        assert_eq!((spread.never, spread.unseen), ((1, 20.0), false));
        assert_eq!(of(&[Value(1.0), Value(2.0)]).spread(Figure::Steady).median, Some(1.5));
        let unseen = of(&[Unseen, Unseen]).spread(Figure::Steady);
        assert_eq!((unseen.median, unseen.unseen), (None, true));
        assert_eq!(of(&[]).spread(Figure::Steady).median, None);
    }
    #[test]
    fn what_never_came_is_as_long_as_it_was_waited_for_if_that_is_too_long() {
        let criterion = |text: &str| {
            Criterion::read(text, |name| Ok(Quantity::Measured(name.parse::<Figure>()?.measure()))).unwrap()
        };
        let repetitions = vec![vec![(Figure::Steady, Reading::Never(20_000.0)), (Figure::Lost, Reading::Value(3.0))]];
        let group = Group { repetitions, ..Group::default() };
        let world = World { name: "sim".to_string(), groups: vec![group], runs: Vec::new(), knees: Vec::new() };
        let of = |text: &str| world.samples(&[criterion(text)]).remove(0).measures;
        assert_eq!(of("steady<10s"), [("steady", 20_000.0), ("lost", 3.0)]);
        assert_eq!(of("steady<60s"), [("lost", 3.0)], "nobody knows whether it would have come within 60 s");
    }
}

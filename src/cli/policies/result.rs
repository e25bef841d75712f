//! What a contender did, against what is asked.

use super::field::Contender;
use crate::record::Run;
use crate::record::timeline::{Column, Timeline};
use crate::statistics;

/// p95 of the response time in spikes, at most \[ms\].
pub const P95_MS: f64 = 500.0;
/// Availability in spikes, at least.
pub const AVAILABILITY: f64 = 0.999;
/// Mean utilization, at least.
pub const MEAN_UTILIZATION: f64 = 0.70;
/// Utilization that one minute in a hundred exceeds, at most.
pub const PEAK_UTILIZATION: f64 = 0.85;
/// Cost relative to the static fleet that holds, at most.
pub const COST_SHARE: f64 = 0.60;

/// Minutes of bad service in a row after which somebody is called, and good ones after which it is over.
const CALLED_AFTER: usize = 5;
/// A minute is bad if more than this share of its requests failed, or its p90 exceeds [`P95_MS`].
const BAD_SHARE: f64 = 0.01;

/// The figures of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// In spikes: p95 of the response time \[ms\], and the share of requests that succeeded.
    pub spike_p95_ms: f64,
    /// See `spike_p95_ms`.
    pub spike_availability: f64,
    /// In the whole run: p99 of the response time \[ms\], and availability.
    pub p99_ms: f64,
    /// See `p99_ms`.
    pub availability: f64,
    /// CPU utilization of ready instances: its mean, and what one minute in a hundred exceeds.
    pub mean_utilization: f64,
    /// See `mean_utilization`.
    pub peak_utilization: f64,
    /// Price of the instance-time.
    pub cost: f64,
    /// Times that somebody had to be called.
    pub interventions: f64,
    /// Scaling actions undone within a quarter of an hour.
    pub flaps: f64,
}

impl Outcome {
    /// The figures of `run`, whose spotlight was on the spikes.
    pub fn of(run: &Run, spikes: &[(f64, f64)]) -> Outcome {
        let timeline = &run.timeline;
        let in_spikes: Vec<usize> = (0..timeline.len())
            .filter(|&i| {
                let middle = timeline.t[i] + timeline.step_seconds / 2.0;
                spikes.iter().any(|&(from, to)| from <= middle && middle < to)
            })
            .collect();
        let sum = |column: Column| in_spikes.iter().map(|&i| timeline.column(column)[i]).sum::<f64>();
        let (good, bad) = (sum(Column::SucceededRps), sum(Column::FailedRps));
        let millis = |span: Option<crate::units::Span>| span.map_or(f64::NAN, crate::units::Span::as_millis_f64);
        let warmup = timeline.t.last().map_or(0.0, |t| t + timeline.step_seconds) - run.measured.as_secs_f64();
        let minutes = minutes(timeline, warmup);
        let mut utilizations: Vec<f64> = minutes.iter().map(|m| m.utilization).filter(|u| u.is_finite()).collect();
        utilizations.sort_by(f64::total_cmp);
        let peak = utilizations.get(((utilizations.len() as f64 * 0.99) as usize).min(utilizations.len().max(1) - 1));
        Outcome {
            spike_p95_ms: millis(run.spotlight.quantile(0.95)),
            spike_availability: if good + bad > 0.0 { good / (good + bad) } else { f64::NAN },
            p99_ms: millis(run.latency.quantile(0.99)),
            availability: run.counts.availability().unwrap_or(f64::NAN),
            mean_utilization: run.fleet.cpu_utilization_mean,
            peak_utilization: peak.copied().unwrap_or(f64::NAN),
            cost: run.fleet.cost.cost,
            interventions: interventions(&minutes) as f64,
            flaps: f64::from(run.fleet.flaps),
        }
    }

    fn mean(all: &[Outcome]) -> Outcome {
        let of = |figure: fn(&Outcome) -> f64| statistics::mean(&all.iter().map(figure).collect::<Vec<_>>());
        Outcome {
            spike_p95_ms: of(|o| o.spike_p95_ms),
            spike_availability: of(|o| o.spike_availability),
            p99_ms: of(|o| o.p99_ms),
            availability: of(|o| o.availability),
            mean_utilization: of(|o| o.mean_utilization),
            peak_utilization: of(|o| o.peak_utilization),
            cost: of(|o| o.cost),
            interventions: of(|o| o.interventions),
            flaps: of(|o| o.flaps),
        }
    }

    /// Whether users got what is promised in spikes, and nobody had to be called.
    pub fn serves(&self) -> bool {
        self.spike_p95_ms <= P95_MS && self.spike_availability >= AVAILABILITY && self.interventions == 0.0
    }

    /// Whether another is as good in cost, p99 and availability, and better in one.
    pub fn is_dominated_by(&self, other: &Outcome) -> bool {
        let as_good =
            other.cost <= self.cost && other.p99_ms <= self.p99_ms && other.availability >= self.availability;
        as_good && (other.cost, other.p99_ms, other.availability) != (self.cost, self.p99_ms, self.availability)
    }

    /// The targets that it misses, in words, with the cost of the static fleet that holds.
    pub fn misses(&self, static_cost: f64) -> Vec<&'static str> {
        let all = [
            (self.spike_p95_ms <= P95_MS, "response time in spikes"),
            (self.spike_availability >= AVAILABILITY, "availability in spikes"),
            (self.mean_utilization >= MEAN_UTILIZATION, "mean utilization"),
            (self.peak_utilization <= PEAK_UTILIZATION, "peak utilization"),
            (self.cost <= COST_SHARE * static_cost, "cost"),
            (self.interventions == 0.0, "no interventions"),
        ];
        all.into_iter().filter(|(holds, _)| !holds).map(|(_, name)| name).collect()
    }
}

/// A contender and its runs, of which those of one place share their requests with everybody's.
pub struct Standing {
    /// Who.
    pub contender: Contender,
    /// What each run was like.
    pub runs: Vec<Outcome>,
}

impl Standing {
    /// The means over its runs.
    pub fn mean(&self) -> Outcome {
        Outcome::mean(&self.runs)
    }

    /// Cost relative to another's, less 1, with a 95 % interval from pairs; the interval is `None` with a single run.
    pub fn cost_against(&self, other: &Standing) -> (f64, Option<(f64, f64)>) {
        let costs = |standing: &Standing| standing.runs.iter().map(|run| run.cost.ln()).collect::<Vec<f64>>();
        let (own, others) = (costs(self), costs(other));
        let estimate = statistics::of_paired(&others, &own);
        let interval = estimate.map(|e| e.interval(0.95)).map(|(low, high)| (low.exp() - 1.0, high.exp() - 1.0));
        ((statistics::mean(&own) - statistics::mean(&others)).exp() - 1.0, interval)
    }
}

/// A minute of a run.
struct Minute {
    utilization: f64,
    is_bad: bool,
}

fn minutes(timeline: &Timeline, warmup: f64) -> Vec<Minute> {
    let rows = ((60.0 / timeline.step_seconds) as usize).max(1);
    let first = timeline.t.partition_point(|t| *t < warmup - 1e-9);
    let indices: Vec<usize> = (first..timeline.len()).collect();
    let column = |column: Column, rows: &[usize]| -> Vec<f64> {
        rows.iter().map(|&i| timeline.column(column)[i]).filter(|x| x.is_finite()).collect()
    };
    let minute = |rows: &[usize]| {
        let failed: f64 = column(Column::FailedRps, rows).iter().sum();
        let succeeded: f64 = column(Column::SucceededRps, rows).iter().sum();
        let slow = column(Column::P90Ms, rows).into_iter().fold(0.0, f64::max);
        Minute {
            utilization: statistics::mean(&column(Column::CpuUtilization, rows)) / 100.0,
            is_bad: slow > P95_MS || failed > BAD_SHARE * (failed + succeeded),
        }
    };
    indices.chunks(rows).map(minute).collect()
}

/// Episodes of bad service that somebody is called for.
fn interventions(minutes: &[Minute]) -> usize {
    let (mut calls, mut bad, mut good, mut on_call) = (0, 0, 0, false);
    for minute in minutes {
        (bad, good) = if minute.is_bad { (bad + 1, 0) } else { (0, good + 1) };
        if !on_call && bad >= CALLED_AFTER {
            (calls, on_call) = (calls + 1, true);
        }
        on_call &= good < CALLED_AFTER;
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_is_one_call() {
        let minutes = |text: &str| -> Vec<Minute> {
            text.chars().map(|c| Minute { utilization: 0.5, is_bad: c == 'x' }).collect()
        };
        for (text, calls) in [
            ("....", 0),
            ("xxxx....", 0),
            ("..xxxxx..", 1),
            ("xxxxx..xxxxx", 1),
            ("xxxxx.....xxxxx", 2),
            ("xxxx.xxxx", 0),
        ] {
            assert_eq!(interventions(&minutes(text)), calls, "{text}");
        }
    }

    const GOOD: Outcome = Outcome {
        spike_p95_ms: 300.0,
        spike_availability: 1.0,
        p99_ms: 290.0,
        availability: 1.0,
        mean_utilization: 0.72,
        peak_utilization: 0.84,
        cost: 6.0,
        interventions: 0.0,
        flaps: 0.0,
    };

    #[test]
    fn each_target_is_missed_by_itself() {
        assert_eq!(GOOD.misses(10.0), [""; 0]);
        assert_eq!(GOOD.misses(9.0), ["cost"]);
        let bad = Outcome { spike_p95_ms: 501.0, mean_utilization: 0.69, interventions: 1.0, ..GOOD };
        assert_eq!(bad.misses(10.0), ["response time in spikes", "mean utilization", "no interventions"]);
        assert!(GOOD.serves() && !bad.serves());
    }

    #[test]
    fn the_front_is_of_cost_p99_and_availability() {
        let dearer = Outcome { cost: 7.0, ..GOOD };
        assert!(dearer.is_dominated_by(&GOOD) && !GOOD.is_dominated_by(&dearer) && !GOOD.is_dominated_by(&GOOD));
        let faster = Outcome { p99_ms: 280.0, ..dearer };
        assert!(!faster.is_dominated_by(&GOOD) && !GOOD.is_dominated_by(&faster));
    }
}

//! The figures that are compared, and what is said of each.

use super::distance::{between, fleets_apart};
use super::{Trial, decisions};
use crate::record::Run;
use crate::report::verdict::{millis, percent};
use crate::statistics;
use crate::units::Span;

/// Confidence of the interval of a live mean, two-sided.
const CONFIDENCE: f64 = 0.9;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Median latency of requests that succeeded.
    P50,
    /// 90th percentile.
    P90,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
    /// Completions per second, good or bad.
    Throughput,
    /// `succeeded / (offered − rate_limited)`.
    Availability,
    /// Share of the time in which the fleets differ by more than one instance.
    Instances,
    /// Share of the decisions to scale that are not both worlds', within one control interval.
    Decisions,
    /// Kolmogorov and Smirnov's distance of the histograms of latency.
    KolmogorovSmirnov,
    /// Wasserstein's distance of the histograms of latency, over their mean.
    Wasserstein,
}

/// How a figure is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A figure of one run, by ratio.
    Ratio,
    /// A figure of one run, by difference.
    Difference,
    /// A distance between two runs.
    Distance,
}

/// What can be said of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// There is nothing to compare.
    Nothing,
    /// The simulator is as near as it should be.
    Within,
    /// Live runs differ among themselves by as much as is to be told.
    Machine,
    /// The simulator is off by more than it may be.
    Beyond,
}

impl Verdict {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Nothing => "nothing",
            Verdict::Within => "within",
            Verdict::Machine => "the machine",
            Verdict::Beyond => "beyond",
        }
    }

    /// The name in `verify.json`.
    pub fn key(self) -> &'static str {
        if self == Verdict::Machine { "machine" } else { self.word() }
    }
}

/// What was found of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// Which.
    pub figure: Figure,
    /// The simulated value; `None` of a distance, or if there is none.
    pub simulated: Option<f64>,
    /// The live value, its mean over the repetitions; as above.
    pub live: Option<f64>,
    /// How far off the simulator is: relative, in shares, or a distance; `None` if there is nothing to compare.
    pub error: Option<f64>,
    /// How far live runs are from one another, on the same scale; `None` if that is not known.
    pub noise: Option<f64>,
    /// How far off it may be.
    pub aim: f64,
    /// What follows.
    pub verdict: Verdict,
}

impl Figure {
    /// Every figure, in the order of tables.
    pub const ALL: [Figure; 10] = [
        Figure::P50,
        Figure::P90,
        Figure::P95,
        Figure::P99,
        Figure::Throughput,
        Figure::Availability,
        Figure::Instances,
        Figure::Decisions,
        Figure::KolmogorovSmirnov,
        Figure::Wasserstein,
    ];

    /// The name in `verify.json`.
    pub fn key(self) -> &'static str {
        match self {
            Figure::P50 => "p50_ms",
            Figure::P90 => "p90_ms",
            Figure::P95 => "p95_ms",
            Figure::P99 => "p99_ms",
            Figure::Throughput => "throughput_rps",
            Figure::Availability => "availability",
            Figure::Instances => "instances_apart_share",
            Figure::Decisions => "decisions_apart_share",
            Figure::KolmogorovSmirnov => "kolmogorov_smirnov",
            Figure::Wasserstein => "wasserstein_relative",
        }
    }

    /// The name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Figure::P50 => "p50",
            Figure::P90 => "p90",
            Figure::P95 => "p95",
            Figure::P99 => "p99",
            Figure::Throughput => "throughput",
            Figure::Availability => "availability",
            Figure::Instances => "fleet",
            Figure::Decisions => "decisions",
            Figure::KolmogorovSmirnov => "KS",
            Figure::Wasserstein => "W1",
        }
    }

    /// What it is, in words.
    pub fn words(self) -> &'static str {
        match self {
            Figure::P50 => "median latency of requests that succeeded",
            Figure::P90 => "90th percentile of latency",
            Figure::P95 => "95th percentile of latency",
            Figure::P99 => "99th percentile of latency",
            Figure::Throughput => "completions per second, good or bad",
            Figure::Availability => "share of requests answered well, of those that no quota refused",
            Figure::Instances => "share of the time in which the fleets differ by more than one instance",
            Figure::Decisions => {
                "share of the decisions to scale that the other world does not take within one control interval"
            }
            Figure::KolmogorovSmirnov => {
                "largest difference of the distribution functions of latency (Kolmogorov–Smirnov)"
            }
            Figure::Wasserstein => {
                "how far a latency moves on average from one world to the other, of the mean (Wasserstein-1)"
            }
        }
    }

    /// How far off a simulator may be: relative for latency and rates, in shares for the rest.
    pub fn aim(self) -> f64 {
        match self {
            Figure::P50 | Figure::P90 | Figure::P95 => 0.05,
            Figure::P99 => 0.1,
            Figure::Throughput => 0.02,
            Figure::Availability => 0.01,
            Figure::Instances => 0.05,
            Figure::Decisions => 0.0,
            Figure::KolmogorovSmirnov => 0.1,
            Figure::Wasserstein => 0.05,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Figure::P50 | Figure::P90 | Figure::P95 | Figure::P99 | Figure::Throughput => Kind::Ratio,
            Figure::Availability => Kind::Difference,
            Figure::Instances | Figure::Decisions | Figure::KolmogorovSmirnov | Figure::Wasserstein => Kind::Distance,
        }
    }

    /// The value of one run; NaN if there is none, or it takes two.
    fn of(self, run: &Run) -> f64 {
        let quantile = |q| run.latency.quantile(q).map_or(f64::NAN, Span::as_millis_f64);
        match self {
            Figure::P50 => quantile(0.5),
            Figure::P90 => quantile(0.9),
            Figure::P95 => quantile(0.95),
            Figure::P99 => quantile(0.99),
            Figure::Throughput => run.throughput_rps,
            Figure::Availability => run.counts.availability().unwrap_or(f64::NAN),
            _ => f64::NAN,
        }
    }

    /// The distance of two runs; `None` if there is none.
    fn between(self, a: &Run, b: &Run, trial: &Trial) -> Option<f64> {
        match self {
            Figure::Instances => fleets_apart(a, b, trial.sim.warmup),
            Figure::Decisions => decisions::apart(a, b, trial.interval.unwrap_or(Span::from_secs(1))),
            Figure::KolmogorovSmirnov => between(&a.latency, &b.latency).map(|distance| distance.ks),
            Figure::Wasserstein => between(&a.latency, &b.latency).map(|distance| distance.wasserstein),
            _ => None,
        }
    }

    /// A value as people write it.
    pub fn show(self, x: f64) -> String {
        match self {
            Figure::P50 | Figure::P90 | Figure::P95 | Figure::P99 => millis(x),
            Figure::Throughput => format!("{x:.1}/s"),
            Figure::Availability => percent(x),
            Figure::KolmogorovSmirnov => format!("{x:.3}"),
            _ => format!("{:.1} %", x * 100.0),
        }
    }

    /// An error as people write it, with its sign where it has one.
    pub fn show_error(self, x: f64) -> String {
        match (self.kind(), self) {
            (Kind::Ratio, _) => format!("{:+.1} %", x * 100.0),
            (Kind::Difference, _) => format!("{:+.2} pp", x * 100.0),
            (Kind::Distance, figure) => figure.show(x),
        }
    }

    /// A spread as people write it.
    pub fn show_noise(self, x: f64) -> String {
        match (self.kind(), self) {
            (Kind::Ratio, _) => format!("± {:.1} %", x * 100.0),
            (Kind::Difference, _) => format!("± {:.2} pp", x * 100.0),
            (Kind::Distance, figure) => figure.show(x),
        }
    }

    /// How far off it may be, as people write it.
    pub fn show_aim(self) -> String {
        match (self.kind(), self.aim()) {
            (Kind::Ratio, aim) => format!("± {:.0} %", aim * 100.0),
            (Kind::Difference, aim) => format!("± {:.0} pp", aim * 100.0),
            (Kind::Distance, 0.0) => "none".to_string(),
            (Kind::Distance, aim) => self.show(aim),
        }
    }
}

/// What is to be said of a figure.
pub fn judge(figure: Figure, trial: &Trial) -> Finding {
    match figure.kind() {
        Kind::Distance => distance(figure, trial),
        kind => of_one(figure, trial, kind),
    }
}

fn of_one(figure: Figure, trial: &Trial, kind: Kind) -> Finding {
    let simulated = figure.of(trial.simulated());
    let live: Vec<f64> = trial.live.runs.iter().map(|run| figure.of(run)).collect();
    let logs = statistics::logs(&live).filter(|_| kind == Kind::Ratio && simulated > 0.0);
    let (scaled, of_sim, back): (Vec<f64>, f64, fn(f64) -> f64) = match logs {
        Some(logs) => (logs, simulated.ln(), f64::exp_m1),
        None => (live.clone(), simulated, |x| x),
    };
    let center = statistics::mean(&scaled);
    let error = back(of_sim - center);
    let noise = statistics::of_mean(&scaled).map(|mean| {
        let (low, high) = mean.interval(CONFIDENCE);
        back((high - low) / 2.0)
    });
    let there = |x: f64| x.is_finite().then_some(x);
    let aim = figure.aim();
    let verdict = match (there(error), noise) {
        (None, _) => Verdict::Nothing,
        (Some(error), Some(noise)) if error.abs() <= aim && noise <= aim => Verdict::Within,
        (Some(error), Some(noise)) if error.abs() - noise > aim => Verdict::Beyond,
        _ => Verdict::Machine,
    };
    Finding {
        figure,
        simulated: there(simulated),
        live: there(statistics::mean(&live)),
        error: there(error),
        noise: noise.and_then(there),
        aim,
        verdict,
    }
}

fn distance(figure: Figure, trial: &Trial) -> Finding {
    let live = trial.live.runs;
    let mean = |values: Vec<f64>| (!values.is_empty()).then(|| statistics::mean(&values));
    let error = mean(live.iter().filter_map(|run| figure.between(trial.simulated(), run, trial)).collect());
    let pairs = || (0..live.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    let noise = mean(pairs().filter_map(|(i, j)| figure.between(&live[i], &live[j], trial)).collect());
    let aim = figure.aim();
    let verdict = match (error, noise) {
        (None, _) => Verdict::Nothing,
        (Some(error), _) if error <= aim => Verdict::Within,
        // Where live runs have none to compare, only the simulator has any.
        (Some(error), noise) if error - noise.unwrap_or(0.0) > aim => Verdict::Beyond,
        _ => Verdict::Machine,
    };
    Finding { figure, simulated: None, live: None, error, noise, aim, verdict }
}

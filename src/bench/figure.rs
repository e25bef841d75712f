//! The figures of a benchmark, and what is known of each in a repetition.

use std::fmt;
use std::str::FromStr;

use crate::gate::criterion::{Measure, Unit};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What a fixed fleet does at rising loads.
    Baseline,
    /// What happens when load rises.
    ScaleUp,
    /// What happens when load falls.
    ScaleDown,
    /// What happens when load rises for a while.
    Spike,
}

impl Kind {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Baseline => "baseline",
            Kind::ScaleUp => "scale-up",
            Kind::ScaleDown => "scale-down",
            Kind::Spike => "spike",
        }
    }

    /// What is read of it, in the order of tables.
    pub fn figures(self) -> &'static [Figure] {
        use Figure::*;
        match self {
            Kind::Baseline => &[Throughput, P50, P95, P99, Utilization, Lost],
            Kind::ScaleUp => &[Detect, Decide, Start, Ready, FirstByte, Complete, Steady, WorstP99, Lost],
            Kind::ScaleDown => &[Decide, Drained, DrainTime, Settled, WorstP99, Lost],
            Kind::Spike => &[Detect, Decide, FirstByte, MostInstances, WorstP99, Recovered, Lost],
        }
    }
}

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// From the change of load until the engine saw it: the condition behind the first scale-up held for the first time, or a spike was
    /// detected, whichever was first. A policy that acts on what it sees at once detects when it decides.
    Detect,
    /// Until the first order in the right direction.
    Decide,
    /// Until the first instance of that order had been started.
    Start,
    /// Until the first instance of that order took traffic.
    Ready,
    /// Until the first of them to answer had begun its first good answer.
    FirstByte,
    /// Until every instance of that order took traffic.
    Complete,
    /// Until p99 was under its target, and stayed there.
    Steady,
    /// The same for a load that goes down again by itself.
    Recovered,
    /// From the fall of load until every instance of the first order to scale down was gone.
    Drained,
    /// The longest time of an instance from being told to drain until it was gone.
    DrainTime,
    /// From the fall of load until the last instance that went was gone.
    Settled,
    /// Requests that failed from the change of load on, those refused by a quota aside.
    Lost,
    /// The worst p99 of a second from the change of load on.
    WorstP99,
    /// Most instances that took traffic, on average over a second.
    MostInstances,
    /// Requests served well.
    Throughput,
    /// Median latency.
    P50,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
    /// CPU utilization of the fleet.
    Utilization,
}

impl Figure {
    /// Every figure.
    pub const ALL: [Figure; 19] = [
        Figure::Detect,
        Figure::Decide,
        Figure::Start,
        Figure::Ready,
        Figure::FirstByte,
        Figure::Complete,
        Figure::Steady,
        Figure::Recovered,
        Figure::Drained,
        Figure::DrainTime,
        Figure::Settled,
        Figure::Lost,
        Figure::WorstP99,
        Figure::MostInstances,
        Figure::Throughput,
        Figure::P50,
        Figure::P95,
        Figure::P99,
        Figure::Utilization,
    ];

    /// How it is named, and what it is measured in. Times are in milliseconds.
    pub fn measure(self) -> Measure {
        let of = |name, unit, more_is_better| Measure { name, unit, more_is_better };
        let time = |name| of(name, Unit::Millis, false);
        match self {
            Figure::Detect => time("detect"),
            Figure::Decide => time("decide"),
            Figure::Start => time("start"),
            Figure::Ready => time("ready"),
            Figure::FirstByte => time("first_byte"),
            Figure::Complete => time("complete"),
            Figure::Steady => time("steady"),
            Figure::Recovered => time("recovered"),
            Figure::Drained => time("drained"),
            Figure::DrainTime => time("drain_time"),
            Figure::Settled => time("settled"),
            Figure::Lost => of("lost", Unit::Count, false),
            Figure::WorstP99 => time("worst_p99"),
            Figure::MostInstances => of("most_instances", Unit::Count, false),
            Figure::Throughput => of("throughput", Unit::Rate, true),
            Figure::P50 => time("p50"),
            Figure::P95 => time("p95"),
            Figure::P99 => time("p99"),
            Figure::Utilization => of("utilization", Unit::Share, false),
        }
    }

    /// What it means, for people.
    pub fn means(self) -> &'static str {
        match self {
            Figure::Detect => "the condition behind the first order held, or a spike was detected",
            Figure::Decide => "the first order",
            Figure::Start => "the first of the new instances had been started",
            Figure::Ready => "the first of them took traffic",
            Figure::FirstByte => "the first of them began its first good answer",
            Figure::Complete => "all that the order asked for took traffic",
            Figure::Steady => "p99 was under its target, and stayed there",
            Figure::Recovered => "p99 was under its target, and stayed there, during the spike or after it",
            Figure::Drained => "all that the first order drained were gone",
            Figure::DrainTime => "the longest that one took from being told to drain until it was gone",
            Figure::Settled => "the last that went was gone",
            Figure::Lost => "requests that failed from the change of load on",
            Figure::WorstP99 => "the worst p99 of a second",
            Figure::MostInstances => "most instances that took traffic",
            Figure::Throughput => "requests served well",
            Figure::P50 => "median latency",
            Figure::P95 => "95th percentile of latency",
            Figure::P99 => "99th percentile of latency",
            Figure::Utilization => "CPU utilization of the fleet",
        }
    }

    /// A value of it as people write it.
    pub fn show(self, x: f64) -> String {
        self.measure().show(x)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.measure().name.replace('_', " "))
    }
}

impl FromStr for Figure {
    type Err = String;

    fn from_str(text: &str) -> Result<Figure, String> {
        Figure::ALL
            .into_iter()
            .find(|figure| figure.measure().name == text.trim().replace([' ', '-'], "_"))
            .ok_or_else(|| format!("found {text:?}"))
    }
}

/// What a repetition says of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// It is this: milliseconds, a count, a rate or a share.
    Value(f64),
    /// It did not happen within this time \[ms\].
    Never(f64),
    /// It cannot be seen from where the stack was looked at.
    Unseen,
}

impl Reading {
    /// The value, if there is one.
    pub fn value(self) -> Option<f64> {
        if let Reading::Value(x) = self { Some(x) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_go_by_the_names_that_tables_and_files_have() {
        for figure in Figure::ALL {
            assert_eq!(figure.measure().name.parse::<Figure>(), Ok(figure));
            assert_eq!(figure.to_string().parse::<Figure>(), Ok(figure));
        }
        assert!("fast".parse::<Figure>().is_err());
    }
}

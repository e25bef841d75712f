//! The page's panels over time: the storm, and who was served in it.

use super::panel::{Form, Level, Panel, Series, draw};
use crate::engine::metrics::Metric;
use crate::record::timeline::Column;
use crate::report::figure::{clock, short};
use crate::report::verdict::{millis, percent};
use crate::report::{Experiment, Threshold};
use crate::scenario::slo::Target;
use crate::units::Span;

/// Every panel of the storm.
pub fn storm(x: &Experiment) -> String {
    if x.first().timeline.len() < 2 {
        return "<p>The run was too short for a timeline.</p>".to_string();
    }
    let note = "<p>Shaded: the warm-up, faults, spikes, and times when a breaker was open. ▲ and ▼ mark decisions to scale, ◆ alerts; point at one to read why.</p>";
    let end = end_of(x);
    let drawn: String = panels(x).iter().map(|panel| draw(x, panel, end)).collect();
    super::TOOLS.to_string() + &drawn + note + &super::tables::timeline(x)
}

/// The end of the first run's timeline \[s\].
pub(in crate::report) fn end_of(x: &Experiment) -> f64 {
    let timeline = &x.first().timeline;
    timeline.t.last().copied().unwrap_or(0.0) + timeline.step_seconds
}

/// A column of the timeline as a series.
pub(super) fn series<'a>(x: &Experiment, name: &'a str, class: &'a str, column: Column, form: Form) -> Series<'a> {
    Series { name, class, values: x.first().timeline.column(column).to_vec(), form }
}

/// The largest value of a column, and when.
fn peak(x: &Experiment, column: Column) -> (f64, String) {
    let timeline = &x.first().timeline;
    let values = timeline.column(column).iter().copied().enumerate().filter(|(_, v)| v.is_finite());
    let (i, most) = values.fold((0, 0.0), |best, (i, v)| if v > best.1 { (i, v) } else { best });
    (most, clock(timeline.t[i], end_of(x)))
}

/// Thresholds on a metric as levels.
fn thresholds(x: &Experiment, metric: Metric) -> Vec<Level> {
    let suffix = metric.unit().suffix();
    let of = |t: &Threshold| Level { label: format!("{} {} {}{suffix}", t.rule, t.sign, t.value), value: t.value };
    x.thresholds.iter().filter(|t| t.metric == metric.name()).map(of).collect()
}

/// Latency targets as levels.
fn targets(x: &Experiment) -> Vec<Level> {
    let of = |target: &Target| match target {
        Target::Quantile { at_most, .. } => {
            let value = at_most.as_millis_f64();
            Some(Level { label: format!("{} target {}", target.name(), millis(value)), value })
        }
        _ => None,
    };
    x.slo.iter().filter_map(of).collect()
}

/// The panels of a timeline of two steps or more.
pub(in crate::report) fn panels(x: &Experiment) -> Vec<Panel<'static>> {
    let timeline = &x.first().timeline;
    let some = |c: Column| timeline.column(c).iter().any(|v| v.is_finite() && *v > 0.0);
    let of = |name, class, c, form| series(x, name, class, c, form);
    if x.generator().is_some() {
        return vec![load(x), latency(x)];
    }
    let mut panels = vec![load(x), fleet(x), latency(x)];
    let (most, at) = peak(x, Column::CpuUtilization);
    let mut utilization = Panel {
        id: "utilization",
        title: "Utilization",
        finding: format!("CPU peaks at {most:.0} % ({at})"),
        unit: "%",
        height: 130.0,
        series: vec![of("CPU", "c2", Column::CpuUtilization, Form::Line)],
        levels: thresholds(x, Metric::CpuUtilization),
        ..Panel::default()
    };
    if some(Column::MemoryUtilization) {
        utilization.series.push(of("memory", "c1 dash", Column::MemoryUtilization, Form::Line));
        utilization.levels.extend(thresholds(x, Metric::MemoryUtilization));
    }
    panels.push(utilization);
    if some(Column::QueueLength) {
        let (most, at) = peak(x, Column::QueueLength);
        panels.push(Panel {
            id: "queue",
            title: "Queue",
            finding: format!("at most {} requests waited ({at})", short(most)),
            unit: "requests",
            height: 110.0,
            series: vec![of("waiting", "c3", Column::QueueLength, Form::Area)],
            ..Panel::default()
        });
    }
    if some(Column::BreakerOpen) {
        let (most, at) = peak(x, Column::BreakerOpen);
        panels.push(Panel {
            id: "breakers",
            title: "Breakers not closed",
            finding: format!("at most {most:.0} ({at})"),
            unit: "breakers",
            height: 90.0,
            series: vec![of("open or half-open", "c3", Column::BreakerOpen, Form::Step)],
            ..Panel::default()
        });
    }
    panels
}

/// What came, what was served, and what could have been.
fn load(x: &Experiment) -> Panel<'static> {
    let timeline = &x.first().timeline;
    let some = |c: Column| timeline.column(c).iter().any(|v| v.is_finite() && *v > 0.0);
    let of = |name, class, c, form| series(x, name, class, c, form);
    let (most, at) = peak(x, Column::OfferedRps);
    let mut load = Vec::new();
    let high = timeline.column(Column::ForecastHighRps);
    // A band that leaves the chart tells nothing, and would make everything else flat.
    let told: Vec<f64> = high.iter().map(|v| if *v < 10.0 * most { *v } else { f64::NAN }).collect();
    if told.iter().any(|v| v.is_finite()) {
        let lower = timeline.column(Column::ForecastLowRps).to_vec();
        load.push(Series { name: "forecast's 90 % band", class: "c5", values: told, form: Form::Band(lower) });
    }
    load.push(of("offered", "c1", Column::OfferedRps, Form::Line));
    load.push(of("served", "c2", Column::SucceededRps, Form::Line));
    if some(Column::FailedRps) {
        load.push(of("failed", "c3", Column::FailedRps, Form::Area));
    }
    if some(Column::RetriesRps) {
        load.push(of("retries", "c3 dot", Column::RetriesRps, Form::Line));
    }
    if some(Column::BaselineRps) {
        load.push(of("baseline", "c1 dot", Column::BaselineRps, Form::Line));
    }
    if some(Column::ForecastRps) {
        load.push(of("forecast", "c5 dash", Column::ForecastRps, Form::Line));
    }
    let mut short_of = 0.0;
    if some(Column::CapacityRps) {
        let both = timeline.column(Column::OfferedRps).iter().zip(timeline.column(Column::CapacityRps));
        short_of = both.filter(|(offered, capacity)| offered > capacity).count() as f64 / timeline.len() as f64;
        load.push(of("capacity", "c4 dash", Column::CapacityRps, Form::Step));
    }
    let beyond =
        if short_of > 0.0 { format!(", beyond capacity {} of the time", percent(short_of)) } else { String::new() };
    Panel {
        id: "load",
        title: "Load",
        finding: format!("peak {}/s at {at}{beyond}", short(most)),
        unit: "requests/s",
        height: 210.0,
        series: load,
        levels: thresholds(x, Metric::RequestsPerSecond),
        names: true,
        ..Panel::default()
    }
}

/// Instances wanted, paid for, ready and needed.
fn fleet(x: &Experiment) -> Panel<'static> {
    let of = |name, class, c, form| series(x, name, class, c, form);
    let first = x.first();
    let ratio = match first.regret.ratio {
        Some(ratio) => format!("paid {ratio:.2} times what the cheapest fleet would have cost"),
        None => "no fleet was needed".to_string(),
    };
    Panel {
        id: "fleet",
        title: "Instances",
        finding: format!(
            "{} to {} took traffic; too few {} of the time; {ratio}",
            first.fleet.min,
            first.fleet.max,
            percent(first.elasticity.under_provisioned_share),
        ),
        unit: "instances",
        height: 190.0,
        series: vec![
            of("ready", "c4", Column::InstancesReady, Form::Area),
            of("paid for", "c2", Column::InstancesTotal, Form::Step),
            of("wanted", "c5 long", Column::Desired, Form::Step),
            of("needed", "c1 dash", Column::Needed, Form::Step),
            of("cheapest, knowing the future", "c3 dot", Column::Optimal, Form::Step),
        ],
        marks: true,
        ..Panel::default()
    }
}

fn latency(x: &Experiment) -> Panel<'static> {
    let of = |name, class, c| series(x, name, class, c, Form::Line);
    let (most, at) = peak(x, Column::P99Ms);
    let levels = targets(x);
    let beyond = x.p99_target_ms();
    let above = beyond.map_or(String::new(), |bound| {
        let all = x.first().timeline.column(Column::P99Ms).iter().filter(|v| v.is_finite());
        let (n, over) = all.fold((0.0f64, 0.0), |(n, over), v| (n + 1.0, over + f64::from(u8::from(*v > bound))));
        format!(", above its target {} of the time", percent(over / n.max(1.0)))
    });
    Panel {
        id: "latency-over-time",
        title: "Latency",
        finding: format!("p99 peaks at {} ({at}){above}", millis(most)),
        unit: "ms",
        height: 200.0,
        log: true,
        series: vec![
            of("p99", "c3", Column::P99Ms),
            of("p90", "c4 dash", Column::P90Ms),
            of("p50", "c1 dot", Column::P50Ms),
        ],
        levels,
        ..Panel::default()
    }
}

/// Who was served and who was not, over time.
pub fn outcomes(x: &Experiment) -> String {
    let timeline = &x.first().timeline;
    if timeline.len() < 2 || x.counts().failed_total() == 0 {
        return String::new();
    }
    let share = |i: usize| {
        let (failed, served) = (timeline.column(Column::FailedRps)[i], timeline.column(Column::SucceededRps)[i]);
        if failed + served > 0.0 { failed / (failed + served) * 100.0 } else { f64::NAN }
    };
    let values: Vec<f64> = (0..timeline.len()).map(share).collect();
    let worst = values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    let panel = Panel {
        id: "failed-share",
        title: "Failed requests",
        finding: format!(
            "at worst {worst:.1} % of those that ended in a step of {}",
            Span::from_secs_f64(timeline.step_seconds)
        ),
        unit: "%",
        height: 130.0,
        series: vec![Series { name: "failed", class: "c3", values, form: Form::Area }],
        ..Panel::default()
    };
    draw(x, &panel, end_of(x))
}

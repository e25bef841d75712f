//! PNG chart of both worlds: latency and instances over time, simulated and live on the same axes.

use std::path::Path;

use plotters::prelude::*;

use super::{
    ALARM, Canvas, Failed, OFFERED, Stroke, TimeAxis, draw_with, grid, legend_at, mesh, most, note, shade,
    shade_between, stepped, titled,
};
use crate::record::Run;
use crate::record::timeline::Column;
use crate::report::Experiment;
use crate::report::figure::{aligned, log_bounds, short, ticks};

/// Draws it: `sim` is one run, of `live` each is drawn.
pub(crate) fn twin(sim: &Experiment, live: &Experiment, title: &str, path: &Path) -> Result<(), String> {
    draw_with(path, |canvas| draw(sim, live, title, canvas))
}

/// A line of the chart.
struct Line {
    values: Vec<f64>,
    style: ShapeStyle,
    /// `None`: it is one of those that were named.
    name: Option<String>,
}

impl Line {
    fn points(&self, step: f64) -> Vec<(f64, f64)> {
        self.values.iter().enumerate().map(|(i, v)| (i as f64 * step, *v)).collect()
    }
}

fn draw(sim: &Experiment, live: &Experiment, title: &str, canvas: &Canvas) -> Result<(), Failed> {
    let timeline = &sim.first().timeline;
    let (steps, step) = (timeline.len(), timeline.step_seconds);
    let end = steps as f64 * step;
    if steps == 0 {
        return note(canvas, "The run was too short for a timeline.");
    }
    let column = |run: &Run, of: Column| aligned(&run.timeline, of, steps, step);
    let lines = |of: Column, what: &str, width: u32| {
        // Wide and pale beneath, thin and dark above: where they are the same both are to be seen.
        let style = OFFERED.mix(0.45).stroke_width(width);
        let mut all = vec![Line { values: column(sim.first(), of), style, name: Some(format!("{what} simulated")) }];
        for (i, run) in live.runs.iter().enumerate() {
            let name = (i == 0).then(|| format!("{what} live"));
            all.push(Line { values: column(run, of), style: ALARM.stroke_width(2), name });
        }
        all
    };
    let (upper, lower) = canvas.split_vertically(560);
    let latency: Vec<Line> =
        lines(Column::P99Ms, "p99", 8).into_iter().chain(lines(Column::P50Ms, "p50", 5)).collect();
    let positive = || latency.iter().flat_map(|line| line.values.iter().copied()).filter(|v| *v > 0.0);
    let (least, highest) = (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
    if !least.is_finite() {
        return note(canvas, "No request succeeded: there is no latency to show.");
    }
    let (low, high) = log_bounds(least, highest);
    let mut chart = titled(&upper, title)
        .x_label_area_size(40)
        .y_label_area_size(110)
        .build_cartesian_2d(TimeAxis::to(end), (low..high).log_scale())?;
    grid(&mut chart).y_desc("latency [ms], log scale").y_label_formatter(&|v| short(*v)).draw()?;
    shade_between(sim, &mut chart, low, high)?;
    for line in &latency {
        stepped(&mut chart, &line.points(step), step, Stroke::solid(line.style), line.name.as_deref())?;
    }
    legend_at(&mut chart, SeriesLabelPosition::LowerRight)?;

    let fleet = lines(Column::InstancesReady, "instances", 8);
    let top =
        *ticks(fleet.iter().map(|line| most(&line.values)).fold(0.0, f64::max) * 1.15, 5).last().unwrap_or(&1.0);
    let mut chart = ChartBuilder::on(&lower)
        .margin(16)
        .margin_right(48)
        .margin_top(0)
        .x_label_area_size(40)
        .y_label_area_size(110)
        .build_cartesian_2d(TimeAxis::to(end), 0.0..top)?;
    mesh(&mut chart, "instances")?;
    shade(sim, &mut chart, top)?;
    for line in &fleet {
        stepped(&mut chart, &line.points(step), step, Stroke::solid(line.style), line.name.as_deref())?;
    }
    legend_at(&mut chart, SeriesLabelPosition::LowerRight)
}

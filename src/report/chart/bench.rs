//! PNG chart of a benchmark: fleet and p99 over time, or latency over load.

use std::path::Path;

use plotters::chart::ChartContext;
use plotters::coord::CoordTranslate;
use plotters::coord::ranged1d::Ranged;
use plotters::prelude::*;

use super::{
    ALARM, CAPACITY, Canvas, Failed, INK, OFFERED, SERVED, Stroke, TEXT, TimeAxis, draw_with, grid, legend_at, mesh,
    most, stepped, titled,
};
use crate::report::figure::{log_bounds, short, ticks};
use crate::report::verdict::millis;

/// What the chart shows.
pub struct Picture {
    /// What was found, in a sentence.
    pub title: String,
    /// When load changed \[s\].
    pub changes_at: f64,
    /// When the run ended \[s\].
    pub end: f64,
    /// The target of p99 \[ms\].
    pub target_ms: f64,
    /// Worlds over time; empty for a baseline.
    pub moments: Vec<Moments>,
    /// Worlds over load: p50, p95 and p99 of each; empty but for a baseline.
    pub curves: Vec<[Curve; 3]>,
}

/// A world over time. Columns have a value a step.
pub struct Moments {
    /// Its name.
    pub name: String,
    /// Starts of the steps \[s\].
    pub t: Vec<f64>,
    /// Their length \[s\].
    pub step: f64,
    /// Load \[1/s\].
    pub offered: Vec<f64>,
    /// Instances that exist.
    pub total: Vec<f64>,
    /// Those of them that take traffic.
    pub ready: Vec<f64>,
    /// p99 \[ms\].
    pub p99_ms: Vec<f64>,
    /// What happened when \[s\].
    pub marks: Vec<(String, f64)>,
}

/// A figure over load.
pub struct Curve {
    /// Its name.
    pub name: String,
    /// Load \[1/s\] and latency \[ms\].
    pub points: Vec<(f64, f64)>,
}

/// Draws the chart into a file.
pub fn bench(picture: &Picture, path: &Path) -> Result<(), String> {
    draw_with(path, |canvas| match picture.curves.is_empty() {
        true => over_time(picture, canvas),
        false => over_load(picture, canvas),
    })
}

/// Colors of the first worlds; one is told from another by its dash as well.
const COLORS: [RGBColor; 2] = [ALARM, OFFERED];

/// The line of world `i`.
fn stroke(i: usize) -> Stroke {
    let style = COLORS[i % COLORS.len()].stroke_width(3);
    if i == 0 { Stroke::solid(style) } else { Stroke::dashed(style, (10, 6), 12) }
}

/// Draws values of a world.
fn draw_line<'a, Y>(
    chart: &mut ChartContext<'a, BitMapBackend<'a>, Cartesian2d<TimeAxis, Y>>,
    world: &Moments,
    values: &[f64],
    stroke: Stroke,
    what: &str,
) -> Result<(), Failed>
where
    Y: Ranged<ValueType = f64>,
    Cartesian2d<TimeAxis, Y>: CoordTranslate<From = (f64, f64)>,
{
    let points: Vec<(f64, f64)> = world.t.iter().copied().zip(values.iter().copied()).collect();
    stepped(chart, &points, world.step, stroke, Some(&format!("{what}, {}", world.name)))
}

fn over_time(picture: &Picture, canvas: &Canvas) -> Result<(), Failed> {
    let (upper, lower) = canvas.split_vertically(470);
    let all = |of: fn(&Moments) -> &Vec<f64>| picture.moments.iter().map(|each| most(of(each))).fold(0.0, f64::max);
    let top = *ticks(all(|m| &m.total).max(1.0) * 1.15, 5).last().unwrap_or(&1.0);
    let mut chart = titled(&upper, picture.title.clone())
        .x_label_area_size(34)
        .y_label_area_size(90)
        .build_cartesian_2d(TimeAxis::to(picture.end), 0.0..top)?;
    mesh(&mut chart, "instances")?;
    for (i, world) in picture.moments.iter().enumerate() {
        let stroke = stroke(i);
        draw_line(&mut chart, world, &world.ready, stroke, "take traffic")?;
        let thin = Stroke::dashed(COLORS[i % COLORS.len()].stroke_width(1), (3, 4), 4);
        draw_line(&mut chart, world, &world.total, thin, "exist")?;
    }
    let changed = [(picture.changes_at, 0.0), (picture.changes_at, top)];
    chart
        .draw_series(DashedLineSeries::new(changed, 6, 6, INK.stroke_width(2)))?
        .label("load changes")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 8, y)], INK.stroke_width(2)));
    // Of the first world only: marks of two would hide each other.
    if let Some(world) = picture.moments.first() {
        for (i, (name, at)) in world.marks.iter().filter(|(_, at)| *at <= picture.end).enumerate() {
            let height = top * (0.96 - 0.08 * (i % 4) as f64);
            let text = Text::new(name.clone(), (8, -8), TEXT.into_font().color(&INK));
            chart.draw_series([EmptyElement::at((*at, height)) + Circle::new((0, 0), 5, INK.filled()) + text])?;
        }
    }
    legend_at(&mut chart, SeriesLabelPosition::LowerRight)?;
    latencies(picture, &lower)
}

fn latencies(picture: &Picture, canvas: &Canvas) -> Result<(), Failed> {
    let values = || {
        let all = picture.moments.iter().flat_map(|world| world.p99_ms.iter().copied());
        all.filter(|v| v.is_finite() && *v > 0.0).chain([picture.target_ms])
    };
    let (low, high) = log_bounds(values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let mut chart = ChartBuilder::on(canvas)
        .margin(16)
        .margin_right(48)
        .margin_top(0)
        .x_label_area_size(40)
        .y_label_area_size(90)
        .build_cartesian_2d(TimeAxis::to(picture.end), (low..high).log_scale())?;
    grid(&mut chart).y_desc("p99 [ms], log scale").y_label_formatter(&|v| short(*v)).draw()?;
    for (i, world) in picture.moments.iter().enumerate() {
        draw_line(&mut chart, world, &world.p99_ms, stroke(i), "p99")?;
    }
    let target = [(0.0, picture.target_ms), (picture.end, picture.target_ms)];
    chart
        .draw_series(DashedLineSeries::new(target, 12, 8, INK.stroke_width(2)))?
        .label(format!("target {}", millis(picture.target_ms)))
        .legend(|(x, y)| PathElement::new([(x, y), (x + 12, y)], INK.stroke_width(2)));
    legend_at(&mut chart, SeriesLabelPosition::UpperRight)
}

fn over_load(picture: &Picture, canvas: &Canvas) -> Result<(), Failed> {
    let points = || picture.curves.iter().flatten().flat_map(|curve| curve.points.iter().copied());
    if points().next().is_none() {
        return super::note(canvas, "No request succeeded: there is no latency to show.");
    }
    let right = *ticks(points().map(|(rate, _)| rate).fold(0.0, f64::max) * 1.05, 8).last().unwrap_or(&1.0);
    let values = || points().map(|(_, ms)| ms).filter(|ms| *ms > 0.0).chain([picture.target_ms]);
    let (low, high) = log_bounds(values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let mut chart = titled(canvas, picture.title.clone())
        .x_label_area_size(70)
        .y_label_area_size(110)
        .build_cartesian_2d(0.0..right, (low..high).log_scale())?;
    grid(&mut chart)
        .x_desc("load [requests/s]")
        .y_desc("latency [ms], log scale")
        .x_label_formatter(&|v| short(*v))
        .y_label_formatter(&|v| short(*v))
        .draw()?;
    for (i, curves) in picture.curves.iter().enumerate() {
        for (curve, color) in curves.iter().zip([SERVED, CAPACITY, ALARM]) {
            let style = color.stroke_width(3);
            let (dash, line) = if i == 0 { (26, curve.points.clone()) } else { (12, curve.points.clone()) };
            let drawn = match i {
                0 => chart.draw_series(LineSeries::new(line, style))?,
                _ => chart.draw_series(DashedLineSeries::new(line, 10, 6, style))?,
            };
            drawn.label(curve.name.clone()).legend(move |(x, y)| PathElement::new([(x, y), (x + dash, y)], style));
            chart.draw_series(curve.points.iter().map(|at| Circle::new(*at, 5, color.filled())))?;
        }
    }
    let target = [(0.0, picture.target_ms), (right, picture.target_ms)];
    chart
        .draw_series(DashedLineSeries::new(target, 12, 8, INK.stroke_width(2)))?
        .label(format!("p99 target {}", millis(picture.target_ms)))
        .legend(|(x, y)| PathElement::new([(x, y), (x + 12, y)], INK.stroke_width(2)));
    legend_at(&mut chart, SeriesLabelPosition::LowerRight)
}

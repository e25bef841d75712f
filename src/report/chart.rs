//! PNG charts by plotters, with an embedded font: a bare container has none.
//!
//! The only file that names plotters. Colors are Okabe and Ito's, and every series is told apart by a second channel: dash,
//! fill, or a mark.

mod analysis;
pub(crate) mod bench;
mod card;
mod comparison;
pub(crate) mod storm;
mod twin;

use std::path::Path;
use std::sync::Once;

use plotters::chart::{ChartContext, MeshStyle};
use plotters::coord::ranged1d::{KeyPointHint, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::coord::{CoordTranslate, Shift};
use plotters::prelude::*;
use plotters::style::register_font;

use super::Experiment;
use super::figure::{POINTS, clock, log_bounds, reduced, short, ticks, time_ticks};
use super::verdict::{millis, thousands};
use crate::engine::events::EventKind;
use crate::record::latency::Latency;
use crate::record::outcome::Failure;
use crate::record::timeline::Column;
use crate::scenario::slo::Target;

pub use analysis::analysis;
pub(crate) use comparison::{front, timelines};
pub(crate) use twin::twin;

const SIZE: (u32, u32) = (1600, 900);
const OFFERED: RGBColor = RGBColor(0x00, 0x72, 0xB2);
const SERVED: RGBColor = RGBColor(0x00, 0x9E, 0x73);
const ALARM: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
const CAPACITY: RGBColor = RGBColor(0xCC, 0x79, 0xA7);
const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
const FAINT: RGBColor = RGBColor(0xE4, 0xE7, 0xEB);
const TITLE: (&str, i32) = ("sans-serif", 30);
const TEXT: (&str, i32) = ("sans-serif", 20);

type Failed = Box<dyn std::error::Error>;
type Canvas<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Draw = fn(&Experiment, &Canvas) -> Result<(), Failed>;

/// Every chart with its file name.
pub const ALL: [(&str, Draw); 4] = [
    ("timeline.png", timeline),
    ("latency.png", latency),
    ("percentiles.png", percentiles),
    ("outcomes.png", outcomes),
];

/// Draws the card: one picture for a chat.
pub fn card(experiment: &Experiment, path: &Path) -> Result<(), String> {
    draw(card::card, experiment, path)
}

/// Draws a chart into a file; the error is the drawing library's word.
pub fn draw(chart: Draw, experiment: &Experiment, path: &Path) -> Result<(), String> {
    draw_with(path, |canvas| chart(experiment, canvas))
}

/// Draws a rate over time, of bins `width` \[s\] wide that begin where `points` say \[s\], into a file.
pub fn rate_png(title: &str, points: &[(f64, f64)], width: f64, path: &Path) -> Result<(), String> {
    draw_with(path, |canvas| {
        let values: Vec<f64> = points.iter().map(|(_, rate)| *rate).collect();
        let times: Vec<f64> = points.iter().map(|(t, _)| *t).collect();
        let end = times.last().copied().unwrap_or(0.0) + width;
        let top = ticks(most(&values) * 1.02, 5).last().copied().filter(|top| *top > 0.0).unwrap_or(1.0);
        let mut chart = titled(canvas, title)
            .x_label_area_size(34)
            .y_label_area_size(90)
            .build_cartesian_2d(TimeAxis::to(end), 0.0..top)?;
        mesh(&mut chart, "requests/s")?;
        let line = steps(&reduced(&times, &values, POINTS), width);
        chart.draw_series(AreaSeries::new(line.iter().copied(), 0.0, OFFERED.mix(0.25)))?;
        chart.draw_series(LineSeries::new(line, OFFERED.stroke_width(2)))?;
        Ok(())
    })
}

/// A chart with a title, and the margins that all have.
fn titled<'a, 'b>(part: &'a Canvas<'b>, title: impl Into<String>) -> ChartBuilder<'a, 'b, BitMapBackend<'b>> {
    let mut builder = ChartBuilder::on(part);
    builder.caption(title.into(), TITLE.into_font().color(&INK)).margin(16).margin_right(48);
    builder
}

fn draw_with(path: &Path, draw: impl FnOnce(&Canvas) -> Result<(), Failed>) -> Result<(), String> {
    static FONT: Once = Once::new();
    FONT.call_once(|| {
        let font = include_bytes!("font/DejaVuSans-subset.ttf");
        // The font is part of the program: if it were damaged, every chart would say so when it is drawn.
        let _ = register_font("sans-serif", FontStyle::Normal, font);
    });
    let canvas = BitMapBackend::new(path, SIZE).into_drawing_area();
    let drawn = canvas
        .fill(&WHITE)
        .map_err(Failed::from)
        .and_then(|()| draw(&canvas))
        .and_then(|()| canvas.present().map_err(Failed::from));
    drawn.map_err(|error| error.to_string())
}

/// A time axis with round marks in a fitting unit.
#[derive(Clone)]
struct TimeAxis {
    range: RangedCoordf64,
    end: f64,
}

impl TimeAxis {
    fn to(end: f64) -> TimeAxis {
        TimeAxis { range: (0.0..end).into(), end }
    }
}

impl Ranged for TimeAxis {
    type FormatOption = plotters::coord::ranged1d::NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.range.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        time_ticks(self.end, 10)
    }

    fn range(&self) -> std::ops::Range<f64> {
        0.0..self.end
    }
}

impl plotters::coord::ranged1d::ValueFormatter<f64> for TimeAxis {
    fn format_ext(&self, value: &f64) -> String {
        clock(*value, self.end)
    }
}

/// An axis of nines: 0 is 0 %, 1 is 90 %, 2 is 99 %.
#[derive(Clone)]
struct NinesAxis(f64);

impl Ranged for NinesAxis {
    type FormatOption = plotters::coord::ranged1d::NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(0.0..self.0).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        (0..=self.0 as i32).map(f64::from).collect()
    }

    fn range(&self) -> std::ops::Range<f64> {
        0.0..self.0
    }
}

impl plotters::coord::ranged1d::ValueFormatter<f64> for NinesAxis {
    fn format_ext(&self, value: &f64) -> String {
        match *value as usize {
            0 => "0 %".to_string(),
            1 => "90 %".to_string(),
            2 => "99 %".to_string(),
            n => format!("99.{} %", "9".repeat(n - 2)),
        }
    }
}

fn end_of(x: &Experiment) -> f64 {
    let timeline = &x.first().timeline;
    timeline.t.last().copied().unwrap_or(0.0) + timeline.step_seconds
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max)
}

/// Points of a line, no more than are to be seen.
fn points(x: &Experiment, values: &[f64]) -> Vec<(f64, f64)> {
    reduced(&x.first().timeline.t, values, POINTS)
}

/// Stretches of a line without gaps.
fn stretches(points: &[(f64, f64)]) -> impl Iterator<Item = &[(f64, f64)]> {
    points.split(|(_, v)| !v.is_finite()).filter(|part| !part.is_empty())
}

/// Points as steps.
fn steps(points: &[(f64, f64)], step: f64) -> Vec<(f64, f64)> {
    let mut out = Vec::with_capacity(points.len() * 2);
    for (i, &(t, v)) in points.iter().enumerate() {
        out.push((t, v));
        out.push((points.get(i + 1).map_or(t + step, |next| next.0), v));
    }
    out
}

fn timeline(x: &Experiment, canvas: &Canvas) -> Result<(), Failed> {
    let (upper, lower) = match x.generator() {
        Some(_) => (canvas.clone(), None),
        None => {
            let (upper, lower) = canvas.split_vertically(500);
            (upper, Some(lower))
        }
    };
    let timeline = &x.first().timeline;
    let end = end_of(x);
    let column = |c: Column| timeline.column(c);
    let top = *ticks(most(column(Column::OfferedRps)) * 1.02, 5).last().unwrap_or(&1.0);
    let title = format!("{}: offered load peaks at {}/s", x.name, short(most(column(Column::OfferedRps))));
    let mut chart = titled(&upper, title)
        .x_label_area_size(34)
        .y_label_area_size(90)
        .build_cartesian_2d(TimeAxis::to(end), 0.0..top)?;
    mesh(&mut chart, "requests/s")?;
    shade(x, &mut chart, top)?;
    area(x, &mut chart, column(Column::FailedRps), ALARM.mix(0.35).filled(), ALARM, "failed")?;
    line(x, &mut chart, column(Column::SucceededRps), SERVED, 2, "served")?;
    line(x, &mut chart, column(Column::OfferedRps), OFFERED, 2, "offered")?;
    legend(&mut chart)?;
    lower.map_or(Ok(()), |lower| instances(x, &lower))
}

/// Instances wanted, paid for, ready and needed, and when that changed.
fn instances(x: &Experiment, canvas: &Canvas) -> Result<(), Failed> {
    let timeline = &x.first().timeline;
    let end = end_of(x);
    let column = |c: Column| timeline.column(c);
    let all =
        most(column(Column::InstancesTotal)).max(most(column(Column::Needed))).max(most(column(Column::Optimal)));
    let top = *ticks(all * 1.1, 5).last().unwrap_or(&1.0);
    let mut chart = ChartBuilder::on(canvas)
        .margin(16)
        .margin_right(48)
        .margin_top(0)
        .x_label_area_size(40)
        .y_label_area_size(90)
        .build_cartesian_2d(TimeAxis::to(end), 0.0..top)?;
    mesh(&mut chart, "instances")?;
    shade(x, &mut chart, top)?;
    area(x, &mut chart, column(Column::InstancesReady), CAPACITY.mix(0.35).filled(), CAPACITY, "ready")?;
    line(x, &mut chart, column(Column::InstancesTotal), INK, 2, "paid for")?;
    let needed = Stroke::dashed(OFFERED.stroke_width(2), (8, 6), 10);
    trace(x, &mut chart, column(Column::Needed), needed, "needed")?;
    let cheapest = Stroke::dashed(ALARM.stroke_width(2), (3, 4), 5);
    trace(x, &mut chart, column(Column::Optimal), cheapest, "cheapest, in hindsight")?;
    let marks = |up: bool| {
        let of = move |event: &crate::engine::events::Event| match (&event.kind, up) {
            (EventKind::ScaledUp(s), true) | (EventKind::ScaledDown(s), false) => {
                Some((event.at.as_secs_f64().min(end), f64::from(s.from.max(s.to))))
            }
            _ => None,
        };
        x.first().events.iter().filter_map(of).collect::<Vec<_>>()
    };
    chart
        .draw_series(marks(true).into_iter().map(|(t, n)| TriangleMarker::new((t, n.min(top)), 9, ALARM.filled())))?
        .label("scale-up")
        .legend(|(x, y)| TriangleMarker::new((x + 13, y), 9, ALARM.filled()));
    chart
        .draw_series(marks(false).into_iter().map(|(t, n)| Cross::new((t, n.min(top)), 6, OFFERED.stroke_width(3))))?
        .label("scale-down")
        .legend(|(x, y)| Cross::new((x + 13, y), 6, OFFERED.stroke_width(3)));
    legend(&mut chart)
}

fn latency(x: &Experiment, canvas: &Canvas) -> Result<(), Failed> {
    let timeline = &x.first().timeline;
    let (p50, p99) = (timeline.column(Column::P50Ms), timeline.column(Column::P99Ms));
    let targets: Vec<(String, f64)> = x
        .slo
        .iter()
        .filter_map(|target| match target {
            Target::Quantile { at_most, .. } => Some((format!("{} target", target.name()), at_most.as_millis_f64())),
            _ => None,
        })
        .collect();
    let positive = |values: &[f64]| values.iter().copied().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
    let least = positive(p50).min(targets.iter().map(|(_, v)| *v).fold(f64::INFINITY, f64::min));
    let highest = most(p99).max(targets.iter().map(|(_, v)| *v).fold(0.0, f64::max));
    if !least.is_finite() {
        return note(canvas, "No request succeeded: there is no latency to show.");
    }
    let (low, high) = log_bounds(least, highest);
    let title = format!("{}: p99 peaks at {}", x.name, millis(most(p99)));
    let mut chart = titled(canvas, title)
        .x_label_area_size(40)
        .y_label_area_size(110)
        .build_cartesian_2d(TimeAxis::to(end_of(x)), (low..high).log_scale())?;
    grid(&mut chart).y_desc("latency [ms], log scale").y_label_formatter(&|v| short(*v)).draw()?;
    shade_between(x, &mut chart, low, high)?;
    line(x, &mut chart, p50, OFFERED, 2, "p50")?;
    line(x, &mut chart, timeline.column(Column::P90Ms), CAPACITY, 2, "p90")?;
    line(x, &mut chart, p99, ALARM, 3, "p99")?;
    for (name, value) in targets {
        let ends = [(0.0, value), (end_of(x), value)];
        chart
            .draw_series(DashedLineSeries::new(ends, 12, 8, INK.stroke_width(2)))?
            .label(format!("{name} {}", millis(value)))
            .legend(|(x, y)| PathElement::new([(x, y), (x + 12, y)], INK.stroke_width(2)));
    }
    legend(&mut chart)
}

fn percentiles(x: &Experiment, canvas: &Canvas) -> Result<(), Failed> {
    let (latency, service) = (x.latency(), x.service_time());
    let Some(p99) = latency.quantile(0.99) else {
        return note(canvas, "No request succeeded: there is no latency to show.");
    };
    let nines = (latency.count() as f64).log10().clamp(1.0, 6.0);
    let curve = |of: &Latency| -> Vec<(f64, f64)> {
        (0..=400)
            .map(|i| nines * f64::from(i) / 400.0)
            .filter_map(|n| of.quantile(1.0 - 10f64.powf(-n)).map(|v| (n, v.as_millis_f64().max(0.001))))
            .collect()
    };
    let (of_latency, of_service) = (curve(&latency), curve(&service));
    let values = || of_latency.iter().chain(&of_service).map(|(_, v)| *v);
    let (low, high) = log_bounds(values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let title = format!("{}: 99 of 100 requests took at most {}", x.name, millis(p99.as_millis_f64()));
    let mut chart = titled(canvas, title)
        .x_label_area_size(70)
        .y_label_area_size(110)
        .build_cartesian_2d(NinesAxis(nines), (low..high).log_scale())?;
    grid(&mut chart)
        .x_desc("share of requests that took at most this long")
        .y_desc("time [ms], log scale")
        .y_label_formatter(&|v| short(*v))
        .draw()?;
    chart
        .draw_series(DashedLineSeries::new(of_service, 10, 6, SERVED.stroke_width(3)))?
        .label("time in service")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 12, y)], SERVED.stroke_width(3)));
    chart
        .draw_series(LineSeries::new(of_latency, ALARM.stroke_width(3)))?
        .label("latency from the scheduled time")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 26, y)], ALARM.stroke_width(3)));
    let crosses: Vec<(f64, f64)> = x
        .slo
        .iter()
        .filter_map(|target| match target {
            Target::Quantile { q, at_most } => Some((-(1.0 - q).log10(), at_most.as_millis_f64())),
            _ => None,
        })
        .collect();
    if !crosses.is_empty() {
        chart
            .draw_series(crosses.into_iter().map(|at| Cross::new(at, 10, INK.stroke_width(3))))?
            .label("target")
            .legend(|(x, y)| Cross::new((x + 13, y), 7, INK.stroke_width(3)));
    }
    legend(&mut chart)
}

fn outcomes(x: &Experiment, canvas: &Canvas) -> Result<(), Failed> {
    let counts = x.counts();
    let mut bars = vec![("succeeded".to_string(), counts.succeeded, SERVED)];
    for reason in Failure::ALL {
        let n = counts.failed_for(reason);
        if n > 0 {
            let color = if reason == Failure::RateLimited { CAPACITY } else { ALARM };
            bars.push((reason.name().replace('_', " "), n, color));
        }
    }
    let share = |n: u64| n as f64 / counts.offered.max(1) as f64 * 100.0;
    let failed = share(counts.failed_total());
    let title = format!("{}: {} requests, {failed:.2} % failed", x.name, thousands(counts.offered));
    let (upper, lower) = canvas.split_vertically(500);
    let timeline = &x.first().timeline;
    // Stacked from the top down: the larger sums are painted first.
    let sum = |columns: &[Column]| -> Vec<f64> {
        (0..timeline.len()).map(|i| columns.iter().map(|c| timeline.column(*c)[i]).sum()).collect()
    };
    let everything = sum(&[Column::SucceededRps, Column::FailedRps]);
    let served_and_limited = sum(&[Column::SucceededRps, Column::RateLimitedRps]);
    let top = *ticks(most(&everything) * 1.02, 5).last().unwrap_or(&1.0);
    let mut chart = titled(&upper, title)
        .x_label_area_size(40)
        .y_label_area_size(90)
        .build_cartesian_2d(TimeAxis::to(end_of(x)), 0.0..top)?;
    mesh(&mut chart, "requests/s")?;
    let light = |color: RGBColor| {
        let mix = |c: u8| (u16::from(c) / 2 + 127) as u8;
        RGBColor(mix(color.0), mix(color.1), mix(color.2))
    };
    if counts.failed_total() > counts.failed_for(Failure::RateLimited) {
        area(x, &mut chart, &everything, light(ALARM).filled(), ALARM, "failed")?;
    }
    if counts.failed_for(Failure::RateLimited) > 0 {
        area(x, &mut chart, &served_and_limited, light(CAPACITY).filled(), CAPACITY, "rate limited")?;
    }
    area(x, &mut chart, timeline.column(Column::SucceededRps), light(SERVED).filled(), SERVED, "succeeded")?;
    legend(&mut chart)?;

    let n = bars.len();
    let longest = bars.iter().map(|(_, n, _)| share(*n)).fold(0.0, f64::max).max(1e-9);
    let bar_height = (320 / n as i32).min(60);
    for (i, (name, count, color)) in bars.iter().enumerate() {
        let y = 20 + i as i32 * bar_height;
        let width = ((share(*count) / longest) * 1000.0) as i32;
        let text = TEXT.into_font().color(&INK);
        lower.draw(&Text::new(name.clone(), (30, y + bar_height / 2 - 12), text.clone()))?;
        lower.draw(&Rectangle::new([(200, y + 4), (200 + width.max(2), y + bar_height - 6)], color.filled()))?;
        let label = format!("{}  ({:.2} %)", thousands(*count), share(*count));
        lower.draw(&Text::new(label, (212 + width.max(2), y + bar_height / 2 - 12), text))?;
    }
    Ok(())
}

fn note(canvas: &Canvas, text: &str) -> Result<(), Failed> {
    canvas.draw(&Text::new(text.to_string(), (60, 420), TITLE.into_font().color(&INK)))?;
    Ok(())
}

/// Axes and lines of a chart, as all charts have them, to be described and drawn.
fn grid<'a, 'b, X, Y>(
    chart: &'b mut ChartContext<'a, BitMapBackend<'a>, Cartesian2d<X, Y>>,
) -> MeshStyle<'a, 'b, X, Y, BitMapBackend<'a>>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .label_style(TEXT.into_font().color(&INK))
        .axis_desc_style(TEXT.into_font().color(&INK));
    mesh
}

fn mesh<'a>(
    chart: &mut ChartContext<'a, BitMapBackend<'a>, Cartesian2d<TimeAxis, RangedCoordf64>>,
    unit: &str,
) -> Result<(), Failed> {
    grid(chart).y_desc(unit).y_labels(6).y_label_formatter(&|v| short(*v)).draw()?;
    Ok(())
}

fn legend<'a, X, Y>(chart: &mut ChartContext<'a, BitMapBackend<'a>, Cartesian2d<X, Y>>) -> Result<(), Failed>
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    legend_at(chart, SeriesLabelPosition::UpperRight)
}

fn legend_at<'a, X, Y>(
    chart: &mut ChartContext<'a, BitMapBackend<'a>, Cartesian2d<X, Y>>,
    position: SeriesLabelPosition,
) -> Result<(), Failed>
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .position(position)
        .label_font(TEXT.into_font().color(&INK))
        .background_style(WHITE.mix(0.85))
        .border_style(FAINT)
        .margin(12)
        .legend_area_size(34)
        .draw()?;
    Ok(())
}

/// How a line is drawn.
#[derive(Clone, Copy)]
struct Stroke {
    style: ShapeStyle,
    /// Length and gap of its dashes; `None`: it has none.
    dashes: Option<(i32, i32)>,
    /// Length of its sample in the legend.
    sample: i32,
}

impl Stroke {
    fn solid(style: ShapeStyle) -> Stroke {
        Stroke { style, dashes: None, sample: 26 }
    }

    fn dashed(style: ShapeStyle, dashes: (i32, i32), sample: i32) -> Stroke {
        Stroke { style, dashes: Some(dashes), sample }
    }
}

/// Draws values over time as steps of `step` \[s\], in stretches without gaps.
fn stepped<'a, Y>(
    chart: &mut ChartContext<'a, BitMapBackend<'a>, Cartesian2d<TimeAxis, Y>>,
    points: &[(f64, f64)],
    step: f64,
    stroke: Stroke,
    name: Option<&str>,
) -> Result<(), Failed>
where
    Y: Ranged<ValueType = f64>,
    Cartesian2d<TimeAxis, Y>: CoordTranslate<From = (f64, f64)>,
{
    let Stroke { style, dashes, sample } = stroke;
    for (i, part) in stretches(points).enumerate() {
        // Steps, also because plotters draws the miter of a thick line's sharp peak far beyond the peak.
        let part = steps(part, step);
        let drawn = match dashes {
            None => chart.draw_series(LineSeries::new(part, style))?,
            Some((dash, gap)) => chart.draw_series(DashedLineSeries::new(part, dash, gap, style))?,
        };
        if let (0, Some(name)) = (i, name) {
            drawn.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + sample, y)], style));
        }
    }
    Ok(())
}

fn line<'a, Y>(
    x: &Experiment,
    chart: &mut ChartContext<'a, BitMapBackend<'a>, Cartesian2d<TimeAxis, Y>>,
    values: &[f64],
    color: RGBColor,
    width: u32,
    name: &str,
) -> Result<(), Failed>
where
    Y: Ranged<ValueType = f64>,
    Cartesian2d<TimeAxis, Y>: CoordTranslate<From = (f64, f64)>,
{
    trace(x, chart, values, Stroke::solid(color.stroke_width(width)), name)
}

fn trace<'a, Y>(
    x: &Experiment,
    chart: &mut ChartContext<'a, BitMapBackend<'a>, Cartesian2d<TimeAxis, Y>>,
    values: &[f64],
    stroke: Stroke,
    name: &str,
) -> Result<(), Failed>
where
    Y: Ranged<ValueType = f64>,
    Cartesian2d<TimeAxis, Y>: CoordTranslate<From = (f64, f64)>,
{
    stepped(chart, &points(x, values), x.first().timeline.step_seconds, stroke, Some(name))
}

fn area<'a>(
    x: &Experiment,
    chart: &mut ChartContext<'a, BitMapBackend<'a>, Cartesian2d<TimeAxis, RangedCoordf64>>,
    values: &[f64],
    fill: ShapeStyle,
    color: RGBColor,
    name: &str,
) -> Result<(), Failed> {
    if most(values) == 0.0 {
        return Ok(());
    }
    let step = x.first().timeline.step_seconds;
    for (i, part) in stretches(&points(x, values)).enumerate() {
        let series = AreaSeries::new(steps(part, step), 0.0, fill).border_style(color);
        let drawn = chart.draw_series(series)?;
        if i == 0 {
            drawn.label(name).legend(move |(x, y)| Rectangle::new([(x, y - 7), (x + 26, y + 7)], fill));
        }
    }
    Ok(())
}

fn shade<'a>(
    x: &Experiment,
    chart: &mut ChartContext<'a, BitMapBackend<'a>, Cartesian2d<TimeAxis, RangedCoordf64>>,
    top: f64,
) -> Result<(), Failed> {
    shade_between(x, chart, 0.0, top)
}

/// Warm-up, faults and spikes.
fn shade_between<'a, Y>(
    x: &Experiment,
    chart: &mut ChartContext<'a, BitMapBackend<'a>, Cartesian2d<TimeAxis, Y>>,
    low: f64,
    high: f64,
) -> Result<(), Failed>
where
    Y: Ranged<ValueType = f64>,
    Cartesian2d<TimeAxis, Y>: CoordTranslate<From = (f64, f64)>,
{
    let end = end_of(x);
    let mut bands: Vec<(f64, f64, RGBAColor, &str)> = Vec::new();
    if !x.warmup.is_zero() {
        bands.push((0.0, x.warmup.as_secs_f64(), INK.mix(0.10), "warm-up"));
    }
    let events = &x.first().events;
    for (i, event) in events.iter().enumerate() {
        match &event.kind {
            EventKind::FaultStarted { until, .. } => {
                let from = event.at.as_secs_f64();
                let to = until.map_or(from + end / 200.0, |until| until.as_secs_f64());
                bands.push((from, to.min(end), ALARM.mix(0.16), "fault"));
            }
            EventKind::SpikeDetected(spike) => {
                let over =
                    events[i..].iter().find(|e| matches!(&e.kind, EventKind::SpikeEnded(s) if s.id == spike.id));
                let to = over.map_or(end, |event| event.at.as_secs_f64());
                bands.push((spike.started_at.as_secs_f64(), to, OFFERED.mix(0.10), "spike"));
            }
            _ => {}
        }
    }
    let mut named: Vec<&str> = Vec::new();
    for (from, to, color, name) in bands {
        let drawn = chart.draw_series([Rectangle::new([(from, low), (to, high)], color.filled())])?;
        if !named.contains(&name) {
            named.push(name);
            drawn.label(name).legend(move |(x, y)| Rectangle::new([(x, y - 7), (x + 26, y + 7)], color.filled()));
        }
    }
    Ok(())
}

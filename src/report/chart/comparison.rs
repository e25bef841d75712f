//! PNG charts of several experiments: fleets above one another, and cost against p99.

use std::path::Path;

use plotters::prelude::*;

use super::{
    ALARM, CAPACITY, Canvas, Failed, INK, OFFERED, SERVED, Stroke, TEXT, TITLE, TimeAxis, area, draw_with, end_of,
    grid, legend, line, mesh, most, shade, titled, trace,
};
use crate::record::timeline::Column;
use crate::report::Experiment;
use crate::report::figure::{short, ticks};
use crate::report::html::comparison::Point;
use crate::report::verdict::millis;

/// Most fleets that fit above one another.
const ROWS: usize = 6;

/// The load, then the fleet of each, on one time axis.
pub(crate) fn timelines(rows: &[(String, &Experiment)], path: &Path) -> Result<(), String> {
    draw_with(path, |canvas| draw_timelines(rows, canvas))
}

/// Cost against p99; down and to the left is better.
pub(crate) fn front(
    points: &[Point],
    cost_name: &str,
    target_ms: Option<f64>,
    finding: &str,
    path: &Path,
) -> Result<(), String> {
    draw_with(path, |canvas| draw_front(points, cost_name, target_ms, finding, canvas))
}

/// With a capital first.
fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn draw_timelines(rows: &[(String, &Experiment)], canvas: &Canvas) -> Result<(), Failed> {
    let shown = &rows[..rows.len().min(ROWS)];
    let top = |columns: &[Column]| {
        let each = |(_, x): &(String, &Experiment)| {
            columns.iter().map(|c| most(x.first().timeline.column(*c))).fold(0.0, f64::max)
        };
        *ticks(shown.iter().map(each).fold(0.0, f64::max) * 1.1, 4).last().unwrap_or(&1.0)
    };
    let end = shown.iter().map(|(_, x)| end_of(x)).fold(0.0, f64::max);
    let areas = canvas.split_evenly((shown.len() + 1, 1));
    let (_, first) = &rows[0];
    let load = top(&[Column::OfferedRps]);
    let caption = format!(
        "{}: offered load peaks at {}/s",
        first.name,
        short(most(first.first().timeline.column(Column::OfferedRps)))
    );
    let mut chart = ChartBuilder::on(&areas[0])
        .caption(caption, TITLE.into_font().color(&INK))
        .margin(10)
        .margin_right(48)
        .x_label_area_size(28)
        .y_label_area_size(90)
        .build_cartesian_2d(TimeAxis::to(end), 0.0..load)?;
    mesh(&mut chart, "requests/s")?;
    line(first, &mut chart, first.first().timeline.column(Column::OfferedRps), OFFERED, 2, "offered")?;
    let fleet = top(&[Column::InstancesTotal, Column::Optimal]);
    for (i, (label, x)) in shown.iter().enumerate() {
        let column = |c: Column| x.first().timeline.column(c);
        let ratio =
            x.first().regret.ratio.map_or(String::new(), |ratio| format!(": {ratio:.2} × the cheapest fleet"));
        let mut chart = ChartBuilder::on(&areas[i + 1])
            .caption(format!("{label}{ratio}"), ("sans-serif", 24).into_font().color(&INK))
            .margin(10)
            .margin_right(48)
            .margin_top(0)
            .x_label_area_size(28)
            .y_label_area_size(90)
            .build_cartesian_2d(TimeAxis::to(end), 0.0..fleet)?;
        mesh(&mut chart, "instances")?;
        shade(x, &mut chart, fleet)?;
        area(x, &mut chart, column(Column::InstancesReady), CAPACITY.mix(0.35).filled(), CAPACITY, "ready")?;
        for (of, color, dash, name) in
            [(Column::Needed, OFFERED, 8, "needed"), (Column::Optimal, ALARM, 3, "cheapest")]
        {
            let stroke = Stroke::dashed(color.stroke_width(2), (dash, 5), dash);
            trace(x, &mut chart, column(of), stroke, name)?;
        }
        if i == 0 {
            legend(&mut chart)?;
        }
    }
    Ok(())
}

fn draw_front(
    points: &[Point],
    cost_name: &str,
    target_ms: Option<f64>,
    finding: &str,
    canvas: &Canvas,
) -> Result<(), Failed> {
    if points.is_empty() {
        return super::note(canvas, "No request succeeded: there is nothing to draw.");
    }
    let highest = |of: fn(&Point) -> f64| points.iter().map(of).fold(0.0, f64::max);
    let right = *ticks(highest(|p| p.cost) * 1.15, 6).last().unwrap_or(&1.0);
    let top = *ticks(highest(|p| p.p99_ms).max(target_ms.unwrap_or(0.0)) * 1.1, 5).last().unwrap_or(&1.0);
    let mut chart = titled(canvas, sentence_case(finding))
        .x_label_area_size(70)
        .y_label_area_size(110)
        .build_cartesian_2d(0.0..right, 0.0..top)?;
    grid(&mut chart)
        .x_desc(cost_name)
        .y_desc("p99 [ms]")
        .x_label_formatter(&|v| short(*v))
        .y_label_formatter(&|v| short(*v))
        .draw()?;
    if let Some(target) = target_ms {
        chart
            .draw_series(DashedLineSeries::new([(0.0, target), (right, target)], 12, 8, INK.stroke_width(2)))?
            .label(format!("p99 target {}", millis(target)))
            .legend(|(x, y)| PathElement::new([(x, y), (x + 12, y)], INK.stroke_width(2)));
        legend(&mut chart)?;
    }
    let mut joined: Vec<(f64, f64)> = points.iter().filter(|p| p.on_front).map(|p| (p.cost, p.p99_ms)).collect();
    joined.sort_by(|a, b| a.0.total_cmp(&b.0));
    chart.draw_series(DashedLineSeries::new(joined, 8, 6, SERVED.stroke_width(2)))?;
    for (i, p) in points.iter().enumerate() {
        let (at, label) = ((p.cost, p.p99_ms), p.label.clone());
        let text = Text::new(label, (14, if i % 2 == 0 { -30 } else { 12 }), TEXT.into_font().color(&INK));
        if p.on_front {
            chart.draw_series([EmptyElement::at(at) + Circle::new((0, 0), 9, SERVED.filled()) + text])?;
        } else {
            chart.draw_series([EmptyElement::at(at) + Cross::new((0, 0), 8, OFFERED.stroke_width(3)) + text])?;
        }
    }
    Ok(())
}

//! PNG map of the kicks that a system does not return from.

use std::path::Path;

use plotters::prelude::*;

use super::{ALARM, CAPACITY, Canvas, Failed, INK, OFFERED, SERVED, draw_with, grid, legend_at, titled};
use crate::report::figure::{short, ticks};

/// The boundary for one length of the kick: a load \[1/s\] and the smallest kick that sticks, `None` if none does.
pub struct Boundary {
    /// What the legend calls it.
    pub name: String,
    /// By ascending load.
    pub points: Vec<(f64, Option<f64>)>,
}

/// What the map shows.
pub struct StormMap {
    /// What it shows, in a sentence.
    pub title: String,
    /// What sizes are of.
    pub axis: &'static str,
    /// Least and largest size.
    pub sizes: (f64, f64),
    /// A size in words.
    pub words: fn(f64) -> String,
    /// The ordinary load \[1/s\].
    pub load: f64,
    /// The most that can be served \[1/s\].
    pub capacity: f64,
    /// As it is.
    pub before: Vec<Boundary>,
    /// With a protection.
    pub after: Vec<Boundary>,
}

/// Draws the map into a file.
pub fn storm(map: &StormMap, path: &Path) -> Result<(), String> {
    draw_with(path, |canvas| draw(map, canvas))
}

fn draw(map: &StormMap, canvas: &Canvas) -> Result<(), Failed> {
    let right = *ticks(map.capacity, 8).last().unwrap_or(&1.0);
    let (low, high) = map.sizes;
    // A tenth of room above the largest kick, so that "never" can be seen to be beyond it.
    let top = high + (high - low) * 0.08;
    let mut chart = titled(canvas, map.title.clone())
        .x_label_area_size(70)
        .y_label_area_size(120)
        .build_cartesian_2d(0.0..right, low..top)?;
    grid(&mut chart)
        .x_desc("load before and after the kick [requests/s]")
        .y_desc(map.axis)
        .x_label_formatter(&|v| short(*v))
        .y_label_formatter(&|v| (map.words)(*v))
        .draw()?;
    for (i, boundary) in map.before.iter().enumerate() {
        let fill = ALARM.mix(0.22);
        for part in parts(boundary) {
            let mut area = part.clone();
            area.push((part[part.len() - 1].0, high));
            area.push((part[0].0, high));
            chart.draw_series([Polygon::new(area, fill.filled())])?;
        }
        let style = if i % 2 == 0 { ALARM.stroke_width(3) } else { CAPACITY.stroke_width(3) };
        let mut drawn = false;
        for part in parts(boundary) {
            let series = chart.draw_series(LineSeries::new(part.clone(), style))?;
            if !drawn {
                series
                    .label(format!("does not return from {}", boundary.name))
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 26, y)], style));
            }
            drawn = true;
            chart.draw_series(part.into_iter().map(|at| Circle::new(at, 6, style.color.filled())))?;
        }
    }
    for boundary in &map.after {
        let style = SERVED.stroke_width(3);
        for (i, part) in parts(boundary).into_iter().enumerate() {
            let series = chart.draw_series(DashedLineSeries::new(part.clone(), 10, 6, style))?;
            if i == 0 {
                series
                    .label(format!("the same, protected, from {}", boundary.name))
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 12, y)], style));
            }
            chart.draw_series(part.into_iter().map(|at| TriangleMarker::new(at, 8, SERVED.filled())))?;
        }
    }
    let mut mark = |at: f64, name: String, color: RGBColor, dash: i32| -> Result<(), Failed> {
        let style = color.stroke_width(2);
        chart
            .draw_series(DashedLineSeries::new([(at, low), (at, top)], dash, 6, style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + dash, y)], style));
        Ok(())
    };
    mark(map.load, format!("ordinary load {}/s", short(map.load.round())), OFFERED, 10)?;
    mark(map.capacity, format!("capacity {}/s", short(map.capacity.round())), INK, 4)?;
    // What sticks is up and to the right.
    legend_at(&mut chart, SeriesLabelPosition::UpperLeft)
}

/// Stretches of a boundary without a load at which nothing sticks.
fn parts(boundary: &Boundary) -> Vec<Vec<(f64, f64)>> {
    boundary
        .points
        .split(|(_, size)| size.is_none())
        .filter(|part| !part.is_empty())
        .map(|part| part.iter().filter_map(|&(load, size)| Some((load, size?))).collect())
        .collect()
}

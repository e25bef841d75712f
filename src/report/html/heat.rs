//! Latency over time as a heat map: where most requests are, and which few are elsewhere.

use std::fmt::Write;

use super::chart::{end_of, series};
use super::panel::{Axis, Form, INNER, Panel, draw};
use crate::record::heat::{LatencyHeat, bounds_us};
use crate::record::timeline::Column;
use crate::report::Experiment;
use crate::report::figure::{clock, short};
use crate::report::verdict::millis;

/// Shades of a map, from few to many.
const SHADES: usize = 8;
const HEIGHT: f64 = 240.0;

/// The map with the median and p99 on it; nothing if it was not kept, or is empty.
pub fn heat(x: &Experiment) -> String {
    let Some(heat) = x.first().latency_heat.as_ref() else { return String::new() };
    if x.first().timeline.len() < 2 {
        return String::new();
    }
    let Some((low, high)) = occupied(heat) else { return String::new() };
    let bounds: Vec<f64> = bounds_us().into_iter().map(|us| us / 1e3).collect();
    // Rows at the ends have no bound of their own: they are as high as their neighbours.
    let step = bounds[1] / bounds[0];
    let lower = |row: usize| if row == 0 { bounds[0] / step } else { bounds[row - 1] };
    let upper = |row: usize| bounds.get(row).copied().unwrap_or(bounds[bounds.len() - 1] * step);
    let range = (lower(low), upper(high));
    let axis = Axis::new(HEIGHT, true, range);
    let end = end_of(x);
    let most = heat.columns.iter().flatten().copied().max().unwrap_or(1).max(1);
    let shade = |n: u64| ((n as f64).ln() / (most as f64).ln().max(1e-9) * SHADES as f64).floor() as usize;
    let mut cells = vec![String::new(); SHADES];
    for (i, column) in heat.columns.iter().enumerate() {
        let from = i as f64 * heat.column_seconds / end * INNER;
        let to = ((i + 1) as f64 * heat.column_seconds).min(end) / end * INNER;
        for (row, &n) in column.iter().enumerate().filter(|(_, n)| **n > 0) {
            let (top, bottom) = (axis.y(upper(row)), axis.y(lower(row)));
            // Writing to a string cannot fail.
            let _ = write!(cells[shade(n).min(SHADES - 1)], "M{from:.1} {bottom:.1}V{top:.1}H{to:.1}V{bottom:.1}Z");
        }
    }
    let ground: String = cells
        .iter()
        .enumerate()
        .filter(|(_, d)| !d.is_empty())
        .map(|(i, d)| format!("<path class=\"h{i}\" d=\"{d}\"/>"))
        .collect();
    let from = |i: usize| short((most as f64).powf(i as f64 / SHADES as f64).ceil());
    let scale: String = (0..SHADES)
        .map(|i| format!("<rect class=\"h{i}\" x=\"{}\" y=\"0\" width=\"14\" height=\"10\"/>", 14 * i))
        .collect();
    let legend = format!(
        "<span class=\"key\">{} <svg class=\"scale\" viewBox=\"0 0 112 10\" aria-hidden=\"true\">{scale}</svg> {} requests in {} and a {:.0} % wider latency</span>",
        from(0),
        short(most as f64),
        crate::units::Span::from_secs_f64(heat.column_seconds),
        100.0 * (step - 1.0)
    );
    let panel = Panel {
        id: "latency-heat",
        title: "Every latency",
        finding: finding(heat, end, &lower, &upper),
        unit: "ms",
        height: HEIGHT,
        log: true,
        series: vec![
            series(x, "p99", "c6", Column::P99Ms, Form::Line),
            series(x, "p50", "c6 dot", Column::P50Ms, Form::Line),
        ],
        range: Some(range),
        ground: Some(ground),
        legend,
        ..Panel::default()
    };
    draw(x, &panel, end)
}

/// The first and the last row that hold something.
fn occupied(heat: &LatencyHeat) -> Option<(usize, usize)> {
    let some = |row: &usize| heat.columns.iter().any(|column| column[*row] > 0);
    let rows = heat.columns.first()?.len();
    Some(((0..rows).find(some)?, (0..rows).rev().find(some)?))
}

/// Where nine of ten requests are, and when the slowest came.
fn finding(heat: &LatencyHeat, end: f64, lower: &dyn Fn(usize) -> f64, upper: &dyn Fn(usize) -> f64) -> String {
    let rows = heat.columns[0].len();
    let sums: Vec<u64> = (0..rows).map(|row| heat.columns.iter().map(|column| column[row]).sum()).collect();
    let all: u64 = sums.iter().sum();
    let row_at = |share: f64| {
        let mut seen = 0;
        sums.iter().position(|n| {
            seen += n;
            seen as f64 >= share * all as f64
        })
    };
    let (a, b) = (row_at(0.05).unwrap_or(0), row_at(0.95).unwrap_or(rows - 1));
    let slowest = sums.iter().rposition(|n| *n > 0).unwrap_or(0);
    let when = heat.columns.iter().position(|column| column[slowest] > 0).unwrap_or(0);
    format!(
        "nine of ten requests took {} to {}; the slowest, over {}, first at {}",
        millis(lower(a)),
        millis(upper(b)),
        millis(lower(slowest)),
        clock(when as f64 * heat.column_seconds, end)
    )
}

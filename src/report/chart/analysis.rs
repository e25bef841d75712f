//! One picture of an analysis: load with its spikes and what is to come, over the profile of the hours.

use std::path::Path;

use plotters::prelude::*;

use super::{
    ALARM, CAPACITY, Canvas, Failed, INK, OFFERED, TimeAxis, draw_with, grid, legend_at, mesh, steps, titled,
};
use crate::report::analysis::{Analysis, rate};
use crate::report::figure::{POINTS, reduced, short, ticks};

/// Draws `analysis.png`.
pub fn analysis(x: &Analysis, path: &Path) -> Result<(), String> {
    draw_with(path, |canvas| {
        let (upper, lower) = canvas.split_vertically(560);
        load(x, &upper)?;
        hours(x, &lower)
    })
}

fn load(x: &Analysis, canvas: &Canvas) -> Result<(), Failed> {
    let start = x.span.0;
    let ahead = x.forecast.as_ref().filter(|f| !f.path.is_empty());
    let end = ahead.map_or(x.span.1, |f| f.start + f.step * f.path.len() as f64) - start;
    let upper = ahead.into_iter().flat_map(|f| &f.path).map(|p| if p.high.is_finite() { p.high } else { p.mean });
    let most = upper.fold(x.rates.peak(), f64::max);
    let top = ticks(most * 1.02, 5).last().copied().filter(|top| *top > 0.0).unwrap_or(1.0);
    let (mean, peak, spikes) = (rate(x.mean_rps()), rate(x.rates.peak()), x.spikes.len());
    let title = format!("{}: {mean}/s on average, {peak}/s at most, {spikes} spikes", x.name);
    let mut chart = titled(canvas, title)
        .x_label_area_size(34)
        .y_label_area_size(90)
        .build_cartesian_2d(TimeAxis::to(end), 0.0..top)?;
    mesh(&mut chart, "requests/s")?;
    for (drop, color, name) in [(false, OFFERED.mix(0.14), "spike"), (true, ALARM.mix(0.18), "drop")] {
        let bands: Vec<_> = x
            .spikes
            .iter()
            .filter(|each| each.spike.drop == drop)
            .map(|each| {
                let from = each.spike.started_at.as_secs_f64() - start;
                // A spike of minutes in a year is to be seen too.
                let to = (each.ended_at.unwrap_or(x.span.1) - start).max(from + end / 700.0);
                Rectangle::new([(from, 0.0), (to, top)], color.filled())
            })
            .collect();
        if !bands.is_empty() {
            chart
                .draw_series(bands)?
                .label(name)
                .legend(move |(x, y)| Rectangle::new([(x, y - 7), (x + 26, y + 7)], color.filled()));
        }
    }
    let times: Vec<f64> =
        (0..x.rates.values.len()).map(|i| (x.rates.start - start + i as f64 * x.rates.width).max(0.0)).collect();
    let line = steps(&reduced(&times, &x.rates.values, POINTS), x.rates.width);
    chart
        .draw_series(LineSeries::new(line, OFFERED.stroke_width(2)))?
        .label("offered")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 26, y)], OFFERED.stroke_width(2)));
    if let Some(forecast) = ahead {
        let at = |i: usize| forecast.start - start + (i as f64 + 0.5) * forecast.step;
        if forecast.path.iter().all(|p| p.high.is_finite()) {
            let upper = forecast.path.iter().enumerate().map(|(i, p)| (at(i), p.high));
            let lower = forecast.path.iter().enumerate().rev().map(|(i, p)| (at(i), p.low));
            let band: Vec<(f64, f64)> = upper.chain(lower).collect();
            let fill = ALARM.mix(0.25);
            chart
                .draw_series([Polygon::new(band, fill.filled())])?
                .label("90 % band")
                .legend(move |(x, y)| Rectangle::new([(x, y - 7), (x + 26, y + 7)], fill.filled()));
        }
        let path = forecast.path.iter().enumerate().map(|(i, p)| (at(i), p.mean));
        chart
            .draw_series(DashedLineSeries::new(path, 8, 5, ALARM.stroke_width(2)))?
            .label("forecast")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 10, y)], ALARM.stroke_width(2)));
    }
    // On the left: what is to come is on the right.
    legend_at(&mut chart, SeriesLabelPosition::UpperLeft)
}

fn hours(x: &Analysis, canvas: &Canvas) -> Result<(), Failed> {
    let most = x.hourly.iter().flatten().copied().fold(0.0, f64::max);
    let top = ticks(most * 1.05, 4).last().copied().filter(|top| *top > 0.0).unwrap_or(1.0);
    let title = match x.extremes() {
        Some([busiest, quietest]) => {
            format!("Busiest at {:02}:00, quietest at {:02}:00 (median by hour, UTC)", busiest.0, quietest.0)
        }
        None => "Median by hour of the day (UTC)".to_string(),
    };
    let mut chart = ChartBuilder::on(canvas)
        .caption(title, ("sans-serif", 24).into_font().color(&INK))
        .margin(16)
        .margin_right(48)
        .margin_top(0)
        .x_label_area_size(34)
        .y_label_area_size(90)
        .build_cartesian_2d(0.0..24.0, 0.0..top)?;
    grid(&mut chart)
        .y_desc("requests/s")
        .x_labels(13)
        .y_labels(5)
        .x_label_formatter(&|v| format!("{v:.0} h"))
        .y_label_formatter(&|v| short(*v))
        .draw()?;
    let bars = x.hourly.iter().enumerate().filter_map(|(hour, rps)| {
        let from = hour as f64;
        Some(Rectangle::new([(from + 0.08, 0.0), (from + 0.92, (*rps)?)], CAPACITY.mix(0.6).filled()))
    });
    chart.draw_series(bars)?;
    Ok(())
}

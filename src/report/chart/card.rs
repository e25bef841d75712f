//! `card.png`: one picture for a chat. Verdict, rate, p99 with its target, instances.

use plotters::prelude::*;

use super::{
    ALARM, CAPACITY, Canvas, FAINT, Failed, INK, OFFERED, SERVED, TimeAxis, area, end_of, legend, line, most,
    shade_between,
};
use crate::record::timeline::Column;
use crate::report::Experiment;
use crate::report::figure::{log_bounds, short, ticks};
use crate::report::verdict::{Outcome, millis, percent};

const PASS: RGBColor = RGBColor(0x1A, 0x7F, 0x37);
const FAIL: RGBColor = RGBColor(0xCF, 0x22, 0x2E);
const UNSURE: RGBColor = RGBColor(0x9A, 0x67, 0x00);

/// The card.
pub(super) fn card(x: &Experiment, canvas: &Canvas) -> Result<(), Failed> {
    let (word, color) = match x.overall() {
        Some(Outcome::Pass) => ("PASS", PASS),
        Some(Outcome::Fail) => ("FAIL", FAIL),
        Some(Outcome::Inconclusive) => ("INCONCLUSIVE", UNSURE),
        None => ("NO TARGETS", INK),
    };
    let (head, rest) = canvas.split_vertically(150);
    head.fill(&color)?;
    let large = ("sans-serif", 64).into_font().color(&WHITE);
    head.draw(&Text::new(clipped(&format!("{word}  {}", x.name), 44), (36, 30), large))?;
    let small = ("sans-serif", 26).into_font().color(&WHITE);
    head.draw(&Text::new(clipped(&x.sentence(), 112), (38, 100), small))?;
    if x.first().timeline.len() < 2 {
        return super::note(&rest, "The run was too short for a timeline.");
    }
    let parts = rest.split_evenly((3, 1));
    let timeline = &x.first().timeline;
    let column = |c: Column| timeline.column(c);

    let top = *ticks(most(column(Column::OfferedRps)) * 1.1, 3).last().unwrap_or(&1.0);
    let availability = x.counts().availability().map_or("–".to_string(), percent);
    let title =
        format!("{} requests/s at the peak, {availability} available", short(most(column(Column::OfferedRps))));
    let mut chart = builder(&parts[0], title).build_cartesian_2d(TimeAxis::to(end_of(x)), 0.0..top)?;
    axes(&mut chart)?;
    area(x, &mut chart, column(Column::FailedRps), ALARM.mix(0.5).filled(), ALARM, "failed")?;
    line(x, &mut chart, column(Column::SucceededRps), SERVED, 2, "served")?;
    line(x, &mut chart, column(Column::OfferedRps), OFFERED, 3, "offered")?;
    legend(&mut chart)?;

    let target = x.p99_target_ms();
    let p99 = column(Column::P99Ms);
    let least =
        p99.iter().copied().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min).min(target.unwrap_or(f64::INFINITY));
    let overall = x.latency().quantile(0.99).map_or("–".to_string(), |span| millis(span.as_millis_f64()));
    let against = target.map_or(String::new(), |target| format!(", target {} (dashed)", millis(target)));
    let title = format!("p99 {overall}{against}");
    if least.is_finite() {
        let (low, high) = log_bounds(least, most(p99).max(target.unwrap_or(0.0)));
        let mut chart =
            builder(&parts[1], title).build_cartesian_2d(TimeAxis::to(end_of(x)), (low..high).log_scale())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(FAINT)
            .axis_style(INK)
            .label_style(("sans-serif", 22).into_font().color(&INK))
            .y_labels(4)
            .y_label_formatter(&|v| millis(*v))
            .draw()?;
        shade_between(x, &mut chart, low, high)?;
        line(x, &mut chart, p99, ALARM, 3, "p99")?;
        if let Some(target) = target {
            let ends = [(0.0, target), (end_of(x), target)];
            chart.draw_series(DashedLineSeries::new(ends, 14, 8, INK.stroke_width(3)))?;
        }
    }

    let top = *ticks(most(column(Column::InstancesTotal)).max(most(column(Column::Needed))) * 1.15, 3)
        .last()
        .unwrap_or(&1.0);
    let ratio = x.mean(|run| run.regret.ratio.unwrap_or(f64::NAN));
    let times = if ratio.is_finite() { format!(", {ratio:.2} × the cheapest fleet") } else { String::new() };
    let (min, max) = x.fleet_range();
    let title = format!("{min} to {max} instances{times}");
    let mut chart = builder(&parts[2], title).build_cartesian_2d(TimeAxis::to(end_of(x)), 0.0..top)?;
    axes(&mut chart)?;
    area(x, &mut chart, column(Column::InstancesReady), CAPACITY.mix(0.45).filled(), CAPACITY, "ready")?;
    line(x, &mut chart, column(Column::Needed), OFFERED, 2, "needed")?;
    legend(&mut chart)?;
    Ok(())
}

fn builder<'a, 'b>(part: &'a Canvas<'b>, title: String) -> ChartBuilder<'a, 'b, BitMapBackend<'b>> {
    let mut builder = ChartBuilder::on(part);
    builder
        .caption(title, ("sans-serif", 32).into_font().color(&INK))
        .margin(8)
        .margin_right(48)
        .x_label_area_size(30)
        .y_label_area_size(110);
    builder
}

fn axes<'a>(
    chart: &mut ChartContext<'a, BitMapBackend<'a>, Cartesian2d<TimeAxis, plotters::coord::types::RangedCoordf64>>,
) -> Result<(), Failed> {
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .label_style(("sans-serif", 22).into_font().color(&INK))
        .y_labels(4)
        .y_label_formatter(&|v| short(*v))
        .draw()?;
    Ok(())
}

/// At most so many characters.
fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

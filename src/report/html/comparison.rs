//! Charts of several experiments: their timelines above one another on the same axes, and what each costs against how slow it is.

use std::fmt::Write;

use super::chart::series;
use super::escape;
use super::panel::{BOTTOM, Form, INNER, LEFT, Level, Panel, RIGHT, TOP, WIDTH, draw, open_svg};
use crate::record::timeline::Column;
use crate::report::Experiment;
use crate::report::figure::{log_bounds, short, ticks};
use crate::report::verdict::{millis, percent};

/// A contender on the chart of cost against p99.
pub(crate) struct Point {
    /// Its name; empty: it is told of by nobody.
    pub label: String,
    /// Its mean cost, or instance-hours.
    pub cost: f64,
    /// Its mean p99 \[ms\].
    pub p99_ms: f64,
    /// Whether no other beats it in both.
    pub on_front: bool,
}

/// Whom nobody beats in both, in words.
pub(crate) fn unbeaten(points: &[Point]) -> String {
    let names: Vec<&str> = points.iter().filter(|p| p.on_front).map(|p| p.label.as_str()).collect();
    format!("nobody beats {} in both", names.join(", "))
}

/// Fleets and latencies above one another; the load that all of them met comes first.
pub(crate) fn timelines(rows: &[(String, &Experiment)]) -> String {
    let most = |column: Column| {
        let values = rows.iter().flat_map(|(_, x)| x.first().timeline.column(column).iter().copied());
        values.filter(|v| v.is_finite()).fold(0.0, f64::max)
    };
    let end = rows
        .iter()
        .map(|(_, x)| x.first().timeline.t.last().copied().unwrap_or(0.0) + x.first().timeline.step_seconds)
        .fold(0.0, f64::max);
    if rows.iter().any(|(_, x)| x.first().timeline.len() < 2) {
        return "<p>A run was too short for a timeline.</p>".to_string();
    }
    let (_, first) = &rows[0];
    let peak = most(Column::OfferedRps);
    let load = Panel {
        id: "load",
        title: "Load",
        finding: format!("peak {}/s", short(peak)),
        unit: "requests/s",
        height: 150.0,
        series: vec![series(first, "offered", "c1", Column::OfferedRps, Form::Line)],
        names: true,
        ..Panel::default()
    };
    let mut out = super::TOOLS.to_string() + &draw(first, &load, end);
    let top = most(Column::InstancesTotal).max(most(Column::Optimal));
    for (i, (label, x)) in rows.iter().enumerate() {
        let ratio =
            x.first().regret.ratio.map_or(String::new(), |ratio| format!("; {ratio:.2} × the cheapest fleet"));
        let id = format!("fleet-{i}");
        let finding = format!(
            "{} to {} instances; too few {} of the time{ratio}",
            x.first().fleet.min,
            x.first().fleet.max,
            percent(x.first().elasticity.under_provisioned_share)
        );
        out.push_str(&draw(
            x,
            &Panel {
                id: &id,
                title: label,
                finding,
                unit: "instances",
                height: 140.0,
                series: vec![
                    series(x, "ready", "c4", Column::InstancesReady, Form::Area),
                    series(x, "paid for", "c2", Column::InstancesTotal, Form::Step),
                    series(x, "needed", "c1 dash", Column::Needed, Form::Step),
                    series(x, "cheapest, knowing the future", "c3 dot", Column::Optimal, Form::Step),
                ],
                marks: true,
                range: Some((0.0, top)),
                ..Panel::default()
            },
            end,
        ));
    }
    let range = bounds_of_p99(rows);
    for (i, (label, x)) in rows.iter().enumerate() {
        let id = format!("latency-{i}");
        let peak = x.first().timeline.column(Column::P99Ms).iter().copied().filter(|v| v.is_finite());
        let title = format!("{label}: p99");
        let target = x.p99_target_ms().map(|value| Level { label: format!("p99 target {}", millis(value)), value });
        out.push_str(&draw(
            x,
            &Panel {
                id: &id,
                title: &title,
                finding: format!("peak {}", millis(peak.fold(0.0, f64::max))),
                unit: "ms",
                height: 140.0,
                log: true,
                series: vec![series(x, "p99", "c3", Column::P99Ms, Form::Line)],
                levels: target.into_iter().collect(),
                range,
                ..Panel::default()
            },
            end,
        ));
    }
    out
}

/// Bounds of a logarithmic axis that has room for the p99 and its target in every row.
fn bounds_of_p99(rows: &[(String, &Experiment)]) -> Option<(f64, f64)> {
    let all = || {
        let values = rows.iter().flat_map(|(_, x)| x.first().timeline.column(Column::P99Ms).iter().copied());
        values.chain(rows.iter().filter_map(|(_, x)| x.p99_target_ms())).filter(|v| *v > 0.0)
    };
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    least.is_finite().then(|| log_bounds(least, most))
}

/// Cost against p99: down and to the left is better; those that nobody beats in both are joined.
pub(crate) fn front(points: &[Point], cost_name: &str, target_ms: Option<f64>, finding: &str) -> String {
    if points.is_empty() {
        return "<p>No request succeeded: there is nothing to draw.</p>".to_string();
    }
    let height = 320.0;
    let inner_h = height - TOP - BOTTOM;
    let most = |of: fn(&Point) -> f64| points.iter().map(of).fold(0.0, f64::max);
    let (x_ticks, y_ticks) =
        (ticks(most(|p| p.cost) * 1.1, 8), ticks(most(|p| p.p99_ms).max(target_ms.unwrap_or(0.0)) * 1.1, 5));
    let (right, top) = (x_ticks.last().copied().unwrap_or(1.0), y_ticks.last().copied().unwrap_or(1.0));
    let px = |cost: f64| LEFT + cost / right * INNER;
    let py = |ms: f64| TOP + inner_h * (1.0 - ms / top);
    let best: Vec<&Point> = points.iter().filter(|p| p.on_front).collect();
    let mut svg = open_svg("front", "Cost and p99", finding, height);
    // Writing to a string cannot fail.
    for &v in &y_ticks {
        let y = py(v);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0,
            short(v)
        );
    }
    for &v in &x_ticks {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            px(v),
            height - 8.0,
            short(v)
        );
    }
    if let Some(target) = target_ms {
        let y = py(target);
        let _ = write!(
            svg,
            "<path class=\"target\" d=\"M{LEFT} {y:.1}H{:.1}\"/><text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">p99 target {}</text>",
            WIDTH - RIGHT,
            WIDTH - RIGHT - 4.0,
            y - 4.0,
            millis(target)
        );
    }
    let mut joined: Vec<(f64, f64)> = best.iter().map(|p| (px(p.cost), py(p.p99_ms))).collect();
    joined.sort_by(|a, b| a.0.total_cmp(&b.0));
    let d: Vec<String> = joined.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    let _ = write!(svg, "<path class=\"c2 dash\" d=\"M{}\"/>", d.join("L"));
    for (i, p) in points.iter().enumerate() {
        let (x, y) = (px(p.cost), py(p.p99_ms));
        let class = if p.on_front { "f2" } else { "f1" };
        let (anchor, shift) = if x > WIDTH * 0.75 { ("end", -10.0) } else { ("start", 10.0) };
        let label = escape(&p.label);
        let _ = write!(
            svg,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\"><title>{label}: {:.2}, {}</title></circle><text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{label}</text>",
            p.cost,
            millis(p.p99_ms),
            x + shift,
            // Neighbours are often at the same height.
            if i % 2 == 0 { y - 8.0 } else { y + 18.0 }
        );
    }
    svg.push_str("</svg>");
    format!(
        "<figure><figcaption><b>{} and p99</b> [across: {}; up: ms]: {}.</figcaption>{svg}</figure>\n",
        escape(cost_name),
        escape(cost_name),
        escape(finding)
    )
}

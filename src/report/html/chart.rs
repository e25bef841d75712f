//! The page's charts, as SVG.

use std::fmt::Write;

use super::escape;
use crate::engine::events::EventKind;
use crate::record::latency::Latency;
use crate::record::timeline::Column;
use crate::report::Experiment;
use crate::report::figure::{POINTS, clock, log_bounds, reduced, short, ticks, time_ticks};
use crate::report::verdict::{millis, percent};
use crate::scenario::slo::Target;
use crate::units::Span;

pub(in crate::report) const WIDTH: f64 = 1060.0;
pub(super) const LEFT: f64 = 64.0;
pub(super) const RIGHT: f64 = 14.0;
pub(super) const BOTTOM: f64 = 26.0;
pub(super) const TOP: f64 = 8.0;

/// A line, step or area of a panel.
pub(in crate::report) struct Series<'a> {
    pub(in crate::report) name: &'a str,
    pub(in crate::report) class: &'a str,
    pub(in crate::report) values: Vec<f64>,
    pub(in crate::report) form: Form,
}

#[derive(Clone, Copy, PartialEq)]
pub(in crate::report) enum Form {
    Line,
    Step,
    Area,
}

/// One panel on the common time axis.
pub(in crate::report) struct Panel<'a> {
    pub(in crate::report) id: &'a str,
    pub(in crate::report) title: &'a str,
    pub(in crate::report) finding: String,
    pub(in crate::report) unit: &'a str,
    pub(in crate::report) height: f64,
    pub(in crate::report) log: bool,
    pub(in crate::report) series: Vec<Series<'a>>,
    pub(in crate::report) targets: Vec<(String, f64)>,
    pub(in crate::report) marks: bool,
    /// Value at the top of the axis, if charts are to have the same; `None`: as the data needs it.
    pub(in crate::report) top: Option<f64>,
}

/// Every panel of the storm.
pub fn storm(x: &Experiment) -> String {
    if x.first().timeline.len() < 2 {
        return "<p>The run was too short for a timeline.</p>".to_string();
    }
    let note =
        "<p>Shaded: the warm-up, faults and spikes. ▲ and ▼ mark decisions to scale; point at one to read why.</p>";
    let end = end_of(x);
    panels(x).iter().map(|panel| draw(x, panel, end)).collect::<String>() + note
}

/// The end of the first run's timeline \[s\].
pub(in crate::report) fn end_of(x: &Experiment) -> f64 {
    let timeline = &x.first().timeline;
    timeline.t.last().copied().unwrap_or(0.0) + timeline.step_seconds
}

/// The panels of a timeline of two steps or more.
pub(in crate::report) fn panels(x: &Experiment) -> Vec<Panel<'static>> {
    let timeline = &x.first().timeline;
    let column = |c: Column| timeline.column(c).to_vec();
    let some = |c: Column| timeline.column(c).iter().any(|v| v.is_finite() && *v > 0.0);
    let most = |c: Column| timeline.column(c).iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    let end = timeline.t.last().copied().unwrap_or(0.0) + timeline.step_seconds;
    let at = |c: Column| {
        let peak = most(c);
        let i = timeline.column(c).iter().position(|v| *v == peak).unwrap_or(0);
        clock(timeline.t[i], end)
    };
    let line = |name, class, c| Series { name, class, values: column(c), form: Form::Line };
    let targets: Vec<(String, f64)> = x
        .slo
        .iter()
        .filter_map(|target| match target {
            Target::Quantile { at_most, .. } => Some((format!("{} target", target.name()), at_most.as_millis_f64())),
            _ => None,
        })
        .collect();
    let mut load = vec![line("offered", "s1", Column::OfferedRps), line("served", "s2", Column::SucceededRps)];
    if some(Column::FailedRps) {
        load.push(Series { name: "failed", class: "s3", values: column(Column::FailedRps), form: Form::Area });
    }
    if some(Column::RetriesRps) {
        load.push(line("retries", "s4 dot", Column::RetriesRps));
    }
    if some(Column::BaselineRps) {
        load.push(line("baseline", "s4 dash", Column::BaselineRps));
    }
    if some(Column::ForecastRps) {
        load.push(line("forecast", "s2 dash", Column::ForecastRps));
    }
    let mut panels = vec![
        Panel {
            id: "load",
            title: "Load",
            finding: format!("peak {}/s at {}", short(most(Column::OfferedRps)), at(Column::OfferedRps)),
            unit: "requests/s",
            height: 200.0,
            log: false,
            series: load,
            targets: vec![],
            marks: false,
            top: None,
        },
        Panel {
            id: "fleet",
            title: "Instances",
            finding: format!(
                "{} to {} took traffic; too few {} of the time; {}",
                x.first().fleet.min,
                x.first().fleet.max,
                percent(x.first().elasticity.under_provisioned_share),
                match x.first().regret.ratio {
                    Some(ratio) => format!("paid {ratio:.2} times what the cheapest fleet would have cost"),
                    None => "no fleet was needed".to_string(),
                }
            ),
            unit: "instances",
            height: 170.0,
            log: false,
            series: vec![
                Series { name: "ready", class: "s4", values: column(Column::InstancesReady), form: Form::Area },
                Series { name: "paid for", class: "s2", values: column(Column::InstancesTotal), form: Form::Step },
                Series { name: "needed", class: "s1 dash", values: column(Column::Needed), form: Form::Step },
                Series {
                    name: "cheapest, knowing the future",
                    class: "s3 dot",
                    values: column(Column::Optimal),
                    form: Form::Step,
                },
            ],
            targets: vec![],
            marks: true,
            top: None,
        },
        Panel {
            id: "latency-over-time",
            title: "Latency",
            finding: format!("p99 peaks at {} ({})", millis(most(Column::P99Ms)), at(Column::P99Ms)),
            unit: "ms",
            height: 190.0,
            log: true,
            series: vec![
                line("p99", "s3", Column::P99Ms),
                line("p90", "s4 dash", Column::P90Ms),
                line("p50", "s1 dot", Column::P50Ms),
            ],
            targets,
            marks: false,
            top: None,
        },
        Panel {
            id: "utilization",
            title: "CPU utilization",
            finding: format!("peak {:.0} %", most(Column::CpuUtilization)),
            unit: "%",
            height: 120.0,
            log: false,
            series: vec![line("CPU", "s2", Column::CpuUtilization)],
            targets: vec![],
            marks: false,
            top: None,
        },
    ];
    if some(Column::QueueLength) {
        panels.push(Panel {
            id: "queue",
            title: "Queue",
            finding: format!("at most {} requests waited", short(most(Column::QueueLength))),
            unit: "requests",
            height: 110.0,
            log: false,
            series: vec![Series {
                name: "waiting",
                class: "s3",
                values: column(Column::QueueLength),
                form: Form::Area,
            }],
            targets: vec![],
            marks: false,
            top: None,
        });
    }
    if some(Column::BreakerOpen) {
        panels.push(Panel {
            id: "breakers",
            title: "Breakers not closed",
            finding: format!("at most {:.0}", most(Column::BreakerOpen)),
            unit: "breakers",
            height: 90.0,
            log: false,
            series: vec![Series {
                name: "open or half-open",
                class: "s3",
                values: column(Column::BreakerOpen),
                form: Form::Step,
            }],
            targets: vec![],
            marks: false,
            top: None,
        });
    }
    panels
}

pub(super) fn draw(x: &Experiment, panel: &Panel, end: f64) -> String {
    let svg = drawing(x, panel, end);
    let legend: Vec<String> = panel
        .series
        .iter()
        .map(|s| {
            let class = s.class;
            format!("<svg width=\"26\" height=\"10\" viewBox=\"0 0 26 10\" style=\"display:inline;width:26px\" aria-hidden=\"true\"><path class=\"{class}\" d=\"M1 5H25\"/></svg> {}", s.name)
        })
        .collect();
    format!(
        "<figure><figcaption><b>{}</b> [{}]: {}. &nbsp; {}</figcaption>{svg}</figure>\n",
        panel.title,
        panel.unit,
        escape(&panel.finding),
        legend.join(" &nbsp; ")
    )
}

/// The drawing of a panel, an `svg` element.
pub(in crate::report) fn drawing(x: &Experiment, panel: &Panel, end: f64) -> String {
    let t = &x.first().timeline.t;
    let (inner_w, inner_h) = (WIDTH - LEFT - RIGHT, panel.height - TOP - BOTTOM);
    let finite = |s: &Series| s.values.iter().copied().filter(|v| v.is_finite()).collect::<Vec<_>>();
    let all: Vec<f64> =
        panel.series.iter().flat_map(finite).chain(panel.targets.iter().map(|(_, value)| *value)).collect();
    let most = panel.top.unwrap_or(0.0).max(all.iter().copied().fold(0.0, f64::max));
    let least = all.iter().copied().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
    let (low, high) = if panel.log && least.is_finite() {
        log_bounds(least, most)
    } else {
        (0.0, *ticks(most, 4).last().unwrap_or(&1.0))
    };
    let px = |t: f64| LEFT + t / end * inner_w;
    let py = |v: f64| {
        let share = if panel.log { (v.max(low) / low).log10() / (high / low).log10() } else { v / high };
        TOP + inner_h * (1.0 - share)
    };
    let mut svg = open_svg(panel.id, panel.title, &panel.finding, panel.height);
    svg.push_str(&shades(x, &px, inner_h, end));
    let marks: Vec<f64> = if panel.log {
        std::iter::successors(Some(low), |v| Some(v * 10.0)).take_while(|v| *v <= high * 1.001).collect()
    } else {
        ticks(most, 4)
    };
    for v in marks {
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
    for tick in time_ticks(end, 8) {
        let (px, y) = (px(tick), panel.height - 8.0);
        let anchor = if tick == 0.0 {
            "start"
        } else if px > WIDTH - 40.0 {
            "end"
        } else {
            "middle"
        };
        let _ = write!(svg, "<text x=\"{px:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", clock(tick, end));
    }
    for series in &panel.series {
        svg.push_str(&path(series, t, &px, &py, x.first().timeline.step_seconds, TOP + inner_h));
    }
    for (name, value) in &panel.targets {
        let y = py(*value);
        let _ = write!(
            svg,
            "<path class=\"target\" d=\"M{LEFT} {y:.1}H{:.1}\"/><text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{} {}</text>",
            WIDTH - RIGHT,
            WIDTH - RIGHT - 4.0,
            y - 4.0,
            escape(name),
            millis(*value)
        );
    }
    if panel.marks {
        svg.push_str(&decisions(x, &px, end));
    }
    svg.push_str("</svg>");
    svg
}

pub(super) fn open_svg(id: &str, title: &str, finding: &str, height: f64) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{title}: {}</title><desc id=\"{id}-d\">{title} over the run: {}. The numbers are in timeline.csv.</desc>",
        escape(finding),
        escape(finding)
    )
}

fn path(
    series: &Series,
    t: &[f64],
    px: &impl Fn(f64) -> f64,
    py: &impl Fn(f64) -> f64,
    step: f64,
    base: f64,
) -> String {
    let points = reduced(t, &series.values, POINTS);
    let thinned = points.len() < series.values.len();
    let mut d = String::new();
    let mut pen_down = false;
    let mut filled: Vec<String> = Vec::new();
    let mut run_start = 0.0;
    let mut last_x = 0.0;
    for (t, v) in points {
        if !v.is_finite() {
            if pen_down && series.form == Form::Area {
                filled.push(format!("{d}V{base:.1}H{run_start:.1}Z"));
                d.clear();
            }
            pen_down = false;
            continue;
        }
        // A value belongs to its step: lines go through the middle, steps along it.
        let (x0, x1, y) = (px(t), px(t + step), py(v));
        let _ = match (series.form, pen_down, thinned) {
            (Form::Line, true, _) => write!(d, "L{:.1} {y:.1}", (x0 + x1) / 2.0),
            (Form::Line, false, _) => write!(d, "M{:.1} {y:.1}", (x0 + x1) / 2.0),
            (_, true, _) => write!(d, "V{y:.1}H{x1:.1}"),
            (_, false, _) => {
                run_start = x0;
                write!(d, "M{x0:.1} {y:.1}H{x1:.1}")
            }
        };
        pen_down = true;
        last_x = x1;
    }
    let _ = last_x;
    if series.form == Form::Area {
        if pen_down {
            filled.push(format!("{d}V{base:.1}H{run_start:.1}Z"));
        }
        let fill = series.class.replace('s', "f");
        let lines: String = filled.join("");
        return format!(
            "<path class=\"{fill} area\" d=\"{lines}\"/><path class=\"{}\" d=\"{lines}\"/>",
            series.class
        );
    }
    format!("<path class=\"{}\" d=\"{d}\"/>", series.class)
}

/// Warm-up, faults and spikes behind the lines.
fn shades(x: &Experiment, px: &impl Fn(f64) -> f64, height: f64, end: f64) -> String {
    let mut out = String::new();
    let mut shade = |class: &str, from: f64, to: f64, title: &str| {
        let (a, b) = (px(from), px(to.min(end)));
        let _ = write!(
            out,
            "<rect class=\"{class}\" x=\"{a:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{}</title></rect>",
            (b - a).max(1.5),
            escape(title)
        );
    };
    if !x.warmup.is_zero() {
        shade("warmup", 0.0, x.warmup.as_secs_f64(), "warm-up: left out of the statistics");
    }
    let events = &x.first().events;
    for (i, event) in events.iter().enumerate() {
        let from = event.at.as_secs_f64();
        match &event.kind {
            EventKind::FaultStarted { fault, until } => {
                let to = until.map_or(from, |until| until.as_secs_f64());
                shade("fault", from, to, &format!("{fault}: {}", event.cause));
            }
            EventKind::SpikeDetected(spike) => {
                let ended =
                    events[i..].iter().find(|e| matches!(&e.kind, EventKind::SpikeEnded(s) if s.id == spike.id));
                let to = ended.map_or(end, |event| event.at.as_secs_f64());
                shade("spike", spike.started_at.as_secs_f64(), to, &event.cause);
            }
            _ => {}
        }
    }
    out
}

fn decisions(x: &Experiment, px: &impl Fn(f64) -> f64, end: f64) -> String {
    let mut out = String::new();
    for event in &x.first().events {
        let (scaling, up) = match &event.kind {
            EventKind::ScaledUp(scaling) => (scaling, true),
            EventKind::ScaledDown(scaling) => (scaling, false),
            _ => continue,
        };
        let (cx, y) = (px(event.at.as_secs_f64().min(end)), TOP + 1.0);
        let (a, b) = if up { (y + 9.0, y) } else { (y, y + 9.0) };
        let class = if up { "f3" } else { "f1" };
        let _ = write!(
            out,
            "<path class=\"{class}\" d=\"M{:.1} {a:.1}L{:.1} {a:.1}L{cx:.1} {b:.1}Z\"><title>{} {} → {}: {}</title></path>",
            cx - 5.0,
            cx + 5.0,
            event.at,
            scaling.from,
            scaling.to,
            escape(&event.cause)
        );
    }
    out
}

/// Latency and time in service against the number of nines.
pub fn percentiles(x: &Experiment) -> String {
    let (latency, service) = (x.latency(), x.service_time());
    let Some(p99) = latency.quantile(0.99) else { return "<p>No request succeeded.</p>".to_string() };
    let height = 260.0;
    let (inner_w, inner_h) = (WIDTH - LEFT - RIGHT, height - TOP - BOTTOM);
    let nines = (latency.count() as f64).log10().clamp(1.0, 6.0);
    let px = |q: f64| LEFT + (-(1.0 - q).log10()).min(nines) / nines * inner_w;
    let curve = |of: &Latency| -> Vec<(f64, f64)> {
        (0..=200)
            .map(|i| 1.0 - 10f64.powf(-nines * f64::from(i) / 200.0))
            .filter_map(|q| of.quantile(q).map(|v| (q, v.as_millis_f64().max(0.001))))
            .collect()
    };
    let (of_latency, of_service) = (curve(&latency), curve(&service));
    let values = || of_latency.iter().chain(&of_service).map(|(_, v)| *v);
    let (low, high) = log_bounds(values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let py = |v: f64| TOP + inner_h * (1.0 - (v.max(low) / low).log10() / (high / low).log10());
    let finding = format!("99 of 100 requests took at most {}", millis(p99.as_millis_f64()));
    let mut svg = open_svg("percentiles", "Percentiles of latency", &finding, height);
    for v in std::iter::successors(Some(low), |v| Some(v * 10.0)).take_while(|v| *v <= high * 1.001) {
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
    for (name, q) in
        [("50 %", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("99.9 %", 0.999), ("99.99 %", 0.9999), ("99.999 %", 0.99999)]
    {
        if -(1.0f64 - q).log10() <= nines + 1e-9 {
            let x = px(q);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{:.1}\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>",
                TOP + inner_h,
                height - 8.0
            );
        }
    }
    for (class, points) in [("s2 dash", &of_service), ("s3", &of_latency)] {
        let d: Vec<String> = points.iter().map(|(q, v)| format!("{:.1} {:.1}", px(*q), py(*v))).collect();
        let _ = write!(svg, "<path class=\"{class}\" d=\"M{}\"/>", d.join("L"));
    }
    for target in x.slo {
        if let Target::Quantile { q, at_most } = target {
            let (cx, cy) = (px(*q), py(at_most.as_millis_f64()));
            let _ = write!(
                svg,
                "<path class=\"target\" style=\"stroke-dasharray:none;stroke-width:2.5\" d=\"M{:.1} {:.1}l12 12m0 -12l-12 12\"><title>{} target {}</title></path>",
                cx - 6.0,
                cy - 6.0,
                target.name(),
                millis(at_most.as_millis_f64())
            );
        }
    }
    svg.push_str("</svg>");
    format!(
        "<figure><figcaption><b>Percentiles</b> [ms]: {}. &nbsp; solid: latency from the scheduled time; dashed: time in service; crosses: targets</figcaption>{svg}</figure>\n",
        escape(&finding)
    )
}

/// Who was served and who was not, over time.
pub fn outcomes(x: &Experiment) -> String {
    let timeline = &x.first().timeline;
    if timeline.len() < 2 || x.counts().failed_total() == 0 {
        return String::new();
    }
    let end = timeline.t.last().copied().unwrap_or(0.0) + timeline.step_seconds;
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
        log: false,
        series: vec![Series { name: "failed", class: "s3", values, form: Form::Area }],
        targets: vec![],
        marks: false,
        top: None,
    };
    draw(x, &panel, end)
}

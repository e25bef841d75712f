//! A panel: lines, steps and areas on the common axis of time.
//!
//! What is drawn is complete without a script. Everything that stretches when somebody zooms is in an inner `svg` of class `plot`,
//! everything that only moves has its moment in `data-t`, and each line has its values in `data-v`: the page's script needs no
//! more, and knows nothing else of the run.

use std::fmt::Write;

use super::escape;
use super::marks;
use crate::report::Experiment;
use crate::report::figure::{POINTS, clock, log_bounds, reduced, short, ticks, time_ticks};

pub(in crate::report) const WIDTH: f64 = 1060.0;
pub(super) const LEFT: f64 = 64.0;
pub(super) const RIGHT: f64 = 14.0;
pub(super) const BOTTOM: f64 = 26.0;
pub(super) const TOP: f64 = 8.0;
/// Width of the part with the data.
pub(super) const INNER: f64 = WIDTH - LEFT - RIGHT;

/// A line, step or area of a panel.
pub(in crate::report) struct Series<'a> {
    pub(in crate::report) name: &'a str,
    /// A color, `c1` to `c6`, and how the line is broken: `dash`, `dot`, `long` or nothing.
    pub(in crate::report) class: &'a str,
    pub(in crate::report) values: Vec<f64>,
    pub(in crate::report) form: Form,
}

#[derive(Clone, PartialEq)]
pub(in crate::report) enum Form {
    /// Through the middle of each step.
    Line,
    /// Along each step.
    Step,
    /// Along each step, filled down to the axis.
    Area,
    /// Filled between the values and these, without a line; where either is not finite there is none.
    Band(Vec<f64>),
}

/// A value with a name: a target, or a threshold.
pub(in crate::report) struct Level {
    pub(in crate::report) label: String,
    pub(in crate::report) value: f64,
}

/// One panel on the common time axis.
#[derive(Default)]
pub(in crate::report) struct Panel<'a> {
    pub(in crate::report) id: &'a str,
    pub(in crate::report) title: &'a str,
    pub(in crate::report) finding: String,
    pub(in crate::report) unit: &'a str,
    pub(in crate::report) height: f64,
    pub(in crate::report) log: bool,
    pub(in crate::report) series: Vec<Series<'a>>,
    pub(in crate::report) levels: Vec<Level>,
    /// Whether decisions to scale, and alerts, are marked.
    pub(in crate::report) marks: bool,
    /// Whether what is shaded is named.
    pub(in crate::report) names: bool,
    /// Bounds of the axis, if charts are to have the same; `None`: as the data needs it. Of a linear axis only the upper one counts.
    pub(in crate::report) range: Option<(f64, f64)>,
    /// Drawn beneath the series instead of what shades faults and spikes; made for `range`.
    pub(in crate::report) ground: Option<String>,
    /// What else belongs to the legend, as markup.
    pub(in crate::report) legend: String,
}

/// Where values are on a panel of some height.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// Height of the part with the data.
    pub(super) inner: f64,
}

impl Axis {
    pub(super) fn new(height: f64, log: bool, (low, high): (f64, f64)) -> Axis {
        Axis { low, high, log, inner: height - TOP - BOTTOM }
    }

    /// Distance from the top of the part with the data.
    pub(super) fn y(&self, v: f64) -> f64 {
        let share = if self.log {
            (v.max(self.low) / self.low).log10() / (self.high / self.low).log10()
        } else {
            v / self.high
        };
        self.inner * (1.0 - share)
    }

    fn marks(&self) -> Vec<f64> {
        if self.log {
            let powers = std::iter::successors(Some(libm::exp10(self.low.log10().ceil())), |v| Some(v * 10.0));
            // A double has some six hundred powers of ten; one that is read from a file may have been infinite.
            powers.take_while(|v| *v <= self.high * 1.001 && v.is_finite()).collect()
        } else {
            ticks(self.high, 4).into_iter().filter(|v| *v <= self.high * 1.001).collect()
        }
    }

    /// Lines across the drawing with their values.
    pub(super) fn grid(&self) -> String {
        let mut out = String::new();
        for v in self.marks() {
            let y = TOP + self.y(v);
            // Writing to a string cannot fail.
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}h{INNER}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                short(v)
            );
        }
        out
    }
}

/// A panel with its title, finding and legend.
pub(super) fn draw(x: &Experiment, panel: &Panel, end: f64) -> String {
    let keys: String = panel
        .series
        .iter()
        .map(|s| {
            let (class, sample) = match s.form {
                Form::Area | Form::Band(_) => (format!("{} area", s.class), "M1 1H25V9H1Z"),
                Form::Line | Form::Step => (s.class.to_string(), "M1 5H25"),
            };
            format!("<span class=\"key\"><svg viewBox=\"0 0 26 10\" aria-hidden=\"true\"><path class=\"{class}\" d=\"{sample}\"/></svg>{}</span>", escape(s.name))
        })
        .collect();
    format!(
        "<figure><figcaption><b>{}</b> [{}]: {}. <span class=\"legend\">{keys}{}</span></figcaption>{}</figure>\n",
        escape(panel.title),
        panel.unit,
        escape(&panel.finding),
        panel.legend,
        drawing(x, panel, end, true)
    )
}

/// The drawing of a panel, an `svg` element; `moving` with what the page's script needs.
pub(in crate::report) fn drawing(x: &Experiment, panel: &Panel, end: f64, moving: bool) -> String {
    let timeline = &x.first().timeline;
    let finite = |s: &Series| s.values.iter().copied().filter(|v| v.is_finite()).collect::<Vec<_>>();
    let levels = panel.levels.iter().map(|level| level.value);
    let all: Vec<f64> = panel.series.iter().flat_map(finite).chain(levels).collect();
    let most = all.iter().copied().fold(0.0, f64::max);
    let least = all.iter().copied().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
    let range = match (panel.range, panel.log) {
        (Some(range), true) => range,
        (None, true) if least.is_finite() => log_bounds(least, most),
        (range, _) => (0.0, *ticks(range.map_or(most, |(_, high)| most.max(high)), 4).last().unwrap_or(&1.0)),
    };
    // Without a value there is nothing to be logarithmic about.
    let axis = Axis::new(panel.height, panel.log && range.0 > 0.0, range);
    let mut svg = open_svg(panel.id, panel.title, &panel.finding, panel.height);
    let data = if moving {
        format!(" data-end=\"{end}\" data-step=\"{}\" data-unit=\"{}\"", timeline.step_seconds, panel.unit)
    } else {
        String::new()
    };
    svg.insert_str("<svg".len(), &data);
    // Writing to a string cannot fail.
    let _ = write!(svg, "<g class=\"y\">{}</g><g class=\"x\">{}</g>", axis.grid(), time_axis(end, panel.height));
    let _ = write!(
        svg,
        "<svg class=\"plot\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{INNER}\" height=\"{0:.1}\" viewBox=\"0 0 {INNER} {0:.1}\" preserveAspectRatio=\"none\">",
        axis.inner
    );
    match &panel.ground {
        Some(ground) => svg.push_str(ground),
        None => svg.push_str(&marks::shades(x, end, axis.inner)),
    }
    for series in &panel.series {
        let values = if moving { format!(" data-v=\"{}\"", listed(&series.values)) } else { String::new() };
        let (class, d) = path(series, &timeline.t, timeline.step_seconds, end, &axis);
        let _ = write!(svg, "<path class=\"{class}\"{values} d=\"{d}\"/>");
    }
    svg.push_str("</svg>");
    for level in &panel.levels {
        let y = TOP + axis.y(level.value);
        let _ = write!(
            svg,
            "<path class=\"target\" d=\"M{LEFT} {y:.1}h{INNER}\"/><text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT - 4.0,
            // Beneath the line if there is no room above it.
            if y < TOP + 12.0 { y + 13.0 } else { y - 4.0 },
            escape(&level.label)
        );
    }
    if panel.names {
        svg.push_str(&marks::names(x, end));
    }
    if panel.marks {
        svg.push_str(&marks::decisions(x, end));
    }
    svg.push_str("</svg>");
    svg
}

/// Moments along the lower edge.
fn time_axis(end: f64, height: f64) -> String {
    let mut out = String::new();
    for tick in time_ticks(end, 8) {
        let px = LEFT + tick / end * INNER;
        let anchor = match tick {
            0.0 => "start",
            _ if px > WIDTH - 40.0 => "end",
            _ => "middle",
        };
        let _ = write!(
            out,
            "<text x=\"{px:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            height - 8.0,
            clock(tick, end)
        );
    }
    out
}

/// The beginning of a drawing that says what it shows.
pub(super) fn open_svg(id: &str, title: &str, finding: &str, height: f64) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}: {}</title><desc id=\"{id}-d\">The numbers are in the tables of this page and in timeline.csv.</desc>",
        escape(title),
        escape(finding)
    )
}

/// Values with four digits, separated by commas; nothing where there is none. Values that repeat are left out, too: `3*12` is
/// twelve times 3.
fn listed(values: &[f64]) -> String {
    let shown = |v: &f64| match v {
        v if !v.is_finite() => String::new(),
        v if v.abs() >= 1000.0 => format!("{v:.0}"),
        v => {
            let digits = 3usize.saturating_sub(v.abs().max(1.0).log10() as usize);
            let text = format!("{v:.digits$}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
        }
    };
    let texts: Vec<String> = values.iter().map(shown).collect();
    let mut out = String::new();
    for run in texts.chunk_by(|a, b| a == b) {
        out.push_str(if out.is_empty() { "" } else { "," });
        out.push_str(&run[0]);
        if run.len() > 1 {
            let _ = write!(out, "*{}", run.len());
        }
    }
    out
}

/// Stretches of points without a gap.
fn runs(points: &[(f64, f64)]) -> impl Iterator<Item = &[(f64, f64)]> {
    points.split(|(_, v)| !v.is_finite()).filter(|run| !run.is_empty())
}

/// The class and the outline of a series.
fn path(series: &Series, t: &[f64], step: f64, end: f64, axis: &Axis) -> (String, String) {
    let px = |t: f64| t / end * INNER;
    let mut d = String::new();
    if let Form::Band(lower) = &series.form {
        let both: Vec<f64> =
            series.values.iter().zip(lower).map(|(a, b)| if b.is_finite() { *a } else { f64::NAN }).collect();
        for run in runs(&reduced(t, &both, POINTS)) {
            let at = |moment: f64| lower[t.partition_point(|each| *each < moment).min(lower.len() - 1)];
            let there = run.iter().map(|(t, v)| (px(t + step / 2.0), axis.y(*v)));
            let back = run.iter().rev().map(|(t, _)| (px(t + step / 2.0), axis.y(at(*t))));
            for (i, (x, y)) in there.chain(back).enumerate() {
                let _ = write!(d, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
            }
            d.push('Z');
        }
        return (format!("{} area band", series.class), d);
    }
    for run in runs(&reduced(t, &series.values, POINTS)) {
        for (i, (t, v)) in run.iter().enumerate() {
            // A value belongs to its step: lines go through the middle, steps along it.
            let (x0, x1, y) = (px(*t), px(t + step), axis.y(*v));
            let _ = match (&series.form, i) {
                (Form::Line, 0) => write!(d, "M{:.1} {y:.1}", (x0 + x1) / 2.0),
                (Form::Line, _) => write!(d, "L{:.1} {y:.1}", (x0 + x1) / 2.0),
                (_, 0) => write!(d, "M{x0:.1} {y:.1}H{x1:.1}"),
                // A step that stays where it is only goes on.
                _ if run[i - 1].1 == *v => write!(d, "H{x1:.1}"),
                _ => write!(d, "V{y:.1}H{x1:.1}"),
            };
        }
        if series.form == Form::Area {
            let _ = write!(d, "V{:.1}H{:.1}Z", axis.inner, px(run[0].0));
        }
    }
    let area = if series.form == Form::Area { " area" } else { "" };
    (format!("{}{area}", series.class), d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_listed_shortly() {
        assert_eq!(listed(&[]), "");
        assert_eq!(listed(&[1.0, 1.0, 1.0, 0.5, f64::NAN, f64::NAN, 1234.56, 12.3456]), "1*3,0.5,*2,1235,12.35");
        assert_eq!(listed(&[0.00004, 999.96]), "0,1000");
    }

    #[test]
    fn lines_break_where_there_is_no_value_and_areas_close() {
        let axis = Axis::new(100.0 + TOP + BOTTOM, false, (0.0, 10.0));
        let series = |form| Series { name: "x", class: "c1", values: vec![1.0, 2.0, f64::NAN, 2.0, 2.0], form };
        let t = [0.0, 1.0, 2.0, 3.0, 4.0];
        let d = |form| path(&series(form), &t, 1.0, INNER, &axis).1;
        assert_eq!(d(Form::Line), "M0.5 90.0L1.5 80.0M3.5 80.0L4.5 80.0");
        assert_eq!(d(Form::Step), "M0.0 90.0H1.0V80.0H2.0M3.0 80.0H4.0H5.0");
        assert_eq!(d(Form::Area), "M0.0 90.0H1.0V80.0H2.0V100.0H0.0ZM3.0 80.0H4.0H5.0V100.0H3.0Z");
        let band = d(Form::Band(vec![0.0, 1.0, 1.0, f64::NAN, 1.0]));
        assert_eq!(band, "M0.5 90.0L1.5 80.0L1.5 90.0L0.5 100.0ZM4.5 80.0L4.5 90.0Z");
    }
}

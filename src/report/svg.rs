//! `report.svg`: the storm in one drawing, without a page around it. Colors are those of the page on white, written out, because
//! not every program that shows SVG knows variables.

use std::fmt::Write;

use super::Experiment;
use super::html::chart::{end_of, panels};
use super::html::escape;
use super::html::panel::{WIDTH, drawing};

/// Room above each panel for its title, and at the top for that of the whole.
const TITLE: f64 = 44.0;
const HEAD: f64 = 44.0;

/// The drawing.
pub fn svg(x: &Experiment) -> String {
    let panels = if x.first().timeline.len() < 2 { Vec::new() } else { panels(x) };
    let height = HEAD + panels.iter().map(|panel| panel.height + TITLE).sum::<f64>();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\">\n<style>{}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text class=\"head\" x=\"10\" y=\"28\">{}: {}</text>\n",
        style(),
        escape(x.name),
        escape(&x.sentence())
    );
    let (mut y, end) = (HEAD, end_of(x));
    for panel in &panels {
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<text class=\"title\" x=\"10\" y=\"{:.1}\">{} [{}]: {}</text>",
            y + 16.0,
            escape(panel.title),
            panel.unit,
            escape(&panel.finding)
        );
        let place = format!("<svg x=\"0\" y=\"{:.1}\" width=\"{WIDTH}\" height=\"{}\" ", y + TITLE, panel.height);
        let _ = writeln!(out, "{}", drawing(x, panel, end, false).replacen("<svg ", &place, 1));
        let mut at = 10.0;
        for series in &panel.series {
            let _ = write!(
                out,
                "<path class=\"{}\" d=\"M{at:.1} {:.1}h22\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                series.class,
                y + 30.0,
                at + 28.0,
                y + 34.0,
                escape(series.name)
            );
            at += 7.0 * series.name.chars().count() as f64 + 48.0;
        }
        y += panel.height + TITLE;
    }
    out.push_str("</svg>\n");
    out
}

/// The rules of the page that concern charts, for white paper.
fn style() -> String {
    const COLORS: [(&str, &str); 12] = [
        ("var(--c1)", "#0072b2"),
        ("var(--c2)", "#009e73"),
        ("var(--c3)", "#d55e00"),
        ("var(--c4)", "#cc79a7"),
        ("var(--c5)", "#1f2328"),
        ("var(--h0)", "#1e3b6f"),
        ("var(--fail)", "#cf222e"),
        ("var(--line)", "#d1d9e0"),
        ("var(--dim)", "#59636e"),
        ("var(--fg)", "#1f2328"),
        ("var(--bg)", "#fff"),
        ("svg ", ""),
    ];
    let mut css = include_str!("html/chart.css").to_string()
        + ".head{font-size:16px;font-weight:600;fill:#1f2328}.title{fill:#1f2328}";
    for (variable, color) in COLORS {
        css = css.replace(variable, color);
    }
    css
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_color_is_written_out() {
        assert!(!super::style().contains("var("), "{}", super::style());
    }
}

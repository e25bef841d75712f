//! `report.html`: one page, offline, readable without script, in light, dark and on paper.
//!
//! Charts are SVG of our own with classes, so that the theme colors them; each states its finding in its title. Everything
//! that came from data goes through [`escape`]. The page's Content-Security-Policy allows nothing but its own style and its own
//! script, both by their hashes: what slipped past the escaping would still not run.

pub(super) mod analysis;
pub(super) mod chart;
pub(crate) mod comparison;
mod decisions;
mod heat;
mod marks;
pub(super) mod panel;
mod percentiles;
pub(crate) mod tables;
pub(crate) mod twin;

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

use super::Experiment;
use super::figure;
use super::verdict::{self, Outcome, millis, percent};
use crate::record::run::Ended;
use crate::record::timeline::Column;

/// The page.
pub fn html(x: &Experiment) -> String {
    let latency = percentiles::percentiles(x) + &heat::heat(x) + &tables::latency(x) + &tables::recorded(x);
    let sections = [
        ("storm", "The storm", chart::storm(x)),
        ("latency", "Latency", latency),
        ("decisions", "Why it scaled", decisions::decisions(x)),
        ("outcomes", "Outcomes", chart::outcomes(x) + &tables::outcomes(x)),
        ("endpoints", "Endpoints", tables::endpoints(x)),
        ("instances", "Instances", tables::instances(x)),
        ("cost", "Cost and elasticity", tables::cost(x)),
        ("identity", "This run", tables::identity(x)),
    ];
    let mut sections = sections.to_vec();
    if let Some(generator) = x.generator() {
        // Nobody sees into the target: who generated the load is what there is to know beside it.
        sections.retain(|(id, ..)| !["decisions", "instances", "cost"].contains(id));
        sections.insert(sections.len() - 1, ("generator", "Load generator", tables::generator(generator)));
    }
    let mut out = open_page(x.name);
    header(&mut out, x);
    out.push_str(&contents(sections.iter().map(|(id, title, _)| (*id, *title))));
    out.push_str(&tables::headline(x));
    for (id, title, body) in &sections {
        section(&mut out, id, title, body);
    }
    out.push_str(CLOSE_PAGE);
    out
}

/// What moves all charts of a page; hidden until the script is there.
const TOOLS: &str = "<div class=\"tools\" hidden><button type=\"button\" value=\"in\">Zoom in</button><button type=\"button\" value=\"out\">Zoom out</button><button type=\"button\" value=\"all\">Whole run</button><button type=\"button\" value=\"before\">Decision before</button><button type=\"button\" value=\"next\">Next decision</button><output id=\"range\"></output><span>Drag across a chart to zoom, double-click for the whole run. Keys on a chart: ← → move the cursor (with Shift, far), + − 0 zoom, n and p go to the next and the previous decision.</span></div>\n";

/// Links to the sections of a page.
pub(crate) fn contents<'a>(sections: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let items: String = sections.map(|(id, title)| format!("<li><a href=\"#{id}\">{title}</a></li>")).collect();
    format!("<nav aria-label=\"Sections\"><ul>{items}</ul></nav>\n")
}

/// The end of a page.
pub(crate) const CLOSE_PAGE: &str = "</main>\n</body>\n</html>\n";

const STYLE: &str = concat!(include_str!("html/page.css"), include_str!("html/chart.css"));
const SCRIPT: &str = include_str!("html/page.js");

/// The beginning of a page, up to where its content goes.
pub(crate) fn open_page(title: &str) -> String {
    let mut out = String::with_capacity(256 * 1024);
    let title = escape(title);
    let hash = |text: &str| format!("'sha256-{}'", BASE64.encode(Sha256::digest(text)));
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title} – wavetank</title>\n<style>{STYLE}</style>\n<script>{SCRIPT}</script>\n</head>\n<body>\n<main>\n\
         <button type=\"button\" id=\"theme\" hidden></button>\n",
        hash(SCRIPT),
        hash(STYLE)
    );
    out
}

fn header(out: &mut String, x: &Experiment) {
    let (class, word) = match x.overall() {
        Some(Outcome::Pass) => ("pass", "Pass"),
        Some(Outcome::Fail) => ("fail", "Fail"),
        Some(Outcome::Inconclusive) => ("unsure", "Inconclusive"),
        None => ("none", "No targets"),
    };
    let _ = write!(
        out,
        "<header>\n<p class=\"kicker\">wavetank · {}</p>\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n",
        x.mode.name(),
        escape(x.name),
        escape(x.description)
    );
    if let Some(text) = cut_short(x) {
        let _ = writeln!(out, "<p class=\"banner\" role=\"alert\">{}</p>", escape(&text));
    }
    let lines: String = why(x).iter().map(|line| format!("<span>{}</span>", escape(line))).collect();
    let sentence = escape(&x.sentence());
    let _ = writeln!(out, "<p class=\"verdict {class}\"><span><strong>{word}</strong> {sentence}</span>{lines}</p>");
    let verdicts = x.verdicts();
    if !verdicts.is_empty() {
        out.push_str("<div class=\"scroll\"><table><caption>Targets</caption><thead><tr><th scope=\"col\">Target</th><th scope=\"col\" class=\"n\">Bound</th><th scope=\"col\" class=\"n\">Observed</th><th scope=\"col\" class=\"n\">95 % interval</th><th scope=\"col\" class=\"n\">Margin</th><th scope=\"col\" class=\"n\">Runs</th><th scope=\"col\">Verdict</th></tr></thead><tbody>");
        for v in &verdicts {
            let ci = v.ci.map_or("–".to_string(), |(low, high)| {
                format!("{} … {}", verdict::figure(&v.target, low), verdict::figure(&v.target, high))
            });
            let observed = v.observed.map_or("–".to_string(), |o| verdict::figure(&v.target, o));
            let _ = write!(
                out,
                "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{observed}</td><td class=\"n\">{ci}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"{}\">{}</td></tr>",
                v.target.name(),
                verdict::figure(&v.target, verdict::bound(&v.target)),
                margin(v),
                x.runs.len(),
                v.outcome.word(),
                escape(&format!("{}{}", v.outcome.word(), v.mask()))
            );
        }
        out.push_str("</tbody></table></div>\n");
    }
    out.push_str("</header>\n");
}

/// How far the observed figure is from its bound, of what the bound allows.
fn margin(v: &verdict::Verdict) -> String {
    let bound = verdict::bound(&v.target);
    let Some(observed) = v.observed else { return "–".to_string() };
    // An availability is near to one: what counts is the share that may fail.
    let (used, allowed) = match verdict::more_is_better(&v.target) {
        true => (1.0 - observed, 1.0 - bound),
        false => (observed, bound),
    };
    match used / allowed {
        ratio if !ratio.is_finite() => "–".to_string(),
        ratio if ratio <= 1.0 => format!("{:.0} % to spare", 100.0 * (1.0 - ratio)),
        ratio if ratio < 10.0 => format!("{:.0} % beyond", 100.0 * (ratio - 1.0)),
        ratio => format!("{ratio:.0} times as much"),
    }
}

/// Two lines that say where the verdict comes from: the worst moment, and what the fleet did.
fn why(x: &Experiment) -> Vec<String> {
    let mut lines = Vec::new();
    let first = x.first();
    let end = chart::end_of(x);
    let worst = |column: Column| {
        let values = first.timeline.column(column).iter().copied().zip(&first.timeline.t);
        values.filter(|(v, _)| *v > 0.0).max_by(|a, b| a.0.total_cmp(&b.0))
    };
    if let Some((p99, at)) = worst(Column::P99Ms) {
        let failed = match worst(Column::FailedRps) {
            Some((rate, at)) => {
                format!("failures peak at {}/s ({})", figure::short(rate), figure::clock(*at, end))
            }
            None => "nothing failed".to_string(),
        };
        let at = figure::clock(*at, end);
        lines.push(format!("The worst of it: p99 {} in the step at {at}; {failed}.", millis(p99)));
    }
    if x.generator().is_some() {
        return lines;
    }
    let (ups, downs) = (x.mean(|run| f64::from(run.fleet.scale_ups)), x.mean(|run| f64::from(run.fleet.scale_downs)));
    let slowest = x.runs.iter().filter_map(|run| run.fleet.longest_scale_up).max();
    let slowest =
        slowest.map_or("none came to its end".to_string(), |span| format!("the slowest served after {span}"));
    let ratio = first.regret.ratio.map_or(String::new(), |ratio| format!("; {ratio:.2} times the cheapest fleet"));
    let (min, max) = x.fleet_range();
    lines.push(format!(
        "The fleet: {min} to {max} instances, {ups:.0} ▲ ({slowest}), {downs:.0} ▼; too few {} of the time{ratio}.",
        percent(x.mean(|run| run.elasticity.under_provisioned_share)),
    ));
    lines
}

fn cut_short(x: &Experiment) -> Option<String> {
    match x.cut_short()? {
        Ended::Completed => None,
        Ended::Interrupted { at } => {
            Some(format!("Interrupted at {at} of {}: the page shows what was measured until then.", x.duration))
        }
        Ended::TrafficLost { at, problem } => Some(format!("The traffic was lost at {at}: {problem}")),
    }
}

pub(crate) fn section(out: &mut String, id: &str, title: &str, body: &str) {
    let _ = writeln!(out, "<section id=\"{id}\">\n<h2>{title}</h2>\n{body}</section>");
}

/// Text that is safe anywhere in the page: markup is escaped; control characters, and those that change the direction of
/// writing, become a visible sign; very long texts are cut.
pub(crate) fn escape(text: &str) -> String {
    const LONGEST: usize = 2_000;
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(LONGEST) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{061C}' => {
                out.push('\u{FFFD}')
            }
            c if c.is_control() => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

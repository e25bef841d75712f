//! `report.html`: one page, offline, readable without script, in light, dark and on paper.
//!
//! Charts are SVG of our own with classes, so that the theme colors them; each states its finding in its title. Everything
//! that came from data goes through [`escape`]. The page's Content-Security-Policy allows nothing but its own style.

pub(super) mod analysis;
pub(super) mod chart;
pub(crate) mod comparison;
pub(crate) mod tables;

use std::fmt::Write;

use super::Experiment;
use super::verdict::{self, Outcome, figure};
use crate::record::run::Ended;

/// The page.
pub fn html(x: &Experiment) -> String {
    let mut out = open_page(x.name);
    header(&mut out, x);
    out.push_str(&tables::headline(x));
    section(&mut out, "storm", "The storm", &chart::storm(x));
    section(&mut out, "latency", "Latency", &(chart::percentiles(x) + &tables::latency(x) + &tables::recorded(x)));
    section(&mut out, "decisions", "Why it scaled", &tables::decisions(x));
    section(&mut out, "outcomes", "Outcomes", &(chart::outcomes(x) + &tables::outcomes(x)));
    section(&mut out, "endpoints", "Endpoints", &tables::endpoints(x));
    section(&mut out, "instances", "Instances", &tables::instances(x));
    section(&mut out, "cost", "Cost and elasticity", &tables::cost(x));
    section(&mut out, "identity", "This run", &tables::identity(x));
    out.push_str(CLOSE_PAGE);
    out
}

/// The end of a page.
pub(crate) const CLOSE_PAGE: &str = "</main>\n</body>\n</html>\n";

/// The beginning of a page, up to where its content goes.
pub(crate) fn open_page(title: &str) -> String {
    let mut out = String::with_capacity(256 * 1024);
    let title = escape(title);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} – wavetank</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n",
        include_str!("html/page.css")
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
    let _ = writeln!(out, "<p class=\"verdict {class}\"><strong>{word}</strong> {}</p>", escape(&x.sentence()));
    let verdicts = x.verdicts();
    if !verdicts.is_empty() {
        out.push_str("<div class=\"scroll\"><table><caption>Targets</caption><thead><tr><th scope=\"col\">Target</th><th scope=\"col\" class=\"n\">Bound</th><th scope=\"col\" class=\"n\">Observed</th><th scope=\"col\" class=\"n\">95 % interval</th><th scope=\"col\" class=\"n\">Runs</th><th scope=\"col\">Verdict</th></tr></thead><tbody>");
        for v in &verdicts {
            let ci = v.ci.map_or("–".to_string(), |(low, high)| {
                format!("{} … {}", figure(&v.target, low), figure(&v.target, high))
            });
            let observed = v.observed.map_or("–".to_string(), |o| figure(&v.target, o));
            let _ = write!(
                out,
                "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{observed}</td><td class=\"n\">{ci}</td><td class=\"n\">{}</td><td class=\"{}\">{}</td></tr>",
                v.target.name(),
                figure(&v.target, verdict::bound(&v.target)),
                x.runs.len(),
                v.outcome.word(),
                v.outcome.word()
            );
        }
        out.push_str("</tbody></table></div>\n");
    }
    out.push_str("</header>\n");
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

//! `compare.html`: the paired differences first, then what each contender did, the front, and the timelines above one another.

use super::table::words;
use super::{Comparison, Measure, Pairing, Trend};
use crate::report::Experiment;
use crate::report::html::comparison::{Point, front, timelines, unbeaten};
use crate::report::html::tables::{sortable, table, value};
use crate::report::html::{CLOSE_PAGE, contents, escape, open_page, section};

/// The page.
pub fn html(x: &Comparison) -> String {
    let mut out = open_page(&x.title);
    out.push_str(&format!(
        "<header>\n<p class=\"kicker\">wavetank · compare</p>\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n</header>\n",
        escape(&x.title),
        escape(&sentence(x))
    ));
    let sections = [
        ("differences", "Differences", differences(x)),
        ("contenders", "What each did", contenders(x)),
        ("front", "Cost and p99", front_of(x)),
        ("timelines", "Timelines", timelines_of(x)),
        ("all", "Every measure", everything(x)),
        ("identity", "These runs", identity(x)),
    ];
    out.push_str(&contents(sections.iter().map(|(id, title, _)| (*id, *title))));
    for (id, title, body) in &sections {
        section(&mut out, id, title, body);
    }
    out.push_str(CLOSE_PAGE);
    out
}

fn timelines_of(x: &Comparison) -> String {
    let rows: Vec<(String, &Experiment)> =
        x.contenders.iter().map(|each| (each.label.clone(), &each.experiment)).collect();
    let note = "<p>The first run of each. Shaded: the warm-up, faults, spikes, and times when a breaker was open; ▲ and ▼ mark decisions to scale.</p>";
    timelines(&rows) + note
}

fn identity(x: &Comparison) -> String {
    let runs = x.contenders.iter().map(|each| {
        vec![
            escape(&each.label),
            format!("{} <code>{}</code>", escape(each.experiment.name), escape(each.experiment.digest)),
            each.experiment.runs.len().to_string(),
            each.experiment.seed.to_string(),
            format!("<code>{}</code>", escape(&each.experiment.command)),
        ]
    });
    let rows: Vec<Vec<String>> = runs.collect();
    let head = ["Contender", "Scenario", "#Runs", "#Seed", "To run it again"];
    let mut identity = table("What was compared.", &head, &rows);
    identity.extend(x.notes.iter().map(|note| format!("<p>{}</p>\n", escape(note))));
    identity
}

/// What the comparison shows, in a sentence.
fn sentence(x: &Comparison) -> String {
    let measures = x.headline();
    let base = &x.contenders[0].label;
    let parts: Vec<String> = x
        .differences(&measures)
        .iter()
        .zip(&x.contenders[1..])
        .map(|(rows, each)| {
            let told: Vec<String> = rows
                .iter()
                .filter(|d| matches!(d.trend(), Trend::Better | Trend::Worse))
                .map(|d| format!("{} {} ({})", d.measure.title(), d.trend().word(), words(d).0))
                .collect();
            match told.is_empty() {
                true => format!("{}: nothing told apart from {base}", each.label),
                false => format!("{} against {base}: {}", each.label, told.join(", ")),
            }
        })
        .collect();
    parts.join("; ") + "."
}

fn differences(x: &Comparison) -> String {
    difference_table(x, &x.headline(), "")
}

fn everything(x: &Comparison) -> String {
    let note = " Adjusted among all measures, which is stricter than the first table.";
    let tables = difference_table(x, &Measure::ALL, note);
    format!("<details><summary>All {} measures</summary>{tables}</details>", Measure::ALL.len())
}

fn difference_table(x: &Comparison, measures: &[Measure], note: &str) -> String {
    let base = escape(&x.contenders[0].label);
    let mut out = String::new();
    for (rows, each) in x.differences(measures).iter().zip(&x.contenders[1..]) {
        let how = match rows[0].pairing {
            Pairing::Paired { pairs } => format!("{pairs} pairs on common random numbers"),
            Pairing::Independent => "independent runs, which takes many more of them to tell apart".to_string(),
        };
        let caption = format!("{} against {base}: {how}.{note}", escape(&each.label));
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|d| {
                let class = match d.trend() {
                    Trend::Better => "pass",
                    Trend::Worse => "fail",
                    _ => "none",
                };
                let (change, _) = words(d);
                let interval =
                    d.interval.map_or("–".into(), |(low, high)| format!("{} … {}", d.show(low), d.show(high)));
                let p = d
                    .p_adjusted
                    .map_or("–".to_string(), |p| if p < 0.0001 { "&lt; 0.0001".into() } else { format!("{p:.4}") });
                let word = d.trend().word();
                vec![
                    escape(d.measure.title()),
                    change,
                    interval,
                    p,
                    format!("<span class=\"{class}\"><strong>{word}</strong></span>"),
                ]
            })
            .collect();
        out.push_str(&table(
            &caption,
            &["Measure", "#Difference", "#95 % interval", "#p, adjusted", "Which is"],
            &rows,
        ));
    }
    out
}

fn contenders(x: &Comparison) -> String {
    let measures = x.headline();
    let mut head: Vec<String> = vec!["Contender".to_string()];
    head.extend(measures.iter().map(|m| format!("#{}", m.title())));
    head.extend(["#cost / cheapest fleet".to_string(), "Verdict".to_string(), "On the front".to_string()]);
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = x
        .contenders
        .iter()
        .zip(x.front())
        .map(|(each, on_front)| {
            let shown =
                |m: Measure| m.mean(&each.experiment).map_or("–".to_string(), |mean| value(m.show(mean), mean));
            let mut row = vec![escape(&each.label)];
            row.extend(measures.iter().map(|&m| shown(m)));
            row.push(shown(Measure::RegretRatio));
            row.push(each.experiment.overall().map_or("no targets", |outcome| outcome.word()).to_string());
            row.push(if on_front { "yes" } else { "no" }.to_string());
            row
        })
        .collect();
    let caption = "Means over the runs, geometric for cost and latency. Regret: beyond the cheapest fleet that meets the demand with the same boot delay and billing, knowing the future.";
    sortable(caption, &head, &rows)
}

/// The contenders on the plane of cost and p99.
pub(crate) fn points(x: &Comparison) -> Vec<Point> {
    let cost = x.headline()[0];
    let point = |(each, on_front): (&super::Contender, bool)| {
        Some(Point {
            label: each.label.clone(),
            cost: cost.mean(&each.experiment)?,
            p99_ms: Measure::P99.mean(&each.experiment)?,
            on_front,
        })
    };
    x.contenders.iter().zip(x.front()).filter_map(point).collect()
}

/// The p99 target of the first contender \[ms\].
pub(crate) fn target_ms(x: &Comparison) -> Option<f64> {
    x.contenders[0].experiment.p99_target_ms()
}

fn front_of(x: &Comparison) -> String {
    let points = points(x);
    front(&points, x.headline()[0].title(), target_ms(x), &unbeaten(&points))
}

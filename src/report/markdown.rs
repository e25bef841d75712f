//! `report.md`: verdict, targets, headline and decisions, for a page or a comment that takes Markdown.

use std::fmt::Write;

use super::verdict::{self, figure, millis, percent, thousands};
use super::{Experiment, console};
use crate::engine::events::EventKind;
use crate::record::outcome::Failure;

/// Decisions that are listed.
const DECISIONS: usize = 40;

/// The summary.
pub fn markdown(x: &Experiment) -> String {
    let mut out = String::new();
    let word = x.overall().map_or("no targets", |outcome| outcome.word());
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# {}: {word}\n\n{}\n", cell(x.name), cell(&x.sentence()));
    if !x.description.is_empty() {
        let _ = writeln!(out, "{}\n", cell(x.description));
    }
    let verdicts = x.verdicts();
    if !verdicts.is_empty() {
        out.push_str("| target | bound | observed | 95 % interval | verdict |\n|---|--:|--:|--:|---|\n");
        for v in &verdicts {
            let ci = v.ci.map_or("–".to_string(), |(low, high)| {
                format!("{} … {}", figure(&v.target, low), figure(&v.target, high))
            });
            let observed = v.observed.map_or("–".to_string(), |o| figure(&v.target, o));
            let bound = figure(&v.target, verdict::bound(&v.target));
            let words = format!("**{}**{}", v.outcome.word(), v.mask());
            let _ = writeln!(out, "| {} | {bound} | {observed} | {ci} | {words} |", v.target.name());
        }
        out.push('\n');
    }
    let (counts, latency) = (x.counts(), x.latency());
    let ms = |q: f64| latency.quantile(q).map_or("–".to_string(), |span| millis(span.as_millis_f64()));
    let (min, max) = x.fleet_range();
    let mut rows = vec![
        ("requests", format!("{} offered, {} served", thousands(counts.offered), thousands(counts.succeeded))),
        ("availability", counts.availability().map_or("–".to_string(), percent)),
        ("latency", format!("p50 {}, p95 {}, p99 {}, p99.9 {}", ms(0.5), ms(0.95), ms(0.99), ms(0.999))),
        ("instances", format!("{min} to {max}, {:.1} on average", x.mean(|run| run.fleet.mean))),
        (
            "scaling",
            format!(
                "{:.0} up, {:.0} down, {:.1} instance-hours, cost {:.2}",
                x.mean(|run| f64::from(run.fleet.scale_ups)),
                x.mean(|run| f64::from(run.fleet.scale_downs)),
                x.mean(|run| run.fleet.cost.instance_hours),
                x.mean(|run| run.fleet.cost.cost)
            ),
        ),
        ("too few instances", percent(x.mean(|run| run.elasticity.under_provisioned_share)) + " of the time"),
        ("regret", console::regret(x)),
        ("runs", format!("{} (seed {})", x.runs.len(), x.seed)),
    ];
    if let Some(generator) = x.generator() {
        rows.retain(|(name, _)| !["instances", "scaling", "too few instances", "regret"].contains(name));
        let words: Vec<String> = generator.faults().into_iter().map(|fault| generator.says(fault)).collect();
        rows.push((
            "generator",
            if words.is_empty() { "nothing speaks against it".into() } else { words.join("; ") },
        ));
        rows.push(("sent", generator.manner()));
    }
    for reason in Failure::ALL.into_iter().filter(|reason| counts.failed_for(*reason) > 0) {
        rows.push((reason.name(), thousands(counts.failed_for(reason))));
    }
    out.push_str("| | |\n|---|---|\n");
    for (name, value) in rows {
        let _ = writeln!(out, "| {name} | {} |", cell(&value));
    }
    let decided = |kind: &EventKind| matches!(kind, EventKind::ScaledUp(_) | EventKind::ScaledDown(_));
    let decisions: Vec<_> = x.first().events.iter().filter(|event| decided(&event.kind)).collect();
    if !decisions.is_empty() {
        out.push_str("\n## Why it scaled\n\n| time | instances | cause |\n|--:|---|---|\n");
        for event in decisions.iter().take(DECISIONS) {
            if let EventKind::ScaledUp(s) | EventKind::ScaledDown(s) = &event.kind {
                let _ = writeln!(out, "| {} | {} → {} | {} |", event.at, s.from, s.to, cell(&event.cause));
            }
        }
        if decisions.len() > DECISIONS {
            let _ = writeln!(out, "\nThe first {DECISIONS} of {}; `wavetank explain` shows all.", decisions.len());
        }
    }
    let _ = writeln!(out, "\n```\n{}\n```", x.command.replace("```", "'''"));
    out
}

/// Text that neither opens a tag nor ends a cell.
fn cell(text: &str) -> String {
    let text = console::plain(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('|', "\\|")
}

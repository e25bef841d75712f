//! Why it scaled: every decision with its cause, where the time went before it, and what followed.

use std::fmt::Write;

use super::escape;
use super::tables::{sortable, value};
use crate::engine::events::{EventKind, Scaling};
use crate::record::timeline::Column;
use crate::report::Experiment;
use crate::units::{Span, Time};

/// Rows that a long table shows; the rest is in report.json.
const SHOWN: usize = 400;

/// Every decision with its cause, and for each scale-up, where the time went; behind a fold, what was held.
pub fn decisions(x: &Experiment) -> String {
    let (mut acted, mut held) = (Vec::new(), Vec::new());
    for event in &x.first().events {
        match &event.kind {
            EventKind::ScaledUp(scaling) | EventKind::ScaledDown(scaling) => acted.push(vec![
                value(event.at.to_string(), event.at.as_secs_f64()),
                format!("{} → {}", scaling.from, scaling.to),
                escape(&scaling.rule),
                escape(&event.cause) + &stages(scaling),
                delays(x, scaling),
                followed(x, scaling, event.at),
            ]),
            EventKind::Held { rule, from, to, blocked } => {
                let reasons: Vec<&str> = blocked.iter().map(|block| block.reason.as_str()).collect();
                held.push(vec![
                    value(event.at.to_string(), event.at.as_secs_f64()),
                    format!("{from} → {to}"),
                    escape(rule),
                    escape(&event.cause),
                    escape(&reasons.join("; ")),
                ]);
            }
            _ => {}
        }
    }
    let mut out = match acted.is_empty() {
        true => "<p>Nothing was decided: the fleet stayed as it was.</p>\n".to_string(),
        false => long_table(
            "Decisions of the first replication.",
            &["#Time", "Instances", "Rule", "Cause", "Where the time went", "What followed"],
            acted,
        ),
    };
    if !held.is_empty() {
        let n = held.len();
        let table =
            long_table("Each time the reasons changed.", &["#Time", "Instances", "Rule", "Cause", "Held by"], held);
        let _ = writeln!(
            out,
            "<details><summary>{n} times something wanted to act and was held</summary>{table}</details>"
        );
    }
    out
}

fn long_table(caption: &str, head: &[&str], mut rows: Vec<Vec<String>>) -> String {
    let more = rows.len().saturating_sub(SHOWN);
    rows.truncate(SHOWN);
    let note = if more > 0 { format!(" The first {SHOWN}; {more} more are in report.json.") } else { String::new() };
    sortable(&format!("{caption}{note}"), head, &rows)
}

fn stages(scaling: &Scaling) -> String {
    if scaling.stages.is_empty() {
        return String::new();
    }
    let items: String = scaling
        .stages
        .iter()
        .map(|stage| {
            format!("<li>{}: {} → {} {}</li>", stage.stage, stage.input, stage.output, escape(&stage.reason))
        })
        .collect();
    format!("<details><summary>stages</summary><ol>{items}</ol></details>")
}

/// When the instances of a scaling began to serve, ascending; those that never did are left out.
fn served_at(x: &Experiment, scaling: &Scaling) -> Vec<Time> {
    let ready = |id: u32| x.first().instances.iter().find(|each| each.id == id)?.ready_at;
    let mut served: Vec<Time> = scaling.instances.iter().filter_map(|id| ready(id.0)).collect();
    served.sort_unstable();
    served
}

/// How long it took until the first and the last of the instances asked for served, and until p99 was within its target again.
fn followed(x: &Experiment, scaling: &Scaling, at: Time) -> String {
    if scaling.to <= scaling.from {
        return String::new();
    }
    let run = x.first();
    let served = served_at(x, scaling);
    let mut parts = Vec::new();
    match (served.first(), served.last()) {
        (Some(first), Some(last)) if first < last => {
            parts.push(format!("the first served after {}, all after {}", first.since(at), last.since(at)));
        }
        (Some(first), _) => parts.push(format!("served after {}", first.since(at))),
        (None, _) if !scaling.instances.is_empty() => parts.push("never served".to_string()),
        _ => {}
    }
    if let Some(bound) = x.p99_target_ms() {
        let from = run.timeline.t.partition_point(|t| *t + run.timeline.step_seconds <= at.as_secs_f64());
        let p99 = &run.timeline.column(Column::P99Ms)[from..];
        if p99.first().is_some_and(|ms| *ms > bound) {
            let back = p99.iter().position(|ms| *ms <= bound);
            parts.push(back.map_or("p99 stayed above its target".to_string(), |steps| {
                let moment = run.timeline.t[from + steps] - at.as_secs_f64();
                format!("p99 within its target after {}", Span::from_secs_f64(moment.max(0.0)))
            }));
        }
    }
    parts.join("; ")
}

/// The parts of a scaling's delay, in words.
fn delays(x: &Experiment, scaling: &Scaling) -> String {
    let Some(timing) = scaling.timing else { return String::new() };
    let mut parts = vec![
        ("metric delay", timing.since.since(timing.sampled_at)),
        ("persistence", timing.held_at.since(timing.since)),
        ("tick", timing.ripe_at.since(timing.held_at)),
        ("cooldown", timing.fired_at.since(timing.ripe_at)),
    ];
    if scaling.to > scaling.from
        && let Some(ready) = served_at(x, scaling).last()
    {
        parts.push(("boot", ready.since(timing.fired_at)));
    }
    let words: Vec<String> =
        parts.into_iter().filter(|(_, span)| !span.is_zero()).map(|(name, span)| format!("{name} {span}")).collect();
    words.join(", ")
}

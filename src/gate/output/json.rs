//! The verdict as JSON: schema `wavetank.gate/1`.

use serde_json::{Value, json as value};

use super::Told;
use crate::gate::criterion::Bound;
use crate::gate::decide::Finding;
use crate::report::json::number;

/// The verdict.
pub fn json(x: &Told) -> String {
    let design = &x.judgement.design;
    let looks: Vec<Value> =
        x.judgement.looks.iter().map(|(runs, outcome)| value!({ "runs": runs, "verdict": outcome.word() })).collect();
    let drifts = x.trend.map(|trend| {
        trend
            .drifts
            .iter()
            .map(|drift| {
                value!({
                    "figure": drift.figure,
                    "before": number(drift.change.before),
                    "after": number(drift.change.after),
                    "p": number(drift.change.p),
                    "began_at": drift.at,
                    "entry": drift.change.at + 1,
                    "revision": drift.revision,
                })
            })
            .collect::<Vec<_>>()
    });
    let all = value!({
        "schema": "wavetank.gate/1",
        "verdict": x.word(),
        "sentence": x.sentence(),
        "name": x.name,
        "baseline": x.baseline,
        "failed_run": x.failed_run,
        "criteria": x.judgement.findings.iter().map(finding).collect::<Vec<_>>(),
        "design": {
            "looks": design.looks,
            "fail_error": design.fail_error,
            "miss_error": design.miss_error,
        },
        "looks": looks,
        "notes": x.notes,
        "history": x.trend.map(|trend| value!({
            "entries": trend.entries,
            "unreadable_lines": trend.unreadable,
            "changes": drifts,
        })),
        "command": x.command,
        "started": x.started,
        "seconds": number(x.seconds),
    });
    serde_json::to_string_pretty(&all).expect("a tree of values can be written") + "\n"
}

fn finding(f: &Finding) -> Value {
    let pair = |pair: Option<(f64, f64)>| pair.map_or(Value::Null, |(low, high)| value!([number(low), number(high)]));
    let one = |x: Option<f64>| x.map_or(Value::Null, number);
    let (kind, bound) = match f.criterion.bound {
        Bound::AtMost(x) => ("at_most", x),
        Bound::AtLeast(x) => ("at_least", x),
        Bound::Regression(x) => ("max_regression", x),
    };
    value!({
        "name": f.criterion.name(),
        "quantity": f.criterion.quantity.key(),
        "kind": kind,
        "bound": number(bound),
        "verdict": f.outcome.word(),
        "observed": one(f.observed),
        "ci": pair(f.interval),
        "deciding": pair(f.deciding),
        "runs": f.runs,
        "paired": f.paired,
        "more_runs": f.more_runs,
        "visible": one(f.visible),
        "p": one(f.p),
        "p_adjusted": one(f.p_adjusted),
        "note": f.note,
    })
}

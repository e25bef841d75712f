//! `verify.json`: schema `wavetank.verify/1`.

use serde_json::{Value, json as value};

use super::misses;
use crate::record::Run;
use crate::report::json::number;
use crate::verify::{Decision, Finding, Step, Trial, Verification, decisions};

/// The verification as JSON.
pub fn json(x: &Verification) -> String {
    let all = value!({
        "schema": "wavetank.verify/1",
        "verdict": x.verdict().key(),
        "notes": x.notes,
        "scenarios": x.trials.iter().map(trial).collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&all).expect("a tree of values can be written") + "\n"
}

fn trial(trial: &Trial) -> Value {
    let live: Vec<Value> = trial.live.runs.iter().map(|run| of_run(trial, run)).collect();
    value!({
        "name": trial.name,
        "digest": trial.sim.digest,
        "seed": trial.sim.seed,
        "verdict": trial.verdict().key(),
        "control_interval_seconds": optional(trial.interval.map(|interval| interval.as_secs_f64())),
        "figures": trial.findings().iter().map(finding).collect::<Vec<_>>(),
        "live_runs": live,
        "on_the_way_ms": optional(trial.on_the_way_ms()),
        "misses": misses(trial),
        "notes": trial.notes,
    })
}

fn finding(finding: &Finding) -> Value {
    value!({
        "figure": finding.figure.key(),
        "is": finding.figure.words(),
        "simulated": optional(finding.simulated),
        "live": optional(finding.live),
        "error": optional(finding.error),
        "noise": optional(finding.noise),
        "aim": number(finding.aim),
        "verdict": finding.verdict.key(),
    })
}

/// A live run beside the simulated one.
fn of_run(trial: &Trial, run: &Run) -> Value {
    let steps = decisions::align(&decisions::of(trial.simulated()), &decisions::of(run));
    value!({
        "offered": run.counts.offered,
        "succeeded": run.counts.succeeded,
        "decisions": steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn step(step: &Step) -> Value {
    value!({
        "simulated": step.first.as_ref().map_or(Value::Null, decision),
        "live": step.second.as_ref().map_or(Value::Null, decision),
        "apart_seconds": optional(step.gap().map(|gap| gap.as_secs_f64())),
    })
}

fn decision(decision: &Decision) -> Value {
    value!({
        "at_seconds": number(decision.at.as_secs_f64()),
        "from": decision.sizes.0,
        "to": decision.sizes.1,
        "rule": decision.rule,
    })
}

fn optional(x: Option<f64>) -> Value {
    x.map_or(Value::Null, number)
}

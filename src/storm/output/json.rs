//! `storm.json`: the map run by run, and every protection that was tried.

use serde_json::{Value, json as value};

use super::Storm;
use crate::report::json::number;
use crate::storm::probe::{Cell, Map, Row};
use crate::storm::protection::Trial;
use crate::storm::recovery::{Fate, State};

/// The probe as JSON (schema `wavetank.storm/1`). Rates in requests per second, times in seconds, shares in 0..1.
pub fn json(storm: &Storm) -> String {
    let settings = &storm.settings;
    let example = storm
        .example
        .as_ref()
        .map(|(before, after)| value!({ "before": cell(before), "after": after.as_ref().map(cell) }));
    let document = value!({
        "schema": "wavetank.storm/1",
        "scenario": { "name": storm.name, "digest": storm.digest },
        "seed": storm.seed,
        "command": storm.command,
        "interrupted": storm.interrupted,
        "trigger": settings.trigger.name(),
        "most": number(settings.most),
        "settle_seconds": number(settings.settle.as_secs_f64()),
        "watch_seconds": number(settings.watch.as_secs_f64()),
        "hold_seconds": number(settings.hold.as_secs_f64()),
        "tolerance": number(settings.tolerance),
        "capacity_rps": number(storm.capacity),
        "load_rps": number(storm.load),
        "calm_p99_ms": number(storm.calm_p99_ms),
        "fluid_bound_rps": storm.fluid_bound().map_or(Value::Null, number),
        "map": map(&storm.map),
        "protections": storm.trials.iter().map(trial).collect::<Vec<_>>(),
        "cheapest": storm.cheapest().map(trial),
        "protected_map": storm.protected.as_ref().map(map),
        "example": example,
    });
    let mut text = serde_json::to_string_pretty(&document).expect("a value can be written");
    text.push('\n');
    text
}

fn map(map: &Map) -> Value {
    value!({
        "vulnerable_rps": map.vulnerable.map(|(returns, sticks)| value!({ "returns": number(returns), "sticks": number(sticks) })),
        "rows": map.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

fn row(row: &Row) -> Value {
    value!({
        "load_rps": number(row.load),
        "length_seconds": number(row.length.as_secs_f64()),
        "calm": row.is_calm(),
        "sticks_from": row.sticks_from().map_or(Value::Null, number),
        "survives": row.survives().map(|(size, after)| value!({ "size": number(size), "returns_after_seconds": number(after.as_secs_f64()) })),
        "runs": row.cells.iter().map(cell).collect::<Vec<_>>(),
    })
}

fn cell(cell: &Cell) -> Value {
    let (fate, after) = match cell.fate {
        Fate::Returns { after } => ("returns", Some(after.as_secs_f64())),
        Fate::Sticks => ("sticks", None),
        Fate::NeverCalm => ("never_calm", None),
    };
    value!({
        "load_rps": number(cell.load),
        "size": number(cell.kick.size),
        "length_seconds": number(cell.kick.length.as_secs_f64()),
        "fate": fate,
        "returns_after_seconds": after.map_or(Value::Null, number),
        "calm": state(&cell.calm),
        "after": state(&cell.after),
        "wasted_work": number(cell.wasted_work),
        "retries_per_request": number(cell.retries),
    })
}

fn state(state: &State) -> Value {
    value!({ "goodput": number(state.goodput), "p90_ms": number(state.p90_ms), "waiting": number(state.waiting) })
}

fn trial(trial: &Trial) -> Value {
    value!({
        "name": trial.protection.name,
        "set": trial.protection.settings,
        "cleared": trial.cleared,
        "of": trial.of,
        "removes": trial.removes(),
        "returns_after_seconds": number(trial.returns_after),
        "cost": number(trial.cost()),
        "more_instances": number(trial.more_instances),
        "lost": number(trial.lost),
        "calm_p99_ms": number(trial.p99_ms),
    })
}

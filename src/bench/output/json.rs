//! The benchmark as JSON: schema `wavetank.bench/1`. Times are in milliseconds, moments count from the change of load.

use serde_json::{Map, Value, json as value};

use super::{finding, sentence};
use crate::bench::figure::{Figure, Reading};
use crate::bench::moments::ScaleUp;
use crate::bench::result::{Bench, Group, World};
use crate::gate::{Judgement, Unit};
use crate::record::Run;
use crate::record::timeline::Column;
use crate::report::json::number;
use crate::units::Span;

/// The benchmark, with what was judged.
pub fn json(x: &Bench, judgement: Option<&Judgement>) -> String {
    let d = &x.definition;
    let ms = |span: Span| number(span.as_millis_f64());
    let all = value!({
        "schema": "wavetank.bench/1",
        "kind": d.kind.name(),
        "sentence": sentence(x),
        "scenario": { "name": x.name, "digest": x.digest },
        "seed": x.seed,
        "repetitions": x.repetitions,
        "interrupted": x.interrupted,
        "definition": {
            "low_rps": number(d.low),
            "high_rps": number(d.high),
            "calm_ms": ms(d.calm),
            "hold_ms": ms(d.hold),
            "after_ms": ms(d.after),
            "p99_target_ms": ms(d.target),
            "initial_instances": d.initial,
            "levels_rps": d.levels.iter().map(|rate| number(*rate)).collect::<Vec<_>>(),
        },
        "meaning": d.kind.figures().iter().map(|f| (key(*f), value!(f.means()))).collect::<Map<String, Value>>(),
        "worlds": x.worlds.iter().map(|each| world(x, each)).collect::<Vec<_>>(),
        "verdict": judgement.map(|judgement| judgement.outcome().word()),
        "criteria": judgement.map(|judgement| judgement.findings.iter().map(|f| value!({
            "name": f.criterion.name(),
            "verdict": f.outcome.word(),
            "observed": f.observed.map_or(Value::Null, number),
            "ci": f.interval.map_or(Value::Null, |(low, high)| value!([number(low), number(high)])),
            "runs": f.runs,
            "note": f.note,
        })).collect::<Vec<_>>()),
        "notes": x.notes,
        "run": {
            "command": x.command,
            "started": x.started,
            "wall_seconds": number(x.seconds),
            "host": x.host,
            "version": env!("CARGO_PKG_VERSION"),
        },
    });
    serde_json::to_string_pretty(&all).expect("a tree of values can be written") + "\n"
}

/// The name of a figure with its unit.
fn key(figure: Figure) -> String {
    let measure = figure.measure();
    match measure.unit {
        Unit::Millis => format!("{}_ms", measure.name),
        Unit::Rate => format!("{}_rps", measure.name),
        Unit::Share | Unit::Count => measure.name.to_string(),
    }
}

fn world(x: &Bench, world: &World) -> Value {
    let knee =
        (x.definition.kind == crate::bench::figure::Kind::Baseline).then(|| world.knee().map_or(Value::Null, number));
    let mut all = value!({
        "world": world.name,
        "finding": finding(x, world),
        "parts": world.groups.iter().map(|group| part(x, group)).collect::<Vec<_>>(),
        "timelines": world.runs.iter().map(timeline).collect::<Vec<_>>(),
    });
    if let Some(knee) = knee {
        all["knee_rps"] = knee;
    }
    all
}

fn part(x: &Bench, group: &Group) -> Value {
    let figures = x.definition.kind.figures().iter().map(|&figure| {
        let spread = group.spread(figure);
        let one = |x: Option<f64>| x.map_or(Value::Null, number);
        let told = value!({
            "median": one(spread.median),
            "least": one(spread.range.map(|(least, _)| least)),
            "most": one(spread.range.map(|(_, most)| most)),
            "happened": spread.happened,
            "never": spread.never.0,
            "unseen": spread.unseen,
            "each": group.readings(figure).map(|reading| match reading {
                Reading::Value(x) => number(x),
                Reading::Never(_) | Reading::Unseen => Value::Null,
            }).collect::<Vec<_>>(),
        });
        (key(figure), told)
    });
    value!({
        "rate_rps": number(group.rate),
        "figures": figures.collect::<Map<String, Value>>(),
        "scale_ups": group.scale_ups.iter().map(|ups| ups.iter().map(scale_up).collect()).collect::<Vec<Vec<Value>>>(),
    })
}

fn scale_up(up: &ScaleUp) -> Value {
    let at = |span: Option<Span>| span.map_or(Value::Null, |span| number(span.as_millis_f64()));
    value!({
        "rule": up.rule,
        "from": up.from,
        "to": up.to,
        "detect_ms": at(Some(up.detect)),
        "decide_ms": at(Some(up.decide)),
        "start_ms": at(up.start),
        "ready_ms": at(up.ready),
        "first_byte_ms": at(up.first_byte),
        "complete_ms": at(up.complete),
    })
}

/// Load, fleet and latency over time.
fn timeline(run: &Run) -> Value {
    const COLUMNS: [Column; 7] = [
        Column::OfferedRps,
        Column::SucceededRps,
        Column::FailedRps,
        Column::P50Ms,
        Column::P99Ms,
        Column::InstancesReady,
        Column::InstancesTotal,
    ];
    let list = |values: &[f64]| Value::Array(values.iter().map(|x| number(*x)).collect());
    let columns = COLUMNS.iter().map(|column| (column.name().to_string(), list(run.timeline.column(*column))));
    let t = std::iter::once(("t".to_string(), list(&run.timeline.t)));
    value!({
        "seed": run.seed,
        "step_seconds": number(run.timeline.step_seconds),
        "columns": t.chain(columns).collect::<Map<String, Value>>(),
    })
}

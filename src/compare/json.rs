//! `compare.json`: schema `wavetank.compare/1`.

use serde_json::{Value, json as value};

use super::measure::Scale;
use super::{Comparison, Contender, Difference, Measure, Pairing};
use crate::record::elasticity::{Elasticity, jitter};
use crate::record::timeline::Column;
use crate::report::Experiment;
use crate::report::json::number;

/// The comparison as JSON.
pub fn json(x: &Comparison) -> String {
    let front = x.front();
    let base = mean_elasticity(&x.contenders[0].experiment);
    let contenders: Vec<Value> =
        x.contenders.iter().zip(front).map(|(each, on_front)| contender(each, on_front, &base)).collect();
    let differences: Vec<Value> = x
        .differences(&Measure::ALL)
        .iter()
        .zip(&x.contenders[1..])
        .map(|(rows, each)| {
            value!({
                "contender": each.label,
                "against": x.contenders[0].label,
                "measures": rows.iter().map(difference).collect::<Vec<_>>(),
            })
        })
        .collect();
    let all = value!({
        "schema": "wavetank.compare/1",
        "title": x.title,
        "notes": x.notes,
        "differences": differences,
        "contenders": contenders,
    });
    serde_json::to_string_pretty(&all).expect("a tree of values can be written") + "\n"
}

fn difference(d: &Difference) -> Value {
    let pairs = match d.pairing {
        Pairing::Paired { pairs } => value!(pairs),
        Pairing::Independent => Value::Null,
    };
    value!({
        "measure": d.measure.key(),
        "scale": if d.scale == Scale::Ratio { "relative" } else { "difference" },
        "change": d.change.map_or(Value::Null, number),
        "ci": d.interval.map_or(Value::Null, |(low, high)| value!([number(low), number(high)])),
        "p": d.p.map_or(Value::Null, number),
        "p_adjusted": d.p_adjusted.map_or(Value::Null, number),
        "pairs": pairs,
        "trend": d.trend().word(),
    })
}

/// The figures of elasticity, each on average over the runs.
fn mean_elasticity(x: &Experiment) -> Elasticity {
    Elasticity {
        under_provisioned_share: x.mean(|run| run.elasticity.under_provisioned_share),
        over_provisioned_share: x.mean(|run| run.elasticity.over_provisioned_share),
        under_accuracy: x.mean(|run| run.elasticity.under_accuracy),
        over_accuracy: x.mean(|run| run.elasticity.over_accuracy),
        instability: x.mean(|run| run.elasticity.instability),
    }
}

/// How much more often the fleet of the first replication changes than the need for it, in an hour. The others' timelines are
/// not kept by reports.
fn jitter_per_hour(x: &Experiment) -> f64 {
    let timeline = &x.first().timeline;
    let first = timeline.t.partition_point(|t| *t < x.warmup.as_secs_f64());
    let of = |column: Column| &timeline.column(column)[first..];
    jitter(of(Column::Needed), of(Column::InstancesReady), timeline.step_seconds / 3600.0)
}

fn contender(each: &Contender, on_front: bool, base: &Elasticity) -> Value {
    let x = &each.experiment;
    let elasticity = mean_elasticity(x);
    let means: serde_json::Map<String, Value> =
        Measure::ALL.iter().map(|m| (m.key().to_string(), m.mean(x).map_or(Value::Null, number))).collect();
    let runs: Vec<Value> = x
        .runs
        .iter()
        .map(|run| {
            let mut map = serde_json::Map::new();
            map.insert("seed".to_string(), value!(run.seed));
            map.extend(Measure::ALL.iter().map(|m| (m.key().to_string(), number(m.of(run)))));
            Value::Object(map)
        })
        .collect();
    value!({
        "name": each.label,
        "scenario": x.name,
        "digest": x.digest,
        "replications": x.runs.len(),
        "verdict": x.overall().map(|outcome| outcome.word()),
        "on_front": on_front,
        "means": means,
        // The composed metrics of the SPEC RG Cloud group: deviation is the 3-norm, speed-up is over the first contender.
        "elasticity": {
            "deviation": number(elasticity.deviation(3.0)),
            "speed_up": number(elasticity.speed_up(base)),
            "jitter_per_hour": number(jitter_per_hour(x)),
        },
        "runs": runs,
    })
}

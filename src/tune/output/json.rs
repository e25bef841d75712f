//! `tune.json`: schema `wavetank.tune/1`.

use serde_json::{Map, Value, json as value};

use super::Told;
use super::words::{availability, headline, notes, p99};
use crate::report::json::number;
use crate::tune::confirm::Advice;
use crate::tune::judge::{Score, Standing};
use crate::tune::search::Candidate;
use crate::tune::space;

/// The study as JSON.
pub fn json(x: &Told) -> String {
    let tuned = x.tuned;
    let confirmation = &tuned.confirmation;
    let confirmed: Vec<Value> = confirmation
        .all
        .iter()
        .map(|each| {
            let searched = tuned.found.score(each.candidate, &x.question.rules);
            value!({
                "candidate": each.candidate,
                "settings": settings(&tuned.found.candidates[each.candidate]),
                "safety": each.safety.word(),
                "cost_per_day": number(each.score.cost),
                "cost_per_day_in_search": searched.map_or(Value::Null, |score| number(score.cost)),
                "p99_ms": p99(&each.samples).map_or(Value::Null, number),
                "availability": availability(&each.samples).map_or(Value::Null, number),
                "targets": targets(x, &each.score),
                "runs": each.samples.len(),
            })
        })
        .collect();
    let advice = match tuned.advice {
        Advice::Change(_) => "change",
        Advice::Keep => "keep",
        Advice::NoneHolds(_) => "none_holds",
    };
    let saving = tuned.saving.map_or(Value::Null, |saving| {
        let (low, high) = saving.interval(0.95);
        let relative = |log: f64| number(log.exp() - 1.0);
        value!({ "relative": relative(saving.center), "ci": [relative(low), relative(high)] })
    });
    let all = value!({
        "schema": "wavetank.tune/1",
        "scenario": { "name": x.name, "digest": x.digest },
        "seed": x.question.seed,
        "method": x.question.method.name(),
        "days": {
            "searched": x.days.searched.iter().map(|day| &day.name).collect::<Vec<_>>(),
            "held_out": x.days.held_out.iter().map(|day| &day.name).collect::<Vec<_>>(),
            "cut": x.days.is_cut,
        },
        "advice": advice,
        "sentence": headline(x),
        "notes": notes(x),
        "recommended": {
            "candidate": tuned.confirmed().candidate,
            "settings": settings(tuned.candidate()),
            "set": space::overrides(&tuned.candidate().settings),
        },
        "cost": { "of": if x.priced { "money" } else { "instance_hours" }, "change": saving },
        "confidence": number(confirmation.confidence),
        "confirmed": confirmed,
        "neighbors": tuned.neighbors.iter().map(|neighbor| value!({
            "key": neighbor.path,
            "value": setting(&neighbor.value),
            "worst": number(neighbor.score.worst(0.0)),
            "cost_per_day": number(neighbor.score.cost),
        })).collect::<Vec<_>>(),
        "stressed": tuned.stressed.iter().map(|(stress, score)| value!({
            "what": stress.name(),
            "holds": score.worst(0.0) <= 0.0,
            "cost_per_day": number(score.cost),
            "targets": targets(x, score),
        })).collect::<Vec<_>>(),
        "importance": tuned.importance.iter().map(|each| value!({
            "key": each.path, "cost": number(each.of_cost), "targets": number(each.of_targets),
        })).collect::<Vec<_>>(),
        "front": tuned.front.iter().enumerate().map(|(i, point)| value!({
            "candidate": point.candidate,
            "settings": settings(&tuned.found.candidates[point.candidate]),
            "cost_per_day": number(point.cost),
            "p99_ms": number(point.p99_ms),
            "availability": number(point.availability),
            "knee": tuned.knee == Some(i),
        })).collect::<Vec<_>>(),
        "runs": { "search": tuned.runs.0, "confirmation": tuned.runs.1, "requests": tuned.requests },
        "command": x.command,
    });
    serde_json::to_string_pretty(&all).expect("a tree of values can be written") + "\n"
}

/// The settings of a candidate, by key.
pub fn settings(candidate: &Candidate) -> Value {
    Value::Object(
        candidate.settings.iter().map(|(path, value)| (path.clone(), setting(value))).collect::<Map<_, _>>(),
    )
}

fn setting(value: &space::Value) -> Value {
    match value {
        space::Value::Number(x) => number(*x),
        space::Value::Integer(n) => value!(n),
        other => value!(other.to_string().trim_matches('"')),
    }
}

fn targets(x: &Told, score: &Score) -> Vec<Value> {
    let confidence = x.tuned.confirmation.confidence;
    let of = |standing: &Standing| {
        let goal = &x.question.rules.goals[standing.goal];
        let bounded = if standing.n < 2 { Value::Null } else { number(goal.observed_at(standing.high(confidence))) };
        value!({
            "name": goal.name(),
            "target": number(goal.bound()),
            "observed": number(goal.observed_at(standing.center)),
            "bound": bounded,
            "g": number(standing.center),
        })
    };
    score.standings.iter().map(of).collect()
}

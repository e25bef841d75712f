//! The analysis as JSON: schema `wavetank.analysis/1`. Moments are seconds since `midnight`; rates are requests per second; what
//! is not known is null.

use serde_json::{Value, json};

use super::{Analysis, findings, kind};
use crate::engine::analyzer::verdict::WEIGHTS;

/// The document, with a line's end.
pub fn json(x: &Analysis) -> String {
    let findings: Vec<Value> = findings(x)
        .into_iter()
        .map(|finding| {
            let (setting, value) = finding.setting.unzip();
            json!({"id": finding.id, "text": finding.text, "setting": setting, "value": value})
        })
        .collect();
    let anomalies: Vec<Value> = x
        .anomalies
        .0
        .iter()
        .map(|each| json!({"at": each.at, "rps": each.rps, "usual_rps": each.usual_rps, "score": each.score}))
        .collect();
    let value = json!({
        "schema": "wavetank.analysis/1",
        "name": x.name,
        "description": x.description,
        "kind": if x.is_log { "requests" } else { "series" },
        "midnight": x.midnight.map(|at| at.to_string()),
        "from": x.span.0,
        "to": x.span.1,
        "requests": x.requests,
        "mean_rps": x.mean_rps(),
        "peak_rps": x.rates.peak(),
        "silent_share": x.silent,
        "instance_rps": x.instance_rps,
        "findings": findings,
        "baseline": {
            "hourly_rps": x.hourly,
            "daily_rps": x.daily,
            "confidence": x.baseline_confidence,
        },
        "bin_seconds": x.bin.as_secs_f64(),
        "spikes": x.spikes.iter().map(spike).collect::<Vec<_>>(),
        "anomalies": {"count": x.anomalies.1, "most_unusual": anomalies},
        "level_shift": x.shift.map(|s| json!({"at": s.at, "from_rps": s.from_rps, "to_rps": s.to_rps, "days": s.days})),
        "odd_days": x.odd_days.iter().map(|d| json!({"at": d.at, "rps": d.rps, "usual_rps": d.usual_rps})).collect::<Vec<_>>(),
        "steepest_rise": x.rise.map(|rise| json!({"at": rise.at, "from_rps": rise.from_rps, "to_rps": rise.to_rps, "factor": rise.factor()})),
        "audience": audience(x),
        "forecast": forecast(x),
    });
    let mut text = serde_json::to_string_pretty(&value).expect("a value of texts and numbers is JSON");
    text.push('\n');
    text
}

fn spike(each: &super::Happening) -> Value {
    let spike = &each.spike;
    let verdict = spike.verdict.as_ref().map(|verdict| {
        let evidence: serde_json::Map<String, Value> = WEIGHTS
            .iter()
            .zip(verdict.evidence.pieces())
            .map(|((name, _), piece)| (name.to_string(), piece.into()))
            .collect();
        json!({
            "class": verdict.class.name(),
            "score": verdict.score,
            "confidence": verdict.confidence,
            "dominant": verdict.dominant,
            "evidence": evidence,
        })
    });
    let advice: Vec<Value> = spike
        .advice
        .iter()
        .map(|advice| json!({"id": advice.id, "setting": advice.setting, "value": advice.value, "text": advice.text}))
        .collect();
    let began = spike.started_at.as_secs_f64();
    json!({
        "onset": began,
        "peak_at": each.peak_at,
        "end": each.ended_at,
        "duration_seconds": each.ended_at.map(|ended| ended - began),
        "peak_rps": spike.peak_rps,
        "baseline_rps": spike.baseline_rps,
        "magnitude": spike.magnitude,
        "taken_for": kind(spike),
        "drop": spike.drop,
        "hours_known": each.informed,
        "verdict": verdict,
        "advice": advice,
    })
}

fn audience(x: &Analysis) -> Value {
    let Some(crowd) = &x.crowd else { return Value::Null };
    let bots: Vec<Value> = crowd
        .bots
        .iter()
        .map(|bot| {
            json!({
                "client": bot.client,
                "agent": bot.agent,
                "requests": bot.requests,
                "most_per_minute": bot.per_minute,
                "points": bot.points,
                "declared": bot.declared,
            })
        })
        .collect();
    let endpoints: Vec<Value> =
        crowd.endpoints.iter().map(|(path, share)| json!({"path": path, "share": share})).collect();
    json!({
        "clients": crowd.clients,
        "requests_judged": crowd.judged,
        "bot_requests": crowd.bot_requests,
        "declared_bot_requests": crowd.declared_requests,
        "bot_clients": crowd.bot_clients.0,
        "clients_judged": crowd.bot_clients.1,
        "bots": bots,
        "p99_person_per_minute": crowd.person_per_minute,
        "endpoints": endpoints,
        "share_4xx": crowd.errors.0,
        "share_5xx": crowd.errors.1,
    })
}

fn forecast(x: &Analysis) -> Value {
    let Some(forecast) = &x.forecast else { return Value::Null };
    // JSON has no infinity: a bound that is not known is null.
    let path: Vec<Value> = forecast
        .path
        .iter()
        .enumerate()
        .map(|(i, each)| {
            let high = each.high.is_finite().then_some(each.high);
            json!({"at": forecast.start + i as f64 * forecast.step, "rps": each.mean, "low": each.low, "high": high})
        })
        .collect();
    let members: Vec<Value> =
        forecast.members.iter().map(|(name, weight)| json!({"model": name, "weight": weight})).collect();
    let backtest = forecast.backtest.map(|test| {
        json!({
            "origins": test.origins,
            "wape": test.wape,
            "mase": test.mase,
            "coverage_90": test.coverage,
            "seasonal_naive": {"wape": test.naive_wape, "mase": test.naive_mase},
        })
    });
    json!({
        "step_seconds": forecast.step,
        "model": forecast.model,
        "members": members,
        "periods_seconds": forecast.periods.iter().map(|period| *period as f64 * forecast.step).collect::<Vec<_>>(),
        "backtest": backtest,
        "path": path,
    })
}

//! `/api/scaling/traffic`: baseline, spikes, predictions, patterns.

use serde_json::{Map, Value, json};

use super::{number, status};
use crate::engine::analyzer::pattern::Share;
use crate::engine::events::Spike;
use crate::live::clock::Clock;
use crate::live::driver::Driver;
use crate::units::{Span, Time};

/// Predictions that are told of.
const PREDICTIONS: usize = 24;

/// What the analyzer makes of the traffic.
pub fn traffic(driver: &Driver) -> Value {
    let clock = *driver.clock();
    driver.with(|_, core| {
        let analyzer = core.engine.analyzer();
        let analysis = analyzer.map(|analyzer| analyzer.analysis(Default::default()));
        let forecast = analysis.as_ref().and_then(|analysis| analysis.forecast.as_ref());
        let made_at = core.engine.outlook().map_or(Time::ZERO, |outlook| outlook.made_at());
        let predictions = forecast.map(|forecast| {
            let every = forecast.path.len().div_ceil(PREDICTIONS).max(1);
            let periods: Vec<String> = forecast.periods.iter().map(|period| format!("period {period}")).collect();
            let one = |(place, prediction): (usize, &crate::engine::forecast::Prediction)| {
                let ahead = Span(forecast.step.0.saturating_mul(place as u64 + 1));
                json!({
                    "timestamp": clock.date(made_at.saturating_add(ahead)),
                    "predictedRPS": number(prediction.mean),
                    "lowRPS": number(prediction.low),
                    "highRPS": number(prediction.high),
                    "confidence": number(forecast.confidence),
                    "timeframe": ahead.to_string(),
                    "basis": forecast.model.name(),
                    "factors": periods,
                })
            };
            forecast.path.iter().enumerate().skip(every - 1).step_by(every).map(one).collect::<Vec<_>>()
        });
        let hours = analysis.as_ref().map_or([None; 24], |analysis| analysis.hourly_rps);
        let days = analysis.as_ref().map_or([None; 7], |analysis| analysis.daily_rps);
        let regions = analysis.as_ref().map_or(&[][..], |analysis| &analysis.regions);
        json!({
            "currentBaseline": {
                "rps": analysis.as_ref().and_then(|a| a.baseline_rps).map_or(Value::Null, number),
                "confidence": number(analysis.as_ref().map_or(0.0, |a| a.baseline_confidence)),
            },
            "activeSpikes": core.log.active_spikes().map(|it| spike(&clock, it)).collect::<Vec<_>>(),
            "recentSpikes": core.log.ended_spikes().map(|it| spike(&clock, it)).collect::<Vec<_>>(),
            "recentPredictions": predictions.unwrap_or_default(),
            "patterns": {
                "hourly": numbered(&hours),
                "daily": numbered(&days),
                "geographic": shares(regions),
            },
            "recommendations": status::recommendations(core),
        })
    })
}

fn spike(clock: &Clock, spike: &Spike) -> Value {
    let pieces = spike.verdict.as_ref().map(|verdict| verdict.evidence);
    let piece = |of: fn(&crate::engine::analyzer::verdict::Evidence) -> Option<f64>| {
        pieces.as_ref().and_then(of).map_or(Value::Null, number)
    };
    json!({
        "id": spike.id.to_string(),
        "startTime": clock.date(spike.started_at),
        "peakRPS": number(spike.peak_rps),
        "baselineRPS": number(spike.baseline_rps),
        "magnitude": number(spike.magnitude),
        "source": spike.verdict.as_ref().map_or("unknown", |verdict| verdict.class.name()),
        "confidence": spike.verdict.as_ref().map_or(Value::Null, |verdict| number(verdict.confidence)),
        "characteristics": {
            "suddenOnset": piece(|e| e.step_onset),
            "sustainedLoad": !spike.drop,
            "geographicSpread": piece(|e| e.geo_shift),
            "userAgentDiversity": piece(|e| e.agent_collapse.map(|lost| 1.0 - lost)),
        },
        "mitigationActions": spike.advice.iter().map(|advice| advice.text.as_str()).collect::<Vec<_>>(),
    })
}

/// Rates by number, those that are known.
fn numbered(rates: &[Option<f64>]) -> Value {
    let known = rates.iter().enumerate().filter_map(|(place, rate)| Some((place.to_string(), number((*rate)?))));
    Value::Object(known.collect::<Map<_, _>>())
}

fn shares(shares: &[Share]) -> Value {
    let one = |share: &Share| (share.key.to_string(), number(share.share));
    Value::Object(shares.iter().map(one).collect::<Map<_, _>>())
}

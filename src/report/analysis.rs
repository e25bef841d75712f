//! What the analyzer found, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Map, Value, json as value};

use super::figure::sparkline;
use crate::engine::analyzer::analysis::{Analysis, Forecast};
use crate::engine::analyzer::pattern::Share;
use crate::units::Time;

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
/// Endpoints and regions that the text names.
const NAMED: usize = 5;

/// Names of what is numbered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'a> {
    /// Of endpoints; numbers beyond are shown as numbers.
    pub endpoints: &'a [String],
    /// Of regions.
    pub regions: &'a [String],
}

fn name(names: &[String], key: usize) -> String {
    names.get(key).cloned().unwrap_or_else(|| format!("#{key}"))
}

/// A few lines for a terminal.
pub fn analysis_text(found: &Analysis, names: Names) -> String {
    let mut out = String::new();
    let mut line = |what: &str, text: String| {
        let _ = writeln!(out, "  {what:<10} {text}");
    };
    match found.baseline_rps {
        Some(rps) => {
            line("baseline", format!("{}/s, confidence {:.0} %", rate(rps), 100.0 * found.baseline_confidence));
        }
        None => line("baseline", "not yet known".to_string()),
    }
    if let Some(extremes) = &found.extremes {
        let hours: Vec<f64> = found.hourly_rps.iter().map(|rps| rps.unwrap_or(0.0)).collect();
        let (busiest, quietest) = (extremes.busiest, extremes.quietest);
        line(
            "hours",
            format!(
                "{}  busiest {:02}:00 with {}/s, quietest {:02}:00 with {}/s",
                sparkline(&hours, 24, busiest.1),
                busiest.0,
                rate(busiest.1),
                quietest.0,
                rate(quietest.1)
            ),
        );
    }
    let days: Vec<String> =
        DAYS.iter().zip(found.daily_rps).filter_map(|(day, rps)| Some(format!("{day} {}/s", rate(rps?)))).collect();
    if days.len() > 1 {
        line("days", days.join(", "));
    }
    for (what, shares, names) in
        [("endpoints", &found.endpoints, names.endpoints), ("regions", &found.regions, names.regions)]
    {
        if shares.len() > 1 {
            let each = |s: &Share| format!("{} {:.1} %", name(names, s.key), 100.0 * s.share);
            line(what, shares.iter().take(NAMED).map(each).collect::<Vec<_>>().join(", "));
        }
    }
    if let Some(forecast) = &found.forecast {
        line("forecast", forecast_text(forecast));
    }
    for advice in &found.advice {
        let set = match (&advice.setting, advice.value) {
            (Some(setting), Some(value)) => format!("{setting} = {value}: "),
            _ => String::new(),
        };
        line("advice", format!("{set}{} ({})", advice.text, advice.id));
    }
    out
}

fn forecast_text(forecast: &Forecast) -> String {
    let seconds = forecast.step.as_secs_f64() * forecast.path.len() as f64;
    let reach = Time::from_secs_f64(seconds);
    let peak = forecast.path.iter().map(|p| p.mean).fold(0.0, f64::max);
    let mut text = format!(
        "up to {}/s within {reach}, by {}, confidence {:.0} %, {:.0} % better than the season before",
        rate(peak),
        forecast.model.name(),
        100.0 * forecast.confidence,
        100.0 * forecast.skill.max(0.0)
    );
    if let (Some(growth), Some(period)) = (forecast.growth, forecast.periods.last()) {
        let _ = write!(text, ", growth {:+.1} % each {period}", 100.0 * growth);
    }
    text
}

fn rate(rps: f64) -> String {
    if rps >= 10.0 { format!("{rps:.0}") } else { format!("{rps:.2}") }
}

/// Everything, as JSON. Rates are requests per second; `null` is not known.
pub fn analysis_json(found: &Analysis, names: Names) -> Value {
    let shares = |shares: &[Share], names: &[String]| -> Value {
        let each = |s: &Share| value!({ "name": name(names, s.key), "share": s.share, "interval": [s.interval.0, s.interval.1] });
        shares.iter().map(each).collect()
    };
    let by = |labels: Vec<String>, rates: &[Option<f64>]| -> Value {
        let known = labels.into_iter().zip(rates).filter_map(|(label, rps)| Some((label, value!((*rps)?))));
        Value::Object(known.collect::<Map<_, _>>())
    };
    value!({
        "baseline_rps": found.baseline_rps,
        "baseline_confidence": found.baseline_confidence,
        "patterns": {
            "hourly": by((0..24).map(|hour| hour.to_string()).collect(), &found.hourly_rps),
            "daily": by((0..7).map(|day| day.to_string()).collect(), &found.daily_rps),
            "endpoints": shares(&found.endpoints, names.endpoints),
            "regions": shares(&found.regions, names.regions),
        },
        "prediction": found.forecast.as_ref().map(forecast_json),
        "recommendations": found.advice.iter().map(|advice| value!({
            "id": advice.id,
            "setting": advice.setting,
            "value": advice.value,
            "text": advice.text,
        })).collect::<Value>(),
    })
}

fn forecast_json(forecast: &Forecast) -> Value {
    let bound = |x: f64| if x.is_finite() { value!(x) } else { Value::Null };
    value!({
        "basis": forecast.model.name(),
        "confidence": forecast.confidence,
        "skill": forecast.skill,
        "gated": forecast.gated,
        "timeframe": forecast.step.as_secs_f64() * forecast.path.len() as f64 / 60.0,
        "step_seconds": forecast.step.as_secs_f64(),
        "periods_seconds": forecast.periods.iter().map(|period| period.as_secs_f64()).collect::<Vec<_>>(),
        "growth": forecast.growth,
        "mean_rps": forecast.path.iter().map(|p| bound(p.mean)).collect::<Value>(),
        "low_rps": forecast.path.iter().map(|p| bound(p.low)).collect::<Value>(),
        "high_rps": forecast.path.iter().map(|p| bound(p.high)).collect::<Value>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::analyzer::advice::Findings;
    use crate::engine::analyzer::audience::Visit;
    use crate::engine::analyzer::{Analyzer, Config};
    use crate::units::Span;

    /// Three days with a busy noon, two endpoints, and a fleet that the forecast outgrows.
    fn found() -> Analysis {
        let config = Config { prediction_window: Some(Span::from_mins(120)), ..Config::default() };
        let (mut analyzer, mut events) = (Analyzer::new(&config), Vec::new());
        let mut n = 0;
        for bin in 0..3 * 8640u64 {
            let day = (bin as f64 / 8640.0 * std::f64::consts::TAU).cos();
            for i in 0..(30.0 - 20.0 * day) as u64 {
                n += 1;
                let at = Time(bin * 10_000_000_000 + i);
                let (client, endpoint) = (n % 97, u32::from(n % 4 == 0));
                let visit =
                    Visit { at, client, prefix: client, agent: None, endpoint, region: 0, client_error: None };
                analyzer.visited(&visit);
            }
            analyzer.tick(analyzer.next_wake(), &mut events);
        }
        analyzer.analysis(Findings { capacity_rps: Some(0.5), max: Some(2), ..Findings::default() })
    }

    #[test]
    fn the_text_and_the_json_say_the_same() {
        let found = found();
        let endpoints = ["/a".to_string(), "/b".to_string()];
        let names = Names { endpoints: &endpoints, regions: &[] };
        let text = analysis_text(&found, names);
        assert!(text.contains("busiest 1") && text.contains("/a 75.0 %, /b 25.0 %"), "{text}");
        assert!(text.contains("autoscaler.max = ") && text.contains("forecast-exceeds-max"), "{text}");
        let json = analysis_json(&found, names);
        assert_eq!(json["patterns"]["endpoints"][0]["name"], "/a");
        assert_eq!(json["prediction"]["timeframe"], 120.0);
        assert_eq!(json["recommendations"][0]["setting"], "autoscaler.max");
        let hourly = json["patterns"]["hourly"].as_object().expect("an object");
        assert!(hourly["12"].as_f64() > hourly["0"].as_f64() && hourly.len() == 24);
        let (means, lows) = (&json["prediction"]["mean_rps"], &json["prediction"]["low_rps"]);
        assert!((0..5).all(|i| lows[i].as_f64() <= means[i].as_f64()), "{json}");
    }
}

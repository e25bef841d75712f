//! Vegeta: a report in JSON, or results by `vegeta encode`.

use serde_json::Value;

use super::Tally;
use crate::gate::sample::{Distribution, Sample};

/// `vegeta report -type=json`; its times are nanoseconds.
pub(super) fn report(text: &str) -> Result<Sample, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let requests = json["requests"].as_u64().ok_or("found no requests")?;
    let success = json["success"].as_f64().filter(|x| (0.0..=1.0).contains(x)).ok_or("found no share of success")?;
    let latencies = &json["latencies"];
    let quantiles = latencies.as_object().into_iter().flatten().filter_map(|(key, value)| {
        let percent: f64 = key.strip_suffix("th")?.parse().ok()?;
        Some((percent / 100.0, value.as_f64()? / 1e6))
    });
    let latency =
        Distribution::Summary { quantiles: quantiles.collect(), mean: latencies["mean"].as_f64().map(|ns| ns / 1e6) };
    let failed = (requests as f64 * (1.0 - success)).round() as u64;
    let mut sample = Sample::of_requests(requests, failed, latency);
    sample.throughput_rps = json["rate"].as_f64();
    Ok(sample)
}

/// Results, a JSON object a line.
pub(super) fn results(text: &str) -> Result<Sample, String> {
    let mut tally = Tally::default();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let result: Value = serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))?;
        let ns = result["latency"].as_f64().ok_or_else(|| format!("line {number}: found no latency"))?;
        let code = result["code"].as_u64().ok_or_else(|| format!("line {number}: found no code"))?;
        let ok = (200..400).contains(&code) && result["error"].as_str().unwrap_or_default().is_empty();
        let start = result["timestamp"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let end = start.map(|start| (start.as_nanosecond() as f64 + ns) / 1e6);
        tally.request(ns / 1e6, ok, end).map_err(|problem| format!("line {number}: {problem}"))?;
    }
    Ok(tally.sample())
}

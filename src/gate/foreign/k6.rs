//! k6: the summary, old (`--summary-export`) and new (`handleSummary`), and the points of `--out json`.

use serde_json::Value;

use super::Tally;
use crate::gate::sample::{Distribution, Sample};

/// A summary.
pub(super) fn summary(text: &str) -> Result<Sample, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let metrics = &json["metrics"];
    // `handleSummary` puts the figures one level lower.
    let figures = |name: &str| {
        let metric = &metrics[name];
        if metric["values"].is_object() { metric["values"].clone() } else { metric.clone() }
    };
    let expected = figures("http_req_duration{expected_response:true}");
    let duration = if expected.is_object() { expected } else { figures("http_req_duration") };
    let Value::Object(entries) = &duration else {
        return Err("found no metrics.http_req_duration: is it of HTTP?".to_string());
    };
    let quantile = |key: &str| match key {
        "med" => Some(0.5),
        key => key.strip_prefix("p(")?.strip_suffix(')')?.parse::<f64>().ok().map(|percent| percent / 100.0),
    };
    let quantiles = entries.iter().filter_map(|(key, value)| Some((quantile(key)?, value.as_f64()?))).collect();
    let mean = duration["avg"].as_f64();
    let reqs = figures("http_reqs");
    let count = reqs["count"].as_f64().ok_or("found no metrics.http_reqs.count")?;
    // A rate counts what is true: those that failed.
    let failed = figures("http_req_failed");
    let rate = failed["value"].as_f64().or_else(|| failed["rate"].as_f64());
    let failed = failed["passes"].as_f64().or_else(|| rate.map(|rate| rate * count)).unwrap_or(0.0);
    if !(0.0..1e15).contains(&count) || !(0.0..=count).contains(&failed) {
        return Err(format!("found {failed} failures among {count} requests"));
    }
    let latency = Distribution::Summary { quantiles, mean };
    let mut sample = Sample::of_requests(count.round() as u64, failed.round() as u64, latency);
    sample.throughput_rps = reqs["rate"].as_f64();
    Ok(sample)
}

/// Points, a JSON object a line.
pub(super) fn points(text: &str) -> Result<Sample, String> {
    let mut tally = Tally::default();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| line.contains("\"http_req_duration\"")) {
        let point: Value = serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))?;
        if point["type"] != "Point" || point["metric"] != "http_req_duration" {
            continue;
        }
        let data = &point["data"];
        let ms = data["value"].as_f64().ok_or_else(|| format!("line {number}: found no data.value"))?;
        let tags = &data["tags"];
        let ok = match (tags["expected_response"].as_str(), tags["status"].as_str()) {
            (Some(expected), _) => expected == "true",
            (None, Some(status)) => matches!(status.parse::<u16>(), Ok(status) if (200..400).contains(&status)),
            (None, None) => true,
        };
        let at = data["time"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let at = at.map(|at| at.as_nanosecond() as f64 / 1e6);
        tally.request(ms, ok, at).map_err(|problem| format!("line {number}: {problem}"))?;
    }
    Ok(tally.sample())
}

//! Locust: `…_stats.csv`, whose last row aggregates the others.

use crate::gate::sample::{Distribution, Sample};

/// The aggregated row.
pub(super) fn statistics(text: &str) -> Result<Sample, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let head = reader.headers().map_err(|error| error.to_string())?.clone();
    let place = |name: &str| {
        head.iter().position(|each| each.trim() == name).ok_or_else(|| format!("found no column {name:?}"))
    };
    let name = place("Name")?;
    let mut rows = Vec::new();
    for row in reader.records() {
        rows.push(row.map_err(|error| error.to_string())?);
    }
    // With a single endpoint some versions leave the sum out.
    let sum = rows.iter().find(|row| row.get(name) == Some("Aggregated")).or(match rows.as_slice() {
        [only] => Some(only),
        _ => None,
    });
    let row = sum.ok_or("found no row called Aggregated")?;
    let number = |column: &str| -> Result<f64, String> {
        let text = row.get(place(column)?).unwrap_or_default().trim();
        let found: Option<f64> = text.parse().ok().filter(|x| (0.0..1e15).contains(x));
        found.ok_or_else(|| format!("{column}: found {text:?}, expected a number"))
    };
    let (requests, failed) = (number("Request Count")? as u64, number("Failure Count")? as u64);
    if failed > requests {
        return Err(format!("found {failed} failures among {requests} requests"));
    }
    let percent = |column: &str| column.trim().strip_suffix('%').and_then(|percent| percent.parse::<f64>().ok());
    let quantiles = head.iter().enumerate().filter_map(|(i, column)| {
        let q = percent(column)? / 100.0;
        Some((q, row.get(i)?.trim().parse::<f64>().ok()?)).filter(|(q, _)| *q < 1.0)
    });
    let latency =
        Distribution::Summary { quantiles: quantiles.collect(), mean: number("Average Response Time").ok() };
    let mut sample = Sample::of_requests(requests, failed, latency);
    sample.throughput_rps = number("Requests/s").ok();
    Ok(sample)
}

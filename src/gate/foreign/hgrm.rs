//! The percentile table of HdrHistogram: `.hgrm` files, and what wrk2 prints with `--latency`.

use super::super::sample::{Distribution, Sample};

/// The table, and what wrk2 says around it.
pub(super) fn spectrum(text: &str) -> Result<Sample, String> {
    let start =
        text.find("1/(1-Percentile)").ok_or("found no percentile table, which has 1/(1-Percentile) in its head")?;
    // Both write milliseconds.
    let mut rows: Vec<(f64, f64)> = Vec::new();
    let mut seen = 0u64;
    for line in text[start..].lines().skip(1).map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("#[") {
            break;
        }
        let mut parts = line.split_whitespace();
        let row = (|| {
            let ms: f64 = parts.next()?.parse().ok()?;
            let quantile: f64 = parts.next()?.parse().ok()?;
            let count: u64 = parts.next()?.parse().ok()?;
            ((0.0..1e12).contains(&ms) && (0.0..=1.0).contains(&quantile)).then_some((ms, quantile, count))
        })();
        let Some((ms, quantile, count)) = row else {
            return Err(format!("found {line:?}, expected value, percentile, total count"));
        };
        if count < seen || rows.last().is_some_and(|(q, _)| *q > quantile) {
            return Err(format!("found {line:?} after a larger percentile or count"));
        }
        rows.push((quantile, ms));
        seen = count;
    }
    // A quantile is the value of the first row that reaches it: never less than the truth.
    let wanted = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999];
    let quantiles = wanted.iter().filter_map(|&q| {
        let most = 1.0 - 1.0 / seen.max(1) as f64;
        let (_, ms) = rows.iter().find(|(quantile, _)| *quantile >= q - 1e-12)?;
        (q <= most || q <= 0.99).then_some((q, *ms))
    });
    let mean = text[start..].split("#[Mean").nth(1).and_then(number_after_equals);
    let around = |name: &str| -> Option<f64> {
        let line = text.lines().find(|line| line.trim_start().starts_with(name))?;
        line[line.find(name)? + name.len()..].trim_start_matches([':', ' ']).split_whitespace().next()?.parse().ok()
    };
    // wrk2 counts answers by status, and those that never came apart from the table.
    let bad = around("Non-2xx or 3xx responses").unwrap_or(0.0) as u64;
    let lost: u64 = text.lines().find(|line| line.trim_start().starts_with("Socket errors")).map_or(0, |line| {
        line.split([' ', ',']).filter_map(|part| part.trim().parse::<u64>().ok()).fold(0, u64::saturating_add)
    });
    let answered = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    let requests = answered.unwrap_or(seen).saturating_add(lost);
    let latency = Distribution::Summary { quantiles: quantiles.collect(), mean };
    let mut sample = Sample::of_requests(requests, bad.saturating_add(lost).min(requests), latency);
    sample.throughput_rps = around("Requests/sec");
    Ok(sample)
}

fn number_after_equals(text: &str) -> Option<f64> {
    text.split('=').nth(1)?.trim_start().split([',', ']']).next()?.trim().parse().ok()
}

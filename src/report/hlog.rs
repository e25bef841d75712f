//! HdrHistogram's interval logs (`.hlog`): a histogram a line, with the time that it covers and, optionally, a tag.
//!
//! Written in format 1.3 with V2 histograms; read with V0, V1 and V2, plain or compressed, of whatever unit and shape, as Java's
//! HdrHistogram, jHiccup, YCSB and others wrote them since 2014. Histograms merge without loss, bucket by bucket.

mod legacy;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;

use super::Experiment;
use crate::record::Run;
use crate::record::latency::{Latency, deserialize};

/// One line of a log.
#[derive(Clone, Debug)]
pub struct Interval {
    /// What it is of; `None` without a tag.
    pub tag: Option<String>,
    /// Start from the log's beginning \[s\].
    pub start: f64,
    /// Length \[s\].
    pub length: f64,
    /// The values, in the unit of whoever wrote them.
    pub histogram: Histogram<u64>,
}

/// A log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// When it began, in seconds since 1970, if it says so.
    pub started: Option<f64>,
    /// Its lines, in order.
    pub intervals: Vec<Interval>,
    /// Units per millisecond, as far as its head or its maxima tell: 1,000 for µs, 1,000,000 for ns.
    pub per_ms: f64,
}

/// Reads a log; the error names the line.
pub fn read(text: &str) -> Result<Log, String> {
    let mut log = Log { per_ms: 1000.0, ..Log::default() };
    let mut base: Option<f64> = None;
    let mut divisor = None;
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            let seconds = |name: &str| {
                let rest = comment.trim_start_matches(['[', ' ']).strip_prefix(name)?;
                rest.trim_start_matches([':', ' ']).split([' ', ']']).next()?.parse::<f64>().ok()
            };
            log.started = log.started.or_else(|| seconds("StartTime"));
            base = base.or_else(|| seconds("BaseTime"));
            continue;
        }
        if line.is_empty() || line.starts_with('"') {
            continue;
        }
        let (interval, shown_max) = interval(line).map_err(|problem| format!("line {number}: {problem}"))?;
        if divisor.is_none() && shown_max > 0.0 && interval.histogram.max() > 0 {
            divisor = Some(interval.histogram.max() as f64 / shown_max);
        }
        log.intervals.push(interval);
    }
    // Times are from the base, which is the start if they say nothing; or absolute, if they are later than a year before it.
    let shift = match (base, log.started, log.intervals.first()) {
        (Some(base), Some(started), _) => base - started,
        (None, Some(started), Some(first)) if first.start >= started - 365.0 * 86_400.0 => -started,
        _ => 0.0,
    };
    log.intervals.iter_mut().for_each(|interval| interval.start += shift);
    // The third column is the maximum in milliseconds by custom: what it was divided by tells the unit.
    if let Some(divisor) = divisor {
        log.per_ms = [1.0, 1e3, 1e6].into_iter().find(|unit| (divisor / unit - 1.0).abs() < 0.05).unwrap_or(1e3);
    }
    Ok(log)
}

fn interval(line: &str) -> Result<(Interval, f64), String> {
    let mut fields = line.split(',').peekable();
    let tag = fields.next_if(|field| field.starts_with("Tag=")).map(|tag| tag[4..].to_string());
    let mut number = |what: &str| -> Result<f64, String> {
        let field = fields.next().unwrap_or_default().trim();
        let parsed: Option<f64> = field.parse().ok().filter(|x: &f64| x.is_finite());
        parsed.ok_or_else(|| format!("{what}: found {field:?}, expected a number"))
    };
    let (start, length, max) = (number("start")?, number("length")?, number("maximum")?);
    let encoded = fields.next().unwrap_or_default().trim();
    Ok((Interval { tag, start, length, histogram: decode(encoded)? }, max))
}

/// A histogram of any version from base64.
pub fn decode(encoded: &str) -> Result<Histogram<u64>, String> {
    let bytes = BASE64.decode(encoded).map_err(|error| format!("the histogram is not base64: {error}"))?;
    match legacy::version(&bytes) {
        Some(_) => legacy::decode(&bytes),
        None => deserialize(&bytes).map_err(|error| format!("no HdrHistogram V0, V1 or V2: {error}")),
    }
}

impl Log {
    /// Tags in the order in which they first appear; `None` for lines without.
    pub fn tags(&self) -> Vec<Option<String>> {
        let mut tags: Vec<Option<String>> = Vec::new();
        for interval in &self.intervals {
            if !tags.contains(&interval.tag) {
                tags.push(interval.tag.clone());
            }
        }
        tags
    }

    /// The sum of lines that a condition holds for, in as many digits as the finest of them, at least three; lossless: each count is
    /// at the lowest value of its slot, as in Java's HdrHistogram. `None` if there is none.
    pub fn sum(&self, of: impl Fn(&Interval) -> bool) -> Option<Histogram<u64>> {
        let wanted: Vec<&Histogram<u64>> =
            self.intervals.iter().filter(|interval| of(interval)).map(|interval| &interval.histogram).collect();
        let digits = wanted.iter().map(|histogram| histogram.sigfig()).max()?.max(3);
        let mut sum = Histogram::<u64>::new(digits).ok()?;
        for histogram in wanted {
            for each in histogram.iter_recorded() {
                // It resizes itself, so every value fits.
                sum.record_n(histogram.lowest_equivalent(each.value_iterated_to()), each.count_at_value()).ok()?;
            }
        }
        Some(sum)
    }
}

/// The log of an experiment, in µs: for each replication, one after another in time, the latency of succeeded requests without a
/// tag, that of all requests tagged `all`, and the time in service tagged `service`; of a share of a load also each step of the timeline,
/// warm-up included, tagged `step`.
pub fn hlog(x: &Experiment) -> String {
    let started = x.info.started.parse::<jiff::Timestamp>().map_or(0.0, |at| at.as_millisecond() as f64 / 1e3);
    let mut out = format!(
        "#[Histogram log format version 1.3]\n#[wavetank: {}, latencies in microseconds]\n#[StartTime: {started:.3} (seconds since epoch)]\n#[BaseTime: {started:.3} (seconds since epoch)]\n\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
        x.name.replace(['\n', '\r', ']'], " ")
    );
    type Of = fn(&Run) -> &Latency;
    let kinds: [(&str, Of); 3] =
        [("", |run| &run.latency), ("Tag=all,", |run| &run.latency_all), ("Tag=service,", |run| &run.service_time)];
    let mut start = 0.0;
    for run in x.runs {
        let from = start + x.warmup.as_secs_f64();
        for (tag, of) in kinds {
            let latency = of(run);
            let max = latency.histogram().max() as f64 / 1e3;
            let length = run.measured.as_secs_f64();
            out.push_str(&format!("{tag}{from:.3},{length:.3},{max:.3},{}\n", latency.encoded().hdr));
        }
        let (length, steps) = (run.timeline.step_seconds, &run.latency_steps);
        for (place, step) in steps.iter().enumerate().filter(|(_, step)| step.min <= step.max) {
            let (from, max) = (start + place as f64 * length, step.max.as_millis_f64());
            out.push_str(&format!("Tag=step,{from:.3},{length:.3},{max:.3},{}\n", step.hdr));
        }
        start += x.duration.as_secs_f64();
    }
    out
}

#[cfg(test)]
mod tests;

//! `wavetank describe`: what is in a recording.

use std::io::{IsTerminal, Write};

use super::args::DescribeArgs;
use super::dataset::{self, names};
#[cfg(feature = "render")]
use super::exit::OrExit;
use super::exit::{Exit, Failure};
use crate::report;
use crate::report::figure::{clock, short, sparkline};
use crate::report::verdict::{millis, percent, thousands};
use crate::traffic::replay::{Dataset, Summary};
use crate::units::Span;

/// Endpoints shown at most.
const ENDPOINTS: usize = 8;
/// Classes of status by their place in [`Summary::statuses`].
const CLASSES: [&str; 7] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx", "other"];
const QUANTILES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];

/// Reads the recording and tells.
pub fn describe(args: DescribeArgs) -> Result<Exit, Failure> {
    let (dataset, _files) = dataset::open(&args.dataset)?;
    #[cfg(feature = "render")]
    if let Some(path) = &args.png {
        let rates = Rates::of(dataset.summary());
        let peak = short(dataset.summary().peak_rps);
        let title = format!("{}: peaks at {peak}/s", names(&dataset));
        crate::report::chart::rate_png(&title, &rates.points(), rates.width, path)
            .map_err(|e| anyhow::anyhow!(e))
            .or_run_failed()?;
    }
    let mut stdout = std::io::stdout().lock();
    let color = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = if args.json { json(&dataset) } else { text(&dataset, color) };
    // A closed pipe is the reader's choice.
    let _ = stdout.write_all(text.as_bytes());
    Ok(Exit::Done)
}

/// The rate over time.
struct Rates {
    /// Requests per second in each bin.
    values: Vec<f64>,
    /// Length of a bin \[s\].
    width: f64,
}

impl Rates {
    fn of(summary: &Summary) -> Rates {
        let width = summary.bins.width().as_secs_f64();
        Rates { values: summary.bins.counts().map(|n| n / width).collect(), width }
    }

    /// The rate that a share of the time does not exceed.
    fn quantile(&self, q: f64) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (q * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }

    /// Start of each bin \[s from the first\] and its rate.
    #[cfg(feature = "render")]
    fn points(&self) -> Vec<(f64, f64)> {
        self.values.iter().enumerate().map(|(i, rate)| (i as f64 * self.width, *rate)).collect()
    }
}

fn text(dataset: &Dataset, color: bool) -> String {
    let summary = dataset.summary();
    let rates = Rates::of(summary);
    let mut out = String::new();
    let dim = |text: &str| if color { format!("\x1b[2m{text}\x1b[0m") } else { text.to_string() };
    let mut line = |label: &str, value: String| {
        out.push_str(&format!("  {} {value}\n", dim(&format!("{label:<13}"))));
    };
    line("recording", format!("{}: {}", names(dataset), summary.description));
    let span = match (summary.first, summary.last) {
        (Some(first), Some(last)) => format!("{first} .. {last} ({})", summary.recorded),
        _ => summary.recorded.to_string(),
    };
    line("span", span);
    let step = summary.step.map_or(String::new(), |step| format!(" in {} steps of {step}", thousands(summary.lines)));
    line("requests", format!("{}{step}", thousands(summary.requests as u64)));
    let mean = summary.mean_rps();
    let ratio = if mean > 0.0 { format!(", {:.1} times the mean", summary.peak_rps / mean) } else { String::new() };
    line(
        "rate",
        format!(
            "mean {}/s   p50 {}/s   p99 {}/s (of {})   peak {}/s over {} at {}{ratio}",
            short(mean),
            short(rates.quantile(0.5)),
            short(rates.quantile(0.99)),
            summary.bins.width(),
            short(summary.peak_rps),
            summary.peak_over,
            summary.peak_at
        ),
    );
    let bars = sparkline(&rates.values, 60, rates.values.iter().copied().fold(0.0, f64::max));
    line("", bars);
    line("", dim(&format!("0{:>59}", clock(summary.recorded.as_secs_f64(), summary.recorded.as_secs_f64()))));
    for (i, each) in summary.burstiness.iter().enumerate() {
        let label = if i == 0 { "burstiness" } else { "" };
        let note = if i == 0 { "   (dispersion 1: Poisson; above: bursts; below: evenly spaced)" } else { "" };
        let (scale, dispersion, peak) = (each.scale.to_string(), short(each.dispersion), each.peak_to_mean);
        line(label, format!("over {scale:<4} dispersion {dispersion:<7} peak/mean {peak:.1}{}", dim(note)));
    }
    if summary.is_log {
        line("clients", format!("{}{}", thousands(summary.clients as u64), capped(dataset)));
        let mut endpoints: Vec<(&String, u64)> =
            summary.endpoints.iter().zip(summary.endpoint_requests.iter().copied()).collect();
        endpoints.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        for (i, (path, n)) in endpoints.iter().take(ENDPOINTS).enumerate() {
            let label = if i == 0 { format!("endpoints {}", endpoints.len()) } else { String::new() };
            line(&label, format!("{:>8}  {}", percent(*n as f64 / summary.requests.max(1.0)), visible(path)));
        }
        let codes = CLASSES.iter().zip(summary.statuses).filter(|(_, n)| *n > 0);
        let codes: Vec<String> =
            codes.map(|(class, n)| format!("{class} {}", percent(n as f64 / summary.requests.max(1.0)))).collect();
        line("status", codes.join("   "));
        if let Some(took) = &summary.recorded_answers.took {
            let quantile = |(name, q): (&str, f64)| {
                format!("{name} {}", millis(Span::from_micros(took.value_at_quantile(q)).as_millis_f64()))
            };
            line("response time", QUANTILES.map(quantile).join("   "));
        }
        if summary.bytes > 0 {
            line("bytes", thousands(summary.bytes));
        }
    }
    for (i, gap) in summary.pauses.iter().enumerate() {
        let label = if i == 0 { "pauses" } else { "" };
        let after = match jiff::Timestamp::from_second(gap.after) {
            Ok(after) if summary.first.is_some() => after.to_string(),
            _ => Span::from_secs_f64(gap.after as f64).to_string(),
        };
        line(label, format!("{} after {after}", gap.length));
    }
    let notes = [
        (summary.other_lines, "other lines (comments, headings, messages) passed over"),
        (summary.whole_seconds, "stamps of whole seconds, spread inside the second by keyed draws when played"),
        (summary.out_of_order, "out of order"),
        (summary.late, "later than a minute, moved"),
        (summary.repeated, "like the request before it in the same second"),
        (summary.setbacks, "times the clock was set back"),
        (summary.resets, "times the counter began again"),
        (summary.duplicates, "rows for a step that had one, added up"),
        (summary.missing_steps, "steps without a row, taken as zero"),
        (summary.filtered, "left out by the filter"),
        (summary.cut, "before or after what was asked for"),
        (summary.bad.total(), "malformed"),
    ];
    for (count, what) in notes.into_iter().filter(|(count, _)| *count > 0) {
        line("note", format!("{} {what}", thousands(count)));
    }
    if summary.bad.total() > 0 {
        line("", visible(&summary.bad.to_string()));
    }
    out
}

fn capped(dataset: &Dataset) -> &'static str {
    let most = dataset.options().max_clients as usize;
    if dataset.summary().clients >= most { " or more" } else { "" }
}

/// Text from data, safe on a terminal, and no longer than a few of its lines.
fn visible(text: &str) -> String {
    let plain = report::plain(text);
    if plain.chars().count() > 200 { plain.chars().take(199).chain(['…']).collect() } else { plain }
}

fn json(dataset: &Dataset) -> String {
    let summary = dataset.summary();
    let rates = Rates::of(summary);
    let moment = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string());
    let burstiness: Vec<_> = summary
        .burstiness
        .iter()
        .map(|each| {
            serde_json::json!({
                "scale_seconds": each.scale.as_secs_f64(),
                "index_of_dispersion": each.dispersion,
                "peak_to_mean": each.peak_to_mean,
            })
        })
        .collect();
    let endpoints = summary.endpoints.iter().zip(&summary.endpoint_requests);
    let endpoints: Vec<_> = endpoints.map(|(path, n)| serde_json::json!({"path": path, "requests": n})).collect();
    let statuses: serde_json::Map<String, serde_json::Value> =
        CLASSES.iter().zip(summary.statuses).map(|(class, n)| (class.to_string(), n.into())).collect();
    let took = summary.recorded_answers.took.as_ref().map(|took| {
        let quantiles =
            QUANTILES.map(|(name, q)| (name.to_string(), (took.value_at_quantile(q) as f64 / 1000.0).into()));
        serde_json::Value::Object(quantiles.into_iter().collect())
    });
    let pauses: Vec<_> = summary
        .pauses
        .iter()
        .map(|gap| serde_json::json!({"after_seconds": gap.after, "length_seconds": gap.length.as_secs_f64()}))
        .collect();
    let examples: Vec<String> = summary.bad.examples.iter().map(ToString::to_string).collect();
    let value = serde_json::json!({
        "schema": "wavetank.description/1",
        "files": dataset.paths().iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "description": summary.description,
        "kind": if summary.is_log { "requests" } else { "series" },
        "first": moment(summary.first),
        "last": moment(summary.last),
        "recorded_seconds": summary.recorded.as_secs_f64(),
        "step_seconds": summary.step.map(Span::as_secs_f64),
        "lines": summary.lines,
        "requests": summary.requests,
        "rate_rps": {
            "mean": summary.mean_rps(),
            "p50": rates.quantile(0.5),
            "p99": rates.quantile(0.99),
            "of_seconds": rates.width,
            "peak": summary.peak_rps,
            "peak_over_seconds": summary.peak_over.as_secs_f64(),
            "peak_at_seconds": summary.peak_at.as_secs_f64(),
        },
        "burstiness": burstiness,
        "clients": summary.clients,
        "endpoints": endpoints,
        "statuses": statuses,
        "response_time_ms": took,
        "bytes": summary.bytes,
        "pauses": pauses,
        "other_lines": summary.other_lines,
        "whole_second_stamps": summary.whole_seconds,
        "out_of_order": summary.out_of_order,
        "late": summary.late,
        "repeated": summary.repeated,
        "clock_setbacks": summary.setbacks,
        "counter_resets": summary.resets,
        "duplicate_steps": summary.duplicates,
        "missing_steps": summary.missing_steps,
        "filtered": summary.filtered,
        "cut": summary.cut,
        "malformed": summary.bad.total(),
        "malformed_examples": examples,
    });
    let mut text = serde_json::to_string_pretty(&value).expect("a value of texts and numbers is JSON");
    text.push('\n');
    text
}

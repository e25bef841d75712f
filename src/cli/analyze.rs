//! `wavetank analyze`: what an operator would act on in a recording.
//!
//! The recording is read as a stream: requests flow into the analyzer in bins, and into sessions that are judged when they end; what is
//! kept grows with the length of the recording only, by a number each five minutes. A rate series does the same with its steps, without
//! the sessions.

mod ahead;
mod days;
mod sessions;
mod watch;

use std::io::Write;
use std::path::Path;

use anyhow::Context;

use super::args::AnalyzeArgs;
use super::dataset::{self, names};
use super::exit::{Exit, Failure, OrExit};
use crate::report::analysis::{self, Analysis, Crowd, Rates};
use crate::traffic::replay::{Dataset, Error, Summary};
use crate::units::{Span, Time};
use sessions::Sessions;
use watch::Watch;

const NANOS: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * NANOS;
/// Requests that an average bin should have, so that chance is no spike, and the bins to choose from \[s\].
const PER_BIN: f64 = 20.0;
const BINS: [u64; 7] = [10, 30, 60, 300, 600, 1800, 3600];
/// Endpoints that are listed.
const ENDPOINTS: usize = 10;

/// Reads the recording and tells.
pub fn analyze(args: AnalyzeArgs) -> Result<Exit, Failure> {
    let (dataset, _files) = dataset::open(&args.dataset)?;
    let analysis = of(&dataset, args.instance_rps).or_bad_input()?;
    if let Some(folder) = &args.out {
        write(&analysis, folder).or_run_failed()?;
    }
    let mut text = if args.json { analysis::json(&analysis) } else { analysis::text(&analysis) };
    if let (Some(folder), false) = (&args.out, args.json) {
        text.push_str(&format!("\nwritten to {}\n", folder.display()));
    }
    // A closed pipe is the reader's choice.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(Exit::Done)
}

fn write(analysis: &Analysis, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, text) in [("analysis.json", analysis::json(analysis)), ("analysis.html", analysis::html(analysis))] {
        crate::report::write_file(&folder.join(name), text.as_bytes())?;
    }
    #[cfg(feature = "render")]
    crate::report::chart::analysis(analysis, &folder.join("analysis.png")).map_err(|e| anyhow::anyhow!(e))?;
    Ok(())
}

/// Analyzes a recording.
fn of(dataset: &Dataset, instance_rps: Option<f64>) -> Result<Analysis, Error> {
    let summary = dataset.summary();
    let dated = summary.first.is_some();
    let bin = bin_for(summary);
    let first = match summary.first {
        Some(first) => first.as_nanosecond() as i64,
        None => 0,
    };
    let midnight = first.div_euclid(DAY) * DAY;
    let relative = |at: i64| at.saturating_sub(midnight).max(0) as u64;
    let mut watch = Watch::new(bin, relative(first), instance_rps, summary);
    let mut sessions = Sessions::default();
    if summary.is_log {
        let reach = if summary.out_of_order > 0 { crate::traffic::replay::REORDER_WINDOW } else { Span::ZERO };
        dataset.for_each_request(|second, record| -> Result<(), Error> {
            // A request that came late was moved, and has no place within its second.
            let within = record.subsecond.filter(|_| record.second == second).unwrap_or(0);
            let at = Time(relative(second.saturating_mul(NANOS).saturating_add(i64::from(within))));
            sessions.hit(at, record);
            watch.request(at, reach, record);
            Ok(())
        })?;
    } else {
        let (step, factor) = (summary.step.unwrap_or(bin), dataset.counts_per_value());
        dataset.for_each_step(|at, value| -> Result<(), Error> {
            watch.step(Time(relative(at)), step, value * factor);
            Ok(())
        })?;
    }
    let seen = watch.finish();
    let width = summary.bins.width().as_secs_f64();
    let rates = Rates {
        start: (summary.bins.start as f64) - (midnight / NANOS) as f64,
        width,
        values: summary.bins.counts().map(|n| n / width).collect(),
    };
    let hourly = seen.hourly();
    let (shift, odd_days) = if dated { days::days(&seen, midnight.div_euclid(DAY)) } else { (None, Vec::new()) };
    Ok(Analysis {
        name: names(dataset),
        description: summary.description.clone(),
        midnight: dated.then(|| jiff::Timestamp::from_nanosecond(i128::from(midnight)).ok()).flatten(),
        span: seen.span,
        is_log: summary.is_log,
        requests: summary.requests,
        rates,
        bin,
        hourly,
        silent: seen.silent(summary.mean_rps()),
        daily: if dated { seen.daily(midnight.div_euclid(DAY)) } else { [None; 7] },
        baseline_confidence: seen.confidence,
        anomalies: seen.anomalies(&hourly),
        shift,
        odd_days,
        rise: seen.rise,
        crowd: summary.is_log.then(|| crowd(sessions, summary)),
        forecast: ahead::forecast(&seen),
        spikes: seen.happenings,
        instance_rps,
    })
}

/// The shortest bin in which chance is no spike; of a series, a step at least.
fn bin_for(summary: &Summary) -> Span {
    let step = summary.step.filter(|_| !summary.is_log).unwrap_or(Span::ZERO);
    let enough = |bin: &u64| summary.mean_rps() * *bin as f64 >= PER_BIN;
    let wanted = Span::from_secs(BINS.into_iter().find(enough).unwrap_or(3600));
    if step.is_zero() {
        return wanted;
    }
    // Values of a series may be anything, also shares: their steps are as fine as they are.
    let fine = Span::from_secs(10);
    if step >= fine { step } else { Span(fine.0.div_ceil(step.0) * step.0) }
}

fn crowd(sessions: Sessions, summary: &Summary) -> Crowd {
    let all = summary.requests.max(1.0);
    let mut endpoints: Vec<(String, f64)> = summary
        .endpoints
        .iter()
        .zip(&summary.endpoint_requests)
        .map(|(path, n)| (path.clone(), *n as f64 / all))
        .collect();
    let files = endpoints.iter().filter(|(path, _)| is_file(path)).map(|(_, share)| share).sum();
    endpoints.sort_by(|a, b| b.1.total_cmp(&a.1));
    endpoints.truncate(ENDPOINTS);
    let share = |class: usize| summary.statuses[class] as f64 / all;
    Crowd { clients: summary.clients as u64, endpoints, files, errors: (share(4), share(5)), ..sessions.finish() }
}

/// Endings of files that a cache can answer for.
const FILES: [&str; 20] = [
    "gif", "jpg", "jpeg", "png", "webp", "svg", "ico", "xbm", "bmp", "css", "js", "mjs", "map", "woff", "woff2",
    "ttf", "otf", "mp3", "mp4", "webm",
];

/// Whether a path is that of a file which is the same for everybody.
fn is_file(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let ending = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending);
    ending.is_some_and(|ending| FILES.iter().any(|each| each.eq_ignore_ascii_case(ending)))
}

#[cfg(test)]
mod tests;

//! The system that meets a recording when no scenario is named: an auto-scaled service of the recording's size, so that any file can be
//! played with nothing but its name.
//!
//! What the recording tells is taken from it: the rate, and the time of an answer where its lines have one. The rest is a guess that
//! scales: an instance has the workers that a tenth of the recorded peak keeps busy, so that the fleet moves between one and some ten
//! instances whether the peak is one request a minute or a million a second. The guess is written beside the report as a scenario to
//! correct.

use std::path::Path;

use super::dataset;
use super::exit::{Failure, OrExit};
use crate::scenario::{self, Scenario, Traffic};
use crate::traffic::formats::Work;
use crate::traffic::replay::{Dataset, Error};
use crate::units::Span;

/// Mean service time where the recording tells no response time: a page of a web shop, whose database is near.
const SERVICE: Span = Span::from_millis(50);
/// CPU utilization that the fleet is kept at \[%\].
const TARGET: f64 = 60.0;
/// Instances that the recorded peak keeps at that.
const AT_PEAK: f64 = 10.0;

/// Requests that are played at most, unless a scale is told: a quarter of a minute's work. Of more, one in so many is, and the system is
/// of that size.
const REQUESTS: f64 = 1e7;
/// Decisions of the autoscaler at most, for the same reason: recordings of years have coarse steps.
const DECISIONS: u64 = 500_000;

/// A system, and the recording that it meets.
pub struct Meeting {
    /// The system, and the recording as it is played.
    pub scenario: Scenario,
    /// The recording.
    pub dataset: Dataset,
    /// The scenario as a file.
    pub text: String,
}

/// Opens the recording that `replay`, the keys of `[traffic] replay`, names, and makes a system of its size; `overrides` change that.
/// `is_scaled` is whether the keys tell how many of the requests are played.
pub fn meet(replay: &str, is_scaled: bool, overrides: &[String]) -> Result<Meeting, Failure> {
    let parse = |text: &str| scenario::parse(text, "stand-in.toml", Path::new(""), overrides).or_bad_input();
    let Traffic::Replay { mut recording, .. } =
        parse(&format!("traffic.replay = {{ {replay} }}\nservice.time = '1s'"))?.traffic
    else {
        unreachable!("the traffic is a replay")
    };
    recording.options.tables = dataset::tables();
    let dataset = Dataset::open_all(&recording.paths, &recording.options).or_bad_input()?;
    let all = dataset.summary().requests * f64::from(dataset.options().repeat);
    let mut replay = replay.to_string();
    let dataset = if !is_scaled && all > REQUESTS {
        let scale = REQUESTS / all;
        replay.push_str(&format!(", scale = {scale:?}"));
        dataset.scaled(scale).or_bad_input()?
    } else {
        dataset
    };
    let demand = demand(&dataset).or_bad_input()?;
    let text = text(&dataset, demand, &replay);
    Ok(Meeting { scenario: parse(&text)?, dataset, text })
}

/// How long a request keeps a worker busy on average, and who says so.
fn demand(dataset: &Dataset) -> Result<(Span, &'static str), Error> {
    let summary = dataset.summary();
    if summary.works > 0 {
        let (mut sum, mut n) = (0.0, 0u64);
        dataset.for_each_request(|_, record| {
            if let Work::Nanos(nanos) = record.work {
                (sum, n) = (sum + nanos as f64, n + 1);
            }
            Ok::<(), Error>(())
        })?;
        if n > 0 {
            return Ok((Span(((sum / n as f64) as u64).max(1)), "as the trace says"));
        }
    }
    match &summary.recorded_answers.took {
        Some(took) if took.mean() >= 1.0 => {
            Ok((Span::from_micros(took.mean().round() as u64), "the recorded response time"))
        }
        _ => Ok((SERVICE, "a guess, the recording tells none")),
    }
}

fn text(dataset: &Dataset, (demand, source): (Span, &str), replay: &str) -> String {
    let (summary, options) = (dataset.summary(), dataset.options());
    let factor = options.speed * options.scale;
    let busy_at_peak = summary.peak_rps * factor * demand.as_secs_f64() / (TARGET / 100.0);
    let workers = (busy_at_peak / AT_PEAK).ceil().clamp(1.0, 1e6);
    let mean = summary.requests / summary.recorded.as_secs_f64().max(1.0);
    let initial = (mean * factor * demand.as_secs_f64() / (TARGET / 100.0) / workers).ceil().clamp(1.0, AT_PEAK);
    let name = dataset.paths().first().and_then(|path| path.file_name()).map(|name| name.to_string_lossy());
    let name = name.as_deref().and_then(|name| name.split('.').find(|part| !part.is_empty())).unwrap_or("replay");
    let quoted = |text: &str| toml_edit::Value::from(text).to_string();
    let busy = if workers > 1.0 { format!("{workers} workers") } else { "one worker".to_string() };
    let mut description =
        format!("No scenario was named: a stand-in of {busy} an instance, {demand} a request ({source})");
    if options.scale < 1.0 {
        description.push_str(&format!("; one request in {:.0} is played (--scale)", 1.0 / options.scale));
    }
    let interval = (dataset.duration() / DECISIONS).max(Span::from_secs(15));
    format!(
        "# A stand-in of the recording's size. Say here what your system is, and play it again with --scenario.
[scenario]
name = {name}
description = {description}

[traffic]
replay = {{ {replay} }}

[service]
workers = {workers}
time = {{ dist = \"lognormal\", mean = \"{demand}\", sigma = 0.5 }}   # {source}

[fleet]
initial = {initial}
boot = {{ dist = \"lognormal\", mean = \"60s\", sigma = 0.2 }}
price_per_hour = 0.10

[autoscaler]
min = 1
max = {max}
interval = \"{interval_s}s\"
scale_down_cooldown = \"5m\"
metrics = {{ window = \"{window_s}s\", delay = \"10s\" }}

[[autoscaler.policy]]
kind = \"target_tracking\"
metric = \"cpu_utilization\"
target = {TARGET}
",
        name = quoted(name),
        description = quoted(&description),
        interval_s = interval.0 / 1_000_000_000,
        window_s = interval.0 / 1_000_000_000 * 4,
        max = 3.0 * AT_PEAK,
    )
}

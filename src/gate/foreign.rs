//! Results of other tools, judged by the same rules: each file is one run.
//!
//! | tool | file | latency of |
//! |---|---|---|
//! | k6 | summary (`--summary-export` or `handleSummary`), NDJSON (`--out json`) | responses that were expected, where it tells |
//! | wrk2, HdrHistogram | its output, or `.hgrm` | all requests |
//! | JMeter | JTL in CSV or XML | samples that succeeded |
//! | Gatling | `simulation.log` as text (up to 3.12) | requests that were OK |
//! | Locust | `…_stats.csv` | all requests |
//! | Vegeta | `report -type=json`, or results by `encode` | successes, or all in a report |
//!
//! What they measure is not what a wavetank run measures: closed loops leave out what they did not send, and most count from when a
//! request was sent rather than from when it was due. The notes say so.

mod gatling;
mod hgrm;
mod jmeter;
mod k6;
mod locust;
mod vegeta;

use std::io;
use std::path::{Path, PathBuf};

use super::sample::{Distribution, Sample};
use crate::record::latency::Latency;
use crate::units::Span;

/// A tool whose results can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// k6's summary.
    K6Summary,
    /// k6's points, a JSON object a line.
    K6Points,
    /// wrk2's output or an `.hgrm` file.
    Hgrm,
    /// JMeter's JTL, in CSV or XML.
    JMeter,
    /// Gatling's simulation log.
    Gatling,
    /// Locust's statistics in CSV.
    Locust,
    /// Vegeta's report in JSON.
    VegetaReport,
    /// Vegeta's results, a JSON object a line.
    VegetaResults,
}

impl Tool {
    /// Every tool.
    pub const ALL: [Tool; 8] = [
        Tool::K6Summary,
        Tool::K6Points,
        Tool::Hgrm,
        Tool::JMeter,
        Tool::Gatling,
        Tool::Locust,
        Tool::VegetaReport,
        Tool::VegetaResults,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Tool::K6Summary => "k6-summary",
            Tool::K6Points => "k6-ndjson",
            Tool::Hgrm => "hgrm",
            Tool::JMeter => "jmeter",
            Tool::Gatling => "gatling",
            Tool::Locust => "locust",
            Tool::VegetaReport => "vegeta-report",
            Tool::VegetaResults => "vegeta-results",
        }
    }

    /// What its numbers leave out, for a note.
    pub fn caveat(self) -> &'static str {
        match self {
            Tool::K6Summary => "a summary has the quantiles it has; --out json has all of them",
            Tool::K6Points => "latency counts from when a request was sent",
            Tool::Hgrm => "values are those of the percentile table",
            Tool::JMeter => "a closed loop leaves out what it did not send while it waited",
            Tool::Gatling => "latency counts from when a request was sent",
            Tool::Locust => {
                "a closed loop leaves out what it did not send while it waited; failures are among the latencies"
            }
            Tool::VegetaReport => "failures are among the latencies",
            Tool::VegetaResults => "latency counts from when a request was sent",
        }
    }
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there, or cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// Nobody wrote this that is known.
    #[error("{}: {problem}", path.display())]
    Unfit {
        /// Which.
        path: PathBuf,
        /// What was found, and what was expected.
        problem: String,
    },
}

/// Reads one run of another tool; `tool` if it is known, else it is found out from the content.
pub fn load(path: &Path, tool: Option<Tool>) -> Result<(Sample, Tool), Error> {
    let bytes = std::fs::read(path).map_err(|cause| Error::Unreadable { path: path.to_path_buf(), cause })?;
    let unfit = |problem: String| Error::Unfit { path: path.to_path_buf(), problem };
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        unfit("not text; Gatling 3.13 and later write a binary log, which has no documented form".to_string())
    })?;
    let tool = match tool.or_else(|| detect(text)) {
        Some(tool) => tool,
        None => {
            let names: Vec<&str> = Tool::ALL.iter().map(|tool| tool.name()).collect();
            return Err(unfit(format!("of no tool that is known: expected {}", names.join(", "))));
        }
    };
    let sample = parse(text, tool).map_err(unfit)?;
    if sample.requests == 0 {
        return Err(unfit("no requests in it".to_string()));
    }
    Ok((sample, tool))
}

/// Whose result a text is.
pub fn detect(text: &str) -> Option<Tool> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let first = text.lines().next()?;
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok().filter(serde_json::Value::is_object);
    if text.starts_with('{') {
        if let Some(line) = json(first).filter(|_| text.lines().nth(1).is_some_and(|line| line.starts_with('{'))) {
            return Some(match (line.get("metric").is_some(), line.get("latency").is_some()) {
                (true, _) => Tool::K6Points,
                (false, true) => Tool::VegetaResults,
                (false, false) => return None,
            });
        }
        let whole = json(text)?;
        return match () {
            () if whole.get("metrics").is_some() => Some(Tool::K6Summary),
            () if whole.get("latencies").is_some() => Some(Tool::VegetaReport),
            () if whole.get("latency").is_some() && whole.get("code").is_some() => Some(Tool::VegetaResults),
            () => None,
        };
    }
    if text.starts_with('<') && text.contains("<testResults") {
        return Some(Tool::JMeter);
    }
    if first.contains("elapsed") && first.contains("timeStamp") {
        return Some(Tool::JMeter);
    }
    if first.contains("Request Count") && first.contains("Failure Count") {
        return Some(Tool::Locust);
    }
    if first.starts_with("RUN\t") || first.starts_with("ASSERTION\t") || first.starts_with("REQUEST\t") {
        return Some(Tool::Gatling);
    }
    text.contains("1/(1-Percentile)").then_some(Tool::Hgrm)
}

/// The run in a text of a tool, or in words why there is none.
pub fn parse(text: &str, tool: Tool) -> Result<Sample, String> {
    let text = text.trim_start_matches('\u{feff}');
    match tool {
        Tool::K6Summary => k6::summary(text),
        Tool::K6Points => k6::points(text),
        Tool::Hgrm => hgrm::spectrum(text),
        Tool::JMeter => jmeter::jtl(text),
        Tool::Gatling => gatling::log(text),
        Tool::Locust => locust::statistics(text),
        Tool::VegetaReport => vegeta::report(text),
        Tool::VegetaResults => vegeta::results(text),
    }
}

/// Requests as they are read, one by one.
#[derive(Default)]
struct Tally {
    latency: Latency,
    requests: u64,
    failed: u64,
    /// First and last moment \[ms\].
    first: Option<f64>,
    last: Option<f64>,
}

impl Tally {
    /// A request of `ms` that ended at `end_ms`, if that is known.
    fn request(&mut self, ms: f64, ok: bool, end_ms: Option<f64>) -> Result<(), String> {
        if !(0.0..1e12).contains(&ms) {
            return Err(format!("found a latency of {ms} ms"));
        }
        self.requests += 1;
        self.failed += u64::from(!ok);
        if ok {
            self.latency.record(Span::from_secs_f64(ms / 1e3));
        }
        if let Some(end) = end_ms.filter(|end| end.is_finite()) {
            self.first = Some(self.first.unwrap_or(end).min(end - ms));
            self.last = Some(self.last.unwrap_or(end).max(end));
        }
        Ok(())
    }

    fn sample(self) -> Sample {
        let seconds = self.first.zip(self.last).map(|(first, last)| (last - first) / 1e3).filter(|s| *s > 0.0);
        let mut sample = Sample::of_requests(self.requests, self.failed, Distribution::Full(Box::new(self.latency)));
        sample.throughput_rps = seconds.map(|seconds| self.requests as f64 / seconds);
        sample
    }
}

#[cfg(test)]
mod tests;

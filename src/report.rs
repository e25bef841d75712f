//! The report: one experiment, many writers.
//!
//! An [`Experiment`] is what was run and what it left behind, in the words that every writer needs. `report.json` is the
//! contract (its JSON Schema is [`SCHEMA`]); everything else shows the same numbers to people or to other tools. Files are
//! written beside their name and renamed, so that none is ever half-written.

pub mod analysis;
#[cfg(feature = "render")]
pub mod chart;
mod console;
mod csv;
pub(crate) mod figure;
mod hgrm;
pub mod hlog;
pub(crate) mod html;
pub(crate) mod json;
mod markdown;
pub mod saved;
mod svg;
pub mod verdict;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use crate::record::Run;
use crate::record::fidelity::Faithfulness;
use crate::record::generator::Generator;
use crate::record::interval::{Interval, student_t};
use crate::record::latency::Latency;
use crate::record::outcome::Counts;
use crate::record::run::Ended;
use crate::scenario::slo;
use crate::units::Span;

pub use console::{console, plain};
pub use csv::{csv_cell, timeline_csv};
pub use hgrm::{hgrm, hgrm_of};
pub use html::html;
pub use json::json;
pub use markdown::markdown;
pub use svg::svg;
pub use verdict::{Outcome, Verdict};

/// The JSON Schema of `report.json`, draft 2020-12.
pub const SCHEMA: &str = include_str!("report/report.schema.json");

/// Which world a run took place in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Virtual time.
    Sim,
    /// Real sockets and processes.
    Live,
}

impl Mode {
    /// The name in `report.json`.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Sim => "sim",
            Mode::Live => "live",
        }
    }

    /// The mode of a name in `report.json`.
    pub fn from_name(name: &str) -> Option<Mode> {
        [Mode::Sim, Mode::Live].into_iter().find(|mode| mode.name() == name)
    }
}

/// How a run went as a program: the only part of a report that differs between equal runs.
#[derive(Clone, Debug)]
pub struct RunInfo {
    /// Time on the wall \[s\].
    pub wall_seconds: f64,
    /// User and system CPU time \[s\]; `None` if unknown.
    pub cpu_seconds: Option<f64>,
    /// When it began, RFC 3339.
    pub started: String,
    /// Name of the machine.
    pub host: String,
    /// Version of the program.
    pub version: Cow<'static, str>,
    /// Threads that replications were spread over.
    pub threads: usize,
}

/// A value of a metric that the autoscaler acts on.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The rule or policy.
    pub rule: String,
    /// The metric, by its name in scenario files.
    pub metric: String,
    /// "=" for a target; ">", "≥", "<" or "≤" for a threshold.
    pub sign: String,
    /// The value, in the metric's unit.
    pub value: f64,
}

/// What was run, and what it left behind.
#[derive(Clone, Debug)]
pub struct Experiment<'a> {
    /// Name of the scenario.
    pub name: &'a str,
    /// What it shows, in a line.
    pub description: &'a str,
    /// Its fingerprint.
    pub digest: &'a str,
    /// Length of a run.
    pub duration: Span,
    /// Start of a run left out of the statistics.
    pub warmup: Span,
    /// Seed of the scenario.
    pub seed: u64,
    /// What must hold.
    pub slo: &'a [slo::Target],
    /// What the autoscaler acts on; empty without one.
    pub thresholds: Vec<Threshold>,
    /// Price of an instance-hour.
    pub price_per_hour: f64,
    /// Which world it took place in.
    pub mode: Mode,
    /// The replications, at least one, in order.
    pub runs: &'a [Run],
    /// The command that reproduces it.
    pub command: String,
    /// What else a reader should know.
    pub notes: Vec<String>,
    /// What the replayed recording says about the answers that were given then.
    pub recorded: Option<RecordedService>,
    /// Whether that is laid beside what was simulated for people too, and not only in `report.json`.
    pub compare_recorded: bool,
    /// How it went as a program.
    pub info: RunInfo,
}

/// How the recorded service answered.
#[derive(Clone, Debug)]
pub struct RecordedService {
    /// Response times; `None` if there are none.
    pub latency: Option<Latency>,
    /// Answers with a status.
    pub answered: u64,
    /// Those of them with a status of 500 or more.
    pub failed: u64,
}

impl RecordedService {
    /// Share of the answers that were no failures of the server; `None` if no status was recorded.
    pub fn availability(&self) -> Option<f64> {
        (self.answered > 0).then(|| 1.0 - self.failed as f64 / self.answered as f64)
    }
}

impl Experiment<'_> {
    /// The first replication: what timelines and decisions show.
    pub fn first(&self) -> &Run {
        &self.runs[0]
    }

    /// What the generator of load did; `None` where the run was not one of load against a target that nobody sees into. Then there is no fleet
    /// to show.
    pub fn generator(&self) -> Option<&Generator> {
        self.first().generator.as_ref()
    }

    /// The fewest and the most instances that took traffic, of all replications.
    pub fn fleet_range(&self) -> (u32, u32) {
        let fleets = || self.runs.iter().map(|run| &run.fleet);
        (fleets().map(|fleet| fleet.min).min().unwrap_or(0), fleets().map(|fleet| fleet.max).max().unwrap_or(0))
    }

    /// The target of p99 \[ms\]; `None` if there is none.
    pub fn p99_target_ms(&self) -> Option<f64> {
        self.slo.iter().find_map(|target| match target {
            slo::Target::Quantile { q, at_most } if *q == 0.99 => Some(at_most.as_millis_f64()),
            _ => None,
        })
    }

    /// Requests of all replications.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        self.runs.iter().for_each(|run| sum.add(&run.counts));
        sum
    }

    /// Latency of succeeded requests of all replications.
    pub fn latency(&self) -> Latency {
        self.merged(|run| &run.latency)
    }

    /// Latency of all requests of all replications.
    pub fn latency_all(&self) -> Latency {
        self.merged(|run| &run.latency_all)
    }

    /// Time in service, of all replications.
    pub fn service_time(&self) -> Latency {
        self.merged(|run| &run.service_time)
    }

    fn merged(&self, of: impl Fn(&Run) -> &Latency) -> Latency {
        let mut all = Latency::default();
        self.runs.iter().for_each(|run| all.merge(of(run)));
        all
    }

    /// The mean of a figure over the replications.
    pub fn mean(&self, of: impl Fn(&Run) -> f64) -> f64 {
        self.runs.iter().map(of).sum::<f64>() / self.runs.len() as f64
    }

    /// Jain's index over clients, its mean over the replications; `None` where it was not looked at.
    pub fn client_fairness(&self) -> Option<f64> {
        let all: Option<Vec<f64>> = self.runs.iter().map(|run| run.client_fairness).collect();
        all.filter(|all| !all.is_empty()).map(|all| all.iter().sum::<f64>() / all.len() as f64)
    }

    /// How faithfully it was simulated: the share of simulated requests its mean over the replications, the spread that of the farthest
    /// one; `None` where all requests were to be simulated.
    pub fn fidelity(&self) -> Option<Faithfulness> {
        let all: Vec<&Faithfulness> = self.runs.iter().filter_map(|run| run.fidelity.as_ref()).collect();
        // If any had to be simulated in full, that and why is what matters.
        let told = all.iter().find(|told| told.reason.is_some()).or(all.first())?;
        let spreads = all.iter().filter_map(|told| told.spread);
        let farthest = spreads.max_by(|a, b| a.of_bounds().total_cmp(&b.of_bounds()));
        let share = all.iter().map(|told| told.simulated_share).sum::<f64>() / all.len() as f64;
        Some(Faithfulness { simulated_share: share, spread: farthest, ..(*told).clone() })
    }

    /// A figure's mean and 95 % interval over the replications; `None` with a single one.
    pub fn interval(&self, of: impl Fn(&Run) -> f64) -> Option<Interval> {
        student_t(&self.runs.iter().map(of).collect::<Vec<_>>(), 0.95)
    }

    /// Whether a replication did not come to its planned end, and how.
    pub fn cut_short(&self) -> Option<&Ended> {
        self.runs.iter().map(|run| &run.ended).find(|ended| **ended != Ended::Completed)
    }
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be written.
    #[error("cannot write {}: {cause}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// A chart could not be drawn.
    #[error("cannot draw {name}: {problem}")]
    Draw {
        /// Which.
        name: &'static str,
        /// What the drawing library says.
        problem: String,
    },
}

/// Writes everything into the folder `dir`, which exists.
pub fn write(experiment: &Experiment, dir: &Path) -> Result<(), Error> {
    write_file(&dir.join("report.json"), json(experiment).as_bytes())?;
    write_file(&dir.join("timeline.csv"), timeline_csv(&experiment.first().timeline).as_bytes())?;
    write_file(&dir.join("latency.hgrm"), hgrm(&experiment.latency()).as_bytes())?;
    write_file(&dir.join("report.html"), html(experiment).as_bytes())?;
    #[cfg(feature = "render")]
    for (name, chart) in chart::ALL {
        write_chart(dir, name, |path| chart::draw(chart, experiment, path))?;
    }
    Ok(())
}

/// Draws a chart aside and renames it.
#[cfg(feature = "render")]
pub(crate) fn write_chart(
    dir: &Path,
    name: &'static str,
    draw: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), Error> {
    let aside = dir.join(format!(".{}-{name}", std::process::id()));
    let drawn = draw(&aside).map_err(|problem| Error::Draw { name, problem });
    let path = dir.join(name);
    let written = drawn.and_then(|()| std::fs::rename(&aside, &path).map_err(|cause| Error::Write { path, cause }));
    if written.is_err() {
        // What is left of it helps nobody; the first error is the one to tell.
        let _ = std::fs::remove_file(&aside);
    }
    written
}

/// Writes a file aside and renames it, so that nobody ever reads half of it.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let aside = path.with_extension(format!("tmp{}", std::process::id()));
    let written = std::fs::write(&aside, bytes).and_then(|()| std::fs::rename(&aside, path));
    written.map_err(|cause| {
        // What is left of it helps nobody; if it cannot be removed either, the first error is the one to tell.
        let _ = std::fs::remove_file(&aside);
        Error::Write { path: path.to_path_buf(), cause }
    })
}
